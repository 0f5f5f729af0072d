/* SPDX-License-Identifier: Apache-2.0
 * A journal without a thread: what is decided in one transaction is chosen by the test. */
#include "tests/unit/aggregator/journal/journal_fixture.h"

static struct place *without_thread(void) {
    struct place *place = place_new();
    place->settings.without_thread = true;
    place_open(place);
    return place;
}

static void on_count(void *context, const struct journal_outcome *outcome) {
    ((size_t *)context)[outcome->result]++;
}

static void submit(struct place *place, const SreDomainIntent *intent, size_t counts[4]) {
    struct fault fault;
    const struct journal_command command = {
        .caller = {.tenant = SLICE_LIT("acme"), .actor = SLICE_LIT("hook"), .role = ROLE_INTEGRATION},
        .intent = place_intent(place, intent),
        .done = on_count,
        .context = counts};
    CHECK_OK(journal_submit(place->journal, &command, &fault));
}

TEST(nothing_is_decided_before_the_turn) {
    struct place *place = without_thread();
    size_t counts[4] = {0};
    const SreDomainIntent incident = place_incident_intent("inc-1");
    submit(place, &incident, counts);
    assert_int_equal(journal_last_sequence(place->journal), 0);
    journal_turn(place->journal);
    assert_int_equal(journal_last_sequence(place->journal), 1);
    assert_int_equal(counts[JOURNAL_COMMITTED], 1);
    place_free(place);
}

TEST(what_waits_is_decided_when_it_is_closed_and_lost_when_it_is_abandoned) {
    struct place *place = without_thread();
    size_t counts[4] = {0};
    const SreDomainIntent one = place_incident_intent("inc-1"), two = place_incident_intent("inc-2");
    submit(place, &one, counts);
    place->journal = journal_abandon(place->journal);
    assert_int_equal(counts[JOURNAL_COMMITTED] + counts[JOURNAL_FAILED], 0);
    place_open(place);
    assert_int_equal(journal_last_sequence(place->journal), 0);
    submit(place, &two, counts);
    place_reopen(place);
    assert_int_equal(counts[JOURNAL_COMMITTED], 1);
    assert_int_equal(journal_last_sequence(place->journal), 1);
    place_free(place);
}

/* Found by tests/simulation: the SLO had no number of its own yet, and the window was stored under none. */
TEST(a_window_in_the_transaction_that_creates_its_slo_is_known_afterwards) {
    struct place *place = without_thread();
    size_t counts[4] = {0};
    const SreDomainIntent slo = place_slo_intent("checkout"), other = place_slo_intent("search"),
                          window = place_window_intent("checkout", 5, 1), others = place_window_intent("search", 5, 1);
    submit(place, &slo, counts);
    submit(place, &other, counts);
    submit(place, &window, counts);
    submit(place, &others, counts);
    journal_turn(place->journal);
    assert_int_equal(counts[JOURNAL_COMMITTED], 4); /* the two windows are not taken for each other's */
    submit(place, &window, counts);
    journal_turn(place->journal);
    assert_int_equal(counts[JOURNAL_REPEATED], 1);
    assert_int_equal(place_slo(place, "checkout").budget.total, 10);
    place_free(place);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_decided_before_the_turn),
        cmocka_unit_test(what_waits_is_decided_when_it_is_closed_and_lost_when_it_is_abandoned),
        cmocka_unit_test(a_window_in_the_transaction_that_creates_its_slo_is_known_afterwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
