/* SPDX-License-Identifier: Apache-2.0
 * An SLO is made and changed. A changed definition may use the budget up, which is said, or free it again. */
#include "aggregator/domain/slo.h"

#include "aggregator/domain/domain_list.h"
#include "aggregator/domain/slo_definition.h"
#include "aggregator/domain/slo_state.h"

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
        slo_length_remember(slo, slo->definition.sli_spec.window_seconds, now_ms);
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
