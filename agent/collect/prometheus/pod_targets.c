/* SPDX-License-Identifier: Apache-2.0
 * From an object to its targets. A target's name is its pod, port and path, so that a pod that two monitors or two
 * Services name is scraped, and counted, once. */
#include "agent/collect/prometheus/pod_targets.h"

#include "agent/collect/prometheus/monitor_parts.h"
#include "agent/collect/prometheus/pod_ports.h"
#include "common/base/checksum.h"

#include <arpa/inet.h>
#include <stdio.h>

fault_code pod_address_check(slice address, bool local_allowed, struct fault *reterr) {
    char text[INET6_ADDRSTRLEN];
    struct in_addr four;
    struct in6_addr six;
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(slice_first(address, sizeof text - 1)));
    const bool is_four = address.size < sizeof text && inet_pton(AF_INET, text, &four) == 1;
    const bool is_six = !is_four && address.size < sizeof text && inet_pton(AF_INET6, text, &six) == 1;
    if (!is_four && !is_six) return fault_set(reterr, FAULT_INPUT, "'%s' is no address", text);
    if (is_six && IN6_IS_ADDR_V4MAPPED(&six)) memcpy(&four, six.s6_addr + 12, 4);
    const bool as_four = is_four || IN6_IS_ADDR_V4MAPPED(&six);
    const uint32_t host = as_four ? ntohl(four.s_addr) : 0;
    const bool loopback = as_four ? host >> 24 == 127 : IN6_IS_ADDR_LOOPBACK(&six);
    const bool link_local = as_four ? host >> 16 == 0xa9fe : IN6_IS_ADDR_LINKLOCAL(&six);
    /* Also of metadata services. */
    const bool other =
        as_four ? host == 0 || host >> 28 >= 0xe : IN6_IS_ADDR_UNSPECIFIED(&six) || IN6_IS_ADDR_MULTICAST(&six);
    if (other || ((loopback || link_local) && !local_allowed))
        return fault_set(reterr, FAULT_DENIED, "the address %s is never scraped: it is %s", text,
                         loopback     ? "loopback"
                         : link_local ? "link-local"
                                      : "no single host's");
    return FAULT_NONE;
}

static slice entry_of(const KubeMeta *meta, bool annotation, slice prefix, const char *name) {
    const size_t size = strlen(name);
    if (annotation) {
        for (size_t i = 0; i < meta->annotations.count; i++) {
            const slice key = meta->annotations.items[i].key;
            if (key.size == prefix.size + size && slice_starts_with(key, prefix) &&
                memcmp(key.data + prefix.size, name, size) == 0)
                return meta->annotations.items[i].value;
        }
    }
    return (slice){0};
}

bool pod_has_labels(const KubeMeta *meta, const struct setting_map *labels) {
    for (size_t l = 0; l < labels->count; l++) {
        bool found = false;
        for (size_t i = 0; i < meta->labels.count; i++)
            found |= slice_equal(meta->labels.items[i].key, labels->items[l].key) &&
                     slice_equal(meta->labels.items[i].value, labels->items[l].value);
        if (!found) return false;
    }
    return true;
}

/* ---- one target ---- */

struct candidate {
    slice namespace, pod, address, uid;
    slice scheme, path;
    int32_t port;
    int64_t interval_ms, timeout_ms;
    bool ending;
};

static bool path_is_good(slice path) {
    if (path.size == 0 || path.size > POD_PATH_BYTES || path.data[0] != '/') return false;
    for (size_t i = 0; i < path.size; i++)
        if (path.data[i] <= ' ' || path.data[i] >= 0x7f || path.data[i] == '#' || path.data[i] == '\\') return false;
    return true;
}

static fault_code candidate_check(const struct discovery_settings *settings, const struct candidate *c,
                                  struct fault *reterr) {
    if (c->port < 1 || c->port > 65535) return fault_set(reterr, FAULT_INPUT, "port %d is none", (int)c->port);
    if (!slice_equal_text(c->scheme, "http") && !slice_equal_text(c->scheme, "https"))
        return fault_set(reterr, FAULT_INPUT, "scheme '%.*s' is neither http nor https",
                         SLICE_ARG(slice_first(c->scheme, 40)));
    if (!path_is_good(c->path))
        return fault_set(reterr, FAULT_INPUT, "path '%.*s' must hold no blanks, '#' or '\\', and be at most 512 bytes",
                         SLICE_ARG(slice_first(c->path, 60)));
    return pod_address_check(c->address, settings->local_addresses, reterr);
}

