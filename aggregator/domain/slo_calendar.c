/* SPDX-License-Identifier: Apache-2.0
 * The proleptic Gregorian calendar by days, after H. Hinnant, "chrono-compatible low-level date algorithms" (2013):
 * a year is taken to begin in March, so that the leap day is its last and months have the lengths of a line. No time
 * zone, no leap seconds, no library: the answer is the same on each machine. */
#include "aggregator/domain/slo_calendar.h"

#include <assert.h>

enum {
    HOURS_PER_DAY = 24,
    DAYS_PER_ERA = 146097,  /* 400 years */
    DAYS_TO_1970 = 719468,  /* from 0000-03-01 */
    MONDAY_BEFORE_1970 = 3, /* 1970-01-01 was a Thursday */
    MONTHS_PER_YEAR = 12,
};

static const SLOWindow windows[SLO_PERIODS] = {SLO_WINDOW_CALENDAR_WEEK, SLO_WINDOW_CALENDAR_MONTH,
                                               SLO_WINDOW_CALENDAR_QUARTER, SLO_WINDOW_CALENDAR_YEAR};
static const int months[SLO_PERIODS] = {0, 1, 3, 12}; /* a week has none */

int slo_period_index(SLOWindow window) {
    for (int i = 0; i < SLO_PERIODS; i++)
        if (windows[i] == window) return i;
    return -1;
}

static int64_t floor_divide(int64_t number, int64_t by) {
    return number / by - (number % by < 0);
}

/* Months since January of the year 0. */
static int64_t month_of_day(int64_t day) {
    day += DAYS_TO_1970;
    const int64_t era = floor_divide(day, DAYS_PER_ERA);
    const int64_t day_of_era = day - era * DAYS_PER_ERA;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / (DAYS_PER_ERA - 1)) / 365;
    const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t from_march = (5 * day_of_year + 2) / 153; /* 0: March */
    return (era * 400 + year_of_era) * MONTHS_PER_YEAR + from_march + 2;
}

/* The first day of a month, in days since 1970. */
static int64_t day_of_month(int64_t month) {
    const int64_t from_march = month - 2;
    const int64_t year = floor_divide(from_march, MONTHS_PER_YEAR), in_year = from_march - year * MONTHS_PER_YEAR;
    const int64_t era = floor_divide(year, 400), year_of_era = year - era * 400;
    const int64_t day_of_year = (153 * in_year + 2) / 5;
    return era * DAYS_PER_ERA + 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + day_of_year - DAYS_TO_1970;
}

struct slo_span slo_period_span(int index, int64_t hour) {
    assert(index >= 0 && index < SLO_PERIODS);
    const int64_t day = floor_divide(hour, HOURS_PER_DAY);
    if (months[index] == 0) {
        const int64_t monday = floor_divide(day + MONDAY_BEFORE_1970, 7) * 7 - MONDAY_BEFORE_1970;
        return (struct slo_span){monday * HOURS_PER_DAY, (monday + 7) * HOURS_PER_DAY};
    }
    const int64_t first = floor_divide(month_of_day(day), months[index]) * months[index];
    return (struct slo_span){day_of_month(first) * HOURS_PER_DAY, day_of_month(first + months[index]) * HOURS_PER_DAY};
}
