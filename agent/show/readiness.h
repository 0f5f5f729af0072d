/* SPDX-License-Identifier: Apache-2.0
 * Is the agent doing its job? Judged by what arrives at the end of the way: scrapes succeed, what is stored gets
 * committed at the centre. A loop that runs proves nothing. Pure. Any thread. */
#ifndef PICKET_AGENT_READINESS_H
#define PICKET_AGENT_READINESS_H

#include "common/base/fault.h"

struct readiness {
    int64_t stall_ms; /* how long each of these may take */
    int64_t up_ms;    /* since the process started */
    bool connected, ever_connected;
    int64_t disconnected_ms;       /* for how long, when not connected */
    const char *broker_fault;      /* why; "" when unknown */
    uint64_t waiting;              /* records in the queue */
    int64_t oldest_ms;             /* how long the oldest of them has waited */
    int64_t last_commit_ms;        /* how long ago the centre committed something; -1: never */
    size_t targets;                /* and probes */
    int64_t last_success_ms;       /* how long ago one of them succeeded; -1: never */
    const char *refusal;           /* why the centre takes in nothing; "": it does */
    const char *certificate_fault; /* what is wrong with it, in a sentence; "": nothing that cannot wait */
    bool store_failing;
    const char *store_fault;    /* when it fails; else a warning, "": none */
    size_t uncounted_targets;   /* they answer, but not all that is asked of them is counted */
    const char *uncounted;      /* why, of one of them; with 0: not looked at */
    int64_t clusters_ms;        /* for how long no watch of some cluster has worked; -1: of each some do */
    const char *clusters_fault; /* with -1: what is amiss nevertheless, as a warning; NULL, "": nothing */
};

/* Writes a JSON object {"ready":...,"reasons":[...],"warnings":[...],...} with a NUL; returns whether the agent is ready. Cut text is
 * still JSON when text_bytes is at least 2 KiB. */
bool readiness_judge(const struct readiness *readiness, char *ret_text, size_t text_bytes);

#endif
