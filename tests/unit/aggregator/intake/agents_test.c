/* SPDX-License-Identifier: Apache-2.0
 * What is known of the agents: the last status, the last epoch, its streams, and which ack is due. */
#include "aggregator/intake/agents.h"
#include "aggregator/intake/queue_changes.h"
#include "tests/support/check.h"

#define ACME SLICE_LIT("acme")
#define EDGE SLICE_LIT("edge-1")
static const char epoch_one[] = "0190a5c0-7e1f-7000-8000-000000000001";
static const char epoch_two[] = "0190a5c0-7e1f-7000-8000-000000000002";

struct known {
    struct agents *agents;
    struct arena *arena;
};

static struct known known_new(void) {
    const struct known known = {agents_new(), arena_new(1 << 16, 64 << 20)};
    assert_non_null(known.agents);
    assert_non_null(known.arena);
    return known;
}

static void known_free(struct known known) {
    agents_free(known.agents);
    arena_free(known.arena);
}

static bool batch(struct known known, const char *epoch, uint64_t stream, uint64_t committed, bool ended) {
    const struct journal_batch_outcome outcome = {.tenant = ACME,
                                                  .agent = EDGE,
                                                  .epoch = slice_from_text(epoch),
                                                  .stream = stream,
                                                  .committed_sequence = committed,
                                                  .applied = 3,
                                                  .refused = 2,
                                                  .missing = 1,
                                                  .missing_all = committed / 10,
                                                  .stream_ended = ended};
    bool is_new;
    agents_batch(known.agents, &outcome, 1000, &is_new);
    return is_new;
}

static struct agent_view find(struct known known) {
    struct agent_view view;
    assert_true(agents_find(known.agents, ACME, EDGE, known.arena, &view));
    return view;
}

TEST(the_last_status_is_kept) {
    const struct known known = known_new();
    struct fault fault;
    struct agent_view view;
    bool is_new;
    assert_false(agents_find(known.agents, ACME, EDGE, known.arena, &view));
    CHECK_OK(agents_status(known.agents, ACME, EDGE, SLICE_LIT("first"),
                           &(struct agent_word){.online = true, .heard_ms = 5}, 5, &is_new, &fault));
    assert_true(is_new);
    CHECK_OK(agents_status(known.agents, ACME, EDGE, SLICE_LIT("second"),
                           &(struct agent_word){.online = true, .heard_ms = 6}, 6, &is_new, &fault));
    assert_false(is_new);
    view = find(known);
    CHECK_SLICE(view.status, "second");
    CHECK_SLICE(view.tenant, "acme");
    CHECK_SLICE(view.agent, "edge-1");
    assert_int_equal(view.last_seen_ms, 6);
    assert_int_equal(view.epoch.size, 0);
    assert_int_equal(view.streams_count, 0);
    known_free(known);
}

static bool queue_said(struct known known, const char *epoch, uint64_t waiting, int64_t now_ms,
                       struct agent_queue_change *ret_change) {
    struct fault fault;
    bool is_new;
    CHECK_OK(agents_status(known.agents, ACME, EDGE, SLICE_LIT("word"), &(struct agent_word){.online = true}, now_ms,
                           &is_new, &fault));
    const struct agent_queue queue = {slice_from_text(epoch), waiting, now_ms - 1};
    return agents_queue(known.agents, ACME, EDGE, &queue, now_ms, ret_change);
}

TEST(another_queue_says_what_had_waited_in_the_former_one) {
    const struct known known = known_new();
    struct agent_queue_change change;
    assert_false(agents_queue(known.agents, ACME, EDGE, &(struct agent_queue){slice_from_text(epoch_one), 1, 1}, 1,
                              &change)); /* not known at all */
    assert_false(queue_said(known, epoch_one, 700, 1000, &change));
    assert_false(queue_said(known, epoch_one, 812, 2000, &change));
    assert_false(queue_said(known, "", 0, 2500, &change)); /* a will */
    batch(known, epoch_one, 1, 5, false);
    assert_int_equal(find(known).brief.change.times, 0);
    assert_true(queue_said(known, epoch_two, 0, 9000, &change));
    assert_int_equal(change.waiting, 812);
    assert_int_equal(change.said_ms, 1999);
    assert_int_equal(change.changed_ms, 9000);
    assert_int_equal(change.committed_since, 5);
    assert_int_equal(change.times, 1);
    assert_memory_equal(change.previous_epoch, epoch_one, AGENT_EPOCH_BYTES);
    assert_int_equal(find(known).brief.change.waiting, 812);
    /* two that take turns */
    assert_false(queue_said(known, epoch_one, 3, 9100, &change));
    assert_false(queue_said(known, epoch_two, 4, 9200, &change));
    assert_int_equal(find(known).brief.change.times, 1);
    assert_true(queue_said(known, "0190a5c0-7e1f-7000-8000-000000000003", 0, 9300, &change));
    assert_int_equal(change.times, 2);
    assert_int_equal(change.waiting, 4);
    known_free(known);
}

