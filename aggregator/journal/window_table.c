/* SPDX-License-Identifier: Apache-2.0
 * The key begins with tenant and start, because windows of one time arrive together: a batch of thousands then writes
 * neighbouring pages. It also makes what is oldest the first, which is what pruning wants. */
#include "aggregator/journal/window_table.h"

#include "aggregator/journal/record.h"

enum { SCHEMA = 2, KEY_BYTES = 20, BODY_BYTES = 44 };

static void key_make(const struct window_key *key, uint8_t bytes[KEY_BYTES]) {
    kv_store_u32(bytes, key->tenant);
    kv_store_u64(bytes + 4, (uint64_t)key->start_s);
    kv_store_u32(bytes + 12, key->slo);
    kv_store_u32(bytes + 16, key->source);
}

fault_code window_table_get(kv_table table, struct kv_txn *txn, const struct window_key *key,
                            struct sli_window_stored *ret_window, struct fault *reterr) {
    uint8_t bytes[KEY_BYTES];
    key_make(key, bytes);
    slice value, body;
    const fault_code code = kv_get(txn, table, slice_of(bytes, KEY_BYTES), &value, reterr);
    if (code == FAULT_ABSENT) {
        *ret_window = (struct sli_window_stored){0};
        return FAULT_NONE;
    }
    if (code) return code;
    if (record_open_keyed(value, slice_of(bytes, KEY_BYTES), RECORD_KEYED, SCHEMA, "window", &body, reterr))
        return FAULT_CORRUPT;
    if (body.size != BODY_BYTES)
        return fault_set(reterr, FAULT_CORRUPT, "window record has %zu bytes, not %d", body.size, BODY_BYTES);
    *ret_window = (struct sli_window_stored){
        .revision = (int64_t)kv_load_u64(body.data),
        .good = (int64_t)kv_load_u64(body.data + 8),
        .total = (int64_t)kv_load_u64(body.data + 16),
        .scrapes_expected = (int64_t)kv_load_u64(body.data + 24),
        .scrapes_seen = (int64_t)kv_load_u64(body.data + 32),
        .window_seconds = (int32_t)kv_load_u32(body.data + 40),
    };
    return FAULT_NONE;
}

fault_code window_table_overlap(kv_table table, struct kv_txn *txn, const struct window_key *key, int32_t seconds,
                                int32_t seconds_other, struct sli_window_overlap *ret_overlap, struct fault *reterr) {
    *ret_overlap = (struct sli_window_overlap){0};
    struct window_key at = *key;
    at.start_s = key->start_s - key->start_s % seconds_other;
    for (; at.start_s < key->start_s + seconds; at.start_s += seconds_other) {
        if (at.start_s == key->start_s) continue;
        struct sli_window_stored stored;
        const fault_code code = window_table_get(table, txn, &at, &stored, reterr);
        if (code) return code;
        if (!stored.revision || stored.window_seconds != seconds_other) continue;
        *ret_overlap = (struct sli_window_overlap){at.start_s, seconds_other};
        break;
    }
    return FAULT_NONE;
}

fault_code window_table_put(kv_table table, struct kv_txn *txn, const struct window_key *key,
                            const struct sli_window_stored *window, struct fault *reterr) {
    uint8_t bytes[KEY_BYTES], record[RECORD_HEAD_BYTES + BODY_BYTES], *body = record + RECORD_HEAD_BYTES;
    key_make(key, bytes);
    kv_store_u64(body, (uint64_t)window->revision);
    kv_store_u64(body + 8, (uint64_t)window->good);
    kv_store_u64(body + 16, (uint64_t)window->total);
    kv_store_u64(body + 24, (uint64_t)window->scrapes_expected);
    kv_store_u64(body + 32, (uint64_t)window->scrapes_seen);
    kv_store_u32(body + 40, (uint32_t)window->window_seconds);
    record_seal_keyed(record, sizeof record, SCHEMA, slice_of(bytes, KEY_BYTES));
    return kv_put(txn, table, slice_of(bytes, KEY_BYTES), slice_of(record, sizeof record), reterr);
}

fault_code window_table_prune(kv_table table, struct kv_txn *txn, uint32_t tenant, int64_t before_s, size_t records_max,
                              struct fault *reterr) {
    uint8_t first[4];
    kv_store_u32(first, tenant);
    struct kv_cursor *cursor;
    if (kv_cursor_open(txn, table, &cursor, reterr)) return fault_wrap(reterr, "prune windows");
    slice key, value;
    fault_code code = kv_cursor_seek(cursor, slice_of(first, sizeof first), &key, &value, reterr);
    for (size_t i = 0; i < records_max && code == FAULT_NONE; i++) {
        if (key.size != KEY_BYTES || kv_load_u32(key.data) != tenant || (int64_t)kv_load_u64(key.data + 4) >= before_s)
            break;
        code = kv_cursor_delete(cursor, reterr);
        if (!code) code = kv_cursor_seek(cursor, slice_of(first, sizeof first), &key, &value, reterr);
    }
    kv_cursor_close(cursor);
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}
