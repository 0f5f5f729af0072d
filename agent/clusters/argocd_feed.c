/* SPDX-License-Identifier: Apache-2.0
 * One transaction holds reports of one shard and that shard's note: whoever finds the one finds the other. So a change is in
 * the queue once, and what changed while nobody ran is found by comparing with the notes.
 *
 * A change is stored soon after it is seen (FLUSH_MS, so that a list's many are few transactions), and before the same
 * application changes again: one that goes there and back is two reports. When the queue refuses, reports wait where they
 * are and become one: the last. */
#include "agent/clusters/argocd_feed.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/clusters/argocd_notes.h"
#include "agent/collect/argocd/argocd_place.h"
#include "agent/envelope/envelope_applications.h"
#include "common/base/clock.h"
#include "common/logging/log.h"

enum {
    REPORTS_MAX = 64,
    FLUSH_MS = 100,
    RETRY_MS = 5000,
    WAIT_MS_MAX = 60 * 1000,
    REPEAT_MS = 60 * 1000,
    ARENA_BLOCK_BYTES = 32 * 1024,
    ARENA_BYTES = 64 * 1024 * 1024,
};

struct feed_item {
    struct argocd_feed *feed;
    const struct argocd_settings *settings;
    slice own_cluster, environment;
    struct applications *applications;
    struct argocd_source *source;
    bool current, said;
    uint64_t skipped;
    struct log_limit skip_limit;
};

struct argocd_feed {
    struct argocd_feed_parts parts;
    const struct agent_settings *settings;
    struct feed_item *items;
    size_t count;
    struct arena *arena;
    struct loop_timer *timer;
    struct log_limit store_limit;
    uint64_t store_failures;
    struct application_report reports[REPORTS_MAX];
    struct queue_item queued[REPORTS_MAX];
};

static struct applications_time now(void) {
    return (struct applications_time){clock_wall_ms(), clock_monotonic_ms()};
}

/* ---- to the queue */

static fault_code encode(struct feed_item *item, const struct application_report *report, int64_t now_ms,
                         const char *traceparent, slice *ret_intent, struct fault *reterr) {
    const struct argocd_feed *const feed = item->feed;
    const struct envelope envelope = {feed->settings->tenant, feed->settings->name, report->application.cluster,
                                      report->application.environment};
    const char *why;
    (void)applications_stale(item->applications, &why);
    return report->kind == FLEET_REPORT
               ? envelope_fleet(&envelope, report, item->settings->heartbeat_ms, now_ms, traceparent, feed->arena,
                                ret_intent, reterr)
               : envelope_application(&envelope, report, item->own_cluster, why, item->settings->heartbeat_ms, now_ms,
                                      traceparent, feed->arena, ret_intent, reterr);
}

static void log_reports(const struct feed_item *item, const struct application_report *reports, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct application_view *const application = &reports[i].application;
        if (!reports[i].changed) continue;
        if (reports[i].kind == FLEET_REPORT)
            LOG_INFO("agent", "fleet_changed", LOG_SLICE("argocd", item->settings->name),
                     LOG_SLICE("environment", application->environment), LOG_SLICE("cluster", application->cluster),
                     LOG_UINT("total", reports[i].counts.total),
                     LOG_UINT("healthy", reports[i].counts.by_health[APPLICATION_HEALTHY]),
                     LOG_UINT("unknown", reports[i].counts.by_health[APPLICATION_UNKNOWN]));
        else
            LOG_DEBUG_LINE("agent", "application_changed", LOG_SLICE("namespace", application->namespace),
                           LOG_SLICE("name", application->name),
                           LOG_TEXT("health", application_health_name(application->health)),
                           LOG_TEXT("sync", application_sync_name(application->sync)),
                           LOG_BOOL("deleted", reports[i].deleted), LOG_BOOL("stale", reports[i].stale));
    }
}

static void store_failed(struct argocd_feed *feed, const struct fault *fault, const char *instead) {
    uint64_t suppressed = 0;
    feed->store_failures++;
    if (log_limit_pass(&feed->store_limit, clock_monotonic_ms(), REPEAT_MS, &suppressed))
        LOG_ERROR("agent", "store_failed", LOG_FAULT(fault), LOG_TEXT("instead", instead),
                  LOG_UINT("suppressed", suppressed));
}

