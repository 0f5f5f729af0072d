/* SPDX-License-Identifier: Apache-2.0
 * Health checks: the newest observation is the state; an older one is history. */
#ifndef PICKET_DOMAIN_HEALTH_CHECK_H
#define PICKET_DOMAIN_HEALTH_CHECK_H

#include "aggregator/domain/domain.h"

/* Whether it is the last word on what it is about, which is gone or not watched any more: its label `reason` is Deleted or
 * NotWatched, and it does not expire. Each other check expires. */
bool health_check_is_end(const HealthCheck *check);

decide_fn health_check_decide_record;
apply_fn health_check_apply_recorded;

#endif