/* What is too long keeps its beginning, and a hash of the whole. */
static void write_name(char *text, const struct candidate *c) {
    const bool usual = slice_equal_text(c->path, "/metrics");
    const slice path = usual ? (slice){0} : c->path;
    char whole[1024];
    const int size = snprintf(whole, sizeof whole, "%.*s/%.*s:%d%.*s", SLICE_ARG(c->namespace), SLICE_ARG(c->pod),
                              (int)c->port, SLICE_ARG(path));
    const slice all = slice_of(whole, size < (int)sizeof whole ? (size_t)size : sizeof whole - 1);
    if (all.size <= TARGET_NAME_BYTES) {
        memcpy(text, whole, all.size + 1);
        return;
    }
    snprintf(text, TARGET_NAME_BYTES + 1, "%.*s~%016llx", TARGET_NAME_BYTES - 17, whole,
             (unsigned long long)hash_bytes(all, 1));
}

static void skip(struct pod_target_list *list, const struct candidate *c, const struct fault *fault) {
    list->skipped++;
    list->why = *fault;
    (void)fault_wrap(&list->why, "%.*s/%.*s", SLICE_ARG(slice_first(c->namespace, 63)),
                     SLICE_ARG(slice_first(c->pod, 100)));
}

/* A scheme is one in any letters (RFC 3986, 3.1), and a path without '/' is one behind it, as for Prometheus. The text is
 * the caller's, and lives as long as what is returned. */
struct spelling {
    char scheme[8], path[POD_PATH_BYTES + 2];
};
static struct candidate spelt(const struct candidate *from, struct spelling *text) {
    struct candidate c = *from;
    if (c.scheme.size < sizeof text->scheme) {
        for (size_t i = 0; i < c.scheme.size; i++)
            text->scheme[i] =
                (char)(c.scheme.data[i] | (c.scheme.data[i] >= 'A' && c.scheme.data[i] <= 'Z' ? 0x20 : 0));
        c.scheme = slice_of(text->scheme, c.scheme.size);
    }
    if (c.path.size && c.path.data[0] != '/' && c.path.size <= POD_PATH_BYTES) {
        text->path[0] = '/';
        memcpy(text->path + 1, c.path.data, c.path.size);
        c.path = slice_of(text->path, c.path.size + 1);
    }
    return c;
}

static void add(const struct discovery_settings *settings, const struct candidate *asked,
                struct pod_target_list *list) {
    struct fault fault;
    struct spelling text;
    const struct candidate one = spelt(asked, &text), *const c = &one;
    char name[TARGET_NAME_BYTES + 1];
    if (candidate_check(settings, c, &fault)) {
        skip(list, c, &fault);
        return;
    }
    write_name(name, c);
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->all[i].name, name) == 0) return;
    if (list->count == POD_TARGETS_MAX) {
        (void)fault_set(&fault, FAULT_LIMIT, "more than %d targets in one object", POD_TARGETS_MAX);
        skip(list, c, &fault);
        return;
    }
    struct pod_target *const target = &list->all[list->count++];
    const bool six = memchr(c->address.data, ':', c->address.size) != NULL;
    *target = (struct pod_target){.incarnation = hash_bytes(c->uid, 1) >> 1, /* never UINT64_MAX */
                                  .interval_ms = c->interval_ms,
                                  .timeout_ms = c->timeout_ms,
                                  .ending = c->ending};
    memcpy(target->name, name, sizeof name);
    snprintf(target->url, sizeof target->url, "%.*s://%s%.*s%s:%d%.*s", SLICE_ARG(c->scheme), six ? "[" : "",
             SLICE_ARG(c->address), six ? "]" : "", (int)c->port, SLICE_ARG(c->path));
}

/* ---- pods ---- */

static bool pod_counts(const struct discovery_settings *settings, slice node, const KubePod *pod) {
    if (!pod->has_metadata || !pod->has_status || !pod->has_spec) return false;
    if (!slice_equal_text(pod->status.phase, "Running") || pod->status.pod_ip.size == 0) return false;
    if (pod->spec.host_network && !settings->host_network) return false;
    return node.size == 0 || slice_equal(node, pod->spec.node_name);
}

static struct candidate pod_candidate(const KubePod *pod) {
    return (struct candidate){.namespace = pod->metadata.namespace,
                              .pod = pod->metadata.name,
                              .address = pod->status.pod_ip,
                              .uid = pod->metadata.uid,
                              .scheme = SLICE_LIT("http"),
                              .path = SLICE_LIT("/metrics"),
                              .ending = pod->metadata.has_deletion_timestamp};
}

static bool port_number(slice text, int32_t *ret_port) {
    int32_t port = 0;
    if (text.size == 0 || text.size > 5) return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        port = port * 10 + (text.data[i] - '0');
    }
    *ret_port = port;
    return true;
}

