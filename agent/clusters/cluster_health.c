/* SPDX-License-Identifier: Apache-2.0
 * Once a second: time passes for each cluster's state, what became due is stored (at most reports_max, in batches of one
 * transaction each), and the counts go to the metrics. A queue that refuses changes nothing: the batch is made again from
 * what is true then.
 *
 * Events are listened to last, when all else was listed: they are evidence about objects, and need these to be there. */
#include "agent/clusters/cluster_health.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/clusters/cluster_metrics.h"
#include "agent/envelope/envelope_cluster.h"
#include "common/base/clock.h"
#include "common/base/uuid.h"
#include "common/logging/log.h"

enum {
    TICK_MS = 1000,
    EVENTS_KEEP_MS = 5000,
    ZONES_MAX = 32,
    LISTENERS_MAX = 16,
    REPEAT_MS = 60 * 1000,
    ARENA_BLOCK_BYTES = 64 * 1024,
    ARENA_BYTES = 32 * 1024 * 1024,
};

struct cluster {
    struct cluster_health *health;
    const struct kube_cluster_settings *settings;
    struct kube_cluster *kube; /* NULL: not opened yet */
    struct cluster_state *state;
    struct kube_listener *listeners[LISTENERS_MAX];
    size_t listeners_count;
    bool hears_events;
    int64_t events_kept_ms;
    int64_t blind_ms; /* monotonic: since when no watch works; 0: one does */
    char events_key[80];
};

struct zone_entry {
    char name[ZONE_NAME_BYTES + 1];
    struct zone *zone; /* NULL: there is none */
};

struct cluster_health {
    struct cluster_health_parts parts;
    const struct agent_settings *settings;
    struct cluster *clusters;
    size_t count;
    struct arena *arena;
    struct loop_timer *timer;
    struct zone_entry zones[ZONES_MAX];
    size_t zones_count;
    struct cluster_metrics *metrics; /* NULL: no clusters */
    struct log_limit store_limit, refused_limit;
    uint64_t reports, store_failures, refused;
    bool store_failing;
};

static const enum kube_kind kinds[] = {
    KUBE_NODES, KUBE_NAMESPACES, KUBE_DEPLOYMENTS, KUBE_STATEFULSETS,           KUBE_DAEMONSETS,
    KUBE_JOBS,  KUBE_CRONJOBS,   KUBE_PODS,        KUBE_PERSISTENTVOLUMECLAIMS, KUBE_EVENTS,
};
enum { KINDS = sizeof kinds / sizeof *kinds };
_Static_assert((int)KINDS <= (int)LISTENERS_MAX, "a listener for each kind");

static void on_timer(void *context);

/* Zones are read once; what is not there is not looked for again before a restart. */
static const struct zone *find_zone(void *context, slice name) {
    struct cluster_health *const health = context;
    for (size_t i = 0; i < health->zones_count; i++)
        if (slice_equal_text(name, health->zones[i].name)) return health->zones[i].zone;
    struct fault fault;
    if (health->zones_count == ZONES_MAX || name.size > ZONE_NAME_BYTES) return NULL;
    struct zone_entry *const entry = &health->zones[health->zones_count];
    if (!slice_to_text(name, entry->name, sizeof entry->name)) return NULL;
    health->zones_count++;
    if (zone_open(setting_text(health->settings->cluster_health.zoneinfo), name, &entry->zone, &fault))
        LOG_WARN("health", "zone_unknown", LOG_FAULT(&fault), LOG_TEXT("instead", "a CronJob in it is unknown"));
    return entry->zone;
}

static void on_object(void *context, const struct kube_object *object) {
    const struct cluster *const cluster = context;
    cluster_state_skew(cluster->state, kube_cluster_skew_ms(cluster->kube));
    cluster_state_object(cluster->state, object, clock_wall_ms());
}

static void on_deleted(void *context, const struct kube_object *object) {
    const struct cluster *const cluster = context;
    cluster_state_deleted(cluster->state, object, clock_wall_ms());
}

static void on_list_ends(void *context, const struct kube_scope *scope, uint8_t round) {
    const struct cluster *const cluster = context;
    cluster_state_list_ends(cluster->state, scope->resource->id, scope->namespace, round, clock_wall_ms());
}

static void on_watch(void *context, const struct kube_scope *scope, enum kube_watch_state watch, int64_t since_ms,
                     const struct fault *why) {
    const struct cluster *const cluster = context;
    (void)since_ms;
    cluster_state_watch(cluster->state, scope->resource->id, scope->namespace, watch, why && why->code ? why->text : "",
                        clock_wall_ms());
    if (watch == KUBE_WATCH_FRESH)
        LOG_DEBUG_LINE("health", "watched", LOG_SLICE("cluster", scope->cluster_id),
                       LOG_TEXT("resource", scope->resource->plural), LOG_SLICE("namespace", scope->namespace));
    else if (watch != KUBE_WATCH_LISTING)
        LOG_WARN("health", "not_watched", LOG_SLICE("cluster", scope->cluster_id),
                 LOG_TEXT("resource", scope->resource->plural), LOG_SLICE("namespace", scope->namespace),
                 LOG_TEXT("state", kube_watch_state_name(watch)), LOG_TEXT("fault", why ? why->text : ""),
                 LOG_TEXT("instead", "what hangs on it is unknown"));
}

