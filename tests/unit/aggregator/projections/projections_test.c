/* SPDX-License-Identifier: Apache-2.0
 * Facts in, answers out: what a reader is told after folding, superseding, rebuilding and failing. */
#include "tests/unit/aggregator/projections/projections_fixture.h"

#include "aggregator/journal/fact_range.h"
#include "aggregator/projections/fleet_health.h"
#include "aggregator/projections/sli_series.h"
#include "common/base/limits.h"
#include "common/codec/tables.h"

static GetSLITimeSeriesResponse series(struct place *place, const char *tenant, int64_t from_s, int64_t to_s,
                                       int64_t step_s, bool split) {
    const GetSLITimeSeriesRequest request = {.slo_id = slo.slo_id,
                                             .has_from = true,
                                             .from = {.seconds = from_s},
                                             .has_to = true,
                                             .to = {.seconds = to_s},
                                             .has_step = true,
                                             .step = {.seconds = step_s},
                                             .split = split};
    GetSLITimeSeriesResponse response;
    struct sql *reader = projections_take_reader(place->projections);
    struct fault fault;
    if (sli_series_query(reader, slice_from_text(tenant), &slo, &request, (int64_t)(T0 + 90 * 86400) * 1000,
                         place->arena, &response, &fault))
        fail_msg("%s", fault.text);
    projections_give_reader(place->projections, reader);
    return response;
}

static void windows_add_up_over_agents_and_stay_in_their_tenant(void **state) {
    struct place *place = *state;
    add_window(place, "a", window_of("s", "one", T0, 8, 10, 4, 1), NULL);
    add_window(place, "a", window_of("s", "two", T0, 5, 5, 4, 1), NULL);
    add_window(place, "b", window_of("s", "one", T0, 0, 1000, 4, 1), NULL);
    consume_new(place);
    const GetSLITimeSeriesResponse r = series(place, "a", T0, T0 + 60, 60, false);
    assert_int_equal(r.series.count, 1);
    assert_int_equal(r.series.items[0].points.count, 1);
    const SLITimeSeriesPoint *p = r.series.items[0].points.items;
    assert_int_equal(p->good, 13);
    assert_int_equal(p->total, 15);
    assert_int_equal(p->scrapes_seen, 8);
    assert_int_equal(p->windows_count, 2);
    assert_false(p->unknown);
    assert_int_equal(r.total.good, 13);
    assert_int_equal(series(place, "a", T0, T0 + 60, 60, true).series.count, 2);
    assert_int_equal(series(place, "none", T0, T0 + 60, 60, false).total.total, 0);
}

static void what_was_not_seen_is_unknown(void **state) {
    struct place *place = *state;
    add_window(place, "a", window_of("s", "one", T0, 10, 10, 4, 1), NULL);
    add_window(place, "a", window_of("s", "two", T0, 10, 10, 4, 1), NULL);
    add_window(place, "a", window_of("s", "one", T0 + 60, 10, 10, 4, 1), NULL);  /* two is missing here */
    add_window(place, "a", window_of("s", "one", T0 + 120, 10, 10, 3, 1), NULL); /* one scrape failed */
    add_window(place, "a", window_of("s", "two", T0 + 120, 10, 10, 4, 1), NULL);
    add_window(place, "a", window_of("s", "one", T0 + 240, 10, 10, 4, 1), NULL);
    add_window(place, "a", window_of("s", "two", T0 + 240, 10, 10, 4, 1), NULL);
    consume_new(place);
    const GetSLITimeSeriesResponse r = series(place, "a", T0 - 60, T0 + 360, 60, false);
    const bool unknown[] = {true /* before */, false, true, true, true /* nobody */, false, true /* after */};
    assert_int_equal(r.series.items[0].points.count, 7);
    for (size_t i = 0; i < 7; i++) assert_int_equal(r.series.items[0].points.items[i].unknown, unknown[i]);
    /* A long step with one gap in it is unknown as a whole. */
    assert_true(series(place, "a", T0, T0 + 240, 240, false).series.items[0].points.items[0].unknown);
    /* An agent that the SLO names and that never reported. */
    SLO named = slo;
    slice agents[] = {SLICE_LIT("one"), SLICE_LIT("two"), SLICE_LIT("three")};
    named.agents.items = agents;
    named.agents.count = 3;
    named.created_at.seconds = T0 - 1000;
    const GetSLITimeSeriesRequest request = {
        .has_from = true, .from = {.seconds = T0}, .has_to = true, .to = {.seconds = T0 + 60}};
    GetSLITimeSeriesResponse response;
    struct sql *reader = projections_take_reader(place->projections);
    assert_int_equal(sli_series_query(reader, SLICE_LIT("a"), &named, &request, (int64_t)(T0 + 86400) * 1000,
                                      place->arena, &response, NULL),
                     FAULT_NONE);
    projections_give_reader(place->projections, reader);
    assert_true(response.series.items[0].points.items[0].unknown);
}

