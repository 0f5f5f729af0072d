/* SPDX-License-Identifier: Apache-2.0
 * The matrix of an execution's states, all pairs by every intent that can move one, deadlines, and what the scenarios
 * cannot reach: bounds. */
#include "aggregator/domain/incident_timeline.h"
#include "aggregator/domain/runbook_execution.h"
#include "tests/unit/aggregator/domain/domain_fixture.h"

enum { LAST = RUNBOOK_EXECUTION_STATUS_REJECTED, STEP_SECONDS = 60 };

/* An execution of two steps in that status, asked for by ben; anna acts. */
static struct world *execution(RunbookExecutionStatus status, bool with_incident) {
    struct world *w = world_new(AGGREGATE_RUNBOOK_EXECUTION, SLICE_LIT("e-1"));
    struct aggregate *runbook = world_other(w, AGGREGATE_RUNBOOK, SLICE_LIT("restart"));
    RunbookStep *steps = arena_alloc_array(w->arena, 2, sizeof *steps);
    steps[0] = (RunbookStep){.step_id = SLICE_LIT("step-1"), .timeout_seconds = STEP_SECONDS};
    steps[1] = (RunbookStep){.step_id = SLICE_LIT("step-2"), .timeout_seconds = STEP_SECONDS};
    runbook->version = 3;
    runbook->state.runbook.steps.items = steps;
    runbook->state.runbook.steps.count = 2;
    runbook->state.runbook.approval_required = status == RUNBOOK_EXECUTION_STATUS_AWAITING_APPROVAL;
    if (with_incident) world_other(w, AGGREGATE_INCIDENT, SLICE_LIT("inc-1"))->version = 1;
    ExecuteRunbookRequested *r = &world_intent(w, SreDomainIntent_execute_runbook_tag)->intent.execute_runbook;
    r->runbook_id = SLICE_LIT("restart");
    if (with_incident) r->incident_id = SLICE_LIT("inc-1");
    w->call.actor = SLICE_LIT("ben");
    assert_int_equal(world_give(w), FAULT_NONE);
    w->call.actor = SLICE_LIT("anna");
    w->aggregate.state.runbook_execution.status = status;
    return w;
}

static fault_code record(struct world *w, const char *step, RunbookExecutionStatus status, slice output) {
    RecordRunbookStepRequested *r =
        &world_intent(w, SreDomainIntent_record_runbook_step_tag)->intent.record_runbook_step;
    r->has_result = true;
    r->result.step_id = slice_from_text(step);
    r->result.status = status;
    r->result.output = output;
    return world_give(w);
}

static fault_code complete(struct world *w, RunbookExecutionStatus to) {
    world_intent(w, SreDomainIntent_complete_runbook_execution_tag)->intent.complete_runbook_execution.status = to;
    return world_give(w);
}

/* By the intent that moves there; all that such a move needs besides is so. */
static fault_code go(struct world *w, RunbookExecutionStatus to) {
    RunbookExecution *now = &w->aggregate.state.runbook_execution;
    if (to == RUNBOOK_EXECUTION_STATUS_RUNNING) {
        world_intent(w, SreDomainIntent_approve_runbook_execution_tag);
        return world_give(w);
    }
    if (to == RUNBOOK_EXECUTION_STATUS_REJECTED) {
        world_intent(w, SreDomainIntent_reject_runbook_execution_tag);
        return world_give(w);
    }
    RunbookStepResult *results = arena_alloc_array(w->arena, 2, sizeof *results);
    for (int i = 0; i < 2; i++)
        results[i] =
            (RunbookStepResult){.step_id = now->plan.items[i].step_id, .status = RUNBOOK_EXECUTION_STATUS_SUCCEEDED};
    now->steps.items = results;
    now->steps.count = 2;
    if (to == RUNBOOK_EXECUTION_STATUS_TIMED_OUT) w->call.now_ms = domain_ms(now->deadline_at);
    return complete(w, to);
}

/* The whole matrix, written out a second time: rows from, columns to, in the order of the enum from SUCCEEDED. */
static const char allowed[LAST][LAST + 1] = {
    ".......", /* succeeded */
    ".......", /* failed */
    ".......", /* cancelled */
    ".......", /* timed out */
    "..CT.RX", /* awaiting approval */
    "SFCT...", /* running */
    ".......", /* rejected */
};

TEST(every_move_is_allowed_or_refused_as_the_matrix_says) {
    for (int from = 1; from <= LAST; from++)
        for (int to = 1; to <= LAST; to++) {
            if (to == RUNBOOK_EXECUTION_STATUS_AWAITING_APPROVAL) continue; /* below: no intent leads there */
            struct world *w = execution((RunbookExecutionStatus)from, false);
            const bool may = allowed[from - 1][to - 1] != '.';
            const bool late = to == RUNBOOK_EXECUTION_STATUS_TIMED_OUT && !may; /* it ended as its deadline came */
            assert_int_equal(runbook_execution_may_move((RunbookExecutionStatus)from, (RunbookExecutionStatus)to), may);
            CHECK_FAULT(go(w, (RunbookExecutionStatus)to), may || late ? FAULT_NONE : FAULT_CONFLICT);
            assert_int_equal(w->aggregate.state.runbook_execution.status, may ? to : from);
            assert_int_equal(w->facts.count, may);
            if (!may && !late) assert_non_null(strstr(w->fault.text, "cannot go from"));
            world_free(w);
        }
}

