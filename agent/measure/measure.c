/* SPDX-License-Identifier: Apache-2.0
 * Each answer takes the same way: the fold or the health checks count it, what is known of the source is said, and what
 * it ended is stored (measure_store.c). A measure that is no longer running takes no answer: another has taken over. */
#include "agent/measure/measure.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/measure/measure_parts.h"
#include "common/base/clock.h"

enum {
    SEAL_RETRY_MS = 5000,
    SEAL_AGAIN_MS = 100, /* a window is over, but a scrape of it is in flight */
    WAIT_MS_MAX = 60 * 1000,
    INTENT_BLOCK_BYTES = 96 * 1024, /* holds the windows of one seal */
    INTENT_ARENA_BYTES = 4 * 1024 * 1024,
    CONFIG_ARENA_BYTES = 256 * 1024 * 1024,
    REPEAT_MS = 60 * 1000, /* a fault that repeats is logged so often */
};

static bool on_scrape_begin(void *context, size_t target, int64_t slot_ms);
static void on_scrape_done(void *context, size_t target, const struct scrape_result *result);
static bool on_probe_begin(void *context, size_t target, int64_t slot_ms);
static void on_probe_done(void *context, size_t target, const struct probe_result *result);
static void on_seal_timer(void *context);
static void on_health_timer(void *context);

fault_code measure_new(const struct measure_parts *parts, const struct agent_settings *settings,
                       const struct remote_definitions *remote, char *ret_notes, size_t notes_bytes,
                       struct measure **ret_measure, struct fault *reterr) {
    struct measure *measure = calloc(1, sizeof *measure);
    if (!measure) return fault_set(reterr, FAULT_LIMIT, "measure: out of memory");
    measure->parts = *parts;
    measure->settings = settings;
    if (notes_bytes) ret_notes[0] = '\0';
    measure->config = arena_new(8 * 1024, CONFIG_ARENA_BYTES);
    measure->intents = arena_new(INTENT_BLOCK_BYTES, INTENT_ARENA_BYTES);
    measure->seal_timer = loop_timer_new(parts->loop, on_seal_timer, measure);
    measure->health_timer = loop_timer_new(parts->loop, on_health_timer, measure);
    fault_code code = FAULT_NONE;
    if (!measure->config || !measure->intents || !measure->seal_timer || !measure->health_timer)
        code = fault_set(reterr, FAULT_LIMIT, "out of memory");
    if (!code)
        code = measure_build(measure, remote, &(struct scrape_callbacks){on_scrape_begin, on_scrape_done, measure},
                             &(struct probe_callbacks){on_probe_begin, on_probe_done, measure}, ret_notes, notes_bytes,
                             reterr);
    if (code) {
        measure_free(measure);
        return fault_wrap(reterr, "measure");
    }
    *ret_measure = measure;
    return FAULT_NONE;
}

static void stop(struct measure *measure) {
    measure->running = false;
    measure->scrape = scrape_free(measure->scrape); /* gives back what is in flight: it counts nothing */
    measure->probe = probe_free(measure->probe);
    measure_groups_stop(measure);
    if (measure->seal_timer) loop_timer_clear(measure->seal_timer);
    if (measure->health_timer) loop_timer_clear(measure->health_timer);
}

struct measure *measure_free(struct measure *measure) {
    if (!measure) return NULL;
    stop(measure);
    loop_timer_free(measure->seal_timer);
    loop_timer_free(measure->health_timer);
    health_free(measure->health);
    fold_free(measure->fold);
    for (size_t i = 0; i < measure->slis_count; i++) sli_free(measure->slis[i]);
    for (size_t i = 0; measure->sources && i < measure->targets_count; i++)
        selector_index_free(measure->sources[i].index);
    measure_groups_free(measure);
    arena_free(measure->intents);
    arena_free(measure->config);
    free(measure);
    return NULL;
}

/* A target that stays keeps what was last said of it. */
static void take_over_reports(struct measure *measure, const struct measure *old) {
    for (size_t i = 0; i < measure->targets_count + measure->probes_count; i++) {
        for (size_t o = 0; o < old->targets_count + old->probes_count; o++) {
            if (!slice_equal(measure->sources[i].name, old->sources[o].name)) continue;
            memcpy(measure->sources[i].error, old->sources[o].error, MEASURE_ERROR_BYTES);
            measure->sources[i].report = old->sources[o].report;
            measure->sources[i].report.name = measure->sources[i].name;
            measure->sources[i].report.error = measure->sources[i].error;
            break;
        }
    }
}

