/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include "agent/show/readiness.h"

static const struct readiness good = {.stall_ms = 60000,
                                      .up_ms = 600000,
                                      .connected = true,
                                      .ever_connected = true,
                                      .broker_fault = "",
                                      .waiting = 3,
                                      .oldest_ms = 1000,
                                      .last_commit_ms = 2000,
                                      .targets = 2,
                                      .last_success_ms = 1000,
                                      .refusal = "",
                                      .certificate_fault = "",
                                      .store_fault = ""};

static bool judge(const struct readiness *readiness, const char *said) {
    char text[4096];
    const bool ready = readiness_judge(readiness, text, sizeof text);
    if (!strstr(text, said)) fail_msg("'%s' is not in: %s", said, text);
    return ready;
}

TEST(agent_whose_work_arrives_is_ready) {
    assert_true(judge(&good, "{\"reasons\":[],\"ready\":true,\"connected\":true,\"waiting\":3,"));
    struct readiness now = good;
    now.connected = false; /* a short outage is what the queue is for */
    now.disconnected_ms = 30000;
    now.oldest_ms = 30000;
    now.last_commit_ms = 30000;
    assert_true(judge(&now, "\"connected\":false"));
    now = good;
    now.waiting = 0; /* nothing to commit: a long silence is no fault */
    now.last_commit_ms = 3600000;
    assert_true(judge(&now, "\"ready\":true"));
}

TEST(one_watch_of_several_that_does_not_work_is_a_warning) {
    struct readiness now = good;
    now.clusters_ms = -1;
    now.clusters_fault = "cluster 'k1': 1 of 9 watches do not work: nodes: denied";
    assert_true(
        judge(&now, "\"warnings\":[\"cluster 'k1': 1 of 9 watches do not work: nodes: denied\"],\"ready\":true"));
    now.clusters_ms = 61000;
    assert_false(judge(&now, "{\"reasons\":[\"for 61 s: cluster 'k1'"));
}

TEST(disk_that_has_no_room_for_more_is_a_warning_until_storing_fails) {
    struct readiness now = good;
    now.store_fault = "the disk of '/q' is full";
    assert_true(judge(&now, "{\"reasons\":[],\"warnings\":[\"the disk of '/q' is full\"],\"ready\":true"));
    now.clusters_ms = -1;
    now.clusters_fault = "cluster 'k1'";
    assert_true(judge(&now, "\"warnings\":[\"cluster 'k1'\",\"the disk of '/q' is full\"],\"ready\":true"));
    now.store_failing = true;
    assert_false(judge(&now, "{\"reasons\":[\"what is measured cannot be stored: the disk of '/q' is full\"],"));
}

TEST(target_that_answers_and_is_not_counted_is_a_warning) {
    struct readiness now = good;
    now.uncounted_targets = 1;
    now.uncounted = "slo 's' on target 't': no room";
    assert_true(judge(&now, "\"warnings\":[\"1 target is not counted whole: slo 's' on target 't': no room\"]"));
    now.uncounted_targets = 3;
    now.store_fault = "the disk of '/q' is full";
    assert_true(judge(&now, "is full\",\"3 targets are not counted whole: slo"));
}

TEST(each_stall_is_a_reason_in_words) {
    struct readiness now = good;
    now.oldest_ms = now.last_commit_ms = 61000;
    assert_false(judge(&now, "the centre has committed nothing for 61 s, while 3 intents wait, the oldest for 61 s"));
    now.last_commit_ms = -1;
    assert_false(judge(&now, "committed nothing for 600 s"));
    now = good;
    now.last_success_ms = 70000;
    assert_false(judge(&now, "no scrape or probe has succeeded for 70 s"));
    now.last_success_ms = -1;
    assert_false(judge(&now, "no scrape or probe has succeeded since the start 600 s ago"));
    now.targets = 0;
    assert_true(judge(&now, "\"ready\":true"));
    now = good;
    now.refusal = "revoked by anna: stolen";
    assert_false(judge(&now, "the centre takes in nothing: revoked by anna: stolen"));
    now.refusal = "";
    now.certificate_fault = "the certificate is over";
    assert_false(judge(&now, "\"the certificate is over\""));
    now = good;
    now.store_failing = true;
    now.store_fault = "no \"space\" left";
    assert_false(judge(&now, "cannot be stored: no \\\"space\\\" left\""));
    now = good;
    now.connected = now.ever_connected = false;
    now.up_ms = 5000;
    now.broker_fault = "refused";
    assert_false(judge(&now, "not connected to the broker for 5 s: refused"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agent_whose_work_arrives_is_ready),
        cmocka_unit_test(one_watch_of_several_that_does_not_work_is_a_warning),
        cmocka_unit_test(disk_that_has_no_room_for_more_is_a_warning_until_storing_fails),
        cmocka_unit_test(target_that_answers_and_is_not_counted_is_a_warning),
        cmocka_unit_test(each_stall_is_a_reason_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
