/* SPDX-License-Identifier: Apache-2.0
 * A measured window of an SLO: whether it is taken, and what it changes. Pure. */
#ifndef PICKET_DOMAIN_SLO_WINDOW_H
#define PICKET_DOMAIN_SLO_WINDOW_H

#include "aggregator/domain/domain.h"

enum { SLO_AHEAD_MS = 5 * 60 * 1000 };              /* an agent's clock may be so far ahead */
#define SLO_WINDOW_EVENTS_MAX INT64_C(100000000000) /* in one window: 27 million a second for an hour */

decide_fn slo_decide_window;
apply_fn slo_apply_window;

#endif
