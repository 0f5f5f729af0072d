/* SPDX-License-Identifier: Apache-2.0
 * Answers the centre's questions about the cluster, over the agent's one connection: read only, only what the settings
 * allow, bounded in number, bytes and time, secrets masked. Owner: the agent's loop thread. */
#ifndef PICKET_DIAGNOSE_DIAGNOSE_H
#define PICKET_DIAGNOSE_DIAGNOSE_H

#include "agent/diagnose/diagnose_settings.h"
#include "agent/ship/link.h"
#include "common/metrics/metrics.h"

struct diagnose;
struct kube_cluster;

enum { DIAGNOSE_JOBS_MAX = 2 };

struct diagnose_parts {
    struct loop *loop;
    struct link *link;       /* before its link_open: a listener is added */
    struct metrics *metrics; /* may be NULL */
    /* The cluster of that id (empty: the first), NULL when there is none. */
    struct kube_cluster *(*cluster)(void *context, slice cluster_id);
    void *cluster_context;
};

/* The settings must outlive it, or the next diagnose_use. */
fault_code diagnose_open(const struct diagnose_parts *parts, const struct diagnose_settings *settings,
                         struct diagnose **ret_diagnose, struct fault *reterr) MUST_CHECK;
/* Before the clusters; the link may be gone: nothing is answered any more. NULL is fine; returns NULL. */
struct diagnose *diagnose_close(struct diagnose *diagnose);
/* Other settings from now on; what is under way by the old ones is given up (who asks hears nothing, and asks again). On
 * a fault every question is refused. */
fault_code diagnose_use(struct diagnose *diagnose, const struct diagnose_settings *settings,
                        struct fault *reterr) MUST_CHECK;
/* Gives up what is under way: before a cluster is closed. */
void diagnose_give_up(struct diagnose *diagnose);

#endif
