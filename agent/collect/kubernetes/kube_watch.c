/* SPDX-License-Identifier: Apache-2.0
 * From streams to listeners: a kind that somebody listens to has one stream for each namespace of the settings, and what
 * a stream says goes to all who listen to its kind. Nothing is started or ended inside a listener's call: listening only
 * notes what is wanted, and the cluster's timer does it. */
#include "agent/collect/kubernetes/kube_watch.h"

#include <stdlib.h>

#include "agent/collect/kubernetes/kube_cluster_parts.h"
#include "agent/collect/kubernetes/kube_stream.h"
#include "common/base/clock.h"

struct kube_watch {
    struct kube_cluster *cluster;
    enum kube_kind kind;
    bool anew; /* somebody new listens */
    size_t streams_count;
    struct kube_stream *streams[];
};

const char *kube_watch_state_name(enum kube_watch_state state) {
    static const char *const names[] = {"listing", "fresh", "stale", "denied", "absent"};
    return state < KUBE_WATCH_STATES_ ? names[state] : "";
}

/* ---- to all listeners of a kind ---- */

/* Those that have not been told the state yet hear nothing before that. */
#define EACH_LISTENER(watch, listener)                                                                                 \
    for (struct kube_listener *listener = (watch)->cluster->listeners;                                                 \
         listener < (watch)->cluster->listeners + KUBE_LISTENERS_MAX; listener++)                                      \
        if (listener->used && listener->told && listener->kind == (watch)->kind)

static void all_list_begins(void *context, const struct kube_scope *scope, uint8_t round) {
    const struct kube_watch *watch = context;
    EACH_LISTENER(watch, listener)
    if (listener->calls.list_begins) listener->calls.list_begins(listener->calls.context, scope, round);
}

static void all_object(void *context, const struct kube_object *object) {
    const struct kube_watch *watch = context;
    EACH_LISTENER(watch, listener)
    if (listener->calls.object) listener->calls.object(listener->calls.context, object);
}

static void all_deleted(void *context, const struct kube_object *object) {
    const struct kube_watch *watch = context;
    EACH_LISTENER(watch, listener)
    if (listener->calls.deleted) listener->calls.deleted(listener->calls.context, object);
}

static void all_list_ends(void *context, const struct kube_scope *scope, uint8_t round) {
    const struct kube_watch *watch = context;
    EACH_LISTENER(watch, listener)
    if (listener->calls.list_ends) listener->calls.list_ends(listener->calls.context, scope, round);
}

static void all_state(void *context, const struct kube_scope *scope, enum kube_watch_state state, int64_t since_ms,
                      const struct fault *why) {
    const struct kube_watch *watch = context;
    EACH_LISTENER(watch, listener)
    if (listener->calls.state) listener->calls.state(listener->calls.context, scope, state, since_ms, why);
}

/* ---- a kind ---- */

static struct kube_watch *watch_free(struct kube_watch *watch) {
    if (!watch) return NULL;
    for (size_t i = 0; i < watch->streams_count; i++) (void)kube_stream_free(watch->streams[i]);
    free(watch);
    return NULL;
}

static struct kube_watch *watch_new(struct kube_cluster *cluster, enum kube_kind kind) {
    const struct setting_texts *namespaces = &cluster->settings.namespaces;
    const struct kube_resource *resource = kube_resource(kind);
    const size_t count = resource->namespaced && namespaces->count ? namespaces->count : 1;
    struct kube_watch *watch = calloc(1, sizeof *watch + count * sizeof *watch->streams);
    if (!watch) return NULL;
    watch->cluster = cluster;
    watch->kind = kind;
    const struct kube_listener_calls calls = {all_list_begins, all_object, all_deleted,
                                              all_list_ends,   all_state,  watch};
    for (size_t i = 0; i < count; i++) {
        const bool spaced = resource->namespaced && namespaces->count;
        const struct kube_scope scope = {.cluster_id = cluster->settings.cluster_id,
                                         .namespace = spaced ? namespaces->items[i] : (slice){0},
                                         .resource = resource};
        watch->streams[i] = kube_stream_new(cluster, &scope, &calls);
        if (!watch->streams[i]) return watch_free(watch);
        watch->streams_count++;
    }
    return watch;
}

