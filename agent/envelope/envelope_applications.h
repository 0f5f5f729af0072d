/* SPDX-License-Identifier: Apache-2.0
 * What is to be said of an Argo CD's applications, as encoded SreDomainIntents. Pure but for the message's id. Any thread. */
#ifndef PICKET_AGENT_ENVELOPE_APPLICATIONS_H
#define PICKET_AGENT_ENVELOPE_APPLICATIONS_H

#include "agent/applications/applications.h"
#include "agent/envelope/envelope.h"

enum { ENVELOPE_ID_BYTES = 128 };

/* The health check of an application: "argocd_<namespace>_<name>_<cluster that its Argo CD runs in>", or a hash of that where
 * it is too long. Names of Kubernetes hold no '_', so no two are alike. */
void envelope_application_id(slice own_cluster, slice namespace, slice name, char ret_id[ENVELOPE_ID_BYTES + 1]);

/* The fleet state of an environment and a cluster (which may be empty), as the centre makes it: the environment with "_d" for
 * '.' and "__" for '_', then '.' and the cluster; a hash of that and its beginning where it is too long. */
void envelope_fleet_id(slice environment, slice cluster, char ret_id[ENVELOPE_ID_BYTES + 1]);

/* RecordHealthCheckRequested. own_cluster: as above. stale_why: of a report that is stale. It expires when two heartbeats
 * were missed; that of one that is gone does not, for it is unknown already. In the arena. */
fault_code envelope_application(const struct envelope *envelope, const struct application_report *report,
                                slice own_cluster, const char *stale_why, int64_t heartbeat_ms, int64_t now_ms,
                                const char *traceparent, struct arena *arena, slice *ret_intent,
                                struct fault *reterr) MUST_CHECK;
/* RecordFleetStateRequested. It expires when two heartbeats were missed, too. */
fault_code envelope_fleet(const struct envelope *envelope, const struct application_report *report,
                          int64_t heartbeat_ms, int64_t now_ms, const char *traceparent, struct arena *arena,
                          slice *ret_intent, struct fault *reterr) MUST_CHECK;

#endif
