/* SPDX-License-Identifier: Apache-2.0
 * Sentences about executions of runbooks. */
#include "tests/scenario/step.h"

static const char *const execution_words[] = {
    "-", "succeeded", "failed", "cancelled", "timed out", "awaiting approval", "running", "rejected", NULL};

static bool execute(struct scenario *s, slice incident) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_execute_runbook_tag};
    intent.intent.execute_runbook.runbook_id = s->words[2];
    intent.intent.execute_runbook.execution_id = s->words[3];
    intent.intent.execute_runbook.incident_id = incident;
    return step_send(s, &intent);
}

static bool execution_begin(struct scenario *s) {
    return execute(s, (slice){0});
}

static bool execution_begin_for(struct scenario *s) {
    return execute(s, s->words[4]);
}

static bool execution_approve(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_approve_runbook_execution_tag};
    intent.intent.approve_runbook_execution.execution_id = s->words[2];
    return step_send(s, &intent);
}

static bool execution_reject(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_reject_runbook_execution_tag};
    intent.intent.reject_runbook_execution.execution_id = s->words[2];
    intent.intent.reject_runbook_execution.reason = s->words[3];
    return step_send(s, &intent);
}

/* who, tenant, step, execution, status, output */
static bool record(struct scenario *s, slice output) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_record_runbook_step_tag};
    RecordRunbookStepRequested *r = &intent.intent.record_runbook_step;
    r->execution_id = s->words[3];
    r->has_result = true;
    r->result.step_id = s->words[2];
    r->result.status = (RunbookExecutionStatus)step_choice(s->words[4], execution_words);
    r->result.output = output;
    return step_send(s, &intent);
}

static bool execution_step(struct scenario *s) {
    return record(s, (slice){0});
}

static bool execution_step_saying(struct scenario *s) {
    return record(s, s->words[5]);
}

/* who, tenant, step, execution, "from" minute, "to" minute */
static bool execution_step_ran(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_record_runbook_step_tag};
    RecordRunbookStepRequested *r = &intent.intent.record_runbook_step;
    r->execution_id = s->words[3];
    r->has_result = r->result.has_started_at = r->result.has_ended_at = true;
    r->result.step_id = s->words[2];
    r->result.status = RUNBOOK_EXECUTION_STATUS_SUCCEEDED;
    r->result.started_at = domain_time(step_minute_ms(s->words[4]));
    r->result.ended_at = domain_time(step_minute_ms(s->words[5]));
    return step_send(s, &intent);
}

static bool execution_end(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_complete_runbook_execution_tag};
    intent.intent.complete_runbook_execution.execution_id = s->words[2];
    intent.intent.complete_runbook_execution.status = (RunbookExecutionStatus)step_choice(s->words[3], execution_words);
    return step_send(s, &intent);
}

static bool execution_read(struct scenario *s, RunbookExecution *execution) {
    return step_read(s, "runbook_execution", s->words[0], SLICE_LIT("acme"), &RunbookExecution_desc, execution);
}

static bool execution_is(struct scenario *s) {
    RunbookExecution execution;
    return execution_read(s, &execution) && step_state_is(s, execution.status, execution_words);
}

static bool text_is(struct scenario *s, slice text) {
    return slice_equal(text, s->words[1]) || step_fails(s, "it is '%.*s'", SLICE_ARG(text));
}

static bool execution_outcome(struct scenario *s) {
    RunbookExecution execution;
    return execution_read(s, &execution) && text_is(s, execution.outcome);
}

static bool execution_approved_by(struct scenario *s) {
    RunbookExecution execution;
    return execution_read(s, &execution) && text_is(s, execution.approved_by);
}

static bool execution_planned(struct scenario *s) {
    RunbookExecution execution;
    if (!execution_read(s, &execution)) return false;
    return execution.plan.count == (size_t)step_number(s->words[1]) ||
           step_fails(s, "there are %zu", execution.plan.count);
}

static bool execution_version(struct scenario *s) {
    RunbookExecution execution;
    if (!execution_read(s, &execution)) return false;
    return execution.version == (int64_t)step_number(s->words[1]) ||
           step_fails(s, "it is %lld", (long long)execution.version);
}

static bool execution_absent(struct scenario *s) {
    RunbookExecution execution;
    if (!step_read(s, "runbook_execution", s->words[0], s->words[1], &RunbookExecution_desc, &execution)) return true;
    return step_fails(s, "it does");
}

static bool timeline_ends(struct scenario *s) {
    Incident incident;
    if (!step_read(s, "incident", s->words[0], SLICE_LIT("acme"), &Incident_desc, &incident)) return false;
    if (!incident.timeline.count) return step_fails(s, "it has no entry");
    return text_is(s, incident.timeline.items[incident.timeline.count - 1].text);
}

const struct step_row runbook_execution_steps[] = {
    {"{who} of {tenant} executes runbook {id} as {execution}", execution_begin},
    {"{who} of {tenant} executes runbook {id} as {execution} for incident {id}", execution_begin_for},
    {"{who} of {tenant} approves execution {id}", execution_approve},
    {"{who} of {tenant} rejects execution {id} because {reason}", execution_reject},
    {"{who} of {tenant} says that {step} of execution {id} has {status}", execution_step},
    {"{who} of {tenant} says that {step} of execution {id} has {status} with the output {text}", execution_step_saying},
    {"{who} of {tenant} says that {step} of execution {id} ran from minute {m} to minute {m}", execution_step_ran},
    {"{who} of {tenant} ends execution {id} as {status}", execution_end},
    {"execution {id} is {status}", execution_is},
    {"the outcome of execution {id} is {text}", execution_outcome},
    {"execution {id} was approved by {who}", execution_approved_by},
    {"the plan of execution {id} has {n} steps", execution_planned},
    {"execution {id} is at version {n}", execution_version},
    {"execution {id} does not exist for {tenant}", execution_absent},
    {"the timeline of incident {id} ends with {text}", timeline_ends},
    {NULL, NULL},
};
