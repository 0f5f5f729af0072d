/* SPDX-License-Identifier: Apache-2.0
 * All changes of status pass one matrix. Whether success may be said follows from the results of the steps: each step of
 * the plan has one, and all of them succeeded. A step's result is said once; the same again is a repeat, another one is
 * refused, because what was reported is what others have acted on.
 *
 * An entry in the incident's timeline is a courtesy: where the timeline is full the execution goes on without one. */
#include "aggregator/domain/runbook_execution.h"

#include "aggregator/domain/content.h"
#include "aggregator/domain/incident_timeline.h"
#include "aggregator/domain/runbook.h"

#include <stdio.h>

enum { STATUSES = RUNBOOK_EXECUTION_STATUS_REJECTED + 1 };

#define TO(status) (1u << RUNBOOK_EXECUTION_STATUS_##status)
static const unsigned may_move[STATUSES] = {
    [RUNBOOK_EXECUTION_STATUS_AWAITING_APPROVAL] = TO(RUNNING) | TO(REJECTED) | TO(CANCELLED) | TO(TIMED_OUT),
    [RUNBOOK_EXECUTION_STATUS_RUNNING] = TO(SUCCEEDED) | TO(FAILED) | TO(CANCELLED) | TO(TIMED_OUT),
};
/* What a step can come to; a cancelled one was left out. */
static const unsigned step_results = TO(SUCCEEDED) | TO(FAILED) | TO(CANCELLED) | TO(TIMED_OUT);
static const unsigned ends = TO(SUCCEEDED) | TO(FAILED) | TO(CANCELLED) | TO(TIMED_OUT) | TO(REJECTED);
#undef TO
static const char *const status_names[STATUSES] = {
    [RUNBOOK_EXECUTION_STATUS_UNSPECIFIED] = "unspecified",
    [RUNBOOK_EXECUTION_STATUS_SUCCEEDED] = "succeeded",
    [RUNBOOK_EXECUTION_STATUS_FAILED] = "failed",
    [RUNBOOK_EXECUTION_STATUS_CANCELLED] = "cancelled",
    [RUNBOOK_EXECUTION_STATUS_TIMED_OUT] = "timed out",
    [RUNBOOK_EXECUTION_STATUS_AWAITING_APPROVAL] = "awaiting approval",
    [RUNBOOK_EXECUTION_STATUS_RUNNING] = "running",
    [RUNBOOK_EXECUTION_STATUS_REJECTED] = "rejected",
};

static bool among(RunbookExecutionStatus status, unsigned set) {
    return (unsigned)status < STATUSES && (set & 1u << status);
}

static const char *status_name(RunbookExecutionStatus status) {
    return (unsigned)status < STATUSES ? status_names[status] : "an unknown status";
}

bool runbook_execution_may_move(RunbookExecutionStatus from, RunbookExecutionStatus to) {
    return (unsigned)from < STATUSES && among(to, may_move[from]);
}

static fault_code move_check(const struct aggregate *aggregate, RunbookExecutionStatus to, struct fault *reterr) {
    if (!aggregate_exists(aggregate))
        return fault_set(reterr, FAULT_ABSENT, "execution '%.*s' does not exist", SLICE_ARG(aggregate->id));
    const RunbookExecutionStatus from = aggregate->state.runbook_execution.status;
    if (runbook_execution_may_move(from, to)) return FAULT_NONE;
    char ways[80] = "";
    for (int way = 0; way < STATUSES; way++)
        if (runbook_execution_may_move(from, (RunbookExecutionStatus)way))
            snprintf(ways + strlen(ways), sizeof ways - strlen(ways), "%s%s", ways[0] ? ", " : "", status_names[way]);
    return fault_set(reterr, FAULT_CONFLICT, "execution '%.*s' cannot go from %s to %s%s%s", SLICE_ARG(aggregate->id),
                     status_name(from), status_name(to), ways[0] ? ", only to " : ": it is over", ways);
}

/* ---- clock ---- */

