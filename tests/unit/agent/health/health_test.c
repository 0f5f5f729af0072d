/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/health/health.h"
#include "tests/support/check.h"

static struct health *health_of(struct health_check check) {
    struct health *health;
    struct fault fault;
    const slice targets[] = {SLICE_LIT("node")}, probes[] = {SLICE_LIT("web")};
    check.id = SLICE_LIT("check-1");
    check.stale_ms = 1000;
    check.heartbeat_ms = 500;
    CHECK_OK(health_new(&check, 1, targets, 1, probes, 1, 0, &health, &fault));
    return health;
}

static void probe(struct health *health, int64_t at_ms, bool ok) {
    health_probe(health, 0, at_ms, true, ok, 20, ok ? "" : "connection refused");
}

static struct health_observation take(struct health *health, int64_t now_ms) {
    struct health_observation observation;
    size_t check;
    assert_true(health_due(health, now_ms, &observation, &check));
    health_taken(health, check, now_ms);
    return observation;
}

static void nothing_due(struct health *health, int64_t now_ms) {
    struct health_observation observation;
    size_t check;
    assert_false(health_due(health, now_ms, &observation, &check));
}

TEST(a_check_is_unknown_until_it_was_observed_often_enough) {
    struct health *health =
        health_of((struct health_check){.probe = true, .target = SLICE_LIT("web"), .rise = 2, .fall = 3});
    nothing_due(health, 0);
    probe(health, 10, true);
    assert_int_equal(health_status(health, 0), HEALTH_UNKNOWN);
    probe(health, 20, true);
    assert_int_equal(health_status(health, 0), HEALTH_HEALTHY);
    const struct health_observation seen = take(health, 20);
    assert_int_equal(seen.status, HEALTH_HEALTHY);
    assert_int_equal(seen.previous, HEALTH_UNKNOWN);
    assert_true(seen.changed);
    assert_int_equal(seen.observed_ms, 20);
    assert_int_equal(seen.latency_ms, 20);
    nothing_due(health, 21);
    health_free(health);
}

TEST(it_takes_fall_in_a_row_to_leave_healthy) {
    struct health *health =
        health_of((struct health_check){.probe = true, .target = SLICE_LIT("web"), .rise = 1, .fall = 3});
    probe(health, 10, true);
    (void)take(health, 10);
    probe(health, 20, false), probe(health, 30, false), probe(health, 40, true), probe(health, 50, false),
        probe(health, 60, false);
    assert_int_equal(health_status(health, 0), HEALTH_HEALTHY);
    nothing_due(health, 60);
    probe(health, 70, false);
    const struct health_observation seen = take(health, 70);
    assert_int_equal(seen.status, HEALTH_UNHEALTHY);
    assert_int_equal(seen.previous, HEALTH_HEALTHY);
    assert_string_equal(seen.message, "connection refused");
    health_free(health);
}

TEST(silence_makes_unknown_never_green) {
    struct health *health =
        health_of((struct health_check){.probe = true, .target = SLICE_LIT("web"), .rise = 2, .fall = 1});
    probe(health, 10, true), probe(health, 20, true);
    (void)take(health, 20);
    health_probe(health, 0, 500, false, false, 0, "no descriptor"); /* could not ask: says nothing */
    assert_int_equal(health_due_ms(health), 520);
    (void)take(health, 520);
    const struct health_observation seen = take(health, 1020);
    assert_int_equal(seen.status, HEALTH_UNKNOWN);
    assert_true(seen.changed);
    assert_int_equal(seen.latency_ms, -1);
    probe(health, 1030, true); /* one good answer is not two */
    assert_int_equal(health_status(health, 0), HEALTH_UNKNOWN);
    probe(health, 1040, true);
    assert_int_equal(health_status(health, 0), HEALTH_HEALTHY);
    health_free(health);
}

TEST(a_check_that_is_never_observed_says_unknown_in_time) {
    struct health *health =
        health_of((struct health_check){.probe = true, .target = SLICE_LIT("gone"), .rise = 1, .fall = 1});
    assert_int_equal(health_due_ms(health), 1000);
    nothing_due(health, 999);
    const struct health_observation seen = take(health, 1000);
    assert_int_equal(seen.status, HEALTH_UNKNOWN);
    assert_non_null(strstr(seen.message, "no probe 'gone'"));
    health_free(health);
}

TEST(a_heartbeat_comes_at_its_interval_and_until_it_is_taken) {
    struct health *health =
        health_of((struct health_check){.probe = true, .target = SLICE_LIT("web"), .rise = 1, .fall = 1});
    probe(health, 10, true);
    (void)take(health, 10);
    probe(health, 400, true);
    nothing_due(health, 509);
    struct health_observation observation;
    size_t check;
    for (int i = 0; i < 3; i++) assert_true(health_due(health, 510, &observation, &check));
    assert_false(observation.changed);
    assert_int_equal(observation.observed_ms, 400);
    health_taken(health, check, 510);
    nothing_due(health, 510);
    health_free(health);
}

static void sample(struct selector_index *index, const char *name, double value) {
    const struct exposition_sample one = {.name = slice_from_text(name), .value = value};
    const void *family = selector_index_find_name(index, one.name);
    if (family) selector_index_on_sample(index, family, &one);
}

