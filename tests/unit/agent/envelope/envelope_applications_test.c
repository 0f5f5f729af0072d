/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/envelope/envelope_applications.h"
#include "aggregator/domain/fleet_state.h"
#include "common/codec/codec.h"
#include "tests/support/check.h"

static const struct envelope envelope = {{(const uint8_t *)"acme", 4},
                                         {(const uint8_t *)"edge-1", 6},
                                         {(const uint8_t *)"c1", 2},
                                         {(const uint8_t *)"prod", 4}};
static const char traceparent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

static struct application_report report_of(enum application_health health, enum application_sync sync,
                                           enum application_phase phase) {
    return (struct application_report){.kind = APPLICATION_REPORT,
                                       .observed_ms = 1700000000123,
                                       .application = {.namespace = SLICE_LIT("argocd"),
                                                       .name = SLICE_LIT("cart"),
                                                       .environment = SLICE_LIT("prod"),
                                                       .cluster = SLICE_LIT("c1"),
                                                       .health = health,
                                                       .sync = sync,
                                                       .phase = phase}};
}

static RecordHealthCheckRequested check_of(const struct application_report *report, struct arena *arena) {
    struct fault fault;
    slice bytes;
    SreDomainIntent intent;
    CHECK_OK(envelope_application(&envelope, report, SLICE_LIT("c1"), "refused", 60000, 1700000001000, traceparent,
                                  arena, &bytes, &fault));
    CHECK_OK(codec_decode_protobuf(&SreDomainIntent_desc, bytes, arena, &intent, &fault));
    CHECK_OK(codec_validate(&SreDomainIntent_desc, &intent, &fault));
    CHECK_SLICE(intent.subject.aggregate_id, "argocd_argocd_cart_c1");
    return intent.intent.record_health_check;
}