void runbook_execution_index(const struct aggregate *aggregate, struct arena *arena,
                             struct aggregate_index *ret_index) {
    const RunbookExecution *execution = &aggregate->state.runbook_execution;
    if (among(execution->status, ends)) return;
    ret_index->open = true;
    ret_index->open_since_ms = domain_ms(execution->requested_at);
    ret_index->due_ms = domain_ms(execution->deadline_at);
}

void runbook_execution_due(slice id, int64_t due_ms, SreDomainIntent *ret_intent) {
    ret_intent->which_intent = SreDomainIntent_complete_runbook_execution_tag;
    ret_intent->intent.complete_runbook_execution =
        (CompleteRunbookExecutionRequested){.execution_id = id, .status = RUNBOOK_EXECUTION_STATUS_TIMED_OUT};
}

/* Each step's time is at most five minutes (runbook.h), and there are at most 128. */
static Timestamp deadline(const RunbookStep *plan, size_t count, int64_t start_ms) {
    int64_t seconds = 0;
    for (size_t i = 0; i < count; i++) seconds += plan[i].timeout_seconds;
    return domain_time(start_ms + seconds * 1000);
}

/* ---- the incident ---- */

/* "runbook 'restart' is running (execution 'e-1'): because"; nothing for an execution of no incident. */
static fault_code entry_add(const RunbookExecution *execution, RunbookExecutionStatus status, slice why,
                            struct domain_call *call, struct fact_list *facts, struct fault *reterr) {
    enum { WHY_BYTES_MAX = 4096 };
    const struct aggregate *incident;
    if (!execution->incident_id.size) return FAULT_NONE;
    const fault_code code = domain_find(call, AGGREGATE_INCIDENT, execution->incident_id, &incident, reterr);
    if (code) return code;
    why = content_shortened(why, WHY_BYTES_MAX);
    const slice text =
        arena_format(call->arena, "runbook '%.*s' %s (execution '%.*s')%s%.*s", SLICE_ARG(execution->runbook_id),
                     status == RUNBOOK_EXECUTION_STATUS_RUNNING     ? "is running"
                     : status == RUNBOOK_EXECUTION_STATUS_CANCELLED ? "was cancelled"
                     : status == RUNBOOK_EXECUTION_STATUS_REJECTED  ? "was rejected"
                                                                    : status_name(status),
                     SLICE_ARG(execution->execution_id), why.size ? ": " : "", SLICE_ARG(why));
    char id[UUID_TEXT_SIZE + 1];
    uuid_format(domain_ids_next(call->ids, call->now_ms), id);
    const slice entry_id = arena_copy(call->arena, slice_of(id, UUID_TEXT_SIZE));
    if (!text.data || !entry_id.data) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
    if (!aggregate_exists(incident) || incident_timeline_check(incident, text, NULL, 0, NULL)) return FAULT_NONE;
    SreDomainFact *fact = fact_list_add_about(facts, SreDomainFact_incident_timeline_entry_added_tag, incident);
    fact->fact.incident_timeline_entry_added =
        (IncidentTimelineEntryAdded){.incident_id = incident->id,
                                     .has_entry = true,
                                     .entry = {.entry_id = entry_id,
                                               .has_at = true,
                                               .at = domain_time(call->now_ms),
                                               .author = call->actor,
                                               .kind = TIMELINE_ENTRY_KIND_ACTION,
                                               .text = text}};
    return FAULT_NONE;
}

static fault_code incident_check(slice id, const struct domain_call *call, struct fault *reterr) {
    const struct aggregate *incident;
    if (!id.size) return FAULT_NONE;
    const fault_code code = domain_find(call, AGGREGATE_INCIDENT, id, &incident, reterr);
    if (code) return code;
    if (!aggregate_exists(incident))
        return fault_set(reterr, FAULT_ABSENT, "incident '%.*s' does not exist", SLICE_ARG(id));
    if (incident->state.incident.status == INCIDENT_STATUS_CLOSED)
        return fault_set(reterr, FAULT_CONFLICT, "incident '%.*s' is closed: nothing is executed for it",
                         SLICE_ARG(id));
    return FAULT_NONE;
}

