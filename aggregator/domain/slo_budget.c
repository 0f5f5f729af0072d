/* SPDX-License-Identifier: Apache-2.0
 * The rolling windows move by whole hours: the present hour and the 7 * 24 - 1 (28, 30) before it. A calendar window is
 * the present period from its beginning on: it forgets nothing until the next begins, and then everything. A measured
 * window belongs to the hour, and to the period, in which it begins; so a correction finds the counts that it corrects by
 * the same rule that put them there. All counts are integers; floating point appears only in what people read. */
#include "aggregator/domain/slo_budget.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const int rolling_days[SLO_ROLLING] = {7, 28, SLO_DAYS_MAX};
static const SLOWindow rolling_windows[SLO_ROLLING] = {SLO_WINDOW_7D, SLO_WINDOW_28D, SLO_WINDOW_30D};
static_assert(SLO_DAYS_MAX * 24 < SLO_HOURS, "the ring holds the longest window");

size_t slo_rolling_index(SLOWindow window) {
    for (size_t i = 0; i < SLO_ROLLING; i++)
        if (rolling_windows[i] == window) return i;
    return SLO_ROLLING - 1; /* validation lets no other pass */
}

SLOWindow slo_rolling_window(size_t index) {
    return rolling_windows[index];
}

/* ---- counts ---- */

static void counts_add(struct slo_counts *to, const struct slo_counts *more) {
    to->good += more->good;
    to->total += more->total;
    to->scrapes_expected += more->scrapes_expected;
    to->scrapes_seen += more->scrapes_seen;
}

struct slo_counts slo_counts_less(const struct slo_counts *from, const struct slo_counts *less) {
    return (struct slo_counts){from->good - less->good, from->total - less->total,
                               from->scrapes_expected - less->scrapes_expected,
                               from->scrapes_seen - less->scrapes_seen};
}

struct slo_counts slo_counts_of(const SLO *definition, const struct slo_counts *measured) {
    struct slo_counts counts = *measured;
    if (definition->budgeting_method != BUDGETING_METHOD_TIMESLICES) return counts;
    const int64_t needed_per_hundred_million = llround(definition->time_slice_target * 1e6);
    counts.total = measured->total > 0;
    counts.good = measured->total > 0 &&
                  (__int128)measured->good * 100000000 >= (__int128)measured->total * needed_per_hundred_million;
    return counts;
}

/* ---- rolling ---- */

/* Hours before 1970 are asked for too: a board without a battery for its clock starts there. */
static size_t slot_of(int64_t hour) {
    return (size_t)((hour % SLO_HOURS + SLO_HOURS) % SLO_HOURS);
}

void slo_budget_advance(struct slo_budget *budget, int64_t hour) {
    if (hour <= budget->hour) return;
    if (hour - budget->hour >= SLO_HOURS) {
        memset(budget->sums, 0, sizeof budget->sums);
        memset(budget->hours, 0, sizeof budget->hours);
        budget->hour = hour;
        return;
    }
    while (budget->hour < hour) {
        budget->hour++;
        for (size_t i = 0; i < SLO_ROLLING; i++) {
            const int64_t leaving = budget->hour - rolling_days[i] * 24;
            budget->sums[i] = slo_counts_less(&budget->sums[i], &budget->hours[slot_of(leaving)]);
        }
        budget->hours[slot_of(budget->hour)] = (struct slo_counts){0};
    }
}

void slo_budget_add(struct slo_budget *budget, int64_t hour, const struct slo_counts *difference) {
    slo_budget_advance(budget, hour);
    if (hour <= budget->hour - SLO_HOURS) return;
    const size_t slot = slot_of(hour);
    counts_add(&budget->hours[slot], difference);
    budget->touched[slot / 64] |= UINT64_C(1) << slot % 64;
    for (size_t i = 0; i < SLO_ROLLING; i++)
        if (hour > budget->hour - rolling_days[i] * 24) counts_add(&budget->sums[i], difference);
}

/* What sums[index] will be when the budget has advanced to now_hour (or to hour) and difference is added to hour. */
static struct slo_counts sum_after(const struct slo_budget *budget, size_t index, int64_t now_hour, int64_t hour,
                                   const struct slo_counts *difference) {
    const int64_t kept = rolling_days[index] * 24;
    int64_t newest = budget->hour > now_hour ? budget->hour : now_hour;
    if (difference && hour > newest) newest = hour;
    struct slo_counts sum = {0};
    if (newest - budget->hour < kept) {
        sum = budget->sums[index];
        for (int64_t leaving = budget->hour - kept + 1; leaving <= newest - kept; leaving++)
            sum = slo_counts_less(&sum, &budget->hours[slot_of(leaving)]);
    }
    if (difference && hour > newest - kept) counts_add(&sum, difference);
    return sum;
}

/* ---- calendar ---- */

static void period_advance(struct slo_period *period, int index, int64_t now_hour) {
    if (now_hour < period->span.ends_hour) return;
    const struct slo_span span = slo_period_span(index, now_hour);
    const bool next = span.starts_hour == period->span.ends_hour;
    period->present = next ? period->ahead : (struct slo_counts){0};
    period->ahead = (struct slo_counts){0};
    period->span = span;
}

static void period_add(struct slo_period *period, int64_t hour, const struct slo_counts *difference) {
    if (hour >= period->span.ends_hour)
        counts_add(&period->ahead, difference);
    else if (hour >= period->span.starts_hour)
        counts_add(&period->present, difference);
}

void slo_periods_advance(struct slo_budget *budget, int64_t now_hour) {
    for (int i = 0; i < SLO_PERIODS; i++) period_advance(&budget->periods[i], i, now_hour);
}

void slo_periods_add(struct slo_budget *budget, int64_t hour, const struct slo_counts *difference) {
    for (int i = 0; i < SLO_PERIODS; i++) period_add(&budget->periods[i], hour, difference);
}

/* ---- both ---- */

struct slo_counts slo_budget_counts(const struct slo_budget *budget, SLOWindow window, int64_t now_hour, int64_t hour,
                                    const struct slo_counts *difference, struct slo_span *ret_span) {
    const int index = slo_period_index(window);
    if (index < 0) return sum_after(budget, slo_rolling_index(window), now_hour, hour, difference);
    struct slo_period period = budget->periods[index];
    period_advance(&period, index, now_hour);
    if (difference) period_add(&period, hour, difference);
    if (ret_span) *ret_span = period.span;
    return period.present;
}

/* Of a hundred million events; targets are held against one another, and said, to the millionth of a percent. */
static int64_t allowed_per_hundred_million(double target) {
    return 100000000 - llround(target * 1e6);
}

double slo_budget_consumed(const struct slo_counts *counts, double target) {
    const double bad = (double)(counts->total - counts->good);
    const double allowed =
        (double)counts->total * (double)allowed_per_hundred_million(target); /* 100 - 99.9 is not 0.1 */
    if (bad <= 0) return 0;
    return allowed > 0 ? bad * 1e8 / allowed * 100.0 : INFINITY;
}

bool slo_budget_exhausted(const struct slo_counts *counts, double target) {
    const int64_t bad = counts->total - counts->good;
    return bad > 0 && (__int128)bad * 100000000 >= (__int128)counts->total * allowed_per_hundred_million(target);
}
