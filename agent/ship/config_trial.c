/* SPDX-License-Identifier: Apache-2.0
 * Three notes in the queue's folder: "config" is the good one, "config.trial" the one on trial, "config.record" what became
 * of them. The trial is written down before it is put to work, so an agent that dies of it finds it again; and what is
 * decided about it before it is taken away, so that dying in between decides the same again.
 *
 * A revision fails as a whole only when nothing of it can be measured: one wrong definition among good ones is named and
 * left out (remote_config.h). Whether measuring works is asked for when the trial begins and when it ends: an agent
 * that measured nothing before does not blame the new revision; nor does one that measures nothing with the good one
 * either, after rolling back: its targets are down, and the new revision is put to work again. While nothing can be stored the trial goes on, because
 * rolling back would give up what is measured for a disk that is full with either of them. An end that was not asked for may be a power cut, so it
 * takes several of them. */
#include "agent/ship/config_trial.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/digest.h"
#include "common/logging/log.h"

enum { ARENA_BLOCK_BYTES = 16 * 1024, ARENA_BYTES_MAX = 64 * 1024 * 1024, RECORD_BYTES = 1024, STOOD_STILL_MS = 1000 };
#define NOTE_GOOD "config"
#define NOTE_TRIAL "config.trial"
#define NOTE_RECORD "config.record"

struct held {
    struct arena *arena; /* NULL: nothing is held */
    struct remote_definitions definitions;
    slice payload; /* in the arena */
};

struct record {
    unsigned ends; /* of the agent, unasked for, since the trial began */
    bool clean;    /* it ended as it should */
    bool worked;   /* when the trial began, something was measured */
    uint64_t failed_revision, failed_hash;
    int64_t failed_ms; /* 0: nothing failed; a revision that cannot be read is 0 */
    char reason[CONFIG_TRIAL_REASON_BYTES];
};

struct config_trial {
    struct config_trial_parts parts;
    struct held good, trial; /* trial.arena: it is at work */
    struct record record;
    uint64_t wanted_revision, wanted_hash; /* of what came last */
    struct held doubted; /* rolled back because nothing was measured; until it is seen whether that helped */
    struct loop_timer *timer, *pace;
    int64_t ends_ms;       /* monotonic: when the timer is due */
    int64_t looked_ms;     /* likewise: when looking at one last ended; 0: none yet */
    struct arena *waiting; /* what came since, whole; NULL: nothing did */
    slice waiting_payload;
};

static void on_probation_over(void *context);
static void look_at(struct config_trial *trial, slice payload);
static void on_pace(void *context);

static void probation_begin(struct config_trial *trial) {
    trial->ends_ms = clock_monotonic_ms() + trial->parts.probation_ms;
    loop_timer_set(trial->timer, trial->parts.probation_ms);
}

static uint64_t payload_hash(slice payload) {
    uint8_t hash[DIGEST_BYTES];
    uint64_t first;
    digest_of(payload, hash);
    memcpy(&first, hash, sizeof first);
    return first;
}

static void held_free(struct held *held) {
    arena_free(held->arena);
    *held = (struct held){0};
}

static fault_code held_read(slice payload, size_t slis_max, struct held *ret_held, struct fault *reterr) {
    struct held held = {.arena = arena_new(ARENA_BLOCK_BYTES, ARENA_BYTES_MAX)};
    if (!held.arena) return fault_set(reterr, FAULT_LIMIT, "configuration from the centre: out of memory");
    held.payload = arena_copy(held.arena, payload);
    fault_code code = held.payload.data || !payload.size
                          ? remote_config_read(payload, slis_max, held.arena, &held.definitions, reterr)
                          : fault_set(reterr, FAULT_LIMIT, "configuration from the centre: out of memory");
    if (!code && held.definitions.refused && !held.definitions.slis_count)
        code = fault_set(reterr, FAULT_INPUT, "nothing of it can be measured: %s", held.definitions.refusals);
    if (code)
        held_free(&held);
    else
        *ret_held = held;
    return code;
}

/* ---- notes ---- */

static bool note_put(struct config_trial *trial, const char *name, slice value) {
    struct fault fault;
    const fault_code code =
        queue_append(trial->parts.queue, NULL, 0, &(struct queue_note){name, value}, clock_wall_ms(), &fault);
    if (code)
        LOG_WARN("agent", "config_not_kept", LOG_TEXT("note", name), LOG_FAULT(&fault),
                 LOG_TEXT("instead", "in force until a restart; the centre sends it again then"));
    return !code;
}

