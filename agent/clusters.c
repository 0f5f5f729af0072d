/* SPDX-License-Identifier: Apache-2.0
 * Opening asks nothing of the network: what fails here is a file. */
#include "agent/clusters.h"

#include <stdlib.h>

#include "common/logging/log.h"

struct clusters {
    size_t count;
    struct kube_cluster *items[];
};

fault_code clusters_open(struct loop *loop, const struct agent_settings *settings, struct clusters **ret_clusters,
                         struct fault *reterr) {
    const size_t count = settings->kubernetes.count;
    struct clusters *const clusters = calloc(1, sizeof *clusters + count * sizeof clusters->items[0]);
    if (!clusters) return fault_set(reterr, FAULT_LIMIT, "kubernetes: out of memory");
    clusters->count = count;
    for (size_t i = 0; i < count; i++) {
        struct fault fault;
        const struct kube_cluster_settings *const item = &settings->kubernetes.items[i];
        if (kube_cluster_open(loop, item, &clusters->items[i], &fault)) {
            clusters->items[i] = NULL;
            LOG_ERROR("agent", "cluster_refused", LOG_SLICE("cluster", item->cluster_id), LOG_FAULT(&fault),
                      LOG_TEXT("instead", "what is in it is unknown; correct it and reload"));
            continue;
        }
        const char *const warning = kube_cluster_warning(clusters->items[i]);
        if (warning[0])
            LOG_WARN("agent", "cluster_warning", LOG_SLICE("cluster", item->cluster_id), LOG_TEXT("warning", warning));
    }
    *ret_clusters = clusters;
    return FAULT_NONE;
}

struct clusters *clusters_close(struct clusters *clusters) {
    if (!clusters) return NULL;
    for (size_t i = 0; i < clusters->count; i++) kube_cluster_close(clusters->items[i]);
    free(clusters);
    return NULL;
}

size_t clusters_count(const struct clusters *clusters) {
    return clusters->count;
}

struct kube_cluster *clusters_at(const struct clusters *clusters, size_t index) {
    return clusters->items[index];
}

struct kube_cluster *clusters_find(const struct clusters *clusters, slice cluster_id) {
    for (size_t i = 0; i < clusters->count; i++)
        if (clusters->items[i] && slice_equal(kube_cluster_id(clusters->items[i]), cluster_id))
            return clusters->items[i];
    return NULL;
}
