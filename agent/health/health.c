/* SPDX-License-Identifier: Apache-2.0
 * Each observation of a check votes for a status. A status other than the one in force must be voted for `rise` times in
 * a row (to become healthy) or `fall` times in a row (to leave healthy, or to move between degraded and unhealthy)
 * before it takes over. Out of unknown the first `rise` or `fall` votes decide just the same: one good answer after a
 * silence makes nothing green. Silence of stale_ms makes any status unknown at once.
 *
 * What is to be sent is kept per check until the caller has stored it: a status that changed twice in between is sent
 * once, as it is now, with the status that was last sent as the previous one. */
#include "agent/health/health.h"

#include "common/base/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEALTH_RUN_MAX = 1000 };

struct check_state {
    struct health_check check; /* its texts are ours */
    struct selector *selector;
    char *store;
    bool bound;
    uint32_t source; /* number of its target or probe, when bound */
    enum health_status status, sent, vote;
    unsigned votes;      /* in a row, for `vote` */
    int64_t observed_ms; /* of the last vote; INT64_MIN: none yet */
    int64_t decided_ms, sent_ms, since_ms;
    int64_t latency_ms;
    uint32_t series, broken; /* in the scrape in flight */
    double worst;            /* a value that broke the rule */
    bool changed;
    char message[sizeof((struct health_observation *)0)->message];
};

struct health {
    struct check_state *checks;
    size_t count, targets_count, probes_count;
};

static bool is_id(slice id) {
    if (id.size == 0 || id.size > LIMIT_AGGREGATE_ID_BYTES) return false;
    for (size_t i = 0; i < id.size; i++)
        if (id.data[i] <= ' ' || id.data[i] >= 0x7f || strchr("/#+?*\"'\\", id.data[i])) return false;
    return true;
}

static fault_code check_values(const struct health_check *check, struct fault *reterr) {
    if (check->rise < 1 || check->rise > HEALTH_RUN_MAX || check->fall < 1 || check->fall > HEALTH_RUN_MAX)
        return fault_set(reterr, FAULT_INPUT, "rise and fall must be 1 to %d", HEALTH_RUN_MAX);
    if (check->stale_ms < 1 || check->heartbeat_ms < 1)
        return fault_set(reterr, FAULT_INPUT, "stale and heartbeat must be at least 1 ms");
    if (check->probe != (check->selector.size == 0))
        return fault_set(reterr, FAULT_INPUT,
                         check->probe ? "a check of a probe takes no selector" : "a rule needs a selector");
    if ((unsigned)check->operator> SLI_NOT_EQUAL || check->latency_ms_max<0)
        return fault_set(reterr, FAULT_INPUT, "no such operator, or a negative latency");
    return FAULT_NONE;
}

static bool find_source(slice name, const slice *names, size_t count, uint32_t *ret_number) {
    for (size_t i = 0; i < count; i++)
        if (slice_equal(names[i], name)) {
            *ret_number = (uint32_t)i;
            return true;
        }
    return false;
}

static fault_code state_fill(struct check_state *state, const struct health_check *check, int64_t now_ms,
                             struct fault *reterr) {
    const fault_code code = check_values(check, reterr);
    if (code) return code;
    state->check = *check;
    state->store = malloc(check->id.size + check->target.size + 1);
    if (state->store == NULL) return fault_set(reterr, FAULT_SYSTEM, "out of memory");
    memcpy(state->store, check->id.data, check->id.size);
    if (check->target.size) memcpy(state->store + check->id.size, check->target.data, check->target.size);
    state->check.id = slice_of(state->store, check->id.size);
    state->check.target = slice_of(state->store + check->id.size, check->target.size);
    state->check.selector = (slice){0};
    state->status = state->sent = state->vote = HEALTH_UNKNOWN;
    state->observed_ms = INT64_MIN;
    state->decided_ms = state->since_ms = now_ms;
    state->sent_ms = INT64_MIN;
    state->latency_ms = -1;
    snprintf(state->message, sizeof state->message, "not observed yet");
    if (check->selector.size && selector_parse(check->selector, "", &state->selector, reterr))
        return fault_wrap(reterr, "selector");
    return FAULT_NONE;
}

