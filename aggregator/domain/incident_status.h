/* SPDX-License-Identifier: Apache-2.0
 * The states of an incident: open -> acknowledged -> investigating -> mitigating -> resolved -> closed, and which may
 * follow which. Pure, on any thread. */
#ifndef PICKET_DOMAIN_INCIDENT_STATUS_H
#define PICKET_DOMAIN_INCIDENT_STATUS_H

#include "aggregator/domain/domain.h"

/* Whether an incident may go from one status to another. ret_reason (may be NULL): only with a reason. */
bool incident_may_move(IncidentStatus from, IncidentStatus to, bool *ret_reason);
/* "open"; "unknown" for what the contract does not have */
const char *incident_status_name(IncidentStatus status);
/* FAULT_CONFLICT, always: says where the incident is, where it was to go, and where it can go. */
fault_code incident_move_refused(slice id, IncidentStatus from, IncidentStatus to, struct fault *reterr);

#endif