/* One transaction; false: nothing is due, or the queue refuses. */
static bool flush_some(struct feed_item *item, fault_code *ret_code) {
    struct argocd_feed *const feed = item->feed;
    const struct applications_time at = now();
    const size_t count = applications_due(item->applications, at, feed->reports, REPORTS_MAX);
    if (!count) return false;
    char traceparent[TRACEPARENT_TEXT_SIZE + 1], note_name[ARGOCD_NOTE_NAME_BYTES];
    struct queue_note note = {.name = note_name};
    struct fault fault;
    size_t queued = 0;
    bool noted = false;
    arena_reset(feed->arena);
    envelope_traceparent(traceparent);
    for (size_t i = 0; i < count; i++) {
        feed->queued[queued].class = QUEUE_HEALTH;
        noted |= feed->reports[i].kind == APPLICATION_REPORT && feed->reports[i].changed;
        /* What the contract does not allow will never be allowed: it is taken for said, and is not tried for ever. */
        if (encode(item, &feed->reports[i], at.wall_ms, traceparent, &feed->queued[queued].intent, &fault))
            store_failed(feed, &fault, "passed over");
        else
            queued++;
    }
    fault_code code = FAULT_NONE;
    if (noted) {
        unsigned shard = 0;
        code = applications_note(item->applications, feed->reports, count, feed->arena, &shard, &note.value, &fault);
        argocd_note_name(item->settings->name, shard, note_name);
    }
    if (!code && (queued || noted))
        code = queue_append_later(feed->parts.queue, feed->queued, queued, noted ? &note : NULL, at.wall_ms, &fault);
    *ret_code = code;
    if (code) {
        store_failed(feed, &fault, "kept, tried again in 5s");
        return false;
    }
    log_reports(item, feed->reports, count);
    applications_taken(item->applications, feed->reports, count, at);
    feed->parts.stored(feed->parts.context);
    return true;
}

static fault_code flush(struct feed_item *item) {
    fault_code code = FAULT_NONE;
    while (flush_some(item, &code)) {
    }
    return code;
}

static void arm(struct argocd_feed *feed, bool failing) {
    const int64_t now_ms = clock_monotonic_ms();
    int64_t due_ms = INT64_MAX;
    for (size_t i = 0; i < feed->count; i++) {
        const int64_t item_ms = applications_due_ms(feed->items[i].applications);
        if (item_ms < due_ms) due_ms = item_ms;
    }
    if (due_ms == INT64_MAX) return;
    int64_t wait_ms = due_ms - now_ms;
    if (wait_ms < FLUSH_MS) wait_ms = FLUSH_MS;
    if (failing && wait_ms < RETRY_MS) wait_ms = RETRY_MS;
    loop_timer_set(feed->timer, wait_ms < WAIT_MS_MAX ? wait_ms : WAIT_MS_MAX);
}

static void on_timer(void *context) {
    struct argocd_feed *const feed = context;
    bool failing = false;
    for (size_t i = 0; i < feed->count && !failing; i++) failing = flush(&feed->items[i]) != FAULT_NONE;
    arm(feed, failing);
}

/* ---- from the source */

static void on_list_begins(void *context, slice namespace) {
    const struct feed_item *const item = context;
    applications_list_begins(item->applications, namespace);
}

static bool is_name(slice text) {
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t c = text.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.')) return false;
    }
    return true;
}

