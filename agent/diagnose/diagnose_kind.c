/* SPDX-License-Identifier: Apache-2.0
 * Rows. A kind whose content is a secret has none, and no setting can give it one: what is not fetched cannot leak. */
#include "agent/diagnose/diagnose_kind.h"

#include <stdio.h>
#include <strings.h>

static const char *const verb_names[DIAGNOSE_VERBS_] = {"describe", "events", "logs", "rollout", "top"};

const char *diagnose_verb_name(enum diagnose_verb verb) {
    return verb_names[verb];
}

bool diagnose_verb_find(slice name, enum diagnose_verb *ret_verb) {
    for (int verb = 0; verb < DIAGNOSE_VERBS_; verb++)
        if (slice_equal_text(name, verb_names[verb])) {
            *ret_verb = (enum diagnose_verb)verb;
            return true;
        }
    return false;
}

#define ROW(name_, aliases_, kind_, group_, version_, plural_, namespaced_, rolls_out_)                                \
    {                                                                                                                  \
        .name = (name_), .aliases = (aliases_), .rolls_out = (rolls_out_), .resource = {                               \
            .kind = (kind_),                                                                                           \
            .group = (group_),                                                                                         \
            .version = (version_),                                                                                     \
            .plural = (plural_),                                                                                       \
            .namespaced = (namespaced_)                                                                                \
        }                                                                                                              \
    }
static const struct diagnose_kind rows[] = {
    ROW("pod", "po pods", "Pod", "", "v1", "pods", true, false),
    ROW("node", "no nodes", "Node", "", "v1", "nodes", false, false),
    ROW("namespace", "ns namespaces", "Namespace", "", "v1", "namespaces", false, false),
    ROW("deployment", "deploy deployments", "Deployment", "apps", "v1", "deployments", true, true),
    ROW("statefulset", "sts statefulsets", "StatefulSet", "apps", "v1", "statefulsets", true, true),
    ROW("daemonset", "ds daemonsets", "DaemonSet", "apps", "v1", "daemonsets", true, true),
    ROW("replicaset", "rs replicasets", "ReplicaSet", "apps", "v1", "replicasets", true, false),
    ROW("job", "jobs", "Job", "batch", "v1", "jobs", true, false),
    ROW("cronjob", "cj cronjobs", "CronJob", "batch", "v1", "cronjobs", true, false),
    ROW("persistentvolumeclaim", "pvc persistentvolumeclaims", "PersistentVolumeClaim", "", "v1",
        "persistentvolumeclaims", true, false),
    ROW("persistentvolume", "pv persistentvolumes", "PersistentVolume", "", "v1", "persistentvolumes", false, false),
    ROW("service", "svc services", "Service", "", "v1", "services", true, false),
    ROW("ingress", "ing ingresses", "Ingress", "networking.k8s.io", "v1", "ingresses", true, false),
    ROW("networkpolicy", "netpol networkpolicies", "NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies", true,
        false),
    ROW("configmap", "cm configmaps", "ConfigMap", "", "v1", "configmaps", true, false),
    ROW("horizontalpodautoscaler", "hpa horizontalpodautoscalers", "HorizontalPodAutoscaler", "autoscaling", "v2",
        "horizontalpodautoscalers", true, false),
    ROW("poddisruptionbudget", "pdb poddisruptionbudgets", "PodDisruptionBudget", "policy", "v1",
        "poddisruptionbudgets", true, false),
    ROW("application", "app applications", "Application", "argoproj.io", "v1alpha1", "applications", true, false),
};
#undef ROW

static bool is_called(const struct diagnose_kind *row, slice name) {
    if (strlen(row->name) == name.size && strncasecmp(row->name, (const char *)name.data, name.size) == 0) return true;
    for (const char *at = row->aliases; *at;) {
        const size_t size = strcspn(at, " ");
        if (size == name.size && strncasecmp(at, (const char *)name.data, size) == 0) return true;
        at += size + (at[size] == ' ');
    }
    return false;
}

fault_code diagnose_kind_find(slice name, const struct diagnose_kind **ret_kind, struct fault *reterr) {
    char known[400];
    size_t used = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (name.size && is_called(&rows[i], name)) {
            *ret_kind = &rows[i];
            return FAULT_NONE;
        }
        used += (size_t)snprintf(known + used, used < sizeof known ? sizeof known - used : 0, "%s%s", i ? ", " : "",
                                 rows[i].name);
    }
    if (name.size >= 6 && strncasecmp((const char *)name.data, "secret", 6) == 0)
        return fault_set(reterr, FAULT_DENIED, "secrets are never read, whatever the settings say");
    return fault_set(reterr, FAULT_INPUT, "'%.*s' is no kind that can be asked about; these are: %s",
                     SLICE_ARG(slice_first(name, 64)), known);
}
