/* SPDX-License-Identifier: Apache-2.0
 * What goes out. A report says how an object is when it is made, not how it was when it became due: what changed twice in
 * between is told once, and a burst costs as many reports as there are objects. Pods and jobs are told of once they are
 * not healthy, and from then on until they are gone; all else always. */
#include <stdio.h>

#include "agent/health/cluster_parts.h"
#include "common/base/digest.h"
#include "common/base/text.h"

enum { REASON_AGAIN_S = 60, CALM_HEARTBEATS = 12, ID_HASH_BYTES = 8, NAMED_MAX = 3, WORDS_KEPT_S = 3600 };

enum cluster_habit cluster_habit(const struct cluster_state *state, const struct object *object) {
    static const struct {
        unsigned bit;
        enum cluster_habit habit;
    } habits[CLUSTER_KINDS_] = {
        [CLUSTER_CLUSTER] = {CLUSTER_REPORT_CLUSTER, CLUSTER_ALWAYS},
        [CLUSTER_NAMESPACE] = {CLUSTER_REPORT_NAMESPACES, CLUSTER_ALWAYS},
        [CLUSTER_NODE] = {CLUSTER_REPORT_NODES, CLUSTER_ALWAYS},
        [CLUSTER_DEPLOYMENT] = {CLUSTER_REPORT_WORKLOADS, CLUSTER_ALWAYS},
        [CLUSTER_STATEFULSET] = {CLUSTER_REPORT_WORKLOADS, CLUSTER_ALWAYS},
        [CLUSTER_DAEMONSET] = {CLUSTER_REPORT_WORKLOADS, CLUSTER_ALWAYS},
        [CLUSTER_CRONJOB] = {CLUSTER_REPORT_WORKLOADS, CLUSTER_ALWAYS},
        [CLUSTER_JOB] = {CLUSTER_REPORT_WORKLOADS, CLUSTER_WHEN_BAD},
        [CLUSTER_CLAIM] = {CLUSTER_REPORT_CLAIMS, CLUSTER_ALWAYS},
        [CLUSTER_POD] = {CLUSTER_REPORT_PODS, CLUSTER_WHEN_BAD},
    };
    return state->settings.report & habits[object->kind].bit ? habits[object->kind].habit : CLUSTER_NEVER;
}

static uint32_t heartbeat_s(const struct cluster_state *state, const struct object *object) {
    const uint32_t seconds = cluster_seconds(state->settings.heartbeat_ms);
    const bool calm = cluster_habit(state, object) == CLUSTER_WHEN_BAD && object->status == HEALTH_HEALTHY;
    return calm ? seconds * CALM_HEARTBEATS : seconds;
}

static bool is_due(const struct cluster_state *state, const struct object *object, uint32_t now_s) {
    const enum cluster_habit habit = cluster_habit(state, object);
    if (habit == CLUSTER_NEVER || object->taken) return false;
    if (object->gone) return true;
    const bool there = object->seen || object->restored ||
                       (object->kind == CLUSTER_NAMESPACE && !cluster_watched(state, KUBE_NAMESPACES));
    if (!there) return false;
    if (!object->sent_s)
        return habit == CLUSTER_ALWAYS ||
               (object->status != HEALTH_HEALTHY && !cluster_blind_rule((enum cluster_rule)object->own));
    if (object->status != object->sent_status) return true;
    if (now_s < object->sent_s) return object->sent_s - now_s > REASON_AGAIN_S; /* the clock went back */
    const uint32_t ago_s = now_s - object->sent_s;
    /* Another reason for the same status: at once when it says that nobody looks any more, or looks again. */
    const bool blinded =
        cluster_blind_rule((enum cluster_rule)object->own) || cluster_blind_rule((enum cluster_rule)object->sent_own);
    if (object->own != object->sent_own && object->status != HEALTH_HEALTHY && (blinded || ago_s >= REASON_AGAIN_S))
        return true;
    return ago_s >= heartbeat_s(state, object);
}

