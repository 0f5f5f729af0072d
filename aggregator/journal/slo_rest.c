/* SPDX-License-Identifier: Apache-2.0
 * Big-endian, 8 bytes a number:
 *   when exhaustion was said last (ms; 0: it is not in force), when the list of agents changed last (ms),
 *   4 former lengths {seconds 4, until (ms)}, then week, month, quarter, year {hour after the present one,
 *   good, total, expected, seen of it, the same of the next one}, then (not in schema 1) the recent hours {hour after
 *   it, 0: none, good, total, expected, seen}, the newest by change first.
 *
 * An export has what schema 1 had, and the recent hours among its hours.
 *
 * The stored SLO says "exhausted" only while the counts are over the target; in a calendar window it must not be said
 * again in the period even when they were within the target between, hence the first number. */
#include "aggregator/journal/slo_rest.h"

#include "aggregator/journal/record.h"

enum {
    SCHEMA = RECORD_KEYED_3,
    KEY_BYTES = 8,
    HOUR_MAX = 100000000, /* in the year 13377 */
    BODY_BYTES_1 = 8 + 8 + SLO_LENGTHS_MAX * (4 + 8) + SLO_PERIODS * (8 + 2 * 32),
    BODY_BYTES = BODY_BYTES_1 + SLO_RECENT_HOURS * (8 + 32),
};

static uint8_t *put(uint8_t *at, int64_t number) {
    kv_store_u64(at, (uint64_t)number);
    return at + 8;
}

static const uint8_t *get(const uint8_t *at, int64_t *ret_number) {
    *ret_number = (int64_t)kv_load_u64(at);
    return at + 8;
}

static uint8_t *put_counts(uint8_t *at, const struct slo_counts *counts) {
    at = put(at, counts->good);
    at = put(at, counts->total);
    at = put(at, counts->scrapes_expected);
    return put(at, counts->scrapes_seen);
}

static const uint8_t *get_counts(const uint8_t *at, struct slo_counts *ret_counts) {
    at = get(at, &ret_counts->good);
    at = get(at, &ret_counts->total);
    at = get(at, &ret_counts->scrapes_expected);
    return get(at, &ret_counts->scrapes_seen);
}

static void rest_write(const struct slo_state *slo, const struct slo_recent recent[SLO_RECENT_HOURS],
                       uint8_t bytes[BODY_BYTES]) {
    uint8_t *at = put(bytes, slo->budget.exhausted ? slo->budget.exhausted_at_ms : 0);
    at = put(at, slo->agents_changed_ms);
    for (size_t i = 0; i < SLO_LENGTHS_MAX; i++) {
        kv_store_u32(at, (uint32_t)slo->lengths[i].seconds);
        at = put(at + 4, slo->lengths[i].until_ms);
    }
    for (int i = 0; i < SLO_PERIODS; i++) {
        at = put(at, slo->budget.periods[i].span.ends_hour);
        at = put_counts(at, &slo->budget.periods[i].present);
        at = put_counts(at, &slo->budget.periods[i].ahead);
    }
    for (int i = 0; i < SLO_RECENT_HOURS; i++) {
        at = put(at, recent[i].used ? recent[i].hour + 1 : 0);
        at = put_counts(at, &recent[i].counts);
    }
}

static void rest_read(const uint8_t bytes[BODY_BYTES_1], struct slo_state *slo) {
    int64_t said_ms;
    const uint8_t *at = get(bytes, &said_ms);
    at = get(at, &slo->agents_changed_ms);
    for (size_t i = 0; i < SLO_LENGTHS_MAX; i++) {
        slo->lengths[i].seconds = (int32_t)kv_load_u32(at);
        at = get(at + 4, &slo->lengths[i].until_ms);
    }
    for (int i = 0; i < SLO_PERIODS; i++) {
        struct slo_period *period = &slo->budget.periods[i];
        int64_t ends_hour;
        at = get(at, &ends_hour);
        at = get_counts(at, &period->present);
        at = get_counts(at, &period->ahead);
        if (ends_hour > 0 && ends_hour < HOUR_MAX) period->span = slo_period_span(i, ends_hour - 1);
    }
    if (slo_period_index(slo->definition.window) >= 0) {
        slo->budget.exhausted = said_ms != 0;
        slo->budget.exhausted_at_ms = said_ms;
    }
}

