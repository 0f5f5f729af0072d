/* SPDX-License-Identifier: Apache-2.0
 * Incidents: how they go on, and who has them. Their states: incident_status.h; their timeline: incident_timeline.h; their
 * alerts: correlation.h. */
#ifndef PICKET_DOMAIN_INCIDENT_H
#define PICKET_DOMAIN_INCIDENT_H

#include "aggregator/domain/domain.h"

index_fn incident_index; /* open: neither resolved nor closed */

decide_fn incident_decide_create, incident_decide_reclassify, incident_decide_assign, incident_decide_entry,
    incident_decide_resolve, incident_decide_close, incident_decide_acknowledge, incident_decide_transition;
apply_fn incident_apply_created, incident_apply_severity, incident_apply_assigned, incident_apply_entry,
    incident_apply_resolved, incident_apply_closed, incident_apply_acknowledged, incident_apply_status;

#endif