/* ---- begin ---- */

fault_code runbook_execution_decide_execute(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                            struct domain_call *call, struct fact_list *ret_facts,
                                            struct fault *reterr) {
    const ExecuteRunbookRequested *request = &intent->intent.execute_runbook;
    const struct aggregate *found;
    if (aggregate_exists(aggregate))
        return fault_set(reterr, FAULT_EXISTS, "execution '%.*s' exists already, and is %s", SLICE_ARG(aggregate->id),
                         status_name(aggregate->state.runbook_execution.status));
    fault_code code = domain_find(call, AGGREGATE_RUNBOOK, request->runbook_id, &found, reterr);
    if (code) return code;
    if (!aggregate_exists(found))
        return fault_set(reterr, FAULT_ABSENT, "runbook '%.*s' does not exist", SLICE_ARG(request->runbook_id));
    const Runbook *runbook = &found->state.runbook;
    if (!runbook->steps.count)
        return fault_set(reterr, FAULT_CONFLICT, "runbook '%.*s' has no steps: there is nothing to execute",
                         SLICE_ARG(request->runbook_id));
    code = incident_check(request->incident_id, call, reterr);
    if (code) return code;

    bool waits = runbook->approval_required;
    for (size_t i = 0; i < runbook->steps.count; i++) waits |= runbook->steps.items[i].approval_required;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_runbook_execution_created_tag);
    fact->fact.runbook_execution_created.has_execution = true;
    RunbookExecution *execution = &fact->fact.runbook_execution_created.execution;
    execution->execution_id = aggregate->id;
    execution->runbook_id = request->runbook_id;
    execution->runbook_version = (int64_t)found->version;
    execution->incident_id = request->incident_id;
    execution->requested_by = call->actor;
    execution->has_requested_at = true;
    execution->requested_at = domain_time(call->now_ms);
    execution->reason = request->reason;
    MAP_COPY(execution->parameters, request->parameters, call->arena);
    LIST_SHARE(execution->plan, runbook->steps);
    execution->version = (int64_t)aggregate->version + 1;
    execution->has_deadline_at = true;
    if (waits) {
        execution->status = RUNBOOK_EXECUTION_STATUS_AWAITING_APPROVAL;
        execution->deadline_at = domain_time(call->now_ms + RUNBOOK_APPROVAL_MS);
        return FAULT_NONE;
    }
    execution->status = RUNBOOK_EXECUTION_STATUS_RUNNING;
    execution->has_started_at = true;
    execution->started_at = execution->requested_at;
    execution->deadline_at = deadline(execution->plan.items, execution->plan.count, call->now_ms);
    return entry_add(execution, execution->status, request->reason, call, ret_facts, reterr);
}

fault_code runbook_execution_decide_approve(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                            struct domain_call *call, struct fact_list *ret_facts,
                                            struct fault *reterr) {
    const RunbookExecution *execution = &aggregate->state.runbook_execution;
    const slice reason = intent->intent.approve_runbook_execution.reason;
    const fault_code code = move_check(aggregate, RUNBOOK_EXECUTION_STATUS_RUNNING, reterr);
    if (code) return code;
    if (slice_equal(call->actor, execution->requested_by))
        return fault_set(reterr, FAULT_DENIED,
                         "execution '%.*s' was asked for by '%.*s', and is approved by somebody else: four eyes",
                         SLICE_ARG(aggregate->id), SLICE_ARG(content_shortened(call->actor, 200)));
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_runbook_execution_approved_tag);
    fact->fact.runbook_execution_approved = (RunbookExecutionApproved){
        .execution_id = aggregate->id,
        .approved_by = call->actor,
        .has_approved_at = true,
        .approved_at = domain_time(call->now_ms),
        .reason = reason,
        .has_deadline_at = true,
        .deadline_at = deadline(execution->plan.items, execution->plan.count, call->now_ms),
    };
    return entry_add(execution, RUNBOOK_EXECUTION_STATUS_RUNNING, reason, call, ret_facts, reterr);
}