static bool wanted(const struct cluster *cluster, enum kube_kind kind) {
    return cluster_health_watches(&cluster->health->settings->cluster_health, kube_resource(kind)->plural,
                                  cluster->settings->namespaces.count == 0);
}

static fault_code expect(struct cluster *cluster, struct fault *reterr) {
    const struct setting_texts *const namespaces = &cluster->settings->namespaces;
    fault_code code = FAULT_NONE;
    for (size_t k = 0; k < KINDS && !code; k++) {
        if (!wanted(cluster, kinds[k])) continue;
        if (namespaces->count == 0 || !kube_resource(kinds[k])->namespaced)
            code = cluster_state_expect(cluster->state, kinds[k], (slice){0}, reterr);
        else
            for (size_t n = 0; n < namespaces->count && !code; n++)
                code = cluster_state_expect(cluster->state, kinds[k], namespaces->items[n], reterr);
    }
    return code;
}

static void reports_forgotten(const struct fault *fault) {
    LOG_WARN("health", "reports_forgotten", LOG_FAULT(fault), LOG_TEXT("instead", "told again as if new"));
}

/* What the process before this one told the centre, and which events it counted. */
static void restore(struct cluster *cluster) {
    struct cluster_health *const health = cluster->health;
    struct fault fault;
    slice bytes;
    arena_reset(health->arena);
    slice notes[CLUSTER_NOTES] = {0};
    for (unsigned i = 0; i < CLUSTER_NOTES; i++) {
        const char *const name = cluster_state_note_name(cluster->state, i);
        const fault_code code = queue_note_get(health->parts.queue, name, health->arena, &notes[i], &fault);
        if (code) notes[i] = (slice){0};
        if (code && code != FAULT_ABSENT) reports_forgotten(&fault);
    }
    if (cluster_state_load(cluster->state, notes, clock_wall_ms(), &fault)) reports_forgotten(&fault);
    arena_reset(health->arena);
    fault_code code =
        state_get(health->parts.state, slice_from_text(cluster->events_key), STATE_KEPT, health->arena, &bytes, &fault);
    if (!code) code = event_memory_load(cluster_state_events(cluster->state), bytes, &fault);
    if (code && code != FAULT_ABSENT)
        LOG_WARN("health", "events_forgotten", LOG_FAULT(&fault), LOG_TEXT("instead", "counted again"));
}

static fault_code open_cluster(struct cluster_health *health, size_t index, struct fault *reterr) {
    struct cluster *const cluster = &health->clusters[index];
    const struct cluster_health_settings *const settings = &health->settings->cluster_health;
    cluster->health = health;
    cluster->settings = &health->settings->kubernetes.items[index];
    snprintf(cluster->events_key, sizeof cluster->events_key, "kube_events.%.*s",
             SLICE_ARG(slice_first(cluster->settings->cluster_id, 60)));
    const struct cluster_state_settings state = {
        .cluster_id = cluster->settings->cluster_id,
        .report = cluster_health_report_bits(settings),
        .objects_max = (size_t)settings->objects_max,
        .recover_ms = settings->recover_ms,
        .flap_count = (unsigned)settings->flap_count,
        .flap_window_ms = settings->flap_window_ms,
        .heartbeat_ms = settings->heartbeat_ms,
        .settle_ms = cluster->settings->stale_ms,
        .zone = find_zone,
        .context = health,
    };
    uint64_t seed;
    random_bytes(&seed, sizeof seed);
    fault_code code = cluster_state_new(&state, seed, clock_wall_ms(), &cluster->state, reterr);
    if (!code) code = expect(cluster, reterr);
    if (!code) restore(cluster);
    return code;
}

static fault_code add_metrics(struct cluster_health *health, struct fault *reterr) {
    slice *const names = arena_alloc_array(health->arena, health->count, sizeof *names);
    if (!names) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    for (size_t i = 0; i < health->count; i++) names[i] = health->clusters[i].settings->cluster_id;
    return cluster_metrics_new(health->parts.metrics, names, health->count, &health->metrics, reterr);
}