TEST(unknown_is_never_green_and_the_worst_row_counts) {
    struct arena *const arena = arena_new(8192, 1 << 20);
    static const struct {
        enum application_health health;
        enum application_sync sync;
        enum application_phase phase;
        HealthStatus status;
    } cases[] = {
        {APPLICATION_HEALTHY, APPLICATION_SYNCED, APPLICATION_SUCCEEDED, HEALTH_STATUS_HEALTHY},
        {APPLICATION_HEALTHY, APPLICATION_OUT_OF_SYNC, APPLICATION_RUNNING, HEALTH_STATUS_HEALTHY},
        {APPLICATION_HEALTHY, APPLICATION_SYNC_UNKNOWN, APPLICATION_NO_OPERATION, HEALTH_STATUS_DEGRADED},
        {APPLICATION_HEALTHY, APPLICATION_SYNCED, APPLICATION_FAILED, HEALTH_STATUS_DEGRADED},
        {APPLICATION_PROGRESSING, APPLICATION_SYNCED, APPLICATION_RUNNING, HEALTH_STATUS_DEGRADED},
        {APPLICATION_SUSPENDED, APPLICATION_SYNCED, APPLICATION_SUCCEEDED, HEALTH_STATUS_DEGRADED},
        {APPLICATION_DEGRADED, APPLICATION_SYNCED, APPLICATION_SUCCEEDED, HEALTH_STATUS_UNHEALTHY},
        {APPLICATION_MISSING, APPLICATION_OUT_OF_SYNC, APPLICATION_ERROR, HEALTH_STATUS_UNHEALTHY},
        {APPLICATION_UNKNOWN, APPLICATION_SYNCED, APPLICATION_SUCCEEDED, HEALTH_STATUS_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct application_report report = report_of(cases[i].health, cases[i].sync, cases[i].phase);
        const RecordHealthCheckRequested check = check_of(&report, arena);
        assert_int_equal(check.status, cases[i].status);
        assert_int_equal(check.source, HEALTH_SOURCE_ARGOCD);
        assert_int_equal(check.conditions.count, cases[i].phase == APPLICATION_NO_OPERATION ? 2 : 3);
        assert_int_equal(check.expires_at.seconds, 1700000181);
        CHECK_SLICE(check.resource_ref.type, "application");
        arena_reset(arena);
    }
    struct application_report report =
        report_of(APPLICATION_UNKNOWN, APPLICATION_SYNC_UNKNOWN, APPLICATION_NO_OPERATION);
    report.stale = true;
    RecordHealthCheckRequested check = check_of(&report, arena);
    assert_int_equal(check.status, HEALTH_STATUS_UNKNOWN);
    CHECK_SLICE(check.message, "Argo CD is not heard: refused");
    report.stale = false;
    report.deleted = true;
    check = check_of(&report, arena);
    CHECK_SLICE(check.message, "the Application was deleted: with this its check has ended");
    assert_false(check.has_expires_at);
    assert_int_equal(check.labels.count, 1); /* by which the centre knows an end */
    CHECK_SLICE(check.labels.items[0].key, "reason");
    CHECK_SLICE(check.labels.items[0].value, "Deleted");
    arena_free(arena);
}

TEST(a_fleet_has_the_centres_own_id_whatever_it_is_called) {
    struct arena *const arena = arena_new(8192, 1 << 20);
    char long_name[APPLICATION_PLACE_BYTES + 1];
    memset(long_name, '_', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    const char *const names[] = {"prod", "prod.eu", "a_b.c-D", "x", long_name, ""};
    for (size_t e = 0; e < sizeof names / sizeof *names - 1; e++)
        for (size_t c = 0; c < sizeof names / sizeof *names; c++) {
            char id[ENVELOPE_ID_BYTES + 1];
            const slice environment = slice_from_text(names[e]), cluster = slice_from_text(names[c]);
            envelope_fleet_id(environment, cluster, id);
            CHECK_SLICE(fleet_state_id_from(environment, cluster, arena), id);
        }
    struct application_report report = {.kind = FLEET_REPORT, .observed_ms = 1700000000123};
    report.application.environment = SLICE_LIT("prod.eu");
    report.application.cluster = SLICE_LIT("c1");
    report.counts = (struct applications_counts){.total = 3, .by_health = {1, 2}, .out_of_sync = 1};
    struct fault fault;
    slice bytes;
    SreDomainIntent intent;
    CHECK_OK(envelope_fleet(&envelope, &report, 60000, 1700000001000, traceparent, arena, &bytes, &fault));
    CHECK_OK(codec_decode_protobuf(&SreDomainIntent_desc, bytes, arena, &intent, &fault));
    CHECK_OK(codec_validate(&SreDomainIntent_desc, &intent, &fault));
    assert_int_equal(intent.intent.record_fleet_state.total_applications, 3);
    assert_int_equal(intent.intent.record_fleet_state.unknown_count, 1);
    assert_int_equal(intent.intent.record_fleet_state.healthy_count, 2);
    assert_int_equal(intent.intent.record_fleet_state.out_of_sync_count, 1);
    assert_int_equal(intent.intent.record_fleet_state.expires_at.seconds, 1700000181);
    arena_free(arena);
}

TEST(an_application_with_the_longest_names_has_an_id_of_its_own) {
    char name[APPLICATION_NAME_BYTES + 1], one[ENVELOPE_ID_BYTES + 1], other[ENVELOPE_ID_BYTES + 1];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    envelope_application_id(SLICE_LIT("c1"), SLICE_LIT("argocd"), slice_from_text(name), one);
    name[sizeof name - 2] = 'b';
    envelope_application_id(SLICE_LIT("c1"), SLICE_LIT("argocd"), slice_from_text(name), other);
    assert_true(strlen(one) <= ENVELOPE_ID_BYTES);
    assert_string_not_equal(one, other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_is_never_green_and_the_worst_row_counts),
        cmocka_unit_test(a_fleet_has_the_centres_own_id_whatever_it_is_called),
        cmocka_unit_test(an_application_with_the_longest_names_has_an_id_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
