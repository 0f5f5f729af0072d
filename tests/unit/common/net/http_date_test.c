/* SPDX-License-Identifier: Apache-2.0
 * The date of a head: RFC 9110's own example, each day of a leap year as strftime writes it, and what is none. */
#include "tests/support/check.h"

#include "common/net/http_date.h"

#include <time.h>

TEST(a_date_is_read_as_the_c_library_writes_it) {
    assert_int_equal(http_date_ms(SLICE_LIT("Sun, 06 Nov 1994 08:49:37 GMT")), 784111777000);
    assert_int_equal(http_date_ms(SLICE_LIT("Fri, 31 Dec 2038 23:59:60 GMT")), 2177452800000); /* the second after */
    for (int64_t second = 1704067200 + 1; second < 1704067200 + 366 * 86400; second += 86400 + 3671) {
        char text[64];
        struct tm utc;
        const time_t time = (time_t)second;
        assert_true(strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&time, &utc)) > 0);
        assert_int_equal(http_date_ms(slice_from_text(text)), second * 1000);
    }
}

TEST(what_is_no_date_is_none) {
    static const char *const texts[] = {"",
                                        "Sun",
                                        "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994",
                                        "Sun, 06 Nov 1994 08:49:37 UTC",
                                        "Sun, 06 Nov 1994 08:49:37 GMT ",
                                        "Sun, 06 Foo 1994 08:49:37 GMT",
                                        "Sun, 00 Nov 1994 08:49:37 GMT",
                                        "Sun, 32 Nov 1994 08:49:37 GMT",
                                        "Sun, 06 Nov 1994 24:49:37 GMT",
                                        "Sun, 06 Nov 1994 08:60:37 GMT",
                                        "Sun, 06 Nov 1994 08:49:61 GMT",
                                        "Sun, -6 Nov 1994 08:49:37 GMT",
                                        "Sun, 06 Nov 19g4 08:49:37 GMT"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(http_date_ms(slice_from_text(texts[i])), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_date_is_read_as_the_c_library_writes_it),
        cmocka_unit_test(what_is_no_date_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
