/* SPDX-License-Identifier: Apache-2.0
 * What is said of an agent: the worst that holds, and silence is never health. */
#include "aggregator/api/agent_standing.h"
#include "tests/support/check.h"

#define NOW INT64_C(1800000000000)
#define S INT64_C(1000)

struct word {
    bool has_status, online;
    int64_t interval_ms, silent_ms, conflict_ago_ms; /* conflict_ago_ms 0: never */
};

static const AgentIdentity *identity(bool certificate, bool revoked) {
    static AgentIdentity made;
    made = (AgentIdentity){.has_certificate = certificate,
                           .revoked = revoked,
                           .revoked_by = SLICE_LIT("anna"),
                           .revoke_reason = SLICE_LIT("stolen")};
    return &made;
}

static void expect(const struct word *word, const AgentIdentity *right, AgentState state, const char *reason) {
    char said[AGENT_STANDING_REASON_BYTES];
    const struct agent_brief brief = {
        .has_status = word && word->has_status,
        .word = {.online = word && word->online, .interval_ms = word ? word->interval_ms : 0},
        .last_seen_ms = word ? NOW - word->silent_ms : 0,
        .conflict_ms = word && word->conflict_ago_ms ? NOW - word->conflict_ago_ms : 0,
    };
    memset(said, 'x', sizeof said);
    assert_int_equal(agent_standing(word ? &brief : NULL, right, NOW, said), state);
    if (!memchr(said, '\0', sizeof said) || !strstr(said, reason) || (!*reason && *said))
        fail_msg("expected '%s', got '%.200s'", reason, said);
}

TEST(who_was_never_heard_of_is_awaited) {
    expect(NULL, identity(false, false), AGENT_STATE_AWAITED, "it may enrol");
    expect(NULL, identity(true, false), AGENT_STATE_AWAITED, "it has a certificate, and nothing was heard of it");
}

TEST(who_speaks_in_time_is_online_with_or_without_a_right_from_here) {
    const struct word speaks = {.has_status = true, .online = true, .interval_ms = 10 * S, .silent_ms = 5 * S};
    expect(&speaks, NULL, AGENT_STATE_ONLINE, "");
    expect(&speaks, identity(true, false), AGENT_STATE_ONLINE, "");
    expect(&(struct word){.has_status = true, .online = true, .silent_ms = -3600 * S}, NULL, AGENT_STATE_ONLINE, "");
}

TEST(another_queue_is_told_beside_the_state_for_a_day) {
    char said[AGENT_STANDING_REASON_BYTES];
    struct agent_brief brief = {
        .has_status = true,
        .word = {.online = true},
        .last_seen_ms = NOW,
        .change = {.changed_ms = NOW - 120 * S, .said_ms = NOW - 420 * S, .waiting = UINT64_MAX, .times = 1}};
    assert_int_equal(agent_standing(&brief, NULL, NOW, said), AGENT_STATE_ONLINE);
    assert_string_equal(said, "its queue is another one since 2 min: the former held 18446744073709551615 records when "
                              "it spoke of it last, 300 s before; what was not delivered is lost");
    brief.change.changed_ms = NOW - AGENT_CHANGE_SAID_MS;
    assert_int_equal(agent_standing(&brief, NULL, NOW, said), AGENT_STATE_ONLINE);
    assert_string_equal(said, "");
}

/* Three intervals, and what a message may take; a minute where it did not say how often it speaks. */
TEST(silence_is_unknown_from_the_first_moment_after_its_time) {
    static const struct {
        int64_t interval_ms, most_ms;
        const char *every;
    } cases[] = {{10 * S, 35 * S, "every 10 s"},
                 {1 * S, 8 * S, "every 1 s"},
                 {0, 185 * S, "every 60 s"},
                 {-5, 185 * S, "every 60 s"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct word word = {
            .has_status = true, .online = true, .interval_ms = cases[i].interval_ms, .silent_ms = cases[i].most_ms};
        expect(&word, NULL, AGENT_STATE_ONLINE, "");
        word.silent_ms++;
        expect(&word, NULL, AGENT_STATE_UNKNOWN, cases[i].every);
    }
    expect(&(struct word){.has_status = true, .online = true, .interval_ms = 10 * S, .silent_ms = 90 * S}, NULL,
           AGENT_STATE_UNKNOWN, "nothing was heard of it for 90 s");
}

TEST(who_sends_without_a_word_about_itself_is_unknown) {
    expect(&(struct word){.silent_ms = 1 * S}, NULL, AGENT_STATE_UNKNOWN, "has not said how it is");
    expect(&(struct word){.silent_ms = 3600 * S}, NULL, AGENT_STATE_UNKNOWN, "for 3600 s");
}

TEST(a_good_bye_is_offline_however_long_ago) {
    expect(&(struct word){.has_status = true, .silent_ms = 1 * S}, NULL, AGENT_STATE_OFFLINE, "good-bye");
    expect(&(struct word){.has_status = true, .silent_ms = 30 * 86400 * S}, NULL, AGENT_STATE_OFFLINE, "good-bye");
}

TEST(two_of_a_name_are_a_conflict_until_one_alone_was_heard_three_times_whatever_they_say) {
    static const struct {
        int64_t interval_ms, most_ms;
        const char *reason;
    } cases[] = {{0, 185 * S, "heard for 185 s"}, {1 * S, 90 * S, "heard for 90 s"}, {60 * S, 185 * S, "another name"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct word word = {.has_status = true,
                            .online = true,
                            .interval_ms = cases[i].interval_ms,
                            .silent_ms = 1 * S,
                            .conflict_ago_ms = cases[i].most_ms - 1};
        expect(&word, NULL, AGENT_STATE_CONFLICT, cases[i].reason);
        word.online = false;
        expect(&word, NULL, AGENT_STATE_CONFLICT, cases[i].reason);
        word.conflict_ago_ms = cases[i].most_ms;
        expect(&word, NULL, AGENT_STATE_OFFLINE, "good-bye");
        word.online = true;
        expect(&word, NULL, AGENT_STATE_ONLINE, "");
    }
}

TEST(a_revocation_is_said_before_all_else_and_its_reason_is_cut_to_what_fits) {
    const struct word word = {.has_status = true, .online = true, .conflict_ago_ms = 1 * S};
    expect(&word, identity(true, true), AGENT_STATE_REVOKED, "revoked by anna: stolen");
    expect(NULL, identity(true, true), AGENT_STATE_REVOKED, "revoked by anna: stolen");
    static char text[1025];
    memset(text, 'r', sizeof text - 1);
    AgentIdentity right = *identity(true, true);
    right.revoked_by = right.revoke_reason = slice_from_text(text);
    expect(&word, &right, AGENT_STATE_REVOKED, "revoked by rrr");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_was_never_heard_of_is_awaited),
        cmocka_unit_test(who_speaks_in_time_is_online_with_or_without_a_right_from_here),
        cmocka_unit_test(another_queue_is_told_beside_the_state_for_a_day),
        cmocka_unit_test(silence_is_unknown_from_the_first_moment_after_its_time),
        cmocka_unit_test(who_sends_without_a_word_about_itself_is_unknown),
        cmocka_unit_test(a_good_bye_is_offline_however_long_ago),
        cmocka_unit_test(two_of_a_name_are_a_conflict_until_one_alone_was_heard_three_times_whatever_they_say),
        cmocka_unit_test(a_revocation_is_said_before_all_else_and_its_reason_is_cut_to_what_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
