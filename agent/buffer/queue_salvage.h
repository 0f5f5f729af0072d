/* SPDX-License-Identifier: Apache-2.0
 * What is left of a damaged queue goes on: every record that checks, in its stream and under its sequence. Private to
 * agent/buffer. Owner: the agent's loop thread, before the queue is open. */
#ifndef PICKET_BUFFER_QUEUE_SALVAGE_H
#define PICKET_BUFFER_QUEUE_SALVAGE_H

#include "agent/buffer/queue_store.h"

/* FAULT_CORRUPT: the queue's file must not be opened. A salvage that was interrupted is finished or taken back first. */
fault_code queue_salvage_check(const char *path, struct fault *reterr) MUST_CHECK;

/* Puts in the place of settings->path a new queue with what can be saved of it; the damaged one is kept aside, in the place
 * of one that was kept before. Interrupted at any moment, it is done again. The epoch stays, all streams are closed, new
 * ones have numbers that were never used; notes are not saved, for one
 * could be older than the records are, but settings->note_saved, of which that does no harm.
 * why: what was found, as a sentence; ret_moved: that, and what was saved. */
fault_code queue_salvage(const struct queue_settings *settings, const struct fault *why, struct fault *ret_moved,
                         struct fault *reterr) MUST_CHECK;

#endif
