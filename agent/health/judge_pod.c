/* SPDX-License-Identifier: Apache-2.0
 * A pod's phase alone says little: a pod whose only container crashes again and again is Running. So the containers are
 * asked first, then the conditions, and the phase decides only what these leave open.
 *
 * Init containers are judged by the same rows as containers (native sidecars are init containers that restart);
 * ephemeral containers are somebody's debugging, and say nothing about the pod. */
#include "agent/health/cluster_judge.h"

enum { RESTARTS_MANY = 3 };

const KubeOwner *judge_controller(const KubeMeta *meta) {
    for (size_t i = 0; i < meta->owner_references.count; i++)
        if (meta->owner_references.items[i].controller) return &meta->owner_references.items[i];
    return NULL;
}

static const KubeCondition *find_condition(const KubePodStatus *status, const char *type) {
    for (size_t i = 0; i < status->conditions.count; i++)
        if (slice_equal_text(status->conditions.items[i].type, type)) return &status->conditions.items[i];
    return NULL;
}

static int64_t changed_ms(const KubeCondition *condition) {
    return judge_ms(condition->has_last_transition_time, condition->last_transition_time);
}

/* When its last container ended: of a failed pod. */
static int64_t ended_ms(const KubePodStatus *status) {
    int64_t latest_ms = 0;
    for (size_t i = 0; i < status->container_statuses.count; i++) {
        const KubeContainerState *const state = &status->container_statuses.items[i].state;
        if (!state->has_terminated) continue;
        const int64_t at_ms = judge_ms(state->terminated.has_finished_at, state->terminated.finished_at);
        if (at_ms > latest_ms) latest_ms = at_ms;
    }
    return latest_ms;
}

static void judge_failed(const KubePod *pod, struct judgement *judgement) {
    const bool replaced = judge_controller(&pod->metadata) != NULL;
    const bool evicted = slice_equal_text(pod->status.reason, "Evicted");
    const enum cluster_rule rule = replaced ? (evicted ? RULE_POD_EVICTED_REPLACED : RULE_POD_FAILED_REPLACED)
                                            : (evicted ? RULE_POD_EVICTED : RULE_POD_FAILED);
    if (replaced) judgement_add(judgement, RULE_POD_REPLACED, 0);
    const slice reason = pod->status.reason, message = pod->status.message;
    judgement_explain(judgement, rule, ended_ms(&pod->status), "%.*s%s%.*s", SLICE_ARG(slice_first(reason, 60)),
                      reason.size && message.size ? ": " : "", SLICE_ARG(slice_first(message, 200)));
}

static void judge_ending(const KubeContainerStatus *container, const KubeStateTerminated *ended, const char *what,
                         struct judgement *judgement) {
    const int64_t at_ms = judge_ms(ended->has_finished_at, ended->finished_at);
    const slice name = slice_first(container->name, 63);
    if (slice_equal_text(ended->reason, "OOMKilled"))
        judgement_explain(judgement, RULE_POD_OOM_KILLED, at_ms, "%s '%.*s' was out of memory, restarts: %d", what,
                          SLICE_ARG(name), (int)container->restart_count);
    if (container->restart_count >= RESTARTS_MANY && ended->exit_code != 0)
        judgement_explain(judgement, RULE_POD_RESTARTING, at_ms, "%s '%.*s' ended with %d, restarts: %d", what,
                          SLICE_ARG(name), (int)ended->exit_code, (int)container->restart_count);
}

static void judge_waiting(const KubeContainerStatus *container, const char *what, struct judgement *judgement) {
    const KubeStateWaiting *const waiting = &container->state.waiting;
    enum cluster_rule rule = cluster_rule_of_waiting(waiting->reason);
    if (rule == CLUSTER_RULES_) return;
    const KubeStateTerminated *const last =
        container->last_state.has_terminated ? &container->last_state.terminated : NULL;
    const slice name = slice_first(container->name, 63);
    if (rule == RULE_POD_CRASH_LOOP && last) {
        if (slice_equal_text(last->reason, "OOMKilled")) rule = RULE_POD_OOM_CRASH_LOOP;
        judgement_explain(judgement, rule, 0,
                          "%s '%.*s' waits to be restarted (restarts: %d), ended last with %d%s%.*s", what,
                          SLICE_ARG(name), (int)container->restart_count, (int)last->exit_code,
                          last->reason.size ? ", " : "", SLICE_ARG(slice_first(last->reason, 40)));
        return;
    }
    judgement_explain(judgement, rule, 0, "%s '%.*s': %.*s%s%.*s", what, SLICE_ARG(name),
                      SLICE_ARG(slice_first(waiting->reason, 40)), waiting->message.size ? ": " : "",
                      SLICE_ARG(slice_first(waiting->message, 160)));
}

static void judge_containers(const KubeContainerStatus *items, size_t count, const char *what,
                             struct judgement *judgement) {
    for (size_t i = 0; i < count; i++) {
        const KubeContainerStatus *const container = &items[i];
        if (container->state.has_waiting) judge_waiting(container, what, judgement);
        if (container->state.has_terminated) judge_ending(container, &container->state.terminated, what, judgement);
        if (container->last_state.has_terminated)
            judge_ending(container, &container->last_state.terminated, what, judgement);
    }
}

/* An init container that runs: the pod waits for it, since then. */
static const KubeContainerStatus *initializing(const KubePod *pod) {
    for (size_t i = 0; i < pod->status.init_container_statuses.count; i++) {
        const KubeContainerStatus *const container = &pod->status.init_container_statuses.items[i];
        bool sidecar = false;
        for (size_t s = 0; s < pod->spec.init_containers.count; s++)
            sidecar |= slice_equal(pod->spec.init_containers.items[s].name, container->name) &&
                       slice_equal_text(pod->spec.init_containers.items[s].restart_policy, "Always");
        /* A sidecar that has started lets the next one begin; it goes on beside it. */
        if (container->state.has_running && !(sidecar && container->has_started && container->started))
            return container;
    }
    return NULL;
}

