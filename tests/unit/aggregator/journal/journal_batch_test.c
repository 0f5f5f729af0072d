/* SPDX-License-Identifier: Apache-2.0
 * Batches by the rules of delivery: repeats, overlaps, holes stated and not, ends, poison; and windows in them. */
#include "tests/unit/aggregator/journal/journal_fixture.h"

enum { N = 16 };

/* An SLO and the windows 1 .. N of one agent, as encoded intents: intents[i] is sequence i + 1. */
static struct place *windows(slice intents[N]) {
    struct place *place = place_opened();
    const SreDomainIntent slo = place_slo_intent("checkout");
    assert_int_equal(place_give(place, place_intent(place, &slo))->result, JOURNAL_COMMITTED);
    for (int i = 0; i < N; i++) {
        const SreDomainIntent window = place_window_intent("checkout", 1 + i, 1);
        intents[i] = place_intent(place, &window);
    }
    return place;
}

static void expect(const struct journal_batch_outcome *batch, uint64_t committed, uint64_t applied, uint64_t repeated,
                   uint64_t missing, uint64_t wanted) {
    if (batch->result != JOURNAL_COMMITTED) fail_msg("%s", batch->fault.text);
    assert_int_equal(batch->committed_sequence, committed);
    assert_int_equal(batch->applied, applied);
    assert_int_equal(batch->repeated, repeated);
    assert_int_equal(batch->missing, missing);
    assert_int_equal(batch->wanted_sequence, wanted);
}

static int64_t total(struct place *place) {
    return place_slo(place, "checkout").budget.total;
}

TEST(batches_in_order_are_applied) {
    slice intents[N];
    struct place *place = windows(intents);
    expect(place_batch(place, 0, 1, intents, 4), 4, 4, 0, 0, 0);
    assert_true(place->batch.new_epoch);
    CHECK_SLICE(place->batch.epoch, JOURNAL_EPOCH);
    CHECK_SLICE(place->batch.agent, "edge-1");
    expect(place_batch(place, 4, 5, intents + 4, 12), 16, 12, 0, 0, 0);
    assert_false(place->batch.new_epoch);
    assert_int_equal(total(place), 160);
    place_verify_versions(place);
    place_free(place);
}

TEST(a_batch_that_comes_again_has_no_effect_even_after_a_restart) {
    slice intents[N];
    struct place *place = windows(intents);
    expect(place_batch(place, 0, 1, intents, 4), 4, 4, 0, 0, 0);
    const uint64_t last = journal_last_sequence(place->journal);
    for (int i = 0; i < 3; i++) {
        expect(place_batch(place, 0, 1, intents, 4), 4, 0, 4, 0, 0);
        expect(place_batch(place, 1, 2, intents + 1, 2), 4, 0, 2, 0, 0);
        place_reopen(place);
    }
    assert_int_equal(journal_last_sequence(place->journal), last);
    assert_int_equal(total(place), 40);
    place_free(place);
}

TEST(a_batch_that_overlaps_is_applied_from_where_it_is_new) {
    slice intents[N];
    struct place *place = windows(intents);
    expect(place_batch(place, 0, 1, intents, 4), 4, 4, 0, 0, 0);
    expect(place_batch(place, 2, 3, intents + 2, 5), 7, 3, 2, 0, 0);
    expect(place_batch(place, 0, 1, intents, N), 16, 9, 7, 0, 0);
    assert_int_equal(total(place), 160);
    place_free(place);
}

TEST(a_stated_hole_is_counted_once_and_passed_over) {
    slice intents[N];
    struct place *place = windows(intents);
    expect(place_batch(place, 0, 1, intents, 2), 2, 2, 0, 0, 0);
    expect(place_batch(place, 2, 6, intents + 5, 2), 7, 2, 0, 3, 0);
    expect(place_batch(place, 2, 6, intents + 5, 2), 7, 0, 2, 0, 0);
    assert_int_equal(place_stats(place).missing, 3);
    /* What was shed is gone: it is not taken when it comes after all. */
    expect(place_batch(place, 2, 3, intents + 2, 3), 7, 0, 3, 0, 0);
    assert_int_equal(total(place), 40);
    /* At the very beginning too, and partly known. */
    expect(place_batch(place, 5, 10, intents + 9, 1), 10, 1, 0, 2, 0);
    place_free(place);
}

