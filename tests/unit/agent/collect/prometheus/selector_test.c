/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/pattern.h"
#include "agent/collect/prometheus/selector.h"
#include "tests/support/check.h"

static bool matches(const char *source, const char *text) {
    struct pattern *pattern;
    struct fault fault;
    if (pattern_compile(slice_from_text(source), &pattern, &fault)) fail_msg("%s", fault.text);
    const bool found = pattern_match(pattern, slice_from_text(text));
    pattern_free(pattern);
    return found;
}

TEST(expressions_match_as_in_re2_and_are_anchored) {
    static const struct {
        const char *source, *yes[6], *no[6];
    } cases[] = {
        {"foo", {"foo"}, {"foobar", "xfoo", ""}},
        {"", {""}, {"a"}},
        {"foo|bar|", {"foo", "bar", ""}, {"foobar", "fo"}},
        {"a.c",
         {"abc", "a\nc",
          "a\xc3\xa9"
          "c"},
         {"ac", "abbc"}},
        {"(?-s)a.c", {"abc"}, {"a\nc"}},
        {".*", {"", "x", "\n\n"}, {NULL}},
        {".+", {"x"}, {""}},
        {"2..", {"200", "299"}, {"2000", "300"}},
        {"[45]\\d{2}", {"404", "500"}, {"40", "4044", "4x4"}},
        {"[^a-c]+", {"def", "\xc3\xa9"}, {"a", "xa", ""}},
        {"[a\\-z]", {"a", "-", "z"}, {"b"}},
        {"[]a]", {"]", "a"}, {"b"}},
        {"[[:digit:]x]+", {"12x"}, {"y"}},
        {"[^\\d]", {"a"}, {"1"}},
        {"(a|b)*c", {"c", "abbac"}, {"ab"}},
        {"(?:ab)+", {"abab"}, {"aba"}},
        {"(?P<n>x)y", {"xy"}, {"x"}},
        {"(?i)AbC", {"abc", "ABC"}, {"ab"}},
        {"(?i:a)b", {"Ab", "ab"}, {"AB"}},
        {"(?i)[a-c]x", {"BX"}, {"dx"}},
        {"a{2,3}", {"aa", "aaa"}, {"a", "aaaa"}},
        {"a{2,}", {"aa", "aaaaa"}, {"a"}},
        {"a{2}?", {"aa"}, {"a"}},
        {"a{,2}", {"a{,2}"}, {"a"}},
        {"a{x", {"a{x"}, {"a"}},
        {"a*?b", {"aab"}, {"a"}},
        {"^foo$", {"foo"}, {"foox"}},
        {"\\Afoo\\z", {"foo"}, {"foox"}},
        {"a^b", {NULL}, {"ab", "a^b"}},
        {"(^a|b)c", {"ac", "bc"}, {"c"}},
        {"\\.\\*\\x41\\x{42}", {".*AB"}, {"xxAB"}},
        {"\\Qa.b\\Ec", {"a.bc"}, {"axbc"}},
        {"\\w+\\s\\W", {"a_1 -"}, {"a-1 -"}},
        {"(a*)*", {"", "aaa"}, {"b"}},
        {"(|a)+b", {"b", "aab"}, {"a"}},
        {"\xc3\xa9+", {"\xc3\xa9\xc3\xa9"}, {"\xc3"}},
        {"[\xc3\xa0-\xc3\xa9]", {"\xc3\xa5"}, {"\xc3\xaa"}},
        {"(((((a?){5}){5}){5}){3})", {"", "aaaaaaaa"}, {"b"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t j = 0; j < 6; j++) {
            if (cases[i].yes[j] && !matches(cases[i].source, cases[i].yes[j]))
                fail_msg("'%s' does not match '%s'", cases[i].source, cases[i].yes[j]);
            if (cases[i].no[j] && matches(cases[i].source, cases[i].no[j]))
                fail_msg("'%s' matches '%s'", cases[i].source, cases[i].no[j]);
        }
}

TEST(expressions_that_are_wrong_say_where) {
    static const char *const wrong[][2] = {
        {"(a", "expected a closing ')'"},  {"a)", "a ')' without its '('"},
        {"[a", "expected a closing ']'"},  {"*a", "nothing before it"},
        {"a**", "a repeat of a repeat"},   {"a{3,2}", "n <= m"},
        {"a{1001}", "PATTERN_REPEAT_MAX"}, {"[z-a]", "backwards"},
        {"\\b", "not supported"},          {"\\pL", "not supported"},
        {"(a)\\1", "not supported"},       {"(?=a)", "not supported"},
        {"(?m)a", "not supported"},        {"a\\", "a backslash at the end"},
        {"[[:nix:]]", "known [:class:]"},  {"\\x{110000}", "\\xHH"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct pattern *pattern;
        struct fault fault = {0};
        assert_int_equal(pattern_compile(slice_from_text(wrong[i][0]), &pattern, &fault), FAULT_INPUT);
        if (!strstr(fault.text, wrong[i][1])) fail_msg("'%s' does not say '%s'", fault.text, wrong[i][1]);
    }
    struct pattern *pattern;
    struct fault fault;
    assert_int_equal(pattern_compile(SLICE_LIT("((a{100}){100}){100}"), &pattern, &fault), FAULT_LIMIT);
    assert_int_equal(pattern_compile(SLICE_LIT("((((){1000}){1000}){1000}){1000}"), &pattern, &fault), FAULT_LIMIT);
    char deep[200];
    memset(deep, '(', sizeof deep);
    assert_int_equal(pattern_compile(slice_of(deep, sizeof deep), &pattern, &fault), FAULT_LIMIT);
}

TEST(an_expression_made_to_backtrack_is_linear) {
    char text[20000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_false(matches("(a*)*b", text));
    assert_false(matches("(a|aa)+b", text));
}

/* name{k="v",...} by pairs; NULL ends. */
static struct exposition_sample sample_of(struct exposition_label *labels, const char *name, const char *const *pairs) {
    struct exposition_sample sample = {.name = slice_from_text(name), .labels = labels};
    for (; pairs[0]; pairs += 2)
        labels[sample.labels_count++] = (struct exposition_label){slice_from_text(pairs[0]), slice_from_text(pairs[1])};
    return sample;
}
#define SAMPLE(name, ...)                                                                                              \
    sample_of((struct exposition_label[8]){{{0}, {0}}}, name, (const char *const[]){__VA_ARGS__ NULL})

static bool selects(const char *text, const char *suffix, struct exposition_sample sample) {
    struct selector *selector;
    struct fault fault;
    if (selector_parse(slice_from_text(text), suffix, &selector, &fault)) fail_msg("%s: %s", text, fault.text);
    const bool found = selector_match(selector, &sample);
    selector_free(selector);
    return found;
}

TEST(selectors_select_as_in_promql) {
    const struct exposition_sample sample = SAMPLE("up", "job", "api", "code", "503", "path", "/a\"b\\c\n", );
    assert_true(selects("up", "", sample));
    assert_true(selects(" up { } ", "", sample));
    assert_true(selects("{__name__=\"up\"}", "", sample));
    assert_true(selects("{\"up\",job=\"api\"}", "", sample));
    assert_true(selects("up{job=\"api\",code=~'5..',}", "", sample));
    assert_true(selects("up{job!=\"web\",code!~\"2..\"}", "", sample));
    assert_true(selects("up{path=\"/a\\\"b\\\\c\\n\"}", "", sample));
    assert_true(selects("up{path=\"\\x2fa\\u0022b\\134c\\n\"}", "", sample));
    assert_true(selects("up{\"job\"=`api`}", "", sample));
    assert_false(selects("up{job=\"api2\"}", "", sample));
    assert_false(selects("up{code=~\"5\"}", "", sample));
    assert_false(selects("down", "", sample));
    /* An absent label is an empty one. */
    assert_true(selects("up{zone=\"\"}", "", sample));
    assert_true(selects("up{zone!=\"x\",zone!~\".+\",zone=~\"x*\"}", "", sample));
    assert_false(selects("up{zone=~\".+\"}", "", sample));
    assert_true(selects("lat{le!=\"\"}", "_bucket", SAMPLE("lat_bucket", "le", "1", )));
    assert_true(selects("lat_bucket", "_bucket", SAMPLE("lat_bucket", "le", "1", )));
    assert_false(selects("lat", "_bucket", SAMPLE("lat", "le", "1", )));
}

TEST(selectors_that_are_wrong_say_where) {
    static const char *const wrong[][2] = {
        {"", "a metric name"},
        {"{}", "a metric name"},
        {"up{", "a label name or '}'"},
        {"up{a}", "=, !=, =~ or !~"},
        {"up{a=}", "a text in quotes"},
        {"up{a=\"x}", "the closing quote"},
        {"up{a=\"x\" b=\"y\"}", "',' or '}'"},
        {"up x", "the end of the selector"},
        {"up{a=~\"(\"}", "expected a closing ')'"},
        {"up{a=\"\\d\"}", "an escape as in Go"},
        {"up{__name__=\"x\"}", "one metric name"},
        {"{__name__=~\"x\"}", "__name__ with ="},
        {"up[5m]", "the end of the selector"},
        {"9up", "a metric name"},
        {"up{,}", "a label name"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct selector *selector;
        struct fault fault = {0};
        assert_int_equal(selector_parse(slice_from_text(wrong[i][0]), "", &selector, &fault), FAULT_INPUT);
        if (!strstr(fault.text, wrong[i][1]) || !strstr(fault.text, "column"))
            fail_msg("'%s' does not say '%s'", fault.text, wrong[i][1]);
    }
}

static struct series_id identity(struct exposition_sample sample, slice without) {
    return series_identity(&sample, without);
}

TEST(an_identity_does_not_depend_on_order_or_empty_labels) {
    const struct series_id one = identity(SAMPLE("up", "a", "1", "b", "2", ), (slice){0});
    const struct series_id same[] = {
        identity(SAMPLE("up", "b", "2", "a", "1", ), (slice){0}),
        identity(SAMPLE("up", "b", "2", "c", "", "a", "1", ), (slice){0}),
        identity(SAMPLE("up", "b", "2", "le", "9", "a", "1", ), SLICE_LIT("le")),
    };
    for (size_t i = 0; i < 3; i++) assert_true(same[i].a == one.a && same[i].b == one.b);
    const struct series_id others[] = {identity(SAMPLE("up", "b", "1", "a", "2", ), (slice){0}),
                                       identity(SAMPLE("up", "a", "1", ), (slice){0}),
                                       identity(SAMPLE("upa", "", "1", "b", "2", ), (slice){0}),
                                       identity(SAMPLE("up", "a", "1b", "", "2", ), (slice){0}),
                                       identity(SAMPLE("down", "a", "1", "b", "2", ), (slice){0})};
    for (size_t i = 0; i < 5; i++) assert_true(others[i].a != one.a && others[i].b != one.b);
}

enum { RANDOM_SELECTORS = 200 };

struct tally {
    unsigned hits[RANDOM_SELECTORS];
};

static void tally_hit(void *context, uint32_t tag, const struct exposition_sample *sample) {
    ((struct tally *)context)->hits[tag]++;
}

/* The index finds exactly what asking each selector finds. */
TEST(the_index_finds_what_each_selector_finds) {
    const uint64_t seed = check_seed();
    srand((unsigned)seed);
    struct selector *selectors[RANDOM_SELECTORS];
    struct selector_index *index = selector_index_new();
    static struct tally found, expected;
    struct fault fault;
    for (uint32_t i = 0; i < RANDOM_SELECTORS; i++) {
        char text[300];
        int size = snprintf(text, sizeof text, "m%d{", rand() % 5);
        static const char *const operators[] = {"=", "=", "=", "!=", "=~", "!~"};
        for (int left = rand() % 4; left; left--) {
            const char *operator= operators[rand() % 6];
            const bool expression = operator[1] == '~';
            size += snprintf(text + size, sizeof text - (size_t)size, "l%d%s\"%s%d\",", rand() % 4, operator,
                             expression   ? "(|v)"
                             : rand() % 8 ? "v"
                                          : "",
                             rand() % 10);
        }
        snprintf(text + size, sizeof text - (size_t)size, "}");
        CHECK_OK(selector_parse(slice_from_text(text), "", &selectors[i], &fault));
        CHECK_OK(selector_index_add(index, selectors[i], tally_hit, &found, i, &fault));
    }
    CHECK_OK(selector_index_ready(index, &fault));
    for (int round = 0; round < 20000; round++) {
        char texts[9][8];
        struct exposition_label labels[4];
        snprintf(texts[8], 8, "m%d", rand() % 7);
        struct exposition_sample sample = {.name = slice_from_text(texts[8]), .labels = labels};
        for (int i = 0; i < 4; i++) {
            if (rand() % 3 == 0) continue;
            snprintf(texts[2 * i], 8, "l%d", i);
            snprintf(texts[2 * i + 1], 8, "v%d", rand() % 10);
            labels[sample.labels_count++] =
                (struct exposition_label){slice_from_text(texts[2 * i]), slice_from_text(texts[2 * i + 1])};
        }
        const void *family = selector_index_find_name(index, sample.name);
        if (family) selector_index_on_sample(index, family, &sample);
        for (uint32_t i = 0; i < RANDOM_SELECTORS; i++) expected.hits[i] += selector_match(selectors[i], &sample);
    }
    for (uint32_t i = 0; i < RANDOM_SELECTORS; i++) assert_int_equal(found.hits[i], expected.hits[i]);
    selector_index_free(index);
    for (uint32_t i = 0; i < RANDOM_SELECTORS; i++) selector_free(selectors[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_match_as_in_re2_and_are_anchored),
        cmocka_unit_test(expressions_that_are_wrong_say_where),
        cmocka_unit_test(an_expression_made_to_backtrack_is_linear),
        cmocka_unit_test(selectors_select_as_in_promql),
        cmocka_unit_test(selectors_that_are_wrong_say_where),
        cmocka_unit_test(an_identity_does_not_depend_on_order_or_empty_labels),
        cmocka_unit_test(the_index_finds_what_each_selector_finds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
