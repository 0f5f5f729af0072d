/* SPDX-License-Identifier: Apache-2.0
 * A journal in trouble: killed at any moment, full, flooded, damaged on the disk. */
#include "tests/unit/aggregator/journal/journal_fixture.h"

#include <signal.h>
#include <sys/wait.h>

enum { STREAMS = 3, PER_BATCH = 40, ROUNDS = 12 };

/* ---- kill -9 ---- */

struct ack { /* what the child has been told is on the disk */
    uint32_t stream, incident;
    uint64_t committed;
};

/* Sequence q of a stream is a window that no other has; so the SLO's total counts what had an effect. */
static slice crash_window(struct place *place, unsigned stream, uint64_t sequence) {
    SreDomainIntent intent = place_window_intent("crash", 1 + (int64_t)(sequence % 10000), 1);
    RecordSLIWindowRequested *window = &intent.intent.record_sli_window;
    window->cluster_id = arena_format(place->arena, "c-%u-%llu", stream, (unsigned long long)sequence / 10000);
    window->good = window->total = 1;
    return place_intent(place, &intent);
}

static slice crash_batch(struct place *place, unsigned stream, uint64_t first, size_t count) {
    slice intents[PER_BATCH];
    for (size_t i = 0; i < count; i++) intents[i] = crash_window(place, stream, first + i);
    const EncodedIntentBatch batch = {.epoch = SLICE_LIT(JOURNAL_EPOCH),
                                      .stream = stream + 1,
                                      .after_sequence = first - 1,
                                      .first_sequence = first,
                                      .intents = {.items = intents, .count = count}};
    return place_encode(place, &EncodedIntentBatch_desc, &batch);
}

struct child {
    int pipe;
    uint32_t incident;
};

static void say(const struct child *child, struct ack ack) {
    if (write(child->pipe, &ack, sizeof ack) != sizeof ack) _exit(3);
}

static void child_on_batch(void *context, const struct journal_batch_outcome *outcome) {
    if (outcome->result != JOURNAL_COMMITTED || outcome->refused || outcome->wanted_sequence) _exit(4);
    say(context, (struct ack){.stream = (uint32_t)outcome->stream - 1, .committed = outcome->committed_sequence});
}

static void child_on_incident(void *context, const struct journal_outcome *outcome) {
    struct child *child = context;
    if (outcome->result != JOURNAL_COMMITTED && outcome->result != JOURNAL_REPEATED) _exit(5);
    say(child, (struct ack){.incident = ++child->incident});
}

/* Sends on from what was acknowledged, as an agent does, until it is killed. */
static void child_run(struct place *place, int pipe, const uint64_t acked[STREAMS], uint32_t incidents) {
    struct child child = {.pipe = pipe, .incident = incidents};
    struct fault fault;
    uint64_t next[STREAMS];
    uint32_t incident = incidents;
    for (int s = 0; s < STREAMS; s++) next[s] = acked[s] + 1;
    if (journal_open(&place->settings, &place->journal, &fault)) _exit(6);
    for (unsigned turn = 0;; turn++) {
        const unsigned stream = turn % STREAMS;
        arena_reset(place->arena);
        if (place->settings.retention.sli_windows_ms) place->now_ms += 10;
        fault_code code =
            journal_submit_batch(place->journal, SLICE_LIT("acme"), SLICE_LIT("edge-1"),
                                 crash_batch(place, stream, next[stream], PER_BATCH), child_on_batch, &child, &fault);
        next[stream] += PER_BATCH;
        char id[48], message_id[40];
        snprintf(id, sizeof id, "inc-%06u", ++incident);
        snprintf(message_id, sizeof message_id, "0190a5c0-7e1f-7000-8000-%012u", incident);
        SreDomainIntent intent = place_incident_intent(id);
        intent.has_meta = true;
        intent.meta.message_id = slice_from_text(message_id);
        const struct journal_command command = {
            .caller = {.tenant = SLICE_LIT("acme"), .actor = SLICE_LIT("anna"), .role = ROLE_RESPONDER},
            .intent = place_intent(place, &intent),
            .done = child_on_incident,
            .context = &child};
        if (!code) code = journal_submit(place->journal, &command, &fault);
        if (code) _exit(7);
        while (place_stats(place).queue_commands > 8) usleep(100);
    }
}

static void crash_once(struct place *place, uint64_t *seed, uint64_t acked[STREAMS], uint32_t *incidents) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        child_run(place, ends[1], acked, *incidents);
    }
    close(ends[1]);
    struct ack ack;
    unsigned until = (unsigned)(check_random(seed) % 60); /* acks, then a moment: in the middle of anything */
    bool killed = false;
    while (read(ends[0], &ack, sizeof ack) == sizeof ack) {
        if (ack.incident)
            *incidents = ack.incident;
        else if (ack.committed > acked[ack.stream])
            acked[ack.stream] = ack.committed;
        if (until-- == 0 && !killed) {
            usleep((useconds_t)(check_random(seed) % 5000));
            kill(pid, SIGKILL);
            killed = true;
        }
        if (killed) until = UINT32_MAX;
    }
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status)) fail_msg("the child ended by itself with %d", WEXITSTATUS(status));
}

