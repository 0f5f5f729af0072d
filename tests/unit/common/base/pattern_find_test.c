/* SPDX-License-Identifier: Apache-2.0
 * What pattern_find finds, against all pieces of the text that pattern_match takes, one by one. */
#include "common/base/pattern.h"
#include "tests/support/check.h"

enum { TEXT_MAX = 64 };

struct marks {
    bool at[TEXT_MAX];
    size_t last_end;
};

static void on_found(void *context, size_t begin, size_t end) {
    struct marks *marks = context;
    assert_true(begin < end && end <= TEXT_MAX && end > marks->last_end);
    marks->last_end = end;
    for (size_t i = begin; i < end; i++) marks->at[i] = true;
}

static struct pattern *compiled(const char *source) {
    struct pattern *pattern = NULL;
    struct fault fault;
    CHECK_OK(pattern_compile(slice_from_text(source), &pattern, &fault));
    return pattern;
}

static void check(const char *source, slice text) {
    struct pattern *pattern = compiled(source);
    struct marks found = {0}, expected = {0};
    pattern_find(pattern, text, on_found, &found);
    for (size_t begin = 0; begin < text.size; begin++)
        for (size_t end = begin + 1; end <= text.size; end++)
            if (pattern_match(pattern, slice_of(text.data + begin, end - begin)))
                for (size_t i = begin; i < end; i++) expected.at[i] = true;
    for (size_t i = 0; i < text.size; i++)
        if (found.at[i] != expected.at[i])
            fail_msg("'%s' in '%.*s': byte %zu is %sfound", source, SLICE_ARG(text), i, found.at[i] ? "" : "not ");
    pattern_free(pattern);
}

TEST(what_is_found_is_what_some_match_holds) {
    static const char *const sources[] = {"ab",       "a",     "a|bc",   "a+b*",          "(ab)+c", "b.*c|a", "a?b?c",
                                          "[ab]c{2}", "a.{3}", "c|a.*b", "(a|ab)(c|bcc)", "x*",     "\\.+",   ".*"};
    uint32_t chance = 7;
    for (int round = 0; round < 2000; round++) {
        uint8_t text[14];
        const size_t size = round % 15;
        for (size_t i = 0; i < size; i++) {
            chance = chance * 1664525 + 1013904223;
            text[i] = (uint8_t) "abc."[chance >> 30];
        }
        check(sources[round % (sizeof sources / sizeof *sources)], slice_of(text, size));
    }
}

TEST(the_ends_of_the_text_are_what_anchors_mean) {
    struct marks marks = {0};
    struct pattern *begin = compiled("^ab"), *end = compiled("ab$");
    pattern_find(begin, SLICE_LIT("ab ab"), on_found, &marks);
    assert_true(marks.at[0] && marks.at[1] && !marks.at[3]);
    marks = (struct marks){0};
    pattern_find(end, SLICE_LIT("ab ab"), on_found, &marks);
    assert_true(!marks.at[0] && marks.at[3] && marks.at[4]);
    pattern_free(begin);
    pattern_free(end);
}

TEST(nothing_is_found_in_nothing) {
    struct pattern *pattern = compiled("a*");
    struct marks marks = {0};
    pattern_find(pattern, (slice){0}, on_found, &marks);
    pattern_find(pattern, SLICE_LIT("bb"), on_found, &marks);
    assert_int_equal(marks.last_end, 0);
    pattern_free(pattern);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_found_is_what_some_match_holds),
        cmocka_unit_test(the_ends_of_the_text_are_what_anchors_mean),
        cmocka_unit_test(nothing_is_found_in_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
