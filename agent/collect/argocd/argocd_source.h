/* SPDX-License-Identifier: Apache-2.0
 * The applications of one Argo CD, whichever way they come: as custom resources through a Kubernetes watch, or by Argo CD's
 * own API. Nothing is kept here. Owner: the loop's thread. */
#ifndef PICKET_COLLECT_ARGOCD_SOURCE_H
#define PICKET_COLLECT_ARGOCD_SOURCE_H

#include "agent/collect/argocd/argocd_settings.h"
#include "agent/collect/kubernetes/kube_watch.h"

struct argocd_source;

/* All are required. A list says whole what is in a namespace (empty: in all): what is not in it is gone. A change may come
 * while a list runs, and is newer than what that list says. */
struct argocd_source_calls {
    void (*list_begins)(void *context, slice namespace);
    /* valid during the call */
    void (*application)(void *context, const KubeApplication *application, bool listed);
    void (*deleted)(void *context, const KubeApplication *application);
    void (*list_ends)(void *context, slice namespace);
    /* From now on what was said is all there is to say; until it is lost. */
    void (*current)(void *context);
    /* since_ms: clock_monotonic_ms of when it last was current; 0: never. why: one sentence. May come again with another. */
    void (*lost)(void *context, int64_t since_ms, const char *why);
    void *context;
};

/* cluster: of settings->kubernetes; NULL where settings->url is given. Settings must outlive the source. Nothing is called
 * back before this returns. */
fault_code argocd_source_open(struct loop *loop, const struct argocd_settings *settings, struct kube_cluster *cluster,
                              const struct argocd_source_calls *calls, struct argocd_source **ret_source,
                              struct fault *reterr) MUST_CHECK;
/* Nobody is called back. NULL is fine; returns NULL. */
struct argocd_source *argocd_source_close(struct argocd_source *source);

struct argocd_source_stats {
    uint64_t requests, requests_failed, logins, lists, streams, events; /* by Argo CD's API */
    uint64_t skipped;                                                   /* too large, or not to be read */
    size_t buffer_bytes;
};
void argocd_source_stats(const struct argocd_source *source, struct argocd_source_stats *ret_stats);

#endif
