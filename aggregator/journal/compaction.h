/* SPDX-License-Identifier: Apache-2.0
 * Replaces old facts of the compactable kinds (fact_range.h) by ranges, a bounded slice at a time, each in a
 * transaction of the caller's. State is not touched. Owner: the writer thread. */
#ifndef PICKET_JOURNAL_COMPACTION_H
#define PICKET_JOURNAL_COMPACTION_H

#include "aggregator/journal/fact_range.h"
#include "aggregator/journal/journal_tables.h"

struct compaction;

/* keep_ms: how old a fact of each kind must be, by its commit; 0: it is kept for ever. Copied. */
fault_code compaction_new(const struct journal_tables *tables, const int64_t keep_ms[COMPACTABLES_], struct kv_txn *txn,
                          struct compaction **ret_compaction, struct fault *reterr) MUST_CHECK;
struct compaction *compaction_free(struct compaction *compaction); /* NULL is fine; returns NULL */

struct compaction_slice {
    uint64_t facts;   /* compacted */
    uint64_t ranges;  /* written: new ones and those that grew */
    uint64_t passed;  /* looked at and left as they are */
    uint64_t damaged; /* of these, facts that would have gone but do not check: they stay as evidence */
    bool changed;     /* the transaction has something to commit */
    bool more;        /* the slice ended by its bounds: another finds more at once */
};
/* One slice: at most facts_max facts go, none of them with a sequence over last_allowed. After FAULT_NONE the caller
 * commits (or, when nothing changed, may abort) and says so by compaction_end. */
fault_code compaction_run(struct compaction *compaction, struct kv_txn *txn, int64_t now_ms, uint64_t last_allowed,
                          size_t facts_max, struct compaction_slice *ret_slice, struct fault *reterr) MUST_CHECK;
/* kept: what the slice did is on disk, or there was nothing to keep. */
void compaction_end(struct compaction *compaction, bool kept);

/* The sentence about the last fact that was left because it does not check; code FAULT_NONE when there was none. */
const struct fault *compaction_damage(const struct compaction *compaction);

#endif
