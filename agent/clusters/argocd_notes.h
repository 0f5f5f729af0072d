/* SPDX-License-Identifier: Apache-2.0
 * How the notes of an Argo CD's applications are called in the queue, and that they go when their item goes from the settings.
 * Owner: the agent's loop thread. */
#ifndef PICKET_AGENT_ARGOCD_NOTES_H
#define PICKET_AGENT_ARGOCD_NOTES_H

#include "agent/buffer/queue.h"

enum { ARGOCD_NOTE_NAME_BYTES = 65 };

/* Of one shard (applications.h) of the item of that name. */
void argocd_note_name(slice item, unsigned shard, char ret_name[ARGOCD_NOTE_NAME_BYTES]);
/* Deletes the notes of items that were named by the call before and are not now. Of the same names: reads one note. What
 * fails is done by the next call. arena: for the moment; *ret_gone: how many items. */
fault_code argocd_notes_tidy(struct queue *queue, const slice *items, size_t count, int64_t now_ms, struct arena *arena,
                             size_t *ret_gone, struct fault *reterr) MUST_CHECK;

#endif
