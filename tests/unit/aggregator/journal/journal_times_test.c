/* SPDX-License-Identifier: Apache-2.0
 * Times from outside that cannot be: in every intent that has one, refused before anybody calculates with them. */
#include "tests/unit/aggregator/journal/journal_fixture.h"

TEST(times_that_no_calendar_has_are_refused) {
    static const int64_t seconds[] = {INT64_MAX, INT64_MIN, INT64_MAX / 1000 + 1, INT64_MAX / 60 * 60};
    struct place *place = place_opened();
    const SreDomainIntent slo = place_slo_intent("checkout");
    place_give(place, place_intent(place, &slo));
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        SreDomainIntent window = place_window_intent("checkout", 1, 1);
        window.intent.record_sli_window.window_start.seconds = seconds[i];
        const slice intent = place_intent(place, &window);
        assert_int_equal(place_batch(place, i, i + 1, &intent, 1)->refused, 1);
        SreDomainIntent check = {.which_intent = SreDomainIntent_record_health_check_tag};
        RecordHealthCheckRequested *r = &check.intent.record_health_check;
        r->healthcheck_id = SLICE_LIT("node-1");
        r->has_resource_ref = r->has_timestamp = true;
        r->resource_ref.type = SLICE_LIT("node");
        r->resource_ref.id = SLICE_LIT("node-1");
        r->status = HEALTH_STATUS_HEALTHY;
        r->source = HEALTH_SOURCE_PROBE;
        r->timestamp.seconds = seconds[i];
        assert_int_equal(place_give(place, place_intent(place, &check))->fault.code, FAULT_INPUT);
        SreDomainIntent fires = {.which_intent = SreDomainIntent_ingest_alert_tag};
        IngestAlertRequested *a = &fires.intent.ingest_alert;
        a->fingerprint = SLICE_LIT("f1");
        a->name = SLICE_LIT("HighErrorRate");
        a->source = ALERT_SOURCE_PROMETHEUS;
        a->status = ALERT_STATUS_FIRING;
        a->has_starts_at = true;
        a->starts_at.seconds = seconds[i];
        assert_int_equal(place_give(place, place_intent(place, &fires))->fault.code, FAULT_INPUT);
    }
    place_free(place);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(times_that_no_calendar_has_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
