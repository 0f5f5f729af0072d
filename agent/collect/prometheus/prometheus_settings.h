/* SPDX-License-Identifier: Apache-2.0
 * The rows of two lists: `discovery:`, targets that are found in a cluster, and `prometheus_apis:`, Prometheus servers
 * that are asked where the agent cannot scrape. An SLI names an item of either as one of its targets. */
#ifndef PICKET_COLLECT_PROMETHEUS_SETTINGS_H
#define PICKET_COLLECT_PROMETHEUS_SETTINGS_H

#include "agent/collect/access_settings.h"

enum { DISCOVERIES_MAX = 64, PROMETHEUS_APIS_MAX = 64 };

enum discovery_mode { DISCOVERY_ANNOTATIONS, DISCOVERY_PODMONITORS, DISCOVERY_SERVICEMONITORS };

struct discovery_settings {
    slice name;
    slice cluster_id; /* of an item of `kubernetes`; empty: there is one only */
    int mode;         /* enum discovery_mode */
    struct setting_texts namespaces;
    struct setting_map labels;
    slice annotations; /* prefix of the four: <prefix>scrape, port, path, scheme */
    slice node;
    int64_t targets_max;
    int64_t interval_ms, timeout_ms, bytes_max; /* 0: those of scrape.* */
    int fallback_format;                        /* enum exposition_format */
    bool host_network, local_addresses;
    struct access_settings access;
};

struct prometheus_api_settings {
    slice name, url, up;
    int64_t interval_ms, timeout_ms, fresh_ms, settle_ms, bytes_max, instances_max;
    struct access_settings access;
};

/* For SETTING_LIST(struct agent_settings, "discovery", ...) and "prometheus_apis". */
extern const struct setting_table discovery_table;
extern const struct setting_table prometheus_api_table;

/* What rows cannot say: names that are used twice in these lists, namespaces, urls, times that do not fit. Adds mistakes
 * at the items. */
void prometheus_settings_check(struct settings *read, const struct discovery_settings *discoveries,
                               size_t discoveries_count, const struct prometheus_api_settings *apis, size_t apis_count);

#endif
