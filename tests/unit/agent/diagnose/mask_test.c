/* SPDX-License-Identifier: Apache-2.0
 * What the mask takes away, what it leaves, and that what surrounds a secret does not save it. */
#include "agent/diagnose/mask.h"
#include "tests/support/check.h"

#include <stdio.h>

/* No secret of anybody: made for these tests, in pieces, so that scanners of repositories leave them alone. */
#define JWT                                                                                                            \
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwaWNrZXQifQ"                                                                      \
    ".c2lnbmF0dXJlLW9mLW5vYm9keQ"
#define AWS_ID                                                                                                         \
    "AKIA"                                                                                                             \
    "IOSFODNN7EXAMPLE"
#define AWS_KEY                                                                                                        \
    "wJalrXUtnFEMI/K7MDENG/"                                                                                           \
    "bPxRfiCYEXAMPLEKEY"
#define GITHUB                                                                                                         \
    "ghp_"                                                                                                             \
    "16C7e42F292c6912E7710c838347Ae178B4a"
#define SLACK                                                                                                          \
    "xoxb-"                                                                                                            \
    "17653672481-19874698323-pdFZKVeTuE8sk7oOcHrzqqgy"

static slice masked(const slice *patterns, size_t patterns_count, slice text, uint32_t *ret_count) {
    static struct arena *arena;
    struct mask *mask = NULL;
    struct fault fault;
    if (!arena) arena = arena_new(1 << 16, 64 << 20);
    CHECK_OK(mask_new(patterns, patterns_count, &mask, &fault));
    struct text out = text_begin(arena);
    *ret_count = 0;
    mask_add(mask, text, &out, ret_count);
    mask_free(mask);
    slice result;
    CHECK_OK(text_end(&out, "the text", &result, &fault));
    return result;
}

struct masking {
    const char *text, *becomes; /* NULL: stays as it is */
};

static const struct masking maskings[] = {
    {"GET /orders 200 in 12ms", NULL},
    {"token " JWT " expired", "token *** expired"},
    {"a" JWT "!", "a***!"},
    {"aws " AWS_ID " " AWS_KEY " end", "aws *** *** end"},
    {"x" AWS_KEY, "***"},
    {"remote: " GITHUB ", " SLACK, "remote: ***, ***"},
    {"Authorization: Bearer abc.DEF123\n200 OK", "Authorization: ***\n200 OK"},
    {"curl -H 'Authorization: Bearer abc.DEF123' http://x", "curl -H 'Authorization: ***"},
    {"sent Bearer abc.DEF123, then Basic dXNlcjpwYXNz", "sent Bearer *** then Basic ***"},
    {"Basic authentication is off; bearer of good news", NULL},
    {"postgres://shop:pw@db:5432/orders", "postgres://***@db:5432/orders"},
    {"https://example.org/a@b and mail@example.org", NULL},
    {"https://u:p@ss@host/x", "https://***@host/x"},
    {"tcp://proxyhttps://u:pw@host/x", "tcp://proxyhttps://***@host/x"},
    {"password=hunter2 user=anna", "password=*** user=anna"},
    {"{\"password\":\"hun ter\\\"2\",\"user\":\"anna\"}", "{\"password\":\"***\",\"user\":\"anna\"}"},
    {"msg=\"{\\\"api_key\\\": \\\"hunter2\\\", \\\"n\\\": 1}\"",
     "msg=\"{\\\"api_key\\\": \\\"***\\\", \\\"n\\\": 1}\""},
    {"DB_PASS: hunter2", "DB_PASS: ***"},
    {"client-secret => 'hunter2'", "client-secret => '***'"},
    {"Set-Cookie: id=1; Path=/; HttpOnly", "Set-Cookie: ***"},
    {"run --db-password hunter2 --port 80", "run --db-password *** --port 80"},
    {"token=password: hunter2 x", "token=*** *** x"},
    {"--dsn --db-secret hunter2", "--dsn *** ***"},
    {"x Bearer 1234Bearer secretA1", "x Bearer *** ***"},
    {"key " AWS_ID GITHUB, "key ***"},
    {"run --token=hunter2 -v", "run --token=*** -v"},
    {"compass: north, bypass=1, author=anna, tokens: 5, secretName: db", NULL},
    {"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", NULL},
    {"/var/lib/kubelet/pods/7d5c1a2b-0000-4000-8000-1234567890ab/volumes/kubernetes.io~empty-dir", NULL},
    {"at org.springframework.boot.web.servlet.ServletWebServerFactoryAutoConfiguration2.run", NULL},
    {"-----BEGIN "
     "RSA PRIVATE KEY-----\nMIIEow\nabc\n-----END RSA PRIVATE KEY-----\nnext",
     "***\nnext"},
    {"a\n-----BEGIN "
     "PRIVATE KEY-----\nMIIEow",
     "a\n***"},
    {"MIIEow\n-----END EC PRIVATE KEY-----\nnext", "***\nnext"},
    {"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", NULL},
    {"", NULL},
};

