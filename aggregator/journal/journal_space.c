/* SPDX-License-Identifier: Apache-2.0
 * The budget of bytes, and the refusing state. The store is copy-on-write: to delete a record it writes pages anew, so a
 * store that is filled to the last page cannot even be emptied. Commands are therefore refused at 95 %, and what is
 * left is for compaction and pruning, which go on. It takes commands again one percent below, so that it does not
 * swing at the edge.
 *
 * In the refusing state nothing new is decided, but what is on the disk is still the case: reads go on, and a batch
 * that is a repeat as a whole, or a command that was committed before, is answered from the marks by a read
 * transaction. */
#include "aggregator/journal/journal_state.h"

#include "aggregator/journal/batch_repeat.h"
#include "common/base/clock.h"

enum {
    RETRY_MS = 1000,
    SPACE_CHECK_MS = 1000,
    FULL_PERCENT = 95,
    AGAIN_PERCENT = 94,
    WARN_PERCENT = 80,
    FACT_PER_INTENT_BYTES = 4, /* a byte of intent becomes so many in the store, at most about */
    WARN_LESS = 2,             /* the warning goes so many percent below where it came */
};

void journal_refuse_from_now(struct journal *j, const struct fault *why) {
    pthread_mutex_lock(&j->lock);
    j->stats.refusing = true;
    j->stats.refusing_reason = *why;
    pthread_mutex_unlock(&j->lock);
    j->next_try_ms = clock_monotonic_ms() + RETRY_MS;
}

static enum journal_space space_of(enum journal_space before, uint64_t used, const struct journal_budget *budget) {
    const unsigned warn = budget->warn_percent ? budget->warn_percent : WARN_PERCENT;
    const uint64_t percent_bytes = budget->bytes / 100 ? budget->bytes / 100 : 1, percent = used / percent_bytes;
    if (percent >= (before == JOURNAL_SPACE_FULL ? AGAIN_PERCENT : FULL_PERCENT)) return JOURNAL_SPACE_FULL;
    if (percent >= warn - (before == JOURNAL_SPACE_GOOD ? 0 : WARN_LESS)) return JOURNAL_SPACE_LOW;
    return JOURNAL_SPACE_GOOD;
}

static fault_code space_look(struct journal *j, struct fault *reterr) {
    struct kv_stats space;
    kv_drop_dead_readers(j->kv); /* a verify or backup that was killed keeps pages */
    const fault_code code = kv_stats(j->kv, &space, reterr);
    if (code) return code;
    pthread_mutex_lock(&j->lock);
    struct journal_budget budget = j->budget;
    if (budget.bytes == 0 || budget.bytes > space.map_bytes) budget.bytes = space.map_bytes;
    struct journal_stats *s = &j->stats;
    s->map_bytes = space.map_bytes;
    s->file_bytes = space.used_bytes;
    s->used_bytes = space.used_bytes - space.free_bytes;
    s->budget_bytes = budget.bytes;
    s->space = space_of(s->space, s->used_bytes, &budget);
    pthread_mutex_unlock(&j->lock);
    return FAULT_NONE;
}

bool journal_may_write(struct journal *j, struct fault *ret_why) {
    const struct journal_stats *s = &j->stats; /* only this thread writes them */
    const int64_t now_ms = clock_monotonic_ms();
    if (s->refusing && now_ms < j->next_try_ms) {
        *ret_why = s->refusing_reason;
        return false;
    }
    const bool little = j->bytes_since_check * FACT_PER_INTENT_BYTES < s->budget_bytes / 100;
    if (now_ms < j->next_space_check_ms && little && !s->refusing) return true;
    j->next_space_check_ms = now_ms + SPACE_CHECK_MS;
    j->bytes_since_check = 0;
    if (space_look(j, ret_why)) {
        journal_refuse_from_now(j, ret_why);
        return false;
    }
    if (s->space != JOURNAL_SPACE_FULL) return true;
    fault_set(ret_why, FAULT_LIMIT,
              "the journal is read-only: %llu of the %llu bytes of its budget are used; it takes commands again when "
              "retention has freed some (retention.*%s%s), or with a larger data.budget_bytes (SIGHUP reads it)",
              (unsigned long long)s->used_bytes, (unsigned long long)s->budget_bytes,
              s->compaction_waits_for ? "; it waits for the consumer " : "",
              s->compaction_waits_for ? s->compaction_waits_for : "");
    journal_refuse_from_now(j, ret_why);
    return false;
}

bool journal_answer_repeat(struct journal *j, struct queued *q) {
    struct fault fault;
    struct kv_txn *txn;
    bool repeat = false;
    fault_code code = FAULT_NONE;
    if (q->kind == QUEUED_REJECTION || kv_begin_read(j->kv, &txn, &fault)) return false;
    memset(&q->outcome, 0, sizeof q->outcome);
    if (q->kind == QUEUED_BATCH)
        code = batch_repeat(&j->decisions, txn, q->tenant, q->agent, q->payload, &repeat, &q->outcome.batch, &fault);
    else
        code = command_repeat(&j->decisions, txn, &q->command, &repeat, &q->outcome.command, &fault);
    kv_abort(txn);
    return repeat && !code;
}
