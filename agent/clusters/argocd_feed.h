/* SPDX-License-Identifier: Apache-2.0
 * The items of `argocd:` at work: each source feeds its applications, what is due of these goes into the queue, with the
 * note that makes a restart exact in the same transaction. Owner: the loop's thread. */
#ifndef PICKET_AGENT_ARGOCD_FEED_H
#define PICKET_AGENT_ARGOCD_FEED_H

#include "agent/settings/agent_settings.h"
#include "agent/applications/applications.h"
#include "agent/buffer/queue.h"
#include "agent/clusters/clusters.h"
#include "agent/collect/argocd/argocd_source.h"

struct argocd_feed;

struct argocd_feed_parts {
    struct loop *loop;
    struct queue *queue;
    struct clusters *clusters;     /* must outlive the feed; of one that is not there the applications are unknown */
    void (*stored)(void *context); /* something new is in the queue */
    void *context;
};

/* Settings must outlive the feed. Without items: a feed that does nothing. An item that cannot be opened does not stop the
 * others: that is said in the log, and its applications become unknown. FAULT_LIMIT: no memory. */
fault_code argocd_feed_open(const struct argocd_feed_parts *parts, const struct agent_settings *settings,
                            struct argocd_feed **ret_feed, struct fault *reterr) MUST_CHECK;
/* What was not stored yet is found again by the next one. NULL is fine; returns NULL. */
struct argocd_feed *argocd_feed_close(struct argocd_feed *feed);

struct argocd_feed_stats {
    size_t sources, sources_current, applications, fleets, memory_bytes;
    uint64_t changes, heartbeats, fleet_reports, store_failures, skipped;
};
void argocd_feed_stats(const struct argocd_feed *feed, struct argocd_feed_stats *ret_stats);

#endif
