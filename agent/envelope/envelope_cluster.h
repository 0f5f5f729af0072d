/* SPDX-License-Identifier: Apache-2.0
 * A report on an object of a cluster, as an encoded RecordHealthCheckRequested. Pure but for the message's id. Any
 * thread. */
#ifndef PICKET_AGENT_ENVELOPE_CLUSTER_H
#define PICKET_AGENT_ENVELOPE_CLUSTER_H

#include "agent/envelope/envelope.h"
#include "agent/health/cluster_state.h"

/* envelope's cluster is that of the report. It expires when two heartbeats were missed; the last one (of an object that is
 * gone) does not. In the arena. */
fault_code envelope_cluster(const struct envelope *envelope, const struct cluster_report *report,
                            const char *traceparent, int64_t now_ms, struct arena *arena, slice *ret_intent,
                            struct fault *reterr) MUST_CHECK;

#endif
