/* SPDX-License-Identifier: Apache-2.0
 * What of the Kubernetes clusters cannot be seen now, for the agent's status: a right that is missing is said at the centre
 * and not only in a log on the edge. The agent's loop thread. */
#ifndef PICKET_AGENT_DARK_WATCHES_H
#define PICKET_AGENT_DARK_WATCHES_H

#include "agent/clusters/clusters.h"
#include "agent/ship/agent_report.h"
#include "common/base/arena.h"

enum { DARK_WATCHES_MAX = 64 };

/* At most DARK_WATCHES_MAX, in the order of the settings and of the kinds; in the arena, but for what the clusters lend.
 * clusters NULL: none. Without memory it is fewer. */
const struct watch_report *dark_watches(const struct clusters *clusters, struct arena *arena, size_t *ret_count);

#endif
