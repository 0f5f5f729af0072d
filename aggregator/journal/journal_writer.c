/* SPDX-License-Identifier: Apache-2.0
 * The writer thread. It takes what waits, decides as much of it as fits one transaction, commits with a full sync,
 * and only then answers. While it syncs the next group gathers: the busier, the larger the groups, with no timer.
 *
 * When a transaction breaks, nothing of it has happened. If the store is full or the disk fails, all of the group is
 * told so and the journal goes into its refusing state (journal_space.c): it says why, serves reads and the acks of what
 * is committed, and tries again once a second.
 * Otherwise each command is tried in a transaction of its own, so that one which cannot be stored (a damaged record)
 * fails alone. */
#include "aggregator/journal/journal_state.h"

#include "aggregator/journal/window_table.h"
#include "common/base/clock.h"

#include <stdlib.h>

enum { TAKE_MAX = 1024, IDLE_MS = 250, IDLE_LOOK_MS = 10000 };
#define WINDOWS_KEPT_S (INT64_C(31) * 24 * 3600)

static fault_code decide_one(struct journal *j, struct queued *q, struct fault *reterr) {
    switch (q->kind) {
    case QUEUED_COMMAND:
        memset(&q->outcome.command, 0, sizeof q->outcome.command);
        return decide_command(&j->decisions, &q->command, &q->outcome.command, reterr);
    case QUEUED_BATCH:
        memset(&q->outcome.batch, 0, sizeof q->outcome.batch);
        return decide_batch(&j->decisions, q->tenant, q->agent, q->payload, &q->outcome.batch, reterr);
    case QUEUED_REJECTION:
        return decide_rejection(&j->decisions, q->tenant, q->agent, q->code, q->reason, q->payload, reterr);
    }
    return FAULT_NONE;
}

static void complete(struct journal *j, struct queued *q, const struct fault *failed) {
    if (q->kind == QUEUED_COMMAND) {
        struct journal_outcome *outcome = &q->outcome.command;
        if (failed) *outcome = (struct journal_outcome){.result = JOURNAL_FAILED, .fault = *failed};
        if (q->command.done) q->command.done(q->command.context, outcome);
    } else if (q->kind == QUEUED_BATCH) {
        struct journal_batch_outcome *outcome = &q->outcome.batch;
        if (failed)
            *outcome = (struct journal_batch_outcome){
                .result = JOURNAL_FAILED, .fault = *failed, .tenant = q->tenant, .agent = q->agent};
        if (q->batch_done) q->batch_done(q->batch_context, outcome);
    }
    atomic_fetch_sub(&j->queue_bytes, q->bytes);
    free(q);
}

/* ---- one transaction ---- */

static fault_code cursors_write(struct journal *j, struct fault *reterr) {
    struct cursor_slot slots[CURSORS_MAX];
    size_t count = 0;
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; j->cursors_dirty && i < j->cursors_count; i++)
        if (j->cursors[i].dirty) {
            slots[count++] = j->cursors[i];
            j->cursors[i].dirty = false; /* lost by an abort: the consumer takes some facts once more */
        }
    j->cursors_dirty = false;
    pthread_mutex_unlock(&j->lock);
    for (size_t i = 0; i < count; i++) {
        uint8_t value[8];
        slice stored;
        const fault_code code =
            kv_get(j->decisions.txn, j->tables.cursors, slice_from_text(slots[i].name), &stored, reterr);
        if (code && code != FAULT_ABSENT) return code;
        if (!code && stored.size == 8 && kv_load_u64(stored.data) >= slots[i].sequence) continue; /* from before */
        kv_store_u64(value, slots[i].sequence);
        if (kv_put(j->decisions.txn, j->tables.cursors, slice_from_text(slots[i].name), slice_of(value, sizeof value),
                   reterr))
            return fault_wrap(reterr, "store the cursor of '%s'", slots[i].name);
    }
    return FAULT_NONE;
}

static fault_code upkeep(struct journal *j, slice tenant, uint64_t intents, struct fault *reterr) {
    struct decisions *d = &j->decisions;
    uint64_t dropped;
    if (mark_table_prune(&d->marks, d->txn, d->now_ms, 16 + 2 * intents, &dropped, reterr)) return reterr->code;
    if (cursors_write(j, reterr)) return reterr->code;
    if (tenant.size == 0) return FAULT_NONE;
    uint32_t number;
    if (names_number(d->names, d->txn, NAMES_TENANT, 0, tenant, &number, reterr)) return reterr->code;
    return window_table_prune(j->tables.windows, d->txn, number, d->now_ms / 1000 - WINDOWS_KEPT_S, 2 * intents,
                              reterr);
}

static void stats_update(struct journal *j, size_t commands, int64_t decided_ns, int64_t committed_ns) {
    const struct decisions *d = &j->decisions;
    pthread_mutex_lock(&j->lock);
    struct journal_stats *s = &j->stats;
    s->commits++;
    s->commands += commands;
    s->intents = d->counts.intents;
    s->facts = d->counts.facts;
    s->refused = d->counts.refused;
    s->repeated = d->counts.repeated;
    s->missing = d->counts.missing;
    s->unreadable_batches = d->counts.unreadable_batches;
    s->wrong_tenant = d->counts.wrong_tenant;
    s->window_repeats = d->counts.window_repeats;
    s->definitions = d->counts.definitions;
    s->last_sequence = d->facts.last_sequence;
    s->rejections = d->rejections.count;
    s->last_commit_ms = d->now_ms;
    s->decide_ns += (uint64_t)decided_ns;
    s->commit_ns += (uint64_t)committed_ns;
    s->refusing = false;
    s->refusing_reason = (struct fault){0};
    pthread_mutex_unlock(&j->lock);
}