static void take(struct cluster_state *state, uint32_t number, uint32_t now_s, struct cluster_batch *batch) {
    struct object *const object = object_at(state->objects, number);
    const size_t i = batch->count++;
    batch->numbers[i] = number;
    batch->before[i].sent_s = object->sent_s;
    batch->before[i].status = object->sent_status;
    batch->before[i].own = object->sent_own;
    batch->before[i].kept = object->kept;
    batch->before[i].changed = object->gone || !object->sent_s || object->status != object->sent_status ||
                               object->own != object->sent_own || !object->kept;
    batch->changed |= batch->before[i].changed;
    object->taken = true;
    object->sent_s = now_s;
    object->sent_status = object->status;
    object->sent_own = object->own;
    object->kept = !object->gone;
}

static bool is_small(const struct object *object) {
    return object->kind == CLUSTER_POD || object->kind == CLUSTER_JOB;
}

void cluster_state_gather(struct cluster_state *state, size_t max, int64_t now_ms, struct cluster_batch *ret_batch) {
    const uint32_t now_s = cluster_seconds(now_ms);
    ret_batch->count = 0;
    ret_batch->changed = false;
    state->stats.due = 0;
    if (!state->settled) return;
    if (max > CLUSTER_BATCH_MAX) max = CLUSTER_BATCH_MAX;
    for (uint32_t number = 0; (number = object_next(state->objects, number));) {
        struct object *const object = object_at(state->objects, number);
        if (object->words && object->status == HEALTH_HEALTHY && now_s > object->status_s + WORDS_KEPT_S &&
            now_s > object->words->event_s + WORDS_KEPT_S)
            object_words_drop(state->objects, number);
        if (!is_due(state, object, now_s)) continue;
        if (is_small(object) || ret_batch->count == max)
            state->stats.due++;
        else
            take(state, number, now_s, ret_batch);
    }
    /* Pods and jobs in turn, so that none waits for ever behind those with a lower number. */
    bool wrapped = false;
    for (uint32_t number = state->cursor; state->stats.due && ret_batch->count < max;) {
        number = object_next(state->objects, number);
        if (!number) {
            if (wrapped) break;
            wrapped = true;
            continue;
        }
        struct object *const object = object_at(state->objects, number);
        if (!is_small(object) || !is_due(state, object, now_s)) continue;
        take(state, number, now_s, ret_batch);
        state->stats.due--;
        state->cursor = number;
    }
}

void cluster_state_commit(struct cluster_state *state, const struct cluster_batch *batch, int64_t now_ms) {
    for (size_t i = 0; i < batch->count; i++) {
        struct object *const object = object_at(state->objects, batch->numbers[i]);
        state->stats.reports++;
        object->taken = false;
        if (!object->gone) continue;
        object->gone = object->left_out = false;
        object->sent_s = 0;
        object->sent_status = object->sent_own = 0;
        cluster_settle(state, batch->numbers[i], now_ms);
        cluster_release(state, batch->numbers[i], now_ms);
    }
    if (!batch->changed) return;
    state->note_sequence++; /* of what cluster_state_note made */
    state->noted = true;
}

void cluster_state_abort(struct cluster_state *state, const struct cluster_batch *batch) {
    for (size_t i = 0; i < batch->count; i++) {
        struct object *const object = object_at(state->objects, batch->numbers[i]);
        object->taken = false;
        object->sent_s = batch->before[i].sent_s;
        object->sent_status = batch->before[i].status;
        object->sent_own = batch->before[i].own;
        object->kept = batch->before[i].kept;
    }
}

static bool is_id(slice text) {
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t c = text.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("._-", c))))
            return false;
    }
    return text.size > 0 && text.size <= CLUSTER_ID_BYTES;
}

