/* SPDX-License-Identifier: Apache-2.0
 * The rows of the settings' list `argocd:`, one item an Argo CD. */
#ifndef PICKET_COLLECT_ARGOCD_SETTINGS_H
#define PICKET_COLLECT_ARGOCD_SETTINGS_H

#include "agent/collect/access_settings.h"
#include "agent/collect/kubernetes/kube_settings.h"

struct argocd_settings {
    slice name;                      /* in the log and in what is stored; unique */
    slice kubernetes;                /* cluster_id of the cluster whose Applications are watched; or else */
    slice url;                       /* of Argo CD's own API */
    struct access_settings access;   /* url: a token, or username and password for a session */
    bool stream;                     /* url: changes as they happen; else a list each poll_ms */
    struct setting_texts namespaces; /* of the Applications themselves; none: all */
    struct setting_texts projects;   /* url: only of these; none: all */
    slice cluster_id;                /* where this Argo CD runs; empty: the watched cluster, or the agent's */
    slice environment_id;            /* of Applications without the label; empty: the agent's */
    slice environment_label;         /* of an Application; empty: none is looked at */
    struct setting_map environments; /* value of the label to environment_id */
    struct setting_map clusters;     /* destination's name or server to cluster_id */
    int64_t poll_ms, timeout_ms;     /* url */
    int64_t stale_ms, heartbeat_ms, debounce_ms;
    int64_t applications_max, object_bytes_max;
};

/* For SETTING_LIST(struct agent_settings, "argocd", argocd, &argocd_table, 16, "...") */
enum { ARGOCD_MAX = 16 };
extern const struct setting_table argocd_table;

/* What the rows cannot say: neither or both of kubernetes and url, the same name twice, a cluster that is not in the list
 * `kubernetes:` (their cluster_ids are given), no environment. agent_environment: agent.environment_id. */
void argocd_settings_check(struct settings *read, const struct argocd_settings *items, size_t count,
                           const struct kube_cluster_settings *clusters, size_t clusters_count,
                           slice agent_environment);

#endif
