/* SPDX-License-Identifier: Apache-2.0
 * The agent's own state as the centre sees it: AgentStatus, retained, and the will that the broker publishes when the
 * agent is gone. Pure. Any thread. */
#ifndef PICKET_SHIP_AGENT_REPORT_H
#define PICKET_SHIP_AGENT_REPORT_H

#include "agent/buffer/queue.h"
#include "agent/ship/config_trial.h"

struct target_report {
    slice name;
    bool up;         /* the last scrape or probe succeeded */
    int64_t last_ms; /* wall; 0: none yet */
    int64_t duration_ms;
    uint64_t samples;
    const char *error; /* "" when up and counted; cut at 500 bytes */
    bool uncounted;    /* it answered, but not all that was asked of it could be counted */
};

struct certificate_report {
    char serial[41]; /* "": there is none */
    int64_t not_before_ms, not_after_ms;
    bool renews;
    const char *error; /* "" for none; cut at 1000 bytes */
};

/* One kind that is to be watched in a Kubernetes cluster and cannot be seen now. */
struct watch_report {
    slice cluster, namespace;     /* namespace empty: all */
    const char *resource, *group; /* "deployments", "apps"; resource "": nothing of the cluster can be watched */
    bool denied;                  /* else stale, or without resource no access */
    int64_t current_ms;           /* wall: what is known of it was current then; 0: never */
    const char *error;            /* cut at 500 bytes */
};

struct agent_report {
    slice tenant, agent, node_name, cluster_id, environment_id;
    const slice *clusters; /* watched beside cluster_id */
    size_t clusters_count;
    int64_t started_ms, now_ms;
    bool online;
    uint64_t config_revision;
    const char *config_error;  /* "" for none; cut at 1000 bytes */
    const char *store_error;   /* why what is measured cannot be stored whole; NULL or "" for none; cut likewise */
    const struct queue *queue; /* NULL: nothing is said about streams (the will) */
    const uint64_t *shed;      /* and lost, as far as is known, by class; may be NULL */
    const struct target_report *targets;
    size_t targets_count;
    const struct watch_report *watches; /* those that cannot be seen; all beyond 64 are left out */
    size_t watches_count;
    uint64_t resident_bytes;
    const char *const *capabilities; /* short words */
    size_t capabilities_count;
    const struct config_trial_report *config;     /* NULL: nothing is said */
    const struct certificate_report *certificate; /* NULL: nothing is said */
    int64_t status_interval_ms;
};

/* An encoded AgentStatus in the arena. */
fault_code agent_report_encode(const struct agent_report *report, struct arena *arena, slice *ret_payload,
                               struct fault *reterr) MUST_CHECK;

#endif
