/* SPDX-License-Identifier: Apache-2.0
 * One entry a port, in no order: they are looked through only for endpoints that give a targetPort. A pod and the slice
 * that names it come by two watches; who asked for a pod that came later is told (`changed`), by the hash of its uid. */
#include "agent/collect/prometheus/pod_ports.h"

#include "common/base/checksum.h"

#include <stdio.h>
#include <stdlib.h>

enum { SCOPES_MAX = 17, MISSED_MAX = 256, NAMESPACE_BYTES = 64, WHY_BYTES = 200, FIRST_ROOM = 64 };

struct entry {
    uint64_t uid, namespace; /* hashes */
    int32_t number;
    uint8_t round;
    char name[POD_PORT_NAME_BYTES + 1];
};

struct scope {
    char namespace[NAMESPACE_BYTES];
    enum kube_watch_state state;
    uint8_t round;
    bool begun, whole;
    char why[WHY_BYTES];
};

struct pod_ports {
    struct kube_cluster *cluster;
    struct pod_ports_calls calls;
    struct kube_listener *listener;
    struct entry *all;
    size_t count, room, beyond;
    bool asked;
    uint64_t missed[MISSED_MAX]; /* uids that were asked for in vain; the oldest give way */
    size_t missed_count;
    struct scope scopes[SCOPES_MAX];
    size_t scopes_count;
};

struct pod_ports *pod_ports_new(struct kube_cluster *cluster, const struct pod_ports_calls *calls) {
    struct pod_ports *const ports = calloc(1, sizeof *ports);
    if (!ports) return NULL;
    ports->cluster = cluster;
    ports->calls = *calls;
    return ports;
}

struct pod_ports *pod_ports_free(struct pod_ports *ports) {
    if (!ports) return NULL;
    kube_watch_unlisten(ports->listener);
    free(ports->all);
    free(ports);
    return NULL;
}

static uint64_t hash_of(slice text) {
    return hash_bytes(text, 1);
}

static bool is_wanted(const struct entry *entry, slice name, int32_t number) {
    return name.size ? slice_equal_text(name, entry->name) : entry->number == number;
}

bool pod_ports_next(struct pod_ports *ports, slice uid, slice name, int32_t number, size_t *cursor, int32_t *ret_port) {
    const uint64_t hash = hash_of(uid);
    const bool first = *cursor == 0;
    ports->asked = true;
    for (size_t i = *cursor; i < ports->count; i++) {
        if (ports->all[i].uid != hash || !is_wanted(&ports->all[i], name, number)) continue;
        *cursor = i + 1;
        *ret_port = ports->all[i].number;
        return true;
    }
    *cursor = ports->count;
    if (first) ports->missed[ports->missed_count++ % MISSED_MAX] = hash;
    return false;
}

static bool was_missed(const struct pod_ports *ports, uint64_t uid) {
    const size_t count = ports->missed_count < MISSED_MAX ? ports->missed_count : MISSED_MAX;
    for (size_t i = 0; i < count; i++)
        if (ports->missed[i] == uid) return true;
    return ports->missed_count > MISSED_MAX; /* perhaps */
}

static size_t drop(struct pod_ports *ports, uint64_t uid) {
    const size_t before = ports->count;
    for (size_t i = ports->count; i-- > 0;)
        if (ports->all[i].uid == uid) ports->all[i] = ports->all[--ports->count];
    return before - ports->count;
}

static void keep(struct pod_ports *ports, const KubePod *pod, const KubeContainerPort *port, uint8_t round) {
    if (ports->count == ports->room && ports->room < POD_PORTS_MAX) {
        const size_t room = ports->room ? 2 * ports->room : FIRST_ROOM;
        struct entry *const all = reallocarray(ports->all, room, sizeof *all);
        if (all) {
            ports->all = all;
            ports->room = room;
        }
    }
    if (ports->count == ports->room) {
        ports->beyond++;
        return;
    }
    struct entry *const entry = &ports->all[ports->count++];
    *entry = (struct entry){.uid = hash_of(pod->metadata.uid),
                            .namespace = hash_of(pod->metadata.namespace),
                            .number = port->container_port,
                            .round = round};
    snprintf(entry->name, sizeof entry->name, "%.*s", SLICE_ARG(slice_first(port->name, POD_PORT_NAME_BYTES)));
}

bool pod_port_is_tcp(slice protocol) {
    return protocol.size == 0 || slice_equal_text(protocol, "TCP");
}

const KubeContainerPort *pod_next_port(const KubePod *pod, size_t *cursor) {
    size_t at = 0;
    for (int pass = 0; pass < 2; pass++) {
        const KubeContainer *const containers = pass ? pod->spec.init_containers.items : pod->spec.containers.items;
        const size_t count = pass ? pod->spec.init_containers.count : pod->spec.containers.count;
        for (size_t i = 0; i < count; i++) {
            if (pass && !slice_equal_text(containers[i].restart_policy, "Always")) continue;
            for (size_t p = 0; p < containers[i].ports.count; p++, at++)
                if (at == *cursor) {
                    (*cursor)++;
                    if (pod_port_is_tcp(containers[i].ports.items[p].protocol)) return &containers[i].ports.items[p];
                }
        }
    }
    return NULL;
}

