/* SPDX-License-Identifier: Apache-2.0
 * The rows, and what they cannot say. */
#include "agent/collect/kubernetes/kube_settings.h"

#define SETTING(...) SETTING_ROW(struct kube_cluster_settings, __VA_ARGS__)
static const struct setting_row cluster_rows[] = {
    SETTING("cluster_id", TEXT, cluster_id, NULL, "1", "128", "the cluster's name at the centre; unique"),
    SETTING("kubeconfig", PATH, kubeconfig, "", NULL, NULL,
            "how to reach it; without it by the service account of the pod that the agent runs in"),
    SETTING("context", TEXT, context, "", NULL, "253", "which one of the kubeconfig; without it its current-context"),
    SETTING("service_account", PATH, service_account, "/var/run/secrets/kubernetes.io/serviceaccount", NULL, NULL,
            "folder of the pod's token and ca.crt"),
    SETTING_TEXTS(struct kube_cluster_settings, "namespaces", namespaces, 16,
                  "which ones are watched, each with watches of its own; none: all, which needs a ClusterRole"),
    SETTING("node", TEXT, node, "", NULL, "253", "only pods on this node are watched; without it those of all nodes"),
    SETTING("object_bytes_max", BYTES, object_bytes_max, "2MiB", "64KiB", "16MiB",
            "of one object in memory; what a larger one says is unknown"),
    SETTING("page_size", INT, page_size, "500", "10", "5000", "objects in one answer to a list"),
    SETTING("stall", DURATION, stall_ms, "2m", "1s", "4m",
            "a watch on which nothing came for so long is begun anew; API servers send a bookmark each minute, and "
            "where one sends "
            "none, it is asked to end its watches before this"),
    SETTING("relist", DURATION, relist_ms, "6h", "1m", "7d",
            "behind at most so long, and at least three quarters of it, all is listed anew whatever was heard: the "
            "last guard "
            "against a watch that left something out"),
    SETTING("stale", DURATION, stale_ms, "1m", "1s", "1h",
            "without a working watch for so long, what is known of the resource is stale and its health unknown"),
};
#undef SETTING
const struct setting_table kube_cluster_table = SETTING_TABLE("kubernetes", struct kube_cluster_settings, cluster_rows);

/* RFC 1123 labels, as namespaces have to be. */
static bool is_label(slice text) {
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t c = text.data[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!letter && (c != '-' || i == 0 || i + 1 == text.size)) return false;
    }
    return text.size > 0 && text.size <= 63;
}

static bool is_node_name(slice text) {
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t c = text.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.')) return false;
    }
    return true;
}

void kube_settings_check(struct settings *read, const struct kube_cluster_settings *clusters, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct kube_cluster_settings *cluster = &clusters[i];
        for (size_t j = 0; j < i; j++)
            if (slice_equal(cluster->cluster_id, clusters[j].cluster_id))
                settings_mistake(read, &cluster->cluster_id, "there is a cluster '%.*s' already",
                                 SLICE_ARG(cluster->cluster_id));
        for (size_t j = 0; j < cluster->namespaces.count; j++)
            if (!is_label(cluster->namespaces.items[j]))
                settings_mistake(read, &cluster->namespaces, "'%.*s' is no name of a namespace",
                                 SLICE_ARG(cluster->namespaces.items[j]));
        if (!is_node_name(cluster->node)) settings_mistake(read, &cluster->node, "is no name of a node");
        if (cluster->context.size && !cluster->kubeconfig.size)
            settings_mistake(read, &cluster->context, "a context needs a kubeconfig");
    }
}
