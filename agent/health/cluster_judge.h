/* SPDX-License-Identifier: Apache-2.0
 * What an object of a cluster says by itself: the rules of cluster_rules.def that it fulfils. One function a kind; each
 * depends on its arguments alone and may be given anything that could be decoded. Any thread. */
#ifndef PICKET_HEALTH_CLUSTER_JUDGE_H
#define PICKET_HEALTH_CLUSTER_JUDGE_H

#include "agent/collect/kubernetes/kube_resource.h"
#include "agent/health/cluster_rules.h"
#include "agent/health/zone.h"

void judge_pod(const KubePod *pod, struct judgement *ret_judgement);
void judge_node(const KubeNode *node, struct judgement *ret_judgement);
void judge_namespace(const KubeNamespace *namespace, struct judgement *ret_judgement);
void judge_deployment(const KubeDeployment *deployment, struct judgement *ret_judgement);
void judge_statefulset(const KubeStatefulSet *set, struct judgement *ret_judgement);
void judge_daemonset(const KubeDaemonSet *set, struct judgement *ret_judgement);
void judge_job(const KubeJob *job, struct judgement *ret_judgement);
/* zone: of spec.timeZone; NULL: it names none, or there is no data about it here (then nobody knows when it is due). */
void judge_cronjob(const KubeCronJob *job, const struct zone *zone, struct judgement *ret_judgement);
void judge_claim(const KubePersistentVolumeClaim *claim, struct judgement *ret_judgement);

/* CLUSTER_KINDS_: a resource whose objects have no health. */
enum cluster_kind cluster_kind_of(enum kube_kind resource);
/* The other way round; KUBE_KINDS_: a kind that is no resource. */
enum kube_kind cluster_resource_of(enum cluster_kind kind);
/* The one of the above for a kind that cluster_kind_of gives; message is the struct of its resource's message. */
void cluster_judge(enum cluster_kind kind, const void *message, const struct zone *zone,
                   struct judgement *ret_judgement);

/* The owner that controls an object, else NULL. */
const KubeOwner *judge_controller(const KubeMeta *meta);

/* Milliseconds since 1970; 0 when it is not there. */
static inline int64_t judge_ms(bool has, google_protobuf_Timestamp time) {
    return has ? time.seconds * 1000 + time.nanos / 1000000 : 0;
}

#endif
