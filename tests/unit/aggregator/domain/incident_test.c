/* SPDX-License-Identifier: Apache-2.0
 * Incidents: each move that is allowed and each that is not, and what every intent leaves behind. */
#include "aggregator/domain/incident.h"
#include "aggregator/domain/incident_status.h"
#include "tests/unit/aggregator/domain/domain_fixture.h"

enum { LAST = INCIDENT_STATUS_CLOSED };

static struct world *incident(IncidentStatus status) {
    struct world *w = world_new(AGGREGATE_INCIDENT, SLICE_LIT("inc-1"));
    CreateIncidentRequested *create = &world_intent(w, SreDomainIntent_create_incident_tag)->intent.create_incident;
    create->title = SLICE_LIT("Checkout is down");
    create->severity = SEVERITY_HIGH;
    assert_int_equal(world_give(w), FAULT_NONE);
    w->aggregate.state.incident.status = status;
    w->aggregate.state.incident.acknowledged_by = status == INCIDENT_STATUS_OPEN ? (slice){0} : SLICE_LIT("zoe");
    return w;
}

static fault_code go_because(struct world *w, IncidentStatus to, const char *reason) {
    SreDomainIntent *intent = world_intent(w, SreDomainIntent_transition_incident_status_tag);
    intent->intent.transition_incident_status.status = to;
    intent->intent.transition_incident_status.reason = slice_from_text(reason);
    return world_give(w);
}

static fault_code go(struct world *w, IncidentStatus to) {
    return go_because(w, to, "because");
}

/* The whole matrix, written out a second time: rows from, columns to, in the order of the enum from OPEN. A small letter:
 * only with a reason. */
static const char allowed[LAST][LAST + 1] = {
    ".AIMr.", /* open */
    "..IMr.", /* acknowledged */
    "...Mr.", /* investigating */
    "..I.r.", /* mitigating */
    "..I..C", /* resolved */
    "..i...", /* closed */
};

TEST(every_move_is_allowed_or_refused_as_the_matrix_says) {
    for (int from = INCIDENT_STATUS_OPEN; from <= LAST; from++)
        for (int to = INCIDENT_STATUS_OPEN; to <= LAST; to++) {
            struct world *w = incident((IncidentStatus)from);
            const char wanted = allowed[from - 1][to - 1];
            const bool may = wanted != '.';
            bool reason;
            assert_int_equal(incident_may_move((IncidentStatus)from, (IncidentStatus)to, &reason), may);
            assert_int_equal(reason, wanted >= 'a' && wanted <= 'z');
            CHECK_FAULT(go_because(w, (IncidentStatus)to, ""), !may     ? FAULT_CONFLICT
                                                               : reason ? FAULT_INPUT
                                                                        : FAULT_NONE);
            if (!may || reason) assert_int_equal(w->aggregate.state.incident.status, from);
            world_free(w);
            w = incident((IncidentStatus)from);
            CHECK_FAULT(go(w, (IncidentStatus)to), may ? FAULT_NONE : FAULT_CONFLICT);
            assert_int_equal(w->aggregate.state.incident.status, may ? to : from);
            assert_int_equal(w->facts.count, may);
            assert_int_equal(w->aggregate.version, may ? 2 : 1);
            if (!may) { /* both are named */
                assert_non_null(strstr(w->fault.text, incident_status_name((IncidentStatus)from)));
                assert_non_null(strstr(w->fault.text, incident_status_name((IncidentStatus)to)));
            }
            world_free(w);
        }
}

TEST(a_status_from_outside_the_enum_moves_nothing) {
    struct world *w = incident(INCIDENT_STATUS_OPEN);
    CHECK_FAULT(go(w, (IncidentStatus)77), FAULT_CONFLICT);
    CHECK_FAULT(go(w, (IncidentStatus)-1), FAULT_CONFLICT);
    CHECK_FAULT(go(w, INCIDENT_STATUS_UNSPECIFIED), FAULT_CONFLICT);
    assert_false(incident_may_move((IncidentStatus)77, INCIDENT_STATUS_OPEN, NULL));
    world_free(w);
}

TEST(a_refused_move_says_from_where_to_where) {
    struct world *w = incident(INCIDENT_STATUS_CLOSED);
    CHECK_FAULT(go(w, INCIDENT_STATUS_RESOLVED), FAULT_CONFLICT);
    assert_string_equal(w->fault.text, "incident 'inc-1' cannot go from closed to resolved, only to investigating");
    w->aggregate.state.incident.status = INCIDENT_STATUS_MITIGATING;
    CHECK_FAULT(go(w, INCIDENT_STATUS_OPEN), FAULT_CONFLICT);
    assert_string_equal(w->fault.text,
                        "incident 'inc-1' cannot go from mitigating to open, only to investigating, resolved");
    world_free(w);
}

