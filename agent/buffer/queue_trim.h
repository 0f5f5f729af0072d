/* SPDX-License-Identifier: Apache-2.0
 * How records leave: acknowledged, shed, quarantined. Private to agent/buffer. Owner: the agent's loop thread. */
#ifndef PICKET_BUFFER_QUEUE_TRIM_H
#define PICKET_BUFFER_QUEUE_TRIM_H

#include "agent/buffer/queue_store.h"

/* Sheds, in the draft, what is over the quota: of the least important class that holds more than its reserve. */
fault_code queue_trim_to_quota(struct queue_store *store, struct kv_txn *txn, struct fault *reterr) MUST_CHECK;
/* Moves one record out of the way, in a transaction of its own. What there is of it is kept for whoever wants to look. */
fault_code queue_trim_quarantine(struct queue_store *store, uint32_t number, uint64_t sequence,
                                 struct fault *reterr) MUST_CHECK;

/* queue_ack of queue.h, for numbers that were given out: in transactions of its own, as many as it needs. */
fault_code queue_trim_ack(struct queue_store *store, const struct queue_ack *acks, size_t count,
                          struct fault *reterr) MUST_CHECK;
/* A transaction's worth of that, in the draft. ret_changed: there was something to do; ret_more: there is more. */
fault_code queue_trim_acked(struct queue_store *store, struct kv_txn *txn, const struct queue_ack *acks, size_t count,
                            bool *ret_changed, bool *ret_more, struct fault *reterr) MUST_CHECK;
/* queue_shed and queue_stream_drop of queue.h. */
fault_code queue_trim_shed(struct queue_store *store, uint64_t bytes, struct fault *reterr) MUST_CHECK;
fault_code queue_trim_drop(struct queue_store *store, uint32_t number, struct fault *reterr) MUST_CHECK;

#endif
