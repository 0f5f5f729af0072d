/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include "agent/alert/alert_settings.h"
#include "agent/alert/burn.h"

enum { MINUTE_MS = 60000 };
static const int64_t START_MS = INT64_C(1700000040000); /* a whole minute */

struct bench {
    struct burn_rule items[BURN_RULES_MAX];
    struct burn_rules rules;
    struct burn_bucket buckets[BURN_SPANS_MAX * BURN_BUCKETS];
    struct burn_history history;
    int64_t at_ms;
};

static void begin(struct bench *bench) {
    static const struct alert_settings none = {0};
    memset(bench, 0, sizeof *bench);
    const size_t count = alert_settings_rules(&none, bench->items);
    burn_rules_init(&bench->rules, bench->items, count);
    bench->history.buckets = bench->buckets;
    bench->at_ms = START_MS;
}

static void minutes(struct bench *bench, int count, int64_t bad, int64_t total, uint32_t seen) {
    for (int i = 0; i < count; i++, bench->at_ms += MINUTE_MS) {
        const struct sli_window window = {.window_start_ms = bench->at_ms,
                                          .window_seconds = 60,
                                          .good = total - bad,
                                          .total = total,
                                          .scrapes_expected = 4,
                                          .scrapes_seen = seen};
        burn_count(&bench->rules, &bench->history, &window);
    }
}

static enum burn_verdict judge(struct bench *bench, size_t rule, struct burn_rates *ret_rates) {
    return burn_judge(&bench->rules, rule, &bench->history, 99.9, ret_rates);
}

TEST(workbook_rules_are_the_default_and_share_their_spans) {
    struct bench bench;
    begin(&bench);
    assert_int_equal(bench.rules.count, 3);
    assert_int_equal(bench.rules.spans_count, 5); /* 1h 5m 6h 30m 3d: six hours are in two rules */
    assert_true(bench.items[0].factor > 14.3 && bench.items[0].factor < 14.5);
    assert_int_equal(bench.items[2].long_ms, INT64_C(72) * 3600 * 1000);
}

TEST(nothing_counted_is_unknown) {
    struct bench bench;
    struct burn_rates rates;
    begin(&bench);
    assert_int_equal(judge(&bench, 0, &rates), BURN_UNKNOWN);
}

TEST(rate_is_the_share_of_bad_over_what_the_objective_allows) {
    struct bench bench;
    struct burn_rates rates;
    begin(&bench);
    minutes(&bench, 120, 10, 1000, 4); /* 1 % bad, 0.1 % allowed */
    assert_int_equal(judge(&bench, 0, &rates), BURN_CALM);
    assert_true(rates.over_long > 9.99 && rates.over_long < 10.01);
    assert_true(rates.over_short > 9.99 && rates.over_short < 10.01);
    assert_int_equal(judge(&bench, 1, &rates), BURN_HOLDS); /* 6 over 6h and 30m */
}

TEST(both_spans_must_reach_the_factor_and_the_short_one_ends_it) {
    struct bench bench;
    struct burn_rates rates;
    begin(&bench);
    minutes(&bench, 120, 0, 1000, 4);
    int needed = 0;
    do {
        minutes(&bench, 1, 1000, 1000, 4);
        needed++;
    } while (judge(&bench, 0, &rates) != BURN_HOLDS && needed < 60);
    assert_int_equal(needed, 1); /* all bad: 14.4 of 1000 times in an hour is reached within a minute */
    int over = 0;
    do {
        minutes(&bench, 1, 0, 1000, 4);
        over++;
    } while (judge(&bench, 0, &rates) == BURN_HOLDS && over < 60);
    assert_in_range(over, 5, 6); /* as soon as the five minutes are good again, and a twelfth */
    assert_true(rates.over_long > 14.4);
}