/* Whichever intent asks for the move, the fact is the one named after it. */
TEST(each_move_gives_the_fact_of_its_own_name) {
    static const struct {
        IncidentStatus from, to;
        unsigned fact;
    } rows[] = {
        {INCIDENT_STATUS_OPEN, INCIDENT_STATUS_ACKNOWLEDGED, SreDomainFact_incident_acknowledged_tag},
        {INCIDENT_STATUS_ACKNOWLEDGED, INCIDENT_STATUS_INVESTIGATING, SreDomainFact_incident_status_changed_tag},
        {INCIDENT_STATUS_INVESTIGATING, INCIDENT_STATUS_MITIGATING, SreDomainFact_incident_status_changed_tag},
        {INCIDENT_STATUS_MITIGATING, INCIDENT_STATUS_RESOLVED, SreDomainFact_incident_resolved_tag},
        {INCIDENT_STATUS_RESOLVED, INCIDENT_STATUS_CLOSED, SreDomainFact_incident_closed_tag},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world *w = incident(rows[i].from);
        assert_int_equal(go(w, rows[i].to), FAULT_NONE);
        assert_int_equal(w->facts.items[0].which_fact, rows[i].fact);
        world_free(w);
    }
}

TEST(acknowledge_resolve_and_close_note_when_and_why) {
    struct world *w = incident(INCIDENT_STATUS_OPEN);
    w->call.now_ms += 1000;
    world_intent(w, SreDomainIntent_acknowledge_incident_tag)->intent.acknowledge_incident.note = SLICE_LIT("mine");
    assert_int_equal(world_give(w), FAULT_NONE);
    CHECK_SLICE(w->facts.items[0].fact.incident_acknowledged.acknowledged_by, "anna");
    w->call.now_ms += 1000;
    ResolveIncidentRequested *resolve = &world_intent(w, SreDomainIntent_resolve_incident_tag)->intent.resolve_incident;
    resolve->resolution = SLICE_LIT("rolled back");
    resolve->root_cause = SLICE_LIT("a bad release");
    assert_int_equal(world_give(w), FAULT_NONE);
    w->call.now_ms += 1000;
    world_intent(w, SreDomainIntent_close_incident_tag)->intent.close_incident.reason = SLICE_LIT("done");
    assert_int_equal(world_give(w), FAULT_NONE);
    const Incident *now = &w->aggregate.state.incident;
    assert_int_equal(now->status, INCIDENT_STATUS_CLOSED);
    assert_int_equal(domain_ms(now->acknowledged_at), DOMAIN_NOW_MS + 1000);
    assert_int_equal(domain_ms(now->resolved_at), DOMAIN_NOW_MS + 2000);
    assert_int_equal(domain_ms(now->closed_at), DOMAIN_NOW_MS + 3000);
    assert_int_equal(domain_ms(now->updated_at), DOMAIN_NOW_MS + 3000);
    CHECK_SLICE(now->resolution, "rolled back");
    CHECK_SLICE(now->root_cause, "a bad release");
    assert_int_equal(w->aggregate.version, 4);
    world_free(w);
}