void measure_take_over(struct measure *measure, struct measure *old) {
    struct fault fault;
    stop(old);
    if (fold_restore(measure->fold, fold_snapshot(old->fold), NULL, 0, clock_wall_ms(), &fault))
        LOG_WARN("agent", "taken_over_in_part", LOG_FAULT(&fault),
                 LOG_TEXT("instead", "what is open in it begins anew"));
    measure_store_fold(measure);
    measure_restore_health(measure);
    measure->stats.windows_stored = old->stats.windows_stored;
    measure->stats.observations_stored = old->stats.observations_stored;
    measure->stats.store_failures = old->stats.store_failures;
    measure->stats.last_success_ms = old->stats.last_success_ms;
    take_over_reports(measure, old);
    measure_free(old);
}

static void arm(struct measure *measure) {
    const int64_t now_ms = clock_wall_ms();
    const int64_t seal_ms = fold_seal_due_ms(measure->fold), health_ms = health_due_ms(measure->health);
    int64_t wait_ms = seal_ms > now_ms ? seal_ms - now_ms : SEAL_AGAIN_MS;
    if (measure->stats.store_failing && wait_ms < SEAL_RETRY_MS) wait_ms = SEAL_RETRY_MS;
    /* Wall time may be set: nothing is waited for longer than a minute without looking at the clock again. */
    if (seal_ms != INT64_MAX) loop_timer_set(measure->seal_timer, wait_ms < WAIT_MS_MAX ? wait_ms : WAIT_MS_MAX);
    if (health_ms == INT64_MAX) return;
    wait_ms = health_ms > now_ms ? health_ms - now_ms : SEAL_AGAIN_MS;
    loop_timer_set(measure->health_timer, wait_ms < WAIT_MS_MAX ? wait_ms : WAIT_MS_MAX);
}

void measure_start(struct measure *measure) {
    measure->running = true;
    edge_alerts_define(measure->parts.alerts, (const struct sli *const *)measure->slis, measure->slis_count);
    scrape_start(measure->scrape);
    probe_start(measure->probe);
    measure_groups_start(measure);
    arm(measure);
}

static void on_seal_timer(void *context) {
    struct measure *const measure = context;
    measure->traceparent[0] = '\0';
    measure_seal(measure);
    arm(measure);
}

static void on_health_timer(void *context) {
    struct measure *const measure = context;
    measure->traceparent[0] = '\0';
    measure_flush_health(measure);
    arm(measure);
}

/* news: it was counted until now; what begins is said of each, what goes on of one now and then. */
static void count_failed(struct measure *measure, size_t source, bool news, const struct fault *fault) {
    uint64_t suppressed = 0;
    measure->stats.count_failures++;
    measure->stats.last_fault = *fault;
    if (log_limit_pass(&measure->count_limit, clock_monotonic_ms(), REPEAT_MS, &suppressed) || news)
        LOG_WARN("agent", "count_failed", LOG_SLICE("target", measure_source_at(measure, source)->name),
                 LOG_FAULT(fault), LOG_UINT("suppressed", suppressed));
}

/* One trace holds all that an answer makes us store: the windows it ends, the checks it changes. */
static void counted(struct measure *measure, size_t source, bool news, fault_code code, const struct fault *fault) {
    measure->traceparent[0] = '\0';
    if (code) count_failed(measure, source, news, fault);
    if (code == FAULT_AGAIN)
        measure_make_room(measure);
    else
        measure_checkpoint(measure, source);
    if (!measure->running) return;
    measure_follow_clock(measure);
    if (fold_seal_due_ms(measure->fold) <= clock_wall_ms() && !measure->stats.store_failing) measure_seal(measure);
    measure_flush_health(measure);
    arm(measure);
}

static bool begin_source(struct measure *measure, size_t source, int64_t slot_ms) {
    struct fault fault;
    if (fold_begin(measure->fold, source, slot_ms, &fault)) {
        count_failed(measure, source, false, &fault);
        return false;
    }
    measure_source_at(measure, source)->slot_ms = slot_ms;
    return true;
}

