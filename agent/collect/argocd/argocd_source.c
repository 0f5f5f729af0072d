/* SPDX-License-Identifier: Apache-2.0
 * The watch has a state for each namespace that is watched; the source is current when all of them are fresh. */
#include "agent/collect/argocd/argocd_source.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/collect/argocd/argocd_api.h"

enum { SCOPES_MAX = 64, NAMESPACE_BYTES = 64 };

struct scope {
    char namespace[NAMESPACE_BYTES];
    bool fresh;
};

struct argocd_source {
    struct argocd_source_calls calls;
    const struct argocd_settings *settings;
    struct kube_listener *listener;
    struct argocd_api *api;
    struct scope *scopes;
    size_t scopes_count;
};

/* ---- what both ways pass through */

static bool wanted(const struct argocd_source *source, slice namespace) {
    const struct setting_texts *const namespaces = &source->settings->namespaces;
    for (size_t i = 0; i < namespaces->count; i++)
        if (slice_equal(namespaces->items[i], namespace)) return true;
    return namespaces->count == 0;
}

static void on_list_begins(void *context) {
    const struct argocd_source *const source = context;
    source->calls.list_begins(source->calls.context, (slice){0});
}

static void on_application(void *context, const KubeApplication *application, bool listed) {
    const struct argocd_source *const source = context;
    if (wanted(source, application->metadata.namespace))
        source->calls.application(source->calls.context, application, listed);
}

static void on_gone(void *context, const KubeApplication *application) {
    const struct argocd_source *const source = context;
    if (wanted(source, application->metadata.namespace)) source->calls.deleted(source->calls.context, application);
}

static void on_list_ends(void *context) {
    const struct argocd_source *const source = context;
    source->calls.list_ends(source->calls.context, (slice){0});
}

static void on_current(void *context) {
    const struct argocd_source *const source = context;
    source->calls.current(source->calls.context);
}

static void on_lost(void *context, int64_t since_ms, const char *why) {
    const struct argocd_source *const source = context;
    source->calls.lost(source->calls.context, since_ms, why);
}

/* ---- the watch */

static void watch_list_begins(void *context, const struct kube_scope *scope, uint8_t round) {
    const struct argocd_source *const source = context;
    source->calls.list_begins(source->calls.context, scope->namespace);
}

static void watch_object(void *context, const struct kube_object *object) {
    on_application(context, object->message, object->listed);
}

static void watch_deleted(void *context, const struct kube_object *object) {
    on_gone(context, object->message);
}

static void watch_list_ends(void *context, const struct kube_scope *scope, uint8_t round) {
    const struct argocd_source *const source = context;
    source->calls.list_ends(source->calls.context, scope->namespace);
}

static struct scope *scope_of(struct argocd_source *source, slice namespace) {
    for (size_t i = 0; i < source->scopes_count; i++)
        if (slice_equal_text(namespace, source->scopes[i].namespace)) return &source->scopes[i];
    if (source->scopes_count == SCOPES_MAX) return NULL;
    struct scope *const scope = &source->scopes[source->scopes_count++];
    snprintf(scope->namespace, sizeof scope->namespace, "%.*s", SLICE_ARG(namespace));
    return scope;
}

static void watch_state(void *context, const struct kube_scope *of, enum kube_watch_state state, int64_t since_ms,
                        const struct fault *why) {
    struct argocd_source *const source = context;
    struct scope *const scope = scope_of(source, of->namespace);
    if (scope) scope->fresh = state == KUBE_WATCH_FRESH;
    bool all = scope != NULL;
    for (size_t i = 0; i < source->scopes_count; i++) all &= source->scopes[i].fresh;
    if (all) {
        source->calls.current(source->calls.context);
    } else if (state != KUBE_WATCH_FRESH) {
        char text[300];
        snprintf(text, sizeof text, "watch of Applications is %s%s%s", kube_watch_state_name(state),
                 why && why->text[0] && why->code ? ": " : "", why && why->code ? why->text : "");
        source->calls.lost(source->calls.context, since_ms, text);
    }
}

static fault_code listen(struct argocd_source *source, struct kube_cluster *cluster, struct fault *reterr) {
    source->scopes = calloc(SCOPES_MAX, sizeof *source->scopes);
    if (!source->scopes) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    const struct kube_listener_calls calls = {
        .list_begins = watch_list_begins,
        .object = watch_object,
        .deleted = watch_deleted,
        .list_ends = watch_list_ends,
        .state = watch_state,
        .context = source,
    };
    return kube_watch_listen(cluster, KUBE_APPLICATIONS, &calls, &source->listener, reterr);
}

fault_code argocd_source_open(struct loop *loop, const struct argocd_settings *settings, struct kube_cluster *cluster,
                              const struct argocd_source_calls *calls, struct argocd_source **ret_source,
                              struct fault *reterr) {
    struct argocd_source *source = calloc(1, sizeof *source);
    if (!source) return fault_set(reterr, FAULT_LIMIT, "argocd '%.*s': out of memory", SLICE_ARG(settings->name));
    source->calls = *calls;
    source->settings = settings;
    const struct argocd_api_calls api = {on_list_begins, on_application, on_gone, on_list_ends,
                                         on_current,     on_lost,        source};
    const fault_code code =
        cluster ? listen(source, cluster, reterr) : argocd_api_open(loop, settings, &api, &source->api, reterr);
    if (code) {
        argocd_source_close(source);
        return fault_wrap(reterr, "argocd '%.*s'", SLICE_ARG(settings->name));
    }
    *ret_source = source;
    return FAULT_NONE;
}

struct argocd_source *argocd_source_close(struct argocd_source *source) {
    if (!source) return NULL;
    kube_watch_unlisten(source->listener);
    argocd_api_close(source->api);
    free(source->scopes);
    free(source);
    return NULL;
}

void argocd_source_stats(const struct argocd_source *source, struct argocd_source_stats *ret_stats) {
    *ret_stats = (struct argocd_source_stats){0};
    if (source->api) argocd_api_stats(source->api, ret_stats);
}
