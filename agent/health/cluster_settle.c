/* SPDX-License-Identifier: Apache-2.0
 * From findings to a status. Three steps: what the findings say now (or that nobody can say, because the watch is not
 * fresh); what of it is believed (worse at once, for each rule has its own patience; better only when it held; often
 * worse is flapping); and what those below add to it, as cluster_rollup.def has it. A change is carried to the parent,
 * which does the same: at most five steps from a pod to its cluster. */
#include <assert.h>

#include "agent/health/cluster_parts.h"

struct rollup {
    bool used;
    enum health_status unhealthy, degraded, unknown;
    unsigned share_percent;
};

static const struct rollup rollups[CLUSTER_KINDS_][OBJECT_TALLIES] = {
#define ROLLUP(parent, tally, of, unhealthy, share, degraded, unknown)                                                 \
    [CLUSTER_##parent][tally] = {true, HEALTH_##unhealthy, HEALTH_##degraded, HEALTH_##unknown, share},
#include "agent/health/cluster_rollup.def"
#undef ROLLUP
};

/* A node that is silent is known not to work for the cluster: it counts there as a degraded one. */
static enum health_status counts_as(const struct object *object) {
    const enum cluster_rule own = (enum cluster_rule)object->own;
    if (own == RULE_NODE_UNKNOWN) return HEALTH_DEGRADED;
    return (enum health_status)object->status;
}

static enum health_status worse_of(enum health_status a, enum health_status b) {
    return cluster_severity(b) > cluster_severity(a) ? b : a;
}

enum health_status cluster_below(const struct object *object) {
    enum health_status status = HEALTH_HEALTHY;
    for (size_t i = 0; i < OBJECT_TALLIES; i++) {
        const struct rollup *const rollup = &rollups[object->kind][i];
        const struct tally *const tally = &object->below[i];
        if (!rollup->used || tally->total == 0) continue;
        if (tally->unhealthy * 100u >= rollup->share_percent * (unsigned)tally->total)
            status = worse_of(status, tally->unhealthy ? HEALTH_UNHEALTHY : HEALTH_HEALTHY);
        if (tally->unhealthy) status = worse_of(status, rollup->unhealthy);
        if (tally->degraded) status = worse_of(status, rollup->degraded);
        if (tally->unknown) status = worse_of(status, rollup->unknown);
    }
    return status;
}

const char *cluster_watch_word(const struct cluster_watch *watch) {
    static const char *const words[KUBE_WATCH_STATES_] = {
        [KUBE_WATCH_LISTING] = "not listed yet", [KUBE_WATCH_FRESH] = "watched",    [KUBE_WATCH_STALE] = "stale",
        [KUBE_WATCH_DENIED] = "denied",          [KUBE_WATCH_ABSENT] = "not there",
    };
    return words[watch->state];
}

bool cluster_watch_fresh(const struct cluster_watch *watch) {
    return watch->state == KUBE_WATCH_FRESH || (watch->state == KUBE_WATCH_LISTING && watch->ever_fresh);
}

enum cluster_rule cluster_watch_rule(const struct cluster_watch *watch) {
    return watch->state == KUBE_WATCH_DENIED || watch->state == KUBE_WATCH_ABSENT ? RULE_WATCH_DENIED
                                                                                  : RULE_WATCH_STALE;
}

/* Whether something of this namespace (of the whole cluster: NULL) is not watched as it should be, and why: the reason of
 * the first such watch. CLUSTER_RULES_: all are. */
static enum cluster_rule blind(const struct cluster_state *state, const char *namespace) {
    for (size_t i = 0; i < state->watches_count; i++) {
        const struct cluster_watch *const watch = &state->watches[i];
        if (watch->kind == KUBE_EVENTS || cluster_watch_fresh(watch)) continue;
        if (!namespace || (kube_resource(watch->kind)->namespaced &&
                           (!watch->namespace[0] || strcmp(watch->namespace, namespace) == 0)))
            return cluster_watch_rule(watch);
    }
    return CLUSTER_RULES_;
}

static enum cluster_rule blind_object(const struct cluster_state *state, const struct object *object) {
    enum cluster_rule rule = CLUSTER_RULES_;
    if (object->kind == CLUSTER_CLUSTER) rule = blind(state, NULL);
    if (object->kind == CLUSTER_NAMESPACE) rule = blind(state, object->name);
    if (rule == CLUSTER_RULES_ && object->watch != NO_WATCH && !cluster_watch_fresh(&state->watches[object->watch]))
        rule = cluster_watch_rule(&state->watches[object->watch]);
    return rule;
}

static enum cluster_rule verdict_now(const struct cluster_state *state, const struct object *object, int64_t now_ms,
                                     int64_t *ret_next_ms) {
    *ret_next_ms = INT64_MAX;
    if (object->gone) return object->left_out ? RULE_LEFT_OUT : RULE_GONE;
    const enum cluster_rule blinded = state->settled ? blind_object(state, object) : CLUSTER_RULES_;
    if (blinded != CLUSTER_RULES_) return blinded;
    if (!object->seen) return object->restored ? RULE_WATCH_STALE : RULE_SEEN_NOTHING;
    struct finding findings[JUDGEMENT_FINDINGS_MAX];
    for (size_t i = 0; i < object->rules_count; i++)
        findings[i] = (struct finding){(enum cluster_rule)object->rules[i], (int64_t)object->since_s[i] * 1000};
    return cluster_verdict(findings, object->rules_count, now_ms, ret_next_ms);
}

static bool is_bad(enum cluster_rule rule) {
    return cluster_severity(cluster_rule_row(rule)->status) >= cluster_severity(HEALTH_DEGRADED);
}

/* It is not as asked for, and no rule's patience has ended. */
static bool unsettled(enum cluster_rule rule) {
    return rule == RULE_WORKLOAD_STARTING || rule == RULE_WORKLOAD_UNSETTLED;
}

static bool ended(enum cluster_rule rule) {
    return rule == RULE_GONE || rule == RULE_LEFT_OUT;
}

static bool is_good(enum cluster_rule rule) {
    return cluster_rule_row(rule)->status == HEALTH_HEALTHY && rule != RULE_SEEN_NOTHING && !ended(rule);
}

/* Counts the times at which it became worse; true while it does so too often. */
static bool flaps(struct cluster_state *state, struct object *object, enum cluster_rule raw, uint32_t now_s,
                  uint32_t *next_s) {
    const uint32_t window_s = cluster_seconds(state->settings.flap_window_ms);
    const enum cluster_rule before = (enum cluster_rule)object->looked;
    if (is_bad(raw) && !is_bad(before) && !cluster_blind_rule(before) && !ended(before) && !unsettled(before)) {
        memmove(object->flips_s + 1, object->flips_s, (OBJECT_FLIPS_MAX - 1) * sizeof *object->flips_s);
        object->flips_s[0] = now_s;
        const uint32_t first_s = object->flips_s[state->settings.flap_count - 1];
        if (!object->flapping && first_s && now_s - first_s < window_s) {
            object->flapping = true;
            state->stats.flaps++;
        }
    }
    if (object->flapping && now_s >= object->flips_s[0] && now_s - object->flips_s[0] >= window_s)
        object->flapping = false;
    if (object->flapping && object->flips_s[0] + window_s < *next_s) *next_s = object->flips_s[0] + window_s;
    return object->flapping;
}

/* What of a verdict is believed. */
static void damp(struct cluster_state *state, struct object *object, enum cluster_rule raw, uint32_t now_s,
                 uint32_t *next_s) {
    const bool flapping = flaps(state, object, raw, now_s, next_s);
    const enum cluster_rule own = (enum cluster_rule)object->own, before = (enum cluster_rule)object->looked;
    object->looked = (uint8_t)raw;
    if (unsettled(raw) && !flapping && !cluster_blind_rule(own) && !ended(own)) {
        if (is_bad(own) && own != RULE_FLAPPING) { /* it is not known to be better */
            object->better_s = 0;
            return;
        }
        if (own == RULE_WORKLOAD_SETTLING || (is_good(own) && is_good(before))) raw = RULE_WORKLOAD_SETTLING;
    }
    if (flapping && !cluster_blind_rule(raw) && !ended(raw)) raw = RULE_FLAPPING;
    const bool plain = cluster_blind_rule(raw) || cluster_blind_rule(own) || ended(raw) || ended(own) ||
                       own == RULE_SEEN_NOTHING || raw == RULE_FLAPPING || own == RULE_FLAPPING || unsettled(own);
    const bool better =
        cluster_severity(cluster_rule_row(raw)->status) < cluster_severity(cluster_rule_row(own)->status);
    if (plain || !better) {
        object->own = (uint8_t)raw;
        object->better_s = 0;
        return;
    }
    const uint32_t recover_s = cluster_seconds(state->settings.recover_ms);
    if (object->better_s == 0 || object->better_s > now_s) object->better_s = now_s;
    if (now_s - object->better_s >= recover_s) {
        object->own = (uint8_t)raw;
        object->better_s = 0;
    } else if (object->better_s + recover_s < *next_s) {
        *next_s = object->better_s + recover_s;
    }
}

static void settle_own(struct cluster_state *state, struct object *object, int64_t now_ms) {
    if (object->restored && !state->settled) return; /* it is as it was told until the lists are there */
    int64_t next_ms;
    const enum cluster_rule raw = verdict_now(state, object, now_ms, &next_ms);
    uint32_t next_s = next_ms == INT64_MAX ? UINT32_MAX : cluster_seconds(next_ms + 999);
    if (object->judged) {
        damp(state, object, raw, cluster_seconds(now_ms), &next_s);
    } else {
        object->own = object->looked = (uint8_t)raw;
        object->judged = object->seen;
    }
    object->next_s = next_s;
    if (next_s < state->next_s) state->next_s = next_s;
    /* While the watch is blind, what is below is not known better. */
    enum health_status status = cluster_rule_row((enum cluster_rule)object->own)->status;
    if (!object->gone) status = worse_of(status, cluster_below(object));
    if (status == (enum health_status)object->status) return;
    object->status = (uint8_t)status;
    object->status_s = cluster_seconds(now_ms);
}

/* A job that failed before a later one of its CronJob did not fail is history. */
static bool superseded(const struct cluster_state *state, const struct object *object) {
    if (object->kind != CLUSTER_JOB || object->parent == 0 || object->rules_count == 0) return false;
    const struct object *const parent = object_at(state->objects, object->parent);
    return parent->kind == CLUSTER_CRONJOB && parent->success_s && object->since_s[0] &&
           parent->success_s > object->since_s[0];
}

static bool is_below_bad(const struct object *object) {
    return cluster_severity(cluster_below(object)) >= cluster_severity(HEALTH_DEGRADED);
}

static enum health_status wanted_count(const struct cluster_state *state, const struct object *object) {
    if (object->gone || object->parent == 0) return 0;
    /* A new workload says nothing above it, but its pods do. */
    const bool pods = object->own == RULE_WORKLOAD_STARTING && is_below_bad(object);
    if (!pods && !cluster_rule_row((enum cluster_rule)object->own)->up) return 0;
    if (!object->seen && object->below[0].total == 0 && object->kind != CLUSTER_NAMESPACE) return 0;
    return superseded(state, object) ? 0 : counts_as(object);
}

static void tally_add(struct tally *tally, enum health_status status, int by) {
    if (!status) return;
    tally->total = (uint16_t)(tally->total + by);
    if (status == HEALTH_DEGRADED) tally->degraded = (uint16_t)(tally->degraded + by);
    if (status == HEALTH_UNHEALTHY) tally->unhealthy = (uint16_t)(tally->unhealthy + by);
    if (status == HEALTH_UNKNOWN) tally->unknown = (uint16_t)(tally->unknown + by);
}

static struct tally *tally_of(const struct cluster_state *state, const struct object *object) {
    return &object_at(state->objects, object->parent)->below[object->kind == CLUSTER_NODE];
}

void cluster_settle(struct cluster_state *state, uint32_t number, int64_t now_ms) {
    while (number) {
        struct object *const object = object_at(state->objects, number);
        settle_own(state, object, now_ms);
        const enum health_status wanted = wanted_count(state, object);
        if (wanted == (enum health_status)object->counted) return;
        struct tally *const tally = tally_of(state, object);
        tally_add(tally, (enum health_status)object->counted, -1);
        tally_add(tally, wanted, 1);
        object->counted = (uint8_t)wanted;
        number = object->parent;
    }
}

void cluster_uncount(struct cluster_state *state, uint32_t number, int64_t now_ms) {
    struct object *const object = object_at(state->objects, number);
    if (!object->counted) return;
    tally_add(tally_of(state, object), (enum health_status)object->counted, -1);
    object->counted = 0;
    cluster_settle(state, object->parent, now_ms);
}

void cluster_settle_all(struct cluster_state *state, int64_t now_ms) {
    for (uint32_t number = 0; (number = object_next(state->objects, number));) cluster_settle(state, number, now_ms);
}
