/* SPDX-License-Identifier: Apache-2.0
 * Workloads by the counts in their status: how many replicas serve, of how many asked for, and how far a rollout is. A
 * Deployment says by itself when its rollout stands still; for the other two it is their counts that stand still.
 *
 * A workload that is not as asked for has no finding that says it is well: for as long as the rules are patient with it
 * nothing is known. One that nobody has heard of before, and at which nobody is working, has been so for long. */
#include "agent/health/cluster_judge.h"

struct counts {
    int64_t desired, available, ready, updated, total;
    bool rolling; /* an update goes on */
};

/* What is judged alike of all three, before their counts. False: the counts say nothing, or are not asked for: the
 * workload is on its way out, or wants no replica. */
static bool judge_wanted(const KubeMeta *meta, int64_t observed, const struct counts *counts,
                         struct judgement *judgement) {
    judgement_begin(judgement);
    if (meta->has_deletion_timestamp) {
        judgement_add(judgement, RULE_WORKLOAD_TERMINATING, 0);
        judgement_explain(judgement, RULE_WORKLOAD_STUCK_TERMINATING, judge_ms(true, meta->deletion_timestamp),
                          "finalizers: %zu", meta->finalizers.count);
        return false;
    }
    if (observed < meta->generation)
        judgement_explain(judgement, RULE_WORKLOAD_NOT_OBSERVED, 0,
                          "generation %lld was asked for, the controller has seen %lld", (long long)meta->generation,
                          (long long)observed);
    if (counts->desired == 0) judgement_add(judgement, RULE_WORKLOAD_SCALED_TO_ZERO, 0);
    return counts->desired != 0;
}

static void judge_available(const KubeMeta *meta, int64_t observed, const struct counts *counts, enum cluster_rule well,
                            int64_t since_ms, struct judgement *judgement) {
    const int64_t created_ms = judge_ms(meta->has_creation_timestamp, meta->creation_timestamp);
    const bool enough = counts->available >= counts->desired;
    if (enough && !counts->rolling)
        judgement_add(judgement, well, 0);
    else if (created_ms)
        judgement_add(judgement, RULE_WORKLOAD_STARTING, created_ms);
    if (!counts->rolling && observed >= meta->generation) judgement->first_ms = created_ms;
    if (enough) return;
    judgement_explain(judgement, counts->available == 0 ? RULE_WORKLOAD_NONE_AVAILABLE : RULE_WORKLOAD_PARTLY_AVAILABLE,
                      counts->available == 0 ? since_ms : 0, "%lld of %lld replicas are available",
                      (long long)counts->available, (long long)counts->desired);
}

/* Returns since when it is not available; 0: it does not say. */
static int64_t judge_conditions(const KubeDeployment *deployment, struct judgement *judgement) {
    int64_t unavailable_ms = 0;
    for (size_t i = 0; i < deployment->status.conditions.count; i++) {
        const KubeDeploymentCondition *const condition = &deployment->status.conditions.items[i];
        const int64_t at_ms = judge_ms(condition->has_last_transition_time, condition->last_transition_time);
        const slice message = slice_first(condition->message, 220);
        const bool true_ = slice_equal_text(condition->status, "True");
        const bool false_ = slice_equal_text(condition->status, "False");
        if (false_ && slice_equal_text(condition->type, "Available")) {
            unavailable_ms = at_ms;
            judgement_explain(judgement, RULE_WORKLOAD_BELOW_MINIMUM, at_ms, "%.*s", SLICE_ARG(message));
        }
        if (false_ && slice_equal_text(condition->type, "Progressing") &&
            slice_equal_text(condition->reason, "ProgressDeadlineExceeded"))
            judgement_explain(judgement, RULE_WORKLOAD_STALLED, at_ms, "%.*s", SLICE_ARG(message));
        if (true_ && slice_equal_text(condition->type, "ReplicaFailure"))
            judgement_explain(judgement, RULE_WORKLOAD_REPLICA_FAILURE, at_ms, "%.*s", SLICE_ARG(message));
    }
    return unavailable_ms;
}

