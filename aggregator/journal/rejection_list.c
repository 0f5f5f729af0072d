/* SPDX-License-Identifier: Apache-2.0
 * Each record holds the sum of all payload bytes up to it, so that the bytes held are the newest sum less the
 * oldest, without counting at start. The second table finds a tenant's own: tenant, 0, sequence. */
#include "aggregator/journal/rejection_list.h"

#include "aggregator/journal/record.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    SCHEMA = 1,
    AT_TIME = RECORD_HEAD_BYTES,
    AT_BYTES_EVER = AT_TIME + 8,
    AT_CODE = AT_BYTES_EVER + 8,
    AT_SIZES = AT_CODE + 1, /* tenant 1, producer 1, reason 2 */
    AT_TEXTS = AT_SIZES + 4,
    TENANT_KEY_BYTES_MAX = 255 + 1 + 8,
};

#define LAST_NAME "rejections/last" /* in the table of upkeep: the last sequence, when the list is empty */

static fault_code view(slice key, slice record, struct journal_rejection *ret_item, uint64_t *ret_bytes_ever,
                       struct fault *reterr) {
    slice body;
    if (record_open(record, SCHEMA, "rejection", &body, reterr)) return FAULT_CORRUPT;
    size_t tenant = 0, producer = 0, reason = 0;
    if (record.size >= AT_TEXTS) {
        tenant = record.data[AT_SIZES];
        producer = record.data[AT_SIZES + 1];
        reason = (size_t)record.data[AT_SIZES + 2] << 8 | record.data[AT_SIZES + 3];
    }
    if (key.size != 8 || record.size < AT_TEXTS + tenant + producer + reason)
        return fault_set(reterr, FAULT_CORRUPT, "rejection record of %zu bytes is too short", record.size);
    const uint8_t *at = record.data + AT_TEXTS;
    *ret_bytes_ever = kv_load_u64(record.data + AT_BYTES_EVER);
    *ret_item = (struct journal_rejection){
        .sequence = kv_load_u64(key.data),
        .time_ms = (int64_t)kv_load_u64(record.data + AT_TIME),
        .code = record.data[AT_CODE] < FAULT_MAX_ ? (fault_code)record.data[AT_CODE] : FAULT_SYSTEM,
        .tenant = slice_of(at, tenant),
        .producer = slice_of(at + tenant, producer),
        .reason = slice_of(at + tenant + producer, reason),
        .payload = slice_from(record, AT_TEXTS + tenant + producer + reason),
    };
    return FAULT_NONE;
}

