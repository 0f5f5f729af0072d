/* SPDX-License-Identifier: Apache-2.0
 * A chained hash table. An entry owns a copy of its stored bytes, which its decoded texts point into. After a change
 * of the definition the texts point into the transaction's memory: such an entry is forgotten after the commit and
 * read again when it is needed. After an abort all that were touched are forgotten. When there are more entries than
 * allowed, a hand goes round the buckets and takes those that the last transaction did not use. */
#include "aggregator/journal/hot_slos.h"

#include "aggregator/journal/aggregate_table.h"
#include "aggregator/journal/slo_rest.h"
#include "common/base/checksum.h"
#include "common/codec/codec.h"

#include <stdlib.h>

enum { BUCKETS = 8192 };

struct entry {
    struct hot_slo hot; /* first: the two are one object */
    struct slo_state state;
    struct entry *next_in_bucket, *next_touched;
    uint64_t hash, used_at;
    struct slo_recent recent[SLO_RECENT_HOURS]; /* an abort forgets them with the entry */
    bool touched;
    struct arena *arena;
};

struct hot_slos {
    struct journal_tables tables;
    struct names *names;
    size_t entries_max, entries_count, hand;
    uint64_t transaction;
    struct entry *touched;
    uint8_t *buffer;
    struct entry *buckets[BUCKETS];
};

struct hot_slos *hot_slos_new(const struct journal_tables *tables, struct names *names, size_t entries_max) {
    struct hot_slos *slos = calloc(1, sizeof *slos);
    uint8_t *buffer = malloc(AGGREGATE_BYTES_MAX);
    if (!slos || !buffer) {
        free(slos);
        free(buffer);
        return NULL;
    }
    slos->tables = *tables;
    slos->names = names;
    slos->entries_max = entries_max;
    slos->buffer = buffer;
    return slos;
}

static void entry_free(struct entry *entry) {
    if (!entry) return;
    arena_free(entry->arena);
    free(entry);
}

static void forget_if(struct hot_slos *slos, struct entry **link, bool forget) {
    struct entry *entry = *link;
    if (!forget) return;
    *link = entry->next_in_bucket;
    entry_free(entry);
    slos->entries_count--;
}

struct hot_slos *hot_slos_free(struct hot_slos *slos) {
    if (!slos) return NULL;
    for (size_t i = 0; i < BUCKETS; i++)
        while (slos->buckets[i]) forget_if(slos, &slos->buckets[i], true);
    free(slos->buffer);
    free(slos);
    return NULL;
}

struct hours_load {
    struct slo_budget *budget;
    bool periods_too;
};

static fault_code hour_load(void *context, int64_t hour, const struct slo_counts *counts, struct fault *reterr) {
    (void)reterr;
    const struct hours_load *load = context;
    slo_budget_add(load->budget, hour, counts);
    if (load->periods_too) slo_periods_add(load->budget, hour, counts);
    return FAULT_NONE;
}

static fault_code hours_load(struct hot_slos *slos, struct kv_txn *txn, struct entry *entry, int64_t now_ms,
                             struct fault *reterr) {
    const int64_t now_hour = now_ms / SLO_HOUR_MS, oldest = now_hour > SLO_HOURS ? now_hour - SLO_HOURS + 1 : 0;
    struct slo_budget *budget = &entry->state.budget;
    /* Missing only in a journal from before there were calendar windows: its periods begin with what its hours hold. */
    const bool rest_known = budget->periods[0].span.ends_hour != 0;
    if (!rest_known) slo_periods_advance(budget, now_hour);
    struct hours_load load = {budget, !rest_known};
    const fault_code code = slo_hours_walk(slos->tables.hours, txn, entry->hot.tenant, entry->hot.number, oldest,
                                           entry->recent, hour_load, &load, reterr);
    memset(budget->touched, 0, sizeof budget->touched);
    return code;
}

static fault_code entry_load(struct hot_slos *slos, struct kv_txn *txn, struct entry *entry, slice id, slice stored,
                             int64_t now_ms, struct fault *reterr) {
    entry->arena = arena_new(1024, 16 * 1024 * 1024);
    if (!entry->arena) return fault_set(reterr, FAULT_LIMIT, "load an SLO: out of memory");
    struct aggregate *aggregate = &entry->hot.aggregate;
    aggregate->kind = AGGREGATE_SLO;
    aggregate->state.slo = &entry->state;
    aggregate->id = arena_copy(entry->arena, id);
    if (!aggregate->id.data) return fault_set(reterr, FAULT_LIMIT, "load an SLO: out of memory");
    if (aggregate->version == 0) return FAULT_NONE;
    const slice bytes = arena_copy(entry->arena, stored);
    SLO *slo = arena_alloc(entry->arena, sizeof *slo);
    if (!bytes.data || !slo) return fault_set(reterr, FAULT_LIMIT, "load an SLO: out of memory");
    if (codec_decode_protobuf(&SLO_desc, bytes, entry->arena, slo, reterr)) {
        fault_wrap(reterr, "stored SLO '%.*s'", SLICE_ARG(id));
        return FAULT_CORRUPT;
    }
    slo_state_init(&entry->state, slo);
    if (names_number(slos->names, txn, NAMES_SLO, entry->hot.tenant, id, &entry->hot.number, reterr))
        return fault_wrap(reterr, "load SLO '%.*s'", SLICE_ARG(id));
    if (slo_rest_get(slos->tables.budgets, txn, entry->hot.tenant, entry->hot.number, &entry->state, entry->recent,
                     reterr))
        return fault_wrap(reterr, "load SLO '%.*s'", SLICE_ARG(id));
    return hours_load(slos, txn, entry, now_ms, reterr);
}

