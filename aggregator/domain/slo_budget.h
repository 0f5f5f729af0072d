/* SPDX-License-Identifier: Apache-2.0
 * An SLO's counts. For rolling windows: counts per hour with running sums for 7, 28 and 30 days. For calendar windows:
 * running counts of the present week, month, quarter and year. All are kept for each SLO, whatever its own window is, so
 * that it may change; and a window costs the same however much history there is. Pure. One caller per object. */
#ifndef PICKET_DOMAIN_SLO_BUDGET_H
#define PICKET_DOMAIN_SLO_BUDGET_H

#include "aggregator/domain/slo_calendar.h"

enum {
    SLO_HOURS = 31 * 24, /* ring: the 30 days and a day to spare */
    SLO_ROLLING = 3,     /* 7, 28, 30 days */
    SLO_DAYS_MAX = 30,
    SLO_HOUR_MS = 3600 * 1000,
};

/* Events; of an SLO by TIMESLICES good and total are slices. */
struct slo_counts {
    int64_t good, total, scrapes_expected, scrapes_seen;
};

struct slo_period {
    struct slo_span span; /* of the present period; 0, 0: none yet */
    struct slo_counts present;
    struct slo_counts ahead; /* of the next: from agents whose clocks are a little ahead */
};

struct slo_budget {
    int64_t hour;                            /* newest hour (ms / 3,600,000) that the sums include; 0: none yet */
    struct slo_counts sums[SLO_ROLLING];     /* over the hours (hour - days * 24, hour] */
    struct slo_counts hours[SLO_HOURS];      /* by hour % SLO_HOURS; those after hour - SLO_HOURS */
    uint64_t touched[(SLO_HOURS + 63) / 64]; /* bits by hour % SLO_HOURS since the owner cleared them */
    struct slo_period periods[SLO_PERIODS];  /* by slo_period_index */
    int64_t last_window_ms;                  /* start of the newest window; 0: nothing measured yet */
    bool exhausted;                          /* it was said; in a calendar window, of the period that it was said in */
    int64_t exhausted_at_ms;
};

/* Days of an SLO's own rolling window: index into sums; 7, 28, 30. */
size_t slo_rolling_index(SLOWindow window);
SLOWindow slo_rolling_window(size_t index);

struct slo_counts slo_counts_less(const struct slo_counts *from, const struct slo_counts *less);
/* What a measured window adds to the budget: its events, or by TIMESLICES itself: one slice, good when its share of good
 * events reaches time_slice_target (exact in integers, the target to 1e-6 percent), none when it had no events. */
struct slo_counts slo_counts_of(const SLO *definition, const struct slo_counts *measured);

/* ---- rolling ---- */

/* Adds a difference (or, while loading, what is stored) to an hour: advances to it when it is newer, passes it over
 * when it is older than the ring. */
void slo_budget_add(struct slo_budget *budget, int64_t hour, const struct slo_counts *difference);
/* Rolls hours off the sums up to `hour`; never back. */
void slo_budget_advance(struct slo_budget *budget, int64_t hour);

/* ---- calendar ---- */

/* Begins the periods that now_hour lies in, where they are not the present ones; never back. What was counted ahead is
 * then counted in. */
void slo_periods_advance(struct slo_budget *budget, int64_t now_hour);
/* Adds a difference to the periods that the hour lies in: the present ones or the next ones. Windows of earlier periods
 * change nothing. After slo_periods_advance. */
void slo_periods_add(struct slo_budget *budget, int64_t hour, const struct slo_counts *difference);

/* ---- both ---- */

/* The counts of any window as they are when now_hour has come and (unless NULL) difference is added to hour. ret_span
 * (may be NULL): of a calendar window, the present period. */
struct slo_counts slo_budget_counts(const struct slo_budget *budget, SLOWindow window, int64_t now_hour, int64_t hour,
                                    const struct slo_counts *difference, struct slo_span *ret_span);

/* Bad events as a percentage of what the target allows; 0 with no bad ones. */
double slo_budget_consumed(const struct slo_counts *counts, double target);
/* Whether the bad events have used up what the target allows: exact in integers (the target to 1e-6 percent). */
bool slo_budget_exhausted(const struct slo_counts *counts, double target);

#endif