static void a_higher_revision_supersedes_and_a_lower_has_no_effect(void **state) {
    struct place *place = *state;
    const SLIWindow first = window_of("s", "one", T0, 5, 10, 3, 1), second = window_of("s", "one", T0, 9, 12, 4, 2);
    add_window(place, "a", first, NULL);
    consume_new(place);
    add_window(place, "a", second, &first);
    consume_new(place);
    const GetSLITimeSeriesResponse r = series(place, "a", T0, T0 + 60, 60, false);
    assert_int_equal(r.total.good, 9);
    assert_int_equal(r.total.total, 12);
    assert_int_equal(r.series.items[0].points.items[0].windows_count, 1);
    struct sql *reader = projections_take_reader(place->projections);
    const GetSLOBurndownRequest request = {.has_from = true,
                                           .from = {.seconds = T0},
                                           .has_to = true,
                                           .to = {.seconds = T0 + 3600},
                                           .has_step = true,
                                           .step = {.seconds = 3600}};
    GetSLOBurndownResponse burned;
    assert_int_equal(burndown_query(reader, SLICE_LIT("a"), &slo, &request, (int64_t)(T0 + 7200) * 1000, place->arena,
                                    &burned, NULL),
                     FAULT_NONE);
    projections_give_reader(place->projections, reader);
    assert_int_equal(burned.points.count, 1);
    assert_int_equal(burned.points.items[0].good, 9);
    assert_int_equal(burned.points.items[0].total, 12);
    assert_true(burned.points.items[0].unknown); /* 59 windows of the hour are missing */
}

/* Rows are gathered over the batch and written in the order of the table: what comes late, twice and superseded in one
 * batch stands as if each had come alone. */
static void superseded_in_the_same_batch_counts_once(void **state) {
    struct place *place = *state;
    const SLIWindow first = window_of("s", "one", T0, 5, 10, 3, 1), second = window_of("s", "one", T0, 9, 12, 4, 2);
    add_window(place, "a", window_of("s", "one", T0 + 60, 1, 1, 4, 1), NULL);
    add_window(place, "a", first, NULL);
    add_window(place, "a", second, &first);
    add_window(place, "a", window_of("s", "another", T0, 2, 2, 4, 1), NULL);
    consume_new(place);
    const GetSLITimeSeriesResponse r = series(place, "a", T0, T0 + 120, 60, false);
    assert_int_equal(r.total.good, 12);
    assert_int_equal(r.total.total, 15);
    struct sql *reader = projections_take_reader(place->projections);
    const GetSLOBurndownRequest request = {.has_from = true,
                                           .from = {.seconds = T0},
                                           .has_to = true,
                                           .to = {.seconds = T0 + 3600},
                                           .has_step = true,
                                           .step = {.seconds = 3600}};
    GetSLOBurndownResponse burned;
    assert_int_equal(burndown_query(reader, SLICE_LIT("a"), &slo, &request, (int64_t)(T0 + 7200) * 1000, place->arena,
                                    &burned, NULL),
                     FAULT_NONE);
    projections_give_reader(place->projections, reader);
    assert_int_equal(burned.points.items[0].good, 12);
    assert_int_equal(burned.points.items[0].total, 15);
}

