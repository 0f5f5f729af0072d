/* SPDX-License-Identifier: Apache-2.0
 * Consumers are fed every fact, in order, whatever the others do, again where they failed, on from where they stood. */
#include "aggregator/outbox/outbox.h"
#include "common/base/clock.h"
#include "tests/unit/aggregator/journal/journal_fixture.h"

struct reader {
    pthread_mutex_t lock;
    uint64_t last, calls, gaps, backwards, compacted;
    int fail; /* so many more consumes fail */
    unsigned slow_ms;
    uint64_t stored; /* its own cursor, for load_cursor */
    uint64_t settled, settles;
    int fail_to_settle;
};

static struct reader *reader_new(void) {
    struct reader *reader = calloc(1, sizeof *reader);
    pthread_mutex_init(&reader->lock, NULL);
    return reader;
}

static void reader_free(struct reader *reader) {
    pthread_mutex_destroy(&reader->lock);
    free(reader);
}

static fault_code consume(void *context, const struct fact_view *facts, size_t count, struct fault *reterr) {
    struct reader *reader = context;
    fault_code code = FAULT_NONE;
    pthread_mutex_lock(&reader->lock);
    reader->calls++;
    if (reader->fail > 0) {
        reader->fail--;
        code = fault_set(reterr, FAULT_SYSTEM, "the disk said no");
    }
    for (size_t i = 0; i < count && !code; i++) {
        reader->gaps += facts[i].first_sequence > reader->last + 1;
        reader->compacted += facts[i].compacted;
        reader->backwards += facts[i].sequence <= reader->last;
        reader->last = reader->stored = facts[i].sequence;
    }
    const unsigned slow_ms = reader->slow_ms;
    pthread_mutex_unlock(&reader->lock);
    if (slow_ms) usleep(slow_ms * 1000);
    return code;
}

static fault_code load_cursor(void *context, uint64_t *ret_sequence, struct fault *reterr) {
    *ret_sequence = ((struct reader *)context)->stored;
    return FAULT_NONE;
}

static fault_code settle(void *context, struct fault *reterr) {
    struct reader *reader = context;
    fault_code code = FAULT_NONE;
    pthread_mutex_lock(&reader->lock);
    if (reader->fail_to_settle > 0) {
        reader->fail_to_settle--;
        reader->last = reader->settled;
        code = fault_set(reterr, FAULT_SYSTEM, "the disk said no");
    } else {
        reader->settles++;
        reader->settled = reader->last;
    }
    pthread_mutex_unlock(&reader->lock);
    return code;
}

static uint64_t last_of(struct reader *reader) {
    pthread_mutex_lock(&reader->lock);
    const uint64_t last = reader->last;
    pthread_mutex_unlock(&reader->lock);
    return last;
}

static void wait_for(struct reader *reader, uint64_t sequence) {
    for (int i = 0; i < 30000 && last_of(reader) < sequence; i++) usleep(2000);
    assert_int_equal(last_of(reader), sequence);
}

static struct outbox *started(struct place *place, struct reader *reader, const char *name, bool own_cursor) {
    struct outbox *outbox;
    struct fault fault;
    const struct outbox_consumer consumer = {
        .name = name, .context = reader, .load_cursor = own_cursor ? load_cursor : NULL, .consume = consume};
    CHECK_OK(outbox_new(place->journal, &outbox, &fault));
    CHECK_OK(outbox_add(outbox, &consumer, &fault));
    CHECK_OK(outbox_start(outbox, &fault));
    return outbox;
}

static void commit(struct place *place, int count) {
    const SreDomainIntent intent = place_incident_intent("");
    const slice bytes = place_intent(place, &intent);
    for (int i = 0; i < count; i++) assert_int_equal(place_give(place, bytes)->result, JOURNAL_COMMITTED);
}

TEST(every_fact_comes_once_and_in_order) {
    struct place *place = place_opened();
    struct reader *reader = reader_new();
    commit(place, 20); /* before it was there */
    struct outbox *outbox = started(place, reader, "reader", false);
    commit(place, 200);
    wait_for(reader, 220);
    assert_int_equal(reader->gaps + reader->backwards, 0);
    struct outbox_consumer_stats stats;
    outbox_stats(outbox, 0, &stats);
    for (int i = 0; i < 60000 && stats.lag; i++, usleep(1000)) outbox_stats(outbox, 0, &stats);
    assert_string_equal(stats.name, "reader");
    assert_int_equal(stats.lag, 0);
    assert_int_equal(stats.cursor, 220);
    assert_int_equal(stats.facts, 220);
    outbox_stop(outbox);
    place_free(place);
    reader_free(reader);
}

