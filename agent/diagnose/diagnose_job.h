/* SPDX-License-Identifier: Apache-2.0
 * One question, from what may be asked to the text of the answer; knows of no bus. A job asks the cluster for one body after
 * the other and renders each at once. Owner: the loop's thread. */
#ifndef PICKET_DIAGNOSE_DIAGNOSE_JOB_H
#define PICKET_DIAGNOSE_DIAGNOSE_JOB_H

#include "agent/collect/kubernetes/kube_get.h"
#include "agent/diagnose/diagnose_access.h"
#include "agent/diagnose/mask.h"
#include "sre.pb.h"

/* How it ended; everything in the job's arena. */
struct diagnose_result {
    DiagnosticsOutcome outcome;
    struct fault fault; /* why there is no content, masked */
    slice content;      /* UTF-8, at most bytes_max */
    const char *content_type;
    bool truncated;
    uint32_t masked_count;
};

struct diagnose_rules { /* all lent, as long as the job */
    const struct diagnose_settings *settings;
    const struct diagnose_access *access;
    const struct mask *mask;
    /* NULL: there is none of that id (empty: the first). */
    struct kube_cluster *(*cluster)(void *context, slice cluster_id);
    void *cluster_context;
};

struct diagnose_job;

/* Begins; the request is lent until it ends. on_done is called exactly once unless the job is freed before, perhaps
 * before this returns. time_ms: for all of it; bytes_max: of the content. NULL: no memory. */
struct diagnose_job *diagnose_job_new(const struct diagnose_rules *rules, const DiagnosticsRequest *request,
                                      int64_t time_ms, size_t bytes_max, struct arena *arena,
                                      void (*on_done)(void *context, const struct diagnose_result *result),
                                      void *context) MUST_CHECK;
/* The job itself, which diagnose_job_new made in the arena: begins to ask. */
void diagnose_job_start(struct diagnose_job *job);
/* Ends what it waits for, without on_done. NULL is fine. */
void diagnose_job_cancel(struct diagnose_job *job);

#endif
