/* SPDX-License-Identifier: Apache-2.0
 * Health checks: the newest observation is the state, whatever order they come in. */
#include "aggregator/domain/health_check.h"
#include "tests/unit/aggregator/domain/domain_fixture.h"

#define T DOMAIN_NOW_MS

static fault_code observe(struct world *w, HealthStatus status, int64_t at_ms, const char *message) {
    RecordHealthCheckRequested *r =
        &world_intent(w, SreDomainIntent_record_health_check_tag)->intent.record_health_check;
    r->healthcheck_id = w->aggregate.id;
    r->has_timestamp = true;
    r->timestamp = domain_time(at_ms);
    r->status = status;
    r->message = slice_from_text(message);
    return world_give(w);
}

static struct world *check(void) {
    struct world *w = world_new(AGGREGATE_HEALTH_CHECK, SLICE_LIT("node-1"));
    assert_int_equal(observe(w, HEALTH_STATUS_HEALTHY, T, "ready"), FAULT_NONE);
    return w;
}

static const HealthCheck *now(const struct world *w) {
    return &w->aggregate.state.health_check;
}

TEST(a_newer_observation_is_the_state) {
    struct world *w = check();
    assert_int_equal(observe(w, HEALTH_STATUS_UNHEALTHY, T + 1000, "not ready"), FAULT_NONE);
    const HealthCheckRecorded *fact = &w->facts.items[0].fact.health_check_recorded;
    assert_false(fact->late);
    assert_int_equal(fact->from, HEALTH_STATUS_HEALTHY);
    assert_int_equal(now(w)->status, HEALTH_STATUS_UNHEALTHY);
    assert_int_equal(domain_ms(now(w)->status_since), T + 1000);
    CHECK_SLICE(now(w)->agent, "anna");
    world_free(w);
}

TEST(an_older_observation_is_history_and_changes_nothing) {
    struct world *w = check();
    assert_int_equal(observe(w, HEALTH_STATUS_UNHEALTHY, T - 1000, "not ready"), FAULT_NONE);
    assert_int_equal(w->facts.count, 1);
    assert_true(w->facts.items[0].fact.health_check_recorded.late);
    assert_int_equal(w->aggregate.version, 2);
    assert_int_equal(now(w)->status, HEALTH_STATUS_HEALTHY);
    assert_int_equal(domain_ms(now(w)->timestamp), T);
    world_free(w);
}

