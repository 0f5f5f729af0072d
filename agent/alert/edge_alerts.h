/* SPDX-License-Identifier: Apache-2.0
 * Alerts that the edge itself raises, whether the centre can be reached or not: an SLO that burns its error budget too
 * fast (burn.h), and one of which nothing is seen any more. Each is an IngestAlertRequested in the queue, in the class that
 * goes first. Its identity (fingerprint) is made from SLO, rule, cluster and agent, its start is the end of the window at
 * which the rule first held: whoever evaluates the same windows, later or elsewhere, means the same alert.
 *
 * What the centre has not committed in time is told to a local webhook as well, and then its end too.
 *
 * Over kill -9: a transition and what the webhook was told are on disk before the next step is taken, so that the webhook
 * hears of each transition at least once, and of one that was being told when the process died, again with the same
 * Idempotency-Key. The history of burn rates is kept like the checkpoints of scrapes, and on disk once an hour: a power cut
 * costs an hour of it. Owner: the loop's thread. */
#ifndef PICKET_ALERT_EDGE_ALERTS_H
#define PICKET_ALERT_EDGE_ALERTS_H

#include "agent/alert/webhook.h"
#include "agent/buffer/queue.h"
#include "agent/buffer/state.h"
#include "common/metrics/metrics.h"

struct edge_alerts;

struct edge_alerts_parts {
    struct loop *loop;
    struct http_client *client;
    struct queue *queue;
    struct state *state;
    struct metrics *metrics;       /* NULL: none */
    void (*stored)(void *context); /* an alert is in the queue: worth an attempt to connect at once */
    void *context;
};

/* The settings and the texts of the envelope are borrowed. */
fault_code edge_alerts_new(const struct edge_alerts_parts *parts, const struct alert_settings *settings,
                           const struct envelope *envelope, struct edge_alerts **ret_alerts,
                           struct fault *reterr) MUST_CHECK;
struct edge_alerts *edge_alerts_free(struct edge_alerts *alerts); /* NULL is fine; returns NULL */

/* Other settings from here on (a reload), borrowed. What fires goes on firing where its rule is still there. */
void edge_alerts_use(struct edge_alerts *alerts, const struct alert_settings *settings,
                     const struct envelope *envelope);
/* The SLOs that are measured from here on; those without an objective are passed over. What is known of the others is
 * kept, at first from what a process before this one left. */
void edge_alerts_define(struct edge_alerts *alerts, const struct sli *const *slis, size_t count);

/* Windows that are in the queue now, in their order for each SLO. NULL is fine here and below. */
void edge_alerts_count(struct edge_alerts *alerts, const struct sli_window *windows, size_t count);
/* After them: judges, stores what changed, keeps the history. */
void edge_alerts_judge(struct edge_alerts *alerts, int64_t now_ms);
/* The connection is there again: what fires is said at once, in streams that have no backlog before it. */
void edge_alerts_announce(struct edge_alerts *alerts);

struct edge_alerts_stats {
    size_t slos, firing;
    uint64_t stored, calls, calls_failed, given_up;
    size_t memory_bytes;
};
void edge_alerts_stats(const struct edge_alerts *alerts, struct edge_alerts_stats *ret_stats);

#endif
