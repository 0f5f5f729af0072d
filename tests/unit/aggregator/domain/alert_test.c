/* SPDX-License-Identifier: Apache-2.0
 * Alerts: what is a repeat, a new firing, history, an end; and that no time window decides it. */
#include "aggregator/domain/alert.h"
#include "tests/unit/aggregator/domain/domain_fixture.h"

enum { MINUTE_MS = 60000 };
#define T DOMAIN_NOW_MS

static struct world *alert(void) {
    return world_new(AGGREGATE_ALERT, SLICE_LIT("prometheus.f1"));
}

/* ends_ms, expires_ms: 0: not set. */
static fault_code ingest(struct world *w, AlertStatus status, int64_t starts_ms, int64_t ends_ms, int64_t observed_ms,
                         int64_t expires_ms) {
    IngestAlertRequested *r = &world_intent(w, SreDomainIntent_ingest_alert_tag)->intent.ingest_alert;
    r->fingerprint = SLICE_LIT("f1");
    r->name = SLICE_LIT("HighErrorRate");
    r->source = ALERT_SOURCE_PROMETHEUS;
    r->status = status;
    r->has_starts_at = r->has_observed_at = true;
    r->starts_at = domain_time(starts_ms);
    r->observed_at = domain_time(observed_ms);
    r->has_ends_at = ends_ms != 0;
    r->ends_at = domain_time(ends_ms);
    r->has_expires_at = expires_ms != 0;
    r->expires_at = domain_time(expires_ms);
    if (observed_ms > w->call.now_ms) w->call.now_ms = observed_ms; /* nobody sees what is to come */
    return world_give(w);
}

static fault_code fire(struct world *w, int64_t starts_ms, int64_t observed_ms) {
    return ingest(w, ALERT_STATUS_FIRING, starts_ms, 0, observed_ms, 0);
}

static fault_code resolve(struct world *w, int64_t starts_ms, int64_t ends_ms, int64_t observed_ms) {
    return ingest(w, ALERT_STATUS_RESOLVED, starts_ms, ends_ms, observed_ms, 0);
}

static const Alert *now(const struct world *w) {
    return &w->aggregate.state.alert;
}

TEST(a_firing_and_its_end_are_two_facts_however_close_together) {
    struct world *w = alert();
    assert_int_equal(fire(w, T, T), FAULT_NONE);
    assert_int_equal(w->facts.count, 1);
    assert_int_equal(now(w)->status, ALERT_STATUS_FIRING);
    assert_int_equal(resolve(w, T, T + 1, T + 1), FAULT_NONE);
    assert_int_equal(w->facts.count, 1);
    assert_int_equal(now(w)->status, ALERT_STATUS_RESOLVED);
    assert_false(now(w)->has_expires_at);
    assert_int_equal(fire(w, T + 2, T + 2), FAULT_NONE); /* a new firing, milliseconds later */
    assert_int_equal(w->facts.count, 1);
    assert_int_equal(now(w)->status, ALERT_STATUS_FIRING);
    assert_int_equal(now(w)->occurrences, 3);
    world_free(w);
}