TEST(a_consumer_goes_on_where_it_stood) {
    struct place *place = place_opened();
    struct reader *reader = reader_new();
    struct outbox *outbox = started(place, reader, "reader", false);
    commit(place, 30);
    wait_for(reader, 30);
    outbox_stop(outbox);
    place_reopen(place);
    commit(place, 10);
    outbox = started(place, reader, "reader", false);
    wait_for(reader, 40);
    assert_int_equal(reader->gaps + reader->backwards, 0);
    outbox_stop(outbox);
    reader->last = 0;
    outbox = started(place, reader, "another", false); /* another name begins at the beginning */
    wait_for(reader, 40);
    outbox_stop(outbox);
    place_free(place);
    reader_free(reader);
}

/* Committed while the reader stands still, so that it finds them all at once: a flood. When it goes on, or before. */
static int64_t flood(struct place *place, struct reader *reader, int count) {
    pthread_mutex_lock(&reader->lock);
    commit(place, count);
    const int64_t now_ms = clock_monotonic_ms();
    pthread_mutex_unlock(&reader->lock);
    return now_ms;
}

TEST(facts_of_a_flood_gather_and_a_lone_one_does_not_wait) {
    enum { FLOOD = 1500, WAIT_MS = 4000 };
    struct place *place = place_opened();
    struct reader *reader = reader_new();
    struct outbox *outbox;
    struct fault fault;
    const struct outbox_consumer consumer = {.name = "reader",
                                             .context = reader,
                                             .consume = consume,
                                             .facts_max = 100000,
                                             .gather_facts = 100000,
                                             .gather_ms = WAIT_MS};
    CHECK_OK(outbox_new(place->journal, &outbox, &fault));
    CHECK_OK(outbox_add(outbox, &consumer, &fault));
    CHECK_OK(outbox_start(outbox, &fault));
    int64_t began_ms = clock_monotonic_ms();
    commit(place, 1);
    wait_for(reader, 1);
    assert_true(clock_monotonic_ms() - began_ms < WAIT_MS);
    began_ms = flood(place, reader, FLOOD);
    while (last_of(reader) == 1) usleep(1000); /* the first of them are taken in: what is behind them is many */
    const uint64_t calls = reader->calls;
    commit(place, 10);
    wait_for(reader, FLOOD + 11);
    assert_true(clock_monotonic_ms() - began_ms >= WAIT_MS - 50);
    assert_int_equal(reader->calls, calls + 1);
    assert_int_equal(reader->gaps + reader->backwards, 0);
    outbox_stop(outbox);
    place_free(place);
    reader_free(reader);
}

/* In pieces of a few facts, which are more than a flood: held until nothing more follows, or it is enough. */
static struct outbox *holding(struct place *place, struct reader *reader, size_t hold_facts) {
    struct outbox *outbox;
    struct fault fault;
    const struct outbox_consumer consumer = {.name = "reader",
                                             .context = reader,
                                             .consume = consume,
                                             .settle = settle,
                                             .facts_max = 100,
                                             .hold_facts = hold_facts,
                                             .hold_ms = 3600 * 1000};
    CHECK_OK(outbox_new(place->journal, &outbox, &fault));
    CHECK_OK(outbox_add(outbox, &consumer, &fault));
    return outbox;
}

static void wait_until_settled(struct outbox *outbox, struct reader *reader, uint64_t sequence) {
    struct outbox_consumer_stats stats = {0};
    for (int i = 0; i < 60000 && stats.cursor < sequence; i++, usleep(1000)) outbox_stats(outbox, 0, &stats);
    assert_int_equal(stats.cursor, sequence);
    assert_int_equal(stats.facts, sequence);
    assert_int_equal(reader->settled, sequence);
    assert_int_equal(reader->gaps + reader->backwards, 0);
}

static void check_settles(size_t hold_facts, uint64_t settles) {
    enum { FLOOD = 2500 };
    struct place *place = place_opened();
    struct fault fault;
    commit(place, FLOOD);
    struct reader *reader = reader_new();
    struct outbox *outbox = holding(place, reader, hold_facts);
    CHECK_OK(outbox_start(outbox, &fault));
    wait_until_settled(outbox, reader, FLOOD);
    assert_int_equal(reader->calls, 25);
    assert_int_equal(reader->settles, settles);
    outbox_stop(outbox);
    place_free(place);
    reader_free(reader);
}

