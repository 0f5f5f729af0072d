/* SPDX-License-Identifier: Apache-2.0
 * How many alerts fire and incidents are open, whatever the facts that lead there. */
#include "aggregator/projections/fleet_counts.h"
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct place {
    char folder[64], path[96];
    struct sql *sql;
};

static int set_up(void **state) {
    struct place *place = calloc(1, sizeof *place);
    struct fault fault;
    snprintf(place->folder, sizeof place->folder, "/tmp/fleet_counts_test.XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof place->path, "%s/read.db", place->folder);
    CHECK_OK(sql_open(place->path, SQL_WRITER, &place->sql, &fault));
    CHECK_OK(sql_script(place->sql, fleet_counts_schema, &fault));
    *state = place;
    return 0;
}

static int tear_down(void **state) {
    struct place *place = *state;
    sql_close(place->sql);
    for (const char *const *suffix = (const char *const[]){"", "-wal", "-shm", NULL}; *suffix; suffix++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", place->path, *suffix);
        (void)unlink(path);
    }
    rmdir(place->folder);
    free(place);
    return 0;
}

static void fold(struct place *place, const char *type, fold_fn *function, const SreDomainFact *fact) {
    struct fault fault;
    struct fold folding = {.sql = place->sql};
    const struct fact_view view = {
        .tenant = SLICE_LIT("acme"), .aggregate_type = slice_from_text(type), .aggregate_id = SLICE_LIT("one")};
    CHECK_OK(function(&folding, &view, fact, &fault));
}

static void check_counts(struct place *place, int alerts, int incidents) {
    struct fault fault;
    int32_t alerts_found, incidents_found;
    CHECK_OK(fleet_counts_query(place->sql, SLICE_LIT("acme"), SLICE_LIT("prod"), SLICE_LIT("eu-1"), &alerts_found,
                                &incidents_found, &fault));
    assert_int_equal(alerts_found, alerts);
    assert_int_equal(incidents_found, incidents);
}

static void ingest(struct place *place, AlertStatus status, bool late) {
    SreDomainFact fact = {.which_fact = SreDomainFact_alert_ingested_tag};
    fact.fact.alert_ingested.late = late;
    fact.fact.alert_ingested.alert =
        (Alert){.environment_id = SLICE_LIT("prod"), .cluster_id = SLICE_LIT("eu-1"), .status = status};
    fold(place, "alert", fleet_counts_alert_ingested, &fact);
}

static void what_fires_counts_silenced_or_not(void **state) {
    struct place *place = *state;
    static const AlertStatus statuses[] = {ALERT_STATUS_FIRING, ALERT_STATUS_ACKNOWLEDGED, ALERT_STATUS_SILENCED};
    for (size_t i = 0; i < 3; i++) {
        ingest(place, statuses[i], false);
        check_counts(place, 1, 0);
    }
    ingest(place, ALERT_STATUS_RESOLVED, false);
    check_counts(place, 0, 0);
}

static void a_late_observation_says_nothing_of_what_is(void **state) {
    struct place *place = *state;
    ingest(place, ALERT_STATUS_FIRING, false);
    ingest(place, ALERT_STATUS_RESOLVED, true);
    check_counts(place, 1, 0);
    const SreDomainFact expired = {.which_fact = SreDomainFact_alert_expired_tag};
    fold(place, "alert", fleet_counts_alert_expired, &expired);
    ingest(place, ALERT_STATUS_FIRING, true);
    check_counts(place, 0, 0);
}

static void move(struct place *place, IncidentStatus from, IncidentStatus to) {
    SreDomainFact fact = {.which_fact = SreDomainFact_incident_status_changed_tag};
    fact.fact.incident_status_changed.from = from;
    fact.fact.incident_status_changed.to = to;
    fold(place, "incident", fleet_counts_incident_status, &fact);
}

/* Whoever opens it again does not say where it was. */
static void an_incident_that_comes_back_counts_where_it_was(void **state) {
    struct place *place = *state;
    SreDomainFact created = {.which_fact = SreDomainFact_incident_created_tag};
    created.fact.incident_created.incident =
        (Incident){.environment_id = SLICE_LIT("prod"), .cluster_id = SLICE_LIT("eu-1")};
    const SreDomainFact resolved = {.which_fact = SreDomainFact_incident_resolved_tag},
                        closed = {.which_fact = SreDomainFact_incident_closed_tag};
    fold(place, "incident", fleet_counts_incident_created, &created);
    check_counts(place, 0, 1);
    move(place, INCIDENT_STATUS_OPEN, INCIDENT_STATUS_INVESTIGATING);
    check_counts(place, 0, 1);
    fold(place, "incident", fleet_counts_incident_resolved, &resolved);
    check_counts(place, 0, 0);
    move(place, INCIDENT_STATUS_RESOLVED, INCIDENT_STATUS_INVESTIGATING);
    check_counts(place, 0, 1);
    fold(place, "incident", fleet_counts_incident_resolved, &resolved);
    fold(place, "incident", fleet_counts_incident_closed, &closed);
    check_counts(place, 0, 0);
    move(place, INCIDENT_STATUS_CLOSED, INCIDENT_STATUS_INVESTIGATING);
    check_counts(place, 0, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_fires_counts_silenced_or_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_late_observation_says_nothing_of_what_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_incident_that_comes_back_counts_where_it_was, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
