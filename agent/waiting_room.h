/* SPDX-License-Identifier: Apache-2.0
 * Where the agent waits while the disk of its queue cannot be written: without it nothing that is measured could be kept
 * or given a sequence. /healthz says that the process lives, /readyz why it does nothing else. Owner: the main thread. */
#ifndef PICKET_AGENT_WAITING_ROOM_H
#define PICKET_AGENT_WAITING_ROOM_H

#include "common/loop/loop.h"

/* Runs the loop for some seconds, or until somebody else stops it. */
void waiting_room(struct loop *loop, const char *config_path, char *const *environment, const struct fault *why);

#endif