static void record_put(struct config_trial *trial) {
    const struct record *r = &trial->record;
    char text[RECORD_BYTES];
    const int size = snprintf(text, sizeof text, "1 %u %d %d %" PRIu64 " %" PRIx64 " %" PRId64 "\n%s", r->ends,
                              r->clean, r->worked, r->failed_revision, r->failed_hash, r->failed_ms, r->reason);
    note_put(trial, NOTE_RECORD, slice_of(text, (size_t)size));
}

static void record_get(struct config_trial *trial) {
    struct record r = {0};
    struct fault fault;
    slice bytes;
    char text[RECORD_BYTES];
    int clean, worked, end = 0;
    struct arena *arena = arena_new(ARENA_BLOCK_BYTES, ARENA_BLOCK_BYTES);
    if (arena && !queue_note_get(trial->parts.queue, NOTE_RECORD, arena, &bytes, &fault) &&
        slice_to_text(bytes, text, sizeof text) &&
        sscanf(text, "1 %u %d %d %" SCNu64 " %" SCNx64 " %" SCNd64 "%n", &r.ends, &clean, &worked, &r.failed_revision,
               &r.failed_hash, &r.failed_ms, &end) == 6 &&
        end) {
        r.clean = clean != 0;
        r.worked = worked != 0;
        snprintf(r.reason, sizeof r.reason, "%s", text[end] == '\n' ? text + end + 1 : "");
        trial->record = r;
    }
    arena_free(arena);
}

/* Nothing is held when there is none, or none that can be read. */
static void note_get(struct config_trial *trial, const char *name, struct held *ret_held) {
    struct fault fault;
    slice payload;
    struct arena *arena = arena_new(ARENA_BLOCK_BYTES, ARENA_BYTES_MAX);
    if (!arena) return;
    fault_code code = queue_note_get(trial->parts.queue, name, arena, &payload, &fault);
    if (!code) code = held_read(payload, trial->parts.slis_max, ret_held, &fault);
    if (code && code != FAULT_ABSENT)
        LOG_WARN("agent", "config_lost", LOG_TEXT("note", name), LOG_FAULT(&fault),
                 LOG_TEXT("instead", "measuring what the file says, until the centre sends it again"));
    arena_free(arena);
}

/* ---- verdicts ---- */

static void fail(struct config_trial *trial, uint64_t revision, uint64_t hash, const char *reason) {
    struct record *r = &trial->record;
    r->failed_revision = revision;
    r->failed_hash = hash;
    r->failed_ms = clock_wall_ms();
    r->ends = 0;
    snprintf(r->reason, sizeof r->reason, "%s", reason);
    record_put(trial);
    LOG_ERROR("agent", "config_rolled_back", LOG_UINT("revision", revision), LOG_TEXT("reason", reason),
              LOG_UINT("in_force", trial->good.definitions.revision),
              LOG_TEXT("instead", "the one before it is in force; it is not tried again until another comes"));
    trial->parts.changed(trial->parts.context);
}

/* The good one takes over again. */
static void roll_back(struct config_trial *trial, const char *reason) {
    static const struct remote_definitions none;
    struct fault fault;
    struct held failed = trial->trial;
    trial->trial = (struct held){0};
    loop_timer_clear(trial->timer);
    fail(trial, failed.definitions.revision, payload_hash(failed.payload), reason);
    note_put(trial, NOTE_TRIAL, (slice){0});
    if (trial->parts.apply(trial->parts.context, trial->good.arena ? &trial->good.definitions : &none, &fault))
        LOG_ERROR("agent", "config_not_put_back", LOG_FAULT(&fault), LOG_TEXT("instead", "with the next start"));
    held_free(&trial->doubted);
    trial->doubted = failed;
    probation_begin(trial);
}

/* Some time after rolling back. */
static void rolled_back_settle(struct config_trial *trial) {
    struct held doubted = trial->doubted;
    trial->doubted = (struct held){0};
    if (trial->parts.find(trial->parts.context) == CONFIG_TRIAL_FAILS) {
        LOG_INFO("agent", "config_again", LOG_UINT("revision", doubted.definitions.revision),
                 LOG_TEXT("reason", "rolling back did not help: nothing is measured with the one before it either"));
        config_trial_forgive(trial);
        look_at(trial, doubted.payload);
    }
    held_free(&doubted);
}

static void promote(struct config_trial *trial) {
    if (!note_put(trial, NOTE_GOOD,
                  trial->trial.payload)) { /* the note of the trial is all that a restart would find */
        probation_begin(trial);
        return;
    }
    note_put(trial, NOTE_TRIAL, (slice){0});
    held_free(&trial->good);
    trial->good = trial->trial;
    trial->trial = (struct held){0};
    LOG_INFO("agent", "config_good", LOG_UINT("revision", trial->good.definitions.revision));
    trial->parts.changed(trial->parts.context);
}

