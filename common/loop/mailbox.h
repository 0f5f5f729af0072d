/* SPDX-License-Identifier: Apache-2.0
 * A bounded queue of pointers between threads: many producers, one consumer. When it is full the producer is told;
 * nothing is dropped. The consumer either blocks in mailbox_take or is woken by its own means after a put. */
#ifndef PICKET_LOOP_MAILBOX_H
#define PICKET_LOOP_MAILBOX_H

#include "common/base/fault.h"

struct mailbox;

struct mailbox *mailbox_new(size_t capacity) MUST_CHECK; /* NULL: no memory */
struct mailbox *mailbox_free(struct mailbox *mailbox);   /* the items left are the caller's to free first */
/* FAULT_AGAIN when full, FAULT_DENIED after mailbox_close. Any thread. */
fault_code mailbox_put(struct mailbox *mailbox, void *item) MUST_CHECK;
/* As mailbox_put, but waits up to timeout_ms for room. */
fault_code mailbox_put_wait(struct mailbox *mailbox, void *item, int64_t timeout_ms) MUST_CHECK;
/* Takes up to items_max; waits up to timeout_ms for the first (0: does not wait, -1: for ever). Returns the count. */
size_t mailbox_take(struct mailbox *mailbox, void **ret_items, size_t items_max, int64_t timeout_ms);
/* No more puts; a waiting taker wakes up. */
void mailbox_close(struct mailbox *mailbox);
bool mailbox_closed(struct mailbox *mailbox);
size_t mailbox_count(struct mailbox *mailbox);

#endif