fault_code health_new(const struct health_check *checks, size_t checks_count, const slice *targets,
                      size_t targets_count, const slice *probes, size_t probes_count, int64_t now_ms,
                      struct health **ret_health, struct fault *reterr) {
    struct health *health = calloc(1, sizeof *health);
    if (health) health->checks = calloc(checks_count + 1, sizeof *health->checks);
    if (health == NULL || health->checks == NULL) {
        health_free(health);
        return fault_set(reterr, FAULT_SYSTEM, "out of memory for %zu health checks", checks_count);
    }
    for (size_t i = 0; i < checks_count; i++) {
        struct check_state *const state = &health->checks[health->count++];
        fault_code code = is_id(checks[i].id)
                              ? state_fill(state, &checks[i], now_ms, reterr)
                              : fault_set(reterr, FAULT_INPUT, "expected an id of 1 to %d printable characters",
                                          LIMIT_AGGREGATE_ID_BYTES);
        for (size_t j = 0; code == FAULT_NONE && j < i; j++)
            if (slice_equal(health->checks[j].check.id, checks[i].id))
                code = fault_set(reterr, FAULT_CONFLICT, "there are two of this id");
        if (code) {
            health_free(health);
            (void)fault_wrap(reterr, "health check '%.*s'", SLICE_ARG(slice_first(checks[i].id, 130)));
            return code;
        }
        state->bound = find_source(checks[i].target, checks[i].probe ? probes : targets,
                                   checks[i].probe ? probes_count : targets_count, &state->source);
        if (!state->bound)
            snprintf(state->message, sizeof state->message, "not observed: there is no %s '%.*s'",
                     checks[i].probe ? "probe" : "target", SLICE_ARG(slice_first(checks[i].target, 100)));
    }
    *ret_health = health;
    return FAULT_NONE;
}

struct health *health_free(struct health *health) {
    if (health) {
        for (size_t i = 0; i < health->count; i++) {
            selector_free(health->checks[i].selector);
            free(health->checks[i].store);
        }
        free(health->checks);
        free(health);
    }
    return NULL;
}

static void health_on_sample(void *context, uint32_t number, const struct exposition_sample *sample) {
    struct check_state *const state = &((struct health *)context)->checks[number];
    state->series++;
    if (sli_holds(state->check.operator, sample->value, state->check.threshold)) return;
    if (state->broken++ == 0) state->worst = sample->value;
}

static bool observes(const struct check_state *state, bool probe, size_t source) {
    return state->bound && state->check.probe == probe && state->source == source;
}

fault_code health_attach(struct health *health, size_t target, struct selector_index *index, struct fault *reterr) {
    for (size_t i = 0; i < health->count; i++) {
        if (!observes(&health->checks[i], false, target)) continue;
        const fault_code code =
            selector_index_add(index, health->checks[i].selector, health_on_sample, health, (uint32_t)i, reterr);
        if (code) return code;
    }
    return FAULT_NONE;
}

static void state_become(struct check_state *state, enum health_status status, int64_t at_ms) {
    state->changed = status != state->sent || state->sent_ms == INT64_MIN;
    state->status = status;
    state->decided_ms = at_ms;
}

static void state_vote(struct check_state *state, enum health_status vote, int64_t slot_ms) {
    state->votes = state->vote == vote ? state->votes + (state->votes < HEALTH_RUN_MAX) : 1;
    state->vote = vote;
    state->observed_ms = slot_ms;
    const unsigned needed = vote == HEALTH_HEALTHY ? state->check.rise : state->check.fall;
    if (vote == state->status)
        state->decided_ms = slot_ms;
    else if (state->votes >= needed)
        state_become(state, vote, slot_ms);
}

void health_begin(struct health *health, size_t target) {
    for (size_t i = 0; i < health->count; i++)
        if (observes(&health->checks[i], false, target)) health->checks[i].series = health->checks[i].broken = 0;
}

