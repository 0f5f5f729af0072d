/* SPDX-License-Identifier: Apache-2.0
 * The time in a key of `open` is inverted, so that the newest is first. An id holds no zero byte, so a zero ends the id
 * that is pointed to. */
#include "aggregator/journal/index_table.h"

enum {
    AT_KIND = 4,
    HEAD_BYTES = 5,
    AT_OPEN_ID = HEAD_BYTES + 8,
    OPEN_KEY_BYTES_MAX = AT_OPEN_ID + LIMIT_AGGREGATE_ID_BYTES,
    LINK_KEY_BYTES_MAX = HEAD_BYTES + 2 * LIMIT_AGGREGATE_ID_BYTES + 1,
};

static size_t append(uint8_t *key, size_t at, slice id) {
    const slice bounded = slice_first(id, LIMIT_AGGREGATE_ID_BYTES);
    if (bounded.size) memcpy(key + at, bounded.data, bounded.size);
    return at + bounded.size;
}

static slice open_key(uint32_t tenant, enum aggregate_kind kind, int64_t since_ms, slice id,
                      uint8_t key[OPEN_KEY_BYTES_MAX]) {
    kv_store_u32(key, tenant);
    key[AT_KIND] = (uint8_t)kind;
    /* times before 1970 sort behind all others, too */
    kv_store_u64(key + HEAD_BYTES, ~((uint64_t)since_ms ^ UINT64_C(1) << 63));
    return slice_of(key, append(key, AT_OPEN_ID, id));
}

fault_code open_put(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind, int64_t since_ms,
                    slice id, struct fault *reterr) {
    uint8_t key[OPEN_KEY_BYTES_MAX];
    return kv_put(txn, table, open_key(tenant, kind, since_ms, id, key), (slice){0}, reterr);
}

fault_code open_delete(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind, int64_t since_ms,
                       slice id, struct fault *reterr) {
    uint8_t key[OPEN_KEY_BYTES_MAX];
    return kv_delete(txn, table, open_key(tenant, kind, since_ms, id, key), reterr);
}

fault_code open_find(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind, int64_t since_ms,
                     slice id, struct fault *reterr) {
    uint8_t key[OPEN_KEY_BYTES_MAX];
    slice nothing;
    return kv_get(txn, table, open_key(tenant, kind, since_ms, id, key), &nothing, reterr);
}

fault_code open_list(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind,
                     const struct open_place *after, size_t places_max, struct arena *arena,
                     struct open_place *ret_places, size_t *ret_count, struct fault *reterr) {
    uint8_t bytes[OPEN_KEY_BYTES_MAX];
    slice first = open_key(tenant, kind, after ? after->since_ms : INT64_MAX, after ? after->id : (slice){0}, bytes);
    struct kv_cursor *cursor;
    fault_code code = kv_cursor_open(txn, table, &cursor, reterr);
    if (code) return code;
    slice key, value;
    size_t count = 0;
    code = kv_cursor_seek(cursor, first, &key, &value, reterr);
    if (!code && after && slice_equal(key, first)) code = kv_cursor_next(cursor, &key, &value, reterr);
    for (; !code && count < places_max; code = kv_cursor_next(cursor, &key, &value, reterr)) {
        if (key.size <= AT_OPEN_ID || memcmp(key.data, bytes, HEAD_BYTES) != 0) break;
        ret_places[count].since_ms = (int64_t)(~kv_load_u64(key.data + HEAD_BYTES) ^ UINT64_C(1) << 63);
        ret_places[count].id = arena_copy(arena, slice_from(key, AT_OPEN_ID));
        if (!ret_places[count].id.data) {
            code = fault_set(reterr, FAULT_LIMIT, "a list of open ones does not fit what this request may hold");
            break;
        }
        count++;
    }
    kv_cursor_close(cursor);
    *ret_count = count;
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

static slice link_key(uint32_t tenant, enum aggregate_kind kind, slice to, slice from,
                      uint8_t key[LINK_KEY_BYTES_MAX]) {
    kv_store_u32(key, tenant);
    key[AT_KIND] = (uint8_t)kind;
    size_t at = append(key, HEAD_BYTES, to);
    key[at++] = 0;
    return slice_of(key, append(key, at, from));
}

fault_code link_put(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind, slice to, slice from,
                    struct fault *reterr) {
    uint8_t key[LINK_KEY_BYTES_MAX];
    return kv_put(txn, table, link_key(tenant, kind, to, from, key), (slice){0}, reterr);
}

fault_code link_delete(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind, slice to,
                       slice from, struct fault *reterr) {
    uint8_t key[LINK_KEY_BYTES_MAX];
    return kv_delete(txn, table, link_key(tenant, kind, to, from, key), reterr);
}

fault_code link_find(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind, slice to,
                     slice from, struct fault *reterr) {
    uint8_t key[LINK_KEY_BYTES_MAX];
    slice nothing;
    return kv_get(txn, table, link_key(tenant, kind, to, from, key), &nothing, reterr);
}

fault_code link_sources(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind, slice to,
                        size_t ids_max, struct arena *arena, slice *ret_ids, size_t *ret_count, struct fault *reterr) {
    uint8_t bytes[LINK_KEY_BYTES_MAX];
    const slice first = link_key(tenant, kind, to, (slice){0}, bytes);
    struct kv_cursor *cursor;
    fault_code code = kv_cursor_open(txn, table, &cursor, reterr);
    if (code) return code;
    slice key, value;
    size_t count = 0;
    code = kv_cursor_seek(cursor, first, &key, &value, reterr);
    for (; !code && count < ids_max && slice_starts_with(key, first);
         code = kv_cursor_next(cursor, &key, &value, reterr)) {
        ret_ids[count] = arena_copy(arena, slice_from(key, first.size));
        if (!ret_ids[count].data) {
            code = fault_set(reterr, FAULT_LIMIT, "no memory left in this transaction");
            break;
        }
        count++;
    }
    kv_cursor_close(cursor);
    *ret_count = count;
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}
