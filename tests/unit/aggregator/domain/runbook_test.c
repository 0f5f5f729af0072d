/* SPDX-License-Identifier: Apache-2.0
 * All combinations of a step's kind, command and link, by the rules of the contract written out a second time. */
#include "aggregator/domain/runbook.h"
#include "tests/unit/aggregator/domain/domain_fixture.h"

static fault_code create(struct world *w, const RunbookStep *step, AutomationLevel level) {
    CreateRunbookRequested *r = &world_intent(w, SreDomainIntent_create_runbook_tag)->intent.create_runbook;
    RunbookStep *own = arena_alloc(w->arena, sizeof *own);
    *own = *step;
    r->title = SLICE_LIT("Restart");
    r->automation_level = level;
    r->steps.items = own;
    r->steps.count = 1;
    return world_give(w);
}

/* given kind, command, link -> kind as stored, or 0: refused */
static const struct {
    RunbookStepKind kind;
    bool command, link;
    RunbookStepKind stored;
} rows[] = {
    {RUNBOOK_STEP_KIND_UNSPECIFIED, false, false, RUNBOOK_STEP_KIND_MANUAL},
    {RUNBOOK_STEP_KIND_UNSPECIFIED, true, false, RUNBOOK_STEP_KIND_COMMAND},
    {RUNBOOK_STEP_KIND_UNSPECIFIED, false, true, RUNBOOK_STEP_KIND_LINK},
    {RUNBOOK_STEP_KIND_UNSPECIFIED, true, true, 0},
    {RUNBOOK_STEP_KIND_MANUAL, false, false, RUNBOOK_STEP_KIND_MANUAL},
    {RUNBOOK_STEP_KIND_MANUAL, true, false, 0},
    {RUNBOOK_STEP_KIND_MANUAL, false, true, 0},
    {RUNBOOK_STEP_KIND_MANUAL, true, true, 0},
    {RUNBOOK_STEP_KIND_COMMAND, false, false, 0},
    {RUNBOOK_STEP_KIND_COMMAND, true, false, RUNBOOK_STEP_KIND_COMMAND},
    {RUNBOOK_STEP_KIND_COMMAND, false, true, 0},
    {RUNBOOK_STEP_KIND_COMMAND, true, true, 0},
    {RUNBOOK_STEP_KIND_LINK, false, false, 0},
    {RUNBOOK_STEP_KIND_LINK, true, false, 0},
    {RUNBOOK_STEP_KIND_LINK, false, true, RUNBOOK_STEP_KIND_LINK},
    {RUNBOOK_STEP_KIND_LINK, true, true, 0},
};

TEST(a_step_has_what_its_kind_needs_and_nothing_else) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (AutomationLevel level = AUTOMATION_LEVEL_UNSPECIFIED; level <= AUTOMATION_LEVEL_AUTOMATED; level++) {
            struct world *w = world_new(AGGREGATE_RUNBOOK, SLICE_LIT("restart"));
            const RunbookStep step = {.kind = rows[i].kind,
                                      .command = rows[i].command ? SLICE_LIT("reboot") : (slice){0},
                                      .link = rows[i].link ? SLICE_LIT("https://example.com/") : (slice){0}};
            const bool needs_a_person = rows[i].stored != RUNBOOK_STEP_KIND_COMMAND;
            const bool fits = rows[i].stored && !(level == AUTOMATION_LEVEL_AUTOMATED && needs_a_person);
            CHECK_FAULT(create(w, &step, level), fits ? FAULT_NONE : FAULT_INPUT);
            if (fits) assert_int_equal(w->aggregate.state.runbook.steps.items[0].kind, rows[i].stored);
            world_free(w);
        }
}

TEST(a_step_gets_five_minutes_and_a_runbook_the_level_manual_when_nothing_is_said) {
    struct world *w = world_new(AGGREGATE_RUNBOOK, SLICE_LIT("restart"));
    assert_int_equal(create(w, &(RunbookStep){0}, AUTOMATION_LEVEL_UNSPECIFIED), FAULT_NONE);
    const Runbook *now = &w->aggregate.state.runbook;
    assert_int_equal(now->steps.items[0].timeout_seconds, 300);
    assert_int_equal(now->automation_level, AUTOMATION_LEVEL_MANUAL);
    CHECK_SLICE(now->steps.items[0].step_id, "step-1");
    assert_int_equal(now->version, 1);
    world_free(w);
}

TEST(the_request_is_not_changed_by_deciding) {
    struct world *w = world_new(AGGREGATE_RUNBOOK, SLICE_LIT("restart"));
    assert_int_equal(create(w, &(RunbookStep){0}, AUTOMATION_LEVEL_UNSPECIFIED), FAULT_NONE);
    const RunbookStep *asked = w->intent.intent.create_runbook.steps.items;
    assert_int_equal(asked->step_id.size, 0);
    assert_int_equal(asked->timeout_seconds, 0);
    world_free(w);
}

TEST(an_update_keeps_when_it_was_created_and_counts_its_versions) {
    struct world *w = world_new(AGGREGATE_RUNBOOK, SLICE_LIT("restart"));
    assert_int_equal(create(w, &(RunbookStep){0}, AUTOMATION_LEVEL_UNSPECIFIED), FAULT_NONE);
    w->call.now_ms += 5000;
    world_intent(w, SreDomainIntent_update_runbook_tag)->intent.update_runbook.title = SLICE_LIT("Restart it");
    assert_int_equal(world_give(w), FAULT_NONE);
    const Runbook *now = &w->aggregate.state.runbook;
    CHECK_SLICE(now->title, "Restart it");
    assert_int_equal(now->steps.count, 0); /* replaced as a whole */
    assert_int_equal(domain_ms(now->created_at), DOMAIN_NOW_MS);
    assert_int_equal(domain_ms(now->updated_at), DOMAIN_NOW_MS + 5000);
    assert_int_equal(now->version, 2);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_has_what_its_kind_needs_and_nothing_else),
        cmocka_unit_test(a_step_gets_five_minutes_and_a_runbook_the_level_manual_when_nothing_is_said),
        cmocka_unit_test(the_request_is_not_changed_by_deciding),
        cmocka_unit_test(an_update_keeps_when_it_was_created_and_counts_its_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
