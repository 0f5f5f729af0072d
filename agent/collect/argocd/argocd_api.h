/* SPDX-License-Identifier: Apache-2.0
 * Argo CD's own API: a session where a name and a password are given (again whenever it is refused), the stream of changes
 * with a list behind it, or a list each poll_interval. Lists and lines are cut into applications as they come. Owner: the
 * loop's thread. */
#ifndef PICKET_COLLECT_ARGOCD_API_H
#define PICKET_COLLECT_ARGOCD_API_H

#include "agent/collect/argocd/argocd_source.h"

struct argocd_api;

/* As those of argocd_source.h. */
struct argocd_api_calls {
    void (*list_begins)(void *context);
    void (*application)(void *context, const KubeApplication *application, bool listed);
    void (*deleted)(void *context, const KubeApplication *application);
    void (*list_ends)(void *context);
    void (*current)(void *context);
    void (*lost)(void *context, int64_t since_ms, const char *why);
    void *context;
};

fault_code argocd_api_open(struct loop *loop, const struct argocd_settings *settings,
                           const struct argocd_api_calls *calls, struct argocd_api **ret_api,
                           struct fault *reterr) MUST_CHECK;
struct argocd_api *argocd_api_close(struct argocd_api *api); /* NULL is fine; returns NULL */
void argocd_api_stats(const struct argocd_api *api, struct argocd_source_stats *ret_stats);

#endif