TEST(a_rule_looks_at_every_series_and_none_is_unknown) {
    struct health *health = health_of((struct health_check){.target = SLICE_LIT("node"),
                                                            .selector = SLICE_LIT("free"),
                                                            .operator= SLI_GREATER,
                                                            .threshold = 10,
                                                            .degrades = true,
                                                            .rise = 1,
                                                            .fall = 1});
    struct selector_index *index = selector_index_new();
    struct fault fault;
    CHECK_OK(health_attach(health, 0, index, &fault));
    CHECK_OK(selector_index_ready(index, &fault));
    health_begin(health, 0);
    sample(index, "free", 20), sample(index, "free", 30), sample(index, "other", 0);
    health_end(health, 0, 10, true);
    assert_int_equal(health_status(health, 0), HEALTH_HEALTHY);
    health_begin(health, 0);
    sample(index, "free", 20), sample(index, "free", 5);
    health_end(health, 0, 20, false); /* the scrape failed */
    assert_int_equal(health_status(health, 0), HEALTH_HEALTHY);
    health_begin(health, 0);
    sample(index, "free", 20), sample(index, "free", 5);
    health_end(health, 0, 30, true);
    const struct health_observation seen = take(health, 30);
    assert_int_equal(seen.status, HEALTH_DEGRADED);
    assert_string_equal(seen.message, "1 of 2 series break the rule, one with value 5");
    health_begin(health, 0);
    health_end(health, 0, 900, true); /* no series */
    assert_int_equal(take(health, 1030).status, HEALTH_UNKNOWN);
    health_free(health);
    selector_index_free(index);
}

TEST(checks_that_are_wrong_are_refused_by_name) {
    struct health *health;
    struct fault fault = {0};
    const struct health_check good = {.id = SLICE_LIT("a"),
                                      .probe = true,
                                      .target = SLICE_LIT("web"),
                                      .rise = 1,
                                      .fall = 1,
                                      .stale_ms = 1,
                                      .heartbeat_ms = 1};
    struct health_check checks[2] = {good, good};
    CHECK_FAULT(health_new(checks, 2, NULL, 0, NULL, 0, 0, &health, &fault), FAULT_CONFLICT);
    assert_non_null(strstr(fault.text, "health check 'a'"));
    checks[0].rise = 0;
    CHECK_FAULT(health_new(checks, 1, NULL, 0, NULL, 0, 0, &health, &fault), FAULT_INPUT);
    checks[0] = good, checks[0].probe = false;
    CHECK_FAULT(health_new(checks, 1, NULL, 0, NULL, 0, 0, &health, &fault), FAULT_INPUT);
}

TEST(a_restart_says_nothing_twice_and_nothing_unseen) {
    const struct health_check one = {.probe = true, .target = SLICE_LIT("web"), .rise = 2, .fall = 2};
    struct arena *arena = arena_new(1024, 1024 * 1024);
    struct fault fault;
    struct health_observation observation;
    size_t check;
    slice note;
    struct health *health = health_of(one);
    probe(health, 10, true), probe(health, 20, true);
    assert_true(health_due(health, 20, &observation, &check));
    CHECK_OK(health_note(health, check, 20, arena, &note, &fault));
    health_free(health); /* killed: stored, and not noticed */

    health = health_of(one);
    CHECK_OK(health_restore(health, note, 100, &fault));
    assert_int_equal(health_status(health, 0), HEALTH_HEALTHY);
    nothing_due(health, 600); /* the heartbeat's time is past, but nobody has looked */
    probe(health, 610, true);
    const struct health_observation again = take(health, 620);
    assert_int_equal(again.status, HEALTH_HEALTHY);
    assert_false(again.changed);
    health_free(health);

    health = health_of(one); /* nobody looks for stale_ms: unknown */
    CHECK_OK(health_restore(health, note, 100, &fault));
    nothing_due(health, 1099);
    const struct health_observation silent = take(health, 1100);
    assert_int_equal(silent.status, HEALTH_UNKNOWN);
    assert_int_equal(silent.previous, HEALTH_HEALTHY);
    assert_true(silent.changed);
    health_free(health);

    health = health_of(one); /* it went down meanwhile */
    CHECK_OK(health_restore(health, note, 100, &fault));
    probe(health, 110, false), probe(health, 120, false);
    const struct health_observation down = take(health, 120);
    assert_int_equal(down.status, HEALTH_UNHEALTHY);
    assert_int_equal(down.previous, HEALTH_HEALTHY);
    for (size_t cut = 0; cut < note.size; cut++)
        CHECK_FAULT(health_restore(health, slice_first(note, cut), 100, &fault), FAULT_CORRUPT);
    health_free(health);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_check_is_unknown_until_it_was_observed_often_enough),
        cmocka_unit_test(it_takes_fall_in_a_row_to_leave_healthy),
        cmocka_unit_test(silence_makes_unknown_never_green),
        cmocka_unit_test(a_check_that_is_never_observed_says_unknown_in_time),
        cmocka_unit_test(a_heartbeat_comes_at_its_interval_and_until_it_is_taken),
        cmocka_unit_test(a_rule_looks_at_every_series_and_none_is_unknown),
        cmocka_unit_test(a_restart_says_nothing_twice_and_nothing_unseen),
        cmocka_unit_test(checks_that_are_wrong_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
