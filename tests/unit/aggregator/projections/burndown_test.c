/* SPDX-License-Identifier: Apache-2.0
 * Error budgets over time: by the calendar, by slices, and beyond what is kept. */
#include "tests/unit/aggregator/projections/projections_fixture.h"

/* A month ends at midnight: the budget over it begins anew, in steps of minutes and of hours alike. */
static void a_calendar_budget_begins_anew_with_its_period(void **state) {
    struct place *place = *state;
    enum { MIDNIGHT = T0 - T0 % 86400 + 86400, HOUR = 3600 };
    SLO month = slo;
    month.window = SLO_WINDOW_CALENDAR_WEEK;
    /* The Monday after T0. */
    const int64_t monday = MIDNIGHT + (7 - (MIDNIGHT / 86400 + 3) % 7) % 7 * 86400;
    for (int i = -120; i < 120; i++)
        if (i < 0 || i >= 60) /* in the first hour of the week nothing is measured */
            add_window(place, "a", window_of("s", "one", monday + i * 60, i < 0 ? 19 : 20, 20, 4, 1), NULL);
    consume_new(place);
    for (int64_t step = 60; step <= HOUR; step *= 60) {
        const GetSLOBurndownResponse r = burndown(place, "a", &month, monday - HOUR, monday + 2 * HOUR, step);
        const size_t an_hour = (size_t)(HOUR / step);
        assert_int_equal(r.points.count, 3 * an_hour);
        const SLOBurndownPoint *last = &r.points.items[an_hour - 1], *empty = &r.points.items[2 * an_hour - 1],
                               *end = &r.points.items[3 * an_hour - 1];
        assert_int_equal(last->at.seconds, monday);
        assert_float_equal(last->budget_remaining, 50, 1e-6);
        assert_false(empty->has_budget_remaining);
        assert_true(empty->unknown);
        assert_float_equal(end->budget_remaining, 100, 1e-6);
        assert_false(end->unknown);
        assert_float_equal(
            burndown(place, "a", &slo, monday, monday + 2 * HOUR, step).points.items[2 * an_hour - 1].budget_remaining,
            100 - 100 * 120 / (180 * 20 * 0.1), 1e-6);
    }
}

static void a_burndown_of_slices_counts_windows(void **state) {
    struct place *place = *state;
    SLO slices = slo;
    slices.budgeting_method = BUDGETING_METHOD_TIMESLICES;
    slices.time_slice_target = 95;
    for (int i = 0; i < 120; i++) /* three bad ones, the first a big one; one in which nothing happened */
        add_window(place, "a",
                   window_of("s", "one", T0 + i * 60,
                             i == 10              ? 94000
                             : i == 70 || i == 71 ? 18
                             : i == 80            ? 0
                                                  : 19,
                             i == 10   ? 100000
                             : i == 80 ? 0
                                       : 20,
                             4, 1),
                   NULL);
    consume_new(place);
    for (int64_t step = 60; step <= 3600; step *= 60) {
        const GetSLOBurndownResponse r = burndown(place, "a", &slices, T0, T0 + 7200, step);
        const size_t an_hour = (size_t)(3600 / step);
        int64_t good = 0, total = 0;
        for (size_t i = 0; i < r.points.count; i++) {
            good += r.points.items[i].good;
            total += r.points.items[i].total;
        }
        assert_int_equal(good, 116);
        assert_int_equal(total, 119);
        assert_float_equal(r.points.items[an_hour - 1].budget_remaining, 100 - 100 * 1 / 6.0, 1e-6);
        assert_float_equal(r.points.items[2 * an_hour - 1].budget_remaining, 100 - 100 * 3 / 11.9, 1e-6);
    }
}

/* A year of which a part was let go is not known as a whole. */
static void a_budget_over_hours_that_were_let_go_is_not_shown(void **state) {
    struct place *place = *state;
    SLO year = slo;
    year.window = SLO_WINDOW_CALENDAR_YEAR;
    enum { DAY = 86400, AT = T0 + 20 * DAY };
    for (int i = 0; i < 60; i++) add_window(place, "a", window_of("s", "one", AT + i * 60, 20, 20, 4, 1), NULL);
    consume_new(place);
    assert_true(burndown(place, "a", &year, AT, AT + 3600, 3600).points.items[0].has_budget_remaining);
    add_window(place, "a", window_of("s", "one", AT, 20, 20, 4, 2), NULL);
    place->facts[place->facts_count - 1].committed_ms = (T0 + INT64_C(110) * DAY) * 1000; /* 100 days are kept */
    consume_new(place);
    const GetSLOBurndownResponse r = burndown(place, "a", &year, AT, AT + 3600, 3600);
    assert_false(r.points.items[0].has_budget_remaining);
    assert_int_equal(r.points.items[0].total, 60 * 20 + 20);
    assert_true(burndown(place, "a", &slo, AT, AT + 3600, 3600).points.items[0].has_budget_remaining); /* 7 days */
    year.created_at.seconds = T0 + 15 * DAY; /* younger than what was let go */
    assert_true(burndown(place, "a", &year, AT, AT + 3600, 3600).points.items[0].has_budget_remaining);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_calendar_budget_begins_anew_with_its_period),
        TEST(a_burndown_of_slices_counts_windows),
        TEST(a_budget_over_hours_that_were_let_go_is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
