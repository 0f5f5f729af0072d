/* SPDX-License-Identifier: Apache-2.0
 * What is kept of an SLO, and its budget as it is read. Whether the budget is used up is said once: the flag is set by
 * its fact. Of a rolling window it is cleared when the counts, as windows come in or old hours roll off, are within the
 * target again; of a calendar window when the next period begins, so that it is said at most once a period. A changed
 * definition that the counts fulfil clears it too. */
#include "aggregator/domain/slo_state.h"

#include "aggregator/domain/domain_list.h"

static const int64_t DAY_MS = INT64_C(24) * SLO_HOUR_MS;

/* ---- the budget as it is read ---- */

bool slo_exhaustion_said(const struct slo_state *slo, int64_t now_ms) {
    if (!slo->budget.exhausted) return false;
    struct slo_span span = {0};
    const struct slo_counts own =
        slo_budget_counts(&slo->budget, slo->definition.window, now_ms / SLO_HOUR_MS, 0, NULL, &span);
    if (slo_period_index(slo->definition.window) < 0) return slo_budget_exhausted(&own, slo->definition.target);
    return slo->budget.exhausted_at_ms / SLO_HOUR_MS >= span.starts_hour;
}

bool slo_exhausted_at(const struct slo_state *slo, int64_t now_ms) {
    const struct slo_counts own =
        slo_budget_counts(&slo->budget, slo->definition.window, now_ms / SLO_HOUR_MS, 0, NULL, NULL);
    return slo_exhaustion_said(slo, now_ms) && slo_budget_exhausted(&own, slo->definition.target);
}

static SLOBudgetWindow window_report(const struct slo_state *slo, SLOWindow window, int64_t now_ms,
                                     struct slo_span *ret_span) {
    const double target = slo->definition.target;
    const struct slo_counts sum = slo_budget_counts(&slo->budget, window, now_ms / SLO_HOUR_MS, 0, NULL, ret_span);
    const double consumed = slo_budget_consumed(&sum, target);
    const bool unknown = sum.total == 0; /* no events are no full budget: a selector may match nothing */
    return (SLOBudgetWindow){
        .window = window,
        .good = sum.good,
        .total = sum.total,
        .scrapes_expected = sum.scrapes_expected,
        .scrapes_seen = sum.scrapes_seen,
        .budget_consumed = consumed,
        .budget_remaining = unknown ? 0 : 100.0 - consumed,
        .exhausted = slo_budget_exhausted(&sum, target),
        .unknown = unknown,
    };
}

static void period_set(SLOBudget *budget, struct slo_span span) {
    budget->has_period_starts_at = budget->has_period_ends_at = true;
    budget->period_starts_at = domain_time(span.starts_hour * SLO_HOUR_MS);
    budget->period_ends_at = domain_time(span.ends_hour * SLO_HOUR_MS);
}

void slo_budget_report(const struct slo_state *slo, int64_t now_ms, SLOBudgetWindow windows[SLO_ROLLING],
                       SLOBudget *ret_budget) {
    const struct slo_budget *budget = &slo->budget;
    for (size_t i = 0; i < SLO_ROLLING; i++) windows[i] = window_report(slo, slo_rolling_window(i), now_ms, NULL);
    struct slo_span span = {0};
    const bool calendar = slo_period_index(slo->definition.window) >= 0;
    const SLOBudgetWindow own = calendar ? window_report(slo, slo->definition.window, now_ms, &span)
                                         : windows[slo_rolling_index(slo->definition.window)];
    const bool exhausted = slo_exhausted_at(slo, now_ms);
    *ret_budget = (SLOBudget){
        .current_budget_remaining = own.budget_remaining,
        .budget_consumed = own.budget_consumed,
        .good = own.good,
        .total = own.total,
        .scrapes_expected = own.scrapes_expected,
        .scrapes_seen = own.scrapes_seen,
        .exhausted = exhausted,
        .has_exhausted_at = exhausted,
        .exhausted_at = domain_time(exhausted ? budget->exhausted_at_ms : 0),
        .windows = {.items = windows, .count = SLO_ROLLING},
        .has_last_window_at = budget->last_window_ms != 0,
        .last_window_at = domain_time(budget->last_window_ms),
        .has_computed_at = true,
        .computed_at = domain_time(now_ms),
        .unknown = own.unknown,
    };
    if (calendar) period_set(ret_budget, span);
}

