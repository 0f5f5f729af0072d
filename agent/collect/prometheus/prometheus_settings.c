/* SPDX-License-Identifier: Apache-2.0
 * The names of both lists are those of groups of targets, so they are unique over both. */
#include "agent/collect/prometheus/prometheus_settings.h"

#include "common/base/selector_syntax.h"
#include "common/base/text.h"

static const char *const mode_names[] = {"annotations", "podmonitors", "servicemonitors", NULL};
static const char *const format_names[] = {"none", "text", "openmetrics", NULL}; /* enum exposition_format */

static const struct setting_row discovery_rows[] = {
    SETTING_ROW(struct discovery_settings, "name", TEXT, name, NULL, "1", "128",
                "what SLIs call all targets that it finds; unique among targets"),
    SETTING_ROW(struct discovery_settings, "cluster", TEXT, cluster_id, "", NULL, "128",
                "cluster_id of an item of `kubernetes`; without it the only one"),
    SETTING_ENUM(struct discovery_settings, "mode", mode, mode_names, "annotations",
                 "where targets are named: in annotations of pods, or in PodMonitor or ServiceMonitor objects"),
    SETTING_TEXTS(struct discovery_settings, "namespaces", namespaces, 64,
                  "only targets in these; none: in all that the cluster's item has"),
    SETTING_MAP(struct discovery_settings, "labels", labels, 16, "only pods (or monitors) that have all these labels"),
    SETTING_ROW(struct discovery_settings, "annotations", TEXT, annotations, "prometheus.io/", "1", "200",
                "prefix of the annotations scrape (true), port, path and scheme of a pod"),
    SETTING_ROW(struct discovery_settings, "node", TEXT, node, "", NULL, "253",
                "only targets on this node; without it that of the cluster's item"),
    SETTING_ROW(struct discovery_settings, "targets_max", INT, targets_max, "200", "1", "10000",
                "targets at one time; those beyond it are not scraped, and said"),
    SETTING_ROW(struct discovery_settings, "interval", DURATION, interval_ms, "", "100ms", "1h",
                "time between two scrapes of one target, where no monitor says another; without it scrape.interval"),
    SETTING_ROW(struct discovery_settings, "timeout", DURATION, timeout_ms, "", "50ms", "5m",
                "for a whole scrape, the longest that a monitor may say; without it scrape.timeout"),
    SETTING_ROW(struct discovery_settings, "bytes_max", BYTES, bytes_max, "", "1KiB", "4GiB",
                "of one answer, decompressed; without it scrape.bytes_max"),
    SETTING_ENUM(struct discovery_settings, "fallback_format", fallback_format, format_names, "none",
                 "how an answer is read that names no known Content-Type; none: it is refused"),
    SETTING_ROW(struct discovery_settings, "host_network", BOOL, host_network, "true", NULL, NULL,
                "also pods on their node's own network, whose address is the node's"),
    SETTING_ROW(struct discovery_settings, "local_addresses", BOOL, local_addresses, "false", NULL, NULL,
                "also loopback and link-local addresses: for tests only"),
    ACCESS_ROWS(struct discovery_settings),
};
const struct setting_table discovery_table = SETTING_TABLE("discovery", struct discovery_settings, discovery_rows);

