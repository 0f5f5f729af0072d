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
    arena_reset(arena);
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

static void check_maskings(const struct masking *maskings, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t found;
        const slice text = slice_from_text(maskings[i].text), is = masked(NULL, 0, text, &found);
        const char *const expected = maskings[i].becomes ? maskings[i].becomes : maskings[i].text;
        if (!slice_equal_text(is, expected))
            fail_msg("'%s' became\n'%.*s', not\n'%s'", maskings[i].text, SLICE_ARG(is), expected);
        assert_int_equal(found > 0, maskings[i].becomes != NULL);
    }
}
#define CHECK_MASKINGS(table) check_maskings(table, sizeof(table) / sizeof *(table))

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
    CHECK_MASKINGS(maskings);
}

TEST(the_whole_value_of_a_name_is_masked_whatever_its_shape) {
    static const struct masking table[] = {
        {"{\"password\": [\"p1\",\"p]2\"],\"user\":\"anna\"}", "{\"password\": ***,\"user\":\"anna\"}"},
        {"{\"secret\": {\"a\":\"v\",\"b\":{\"c\":\"}\"}}}", "{\"secret\": ***}"},
        {"{\"credentials\": {\"user\":\"u\",\"value\":\"v\"}} done", "{\"credentials\": ***} done"},
        {"{\\\"passwords\\\": [\\\"p1\\\",\\\"p2\\\"], \\\"n\\\": 1}", "{\\\"passwords\\\": ***, \\\"n\\\": 1}"},
        {"map[Token:[p1 p2] Accept:[*/*]]", "map[Token:*** Accept:[*/*]]"},
        {"Config{User:x Secret:&{A:p1 B:p2} Host:y}", "Config{User:x Secret:*** Host:y}"},
        {"{\n  \"token\": [\n    \"p1\",\n    \"p2\"\n  ],\n  \"user\": 1\n}",
         "{\n  \"token\": ***,\n  \"user\": 1\n}"},
        {"password=[it's p1\nINFO b", "password=***\nINFO b"}, /* not closed: the next line is another's */
        {"{\"password\": [\"p1", "{\"password\": ***"},
        {"  password: |\n    p1\n\n    p2\n  user: anna", "  password: |\n    ***\n  user: anna"},
        {"password: >-  # folded\n  p1\n", "password: >-  # folded\n  ***\n"},
        {"- password: !!str |2\n    p1\n- user: anna", "- password: !!str |2\n    ***\n- user: anna"},
        {"password:\n  p1\nuser: anna", "password:\n  ***\nuser: anna"},
        {"credentials:\n  user: u\n  value: v\nnext: 1", "credentials:\n  ***\nnext: 1"},
        {"passwords:\n- p1\n- p2\nnext: 1", "passwords:\n***\nnext: 1"},
        {"\"password\":\n\"p1\",\n\"user\"", "\"password\":\n\"***\",\n\"user\""},
        {"INFO invalid token:\n\tat Parser.parse", NULL},
        {"password=\"a\nb\" user=anna", "password=\"***\" user=anna"},
        {"password='a''b' user=anna", "password='***' user=anna"},
        {"password=\"\" user=\"anna\"", NULL},
        {"password = \"\"\"\np1\"\n\"\"\"\nuser = 1", "password = \"\"\"***\"\"\"\nuser = 1"},
        {"password='a\nINFO b", "password='***\nINFO b"},
        {"passphrase: correct horse battery\nuser: anna", "passphrase: ***\nuser: anna"},
        {"  - db.password: a b=c # d\n", "  - db.password: ***\n"},
        {"spring.datasource.password=a b\nuser=anna", "spring.datasource.password=***\nuser=anna"},
        {"password=a user=anna", "password=*** user=anna"},
        {"2026-11-21T10:00:00Z INFO tokens:\n  - p1\n  - p2\nINFO b",
         "2026-11-21T10:00:00Z INFO tokens:\n  ***\nINFO b"},
        {"2026-11-21T10:00:00Z INFO bad token:\n  at Parser.parse", NULL},
        {"password='a'\"b\"'c' user=anna", "password='***'\"***\"'***' user=anna"},
        {"msg=\"password='a'\" user=\"anna\"", "msg=\"password='***'\" user=\"anna\""},
        {" Password:(string) (len=8) \"p1 p2\",\n Name: (string) \"x\"",
         " Password:(string) (len=8) \"***\",\n Name: (string) \"x\""},
        {"Config{token: (*string)(0xc000) \"p\"}", "Config{token: (*string)(0xc000) \"***\"}"},
        {"password\tp1\tuser", "password\t***\tuser"},
        {"user\tanna\npassword \tp1", NULL},
        {"api key: p1 a", "api key: ***"},
        {"INFO secret key = p1 of primary key: 5", "INFO secret key = *** of primary key: 5"},
    };
    CHECK_MASKINGS(table);
}

