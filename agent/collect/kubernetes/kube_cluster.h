/* SPDX-License-Identifier: Apache-2.0
 * One API server: where it is, whom it trusts us to be (kube_access), and the HTTP client that its watches and single
 * requests share. Everything of a cluster ends with it. Owner: the loop's thread. */
#ifndef PICKET_COLLECT_KUBE_CLUSTER_H
#define PICKET_COLLECT_KUBE_CLUSTER_H

#include "agent/collect/kubernetes/kube_settings.h"
#include "common/loop/loop.h"

struct kube_cluster;

/* Reads the kubeconfig or the pod's service account; asks nothing of the network yet. Settings are copied. FAULT_INPUT,
 * FAULT_ABSENT or FAULT_SYSTEM: no usable access, in one sentence with the file; the caller decides whether it goes on
 * without this cluster (its health is unknown then) and tries again. */
fault_code kube_cluster_open(struct loop *loop, const struct kube_cluster_settings *settings,
                             struct kube_cluster **ret_cluster, struct fault *reterr) MUST_CHECK;
/* Ends every watch and request without calling anybody back; listeners and gets of it are invalid afterwards. NULL is
 * fine; returns NULL. Not inside a callback of this cluster. */
struct kube_cluster *kube_cluster_close(struct kube_cluster *cluster);

/* As set; valid as long as the cluster. */
slice kube_cluster_id(const struct kube_cluster *cluster);
/* "https://10.96.0.1:443" */
const char *kube_cluster_server(const struct kube_cluster *cluster);
/* What an operator should know and nothing refuses: "TLS certificates are not checked (insecure-skip-tls-verify)".
 * Empty when there is none; valid as long as the cluster. */
const char *kube_cluster_warning(const struct kube_cluster *cluster);

/* The server's clock minus ours, by the Date of its answers, to about a second: add it to our wall clock before the times
 * of objects are taken from it. 0: they agree, or no answer has come yet. Over 30 s it is logged, once. */
int64_t kube_cluster_skew_ms(const struct kube_cluster *cluster);

struct kube_cluster_stats {
    uint64_t requests, requests_failed; /* every call to the server; failed: no answer, or a status of 400 and up */
    uint64_t lists, lists_restarted;    /* restarted: the watch could not go on (410, a version that went back) */
    uint64_t relists;                   /* lists taken only since `relist` was over */
    uint64_t checks;                    /* lists of one object: whether the server is behind what is known */
    uint64_t watches;                   /* watch streams begun */
    uint64_t stalls;                    /* streams ended because nothing came */
    uint64_t objects, deletions, bookmarks;
    uint64_t objects_too_large, objects_unreadable; /* skipped; the last one is in last_skip */
    uint64_t bytes;                                 /* of bodies */
    unsigned streams, streams_fresh;                /* now: resource times namespace; and how many of them are fresh */
    size_t buffer_bytes;                            /* now, in object buffers and arenas */
    struct fault last_fault, last_skip;             /* code FAULT_NONE: none yet */
};
void kube_cluster_stats(const struct kube_cluster *cluster, struct kube_cluster_stats *ret_stats);

#endif
