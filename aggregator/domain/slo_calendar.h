/* SPDX-License-Identifier: Apache-2.0
 * Calendar-aligned periods in UTC: weeks that begin on Monday (ISO 8601), months, quarters, years. In whole hours since
 * 1970, because that is what budgets are kept in. Pure. Any thread. */
#ifndef PICKET_DOMAIN_SLO_CALENDAR_H
#define PICKET_DOMAIN_SLO_CALENDAR_H

#include "sre.pb.h"

struct slo_span {
    int64_t starts_hour, ends_hour; /* [starts, ends) */
};

enum { SLO_PERIODS = 4 }; /* week, month, quarter, year */

/* Index of a calendar window, from 0 to SLO_PERIODS - 1; -1 for a rolling one. */
int slo_period_index(SLOWindow window);
/* The period that the hour lies in; hours before 1970 are negative. index: of slo_period_index, not -1. */
struct slo_span slo_period_span(int index, int64_t hour);

#endif