TEST(the_same_again_is_a_repeat_however_late) {
    struct world *w = alert();
    assert_int_equal(ingest(w, ALERT_STATUS_FIRING, T, 0, T, T + 1000 * MINUTE_MS), FAULT_NONE);
    w->call.now_ms = T + 90 * MINUTE_MS;
    assert_int_equal(ingest(w, ALERT_STATUS_FIRING, T, 0, T + 90 * MINUTE_MS, T + 1000 * MINUTE_MS), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    assert_int_equal(resolve(w, T, T + 95 * MINUTE_MS, T + 95 * MINUTE_MS), FAULT_NONE);
    assert_int_equal(w->facts.count, 1);
    assert_int_equal(resolve(w, T, T + 95 * MINUTE_MS, T + 999 * MINUTE_MS), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    world_free(w);
}

TEST(a_repeated_firing_moves_the_expiry_when_that_gains_half_of_it) {
    struct world *w = alert();
    assert_int_equal(fire(w, T, T), FAULT_NONE);
    assert_int_equal(domain_ms(now(w)->expires_at), T + 5 * MINUTE_MS);
    assert_int_equal(fire(w, T, T + 2 * MINUTE_MS), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    assert_int_equal(fire(w, T, T + 3 * MINUTE_MS), FAULT_NONE);
    assert_int_equal(w->facts.count, 1);
    assert_int_equal(domain_ms(now(w)->expires_at), T + 8 * MINUTE_MS);
    world_free(w);
}

TEST(a_resolved_that_overtook_its_firing_is_not_undone) {
    struct world *w = alert();
    assert_int_equal(resolve(w, T, T + MINUTE_MS, T + MINUTE_MS), FAULT_NONE);
    assert_int_equal(fire(w, T, T), FAULT_NONE);
    assert_int_equal(w->facts.count, 1);
    assert_true(w->facts.items[0].fact.alert_ingested.late);
    assert_int_equal(now(w)->status, ALERT_STATUS_RESOLVED);
    world_free(w);
}

TEST(of_two_at_the_same_time_the_end_counts) {
    struct world *w = alert();
    assert_int_equal(fire(w, T, T), FAULT_NONE);
    assert_int_equal(resolve(w, T, T, T), FAULT_NONE);
    assert_int_equal(now(w)->status, ALERT_STATUS_RESOLVED);
    assert_int_equal(fire(w, T, T), FAULT_NONE);
    assert_int_equal(now(w)->status, ALERT_STATUS_RESOLVED);
    world_free(w);
}

/* A source that was cut off is taken for over by who waits for it, and comes back with the firing that it had. */
TEST(an_end_that_was_seen_before_the_latest_firing_is_history) {
    struct world *w = alert();
    assert_int_equal(fire(w, T, T + MINUTE_MS), FAULT_NONE);
    assert_int_equal(resolve(w, T, T + 1000, T + 1000), FAULT_NONE);
    assert_true(w->facts.items[0].fact.alert_ingested.late);
    assert_int_equal(now(w)->status, ALERT_STATUS_FIRING);
    world_free(w);
    w = alert(); /* in their order */
    assert_int_equal(resolve(w, T, T + 1000, T + 1000), FAULT_NONE);
    assert_int_equal(fire(w, T, T + MINUTE_MS), FAULT_NONE);
    assert_int_equal(now(w)->status, ALERT_STATUS_FIRING);
    world_free(w);
}

TEST(an_earlier_firing_is_history) {
    struct world *w = alert();
    assert_int_equal(fire(w, T, T), FAULT_NONE);
    assert_int_equal(resolve(w, T - 60 * MINUTE_MS, T - 50 * MINUTE_MS, T + MINUTE_MS), FAULT_NONE);
    assert_true(w->facts.items[0].fact.alert_ingested.late);
    assert_int_equal(now(w)->status, ALERT_STATUS_FIRING);
    assert_int_equal(domain_ms(now(w)->starts_at), T);
    world_free(w);
}

TEST(a_later_end_of_the_same_firing_corrects_it) {
    struct world *w = alert();
    assert_int_equal(resolve(w, T, T + 1000, T + 1000), FAULT_NONE);
    assert_int_equal(resolve(w, T, T + 2000, T + 2000), FAULT_NONE);
    assert_int_equal(w->facts.count, 1);
    assert_int_equal(domain_ms(now(w)->ends_at), T + 2000);
    world_free(w);
}

TEST(only_firing_and_resolved_are_ingested_and_an_end_is_not_before_its_start) {
    struct world *w = alert();
    CHECK_FAULT(ingest(w, ALERT_STATUS_SILENCED, T, 0, T, 0), FAULT_INPUT);
    CHECK_FAULT(ingest(w, ALERT_STATUS_ACKNOWLEDGED, T, 0, T, 0), FAULT_INPUT);
    CHECK_FAULT(resolve(w, T, T - 1, T), FAULT_INPUT);
    assert_int_equal(w->aggregate.version, 0);
    world_free(w);
}

static fault_code acknowledge(struct world *w) {
    world_intent(w, SreDomainIntent_acknowledge_alert_tag);
    return world_give(w);
}

TEST(what_fires_can_be_acknowledged_once_and_stays_so_until_it_ends) {
    struct world *w = alert();
    CHECK_FAULT(acknowledge(w), FAULT_ABSENT);
    assert_int_equal(fire(w, T, T), FAULT_NONE);
    assert_int_equal(acknowledge(w), FAULT_NONE);
    assert_int_equal(acknowledge(w), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    w->call.actor = SLICE_LIT("ben");
    CHECK_FAULT(acknowledge(w), FAULT_CONFLICT);
    assert_string_equal(w->fault.text,
                        "alert 'prometheus.f1' cannot go from acknowledged to acknowledged: anna has it");
    assert_int_equal(fire(w, T, T + 4 * MINUTE_MS), FAULT_NONE); /* moves the expiry */
    assert_int_equal(w->facts.count, 1);
    assert_int_equal(now(w)->status, ALERT_STATUS_ACKNOWLEDGED);
    CHECK_SLICE(now(w)->acknowledged_by, "anna");
    assert_int_equal(resolve(w, T, T + 5 * MINUTE_MS, T + 5 * MINUTE_MS), FAULT_NONE);
    assert_int_equal(now(w)->status, ALERT_STATUS_RESOLVED);
    CHECK_SLICE(now(w)->acknowledged_by, "anna");
    CHECK_FAULT(acknowledge(w), FAULT_CONFLICT);
    assert_int_equal(fire(w, T + 6 * MINUTE_MS, T + 6 * MINUTE_MS), FAULT_NONE);
    assert_int_equal(now(w)->status, ALERT_STATUS_FIRING); /* another firing is nobody's yet */
    assert_int_equal(now(w)->acknowledged_by.size, 0);
    world_free(w);
}

static fault_code expire(struct world *w, int64_t expires_ms) {
    ExpireAlertRequested *r = &world_intent(w, SreDomainIntent_expire_alert_tag)->intent.expire_alert;
    r->has_expires_at = true;
    r->expires_at = domain_time(expires_ms);
    return world_give(w);
}

TEST(an_alert_expires_at_the_expiry_it_has_and_says_why) {
    struct world *w = alert();
    CHECK_FAULT(expire(w, T), FAULT_ABSENT);
    assert_int_equal(fire(w, T, T), FAULT_NONE);
    const int64_t expires_ms = T + 5 * MINUTE_MS;
    CHECK_FAULT(expire(w, expires_ms), FAULT_CONFLICT); /* not yet */
    w->call.now_ms = expires_ms;
    assert_int_equal(expire(w, expires_ms - 1), FAULT_NONE); /* another expiry than it has now */
    assert_int_equal(w->facts.count, 0);
    assert_int_equal(expire(w, expires_ms), FAULT_NONE);
    assert_int_equal(w->facts.items[0].fact.alert_expired.reason, ALERT_END_REASON_EXPIRED);
    assert_int_equal(now(w)->status, ALERT_STATUS_RESOLVED);
    assert_true(now(w)->end_reason.size > 0);
    assert_int_equal(expire(w, expires_ms), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    assert_int_equal(fire(w, T, T + 9 * MINUTE_MS), FAULT_NONE); /* it was there all the time */
    assert_int_equal(now(w)->status, ALERT_STATUS_FIRING);
    assert_int_equal(now(w)->end_reason.size, 0);
    world_free(w);
}

/* Sources write the year 1 for "none". */
TEST(an_expiry_that_was_over_when_it_was_seen_is_none) {
    struct world *w = alert();
    assert_int_equal(ingest(w, ALERT_STATUS_FIRING, T, INT64_C(-62135596800000), T, INT64_C(-62135596800000)),
                     FAULT_NONE);
    assert_int_equal(domain_ms(now(w)->expires_at), T + 5 * MINUTE_MS);
    world_free(w);
    w = alert(); /* a source whose own clock is there expires at once, and not never */
    assert_int_equal(fire(w, INT64_C(-62135596800000), INT64_C(-62135596800000)), FAULT_NONE);
    assert_int_equal(domain_ms(now(w)->expires_at), 0);
    CHECK_FAULT(fire(w, T, INT64_C(-62135596800000)), FAULT_INPUT); /* one clock here, the other there */
    world_free(w);
}

TEST(only_the_aggregator_expires_alerts) {
    struct world *w = alert();
    assert_int_equal(fire(w, T, T), FAULT_NONE);
    world_intent(w, SreDomainIntent_expire_alert_tag);
    CHECK_FAULT(world_give_at(w, 0, PERSONS | AGENTS | INTEGRATIONS), FAULT_DENIED);
    world_free(w);
}

TEST(the_id_comes_from_source_and_fingerprint_and_fits) {
    struct arena *arena = arena_new(4096, 1 << 20);
    char text[129];
    memset(text, 'a', sizeof text);
    CHECK_SLICE(alert_id_from(ALERT_SOURCE_PROMETHEUS, SLICE_LIT("f1"), arena), "prometheus.f1");
    CHECK_SLICE(alert_id_from(ALERT_SOURCE_PICKET, SLICE_LIT("f1"), arena), "picket.f1");
    const slice one = alert_id_from(ALERT_SOURCE_CUSTOM, slice_of(text, 128), arena);
    text[100] = 'b';
    const slice other = alert_id_from(ALERT_SOURCE_CUSTOM, slice_of(text, 128), arena);
    assert_true(one.size <= LIMIT_AGGREGATE_ID_BYTES);
    assert_false(slice_equal(one, other));
    assert_true(alert_id_from(ALERT_SOURCE_CUSTOM, slice_of(text, 121), arena).size == 128);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_firing_and_its_end_are_two_facts_however_close_together),
        cmocka_unit_test(the_same_again_is_a_repeat_however_late),
        cmocka_unit_test(a_repeated_firing_moves_the_expiry_when_that_gains_half_of_it),
        cmocka_unit_test(a_resolved_that_overtook_its_firing_is_not_undone),
        cmocka_unit_test(of_two_at_the_same_time_the_end_counts),
        cmocka_unit_test(an_end_that_was_seen_before_the_latest_firing_is_history),
        cmocka_unit_test(an_earlier_firing_is_history),
        cmocka_unit_test(a_later_end_of_the_same_firing_corrects_it),
        cmocka_unit_test(only_firing_and_resolved_are_ingested_and_an_end_is_not_before_its_start),
        cmocka_unit_test(what_fires_can_be_acknowledged_once_and_stays_so_until_it_ends),
        cmocka_unit_test(an_alert_expires_at_the_expiry_it_has_and_says_why),
        cmocka_unit_test(an_expiry_that_was_over_when_it_was_seen_is_none),
        cmocka_unit_test(only_the_aggregator_expires_alerts),
        cmocka_unit_test(the_id_comes_from_source_and_fingerprint_and_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
