/* SPDX-License-Identifier: Apache-2.0
 * The key begins with tenant and SLO, so that an SLO's hours lie together and are read by one walk. */
#include "aggregator/journal/hour_table.h"

#include "aggregator/journal/record.h"

enum { SCHEMA = 2, BODY_BYTES = 32 };

slice hour_key_make(const struct hour_key *key, uint8_t bytes[HOUR_KEY_BYTES]) {
    kv_store_u32(bytes, key->tenant);
    kv_store_u32(bytes + 4, key->slo);
    kv_store_u32(bytes + 8, (uint32_t)key->hour);
    return slice_of(bytes, HOUR_KEY_BYTES);
}

fault_code hour_table_open(slice key, slice record, struct hour_key *ret_key, struct slo_counts *ret_counts,
                           struct fault *reterr) {
    slice body;
    if (record_open_keyed(record, key, RECORD_KEYED, SCHEMA, "hour", &body, reterr)) return FAULT_CORRUPT;
    if (body.size != BODY_BYTES || key.size != HOUR_KEY_BYTES)
        return fault_set(reterr, FAULT_CORRUPT, "hour record has %zu bytes, not %d", body.size, BODY_BYTES);
    *ret_key = (struct hour_key){kv_load_u32(key.data), kv_load_u32(key.data + 4), kv_load_u32(key.data + 8)};
    *ret_counts = (struct slo_counts){(int64_t)kv_load_u64(body.data), (int64_t)kv_load_u64(body.data + 8),
                                      (int64_t)kv_load_u64(body.data + 16), (int64_t)kv_load_u64(body.data + 24)};
    return FAULT_NONE;
}

fault_code hour_table_put(kv_table table, struct kv_txn *txn, const struct hour_key *key,
                          const struct slo_counts *counts, struct fault *reterr) {
    uint8_t bytes[HOUR_KEY_BYTES], record[RECORD_HEAD_BYTES + BODY_BYTES], *body = record + RECORD_HEAD_BYTES;
    const slice name = hour_key_make(key, bytes);
    kv_store_u64(body, (uint64_t)counts->good);
    kv_store_u64(body + 8, (uint64_t)counts->total);
    kv_store_u64(body + 16, (uint64_t)counts->scrapes_expected);
    kv_store_u64(body + 24, (uint64_t)counts->scrapes_seen);
    record_seal_keyed(record, sizeof record, SCHEMA, name);
    return kv_put(txn, table, name, slice_of(record, sizeof record), reterr);
}

fault_code hour_table_delete(kv_table table, struct kv_txn *txn, const struct hour_key *key, struct fault *reterr) {
    uint8_t bytes[HOUR_KEY_BYTES];
    return kv_delete(txn, table, hour_key_make(key, bytes), reterr);
}