static void on_application(void *context, const KubeApplication *application, bool listed) {
    struct feed_item *const item = context;
    struct argocd_place place;
    struct fault fault = {FAULT_INPUT, "its names are none that Kubernetes allows"};
    const slice namespace = application->metadata.namespace, name = application->metadata.name;
    argocd_place(item->settings, item->own_cluster, item->environment, application, &place);
    const KubeApplicationStatus *const status = &application->status;
    const bool failing_operation = application_phase_of(status->operation_state.phase) >= APPLICATION_FAILED;
    const struct application_view view = {
        .namespace = namespace,
        .name = name,
        .environment = slice_from_text(place.environment),
        .cluster = slice_from_text(place.cluster),
        .health = application_health_of(status->health.status),
        .sync = application_sync_of(status->sync.status),
        .phase = application_phase_of(status->operation_state.phase),
        .message = status->health.message.size || !failing_operation ? status->health.message
                                                                     : status->operation_state.message,
    };
    if (applications_waits(item->applications, namespace, name)) (void)flush(item);
    const fault_code code = is_name(namespace) && is_name(name)
                                ? applications_see(item->applications, &view, listed, now(), &fault)
                                : FAULT_INPUT;
    uint64_t suppressed = 0;
    item->skipped += code != FAULT_NONE;
    if (code && log_limit_pass(&item->skip_limit, clock_monotonic_ms(), REPEAT_MS, &suppressed))
        LOG_WARN("agent", "application_skipped", LOG_SLICE("argocd", item->settings->name),
                 LOG_SLICE("name", slice_first(name, 100)), LOG_FAULT(&fault), LOG_UINT("suppressed", suppressed));
    arm(item->feed, false);
}

static void on_deleted(void *context, const KubeApplication *application) {
    struct feed_item *const item = context;
    const slice namespace = application->metadata.namespace, name = application->metadata.name;
    if (applications_waits(item->applications, namespace, name)) (void)flush(item);
    applications_delete(item->applications, namespace, name, now());
    arm(item->feed, false);
}

static void on_list_ends(void *context, slice namespace) {
    const struct feed_item *const item = context;
    applications_list_ends(item->applications, namespace, now());
    arm(item->feed, false);
}

static void on_current(void *context) {
    struct feed_item *const item = context;
    struct applications_stats stats;
    applications_current(item->applications, now());
    applications_stats(item->applications, &stats);
    if (!item->current)
        LOG_INFO("agent", "argocd_current", LOG_SLICE("argocd", item->settings->name),
                 LOG_UINT("applications", stats.applications));
    item->current = true;
    arm(item->feed, false);
}

static void on_lost(void *context, int64_t since_ms, const char *why) {
    struct feed_item *const item = context;
    applications_lost(item->applications, why, since_ms);
    if (item->current || !item->said)
        LOG_WARN("agent", "argocd_lost", LOG_SLICE("argocd", item->settings->name), LOG_TEXT("fault", why),
                 LOG_TEXT("instead", "asked again; its applications are unknown if that takes long"));
    item->current = false;
    item->said = true;
    arm(item->feed, false);
}

/* ---- life */

static void restore(struct feed_item *item) {
    char name[ARGOCD_NOTE_NAME_BYTES];
    for (unsigned shard = 0; shard < APPLICATIONS_SHARDS; shard++) {
        struct fault fault;
        slice note;
        arena_reset(item->feed->arena);
        argocd_note_name(item->settings->name, shard, name);
        fault_code code = queue_note_get(item->feed->parts.queue, name, item->feed->arena, &note, &fault);
        if (code == FAULT_ABSENT) continue;
        if (!code) code = applications_restore(item->applications, note, now(), &fault);
        if (code)
            LOG_WARN("agent", "restored_in_part", LOG_SLICE("argocd", item->settings->name), LOG_FAULT(&fault),
                     LOG_TEXT("instead", "what it held is reported anew"));
    }
}

static slice first_of(slice a, slice b, slice c) {
    return a.size ? a : b.size ? b : c;
}

static fault_code open_item(struct argocd_feed *feed, struct feed_item *item, const struct argocd_settings *settings,
                            struct fault *reterr) {
    item->feed = feed;
    item->settings = settings;
    item->own_cluster = first_of(settings->cluster_id, settings->kubernetes, feed->settings->cluster_id);
    if (!item->own_cluster.size) item->own_cluster = feed->settings->name;
    item->environment = first_of(settings->environment_id, feed->settings->environment_id, SLICE_LIT("default"));
    const struct applications_settings wanted = {
        .heartbeat_ms = settings->heartbeat_ms,
        .debounce_ms = settings->debounce_ms,
        .stale_ms = settings->stale_ms,
        .applications_max = (size_t)settings->applications_max,
        .environment = item->environment,
        .cluster = item->own_cluster,
    };
    const fault_code code = applications_new(&wanted, now(), &item->applications, reterr);
    if (code) return code;
    feed->count++;
    restore(item);
    const struct argocd_source_calls calls = {on_list_begins, on_application, on_deleted, on_list_ends,
                                              on_current,     on_lost,        item};
    struct kube_cluster *const cluster =
        settings->kubernetes.size ? clusters_find(feed->parts.clusters, settings->kubernetes) : NULL;
    struct fault fault = {FAULT_ABSENT, "its cluster cannot be reached"};
    if ((settings->kubernetes.size && !cluster) ||
        argocd_source_open(feed->parts.loop, settings, cluster, &calls, &item->source, &fault))
        on_lost(item, 0, fault.text);
    return FAULT_NONE;
}

