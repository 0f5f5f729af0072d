/* SPDX-License-Identifier: Apache-2.0
 * The second table finds a tenant's own: tenant, 0, sequence. How many each tenant has is counted at the start, and again
 * after a transaction that was not committed: a hundred thousand records at most. */
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

/* A read of the list ends here, with at least one. */
#define READ_BYTES_MAX ((size_t)512 * 1024)

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

/* ---- shares ---- */

struct rejection_share {
    uint64_t count, bytes;
    uint8_t tenant_size, tenant[255];
};
struct rejection_shares {
    bool stale; /* to be counted again before use */
    size_t count, room;
    struct rejection_share *all;
};

static fault_code share_of(struct rejection_shares *shares, slice tenant, struct rejection_share **ret_share,
                           struct fault *reterr) {
    for (size_t i = 0; i < shares->count; i++) {
        *ret_share = &shares->all[i];
        if (slice_equal(slice_of((*ret_share)->tenant, (*ret_share)->tenant_size), tenant)) return FAULT_NONE;
    }
    if (shares->count == shares->room) {
        const size_t room = shares->room ? 2 * shares->room : 4;
        struct rejection_share *all = realloc(shares->all, room * sizeof *all);
        if (!all) return fault_set(reterr, FAULT_LIMIT, "count the rejections of a tenant: out of memory");
        shares->all = all;
        shares->room = room;
    }
    struct rejection_share *share = &shares->all[shares->count++];
    *share = (struct rejection_share){.tenant_size = (uint8_t)tenant.size};
    if (tenant.size) memcpy(share->tenant, tenant.data, tenant.size);
    *ret_share = share;
    return FAULT_NONE;
}

static fault_code shares_count(struct rejection_list *list, struct kv_txn *txn, struct fault *reterr) {
    struct kv_cursor *cursor;
    list->shares->count = 0;
    list->count = list->bytes = 0;
    if (kv_cursor_open(txn, list->records, &cursor, reterr)) return fault_wrap(reterr, "count the rejections");
    slice key, record;
    fault_code code = kv_cursor_seek(cursor, (slice){0}, &key, &record, reterr);
    while (code == FAULT_NONE) {
        struct journal_rejection item;
        struct rejection_share *share;
        uint64_t bytes_ever;
        if (!view(key, record, &item, &bytes_ever, NULL)) { /* one that is damaged goes when its time comes */
            code = share_of(list->shares, item.tenant, &share, reterr);
            if (code) break;
            share->count++;
            share->bytes += item.payload.size;
            list->count++;
            list->bytes += item.payload.size;
            list->bytes_ever = bytes_ever;
        }
        if (key.size == 8) list->last = kv_load_u64(key.data);
        code = kv_cursor_next(cursor, &key, &record, reterr);
    }
    kv_cursor_close(cursor);
    if (code != FAULT_ABSENT) return fault_wrap(reterr, "count the rejections");
    list->shares->stale = false;
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
                                    .shares = calloc(1, sizeof *list->shares)};
    if (!list->shares) return fault_set(reterr, FAULT_LIMIT, "open the rejections list: out of memory");
    fault_code code = shares_count(list, txn, reterr);
    slice record;
    uint64_t given = 0;
    if (!code) code = kv_get(txn, list->upkeep, SLICE_LIT(LAST_NAME), &record, reterr); /* no number is given twice */
    if (!code && record.size == 8) given = kv_load_u64(record.data);
    if (given > list->last) list->last = given;
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

void rejection_list_done(struct rejection_list *list) {
    if (list->shares) free(list->shares->all);
    free(list->shares);
    list->shares = NULL;
}

void rejection_list_roll_back(struct rejection_list *list, const struct rejection_list *before) {
    *list = *before;
    list->shares->stale = true;
}

static size_t tenant_key(slice tenant, uint64_t sequence, uint8_t bytes[TENANT_KEY_BYTES_MAX]) {
    if (tenant.size) memcpy(bytes, tenant.data, tenant.size);
    bytes[tenant.size] = 0;
    kv_store_u64(bytes + tenant.size + 1, sequence);
    return tenant.size + 9;
}

/* A damaged one was not counted, and goes all the same. */
static fault_code drop(struct rejection_list *list, struct kv_txn *txn, slice tenant, uint64_t sequence,
                       struct fault *reterr) {
    uint8_t key[8], by_tenant[TENANT_KEY_BYTES_MAX];
    const size_t by_tenant_size = tenant_key(tenant, sequence, by_tenant);
    struct rejection_share *share;
    struct journal_rejection item = {0};
    uint64_t bytes_ever;
    slice record;
    kv_store_u64(key, sequence);
    fault_code code = kv_get(txn, list->records, slice_of(key, 8), &record, reterr);
    if (code && code != FAULT_ABSENT) return code;
    const bool counted = !code && !view(slice_of(key, 8), record, &item, &bytes_ever, NULL);
    const uint64_t bytes = item.payload.size;
    code = share_of(list->shares, tenant, &share, reterr);
    if (code) return code;
    if (list->count == 1 || sequence == list->last)
        code = kv_put(txn, list->upkeep, SLICE_LIT(LAST_NAME), slice_of(key, 8), reterr);
    if (!code) code = kv_delete(txn, list->by_tenant, slice_of(by_tenant, by_tenant_size), reterr);
    if (!code) code = kv_delete(txn, list->records, slice_of(key, 8), reterr);
    if (!code) code = kv_delete(txn, list->replays, slice_of(key, 8), reterr);
    if (code && code != FAULT_ABSENT) return code;
    if (!counted) return FAULT_NONE;
    share->count--;
    share->bytes -= bytes;
    list->count--;
    list->bytes -= bytes;
    return FAULT_NONE;
}

