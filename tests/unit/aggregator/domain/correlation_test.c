/* SPDX-License-Identifier: Apache-2.0
 * Ties between alerts and incidents: both sides, each once, and who may not be tied to what. */
#include "aggregator/domain/correlation.h"
#include "tests/unit/aggregator/domain/domain_fixture.h"

static struct aggregate *fires(struct world *w, slice id) {
    struct aggregate *alert = world_other(w, AGGREGATE_ALERT, id);
    alert->version = 1;
    alert->state.alert.status = ALERT_STATUS_FIRING;
    return alert;
}

static struct aggregate *other_incident(struct world *w, const char *id, IncidentStatus status) {
    struct aggregate *incident = world_other(w, AGGREGATE_INCIDENT, slice_from_text(id));
    incident->version = 1;
    incident->state.incident.status = status;
    return incident;
}

static fault_code create(struct world *w, slice *ids, size_t count) {
    CreateIncidentRequested *request = &world_intent(w, SreDomainIntent_create_incident_tag)->intent.create_incident;
    request->title = SLICE_LIT("Checkout is down");
    request->severity = SEVERITY_HIGH;
    request->alert_ids.items = ids;
    request->alert_ids.count = count;
    return world_give(w);
}

static fault_code correlate(struct world *w, slice *ids, size_t count) {
    CorrelateAlertsToIncidentRequested *request =
        &world_intent(w, SreDomainIntent_correlate_alerts_tag)->intent.correlate_alerts;
    request->alert_ids.items = ids;
    request->alert_ids.count = count;
    request->reason = SLICE_LIT("the same rack");
    return world_give(w);
}

static struct world *incident(void) {
    struct world *w = world_new(AGGREGATE_INCIDENT, SLICE_LIT("inc-1"));
    assert_int_equal(create(w, NULL, 0), FAULT_NONE);
    return w;
}

TEST(both_sides_are_told_in_one_decision) {
    struct world *w = incident();
    slice ids[] = {SLICE_LIT("a"), SLICE_LIT("b"), SLICE_LIT("a")};
    const struct aggregate *a = fires(w, ids[0]), *b = fires(w, ids[1]);
    assert_int_equal(correlate(w, ids, 3), FAULT_NONE);
    assert_int_equal(w->facts.count, 3); /* the incident's, a's, b's */
    assert_null(w->facts.about[0]);
    assert_ptr_equal(w->facts.about[1], a);
    assert_ptr_equal(w->facts.about[2], b);
    assert_int_equal(w->facts.items[0].fact.alerts_correlated.alert_ids.count, 2);
    assert_int_equal(w->facts.items[2].fact.alerts_correlated.alert_ids.count, 1);
    CHECK_SLICE(w->facts.items[2].fact.alerts_correlated.alert_ids.items[0], "b");
    CHECK_SLICE(a->state.alert.incident_id, "inc-1");
    CHECK_SLICE(b->state.alert.incident_id, "inc-1");
    const Incident *now = &w->aggregate.state.incident;
    assert_int_equal(now->alert_ids.count, 2);
    const TimelineEntry *entry = &now->timeline.items[now->timeline.count - 1];
    CHECK_SLICE(entry->text, "2 alerts: a, b: the same rack");
    assert_int_equal(entry->kind, TIMELINE_ENTRY_KIND_ALERT);
    world_free(w);
}

