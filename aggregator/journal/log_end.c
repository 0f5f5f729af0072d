/* SPDX-License-Identifier: Apache-2.0
 * Cursors are written in the same environment and behind the facts they stand for, so none is ever ahead of the log; and
 * every aggregate was made by a fact, of which at least a range stays when it is compacted. */
#include "aggregator/journal/log_end.h"

#include <inttypes.h>

static fault_code cursors_check(const struct journal_tables *tables, struct kv_txn *txn, uint64_t last_sequence,
                                struct fault *reterr) {
    struct kv_cursor *cursor;
    slice name, value;
    if (tables->cursors == KV_TABLE_NONE) return FAULT_NONE;
    fault_code code = kv_cursor_open(txn, tables->cursors, &cursor, reterr);
    if (code) return code;
    code = kv_cursor_seek(cursor, (slice){0}, &name, &value, reterr);
    for (; !code; code = kv_cursor_next(cursor, &name, &value, reterr)) {
        if (value.size != 8)
            code = fault_set(reterr, FAULT_CORRUPT, "table 'cursors': that of '%.*s' has %zu bytes, not 8",
                             SLICE_ARG(slice_first(name, 40)), value.size);
        else if (kv_load_u64(value.data) > last_sequence)
            code = fault_set(reterr, FAULT_CORRUPT,
                             "the last fact is %" PRIu64 ", and '%.*s' was given facts up to %" PRIu64
                             ": those behind are lost",
                             last_sequence, SLICE_ARG(slice_first(name, 40)), kv_load_u64(value.data));
        if (code) break;
    }
    kv_cursor_close(cursor);
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

fault_code log_end_check(const struct journal_tables *tables, struct kv_txn *txn, uint64_t last_sequence,
                         struct fault *reterr) {
    uint64_t aggregates = 0;
    fault_code code = cursors_check(tables, txn, last_sequence, reterr);
    if (!code && !last_sequence && tables->aggregates != KV_TABLE_NONE)
        code = kv_table_count(txn, tables->aggregates, &aggregates, reterr);
    if (code || !aggregates) return code;
    return fault_set(reterr, FAULT_CORRUPT,
                     "there is no fact, and %" PRIu64 " aggregates that facts have made: those are lost", aggregates);
}
