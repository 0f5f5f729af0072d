/* SPDX-License-Identifier: Apache-2.0
 * A node by its conditions. Ready is the kubelet's word; when the kubelet is silent the control plane writes Unknown, and
 * then nothing is known about the node, its pressures included. */
#include "agent/health/cluster_judge.h"

static int64_t changed_ms(const KubeCondition *condition) {
    return judge_ms(condition->has_last_transition_time, condition->last_transition_time);
}

/* The rule's own reason names the condition, but for those that share one rule. */
static void explain(struct judgement *judgement, enum cluster_rule rule, const KubeCondition *condition) {
    const bool named = rule == RULE_NODE_PROBLEM;
    judgement_explain(judgement, rule, changed_ms(condition), "%.*s%s%.*s%s%.*s",
                      SLICE_ARG(named ? slice_first(condition->type, 60) : (slice){0}), named ? ": " : "",
                      SLICE_ARG(slice_first(condition->reason, 60)), condition->message.size ? ": " : "",
                      SLICE_ARG(slice_first(condition->message, 160)));
}

void judge_node(const KubeNode *node, struct judgement *ret_judgement) {
    bool ready = false;
    judgement_begin(ret_judgement);
    for (size_t i = 0; i < node->status.conditions.count; i++) {
        const KubeCondition *const condition = &node->status.conditions.items[i];
        const enum cluster_rule rule = cluster_rule_of_condition(condition->type, condition->status);
        if (rule != CLUSTER_RULES_) explain(ret_judgement, rule, condition);
        if (!slice_equal_text(condition->type, "Ready")) continue;
        ready = true;
        if (slice_equal_text(condition->status, "True"))
            judgement_add(ret_judgement, node->spec.unschedulable ? RULE_NODE_CORDONED : RULE_NODE_READY, 0);
        else
            explain(ret_judgement,
                    slice_equal_text(condition->status, "False") ? RULE_NODE_NOT_READY : RULE_NODE_UNKNOWN, condition);
    }
    if (!ready) judgement_add(ret_judgement, RULE_NODE_UNKNOWN, 0);
}

void judge_namespace(const KubeNamespace *namespace, struct judgement *ret_judgement) {
    judgement_begin(ret_judgement);
    if (!namespace->metadata.has_deletion_timestamp) {
        judgement_add(ret_judgement, RULE_NAMESPACE_ACTIVE, 0);
        return;
    }
    const KubeCondition *why = NULL;
    for (size_t i = 0; i < namespace->status.conditions.count && !why; i++)
        if (slice_equal_text(namespace->status.conditions.items[i].status, "True"))
            why = &namespace->status.conditions.items[i];
    judgement_add(ret_judgement, RULE_NAMESPACE_TERMINATING, 0);
    judgement_explain(ret_judgement, RULE_NAMESPACE_STUCK_TERMINATING,
                      judge_ms(true, namespace->metadata.deletion_timestamp), "%.*s",
                      SLICE_ARG(slice_first(why ? why->message : SLICE_LIT("finalizers have not ended"), 220)));
}

static bool annotated(const KubeMeta *meta, const char *key) {
    for (size_t i = 0; i < meta->annotations.count; i++)
        if (slice_equal_text(meta->annotations.items[i].key, key) && meta->annotations.items[i].value.size) return true;
    return false;
}

/* The control plane asks for a volume by naming the provisioner: at once, or with WaitForFirstConsumer when a pod that wants
 * it was given a node. Before that nobody lacks the volume but a pod that says so itself (it is Unschedulable). */
static void judge_pending_claim(const KubePersistentVolumeClaim *claim, struct judgement *judgement) {
    const KubeMeta *const meta = &claim->metadata;
    judgement_add(judgement, RULE_CLAIM_PENDING, 0);
    if (!annotated(meta, "volume.kubernetes.io/storage-provisioner") &&
        !annotated(meta, "volume.beta.kubernetes.io/storage-provisioner"))
        return;
    const bool waited = annotated(meta, "volume.kubernetes.io/selected-node");
    judgement_explain(judgement, RULE_CLAIM_UNBOUND,
                      waited ? 0 : judge_ms(meta->has_creation_timestamp, meta->creation_timestamp),
                      "storage class '%.*s'", SLICE_ARG(slice_first(claim->spec.storage_class_name, 100)));
}

void judge_claim(const KubePersistentVolumeClaim *claim, struct judgement *ret_judgement) {
    const slice phase = claim->status.phase;
    judgement_begin(ret_judgement);
    if (claim->metadata.has_deletion_timestamp) {
        judgement_add(ret_judgement, RULE_CLAIM_TERMINATING, 0);
    } else if (slice_equal_text(phase, "Bound")) {
        judgement_add(ret_judgement, RULE_CLAIM_BOUND, 0);
    } else if (slice_equal_text(phase, "Pending")) {
        judge_pending_claim(claim, ret_judgement);
    } else if (slice_equal_text(phase, "Lost")) {
        judgement_explain(ret_judgement, RULE_CLAIM_LOST, 0, "volume '%.*s' is gone",
                          SLICE_ARG(slice_first(claim->spec.volume_name, 100)));
    } else {
        judgement_add(ret_judgement, RULE_CLAIM_PHASE_UNKNOWN, 0);
    }
}
