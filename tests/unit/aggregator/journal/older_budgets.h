/* SPDX-License-Identifier: Apache-2.0
 * Budgets of SLOs as older programs stored them: 8 bytes a number, schema 1 without the recent hours. */
#ifndef PICKET_TESTS_OLDER_BUDGETS_H
#define PICKET_TESTS_OLDER_BUDGETS_H

#include "aggregator/journal/hour_table.h"
#include "aggregator/journal/journal_tables.h"
#include "aggregator/journal/record.h"
#include "aggregator/journal/slo_rest.h"

enum {
    OLDER_HEAD = 5,
    OLDER_BYTES_1 = 8 + 8 + 4 * 12 + 4 * 72,
    OLDER_BYTES_2 = OLDER_BYTES_1 + SLO_RECENT_HOURS * 40,
};

/* Stores the SLO's record anew as schema 1, 2 or 3. In schema 1 what was in its recent hours goes into their table. */
static inline void older_budget_put(const struct journal_tables *tables, struct kv_txn *txn, uint32_t tenant,
                                    uint32_t slo, uint8_t schema, struct arena *arena) {
    struct fault fault;
    struct slo_recent recent[SLO_RECENT_HOURS];
    slice body;
    CHECK_OK(slo_rest_bytes_get(tables->budgets, txn, tenant, slo, arena, &body, &fault));
    CHECK_OK(slo_rest_recent_get(tables->budgets, txn, tenant, slo, recent, &fault));
    assert_int_equal(body.size, OLDER_BYTES_1);
    uint8_t key[8], record[OLDER_HEAD + OLDER_BYTES_2], *at = record + OLDER_HEAD + OLDER_BYTES_1;
    kv_store_u32(key, tenant);
    kv_store_u32(key + 4, slo);
    memcpy(record + OLDER_HEAD, body.data, body.size);
    for (int i = 0; i < SLO_RECENT_HOURS; i++) {
        const struct hour_key hour = {tenant, slo, recent[i].hour};
        if (schema == 1 && recent[i].used)
            CHECK_OK(hour_table_put(tables->hours, txn, &hour, &recent[i].counts, &fault));
        const struct slo_counts *c = &recent[i].counts;
        const int64_t numbers[] = {recent[i].used ? recent[i].hour + 1 : 0, c->good, c->total, c->scrapes_expected,
                                   c->scrapes_seen};
        for (size_t k = 0; k < 5; k++, at += 8) kv_store_u64(at, (uint64_t)numbers[k]);
    }
    const size_t size = OLDER_HEAD + (schema == 1 ? OLDER_BYTES_1 : OLDER_BYTES_2);
    if (schema < RECORD_KEYED_3)
        record_seal(record, size, schema);
    else
        record_seal_keyed(record, size, schema, slice_of(key, sizeof key));
    CHECK_OK(kv_put(txn, tables->budgets, slice_of(key, sizeof key), slice_of(record, size), &fault));
}

#endif
