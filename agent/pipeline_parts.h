/* SPDX-License-Identifier: Apache-2.0
 * What the pipeline holds, for the files that it is made of: pipeline.c opens, changes and closes it, pipeline_report.c says
 * how it is. */
#ifndef PICKET_AGENT_PIPELINE_PARTS_H
#define PICKET_AGENT_PIPELINE_PARTS_H

#include "agent/show/agent_metrics.h"
#include "agent/clusters/argocd_feed.h"
#include "agent/clusters/cluster_health.h"
#include "agent/diagnose/diagnose.h"
#include "agent/clusters/discoveries.h"
#include "agent/enrol/enrol.h"
#include "agent/measure/measure.h"
#include "agent/show/pages.h"
#include "agent/pipeline.h"
#include "agent/ship/config_trial.h"
#include "agent/ship/link.h"
#include "agent/stores.h"

enum { PIPELINE_NOTES_BYTES = 512 };

struct file_config {
    struct arena *arena;
    struct agent_settings *settings; /* in the arena: a measure keeps pointing to them */
};

struct pipeline {
    struct loop *loop;
    const char *config_path;
    char *const *environment;
    struct file_config file;
    struct config_trial *remote;
    char notes[PIPELINE_NOTES_BYTES], file_error[PIPELINE_NOTES_BYTES];
    struct metrics *metrics;
    struct metric_table *table;
    struct stores *stores;
    struct queue *queue; /* the stores', as the next */
    struct state *state;
    struct http_client *client;
    struct edge_alerts *alerts;
    struct diagnose *diagnose;
    struct enrol *enrol; /* NULL: the certificate is the file's */
    struct measure *measure;
    struct clusters *clusters;
    struct cluster_health *cluster_health;
    struct discoveries *discoveries;
    struct argocd_feed *argocd;
    struct shipper *shipper;
    struct link *link;
    struct pages *pages;
    struct arena *report_arena;
    struct loop_timer *tick_timer;
    int64_t started_ms, started_monotonic_ms; /* the second monotonic */
    struct certificate_view certificate;      /* of mqtt.certificate, where it was read */
    char certificate_fault[sizeof((struct fault *)0)->text];
    uint64_t reloads, reloads_refused, ticks;
    bool trouble_said;  /* the status was asked to say that storing fails */
    int64_t trouble_ms; /* monotonic: when that changed; 0: never */
    bool broken;        /* only another process can go on */
};

/* The agent's status, or its will, in the pipeline's report arena: valid until the next call. See link_callbacks. */
fault_code pipeline_encode_status(void *context, bool online, bool will, slice *ret_payload,
                                  struct fault *reterr) MUST_CHECK;
/* Whether mqtt.certificate is this agent's: see own_certificate.h. */
void pipeline_look_at_certificate(struct pipeline *pipeline);
/* Once a second: what others see of the agent, its metrics and its readiness, which are read by other threads. */
void pipeline_show(struct pipeline *pipeline);

#endif
