/* SPDX-License-Identifier: Apache-2.0
 * Opening asks nothing of the network: what fails here is a file, and these come and go (a token that is mounted late, a
 * kubeconfig that somebody edits), so it is tried for ever. */
#include "agent/clusters/clusters.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/logging/log.h"

enum { AGAIN_MS = 15 * 1000, REPEAT_MS = 10 * 60 * 1000 };

struct item {
    const struct kube_cluster_settings *settings;
    struct kube_cluster *cluster; /* NULL: not opened yet */
    struct fault fault;
    struct log_limit limit;
};

struct clusters {
    struct loop *loop;
    int64_t next_ms; /* monotonic: when to try again */
    size_t count;
    struct item items[];
};

fault_code clusters_open(struct loop *loop, const struct agent_settings *settings, struct clusters **ret_clusters,
                         struct fault *reterr) {
    const size_t count = settings->kubernetes.count;
    struct clusters *const clusters = calloc(1, sizeof *clusters + count * sizeof clusters->items[0]);
    if (!clusters) return fault_set(reterr, FAULT_LIMIT, "kubernetes: out of memory");
    clusters->loop = loop;
    clusters->count = count;
    for (size_t i = 0; i < count; i++) clusters->items[i].settings = &settings->kubernetes.items[i];
    clusters_tick(clusters);
    *ret_clusters = clusters;
    return FAULT_NONE;
}

struct clusters *clusters_close(struct clusters *clusters) {
    if (!clusters) return NULL;
    for (size_t i = 0; i < clusters->count; i++) kube_cluster_close(clusters->items[i].cluster);
    free(clusters);
    return NULL;
}

static void open_one(struct clusters *clusters, struct item *item, int64_t now_ms) {
    uint64_t suppressed = 0;
    if (kube_cluster_open(clusters->loop, item->settings, &item->cluster, &item->fault)) {
        item->cluster = NULL;
        if (log_limit_pass(&item->limit, now_ms, REPEAT_MS, &suppressed))
            LOG_ERROR("agent", "cluster_refused", LOG_SLICE("cluster", item->settings->cluster_id),
                      LOG_FAULT(&item->fault), LOG_TEXT("instead", "what is in it is unknown; tried again every 15 s"));
        return;
    }
    item->fault = (struct fault){0};
    const char *const warning = kube_cluster_warning(item->cluster);
    if (warning[0])
        LOG_WARN("agent", "cluster_warning", LOG_SLICE("cluster", item->settings->cluster_id),
                 LOG_TEXT("warning", warning));
}

void clusters_tick(struct clusters *clusters) {
    const int64_t now_ms = clock_monotonic_ms();
    if (!clusters || now_ms < clusters->next_ms) return;
    clusters->next_ms = now_ms + AGAIN_MS;
    for (size_t i = 0; i < clusters->count; i++)
        if (!clusters->items[i].cluster) open_one(clusters, &clusters->items[i], now_ms);
}

size_t clusters_count(const struct clusters *clusters) {
    return clusters->count;
}

struct kube_cluster *clusters_at(const struct clusters *clusters, size_t index) {
    return clusters->items[index].cluster;
}

slice clusters_id(const struct clusters *clusters, size_t index) {
    return clusters->items[index].settings->cluster_id;
}

struct kube_cluster *clusters_find(const struct clusters *clusters, slice cluster_id) {
    for (size_t i = 0; i < clusters->count; i++)
        if (slice_equal(clusters->items[i].settings->cluster_id, cluster_id)) return clusters->items[i].cluster;
    return NULL;
}

const char *clusters_fault(const struct clusters *clusters, size_t index) {
    return clusters->items[index].fault.text;
}

struct kube_cluster *clusters_ask(void *context, slice cluster_id) {
    const struct clusters *const clusters = *(struct clusters **)context;
    if (!clusters || !clusters->count) return NULL;
    return cluster_id.size ? clusters_find(clusters, cluster_id) : clusters_at(clusters, 0);
}