TEST(secrets_become_marks_and_all_else_stays) {
    for (size_t i = 0; i < sizeof maskings / sizeof *maskings; i++) {
        uint32_t count;
        const slice text = slice_from_text(maskings[i].text), is = masked(NULL, 0, text, &count);
        const char *const expected = maskings[i].becomes ? maskings[i].becomes : maskings[i].text;
        if (!slice_equal_text(is, expected))
            fail_msg("'%s' became\n'%.*s', not\n'%s'", maskings[i].text, SLICE_ARG(is), expected);
        assert_int_equal(count > 0, maskings[i].becomes != NULL);
    }
}

TEST(patterns_of_the_settings_are_masked_too_and_each_line_is_one) {
    static const slice patterns[] = {{(const uint8_t *)"card-[0-9]{4}", 13}, {(const uint8_t *)"^private .*", 11}};
    uint32_t count;
    const slice is = masked(patterns, 2, SLICE_LIT("pay card-1234, card-55\nprivate is this\nnot private"), &count);
    assert_true(slice_equal_text(is, "pay ***, card-55\n***\nnot private"));
    assert_int_equal(count, 2);
    struct mask *mask;
    struct fault fault;
    const slice wrong = SLICE_LIT("a(");
    CHECK_FAULT(mask_new(&wrong, 1, &mask, &fault), FAULT_INPUT);
    assert_non_null(strstr(fault.text, "pattern 'a('"));
}

static uint32_t chance_state = 11;
static uint32_t chance(uint32_t below) {
    chance_state = chance_state * 1664525 + 1013904223;
    return (chance_state >> 8) % below;
}

/* Whatever stands around it, no eight bytes of it in a row are left. */
TEST(no_surrounding_saves_a_secret) {
    static const char *const secrets[] = {JWT, AWS_ID, AWS_KEY, GITHUB, SLACK};
    static const char around[] = "abcXYZ019 \t\n\"'`{}[]()=:;,./\\-_+@#<>&%$\xc3\xa4\xff";
    for (int round = 0; round < 20000; round++) {
        char text[400];
        size_t size = 0;
        const char *const secret = secrets[chance(5)];
        for (uint32_t before = chance(60); before; before--) text[size++] = around[chance(sizeof around - 1)];
        const size_t at = size;
        memcpy(text + size, secret, strlen(secret));
        size += strlen(secret);
        for (uint32_t behind = chance(60); behind; behind--) text[size++] = around[chance(sizeof around - 1)];
        uint32_t count;
        const slice is = masked(NULL, 0, slice_of(text, size), &count);
        for (size_t i = 0; i + 8 <= strlen(secret); i++)
            if (memmem(is.data, is.size, secret + i, 8))
                fail_msg("of '%s' (at %zu) '%.8s' is left in '%.*s'", secret, at, secret + i, SLICE_ARG(is));
    }
}

TEST(a_value_beside_a_name_is_gone_whatever_is_in_it) {
    static const char *const heads[] = {
        "password=", "\"password\":\"", "token: ", "--secret ", "API_KEY='", "pwd => \""};
    for (int round = 0; round < 20000; round++) {
        char text[200], secret[24];
        const char *const head = heads[chance(6)];
        const size_t secret_size = 8 + chance(12);
        for (size_t i = 0; i < secret_size; i++) {
            do secret[i] = (char)('!' + chance(94));
            while (strchr("\"'`\\", secret[i]));
        }
        secret[secret_size] = '\0';
        snprintf(text, sizeof text, "a line %s%s%s rest", head, secret, head[strlen(head) - 1] == '=' ? "" : "\"");
        uint32_t count;
        const slice is = masked(NULL, 0, slice_from_text(text), &count);
        if (memmem(is.data, is.size, secret + 1, secret_size - 1)) fail_msg("'%s' became '%.*s'", text, SLICE_ARG(is));
    }
}

TEST(a_cut_text_ends_with_a_whole_line_or_word) {
    assert_true(slice_equal_text(mask_whole(SLICE_LIT("one\ntwo\nthr")), "one\ntwo\n"));
    assert_true(slice_equal_text(mask_whole(SLICE_LIT("one two thr")), "one two "));
    assert_int_equal(mask_whole(SLICE_LIT("eyJhbGciOi")).size, 0);
    assert_int_equal(mask_whole((slice){0}).size, 0);
}

TEST(a_megabyte_of_anything_takes_no_time_to_speak_of) {
    static const char *const units[] = {
        "password=", "eyJ", "-----END PRIVATE KEY-----", "://", "a=\"", "--token ", "Bearer ", "cookie: ", "token=\"",
        "x='",       "a.b "};
    enum { BYTES = 1 << 20 };
    char *const text = malloc(BYTES);
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        const size_t size = strlen(units[u]);
        for (size_t i = 0; i < BYTES; i++) text[i] = units[u][i % size];
        uint32_t count;
        (void)masked(NULL, 0, slice_of(text, BYTES),
                     &count); /* quadratic, it would be minutes, and the test's limit ends it */
    }
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_become_marks_and_all_else_stays),
        cmocka_unit_test(patterns_of_the_settings_are_masked_too_and_each_line_is_one),
        cmocka_unit_test(no_surrounding_saves_a_secret),
        cmocka_unit_test(a_value_beside_a_name_is_gone_whatever_is_in_it),
        cmocka_unit_test(a_cut_text_ends_with_a_whole_line_or_word),
        cmocka_unit_test(a_megabyte_of_anything_takes_no_time_to_speak_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