/* Two hours of windows in all, good but for 12 bad ones in the second minute of the second hour; 90 % is the target. */
static void budget_burns_down_in_steps_of_minutes_and_of_hours_alike(void **state) {
    struct place *place = *state;
    for (int i = 0; i < 120; i++)
        add_window(place, "a", window_of("s", "one", T0 + i * 60, i == 61 ? 8 : 20, 20, 4, 1), NULL);
    consume_new(place);
    GetSLOBurndownResponse r[2];
    for (int k = 0; k < 2; k++) {
        const GetSLOBurndownRequest request = {.has_from = true,
                                               .from = {.seconds = T0},
                                               .has_to = true,
                                               .to = {.seconds = T0 + 7200},
                                               .has_step = true,
                                               .step = {.seconds = k ? 3600 : 60}};
        struct sql *reader = projections_take_reader(place->projections);
        assert_int_equal(burndown_query(reader, SLICE_LIT("a"), &slo, &request, (int64_t)(T0 + 9000) * 1000,
                                        place->arena, &r[k], NULL),
                         FAULT_NONE);
        projections_give_reader(place->projections, reader);
    }
    assert_int_equal(r[0].points.count, 120);
    assert_int_equal(r[1].points.count, 2);
    assert_float_equal(r[0].points.items[60].budget_remaining, 100, 1e-9);
    /* After 62 windows: 1240 events allow 124 bad ones, 12 were bad. */
    assert_float_equal(r[0].points.items[61].budget_remaining, 100 - 100 * 12.0 / 124, 1e-6);
    assert_float_equal(r[0].points.items[61].burn_rate, 6, 1e-9);
    assert_float_equal(r[0].points.items[119].budget_remaining, 95, 1e-6);
    assert_float_equal(r[1].points.items[1].budget_remaining, 95, 1e-6);
    for (int i = 0; i < 120; i++) assert_false(r[0].points.items[i].unknown);
    assert_false(r[1].points.items[0].unknown);
    /* Eight days later all of it has left the 7-day window. */
    const GetSLOBurndownRequest late = {.has_from = true,
                                        .from = {.seconds = T0 + 8 * 86400},
                                        .has_to = true,
                                        .to = {.seconds = T0 + 8 * 86400 + 3600},
                                        .has_step = true,
                                        .step = {.seconds = 3600}};
    struct sql *reader = projections_take_reader(place->projections);
    assert_int_equal(burndown_query(reader, SLICE_LIT("a"), &slo, &late, (int64_t)(T0 + 9 * 86400) * 1000, place->arena,
                                    &r[0], NULL),
                     FAULT_NONE);
    projections_give_reader(place->projections, reader);
    assert_true(r[0].points.items[0].unknown);
    assert_int_equal(r[0].points.items[0].total, 0);
    assert_false(r[0].points.items[0].has_budget_remaining); /* no data is not a full budget */
    assert_false(r[0].points.items[0].has_burn_rate);
}

/* A range in place of the next fact. */
static void add_compacted(struct place *place, const char *tenant, uint32_t fact_number, uint64_t facts,
                          int64_t last_s) {
    struct fact_range range = {.first_sequence = place->facts_count + 1, .last_ms = last_s * 1000};
    range.last_sequence = range.first_sequence + facts - 1;
    assert_true(fact_range_count(&range, slice_from_text(tenant), fact_number, facts, place->arena));
    uint8_t *record = arena_alloc(place->arena, FACT_RANGE_BYTES_MAX);
    const size_t size = fact_range_write(&range, record);
    place->facts[place->facts_count++] = (struct fact_view){.sequence = range.last_sequence,
                                                            .first_sequence = range.first_sequence,
                                                            .committed_ms = range.last_ms,
                                                            .bytes = slice_of(record, size),
                                                            .compacted = true};
    place->newest = range.last_sequence;
}