static const struct setting_row prometheus_api_rows[] = {
    SETTING_ROW(struct prometheus_api_settings, "name", TEXT, name, NULL, "1", "128",
                "what SLIs call all that this server knows; unique among targets"),
    SETTING_ROW(struct prometheus_api_settings, "url", TEXT, url, NULL, "1", "2000",
                "its root, before /api/v1: http:// or https://"),
    SETTING_ROW(struct prometheus_api_settings, "interval", DURATION, interval_ms, "30s", "1s", "1h",
                "time between two rounds of questions"),
    SETTING_ROW(struct prometheus_api_settings, "timeout", DURATION, timeout_ms, "20s", "100ms", "5m",
                "for a whole round; no longer than the interval"),
    SETTING_ROW(struct prometheus_api_settings, "fresh", DURATION, fresh_ms, "1m", "1s", "1h",
                "a sample that is older was not seen: the server's own scrape interval and a little more"),
    SETTING_ROW(
        struct prometheus_api_settings, "settle", DURATION, settle_ms, "2s", "0s", "5m",
        "it is asked so long after each slot, for the moment of the slot: until then its own scrapes are stored"),
    SETTING_ROW(struct prometheus_api_settings, "bytes_max", BYTES, bytes_max, "64MiB", "1KiB", "1GiB",
                "of one answer; it is never held in memory"),
    SETTING_ROW(struct prometheus_api_settings, "instances_max", INT, instances_max, "200", "1", "10000",
                "pairs of job and instance whose series SLIs select; those beyond it are not counted, and said"),
    SETTING_ROW(struct prometheus_api_settings, "up", TEXT, up, "up", "1", "4096",
                "selector of the series that say which instances the server could scrape"),
    ACCESS_ROWS(struct prometheus_api_settings),
};
const struct setting_table prometheus_api_table =
    SETTING_TABLE("prometheus_api", struct prometheus_api_settings, prometheus_api_rows);

static void check_namespaces(struct settings *read, const struct discovery_settings *discovery) {
    for (size_t i = 0; i < discovery->namespaces.count; i++) {
        const slice name = discovery->namespaces.items[i];
        bool good = name.size >= 1 && name.size <= 63;
        for (size_t at = 0; at < name.size; at++) {
            const uint8_t c = name.data[at];
            good &= (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
        }
        if (!good)
            settings_mistake(read, &discovery->namespaces, "'%.*s' is no namespace (a-z, 0-9 and '-', at most 63)",
                             SLICE_ARG(slice_first(name, 100)));
    }
}

static void check_api(struct settings *read, const struct prometheus_api_settings *api) {
    if (api->url.size && (!text_is_http_url(api->url) || memchr(api->url.data, '?', api->url.size)))
        settings_mistake(read, &api->url, "must begin with http:// or https:// and a host, and have no query");
    if (api->timeout_ms > api->interval_ms) settings_mistake(read, &api->timeout_ms, "is longer than the interval");
    if (api->settle_ms >= api->timeout_ms)
        settings_mistake(read, &api->settle_ms, "leaves no time to ask: it must be shorter than the timeout");
    if (api->fresh_ms < api->interval_ms)
        settings_mistake(read, &api->fresh_ms,
                         "is shorter than the interval: samples between two rounds would be missed");
    struct selector *selector = NULL;
    struct fault fault;
    if (api->up.size && selector_parse(api->up, "", &selector, &fault))
        settings_mistake(read, &api->up, "%s", fault.text);
    selector_free(selector);
    access_settings_check(read, &api->access);
}

void prometheus_settings_check(struct settings *read, const struct discovery_settings *discoveries,
                               size_t discoveries_count, const struct prometheus_api_settings *apis,
                               size_t apis_count) {
    for (size_t i = 0; i < discoveries_count; i++) {
        const struct discovery_settings *const discovery = &discoveries[i];
        for (size_t other = 0; other < i; other++)
            if (discovery->name.size && slice_equal(discovery->name, discoveries[other].name)) {
                settings_mistake(read, &discovery->name, "another discovery is called '%.*s' already",
                                 SLICE_ARG(discovery->name));
                break;
            }
        if (discovery->timeout_ms && discovery->interval_ms && discovery->timeout_ms > discovery->interval_ms)
            settings_mistake(read, &discovery->timeout_ms, "is longer than the interval");
        check_namespaces(read, discovery);
        access_settings_check(read, &discovery->access);
    }
    for (size_t i = 0; i < apis_count; i++) {
        bool taken = false;
        for (size_t other = 0; other < i; other++) taken |= slice_equal(apis[i].name, apis[other].name);
        for (size_t other = 0; other < discoveries_count; other++)
            taken |= slice_equal(apis[i].name, discoveries[other].name);
        if (taken && apis[i].name.size)
            settings_mistake(read, &apis[i].name, "another Prometheus or discovery is called '%.*s' already",
                             SLICE_ARG(apis[i].name));
        check_api(read, &apis[i]);
    }
}