static void judge_pending(const KubePod *pod, struct judgement *judgement) {
    judgement_add(judgement, RULE_POD_STARTING, 0);
    const KubeCondition *const scheduled = find_condition(&pod->status, "PodScheduled");
    if (scheduled && slice_equal_text(scheduled->status, "False")) {
        if (slice_equal_text(scheduled->reason, "SchedulingGated"))
            judgement_add(judgement, RULE_POD_GATED, 0);
        else
            judgement_explain(judgement, RULE_POD_UNSCHEDULABLE, changed_ms(scheduled), "%.*s",
                              SLICE_ARG(slice_first(scheduled->message, 220)));
        return;
    }
    const KubeContainerStatus *const init = initializing(pod);
    if (init) {
        judgement_explain(judgement, RULE_POD_STUCK_INITIALIZING,
                          judge_ms(init->state.running.has_started_at, init->state.running.started_at),
                          "init container '%.*s' has not ended", SLICE_ARG(slice_first(init->name, 63)));
        return;
    }
    int64_t since_ms = scheduled ? changed_ms(scheduled) : 0;
    if (!since_ms) since_ms = judge_ms(pod->metadata.has_creation_timestamp, pod->metadata.creation_timestamp);
    slice reason = SLICE_LIT("no container has been started");
    for (size_t i = 0; i < pod->status.container_statuses.count; i++)
        if (pod->status.container_statuses.items[i].state.has_waiting)
            reason = pod->status.container_statuses.items[i].state.waiting.reason;
    judgement_explain(judgement, RULE_POD_STUCK_STARTING, since_ms, "on node '%.*s': %.*s",
                      SLICE_ARG(slice_first(pod->spec.node_name, 100)), SLICE_ARG(slice_first(reason, 60)));
}

/* Containers that are not ready: those that have ended as they should (1), any other (2). */
static unsigned not_ready(const KubeContainerStatus *items, size_t count) {
    unsigned found = 0;
    for (size_t i = 0; i < count; i++) {
        const KubeContainerState *const state = &items[i].state;
        if (!items[i].ready) found |= state->has_terminated && state->terminated.exit_code == 0 ? 1 : 2;
    }
    return found;
}

/* A pod that is not to run for ever is not ready from when the first of its containers has ended, and nobody sends it
 * anything: then it is asked for its other containers alone. */
static void judge_not_ready(const KubePod *pod, const KubeCondition *ready, struct judgement *judgement) {
    const KubePodStatus *const status = &pod->status;
    const slice policy = pod->spec.restart_policy;
    const bool ends = slice_equal_text(policy, "Never") || slice_equal_text(policy, "OnFailure");
    const unsigned found = not_ready(status->container_statuses.items, status->container_statuses.count) |
                           not_ready(status->init_container_statuses.items, status->init_container_statuses.count);
    const bool some_ended = ends && (found & 1) && slice_equal_text(ready->reason, "ContainersNotReady");
    if (some_ended && found == 1) {
        judgement_add(judgement, RULE_POD_PARTLY_COMPLETED, 0);
        return;
    }
    judgement_add(judgement, RULE_POD_STARTING, 0);
    judgement_explain(judgement, RULE_POD_NOT_READY, some_ended ? 0 : changed_ms(ready), "%.*s%s%.*s",
                      SLICE_ARG(slice_first(ready->reason, 60)), ready->message.size ? ": " : "",
                      SLICE_ARG(slice_first(ready->message, 160)));
}

static void judge_running(const KubePod *pod, struct judgement *judgement) {
    const KubeCondition *const ready = find_condition(&pod->status, "Ready");
    if (ready && slice_equal_text(ready->status, "True")) {
        judgement_add(judgement, RULE_POD_READY, 0);
    } else if (ready && slice_equal_text(ready->status, "False")) {
        judge_not_ready(pod, ready, judgement);
    } else {
        judgement_add(judgement, RULE_POD_READY_UNKNOWN, 0);
    }
}

void judge_pod(const KubePod *pod, struct judgement *ret_judgement) {
    const KubePodStatus *const status = &pod->status;
    judgement_begin(ret_judgement);
    if (pod->metadata.has_deletion_timestamp) {
        judgement_add(ret_judgement, RULE_POD_TERMINATING, 0);
        judgement_explain(ret_judgement, RULE_POD_STUCK_TERMINATING, judge_ms(true, pod->metadata.deletion_timestamp),
                          "on node '%.*s', finalizers: %zu", SLICE_ARG(slice_first(pod->spec.node_name, 100)),
                          pod->metadata.finalizers.count);
        return;
    }
    if (slice_equal_text(status->phase, "Succeeded")) {
        judgement_add(ret_judgement, RULE_POD_COMPLETED, 0);
        return;
    }
    if (slice_equal_text(status->phase, "Failed")) {
        judge_failed(pod, ret_judgement);
        return;
    }
    judge_containers(status->init_container_statuses.items, status->init_container_statuses.count, "init container",
                     ret_judgement);
    judge_containers(status->container_statuses.items, status->container_statuses.count, "container", ret_judgement);
    if (slice_equal_text(status->phase, "Pending"))
        judge_pending(pod, ret_judgement);
    else if (slice_equal_text(status->phase, "Running"))
        judge_running(pod, ret_judgement);
    else
        judgement_add(ret_judgement, RULE_POD_PHASE_UNKNOWN, 0);
}
