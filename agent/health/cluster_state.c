/* SPDX-License-Identifier: Apache-2.0
 * What comes in: objects in any order, the states of watches, and time. */
#include "agent/health/cluster_state.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/health/cluster_parts.h"
#include "agent/health/cron.h"
#include "common/base/checksum.h"

enum { WATCHES_MAX = 2000 };

fault_code cluster_state_new(const struct cluster_state_settings *settings, uint64_t seed, int64_t now_ms,
                             struct cluster_state **ret_state, struct fault *reterr) {
    struct cluster_state *const state = calloc(1, sizeof *state);
    if (!state) return fault_set(reterr, FAULT_LIMIT, "cluster: out of memory");
    state->settings = *settings;
    (void)slice_to_text(settings->cluster_id, state->cluster_id, sizeof state->cluster_id);
    state->settings.cluster_id = slice_from_text(state->cluster_id);
    state->started_ms = now_ms;
    state->next_s = UINT32_MAX;
    state->objects = object_table_new(settings->objects_max, seed);
    state->events = event_memory_new();
    if (state->objects) state->root = object_add(state->objects, CLUSTER_CLUSTER, 0, (slice){0});
    if (!state->root || !state->events) {
        cluster_state_free(state);
        return fault_set(reterr, FAULT_LIMIT, "cluster: out of memory");
    }
    struct object *const root = object_at(state->objects, state->root);
    root->watch = NO_WATCH;
    root->seen = true;
    *ret_state = state;
    return FAULT_NONE;
}

struct cluster_state *cluster_state_free(struct cluster_state *state) {
    if (!state) return NULL;
    object_table_free(state->objects);
    event_memory_free(state->events);
    free(state->watches);
    free(state);
    return NULL;
}

fault_code cluster_state_expect(struct cluster_state *state, enum kube_kind kind, slice namespace,
                                struct fault *reterr) {
    if (state->watches_count >= WATCHES_MAX)
        return fault_set(reterr, FAULT_LIMIT, "a cluster has at most %d watches", WATCHES_MAX);
    struct cluster_watch *const more = realloc(state->watches, (state->watches_count + 1) * sizeof *more);
    if (!more) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    state->watches = more;
    struct cluster_watch *const watch = &more[state->watches_count];
    *watch = (struct cluster_watch){.kind = kind, .state = KUBE_WATCH_LISTING};
    if (!slice_to_text(namespace, watch->namespace, sizeof watch->namespace))
        return fault_set(reterr, FAULT_INPUT, "'%.*s' is no name of a namespace",
                         SLICE_ARG(slice_first(namespace, 80)));
    state->watches_count++;
    return FAULT_NONE;
}

static uint32_t shifted(uint32_t at_s, int64_t by_ms) {
    return at_s ? cluster_seconds((int64_t)at_s * 1000 - by_ms) : 0;
}

void cluster_state_skew(struct cluster_state *state, int64_t skew_ms) {
    const int64_t by_ms = skew_ms - state->skew_ms;
    if (!by_ms) return;
    state->skew_ms = skew_ms;
    state->watch_changed = true; /* the next tick settles all */
    for (uint32_t number = 0; (number = object_next(state->objects, number));) {
        struct object *const object = object_at(state->objects, number);
        for (size_t i = 0; i < object->rules_count; i++)
            if (object->theirs >> i & 1) object->since_s[i] = shifted(object->since_s[i], by_ms);
        object->success_s = shifted(object->success_s, by_ms);
        if (object->words) object->words->event_s = shifted(object->words->event_s, by_ms);
        if (!state->settled && !object->sent_s)
            object->judged = false; /* that was a mistake, and is nothing to recover from */
    }
}

/* A time of an object by our clock; 0 stays 0. */
static int64_t our_ms(const struct cluster_state *state, int64_t their_ms) {
    return their_ms ? their_ms - state->skew_ms : 0;
}

bool cluster_watched(const struct cluster_state *state, enum kube_kind kind) {
    for (size_t i = 0; i < state->watches_count; i++)
        if (state->watches[i].kind == kind) return true;
    return false;
}