TEST(a_hole_that_was_not_stated_is_asked_for) {
    slice intents[N];
    struct place *place = windows(intents);
    expect(place_batch(place, 4, 5, intents + 4, 2), 0, 0, 0, 0, 1);
    expect(place_batch(place, 0, 1, intents, 3), 3, 3, 0, 0, 0);
    expect(place_batch(place, 4, 5, intents + 4, 2), 3, 0, 0, 0, 4);
    expect(place_batch(place, 4, 9, intents + 8, 2), 3, 0, 0, 0, 4); /* stated, but behind one that is not */
    assert_int_equal(total(place), 30);
    expect(place_batch(place, 3, 4, intents + 3, 3), 6, 3, 0, 0, 0);
    assert_int_equal(total(place), 60);
    assert_int_equal(place_stats(place).missing, 0);
    place_free(place);
}

TEST(an_empty_batch_states_a_hole_or_an_end) {
    slice intents[N];
    struct place *place = windows(intents);
    expect(place_batch(place, 0, 4, NULL, 0), 3, 0, 0, 3, 0);
    expect(place_batch(place, 3, 4, intents + 3, 1), 4, 1, 0, 0, 0);
    expect(place_batch(place, 0, 2, NULL, 0), 4, 0, 0, 0, 0);
    const EncodedIntentBatch end = {
        .epoch = SLICE_LIT(JOURNAL_EPOCH), .stream = 1, .after_sequence = 4, .first_sequence = 5, .stream_ends = true};
    expect(place_payload(place, place_encode(place, &EncodedIntentBatch_desc, &end)), 4, 0, 0, 0, 0);
    assert_true(place->batch.stream_ended);
    expect(place_batch(place, 0, 1, intents, 2), 4, 0, 2, 0, 0);
    assert_true(place->batch.stream_ended);
    place_free(place);
}

static const struct journal_batch_outcome *of_stream(struct place *place, const char *epoch, uint64_t stream,
                                                     slice intent) {
    const EncodedIntentBatch batch = {.epoch = slice_from_text(epoch),
                                      .stream = stream,
                                      .first_sequence = 1,
                                      .intents = {.items = &intent, .count = 1}};
    return place_payload(place, place_encode(place, &EncodedIntentBatch_desc, &batch));
}

TEST(streams_epochs_and_agents_have_sequences_of_their_own) {
    slice intents[N];
    struct place *place = windows(intents);
    static const char other[] = "0190a5c0-7e1f-7000-8000-000000000002";
    expect(of_stream(place, JOURNAL_EPOCH, 1, intents[0]), 1, 1, 0, 0, 0);
    expect(of_stream(place, JOURNAL_EPOCH, 2, intents[1]), 1, 1, 0, 0, 0);
    assert_false(place->batch.new_epoch);
    expect(of_stream(place, other, 1, intents[2]), 1, 1, 0, 0, 0);
    assert_true(place->batch.new_epoch);
    struct fault fault;
    const EncodedIntentBatch batch = {.epoch = SLICE_LIT(JOURNAL_EPOCH),
                                      .stream = 1,
                                      .first_sequence = 1,
                                      .intents = {.items = &intents[0], .count = 1}};
    CHECK_OK(journal_submit_batch(place->journal, SLICE_LIT("acme"), SLICE_LIT("edge-2"),
                                  place_encode(place, &EncodedIntentBatch_desc, &batch), place_on_batch, place,
                                  &fault));
    place_wait(place);
    expect(&place->batch, 1, 1, 0, 0, 0); /* the same window as another agent measured it */
    assert_int_equal(total(place), 40);
    place_free(place);
}

TEST(one_poison_intent_does_not_stop_the_line) {
    slice intents[N];
    struct place *place = windows(intents);
    SreDomainIntent other = place_window_intent("checkout", 90, 1);
    other.has_meta = true;
    other.meta.tenant_id = SLICE_LIT("other");
    const SreDomainIntent unknown = place_window_intent("no-such-slo", 1, 1);
    const SreDomainIntent forbidden = place_incident_intent("inc-1"); /* not for agents */
    const slice poisoned[] = {intents[0],
                              SLICE_LIT("\xff\xff\xff"),
                              intents[1],
                              place_intent(place, &other),
                              place_intent(place, &unknown),
                              place_intent(place, &forbidden),
                              (slice){0},
                              intents[2]};
    const struct journal_batch_outcome *batch = place_batch(place, 0, 1, poisoned, 8);
    expect(batch, 8, 3, 0, 0, 0);
    assert_int_equal(batch->refused, 5);
    assert_int_equal(total(place), 30);
    struct journal_rejection *items;
    assert_int_equal(place_rejections(place, "acme", &items), 5);
    assert_true(slice_equal(items[4].payload, poisoned[1])); /* each is kept whole, the newest first */
    assert_int_equal(items[3].code, FAULT_DENIED);
    assert_int_equal(items[2].code, FAULT_ABSENT);
    assert_int_equal(items[1].code, FAULT_DENIED);
    CHECK_SLICE(items[0].producer, "edge-1");
    expect(place_batch(place, 0, 1, poisoned, 8), 8, 0, 8, 0, 0);
    assert_int_equal(place_rejections(place, "acme", &items), 5);
    assert_int_equal(place_stats(place).wrong_tenant, 1);
    place_free(place);
}

