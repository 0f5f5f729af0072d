/* SPDX-License-Identifier: Apache-2.0
 * The items of `kubernetes:`, each opened once and shared by all who look into it: health, Argo CD, discovery, diagnostics.
 * Owner: the loop's thread. */
#ifndef PICKET_AGENT_CLUSTERS_H
#define PICKET_AGENT_CLUSTERS_H

#include "agent/settings/agent_settings.h"
#include "agent/collect/kubernetes/kube_cluster.h"

struct clusters;

/* Settings must outlive it. A cluster that cannot be opened (no kubeconfig, a bad one, a token that is not mounted yet) does
 * not stop the others: it is said in the log, and is tried again. FAULT_LIMIT: no memory. */
fault_code clusters_open(struct loop *loop, const struct agent_settings *settings, struct clusters **ret_clusters,
                         struct fault *reterr) MUST_CHECK;
/* After all who use one of them. NULL is fine; returns NULL. */
struct clusters *clusters_close(struct clusters *clusters);

/* Tries again what could not be opened; once a second. NULL is fine. */
void clusters_tick(struct clusters *clusters);

/* In the order of the settings; NULL for one that could not be opened yet: ask again later. */
size_t clusters_count(const struct clusters *clusters);
struct kube_cluster *clusters_at(const struct clusters *clusters, size_t index);
/* As set, whether it is open or not. */
slice clusters_id(const struct clusters *clusters, size_t index);
/* By its cluster_id; NULL when there is none, or not yet. */
struct kube_cluster *clusters_find(const struct clusters *clusters, slice cluster_id);
/* Why one could not be opened; empty when it is open. */
const char *clusters_fault(const struct clusters *clusters, size_t index);

/* For who asks by the way (diagnose.h): the cluster of that id, or the first where the id is empty; NULL when there is
 * none. context: a struct clusters **, which may point to NULL. */
struct kube_cluster *clusters_ask(void *context, slice cluster_id);

#endif
