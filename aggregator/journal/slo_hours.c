/* SPDX-License-Identifier: Apache-2.0
 * A store that copies on write copies a page for each record that changes, and the hours of thousands of SLOs lie on as
 * many pages. While a backlog drains, each commit changes an hour of each SLO: so the hours that change stay where
 * some twenty SLOs share a page, and each goes into its table once, when others take its place.
 *
 * The table may hold such an hour from before it was taken out to be corrected: what lies beside the budget is newer.
 * An hour pushes the one out of the table whose place in the ring it has. */
#include "aggregator/journal/slo_hours.h"

#include "aggregator/journal/hour_table.h"

static fault_code hour_retire(kv_table hours, struct kv_txn *txn, uint32_t tenant, uint32_t slo, int64_t newest,
                              const struct slo_recent *recent, struct fault *reterr) {
    if (!recent->used || recent->hour <= newest - SLO_HOURS) return FAULT_NONE; /* nothing, or of no use any more */
    struct hour_key key = {tenant, slo, recent->hour};
    if (hour_table_put(hours, txn, &key, &recent->counts, reterr)) return fault_wrap(reterr, "store an SLO's hour");
    key.hour -= SLO_HOURS;
    if (key.hour >= 0 && hour_table_delete(hours, txn, &key, reterr))
        return fault_wrap(reterr, "drop an SLO's oldest hour");
    return FAULT_NONE;
}

static fault_code hour_store(kv_table hours, struct kv_txn *txn, uint32_t tenant, uint32_t slo, int64_t hour,
                             const struct slo_budget *budget, struct slo_recent recent[SLO_RECENT_HOURS],
                             struct fault *reterr) {
    size_t at = 0;
    while (at < SLO_RECENT_HOURS - 1 && !(recent[at].used && recent[at].hour == hour)) at++;
    const bool stays = recent[at].used && recent[at].hour == hour;
    if (!stays && hour_retire(hours, txn, tenant, slo, budget->hour, &recent[at], reterr)) return reterr->code;
    memmove(recent + 1, recent, at * sizeof *recent);
    recent[0] = (struct slo_recent){.hour = hour, .counts = budget->hours[hour % SLO_HOURS], .used = true};
    return FAULT_NONE;
}

fault_code slo_hours_store(kv_table hours, struct kv_txn *txn, uint32_t tenant, uint32_t slo, struct slo_budget *budget,
                           struct slo_recent recent[SLO_RECENT_HOURS], struct fault *reterr) {
    const int64_t first = budget->hour > SLO_HOURS ? budget->hour - SLO_HOURS + 1 : 0;
    for (int64_t hour = first; hour <= budget->hour; hour++) {
        const size_t slot = (size_t)(hour % SLO_HOURS);
        const uint64_t left = budget->touched[slot / 64] >> slot % 64;
        if (left == 0) { /* none in the rest of this word */
            const size_t word_end = (slot / 64 + 1) * 64;
            hour += (int64_t)((word_end < SLO_HOURS ? word_end : SLO_HOURS) - slot) - 1;
        } else if (left & 1 && hour_store(hours, txn, tenant, slo, hour, budget, recent, reterr)) {
            return reterr->code;
        }
    }
    memset(budget->touched, 0, sizeof budget->touched);
    return FAULT_NONE;
}

/* ---- reading ---- */

struct walk {
    const struct slo_recent *recent;
    slo_hour_fn *each;
    void *context;
    int64_t next; /* of the recent ones, those before it were given */
};

/* Gives the recent ones before `hour`, in order; whether it is one of them itself. */
static fault_code recent_give(struct walk *walk, int64_t hour, bool *ret_is_recent, struct fault *reterr) {
    *ret_is_recent = false;
    for (;;) {
        const struct slo_recent *first = NULL;
        for (size_t i = 0; i < SLO_RECENT_HOURS; i++) {
            const struct slo_recent *one = &walk->recent[i];
            if (!one->used || one->hour < walk->next) continue;
            *ret_is_recent |= one->hour == hour;
            if (one->hour < hour && (!first || one->hour < first->hour)) first = one;
        }
        if (!first) return FAULT_NONE;
        walk->next = first->hour + 1;
        const fault_code code = walk->each(walk->context, first->hour, &first->counts, reterr);
        if (code) return code;
    }
}

static fault_code row_give(struct walk *walk, slice key, slice record, struct fault *reterr) {
    struct hour_key hour;
    struct slo_counts counts;
    bool is_recent;
    if (hour_table_open(key, record, &hour, &counts, reterr)) return FAULT_CORRUPT;
    const fault_code code = recent_give(walk, hour.hour, &is_recent, reterr);
    if (code || is_recent) return code;
    return walk->each(walk->context, hour.hour, &counts, reterr);
}

fault_code slo_hours_walk(kv_table hours, struct kv_txn *txn, uint32_t tenant, uint32_t slo, int64_t oldest,
                          const struct slo_recent recent[SLO_RECENT_HOURS], slo_hour_fn *each, void *context,
                          struct fault *reterr) {
    struct walk walk = {.recent = recent, .each = each, .context = context, .next = oldest};
    uint8_t bytes[HOUR_KEY_BYTES];
    const slice from = hour_key_make(&(struct hour_key){tenant, slo, oldest}, bytes);
    struct kv_cursor *cursor;
    slice key, record;
    bool is_recent;
    if (kv_cursor_open(txn, hours, &cursor, reterr)) return fault_wrap(reterr, "read an SLO's hours");
    fault_code code = kv_cursor_seek(cursor, from, &key, &record, reterr);
    while (code == FAULT_NONE && slice_starts_with(key, slice_first(from, 8))) {
        code = row_give(&walk, key, record, reterr);
        if (!code) code = kv_cursor_next(cursor, &key, &record, reterr);
    }
    kv_cursor_close(cursor);
    if (code && code != FAULT_ABSENT) return code;
    return recent_give(&walk, INT64_MAX, &is_recent, reterr);
}