/* ---- steps ---- */

static const RunbookStepResult *result_find(const RunbookExecution *execution, slice step_id) {
    for (size_t i = 0; i < execution->steps.count; i++)
        if (slice_equal(execution->steps.items[i].step_id, step_id)) return &execution->steps.items[i];
    return NULL;
}

static bool planned(const RunbookExecution *execution, slice step_id) {
    for (size_t i = 0; i < execution->plan.count; i++)
        if (slice_equal(execution->plan.items[i].step_id, step_id)) return true;
    return false;
}

/* A time that is not given again says nothing else. */
static bool same_time(bool given, Timestamp time, bool has_before, Timestamp before) {
    return !given || (has_before && content_time_equal(time, before));
}

static bool same_result(const RunbookStepResult *given, const RunbookStepResult *before) {
    return given->status == before->status && slice_equal(given->output, before->output) &&
           same_time(given->has_started_at, given->started_at, before->has_started_at, before->started_at) &&
           same_time(given->has_ended_at, given->ended_at, before->has_ended_at, before->ended_at);
}

static fault_code output_check(const RunbookExecution *execution, slice output, struct fault *reterr) {
    size_t bytes = output.size;
    for (size_t i = 0; i < execution->steps.count; i++) bytes += execution->steps.items[i].output.size;
    if (bytes <= RUNBOOK_OUTPUT_BYTES_MAX) return FAULT_NONE;
    return fault_set(reterr, FAULT_CONFLICT,
                     "result.output: with it the steps of execution '%.*s' would hold %zu bytes of output, the most is "
                     "%d: shorten it, and link to the whole",
                     SLICE_ARG(execution->execution_id), bytes, RUNBOOK_OUTPUT_BYTES_MAX);
}

/* A step is of its execution, and is over when it is reported; clocks differ. ended_at: when not given, now. */
static fault_code times_check(const RunbookExecution *execution, const RunbookStepResult *result, int64_t now_ms,
                              struct fault *reterr) {
    const int64_t ended_ms = result->has_ended_at ? domain_ms(result->ended_at) : now_ms;
    const int64_t started_ms = result->has_started_at ? domain_ms(result->started_at) : ended_ms;
    const char *const first = result->has_started_at ? "started_at" : "ended_at";
    if (result->has_started_at && result->has_ended_at && ended_ms < started_ms)
        return fault_set(reterr, FAULT_INPUT, "result.ended_at: is before started_at");
    if (execution->has_started_at && domain_ms(execution->started_at) - started_ms > RUNBOOK_CLOCKS_MS_MAX)
        return fault_set(reterr, FAULT_INPUT, "result.%s: is %lld s before the execution's start, the most is %d",
                         first, (long long)(domain_ms(execution->started_at) - started_ms) / 1000,
                         RUNBOOK_CLOCKS_MS_MAX / 1000);
    if (started_ms - now_ms > RUNBOOK_CLOCKS_MS_MAX || ended_ms - now_ms > RUNBOOK_CLOCKS_MS_MAX)
        return fault_set(reterr, FAULT_INPUT, "result.%s: is %lld s ahead of the aggregator's clock, the most is %d",
                         ended_ms > now_ms ? "ended_at" : first,
                         (long long)((ended_ms > started_ms ? ended_ms : started_ms) - now_ms) / 1000,
                         RUNBOOK_CLOCKS_MS_MAX / 1000);
    return FAULT_NONE;
}

/* ended_at where none was given: a clock that is ahead does not make a step end before it began. */
static Timestamp ended_at(const RunbookStepResult *result, int64_t now_ms) {
    const bool ahead = result->has_started_at && domain_ms(result->started_at) > now_ms;
    return ahead ? result->started_at : domain_time(now_ms);
}