/* Tables that are built anew behind a compaction: hour 0 and half of hour 1 are gone from the journal. */
static void what_was_compacted_is_unknown_and_never_good(void **state) {
    struct place *place = *state;
    add_compacted(place, "a", SreDomainFact_sli_window_recorded_tag, 1, T0 + 5400 + 30);
    for (int i = 91; i < 180; i++) add_window(place, "a", window_of("s", "one", T0 + i * 60, 20, 20, 4, 1), NULL);
    add_window(place, "b", window_of("s", "one", T0, 20, 20, 4, 1), NULL);
    consume_new(place);
    const GetSLITimeSeriesResponse r = series(place, "a", T0, T0 + 3 * 3600, 60, false);
    for (size_t i = 0; i < 180; i++) assert_int_equal(r.series.items[0].points.items[i].unknown, i < 91);
    assert_false(series(place, "b", T0, T0 + 60, 60, false).series.items[0].points.items[0].unknown);
    for (int step = 60; step <= 3600; step *= 60) {
        const GetSLOBurndownResponse b = burndown(place, "a", &slo, T0, T0 + 3 * 3600, step);
        for (size_t i = 0; i < b.points.count; i++) {
            const int64_t begin_s = b.points.items[i].at.seconds - step;
            assert_int_equal(b.points.items[i].unknown, begin_s < T0 + 5400 + 31);
            assert_false(b.points.items[i].has_budget_remaining); /* its 7 days reach into what is gone */
        }
    }
    SLO later = slo; /* an SLO from after it has lost nothing */
    later.created_at.seconds = T0 + 5500;
    assert_true(burndown(place, "a", &later, T0 + 7200, T0 + 10800, 3600).points.items[0].has_budget_remaining);
}

/* The window that a correction supersedes was compacted: there is nothing to take away. */
static void a_correction_of_a_compacted_window_counts_as_itself(void **state) {
    struct place *place = *state;
    const SLIWindow first = window_of("s", "one", T0, 5, 10, 4, 1), second = window_of("s", "one", T0, 8, 12, 4, 2),
                    third = window_of("s", "one", T0, 9, 13, 4, 3);
    add_compacted(place, "a", SreDomainFact_sli_window_recorded_tag, 1, T0);
    add_window(place, "a", second, &first);
    consume_new(place);
    assert_int_equal(burndown(place, "a", &slo, T0, T0 + 3600, 3600).points.items[0].total, 12);
    add_window(place, "a", third, &second);
    consume_new(place);
    const GetSLOBurndownResponse r = burndown(place, "a", &slo, T0, T0 + 3600, 3600);
    assert_int_equal(r.points.items[0].good, 9);
    assert_int_equal(r.points.items[0].total, 13);
    assert_true(r.points.items[0].unknown);
}

static void compacted_health_checks_leave_the_windows_alone(void **state) {
    struct place *place = *state;
    add_compacted(place, "a", SreDomainFact_health_check_recorded_tag, 1, T0 + 86400);
    add_window(place, "a", window_of("s", "one", T0, 20, 20, 4, 1), NULL);
    consume_new(place);
    assert_false(series(place, "a", T0, T0 + 60, 60, false).series.items[0].points.items[0].unknown);
}

