/* SPDX-License-Identifier: Apache-2.0
 * Streams of one agent may overtake one another, so what came later is not what was seen later: the observation's
 * own time decides. Older than the state: a fact with `late` set, for the history, and the state stays. The same
 * time and the same content: a repeat, no fact. A check that has expired reads as UNKNOWN; that is for readers to
 * say by expires_at, because it needs no decision. */
#include "aggregator/domain/health_check.h"

#include "aggregator/domain/domain_list.h"

static bool same_observation(const HealthCheck *state, const RecordHealthCheckRequested *request) {
    if (domain_ms(state->timestamp) != domain_ms(request->timestamp) || state->status != request->status ||
        !slice_equal(state->message, request->message) || state->conditions.count != request->conditions.count)
        return false;
    for (size_t i = 0; i < state->conditions.count; i++)
        if (state->conditions.items[i].status != request->conditions.items[i].status ||
            !slice_equal(state->conditions.items[i].type, request->conditions.items[i].type))
            return false;
    return true;
}

fault_code health_check_decide_record(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                      struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const RecordHealthCheckRequested *request = &intent->intent.record_health_check;
    const HealthCheck *state = &aggregate->state.health_check;
    const int64_t observed_ms = domain_ms(request->timestamp);
    if (observed_ms > call->now_ms + 5 * 60 * 1000)
        return fault_set(reterr, FAULT_INPUT,
                         "the check was observed %lld s in the future: check the clock of the machine that made it",
                         (long long)(observed_ms - call->now_ms) / 1000);
    if (aggregate->version && same_observation(state, request)) return FAULT_NONE;

    const bool late = aggregate->version && observed_ms < domain_ms(state->timestamp);
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_health_check_recorded_tag);
    HealthCheckRecorded *recorded = &fact->fact.health_check_recorded;
    recorded->late = late;
    recorded->from = aggregate->version ? state->status : HEALTH_STATUS_UNSPECIFIED;
    recorded->has_health_check = true;
    HealthCheck *check = &recorded->health_check;
    check->healthcheck_id = aggregate->id;
    check->has_resource_ref = request->has_resource_ref;
    check->resource_ref = request->resource_ref;
    check->has_timestamp = true;
    check->timestamp = request->timestamp;
    check->status = request->status;
    LIST_SHARE(check->conditions, request->conditions);
    check->source = request->source;
    check->message = request->message;
    check->has_expires_at = request->has_expires_at;
    check->expires_at = request->expires_at;
    check->has_status_since = true;
    check->status_since = aggregate->version && !late && state->status == request->status && state->has_status_since
                              ? state->status_since
                              : request->timestamp;
    check->service_id = request->service_id;
    check->agent = call->actor;
    MAP_COPY(check->labels, request->labels, call->arena);
    check->version = (int64_t)aggregate->version + 1;
    return FAULT_NONE;
}

void health_check_apply_recorded(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                 struct arena *arena) {
    const HealthCheckRecorded *recorded = &fact->fact.health_check_recorded;
    if (!recorded->late) aggregate->state.health_check = recorded->health_check;
}
