/* SPDX-License-Identifier: Apache-2.0
 * Service level objectives and their budgets. The budget is kept as counts per hour over the longest window, with
 * running sums for 7, 28 and 30 days, so that a window costs the same however much history there is. */
#ifndef PICKET_DOMAIN_SLO_H
#define PICKET_DOMAIN_SLO_H

#include "aggregator/domain/domain.h"

enum {
    SLO_HOURS = 31 * 24,          /* ring: the 30 days and a day to spare */
    SLO_ROLLING = 3,              /* 7, 28, 30 days */
    SLO_AHEAD_MS = 5 * 60 * 1000, /* an agent's clock may be so far ahead */
};
#define SLO_WINDOW_EVENTS_MAX INT64_C(100000000000) /* in one window: 27 million a second for an hour */

struct slo_counts {
    int64_t good, total, scrapes_expected, scrapes_seen;
};

struct slo_budget {
    int64_t hour;                            /* newest hour (ms / 3,600,000) that the sums include; 0: none yet */
    struct slo_counts sums[SLO_ROLLING];     /* over the hours (hour - days * 24, hour] */
    struct slo_counts hours[SLO_HOURS];      /* by hour % SLO_HOURS; those after hour - SLO_HOURS */
    uint64_t touched[(SLO_HOURS + 63) / 64]; /* bits by hour % SLO_HOURS since the owner cleared them */
    int64_t last_window_ms;                  /* start of the newest window; 0: nothing measured yet */
    bool exhausted;
    int64_t exhausted_at_ms;
};

struct slo_state {
    SLO definition; /* its budget and version are not kept here */
    struct slo_budget budget;
};

/* Days of the SLO's own window: index into sums; 7, 28, 30. */
size_t slo_rolling_index(SLOWindow window);

/* Adds a difference (or, while loading, what is stored) to an hour: advances to it when it is newer, passes it over
 * when it is older than the ring. */
void slo_budget_add(struct slo_budget *budget, int64_t hour, const struct slo_counts *difference);
/* Rolls hours off the sums up to `hour`; never back. */
void slo_budget_advance(struct slo_budget *budget, int64_t hour);

/* Bad events as a percentage of what the target allows; 0 with no bad ones. */
double slo_budget_consumed(const struct slo_counts *counts, double target);
/* Whether the bad events have used up what the target allows: exact in integers (the target to 1e-6 percent). */
bool slo_budget_exhausted(const struct slo_counts *counts, double target);

/* The budget as readers see it, as of now_ms. windows: storage for SLO_ROLLING items that ret_budget points to. */
void slo_budget_report(const struct slo_state *slo, int64_t now_ms, SLOBudgetWindow windows[SLO_ROLLING],
                       SLOBudget *ret_budget);
/* The aggregate as readers and the store see it: definition, budget, version. */
void slo_whole(const struct slo_state *slo, uint64_t version, int64_t now_ms, SLOBudgetWindow windows[SLO_ROLLING],
               SLO *ret_slo);
/* From a stored SLO; the hours follow by slo_budget_add. */
void slo_state_init(struct slo_state *slo, const SLO *stored);

decide_fn slo_decide_create, slo_decide_update, slo_decide_window;
apply_fn slo_apply_created, slo_apply_updated, slo_apply_window, slo_apply_exhausted;

#endif
