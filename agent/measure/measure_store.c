/* SPDX-License-Identifier: Apache-2.0
 * What is counted is safe in two steps. After each scrape the target's part of the fold goes to the state store, which
 * outlives kill -9. When windows are over they go to the queue together with the whole fold, in one transaction, soon on
 * disk (queue_append_later): whoever finds the one finds the other, so a window is stored once, and what is open is not counted twice.
 *
 * The queue may refuse (disk full). Then the windows stay open in the fold, which has room for some, and sealing is
 * tried again; when the fold has no room left (FAULT_AGAIN) the queue sheds what is oldest and least important, for
 * the newest windows are worth more. */
#include <stdio.h>

#include "agent/measure/measure_parts.h"
#include "common/base/clock.h"

enum {
    SHED_BYTES = 256 * 1024,
    REPEAT_MS = 60 * 1000, /* a fault that repeats is logged so often */
};

void measure_store_fold(struct measure *measure) {
    struct fault fault;
    if (queue_append(measure->parts.queue, NULL, 0, &(struct queue_note){"fold", fold_snapshot(measure->fold)},
                     clock_wall_ms(), &fault))
        LOG_WARN("agent", "snapshot_failed", LOG_FAULT(&fault),
                 LOG_TEXT("instead", "kept in memory, stored with the next windows"));
}

static void store_failed(struct measure *measure, const struct fault *fault, const char *instead) {
    uint64_t suppressed = 0;
    measure->stats.last_fault = *fault;
    measure->stats.store_failures++;
    measure->stats.store_failing = true;
    if (log_limit_pass(&measure->store_limit, clock_monotonic_ms(), REPEAT_MS, &suppressed))
        LOG_ERROR("agent", "store_failed", LOG_FAULT(fault), LOG_TEXT("instead", instead),
                  LOG_UINT("suppressed", suppressed));
}

static const char *traceparent(struct measure *measure) {
    if (!measure->traceparent[0]) envelope_traceparent(measure->traceparent);
    return measure->traceparent;
}

static struct envelope envelope_of(const struct measure *measure) {
    return (struct envelope){measure->settings->tenant, measure->settings->name, measure->settings->cluster_id,
                             measure->settings->environment_id};
}

/* One transaction of sealed windows; false: nothing was sealed, or nothing more is to be sealed now. */
static bool seal_some(struct measure *measure) {
    const int64_t now_ms = clock_wall_ms();
    size_t count = 0;
    fold_seal_begin(measure->fold, now_ms, measure->windows, MEASURE_WINDOWS_PER_SEAL, &count);
    if (count == 0) return false;
    const struct envelope envelope = envelope_of(measure);
    arena_reset(measure->intents);
    struct fault fault;
    fault_code code = FAULT_NONE;
    for (size_t i = 0; i < count && !code; i++) {
        measure->items[i].class = QUEUE_WINDOWS;
        code = envelope_window(&envelope, &measure->windows[i], traceparent(measure), measure->intents,
                               &measure->items[i].intent, &fault);
    }
    if (!code)
        code = queue_append_later(measure->parts.queue, measure->items, count,
                                  &(struct queue_note){"fold", fold_snapshot(measure->fold)}, now_ms, &fault);
    if (code) {
        fold_seal_abort(measure->fold);
        store_failed(measure, &fault, "the windows stay open, tried again in 5s");
        return false;
    }
    fold_seal_commit(measure->fold);
    edge_alerts_count(measure->parts.alerts, measure->windows, count);
    measure->stats.store_failing = false;
    measure->stats.windows_stored += count;
    measure->parts.stored(measure->parts.context);
    return count == MEASURE_WINDOWS_PER_SEAL;
}

void measure_follow_clock(struct measure *measure) {
    switch (fold_follow_clock(measure->fold, clock_wall_ms(), clock_boot_ms())) {
    case FOLD_CLOCK_STEADY: return;
    case FOLD_CLOCK_SET_BACK:
        LOG_WARN("agent", "clock_set_back",
                 LOG_TEXT("instead", "windows begin anew at the present time; what was open is counted there"));
        break;
    case FOLD_CLOCK_SET_RIGHT:
        LOG_WARN("agent", "clock_set_right",
                 LOG_TEXT("instead",
                          "it had been set back; what was measured before that stays, and windows go on behind it"));
        break;
    }
    measure_store_fold(measure);
}

void measure_seal(struct measure *measure) {
    measure_follow_clock(measure);
    const uint64_t before = measure->stats.windows_stored;
    while (seal_some(measure)) {
    }
    edge_alerts_judge(measure->parts.alerts, clock_wall_ms());
    struct fault fault;
    if (measure->stats.windows_stored != before &&
        state_prune(measure->parts.state, fold_generation(measure->fold), &fault))
        measure->stats.checkpoint_failures++; /* old ones are not read: they only take room */
}

void measure_flush_health(struct measure *measure) {
    struct health_observation observation;
    const struct envelope envelope = envelope_of(measure);
    size_t check = 0;
    for (int64_t now_ms; health_due(measure->health, (now_ms = clock_wall_ms()), &observation, &check);) {
        arena_reset(measure->intents);
        struct queue_item item = {.class = QUEUE_HEALTH};
        struct fault fault;
        fault_code code = envelope_health(&envelope, &observation, &measure->resources[check], traceparent(measure),
                                          now_ms, measure->intents, &item.intent, &fault);
        /* What was said last is remembered with the saying; of a heartbeat nothing new is to be remembered. */
        struct queue_note note = {.name = "health"};
        if (!code && observation.changed)
            code = health_note(measure->health, check, now_ms, measure->intents, &note.value, &fault);
        if (!code)
            code =
                queue_append_later(measure->parts.queue, &item, 1, observation.changed ? &note : NULL, now_ms, &fault);
        if (code) {
            store_failed(measure, &fault, "the observation is kept, tried again later");
            return;
        }
        if (observation.changed)
            LOG_INFO("agent", "health_changed", LOG_SLICE("check", observation.id),
                     LOG_INT("from", observation.previous), LOG_INT("to", observation.status),
                     LOG_TEXT("message", observation.message));
        health_taken(measure->health, check, now_ms);
        measure->stats.observations_stored++;
        measure->parts.stored(measure->parts.context);
    }
}

void measure_checkpoint(struct measure *measure, size_t source) {
    struct fault fault;
    char text[MEASURE_KEY_BYTES];
    uint64_t suppressed = 0;
    if (!state_put(measure->parts.state, measure_key(measure, source, text), fold_generation(measure->fold),
                   fold_snapshot_target(measure->fold, source), &fault))
        return;
    measure->stats.checkpoint_failures++;
    measure->stats.last_fault = fault;
    if (log_limit_pass(&measure->checkpoint_limit, clock_monotonic_ms(), REPEAT_MS, &suppressed))
        LOG_WARN("agent", "checkpoint_failed", LOG_FAULT(&fault),
                 LOG_TEXT("instead", "a crash would lose the counts since the last window"),
                 LOG_UINT("suppressed", suppressed));
}

void measure_make_room(struct measure *measure) {
    struct fault fault;
    measure_seal(measure);
    if (!measure->stats.store_failing) return;
    if (queue_shed(measure->parts.queue, SHED_BYTES, &fault))
        store_failed(measure, &fault, "scrapes do not count until there is room; the next that counts bridges them");
    else
        measure_seal(measure);
}