static uint64_t next_random(uint64_t *seed) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static slice dump(struct place *place) {
    struct sql *reader = projections_take_reader(place->projections);
    const char *const queries[] = {
        "SELECT s.agent || ' ' || w.start_s || ' ' || w.good || ' ' || w.total || ' ' || w.seen || ' ' || w.revision "
        "|| ' ' || s.first_s || ' ' || s.end_s"
        " FROM sli_windows w JOIN sli_series s USING (series_id) ORDER BY s.tenant, s.slo_id, s.agent, w.start_s",
        "SELECT tenant || ' ' || slo_id || ' ' || hour || ' ' || good || ' ' || total || ' ' || expected || ' ' || "
        "seen || ' ' || seconds"
        " FROM slo_hours ORDER BY tenant, slo_id, hour"};
    slice all = {0};
    for (size_t q = 0; q < 2; q++) {
        struct sql_statement *s;
        assert_int_equal(sql_prepare(reader, queries[q], &s, NULL), FAULT_NONE);
        while (sql_step(s, NULL) == FAULT_NONE)
            all = arena_format(place->arena, "%.*s%.*s\n", SLICE_ARG(all), SLICE_ARG(sql_bytes(s, 0)));
    }
    projections_give_reader(place->projections, reader);
    return all;
}

static void rebuilding_gives_the_same_rows_as_folding_bit_by_bit(void **state) {
    struct place *place = *state;
    uint64_t seed = 7;
    SLIWindow last[3][40] = {0};
    for (int i = 0; i < 600; i++) {
        const unsigned agent = (unsigned)next_random(&seed) % 3, minute = (unsigned)next_random(&seed) % 40;
        const char *const agents[] = {"one", "two", "three"};
        const int64_t total = (int64_t)(next_random(&seed) % 100);
        const SLIWindow old = last[agent][minute];
        const SLIWindow w =
            window_of("s", agents[agent], T0 + 1800 + minute * 60, total / 2, total, 4, old.revision + 1);
        add_window(place, "a", w, old.revision ? &old : NULL);
        last[agent][minute] = w;
        if (i % 7 == 0) consume_new(place);
    }
    consume_new(place);
    const slice before = dump(place);
    assert_true(before.size > 1000);
    projections_close(place->projections);
    remove_tables(place);
    open_tables(place);
    uint64_t cursor = 99;
    assert_int_equal(place->consumer.load_cursor(place->consumer.context, &cursor, NULL), FAULT_NONE);
    assert_int_equal(cursor, 0);
    place->consumed_count = 0;
    consume_new(place);
    assert_true(slice_equal(before, dump(place)));
    /* And opened once more, it knows where it is. */
    projections_close(place->projections);
    open_tables(place);
    assert_int_equal(place->consumer.load_cursor(place->consumer.context, &cursor, NULL), FAULT_NONE);
    assert_int_equal(cursor, 600);
}

static void a_failed_batch_leaves_nothing_behind(void **state) {
    struct place *place = *state;
    add_window(place, "a", window_of("s", "one", T0, 1, 1, 4, 1), NULL);
    add_window(place, "a", window_of("s", "one", T0 + 60, 1, 1, 4, 1), NULL);
    const struct fact_view whole = place->facts[1];
    place->facts[1].bytes = SLICE_LIT("\xff\xff\xff");
    struct fault fault;
    assert_int_not_equal(place->consumer.consume(place->consumer.context, place->facts, 2, &fault), FAULT_NONE);
    assert_non_null(strstr(fault.text, "fold fact 2"));
    assert_int_equal(dump(place).size, 0);
    place->facts[1] = whole;
    consume_new(place);
    assert_int_equal(series(place, "a", T0, T0 + 120, 60, false).total.total, 2);
}

static void what_is_held_is_seen_when_it_is_settled_and_counts_once(void **state) {
    struct place *place = *state;
    add_window(place, "a", window_of("s", "one", T0, 1, 1, 4, 1), NULL);
    hold_new(place);
    add_window(place, "a", window_of("s", "one", T0 + 60, 2, 3, 4, 1), NULL);
    add_window(place, "a", window_of("other", "one", T0, 5, 6, 4, 1), NULL);
    hold_new(place);
    assert_int_equal(projections_sequence(place->projections), 0);
    assert_int_equal(dump(place).size, 0);
    settle(place);
    assert_int_equal(projections_sequence(place->projections), 3);
    assert_int_equal(series(place, "a", T0, T0 + 120, 60, false).total.total, 4);
    assert_int_equal(burndown(place, "a", &slo, T0, T0 + 3600, 3600).points.items[0].total, 4);
}