uint16_t cluster_watch_find(const struct cluster_state *state, enum kube_kind kind, slice namespace) {
    for (size_t i = 0; i < state->watches_count; i++) {
        const struct cluster_watch *const watch = &state->watches[i];
        if (watch->kind == kind && (!watch->namespace[0] || slice_equal_text(namespace, watch->namespace)))
            return (uint16_t)i;
    }
    return NO_WATCH;
}

/* Findings without a time of their own count from when they were first seen, as long as they are seen; first_s: from when
 * those that are first seen now; created: because the object says when it was created. */
static void keep_findings(struct object *object, const struct judgement *judgement, uint32_t first_s, bool created) {
    uint32_t since_s[JUDGEMENT_FINDINGS_MAX];
    unsigned theirs = 0;
    for (size_t i = 0; i < judgement->count; i++) {
        since_s[i] = cluster_seconds(judgement->findings[i].since_ms);
        bool own = since_s[i] > 0;
        for (size_t o = 0; o < object->rules_count && !since_s[i]; o++) {
            if (object->rules[o] != judgement->findings[i].rule || object->progress != judgement->progress) continue;
            since_s[i] = object->since_s[o];
            own = object->theirs >> o & 1;
        }
        if (!since_s[i]) {
            since_s[i] = first_s;
            own = created;
        }
        theirs |= (unsigned)own << i;
    }
    object->theirs = (uint8_t)theirs;
    for (size_t i = 0; i < judgement->count; i++) {
        object->rules[i] = (uint8_t)judgement->findings[i].rule;
        object->since_s[i] = since_s[i];
    }
    object->rules_count = (uint8_t)judgement->count;
    object->progress = judgement->progress;
}

static void keep_words(struct cluster_state *state, uint32_t number, const struct judgement *judgement) {
    struct object *const object = object_at(state->objects, number);
    if (judgement->detail_rule == CLUSTER_RULES_ && !object->words) return;
    struct object_words *const words = object_words(state->objects, number);
    if (!words) return;
    words->detail_rule = (uint8_t)judgement->detail_rule;
    object_say(state->objects, &words->detail, judgement->detail);
}

static uint32_t namespace_of(struct cluster_state *state, const struct kube_resource *resource, slice namespace) {
    return resource->namespaced ? cluster_reach(state, CLUSTER_NAMESPACE, state->root, namespace) : state->root;
}

/* Jobs whose place in their CronJob may have changed. */
static void settle_children(struct cluster_state *state, uint32_t parent, int64_t now_ms) {
    for (uint32_t number = 0; (number = object_next(state->objects, number));)
        if (object_at(state->objects, number)->parent == parent) cluster_settle(state, number, now_ms);
}

/* status.lastSuccessfulTime is optional, and so is any of the jobs: the latest that either says. */
static void succeeded(struct cluster_state *state, uint32_t cronjob, int64_t at_ms, int64_t now_ms) {
    struct object *const object = object_at(state->objects, cronjob);
    const uint32_t at_s = cluster_seconds(our_ms(state, at_ms));
    if (at_s <= object->success_s) return;
    object->success_s = at_s;
    settle_children(state, cronjob, now_ms);
}

static int64_t last_success(const KubeCronJob *job) {
    return judge_ms(job->status.has_last_successful_time, job->status.last_successful_time);
}

/* When the job succeeded; 0: it has not. */
static int64_t completion(const KubeJob *job) {
    int64_t at_ms = 0;
    for (size_t i = 0; i < job->status.conditions.count && !at_ms; i++) {
        const KubeCondition *const condition = &job->status.conditions.items[i];
        if (slice_equal_text(condition->type, "Complete") && slice_equal_text(condition->status, "True"))
            at_ms = job->status.has_completion_time
                        ? judge_ms(true, job->status.completion_time)
                        : judge_ms(condition->has_last_transition_time, condition->last_transition_time);
    }
    return at_ms;
}