void health_end(struct health *health, size_t target, int64_t slot_ms, bool ok) {
    for (size_t i = 0; i < health->count; i++) {
        struct check_state *const state = &health->checks[i];
        /* No such series: nothing was observed, and that is not the same as all being well. */
        if (!observes(state, false, target) || !ok || state->series == 0) continue;
        if (state->broken == 0) {
            snprintf(state->message, sizeof state->message, "%" PRIu32 " series as they should be", state->series);
            state_vote(state, HEALTH_HEALTHY, slot_ms);
            continue;
        }
        snprintf(state->message, sizeof state->message,
                 "%" PRIu32 " of %" PRIu32 " series break the rule, one with value %g", state->broken, state->series,
                 state->worst);
        state_vote(state, state->check.degrades ? HEALTH_DEGRADED : HEALTH_UNHEALTHY, slot_ms);
    }
}

void health_probe(struct health *health, size_t probe, int64_t slot_ms, bool asked, bool ok, int64_t latency_ms,
                  const char *why) {
    for (size_t i = 0; i < health->count; i++) {
        struct check_state *const state = &health->checks[i];
        if (!observes(state, true, probe) || !asked) continue;
        const bool slow = ok && state->check.latency_ms_max && latency_ms > state->check.latency_ms_max;
        state->latency_ms = latency_ms;
        if (!ok)
            snprintf(state->message, sizeof state->message, "%s", why && why[0] ? why : "no answer");
        else
            snprintf(state->message, sizeof state->message,
                     slow ? "answered in %" PRId64 " ms, slower than allowed" : "answered in %" PRId64 " ms",
                     latency_ms);
        state_vote(state, !ok ? HEALTH_UNHEALTHY : slow ? HEALTH_DEGRADED : HEALTH_HEALTHY, slot_ms);
    }
}

static int64_t stale_at_ms(const struct check_state *state) {
    return (state->observed_ms == INT64_MIN ? state->since_ms : state->observed_ms) + state->check.stale_ms;
}

static void state_age(struct check_state *state, int64_t now_ms) {
    if (state->status == HEALTH_UNKNOWN || now_ms < stale_at_ms(state)) return;
    snprintf(state->message, sizeof state->message, "not observed for %" PRId64 " ms",
             now_ms - (stale_at_ms(state) - state->check.stale_ms));
    state->vote = HEALTH_UNKNOWN;
    state->votes = 0;
    state->latency_ms = -1;
    state_become(state, HEALTH_UNKNOWN, now_ms);
}

/* The first word about a check waits for a verdict, but not for longer than stale_ms: then unknown is the verdict. */
static int64_t due_at_ms(const struct check_state *state) {
    /* What was restored is not said again before somebody has looked. */
    if (state->sent_ms != INT64_MIN && state->observed_ms == INT64_MIN && !state->changed) return stale_at_ms(state);
    if (state->sent_ms == INT64_MIN) return state->changed ? INT64_MIN : state->since_ms + state->check.stale_ms;
    return state->changed ? INT64_MIN : state->sent_ms + state->check.heartbeat_ms;
}

bool health_due(struct health *health, int64_t now_ms, struct health_observation *ret_observation, size_t *ret_check) {
    for (size_t i = 0; i < health->count; i++) {
        struct check_state *const state = &health->checks[i];
        state_age(state, now_ms);
        if (due_at_ms(state) > now_ms) continue;
        *ret_observation =
            (struct health_observation){.id = state->check.id,
                                        .status = state->status,
                                        .previous = state->sent,
                                        .changed = state->status != state->sent || state->sent_ms == INT64_MIN,
                                        .observed_ms = state->decided_ms,
                                        .latency_ms = state->latency_ms};
        memcpy(ret_observation->message, state->message, sizeof state->message);
        *ret_check = i;
        return true;
    }
    return false;
}

void health_taken(struct health *health, size_t check, int64_t now_ms) {
    struct check_state *const state = &health->checks[check];
    state->sent = state->status;
    state->sent_ms = now_ms;
    state->changed = false;
}

enum { NOTE_MAGIC = 0x31544c48, NOTE_HEAD_BYTES = 8, NOTE_ENTRY_BYTES = 11 };

static uint8_t *put_number(uint8_t *at, uint64_t number, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) at[i] = (uint8_t)(number >> 8 * i);
    return at + bytes;
}

