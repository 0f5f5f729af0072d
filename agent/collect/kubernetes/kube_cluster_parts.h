/* SPDX-License-Identifier: Apache-2.0
 * Between the files of the client: what a cluster is made of, and how its watches and single requests are driven. Each of
 * them says when it is to be looked at next; one timer of the cluster looks at them all. */
#ifndef PICKET_COLLECT_KUBE_CLUSTER_PARTS_H
#define PICKET_COLLECT_KUBE_CLUSTER_PARTS_H

#include "agent/collect/kubernetes/kube_access.h"
#include "agent/collect/kubernetes/kube_cluster.h"
#include "agent/collect/kubernetes/kube_get.h"
#include "agent/collect/kubernetes/kube_skew.h"
#include "agent/collect/kubernetes/kube_watch.h"
#include "common/base/arena.h"
#include "common/logging/log.h"

enum {
    CLUSTER_NEVER_MS = INT32_MAX,
    CLUSTER_CREDENTIALS_WAIT_MS = 200, /* between two looks at whether a plugin has ended */
    CLUSTER_LISTS_MAX = 2              /* at one time: lists are what fills buffers */
};

struct kube_watch; /* the streams of one kind; kube_watch.c */

struct kube_listener {
    struct kube_cluster *cluster;
    enum kube_kind kind;
    bool used, told; /* told: it has heard the state that it begins with */
    struct kube_listener_calls calls;
};

struct kube_get {
    struct kube_cluster *cluster;
    bool used, cut;
    struct http_call *call;
    const char *accept;
    char *path;
    uint8_t *body;
    size_t size, room, body_bytes_max;
    int status;
    int64_t begun_ms, head_ms, head_wall_ms; /* monotonic, monotonic, wall; of the call and its head */
    int64_t started_ms, deadline_ms, due_ms;
    void (*on_done)(void *context, const struct kube_get_result *result);
    void *context;
};

struct kube_cluster {
    struct loop *loop;
    struct loop_timer *timer;
    int64_t timer_ms; /* when it is set to; INT64_MAX: not set */
    struct http_client *client;
    struct kube_access *access;
    struct arena *settings_arena;
    struct arena *arena; /* of one object, or of one request that is written */
    struct kube_cluster_settings settings;
    struct kube_watch *watches[KUBE_KINDS_];
    struct kube_listener listeners[KUBE_LISTENERS_MAX];
    struct kube_get gets[KUBE_GETS_MAX];
    unsigned lists_running;
    struct log_limit back_limit;
    struct kube_skew skew;
    struct kube_cluster_stats stats;
};

/* Starts a request; request->url is a path with its query. FAULT_AGAIN: credentials are being fetched. */
fault_code cluster_call(struct kube_cluster *cluster, struct http_request *request, struct http_call **ret_call,
                        struct fault *reterr) MUST_CHECK;
/* The cluster is looked at again not later than at this moment (monotonic). */
void cluster_due(struct kube_cluster *cluster, int64_t at_ms);
/* An answer of the server itself (200): its Date, our wall clock when its head came, the way there and back. */
void cluster_date_came(struct kube_cluster *cluster, int64_t date_ms, int64_t head_wall_ms, int64_t way_ms);
/* Of an answer that is no success: the server's own words, with the status. body: as far as it came, in either encoding. */
fault_code cluster_status_fault(struct kube_cluster *cluster, int status, slice body, KubeStatus *ret_status,
                                struct fault *reterr);

/* Do what is due, and say when something is due next (INT64_MAX: nothing). */
int64_t kube_watches_act(struct kube_cluster *cluster, int64_t now_ms);
int64_t kube_gets_act(struct kube_cluster *cluster, int64_t now_ms);
void kube_watches_close(struct kube_cluster *cluster);
void kube_gets_close(struct kube_cluster *cluster);
/* Streams now, fresh ones, bytes of their buffers. */
void kube_watches_count(const struct kube_cluster *cluster, struct kube_cluster_stats *stats);

#endif