static void take_object(struct cluster_state *state, enum cluster_kind kind, uint16_t watch,
                        const struct kube_object *seen, int64_t now_ms) {
    const uint32_t namespace = namespace_of(state, seen->scope->resource, seen->meta->namespace);
    const uint32_t number = namespace ? cluster_reach(state, kind, namespace, seen->meta->name) : 0;
    if (!number) return;
    const struct zone *zone = NULL;
    if (kind == CLUSTER_CRONJOB && state->settings.zone) {
        const KubeCronJob *const job = seen->message;
        const slice name = cron_zone(job->spec.schedule, job->spec.time_zone);
        if (name.size) zone = state->settings.zone(state->settings.context, name);
    }
    struct judgement judgement;
    judgement_begin(&judgement);
    if (seen->partial)
        judgement_explain(&judgement, RULE_UNREADABLE, 0, "the API server's answer about it cannot be read");
    else
        cluster_judge(kind, seen->message, zone, &judgement);
    for (size_t i = 0; i < judgement.count; i++)
        judgement.findings[i].since_ms = our_ms(state, judgement.findings[i].since_ms);
    judgement.first_ms = our_ms(state, judgement.first_ms);
    struct object *const object = object_at(state->objects, number);
    /* Only what a list brings was there before; what comes as a change was made just now. */
    const bool known = object->seen || object->restored || state->watches[watch].state == KUBE_WATCH_FRESH;
    const bool created = !known && judgement.first_ms && judgement.first_ms < now_ms;
    const uint32_t first_s = cluster_seconds(created ? judgement.first_ms : now_ms);
    const uint64_t uid = hash_bytes(seen->meta->uid, 0);
    if (kind == CLUSTER_CRONJOB && object->uid && object->uid != uid) object->success_s = 0; /* made anew */
    object->uid = uid;
    object->watch = watch;
    object->round = seen->round;
    object->seen = true;
    object->gone = object->restored = object->left_out = false;
    keep_findings(object, &judgement, first_s, created);
    keep_words(state, number, &judgement);
    const uint32_t parent = cluster_parent(state, object, seen->meta);
    if (parent) cluster_attach(state, number, parent, now_ms);
    cluster_settle(state, number, now_ms);
    if (kind == CLUSTER_CRONJOB) succeeded(state, number, last_success(seen->message), now_ms);
    if (kind == CLUSTER_JOB && parent && object_at(state->objects, parent)->kind == CLUSTER_CRONJOB)
        succeeded(state, parent, completion(seen->message), now_ms);
}

/* The object that an event is about; 0: none that is known. */
static uint32_t about(struct cluster_state *state, const KubeReference *reference) {
    static const struct {
        const char *kind;
        enum cluster_kind of;
    } kinds[] = {{"Pod", CLUSTER_POD},
                 {"Node", CLUSTER_NODE},
                 {"Deployment", CLUSTER_DEPLOYMENT},
                 {"StatefulSet", CLUSTER_STATEFULSET},
                 {"DaemonSet", CLUSTER_DAEMONSET},
                 {"Job", CLUSTER_JOB},
                 {"CronJob", CLUSTER_CRONJOB},
                 {"PersistentVolumeClaim", CLUSTER_CLAIM},
                 {"ReplicaSet", CLUSTER_DEPLOYMENT}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!slice_equal_text(reference->kind, kinds[i].kind)) continue;
        const uint32_t namespace = kinds[i].of == CLUSTER_NODE ? state->root
                                                               : object_find(state->objects, CLUSTER_NAMESPACE,
                                                                             state->root, reference->namespace);
        slice name = reference->name;
        const uint8_t *const dash = name.size ? memrchr(name.data, '-', name.size) : NULL;
        if (slice_equal_text(reference->kind, "ReplicaSet"))
            name = dash ? slice_of(name.data, (size_t)(dash - name.data)) : (slice){0};
        return namespace ? object_find(state->objects, kinds[i].of, namespace, name) : 0;
    }
    return 0;
}

