/* SPDX-License-Identifier: Apache-2.0
 * Which targets one object of the cluster is, by annotations or by monitors: pure functions of the object and of what was
 * copied of the monitors. For discovery.c. Any thread. */
#ifndef PICKET_COLLECT_POD_TARGETS_H
#define PICKET_COLLECT_POD_TARGETS_H

#include "agent/collect/kubernetes/kube_resource.h"
#include "agent/collect/prometheus/prometheus_settings.h"
#include "agent/collect/prometheus/target_sink.h"

enum { POD_TARGETS_MAX = 64, POD_URL_BYTES = 640, POD_PATH_BYTES = 512 };

struct pod_target {
    char name[TARGET_NAME_BYTES + 1]; /* namespace/pod:port, and the path when it is not /metrics */
    char url[POD_URL_BYTES];
    uint64_t incarnation;
    int64_t interval_ms, timeout_ms; /* 0: not said */
    bool ending;
};

struct pod_target_list {
    struct pod_target all[POD_TARGETS_MAX];
    size_t count, skipped;
    struct fault why; /* of the last that was skipped */
};

/* A PodMonitor or ServiceMonitor, copied; and it knows which of its endpoints found somebody. */
struct monitor;
/* kind: KUBE_PODMONITORS or KUBE_SERVICEMONITORS, message: of that kind. ret_note: endpoints that were left out, and why; code
 * FAULT_NONE: none. FAULT_INPUT: nothing of it can be used; FAULT_SYSTEM: no memory. */
fault_code monitor_new(enum kube_kind kind, const void *message, struct monitor **ret_monitor, struct fault *ret_note,
                       struct fault *reterr) MUST_CHECK;
struct monitor *monitor_free(struct monitor *monitor); /* NULL is fine; returns NULL */

/* All labels of the map are there with these values. */
bool pod_has_labels(const KubeMeta *meta, const struct setting_map *labels);

struct pod_ports;
/* Adds to the list; targets of one name are one. ports: asked for what a targetPort names and the slice does not; NULL:
 * nobody. */
void pod_targets_annotated(const struct discovery_settings *settings, slice node, const KubePod *pod,
                           struct pod_target_list *list);
void pod_targets_monitored(const struct discovery_settings *settings, slice node, struct monitor *monitor,
                           const KubePod *pod, struct pod_target_list *list);
void slice_targets_monitored(const struct discovery_settings *settings, slice node, struct monitor *monitor,
                             const KubeEndpointSlice *slice_object, struct pod_ports *ports,
                             struct pod_target_list *list);

/* "10.1.2.3" or "fd00::1"; FAULT_INPUT: none; FAULT_DENIED: one that is never scraped (unless local). */
fault_code pod_address_check(slice address, bool local_allowed, struct fault *reterr) MUST_CHECK;

#endif