/* Of the tenant that has most: most records where there are too many of these, else most bytes. */
static fault_code drop_of_the_largest(struct rejection_list *list, struct kv_txn *txn, struct fault *reterr) {
    const bool by_count = list->count > list->records_max;
    const struct rejection_share *largest = &list->shares->all[0];
    for (size_t i = 1; i < list->shares->count; i++) {
        const struct rejection_share *share = &list->shares->all[i];
        if (by_count ? share->count > largest->count : share->bytes > largest->bytes) largest = share;
    }
    uint8_t bound[TENANT_KEY_BYTES_MAX];
    const slice tenant = slice_of(largest->tenant, largest->tenant_size);
    const size_t size = tenant_key(tenant, 0, bound);
    struct kv_cursor *cursor;
    if (kv_cursor_open(txn, list->by_tenant, &cursor, reterr)) return reterr->code;
    slice key, nothing;
    const fault_code code = kv_cursor_seek(cursor, slice_of(bound, size), &key, &nothing, reterr);
    const bool found = !code && key.size == size && memcmp(key.data, bound, tenant.size + 1) == 0;
    const uint64_t sequence = found ? kv_load_u64(key.data + tenant.size + 1) : 0;
    kv_cursor_close(cursor);
    if (code && code != FAULT_ABSENT) return code;
    if (!found)
        return fault_set(reterr, FAULT_CORRUPT, "the index of rejections lacks those of '%.*s'", SLICE_ARG(tenant));
    return drop(list, txn, tenant, sequence, reterr);
}

fault_code rejection_list_put(struct rejection_list *list, struct kv_txn *txn,
                              const struct journal_rejection *rejection, struct fault *reterr) {
    const slice tenant = slice_first(rejection->tenant, 255), producer = slice_first(rejection->producer, 255);
    const slice reason = slice_first(rejection->reason, 65535);
    if (list->shares->stale && shares_count(list, txn, reterr)) return reterr->code;
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
    struct rejection_share *share = NULL;
    if (!code) {
        const size_t by_tenant_size = tenant_key(tenant, list->last + 1, by_tenant);
        code = kv_put(txn, list->by_tenant, slice_of(by_tenant, by_tenant_size), (slice){0}, reterr);
    }
    if (!code) code = share_of(list->shares, tenant, &share, reterr);
    if (code) return fault_wrap(reterr, "keep a rejected intent");
    list->last++;
    list->count++;
    list->bytes += rejection->payload.size;
    share->count++;
    share->bytes += rejection->payload.size;
    for (int i = 0; i < 64 && list->count > 1; i++) { /* so many at most in one go; the next rejection goes on */
        if (list->count <= list->records_max && list->bytes <= list->bytes_max) break;
        if (drop_of_the_largest(list, txn, reterr)) return fault_wrap(reterr, "bound the rejections list");
    }
    return FAULT_NONE;
}

/* The oldest, where it is from before that time; *ret_sequence 0: it is not, or there is none. */
static fault_code oldest_before(const struct rejection_list *list, struct kv_txn *txn, int64_t before_ms,
                                uint8_t ret_tenant[255], size_t *ret_tenant_size, uint64_t *ret_sequence,
                                struct fault *reterr) {
    struct kv_cursor *cursor;
    *ret_sequence = 0;
    if (kv_cursor_open(txn, list->records, &cursor, reterr)) return reterr->code;
    slice key, record;
    struct journal_rejection item = {0};
    uint64_t bytes_ever;
    const fault_code code = kv_cursor_seek(cursor, (slice){0}, &key, &record, reterr);
    if (!code && view(key, record, &item, &bytes_ever, NULL)) item.time_ms = INT64_MIN;
    if (!code && item.time_ms < before_ms) {
        *ret_sequence = kv_load_u64(key.data);
        *ret_tenant_size = item.tenant.size;
        if (item.tenant.size) memcpy(ret_tenant, item.tenant.data, item.tenant.size);
    }
    kv_cursor_close(cursor);
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

fault_code rejection_list_expire(struct rejection_list *list, struct kv_txn *txn, int64_t before_ms, size_t items_max,
                                 uint64_t *ret_dropped, struct fault *reterr) {
    if (list->shares->stale && shares_count(list, txn, reterr)) return reterr->code;
    for (*ret_dropped = 0; *ret_dropped < items_max; ++*ret_dropped) {
        uint8_t tenant[255];
        size_t tenant_size = 0;
        uint64_t sequence;
        fault_code code = oldest_before(list, txn, before_ms, tenant, &tenant_size, &sequence, reterr);
        if (!code && !sequence) break;
        if (!code) code = drop(list, txn, slice_of(tenant, tenant_size), sequence, reterr);
        if (code) return fault_wrap(reterr, "drop old rejections");
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

fault_code rejection_list_listed(const struct journal_tables *tables, struct kv_txn *txn, slice key, slice record,
                                 struct fault *reterr) {
    uint8_t bytes[TENANT_KEY_BYTES_MAX];
    struct journal_rejection item;
    uint64_t bytes_ever;
    slice nothing;
    if (view(key, record, &item, &bytes_ever, reterr)) return FAULT_CORRUPT;
    const size_t size = tenant_key(item.tenant, item.sequence, bytes);
    return kv_get(txn, tables->rejections_by_tenant, slice_of(bytes, size), &nothing, reterr);
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
    size_t count = 0, taken = 0;
    while (code == FAULT_NONE && count < items_max && taken < READ_BYTES_MAX) {
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
        taken += record.size;
        count++;
        code = kv_cursor_previous(cursor, &key, &nothing, reterr);
    }
    kv_cursor_close(cursor);
    if (code && code != FAULT_ABSENT) return code;
    *ret_items = items;
    *ret_count = count;
    return FAULT_NONE;
}