static void take_event(struct cluster_state *state, uint16_t watch, const struct kube_object *seen) {
    const KubeEvent *const event = seen->message;
    if (!slice_equal_text(event->type, "Warning")) return;
    const int32_t series = event->has_series ? event->series.count : 0;
    const int32_t count = event->count > series ? event->count : series;
    (void)event_memory_see(state->events, seen->meta->uid, event->reason, count > 0 ? (uint32_t)count : 1, watch,
                           seen->round);
    const uint32_t number = about(state, &event->involved_object);
    struct object_words *const words = number ? object_words(state->objects, number) : NULL;
    if (!words) return;
    int64_t at_ms = judge_ms(event->has_last_timestamp, event->last_timestamp);
    if (!at_ms) at_ms = judge_ms(event->has_event_time, event->event_time);
    if (event->has_series && event->series.has_last_observed_time)
        at_ms = judge_ms(true, event->series.last_observed_time);
    at_ms = our_ms(state, at_ms);
    if (cluster_seconds(at_ms) < words->event_s) return; /* of a list in no order: an older one */
    words->event_s = cluster_seconds(at_ms);
    char text[OBJECT_TEXT_BYTES];
    snprintf(text, sizeof text, "%.*s (%d times): %.*s", SLICE_ARG(slice_first(event->reason, 60)),
             (int)(count > 0 ? count : 1), SLICE_ARG(slice_first(event->message, 140)));
    object_say(state->objects, &words->event, text);
}

void cluster_state_object(struct cluster_state *state, const struct kube_object *object, int64_t now_ms) {
    const enum kube_kind resource = object->scope->resource->id;
    const enum cluster_kind kind = cluster_kind_of(resource);
    const uint16_t watch = cluster_watch_find(state, resource, object->scope->namespace);
    if (watch == NO_WATCH) return;
    state->stats.changes++;
    if (resource == KUBE_EVENTS)
        take_event(state, watch, object);
    else if (kind != CLUSTER_KINDS_)
        take_object(state, kind, watch, object, now_ms);
}

static void lose(struct cluster_state *state, uint32_t number, int64_t now_ms) {
    struct object *const object = object_at(state->objects, number);
    object->seen = object->restored = object->judged = object->flapping = object->left_out = false;
    object->rules_count = 0;
    object->uid = 0;
    object->success_s = 0;
    object->better_s = 0;
    memset(object->flips_s, 0, sizeof object->flips_s);
    object_words_drop(state->objects, number);
    object->gone = object->sent_s != 0;
    object->watch = NO_WATCH;
    cluster_settle(state, number, now_ms);
    cluster_release(state, number, now_ms);
}

void cluster_state_deleted(struct cluster_state *state, const struct kube_object *object, int64_t now_ms) {
    const struct kube_resource *const resource = object->scope->resource;
    const enum cluster_kind kind = cluster_kind_of(resource->id);
    state->stats.changes++;
    if (resource->id == KUBE_EVENTS) event_memory_forget(state->events, object->meta->uid);
    if (kind == CLUSTER_KINDS_) return;
    const uint32_t namespace =
        resource->namespaced ? object_find(state->objects, CLUSTER_NAMESPACE, state->root, object->meta->namespace)
                             : state->root;
    const uint32_t number = namespace ? object_find(state->objects, kind, namespace, object->meta->name) : 0;
    if (!number || !object_at(state->objects, number)->seen) return;
    /* Of one that has been made again under its name since, an old deletion says nothing. */
    const uint64_t uid = hash_bytes(object->meta->uid, 0);
    if (object->meta->uid.size && object_at(state->objects, number)->uid != uid) return;
    lose(state, number, now_ms);
}

void cluster_state_list_ends(struct cluster_state *state, enum kube_kind kind, slice namespace, uint8_t round,
                             int64_t now_ms) {
    const uint16_t watch = cluster_watch_find(state, kind, namespace);
    const enum cluster_kind objects = cluster_kind_of(kind);
    if (watch == NO_WATCH) return;
    if (kind == KUBE_EVENTS) event_memory_sweep(state->events, watch, round);
    if (objects == CLUSTER_KINDS_) return;
    for (uint32_t number = 0; (number = object_next(state->objects, number));) {
        const struct object *const object = object_at(state->objects, number);
        if (object->kind != objects || object->watch != watch) continue;
        if ((object->seen && object->round != round) || object->restored) lose(state, number, now_ms);
    }
}

