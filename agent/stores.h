/* SPDX-License-Identifier: Apache-2.0
 * The folder buffer.path and what is kept in it: a lock, the queue, and the checkpoints of what is still being measured.
 * Owner: the loop's thread. */
#ifndef PICKET_AGENT_STORES_H
#define PICKET_AGENT_STORES_H

#include "agent/settings/agent_settings.h"
#include "agent/buffer/queue.h"
#include "agent/buffer/state.h"

struct stores;

/* Makes the folder where it is missing. A damaged queue is salvaged and a damaged checkpoint forgotten, both with a line in
 * the log. FAULT_CONFLICT: another agent works in the folder; FAULT_AGAIN: its disk is full, read-only or failing, which
 * may pass; every other code is the store's own. The settings are copied. */
fault_code stores_open(const struct agent_settings *settings, struct stores **ret_stores,
                       struct fault *reterr) MUST_CHECK;
/* NULL is fine; returns NULL. */
struct stores *stores_close(struct stores *stores);

/* Lent, until the stores close. */
struct queue *stores_queue(const struct stores *stores);
struct state *stores_state(const struct stores *stores);

/* What is to be said of the queue in the agent's status: damaged and salvaged, or gone, when it was opened; "" for nothing. */
const char *stores_note(const struct stores *stores);

/* What is wrong with storing now, in a sentence, by the queue, the checkpoints and the disk itself. FAULT_NONE: nothing.
 * ret_fails: storing fails; else the disk has no room any more for what is to come. */
fault_code stores_trouble(const struct stores *stores, bool *ret_fails, struct fault *ret_fault);

/* To be called every second or so. True: the queue's file was damaged while it was in use, as the log says; the process is to
 * end, and the next one saves what is left. The file is read and checked when storing has failed for some seconds for another
 * reason than a full disk, and then once a minute. */
bool stores_damaged(struct stores *stores);

/* Gives the files' pages back to the kernel's cache: what was written and read once is not looked at again, and would
 * otherwise stay in the process's memory whole. To be called every second or so. */
void stores_release_pages(const struct stores *stores);

#endif