static void on_probation_over(void *context) {
    struct config_trial *trial = context;
    char reason[128];
    if (!trial->trial.arena && !trial->doubted.arena) return;
    if (clock_monotonic_ms() - trial->ends_ms > STOOD_STILL_MS) { /* a process that was stopped measured nothing */
        probation_begin(trial);
        return;
    }
    if (!trial->trial.arena) {
        rolled_back_settle(trial);
        return;
    }
    const enum config_trial_finding finding = trial->parts.find(trial->parts.context);
    if (finding == CONFIG_TRIAL_UNKNOWN) {
        probation_begin(trial);
        return;
    }
    if (!trial->record.worked || finding == CONFIG_TRIAL_WORKS) {
        promote(trial);
        return;
    }
    snprintf(reason, sizeof reason, "nothing was measured with it for %" PRId64 " s, and before it something was",
             trial->parts.probation_ms / 1000);
    roll_back(trial, reason);
}

/* ---- life ---- */

/* A trial that the last life left behind. */
static void trial_resume(struct config_trial *trial) {
    struct record *r = &trial->record;
    char reason[128];
    const uint64_t hash = payload_hash(trial->trial.payload), revision = trial->trial.definitions.revision;
    if ((r->failed_ms && r->failed_hash == hash) ||
        (trial->good.arena && trial->good.definitions.revision == revision)) { /* died between verdict and deed */
        held_free(&trial->trial);
        note_put(trial, NOTE_TRIAL, (slice){0});
        return;
    }
    if (!r->clean) r->ends++;
    r->clean = false;
    if (r->ends < CONFIG_TRIAL_ENDS_MAX) {
        record_put(trial);
        if (r->ends)
            LOG_WARN("agent", "config_suspect", LOG_UINT("revision", revision), LOG_UINT("ends", r->ends),
                     LOG_TEXT("reason", "the agent ended while it was on trial"));
        return;
    }
    snprintf(reason, sizeof reason, "the agent ended %u times while it was on trial", r->ends);
    held_free(&trial->trial);
    fail(trial, revision, hash, reason);
    note_put(trial, NOTE_TRIAL, (slice){0});
}

static void said_nothing(void *context) {}

fault_code config_trial_open(const struct config_trial_parts *parts, struct config_trial **ret_trial,
                             struct fault *reterr) {
    struct config_trial *trial = calloc(1, sizeof *trial);
    if (trial) trial->timer = loop_timer_new(parts->loop, on_probation_over, trial);
    if (trial) trial->pace = loop_timer_new(parts->loop, on_pace, trial);
    if (!trial || !trial->timer || !trial->pace) {
        if (trial) loop_timer_free(trial->timer);
        if (trial) loop_timer_free(trial->pace);
        free(trial);
        return fault_set(reterr, FAULT_LIMIT, "read the configuration from the centre: out of memory");
    }
    trial->parts = *parts;
    trial->parts.changed = said_nothing; /* its owner is not there yet */
    record_get(trial);
    note_get(trial, NOTE_GOOD, &trial->good);
    note_get(trial, NOTE_TRIAL, &trial->trial);
    if (trial->trial.arena) trial_resume(trial);
    const struct held *held = trial->trial.arena ? &trial->trial : &trial->good;
    trial->wanted_revision = trial->record.failed_ms ? trial->record.failed_revision : held->definitions.revision;
    trial->wanted_hash = trial->record.failed_ms ? trial->record.failed_hash : payload_hash(held->payload);
    trial->parts.changed = parts->changed;
    *ret_trial = trial;
    return FAULT_NONE;
}

struct config_trial *config_trial_close(struct config_trial *trial) {
    if (!trial) return NULL;
    if (trial->trial.arena) {
        trial->record.clean = true;
        record_put(trial);
    }
    loop_timer_free(trial->timer);
    loop_timer_free(trial->pace);
    arena_free(trial->waiting);
    held_free(&trial->trial);
    held_free(&trial->good);
    held_free(&trial->doubted);
    free(trial);
    return NULL;
}

const struct remote_definitions *config_trial_definitions(const struct config_trial *trial) {
    return trial->trial.arena ? &trial->trial.definitions : &trial->good.definitions;
}

bool config_trial_step_back(struct config_trial *trial, const struct fault *why) {
    if (!trial->trial.arena) return false;
    const uint64_t hash = payload_hash(trial->trial.payload), revision = trial->trial.definitions.revision;
    held_free(&trial->trial);
    fail(trial, revision, hash, why->text);
    note_put(trial, NOTE_TRIAL, (slice){0});
    return true;
}

