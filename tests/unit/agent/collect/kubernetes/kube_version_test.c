/* SPDX-License-Identifier: Apache-2.0
 * Which resourceVersion is the older, and which say nothing of that. */
#include "agent/collect/kubernetes/kube_version.h"
#include "tests/support/check.h"

#define L SLICE_LIT

TEST(numbers_of_any_length_are_ordered) {
    static const char *const rising[] = {"0",
                                         "1",
                                         "9",
                                         "10",
                                         "11",
                                         "999",
                                         "1000",
                                         "9223372036854775807",
                                         "9223372036854775808",
                                         "340282366920938463463374607431768211456"};
    for (size_t i = 0; i < sizeof rising / sizeof *rising; i++)
        for (size_t j = 0; j < sizeof rising / sizeof *rising; j++)
            assert_int_equal(kube_version_is_before(slice_from_text(rising[i]), slice_from_text(rising[j])), i < j);
    assert_false(kube_version_is_before(L("007"), L("7")));
    assert_true(kube_version_is_before(L("007"), L("8")));
    assert_false(kube_version_is_before(L("00"), L("0")));
}

TEST(what_is_no_number_is_not_older) {
    static const char *const others[] = {"", "a", "1a", "-1", "1.5", " 1", "0x10", "MTAw"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const slice other = slice_from_text(others[i]);
        assert_false(kube_version_is_number(other));
        assert_false(kube_version_is_before(other, L("100")));
        assert_false(kube_version_is_before(L("0"), other));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_of_any_length_are_ordered),
        cmocka_unit_test(what_is_no_number_is_not_older),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
