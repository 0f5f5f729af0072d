/* SPDX-License-Identifier: Apache-2.0
 * The health of the clusters in `kubernetes:` at work: their watches feed a cluster_state each, what is due of it goes into
 * the queue with the note that makes a restart exact, in one transaction. Owner: the loop's thread. */
#ifndef PICKET_AGENT_CLUSTER_HEALTH_H
#define PICKET_AGENT_CLUSTER_HEALTH_H

#include "agent/settings/agent_settings.h"
#include "agent/buffer/queue.h"
#include "agent/buffer/state.h"
#include "agent/clusters/clusters.h"
#include "agent/health/cluster_state.h"
#include "common/metrics/metrics.h"

struct cluster_health;

struct cluster_health_parts {
    struct loop *loop;
    struct queue *queue;
    struct state *state;
    struct clusters *clusters;
    struct metrics *metrics;
    void (*stored)(void *context); /* something new is in the queue */
    void *context;
};

/* Settings and clusters must outlive it. What a process before this one reported is taken from the queue. FAULT_LIMIT: no
 * memory. */
fault_code cluster_health_open(const struct cluster_health_parts *parts, const struct agent_settings *settings,
                               struct cluster_health **ret_health, struct fault *reterr) MUST_CHECK;
/* What was not stored yet is found again by the next one. NULL is fine; returns NULL. */
struct cluster_health *cluster_health_close(struct cluster_health *health);

/* For how long (ms) no watch of some cluster has worked, with a sentence on it, for /readyz; -1: of each some do. Then
 * ret_text is empty, or names one of those that do not work. NULL is fine. */
int64_t cluster_health_trouble(const struct cluster_health *health, char *ret_text, size_t text_bytes);

#endif