TEST(names_and_values_are_found_in_all_the_ways_they_are_written) {
    static const struct masking table[] = {
        {"[{\"name\":\"DB_PASSWORD\",\"value\":\"p\"},{\"name\":\"A\",\"value\":\"b\"}]",
         "[{\"name\":\"DB_PASSWORD\",\"value\":\"***\"},{\"name\":\"A\",\"value\":\"b\"}]"},
        {"{\"value\":\"p\",\"meta\":{\"x\":1},\"key\":\"token\"}",
         "{\"value\":\"***\",\"meta\":{\"x\":1},\"key\":\"token\"}"},
        {"- name: A\n  value: b\n- name: DB_PASSWORD\n  value: p\n- name: C\n  value: d",
         "- name: A\n  value: b\n- name: DB_PASSWORD\n  value: ***\n- name: C\n  value: d"},
        {"- value: a\n  name: B\n- value: p\n  name: token", "- value: a\n  name: B\n- value: ***\n  name: token"},
        {"ParameterKey=DbPassword,ParameterValue=p x", "ParameterKey=DbPassword,ParameterValue=*** x"},
        {"{\"tokens\":[\"a\"]} cookies: x y", "{\"tokens\":***} cookies: *** y"},
        {"{\"prompt_tokens\":12,\"tokens\":3} tokens=5/9", NULL},
        {"dbPass=p userPin: 1234 byPass=1", "dbPass=*** userPin: *** byPass=***"},
        {"<db:password kind=\"x\">p q</db:password><user>u</user>",
         "<db:password kind=\"x\">***</db:password><user>u</user>"},
        {"<AccessToken>p</AccessToken>", "<AccessToken>***</AccessToken>"},
        {"<credentials>\n <a>p</a>\n</credentials>", "<credentials>***</credentials>"},
        {"<password>p", "<password>***"},
        {"usage: login <user> <password> [options]; Map<String, Token> a, List<Token>.of", NULL},
        {"config[password]=p config['password'] = 'q' [auth]: on",
         "config[password]=*** config['password'] = '***' [auth]: on"},
        {"GET /a?sv=1&sig=abc%3D", "GET /a?sv=1&sig=***"},
        {"X-Amz-Signature=abc X-Goog-Signature=def", "X-Amz-Signature=*** X-Goog-Signature=***"},
        {"ALTER USER 'x' IDENTIFIED BY 'p' EXPIRE", "ALTER USER 'x' IDENTIFIED BY '***' EXPIRE"},
        {"create user x identified with 'plugin' by 'p'", "create user x identified with 'plugin' by '***'"},
        {"CREATE USER x IDENTIFIED BY p;", "CREATE USER x IDENTIFIED BY ***"},
        {"CREATE ROLE x WITH PASSWORD 'p' LOGIN", "CREATE ROLE x WITH PASSWORD '***' LOGIN"},
        {"secret \"db-tls\" not found; key password in Secret \"shop/db\"; unexpected token \"}\"", NULL},
        {"password is required by policy", NULL},
    };
    CHECK_MASKINGS(table);
}