static void a_fault_takes_back_what_is_held(void **state) {
    struct place *place = *state;
    add_window(place, "a", window_of("s", "one", T0, 1, 1, 4, 1), NULL);
    hold_new(place);
    add_window(place, "a", window_of("s", "one", T0 + 60, 1, 1, 4, 1), NULL);
    const struct fact_view whole = place->facts[1];
    place->facts[1].bytes = SLICE_LIT("\xff\xff\xff");
    struct fault fault;
    assert_int_not_equal(place->consumer.consume(place->consumer.context, place->facts + 1, 1, &fault), FAULT_NONE);
    place->facts[1] = whole;
    place->consumed_count = 0; /* both come again */
    consume_new(place);
    assert_int_equal(series(place, "a", T0, T0 + 120, 60, false).total.total, 2);
    assert_int_equal(burndown(place, "a", &slo, T0, T0 + 3600, 3600).points.items[0].total, 2);
}

static void tables_ahead_of_the_journal_are_made_anew(void **state) {
    struct place *place = *state;
    add_window(place, "a", window_of("s", "one", T0, 1, 1, 4, 1), NULL);
    consume_new(place);
    place->newest = 0;
    uint64_t cursor;
    assert_int_equal(place->consumer.load_cursor(place->consumer.context, &cursor, NULL), FAULT_NONE);
    assert_int_equal(cursor, 0);
    assert_int_equal(dump(place).size, 0);
}

static void a_damaged_file_is_made_anew(void **state) {
    struct place *place = *state;
    projections_close(place->projections);
    remove_tables(place);
    FILE *file = fopen(place->path, "w");
    for (int i = 0; i < 1000; i++) fputs("no database ", file);
    fclose(file);
    open_tables(place);
    assert_int_equal(projections_sequence(place->projections), 0);
}

static void add_check(struct place *place, const char *id, const char *environment, HealthStatus from,
                      HealthStatus status, int64_t at_s, int64_t expires_s, bool late) {
    SreDomainFact fact = {.which_fact = SreDomainFact_health_check_recorded_tag};
    HealthCheckRecorded *r = &fact.fact.health_check_recorded;
    r->has_health_check = true;
    r->health_check = (HealthCheck){.healthcheck_id = slice_from_text(id),
                                    .has_resource_ref = true,
                                    .resource_ref = {.type = SLICE_LIT("endpoint"),
                                                     .id = SLICE_LIT("shop"),
                                                     .environment = slice_from_text(environment)},
                                    .has_timestamp = true,
                                    .timestamp = {.seconds = at_s},
                                    .status = status,
                                    .has_expires_at = expires_s != 0,
                                    .expires_at = {.seconds = expires_s}};
    r->from = from;
    r->late = late;
    add_fact(place, "a", "health_check", slice_from_text(id), &fact);
}

