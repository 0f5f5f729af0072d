/* SPDX-License-Identifier: Apache-2.0
 * Targets found in a cluster, as they come and go: by annotations of pods (prometheus.io/scrape ...), or by the selectors
 * of PodMonitor and ServiceMonitor objects (monitoring.coreos.com/v1). Reports to a target_sink who is there and whether
 * all are known; scrapes nothing.
 *
 * A pod is a target while it runs and has an address, and goes on being one while it ends, but is then no longer expected.
 * A ServiceMonitor's pods come from the EndpointSlices of the Services that it selects: Kubernetes puts a Service's labels
 * on its slices, so Services themselves are not asked for. One port and path of a pod is one target, whoever names it.
 *
 * Only the addresses that the API server gives are scraped, never a name: not loopback, link-local, multicast or
 * unspecified ones, whatever a pod's status says. What a monitor asks for and cannot be had (credentials from secrets, a
 * proxy, parameters) leaves that endpoint out, and is said; relabelings are not applied, which the state says.
 *
 * Memory: what is found, up to targets_max, and the monitors' selectors. Owner: the loop's thread. */
#ifndef PICKET_COLLECT_DISCOVERY_H
#define PICKET_COLLECT_DISCOVERY_H

#include "agent/collect/kubernetes/kube_watch.h"
#include "agent/collect/prometheus/prometheus_settings.h"
#include "agent/collect/prometheus/target_sink.h"

struct discovery;

struct discovery_config {
    const struct discovery_settings *settings;  /* borrowed, and what the targets' access is read from */
    int64_t interval_ms, timeout_ms, bytes_max; /* of a target, where no monitor says another */
    slice node;                                 /* only targets on it; empty: all */
    size_t group;                               /* what the sink calls it */
    /* Of the discovery itself: whether all targets are known, and why not; known with a text: what else is to be known of
     * them. May be NULL. */
    void (*state)(void *context, size_t group, bool known, const char *why);
    void *context;
};

enum { DISCOVERY_MONITORS_MAX = 500, DISCOVERY_ENDPOINTS_MAX = 16 };

/* Begins to watch. The cluster outlives it. */
fault_code discovery_new(struct loop *loop, struct kube_cluster *cluster, const struct discovery_config *config,
                         struct discovery **ret_discovery, struct fault *reterr) MUST_CHECK;
/* Nobody leaves by this: a sink that goes on learns from the next one who is there. NULL is fine; returns NULL. */
struct discovery *discovery_free(struct discovery *discovery);
/* Whom to report to from now on (copied; NULL: nobody): all who are there join it at once. */
void discovery_use(struct discovery *discovery, const struct target_sink *sink);

struct discovery_stats {
    size_t targets;   /* found */
    size_t refused;   /* of those, not taken by the sink */
    size_t beyond;    /* found beyond targets_max since the last whole list, and not kept */
    size_t monitors;  /* that are looked at */
    uint64_t skipped; /* endpoints and addresses left out, over all time; the last one is in last_skip */
    bool known;
    struct fault last_skip;
};
void discovery_stats(const struct discovery *discovery, struct discovery_stats *ret_stats);

#endif
