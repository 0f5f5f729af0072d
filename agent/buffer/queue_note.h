/* SPDX-License-Identifier: Apache-2.0
 * The queue's notes in the store. Private to agent/buffer. Owner: the agent's loop thread. */
#ifndef PICKET_BUFFER_QUEUE_NOTE_H
#define PICKET_BUFFER_QUEUE_NOTE_H

#include "agent/buffer/queue_store.h"
#include "common/base/arena.h"

/* FAULT_LIMIT: the name or the value has a size that is not kept. */
fault_code queue_note_check(const struct queue_note *note, struct fault *reterr) MUST_CHECK;
uint32_t queue_note_crc(slice name, slice value);
/* In the transaction; an empty value removes the note. */
fault_code queue_note_put(const struct queue_store *store, struct kv_txn *txn, slice name, slice value,
                          struct fault *reterr) MUST_CHECK;
/* queue_note_get of queue.h, of what is in the store. */
fault_code queue_note_load(struct queue_store *store, const char *name, struct arena *arena, slice *ret_value,
                           struct fault *reterr) MUST_CHECK;

#endif
