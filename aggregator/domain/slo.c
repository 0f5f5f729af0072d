/* SPDX-License-Identifier: Apache-2.0
 * An SLO as a whole: made, changed, reported. Whether its budget is used up is said once: the flag is set by its fact.
 * Of a rolling window it is cleared when the counts, as windows come in or old hours roll off, are within the target
 * again; of a calendar window when the next period begins, so that it is said at most once a period. A changed
 * definition that the counts fulfil clears it too. */
#include "aggregator/domain/slo.h"

#include "aggregator/domain/domain_list.h"

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

/* ---- made and changed ---- */

/* Create and update carry the same definition in two messages. */
#define DEFINITION_FROM(slo, request, arena)                                                                           \
    do {                                                                                                               \
        (slo)->name = (request)->name;                                                                                 \
        (slo)->description = (request)->description;                                                                   \
        (slo)->target = (request)->target;                                                                             \
        (slo)->window = (request)->window;                                                                             \
        (slo)->has_sli_spec = (request)->has_sli_spec;                                                                 \
        (slo)->sli_spec = (request)->sli_spec;                                                                         \
        LIST_SHARE((slo)->agents, (request)->agents);                                                                  \
        (slo)->owner = (request)->owner;                                                                               \
        (slo)->scope = (request)->scope;                                                                               \
        (slo)->service_id = (request)->service_id;                                                                     \
        MAP_COPY((slo)->labels, (request)->labels, arena);                                                             \
        (slo)->budgeting_method = (request)->budgeting_method;                                                         \
        (slo)->time_slice_target = (request)->time_slice_target;                                                       \
        if ((slo)->sli_spec.window_seconds == 0) (slo)->sli_spec.window_seconds = 60;                                  \
    } while (0)

fault_code slo_decide_create(const struct aggregate *aggregate, const SreDomainIntent *intent, struct domain_call *call,
                             struct fact_list *ret_facts, struct fault *reterr) {
    const CreateSLORequested *request = &intent->intent.create_slo;
    if (aggregate->version)
        return fault_set(reterr, FAULT_EXISTS, "SLO '%.*s' exists already, at version %llu; change it with UpdateSLO",
                         SLICE_ARG(aggregate->id), (unsigned long long)aggregate->version);
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_slo_created_tag);
    fact->fact.slo_created.has_slo = true;
    SLO *slo = &fact->fact.slo_created.slo;
    slo->slo_id = aggregate->id;
    DEFINITION_FROM(slo, request, call->arena);
    slo->has_created_at = slo->has_updated_at = true;
    slo->created_at = slo->updated_at = domain_time(call->now_ms);
    slo->version = 1;
    return slo_definition_check(slo, call->arena, reterr);
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

/* Takes the flag back where it no longer holds under the definition in force. */
static void rearm(struct slo_state *slo, int64_t now_ms) {
    if (slo->budget.exhausted && !slo_exhausted_at(slo, now_ms)) slo->budget.exhausted = false;
}

fault_code slo_decide_update(const struct aggregate *aggregate, const SreDomainIntent *intent, struct domain_call *call,
                             struct fact_list *ret_facts, struct fault *reterr) {
    const UpdateSLORequested *request = &intent->intent.update_slo;
    if (!aggregate->version)
        return fault_set(reterr, FAULT_ABSENT, "SLO '%.*s' does not exist", SLICE_ARG(aggregate->id));
    const struct slo_state *slo = aggregate->state.slo;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_slo_updated_tag);
    fact->fact.slo_updated.has_slo = true;
    SLO *updated = &fact->fact.slo_updated.slo;
    updated->slo_id = aggregate->id;
    DEFINITION_FROM(updated, request, call->arena);
    updated->has_created_at = slo->definition.has_created_at;
    updated->created_at = slo->definition.created_at;
    updated->has_updated_at = true;
    const int64_t before_ms = domain_ms(slo->definition.updated_at); /* later than it, whatever the clock says */
    updated->updated_at = domain_time(call->now_ms > before_ms ? call->now_ms : before_ms + 1);
    updated->version = (int64_t)aggregate->version + 1;
    fault_code code = slo_definition_check(updated, call->arena, reterr);
    if (!code) code = slo_definition_follows(slo, updated, call->now_ms, reterr);
    if (code) return code;
    if (slo_definition_same(updated, &slo->definition)) {
        fact_list_begin(ret_facts); /* a repeat */
        return FAULT_NONE;
    }
    const struct slo_counts own =
        slo_budget_counts(&slo->budget, updated->window, call->now_ms / SLO_HOUR_MS, 0, NULL, NULL);
    if (!slo_budget_exhausted(&own, updated->target)) return FAULT_NONE;
    struct slo_state *after = arena_alloc(call->arena, sizeof *after);
    if (!after) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
    *after = *slo;
    rearm(after, call->now_ms);
    after->definition = *updated;
    if (!slo_exhausted_at(after, call->now_ms)) slo_exhausted_add(ret_facts, after, call->now_ms, call->arena);
    return FAULT_NONE;
}

/* ---- applied ---- */

void slo_apply_created(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena) {
    slo_state_init(aggregate->state.slo, &fact->fact.slo_created.slo);
}

static void length_remember(struct slo_state *slo, int32_t seconds, int64_t now_ms) {
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

static bool agents_equal(const SLO *a, const SLO *b) {
    if (a->agents.count != b->agents.count) return false;
    for (size_t i = 0; i < a->agents.count; i++)
        if (!slice_equal(a->agents.items[i], b->agents.items[i])) return false;
    return true;
}

void slo_apply_updated(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena) {
    struct slo_state *slo = aggregate->state.slo;
    const SLO *updated = &fact->fact.slo_updated.slo;
    if (slo->definition.sli_spec.window_seconds != updated->sli_spec.window_seconds)
        length_remember(slo, slo->definition.sli_spec.window_seconds, now_ms);
    if (!agents_equal(&slo->definition, updated)) slo->agents_changed_ms = now_ms;
    slo_budget_advance(&slo->budget, now_ms / SLO_HOUR_MS);
    slo_periods_advance(&slo->budget, now_ms / SLO_HOUR_MS);
    rearm(slo, now_ms);
    slo->definition = *updated;
    slo->definition.version = 0;
    rearm(slo, now_ms);
}

void slo_apply_exhausted(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena) {
    aggregate->state.slo->budget.exhausted = true;
    aggregate->state.slo->budget.exhausted_at_ms = domain_ms(fact->fact.slo_budget_exhausted.exhausted_at);
}
