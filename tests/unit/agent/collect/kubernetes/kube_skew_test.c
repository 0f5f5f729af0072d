/* SPDX-License-Identifier: Apache-2.0
 * What the Date of answers says of the server's clock, and what is too little to say anything. */
#include "agent/collect/kubernetes/kube_skew.h"
#include "tests/support/check.h"

enum { AT_MS = 1700000000 }; /* any moment; ours is this with three zeroes */

static int64_t ours(int64_t ms) {
    return (int64_t)AT_MS * 1000 + ms;
}

TEST(clocks_that_agree_differ_by_nothing) {
    struct kube_skew skew = {0};
    assert_false(kube_skew_take(&skew, ours(0), ours(10), 10)); /* at the second's begin */
    assert_int_equal(skew.ms, 0);
    assert_false(kube_skew_take(&skew, ours(0), ours(999), 5)); /* and at its end */
    assert_int_equal(skew.ms, 0);
    assert_false(kube_skew_take(&skew, ours(0), ours(3000), 4000)); /* a slow answer, on its way back */
    assert_int_equal(skew.ms, 0);
    assert_true(skew.known);
}

TEST(what_says_nothing_changes_nothing) {
    struct kube_skew skew = {0};
    assert_false(kube_skew_take(&skew, 0, ours(0), 10));
    assert_false(kube_skew_take(&skew, -5000, ours(0), 10));
    assert_false(kube_skew_take(&skew, ours(3600000), ours(0), 10001));
    assert_false(kube_skew_take(&skew, ours(3600000), ours(0), -1));
    assert_false(skew.known);
    assert_int_equal(skew.ms, 0);
}

TEST(a_clock_far_away_is_said_once_each_time) {
    struct kube_skew skew = {0};
    assert_true(kube_skew_take(&skew, ours(-3600000), ours(500), 0));
    assert_int_equal(skew.ms, -3600000);
    assert_false(kube_skew_take(&skew, ours(-3600000), ours(900), 0)); /* the same, as far as it tells */
    assert_int_equal(skew.ms, -3600000);
    assert_false(kube_skew_take(&skew, ours(-25000), ours(500), 0));
    assert_false(kube_skew_take(&skew, ours(-35000), ours(500), 0)); /* it was not near between */
    assert_false(kube_skew_take(&skew, ours(0), ours(500), 0));
    assert_int_equal(skew.ms, 0);
    assert_true(kube_skew_take(&skew, ours(31000), ours(500), 0));
    assert_int_equal(skew.ms, 31000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_that_agree_differ_by_nothing),
        cmocka_unit_test(what_says_nothing_changes_nothing),
        cmocka_unit_test(a_clock_far_away_is_said_once_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