fault_code kube_watch_listen(struct kube_cluster *cluster, enum kube_kind kind, const struct kube_listener_calls *calls,
                             struct kube_listener **ret_listener, struct fault *reterr) {
    struct kube_listener *listener = NULL;
    for (size_t i = 0; i < KUBE_LISTENERS_MAX && !listener; i++)
        if (!cluster->listeners[i].used) listener = &cluster->listeners[i];
    if (!listener)
        return fault_set(reterr, FAULT_LIMIT, "cluster '%.*s' has %d listeners already",
                         SLICE_ARG(cluster->settings.cluster_id), KUBE_LISTENERS_MAX);
    if (!cluster->watches[kind]) cluster->watches[kind] = watch_new(cluster, kind);
    if (!cluster->watches[kind])
        return fault_set(reterr, FAULT_SYSTEM, "watch %s: out of memory", kube_resource(kind)->plural);
    *listener = (struct kube_listener){.cluster = cluster, .kind = kind, .used = true, .calls = *calls};
    cluster->watches[kind]->anew = true;
    cluster_due(cluster, clock_monotonic_ms());
    *ret_listener = listener;
    return FAULT_NONE;
}

struct kube_listener *kube_watch_unlisten(struct kube_listener *listener) {
    if (!listener) return NULL;
    struct kube_cluster *cluster = listener->cluster;
    const enum kube_kind kind = listener->kind;
    *listener = (struct kube_listener){0};
    for (size_t i = 0; i < KUBE_LISTENERS_MAX; i++)
        if (cluster->listeners[i].used && cluster->listeners[i].kind == kind) return NULL;
    cluster->watches[kind] = watch_free(cluster->watches[kind]);
    return NULL;
}

/* ---- the cluster's ---- */

/* New listeners hear the state first, then the list that is begun for them. */
static void watch_tell(struct kube_watch *watch) {
    watch->anew = false;
    for (struct kube_listener *listener = watch->cluster->listeners;
         listener < watch->cluster->listeners + KUBE_LISTENERS_MAX; listener++) {
        if (!listener->used || listener->told || listener->kind != watch->kind) continue;
        listener->told = true;
        for (size_t i = 0; i < watch->streams_count && listener->calls.state; i++) {
            int64_t since_ms;
            struct fault why;
            const struct kube_scope *scope = kube_stream_scope(watch->streams[i]);
            const enum kube_watch_state state = kube_stream_state(watch->streams[i], &since_ms, &why);
            listener->calls.state(listener->calls.context, scope, state, since_ms, &why);
        }
    }
    for (size_t i = 0; i < watch->streams_count; i++) kube_stream_relist(watch->streams[i]);
}

int64_t kube_watches_act(struct kube_cluster *cluster, int64_t now_ms) {
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < KUBE_KINDS_; i++) {
        struct kube_watch *watch = cluster->watches[i];
        if (!watch) continue;
        if (watch->anew) watch_tell(watch);
        for (size_t j = 0; j < watch->streams_count; j++) {
            const int64_t due_ms = kube_stream_act(watch->streams[j], clock_monotonic_ms());
            if (due_ms < next_ms) next_ms = due_ms;
        }
    }
    return next_ms;
}

void kube_watches_close(struct kube_cluster *cluster) {
    for (size_t i = 0; i < KUBE_KINDS_; i++) cluster->watches[i] = watch_free(cluster->watches[i]);
}

void kube_watches_count(const struct kube_cluster *cluster, struct kube_cluster_stats *stats) {
    for (size_t i = 0; i < KUBE_KINDS_; i++) {
        const struct kube_watch *watch = cluster->watches[i];
        for (size_t j = 0; watch && j < watch->streams_count; j++) {
            int64_t since_ms;
            struct fault why;
            stats->streams++;
            stats->streams_fresh += kube_stream_state(watch->streams[j], &since_ms, &why) == KUBE_WATCH_FRESH;
            stats->buffer_bytes += kube_stream_buffer_bytes(watch->streams[j]);
        }
    }
}

void kube_watch_each_dark(const struct kube_cluster *cluster,
                          void (*each)(void *context, const struct kube_scope *scope, enum kube_watch_state state,
                                       int64_t since_ms, const struct fault *why),
                          void *context) {
    for (size_t i = 0; i < KUBE_KINDS_; i++) {
        const struct kube_watch *watch = cluster->watches[i];
        for (size_t j = 0; watch && j < watch->streams_count; j++) {
            int64_t since_ms;
            struct fault why;
            const enum kube_watch_state state = kube_stream_state(watch->streams[j], &since_ms, &why);
            if (state == KUBE_WATCH_DENIED || state == KUBE_WATCH_STALE)
                each(context, kube_stream_scope(watch->streams[j]), state, since_ms, &why);
        }
    }
}