TEST(the_same_observation_is_a_repeat_and_another_of_that_time_is_not) {
    struct world *w = check();
    assert_int_equal(observe(w, HEALTH_STATUS_HEALTHY, T, "ready"), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    assert_int_equal(observe(w, HEALTH_STATUS_DEGRADED, T, "ready"), FAULT_NONE);
    assert_int_equal(w->facts.count, 1);
    assert_int_equal(now(w)->status, HEALTH_STATUS_DEGRADED);
    world_free(w);
}

TEST(a_status_is_since_when_it_began) {
    struct world *w = check();
    assert_int_equal(observe(w, HEALTH_STATUS_HEALTHY, T + 60000, "still ready"), FAULT_NONE);
    assert_int_equal(domain_ms(now(w)->status_since), T);
    assert_int_equal(domain_ms(now(w)->timestamp), T + 60000);
    world_free(w);
}

/* Between the expiry and the next observation it was unknown, never what it had been. */
TEST(a_status_that_had_expired_begins_again) {
    struct world *w = world_new(AGGREGATE_HEALTH_CHECK, SLICE_LIT("node-1"));
    observe(w, HEALTH_STATUS_HEALTHY, T, "");
    w->aggregate.state.health_check.has_expires_at = true;
    w->aggregate.state.health_check.expires_at = domain_time(T + 1000);
    assert_int_equal(observe(w, HEALTH_STATUS_HEALTHY, T + 999, ""), FAULT_NONE);
    assert_int_equal(domain_ms(now(w)->status_since), T);
    w->aggregate.state.health_check.has_expires_at = true;
    w->aggregate.state.health_check.expires_at = domain_time(T + 2000);
    assert_int_equal(observe(w, HEALTH_STATUS_HEALTHY, T + 2000, ""), FAULT_NONE);
    assert_int_equal(domain_ms(now(w)->status_since), T + 2000);
    world_free(w);
}

TEST(what_would_have_expired_before_it_was_seen_is_refused) {
    struct world *w = check();
    RecordHealthCheckRequested *r =
        &world_intent(w, SreDomainIntent_record_health_check_tag)->intent.record_health_check;
    r->has_timestamp = r->has_expires_at = true;
    r->timestamp = r->expires_at = domain_time(T + 1);
    CHECK_FAULT(world_give(w), FAULT_INPUT);
    r->expires_at = domain_time(T + 2);
    assert_int_equal(world_give(w), FAULT_NONE);
    world_free(w);
}

/* "Unknown is never green": nothing that was seen once stays what it was for ever. */
TEST(an_observation_without_an_end_gets_one_from_when_it_was_seen) {
    struct world *w = world_new(AGGREGATE_HEALTH_CHECK, SLICE_LIT("node-1"));
    const int64_t long_ago = T - INT64_C(90) * 24 * 3600 * 1000;
    assert_int_equal(observe(w, HEALTH_STATUS_HEALTHY, long_ago, ""), FAULT_NONE);
    assert_true(now(w)->has_expires_at);
    assert_int_equal(domain_ms(now(w)->expires_at), long_ago + w->call.health_expiry_ms);
    assert_int_equal(observe(w, HEALTH_STATUS_HEALTHY, T, ""), FAULT_NONE);
    assert_int_equal(domain_ms(now(w)->expires_at), T + w->call.health_expiry_ms);
    w->call.health_expiry_ms = 1; /* another setting makes no other observation of it */
    assert_int_equal(observe(w, HEALTH_STATUS_HEALTHY, T, ""), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    w->aggregate.state.health_check.has_expires_at = false; /* recorded before there were ends */
    assert_int_equal(observe(w, HEALTH_STATUS_HEALTHY, T, ""), FAULT_NONE);
    assert_int_equal(w->facts.count, 1);
    world_free(w);
}

TEST(the_last_word_on_what_is_gone_does_not_expire) {
    static const char *const reasons[] = {"Deleted", "NotWatched", "Ready"};
    for (int i = 0; i < 3; i++) {
        struct world *w = check();
        RecordHealthCheckRequested_LabelsEntry label = {.key = SLICE_LIT("reason"),
                                                        .value = slice_from_text(reasons[i])};
        RecordHealthCheckRequested *r =
            &world_intent(w, SreDomainIntent_record_health_check_tag)->intent.record_health_check;
        r->has_timestamp = true;
        r->timestamp = domain_time(T + 1);
        r->status = HEALTH_STATUS_UNKNOWN;
        r->labels.items = &label;
        r->labels.count = 1;
        assert_int_equal(world_give(w), FAULT_NONE);
        assert_int_equal(now(w)->has_expires_at, i == 2);
        assert_int_equal(health_check_is_end(now(w)), i != 2);
        world_free(w);
    }
}

TEST(an_end_that_is_months_away_is_refused) {
    struct world *w = check();
    const int64_t most = T + INT64_C(30) * 24 * 3600 * 1000;
    RecordHealthCheckRequested *r =
        &world_intent(w, SreDomainIntent_record_health_check_tag)->intent.record_health_check;
    r->has_timestamp = r->has_expires_at = true;
    r->timestamp = domain_time(T + 1);
    r->expires_at = domain_time(most + 1);
    CHECK_FAULT(world_give(w), FAULT_INPUT);
    assert_non_null(strstr(w->fault.text, "expires_at: is 30 days ahead"));
    r->expires_at = domain_time(most);
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(domain_ms(now(w)->expires_at), most);
    world_free(w);
}

TEST(any_order_of_observations_ends_in_the_same_state) {
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    static const HealthStatus statuses[3] = {HEALTH_STATUS_HEALTHY, HEALTH_STATUS_DEGRADED, HEALTH_STATUS_UNHEALTHY};
    for (int o = 0; o < 6; o++) {
        struct world *w = world_new(AGGREGATE_HEALTH_CHECK, SLICE_LIT("node-1"));
        for (int i = 0; i < 3; i++)
            assert_int_equal(observe(w, statuses[orders[o][i]], T + orders[o][i], ""), FAULT_NONE);
        assert_int_equal(now(w)->status, HEALTH_STATUS_UNHEALTHY);
        assert_int_equal(domain_ms(now(w)->timestamp), T + 2);
        assert_int_equal(w->aggregate.version, 3);
        world_free(w);
    }
}

TEST(an_observation_from_the_future_is_refused) {
    struct world *w = check();
    CHECK_FAULT(observe(w, HEALTH_STATUS_HEALTHY, T + 5 * 60000 + 1, ""), FAULT_INPUT);
    assert_non_null(strstr(w->fault.text, "clock"));
    assert_int_equal(observe(w, HEALTH_STATUS_HEALTHY, T + 5 * 60000, ""), FAULT_NONE);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_newer_observation_is_the_state),
        cmocka_unit_test(an_older_observation_is_history_and_changes_nothing),
        cmocka_unit_test(the_same_observation_is_a_repeat_and_another_of_that_time_is_not),
        cmocka_unit_test(a_status_is_since_when_it_began),
        cmocka_unit_test(a_status_that_had_expired_begins_again),
        cmocka_unit_test(what_would_have_expired_before_it_was_seen_is_refused),
        cmocka_unit_test(an_observation_without_an_end_gets_one_from_when_it_was_seen),
        cmocka_unit_test(the_last_word_on_what_is_gone_does_not_expire),
        cmocka_unit_test(an_end_that_is_months_away_is_refused),
        cmocka_unit_test(any_order_of_observations_ends_in_the_same_state),
        cmocka_unit_test(an_observation_from_the_future_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
