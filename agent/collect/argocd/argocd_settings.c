/* SPDX-License-Identifier: Apache-2.0
 * One table for both ways in: what a way does not use is said by its help. An item says by `kubernetes` or `url` which way
 * it is. */
#include "agent/collect/argocd/argocd_settings.h"

#include "common/base/text.h"

static const struct setting_row argocd_rows[] = {
    SETTING_ROW(struct argocd_settings, "name", TEXT, name, "argocd", "1", "40",
                "what the log calls it, [A-Za-z0-9._-]; unique"),
    SETTING_ROW(struct argocd_settings, "kubernetes", TEXT, kubernetes, "", NULL, "128",
                "cluster_id of an item of `kubernetes`: its Application objects are watched; or else"),
    SETTING_ROW(struct argocd_settings, "url", TEXT, url, "", "1", "2048",
                "Argo CD's own API, such as https://argocd.example.com"),
    ACCESS_ROWS(struct argocd_settings),
    SETTING_ROW(struct argocd_settings, "stream", BOOL, stream, "true", NULL, NULL,
                "url: hear changes as they happen; false: ask for a list at each poll_interval"),
    SETTING_ROW(struct argocd_settings, "poll_interval", DURATION, poll_ms, "30s", "1s", "5m",
                "url: time between two lists, where there is no stream"),
    SETTING_ROW(struct argocd_settings, "timeout", DURATION, timeout_ms, "20s", "1s", "5m", "url: for a whole list"),
    SETTING_TEXTS(struct argocd_settings, "namespaces", namespaces, 64,
                  "only Application objects in these namespaces; none: all"),
    SETTING_TEXTS(struct argocd_settings, "projects", projects, 64,
                  "url: only Applications of these projects; none: all"),
    SETTING_ROW(struct argocd_settings, "cluster_id", TEXT, cluster_id, "", NULL, "128",
                "cluster that this Argo CD runs in, [A-Za-z0-9._-]; without it `kubernetes`, or agent.cluster_id"),
    SETTING_ROW(struct argocd_settings, "environment_id", TEXT, environment_id, "", NULL, "128",
                "environment of Applications whose label does not say it, [A-Za-z0-9._-]; without it "
                "agent.environment_id"),
    SETTING_ROW(struct argocd_settings, "environment_label", TEXT, environment_label, "", NULL, "317",
                "label of an Application that says its environment"),
    SETTING_MAP(struct argocd_settings, "environments", environments, 64,
                "the label's value to an environment_id; what is not here is taken as it is"),
    SETTING_MAP(struct argocd_settings, "clusters", clusters, 256,
                "an Application's destination, by its name or its server, to a cluster_id; without it the name, or "
                "the server's host"),
    SETTING_ROW(struct argocd_settings, "stale", DURATION, stale_ms, "2m", "1s", "1h",
                "all are unknown when nothing is known for so long"),
    SETTING_ROW(struct argocd_settings, "heartbeat", DURATION, heartbeat_ms, "5m", "1s", "1d",
                "each is reported at least so often, also without a change"),
    SETTING_ROW(struct argocd_settings, "debounce", DURATION, debounce_ms, "1s", "0s", "1m",
                "changes within this time are one report of a fleet"),
    SETTING_ROW(struct argocd_settings, "applications_max", INT, applications_max, "5000", "1", "50000",
                "kept; those beyond are counted as unknown"),
    SETTING_ROW(struct argocd_settings, "object_bytes_max", BYTES, object_bytes_max, "1MiB", "16KiB", "16MiB",
                "url: a larger Application is passed over, and said"),
};
const struct setting_table argocd_table = SETTING_TABLE("argocd", struct argocd_settings, argocd_rows);

static bool is_id(slice text) {
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t c = text.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
              c == '-'))
            return false;
    }
    return true;
}

static void check_ids(struct settings *read, const struct argocd_settings *item) {
    const slice *const ids[] = {&item->name, &item->cluster_id, &item->environment_id};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (!is_id(*ids[i])) settings_mistake(read, ids[i], "may have A-Z, a-z, 0-9, '.', '_' and '-' only");
    const struct setting_map *const maps[] = {&item->environments, &item->clusters};
    for (size_t m = 0; m < 2; m++)
        for (size_t i = 0; i < maps[m]->count; i++) {
            const slice value = maps[m]->items[i].value;
            if (!is_id(value) || !value.size || value.size > 128)
                settings_mistake(read, maps[m],
                                 "'%.*s' is no id: 1 to 128 characters of A-Z, a-z, 0-9, '.', '_' and '-'",
                                 SLICE_ARG(value));
        }
}

static void check_way(struct settings *read, const struct argocd_settings *item,
                      const struct kube_cluster_settings *clusters, size_t clusters_count) {
    if (!item->kubernetes.size == !item->url.size) settings_mistake(read, item, "give one of kubernetes and url");
    if (item->url.size && !text_is_http_url(item->url))
        settings_mistake(read, &item->url, "must begin with http:// or https:// and a host, and hold no blanks");
    if (item->url.size && !item->access.bearer_token.size && !item->access.bearer_token_file.size &&
        !item->access.username.size)
        settings_mistake(read, item, "Argo CD wants to know who asks: give auth.bearer_token_file, or auth.username");
    bool known = !item->kubernetes.size;
    for (size_t i = 0; i < clusters_count; i++) known |= slice_equal(item->kubernetes, clusters[i].cluster_id);
    if (!known)
        settings_mistake(read, &item->kubernetes, "no item of `kubernetes` has the cluster_id '%.*s'",
                         SLICE_ARG(item->kubernetes));
    access_settings_check(read, &item->access);
}

void argocd_settings_check(struct settings *read, const struct argocd_settings *items, size_t count,
                           const struct kube_cluster_settings *clusters, size_t clusters_count,
                           slice agent_environment) {
    for (size_t i = 0; i < count; i++) {
        const struct argocd_settings *const item = &items[i];
        for (size_t other = 0; other < i; other++)
            if (slice_equal(item->name, items[other].name)) {
                settings_mistake(read, item, "another item is called '%.*s' already: give each its name",
                                 SLICE_ARG(item->name));
                break;
            }
        check_ids(read, item);
        check_way(read, item, clusters, clusters_count);
        if (!item->environment_id.size && !agent_environment.size)
            settings_mistake(read, item,
                             "give agent.environment_id, or environment_id here: a fleet is of one environment");
        if (item->heartbeat_ms < item->debounce_ms)
            settings_mistake(read, &item->heartbeat_ms, "is shorter than debounce");
    }
}