void judge_deployment(const KubeDeployment *deployment, struct judgement *ret_judgement) {
    const KubeDeploymentStatus *const status = &deployment->status;
    struct counts counts = {
        .desired = deployment->spec.has_replicas ? deployment->spec.replicas : 1,
        .available = status->available_replicas,
        .updated = status->updated_replicas,
        .total = status->replicas,
    };
    counts.rolling = !deployment->spec.paused && (counts.updated < counts.desired || counts.total > counts.updated);
    if (!judge_wanted(&deployment->metadata, status->observed_generation, &counts, ret_judgement)) return;
    const int64_t unavailable_ms = judge_conditions(deployment, ret_judgement);
    judge_available(&deployment->metadata, status->observed_generation, &counts,
                    deployment->spec.paused ? RULE_WORKLOAD_PAUSED : RULE_WORKLOAD_AVAILABLE, unavailable_ms,
                    ret_judgement);
    if (counts.rolling)
        judgement_explain(ret_judgement, RULE_WORKLOAD_PROGRESSING, 0, "%lld of %lld replicas are updated, %lld in all",
                          (long long)counts.updated, (long long)counts.desired, (long long)counts.total);
}

/* A rollout that has gone on without a change of its counts for long enough stands still. */
static void judge_rollout(const struct counts *counts, struct judgement *judgement) {
    judgement_explain(judgement, RULE_WORKLOAD_PROGRESSING, 0, "%lld of %lld replicas are updated",
                      (long long)counts->updated, (long long)counts->desired);
    judgement_explain(judgement, RULE_WORKLOAD_SET_STALLED, 0,
                      "%lld of %lld replicas are updated, %lld are ready, and nothing moves",
                      (long long)counts->updated, (long long)counts->desired, (long long)counts->ready);
    judgement->progress = (uint32_t)(counts->updated * 65536 + counts->ready + 1);
}

void judge_statefulset(const KubeStatefulSet *set, struct judgement *ret_judgement) {
    const KubeStatefulSetStatus *const status = &set->status;
    struct counts counts = {
        .desired = set->spec.has_replicas ? set->spec.replicas : 1,
        .available = status->available_replicas,
        .ready = status->ready_replicas,
        .updated = status->updated_replicas,
        .total = status->replicas,
    };
    /* Servers before 1.22 do not say how many are available; without minReadySeconds ready ones are. */
    if (set->spec.min_ready_seconds == 0) counts.available = counts.ready;
    if (!judge_wanted(&set->metadata, status->observed_generation, &counts, ret_judgement)) return;
    const bool by_hand = slice_equal_text(set->spec.update_strategy.type, "OnDelete");
    const int64_t partition =
        set->spec.update_strategy.rolling_update.has_partition ? set->spec.update_strategy.rolling_update.partition : 0;
    const int64_t to_update = counts.desired > partition ? counts.desired - partition : 0;
    const bool revised = !slice_equal(status->current_revision, status->update_revision);
    counts.rolling = !by_hand && revised && counts.updated < to_update;
    judge_available(&set->metadata, status->observed_generation, &counts, RULE_WORKLOAD_AVAILABLE, 0, ret_judgement);
    if (counts.rolling) judge_rollout(&counts, ret_judgement);
}

void judge_daemonset(const KubeDaemonSet *set, struct judgement *ret_judgement) {
    const KubeDaemonSetStatus *const status = &set->status;
    struct counts counts = {
        .desired = status->desired_number_scheduled,
        .available = status->number_available,
        .ready = status->number_ready,
        .updated = status->updated_number_scheduled,
        .total = status->current_number_scheduled,
    };
    if (set->spec.min_ready_seconds == 0) counts.available = counts.ready;
    if (!judge_wanted(&set->metadata, status->observed_generation, &counts, ret_judgement)) return;
    counts.rolling = !slice_equal_text(set->spec.update_strategy.type, "OnDelete") && counts.updated < counts.desired;
    judge_available(&set->metadata, status->observed_generation, &counts, RULE_WORKLOAD_AVAILABLE, 0, ret_judgement);
    if (counts.rolling) judge_rollout(&counts, ret_judgement);
}
