/* SPDX-License-Identifier: Apache-2.0
 * Service level objectives are made, changed and used up. Their windows: slo_window.h; what is kept: slo_state.h. Pure. */
#ifndef PICKET_DOMAIN_SLO_H
#define PICKET_DOMAIN_SLO_H

#include "aggregator/domain/domain.h"

decide_fn slo_decide_create, slo_decide_update;
apply_fn slo_apply_created, slo_apply_updated, slo_apply_exhausted;

#endif
