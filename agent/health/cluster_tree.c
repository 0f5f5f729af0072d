/* SPDX-License-Identifier: Apache-2.0
 * Who belongs to whom. Objects may come in any order: one that another refers to is made as a placeholder (an owner not yet
 * listed, a namespace that is not watched), which counts what belongs to it and is no more than that until it is seen. An
 * object holds on to its parent and its namespace for as long as it is there.
 *
 * A pod counts in its workload, found by its controller: a ReplicaSet that a Deployment made bears the Deployment's name
 * and the pod's label pod-template-hash (Deployments: Pod-template-hash label), so that ReplicaSets need not be watched. */
#include <stdio.h>

#include "agent/health/cluster_parts.h"

enum { OWNER_BYTES = 400 };

/* Where a placeholder and what has no owner counts. */
static uint32_t parent_by_kind(const struct cluster_state *state, const struct object *object) {
    switch ((enum cluster_kind)object->kind) {
    case CLUSTER_CLUSTER: return 0;
    case CLUSTER_NAMESPACE:
    case CLUSTER_NODE: return state->root;
    default: return object->namespace;
    }
}

/* Nothing that is no name anywhere in Kubernetes: it goes into ids and lines. */
static bool is_name(slice name) {
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] <= ' ' || name.data[i] >= 0x7f) return false;
    return name.size > 0 && name.size <= OWNER_BYTES;
}

uint32_t cluster_reach(struct cluster_state *state, enum cluster_kind kind, uint32_t namespace, slice name) {
    uint32_t number = object_find(state->objects, kind, namespace, name);
    if (number) return number;
    number = !is_name(name) ? 0 : object_add(state->objects, kind, namespace, name);
    if (!number) {
        state->stats.objects_refused++;
        return 0;
    }
    struct object *const object = object_at(state->objects, number);
    object->watch = NO_WATCH;
    object_at(state->objects, namespace)->refs++;
    object->parent = parent_by_kind(state, object);
    if (object->parent) object_at(state->objects, object->parent)->refs++;
    return number;
}

static bool ends_with(slice text, slice end) {
    return text.size > end.size && slice_equal(slice_from(text, text.size - end.size), end);
}

/* The Deployment that made a ReplicaSet; empty: nobody did, as far as the pod says. */
static slice deployment_of(const KubeMeta *pod, slice replicaset) {
    for (size_t i = 0; i < pod->labels.count; i++) {
        const slice hash = pod->labels.items[i].value;
        if (!slice_equal_text(pod->labels.items[i].key, "pod-template-hash") || !ends_with(replicaset, hash)) continue;
        const slice name = slice_first(replicaset, replicaset.size - hash.size);
        if (hash.size && name.size > 1 && name.data[name.size - 1] == '-') return slice_first(name, name.size - 1);
    }
    return (slice){0};
}

static const struct {
    const char *kind;
    enum cluster_kind owner;
} owners[] = {
    {"StatefulSet", CLUSTER_STATEFULSET}, {"DaemonSet", CLUSTER_DAEMONSET},
    {"Deployment", CLUSTER_DEPLOYMENT},   {"Job", CLUSTER_JOB},
    {"CronJob", CLUSTER_CRONJOB},
};

uint32_t cluster_parent(struct cluster_state *state, const struct object *object, const KubeMeta *meta) {
    const KubeOwner *const owner = judge_controller(meta);
    const uint32_t otherwise = parent_by_kind(state, object);
    if (!owner || (object->kind != CLUSTER_POD && object->kind != CLUSTER_JOB)) return otherwise;
    if (slice_equal_text(owner->kind, "Node")) return otherwise; /* static pods */
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++)
        if (slice_equal_text(owner->kind, owners[i].kind))
            return cluster_reach(state, owners[i].owner, object->namespace, owner->name);
    if (slice_equal_text(owner->kind, "ReplicaSet")) {
        const slice deployment = deployment_of(meta, owner->name);
        if (deployment.size) return cluster_reach(state, CLUSTER_DEPLOYMENT, object->namespace, deployment);
    }
    char name[OWNER_BYTES];
    snprintf(name, sizeof name, "%.*s/%.*s", SLICE_ARG(slice_first(owner->kind, 63)),
             SLICE_ARG(slice_first(owner->name, 253)));
    return cluster_reach(state, CLUSTER_OWNER, object->namespace, slice_from_text(name));
}

void cluster_attach(struct cluster_state *state, uint32_t number, uint32_t parent, int64_t now_ms) {
    struct object *const object = object_at(state->objects, number);
    if (object->parent == parent) return;
    const uint32_t old = object->parent;
    if (old) cluster_uncount(state, number, now_ms);
    object->parent = parent;
    if (parent) object_at(state->objects, parent)->refs++;
    if (!old) return;
    object_at(state->objects, old)->refs--;
    cluster_release(state, old, now_ms);
}

/* It is watched by name: it may well be empty. */
static bool listed(const struct cluster_state *state, const char *namespace) {
    for (size_t i = 0; i < state->watches_count; i++)
        if (strcmp(state->watches[i].namespace, namespace) == 0) return true;
    return false;
}

void cluster_release(struct cluster_state *state, uint32_t number, int64_t now_ms) {
    while (number) {
        struct object *const object = object_at(state->objects, number);
        if (object->seen || object->gone || object->restored || object->refs || number == state->root) return;
        if (object->sent_s) { /* a namespace that was never seen, and has nothing in it any more */
            if (object->kind == CLUSTER_NAMESPACE && listed(state, object->name)) return;
            object->gone = object->left_out = true; /* whether it is deleted nobody said */
            cluster_settle(state, number, now_ms);
            return;
        }
        cluster_uncount(state, number, now_ms);
        const uint32_t parent = object->parent, namespace = object->namespace;
        object_remove(state->objects, number);
        if (parent) object_at(state->objects, parent)->refs--;
        if (namespace) object_at(state->objects, namespace)->refs--;
        if (parent && parent != namespace) cluster_release(state, namespace, now_ms);
        number = parent;
    }
}
