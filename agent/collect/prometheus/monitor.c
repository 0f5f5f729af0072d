/* SPDX-License-Identifier: Apache-2.0
 * A monitor is checked once, when it comes, and what it needs is copied: everybody is then compared with that. Label
 * selectors as in apimachinery's meta/v1: all match_labels and all match_expressions must hold; an empty selector selects
 * everything. */
#include "agent/collect/prometheus/monitor_parts.h"

#include "agent/collect/prometheus/discovery.h"
#include "common/base/arena.h"

#include <stdio.h>

enum { ARENA_BYTES = 256 * 1024 };

struct parts { /* of either kind */
    const KubeMeta *meta;
    const KubeSelector *selector;
    const KubeNamespaceSelector *namespaces;
    const KubeMonitorEndpoint *endpoints;
    size_t endpoints_count;
};

static bool parts_of(enum kube_kind kind, const void *message, struct parts *ret_parts) {
    if (kind == KUBE_PODMONITORS) {
        const KubePodMonitor *const one = message;
        *ret_parts = (struct parts){&one->metadata, one->spec.has_selector ? &one->spec.selector : NULL,
                                    one->spec.has_namespace_selector ? &one->spec.namespace_selector : NULL,
                                    one->spec.pod_metrics_endpoints.items, one->spec.pod_metrics_endpoints.count};
        return one->has_metadata && one->has_spec;
    }
    const KubeServiceMonitor *const one = message;
    *ret_parts = (struct parts){&one->metadata, one->spec.has_selector ? &one->spec.selector : NULL,
                                one->spec.has_namespace_selector ? &one->spec.namespace_selector : NULL,
                                one->spec.endpoints.items, one->spec.endpoints.count};
    return one->has_metadata && one->has_spec;
}

static bool keep(struct monitor *monitor, slice text, slice *ret_text) {
    *ret_text = text.size ? arena_copy(monitor->arena, text) : (slice){0};
    return !text.size || ret_text->data;
}

static bool keep_all(struct monitor *monitor, const slice *from, size_t count, slice **ret_texts) {
    slice *const into = arena_alloc_array(monitor->arena, count + 1, sizeof *into);
    if (!into) return false;
    for (size_t i = 0; i < count; i++)
        if (!keep(monitor, from[i], &into[i])) return false;
    *ret_texts = into;
    return true;
}

static const char *const operator_names[] = {
    [MONITOR_IN] = "In", [MONITOR_NOT_IN] = "NotIn", [MONITOR_EXISTS] = "Exists", [MONITOR_ABSENT] = "DoesNotExist"};

static fault_code out_of_room(struct fault *reterr) {
    return fault_set(reterr, FAULT_LIMIT, "its selectors are more than %d bytes, or memory is out", ARENA_BYTES);
}

static fault_code take_selector(struct monitor *monitor, const KubeSelector *selector, struct fault *reterr) {
    if (!selector) return fault_set(reterr, FAULT_INPUT, "it has no selector");
    const size_t count = selector->match_labels.count + selector->match_expressions.count;
    monitor->requirements = arena_alloc_array(monitor->arena, count + 1, sizeof *monitor->requirements);
    if (!monitor->requirements) return out_of_room(reterr);
    for (size_t i = 0; i < selector->match_labels.count; i++) {
        struct monitor_requirement *const into = &monitor->requirements[monitor->requirements_count++];
        *into = (struct monitor_requirement){.operator= MONITOR_IN, .values_count = 1};
        if (!keep(monitor, selector->match_labels.items[i].key, &into->key) ||
            !keep_all(monitor, &selector->match_labels.items[i].value, 1, &into->values))
            return out_of_room(reterr);
    }
    for (size_t i = 0; i < selector->match_expressions.count; i++) {
        const KubeSelectorRequirement *const from = &selector->match_expressions.items[i];
        struct monitor_requirement *const into = &monitor->requirements[monitor->requirements_count++];
        size_t operator= 0;
        while (operator<= MONITOR_ABSENT && !slice_equal_text(from->operator, operator_names[operator])) operator++;
        if (operator> MONITOR_ABSENT)
            return fault_set(reterr, FAULT_INPUT, "operator '%.*s' is none of In, NotIn, Exists, DoesNotExist",
                             SLICE_ARG(slice_first(from->operator, 40)));
        *into = (struct monitor_requirement){.operator=(enum monitor_operator) operator,
                                             .values_count = from->values.count };
        if (!keep(monitor, from->key, &into->key) ||
            !keep_all(monitor, from->values.items, from->values.count, &into->values))
            return out_of_room(reterr);
    }
    return FAULT_NONE;
}