TEST(slow_burn_makes_a_ticket_and_no_page) {
    struct bench bench;
    struct burn_rates rates;
    begin(&bench);
    minutes(&bench, 80 * 60, 2, 1000, 4); /* twice as fast as allowed, for 80 hours */
    assert_int_equal(judge(&bench, 0, &rates), BURN_CALM);
    assert_int_equal(judge(&bench, 1, &rates), BURN_CALM);
    assert_int_equal(judge(&bench, 2, &rates), BURN_HOLDS);
}

TEST(what_was_not_seen_is_neither_good_nor_bad) {
    struct bench bench;
    struct burn_rates rates;
    begin(&bench);
    minutes(&bench, 120, 20, 1000, 4);
    assert_int_equal(judge(&bench, 0, &rates), BURN_HOLDS);
    minutes(&bench, 6, 0, 0, 0);
    assert_int_equal(judge(&bench, 0, &rates), BURN_UNKNOWN); /* nothing in the short span: no verdict, and not calm */
    assert_int_equal(bench.history.last_seen_ms, START_MS + 120 * MINUTE_MS);
    minutes(&bench, 6, 20, 1000, 2); /* half of the scrapes are enough */
    assert_int_equal(judge(&bench, 0, &rates), BURN_HOLDS);
    minutes(&bench, 12, 20, 1000, 1);
    assert_int_equal(judge(&bench, 0, &rates), BURN_UNKNOWN);
}

TEST(traffic_of_nothing_is_no_verdict) {
    struct bench bench;
    struct burn_rates rates;
    begin(&bench);
    minutes(&bench, 120, 0, 0, 4);
    assert_int_equal(judge(&bench, 0, &rates), BURN_UNKNOWN);
}

TEST(old_errors_are_forgotten_whatever_is_done_to_the_clock) {
    struct bench bench;
    struct burn_rates rates;
    begin(&bench);
    minutes(&bench, 120, 1000, 1000, 4);
    assert_int_equal(judge(&bench, 0, &rates), BURN_HOLDS);
    bench.at_ms += INT64_C(3650) * 86400 * 1000; /* ten years forwards */
    minutes(&bench, 1, 0, 1000, 4);
    assert_int_equal(judge(&bench, 0, &rates), BURN_CALM);
    minutes(&bench, 1, 1000, 1000, 4);
    assert_int_equal(judge(&bench, 0, &rates), BURN_HOLDS);
    bench.at_ms = START_MS - INT64_C(86400) * 1000; /* and back, to the day before */
    minutes(&bench, 2, 0, 1000, 4);
    assert_int_equal(judge(&bench, 0, &rates), BURN_CALM);
    assert_true(rates.over_long < 0.01);
}

TEST(counts_of_any_size_stay_ratios) {
    uint64_t seed = check_seed();
    for (int round = 0; round < 200; round++) {
        struct bench bench;
        struct burn_rates rates;
        begin(&bench);
        const int64_t total = (int64_t)(check_random(&seed) % 1000000000) + 1;
        const int64_t bad = (int64_t)(check_random(&seed) % (uint64_t)(total + 1));
        minutes(&bench, 90, bad, total, 4);
        (void)judge(&bench, 0, &rates);
        const double expected = (double)bad / (double)total / 0.001;
        assert_true(rates.over_long >= expected * 0.999 - 1e-6 && rates.over_long <= expected * 1.001 + 1e-6);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workbook_rules_are_the_default_and_share_their_spans),
        cmocka_unit_test(nothing_counted_is_unknown),
        cmocka_unit_test(rate_is_the_share_of_bad_over_what_the_objective_allows),
        cmocka_unit_test(both_spans_must_reach_the_factor_and_the_short_one_ends_it),
        cmocka_unit_test(slow_burn_makes_a_ticket_and_no_page),
        cmocka_unit_test(what_was_not_seen_is_neither_good_nor_bad),
        cmocka_unit_test(traffic_of_nothing_is_no_verdict),
        cmocka_unit_test(old_errors_are_forgotten_whatever_is_done_to_the_clock),
        cmocka_unit_test(counts_of_any_size_stay_ratios),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
