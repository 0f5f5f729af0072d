/* SPDX-License-Identifier: Apache-2.0
 * Streams of one agent may overtake one another, so what came later is not what was seen later: the observation's
 * own time decides. Older than the state: a fact with `late` set, for the history, and the state stays. The same
 * time and the same content: a repeat, no fact. A check that has expired reads as UNKNOWN; that is for readers to
 * say by expires_at, because it needs no decision. */
#include "aggregator/domain/health_check.h"

#include "aggregator/domain/content.h"

#define CONDITION_CONTENT(ONE, TEXTS, LIST, MESSAGE, MAP)                                                              \
    ONE(type)                                                                                                          \
    ONE(status)                                                                                                        \
    ONE(reason)                                                                                                        \
    ONE(message)                                                                                                       \
    ONE(has_last_transition_at)                                                                                        \
    ONE(last_transition_at)
static bool condition_equal(const HealthCondition *a, const HealthCondition *b) {
    CONTENT_EQUAL(CONDITION_CONTENT)
    return true;
}

#define CHECK_CONTENT(ONE, TEXTS, LIST, MESSAGE, MAP)                                                                  \
    MESSAGE(resource_ref, content_resource_equal)                                                                      \
    ONE(has_timestamp)                                                                                                 \
    ONE(timestamp)                                                                                                     \
    ONE(status)                                                                                                        \
    LIST(conditions, condition_equal)                                                                                  \
    ONE(source)                                                                                                        \
    ONE(message)                                                                                                       \
    ONE(has_expires_at)                                                                                                \
    ONE(expires_at)                                                                                                    \
    ONE(service_id)                                                                                                    \
    MAP(labels)
static bool same_observation(const HealthCheck *a, const RecordHealthCheckRequested *b) {
    CONTENT_EQUAL(CHECK_CONTENT)
    return true;
}

/* Since when the status is what it is; one that had expired in between was unknown for a while. */
static Timestamp status_since(const HealthCheck *before, const RecordHealthCheckRequested *request) {
    const bool held = before->status == request->status && before->has_status_since &&
                      !(before->has_expires_at && domain_ms(before->expires_at) <= domain_ms(request->timestamp));
    return held ? before->status_since : request->timestamp;
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
    if (request->has_expires_at && domain_ms(request->expires_at) <= observed_ms)
        return fault_set(reterr, FAULT_INPUT, "expires_at: is not after timestamp: it would be unknown from the start");
    if (aggregate->version && same_observation(state, request)) return FAULT_NONE;

    const bool late = aggregate->version && observed_ms < domain_ms(state->timestamp);
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_health_check_recorded_tag);
    HealthCheckRecorded *recorded = &fact->fact.health_check_recorded;
    recorded->late = late;
    recorded->from = aggregate->version ? state->status : HEALTH_STATUS_UNSPECIFIED;
    recorded->has_health_check = true;
    HealthCheck *const to = &recorded->health_check;
    const RecordHealthCheckRequested *const from = request;
    struct arena *const arena = call->arena;
    CONTENT_COPY(CHECK_CONTENT)
    to->healthcheck_id = aggregate->id;
    to->has_status_since = true;
    to->status_since = aggregate->version && !late ? status_since(state, request) : request->timestamp;
    to->agent = call->actor;
    to->version = (int64_t)aggregate->version + 1;
    return FAULT_NONE;
}

void health_check_apply_recorded(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                 struct arena *arena) {
    const HealthCheckRecorded *recorded = &fact->fact.health_check_recorded;
    if (!recorded->late) aggregate->state.health_check = recorded->health_check;
}