/* Who says it twice is not told off; somebody else is told who has it. */
TEST(an_incident_is_acknowledged_by_one) {
    struct world *w = incident(INCIDENT_STATUS_OPEN);
    assert_int_equal((world_intent(w, SreDomainIntent_acknowledge_incident_tag), world_give(w)), FAULT_NONE);
    CHECK_SLICE(w->aggregate.state.incident.acknowledged_by, "anna");
    assert_int_equal((world_intent(w, SreDomainIntent_acknowledge_incident_tag), world_give(w)), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    w->call.actor = SLICE_LIT("ben");
    CHECK_FAULT((world_intent(w, SreDomainIntent_acknowledge_incident_tag), world_give(w)), FAULT_CONFLICT);
    assert_string_equal(w->fault.text, "incident 'inc-1' cannot go from acknowledged to acknowledged: anna has it");
    CHECK_FAULT(go(w, INCIDENT_STATUS_ACKNOWLEDGED), FAULT_CONFLICT);
    world_free(w);
}

TEST(a_closed_incident_that_comes_back_is_closed_and_resolved_no_more) {
    struct world *w = incident(INCIDENT_STATUS_OPEN);
    struct aggregate_index index;
    assert_int_equal(go(w, INCIDENT_STATUS_RESOLVED), FAULT_NONE);
    assert_int_equal(go(w, INCIDENT_STATUS_CLOSED), FAULT_NONE);
    aggregate_index(&w->aggregate, w->arena, &index);
    assert_false(index.open);
    assert_int_equal(go(w, INCIDENT_STATUS_INVESTIGATING), FAULT_NONE);
    const Incident *now = &w->aggregate.state.incident;
    assert_false(now->has_resolved_at);
    assert_false(now->has_closed_at);
    assert_int_equal(now->resolution.size, 0);
    aggregate_index(&w->aggregate, w->arena, &index);
    assert_true(index.open);
    world_free(w);
}

TEST(an_incident_that_comes_back_is_resolved_no_more) {
    struct world *w = incident(INCIDENT_STATUS_OPEN);
    assert_int_equal(go(w, INCIDENT_STATUS_RESOLVED), FAULT_NONE);
    assert_true(w->aggregate.state.incident.has_resolved_at);
    assert_int_equal(go(w, INCIDENT_STATUS_INVESTIGATING), FAULT_NONE);
    assert_false(w->aggregate.state.incident.has_resolved_at);
    assert_int_equal(w->aggregate.state.incident.resolution.size, 0);
    assert_int_equal(go(w, INCIDENT_STATUS_MITIGATING), FAULT_NONE);
    assert_true(w->aggregate.state.incident.has_mitigated_at);
    world_free(w);
}

TEST(nothing_happens_to_an_incident_that_does_not_exist) {
    static const unsigned intents[] = {
        SreDomainIntent_reclassify_incident_severity_tag,
        SreDomainIntent_assign_incident_tag,
        SreDomainIntent_add_timeline_entry_tag,
        SreDomainIntent_resolve_incident_tag,
        SreDomainIntent_close_incident_tag,
        SreDomainIntent_acknowledge_incident_tag,
        SreDomainIntent_transition_incident_status_tag,
    };
    struct world *w = world_new(AGGREGATE_INCIDENT, SLICE_LIT("inc-404"));
    for (size_t i = 0; i < sizeof intents / sizeof *intents; i++) {
        world_intent(w, intents[i]);
        CHECK_FAULT(world_give(w), FAULT_ABSENT);
        assert_non_null(strstr(w->fault.text, "inc-404"));
    }
    world_free(w);
}

TEST(an_incident_is_created_once) {
    struct world *w = incident(INCIDENT_STATUS_OPEN);
    CHECK_FAULT((world_intent(w, SreDomainIntent_create_incident_tag), world_give(w)), FAULT_EXISTS);
    world_free(w);
}

TEST(severity_changes_to_another_one_and_not_when_closed) {
    struct world *w = incident(INCIDENT_STATUS_OPEN);
    SreDomainIntent *intent = world_intent(w, SreDomainIntent_reclassify_incident_severity_tag);
    intent->intent.reclassify_incident_severity.severity = SEVERITY_HIGH;
    assert_int_equal(world_give(w), FAULT_NONE); /* has it already */
    assert_int_equal(w->facts.count, 0);
    intent->intent.reclassify_incident_severity.severity = SEVERITY_LOW;
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(w->facts.items[0].fact.incident_severity_changed.from, SEVERITY_HIGH);
    assert_int_equal(w->aggregate.state.incident.severity, SEVERITY_LOW);
    w->aggregate.state.incident.status = INCIDENT_STATUS_CLOSED;
    intent->intent.reclassify_incident_severity.severity = SEVERITY_CRITICAL;
    CHECK_FAULT(world_give(w), FAULT_CONFLICT);
    world_free(w);
}

TEST(assigning_to_who_has_it_is_a_repeat) {
    struct world *w = incident(INCIDENT_STATUS_OPEN);
    SreDomainIntent *intent = world_intent(w, SreDomainIntent_assign_incident_tag);
    intent->intent.assign_incident.assigned_to = SLICE_LIT("ben");
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(w->facts.count, 1);
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    intent->intent.assign_incident.assigned_to = (slice){0};
    assert_int_equal(world_give(w), FAULT_NONE); /* back to nobody */
    assert_int_equal(w->aggregate.state.incident.assigned_to.size, 0);
    w->aggregate.state.incident.status = INCIDENT_STATUS_CLOSED;
    intent->intent.assign_incident.assigned_to = SLICE_LIT("ben");
    CHECK_FAULT(world_give(w), FAULT_CONFLICT);
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_move_is_allowed_or_refused_as_the_matrix_says),
        cmocka_unit_test(a_status_from_outside_the_enum_moves_nothing),
        cmocka_unit_test(a_refused_move_says_from_where_to_where),
        cmocka_unit_test(each_move_gives_the_fact_of_its_own_name),
        cmocka_unit_test(acknowledge_resolve_and_close_note_when_and_why),
        cmocka_unit_test(an_incident_is_acknowledged_by_one),
        cmocka_unit_test(a_closed_incident_that_comes_back_is_closed_and_resolved_no_more),
        cmocka_unit_test(an_incident_that_comes_back_is_resolved_no_more),
        cmocka_unit_test(nothing_happens_to_an_incident_that_does_not_exist),
        cmocka_unit_test(an_incident_is_created_once),
        cmocka_unit_test(severity_changes_to_another_one_and_not_when_closed),
        cmocka_unit_test(assigning_to_who_has_it_is_a_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