void config_trial_started(struct config_trial *trial) {
    if (trial->trial.arena) probation_begin(trial);
}

void config_trial_take(struct config_trial *trial, slice payload) {
    if (!payload.size) return; /* the retained message was taken away: what it said stays in force */
    const int64_t now_ms = clock_monotonic_ms(), next_ms = trial->looked_ms + trial->parts.pace_ms;
    trial->waiting = arena_free(trial->waiting);
    if (!trial->looked_ms || now_ms >= next_ms) {
        loop_timer_clear(trial->pace);
        look_at(trial, payload);
        return;
    }
    trial->waiting = arena_new(ARENA_BLOCK_BYTES, ARENA_BYTES_MAX);
    if (trial->waiting) trial->waiting_payload = arena_copy(trial->waiting, payload);
    loop_timer_set(trial->pace, next_ms - now_ms);
}

static void on_pace(void *context) {
    struct config_trial *trial = context;
    struct arena *waiting = trial->waiting;
    if (!waiting) return;
    trial->waiting = NULL;
    if (trial->waiting_payload.size) look_at(trial, trial->waiting_payload);
    arena_free(waiting);
    trial->parts.changed(trial->parts.context);
}

static void try_it(struct config_trial *trial, slice payload) {
    struct fault fault;
    struct held held;
    const uint64_t hash = payload_hash(payload);
    if (trial->record.failed_ms && hash == trial->record.failed_hash) { /* once is enough */
        trial->wanted_hash = hash;
        trial->wanted_revision = trial->record.failed_revision;
        return;
    }
    trial->wanted_hash = hash;
    if (held_read(payload, trial->parts.slis_max, &held, &fault)) {
        trial->wanted_revision = remote_config_revision(payload);
        fail(trial, trial->wanted_revision, hash, fault.text);
        return;
    }
    trial->wanted_revision = held.definitions.revision;
    if (held.definitions.revision == config_trial_definitions(trial)->revision) {
        held_free(&held);
        return;
    }
    /* A newer one takes the place of the one on trial; the good one stays what it is. */
    trial->record.ends = 0;
    trial->record.clean = false;
    trial->record.worked = trial->parts.find(trial->parts.context) == CONFIG_TRIAL_WORKS;
    record_put(trial);
    note_put(trial, NOTE_TRIAL, payload);
    if (trial->parts.apply(trial->parts.context, &held.definitions, &fault)) {
        fail(trial, held.definitions.revision, hash, fault.text);
        note_put(trial, NOTE_TRIAL, trial->trial.payload);
        held_free(&held);
        return;
    }
    held_free(&trial->trial);
    held_free(&trial->doubted);
    trial->trial = held;
    probation_begin(trial);
    LOG_INFO("agent", "config_changed", LOG_UINT("revision", held.definitions.revision),
             LOG_UINT("slis", held.definitions.slis_count), LOG_UINT("refused", held.definitions.refused),
             LOG_TEXT("refusals", held.definitions.refusals), LOG_INT("trial_ms", trial->parts.probation_ms));
    trial->parts.changed(trial->parts.context);
}

/* The pace runs from the end: on a slow machine one may take longer than the pace, and between two there must be time for
 * everything else whatever one takes. */
static void look_at(struct config_trial *trial, slice payload) {
    try_it(trial, payload);
    trial->looked_ms = clock_monotonic_ms();
}

void config_trial_forgive(struct config_trial *trial) {
    if (!trial->record.failed_ms) return;
    trial->record.failed_revision = trial->record.failed_hash = 0;
    trial->record.failed_ms = 0;
    trial->record.reason[0] = '\0';
    record_put(trial);
}

void config_trial_report(const struct config_trial *trial, struct config_trial_report *ret_report) {
    const struct record *r = &trial->record;
    const bool failed = r->failed_ms && r->failed_hash == trial->wanted_hash;
    *ret_report = (struct config_trial_report){
        .state = trial->trial.arena  ? CONFIG_TRIAL_RUNS
                 : failed            ? CONFIG_TRIAL_ROLLED_BACK
                 : trial->good.arena ? CONFIG_TRIAL_GOOD
                                     : CONFIG_TRIAL_NONE,
        .wanted_revision = trial->wanted_revision,
        .failed_revision = r->failed_revision,
        .failed_reason = r->reason,
        .failed_ms = r->failed_ms,
        .starts = trial->trial.arena ? r->ends + 1 : 0,
    };
}
