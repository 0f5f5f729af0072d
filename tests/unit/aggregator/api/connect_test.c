/* SPDX-License-Identifier: Apache-2.0
 * Connect's table of codes, its error bodies and its small encodings, against the protocol's text. */
#include "aggregator/api/connect.h"
#include "tests/support/check.h"

TEST(each_code_has_the_protocols_name_and_status) {
    static const struct {
        enum connect_code code;
        const char *name;
        int status;
    } rows[] = {
        {CONNECT_CANCELED, "canceled", 499},
        {CONNECT_UNKNOWN, "unknown", 500},
        {CONNECT_INVALID_ARGUMENT, "invalid_argument", 400},
        {CONNECT_DEADLINE_EXCEEDED, "deadline_exceeded", 504},
        {CONNECT_NOT_FOUND, "not_found", 404},
        {CONNECT_ALREADY_EXISTS, "already_exists", 409},
        {CONNECT_PERMISSION_DENIED, "permission_denied", 403},
        {CONNECT_RESOURCE_EXHAUSTED, "resource_exhausted", 429},
        {CONNECT_FAILED_PRECONDITION, "failed_precondition", 400},
        {CONNECT_ABORTED, "aborted", 409},
        {CONNECT_OUT_OF_RANGE, "out_of_range", 400},
        {CONNECT_UNIMPLEMENTED, "unimplemented", 501},
        {CONNECT_INTERNAL, "internal", 500},
        {CONNECT_UNAVAILABLE, "unavailable", 503},
        {CONNECT_DATA_LOSS, "data_loss", 500},
        {CONNECT_UNAUTHENTICATED, "unauthenticated", 401},
    };
    assert_int_equal(sizeof rows / sizeof *rows, CONNECT_CODES_);
    for (size_t i = 0; i < CONNECT_CODES_; i++) {
        assert_string_equal(connect_code_name(rows[i].code), rows[i].name);
        assert_int_equal(connect_code_status(rows[i].code), rows[i].status);
    }
}

TEST(each_fault_is_something_to_a_caller) {
    assert_int_equal(connect_code_of(FAULT_CONFLICT), CONNECT_FAILED_PRECONDITION);
    assert_int_equal(connect_code_of(FAULT_AGAIN), CONNECT_UNAVAILABLE);
    for (int code = FAULT_NONE + 1; code < FAULT_MAX_; code++)
        assert_int_not_equal(connect_code_of((fault_code)code), CONNECT_UNKNOWN);
}

TEST(an_error_body_is_json_whatever_the_message_holds) {
    struct arena *arena = arena_new(4096, 65536);
    CHECK_SLICE(connect_error_body(CONNECT_NOT_FOUND, SLICE_LIT("no \"x\"\n\xff"), arena),
                "{\"code\":\"not_found\",\"message\":\"no \\\"x\\\"\\n\xEF\xBF\xBD\",\"details\":[]}");
    arena_free(arena);
    struct arena *full = arena_new(16, 16);
    assert_non_null(strstr((const char *)connect_error_body(CONNECT_NOT_FOUND, SLICE_LIT("long"), full).data,
                           "resource_exhausted"));
    arena_free(full);
}

TEST(a_timeout_has_up_to_ten_digits) {
    int64_t ms = -1;
    assert_true(connect_timeout_parse(SLICE_LIT("0"), &ms));
    assert_int_equal(ms, 0);
    assert_true(connect_timeout_parse(SLICE_LIT("9999999999"), &ms));
    assert_int_equal(ms, 9999999999);
    static const char *const wrong[] = {"", "12345678901", "-1", "1.5", " 1", "1s"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(connect_timeout_parse(slice_from_text(wrong[i]), &ms));
    assert_int_equal(ms, 9999999999);
}

/* RFC 4648, section 10, and the alphabet of section 5. */
TEST(base64_is_read_padded_or_not_in_both_alphabets) {
    struct arena *arena = arena_new(4096, 65536);
    static const char *const rows[][2] = {{"", ""},           {"Zg==", "f"},        {"Zg", "f"},
                                          {"Zm8=", "fo"},     {"Zm8", "fo"},        {"Zm9v", "foo"},
                                          {"Zm9vYg", "foob"}, {"Zm9vYmE", "fooba"}, {"Zm9vYmFy", "foobar"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_SLICE(connect_base64(slice_from_text(rows[i][0]), arena), rows[i][1]);
    CHECK_SLICE(connect_base64(SLICE_LIT("-_-_"), arena), "\xfb\xff\xbf");
    CHECK_SLICE(connect_base64(SLICE_LIT("+/+/"), arena), "\xfb\xff\xbf");
    static const char *const wrong[] = {"Z", "Zm9vY", "Zm9 ", "Z!==", "Zg=a"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_null(connect_base64(slice_from_text(wrong[i]), arena).data);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_code_has_the_protocols_name_and_status),
        cmocka_unit_test(each_fault_is_something_to_a_caller),
        cmocka_unit_test(an_error_body_is_json_whatever_the_message_holds),
        cmocka_unit_test(a_timeout_has_up_to_ten_digits),
        cmocka_unit_test(base64_is_read_padded_or_not_in_both_alphabets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