TEST(a_flood_is_settled_when_it_ends_or_when_enough_is_held) {
    check_settles(
        100000, 10); /* 1,600 were held, while 1,000 and more followed; each piece behind those was settled by itself */
    check_settles(500, 3 + 10); /* at 500, 1,000, 1,500, and as above */
}

TEST(what_could_not_be_settled_comes_again) {
    enum { FLOOD = 2500 };
    struct place *place = place_opened();
    struct fault fault;
    commit(place, FLOOD);
    struct reader *reader = reader_new();
    reader->fail_to_settle = 1;
    struct outbox *outbox = holding(place, reader, 100000);
    CHECK_OK(outbox_start(outbox, &fault));
    wait_until_settled(outbox, reader, FLOOD);
    assert_int_equal(reader->calls, 16 + 25);
    outbox_stop(outbox);
    place_free(place);
    reader_free(reader);
}

TEST(what_is_held_is_settled_at_the_end) {
    enum { FLOOD = 3000 };
    struct place *place = place_opened();
    struct fault fault;
    commit(place, FLOOD);
    struct reader *reader = reader_new();
    reader->slow_ms = 20;
    struct outbox *outbox = holding(place, reader, 100000);
    CHECK_OK(outbox_start(outbox, &fault));
    while (last_of(reader) == 0) usleep(100);
    outbox_stop(outbox);
    assert_true(reader->last < FLOOD); /* it was in the middle */
    assert_int_equal(reader->settled, reader->last);
    place_free(place);
    reader_free(reader);
}

TEST(what_failed_comes_again_and_is_said) {
    struct place *place = place_opened();
    struct reader *reader = reader_new();
    reader->fail = 1000000;
    struct outbox *outbox = started(place, reader, "reader", false);
    commit(place, 5);
    struct outbox_consumer_stats stats = {0};
    for (int i = 0; i < 60000 && stats.failures < 3; i++, usleep(1000)) outbox_stats(outbox, 0, &stats);
    assert_int_equal(stats.last_fault.code, FAULT_SYSTEM);
    assert_non_null(strstr(stats.last_fault.text, "the disk said no"));
    pthread_mutex_lock(&reader->lock);
    reader->fail = 0;
    pthread_mutex_unlock(&reader->lock);
    wait_for(reader, 5);
    assert_int_equal(reader->gaps + reader->backwards, 0);
    for (int i = 0; i < 60000 && (stats.lag || stats.last_fault.code); i++, usleep(1000))
        outbox_stats(outbox, 0, &stats);
    assert_true(stats.failures >= 3);
    assert_int_equal(stats.last_fault.code, FAULT_NONE);
    outbox_stop(outbox);
    place_free(place);
    reader_free(reader);
}

TEST(a_slow_consumer_holds_nobody_up) {
    struct place *place = place_opened();
    struct reader *slow = reader_new(), *fast = reader_new();
    slow->slow_ms = 300;
    struct outbox *outbox;
    struct fault fault;
    CHECK_OK(outbox_new(place->journal, &outbox, &fault));
    struct outbox_consumer consumer = {.name = "slow", .context = slow, .consume = consume, .facts_max = 1};
    CHECK_OK(outbox_add(outbox, &consumer, &fault));
    CHECK_FAULT(outbox_add(outbox, &consumer, &fault), FAULT_CONFLICT);
    consumer = (struct outbox_consumer){.name = "fast", .context = fast, .consume = consume};
    CHECK_OK(outbox_add(outbox, &consumer, &fault));
    CHECK_OK(outbox_start(outbox, &fault));
    assert_int_equal(outbox_count(outbox), 2);
    commit(place, 100);
    wait_for(fast, 100);
    assert_true(last_of(slow) < 50);
    outbox_stop(outbox); /* waits for one consume, not for ninety */
    assert_true(slow->last < 60);
    place_free(place);
    reader_free(slow);
    reader_free(fast);
}

