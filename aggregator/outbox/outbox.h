/* SPDX-License-Identifier: Apache-2.0
 * Feeds committed facts to consumers, each in order, each at its own pace on a thread of its own, woken by the
 * journal's commits. The facts log is the outbox: a consumer is a name and a cursor, and nothing is deleted to
 * publish. Delivery is at least once; a consumer that commits its rows and its cursor together has an effect once.
 * Deciding goes before telling: their threads have a lower priority than the writer's, where the machine is short of CPU.
 * outbox_* calls are for the thread that built it; consume and load_cursor run on the consumer's thread. */
#ifndef PICKET_OUTBOX_OUTBOX_H
#define PICKET_OUTBOX_OUTBOX_H

#include "aggregator/journal/journal.h"

struct outbox;

struct outbox_consumer {
    const char *name; /* [a-z0-9_]+; stable: it is the cursor's key */
    void *context;
    /* Where it stands: the last sequence it has taken in. NULL: the outbox keeps the cursor in the journal, after
     * consume has returned FAULT_NONE. Called once, on the consumer's thread, before the first consume. */
    fault_code (*load_cursor)(void *context, uint64_t *ret_sequence, struct fault *reterr);
    /* All facts after its cursor, in order, count >= 1, no gap but what a view with `compacted` states (journal/fact_view.h);
     * valid during the call. Takes all of them or none:
     * on a fault the same facts (and perhaps newer ones behind them) come again after a pause that doubles from
     * 50 ms to 5 s. A projection writes its rows and facts[count - 1].sequence in one transaction. */
    fault_code (*consume)(void *context, const struct fact_view *facts, size_t count, struct fault *reterr);
    /* NULL: what was consumed has its effect when consume returns. Else it may have it only when settle returns, which is
     * called when no flood follows, when hold_ms have gone by since the first consume, when hold_facts are held, and at
     * the end: the cursor moves then. A fault of either takes back everything behind the last settle: it comes again. */
    fault_code (*settle)(void *context, struct fault *reterr);
    size_t hold_facts;
    int64_t hold_ms;
    size_t facts_max; /* at most so many at a time; 0: 4096 */
    size_t bytes_max; /* 0: 4 MiB */
    /* While facts come in a flood (over 1000 in the time of one consume), it lets so many gather, for gather_ms at most:
     * where many facts change the same rows, few large batches cost less than many small ones. 0: does not wait. A lone
     * fact is always handed over at once. */
    size_t gather_facts;
    int64_t gather_ms;
};

fault_code outbox_new(struct journal *journal, struct outbox **ret_outbox, struct fault *reterr) MUST_CHECK;
/* Copied. Before outbox_start. */
fault_code outbox_add(struct outbox *outbox, const struct outbox_consumer *consumer, struct fault *reterr) MUST_CHECK;
fault_code outbox_start(struct outbox *outbox, struct fault *reterr) MUST_CHECK;
/* Lets each consume in progress return, ends the threads; NULL is fine; returns NULL. Before journal_close. */
struct outbox *outbox_stop(struct outbox *outbox);

struct outbox_consumer_stats {
    const char *name;
    uint64_t cursor; /* last sequence taken in */
    uint64_t lag;    /* facts behind the journal */
    uint64_t facts, failures;
    struct fault last_fault; /* FAULT_NONE when the last consume went well */
};
size_t outbox_count(const struct outbox *outbox);
/* Any thread. */
void outbox_stats(struct outbox *outbox, size_t index, struct outbox_consumer_stats *ret_stats);

#endif