fault_code cluster_health_open(const struct cluster_health_parts *parts, const struct agent_settings *settings,
                               struct cluster_health **ret_health, struct fault *reterr) {
    struct cluster_health *const health = calloc(1, sizeof *health);
    if (!health) return fault_set(reterr, FAULT_LIMIT, "cluster health: out of memory");
    health->parts = *parts;
    health->settings = settings;
    const size_t count = settings->cluster_health.disabled ? 0 : clusters_count(parts->clusters);
    health->clusters = calloc(count + 1, sizeof *health->clusters);
    health->arena = arena_new(ARENA_BLOCK_BYTES, ARENA_BYTES);
    health->timer = loop_timer_new(parts->loop, on_timer, health);
    fault_code code = FAULT_NONE;
    if (!health->clusters || !health->arena || !health->timer) code = fault_set(reterr, FAULT_LIMIT, "out of memory");
    for (size_t i = 0; i < count && !code; i++) {
        health->count++;
        code = open_cluster(health, i, reterr);
    }
    if (!code && count) code = add_metrics(health, reterr);
    if (code) {
        cluster_health_close(health);
        return fault_wrap(reterr, "cluster health");
    }
    if (count) on_timer(health);
    *ret_health = health;
    return FAULT_NONE;
}

static void keep_events(struct cluster *cluster);

struct cluster_health *cluster_health_close(struct cluster_health *health) {
    if (!health) return NULL;
    for (size_t i = 0; i < health->count; i++) {
        struct cluster *const cluster = &health->clusters[i];
        for (size_t l = 0; l < cluster->listeners_count; l++) kube_watch_unlisten(cluster->listeners[l]);
        if (cluster->state) keep_events(cluster);
        cluster_state_free(cluster->state);
    }
    for (size_t i = 0; i < health->zones_count; i++) zone_free(health->zones[i].zone);
    cluster_metrics_free(health->metrics);
    loop_timer_free(health->timer);
    arena_free(health->arena);
    free(health->clusters);
    free(health);
    return NULL;
}

static void listen_to(struct cluster *cluster, enum kube_kind kind) {
    const struct kube_listener_calls calls = {
        .object = on_object, .deleted = on_deleted, .list_ends = on_list_ends, .state = on_watch, .context = cluster};
    struct fault fault;
    if (kube_watch_listen(cluster->kube, kind, &calls, &cluster->listeners[cluster->listeners_count], &fault)) {
        LOG_ERROR("health", "not_watched", LOG_SLICE("cluster", cluster->settings->cluster_id), LOG_FAULT(&fault),
                  LOG_TEXT("instead", "what hangs on it is unknown"));
        cluster_state_watch(cluster->state, kind, (slice){0}, KUBE_WATCH_DENIED, fault.text, clock_wall_ms());
        return;
    }
    cluster->listeners_count++;
}

static void listen_to_all(struct cluster *cluster) {
    if (!cluster->kube) {
        cluster->kube = clusters_find(cluster->health->parts.clusters, cluster->settings->cluster_id);
        for (size_t k = 0; cluster->kube && k < KINDS; k++)
            if (kinds[k] != KUBE_EVENTS && wanted(cluster, kinds[k])) listen_to(cluster, kinds[k]);
        return;
    }
    if (cluster->hears_events || !wanted(cluster, KUBE_EVENTS)) return;
    if (!cluster_state_settled(cluster->state)) return;
    cluster->hears_events = true;
    listen_to(cluster, KUBE_EVENTS);
}

static void store_failed(struct cluster_health *health, const struct fault *fault) {
    uint64_t suppressed = 0;
    health->store_failures++;
    health->store_failing = true;
    if (log_limit_pass(&health->store_limit, clock_monotonic_ms(), REPEAT_MS, &suppressed))
        LOG_ERROR("health", "store_failed", LOG_FAULT(fault), LOG_TEXT("instead", "told later, as it is then"),
                  LOG_UINT("suppressed", suppressed));
}

static void log_change(const struct cluster_report *report) {
    static const char *const words[] = {"none", "healthy", "degraded", "unhealthy", "unknown"};
    if (!report->changed || !report->previous) return;
    LOG_INFO("health", "health_changed", LOG_TEXT("check", report->id), LOG_TEXT("from", words[report->previous]),
             LOG_TEXT("to", words[report->status]), LOG_TEXT("message", report->message));
}