TEST(a_cursor_of_its_own_is_asked_for_and_one_of_another_journal_is_told) {
    struct place *place = place_opened();
    struct reader *reader = reader_new();
    commit(place, 10);
    reader->stored = reader->last = 7;
    struct outbox *outbox = started(place, reader, "reader", true);
    wait_for(reader, 10);
    assert_int_equal(reader->gaps + reader->backwards, 0);
    outbox_stop(outbox);
    reader->stored = 11;
    outbox = started(place, reader, "reader", true);
    struct outbox_consumer_stats stats = {0};
    for (int i = 0; i < 60000 && !stats.failures; i++, usleep(1000)) outbox_stats(outbox, 0, &stats);
    assert_int_equal(stats.last_fault.code, FAULT_CORRUPT);
    assert_non_null(strstr(stats.last_fault.text, "another journal"));
    outbox_stop(outbox);
    place_free(place);
    reader_free(reader);
}

TEST(there_is_a_most_of_consumers) {
    struct place *place = place_opened();
    struct outbox *outbox;
    struct fault fault;
    CHECK_OK(outbox_new(place->journal, &outbox, &fault));
    fault_code code = FAULT_NONE;
    int count = 0;
    for (; count < 100 && !code; count++) {
        char name[16];
        snprintf(name, sizeof name, "c%d", count);
        code = outbox_add(outbox, &(struct outbox_consumer){.name = name, .consume = consume}, &fault);
    }
    CHECK_FAULT(code, FAULT_LIMIT);
    outbox_stop(outbox); /* never started */
    assert_null(outbox_stop(NULL));
    place_free(place);
}

/* What was compacted is one view that says so; compaction waits for who has not taken the facts. */
TEST(compacted_facts_are_stated_and_never_ahead_of_a_consumer) {
    struct place *place = place_new();
    place->settings.retention.sli_windows_ms = 1000;
    place->settings.retention.newest_facts = 1;
    place->settings.retention.consumers[0] = "reader";
    place_open(place);
    const SreDomainIntent slo = place_slo_intent("checkout");
    assert_int_equal(place_give(place, place_intent(place, &slo))->result, JOURNAL_COMMITTED);
    enum { WINDOWS = 500 };
    slice intents[WINDOWS];
    for (int i = 0; i < WINDOWS; i++) {
        SreDomainIntent intent = place_window_intent("checkout", i + 1, 1);
        intent.intent.record_sli_window.good = 10;
        intents[i] = place_intent(place, &intent);
    }
    assert_int_equal(place_batch(place, 0, 1, intents, WINDOWS)->applied, WINDOWS);
    commit(place, 2);
    place->now_ms += 2000;
    for (int i = 0; i < 30000 && !place_stats(place).compaction_waits_for; i++) usleep(2000);
    usleep(300 * 1000);
    assert_int_equal(place_stats(place).compacted, 0);
    struct reader *reader = reader_new();
    struct outbox *outbox = started(place, reader, "reader", true);
    wait_for(reader, WINDOWS + 3);
    assert_int_equal(reader->gaps + reader->compacted, 0); /* all of them, as facts */
    for (int i = 0; i < 30000 && place_stats(place).compacted < WINDOWS; i++) usleep(2000);
    assert_int_equal(place_stats(place).compacted, WINDOWS);
    outbox_stop(outbox);
    struct reader *late = reader_new();
    outbox = started(place, late, "late", true);
    wait_for(late, WINDOWS + 3);
    assert_int_equal(late->gaps + late->backwards, 0);
    assert_int_equal(late->compacted, 1);
    outbox_stop(outbox);
    place_free(place);
    reader_free(reader);
    reader_free(late);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fact_comes_once_and_in_order),
        cmocka_unit_test(a_consumer_goes_on_where_it_stood),
        cmocka_unit_test(facts_of_a_flood_gather_and_a_lone_one_does_not_wait),
        cmocka_unit_test(a_flood_is_settled_when_it_ends_or_when_enough_is_held),
        cmocka_unit_test(what_could_not_be_settled_comes_again),
        cmocka_unit_test(what_is_held_is_settled_at_the_end),
        cmocka_unit_test(what_failed_comes_again_and_is_said),
        cmocka_unit_test(a_slow_consumer_holds_nobody_up),
        cmocka_unit_test(a_cursor_of_its_own_is_asked_for_and_one_of_another_journal_is_told),
        cmocka_unit_test(compacted_facts_are_stated_and_never_ahead_of_a_consumer),
        cmocka_unit_test(there_is_a_most_of_consumers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
