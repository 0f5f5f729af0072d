/* SPDX-License-Identifier: Apache-2.0
 * Keys begin with the time, so that what is due lies at the table's beginning and looking for it costs one seek. */
#include "aggregator/journal/expiry_table.h"

#include "common/base/limits.h"

#include <assert.h>

enum { AT_TENANT = 8, AT_KIND = 12, AT_ID = 13 };
static_assert(EXPIRY_KEY_BYTES_MAX == AT_ID + LIMIT_AGGREGATE_ID_BYTES, "the header says how long a key may be");

static slice key_of(int64_t expires_ms, uint32_t tenant, enum aggregate_kind kind, slice aggregate_id,
                    uint8_t bytes[EXPIRY_KEY_BYTES_MAX]) {
    const slice id = slice_first(aggregate_id, LIMIT_AGGREGATE_ID_BYTES);
    kv_store_u64(bytes, expires_ms > 0 ? (uint64_t)expires_ms : 0);
    for (int i = 0; i < 4; i++) bytes[AT_TENANT + i] = (uint8_t)(tenant >> (24 - 8 * i));
    bytes[AT_KIND] = (uint8_t)kind;
    if (id.size) memcpy(bytes + AT_ID, id.data, id.size);
    return slice_of(bytes, AT_ID + id.size);
}

fault_code expiry_put(kv_table table, struct kv_txn *txn, int64_t expires_ms, uint32_t tenant, enum aggregate_kind kind,
                      slice id, slice tenant_name, struct fault *reterr) {
    uint8_t key[EXPIRY_KEY_BYTES_MAX];
    const fault_code code = kv_put(txn, table, key_of(expires_ms, tenant, kind, id, key), tenant_name, reterr);
    return code ? fault_wrap(reterr, "note when %s '%.*s' is due", aggregate_kind_name(kind), SLICE_ARG(id))
                : FAULT_NONE;
}

fault_code expiry_delete(kv_table table, struct kv_txn *txn, int64_t expires_ms, uint32_t tenant,
                         enum aggregate_kind kind, slice id, struct fault *reterr) {
    uint8_t key[EXPIRY_KEY_BYTES_MAX];
    const fault_code code = kv_delete(txn, table, key_of(expires_ms, tenant, kind, id, key), reterr);
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

fault_code expiry_find(kv_table table, struct kv_txn *txn, int64_t expires_ms, uint32_t tenant,
                       enum aggregate_kind kind, slice id, slice tenant_name, struct fault *reterr) {
    uint8_t key[EXPIRY_KEY_BYTES_MAX];
    slice value;
    const fault_code code = kv_get(txn, table, key_of(expires_ms, tenant, kind, id, key), &value, reterr);
    return code || slice_equal(value, tenant_name) ? code : FAULT_ABSENT;
}

fault_code expiry_open(slice key, slice value, struct expiry_row *ret_row, struct fault *reterr) {
    if (key.size <= AT_ID) return fault_set(reterr, FAULT_CORRUPT, "expiry key of %zu bytes is too short", key.size);
    uint32_t tenant = 0;
    for (int i = 0; i < 4; i++) tenant = tenant << 8 | key.data[AT_TENANT + i];
    *ret_row = (struct expiry_row){.expires_ms = (int64_t)kv_load_u64(key.data),
                                   .tenant = tenant,
                                   .kind = (enum aggregate_kind)key.data[AT_KIND],
                                   .id = slice_from(key, AT_ID),
                                   .tenant_name = value};
    return FAULT_NONE;
}
