/* SPDX-License-Identifier: Apache-2.0
 * For tests of a cluster's health: a cluster_state with all its watches, told of objects as JSON, its notes kept as the
 * queue keeps them, and what it reports. */
#ifndef PICKET_TESTS_CLUSTER_WORLD_H
#define PICKET_TESTS_CLUSTER_WORLD_H

#include "agent/health/cluster_state.h"
#include "common/codec/codec.h"
#include "common/codec/tables.h"
#include "tests/support/check.h"

struct world {
    struct arena *arena;
    struct cluster_state *state;
    struct cluster_state_settings settings;
    int64_t now_ms;
    uint8_t round;
    slice notes[CLUSTER_NOTES]; /* as the queue keeps them */
    int last_note;
    char said[64][300]; /* "id status reason", in order */
    size_t said_count;
    bool partial; /* what comes now can be read only in part */
};

static const enum kube_kind kinds[] = {
    KUBE_PODS,         KUBE_NODES,      KUBE_NAMESPACES, KUBE_EVENTS,   KUBE_DEPLOYMENTS,
    KUBE_STATEFULSETS, KUBE_DAEMONSETS, KUBE_JOBS,       KUBE_CRONJOBS, KUBE_PERSISTENTVOLUMECLAIMS};
enum { KINDS = sizeof kinds / sizeof *kinds };

static inline void watch_all(struct world *world, enum kube_watch_state watch) {
    for (size_t i = 0; i < KINDS; i++)
        cluster_state_watch(world->state, kinds[i], (slice){0}, watch, watch == KUBE_WATCH_FRESH ? "" : "no answer",
                            world->now_ms);
}

static inline void open_state(struct world *world) {
    struct fault fault;
    CHECK_OK(cluster_state_new(&world->settings, 7, world->now_ms, &world->state, &fault));
    for (size_t i = 0; i < KINDS; i++) CHECK_OK(cluster_state_expect(world->state, kinds[i], (slice){0}, &fault));
    if (cluster_state_load(world->state, world->notes, world->now_ms, &fault)) fail_msg("%s", fault.text);
}

static inline struct world *world_new(void) {
    struct world *const world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->arena = arena_new(64 * 1024, 256 * 1024 * 1024);
    world->now_ms = 1772442000000; /* 2026-03-02T09:00:00Z */
    world->settings = (struct cluster_state_settings){
        .cluster_id = SLICE_LIT("prod"),
        .report = CLUSTER_REPORT_ALL,
        .objects_max = 1000,
        .recover_ms = 60000,
        .flap_count = 3,
        .flap_window_ms = 1800000,
        .heartbeat_ms = 300000,
        .settle_ms = 120000,
    };
    open_state(world);
    return world;
}

static inline void world_free(struct world *world) {
    cluster_state_free(world->state);
    arena_free(world->arena);
    free(world);
}

static inline void say(struct world *world, bool deleted, const char *plural, const char *json) {
    struct fault fault;
    const struct kube_resource *const resource = kube_resource_find(slice_from_text(plural));
    assert_non_null(resource);
    void *const message = arena_alloc(world->arena, resource->message->size);
    if (codec_decode_json_foreign(resource->message, slice_from_text(json), world->arena, message, &fault))
        fail_msg("%s: %s", fault.text, json);
    const struct kube_scope scope = {SLICE_LIT("prod"), {0}, resource};
    const struct kube_object object = {.scope = &scope,
                                       .message = message,
                                       .meta = &((const KubePod *)message)->metadata,
                                       .round = world->round,
                                       .partial = world->partial};
    if (deleted)
        cluster_state_deleted(world->state, &object, world->now_ms);
    else
        cluster_state_object(world->state, &object, world->now_ms);
}

#define HAS(world, plural, ...)                                                                                        \
    do {                                                                                                               \
        char json_[2000];                                                                                              \
        snprintf(json_, sizeof json_, __VA_ARGS__);                                                                    \
        say(world, false, plural, json_);                                                                              \
    } while (0)

static inline void list_ends(struct world *world) {
    for (size_t i = 0; i < KINDS; i++)
        cluster_state_list_ends(world->state, kinds[i], (slice){0}, world->round, world->now_ms);
}

static inline const char *word(enum health_status status) {
    static const char *const words[] = {"none", "HEALTHY", "DEGRADED", "UNHEALTHY", "UNKNOWN"};
    return words[status];
}

/* All that is due, stored. */
static inline void flush(struct world *world) {
    struct cluster_batch batch;
    struct fault fault;
    world->said_count = 0;
    for (;;) {
        cluster_state_gather(world->state, CLUSTER_BATCH_MAX, world->now_ms, &batch);
        if (!batch.count) return;
        for (size_t i = 0; i < batch.count; i++) {
            struct cluster_report report;
            cluster_state_report(world->state, &batch, i, world->now_ms, &report);
            if (world->said_count < 64)
                snprintf(world->said[world->said_count++], 300, "%s %s %s", report.id, word(report.status),
                         report.reason);
        }
        if (batch.changed) {
            const char *name;
            slice note;
            CHECK_OK(cluster_state_note(world->state, &batch, world->arena, &name, &note, &fault));
            world->last_note = atoi(strrchr(name, '.') + 1);
            world->notes[world->last_note] = note;
        }
        cluster_state_commit(world->state, &batch, world->now_ms);
    }
}

static inline void pass(struct world *world, int64_t seconds) {
    for (int64_t i = 0; i < seconds; i++) {
        world->now_ms += 1000;
        cluster_state_tick(world->state, world->now_ms);
    }
}

static inline void began(struct world *world) {
    list_ends(world);
    watch_all(world, KUBE_WATCH_FRESH);
    pass(world, 1);
}

static inline bool said(const struct world *world, const char *line) {
    for (size_t i = 0; i < world->said_count; i++)
        if (strcmp(world->said[i], line) == 0) return true;
    return false;
}

#define CHECK_SAID(world, line)                                                                                        \
    do {                                                                                                               \
        if (!said(world, line)) {                                                                                      \
            for (size_t i_ = 0; i_ < (world)->said_count; i_++) print_message("  %s\n", (world)->said[i_]);            \
            fail_msg("not said: %s", line);                                                                            \
        }                                                                                                              \
    } while (0)

#endif