TEST(options_of_known_commands_are_masked) {
    static const struct masking table[] = {
        {"+ curl -u admin:p https://x", "+ curl -u *** https://x"},
        {"/usr/bin/curl -sSu 'a:p q' x; curl --proxy-user a:p", "/usr/bin/curl -sSu '***' x; curl --proxy-user ***"},
        {"exec [\"curl\", \"-u\", \"a:p\", \"http://x\"]", "exec [\"curl\", \"-u\", \"***\", \"http://x\"]"},
        {"mysql -uroot -pX -h db", "mysql -uroot -p*** -h db"},
        {"mysqldump -p db", NULL}, /* it asks for the password, and this is the database */
        {"redis-cli -h c -a X ping", "redis-cli -h c -a *** ping"},
        {"sshpass -p X ssh host -p 22", "sshpass -p *** ssh host -p ***"},
        {"docker login -u u -p X reg", "docker login -u u -p *** reg"},
        {"java -p 8080 -u x; http://x -a b; libcurl -u x\nls -u a:b", NULL},
        {"keytool -storepass X -v", "keytool -storepass *** -v"},
    };
    CHECK_MASKINGS(table);
}

TEST(passwords_in_urls_are_masked_also_where_they_break_them) {
    static const struct masking table[] = {
        {"postgres://user:p/q@db:5432/x", "postgres://***@db:5432/x"},
        {"postgres://user:12/q#r@db:5432/x", "postgres://***@db:5432/x"},
        {"https://user:p#q@host/x", "https://***@host/x"},
        {"postgres://user:p q@db:5432/x", "postgres://***@db:5432/x"},
        {"user:p@tcp(db:3306)/x root:p:q@unix(/tmp/s)/x u:p@/x",
         "user:***@tcp(db:3306)/x root:***@unix(/tmp/s)/x u:***@/x"},
        {"image user:p@reg/api:1 user:p@reg:5000/api", "image user:***@reg/api:1 user:***@reg:5000/api"},
        {"jdbc:oracle:thin:scott/p@//h:1521/x", "jdbc:***@//h:1521/x"},
        {"redis://cache:6379/0 is down, tell ops@example.org", NULL},
        {"http://0.0.0.0:8080/@a https://[::1]:8443/b@c https://npm.example.org/@babel/core", NULL},
        {"nginx:1.25@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", NULL},
        {"user:anna@example.org git@github.com:org/repo.git", NULL},
    };
    CHECK_MASKINGS(table);
}

TEST(escapes_and_encodings_hide_nothing) {
    static const struct masking table[] = {
        {"\x1b[36mpassword=\x1b[0mp \x1b[36muser=\x1b[0mx", "\x1b[36mpassword=\x1b[0m*** \x1b[36muser=\x1b[0mx"},
        {"\x1b[32mpassword\x1b[0m=\x1b[33mp\x1b[1mq\x1b[0m x", "\x1b[32mpassword\x1b[0m=\x1b[33m***\x1b[0m x"},
        {"\\u001b[36mtoken\\u001b[0m=p", "\\u001b[36mtoken\\u001b[0m=***"},
        {"\x1b[31mred\x1b[0m and \\u001b[1mbold", NULL},
        {"{\"pass\\u0077ord\":\"p\"}", "{\"pass\\u0077ord\":\"***\"}"},
        {"pass\xe2\x80\x8bword=p", "pass\xe2\x80\x8bword=***"},
        {"body=user%3Dx%26password%3Dp", "body=user%3Dx%26password%3D***"},
        {"to=https%3A%2F%2Fuser%3Ap%40host%2F", "to=https%3A%2F%2F***%40host%2F"},
        {"\\u003cpassword\\u003ep\\u003c/password\\u003e &lt;token&gt;p&lt;/token&gt;",
         "\\u003cpassword\\u003e***\\u003c/password\\u003e &lt;token&gt;***&lt;/token&gt;"},
        {"\"a: 1\\npassword:\\n  p1\\n  p2\\nb: 2\"", "\"a: 1\\npassword:***  ***\\nb: 2\""},
        {"100% of 5%20requests in C:\\new\\table &amp; more", NULL},
        /* api_key: hunter2; postgres://u:hunter2@h/db; {"client_secret":"hunter2"} */
        {"got YXBpX2tleTogaHVudGVyMg== back", "got *** back"},
        {"x=cG9zdGdyZXM6Ly91Omh1bnRlcjJAaC9kYg==", "x=***"},
        {"id/eyAiY2xpZW50X3NlY3JldCI6Imh1bnRlcjIifQ", "***"},
        {"70617373776f72643d68756e74657232 a", "*** a"},  /* password=hunter2 */
        {"aGVsbG8gd29ybGQsIHRoaXMgaXMgdGV4dA== x", NULL}, /* "hello world, this is text" */
        {"68656c6c6f20776f726c642c2074657874", NULL},
    };
    CHECK_MASKINGS(table);
}