TEST(nothing_leads_back_to_waiting_and_no_status_from_outside_moves) {
    static const int others[] = {0,
                                 RUNBOOK_EXECUTION_STATUS_AWAITING_APPROVAL,
                                 RUNBOOK_EXECUTION_STATUS_RUNNING,
                                 RUNBOOK_EXECUTION_STATUS_REJECTED,
                                 77,
                                 -1};
    for (int from = 1; from <= LAST; from++)
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
            struct world *w = execution((RunbookExecutionStatus)from, false);
            CHECK_FAULT(complete(w, (RunbookExecutionStatus)others[i]), FAULT_INPUT);
            assert_false(
                runbook_execution_may_move((RunbookExecutionStatus)from, RUNBOOK_EXECUTION_STATUS_AWAITING_APPROVAL));
            world_free(w);
        }
    assert_false(runbook_execution_may_move((RunbookExecutionStatus)77, RUNBOOK_EXECUTION_STATUS_RUNNING));
    assert_false(runbook_execution_may_move(RUNBOOK_EXECUTION_STATUS_RUNNING, (RunbookExecutionStatus)77));
}

TEST(only_the_aggregator_says_that_time_has_passed) {
    for (unsigned sender = 1; sender <= ADMINS; sender *= 2) {
        struct world *w = execution(RUNBOOK_EXECUTION_STATUS_RUNNING, false);
        w->call.now_ms += 3600000;
        world_intent(w, SreDomainIntent_complete_runbook_execution_tag)->intent.complete_runbook_execution.status =
            RUNBOOK_EXECUTION_STATUS_TIMED_OUT;
        CHECK_FAULT(world_give_at(w, 0, sender), sender == SELF ? FAULT_NONE : FAULT_DENIED);
        world_free(w);
    }
}

TEST(the_deadline_is_when_it_is_due_until_it_has_ended) {
    struct aggregate_index index;
    struct world *w = execution(RUNBOOK_EXECUTION_STATUS_AWAITING_APPROVAL, false);
    aggregate_index(&w->aggregate, w->arena, &index);
    assert_true(index.open);
    assert_int_equal(index.open_since_ms, DOMAIN_NOW_MS);
    assert_int_equal(index.due_ms, DOMAIN_NOW_MS + RUNBOOK_APPROVAL_MS);
    w->call.now_ms += 1000;
    assert_int_equal(go(w, RUNBOOK_EXECUTION_STATUS_RUNNING), FAULT_NONE);
    aggregate_index(&w->aggregate, w->arena, &index);
    assert_int_equal(index.due_ms, DOMAIN_NOW_MS + 1000 + 2 * STEP_SECONDS * 1000);
    assert_int_equal(index.open_since_ms, DOMAIN_NOW_MS); /* it stays where it stands in the list */
    SreDomainIntent due;
    assert_true(domain_due(AGGREGATE_RUNBOOK_EXECUTION, SLICE_LIT("e-1"), index.due_ms, &due));
    w->intent = due;
    w->call.now_ms = index.due_ms - 1;
    CHECK_FAULT(world_give(w), FAULT_CONFLICT); /* the clock went back: it stays due */
    w->call.now_ms = index.due_ms;
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(w->aggregate.state.runbook_execution.status, RUNBOOK_EXECUTION_STATUS_TIMED_OUT);
    aggregate_index(&w->aggregate, w->arena, &index);
    assert_false(index.open);
    assert_int_equal(index.due_ms, 0);
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    world_free(w);
}

TEST(what_ended_says_how_why_when_and_by_whom) {
    struct world *w = execution(RUNBOOK_EXECUTION_STATUS_RUNNING, false);
    assert_int_equal(record(w, "step-1", RUNBOOK_EXECUTION_STATUS_FAILED, SLICE_LIT("boom")), FAULT_NONE);
    w->call.now_ms += 7000;
    CompleteRunbookExecutionRequested *r =
        &world_intent(w, SreDomainIntent_complete_runbook_execution_tag)->intent.complete_runbook_execution;
    r->status = RUNBOOK_EXECUTION_STATUS_FAILED;
    r->reason = SLICE_LIT("step-1 exploded");
    assert_int_equal(world_give(w), FAULT_NONE);
    const RunbookExecution *said = &w->facts.items[0].fact.runbook_execution_completed.execution;
    CHECK_SLICE(said->outcome, "step-1 exploded");
    CHECK_SLICE(said->ended_by, "anna");
    CHECK_SLICE(said->requested_by, "ben");
    assert_int_equal(domain_ms(said->ended_at), DOMAIN_NOW_MS + 7000);
    assert_int_equal(said->runbook_version, 3);
    assert_int_equal(said->steps.count, 1); /* the fact is whole */
    CHECK_SLICE(said->steps.items[0].output, "boom");
    assert_int_equal(domain_ms(said->steps.items[0].ended_at), DOMAIN_NOW_MS); /* when it was said */
    assert_int_equal(said->version, 3);
    world_free(w);
}