void cluster_state_watch(struct cluster_state *state, enum kube_kind kind, slice namespace, enum kube_watch_state watch,
                         const char *why, int64_t now_ms) {
    for (size_t i = 0; i < state->watches_count; i++) {
        struct cluster_watch *const found = &state->watches[i];
        if (found->kind != kind || !slice_equal_text(namespace, found->namespace)) continue;
        state->watch_changed |= found->state != watch;
        found->state = watch;
        found->ever_fresh |= watch == KUBE_WATCH_FRESH;
        snprintf(found->why, sizeof found->why, "%s", why);
    }
    (void)now_ms; /* what follows is settled by the next tick, once for all that came together */
}

struct event_memory *cluster_state_events(struct cluster_state *state) {
    return state->events;
}

enum health_status cluster_state_status(const struct cluster_state *state, enum cluster_kind kind, slice namespace,
                                        slice name, const char **ret_reason) {
    const uint32_t in =
        namespace.size ? object_find(state->objects, CLUSTER_NAMESPACE, state->root, namespace) : state->root;
    const uint32_t number = kind == CLUSTER_CLUSTER ? state->root
                            : in                    ? object_find(state->objects, kind, in, name)
                                                    : 0;
    if (!number) return 0;
    const struct object *const object = object_at(state->objects, number);
    if (ret_reason) *ret_reason = cluster_rule_row((enum cluster_rule)object->own)->reason;
    return (enum health_status)object->status;
}

void cluster_state_stats(const struct cluster_state *state, struct cluster_state_stats *ret_stats) {
    *ret_stats = state->stats;
    ret_stats->settled = state->settled;
    ret_stats->memory_bytes = object_table_bytes(state->objects);
    for (uint32_t number = 0; (number = object_next(state->objects, number));) {
        const struct object *const object = object_at(state->objects, number);
        if (object->seen) ret_stats->objects[object->kind]++;
        if (object->sent_s && !object->gone) ret_stats->statuses[object->status]++;
    }
    for (size_t i = 0; i < state->watches_count; i++) {
        const struct cluster_watch *const watch = &state->watches[i];
        if (watch->kind == KUBE_EVENTS) continue;
        ret_stats->watches++;
        ret_stats->watches_fresh += cluster_watch_fresh(watch);
        if (cluster_watch_fresh(watch) || ret_stats->watch_fault[0]) continue;
        snprintf(ret_stats->watch_fault, sizeof ret_stats->watch_fault, "%s%s%s: %s: %s",
                 kube_resource(watch->kind)->plural, watch->namespace[0] ? " in " : "", watch->namespace,
                 cluster_watch_word(watch), watch->why[0] ? watch->why : "no list yet");
    }
}

bool cluster_state_settled(const struct cluster_state *state) {
    return state->settled;
}

void cluster_state_tick(struct cluster_state *state, int64_t now_ms) {
    const uint32_t now_s = cluster_seconds(now_ms);
    if (!state->settled) {
        bool fresh = state->watches_count > 0;
        for (size_t i = 0; i < state->watches_count; i++)
            fresh &= state->watches[i].kind == KUBE_EVENTS || cluster_watch_fresh(&state->watches[i]) ||
                     cluster_watch_rule(&state->watches[i]) == RULE_WATCH_DENIED; /* an answer, too */
        state->settled = fresh || now_ms - state->started_ms >= state->settings.settle_ms;
        state->watch_changed |= state->settled;
    }
    if (state->watch_changed) {
        state->watch_changed = false;
        cluster_settle_all(state, now_ms);
        for (uint32_t number = 0; state->settled && (number = object_next(state->objects, number));)
            cluster_release(state, number, now_ms); /* namespaces of an earlier process that have nothing in them */
    }
    if (now_s < state->next_s) return;
    state->next_s = UINT32_MAX;
    for (uint32_t number = 0; (number = object_next(state->objects, number));) {
        const uint32_t next_s = object_at(state->objects, number)->next_s;
        if (next_s <= now_s)
            cluster_settle(state, number, now_ms);
        else if (next_s < state->next_s)
            state->next_s = next_s;
    }
}