fault_code rejection_list_init(struct rejection_list *list, const struct journal_tables *tables, uint64_t records_max,
                               uint64_t bytes_max, struct kv_txn *txn, struct fault *reterr) {
    *list = (struct rejection_list){.records = tables->rejections,
                                    .by_tenant = tables->rejections_by_tenant,
                                    .replays = tables->replays,
                                    .upkeep = tables->upkeep,
                                    .records_max = records_max,
                                    .bytes_max = bytes_max,
                                    .first = 1};
    struct kv_cursor *cursor;
    if (kv_cursor_open(txn, list->records, &cursor, reterr)) return fault_wrap(reterr, "open the rejections list");
    slice key, record;
    struct journal_rejection item;
    fault_code code = kv_cursor_last(cursor, &key, &record, reterr);
    if (!code) code = view(key, record, &item, &list->bytes_ever, reterr);
    if (!code) {
        list->last = item.sequence;
        code = kv_cursor_seek(cursor, (slice){0}, &key, &record, reterr);
        if (!code) list->first = kv_load_u64(key.data);
    }
    kv_cursor_close(cursor);
    if (code != FAULT_ABSENT) return code;
    if (list->last) return FAULT_NONE;
    code = kv_get(txn, list->upkeep, SLICE_LIT(LAST_NAME), &record, reterr); /* a number is never given twice */
    if (!code && record.size == 8) {
        list->last = kv_load_u64(record.data);
        list->first = list->last + 1;
    }
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

static size_t tenant_key(slice tenant, uint64_t sequence, uint8_t bytes[TENANT_KEY_BYTES_MAX]) {
    if (tenant.size) memcpy(bytes, tenant.data, tenant.size);
    bytes[tenant.size] = 0;
    kv_store_u64(bytes + tenant.size + 1, sequence);
    return tenant.size + 9;
}

static fault_code drop_oldest(struct rejection_list *list, struct kv_txn *txn, struct fault *reterr) {
    uint8_t key[8], by_tenant[TENANT_KEY_BYTES_MAX];
    kv_store_u64(key, list->first);
    slice record;
    fault_code code = kv_get(txn, list->records, slice_of(key, 8), &record, reterr);
    if (code == FAULT_NONE) {
        struct journal_rejection item;
        uint64_t bytes_ever;
        if (view(slice_of(key, 8), record, &item, &bytes_ever, reterr) == FAULT_NONE) {
            const size_t size = tenant_key(item.tenant, list->first, by_tenant);
            code = kv_delete(txn, list->by_tenant, slice_of(by_tenant, size), reterr);
        }
        if (!code) code = kv_delete(txn, list->records, slice_of(key, 8), reterr);
        if (!code) code = kv_delete(txn, list->replays, slice_of(key, 8), reterr);
    }
    if (code && code != FAULT_ABSENT) return code;
    list->first++;
    return FAULT_NONE;
}

static fault_code held_bytes(struct rejection_list *list, struct kv_txn *txn, uint64_t *ret_bytes,
                             struct fault *reterr) {
    uint8_t key[8];
    kv_store_u64(key, list->first);
    slice record;
    *ret_bytes = 0;
    const fault_code code = kv_get(txn, list->records, slice_of(key, 8), &record, reterr);
    if (code == FAULT_ABSENT) return FAULT_NONE;
    if (code) return code;
    struct journal_rejection item;
    uint64_t bytes_ever;
    if (view(slice_of(key, 8), record, &item, &bytes_ever, reterr)) return FAULT_CORRUPT;
    *ret_bytes = list->bytes_ever - bytes_ever + item.payload.size;
    return FAULT_NONE;
}

fault_code rejection_list_put(struct rejection_list *list, struct kv_txn *txn,
                              const struct journal_rejection *rejection, struct fault *reterr) {
    const slice tenant = slice_first(rejection->tenant, 255), producer = slice_first(rejection->producer, 255);
    const slice reason = slice_first(rejection->reason, 65535);
    const size_t size = AT_TEXTS + tenant.size + producer.size + reason.size + rejection->payload.size;
    uint8_t *record = malloc(size);
    if (!record) return fault_set(reterr, FAULT_LIMIT, "keep a rejected intent of %zu bytes: out of memory", size);
    list->bytes_ever += rejection->payload.size;
    kv_store_u64(record + AT_TIME, (uint64_t)rejection->time_ms);
    kv_store_u64(record + AT_BYTES_EVER, list->bytes_ever);
    record[AT_CODE] = (uint8_t)rejection->code;
    record[AT_SIZES] = (uint8_t)tenant.size;
    record[AT_SIZES + 1] = (uint8_t)producer.size;
    record[AT_SIZES + 2] = (uint8_t)(reason.size >> 8);
    record[AT_SIZES + 3] = (uint8_t)reason.size;
    const slice parts[] = {tenant, producer, reason, rejection->payload};
    uint8_t *at = record + AT_TEXTS;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].size) memcpy(at, parts[i].data, parts[i].size);
        at += parts[i].size;
    }
    record_seal(record, size, SCHEMA);
    uint8_t key[8], by_tenant[TENANT_KEY_BYTES_MAX];
    kv_store_u64(key, list->last + 1);
    fault_code code = kv_append(txn, list->records, slice_of(key, 8), slice_of(record, size), reterr);
    free(record);
    if (!code) {
        const size_t by_tenant_size = tenant_key(tenant, list->last + 1, by_tenant);
        code = kv_put(txn, list->by_tenant, slice_of(by_tenant, by_tenant_size), (slice){0}, reterr);
    }
    if (code) return fault_wrap(reterr, "keep a rejected intent");
    list->last++;
    for (int i = 0; i < 64; i++) { /* so many at most in one go; the next rejection goes on */
        uint64_t bytes = 0;
        if (held_bytes(list, txn, &bytes, reterr)) return fault_wrap(reterr, "bound the rejections list");
        const uint64_t records = list->last + 1 - list->first;
        if (records <= 1 || (records <= list->records_max && bytes <= list->bytes_max)) break;
        if (drop_oldest(list, txn, reterr)) return fault_wrap(reterr, "bound the rejections list");
    }
    return FAULT_NONE;
}

fault_code rejection_list_expire(struct rejection_list *list, struct kv_txn *txn, int64_t before_ms, size_t items_max,
                                 uint64_t *ret_dropped, struct fault *reterr) {
    for (*ret_dropped = 0; *ret_dropped < items_max && list->first <= list->last; ++*ret_dropped) {
        uint8_t key[8];
        kv_store_u64(key, list->first);
        slice record;
        fault_code code = kv_get(txn, list->records, slice_of(key, 8), &record, reterr);
        if (code && code != FAULT_ABSENT) return code;
        if (!code && record.size >= AT_TEXTS && (int64_t)kv_load_u64(record.data + AT_TIME) >= before_ms) break;
        if (list->first == list->last) {
            code = kv_put(txn, list->upkeep, SLICE_LIT(LAST_NAME), slice_of(key, 8), reterr);
            if (code && code != FAULT_ABSENT) return code;
        }
        if (drop_oldest(list, txn, reterr)) return fault_wrap(reterr, "drop old rejections");
    }
    return FAULT_NONE;
}