/* Why an endpoint cannot be scraped; NULL: it can. */
static const char *endpoint_obstacle(const KubeMonitorEndpoint *from) {
    if (from->has_basic_auth || from->has_oauth2 || from->has_authorization || from->bearer_token_file.size)
        return "needs credentials from secrets, which are not read: give the discovery's auth, and take them out there";
    if (from->proxy_url.size) return "is behind a proxy";
    if (from->has_params) return "has parameters";
    return NULL;
}

static bool digits(slice text, int32_t *ret_number) {
    int32_t number = 0;
    if (text.size == 0 || text.size > 5) return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        number = number * 10 + (text.data[i] - '0');
    }
    *ret_number = number;
    return true;
}

static bool lower_scheme(struct monitor *monitor, slice from, slice *ret_scheme) {
    if (!keep(monitor, from, ret_scheme)) return false;
    uint8_t *const text = (uint8_t *)(uintptr_t)ret_scheme->data;
    for (size_t i = 0; i < ret_scheme->size; i++)
        if (text[i] >= 'A' && text[i] <= 'Z') text[i] |= 0x20;
    return true;
}

static fault_code take_endpoint(struct monitor *monitor, const KubeMonitorEndpoint *from, struct fault *reterr) {
    const char *const obstacle = endpoint_obstacle(from);
    if (obstacle) return fault_set(reterr, FAULT_INPUT, "an endpoint %s", obstacle);
    struct monitor_endpoint into = {.number = from->port_number};
    if (!keep(monitor, from->port, &into.port) || !keep(monitor, from->path, &into.path) ||
        !lower_scheme(monitor, from->scheme, &into.scheme))
        return out_of_room(reterr);
    if (!into.port.size && !into.number && from->target_port.size && !digits(from->target_port, &into.number) &&
        !keep(monitor, from->target_port, &into.target))
        return out_of_room(reterr);
    if (!into.port.size && !into.target.size && !into.number)
        return fault_set(reterr, FAULT_INPUT, "an endpoint names no port (port, portNumber or targetPort)");
    if ((from->interval.size && setting_parse_duration(from->interval, &into.interval_ms, reterr)) ||
        (from->scrape_timeout.size && setting_parse_duration(from->scrape_timeout, &into.timeout_ms, reterr)))
        return fault_wrap(reterr, "an endpoint's interval or scrapeTimeout");
    if (into.interval_ms && (into.interval_ms < 100 || into.interval_ms > 3600 * 1000))
        return fault_set(reterr, FAULT_INPUT, "an endpoint's interval is not from 100ms to 1h");
    monitor->relabels = monitor->relabels || from->relabelings.count || from->metric_relabelings.count;
    monitor->endpoints[monitor->endpoints_count++] = into;
    return FAULT_NONE;
}

static fault_code monitor_fill(struct monitor *monitor, const struct parts *parts, struct fault *ret_note,
                               struct fault *reterr) {
    if (!keep(monitor, parts->meta->namespace, &monitor->namespace) ||
        !keep(monitor, parts->meta->name, &monitor->name) ||
        !keep(monitor, parts->meta->resource_version, &monitor->version))
        return out_of_room(reterr);
    if (parts->namespaces) {
        monitor->any_namespace = parts->namespaces->any;
        monitor->namespaces_count = parts->namespaces->match_names.count;
        if (!keep_all(monitor, parts->namespaces->match_names.items, monitor->namespaces_count, &monitor->namespaces))
            return out_of_room(reterr);
    }
    const fault_code code = take_selector(monitor, parts->selector, reterr);
    if (code) return code;
    monitor->endpoints = arena_alloc_array(monitor->arena, DISCOVERY_ENDPOINTS_MAX, sizeof *monitor->endpoints);
    if (!monitor->endpoints) return out_of_room(reterr);
    for (size_t i = 0; i < parts->endpoints_count; i++) {
        if (monitor->endpoints_count == DISCOVERY_ENDPOINTS_MAX)
            (void)fault_set(ret_note, FAULT_LIMIT, "it has more than %d endpoints", DISCOVERY_ENDPOINTS_MAX);
        else
            (void)!take_endpoint(monitor, &parts->endpoints[i], ret_note);
    }
    return FAULT_NONE;
}

