/* SPDX-License-Identifier: Apache-2.0
 * How records leave: what queue.h promises of queue_ack, queue_shed and queue_stream_drop, and what appending and reading
 * need of it. Owner: the agent's loop thread. */
#ifndef PICKET_BUFFER_QUEUE_TRIM_H
#define PICKET_BUFFER_QUEUE_TRIM_H

#include "agent/buffer/queue_store.h"

/* Sheds, in the draft, what is over the quota: of the least important class that holds more than its reserve. */
fault_code queue_trim_to_quota(struct queue *queue, struct kv_txn *txn, struct fault *reterr) MUST_CHECK;
/* Moves one record out of the way, in a transaction of its own. What there is of it is kept for whoever wants to look. */
fault_code queue_trim_quarantine(struct queue *queue, uint32_t number, uint64_t sequence,
                                 struct fault *reterr) MUST_CHECK;

#endif