fault_code runbook_execution_decide_step(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                         struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const RunbookStepResult *result = &intent->intent.record_runbook_step.result;
    const RunbookExecution *execution = &aggregate->state.runbook_execution;
    if (!aggregate_exists(aggregate))
        return fault_set(reterr, FAULT_ABSENT, "execution '%.*s' does not exist", SLICE_ARG(aggregate->id));
    if (!among(result->status, step_results))
        return fault_set(reterr, FAULT_INPUT,
                         "result.status: a step has succeeded, failed, timed out or was cancelled");
    if (!planned(execution, result->step_id))
        return fault_set(reterr, FAULT_INPUT, "result.step_id: '%.*s' is not a step of execution '%.*s'",
                         SLICE_ARG(result->step_id), SLICE_ARG(aggregate->id));
    const RunbookStepResult *before = result_find(execution, result->step_id);
    if (before && same_result(result, before)) return FAULT_NONE;
    if (before)
        return fault_set(
            reterr, FAULT_CONFLICT, "step '%.*s' of execution '%.*s' has its result, it %s%s: a result is said once",
            SLICE_ARG(result->step_id), SLICE_ARG(aggregate->id),
            before->status == RUNBOOK_EXECUTION_STATUS_CANCELLED ? "was " : "", status_name(before->status));
    if (execution->status != RUNBOOK_EXECUTION_STATUS_RUNNING)
        return fault_set(reterr, FAULT_CONFLICT, "execution '%.*s' is %s: steps are recorded while it is running",
                         SLICE_ARG(aggregate->id), status_name(execution->status));
    fault_code code = times_check(execution, result, call->now_ms, reterr);
    if (!code) code = output_check(execution, result->output, reterr);
    if (code) return code;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_runbook_step_recorded_tag);
    fact->fact.runbook_step_recorded =
        (RunbookStepRecorded){.execution_id = aggregate->id, .has_result = true, .result = *result};
    if (!result->has_ended_at) {
        fact->fact.runbook_step_recorded.result.has_ended_at = true;
        fact->fact.runbook_step_recorded.result.ended_at = ended_at(result, call->now_ms);
    }
    return FAULT_NONE;
}

/* ---- end ---- */

static fault_code end_add(const struct aggregate *aggregate, RunbookExecutionStatus status, slice why,
                          struct domain_call *call, struct fact_list *facts, struct fault *reterr) {
    SreDomainFact *fact = fact_list_add(facts, SreDomainFact_runbook_execution_completed_tag);
    fact->fact.runbook_execution_completed.has_execution = true;
    RunbookExecution *execution = &fact->fact.runbook_execution_completed.execution;
    *execution = aggregate->state.runbook_execution;
    execution->status = status;
    execution->outcome = why;
    execution->ended_by = call->actor;
    execution->has_ended_at = true;
    execution->ended_at = domain_time(call->now_ms);
    execution->version = (int64_t)aggregate->version + 1;
    return entry_add(execution, status, why, call, facts, reterr);
}

fault_code runbook_execution_decide_reject(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                           struct domain_call *call, struct fact_list *ret_facts,
                                           struct fault *reterr) {
    const fault_code code = move_check(aggregate, RUNBOOK_EXECUTION_STATUS_REJECTED, reterr);
    if (code) return code;
    return end_add(aggregate, RUNBOOK_EXECUTION_STATUS_REJECTED, intent->intent.reject_runbook_execution.reason, call,
                   ret_facts, reterr);
}

/* Every step of the plan succeeded; the first that did not is named. */
static fault_code success_check(const RunbookExecution *execution, struct fault *reterr) {
    for (size_t i = 0; i < execution->plan.count; i++) {
        const slice step_id = execution->plan.items[i].step_id;
        const RunbookStepResult *result = result_find(execution, step_id);
        if (result && result->status == RUNBOOK_EXECUTION_STATUS_SUCCEEDED) continue;
        return fault_set(reterr, FAULT_CONFLICT, "execution '%.*s' has not succeeded: step '%.*s' %s%s",
                         SLICE_ARG(execution->execution_id), SLICE_ARG(step_id),
                         result && result->status == RUNBOOK_EXECUTION_STATUS_CANCELLED ? "was " : "",
                         result ? status_name(result->status) : "has no result yet");
    }
    return FAULT_NONE;
}