void pod_ports_take(struct pod_ports *ports, const KubePod *pod, uint8_t round) {
    const uint64_t uid = hash_of(pod->metadata.uid);
    const size_t before = drop(ports, uid);
    size_t cursor = 0, kept = 0;
    for (const KubeContainerPort *port; (port = pod_next_port(pod, &cursor));) {
        if (!ports->calls.wanted(ports->calls.context, port->name, port->container_port)) continue;
        keep(ports, pod, port, round);
        kept++;
    }
    if (kept && !before && was_missed(ports, uid)) ports->calls.changed(ports->calls.context, true);
}

/* ---- what the watch says ---- */

static struct scope *scope_of(struct pod_ports *ports, slice namespace) {
    for (size_t i = 0; i < ports->scopes_count; i++)
        if (slice_equal_text(namespace, ports->scopes[i].namespace)) return &ports->scopes[i];
    if (ports->scopes_count == SCOPES_MAX || namespace.size >= NAMESPACE_BYTES) return NULL;
    struct scope *const scope = &ports->scopes[ports->scopes_count++];
    *scope = (struct scope){0};
    snprintf(scope->namespace, sizeof scope->namespace, "%.*s", SLICE_ARG(namespace));
    return scope;
}

static void on_list_begins(void *context, const struct kube_scope *from, uint8_t round) {
    struct scope *const scope = scope_of(context, from->namespace);
    if (!scope) return;
    scope->round = round;
    scope->begun = true;
}

static void on_object(void *context, const struct kube_object *object) {
    if (!object->partial) pod_ports_take(context, object->message, object->round);
}

static void on_deleted(void *context, const struct kube_object *object) {
    (void)drop(context, hash_of(object->meta->uid));
}

static void on_list_ends(void *context, const struct kube_scope *from, uint8_t round) {
    struct pod_ports *const ports = context;
    struct scope *const scope = scope_of(ports, from->namespace);
    if (!scope || !scope->begun || scope->round != round) return;
    const bool news = !scope->whole;
    const uint64_t namespace = hash_of(from->namespace);
    scope->whole = true;
    for (size_t i = ports->count; i-- > 0;)
        if (ports->all[i].round != round && (!from->namespace.size || ports->all[i].namespace == namespace))
            ports->all[i] = ports->all[--ports->count];
    if (news) ports->calls.changed(ports->calls.context, true);
}

static void on_state(void *context, const struct kube_scope *from, enum kube_watch_state state, int64_t since_ms,
                     const struct fault *why) {
    struct pod_ports *const ports = context;
    struct scope *const scope = scope_of(ports, from->namespace);
    if (!scope) return;
    const bool news = scope->state != state;
    scope->state = state;
    snprintf(scope->why, sizeof scope->why, "%s", why && why->code ? why->text : "");
    if (news) ports->calls.changed(ports->calls.context, false);
}

fault_code pod_ports_refresh(struct pod_ports *ports, struct fault *reterr) {
    const struct kube_listener_calls calls = {.list_begins = on_list_begins,
                                              .object = on_object,
                                              .deleted = on_deleted,
                                              .list_ends = on_list_ends,
                                              .state = on_state,
                                              .context = ports};
    if (!ports->asked || !ports->cluster) return FAULT_NONE;
    ports->listener = kube_watch_unlisten(ports->listener);
    ports->beyond = ports->missed_count = ports->scopes_count = 0; /* what is kept is right until the list ends */
    return kube_watch_listen(ports->cluster, KUBE_PODS, &calls, &ports->listener, reterr);
}

bool pod_ports_settled(const struct pod_ports *ports) {
    if (!ports->asked) return true;
    if (!ports->listener || !ports->scopes_count) return false;
    for (size_t i = 0; i < ports->scopes_count; i++)
        if (!ports->scopes[i].whole && ports->scopes[i].state == KUBE_WATCH_LISTING) return false;
    return true;
}

bool pod_ports_dark(const struct pod_ports *ports, char *ret_why, size_t why_bytes) {
    if (!ports->asked) return false;
    for (size_t i = 0; i < ports->scopes_count; i++) {
        const struct scope *const scope = &ports->scopes[i];
        if (scope->whole && scope->state == KUBE_WATCH_FRESH) continue;
        snprintf(ret_why, why_bytes, "a targetPort needs the ports of pods: %s",
                 scope->why[0] ? scope->why : "pods are being read");
        return true;
    }
    if (!ports->scopes_count)
        snprintf(ret_why, why_bytes, "a targetPort needs the ports of pods: pods are being read");
    else if (ports->beyond)
        snprintf(ret_why, why_bytes, "%zu ports of pods that a targetPort names are more than the %d that are kept",
                 ports->beyond, POD_PORTS_MAX);
    return !ports->scopes_count || ports->beyond;
}
