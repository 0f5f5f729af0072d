/* SPDX-License-Identifier: Apache-2.0 */
#include "enrol_fixture.h"

#include "agent/enrol/own_certificate.h"

static void a_certificate_of_another_name_is_named_with_both(void **state) {
    struct enrol_place *place = *state;
    struct certificate_view view;
    struct fault fault;
    enrol_give(place, "own.pem", "demo/reader", clock_wall_ms(), HOUR_MS);
    assert_int_equal(own_certificate_check(enrol_file_path(place, "own.pem"), NAME, &view, &fault), FAULT_INPUT);
    assert_non_null(strstr(fault.text, "is the certificate of 'demo/reader', and this agent is 'demo/edge-1'"));
    enrol_give(place, "own.pem", NAME, clock_wall_ms(), HOUR_MS);
    CHECK_OK(own_certificate_check(enrol_file_path(place, "own.pem"), NAME, &view, &fault));
    assert_string_equal(view.common_name, NAME);
}

static void what_cannot_be_read_is_no_certificate_of_another(void **state) {
    struct enrol_place *place = *state;
    struct certificate_view view;
    struct fault fault;
    assert_int_equal(own_certificate_check(enrol_file_path(place, "none.pem"), NAME, &view, &fault), FAULT_ABSENT);
    enrol_write(place, "own.pem", SLICE_LIT("rubbish"), (slice){0});
    assert_int_equal(own_certificate_check(enrol_file_path(place, "own.pem"), NAME, &view, &fault), FAULT_CORRUPT);
}

static void trouble_is_told_in_the_last_sixth_of_a_life_and_after_it(void **state) {
    const struct certificate_view view = {.not_before_ms = 0, .not_after_ms = 60000};
    static const struct {
        int64_t now_ms;
        const char *error, *said;
    } cases[] = {{40000, "refused", ""},
                 {49000, "refused", ""},
                 {51000, "refused", "the certificate ends in 9 s: refused"},
                 {59000, "", ""},
                 {60000, "", "the certificate is over since 0 s"},
                 {65000, "refused", "the certificate is over since 5 s: refused"},
                 {-1000, "", ""}};
    char text[200];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        own_certificate_trouble(&view, cases[i].now_ms, cases[i].error, text, sizeof text);
        assert_string_equal(text, cases[i].said);
    }
}

#define IN_EMPTY(test) cmocka_unit_test_setup_teardown(test, NULL, enrol_place_empty)
int main(void) {
    const struct CMUnitTest tests[] = {
        IN_EMPTY(a_certificate_of_another_name_is_named_with_both),
        IN_EMPTY(what_cannot_be_read_is_no_certificate_of_another),
        IN_EMPTY(trouble_is_told_in_the_last_sixth_of_a_life_and_after_it),
    };
    return cmocka_run_group_tests(tests, enrol_place_make, enrol_place_free);
}