/* Found by tests/simulation: the SLO that was not made stood in memory until the transaction's end, without a length. */
TEST(a_window_of_an_slo_whose_creation_was_refused_in_the_same_batch_is_refused) {
    struct place *place = place_opened();
    const SreDomainIntent create = place_slo_intent("none"), window = place_window_intent("none", 1, 1);
    const slice intents[] = {place_intent(place, &create), place_intent(place, &window)};
    expect(place_batch(place, 0, 1, intents, 2), 2, 0, 0, 0, 0);
    assert_int_equal(place->batch.refused, 2); /* agents create no SLOs */
    place_free(place);
}

TEST(a_batch_that_cannot_be_read_is_kept_whole) {
    slice intents[N];
    struct place *place = windows(intents);
    const slice garbage = SLICE_LIT("\x0a\x7f garbage");
    assert_int_equal(place_payload(place, garbage)->result, JOURNAL_REFUSED);
    struct journal_rejection *items;
    assert_int_equal(place_rejections(place, "acme", &items), 1);
    assert_true(slice_equal(items[0].payload, garbage));
    assert_int_equal(place_stats(place).unreadable_batches, 1);
    assert_int_equal(of_stream(place, "not-a-uuid", 1, intents[0])->result, JOURNAL_REFUSED);
    assert_int_equal(of_stream(place, JOURNAL_EPOCH, 0, intents[0])->result, JOURNAL_REFUSED);
    assert_int_equal(place_batch(place, 5, 5, intents, 1)->result, JOURNAL_REFUSED); /* does not come after itself */
    assert_int_equal(place_batch(place, 0, UINT64_MAX, intents, 1)->result, JOURNAL_REFUSED);
    expect(place_batch(place, 0, 1, intents, 1), 1, 1, 0, 0, 0);
    place_free(place);
}

TEST(the_longest_names_are_taken_and_longer_ones_refused) {
    struct place *place = place_opened();
    const SreDomainIntent slo = place_slo_intent("checkout");
    place_give(place, place_intent(place, &slo));
    static char actor[256], cluster[129];
    memset(actor, 'a', 255);
    memset(cluster, 'c', 128);
    SreDomainIntent window = place_window_intent("checkout", 1, 1);
    window.intent.record_sli_window.cluster_id = slice_from_text(cluster);
    struct journal_command command = {
        .caller = {.tenant = SLICE_LIT("acme"), .actor = slice_of(actor, 128), .role = ROLE_INTEGRATION},
        .intent = place_intent(place, &window)};
    assert_int_equal(place_command(place, command)->result, JOURNAL_COMMITTED);
    command.caller.actor = slice_of(actor, 255);
    assert_int_equal(place_command(place, command)->result, JOURNAL_REFUSED);
    assert_int_equal(place->outcome.fault.code, FAULT_INPUT);
    assert_false(place_stats(place).refusing); /* one such message is nobody else's trouble */
    place_free(place);
}

/* ---- windows ---- */

TEST(a_higher_revision_corrects_and_a_repeat_in_another_stream_does_not_count) {
    slice intents[N];
    struct place *place = windows(intents);
    expect(place_batch(place, 0, 1, intents, 2), 2, 2, 0, 0, 0);
    expect(of_stream(place, JOURNAL_EPOCH, 2, intents[0]), 1, 0, 1, 0, 0); /* the same window in a new stream */
    assert_int_equal(place_stats(place).window_repeats, 1);
    SreDomainIntent window = place_window_intent("checkout", 1, 2);
    window.intent.record_sli_window.good = 4;
    window.intent.record_sli_window.total = 4;
    expect(of_stream(place, JOURNAL_EPOCH, 3, place_intent(place, &window)), 1, 1, 0, 0, 0);
    SLO slo = place_slo(place, "checkout");
    assert_int_equal(slo.budget.total, 14);
    assert_int_equal(slo.budget.good, 13);
    place_reopen(place);
    window.intent.record_sli_window.revision = 3;
    window.intent.record_sli_window.total = 5;
    expect(of_stream(place, JOURNAL_EPOCH, 4, place_intent(place, &window)), 1, 1, 0, 0, 0);
    slo = place_slo(place, "checkout");
    assert_int_equal(slo.budget.total, 15);
    place_free(place);
}

