/* SPDX-License-Identifier: Apache-2.0
 * Health checks: the newest observation is the state; an older one is history. */
#ifndef PICKET_DOMAIN_HEALTH_CHECK_H
#define PICKET_DOMAIN_HEALTH_CHECK_H

#include "aggregator/domain/domain.h"

decide_fn health_check_decide_record;
apply_fn health_check_apply_recorded;

#endif