static void crash_check(struct place *place, const uint64_t acked[STREAMS], uint32_t incidents) {
    struct fault fault;
    uint64_t committed = 0;
    place_open(place);
    for (unsigned s = 0; s < STREAMS; s++) {
        if (acked[s] == 0) continue;
        const struct journal_batch_outcome *again = place_payload(place, crash_batch(place, s, 1, 1));
        assert_int_equal(again->result, JOURNAL_COMMITTED);
        assert_int_equal(again->repeated, 1);
        assert_true(again->committed_sequence >= acked[s]); /* what was acknowledged is there */
        committed += again->committed_sequence;
    }
    bool all = true;
    for (unsigned s = 0; s < STREAMS; s++) all = all && acked[s];
    if (all) assert_int_equal(place_slo(place, "crash").budget.total, committed); /* and nothing twice */
    for (uint32_t i = 1; i <= incidents; i++) {
        char id[16];
        slice bytes;
        snprintf(id, sizeof id, "inc-%06u", i);
        CHECK_OK(journal_get(place->journal, SLICE_LIT("acme"), SLICE_LIT("incident"), slice_from_text(id),
                             place->arena, &bytes, &fault));
    }
    place_verify_versions(place);
    assert_int_equal(place_verify_chain(place), journal_last_sequence(place->journal));
    place->journal = journal_close(place->journal);
    arena_reset(place->arena);
}

static void crash_rounds(struct place *place) {
    uint64_t seed = check_seed(), acked[STREAMS] = {0};
    uint32_t incidents = 0;
    const SreDomainIntent slo = place_slo_intent("crash");
    assert_int_equal(place_give(place, place_intent(place, &slo))->result, JOURNAL_COMMITTED);
    place->journal = journal_close(place->journal);
    for (int round = 0; round < ROUNDS; round++) {
        crash_once(place, &seed, acked, &incidents);
        place->now_ms += 10000;
        crash_check(place, acked, incidents);
    }
    assert_true(acked[0] && acked[1] && acked[2] && incidents);
}

TEST(a_killed_journal_keeps_what_it_acknowledged_and_nothing_twice) {
    struct place *place = place_opened();
    crash_rounds(place);
    place_free(place);
}

TEST(a_journal_that_is_killed_while_it_compacts_does_so_too) {
    struct place *place = place_new();
    place->settings.retention.sli_windows_ms = 50;
    place->settings.retention.newest_facts = 20;
    place_open(place);
    crash_rounds(place);
    place_open(place);
    size_t count, ranges = 0;
    const struct fact_view *facts = place_facts(place, &count);
    for (size_t i = 0; i < count; i++) ranges += facts[i].compacted;
    print_message("%zu ranges among %zu records, %llu facts\n", ranges, count,
                  (unsigned long long)journal_last_sequence(place->journal));
    assert_true(ranges > 0);
    place_free(place);
}

/* ---- full ---- */

static slice large_incident(struct place *place, int i) {
    static char text[8193];
    memset(text, 'x', 8192);
    char id[16];
    snprintf(id, sizeof id, "inc-%05d", i);
    SreDomainIntent intent = place_incident_intent(id);
    intent.intent.create_incident.description = slice_from_text(text);
    return place_intent(place, &intent);
}

TEST(a_full_journal_refuses_serves_reads_and_recovers_with_more_room) {
    struct place *place = place_new();
    place->settings.map_bytes = 8 << 20;
    place_open(place);
    int stored = 0;
    while (stored < 10000 && place_give(place, large_incident(place, stored))->result == JOURNAL_COMMITTED) stored++;
    assert_true(stored > 50);
    assert_int_equal(place->outcome.result, JOURNAL_FAILED);
    assert_int_equal(place->outcome.fault.code, FAULT_LIMIT);
    const struct journal_stats stats = place_stats(place);
    assert_true(stats.refusing);
    assert_int_equal(stats.refusing_reason.code, FAULT_LIMIT);
    struct fault fault;
    slice bytes;
    CHECK_OK(journal_get(place->journal, SLICE_LIT("acme"), SLICE_LIT("incident"), SLICE_LIT("inc-00000"), place->arena,
                         &bytes, &fault));
    assert_int_equal(journal_last_sequence(place->journal), stored);
    place->journal = journal_close(place->journal);
    place->settings.map_bytes = 64 << 20;
    place_open(place);
    assert_int_equal(place_give(place, large_incident(place, stored))->result, JOURNAL_COMMITTED);
    assert_false(place_stats(place).refusing);
    assert_int_equal(place_verify_chain(place), stored + 1);
    place_verify_versions(place);
    place_free(place);
}