void pod_targets_annotated(const struct discovery_settings *settings, slice node, const KubePod *pod,
                           struct pod_target_list *list) {
    const KubeMeta *const meta = &pod->metadata;
    const slice prefix = settings->annotations;
    if (!pod_counts(settings, node, pod) || !slice_equal_text(entry_of(meta, true, prefix, "scrape"), "true") ||
        !pod_has_labels(meta, &settings->labels))
        return;
    struct candidate c = pod_candidate(pod);
    const slice port = entry_of(meta, true, prefix, "port"), path = entry_of(meta, true, prefix, "path"),
                scheme = entry_of(meta, true, prefix, "scheme");
    if (path.size) c.path = path;
    if (scheme.size) c.scheme = scheme;
    if (port.size) {
        struct fault fault;
        if (port_number(port, &c.port)) {
            add(settings, &c, list);
            return;
        }
        (void)fault_set(&fault, FAULT_INPUT, "port '%.*s' is none", SLICE_ARG(slice_first(port, 40)));
        skip(list, &c, &fault);
        return;
    }
    size_t cursor = 0;
    for (const KubeContainerPort *one; (one = pod_next_port(pod, &cursor));) {
        c.port = one->container_port;
        add(settings, &c, list);
    }
}

static void endpoint_times(const struct monitor_endpoint *endpoint, struct candidate *c) {
    if (endpoint->path.size) c->path = endpoint->path;
    if (endpoint->scheme.size) c->scheme = endpoint->scheme;
    c->interval_ms = endpoint->interval_ms;
    c->timeout_ms = endpoint->timeout_ms;
}

void pod_targets_monitored(const struct discovery_settings *settings, slice node, struct monitor *monitor,
                           const KubePod *pod, struct pod_target_list *list) {
    if (!pod_counts(settings, node, pod) || !monitor_selects(monitor, &pod->metadata)) return;
    for (size_t e = 0; e < monitor->endpoints_count; e++) {
        struct monitor_endpoint *const endpoint = &monitor->endpoints[e];
        const slice name = endpoint->port.size ? endpoint->port : endpoint->target;
        struct candidate c = pod_candidate(pod);
        endpoint_times(endpoint, &c);
        endpoint->tried = true;
        size_t cursor = 0;
        for (const KubeContainerPort *one; (one = pod_next_port(pod, &cursor));) {
            const bool named = name.size && slice_equal(one->name, name);
            c.port = one->container_port;
            if (!named && !(endpoint->number && endpoint->number == one->container_port)) continue;
            endpoint->found = true;
            add(settings, &c, list);
        }
    }
}

/* ---- endpoint slices ---- */

static void slice_endpoint(const struct discovery_settings *settings, struct monitor_endpoint *endpoint,
                           const KubeEndpointSlice *from, const KubeEndpoint *one, struct pod_ports *ports,
                           struct pod_target_list *list) {
    const KubeEndpointConditions *const conditions = &one->conditions;
    const bool is_pod = one->has_target_ref && slice_equal_text(one->target_ref.kind, "Pod");
    struct candidate c = {.namespace = from->metadata.namespace,
                          .pod = is_pod ? one->target_ref.name : one->addresses.items[0],
                          .address = one->addresses.items[0],
                          .uid = is_pod ? one->target_ref.uid : one->addresses.items[0],
                          .scheme = SLICE_LIT("http"),
                          .path = SLICE_LIT("/metrics"),
                          .ending = one->has_conditions && conditions->has_terminating && conditions->terminating};
    endpoint_times(endpoint, &c);
    endpoint->tried = true;
    bool found = false;
    for (size_t p = 0; p < from->ports.count; p++) {
        const KubeEndpointPort *const port = &from->ports.items[p];
        if (!port->has_port || !pod_port_is_tcp(port->protocol)) continue;
        const bool named = endpoint->port.size && slice_equal(port->name, endpoint->port);
        if (!named && !(endpoint->number && endpoint->number == port->port)) continue;
        c.port = port->port;
        found = true;
        add(settings, &c, list);
    }
    size_t cursor = 0;
    while (!found && !endpoint->port.size && is_pod && ports &&
           pod_ports_next(ports, one->target_ref.uid, endpoint->target, endpoint->number, &cursor, &c.port)) {
        endpoint->found = true;
        add(settings, &c, list);
    }
    endpoint->found = endpoint->found || found;
}

void slice_targets_monitored(const struct discovery_settings *settings, slice node, struct monitor *monitor,
                             const KubeEndpointSlice *slice_object, struct pod_ports *ports,
                             struct pod_target_list *list) {
    if (!slice_object->has_metadata || slice_equal_text(slice_object->address_type, "FQDN") ||
        !monitor_selects(monitor, &slice_object->metadata))
        return;
    for (size_t i = 0; i < slice_object->endpoints.count; i++) {
        const KubeEndpoint *const one = &slice_object->endpoints.items[i];
        if (one->addresses.count == 0 || (node.size && !slice_equal(one->node_name, node))) continue;
        for (size_t e = 0; e < monitor->endpoints_count; e++)
            slice_endpoint(settings, &monitor->endpoints[e], slice_object, one, ports, list);
    }
}
