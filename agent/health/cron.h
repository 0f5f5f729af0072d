/* SPDX-License-Identifier: Apache-2.0
 * Schedules of CronJobs (CronJob: Schedule syntax): five fields with lists, ranges, steps and names; @hourly and its
 * like; @every. As the controller does it: where both the day of the month and the day of the week are restricted ("*"
 * does not, but "*" with a step of two and more does), either may match; a time that a clock change leaves out does not
 * come. Pure. Any thread. */
#ifndef PICKET_HEALTH_CRON_H
#define PICKET_HEALTH_CRON_H

#include "agent/health/zone.h"

struct cron {
    uint64_t minutes;
    uint32_t hours, days; /* days 1 to 31 */
    uint16_t months;      /* 1 to 12 */
    uint8_t weekdays;     /* 0 is Sunday */
    bool any_day, any_weekday;
    int64_t every_ms; /* more than 0: @every, and nothing above counts */
};

/* The schedule without a zone before it. FAULT_INPUT says which field is wrong, and how. */
fault_code cron_parse(slice schedule, struct cron *ret_cron, struct fault *reterr) MUST_CHECK;
/* The first time after after_ms, in milliseconds; zone NULL: UTC. INT64_MAX: none within five years. */
int64_t cron_next(const struct cron *cron, int64_t after_ms, const struct zone *zone);

/* The schedule without "TZ=<zone> " or "CRON_TZ=<zone> " before it; ret_zone (may be NULL) is what stood there. */
slice cron_schedule(slice text, slice *ret_zone);
/* The zone of a CronJob: its field, else what stands before the schedule; empty: none is given. "UTC" is given as empty. */
slice cron_zone(slice schedule, slice time_zone);

#endif
