/* SPDX-License-Identifier: Apache-2.0
 * Streams of one agent may overtake one another, so what came later is not what was seen later: the observation's
 * own time decides. Older than the state: a fact with `late` set, for the history, and the state stays. The same
 * time and the same content: a repeat, no fact. A check that has expired reads as UNKNOWN; that is for readers to
 * say by expires_at, because it needs no decision. Each has one, but the last word on what is gone. */
#include "aggregator/domain/health_check.h"

#include "aggregator/domain/content.h"
#include "aggregator/domain/observation_expiry.h"

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
    ONE(service_id)                                                                                                    \
    MAP(labels)
static bool same_observation(const HealthCheck *a, const HealthCheck *b, bool expiry_given) {
    CONTENT_EQUAL(CHECK_CONTENT)
    return a->has_expires_at == b->has_expires_at &&
           (!expiry_given || content_time_equal(a->expires_at, b->expires_at));
}

bool health_check_is_end(const HealthCheck *check) {
    if (check->has_expires_at) return false;
    for (size_t i = 0; i < check->labels.count; i++)
        if (slice_equal_text(check->labels.items[i].key, "reason"))
            return slice_equal_text(check->labels.items[i].value, "Deleted") ||
                   slice_equal_text(check->labels.items[i].value, "NotWatched");
    return false;
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
    HealthCheck check = {.has_expires_at = request->has_expires_at, .expires_at = request->expires_at}, *const to =
                                                                                                            &check;
    const RecordHealthCheckRequested *const from = request;
    struct arena *const arena = call->arena;
    CONTENT_COPY(CHECK_CONTENT)
    if (!health_check_is_end(to)) {
        const fault_code code =
            observation_expiry_take(call, observed_ms, &to->has_expires_at, &to->expires_at, reterr);
        if (code) return code;
    }
    if (aggregate->version && same_observation(state, to, request->has_expires_at)) return FAULT_NONE;

    const bool late = aggregate->version && observed_ms < domain_ms(state->timestamp);
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_health_check_recorded_tag);
    HealthCheckRecorded *recorded = &fact->fact.health_check_recorded;
    recorded->late = late;
    recorded->from = aggregate->version ? state->status : HEALTH_STATUS_UNSPECIFIED;
    recorded->has_health_check = true;
    to->healthcheck_id = aggregate->id;
    to->has_status_since = true;
    to->status_since = aggregate->version && !late ? status_since(state, request) : request->timestamp;
    to->agent = call->actor;
    to->version = (int64_t)aggregate->version + 1;
    recorded->health_check = check;
    return FAULT_NONE;
}

void health_check_apply_recorded(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                 struct arena *arena) {
    const HealthCheckRecorded *recorded = &fact->fact.health_check_recorded;
    if (!recorded->late) aggregate->state.health_check = recorded->health_check;
}
