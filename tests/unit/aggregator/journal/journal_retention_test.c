/* SPDX-License-Identifier: Apache-2.0
 * What is kept and for how long, and what is said when there is no room for more. */
#include "aggregator/journal/fact_range.h"
#include "tests/unit/aggregator/journal/journal_fixture.h"

enum { KEEP_MS = 1000, WINDOWS = 2000, PER_BATCH = 200 };
#define DAY_MS (INT64_C(24) * 3600 * 1000)

static struct place *place_with_retention(int64_t windows_ms, uint64_t newest) {
    struct place *place = place_new();
    place->settings.retention.sli_windows_ms = windows_ms;
    place->settings.retention.newest_facts = newest;
    return place;
}

static void slo_make(struct place *place) {
    const SreDomainIntent slo = place_slo_intent("checkout");
    assert_int_equal(place_give(place, place_intent(place, &slo))->result, JOURNAL_COMMITTED);
}

/* Intents `first` .. `first + count - 1` of stream 1, each a window that no other is. */
static const struct journal_batch_outcome *windows_send(struct place *place, uint64_t first, size_t count) {
    slice intents[PER_BATCH];
    for (size_t i = 0; i < count; i++) {
        SreDomainIntent intent = place_window_intent("checkout", 1 + (int64_t)((first + i) % 1000), 1);
        RecordSLIWindowRequested *window = &intent.intent.record_sli_window;
        window->cluster_id = arena_format(place->arena, "c-%llu", (unsigned long long)(first + i) / 1000);
        window->good = window->total = 1;
        intents[i] = place_intent(place, &intent);
    }
    return place_batch(place, first - 1, first, intents, count);
}

static void windows_commit(struct place *place, uint64_t first, size_t count) {
    for (size_t done = 0; done < count; done += PER_BATCH) {
        const struct journal_batch_outcome *outcome = windows_send(place, first + done, PER_BATCH);
        assert_int_equal(outcome->result, JOURNAL_COMMITTED);
        assert_int_equal(outcome->applied, PER_BATCH);
    }
}

static void wait_compacted(struct place *place, uint64_t facts) {
    for (int i = 0; i < 24000 && place_stats(place).compacted < facts; i++) usleep(5000);
    assert_int_equal(place_stats(place).compacted, facts);
}

TEST(old_windows_go_when_nobody_needs_them_any_more) {
    struct place *place = place_with_retention(KEEP_MS, 10);
    place->settings.retention.consumers[0] = "slow";
    place->settings.retention.consumers[1] = "quick";
    place_open(place);
    slo_make(place);
    windows_commit(place, 1, WINDOWS);
    const uint64_t last = journal_last_sequence(place->journal);
    place->now_ms += 2 * KEEP_MS;
    journal_taken(place->journal, "quick", last);
    journal_taken(place->journal, "not among them", last);
    for (int i = 0; i < 12000 && !place_stats(place).compaction_waits_for; i++) usleep(5000);
    usleep(500 * 1000);
    assert_int_equal(place_stats(place).compacted, 0); /* "slow" has said nothing yet */
    assert_string_equal(place_stats(place).compaction_waits_for, "slow");
    journal_taken(place->journal, "slow", 501);
    wait_compacted(place, 500); /* the first is the SLO */
    journal_taken(place->journal, "slow", last);
    wait_compacted(place, WINDOWS - 10); /* but the newest */
    assert_null(place_stats(place).compaction_waits_for);
    size_t count;
    const struct fact_view *facts = place_facts(place, &count);
    assert_int_equal(count, 1 + 1 + 10);
    assert_false(facts[0].compacted);
    assert_true(facts[1].compacted);
    assert_int_equal(facts[1].first_sequence, 2);
    assert_int_equal(facts[1].sequence, WINDOWS - 10 + 1);
    assert_int_equal(facts[2].first_sequence, facts[1].sequence + 1);
    assert_int_equal(place_slo(place, "checkout").budget.total, WINDOWS); /* the state is as it was */
    assert_int_equal(place_verify_chain(place), last);
    assert_int_equal(journal_last_sequence(place->journal), last);
    windows_commit(place, WINDOWS + 1, PER_BATCH); /* versions and the chain go on */
    assert_int_equal(place_verify_chain(place), last + PER_BATCH);
    place_free(place);
}

TEST(without_retention_nothing_goes) {
    struct place *place = place_with_retention(0, 1);
    place_open(place);
    slo_make(place);
    windows_commit(place, 1, PER_BATCH);
    place->now_ms += 1000 * DAY_MS;
    usleep(1200 * 1000);
    assert_int_equal(place_stats(place).compacted, 0);
    place_free(place);
}

