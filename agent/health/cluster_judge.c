/* SPDX-License-Identifier: Apache-2.0
 * Which function reads which message: the only place that knows both. */
#include "agent/health/cluster_judge.h"

typedef void judge_fn(const void *message, const struct zone *zone, struct judgement *ret_judgement);

#define JUDGE(function, type)                                                                                          \
    static void call_##function(const void *message, const struct zone *zone, struct judgement *ret_judgement) {       \
        (void)zone;                                                                                                    \
        function((const type *)message, ret_judgement);                                                                \
    }
JUDGE(judge_pod, KubePod)
JUDGE(judge_node, KubeNode)
JUDGE(judge_namespace, KubeNamespace)
JUDGE(judge_deployment, KubeDeployment)
JUDGE(judge_statefulset, KubeStatefulSet)
JUDGE(judge_daemonset, KubeDaemonSet)
JUDGE(judge_job, KubeJob)
JUDGE(judge_claim, KubePersistentVolumeClaim)
#undef JUDGE

static void call_judge_cronjob(const void *message, const struct zone *zone, struct judgement *ret_judgement) {
    judge_cronjob(message, zone, ret_judgement);
}

static const struct {
    enum kube_kind resource;
    judge_fn *judge;
} judges[CLUSTER_KINDS_] = {
    [CLUSTER_NAMESPACE] = {KUBE_NAMESPACES, call_judge_namespace},
    [CLUSTER_NODE] = {KUBE_NODES, call_judge_node},
    [CLUSTER_DEPLOYMENT] = {KUBE_DEPLOYMENTS, call_judge_deployment},
    [CLUSTER_STATEFULSET] = {KUBE_STATEFULSETS, call_judge_statefulset},
    [CLUSTER_DAEMONSET] = {KUBE_DAEMONSETS, call_judge_daemonset},
    [CLUSTER_CRONJOB] = {KUBE_CRONJOBS, call_judge_cronjob},
    [CLUSTER_JOB] = {KUBE_JOBS, call_judge_job},
    [CLUSTER_CLAIM] = {KUBE_PERSISTENTVOLUMECLAIMS, call_judge_claim},
    [CLUSTER_POD] = {KUBE_PODS, call_judge_pod},
};

enum cluster_kind cluster_kind_of(enum kube_kind resource) {
    for (size_t i = 0; i < CLUSTER_KINDS_; i++)
        if (judges[i].judge && judges[i].resource == resource) return (enum cluster_kind)i;
    return CLUSTER_KINDS_;
}

enum kube_kind cluster_resource_of(enum cluster_kind kind) {
    return judges[kind].judge ? judges[kind].resource : KUBE_KINDS_;
}

void cluster_judge(enum cluster_kind kind, const void *message, const struct zone *zone,
                   struct judgement *ret_judgement) {
    judges[kind].judge(message, zone, ret_judgement);
}
