/* SPDX-License-Identifier: Apache-2.0
 * Words of two lists: what is told, and what is watched. */
#include "agent/health/cluster_health_settings.h"

#include "agent/health/cluster_state.h"

static const struct {
    const char *word;
    unsigned bit;
} reports[] = {
    {"cluster", CLUSTER_REPORT_CLUSTER},     {"namespaces", CLUSTER_REPORT_NAMESPACES}, {"nodes", CLUSTER_REPORT_NODES},
    {"workloads", CLUSTER_REPORT_WORKLOADS}, {"claims", CLUSTER_REPORT_CLAIMS},         {"pods", CLUSTER_REPORT_PODS},
};

static unsigned bit_of(slice word) {
    for (size_t i = 0; i < sizeof reports / sizeof *reports; i++)
        if (slice_equal_text(word, reports[i].word)) return reports[i].bit;
    return 0;
}

void cluster_health_settings_check(struct settings *read, const struct cluster_health_settings *settings) {
    for (size_t i = 0; i < settings->report.count; i++)
        if (!bit_of(settings->report.items[i]))
            settings_mistake(read, &settings->report,
                             "'%.*s' is none of cluster, namespaces, nodes, workloads, claims, pods",
                             SLICE_ARG(settings->report.items[i]));
    for (size_t i = 0; i < settings->resources.count; i++) {
        const struct kube_resource *const resource = kube_resource_find(settings->resources.items[i]);
        if (!resource || (resource->id != KUBE_EVENTS && cluster_kind_of(resource->id) == CLUSTER_KINDS_))
            settings_mistake(read, &settings->resources, "there are no rules for '%.*s'",
                             SLICE_ARG(settings->resources.items[i]));
    }
}

unsigned cluster_health_report_bits(const struct cluster_health_settings *settings) {
    unsigned bits = 0;
    for (size_t i = 0; i < settings->report.count; i++) bits |= bit_of(settings->report.items[i]);
    return settings->report.count ? bits : CLUSTER_REPORT_ALL;
}

bool cluster_health_watches(const struct cluster_health_settings *settings, const char *plural, bool whole_cluster) {
    const struct kube_resource *const resource = kube_resource_find(slice_from_text(plural));
    if (settings->resources.count == 0) return whole_cluster || resource->namespaced;
    for (size_t i = 0; i < settings->resources.count; i++)
        if (kube_resource_find(settings->resources.items[i]) == resource) return true;
    return false;
}
