/* SPDX-License-Identifier: Apache-2.0
 * One access, one HTTP client of its own (its watches hold connections open, and must not take those of scrapes), one
 * arena in which one object at a time is decoded, one timer. What a watch or a request does is its own file's. */
#include "agent/collect/kubernetes/kube_cluster_parts.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"

enum { CONNECTIONS_MAX = 256, ARENA_BLOCK_BYTES = 16 * 1024 };

static void timer_fired(void *context);
static fault_code settings_copy(struct kube_cluster *cluster, const struct kube_cluster_settings *settings,
                                struct fault *reterr);

fault_code kube_cluster_open(struct loop *loop, const struct kube_cluster_settings *settings,
                             struct kube_cluster **ret_cluster, struct fault *reterr) {
    struct kube_cluster *cluster = calloc(1, sizeof *cluster);
    if (!cluster)
        return fault_set(reterr, FAULT_SYSTEM, "cluster '%.*s': out of memory", SLICE_ARG(settings->cluster_id));
    const size_t spaces = settings->namespaces.count ? settings->namespaces.count : 1;
    const size_t connections = KUBE_KINDS_ * spaces + KUBE_GETS_MAX;
    cluster->loop = loop;
    cluster->timer_ms = INT64_MAX;
    cluster->settings_arena = arena_new(2048, 64 * 1024);
    /* In protobuf an object's texts stay where they are; of JSON only what is read of it comes here. */
    cluster->arena = arena_new(ARENA_BLOCK_BYTES, 2 * (size_t)settings->object_bytes_max + 1024 * 1024);
    cluster->timer = loop_timer_new(loop, timer_fired, cluster);
    fault_code code = cluster->settings_arena && cluster->arena && cluster->timer
                          ? settings_copy(cluster, settings, reterr)
                          : fault_set(reterr, FAULT_SYSTEM, "out of memory");
    if (!code) code = kube_access_open(loop, &cluster->settings, &cluster->access, reterr);
    if (!code)
        code = http_client_new(loop, connections < CONNECTIONS_MAX ? (unsigned)connections : CONNECTIONS_MAX,
                               &cluster->client, reterr);
    if (code) {
        (void)kube_cluster_close(cluster);
        return reterr ? fault_wrap(reterr, "cluster '%.*s'", SLICE_ARG(settings->cluster_id)) : code;
    }
    *ret_cluster = cluster;
    return FAULT_NONE;
}

struct kube_cluster *kube_cluster_close(struct kube_cluster *cluster) {
    if (!cluster) return NULL;
    kube_watches_close(cluster);
    kube_gets_close(cluster);
    (void)http_client_free(cluster->client);
    (void)kube_access_close(cluster->access);
    (void)loop_timer_free(cluster->timer);
    (void)arena_free(cluster->arena);
    (void)arena_free(cluster->settings_arena);
    free(cluster);
    return NULL;
}

static fault_code settings_copy(struct kube_cluster *cluster, const struct kube_cluster_settings *settings,
                                struct fault *reterr) {
    struct kube_cluster_settings *copy = &cluster->settings;
    struct arena *arena = cluster->settings_arena;
    *copy = *settings;
    slice *const texts[] = {&copy->cluster_id, &copy->kubeconfig, &copy->context, &copy->service_account, &copy->node};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) *texts[i] = arena_copy(arena, *texts[i]);
    slice *namespaces = arena_alloc_array(arena, copy->namespaces.count, sizeof *namespaces);
    for (size_t i = 0; namespaces && i < copy->namespaces.count; i++)
        namespaces[i] = arena_copy(arena, copy->namespaces.items[i]);
    copy->namespaces.items = namespaces;
    return arena_refused(arena) ? fault_set(reterr, FAULT_LIMIT, "its settings are over 64 KiB") : FAULT_NONE;
}

slice kube_cluster_id(const struct kube_cluster *cluster) {
    return cluster->settings.cluster_id;
}

const char *kube_cluster_server(const struct kube_cluster *cluster) {
    return kube_access_server(cluster->access);
}

const char *kube_cluster_warning(const struct kube_cluster *cluster) {
    return kube_access_warning(cluster->access);
}

int64_t kube_cluster_skew_ms(const struct kube_cluster *cluster) {
    return cluster->skew.ms;
}

void kube_cluster_stats(const struct kube_cluster *cluster, struct kube_cluster_stats *ret_stats) {
    *ret_stats = cluster->stats;
    kube_watches_count(cluster, ret_stats);
    for (size_t i = 0; i < KUBE_GETS_MAX; i++) ret_stats->buffer_bytes += cluster->gets[i].room;
    ret_stats->buffer_bytes += ARENA_BLOCK_BYTES;
}

static void timer_fired(void *context) {
    struct kube_cluster *cluster = context;
    cluster->timer_ms = INT64_MAX;
    const int64_t now_ms = clock_monotonic_ms();
    const int64_t watches_ms = kube_watches_act(cluster, now_ms), gets_ms = kube_gets_act(cluster, now_ms);
    const int64_t next_ms = watches_ms < gets_ms ? watches_ms : gets_ms;
    if (next_ms != INT64_MAX) cluster_due(cluster, next_ms);
}