static uint64_t get_number(const uint8_t *at, size_t bytes) {
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++) number |= (uint64_t)at[i] << 8 * i;
    return number;
}

fault_code health_note(const struct health *health, size_t check, int64_t now_ms, struct arena *arena, slice *ret_note,
                       struct fault *reterr) {
    size_t size = NOTE_HEAD_BYTES;
    uint32_t count = 0;
    for (size_t i = 0; i < health->count; i++) size += NOTE_ENTRY_BYTES + health->checks[i].check.id.size;
    uint8_t *const data = arena_alloc(arena, size);
    if (!data) return fault_set(reterr, FAULT_LIMIT, "note of health checks: out of memory");
    uint8_t *at = data + NOTE_HEAD_BYTES;
    for (size_t i = 0; i < health->count; i++) {
        const struct check_state *const state = &health->checks[i];
        if (i != check && state->sent_ms == INT64_MIN) continue;
        at = put_number(at, i == check ? state->status : state->sent, 1);
        at = put_number(at, (uint64_t)(i == check ? now_ms : state->sent_ms), 8);
        at = put_number(at, state->check.id.size, 2);
        memcpy(at, state->check.id.data, state->check.id.size);
        at += state->check.id.size;
        count++;
    }
    (void)put_number(put_number(data, NOTE_MAGIC, 4), count, 4);
    *ret_note = slice_of(data, (size_t)(at - data));
    return FAULT_NONE;
}

/* One entry off the front; false: it is none. */
static bool take_entry(slice *rest, enum health_status *ret_status, int64_t *ret_sent_ms, slice *ret_id) {
    if (rest->size < NOTE_ENTRY_BYTES) return false;
    const uint8_t status = rest->data[0];
    const size_t id_size = (size_t)get_number(rest->data + 9, 2);
    if (status < HEALTH_HEALTHY || status > HEALTH_UNKNOWN || rest->size - NOTE_ENTRY_BYTES < id_size) return false;
    *ret_status = (enum health_status)status;
    *ret_sent_ms = (int64_t)get_number(rest->data + 1, 8);
    *ret_id = slice_of(rest->data + NOTE_ENTRY_BYTES, id_size);
    *rest = slice_from(*rest, NOTE_ENTRY_BYTES + id_size);
    return true;
}

fault_code health_restore(struct health *health, slice note, int64_t now_ms, struct fault *reterr) {
    if (note.size < NOTE_HEAD_BYTES || get_number(note.data, 4) != NOTE_MAGIC)
        return fault_set(reterr, FAULT_CORRUPT, "the note of health checks is none");
    const uint64_t count = get_number(note.data + 4, 4);
    enum health_status status;
    int64_t sent_ms;
    slice id;
    for (int pass = 0; pass < 2; pass++) { /* all of it is read before anything is taken */
        slice rest = slice_from(note, NOTE_HEAD_BYTES);
        for (uint64_t i = 0; i < count; i++) {
            if (!take_entry(&rest, &status, &sent_ms, &id))
                return fault_set(reterr, FAULT_CORRUPT, "the note of health checks ends too early");
            for (size_t c = 0; pass && c < health->count; c++) {
                struct check_state *const state = &health->checks[c];
                if (!slice_equal(state->check.id, id)) continue;
                state->status = state->sent = status;
                state->sent_ms = sent_ms < now_ms ? sent_ms : now_ms;
                state->since_ms = state->decided_ms = now_ms;
                state->changed = false;
            }
        }
    }
    return FAULT_NONE;
}

int64_t health_due_ms(const struct health *health) {
    int64_t earliest_ms = INT64_MAX;
    for (size_t i = 0; i < health->count; i++) {
        const struct check_state *const state = &health->checks[i];
        int64_t due_ms = due_at_ms(state);
        if (state->status != HEALTH_UNKNOWN && stale_at_ms(state) < due_ms) due_ms = stale_at_ms(state);
        if (due_ms < earliest_ms) earliest_ms = due_ms;
    }
    return earliest_ms;
}

enum health_status health_status(const struct health *health, size_t check) {
    return health->checks[check].status;
}
