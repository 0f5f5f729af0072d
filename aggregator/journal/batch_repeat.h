/* SPDX-License-Identifier: Apache-2.0
 * The ack of a batch that is a repeat as a whole, from the marks alone: for when nothing can be written. Owner: the writer
 * thread. */
#ifndef PICKET_JOURNAL_BATCH_REPEAT_H
#define PICKET_JOURNAL_BATCH_REPEAT_H

#include "aggregator/journal/decision.h"

/* txn: any transaction, between two of the decisions' own. ret_repeat false: it has something new (or cannot be read),
 * and ret_outcome says nothing; true: ret_outcome is that of a committed batch, its slices lie in payload and d->arena. */
fault_code batch_repeat(struct decisions *d, struct kv_txn *txn, slice tenant, slice agent, slice payload,
                        bool *ret_repeat, struct journal_batch_outcome *ret_outcome, struct fault *reterr) MUST_CHECK;

#endif
