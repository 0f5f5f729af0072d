/* SPDX-License-Identifier: Apache-2.0
 * Ties between alerts and incidents. Both sides say so, in one transaction: alert.incident_id and incident.alert_ids. An
 * alert belongs to one incident that is not closed; in a closed one it stays listed, as what that incident was about.
 * (When a tie ends with a new firing: alert.h.) */
#ifndef PICKET_DOMAIN_CORRELATION_H
#define PICKET_DOMAIN_CORRELATION_H

#include "aggregator/domain/domain.h"

enum { CORRELATION_ALERTS_MAX = 1000 }; /* of one incident */

/* Alerts to tie to an incident: each once, and none that is tied to it already. In the arena. */
struct correlation {
    slice *ids;
    const struct aggregate **alerts;
    size_t count;
};

/* The incident need not exist yet. Refuses, naming them: alerts that do not exist (FAULT_ABSENT), one that belongs to
 * another incident that is not closed (FAULT_CONFLICT), more than an incident can have (FAULT_LIMIT). */
fault_code correlation_find(const struct aggregate *incident, const slice *ids, size_t count, struct domain_call *call,
                            struct correlation *ret_ties, struct fault *reterr) MUST_CHECK;
/* A fact in the history of each of these alerts; the caller has reserved room for them. */
void correlation_tell_alerts(const struct correlation *ties, slice incident_id, slice reason,
                             const struct domain_call *call, struct fact_list *facts);
/* "3 alerts: a, b, c"; names the first few only. */
slice correlation_text(const slice *ids, size_t count, struct arena *arena);

decide_fn correlation_decide;
apply_fn correlation_apply_incident, correlation_apply_alert;

#endif
