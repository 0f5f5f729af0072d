/* SPDX-License-Identifier: Apache-2.0
 * An intent of two facts that fails between them leaves nothing behind, in memory neither. Found by tests/simulation. */
#include "tests/simulation/injection.h"
#include "tests/unit/aggregator/journal/journal_fixture.h"

static void keep(void *context, const struct journal_outcome *outcome) {
    *(enum journal_result *)context = outcome->result;
}

static enum journal_result give(struct place *place, enum method_role role, const SreDomainIntent *intent) {
    struct fault fault;
    enum journal_result result = JOURNAL_FAILED;
    const struct journal_command command = {
        .caller = {.tenant = SLICE_LIT("acme"), .actor = SLICE_LIT("anna"), .role = role},
        .intent = place_intent(place, intent),
        .done = keep,
        .context = &result};
    CHECK_OK(journal_submit(place->journal, &command, &fault));
    injection_pause(false);
    journal_turn(place->journal);
    injection_pause(true);
    return result;
}

static SreDomainIntent target(double percent) {
    const SreDomainIntent made = place_slo_intent("checkout");
    const CreateSLORequested *slo = &made.intent.create_slo;
    SreDomainIntent intent = {.which_intent = SreDomainIntent_update_slo_tag};
    intent.intent.update_slo = (UpdateSLORequested){.slo_id = slo->slo_id,
                                                    .name = slo->name,
                                                    .target = percent,
                                                    .window = slo->window,
                                                    .has_sli_spec = true,
                                                    .sli_spec = slo->sli_spec};
    return intent;
}

TEST(an_slo_whose_second_fact_fails_has_not_changed) {
    struct place *place = place_new();
    place->settings.without_thread = true;
    injection_pause(true);
    place_open(place);
    const SreDomainIntent create = place_slo_intent("checkout"), window = place_window_intent("checkout", 1, 1);
    const SreDomainIntent strict = target(99.9), lax = target(50);
    assert_int_equal(give(place, ROLE_RESPONDER, &create), JOURNAL_COMMITTED);
    assert_int_equal(give(place, ROLE_INTEGRATION, &window), JOURNAL_COMMITTED);
    int64_t now_ms = 0;
    bool struck = true;
    for (unsigned n = 1; struck; n++) {
        assert_int_equal(give(place, ROLE_RESPONDER, &lax), JOURNAL_COMMITTED);
        injection_begin(INJECT_STORE_FULL, n);
        const enum journal_result result = give(place, ROLE_RESPONDER, &strict);
        struck = injection_struck();
        injection_begin(INJECT_NOTHING, 0);
        injection_clock(now_ms += 2000); /* it tries again after a second */
        if (result == JOURNAL_FAILED) assert_int_equal(give(place, ROLE_RESPONDER, &strict), JOURNAL_COMMITTED);
    }
    place_verify_versions(place);
    place_free(place);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_slo_whose_second_fact_fails_has_not_changed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
