/* SPDX-License-Identifier: Apache-2.0
 * One configuration at work: its scrapes and probes feed one fold and the health checks, what the fold seals and what
 * health reports goes into the queue. A new configuration is a new measure that takes over from the old one, so that
 * no count is lost and none is made twice. Owner: the loop's thread. */
#ifndef PICKET_AGENT_MEASURE_H
#define PICKET_AGENT_MEASURE_H

#include "agent/settings/agent_settings.h"
#include "agent/alert/edge_alerts.h"
#include "agent/buffer/queue.h"
#include "agent/buffer/state.h"
#include "agent/collect/probe/probe.h"
#include "agent/collect/prometheus/scrape.h"
#include "agent/collect/prometheus/target_sink.h"
#include "agent/ship/agent_report.h"
#include "agent/ship/remote_config.h"
#include "agent/window/fold.h"

struct measure;

struct measure_parts {
    struct loop *loop;
    struct http_client *client;
    struct queue *queue;
    struct state *state;
    void (*stored)(void *context); /* something new is in the queue */
    void *context;
    struct edge_alerts *alerts; /* told of each window; may be NULL */
};

/* Builds everything, starts nothing. Settings and definitions must outlive the measure. ret_notes: what was left out of
 * the centre's definitions because the file says otherwise, one sentence each; at most notes_bytes. */
fault_code measure_new(const struct measure_parts *parts, const struct agent_settings *settings,
                       const struct remote_definitions *remote, char *ret_notes, size_t notes_bytes,
                       struct measure **ret_measure, struct fault *reterr) MUST_CHECK;
/* Stops what runs; what was staged is forgotten, what is open stays in the last checkpoint. NULL is fine. */
struct measure *measure_free(struct measure *measure);

/* Takes the state that a process before this one left in the queue and the state store. What of it cannot be used is said
 * in the log, and is counted no more. */
void measure_restore(struct measure *measure);
/* Takes the state of a measure that runs; the old one is stopped and freed. What cannot be taken is said in the log. */
void measure_take_over(struct measure *measure, struct measure *old);
void measure_start(struct measure *measure);

/* The queue that was restored from is an older copy: nothing that was counted by its baselines counts (fold_forget_past). */
void measure_forget_past(struct measure *measure);

struct measure_stats {
    struct fold_stats fold;
    struct scrape_stats scrape;
    uint64_t probes, probes_failed;
    uint64_t windows_stored, observations_stored, store_failures, checkpoint_failures, count_failures;
    bool store_failing;      /* the last attempt to store windows failed; they stay open and are tried again */
    int64_t last_success_ms; /* monotonic, of any scrape or probe; 0: none yet */
    size_t memory_bytes;     /* set aside at start */
    size_t targets, slis, checks, groups_unknown;
    struct fault last_fault;
};
void measure_stats(const struct measure *measure, struct measure_stats *ret_stats);
/* Targets, probes, then discoveries and Prometheus servers, then what those found; valid until the next call. */
const struct target_report *measure_targets(struct measure *measure, size_t *ret_count);

/* Where discoveries report to, numbered as in the settings; valid until the measure's end. A measure that took over knows
 * what the old one counted, but not who is there: everybody joins again. */
struct target_sink measure_sink(struct measure *measure);
/* What is to be said of a discovery in the agent's status: it is up, or why not. */
void measure_discovery_state(struct measure *measure, size_t group, bool up, const char *why);

#endif
