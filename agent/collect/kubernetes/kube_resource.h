/* SPDX-License-Identifier: Apache-2.0
 * The resources that the agent can watch, as rows: where they are in the API and which of our messages they are read
 * into (objects.proto). To watch one more: its message in objects.proto, a name here, a row in kube_resource.c. Any
 * thread. */
#ifndef PICKET_COLLECT_KUBE_RESOURCE_H
#define PICKET_COLLECT_KUBE_RESOURCE_H

#include "common/base/fault.h"
#include "kube_objects.h"

enum kube_kind {
    KUBE_PODS,
    KUBE_NODES,
    KUBE_NAMESPACES,
    KUBE_EVENTS,
    KUBE_DEPLOYMENTS,
    KUBE_STATEFULSETS,
    KUBE_DAEMONSETS,
    KUBE_REPLICASETS,
    KUBE_JOBS,
    KUBE_CRONJOBS,
    KUBE_PERSISTENTVOLUMECLAIMS,
    KUBE_SERVICES,
    KUBE_ENDPOINTSLICES,
    KUBE_APPLICATIONS, /* from here on custom resources: JSON, and absent where they are not installed */
    KUBE_PODMONITORS,
    KUBE_SERVICEMONITORS,
    KUBE_KINDS_
};

struct kube_resource {
    enum kube_kind id;
    const char *kind;  /* "Pod" */
    const char *group; /* "" for the core group */
    const char *version;
    const char *plural; /* "pods" */
    bool namespaced;
    bool protobuf; /* false: a custom resource */
    /* KubePod_desc ...; in each of these messages `has_metadata` and `metadata` (KubeMeta) are the first two members. */
    const struct message_desc *message;
};

/* Static; kind is below KUBE_KINDS_. */
const struct kube_resource *kube_resource(enum kube_kind kind);
/* By its plural, with or without its group ("applications", "applications.argoproj.io"); NULL when there is none. */
const struct kube_resource *kube_resource_find(slice plural);

/* "/apis/apps/v1/namespaces/<ns>/deployments/<name>/<subresource>" with a NUL, without query. namespace empty: of the
 * whole cluster; name and subresource may be empty. FAULT_INPUT: a name holds what no name of Kubernetes holds (so that
 * no name leads to another path); FAULT_LIMIT: it does not fit. */
fault_code kube_resource_path(const struct kube_resource *resource, slice namespace, slice name, slice subresource,
                              char *ret_path, size_t path_bytes, struct fault *reterr) MUST_CHECK;

#endif
