/* SPDX-License-Identifier: Apache-2.0
 * A cluster that could not be opened is one row, without a kind; of one that is open, each stream that is refused or stale.
 * What is still being listed for the first time is no trouble yet, and a custom resource that is not installed never is. */
#include "agent/show/dark_watches.h"

#include <string.h>

#include "agent/collect/kubernetes/kube_watch.h"
#include "common/base/clock.h"

struct gathered {
    struct arena *arena;
    struct watch_report *items;
    size_t count;
    int64_t wall_ms, monotonic_ms;
};

static void add(struct gathered *gathered, struct watch_report report, const char *error) {
    const size_t bytes = strlen(error) + 1;
    char *const copy = gathered->count < DARK_WATCHES_MAX ? arena_alloc(gathered->arena, bytes) : NULL;
    if (!copy) return;
    report.error = memcpy(copy, error, bytes);
    gathered->items[gathered->count++] = report;
}

static void each(void *context, const struct kube_scope *scope, enum kube_watch_state state, int64_t since_ms,
                 const struct fault *why) {
    struct gathered *const gathered = context;
    add(gathered,
        (struct watch_report){
            .cluster = scope->cluster_id,
            .namespace = scope->namespace,
            .resource = scope->resource->plural,
            .group = scope->resource->group,
            .denied = state == KUBE_WATCH_DENIED,
            .current_ms = since_ms ? gathered->wall_ms - (gathered->monotonic_ms - since_ms) : 0,
        },
        why->text);
}

const struct watch_report *dark_watches(const struct clusters *clusters, struct arena *arena, size_t *ret_count) {
    struct gathered gathered = {.arena = arena, .wall_ms = clock_wall_ms(), .monotonic_ms = clock_monotonic_ms()};
    gathered.items = arena_alloc_array(arena, DARK_WATCHES_MAX, sizeof *gathered.items);
    *ret_count = 0;
    if (!clusters || !gathered.items) return NULL;
    for (size_t i = 0; i < clusters_count(clusters); i++) {
        const struct kube_cluster *const cluster = clusters_at(clusters, i);
        if (cluster)
            kube_watch_each_dark(cluster, each, &gathered);
        else
            add(&gathered, (struct watch_report){.cluster = clusters_id(clusters, i), .resource = "", .group = ""},
                clusters_fault(clusters, i));
    }
    *ret_count = gathered.count;
    return gathered.items;
}
