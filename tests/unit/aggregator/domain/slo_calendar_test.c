/* SPDX-License-Identifier: Apache-2.0
 * Weeks, months, quarters and years in UTC, against the C library's calendar. */
#include "aggregator/domain/slo_calendar.h"

#include "tests/support/check.h"

enum { WEEK, MONTH, QUARTER, YEAR, HOUR_S = 3600 };

static int64_t hour_of(int year, int month, int day, int hour) {
    struct tm at = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour};
    return (int64_t)timegm(&at) / HOUR_S;
}

/* The same question, answered by struct tm. timegm brings months past December into the next year. */
static struct slo_span span_by_library(int index, int64_t hour) {
    const time_t seconds = (time_t)(hour * HOUR_S);
    struct tm at;
    assert_non_null(gmtime_r(&seconds, &at));
    const int year = at.tm_year + 1900, month = at.tm_mon + 1;
    if (index == WEEK) {
        const int day = at.tm_mday - (at.tm_wday + 6) % 7; /* may be 0 or less: timegm takes it */
        return (struct slo_span){hour_of(year, month, day, 0), hour_of(year, month, day + 7, 0)};
    }
    if (index == YEAR) return (struct slo_span){hour_of(year, 1, 1, 0), hour_of(year + 1, 1, 1, 0)};
    const int length = index == MONTH ? 1 : 3, first = (month - 1) / length * length + 1;
    return (struct slo_span){hour_of(year, first, 1, 0), hour_of(year, first + length, 1, 0)};
}

static void check(int index, int64_t hour) {
    const struct slo_span found = slo_period_span(index, hour), expected = span_by_library(index, hour);
    if (found.starts_hour != expected.starts_hour || found.ends_hour != expected.ends_hour)
        fail_msg("period %d of hour %lld is [%lld, %lld), not [%lld, %lld)", index, (long long)hour,
                 (long long)found.starts_hour, (long long)found.ends_hour, (long long)expected.starts_hour,
                 (long long)expected.ends_hour);
}

TEST(each_calendar_window_has_its_index_and_no_other_has_one) {
    assert_int_equal(slo_period_index(SLO_WINDOW_CALENDAR_WEEK), WEEK);
    assert_int_equal(slo_period_index(SLO_WINDOW_CALENDAR_MONTH), MONTH);
    assert_int_equal(slo_period_index(SLO_WINDOW_CALENDAR_QUARTER), QUARTER);
    assert_int_equal(slo_period_index(SLO_WINDOW_CALENDAR_YEAR), YEAR);
    for (int window = SLO_WINDOW_UNSPECIFIED; window <= SLO_WINDOW_30D; window++)
        assert_int_equal(slo_period_index((SLOWindow)window), -1);
}

TEST(periods_are_those_that_people_know) {
    static const struct {
        int index, at[4], starts[3], ends[3];
    } rows[] = {
        {WEEK, {1970, 1, 1, 0}, {1969, 12, 29}, {1970, 1, 5}}, /* a Thursday */
        {WEEK, {2026, 11, 23, 0}, {2026, 11, 23}, {2026, 11, 30}},
        {WEEK, {2026, 11, 22, 23}, {2026, 11, 16}, {2026, 11, 23}},
        {WEEK, {2027, 1, 1, 12}, {2026, 12, 28}, {2027, 1, 4}},  /* week 53 of 2026 */
        {WEEK, {2024, 12, 31, 5}, {2024, 12, 30}, {2025, 1, 6}}, /* week 1 of 2025 */
        {MONTH, {2026, 2, 28, 23}, {2026, 2, 1}, {2026, 3, 1}},
        {MONTH, {2028, 2, 29, 23}, {2028, 2, 1}, {2028, 3, 1}},
        {MONTH, {2100, 2, 28, 23}, {2100, 2, 1}, {2100, 3, 1}}, /* no leap year */
        {MONTH, {2000, 2, 29, 0}, {2000, 2, 1}, {2000, 3, 1}},
        {MONTH, {2026, 12, 31, 23}, {2026, 12, 1}, {2027, 1, 1}},
        {MONTH, {1970, 1, 1, 0}, {1970, 1, 1}, {1970, 2, 1}},
        {QUARTER, {2026, 3, 31, 23}, {2026, 1, 1}, {2026, 4, 1}},
        {QUARTER, {2026, 11, 21, 4}, {2026, 10, 1}, {2027, 1, 1}},
        {YEAR, {2024, 12, 31, 23}, {2024, 1, 1}, {2025, 1, 1}},
        {YEAR, {1970, 1, 1, 0}, {1970, 1, 1}, {1971, 1, 1}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const int64_t hour = hour_of(rows[i].at[0], rows[i].at[1], rows[i].at[2], rows[i].at[3]);
        const struct slo_span span = slo_period_span(rows[i].index, hour);
        assert_int_equal(span.starts_hour, hour_of(rows[i].starts[0], rows[i].starts[1], rows[i].starts[2], 0));
        assert_int_equal(span.ends_hour, hour_of(rows[i].ends[0], rows[i].ends[1], rows[i].ends[2], 0));
    }
}

TEST(every_day_from_1900_to_2500_is_in_the_period_that_the_library_says) {
    for (int64_t hour = hour_of(1900, 1, 1, 0); hour < hour_of(2500, 1, 1, 0); hour += 24)
        for (int index = 0; index < SLO_PERIODS; index++) check(index, hour);
}

TEST(any_hour_is_in_the_period_that_the_library_says) {
    uint64_t seed = check_seed();
    for (int i = 0; i < 100000; i++) {
        /* 290 years around 1970, and now and then the years 1 to 9999. */
        const int64_t span = i % 10 ? INT64_C(2540000) : INT64_C(70000000);
        const int64_t hour = (int64_t)(check_random(&seed) % (uint64_t)span) - (i % 10 ? span / 2 : 17000000);
        for (int index = 0; index < SLO_PERIODS; index++) check(index, hour);
    }
}

TEST(periods_follow_one_another_without_a_gap) {
    for (int index = 0; index < SLO_PERIODS; index++) {
        struct slo_span span = slo_period_span(index, hour_of(1969, 6, 1, 0));
        for (int i = 0; i < 2000; i++) {
            const struct slo_span next = slo_period_span(index, span.ends_hour);
            assert_int_equal(next.starts_hour, span.ends_hour);
            assert_int_equal(slo_period_span(index, span.ends_hour - 1).starts_hour, span.starts_hour);
            span = next;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_calendar_window_has_its_index_and_no_other_has_one),
        cmocka_unit_test(periods_are_those_that_people_know),
        cmocka_unit_test(every_day_from_1900_to_2500_is_in_the_period_that_the_library_says),
        cmocka_unit_test(any_hour_is_in_the_period_that_the_library_says),
        cmocka_unit_test(periods_follow_one_another_without_a_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