fault_code monitor_new(enum kube_kind kind, const void *message, struct monitor **ret_monitor, struct fault *ret_note,
                       struct fault *reterr) {
    struct parts parts;
    struct arena *const arena = arena_new(1024, ARENA_BYTES);
    struct monitor *const monitor = arena ? arena_alloc(arena, sizeof *monitor) : NULL;
    *ret_note = (struct fault){0};
    fault_code code = monitor ? FAULT_NONE : fault_set(reterr, FAULT_SYSTEM, "out of memory");
    if (!code && !parts_of(kind, message, &parts)) code = fault_set(reterr, FAULT_INPUT, "it has no metadata or spec");
    if (!code) {
        *monitor = (struct monitor){.arena = arena};
        code = monitor_fill(monitor, &parts, ret_note, reterr);
    }
    if (code) {
        arena_free(arena);
        return code;
    }
    *ret_monitor = monitor;
    return FAULT_NONE;
}

struct monitor *monitor_free(struct monitor *monitor) {
    if (monitor) arena_free(monitor->arena);
    return NULL;
}

void monitor_forget_found(struct monitor *monitor) {
    for (size_t e = 0; e < monitor->endpoints_count; e++)
        monitor->endpoints[e].tried = monitor->endpoints[e].found = false;
}

static const struct monitor_endpoint *portless(const struct monitor *monitor) {
    for (size_t e = 0; e < monitor->endpoints_count; e++)
        if (monitor->endpoints[e].tried && !monitor->endpoints[e].found) return &monitor->endpoints[e];
    return NULL;
}

/* By relabelings nothing is unknown, but a target may be measured that Prometheus would drop, and series are called otherwise
 * there. */
void monitors_note(struct monitor *const *monitors, size_t count, char *ret_text, size_t text_bytes) {
    const struct monitor *relabelled = NULL, *without = NULL;
    size_t relabels = 0, portless_count = 0, used = 0;
    for (size_t i = 0; i < count; i++) {
        if (monitors[i]->relabels && relabels++ == 0) relabelled = monitors[i];
        if (portless(monitors[i]) && portless_count++ == 0) without = monitors[i];
    }
    ret_text[0] = '\0';
    if (without) {
        const struct monitor_endpoint *const endpoint = portless(without);
        const slice name = endpoint->port.size ? endpoint->port : endpoint->target;
        char number[16];
        snprintf(number, sizeof number, "%d", endpoint->number);
        used = (size_t)snprintf(ret_text, text_bytes, "no target has the port of %zu monitors (%.*s/%.*s: '%.*s')",
                                portless_count, SLICE_ARG(slice_first(without->namespace, 40)),
                                SLICE_ARG(slice_first(without->name, 40)),
                                SLICE_ARG(name.size ? slice_first(name, 20) : slice_from_text(number)));
    }
    if (relabelled && used < text_bytes)
        snprintf(ret_text + used, text_bytes - used,
                 "%srelabelings of %zu monitors (%.*s/%.*s) are not applied: all targets, series as exposed",
                 used ? "; " : "", relabels, SLICE_ARG(slice_first(relabelled->namespace, 63)),
                 SLICE_ARG(slice_first(relabelled->name, 63)));
}

bool monitor_wants_port(const struct monitor *monitor, slice name, int32_t number) {
    for (size_t e = 0; e < monitor->endpoints_count; e++) {
        const struct monitor_endpoint *const endpoint = &monitor->endpoints[e];
        if (endpoint->target.size ? slice_equal(endpoint->target, name) : endpoint->number == number) return true;
    }
    return false;
}

static bool requirement_holds(const struct monitor_requirement *requirement, const KubeMeta *meta) {
    const KubeMeta_LabelsEntry *found = NULL;
    for (size_t i = 0; i < meta->labels.count && !found; i++)
        if (slice_equal(meta->labels.items[i].key, requirement->key)) found = &meta->labels.items[i];
    bool among = false;
    for (size_t i = 0; i < requirement->values_count && found; i++)
        among |= slice_equal(found->value, requirement->values[i]);
    switch (requirement->operator) {
    case MONITOR_IN: return among;
    case MONITOR_NOT_IN: return !among;
    case MONITOR_EXISTS: return found != NULL;
    case MONITOR_ABSENT: return found == NULL;
    }
    return false;
}

bool monitor_selects(const struct monitor *monitor, const KubeMeta *meta) {
    bool here = monitor->any_namespace;
    if (!here && monitor->namespaces_count == 0) here = slice_equal(meta->namespace, monitor->namespace);
    for (size_t i = 0; i < monitor->namespaces_count && !here; i++)
        here = slice_equal(meta->namespace, monitor->namespaces[i]);
    for (size_t i = 0; i < monitor->requirements_count && here; i++)
        here = requirement_holds(&monitor->requirements[i], meta);
    return here;
}
