/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include <pthread.h>
#include <stdatomic.h>

#include "aggregator/api/rate_limit.h"

#define SECOND INT64_C(1000000000)

TEST(a_burst_goes_at_once_and_then_one_each_interval) {
    struct rate_limit *limit = rate_limit_new();
    const struct rate rate = rate_of(10, 1000, 3);
    int64_t now_ns = 100 * SECOND;
    for (int i = 0; i < 3; i++) assert_int_equal(rate_limit_take(limit, 7, rate, now_ns), 0);
    assert_int_equal(rate_limit_take(limit, 7, rate, now_ns), SECOND / 10);
    assert_int_equal(rate_limit_wait(limit, 7, rate, now_ns + SECOND / 20), SECOND / 20);
    assert_int_equal(rate_limit_take(limit, 7, rate, now_ns + SECOND / 10 - 1), 1);
    assert_int_equal(rate_limit_take(limit, 7, rate, now_ns + SECOND / 10), 0);
    assert_true(rate_limit_take(limit, 7, rate, now_ns + SECOND / 10) > 0);
    now_ns += 10 * SECOND; /* a rest fills it to the burst and no further */
    for (int i = 0; i < 3; i++) assert_int_equal(rate_limit_take(limit, 7, rate, now_ns), 0);
    assert_true(rate_limit_take(limit, 7, rate, now_ns) > 0);
    rate_limit_free(limit);
}

TEST(waiting_takes_nothing_and_each_key_has_its_own) {
    struct rate_limit *limit = rate_limit_new();
    const struct rate rate = rate_of(1, 60000, 1);
    for (int i = 0; i < 5; i++) assert_int_equal(rate_limit_wait(limit, 1, rate, SECOND), 0);
    assert_int_equal(rate_limit_take(limit, 1, rate, SECOND), 0);
    assert_int_equal(rate_limit_take(limit, 2, rate, SECOND), 0);
    assert_int_equal(rate_limit_take(limit, 1, rate, SECOND), 60 * SECOND);
    rate_limit_free(limit);
}

TEST(no_limit_is_none) {
    struct rate_limit *limit = rate_limit_new();
    for (int i = 0; i < 100000; i++) assert_int_equal(rate_limit_take(limit, 1, rate_of(0, 1000, 1), SECOND), 0);
    rate_limit_free(limit);
}

TEST(over_time_the_rate_is_what_was_asked_for) {
    struct rate_limit *limit = rate_limit_new();
    uint64_t seed = check_seed();
    const struct rate rate = rate_of(200, 1000, 400);
    int64_t now_ns = SECOND, taken = 0;
    const int64_t end_ns = now_ns + 60 * SECOND;
    while (now_ns < end_ns) {
        taken += rate_limit_take(limit, 3, rate, now_ns) == 0;
        now_ns += (int64_t)(check_random(&seed) % (SECOND / 300)); /* some 600 a second */
    }
    assert_in_range(taken, 400 + 60 * 200 - 2, 400 + 60 * 200 + 2);
    rate_limit_free(limit);
}

TEST(keys_are_told_apart_and_differ_from_run_to_run) {
    struct rate_limit *limit = rate_limit_new(), *other = rate_limit_new();
    const slice a = SLICE_LIT("acme"), b = SLICE_LIT("bo");
    const uint64_t key = rate_limit_key(limit, a, b);
    assert_true(key == rate_limit_key(limit, a, b));
    assert_true(key != rate_limit_key(limit, b, a));
    assert_true(key != rate_limit_key(limit, SLICE_LIT("acmeb"), SLICE_LIT("o")));
    assert_true(key != rate_limit_key(limit, a, SLICE_LIT("bo\0")));
    assert_true(key != rate_limit_key(other, a, b));
    assert_true(rate_limit_key(limit, (slice){0}, (slice){0}) != 0);
    rate_limit_free(limit);
    rate_limit_free(other);
}

TEST(a_flood_of_keys_is_bounded_and_forgets_the_most_rested_first) {
    struct rate_limit *limit = rate_limit_new();
    uint64_t seed = check_seed();
    const struct rate rate = rate_of(1, 1000, 1000);
    const uint64_t busy = check_random(&seed);
    for (int i = 0; i < 1000; i++) assert_int_equal(rate_limit_take(limit, busy, rate, SECOND), 0);
    for (int i = 0; i < 200000; i++) assert_int_equal(rate_limit_take(limit, check_random(&seed), rate, SECOND), 0);
    assert_true(rate_limit_take(limit, busy, rate, SECOND) > 0); /* the others had asked once each */
    rate_limit_free(limit);
}

struct crowd {
    struct rate_limit *limit;
    struct rate rate;
    atomic_int taken;
};

static void *crowd_run(void *context) {
    struct crowd *crowd = context;
    for (int i = 0; i < 20000; i++)
        if (rate_limit_take(crowd->limit, 9, crowd->rate, SECOND) == 0) atomic_fetch_add(&crowd->taken, 1);
    return NULL;
}

TEST(threads_together_get_no_more_than_one_would) {
    struct crowd crowd = {.limit = rate_limit_new(), .rate = rate_of(10, 1000, 5000)};
    pthread_t threads[4];
    assert_int_equal(rate_limit_take(crowd.limit, 9, crowd.rate, SECOND), 0); /* the place is there */
    for (size_t i = 0; i < 4; i++) pthread_create(&threads[i], NULL, crowd_run, &crowd);
    for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&crowd.taken), 4999);
    rate_limit_free(crowd.limit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_goes_at_once_and_then_one_each_interval),
        cmocka_unit_test(waiting_takes_nothing_and_each_key_has_its_own),
        cmocka_unit_test(no_limit_is_none),
        cmocka_unit_test(over_time_the_rate_is_what_was_asked_for),
        cmocka_unit_test(keys_are_told_apart_and_differ_from_run_to_run),
        cmocka_unit_test(a_flood_of_keys_is_bounded_and_forgets_the_most_rested_first),
        cmocka_unit_test(threads_together_get_no_more_than_one_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