fault_code hot_slos_get(struct hot_slos *slos, struct kv_txn *txn, uint32_t tenant, slice id, bool make, int64_t now_ms,
                        struct hot_slo **ret_slo, struct fault *reterr) {
    const uint64_t hash = hash_bytes(id, tenant);
    struct entry **bucket = &slos->buckets[hash % BUCKETS];
    for (struct entry *entry = *bucket; entry; entry = entry->next_in_bucket)
        if (entry->hash == hash && entry->hot.tenant == tenant && slice_equal(entry->hot.aggregate.id, id)) {
            entry->used_at = slos->transaction;
            *ret_slo = &entry->hot;
            return FAULT_NONE;
        }
    uint64_t version;
    slice stored = {0};
    fault_code code = aggregate_get(slos->tables.aggregates, txn, tenant, AGGREGATE_SLO, id, &version, &stored, reterr);
    if (code && !(code == FAULT_ABSENT && make)) return code;
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry) return fault_set(reterr, FAULT_LIMIT, "load an SLO: out of memory");
    if (!code) entry->hot.aggregate.version = version;
    entry->hash = hash;
    entry->hot.tenant = tenant;
    entry->used_at = slos->transaction;
    code = entry_load(slos, txn, entry, id, stored, now_ms, reterr);
    if (code) {
        entry_free(entry);
        return code;
    }
    entry->next_in_bucket = *bucket;
    *bucket = entry;
    slos->entries_count++;
    if (entry->hot.aggregate.version == 0) hot_slos_touch(slos, &entry->hot); /* so that hot_slos_end sees it */
    *ret_slo = &entry->hot;
    return FAULT_NONE;
}

void hot_slos_touch(struct hot_slos *slos, struct hot_slo *slo) {
    struct entry *entry = (struct entry *)slo;
    if (entry->touched) return;
    entry->touched = true;
    entry->next_touched = slos->touched;
    slos->touched = entry;
}

fault_code hot_slos_flush(struct hot_slos *slos, struct kv_txn *txn, int64_t now_ms, struct fault *reterr) {
    for (struct entry *entry = slos->touched; entry; entry = entry->next_touched) {
        const struct aggregate *aggregate = &entry->hot.aggregate;
        if (aggregate->version == 0) continue;
        if (entry->hot.number == 0 && /* made in this transaction */
            names_number(slos->names, txn, NAMES_SLO, entry->hot.tenant, aggregate->id, &entry->hot.number, reterr))
            return fault_wrap(reterr, "store SLO '%.*s'", SLICE_ARG(aggregate->id));
        SLOBudgetWindow windows[SLO_ROLLING];
        SLO whole;
        slo_whole(&entry->state, aggregate->version, now_ms, windows, &whole);
        fault_code code = aggregate_put(slos->tables.aggregates, txn, entry->hot.tenant, AGGREGATE_SLO, aggregate->id,
                                        aggregate->version, &whole, slos->buffer, NULL, reterr);
        if (!code)
            code = slo_hours_store(slos->tables.hours, txn, entry->hot.tenant, entry->hot.number, &entry->state.budget,
                                   entry->recent, reterr);
        if (!code)
            code = slo_rest_put(slos->tables.budgets, txn, entry->hot.tenant, entry->hot.number, &entry->state,
                                entry->recent, reterr);
        if (code) return fault_wrap(reterr, "store SLO '%.*s'", SLICE_ARG(aggregate->id));
    }
    return FAULT_NONE;
}

void hot_slos_end(struct hot_slos *slos, bool committed) {
    struct entry *entry = slos->touched;
    slos->touched = NULL;
    while (entry) {
        struct entry *next = entry->next_touched;
        entry->touched = false;
        const bool forget = !committed || entry->hot.redefined || entry->hot.aggregate.version == 0;
        struct entry **link = &slos->buckets[entry->hash % BUCKETS];
        while (*link != entry) link = &(*link)->next_in_bucket;
        forget_if(slos, link, forget);
        entry = next;
    }
    for (size_t steps = 0; slos->entries_count > slos->entries_max && steps < BUCKETS; steps++) {
        struct entry **link = &slos->buckets[slos->hand];
        slos->hand = (slos->hand + 1) % BUCKETS;
        while (*link)
            if ((*link)->used_at < slos->transaction || slos->entries_count > 2 * slos->entries_max)
                forget_if(slos, link, true);
            else
                link = &(*link)->next_in_bucket;
    }
    slos->transaction++;
}
