/* SPDX-License-Identifier: Apache-2.0
 * An open incident that is in no list is one that nobody sees, and a row of `expiries` that cannot be read holds up all
 * that are due behind it. So the layout of these tables has a number, kept in the table of upkeep: a journal with
 * another, or with none, has them emptied and made anew from the aggregates as they are. Raise LAYOUT when what
 * aggregate_index says of an aggregate, or a key of these tables, changes. */
#include "aggregator/journal/index_build.h"

#include "aggregator/journal/aggregate_table.h"
#include "aggregator/journal/names.h"
#include "aggregator/journal/record.h"
#include "aggregator/journal/touched.h"

enum { LAYOUT = 1, NAME_SCHEMA = 2, KEY_HEAD_BYTES = 5, ARENA_BLOCK_BYTES = 256 * 1024 };
#define ARENA_BYTES_MAX (UINT64_C(256) * 1024 * 1024)
#define LAYOUT_NAME "indexes/layout"

struct builder {
    const struct journal_tables *tables;
    struct kv_txn *txn;
    struct arena *arena; /* of one aggregate */
    uint32_t tenant;     /* 0: none yet */
    char tenant_name[LIMIT_TENANT_AND_PRODUCER_BYTES + 8];
    uint64_t aggregates;
    struct fault *reterr;
};

fault_code index_build_same(const struct journal_tables *tables, struct kv_txn *txn, bool *ret_same,
                            struct fault *reterr) {
    slice value;
    const fault_code code = kv_get(txn, tables->upkeep, SLICE_LIT(LAYOUT_NAME), &value, reterr);
    *ret_same = !code && value.size == 8 && kv_load_u64(value.data) == LAYOUT;
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

static fault_code table_empty(struct builder *b, kv_table table) {
    struct kv_cursor *cursor;
    slice key, value;
    fault_code code = kv_cursor_open(b->txn, table, &cursor, b->reterr);
    if (code) return code;
    code = kv_cursor_seek(cursor, (slice){0}, &key, &value, b->reterr);
    while (!code) {
        code = kv_cursor_delete(cursor, b->reterr);
        if (!code) code = kv_cursor_next(cursor, &key, &value, b->reterr);
    }
    kv_cursor_close(cursor);
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

/* Aggregates come in the order of their tenants' numbers: the name is looked for once a tenant. */
static fault_code tenant_name_find(struct builder *b, uint32_t number) {
    const uint8_t first[KEY_HEAD_BYTES] = {NAMES_TENANT};
    struct kv_cursor *cursor;
    slice key, record, body;
    if (b->tenant == number) return FAULT_NONE;
    fault_code code = kv_cursor_open(b->txn, b->tables->names, &cursor, b->reterr);
    if (code) return code;
    bool found = false;
    code = kv_cursor_seek(cursor, slice_of(first, sizeof first), &key, &record, b->reterr);
    for (; !code && !found && slice_starts_with(key, slice_of(first, sizeof first));
         code = found ? FAULT_NONE : kv_cursor_next(cursor, &key, &record, b->reterr)) {
        code = record_open_keyed(record, key, RECORD_KEYED, NAME_SCHEMA, "name", &body, b->reterr);
        if (code) break;
        found = body.size == 4 && kv_load_u32(body.data) == number &&
                slice_to_text(slice_from(key, KEY_HEAD_BYTES), b->tenant_name, sizeof b->tenant_name);
    }
    kv_cursor_close(cursor);
    if (code && code != FAULT_ABSENT) return code;
    if (!found)
        return fault_set(b->reterr, FAULT_CORRUPT, "an aggregate belongs to tenant %u, who has no name", number);
    b->tenant = number;
    return FAULT_NONE;
}

static fault_code aggregate_take(struct builder *b, slice key) {
    if (key.size <= KEY_HEAD_BYTES) return fault_set(b->reterr, FAULT_CORRUPT, "a key of %zu bytes", key.size);
    const enum aggregate_kind kind = (enum aggregate_kind)key.data[KEY_HEAD_BYTES - 1];
    if (kind == AGGREGATE_SLO) return FAULT_NONE; /* found by its id alone; hot_slos has its state */
    if (!aggregate_message(kind))
        return fault_set(b->reterr, FAULT_CORRUPT, "an aggregate of kind %d, which this version does not know",
                         (int)kind);
    fault_code code = tenant_name_find(b, kv_load_u32(key.data));
    if (code) return code;
    arena_reset(b->arena);
    struct touched *touched = arena_alloc(b->arena, sizeof *touched);
    if (!touched) return fault_set(b->reterr, FAULT_LIMIT, "out of memory");
    touched_begin(touched, b->tables, b->txn, b->arena, NULL, slice_from_text(b->tenant_name), b->tenant);
    b->aggregates++;
    return touched_index(touched, kind, slice_from(key, KEY_HEAD_BYTES), b->reterr);
}

static fault_code build(struct builder *b) {
    const kv_table made[] = {b->tables->open, b->tables->links, b->tables->expiries};
    struct kv_cursor *cursor;
    slice key, record;
    uint8_t layout[8];
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        if (table_empty(b, made[i])) return b->reterr->code;
    fault_code code = kv_cursor_open(b->txn, b->tables->aggregates, &cursor, b->reterr);
    if (code) return code;
    code = kv_cursor_seek(cursor, (slice){0}, &key, &record, b->reterr);
    for (; !code; code = kv_cursor_next(cursor, &key, &record, b->reterr)) {
        code = aggregate_take(b, key);
        if (code) break;
    }
    kv_cursor_close(cursor);
    if (code != FAULT_ABSENT) return code;
    kv_store_u64(layout, LAYOUT);
    return kv_put(b->txn, b->tables->upkeep, SLICE_LIT(LAYOUT_NAME), slice_of(layout, sizeof layout), b->reterr);
}

fault_code index_build_once(struct kv *kv, const struct journal_tables *tables, uint64_t *ret_aggregates,
                            struct fault *reterr) {
    struct builder b = {.tables = tables, .reterr = reterr};
    bool same;
    *ret_aggregates = 0;
    fault_code code = kv_begin_read(kv, &b.txn, reterr);
    if (code) return code;
    code = index_build_same(tables, b.txn, &same, reterr);
    kv_abort(b.txn);
    if (code || same) return code;
    b.arena = arena_new(ARENA_BLOCK_BYTES, ARENA_BYTES_MAX);
    if (!b.arena) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    code = kv_begin_write(kv, &b.txn, reterr);
    if (!code) {
        code = build(&b);
        if (code)
            kv_abort(b.txn);
        else
            code = kv_commit(b.txn, reterr);
    }
    arena_free(b.arena);
    if (code) return fault_wrap(reterr, "make the lists of what is open, due and pointed to from the aggregates");
    *ret_aggregates = b.aggregates;
    return FAULT_NONE;
}
