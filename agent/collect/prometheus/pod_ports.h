/* SPDX-License-Identifier: Apache-2.0
 * The container ports of pods, for the targetPort of a ServiceMonitor: "Name or number of the target port of the Pod object
 * behind the Service" (Prometheus operator, API reference, Endpoint). A Service need not name that port, so no EndpointSlice
 * says it. Pods are watched from the first time on that somebody asks, and only ports that a monitor names are kept. Memory: 40
 * bytes a port, up to POD_PORTS_MAX. Owner: the loop's thread. */
#ifndef PICKET_COLLECT_POD_PORTS_H
#define PICKET_COLLECT_POD_PORTS_H

#include "agent/collect/kubernetes/kube_watch.h"

/* TCP, or not said, which is the same. */
bool pod_port_is_tcp(slice protocol);
/* The next TCP port that a container declares, sidecars included; NULL: none. *cursor begins with 0. */
const KubeContainerPort *pod_next_port(const KubePod *pod, size_t *cursor);

struct pod_ports;

enum { POD_PORTS_MAX = 16384, POD_PORT_NAME_BYTES = 15 };

struct pod_ports_calls {
    bool (*wanted)(void *context, slice name, int32_t number); /* whether to keep such a port */
    /* What is known of pods has changed; answers: who asked before would get another answer now. */
    void (*changed)(void *context, bool answers);
    void *context;
};

/* cluster: outlives it; NULL: nothing is watched. NULL: no memory. */
struct pod_ports *pod_ports_new(struct kube_cluster *cluster, const struct pod_ports_calls *calls);
struct pod_ports *pod_ports_free(struct pod_ports *ports); /* NULL is fine; returns NULL */
/* Not in a callback of the cluster. Where somebody asked: looks at all pods anew, because other ports may be wanted now. */
fault_code pod_ports_refresh(struct pod_ports *ports, struct fault *reterr) MUST_CHECK;
/* Nobody asked, or all are known, or they cannot be known now. */
bool pod_ports_settled(const struct pod_ports *ports);
/* Whether somebody asked and not all are known; ret_why: why not. */
bool pod_ports_dark(const struct pod_ports *ports, char *ret_why, size_t why_bytes);

/* The next TCP port of the pod with this name, or, without a name, this number; false: none, for now. *cursor begins with 0. */
bool pod_ports_next(struct pod_ports *ports, slice uid, slice name, int32_t number, size_t *cursor, int32_t *ret_port);
/* The pod is this now. */
void pod_ports_take(struct pod_ports *ports, const KubePod *pod, uint8_t round);

#endif