TEST(what_people_read_logs_for_stays) {
    static const char *const lines[] = {
        "{\"level\":\"info\",\"ts\":1700000000.1,\"msg\":\"Starting\",\"worker "
        "count\":1,\"name\":\"auth\",\"key\":\"shop/a\"}",
        "I1121 10:00:00.000000       1 reflector.go:351] Caches populated for *v1.Pod from "
        "k8s.io/client-go@v0.29.0/a.go:229",
        "MountVolume.SetUp failed for volume \"certs\" : secret \"db-credentials\" not found",
        "Successfully pulled image \"registry.example.org:5000/shop/api:1.2.3\" in 2.1s",
        "GET /api/v1/namespaces/shop/pods?limit=500&resourceVersion=0&continue=abc 200 12ms",
        "listening on http://0.0.0.0:8080 and https://[::]:8443; postgres://db:5432/x?sslmode=disable",
        "panic: runtime error: invalid memory address\n\tat com.example.Token.parse(Token.java:12)",
        "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 uuid 7d5c1a2b-0000-4000-8000-1234567890ab",
        "deployment.apps/api-gateway-production-europe-west configured in namespace/production-blue",
        "level=warn component=scheduler msg=\"no nodes available\" key=shop/api value=3 name=x",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) check_maskings(&(struct masking){lines[i], NULL}, 1);
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
    static const char *const units[] = {"password=",
                                        "eyJ",
                                        "-----END PRIVATE KEY-----",
                                        "://",
                                        "a=\"",
                                        "--token ",
                                        "Bearer ",
                                        "cookie: ",
                                        "token=\"",
                                        "x='",
                                        "a.b ",
                                        "token:[",
                                        "token:{\n",
                                        "\"token\": [\"",
                                        "<password>",
                                        "</password",
                                        "curl -u ",
                                        "a:b@",
                                        "a://b:c",
                                        "identified by '",
                                        "password: |\n",
                                        "password:\n ",
                                        "\"name\":\"token\",",
                                        "%3D",
                                        "YXBp",
                                        "\\\"",
                                        "token='''\n",
                                        "token=\\\"'`\n",
                                        " ",
                                        "\n",
                                        "\x1b[1m",
                                        "password \"",
                                        "(token=()",
                                        "api key: ",
                                        "token\t",
                                        "a token:\n - ",
                                        "token='a'\"",
                                        "a.token=b ",
                                        "token=(\"'",
                                        "ab",
                                        "mysql -p -"};
#if defined(__SANITIZE_THREAD__) ||                                                                                    \
    defined(__SANITIZE_ADDRESS__) /* ten times slower; the plain build sees to the figure */
    enum { BYTES = 1 << 16 };
#else
    enum { BYTES = 1 << 20 };
#endif
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
        cmocka_unit_test(the_whole_value_of_a_name_is_masked_whatever_its_shape),
        cmocka_unit_test(names_and_values_are_found_in_all_the_ways_they_are_written),
        cmocka_unit_test(options_of_known_commands_are_masked),
        cmocka_unit_test(passwords_in_urls_are_masked_also_where_they_break_them),
        cmocka_unit_test(escapes_and_encodings_hide_nothing),
        cmocka_unit_test(what_people_read_logs_for_stays),
        cmocka_unit_test(patterns_of_the_settings_are_masked_too_and_each_line_is_one),
        cmocka_unit_test(no_surrounding_saves_a_secret),
        cmocka_unit_test(a_value_beside_a_name_is_gone_whatever_is_in_it),
        cmocka_unit_test(a_cut_text_ends_with_a_whole_line_or_word),
        cmocka_unit_test(a_megabyte_of_anything_takes_no_time_to_speak_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