/* k8s.<cluster>.<kind>.<namespace>.<name>; one that is too long, or has other characters, is cut and ends with a hash. */
static void write_id(const struct cluster_state *state, const struct object *object, slice namespace,
                     char ret_id[CLUSTER_ID_BYTES + 1]) {
    char whole[1024];
    if (object->kind == CLUSTER_CLUSTER)
        snprintf(whole, sizeof whole, "k8s.%s", state->cluster_id);
    else
        snprintf(whole, sizeof whole, "k8s.%s.%s.%.*s%s%s", state->cluster_id,
                 cluster_kind_name((enum cluster_kind)object->kind), SLICE_ARG(namespace), namespace.size ? "." : "",
                 object->name);
    const slice text = slice_from_text(whole);
    if (is_id(text)) {
        memcpy(ret_id, whole, text.size + 1);
        return;
    }
    uint8_t hash[DIGEST_BYTES];
    digest_of(text, hash);
    size_t size = 0;
    while (size < text.size && size < CLUSTER_ID_BYTES - 2 * ID_HASH_BYTES - 1) {
        ret_id[size] = is_id(slice_of(whole + size, 1)) ? whole[size] : '-';
        size++;
    }
    ret_id[size++] = '-';
    for (size_t i = 0; i < ID_HASH_BYTES; i++) size += (size_t)snprintf(ret_id + size, 3, "%02x", hash[i]);
}

static const char *const status_words[] = {"", "healthy", "degraded", "unhealthy", "unknown"};

static struct cluster_condition *add_condition(struct cluster_report *report, const char *type, const char *reason,
                                               enum health_status status, uint32_t since_s) {
    struct cluster_condition *const condition = &report->conditions[report->conditions_count++];
    condition->type = type;
    condition->reason = reason;
    condition->status = status;
    condition->since_ms = (int64_t)since_s * 1000;
    condition->message[0] = '\0';
    return condition;
}

static const char *const below_words[CLUSTER_KINDS_][OBJECT_TALLIES] = {
#define ROLLUP(parent, tally, of, unhealthy, share, degraded, unknown) [CLUSTER_##parent][tally] = of,
#include "agent/health/cluster_rollup.def"
#undef ROLLUP
};

/* "2 of 7 pods: web-1 unhealthy, web-2 unhealthy, ..." */
static void write_below(const struct cluster_state *state, uint32_t number, size_t tally_index, char *text,
                        size_t bytes) {
    const struct object *const parent = object_at(state->objects, number);
    const struct tally *const tally = &parent->below[tally_index];
    const unsigned bad = (unsigned)tally->unhealthy + tally->degraded + tally->unknown;
    size_t used = (size_t)snprintf(text, bytes, "%u of %u %s: ", bad, (unsigned)tally->total,
                                   below_words[parent->kind][tally_index]);
    unsigned named = 0;
    for (int severity = 3; severity >= 1; severity--) {
        for (uint32_t child = 0; (child = object_next(state->objects, child)) && named < NAMED_MAX;) {
            const struct object *const object = object_at(state->objects, child);
            if (object->parent != number || !object->counted || (object->kind == CLUSTER_NODE) != (tally_index == 1) ||
                cluster_severity((enum health_status)object->counted) != severity || used >= bytes)
                continue;
            used += (size_t)snprintf(text + used, bytes - used, "%s%.80s %s", named ? ", " : "", object->name,
                                     status_words[object->counted]);
            named++;
        }
    }
    if (named < bad && used < bytes) snprintf(text + used, bytes - used, ", ...");
}