/* Adds to the item whether it was replayed. */
static fault_code replay_add(kv_table replays, struct kv_txn *txn, slice key, struct journal_rejection *item,
                             struct fault *reterr) {
    slice record;
    const fault_code code = kv_get(txn, replays, key, &record, reterr);
    if (code == FAULT_ABSENT) return FAULT_NONE;
    if (code) return code;
    if (record.size < 8)
        return fault_set(reterr, FAULT_CORRUPT, "replay record of %zu bytes is too short", record.size);
    item->replayed_ms = (int64_t)kv_load_u64(record.data);
    item->replayed_by = slice_from(record, 8);
    return FAULT_NONE;
}

fault_code rejection_list_get(const struct rejection_list *list, struct kv_txn *txn, slice tenant, uint64_t sequence,
                              struct journal_rejection *ret_item, struct fault *reterr) {
    uint8_t key[8];
    kv_store_u64(key, sequence);
    slice record;
    uint64_t bytes_ever;
    fault_code code = kv_get(txn, list->records, slice_of(key, 8), &record, reterr);
    if (!code) code = view(slice_of(key, 8), record, ret_item, &bytes_ever, reterr);
    if (!code) code = replay_add(list->replays, txn, slice_of(key, 8), ret_item, reterr);
    if (code && code != FAULT_ABSENT) return code;
    if (code || !slice_equal(ret_item->tenant, tenant))
        return fault_set(reterr, FAULT_ABSENT, "there is no rejection %" PRIu64, sequence);
    return FAULT_NONE;
}

fault_code rejection_list_replayed(const struct rejection_list *list, struct kv_txn *txn, uint64_t sequence,
                                   int64_t now_ms, slice by, struct fault *reterr) {
    uint8_t key[8], value[8 + 255];
    const slice name = slice_first(by, 255);
    kv_store_u64(key, sequence);
    kv_store_u64(value, (uint64_t)now_ms);
    if (name.size) memcpy(value + 8, name.data, name.size);
    const fault_code code = kv_put(txn, list->replays, slice_of(key, 8), slice_of(value, 8 + name.size), reterr);
    return code ? fault_wrap(reterr, "mark a rejection as replayed") : FAULT_NONE;
}

fault_code rejection_list_read(const struct journal_tables *tables, struct kv_txn *txn, slice tenant, uint64_t before,
                               size_t items_max, struct arena *arena, struct journal_rejection **ret_items,
                               size_t *ret_count, struct fault *reterr) {
    if (tenant.size > 255) return fault_set(reterr, FAULT_INPUT, "a tenant's name has at most 64 bytes");
    struct journal_rejection *items = arena_alloc_array(arena, items_max ? items_max : 1, sizeof *items);
    if (!items) return fault_set(reterr, FAULT_LIMIT, "read %zu rejections: the arena is full", items_max);
    struct kv_cursor *cursor;
    if (kv_cursor_open(txn, tables->rejections_by_tenant, &cursor, reterr))
        return fault_wrap(reterr, "read rejections");
    uint8_t bound[TENANT_KEY_BYTES_MAX];
    const size_t bound_size = tenant_key(tenant, before ? before : UINT64_MAX, bound);
    slice key, nothing;
    /* The first at or behind the bound; what is wanted lies before it. */
    fault_code code = kv_cursor_seek(cursor, slice_of(bound, bound_size), &key, &nothing, reterr);
    if (code == FAULT_NONE)
        code = kv_cursor_previous(cursor, &key, &nothing, reterr);
    else if (code == FAULT_ABSENT)
        code = kv_cursor_last(cursor, &key, &nothing, reterr);
    size_t count = 0;
    while (code == FAULT_NONE && count < items_max) {
        if (key.size != tenant.size + 9 || memcmp(key.data, bound, tenant.size + 1) != 0) break;
        const slice sequence = slice_from(key, tenant.size + 1);
        slice record;
        code = kv_get(txn, tables->rejections, sequence, &record, reterr);
        if (code) break;
        const slice copy = arena_copy(arena, record);
        if (!copy.data) {
            if (count == 0) code = fault_set(reterr, FAULT_LIMIT, "read rejections: the arena is full");
            break; /* a shorter page */
        }
        uint64_t bytes_ever;
        code = view(sequence, copy, &items[count], &bytes_ever, reterr);
        if (!code) code = replay_add(tables->replays, txn, sequence, &items[count], reterr);
        if (code) break;
        items[count].replayed_by = arena_copy(arena, items[count].replayed_by);
        count++;
        code = kv_cursor_previous(cursor, &key, &nothing, reterr);
    }
    kv_cursor_close(cursor);
    if (code && code != FAULT_ABSENT) return code;
    *ret_items = items;
    *ret_count = count;
    return FAULT_NONE;
}
