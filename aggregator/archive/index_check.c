/* SPDX-License-Identifier: Apache-2.0
 * Both directions by one walk and a count: every row that a record asks for is there, and there are as many rows as were
 * asked for, so no row is another's. What cannot be counted (a stream's mark has several reminders, and old ones outlive it)
 * is followed from the index, whose rows carry a checksum of their own. */
#include "aggregator/archive/index_check.h"

#include "aggregator/domain/domain.h"
#include "aggregator/journal/expiry_table.h"
#include "aggregator/journal/index_build.h"
#include "aggregator/journal/index_table.h"
#include "aggregator/journal/mark_table.h"
#include "aggregator/journal/rejection_list.h"
#include "common/base/clock.h"

#include <inttypes.h>
#include <stdio.h>

fault_code index_check_begin(struct index_check *check, const struct journal_tables *tables, struct kv_txn *txn,
                             struct fault *reterr) {
    *check = (struct index_check){.tables = tables, .txn = txn};
    return index_build_same(tables, txn, &check->comparable, reterr);
}

static fault_code unlisted(fault_code code, const struct fact_view *whose, const char *table, const char *what,
                           struct finding *ret_finding) {
    if (code != FAULT_ABSENT) return code;
    return finding_set(ret_finding, FINDING_INDEX, 0, whose, "it is %s, and table '%s' does not say so", what, table);
}

static bool among(const slice *ids, size_t count, slice id) {
    for (size_t i = 0; i < count; i++)
        if (slice_equal(ids[i], id)) return true;
    return false;
}

fault_code index_check_aggregate(struct index_check *check, uint32_t tenant, const struct fact_view *whose,
                                 const struct aggregate *aggregate, struct arena *arena, struct finding *ret_finding,
                                 struct fault *reterr) {
    if (!check->comparable) return FAULT_NONE;
    struct aggregate_index index;
    const enum aggregate_kind kind = aggregate->kind;
    const slice id = aggregate->id;
    fault_code code = FAULT_NONE;
    aggregate_index(aggregate, arena, &index);
    if (index.open) {
        code = open_find(check->tables->open, check->txn, tenant, kind, index.open_since_ms, id, reterr);
        if (code) return unlisted(code, whose, "open", "open", ret_finding);
        check->open++;
    }
    if (index.due_ms) {
        code = expiry_find(check->tables->expiries, check->txn, index.due_ms, tenant, kind, id, whose->tenant, reterr);
        /* The row of one that came up goes, whether or not the clock had something to say about it. */
        if (code && (code != FAULT_ABSENT || index.due_ms > clock_wall_ms()))
            return unlisted(code, whose, "expiries", "due later", ret_finding);
        check->due += code == FAULT_NONE;
    }
    for (size_t i = 0; i < index.links_count; i++) {
        if (among(index.links, i, index.links[i])) continue;
        code = link_find(check->tables->links, check->txn, tenant, kind, index.links[i], id, reterr);
        if (code) return unlisted(code, whose, "links", "one that needs others", ret_finding);
        check->linked++;
    }
    return FAULT_NONE;
}

/* ---- tables of their own ---- */

static fault_code count_check(const struct index_check *check, const char *name, kv_table table, uint64_t wanted,
                              struct finding *ret_finding, struct fault *reterr) {
    uint64_t rows = 0;
    const fault_code code = table == KV_TABLE_NONE ? FAULT_NONE : kv_table_count(check->txn, table, &rows, reterr);
    if (code || rows == wanted) return code;
    return finding_set(ret_finding, FINDING_INDEX, 0, NULL,
                       "table '%s' has %" PRIu64 " rows, and %" PRIu64
                       " are asked for by what it lists: the others lead "
                       "to what does not say so",
                       name, rows, wanted);
}

/* FAULT_ABSENT: it leads nowhere. */
typedef fault_code row_fn(const struct index_check *check, slice key, slice value, struct fault *reterr);

static fault_code rows_check(const struct index_check *check, const char *name, kv_table table, row_fn *row,
                             struct finding *ret_finding, struct fault *reterr) {
    struct kv_cursor *cursor;
    struct fault fault = {0};
    slice key, value;
    if (table == KV_TABLE_NONE) return FAULT_NONE;
    fault_code code = kv_cursor_open(check->txn, table, &cursor, reterr);
    if (code) return code;
    code = kv_cursor_seek(cursor, (slice){0}, &key, &value, reterr);
    for (; !code; code = kv_cursor_next(cursor, &key, &value, reterr)) {
        code = row(check, key, value, &fault);
        if (!code) continue;
        char hex[2 * 24 + 1] = "";
        for (size_t i = 0; i < key.size && i < 24; i++) snprintf(hex + 2 * i, 3, "%02x", key.data[i]);
        code = finding_set(ret_finding, FINDING_INDEX, 0, NULL, "table '%s', key %s: %s", name, hex,
                           code == FAULT_ABSENT ? "its other side is not there" : fault.text);
        break;
    }
    kv_cursor_close(cursor);
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

static fault_code rejection_row(const struct index_check *check, slice key, slice record, struct fault *reterr) {
    return rejection_list_listed(check->tables, check->txn, key, record, reterr);
}

static fault_code replay_row(const struct index_check *check, slice key, slice value, struct fault *reterr) {
    slice record;
    if (value.size < 8) return fault_set(reterr, FAULT_CORRUPT, "a replay of %zu bytes", value.size);
    return kv_get(check->txn, check->tables->rejections, key, &record, reterr);
}

static fault_code reminder_row(const struct index_check *check, slice key, slice value, struct fault *reterr) {
    slice name, record;
    if (mark_reminder_open(key, value, &name, reterr)) return FAULT_CORRUPT;
    if (name.data[0] == MARK_ROW_STREAM) return FAULT_NONE;
    return kv_get(check->txn, check->tables->marks, name, &record, reterr);
}

fault_code index_check_rest(const struct index_check *check, struct finding *ret_finding, struct fault *reterr) {
    const struct journal_tables *t = check->tables;
    uint64_t rejections = 0;
    fault_code code = FAULT_NONE;
    if (t->rejections != KV_TABLE_NONE) code = kv_table_count(check->txn, t->rejections, &rejections, reterr);
    const struct {
        const char *name;
        kv_table table;
        uint64_t wanted;
        bool counted;
    } counts[] = {{"open", t->open, check->open, check->comparable},
                  {"expiries", t->expiries, check->due, check->comparable},
                  {"links", t->links, check->linked, check->comparable},
                  {"rejections_by_tenant", t->rejections_by_tenant, rejections, true}};
    const struct {
        const char *name;
        kv_table table;
        row_fn *row;
    } walks[] = {{"rejections", t->rejections, rejection_row},
                 {"replays", t->replays, replay_row},
                 {"marks_by_time", t->marks_by_time, reminder_row}};
    for (size_t i = 0; !code && i < sizeof walks / sizeof *walks; i++)
        code = rows_check(check, walks[i].name, walks[i].table, walks[i].row, ret_finding, reterr);
    for (size_t i = 0; !code && i < sizeof counts / sizeof *counts; i++)
        if (counts[i].counted)
            code = count_check(check, counts[i].name, counts[i].table, counts[i].wanted, ret_finding, reterr);
    return code;
}
