/* SPDX-License-Identifier: Apache-2.0
 * Aggregates whose time has come. Nothing is decided here: each becomes an intent of the aggregator's own, and the domain
 * looks whether it still stands as it did. The row goes in the transaction that decides, so a crash between the two
 * loses nothing.
 *
 * An alert that was not repeated says nothing where nobody could repeat it. So for one whole expiry after the aggregator
 * began to listen those rows are passed over, with no write: they stay due. Each is looked at in its state (a read), some
 * thousands a call and going round, so that what else is due does not wait behind them. */
#include "aggregator/journal/journal_state.h"

#include "aggregator/journal/aggregate_table.h"
#include "common/codec/codec.h"

enum { INTENT_BYTES = 1024, ABANDONED_MAX = 1000, UNHEARD_MAX = 10000 };
#define ALERT_BYTES_MAX ((size_t)16 * 1024 * 1024) /* of one, decoded */

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

/* One walk over the rows. */
struct walk {
    struct journal *journal;
    struct kv_txn *txn;
    int64_t now_ms;
    size_t submitted;
    struct arena *arena; /* NULL: what was not heard again is over */
    size_t unheard;
};

/* FAULT_ABSENT: no more of them. */
typedef fault_code row_fn(struct walk *walk, const struct expiry_row *row, struct fault *reterr);

static fault_code submit_due(struct walk *walk, const struct expiry_row *row, struct fault *reterr) {
    SreDomainIntent intent;
    if (!domain_due(row->kind, row->id, row->expires_ms, &intent))
        return fault_set(reterr, FAULT_CORRUPT, "a row for kind %d, which is never due", (int)row->kind);
    const fault_code code = submit(walk->journal, row, &intent, reterr);
    if (!code) walk->submitted++;
    return code;
}

/* Whether the row waits for something to be said again. What cannot be read is the writer's to say. */
static bool unheard(struct walk *walk, const struct expiry_row *row, int64_t *ret_due_ms) {
    struct fault fault;
    struct aggregate aggregate = {.kind = row->kind, .id = row->id};
    slice stored;
    if (!domain_is_repeated(row->kind)) return false;
    arena_reset(walk->arena);
    return !aggregate_get(walk->journal->tables.aggregates, walk->txn, row->tenant, row->kind, row->id,
                          &aggregate.version, &stored, &fault) &&
           stored.size &&
           !codec_decode_protobuf(aggregate_message(row->kind), stored, walk->arena, &aggregate.state, &fault) &&
           domain_unheard(&aggregate, row->expires_ms, walk->now_ms, ret_due_ms);
}

static fault_code on_due(struct walk *walk, const struct expiry_row *row, struct fault *reterr) {
    int64_t due_ms;
    if (row->expires_ms > walk->now_ms) return FAULT_ABSENT;
    if (!walk->arena || !unheard(walk, row, &due_ms)) return submit_due(walk, row, reterr);
    walk->unheard++;
    if (!due_ms) return FAULT_NONE;
    struct expiry_row part = *row;
    part.expires_ms = due_ms; /* no row of that time: the one here stays */
    return submit_due(walk, &part, reterr);
}

static fault_code on_abandoned(struct walk *walk, const struct expiry_row *row, struct fault *reterr) {
    SreDomainIntent intent;
    if (!domain_abandoned(row->kind, row->id, row->expires_ms, &intent)) return FAULT_NONE;
    const fault_code code = submit(walk->journal, row, &intent, reterr);
    if (!code) walk->submitted++;
    return code;
}

/* From *from on (empty: the first); FAULT_ABSENT: to the end of them. */
static fault_code walk_from(struct walk *walk, slice from, row_fn *on_row, size_t intents_max, struct fault *reterr) {
    struct journal *j = walk->journal;
    struct kv_cursor *cursor;
    slice key, value;
    fault_code code = kv_cursor_open(walk->txn, j->tables.expiries, &cursor, reterr);
    if (code) return code;
    code = kv_cursor_seek(cursor, from, &key, &value, reterr);
    if (!code && from.size && slice_equal(key, from)) code = kv_cursor_next(cursor, &key, &value, reterr);
    while (!code && walk->submitted < intents_max && walk->unheard < UNHEARD_MAX) {
        struct expiry_row row;
        code = expiry_open(key, value, &row, reterr);
        if (!code) code = on_row(walk, &row, reterr);
        if (code) break;
        if (walk->arena && key.size <= sizeof j->listens.passed) {
            memcpy(j->listens.passed, key.data, key.size);
            j->listens.passed_bytes = key.size;
        }
        code = kv_cursor_next(cursor, &key, &value, reterr);
    }
    kv_cursor_close(cursor);
    return code;
}

static fault_code walk(struct walk *walk, slice from, row_fn *on_row, size_t intents_max, struct fault *reterr) {
    struct fault fault = {0};
    fault_code code = kv_begin_read(walk->journal->kv, &walk->txn, reterr);
    if (code) return code;
    code = walk_from(walk, from, on_row, intents_max, &fault);
    kv_abort(walk->txn);
    if (code == FAULT_NONE || code == FAULT_ABSENT) return code;
    return fault_set(reterr, code, "look for what is due: %s", fault.text);
}

void journal_listens_since(struct journal *j, int64_t since_ms) {
    j->listens.known = true;
    j->listens.since_ms = since_ms;
    j->listens.passed_bytes = 0;
}

fault_code journal_submit_due(struct journal *j, size_t intents_max, size_t *ret_submitted, struct fault *reterr) {
    struct walk due = {.journal = j, .now_ms = j->settings.now_ms(j->settings.clock_context)};
    *ret_submitted = 0;
    slice from = {0};
    if (j->listens.known && due.now_ms - j->listens.since_ms < j->settings.alert_expiry_ms) {
        due.arena = arena_new(4096, ALERT_BYTES_MAX);
        if (!due.arena) return fault_set(reterr, FAULT_LIMIT, "look for what is due: out of memory");
        from = slice_of(j->listens.passed, j->listens.passed_bytes);
    }
    uint8_t key[EXPIRY_KEY_BYTES_MAX];
    if (from.size) memcpy(key, from.data, from.size); /* the walk writes there */
    fault_code code = walk(&due, slice_of(key, from.size), on_due, intents_max, reterr);
    if (code == FAULT_ABSENT) { /* the next call begins with the first again */
        j->listens.passed_bytes = 0;
        code = FAULT_NONE;
    }
    arena_free(due.arena);
    *ret_submitted = due.submitted;
    return code;
}

fault_code journal_submit_abandoned(struct journal *j, size_t *ret_submitted, struct fault *reterr) {
    struct walk abandoned = {.journal = j};
    const fault_code code = walk(&abandoned, (slice){0}, on_abandoned, ABANDONED_MAX, reterr);
    *ret_submitted = abandoned.submitted;
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}
