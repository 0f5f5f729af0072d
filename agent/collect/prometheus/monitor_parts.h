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
    slice port;     /* its name; empty: none */
    int32_t number; /* as a container declares it; 0: none */
    slice path, scheme;
    int64_t interval_ms, timeout_ms; /* 0: not said */
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

/* By its namespace and labels. */
bool monitor_selects(const struct monitor *monitor, const KubeMeta *meta);

#endif
