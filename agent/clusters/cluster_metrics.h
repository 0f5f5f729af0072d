/* SPDX-License-Identifier: Apache-2.0
 * The metrics of watched clusters: each series has the cluster's name as a label; events are counted by reason over all.
 * Owner: the loop's thread. */
#ifndef PICKET_AGENT_CLUSTER_METRICS_H
#define PICKET_AGENT_CLUSTER_METRICS_H

#include "agent/health/cluster_state.h"
#include "agent/health/event_memory.h"
#include "common/metrics/metrics.h"

struct cluster_metrics;

/* Adds the series of these clusters. Names are copied. */
fault_code cluster_metrics_new(struct metrics *metrics, const slice *names, size_t count,
                               struct cluster_metrics **ret_metrics, struct fault *reterr) MUST_CHECK;
/* Takes them out again. NULL is fine; returns NULL. */
struct cluster_metrics *cluster_metrics_free(struct cluster_metrics *metrics);

void cluster_metrics_set(struct cluster_metrics *metrics, size_t index, const struct cluster_state_stats *stats,
                         const struct kube_cluster_stats *kube, const struct event_memory *events);

#endif
