/* SPDX-License-Identifier: Apache-2.0
 * How many alerts fire and incidents are open, by environment and cluster: for the health overviews. Folding belongs
 * to the consumer's thread. */
#ifndef PICKET_PROJECTIONS_FLEET_COUNTS_H
#define PICKET_PROJECTIONS_FLEET_COUNTS_H

#include "aggregator/projections/folds.h"
#include "common/base/arena.h"

extern const char fleet_counts_schema[];

fold_fn fleet_counts_incident_created, fleet_counts_incident_resolved, fleet_counts_incident_closed,
    fleet_counts_incident_status;
fold_fn fleet_counts_alert_ingested, fleet_counts_alert_expired;

/* Alerts that fire (acknowledged and silenced ones too) and incidents that are neither resolved nor closed. */
fault_code fleet_counts_query(struct sql *sql, slice tenant, slice environment, slice cluster, int32_t *ret_alerts,
                              int32_t *ret_incidents, struct fault *reterr) MUST_CHECK;

#endif