static uint64_t file_bytes(struct place *place) {
    place_reopen(place); /* the space is looked at at once */
    for (int i = 0; i < 6000 && place_stats(place).file_bytes == 0; i++) usleep(10 * 1000);
    return place_stats(place).file_bytes;
}

/* Windows have a row of their own for 31 days, so they are the same ones in each round, in a newer revision. */
TEST(room_that_is_freed_is_used_again) {
    struct place *place = place_with_retention(KEEP_MS, 1);
    place_open(place);
    slo_make(place);
    uint64_t sent = 0, early = 0;
    for (int round = 1; round <= 15; round++) {
        slice intents[PER_BATCH];
        for (int batch = 0; batch < WINDOWS / PER_BATCH; batch++) {
            for (int i = 0; i < PER_BATCH; i++) {
                const SreDomainIntent intent = place_window_intent("checkout", 1 + batch * PER_BATCH + i, round);
                intents[i] = place_intent(place, &intent);
            }
            assert_int_equal(place_batch(place, sent, sent + 1, intents, PER_BATCH)->applied, PER_BATCH);
            sent += PER_BATCH;
        }
        place->now_ms += 2 * KEEP_MS;
        for (int i = 0; i < 24000 && place_stats(place).compactable_sequence < sent; i++) usleep(5000);
        for (int i = 0; i < 24000 && place_stats(place).compacted < WINDOWS - 2; i++) usleep(5000);
        arena_reset(place->arena);
        if (round == 5) early = file_bytes(place);
        place_reopen(place);
    }
    const uint64_t late = file_bytes(place);
    print_message("file: %llu KiB after 5 rounds, %llu KiB after 15\n", (unsigned long long)early / 1024,
                  (unsigned long long)late / 1024);
    assert_true(late <= early + early / 10);
    assert_true(late < sent * 200); /* the facts alone are some 400 bytes each */
    place_free(place);
}

/* ---- the budget ---- */

static bool wait_refusing(struct place *place, bool refusing) {
    for (int i = 0; i < 3000 && place_stats(place).refusing != refusing; i++) usleep(20 * 1000);
    return place_stats(place).refusing == refusing;
}

/* Batches until one is not taken; returns the first intent of that one. */
static uint64_t fill(struct place *place, uint64_t first) {
    for (int i = 0; i < 1000; i++, first += PER_BATCH)
        if (windows_send(place, first, PER_BATCH)->result != JOURNAL_COMMITTED) return first;
    fail_msg("it never became full");
    return 0;
}

TEST(a_journal_over_its_budget_reads_and_acks_what_is_committed) {
    struct place *place = place_new();
    place->settings.budget.bytes = 4 << 20;
    place_open(place);
    slo_make(place);
    SreDomainIntent early = place_incident_intent("inc-early");
    early.has_meta = true;
    early.meta.message_id = SLICE_LIT("0190a5c0-7e1f-7000-8000-00000000aaaa");
    struct journal_command command = {
        .caller = {.tenant = SLICE_LIT("acme"), .actor = SLICE_LIT("anna"), .role = ROLE_RESPONDER},
        .intent = place_intent(place, &early),
        .idempotency_key = SLICE_LIT("key-1")};
    assert_int_equal(place_command(place, command)->result, JOURNAL_COMMITTED);
    const uint64_t first = fill(place, 1);
    assert_true(first > PER_BATCH);
    assert_int_equal(place->batch.result, JOURNAL_FAILED);
    assert_int_equal(place->batch.fault.code, FAULT_LIMIT);
    assert_non_null(strstr(place->batch.fault.text, "data.budget_bytes"));
    const struct journal_stats stats = place_stats(place);
    assert_true(stats.refusing);
    assert_int_equal(stats.space, JOURNAL_SPACE_FULL);
    assert_true(stats.used_bytes >= (4 << 20) / 100 * 95 && stats.used_bytes < 5 << 20);
    const uint64_t facts = journal_last_sequence(place->journal);
    for (int i = 0; i < 3; i++) {
        /* A repeat as a whole: acknowledged. */
        assert_int_equal(windows_send(place, first - PER_BATCH, PER_BATCH)->result, JOURNAL_COMMITTED);
        assert_int_equal(place->batch.repeated, PER_BATCH);
        assert_int_equal(place->batch.committed_sequence, first - 1);
        assert_int_equal(place->batch.stream, 1);
        CHECK_SLICE(place->batch.epoch, JOURNAL_EPOCH);
        CHECK_SLICE(place->batch.agent, "edge-1");
        assert_int_equal(windows_send(place, 1, 1)->committed_sequence, first - 1);
        /* A repeat in part: no ack, and none of it is decided. */
        assert_int_equal(windows_send(place, first - 10, 20)->result, JOURNAL_FAILED);
        assert_int_equal(windows_send(place, first, PER_BATCH)->result, JOURNAL_FAILED);
        const SreDomainIntent intent = place_incident_intent("inc-1");
        assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_FAILED);
        assert_int_equal(place->outcome.fault.code, FAULT_LIMIT);
        assert_int_equal(place_slo(place, "checkout").budget.total, first - 1);
        /* A command that was committed is answered again, by its key and by its message id; not for another caller. */
        command.idempotency_key = SLICE_LIT("key-1");
        for (int by_id = 0; by_id < 2; by_id++) {
            assert_int_equal(place_command(place, command)->result, JOURNAL_REPEATED);
            CHECK_SLICE(place->outcome.aggregate_id, "inc-early");
            assert_int_equal(place->outcome.aggregate_version, 1);
            assert_int_equal(place->outcome.last_sequence, 2);
            assert_true(place->outcome.aggregate.size > 0);
            command.idempotency_key = (slice){0};
        }
        command.caller.tenant = SLICE_LIT("other");
        assert_int_equal(place_command(place, command)->result, JOURNAL_FAILED);
        command.caller.tenant = SLICE_LIT("acme");
        usleep(400 * 1000); /* also when it looks again */
    }
    assert_int_equal(journal_last_sequence(place->journal), facts);
    journal_budget_set(place->journal, (struct journal_budget){.bytes = 64 << 20});
    assert_true(wait_refusing(place, false)); /* by itself */
    assert_int_equal(place_stats(place).space, JOURNAL_SPACE_GOOD);
    assert_int_equal(windows_send(place, first, PER_BATCH)->result, JOURNAL_COMMITTED);
    place_verify_versions(place);
    place_free(place);
}