fault_code runbook_execution_decide_complete(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                             struct domain_call *call, struct fact_list *ret_facts,
                                             struct fault *reterr) {
    const CompleteRunbookExecutionRequested *request = &intent->intent.complete_runbook_execution;
    const RunbookExecution *execution = &aggregate->state.runbook_execution;
    const RunbookExecutionStatus to = request->status;
    slice why = request->reason;
    if (to == RUNBOOK_EXECUTION_STATUS_TIMED_OUT && call->sender != SELF)
        return fault_set(reterr, FAULT_DENIED, "status: that its time has passed is for the aggregator to say");
    if (to == RUNBOOK_EXECUTION_STATUS_TIMED_OUT && aggregate_exists(aggregate) && among(execution->status, ends))
        return FAULT_NONE; /* it ended while its deadline came */
    if (to != RUNBOOK_EXECUTION_STATUS_TIMED_OUT && to != RUNBOOK_EXECUTION_STATUS_SUCCEEDED &&
        to != RUNBOOK_EXECUTION_STATUS_FAILED && to != RUNBOOK_EXECUTION_STATUS_CANCELLED)
        return fault_set(reterr, FAULT_INPUT, "status: an execution ends as succeeded, failed or cancelled");
    fault_code code = move_check(aggregate, to, reterr);
    if (code) return code;
    if (to == RUNBOOK_EXECUTION_STATUS_SUCCEEDED) code = success_check(execution, reterr);
    if (code) return code;
    if (to == RUNBOOK_EXECUTION_STATUS_TIMED_OUT) {
        const int64_t left_ms = domain_ms(execution->deadline_at) - call->now_ms;
        if (left_ms > 0)
            return fault_set(reterr, FAULT_CONFLICT, "execution '%.*s' has another %lld ms", SLICE_ARG(aggregate->id),
                             (long long)left_ms);
        why = execution->status == RUNBOOK_EXECUTION_STATUS_RUNNING
                  ? SLICE_LIT("the time of its steps has passed without an end")
                  : SLICE_LIT("nobody approved it within 24 hours");
    }
    return end_add(aggregate, to, why, call, ret_facts, reterr);
}

/* ---- apply ---- */

void runbook_execution_apply_created(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                     struct arena *arena) {
    aggregate->state.runbook_execution = fact->fact.runbook_execution_created.execution;
}

void runbook_execution_apply_approved(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                      struct arena *arena) {
    const RunbookExecutionApproved *approved = &fact->fact.runbook_execution_approved;
    RunbookExecution *execution = &aggregate->state.runbook_execution;
    execution->status = RUNBOOK_EXECUTION_STATUS_RUNNING;
    execution->approved_by = approved->approved_by;
    execution->has_approved_at = execution->has_started_at = true;
    execution->approved_at = execution->started_at = approved->approved_at;
    execution->has_deadline_at = true;
    execution->deadline_at = approved->deadline_at;
}

void runbook_execution_apply_step(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                  struct arena *arena) {
    RunbookExecution *execution = &aggregate->state.runbook_execution;
    const size_t count = execution->steps.count, item = sizeof *execution->steps.items;
    RunbookStepResult *items = arena_alloc_array(arena, count + 1, item);
    if (!items) return; /* the fact holds it; decisions are made in arenas far larger than 128 results */
    if (count) memcpy(items, execution->steps.items, count * item);
    items[count] = fact->fact.runbook_step_recorded.result;
    execution->steps.items = items;
    execution->steps.count = count + 1;
}

void runbook_execution_apply_completed(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                       struct arena *arena) {
    aggregate->state.runbook_execution = fact->fact.runbook_execution_completed.execution;
}
