/* SPDX-License-Identifier: Apache-2.0
 * Health checks as they stand and how their states changed, and the newest snapshot of each environment. A check past
 * its expiry reads as UNKNOWN, whatever was said last; one that ended (no expiry, and the label `reason` is Deleted or
 * NotWatched) counts nowhere and is removed after an hour or two. Folding belongs to the consumer's thread. */
#ifndef PICKET_PROJECTIONS_FLEET_HEALTH_H
#define PICKET_PROJECTIONS_FLEET_HEALTH_H

#include "aggregator/projections/folds.h"
#include "common/base/arena.h"

extern const char fleet_health_schema[];

fold_fn fleet_health_fold, fleet_health_fold_state;

/* Removes checks that ended long enough before now_ms. */
fault_code fleet_health_prune(struct sql *sql, int64_t now_ms, struct fault *reterr) MUST_CHECK;

/* The worst of two: UNHEALTHY, DEGRADED, UNKNOWN, HEALTHY. */
HealthStatus fleet_health_worse(HealthStatus a, HealthStatus b);

/* Environments and their clusters in byte order, at most items_max, those after (environment, cluster) `after`, which
 * is "<environment>/<cluster>" or empty. Environment or cluster empty in the filter: all. */
fault_code fleet_health_environments(struct sql *sql, slice tenant, slice environment, slice cluster, slice after,
                                     size_t items_max, int64_t now_ms, struct arena *arena,
                                     EnvironmentHealth **ret_items, size_t *ret_count, bool *ret_more,
                                     struct fault *reterr) MUST_CHECK;

/* Current checks by id after `after_id`; every filter may be empty. statuses are the effective ones. */
fault_code fleet_health_checks(struct sql *sql, slice tenant, const ListHealthChecksRequest *filter, slice after_id,
                               size_t items_max, int64_t now_ms, struct arena *arena, HealthCheck **ret_items,
                               size_t *ret_count, bool *ret_more, struct fault *reterr) MUST_CHECK;

/* The checks of one resource, whatever its type. */
fault_code fleet_health_application(struct sql *sql, slice tenant, const GetApplicationHealthRequest *request,
                                    int64_t now_ms, struct arena *arena, GetApplicationHealthResponse *ret_response,
                                    struct fault *reterr) MUST_CHECK;

/* One check with its changes of state; FAULT_ABSENT when there is none. */
fault_code fleet_health_check(struct sql *sql, slice tenant, slice check_id, int64_t now_ms, struct arena *arena,
                              GetHealthCheckResponse *ret_response, struct fault *reterr) MUST_CHECK;

#endif
