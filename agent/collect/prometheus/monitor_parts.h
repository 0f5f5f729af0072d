/* SPDX-License-Identifier: Apache-2.0
 * What is kept of a PodMonitor or ServiceMonitor, for monitor.c and pod_targets.c alone. */
#ifndef PICKET_COLLECT_MONITOR_PARTS_H
#define PICKET_COLLECT_MONITOR_PARTS_H

#include "agent/collect/prometheus/pod_targets.h"

enum monitor_operator { MONITOR_IN, MONITOR_NOT_IN, MONITOR_EXISTS, MONITOR_ABSENT };

struct monitor_requirement {
    slice key;
    enum monitor_operator operator;
    slice *values;
    size_t values_count;
};

struct monitor_endpoint {
    slice port;     /* its name: of a Service's port, or with PodMonitors a container's; empty: none */
    slice target;   /* targetPort: the name of a container's port; empty: none */
    int32_t number; /* as a container declares it; 0: none */
    slice path, scheme;
    int64_t interval_ms, timeout_ms; /* 0: not said */
    bool tried, found;               /* somebody was looked at for it; and had the port */
};

struct monitor {
    struct arena *arena; /* all below */
    slice namespace, name, version;
    bool any_namespace;
    slice *namespaces;
    size_t namespaces_count;
    struct monitor_requirement *requirements; /* match_labels are those with one value */
    size_t requirements_count;
    struct monitor_endpoint *endpoints;
    size_t endpoints_count;
    bool relabels; /* an endpoint of it asks for it, and that is not done */
    uint8_t round; /* for discovery.c */
};

/* What is to be known of them though all is known: endpoints that found somebody and no such port, relabelings; "": nothing. */
void monitors_note(struct monitor *const *monitors, size_t count, char *ret_text, size_t text_bytes);
void monitor_forget_found(struct monitor *monitor);
/* Whether an endpoint of it has such a port for its targetPort. */
bool monitor_wants_port(const struct monitor *monitor, slice name, int32_t number);
/* By its namespace and labels. */
bool monitor_selects(const struct monitor *monitor, const KubeMeta *meta);

#endif
