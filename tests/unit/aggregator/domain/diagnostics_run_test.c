/* SPDX-License-Identifier: Apache-2.0
 * How a question to an agent ends: once, by whom, and when the clock may say so. */
#include "aggregator/domain/diagnostics_run.h"
#include "tests/unit/aggregator/domain/domain_fixture.h"

static struct world *asked(void) {
    struct world *w = world_new(AGGREGATE_DIAGNOSTICS, SLICE_LIT("q-1"));
    RunDiagnosticsRequested *r = &world_intent(w, SreDomainIntent_run_diagnostics_tag)->intent.run_diagnostics;
    r->agent = SLICE_LIT("edge-1");
    r->has_question = r->has_deadline_at = true;
    r->question = (DiagnosticsQuestion){.verb = DIAGNOSTICS_VERB_LOGS, .kind = SLICE_LIT("pod")};
    r->deadline_at = domain_time(DOMAIN_NOW_MS + 30000);
    CHECK_FAULT(world_give_at(w, 0, RESPONDERS), FAULT_NONE);
    return w;
}

static fault_code complete(struct world *w, DiagnosticsOutcome outcome, slice reason, unsigned sender) {
    CompleteDiagnosticsRequested *r =
        &world_intent(w, SreDomainIntent_complete_diagnostics_tag)->intent.complete_diagnostics;
    r->outcome = outcome;
    r->reason = reason;
    return world_give_at(w, 0, sender);
}

TEST(a_question_names_who_asked_whom_and_until_when) {
    struct world *w = asked();
    const DiagnosticsRun *run = &w->aggregate.state.diagnostics_run;
    assert_true(slice_equal_text(run->requested_by, "anna"));
    assert_true(slice_equal_text(run->agent, "edge-1"));
    assert_int_equal(domain_ms(run->requested_at), DOMAIN_NOW_MS);
    assert_int_equal(run->outcome, DIAGNOSTICS_OUTCOME_UNSPECIFIED);
    world_free(w);
}

TEST(a_deadline_is_within_the_next_five_minutes) {
    static const int64_t refused[] = {-1, 0, DIAGNOSTICS_RUN_MS_MAX + 1}, taken[] = {1, DIAGNOSTICS_RUN_MS_MAX};
    for (size_t i = 0; i < sizeof refused / sizeof *refused + sizeof taken / sizeof *taken; i++) {
        struct world *w = world_new(AGGREGATE_DIAGNOSTICS, SLICE_LIT("q-1"));
        RunDiagnosticsRequested *r = &world_intent(w, SreDomainIntent_run_diagnostics_tag)->intent.run_diagnostics;
        r->has_deadline_at = true;
        r->deadline_at = domain_time(DOMAIN_NOW_MS + (i < 3 ? refused[i] : taken[i - 3]));
        CHECK_FAULT(world_give(w), i < 3 ? FAULT_INPUT : FAULT_NONE);
        world_free(w);
    }
}

TEST(only_the_aggregator_says_how_it_ended_and_only_once) {
    for (unsigned sender = 1; sender <= ADMINS; sender *= 2) {
        struct world *w = asked();
        CHECK_FAULT(complete(w, DIAGNOSTICS_OUTCOME_ANSWERED, SLICE_LIT(""), sender),
                    sender == SELF ? FAULT_NONE : FAULT_DENIED);
        assert_int_equal(w->aggregate.state.diagnostics_run.outcome, sender == SELF ? DIAGNOSTICS_OUTCOME_ANSWERED : 0);
        world_free(w);
    }
    struct world *w = asked();
    CHECK_FAULT(complete(w, DIAGNOSTICS_OUTCOME_REFUSED, SLICE_LIT("not allowed"), SELF), FAULT_NONE);
    CHECK_FAULT(complete(w, DIAGNOSTICS_OUTCOME_REFUSED, SLICE_LIT("not allowed"), SELF), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    CHECK_FAULT(complete(w, DIAGNOSTICS_OUTCOME_REFUSED, SLICE_LIT("for another reason"), SELF), FAULT_CONFLICT);
    CHECK_FAULT(complete(w, DIAGNOSTICS_OUTCOME_ANSWERED, SLICE_LIT(""), SELF), FAULT_CONFLICT);
    assert_int_equal(w->aggregate.state.diagnostics_run.outcome, DIAGNOSTICS_OUTCOME_REFUSED);
    world_free(w);
}

TEST(the_clock_ends_as_unknown_what_nobody_ended) {
    struct world *w = asked();
    struct aggregate_index index;
    aggregate_index(&w->aggregate, w->arena, &index);
    assert_true(index.open);
    assert_int_equal(index.due_ms, DOMAIN_NOW_MS + 30000 + DIAGNOSTICS_RUN_GRACE_MS);
    SreDomainIntent due;
    assert_true(domain_due(AGGREGATE_DIAGNOSTICS, SLICE_LIT("q-1"), index.due_ms, &due));
    w->intent = due;
    w->call.now_ms = index.due_ms - 1;
    CHECK_FAULT(world_give(w), FAULT_CONFLICT);
    w->call.now_ms = index.due_ms;
    CHECK_FAULT(world_give(w), FAULT_NONE);
    assert_int_equal(w->aggregate.state.diagnostics_run.outcome, DIAGNOSTICS_OUTCOME_UNKNOWN);
    assert_true(w->aggregate.state.diagnostics_run.reason.size > 0);
    aggregate_index(&w->aggregate, w->arena, &index);
    assert_false(index.open);
    assert_int_equal(index.due_ms, 0);
    world_free(w);
}

TEST(what_a_process_before_this_one_has_asked_ends_at_once_and_once) {
    struct world *w = asked();
    SreDomainIntent intent;
    assert_false(domain_abandoned(AGGREGATE_ALERT, SLICE_LIT("a-1"), 1, &intent));
    assert_true(domain_abandoned(AGGREGATE_DIAGNOSTICS, SLICE_LIT("q-1"), 1, &intent));
    w->intent = intent;
    CHECK_FAULT(world_give(w), FAULT_NONE);
    assert_int_equal(w->aggregate.state.diagnostics_run.outcome, DIAGNOSTICS_OUTCOME_UNKNOWN);
    CHECK_SLICE(w->aggregate.state.diagnostics_run.reason,
                "the aggregator was restarted while it waited: what the agent did is not known");
    w->intent = intent;
    CHECK_FAULT(world_give(w), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    world_free(w);
}

TEST(the_clock_changes_nothing_that_ended_in_time) {
    struct world *w = asked();
    CHECK_FAULT(complete(w, DIAGNOSTICS_OUTCOME_TIMED_OUT, SLICE_LIT("no answer"), SELF), FAULT_NONE);
    w->call.now_ms += 3600000;
    CHECK_FAULT(complete(w, DIAGNOSTICS_OUTCOME_UNKNOWN, SLICE_LIT(""), SELF), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_names_who_asked_whom_and_until_when),
        cmocka_unit_test(a_deadline_is_within_the_next_five_minutes),
        cmocka_unit_test(only_the_aggregator_says_how_it_ended_and_only_once),
        cmocka_unit_test(the_clock_ends_as_unknown_what_nobody_ended),
        cmocka_unit_test(what_a_process_before_this_one_has_asked_ends_at_once_and_once),
        cmocka_unit_test(the_clock_changes_nothing_that_ended_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