/* What an item that is no more in the settings has left. */
static void tidy(const struct argocd_feed *feed) {
    slice names[REPORTS_MAX];
    struct fault fault = {FAULT_LIMIT, "out of memory"};
    size_t count = 0, gone = 0;
    struct arena *arena = arena_new(ARENA_BLOCK_BYTES, ARENA_BYTES);
    for (; count < feed->settings->argocd.count && count < REPORTS_MAX; count++)
        names[count] = feed->settings->argocd.items[count].name;
    if (!arena || argocd_notes_tidy(feed->parts.queue, names, count, clock_wall_ms(), arena, &gone, &fault))
        LOG_WARN("agent", "notes_not_tidied", LOG_FAULT(&fault), LOG_TEXT("instead", "with the next start"));
    else if (gone)
        LOG_INFO("agent", "argocd_forgotten", LOG_UINT("items", gone));
    arena_free(arena);
}

fault_code argocd_feed_open(const struct argocd_feed_parts *parts, const struct agent_settings *settings,
                            struct argocd_feed **ret_feed, struct fault *reterr) {
    struct argocd_feed *feed = calloc(1, sizeof *feed);
    if (!feed) return fault_set(reterr, FAULT_LIMIT, "argocd: out of memory");
    feed->parts = *parts;
    feed->settings = settings;
    fault_code code = FAULT_NONE;
    tidy(feed);
    if (settings->argocd.count) {
        feed->items = calloc(settings->argocd.count, sizeof *feed->items);
        feed->arena = arena_new(ARENA_BLOCK_BYTES, ARENA_BYTES);
        feed->timer = loop_timer_new(parts->loop, on_timer, feed);
        if (!feed->items || !feed->arena || !feed->timer)
            code = fault_set(reterr, FAULT_LIMIT, "argocd: out of memory");
    }
    for (size_t i = 0; i < settings->argocd.count && !code; i++)
        code = open_item(feed, &feed->items[i], &settings->argocd.items[i], reterr);
    if (code) {
        argocd_feed_close(feed);
        return code;
    }
    if (feed->count) arm(feed, false);
    *ret_feed = feed;
    return FAULT_NONE;
}

struct argocd_feed *argocd_feed_close(struct argocd_feed *feed) {
    if (!feed) return NULL;
    for (size_t i = 0; i < feed->count; i++) {
        argocd_source_close(feed->items[i].source);
        applications_free(feed->items[i].applications);
    }
    loop_timer_free(feed->timer);
    arena_free(feed->arena);
    free(feed->items);
    free(feed);
    return NULL;
}

void argocd_feed_stats(const struct argocd_feed *feed, struct argocd_feed_stats *ret_stats) {
    *ret_stats = (struct argocd_feed_stats){.sources = feed->count, .store_failures = feed->store_failures};
    for (size_t i = 0; i < feed->count; i++) {
        struct applications_stats stats;
        applications_stats(feed->items[i].applications, &stats);
        ret_stats->sources_current += feed->items[i].current;
        ret_stats->applications += stats.applications;
        ret_stats->fleets += stats.fleets;
        ret_stats->memory_bytes += stats.memory_bytes;
        ret_stats->changes += stats.changes;
        ret_stats->heartbeats += stats.heartbeats;
        ret_stats->fleet_reports += stats.fleet_reports;
        ret_stats->skipped += feed->items[i].skipped;
    }
}
