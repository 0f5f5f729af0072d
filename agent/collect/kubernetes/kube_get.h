/* SPDX-License-Identifier: Apache-2.0
 * One bounded request to the API server, with its whole answer in memory: describe, events of an object, the tail of a log,
 * metrics.k8s.io. Only GET. Owner: the loop's thread. */
#ifndef PICKET_COLLECT_KUBE_GET_H
#define PICKET_COLLECT_KUBE_GET_H

#include "agent/collect/kubernetes/kube_cluster.h"

struct kube_get;

struct kube_get_result {
    int status; /* 0: no answer */
    slice body; /* valid during the callback */
    bool cut;   /* the answer was longer than body_bytes_max: body is its first part */
    const char *content_type;
    int64_t retry_after_ms; /* 0: not said */
    int64_t duration_ms;
    /* FAULT_NONE: status is 200 to 299 (body may be cut). Else one sentence, with the server's own message when it sent a
     * Status: FAULT_DENIED 401 and 403, FAULT_ABSENT 404, FAULT_AGAIN 429 and 5xx, FAULT_TIMEOUT, FAULT_SYSTEM. */
    struct fault fault;
};

struct kube_get_request {
    /* From the server's root, query and all, each part percent-encoded: "/api/v1/namespaces/a/pods/b/log?tailLines=50"
     * (kube_resource_path makes the part before the question mark). Copied. */
    const char *path;
    const char *accept;    /* NULL: "application/json"; a literal */
    size_t body_bytes_max; /* 1 to 4 MiB; reserved as it fills, given back after on_done */
    int64_t timeout_ms;    /* of the whole, credentials by an exec plugin included; at most LIMIT_OUTSIDE_CALL_MS */
    void (*on_done)(void *context, const struct kube_get_result *result);
    void *context;
};

/* on_done is called exactly once, later, on the loop's thread, unless it is cancelled or the cluster is closed.
 * FAULT_AGAIN: as many requests as a cluster serves at a time are running (KUBE_GETS_MAX). */
enum { KUBE_GETS_MAX = 8, KUBE_GET_BYTES_MAX = 4 * 1024 * 1024 };
fault_code kube_get_start(struct kube_cluster *cluster, const struct kube_get_request *request,
                          struct kube_get **ret_get, struct fault *reterr) MUST_CHECK;
/* on_done is not called after this; the handle is invalid from on_done on as well. NULL is fine. */
void kube_get_cancel(struct kube_get *get);

#endif
