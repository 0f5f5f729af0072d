/* SPDX-License-Identifier: Apache-2.0
 * One table says where each resource is and what it is read into. A path is made of names that were checked first: what
 * the API server takes for a name has no slash, no percent sign and no question mark in it, so a name that has one is
 * refused and not escaped. */
#include "agent/collect/kubernetes/kube_resource.h"

#include <assert.h>
#include <stdio.h>

/* What kube_object.meta stands on. */
#define METADATA_FIRST(Message)                                                                                        \
    static_assert(offsetof(Message, has_metadata) == offsetof(KubeObject, has_metadata) &&                             \
                      offsetof(Message, metadata) == offsetof(KubeObject, metadata),                                   \
                  #Message " begins with its metadata")
METADATA_FIRST(KubePod);
METADATA_FIRST(KubeNode);
METADATA_FIRST(KubeNamespace);
METADATA_FIRST(KubeEvent);
METADATA_FIRST(KubeDeployment);
METADATA_FIRST(KubeStatefulSet);
METADATA_FIRST(KubeDaemonSet);
METADATA_FIRST(KubeReplicaSet);
METADATA_FIRST(KubeJob);
METADATA_FIRST(KubeCronJob);
METADATA_FIRST(KubePersistentVolumeClaim);
METADATA_FIRST(KubeService);
METADATA_FIRST(KubeEndpointSlice);
METADATA_FIRST(KubeApplication);
METADATA_FIRST(KubePodMonitor);
METADATA_FIRST(KubeServiceMonitor);

#define ROW(id_, kind_, group_, version_, plural_, namespaced_, protobuf_)                                             \
    [id_] = {.id = (id_),                                                                                              \
             .kind = #kind_,                                                                                           \
             .group = (group_),                                                                                        \
             .version = (version_),                                                                                    \
             .plural = (plural_),                                                                                      \
             .namespaced = (namespaced_),                                                                              \
             .protobuf = (protobuf_),                                                                                  \
             .message = &Kube##kind_##_desc}
static const struct kube_resource resources[] = {
    ROW(KUBE_PODS, Pod, "", "v1", "pods", true, true),
    ROW(KUBE_NODES, Node, "", "v1", "nodes", false, true),
    ROW(KUBE_NAMESPACES, Namespace, "", "v1", "namespaces", false, true),
    ROW(KUBE_EVENTS, Event, "", "v1", "events", true, true),
    ROW(KUBE_DEPLOYMENTS, Deployment, "apps", "v1", "deployments", true, true),
    ROW(KUBE_STATEFULSETS, StatefulSet, "apps", "v1", "statefulsets", true, true),
    ROW(KUBE_DAEMONSETS, DaemonSet, "apps", "v1", "daemonsets", true, true),
    ROW(KUBE_REPLICASETS, ReplicaSet, "apps", "v1", "replicasets", true, true),
    ROW(KUBE_JOBS, Job, "batch", "v1", "jobs", true, true),
    ROW(KUBE_CRONJOBS, CronJob, "batch", "v1", "cronjobs", true, true),
    ROW(KUBE_PERSISTENTVOLUMECLAIMS, PersistentVolumeClaim, "", "v1", "persistentvolumeclaims", true, true),
    ROW(KUBE_SERVICES, Service, "", "v1", "services", true, true),
    ROW(KUBE_ENDPOINTSLICES, EndpointSlice, "discovery.k8s.io", "v1", "endpointslices", true, true),
    ROW(KUBE_APPLICATIONS, Application, "argoproj.io", "v1alpha1", "applications", true, false),
    ROW(KUBE_PODMONITORS, PodMonitor, "monitoring.coreos.com", "v1", "podmonitors", true, false),
    ROW(KUBE_SERVICEMONITORS, ServiceMonitor, "monitoring.coreos.com", "v1", "servicemonitors", true, false),
};
#undef ROW
static_assert(sizeof resources / sizeof *resources == KUBE_KINDS_, "a row for each kind");

const struct kube_resource *kube_resource(enum kube_kind kind) {
    assert(kind < KUBE_KINDS_);
    return &resources[kind];
}

const struct kube_resource *kube_resource_find(slice plural) {
    for (size_t i = 0; i < KUBE_KINDS_; i++) {
        const slice name = slice_from_text(resources[i].plural), group = slice_from_text(resources[i].group);
        if (!slice_starts_with(plural, name)) continue;
        const slice rest = slice_from(plural, name.size);
        if (rest.size == 0 || (group.size && rest.data[0] == '.' && slice_equal(slice_from(rest, 1), group)))
            return &resources[i];
    }
    return NULL;
}

/* Names of objects are DNS labels or subdomains, of RBAC objects and events a little more
 * (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/); none is "." or "..". */
static bool name_holds(slice name) {
    bool dots_only = true;
    for (size_t i = 0; i < name.size; i++) {
        const uint8_t c = name.data[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '-' && c != '.' && c != '_' && c != ':') return false;
        dots_only = dots_only && c == '.';
    }
    return name.size <= 253 && !(name.size && dots_only);
}

fault_code kube_resource_path(const struct kube_resource *resource, slice namespace, slice name, slice subresource,
                              char *ret_path, size_t path_bytes, struct fault *reterr) {
    const slice parts[] = {namespace, name, subresource};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!name_holds(parts[i]))
            return fault_set(reterr, FAULT_INPUT, "'%.*s' is no name of a Kubernetes object",
                             SLICE_ARG(slice_first(parts[i], 64)));
    const bool core = resource->group[0] == '\0';
    const slice space = resource->namespaced ? namespace : (slice){0};
    const int size =
        snprintf(ret_path, path_bytes, "%s%s/%s%s%.*s/%s%s%.*s%s%.*s", core ? "/api" : "/apis/", resource->group,
                 resource->version, space.size ? "/namespaces/" : "", SLICE_ARG(space), resource->plural,
                 name.size ? "/" : "", SLICE_ARG(name), subresource.size ? "/" : "", SLICE_ARG(subresource));
    if (size < 0 || (size_t)size >= path_bytes)
        return fault_set(reterr, FAULT_LIMIT, "a path of %d bytes does not fit into %zu", size, path_bytes);
    return FAULT_NONE;
}
