/* SPDX-License-Identifier: Apache-2.0
 * A destination names its cluster by a name or by the API server's URL, never by both; Argo CD's own cluster has a name and
 * a URL that are the same everywhere. */
#include "agent/collect/argocd/argocd_place.h"

static bool in_map(const struct setting_map *map, slice key, slice *ret_value) {
    for (size_t i = 0; i < map->count; i++)
        if (slice_equal(map->items[i].key, key)) {
            *ret_value = map->items[i].value;
            return true;
        }
    return false;
}

static void as_id(slice text, const char *otherwise, char *ret_id) {
    size_t size = 0;
    for (; size < text.size && size < ARGOCD_PLACE_BYTES; size++) {
        const uint8_t c = text.data[size];
        const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                          c == '_' || c == '-';
        ret_id[size] = fits ? (char)c : '-';
    }
    ret_id[size] = '\0';
    if (!size) memcpy(ret_id, otherwise, strlen(otherwise) + 1);
}

static slice host_of(slice url) {
    for (size_t i = 0; i + 2 < url.size; i++)
        if (!memcmp(url.data + i, "://", 3)) {
            url = slice_from(url, i + 3);
            break;
        }
    const uint8_t *const slash = url.size ? memchr(url.data, '/', url.size) : NULL;
    return slash ? slice_first(url, (size_t)(slash - url.data)) : url;
}

static slice environment_of(const struct argocd_settings *settings, slice environment,
                            const KubeApplication *application) {
    for (size_t i = 0; settings->environment_label.size && i < application->metadata.labels.count; i++) {
        const KubeMeta_LabelsEntry *const label = &application->metadata.labels.items[i];
        if (!slice_equal(label->key, settings->environment_label) || !label->value.size) continue;
        environment = label->value;
        (void)in_map(&settings->environments, label->value, &environment);
        break;
    }
    return environment;
}

void argocd_place(const struct argocd_settings *settings, slice own_cluster, slice environment,
                  const KubeApplication *application, struct argocd_place *ret_place) {
    as_id(environment_of(settings, environment, application), "default", ret_place->environment);
    const slice name = application->spec.destination.name, server = application->spec.destination.server;
    slice cluster = {0};
    if (!in_map(&settings->clusters, name.size ? name : server, &cluster)) {
        const bool own = (!name.size && !server.size) || slice_equal_text(name, "in-cluster") ||
                         slice_equal_text(server, "https://kubernetes.default.svc");
        cluster = own ? own_cluster : name.size ? name : host_of(server);
    }
    as_id(cluster, "unknown", ret_place->cluster);
}