static void health_is_the_worst_and_expired_is_unknown(void **state) {
    struct place *place = *state;
    add_check(place, "c1", "prod", HEALTH_STATUS_UNSPECIFIED, HEALTH_STATUS_HEALTHY, T0, T0 + 60, false);
    add_check(place, "c2", "prod", HEALTH_STATUS_UNSPECIFIED, HEALTH_STATUS_HEALTHY, T0, T0 + 6000, false);
    add_check(place, "c3", "test", HEALTH_STATUS_UNSPECIFIED, HEALTH_STATUS_DEGRADED, T0, 0, false);
    add_check(place, "c3", "test", HEALTH_STATUS_DEGRADED, HEALTH_STATUS_UNHEALTHY, T0 + 10, 0, false);
    add_check(place, "c3", "test", HEALTH_STATUS_UNHEALTHY, HEALTH_STATUS_HEALTHY, T0 + 5, 0, true);
    SreDomainFact alert = {.which_fact = SreDomainFact_alert_ingested_tag};
    alert.fact.alert_ingested.has_alert = true;
    alert.fact.alert_ingested.alert =
        (Alert){.alert_id = SLICE_LIT("al"), .environment_id = SLICE_LIT("prod"), .status = ALERT_STATUS_FIRING};
    add_fact(place, "a", "alert", SLICE_LIT("al"), &alert);
    consume_new(place);
    struct sql *reader = projections_take_reader(place->projections);
    EnvironmentHealth *items;
    size_t count;
    bool more;
    const slice none = {0};
    assert_int_equal(fleet_health_environments(reader, SLICE_LIT("a"), none, none, none, 10, (int64_t)(T0 + 30) * 1000,
                                               place->arena, &items, &count, &more, NULL),
                     FAULT_NONE);
    assert_int_equal(count, 2);
    assert_int_equal(items[0].status, HEALTH_STATUS_HEALTHY);
    assert_int_equal(items[0].healthy_count, 2);
    assert_int_equal(items[0].firing_alerts_count, 1);
    assert_int_equal(items[1].status, HEALTH_STATUS_UNHEALTHY);
    assert_int_equal(fleet_health_environments(reader, SLICE_LIT("a"), none, none, none, 1, (int64_t)(T0 + 61) * 1000,
                                               place->arena, &items, &count, &more, NULL),
                     FAULT_NONE);
    assert_int_equal(count, 1);
    assert_true(more);
    assert_int_equal(items[0].status, HEALTH_STATUS_UNKNOWN);
    assert_int_equal(items[0].unknown_count, 1);
    GetHealthCheckResponse check;
    assert_int_equal(
        fleet_health_check(reader, SLICE_LIT("a"), SLICE_LIT("c3"), (int64_t)T0 * 1000, place->arena, &check, NULL),
        FAULT_NONE);
    assert_int_equal(check.health_check.status, HEALTH_STATUS_UNHEALTHY);
    assert_int_equal(check.history.count, 3);
    assert_int_equal(
        fleet_health_check(reader, SLICE_LIT("b"), SLICE_LIT("c3"), (int64_t)T0 * 1000, place->arena, &check, NULL),
        FAULT_ABSENT);
    GetApplicationHealthResponse application;
    const GetApplicationHealthRequest request = {.application_id = SLICE_LIT("shop")},
                                      nobody = {.application_id = SLICE_LIT("nobody")};
    assert_int_equal(fleet_health_application(reader, SLICE_LIT("a"), &request, (int64_t)(T0 + 30) * 1000, place->arena,
                                              &application, NULL),
                     FAULT_NONE);
    assert_int_equal(application.checks.count, 3);
    assert_int_equal(application.status, HEALTH_STATUS_UNHEALTHY);
    assert_int_equal(fleet_health_application(reader, SLICE_LIT("a"), &nobody, (int64_t)(T0 + 30) * 1000, place->arena,
                                              &application, NULL),
                     FAULT_NONE);
    assert_int_equal(application.status, HEALTH_STATUS_UNKNOWN);
    ListHealthChecksRequest filter = {0};
    HealthStatus wanted[] = {HEALTH_STATUS_UNKNOWN};
    filter.statuses.items = wanted;
    filter.statuses.count = 1;
    HealthCheck *checks;
    assert_int_equal(fleet_health_checks(reader, SLICE_LIT("a"), &filter, none, 10, (int64_t)(T0 + 61) * 1000,
                                         place->arena, &checks, &count, &more, NULL),
                     FAULT_NONE);
    assert_int_equal(count, 1);
    assert_true(slice_equal_text(checks[0].healthcheck_id, "c1"));
    projections_give_reader(place->projections, reader);
}