/* What did not fit may be the only large one: nobody sends to a journal that says it refuses, so it looks by itself. */
TEST(a_journal_that_could_not_store_one_thing_recovers_by_itself) {
    struct place *place = place_new();
    place->settings.map_bytes = 1 << 20;
    place_open(place);
    uint8_t *garbage = calloc(1, 1 << 20);
    memset(garbage, 0xff, 1 << 20);
    assert_int_equal(place_payload(place, slice_of(garbage, 1 << 20))->result, JOURNAL_FAILED);
    free(garbage);
    assert_true(place_stats(place).refusing);
    for (int i = 0; i < 600 && place_stats(place).refusing; i++) usleep(100 * 1000);
    assert_false(place_stats(place).refusing);
    const SreDomainIntent intent = place_incident_intent("inc-1");
    assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_COMMITTED);
    place_free(place);
}

/* ---- flooded ---- */

static void slowly(void *context, const struct journal_outcome *outcome) {
    struct place *place = context;
    pthread_mutex_lock(&place->lock);
    pthread_mutex_unlock(&place->lock);
}

TEST(a_full_queue_says_try_again_and_answers_each_that_it_took) {
    struct place *place = place_new();
    place->settings.queue_commands_max = 16;
    place->settings.queue_bytes_max = 64 * 1024;
    place_open(place);
    const SreDomainIntent intent = place_incident_intent("");
    struct journal_command command = {
        .caller = {.tenant = SLICE_LIT("acme"), .actor = SLICE_LIT("anna"), .role = ROLE_RESPONDER},
        .intent = place_intent(place, &intent),
        .done = slowly,
        .context = place};
    struct fault fault;
    uint64_t taken = 0;
    pthread_mutex_lock(&place->lock);
    fault_code code = FAULT_NONE;
    while (taken < 5000 && !(code = journal_submit(place->journal, &command, &fault))) taken++;
    CHECK_FAULT(code, FAULT_AGAIN);
    command.intent = slice_of(calloc(1, 65 * 1024), 65 * 1024);
    CHECK_FAULT(journal_submit(place->journal, &command, &fault), FAULT_LIMIT); /* never fits */
    free((void *)(uintptr_t)command.intent.data);
    pthread_mutex_unlock(&place->lock);
    place_reopen(place); /* closing decides what was taken */
    assert_int_equal(journal_last_sequence(place->journal), taken);
    place_free(place);
}

/* ---- damaged ---- */

TEST(a_damaged_record_fails_alone) {
    struct place *place = place_opened();
    struct fault fault;
    const SreDomainIntent one = place_incident_intent("inc-1"), two = place_incident_intent("inc-2");
    place_give(place, place_intent(place, &one));
    place_give(place, place_intent(place, &two));
    place->journal = journal_close(place->journal);
    struct opened_store store = store_begin(place);
    struct kv_cursor *cursor;
    slice key, value;
    CHECK_OK(kv_cursor_open(store.txn, store.tables.aggregates, &cursor, &fault));
    CHECK_OK(kv_cursor_seek(cursor, (slice){0}, &key, &value, &fault));
    uint8_t name[64], record[4096];
    memcpy(name, key.data, key.size);
    memcpy(record, value.data, value.size);
    const slice its_name = slice_of(name, key.size), its_record = slice_of(record, value.size);
    record[20] ^= 1;
    kv_cursor_close(cursor);
    CHECK_OK(kv_put(store.txn, store.tables.aggregates, its_name, its_record, &fault));
    store_end(&store);
    place_open(place);
    slice bytes;
    CHECK_FAULT(journal_get(place->journal, SLICE_LIT("acme"), SLICE_LIT("incident"), SLICE_LIT("inc-1"), place->arena,
                            &bytes, &fault),
                FAULT_CORRUPT);
    SreDomainIntent acknowledge = {.which_intent = SreDomainIntent_acknowledge_incident_tag};
    acknowledge.intent.acknowledge_incident.incident_id = SLICE_LIT("inc-1");
    assert_int_equal(place_give(place, place_intent(place, &acknowledge))->result, JOURNAL_FAILED);
    assert_int_equal(place->outcome.fault.code, FAULT_CORRUPT);
    acknowledge.intent.acknowledge_incident.incident_id = SLICE_LIT("inc-2");
    assert_int_equal(place_give(place, place_intent(place, &acknowledge))->result, JOURNAL_COMMITTED);
    assert_false(place_stats(place).refusing);
    place_free(place);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_journal_keeps_what_it_acknowledged_and_nothing_twice),
        cmocka_unit_test(a_journal_that_is_killed_while_it_compacts_does_so_too),
        cmocka_unit_test(a_full_journal_refuses_serves_reads_and_recovers_with_more_room),
        cmocka_unit_test(a_journal_that_could_not_store_one_thing_recovers_by_itself),
        cmocka_unit_test(a_full_queue_says_try_again_and_answers_each_that_it_took),
        cmocka_unit_test(a_damaged_record_fails_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
