/* SPDX-License-Identifier: Apache-2.0
 * Two facts and no way back: started, completed. An end is said once; the same again is a repeat. `unknown` is for the
 * clock alone to say, when whoever waited for the agent can no longer say better, and with a reason for the start of an
 * aggregator, to whom nobody waits for what the one before it has asked. */
#include "aggregator/domain/diagnostics_run.h"

static int64_t given_up_ms(const DiagnosticsRun *run) {
    return domain_ms(run->deadline_at) + DIAGNOSTICS_RUN_GRACE_MS;
}

void diagnostics_run_index(const struct aggregate *aggregate, struct arena *arena, struct aggregate_index *ret_index) {
    const DiagnosticsRun *run = &aggregate->state.diagnostics_run;
    if (run->outcome) return;
    ret_index->open = true;
    ret_index->open_since_ms = domain_ms(run->requested_at);
    ret_index->due_ms = given_up_ms(run);
}

void diagnostics_run_due(slice id, int64_t due_ms, SreDomainIntent *ret_intent) {
    ret_intent->which_intent = SreDomainIntent_complete_diagnostics_tag;
    ret_intent->intent.complete_diagnostics =
        (CompleteDiagnosticsRequested){.diagnostics_id = id, .outcome = DIAGNOSTICS_OUTCOME_UNKNOWN};
}

void diagnostics_run_abandoned(slice id, int64_t due_ms, SreDomainIntent *ret_intent) {
    diagnostics_run_due(id, due_ms, ret_intent);
    ret_intent->intent.complete_diagnostics.reason =
        SLICE_LIT("the aggregator was restarted while it waited: what the agent did is not known");
}

fault_code diagnostics_run_decide_start(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                        struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const RunDiagnosticsRequested *request = &intent->intent.run_diagnostics;
    const int64_t deadline_ms = domain_ms(request->deadline_at);
    if (aggregate_exists(aggregate))
        return fault_set(reterr, FAULT_EXISTS, "question '%.*s' was asked already: each has an id of its own",
                         SLICE_ARG(aggregate->id));
    if (deadline_ms <= call->now_ms || deadline_ms > call->now_ms + DIAGNOSTICS_RUN_MS_MAX)
        return fault_set(reterr, FAULT_INPUT, "deadline_at: must be within the next five minutes");
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_diagnostics_started_tag);
    fact->fact.diagnostics_started.has_run = true;
    fact->fact.diagnostics_started.run = (DiagnosticsRun){
        .diagnostics_id = aggregate->id,
        .agent = request->agent,
        .has_question = true,
        .question = request->question,
        .requested_by = call->actor,
        .has_requested_at = true,
        .requested_at = domain_time(call->now_ms),
        .has_deadline_at = true,
        .deadline_at = request->deadline_at,
        .version = (int64_t)aggregate->version + 1,
    };
    return FAULT_NONE;
}

/* A repeat of what ended it. */
static bool ended_so(const DiagnosticsRun *run, const CompleteDiagnosticsRequested *request) {
    return run->outcome == request->outcome && slice_equal(run->reason, request->reason) &&
           run->content_bytes == request->content_bytes && run->masked_count == request->masked_count &&
           run->truncated == request->truncated && run->has_took == request->has_took &&
           run->took.seconds == request->took.seconds && run->took.nanos == request->took.nanos;
}

fault_code diagnostics_run_decide_complete(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                           struct domain_call *call, struct fact_list *ret_facts,
                                           struct fault *reterr) {
    const CompleteDiagnosticsRequested *request = &intent->intent.complete_diagnostics;
    const DiagnosticsRun *run = &aggregate->state.diagnostics_run;
    const bool unknown = request->outcome == DIAGNOSTICS_OUTCOME_UNKNOWN;
    if (!aggregate_exists(aggregate))
        return fault_set(reterr, FAULT_ABSENT, "question '%.*s' does not exist", SLICE_ARG(aggregate->id));
    if (run->outcome && (unknown || ended_so(run, request))) return FAULT_NONE; /* it ended as its time ran out */
    if (run->outcome)
        return fault_set(reterr, FAULT_CONFLICT, "question '%.*s' has ended: how is said once",
                         SLICE_ARG(aggregate->id));
    if (unknown && !request->reason.size && call->now_ms < given_up_ms(run))
        return fault_set(reterr, FAULT_CONFLICT, "question '%.*s' may still be answered", SLICE_ARG(aggregate->id));
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_diagnostics_completed_tag);
    fact->fact.diagnostics_completed.has_run = true;
    DiagnosticsRun *ended = &fact->fact.diagnostics_completed.run;
    *ended = *run;
    ended->outcome = request->outcome;
    ended->reason = unknown && !request->reason.size
                        ? SLICE_LIT("the aggregator was stopped while it waited: what the agent did is not known")
                        : request->reason;
    ended->content_bytes = request->content_bytes;
    ended->masked_count = request->masked_count;
    ended->truncated = request->truncated;
    ended->has_took = request->has_took;
    ended->took = request->took;
    ended->has_ended_at = true;
    ended->ended_at = domain_time(call->now_ms);
    ended->version = (int64_t)aggregate->version + 1;
    return FAULT_NONE;
}

void diagnostics_run_apply_started(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                   struct arena *arena) {
    aggregate->state.diagnostics_run = fact->fact.diagnostics_started.run;
}

void diagnostics_run_apply_completed(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                     struct arena *arena) {
    aggregate->state.diagnostics_run = fact->fact.diagnostics_completed.run;
}