/* Of journals from before each check and snapshot had an end. */
static void what_has_no_end_and_is_old_is_unknown_too(void **state) {
    struct place *place = *state;
    add_check(place, "c1", "prod", HEALTH_STATUS_UNSPECIFIED, HEALTH_STATUS_HEALTHY, T0, 0, false);
    SreDomainFact fact = {.which_fact = SreDomainFact_fleet_state_recorded_tag};
    fact.fact.fleet_state_recorded.has_fleet_state = true;
    fact.fact.fleet_state_recorded.fleet_state = (FleetState){.environment_id = SLICE_LIT("prod"),
                                                              .has_timestamp = true,
                                                              .timestamp = {.seconds = T0},
                                                              .total_applications = 3,
                                                              .healthy_count = 3};
    add_fact(place, "a", "fleet_state", SLICE_LIT("prod"), &fact);
    consume_new(place);
    struct sql *reader = projections_take_reader(place->projections);
    for (int hours = 0; hours < 2; hours++) {
        const int64_t now_ms = ((int64_t)T0 + hours * 3600) * 1000;
        EnvironmentHealth *items;
        size_t count;
        bool more;
        const slice none = {0};
        assert_int_equal(fleet_health_environments(reader, SLICE_LIT("a"), none, none, none, 10, now_ms, place->arena,
                                                   &items, &count, &more, NULL),
                         FAULT_NONE);
        assert_int_equal(count, 1);
        assert_int_equal(items[0].status, hours ? HEALTH_STATUS_UNKNOWN : HEALTH_STATUS_HEALTHY);
        assert_int_equal(items[0].fleet_state.unknown_count, hours ? 3 : 0);
        assert_int_equal(items[0].fleet_state.healthy_count, hours ? 0 : 3);
        GetHealthCheckResponse check;
        assert_int_equal(
            fleet_health_check(reader, SLICE_LIT("a"), SLICE_LIT("c1"), now_ms, place->arena, &check, NULL),
            FAULT_NONE);
        assert_int_equal(check.health_check.status, items[0].status);
    }
    projections_give_reader(place->projections, reader);
}

static void every_fact_of_the_contract_is_folded_or_ignored_in_writing(void **state) {
    size_t facts = 0;
    for (size_t i = 0; i < SreDomainFact_desc.fields_count; i++) {
        const struct field_desc *field = &SreDomainFact_desc.fields[i];
        if (field->number < 10) continue;
        facts++;
        if (projections_treat(field->number) == PROJECTIONS_UNKNOWN)
            fail_msg("fact '%s' has neither a FOLD nor an IGNORED row in folds.def", field->name);
    }
    assert_true(facts >= 27);
    assert_int_equal(projections_treat(99), PROJECTIONS_UNKNOWN);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(windows_add_up_over_agents_and_stay_in_their_tenant),
        TEST(superseded_in_the_same_batch_counts_once),
        TEST(what_was_not_seen_is_unknown),
        TEST(a_higher_revision_supersedes_and_a_lower_has_no_effect),
        TEST(budget_burns_down_in_steps_of_minutes_and_of_hours_alike),
        TEST(what_was_compacted_is_unknown_and_never_good),
        TEST(a_correction_of_a_compacted_window_counts_as_itself),
        TEST(compacted_health_checks_leave_the_windows_alone),
        TEST(rebuilding_gives_the_same_rows_as_folding_bit_by_bit),
        TEST(a_failed_batch_leaves_nothing_behind),
        TEST(what_is_held_is_seen_when_it_is_settled_and_counts_once),
        TEST(a_fault_takes_back_what_is_held),
        TEST(tables_ahead_of_the_journal_are_made_anew),
        TEST(a_damaged_file_is_made_anew),
        TEST(health_is_the_worst_and_expired_is_unknown),
        TEST(what_has_no_end_and_is_old_is_unknown_too),
        TEST(every_fact_of_the_contract_is_folded_or_ignored_in_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