void slo_budget_read(SLO *slo, int64_t now_ms) {
    SLOBudget *budget = &slo->budget;
    const int index = slo_period_index(slo->window);
    if (!slo->has_budget || index < 0 || now_ms < domain_ms(budget->period_ends_at)) return;
    budget->current_budget_remaining = budget->budget_consumed = 0;
    budget->good = budget->total = budget->scrapes_expected = budget->scrapes_seen = 0;
    budget->exhausted = budget->has_exhausted_at = false;
    budget->exhausted_at = (Timestamp){0};
    budget->unknown = true;
    period_set(budget, slo_period_span(index, now_ms / SLO_HOUR_MS));
}

void slo_whole(const struct slo_state *slo, uint64_t version, int64_t now_ms, SLOBudgetWindow windows[SLO_ROLLING],
               SLO *ret_slo) {
    *ret_slo = slo->definition;
    ret_slo->version = (int64_t)version;
    ret_slo->has_budget = true;
    slo_budget_report(slo, now_ms, windows, &ret_slo->budget);
}

void slo_state_init(struct slo_state *slo, const SLO *stored) {
    memset(slo, 0, sizeof *slo);
    slo->definition = *stored;
    slo->definition.has_budget = false;
    slo->definition.budget = (SLOBudget){0};
    slo->definition.version = 0;
    if (!stored->has_budget) return;
    slo->budget.exhausted = stored->budget.exhausted;
    slo->budget.exhausted_at_ms = domain_ms(stored->budget.exhausted_at);
    slo->budget.last_window_ms = domain_ms(stored->budget.last_window_at);
}

void slo_exhausted_add(struct fact_list *facts, const struct slo_state *after, int64_t now_ms, struct arena *arena) {
    SLOBudgetWindow *windows = arena_alloc_array(arena, SLO_ROLLING, sizeof *windows);
    SreDomainFact *fact = fact_list_add(facts, SreDomainFact_slo_budget_exhausted_tag);
    SLOBudgetExhausted *said = &fact->fact.slo_budget_exhausted;
    said->slo_id = after->definition.slo_id;
    said->window = after->definition.window;
    said->has_exhausted_at = said->has_budget = true;
    said->exhausted_at = domain_time(now_ms);
    SLOBudgetWindow spare[SLO_ROLLING]; /* no memory: the fact goes without the three windows, never not at all */
    slo_budget_report(after, now_ms, windows ? windows : spare, &said->budget);
    if (!windows) said->budget.windows.items = NULL, said->budget.windows.count = 0;
    said->budget.exhausted = said->budget.has_exhausted_at = true;
    said->budget.exhausted_at = said->exhausted_at;
}

/* ---- lengths of windows ---- */

static bool length_kept(const struct slo_length *length, int64_t now_ms) {
    return length->seconds && now_ms - length->until_ms <= SLO_LENGTH_KEPT_DAYS * DAY_MS;
}

bool slo_length_known(const struct slo_state *slo, int32_t seconds, int64_t now_ms) {
    if (seconds == slo->definition.sli_spec.window_seconds) return true;
    for (size_t i = 0; i < SLO_LENGTHS_MAX; i++)
        if (slo->lengths[i].seconds == seconds && length_kept(&slo->lengths[i], now_ms)) return true;
    return false;
}

size_t slo_other_lengths(const struct slo_state *slo, int32_t seconds, int64_t now_ms,
                         int32_t ret_seconds[SLO_LENGTHS_MAX + 1]) {
    size_t count = 0;
    if (slo->definition.sli_spec.window_seconds != seconds)
        ret_seconds[count++] = slo->definition.sli_spec.window_seconds;
    for (size_t i = 0; i < SLO_LENGTHS_MAX; i++) {
        const struct slo_length *length = &slo->lengths[i];
        if (length->seconds != seconds && length->seconds != slo->definition.sli_spec.window_seconds &&
            length_kept(length, now_ms))
            ret_seconds[count++] = length->seconds;
    }
    return count;
}

void slo_length_remember(struct slo_state *slo, int32_t seconds, int64_t now_ms) {
    struct slo_length *place = &slo->lengths[0]; /* the same length, or the one that was left first */
    for (size_t i = 0; i < SLO_LENGTHS_MAX; i++) {
        if (slo->lengths[i].seconds == seconds) {
            place = &slo->lengths[i];
            break;
        }
        if (slo->lengths[i].until_ms < place->until_ms) place = &slo->lengths[i];
    }
    *place = (struct slo_length){seconds, now_ms};
}