/* Decides and commits the first of them that fit one transaction; ret_taken: how many those are. */
static fault_code transact(struct journal *j, struct queued **items, size_t count, size_t *ret_taken,
                           struct fault *reterr) {
    struct decisions *d = &j->decisions;
    struct kv_txn *txn;
    *ret_taken = count;
    if (kv_begin_write(j->kv, &txn, reterr)) return reterr->code;
    const int64_t started_ns = clock_monotonic_ns();
    decisions_begin(d, txn, j->settings.now_ms(j->settings.clock_context));
    const uint64_t intents_before = d->counts.intents;
    slice tenant = {0};
    fault_code code = FAULT_NONE;
    size_t taken = 0;
    while (!code && taken < count && d->counts.intents - intents_before < j->settings.commit_intents_max) {
        if (items[taken]->kind == QUEUED_BATCH) tenant = items[taken]->tenant;
        code = decide_one(j, items[taken++], reterr);
        /* What it answered may be for want of memory. Alone it has the whole arena, and what is too large for that stays
         * refused: it must not come again and again. */
        if (!code && (arena_starved(j->arena) || (taken > 1 && arena_refused(j->arena))))
            code = fault_set(reterr, FAULT_AGAIN, "memory ran out while it was decided; try again");
    }
    *ret_taken = taken;
    if (!code) code = upkeep(j, tenant, d->counts.intents - intents_before, reterr);
    if (!code) code = decisions_flush(d, reterr);
    const int64_t decided_ns = clock_monotonic_ns();
    if (code)
        kv_abort(txn);
    else
        code = kv_commit(txn, reterr);
    decisions_end(d, code == FAULT_NONE);
    if (code) return code;
    stats_update(j, taken, decided_ns - started_ns, clock_monotonic_ns() - decided_ns);
    return FAULT_NONE;
}

static void announce(struct journal *j) {
    const uint64_t last = j->decisions.facts.last_sequence;
    if (last == atomic_load(&j->last_sequence)) return;
    atomic_store(&j->last_sequence, last);
    pthread_mutex_lock(&j->calls_lock);
    for (size_t i = 0; i < j->commit_calls_count; i++) j->commit_calls[i].call(j->commit_calls[i].context, last);
    pthread_mutex_unlock(&j->calls_lock);
}

static void run(struct journal *j, struct queued **items, size_t count) {
    size_t alone = 0; /* so many from here on go one by one */
    for (size_t at = 0, taken; at < count; at += taken) {
        struct fault fault = {0};
        fault_code code;
        taken = count - at;
        if (journal_may_write(j, &fault))
            code = transact(j, items + at, alone ? 1 : count - at, &taken, &fault);
        else
            code = fault.code ? fault.code : FAULT_LIMIT;
        if (alone) alone -= taken;
        if (code == FAULT_NONE) {
            announce(j);
        } else if (code == FAULT_LIMIT || code == FAULT_SYSTEM) {
            if (!j->stats.refusing) journal_refuse_from_now(j, &fault);
        } else if (taken > 1) {
            alone = taken;
            taken = 0;
            arena_reset(j->arena);
            continue;
        }
        for (size_t i = at; i < at + taken; i++) j->bytes_since_check += items[i]->bytes;
        for (size_t i = at; i < at + taken; i++)
            complete(j, items[i], code && !journal_answer_repeat(j, items[i]) ? &fault : NULL);
        arena_reset(j->arena);
    }
}

/* Takes what waits, for wait_ms at most until there is some; whether the journal is closing and all is decided. */
static bool turn(struct journal *j, int64_t wait_ms) {
    struct queued *items[TAKE_MAX];
    const bool closing = mailbox_closed(j->mailbox); /* asked first: what was put before it is still taken */
    const size_t count = mailbox_take(j->mailbox, (void **)items, TAKE_MAX, wait_ms);
    if (count) run(j, items, count);
    if (!closing) journal_upkeep(j, count == 0);
    if (count) return false;
    pthread_mutex_lock(&j->lock);
    const bool cursors_dirty = j->cursors_dirty;
    pthread_mutex_unlock(&j->lock);
    size_t taken;
    struct fault fault = {0};
    const bool stale = clock_monotonic_ms() > j->next_space_check_ms + IDLE_LOOK_MS;
    /* Who asks whether the journal is ready sends nothing until it is, so a refusing one tries by itself. */
    if ((cursors_dirty || j->stats.refusing || stale) && journal_may_write(j, &fault) &&
        (cursors_dirty || j->stats.refusing) && transact(j, NULL, 0, &taken, &fault))
        journal_refuse_from_now(j, &fault);
    return closing;
}

void *journal_writer_main(void *context) {
    struct journal *j = context;
    pthread_setname_np(pthread_self(), "journal");
    for (;;) {
        const int64_t wait_ms = journal_upkeep_wait_ms(j);
        if (turn(j, wait_ms < IDLE_MS ? wait_ms : IDLE_MS)) return NULL;
    }
}

void journal_turn(struct journal *j) {
    (void)turn(j, 0);
}