TEST(a_budget_is_the_same_after_a_restart) {
    slice intents[N];
    struct place *place = windows(intents);
    SreDomainIntent early = place_window_intent("checkout", 20 * 24 * 60, 1);
    const slice both[] = {intents[0], place_intent(place, &early)};
    expect(place_batch(place, 0, 1, both, 2), 2, 2, 0, 0, 0);
    place_reopen(place);
    expect(place_batch(place, 2, 3, intents + 2, 1), 3, 1, 0, 0, 0);
    const SLO slo = place_slo(place, "checkout");
    assert_int_equal(slo.budget.total, 30);
    assert_int_equal(slo.budget.windows.count, SLO_ROLLING);
    assert_int_equal(slo.budget.windows.items[0].total, 20);
    assert_int_equal(slo.budget.windows.items[1].total, 30);
    assert_int_equal(slo.budget.windows.items[2].scrapes_seen, 12);
    place_free(place);
}

TEST(an_slo_without_data_reads_as_unknown) {
    slice intents[N];
    struct place *place = windows(intents);
    const SLO slo = place_slo(place, "checkout");
    assert_true(slo.budget.unknown);
    assert_true(slo.budget.current_budget_remaining == 0);
    for (size_t i = 0; i < SLO_ROLLING; i++) {
        assert_true(slo.budget.windows.items[i].unknown);
        assert_true(slo.budget.windows.items[i].budget_remaining == 0);
    }
    place_free(place);
}

TEST(more_slos_than_are_kept_in_memory_are_counted_right) {
    struct place *place = place_opened();
    enum { SLOS = 5000, EACH = 2 };
    for (int round = -1; round < EACH; round++)
        for (int i = 0; i < SLOS; i += 1000) {
            slice intents[1000];
            for (int k = 0; k < 1000; k++) {
                char id[16];
                snprintf(id, sizeof id, "slo-%04d", i + k);
                const slice kept = arena_copy(place->arena, slice_of(id, strlen(id) + 1));
                SreDomainIntent intent = place_window_intent((const char *)kept.data, 1 + round, 1);
                if (round < 0) {
                    intent = place_slo_intent((const char *)kept.data);
                    assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_COMMITTED);
                } else {
                    intents[k] = place_intent(place, &intent);
                }
            }
            const uint64_t first = (uint64_t)(round * SLOS + i) + 1;
            if (round >= 0) expect(place_batch(place, first - 1, first, intents, 1000), first + 999, 1000, 0, 0, 0);
        }
    for (int i = 0; i < SLOS; i += 97) {
        char id[16];
        snprintf(id, sizeof id, "slo-%04d", i);
        const SLO slo = place_slo(place, id);
        assert_int_equal(slo.budget.total, 10 * EACH);
        assert_int_equal(slo.version, 2 + EACH); /* created, exhausted at once, a window each */
    }
    place_verify_versions(place);
    assert_int_equal(place_verify_chain(place), SLOS * (2 + EACH));
    place_free(place);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_in_order_are_applied),
        cmocka_unit_test(a_batch_that_comes_again_has_no_effect_even_after_a_restart),
        cmocka_unit_test(a_batch_that_overlaps_is_applied_from_where_it_is_new),
        cmocka_unit_test(a_stated_hole_is_counted_once_and_passed_over),
        cmocka_unit_test(a_hole_that_was_not_stated_is_asked_for),
        cmocka_unit_test(an_empty_batch_states_a_hole_or_an_end),
        cmocka_unit_test(streams_epochs_and_agents_have_sequences_of_their_own),
        cmocka_unit_test(one_poison_intent_does_not_stop_the_line),
        cmocka_unit_test(a_window_of_an_slo_whose_creation_was_refused_in_the_same_batch_is_refused),
        cmocka_unit_test(a_batch_that_cannot_be_read_is_kept_whole),
        cmocka_unit_test(the_longest_names_are_taken_and_longer_ones_refused),
        cmocka_unit_test(a_higher_revision_corrects_and_a_repeat_in_another_stream_does_not_count),
        cmocka_unit_test(a_budget_is_the_same_after_a_restart),
        cmocka_unit_test(an_slo_without_data_reads_as_unknown),
        cmocka_unit_test(more_slos_than_are_kept_in_memory_are_counted_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
