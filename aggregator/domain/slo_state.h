/* SPDX-License-Identifier: Apache-2.0
 * What is kept of a service level objective: its definition, its counts, the lengths that its windows had; and the budget
 * as readers see it. Pure. One caller per object. */
#ifndef PICKET_DOMAIN_SLO_STATE_H
#define PICKET_DOMAIN_SLO_STATE_H

#include "aggregator/domain/domain.h"
#include "aggregator/domain/slo_budget.h"

enum {
    SLO_LENGTHS_MAX = 4,       /* former lengths of windows that are remembered */
    SLO_LENGTH_KEPT_DAYS = 31, /* for so long after a change */
};

/* A length that windows had before the definition was changed. */
struct slo_length {
    int32_t seconds; /* 0: unused */
    int64_t until_ms;
};

struct slo_state {
    SLO definition; /* its budget and version are not kept here */
    struct slo_budget budget;
    struct slo_length lengths[SLO_LENGTHS_MAX]; /* former ones */
    int64_t agents_changed_ms;                  /* when the list of agents was changed last; 0: never */
};

/* From a stored SLO; the hours follow by slo_budget_add, periods, lengths and the like from whoever stored
 * them. */
void slo_state_init(struct slo_state *slo, const SLO *stored);

/* ---- read ---- */

/* The budget as readers see it, as of now_ms. windows: storage for SLO_ROLLING items that ret_budget points to. */
void slo_budget_report(const struct slo_state *slo, int64_t now_ms, SLOBudgetWindow windows[SLO_ROLLING],
                       SLOBudget *ret_budget);
/* A stored budget read at now_ms: of a calendar window whose period has ended since, nothing is known of the present one. */
void slo_budget_read(SLO *slo, int64_t now_ms);
/* The aggregate as readers and the store see it: definition, budget, version. */
void slo_whole(const struct slo_state *slo, uint64_t version, int64_t now_ms, SLOBudgetWindow windows[SLO_ROLLING],
               SLO *ret_slo);

/* ---- exhausted ---- */

/* Exhausted, said and still so: hours may have rolled off, or a period begun, since the last window came in. */
bool slo_exhausted_at(const struct slo_state *slo, int64_t now_ms);
/* Whether exhaustion was said already, of the window that ends (or the period that is present) at now_ms. */
bool slo_exhaustion_said(const struct slo_state *slo, int64_t now_ms);
/* The fact that the budget is used up; after: the state with what used it up. */
void slo_exhausted_add(struct fact_list *facts, const struct slo_state *after, int64_t now_ms, struct arena *arena);

/* ---- lengths of windows ---- */

/* Whether windows of so many seconds may come: the definition says so, or said so in the last SLO_LENGTH_KEPT_DAYS. */
bool slo_length_known(const struct slo_state *slo, int32_t seconds, int64_t now_ms);
/* Lengths, other than `seconds`, that stored windows may have: the present and former ones. A new window must not overlap
 * one of them. Returns how many; normally 0. */
size_t slo_other_lengths(const struct slo_state *slo, int32_t seconds, int64_t now_ms,
                         int32_t ret_seconds[SLO_LENGTHS_MAX + 1]);
/* Windows had that length until now_ms. Takes the place of the same length, or of the one that was left first. */
void slo_length_remember(struct slo_state *slo, int32_t seconds, int64_t now_ms);

#endif