static void recent_read(slice body, struct slo_recent ret_recent[SLO_RECENT_HOURS]) {
    memset(ret_recent, 0, SLO_RECENT_HOURS * sizeof *ret_recent);
    if (body.size != BODY_BYTES) return;
    const uint8_t *at = body.data + BODY_BYTES_1;
    for (int i = 0; i < SLO_RECENT_HOURS; i++) {
        int64_t after;
        at = get(at, &after);
        at = get_counts(at, &ret_recent[i].counts);
        ret_recent[i].used = after > 0;
        ret_recent[i].hour = after - 1;
    }
}

static slice key_make(uint32_t tenant, uint32_t slo, uint8_t bytes[KEY_BYTES]) {
    kv_store_u32(bytes, tenant);
    kv_store_u32(bytes + 4, slo);
    return slice_of(bytes, KEY_BYTES);
}

/* Empty when there is none. */
static fault_code body_get(kv_table table, struct kv_txn *txn, uint32_t tenant, uint32_t slo, slice *ret_body,
                           struct fault *reterr) {
    uint8_t key[KEY_BYTES];
    slice record, body;
    const fault_code code = kv_get(txn, table, key_make(tenant, slo, key), &record, reterr);
    if (code && code != FAULT_ABSENT) return code;
    *ret_body = (slice){0};
    if (code) return FAULT_NONE;
    if (record_open_keyed(record, slice_of(key, KEY_BYTES), RECORD_KEYED_3, SCHEMA, "budget", &body, reterr))
        return FAULT_CORRUPT;
    if (body.size != BODY_BYTES && body.size != BODY_BYTES_1)
        return fault_set(reterr, FAULT_CORRUPT, "budget record has %zu bytes, not %d or %d", body.size, BODY_BYTES,
                         BODY_BYTES_1);
    *ret_body = body;
    return FAULT_NONE;
}

fault_code slo_rest_get(kv_table table, struct kv_txn *txn, uint32_t tenant, uint32_t slo, struct slo_state *state,
                        struct slo_recent ret_recent[SLO_RECENT_HOURS], struct fault *reterr) {
    slice body;
    const fault_code code = body_get(table, txn, tenant, slo, &body, reterr);
    if (code) return code;
    if (body.size) rest_read(body.data, state);
    recent_read(body, ret_recent);
    return FAULT_NONE;
}

static fault_code record_put(kv_table table, struct kv_txn *txn, uint32_t tenant, uint32_t slo,
                             uint8_t record[RECORD_HEAD_BYTES + BODY_BYTES], struct fault *reterr) {
    uint8_t bytes[KEY_BYTES];
    const slice key = key_make(tenant, slo, bytes);
    record_seal_keyed(record, RECORD_HEAD_BYTES + BODY_BYTES, SCHEMA, key);
    if (kv_put(txn, table, key, slice_of(record, RECORD_HEAD_BYTES + BODY_BYTES), reterr))
        return fault_wrap(reterr, "store the periods of an SLO");
    return FAULT_NONE;
}

fault_code slo_rest_put(kv_table table, struct kv_txn *txn, uint32_t tenant, uint32_t slo,
                        const struct slo_state *state, const struct slo_recent recent[SLO_RECENT_HOURS],
                        struct fault *reterr) {
    uint8_t record[RECORD_HEAD_BYTES + BODY_BYTES];
    rest_write(state, recent, record + RECORD_HEAD_BYTES);
    return record_put(table, txn, tenant, slo, record, reterr);
}

fault_code slo_rest_bytes_get(kv_table table, struct kv_txn *txn, uint32_t tenant, uint32_t slo, slice *ret_body,
                              struct slo_recent ret_recent[SLO_RECENT_HOURS], struct fault *reterr) {
    slice body;
    const fault_code code = body_get(table, txn, tenant, slo, &body, reterr);
    if (code) return code;
    recent_read(body, ret_recent);
    *ret_body = slice_first(body, BODY_BYTES_1);
    return FAULT_NONE;
}

fault_code slo_rest_bytes_put(kv_table table, struct kv_txn *txn, uint32_t tenant, uint32_t slo, slice body,
                              struct fault *reterr) {
    uint8_t record[RECORD_HEAD_BYTES + BODY_BYTES] = {0};
    if (body.size != BODY_BYTES_1)
        return fault_set(reterr, FAULT_INPUT, "an SLO's budget has %zu bytes, not %d", body.size, BODY_BYTES_1);
    memcpy(record + RECORD_HEAD_BYTES, body.data, BODY_BYTES_1);
    return record_put(table, txn, tenant, slo, record, reterr);
}