TEST(compaction_gets_a_full_journal_out_of_it) {
    struct place *place = place_with_retention(KEEP_MS, 1);
    place->settings.budget.bytes = 6 << 20;
    place_open(place);
    slo_make(place);
    const uint64_t first = fill(place, 1);
    place->now_ms += 2 * KEEP_MS;
    assert_true(wait_refusing(place, false));
    assert_true(place_stats(place).compacted > 100);
    assert_int_equal(windows_send(place, first, PER_BATCH)->result, JOURNAL_COMMITTED);
    assert_int_equal(place_verify_chain(place), journal_last_sequence(place->journal));
    place_free(place);
}

/* Old facts are there, but a consumer is away: nothing can be freed, and the reason names who is waited for. */
TEST(a_full_journal_says_which_consumer_holds_it_up) {
    struct place *place = place_with_retention(KEEP_MS, 1);
    place->settings.budget.bytes = 4 << 20;
    place->settings.retention.consumers[0] = "away";
    place_open(place);
    slo_make(place);
    const uint64_t first = fill(place, 1);
    place->now_ms += 2 * KEEP_MS;
    for (int i = 0; i < 3000 && !strstr(place_stats(place).refusing_reason.text, "consumer away"); i++)
        usleep(20 * 1000);
    assert_non_null(strstr(place_stats(place).refusing_reason.text, "waits for the consumer away"));
    assert_int_equal(place_stats(place).compacted, 0);
    journal_taken(place->journal, "away", journal_last_sequence(place->journal));
    assert_true(wait_refusing(place, false));
    assert_int_equal(windows_send(place, first, PER_BATCH)->result, JOURNAL_COMMITTED);
    place_free(place);
}

/* The smallest case: the map itself is the budget, and deleting needs pages of it. */
TEST(compaction_works_in_a_map_that_is_full) {
    struct place *place = place_with_retention(KEEP_MS, 1);
    place->settings.map_bytes = 4 << 20;
    place_open(place);
    slo_make(place);
    const uint64_t first = fill(place, 1);
    place->now_ms += 2 * KEEP_MS;
    assert_true(wait_refusing(place, false));
    assert_int_equal(windows_send(place, first, 1)->result, JOURNAL_COMMITTED);
    place_free(place);
}