TEST(a_result_given_again_with_its_times_is_a_repeat_and_with_others_it_is_not) {
    struct world *w = execution(RUNBOOK_EXECUTION_STATUS_RUNNING, false);
    assert_int_equal(record(w, "step-1", RUNBOOK_EXECUTION_STATUS_SUCCEEDED, (slice){0}), FAULT_NONE);
    RunbookStepResult *again = &w->intent.intent.record_runbook_step.result;
    again->has_ended_at = true;
    again->ended_at = domain_time(DOMAIN_NOW_MS);
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    again->ended_at = domain_time(DOMAIN_NOW_MS + 1);
    CHECK_FAULT(world_give(w), FAULT_CONFLICT);
    again->step_id = SLICE_LIT("step-2");
    again->has_started_at = true;
    again->started_at = domain_time(DOMAIN_NOW_MS + 2);
    CHECK_FAULT(world_give(w), FAULT_INPUT); /* ends before it starts */
    world_free(w);
}

TEST(the_output_of_all_steps_together_has_a_bound) {
    static uint8_t output[RUNBOOK_OUTPUT_BYTES_MAX];
    struct world *w = execution(RUNBOOK_EXECUTION_STATUS_RUNNING, false);
    assert_int_equal(record(w, "step-1", RUNBOOK_EXECUTION_STATUS_SUCCEEDED, slice_of(output, sizeof output - 10)),
                     FAULT_NONE);
    CHECK_FAULT(record(w, "step-2", RUNBOOK_EXECUTION_STATUS_SUCCEEDED, slice_of(output, 11)), FAULT_CONFLICT);
    assert_int_equal(record(w, "step-2", RUNBOOK_EXECUTION_STATUS_SUCCEEDED, slice_of(output, 10)), FAULT_NONE);
    world_free(w);
}

TEST(an_incident_whose_timeline_is_full_does_not_stop_an_execution) {
    struct world *w = execution(RUNBOOK_EXECUTION_STATUS_RUNNING, true);
    struct aggregate *incident = world_other(w, AGGREGATE_INCIDENT, SLICE_LIT("inc-1"));
    assert_int_equal(incident->version, 2); /* the start */
    const TimelineEntry *entry = &incident->state.incident.timeline.items[0];
    assert_int_equal(entry->kind, TIMELINE_ENTRY_KIND_ACTION);
    CHECK_SLICE(entry->author, "ben");
    assert_int_equal(entry->entry_id.size, UUID_TEXT_SIZE);
    TimelineEntry *full = calloc(INCIDENT_TIMELINE_MAX, sizeof *full);
    incident->state.incident.timeline.items = full;
    incident->state.incident.timeline.count = INCIDENT_TIMELINE_MAX;
    assert_int_equal(complete(w, RUNBOOK_EXECUTION_STATUS_FAILED), FAULT_NONE);
    assert_int_equal(w->facts.count, 1);
    assert_int_equal(incident->version, 2);
    free(full);
    world_free(w);
}

TEST(a_long_reason_is_shortened_in_the_timeline_and_nowhere_else) {
    struct world *w = execution(RUNBOOK_EXECUTION_STATUS_RUNNING, true);
    static char reason[8193];
    memset(reason, 'x', 8192);
    CompleteRunbookExecutionRequested *r =
        &world_intent(w, SreDomainIntent_complete_runbook_execution_tag)->intent.complete_runbook_execution;
    r->status = RUNBOOK_EXECUTION_STATUS_CANCELLED;
    r->reason = slice_from_text(reason);
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(w->facts.count, 2);
    assert_int_equal(w->facts.items[0].fact.runbook_execution_completed.execution.outcome.size, 8192);
    const slice text = w->facts.items[1].fact.incident_timeline_entry_added.entry.text;
    assert_true(text.size < 8192 && text.size > 4096);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_move_is_allowed_or_refused_as_the_matrix_says),
        cmocka_unit_test(nothing_leads_back_to_waiting_and_no_status_from_outside_moves),
        cmocka_unit_test(only_the_aggregator_says_that_time_has_passed),
        cmocka_unit_test(the_deadline_is_when_it_is_due_until_it_has_ended),
        cmocka_unit_test(what_ended_says_how_why_when_and_by_whom),
        cmocka_unit_test(a_result_given_again_with_its_times_is_a_repeat_and_with_others_it_is_not),
        cmocka_unit_test(the_output_of_all_steps_together_has_a_bound),
        cmocka_unit_test(an_incident_whose_timeline_is_full_does_not_stop_an_execution),
        cmocka_unit_test(a_long_reason_is_shortened_in_the_timeline_and_nowhere_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