static void report(struct measure *measure, size_t source, bool up, int64_t duration_ms, uint64_t samples,
                   const struct fault *uncounted, const char *error) {
    struct measure_source *const about = measure_source_at(measure, source);
    struct target_report *const report = &about->report;
    const bool first = report->last_ms == 0;
    const bool was_up = report->up;
    report->up = up;
    report->uncounted = uncounted->code != FAULT_NONE;
    report->last_ms = clock_wall_ms();
    report->duration_ms = duration_ms;
    report->samples = samples;
    snprintf(about->error, MEASURE_ERROR_BYTES, "%s", report->uncounted ? uncounted->text : up ? "" : error);
    if (up) measure->stats.last_success_ms = clock_monotonic_ms();
    if (up && !was_up)
        LOG_INFO("agent", "target_up", LOG_SLICE("target", report->name), LOG_UINT("samples", samples),
                 LOG_INT("milliseconds", duration_ms));
    else if (!up && (was_up || first))
        LOG_WARN("agent", "target_down", LOG_SLICE("target", report->name), LOG_TEXT("fault", error),
                 LOG_TEXT("instead", "counted as not seen"));
}

static bool on_scrape_begin(void *context, size_t target, int64_t slot_ms) {
    struct measure *const measure = context;
    if (!begin_source(measure, target, slot_ms)) return false;
    if (target < measure->targets_count) health_begin(measure->health, target);
    return true;
}

static void on_scrape_done(void *context, size_t target, const struct scrape_result *result) {
    struct measure *const measure = context;
    const bool ok = result->fault.code == FAULT_NONE;
    struct fault fault = {0};
    fault_code code = FAULT_NONE;
    if (ok)
        code = fold_commit(measure->fold, target, clock_wall_ms(), &fault);
    else
        fold_abort(measure->fold, target);
    if (target < measure->targets_count) health_end(measure->health, target, result->slot_ms, ok);
    if (!measure->running) return; /* broken off: another measure takes over */
    const struct measure_member *const member = measure_member_at(measure, target);
    if (member && !member->there) return; /* it has gone meanwhile */
    const bool news = code && !measure_source_at(measure, target)->report.uncounted;
    report(measure, target, ok, result->duration_ms, result->samples, &fault, result->fault.text);
    counted(measure, target, news, code, &fault);
}

static bool on_probe_begin(void *context, size_t target, int64_t slot_ms) {
    struct measure *const measure = context;
    return begin_source(measure, measure->targets_count + target, slot_ms);
}

static void on_probe_done(void *context, size_t target, const struct probe_result *result) {
    struct measure *const measure = context;
    const size_t source = measure->targets_count + target;
    struct fault fault = {0};
    fault_code code = FAULT_NONE;
    if (result->asked)
        code = fold_commit_probe(measure->fold, source, result->ok, result->latency_ms, clock_wall_ms(), &fault);
    else
        fold_abort(measure->fold, source);
    health_probe(measure->health, target, result->slot_ms, result->asked, result->ok, result->latency_ms,
                 result->fault.text);
    if (!measure->running) return;
    measure->stats.probes++;
    if (!result->ok) measure->stats.probes_failed++;
    const bool news = code && !measure_source_at(measure, source)->report.uncounted;
    report(measure, source, result->asked && result->ok, result->latency_ms, 0, &fault, result->fault.text);
    counted(measure, source, news, code, &fault);
}

void measure_stats(const struct measure *measure, struct measure_stats *ret_stats) {
    *ret_stats = measure->stats;
    fold_stats(measure->fold, &ret_stats->fold);
    if (measure->scrape) scrape_stats(measure->scrape, &ret_stats->scrape);
    ret_stats->memory_bytes = ret_stats->fold.memory_bytes + arena_used(measure->config);
    ret_stats->targets = measure->targets_count + measure->probes_count + ret_stats->fold.members;
    for (size_t i = 0; i < measure->groups_count; i++)
        ret_stats->groups_unknown += !measure_group_report(&measure->groups[i])->up;
    ret_stats->slis = measure->slis_count;
    ret_stats->checks = measure->checks_count;
}

const struct target_report *measure_targets(struct measure *measure, size_t *ret_count) {
    size_t count = 0;
    for (size_t i = 0; i < measure->targets_count + measure->probes_count; i++)
        measure->listing[count++] = measure->sources[i].report;
    for (size_t i = 0; i < measure->groups_count; i++)
        measure->listing[count++] = *measure_group_report(&measure->groups[i]);
    for (size_t i = 0; i < measure->members_max; i++)
        if (measure->members[i].there) measure->listing[count++] = measure->members[i].source.report;
    *ret_count = count;
    return measure->listing;
}
