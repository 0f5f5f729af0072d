/* SPDX-License-Identifier: Apache-2.0
 * Checks that end: shown for a while, counted nowhere, then removed; and what only looks like an end. */
#include "aggregator/projections/fleet_health.h"
#include "tests/unit/aggregator/projections/projections_fixture.h"

#define NOW_MS ((int64_t)T0 * 1000)

static void record(struct place *place, const char *id, HealthStatus status, const char *reason, bool expires) {
    HealthCheck_LabelsEntry label = {.key = SLICE_LIT("reason"), .value = slice_from_text(reason)};
    SreDomainFact fact = {.which_fact = SreDomainFact_health_check_recorded_tag};
    HealthCheckRecorded *const recorded = &fact.fact.health_check_recorded;
    recorded->has_health_check = true;
    recorded->from = HEALTH_STATUS_UNSPECIFIED;
    recorded->health_check = (HealthCheck){.healthcheck_id = slice_from_text(id),
                                           .has_resource_ref = true,
                                           .resource_ref = {.type = SLICE_LIT("pod"),
                                                            .id = SLICE_LIT("web"),
                                                            .environment = SLICE_LIT("prod"),
                                                            .cluster = SLICE_LIT("k1")},
                                           .status = status,
                                           .has_timestamp = true,
                                           .timestamp = {.seconds = T0},
                                           .has_expires_at = expires,
                                           .expires_at = {.seconds = T0 + 60},
                                           .labels = {.items = &label, .count = 1}};
    add_fact(place, "a", "health_check", slice_from_text(id), &fact);
}

static EnvironmentHealth counts(struct place *place, size_t *ret_count) {
    EnvironmentHealth *items;
    bool more;
    struct fault fault;
    struct sql *const reader = projections_take_reader(place->projections);
    if (fleet_health_environments(reader, SLICE_LIT("a"), (slice){0}, (slice){0}, (slice){0}, 10, NOW_MS, place->arena,
                                  &items, ret_count, &more, &fault))
        fail_msg("%s", fault.text);
    projections_give_reader(place->projections, reader);
    return *ret_count ? items[0] : (EnvironmentHealth){0};
}

static fault_code read_one(struct place *place, const char *id, GetHealthCheckResponse *ret) {
    struct fault fault;
    struct sql *const reader = projections_take_reader(place->projections);
    const fault_code code =
        fleet_health_check(reader, SLICE_LIT("a"), slice_from_text(id), NOW_MS, place->arena, ret, &fault);
    projections_give_reader(place->projections, reader);
    return code;
}

static void an_end_counts_nowhere_and_is_removed(void **state) {
    struct place *const place = *state;
    GetHealthCheckResponse check;
    size_t count;
    record(place, "gone", HEALTH_STATUS_HEALTHY, "Deleted", false);
    record(place, "application", HEALTH_STATUS_UNKNOWN, "Deleted", false);
    record(place, "left-out", HEALTH_STATUS_UNKNOWN, "NotWatched", false);
    consume_new(place);
    (void)counts(place, &count);
    assert_int_equal(count, 0);
    assert_int_equal(read_one(place, "gone", &check), FAULT_NONE); /* but it can be read */
    record(place, "blind", HEALTH_STATUS_UNKNOWN, "NotWatched", true);
    record(place, "for-ever", HEALTH_STATUS_UNHEALTHY, "Ready", false);
    record(place, "gone", HEALTH_STATUS_HEALTHY, "Ready", true); /* made again under its name */
    consume_new(place);
    const EnvironmentHealth all = counts(place, &count);
    assert_int_equal(count, 1);
    assert_int_equal(all.healthy_count, 1);
    assert_int_equal(all.unhealthy_count, 1);
    assert_int_equal(all.unknown_count, 1);

    record(place, "later", HEALTH_STATUS_HEALTHY, "Ready", true);
    place->facts[place->facts_count - 1].committed_ms += 3 * 3600 * 1000;
    consume_new(place);
    assert_int_equal(read_one(place, "application", &check), FAULT_ABSENT);
    assert_int_equal(read_one(place, "left-out", &check), FAULT_ABSENT);
    assert_int_equal(read_one(place, "gone", &check), FAULT_NONE);
    assert_int_equal(check.history.count, 2);
    assert_int_equal(read_one(place, "blind", &check), FAULT_NONE);
    assert_int_equal(read_one(place, "for-ever", &check), FAULT_NONE);
    record(place, "application", HEALTH_STATUS_HEALTHY, "Ready", true);
    consume_new(place);
    assert_int_equal(read_one(place, "application", &check), FAULT_NONE);
    assert_int_equal(check.history.count, 1); /* what was before its end went with it */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_end_counts_nowhere_and_is_removed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