TEST(changes_are_noted_and_recalled_by_the_next_life) {
    char folder[] = "/tmp/picket-changes-XXXXXX", path[80], command[96];
    struct fault fault;
    struct agent_queue_change change = {
        .changed_ms = 9000, .said_ms = 1999, .waiting = 812, .committed_since = 5, .times = 2};
    memcpy(change.previous_epoch, epoch_one, AGENT_EPOCH_BYTES);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/changes", folder);
    struct known known = known_new();
    CHECK_OK(queue_changes_recall(path, known.agents, 9000, &fault)); /* none */
    known_free(known);
    CHECK_OK(queue_changes_note(path, ACME, EDGE, slice_from_text(epoch_two), &change, &fault));
    CHECK_OK(queue_changes_note(path, ACME, SLICE_LIT("edge-2"), slice_from_text(epoch_two), &change, &fault));
    snprintf(command, sizeof command, "printf 'acme edge-1 half' >> %s", path); /* the disk was full */
    assert_int_equal(system(command), 0);
    for (int life = 0; life < 2; life++) {
        known = known_new();
        struct agent_queue_change said;
        CHECK_OK(queue_changes_recall(path, known.agents, 9000 + AGENT_CHANGE_SAID_MS - 1, &fault));
        assert_false(
            queue_said(known, life ? epoch_one : epoch_two, 3, 10000, &said)); /* either of two that take turns */
        assert_int_equal(find(known).brief.change.waiting, 812);
        assert_int_equal(find(known).brief.change.times, 2);
        assert_memory_equal(find(known).brief.change.previous_epoch, life ? epoch_two : epoch_one, AGENT_EPOCH_BYTES);
        assert_false(queue_said(known, life ? epoch_two : epoch_one, 3, 10001, &said));
        known_free(known);
    }
    known = known_new();
    struct agent_queue_change said;
    CHECK_OK(queue_changes_recall(path, known.agents, 9000, &fault));
    assert_false(
        queue_said(known, "0190a5c0-7e1f-7000-8000-000000000003", 0, 9300, &said)); /* nobody was there to hear it */
    assert_int_equal(find(known).brief.change.times, 0);
    CHECK_OK(queue_changes_recall(path, known.agents, 9000 + AGENT_CHANGE_SAID_MS, &fault)); /* a day later */
    known_free(known);
    snprintf(command, sizeof command, "test -f %s && test ! -s %s", path, path);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

/* "ac/me" would be the same key as tenant "ac" with agent "me..": the parts decide, not the text. */
TEST(tenant_and_agent_are_two_things) {
    const struct known known = known_new();
    struct fault fault;
    struct agent_view view;
    bool is_new;
    CHECK_OK(agents_status(known.agents, SLICE_LIT("a"), SLICE_LIT("b/c"), SLICE_LIT("one"),
                           &(struct agent_word){.online = true, .heard_ms = 1}, 1, &is_new, &fault));
    CHECK_OK(agents_status(known.agents, SLICE_LIT("a/b"), SLICE_LIT("c"), SLICE_LIT("two"),
                           &(struct agent_word){.online = true, .heard_ms = 1}, 1, &is_new, &fault));
    assert_true(is_new);
    assert_int_equal(agents_count(known.agents), 2);
    assert_true(agents_find(known.agents, SLICE_LIT("a"), SLICE_LIT("b/c"), known.arena, &view));
    CHECK_SLICE(view.status, "one");
    known_free(known);
}

TEST(streams_are_followed_and_forgotten_with_their_epoch) {
    const struct known known = known_new();
    assert_true(batch(known, epoch_one, 1, 10, false));
    assert_false(batch(known, epoch_one, 2, 5, false));
    assert_false(batch(known, epoch_one, 1, 20, false));
    struct agent_view view = find(known);
    CHECK_SLICE(view.epoch, epoch_one);
    assert_int_equal(view.streams_count, 2);
    assert_int_equal(view.streams[0].stream, 1);
    assert_int_equal(view.streams[0].committed_sequence, 20);
    assert_int_equal(view.streams[0].missing, 2);
    assert_int_equal(view.committed, 15); /* applied and refused count as handled */
    assert_int_equal(view.refused, 6);
    assert_int_equal(view.missing, 3);
    batch(known, epoch_two, 1, 3, false);
    view = find(known);
    CHECK_SLICE(view.epoch, epoch_two);
    assert_int_equal(view.streams_count, 1);
    assert_int_equal(view.streams[0].committed_sequence, 3);
    known_free(known);
}

TEST(an_ended_stream_gives_up_its_place_first) {
    const struct known known = known_new();
    for (uint64_t s = 1; s <= AGENT_STREAMS_MAX; s++) batch(known, epoch_one, s, 1, s == 7);
    batch(known, epoch_one, 100, 1, false);
    struct agent_view view = find(known);
    assert_int_equal(view.streams_count, AGENT_STREAMS_MAX);
    for (size_t i = 0; i < view.streams_count; i++) assert_int_not_equal(view.streams[i].stream, 7);
    assert_int_equal(view.streams[AGENT_STREAMS_MAX - 1].stream, 100);
    batch(known, epoch_one, 101, 1, false); /* none has ended: the oldest */
    view = find(known);
    assert_int_equal(view.streams[0].stream, 2);
    known_free(known);
}

TEST(an_ack_is_due_once_for_each_change) {
    const struct known known = known_new();
    struct agent_view view;
    size_t at = 0;
    assert_false(agents_take_due(known.agents, &at, known.arena, &view));
    batch(known, epoch_one, 1, 1, false);
    batch(known, epoch_one, 1, 2, false);
    at = 0;
    assert_true(agents_take_due(known.agents, &at, known.arena, &view));
    assert_int_equal(view.streams[0].committed_sequence, 2);
    assert_false(agents_take_due(known.agents, &at, known.arena, &view));
    agents_put_back(known.agents, ACME, EDGE);
    at = 0;
    assert_true(agents_take_due(known.agents, &at, known.arena, &view));
    at = 0;
    assert_false(agents_take_due(known.agents, &at, known.arena, &view));
    agents_put_back(known.agents, ACME, SLICE_LIT("nobody")); /* nothing happens */
    known_free(known);
}

TEST(there_is_a_most_of_agents_and_the_known_ones_go_on) {
    const struct known known = known_new();
    struct fault fault;
    bool is_new;
    char name[32];
    for (int i = 0; i < AGENTS_MAX; i++) {
        snprintf(name, sizeof name, "edge-%d", i);
        CHECK_OK(agents_status(known.agents, ACME, slice_from_text(name), SLICE_LIT("s"),
                               &(struct agent_word){.online = true, .heard_ms = 1}, 1, &is_new, &fault));
    }
    CHECK_FAULT(agents_status(known.agents, ACME, SLICE_LIT("one-more"), SLICE_LIT("s"),
                              &(struct agent_word){.online = true, .heard_ms = 1}, 1, &is_new, &fault),
                FAULT_LIMIT);
    CHECK_OK(agents_status(known.agents, ACME, SLICE_LIT("edge-77"), SLICE_LIT("t"),
                           &(struct agent_word){.online = true, .heard_ms = 2}, 2, &is_new, &fault));
    assert_false(is_new);
    assert_int_equal(agents_count(known.agents), AGENTS_MAX);
    struct agent_view view;
    assert_true(agents_at(known.agents, 77, known.arena, &view));
    CHECK_SLICE(view.status, "t");
    assert_false(agents_at(known.agents, AGENTS_MAX, known.arena, &view));
    known_free(known);
}

TEST(a_name_that_is_empty_or_too_long_is_not_kept) {
    const struct known known = known_new();
    struct fault fault;
    bool is_new;
    static char name[200];
    memset(name, 'a', sizeof name);
    CHECK_FAULT(agents_status(known.agents, ACME, (slice){0}, SLICE_LIT("s"),
                              &(struct agent_word){.online = true, .heard_ms = 1}, 1, &is_new, &fault),
                FAULT_LIMIT);
    CHECK_FAULT(agents_status(known.agents, ACME, slice_of(name, 200), SLICE_LIT("s"),
                              &(struct agent_word){.online = true, .heard_ms = 1}, 1, &is_new, &fault),
                FAULT_LIMIT);
    assert_int_equal(agents_count(known.agents), 0);
    known_free(known);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_status_is_kept),
        cmocka_unit_test(another_queue_says_what_had_waited_in_the_former_one),
        cmocka_unit_test(changes_are_noted_and_recalled_by_the_next_life),
        cmocka_unit_test(tenant_and_agent_are_two_things),
        cmocka_unit_test(streams_are_followed_and_forgotten_with_their_epoch),
        cmocka_unit_test(an_ended_stream_gives_up_its_place_first),
        cmocka_unit_test(an_ack_is_due_once_for_each_change),
        cmocka_unit_test(there_is_a_most_of_agents_and_the_known_ones_go_on),
        cmocka_unit_test(a_name_that_is_empty_or_too_long_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
