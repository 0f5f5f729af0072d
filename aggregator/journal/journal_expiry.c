/* SPDX-License-Identifier: Apache-2.0
 * Aggregates whose time has come. Nothing is decided here: each becomes an intent of the aggregator's own, and the domain
 * looks whether it still stands as it did. The row goes in the transaction that decides, so a crash between the two
 * loses nothing. */
#include "aggregator/journal/journal_state.h"

#include "aggregator/journal/expiry_table.h"
#include "common/codec/codec.h"

enum { INTENT_BYTES = 1024, ABANDONED_MAX = 1000 };

static fault_code submit(struct journal *j, const struct expiry_row *row, const SreDomainIntent *intent,
                         struct fault *reterr) {
    uint8_t bytes[INTENT_BYTES];
    size_t size;
    if (codec_encode_protobuf_into(&SreDomainIntent_desc, intent, bytes, sizeof bytes, &size, reterr))
        return reterr->code;
    const struct journal_command command = {
        .caller = {.tenant = row->tenant_name, .actor = SLICE_LIT("picket-aggregator"), .self = true},
        .intent = slice_of(bytes, size),
        .due_ms = row->expires_ms};
    return journal_submit(j, &command, reterr);
}

/* FAULT_ABSENT: no more of them. */
typedef fault_code row_fn(struct journal *j, const struct expiry_row *row, size_t *submitted, struct fault *reterr);

static fault_code on_due(struct journal *j, const struct expiry_row *row, size_t *submitted, struct fault *reterr) {
    SreDomainIntent intent;
    if (row->expires_ms > j->settings.now_ms(j->settings.clock_context)) return FAULT_ABSENT;
    if (!domain_due(row->kind, row->id, row->expires_ms, &intent))
        return fault_set(reterr, FAULT_CORRUPT, "a row for kind %d, which is never due", (int)row->kind);
    const fault_code code = submit(j, row, &intent, reterr);
    if (!code) ++*submitted;
    return code;
}

static fault_code on_abandoned(struct journal *j, const struct expiry_row *row, size_t *submitted,
                               struct fault *reterr) {
    SreDomainIntent intent;
    if (!domain_abandoned(row->kind, row->id, row->expires_ms, &intent)) return FAULT_NONE;
    const fault_code code = submit(j, row, &intent, reterr);
    if (!code) ++*submitted;
    return code;
}

static fault_code walk(struct journal *j, row_fn *on_row, size_t intents_max, size_t *ret_submitted,
                       struct fault *reterr) {
    struct fault fault = {0};
    struct kv_txn *txn;
    struct kv_cursor *cursor;
    *ret_submitted = 0;
    fault_code code = kv_begin_read(j->kv, &txn, reterr);
    if (code) return code;
    code = kv_cursor_open(txn, j->tables.expiries, &cursor, &fault);
    if (!code) {
        slice key, value;
        code = kv_cursor_seek(cursor, (slice){0}, &key, &value, &fault);
        while (!code && *ret_submitted < intents_max) {
            struct expiry_row row;
            code = expiry_open(key, value, &row, &fault);
            if (!code) code = on_row(j, &row, ret_submitted, &fault);
            if (!code) code = kv_cursor_next(cursor, &key, &value, &fault);
        }
        kv_cursor_close(cursor);
    }
    kv_abort(txn);
    if (code == FAULT_NONE || code == FAULT_ABSENT) return FAULT_NONE;
    return fault_set(reterr, code, "look for what is due: %s", fault.text);
}

fault_code journal_submit_due(struct journal *j, size_t intents_max, size_t *ret_submitted, struct fault *reterr) {
    return walk(j, on_due, intents_max, ret_submitted, reterr);
}

fault_code journal_submit_abandoned(struct journal *j, size_t *ret_submitted, struct fault *reterr) {
    return walk(j, on_abandoned, ABANDONED_MAX, ret_submitted, reterr);
}