TEST(low_space_is_said_before_it_is_full) {
    struct place *place = place_new();
    place->settings.budget.bytes = 8 << 20;
    place->settings.budget.warn_percent = 30;
    place_open(place);
    slo_make(place);
    uint64_t first = 1;
    for (int i = 0; i < 1000 && place_stats(place).space == JOURNAL_SPACE_GOOD; i++, first += PER_BATCH) {
        assert_int_equal(windows_send(place, first, PER_BATCH)->result, JOURNAL_COMMITTED);
        if (place_stats(place).used_bytes > 0) usleep(20 * 1000);
    }
    const struct journal_stats stats = place_stats(place);
    assert_int_equal(stats.space, JOURNAL_SPACE_LOW);
    assert_false(stats.refusing);
    assert_true(stats.used_bytes * 100 / stats.budget_bytes >= 30);
    place_free(place);
}

/* ---- rejections and marks ---- */

TEST(rejections_go_by_age_and_numbers_are_never_given_twice) {
    struct place *place = place_new();
    place->settings.rejections_keep_ms = 30 * DAY_MS;
    place_open(place);
    struct journal_rejection *items;
    for (int i = 0; i < 3; i++) assert_int_equal(place_give(place, SLICE_LIT("\xff\xff"))->result, JOURNAL_REFUSED);
    place->now_ms += 20 * DAY_MS;
    assert_int_equal(place_give(place, SLICE_LIT("\xff\xff"))->result, JOURNAL_REFUSED);
    assert_int_equal(place_rejections(place, "acme", &items), 4);
    place->now_ms += 11 * DAY_MS;
    place_reopen(place); /* upkeep looks at once */
    for (int i = 0; i < 3000 && place_rejections(place, "acme", &items) > 1; i++) usleep(20 * 1000);
    assert_int_equal(place_rejections(place, "acme", &items), 1);
    assert_int_equal(items[0].sequence, 4);
    place->now_ms += 11 * DAY_MS * 3;
    place_reopen(place);
    for (int i = 0; i < 3000 && place_rejections(place, "acme", &items); i++) usleep(20 * 1000);
    assert_int_equal(place_rejections(place, "acme", &items), 0);
    place_reopen(place);
    assert_int_equal(place_stats(place).rejections, 0);
    assert_int_equal(place_give(place, SLICE_LIT("\xff\xff"))->result, JOURNAL_REFUSED);
    assert_int_equal(place_rejections(place, "acme", &items), 1);
    assert_int_equal(items[0].sequence, 5);
    place_free(place);
}

static bool epoch_is_new(struct place *place, uint64_t first) {
    const struct journal_batch_outcome *outcome = windows_send(place, first, 1);
    assert_int_equal(outcome->result, JOURNAL_COMMITTED);
    return outcome->new_epoch;
}

/* Opened again, with upkeep having looked once. */
static void reopen_and_look(struct place *place) {
    place_reopen(place);
    for (int i = 0; i < 6000 && !place_stats(place).slice_ns; i++) usleep(10 * 1000);
    assert_true(place_stats(place).slice_ns > 0);
}

TEST(marks_of_open_streams_go_when_they_are_not_used) {
    struct place *place = place_opened();
    slo_make(place);
    assert_true(epoch_is_new(place, 1));
    for (uint64_t sequence = 2; sequence < 6; sequence++) { /* used now and then: kept */
        place->now_ms += 60 * DAY_MS;
        assert_false(epoch_is_new(place, sequence));
        assert_int_equal(place->batch.committed_sequence, sequence);
        assert_int_equal(place->batch.wanted_sequence, 0);
    }
    place->now_ms += 89 * DAY_MS;
    reopen_and_look(place);
    assert_int_equal(windows_send(place, 1, 1)->repeated, 1); /* not a use: nothing new */
    place->now_ms += 2 * DAY_MS;
    reopen_and_look(place);
    assert_int_equal(windows_send(place, 3, 1)->wanted_sequence, 1); /* the stream is not known any more */
    place->now_ms += 91 * DAY_MS;
    reopen_and_look(place);
    assert_true(epoch_is_new(place, 1)); /* its last stream went, and so did it */
    place_free(place);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_windows_go_when_nobody_needs_them_any_more),
        cmocka_unit_test(without_retention_nothing_goes),
        cmocka_unit_test(room_that_is_freed_is_used_again),
        cmocka_unit_test(a_journal_over_its_budget_reads_and_acks_what_is_committed),
        cmocka_unit_test(compaction_gets_a_full_journal_out_of_it),
        cmocka_unit_test(a_full_journal_says_which_consumer_holds_it_up),
        cmocka_unit_test(compaction_works_in_a_map_that_is_full),
        cmocka_unit_test(low_space_is_said_before_it_is_full),
        cmocka_unit_test(rejections_go_by_age_and_numbers_are_never_given_twice),
        cmocka_unit_test(marks_of_open_streams_go_when_they_are_not_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
