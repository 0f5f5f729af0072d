/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include "common/base/text.h"

TEST(grows_and_ends_with_a_nul) {
    struct arena *arena = arena_new(64, 1 << 20);
    struct text text = text_begin(arena);
    for (int i = 0; i < 1000; i++) text_format(&text, "%d,", i % 10);
    slice whole;
    assert_int_equal(text_end(&text, "t", &whole, NULL), FAULT_NONE);
    assert_int_equal(whole.size, 2000);
    assert_int_equal(strlen((const char *)whole.data), 2000);
    arena_free(arena);
}

TEST(says_once_that_it_is_full) {
    struct arena *arena = arena_new(1024, 4096);
    struct text text = text_begin(arena);
    struct fault fault;
    slice whole;
    for (int i = 0; i < 10000; i++) text_add_text(&text, "ten bytes.");
    assert_int_equal(text_end(&text, "page", &whole, &fault), FAULT_LIMIT);
    assert_string_equal(fault.text, "page: larger than its memory");
    arena_free(arena);
}

TEST(json_strings_are_escaped_whatever_the_bytes) {
    static const struct {
        slice in;
        const char *out;
    } cases[] = {
        {{0}, "\"\""},
        {SLICE_LIT("a\"b\\c/\n\t\r"), "\"a\\\"b\\\\c/\\n\\t\\r\""},
        {SLICE_LIT("\x00\x1f\x7f"), "\"\\u0000\\u001f\\u007f\""},
        {SLICE_LIT("\xc2\x9b\xc2\xa0"), "\"\\u009b\xc2\xa0\""},
        {SLICE_LIT("x\xff\xc3"), "\"x\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {SLICE_LIT("\xed\xa0\x80\xf0\x9f\x98\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xf0\x9f\x98\x80\""},
    };
    struct arena *arena = arena_new(1024, 65536);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text text = text_begin(arena);
        slice whole;
        text_add_json_string(&text, cases[i].in);
        assert_int_equal(text_end(&text, "t", &whole, NULL), FAULT_NONE);
        assert_string_equal((const char *)whole.data, cases[i].out);
    }
    arena_free(arena);
}

TEST(an_address_is_a_host_and_a_port) {
    static const char *const wrong[] = {"", ":", "zzz", ":80", "host:", "host:0", "host:65536", "host:8a", "::1:80"};
    slice host;
    uint16_t port;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(text_host_port(slice_from_text(wrong[i]), &host, &port));
    assert_true(text_host_port(SLICE_LIT("[::1]:443"), &host, &port));
    assert_true(slice_equal(host, SLICE_LIT("::1")));
    assert_int_equal(port, 443);
    assert_true(text_is_http_url(SLICE_LIT("https://x")));
    assert_true(text_is_http_url(SLICE_LIT("http://[::1]:80/metrics?a=b")));
    static const char *const good[] = {"http://x:65535/", "http://x:", "http://user:p@ss@x:80?a=[",
                                       "https://[fe80::1%25eth0]", "http://u@[::1]:9090/m"};
    static const char *const no_urls[] = {"http://[::1",
                                          "http://[::1/m",
                                          "http://[]/",
                                          "http://[::1]80",
                                          "http://x:65536/",
                                          "http://x:99999",
                                          "http://x:8a/",
                                          "http://a:b:c/",
                                          "http://user@/",
                                          "http://u@:80",
                                          "http://x:99999999999999999999/"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!text_is_http_url(slice_from_text(good[i]))) fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < sizeof no_urls / sizeof *no_urls; i++)
        if (text_is_http_url(slice_from_text(no_urls[i]))) fail_msg("%s is taken", no_urls[i]);
    assert_false(text_is_http_url(SLICE_LIT("http://")));
    assert_false(text_is_http_url(SLICE_LIT("http:///metrics")));
    assert_false(text_is_http_url(SLICE_LIT("http://x y")));
    assert_false(text_is_http_url(SLICE_LIT("file:///etc/passwd")));
}

TEST(loopback_addresses_are_told_from_others) {
    assert_true(text_is_loopback(SLICE_LIT("127.0.0.1")) && text_is_loopback(SLICE_LIT("127.255.0.9")));
    assert_true(text_is_loopback(SLICE_LIT("::1")));
    assert_false(text_is_loopback(SLICE_LIT("0.0.0.0")) || text_is_loopback(SLICE_LIT("::")));
    assert_false(text_is_loopback(SLICE_LIT("128.0.0.1")) || text_is_loopback(SLICE_LIT("localhost")));
    assert_false(text_is_loopback((slice){0}) || text_is_loopback(SLICE_LIT("127.0.0.1\0")));
}

TEST(the_host_of_a_url_is_where_it_leads) {
    static const char *const cases[][2] = {{"https://id.example/keys", "id.example"},
                                           {"http://127.0.0.1:80?x", "127.0.0.1"},
                                           {"http://[::1]:80/", "::1"},
                                           {"http://127.0.0.1@evil.example/", "evil.example"},
                                           {"http://127.0.0.1:1@evil.example:80", "evil.example"},
                                           {"http://a@127.0.0.1@evil.example", "evil.example"},
                                           {"http://evil.example#@127.0.0.1", "evil.example"},
                                           {"http://localhost", "localhost"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_SLICE(text_http_url_host(slice_from_text(cases[i][0])), cases[i][1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_ends_with_a_nul),
        cmocka_unit_test(says_once_that_it_is_full),
        cmocka_unit_test(json_strings_are_escaped_whatever_the_bytes),
        cmocka_unit_test(an_address_is_a_host_and_a_port),
        cmocka_unit_test(loopback_addresses_are_told_from_others),
        cmocka_unit_test(the_host_of_a_url_is_where_it_leads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