/* One transaction; false: nothing was due, or nothing can be stored now. */
static bool store_batch(struct cluster *cluster, size_t max, size_t *ret_stored) {
    struct cluster_health *const health = cluster->health;
    const int64_t now_ms = clock_wall_ms();
    const struct envelope envelope = {health->settings->tenant, health->settings->name, cluster->settings->cluster_id,
                                      health->settings->environment_id};
    struct queue_item items[CLUSTER_BATCH_MAX];
    struct cluster_batch batch;
    char traceparent[TRACEPARENT_TEXT_SIZE + 1];
    size_t count = 0;
    cluster_state_gather(cluster->state, max, now_ms, &batch);
    if (batch.count == 0) return false;
    envelope_traceparent(traceparent);
    arena_reset(health->arena);
    struct fault fault = {0};
    fault_code code = FAULT_NONE;
    for (size_t i = 0; i < batch.count && !code; i++) {
        struct cluster_report report;
        uint64_t suppressed = 0;
        cluster_state_report(cluster->state, &batch, i, now_ms, &report);
        items[count].class = QUEUE_HEALTH;
        code = envelope_cluster(&envelope, &report, traceparent, now_ms, health->arena, &items[count].intent, &fault);
        if (!code) log_change(&report);
        if (!code) count++;
        if (code != FAULT_INPUT) continue;
        /* What the contract refuses would be refused for ever: it is left out, and does not hold up the rest. */
        health->refused++;
        code = FAULT_NONE;
        if (log_limit_pass(&health->refused_limit, clock_monotonic_ms(), REPEAT_MS, &suppressed))
            LOG_ERROR("health", "report_refused", LOG_FAULT(&fault), LOG_TEXT("instead", "left out"));
    }
    struct queue_note note = {0};
    if (!code && batch.changed)
        code = cluster_state_note(cluster->state, &batch, health->arena, &note.name, &note.value, &fault);
    if (!code)
        code = queue_append_later(health->parts.queue, items, count, batch.changed ? &note : NULL, now_ms, &fault);
    if (code) {
        cluster_state_abort(cluster->state, &batch);
        store_failed(health, &fault);
        return false;
    }
    cluster_state_commit(cluster->state, &batch, now_ms);
    health->store_failing = false;
    health->reports += count;
    *ret_stored += batch.count;
    health->parts.stored(health->parts.context);
    return true;
}

static void keep_events(struct cluster *cluster) {
    bool changed = false;
    struct fault fault;
    const slice bytes = event_memory_bytes(cluster_state_events(cluster->state), &changed);
    if (changed &&
        state_put(cluster->health->parts.state, slice_from_text(cluster->events_key), STATE_KEPT, bytes, &fault))
        LOG_WARN("health", "events_not_kept", LOG_FAULT(&fault), LOG_TEXT("instead", "counted again after a crash"));
}

static void look_at(struct cluster_health *health, size_t index) {
    struct cluster *const cluster = &health->clusters[index];
    struct cluster_state_stats stats;
    struct kube_cluster_stats kube = {0};
    cluster_state_stats(cluster->state, &stats);
    if (cluster->kube) kube_cluster_stats(cluster->kube, &kube);
    /* One watch that works is enough to be ready: what is not watched is UNKNOWN at the centre, and a pod that is never
     * ready for want of one right would be worse than that. */
    if (stats.watches_fresh > 0 || stats.watches == 0)
        cluster->blind_ms = 0;
    else if (!cluster->blind_ms)
        cluster->blind_ms = clock_monotonic_ms();
    cluster_metrics_set(health->metrics, index, &stats, &kube, cluster_state_events(cluster->state));
}

static void on_timer(void *context) {
    struct cluster_health *const health = context;
    const int64_t monotonic_ms = clock_monotonic_ms();
    for (size_t i = 0; i < health->count; i++) {
        struct cluster *const cluster = &health->clusters[i];
        const size_t max = (size_t)health->settings->cluster_health.reports_max;
        size_t stored = 0;
        listen_to_all(cluster);
        if (cluster->kube) cluster_state_skew(cluster->state, kube_cluster_skew_ms(cluster->kube));
        cluster_state_tick(cluster->state, clock_wall_ms());
        while (stored < max && store_batch(cluster, max - stored, &stored)) {
        }
        look_at(health, i);
        if (monotonic_ms - cluster->events_kept_ms < EVENTS_KEEP_MS) continue;
        cluster->events_kept_ms = monotonic_ms;
        keep_events(cluster);
    }
    loop_timer_set(health->timer, TICK_MS);
}

int64_t cluster_health_trouble(const struct cluster_health *health, char *ret_text, size_t text_bytes) {
    const int64_t now_ms = clock_monotonic_ms();
    snprintf(ret_text, text_bytes, "%s", "");
    for (size_t i = 0; health && i < health->count; i++) {
        struct cluster_state_stats stats;
        const struct cluster *const cluster = &health->clusters[i];
        cluster_state_stats(cluster->state, &stats);
        const size_t dark = stats.watches - stats.watches_fresh;
        if (!cluster->blind_ms && (!dark || ret_text[0])) continue;
        snprintf(ret_text, text_bytes, "cluster '%.*s': %zu of %zu watches do not work: %s",
                 SLICE_ARG(cluster->settings->cluster_id), dark, stats.watches,
                 cluster->kube ? stats.watch_fault : clusters_fault(health->parts.clusters, i));
        if (cluster->blind_ms) return now_ms - cluster->blind_ms;
    }
    return -1;
}