TEST(only_what_is_new_is_told_and_nothing_is_a_repeat) {
    struct world *w = incident();
    slice ids[] = {SLICE_LIT("a"), SLICE_LIT("b"), SLICE_LIT("c")};
    for (int i = 0; i < 3; i++) fires(w, ids[i]);
    assert_int_equal(correlate(w, ids, 2), FAULT_NONE);
    assert_int_equal(correlate(w, ids, 2), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    assert_int_equal(correlate(w, ids, 3), FAULT_NONE);
    assert_int_equal(w->facts.count, 2);
    CHECK_SLICE(w->facts.items[0].fact.alerts_correlated.alert_ids.items[0], "c");
    assert_int_equal(w->aggregate.state.incident.alert_ids.count, 3);
    world_free(w);
}

TEST(alerts_that_do_not_exist_are_named) {
    struct world *w = incident();
    slice ids[20];
    for (int i = 0; i < 20; i++) ids[i] = arena_format(w->arena, "alert-%d", i);
    fires(w, ids[0]);
    CHECK_FAULT(correlate(w, ids, 3), FAULT_ABSENT);
    assert_string_equal(w->fault.text, "alert_ids: not one of these exists: alert-1, alert-2");
    CHECK_FAULT(correlate(w, ids, 20), FAULT_ABSENT);
    assert_non_null(strstr(w->fault.text, "alert-8 and 11 more"));
    for (int i = 0; i < 20; i++) { /* names of the greatest length do not fit, and are counted */
        uint8_t *name = arena_alloc(w->arena, 128);
        memset(name, 'a' + i, 128);
        ids[i] = slice_of(name, 128);
    }
    CHECK_FAULT(correlate(w, ids, 20), FAULT_ABSENT);
    assert_non_null(strstr(w->fault.text, "and 19 more"));
    assert_int_equal(w->aggregate.state.incident.alert_ids.count, 0);
    world_free(w);
}

TEST(an_alert_of_another_incident_that_is_not_closed_stays_there) {
    struct world *w = incident();
    slice ids[] = {SLICE_LIT("a"), SLICE_LIT("b")};
    fires(w, ids[0]);
    struct aggregate *alert = fires(w, ids[1]);
    alert->state.alert.incident_id = SLICE_LIT("inc-2");
    struct aggregate *other = other_incident(w, "inc-2", INCIDENT_STATUS_MITIGATING);
    CHECK_FAULT(correlate(w, ids, 2), FAULT_CONFLICT);
    assert_string_equal(w->fault.text, "alert 'b' belongs to incident 'inc-2', which is mitigating");
    other->state.incident.status = INCIDENT_STATUS_RESOLVED;
    CHECK_FAULT(correlate(w, ids, 2), FAULT_CONFLICT);
    other->state.incident.status = INCIDENT_STATUS_CLOSED;
    assert_int_equal(correlate(w, ids, 2), FAULT_NONE);
    CHECK_SLICE(alert->state.alert.incident_id, "inc-1");
    world_free(w);
}

TEST(a_closed_incident_and_one_that_is_not_there_get_no_alerts) {
    struct world *w = incident();
    slice id = SLICE_LIT("a");
    fires(w, id);
    w->aggregate.state.incident.status = INCIDENT_STATUS_CLOSED;
    CHECK_FAULT(correlate(w, &id, 1), FAULT_CONFLICT);
    w->aggregate.state.incident.status = INCIDENT_STATUS_RESOLVED;
    assert_int_equal(correlate(w, &id, 1), FAULT_NONE);
    world_free(w);
    w = world_new(AGGREGATE_INCIDENT, SLICE_LIT("inc-404"));
    CHECK_FAULT(correlate(w, &id, 1), FAULT_ABSENT);
    world_free(w);
}

TEST(an_incident_has_a_thousand_alerts_at_most) {
    struct world *w = incident();
    slice ids[CORRELATION_ALERTS_MAX + 1];
    for (int i = 0; i <= CORRELATION_ALERTS_MAX; i++) {
        ids[i] = arena_format(w->arena, "alert-%d", i);
        fires(w, ids[i]);
    }
    CHECK_FAULT(correlate(w, ids, CORRELATION_ALERTS_MAX + 1), FAULT_CONFLICT);
    assert_int_equal(correlate(w, ids, CORRELATION_ALERTS_MAX), FAULT_NONE);
    assert_int_equal(w->facts.count, CORRELATION_ALERTS_MAX + 1);
    assert_int_equal(w->aggregate.state.incident.alert_ids.count, CORRELATION_ALERTS_MAX);
    const Incident *now = &w->aggregate.state.incident;
    assert_true(now->timeline.items[now->timeline.count - 1].text.size < 600);
    assert_int_equal(correlate(w, ids, CORRELATION_ALERTS_MAX), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    CHECK_FAULT(correlate(w, &ids[CORRELATION_ALERTS_MAX], 1), FAULT_CONFLICT);
    world_free(w);
}

TEST(an_incident_is_opened_with_its_alerts) {
    struct world *w = world_new(AGGREGATE_INCIDENT, SLICE_LIT("inc-1"));
    slice ids[] = {SLICE_LIT("a"), SLICE_LIT("a"), SLICE_LIT("b")};
    const struct aggregate *a = fires(w, ids[0]);
    CHECK_FAULT(create(w, ids, 3), FAULT_ABSENT); /* b */
    assert_int_equal(w->aggregate.version, 0);
    struct aggregate *b = fires(w, ids[2]);
    b->state.alert.incident_id = SLICE_LIT("inc-2");
    other_incident(w, "inc-2", INCIDENT_STATUS_OPEN);
    CHECK_FAULT(create(w, ids, 3), FAULT_CONFLICT);
    b->state.alert.incident_id = (slice){0};
    assert_int_equal(create(w, ids, 3), FAULT_NONE);
    assert_int_equal(w->facts.count, 3);
    assert_int_equal(w->aggregate.state.incident.alert_ids.count, 2);
    CHECK_SLICE(a->state.alert.incident_id, "inc-1");
    CHECK_SLICE(b->state.alert.incident_id, "inc-1");
    CHECK_SLICE(w->aggregate.state.incident.timeline.items[0].text, "opened with severity high: 2 alerts: a, b");
    world_free(w);
}

/* The tie of a firing that is over had ended (alert.h); the list of the incident has the alert still. */
TEST(an_alert_that_was_let_go_is_tied_again_and_listed_once) {
    struct world *w = incident();
    slice id = SLICE_LIT("a");
    struct aggregate *alert = fires(w, id);
    assert_int_equal(correlate(w, &id, 1), FAULT_NONE);
    alert->state.alert.incident_id = (slice){0};
    assert_int_equal(correlate(w, &id, 1), FAULT_NONE);
    assert_int_equal(w->facts.count, 2);
    assert_int_equal(w->aggregate.state.incident.alert_ids.count, 1);
    CHECK_SLICE(alert->state.alert.incident_id, "inc-1");
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_are_told_in_one_decision),
        cmocka_unit_test(only_what_is_new_is_told_and_nothing_is_a_repeat),
        cmocka_unit_test(alerts_that_do_not_exist_are_named),
        cmocka_unit_test(an_alert_of_another_incident_that_is_not_closed_stays_there),
        cmocka_unit_test(a_closed_incident_and_one_that_is_not_there_get_no_alerts),
        cmocka_unit_test(an_incident_has_a_thousand_alerts_at_most),
        cmocka_unit_test(an_incident_is_opened_with_its_alerts),
        cmocka_unit_test(an_alert_that_was_let_go_is_tied_again_and_listed_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