static void write_own(const struct cluster_state *state, const struct object *object, int64_t now_ms, char *text,
                      size_t bytes) {
    const enum cluster_rule own = (enum cluster_rule)object->own;
    text[0] = '\0';
    if (cluster_blind_rule(own)) {
        for (size_t i = 0; i < state->watches_count && !text[0]; i++) {
            const struct cluster_watch *const watch = &state->watches[i];
            if (cluster_watch_fresh(watch) || watch->kind == KUBE_EVENTS || cluster_watch_rule(watch) != own ||
                (object->watch != NO_WATCH && object->watch != i &&
                 !cluster_watch_fresh(&state->watches[object->watch])))
                continue;
            snprintf(text, bytes, "%s%s%s are not watched (%s)%s%s", kube_resource(watch->kind)->plural,
                     watch->namespace[0] ? " in " : "", watch->namespace, cluster_watch_word(watch),
                     watch->why[0] ? ": " : "", watch->why);
        }
    } else if (own == RULE_FLAPPING) {
        unsigned flips = 0;
        while (flips < OBJECT_FLIPS_MAX && object->flips_s[flips] &&
               cluster_seconds(now_ms) - object->flips_s[flips] < cluster_seconds(state->settings.flap_window_ms))
            flips++;
        snprintf(text, bytes, "became worse %u%s times within %lld s; now: %s", flips,
                 flips == OBJECT_FLIPS_MAX ? " or more" : "", (long long)state->settings.flap_window_ms / 1000,
                 cluster_rule_row((enum cluster_rule)object->looked)->reason);
    } else if (object->words && object->words->detail && object->words->detail_rule == own) {
        snprintf(text, bytes, "%s", object->words->detail);
    }
}

/* What was cut inside a character, and what is none, becomes a question mark. */
static void mend(char *text) {
    for (slice rest = slice_from_text(text); rest.size;) {
        const size_t size = text_utf8_character(rest);
        if (size == 0 || (size == 1 && (rest.data[0] < ' ' || rest.data[0] == 0x7f)))
            text[rest.data - (const uint8_t *)text] = size ? ' ' : '?';
        rest = slice_from(rest, size ? size : 1);
    }
}

void cluster_state_report(const struct cluster_state *state, const struct cluster_batch *batch, size_t index,
                          int64_t now_ms, struct cluster_report *ret_report) {
    const uint32_t number = batch->numbers[index];
    const struct object *const object = object_at(state->objects, number);
    const struct cluster_rule_row *const own = cluster_rule_row((enum cluster_rule)object->own);
    const bool spaced = object->namespace && object->namespace != state->root;
    struct cluster_report *const report = ret_report;
    *report = (struct cluster_report){
        .type = cluster_kind_name((enum cluster_kind)object->kind),
        .name = slice_from_text(object->kind == CLUSTER_CLUSTER ? state->cluster_id : object->name),
        .namespace = slice_from_text(spaced ? object_at(state->objects, object->namespace)->name : ""),
        .cluster_id = state->settings.cluster_id,
        .status = (enum health_status)object->status,
        .previous = batch->before[index].sent_s ? (enum health_status)batch->before[index].status : 0,
        .reason = own->reason,
        .heartbeat_ms = object->gone ? 0 : (int64_t)heartbeat_s(state, object) * 1000,
    };
    report->changed = report->previous != report->status || object->gone;
    write_id(state, object, report->namespace, report->id);
    struct cluster_condition *const first = add_condition(report, "own", own->reason, own->status, object->status_s);
    write_own(state, object, now_ms, first->message, sizeof first->message);
    const bool below_worse = cluster_severity(cluster_below(object)) > cluster_severity(own->status);
    snprintf(report->message, sizeof report->message, "%s%s%s", own->reason, first->message[0] ? ": " : "",
             first->message);
    for (size_t i = 0; i < OBJECT_TALLIES; i++) {
        const struct tally *const tally = &object->below[i];
        if (object->gone || tally->unhealthy + tally->degraded + tally->unknown == 0) continue;
        struct cluster_condition *const below =
            add_condition(report, i ? "nodes" : "below", cluster_rule_row(RULE_BELOW)->reason, cluster_below(object),
                          object->status_s);
        write_below(state, number, i, below->message, sizeof below->message);
        if (!below_worse || report->reason != own->reason) continue;
        report->reason = below->reason;
        snprintf(report->message, sizeof report->message, "%s", below->message);
    }
    if (object->words && object->words->event) {
        struct cluster_condition *const event =
            add_condition(report, "event", "Warning", report->status, object->words->event_s);
        snprintf(event->message, sizeof event->message, "%s", object->words->event);
    }
    mend(report->message);
    for (size_t i = 0; i < report->conditions_count; i++) mend(report->conditions[i].message);
}
