/* SPDX-License-Identifier: Apache-2.0
 * Incidents: open -> acknowledged -> investigating -> mitigating -> resolved -> closed, and who has them. Its timeline:
 * incident_timeline.h; its alerts: correlation.h. */
#ifndef PICKET_DOMAIN_INCIDENT_H
#define PICKET_DOMAIN_INCIDENT_H

#include "aggregator/domain/domain.h"

/* Whether an incident may go from one status to another. ret_reason (may be NULL): only with a reason. */
bool incident_may_move(IncidentStatus from, IncidentStatus to, bool *ret_reason);
const char *incident_status_name(IncidentStatus status); /* "open"; "unknown" for what the contract does not have */

index_fn incident_index; /* open: neither resolved nor closed */

decide_fn incident_decide_create, incident_decide_reclassify, incident_decide_assign, incident_decide_entry,
    incident_decide_resolve, incident_decide_close, incident_decide_acknowledge, incident_decide_transition;
apply_fn incident_apply_created, incident_apply_severity, incident_apply_assigned, incident_apply_entry,
    incident_apply_resolved, incident_apply_closed, incident_apply_acknowledged, incident_apply_status;

#endif
