/* SPDX-License-Identifier: Apache-2.0
 * The HTTP client against a real server (http_test_server.py): what it sends, what it takes, and what it says when
 * something goes wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/limits.h"
#include "common/net/http_client.h"

#include "common/base/clock.h"
#include "net_support.h"

static const char server_script[] = "tests/unit/common/net/http_test_server.py";
static const char python[] = "/usr/bin/python3";

struct bench {
    struct net_folder folder;
    struct loop *loop;
    struct http_client *client;
    struct net_child server, tls_server;
    int port, tls_port;
};

/* What came of one call. */
struct outcome {
    bool done;
    unsigned done_count, pieces;
    int64_t head_ms;
    struct http_result result;
    char content_type[64];
    size_t size, stop_at;
    char body[200 * 1024];
    struct http_call *cancel_inside;
    struct bench *start_inside;
    struct outcome *start_outcome;
};

static void start_get(struct bench *bench, const char *url, struct outcome *outcome);

static bool take_body(void *context, slice piece) {
    struct outcome *outcome = context;
    assert_true(outcome->size + piece.size < sizeof outcome->body);
    memcpy(outcome->body + outcome->size, piece.data, piece.size);
    outcome->size += piece.size;
    outcome->pieces++;
    if (outcome->cancel_inside) {
        http_call_cancel(outcome->cancel_inside);
        outcome->cancel_inside = NULL;
    }
    if (outcome->start_inside) {
        char url[64];
        snprintf(url, sizeof url, "http://127.0.0.1:%d/connection", outcome->start_inside->port);
        start_get(outcome->start_inside, url, outcome->start_outcome);
        outcome->start_inside = NULL;
    }
    return !outcome->stop_at || outcome->size < outcome->stop_at;
}

static void take_done(void *context, const struct http_result *result) {
    struct outcome *outcome = context;
    outcome->result = *result;
    snprintf(outcome->content_type, sizeof outcome->content_type, "%s", result->content_type);
    outcome->body[outcome->size] = '\0';
    outcome->done = true;
    outcome->done_count++;
}

static struct http_request request_for(const char *url, struct outcome *outcome) {
    memset(outcome, 0, sizeof *outcome);
    return (struct http_request){.url = url,
                                 .timeout_ms = 5000,
                                 .body_bytes_max = 200 * 1024 - 1,
                                 .on_body = take_body,
                                 .on_done = take_done,
                                 .context = outcome};
}

static void start_get(struct bench *bench, const char *url, struct outcome *outcome) {
    const struct http_request request = request_for(url, outcome);
    struct fault fault = {0};
    if (http_client_start(bench->client, &request, NULL, &fault) != FAULT_NONE) fail_msg("%s", fault.text);
}

static void run(struct bench *bench, const struct http_request *request) {
    struct outcome *outcome = request->context;
    struct fault fault = {0};
    if (http_client_start(bench->client, request, NULL, &fault) != FAULT_NONE) fail_msg("%s", fault.text);
    assert_false(outcome->done); /* never inside start */
    if (!net_loop_until(bench->loop, &outcome->done, 10000)) fail_msg("%s: no answer in 10 s", request->url);
    assert_int_equal(outcome->done_count, 1);
}

static const char *url_of(const struct bench *bench, const char *path) {
    static char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", bench->port, path);
    return url;
}

static const char *tls_url_of(const struct bench *bench, const char *host) {
    static char url[128];
    snprintf(url, sizeof url, "https://%s:%d/connection", host, bench->tls_port);
    return url;
}

static void get(struct bench *bench, const char *path, struct outcome *outcome) {
    const struct http_request request = request_for(url_of(bench, path), outcome);
    run(bench, &request);
}

static void assert_says(const struct outcome *outcome, fault_code code, const char *words) {
    if (outcome->result.fault.code != code || !strstr(outcome->result.fault.text, words))
        fail_msg("expected %s with '%s', got %s: %s", fault_code_name(code), words,
                 fault_code_name(outcome->result.fault.code), outcome->result.fault.text);
    assert_int_equal(outcome->result.status, 0);
}

static void tls_server_start(struct bench *bench, const char *name, const char *client_ca) {
    net_child_kill(&bench->tls_server);
    char certificate[32], key[32];
    snprintf(certificate, sizeof certificate, "%s.pem", name);
    snprintf(key, sizeof key, "%s.key", name);
    const char *const arguments[] = {python,
                                     server_script,
                                     net_path(&bench->folder, certificate),
                                     net_path(&bench->folder, key),
                                     client_ca ? net_path(&bench->folder, client_ca) : NULL,
                                     NULL};
    net_child_start(&bench->tls_server, arguments);
    bench->tls_port = net_child_number(&bench->tls_server);
}

static int setup(void **state) {
    struct bench *bench = calloc(1, sizeof *bench);
    struct fault fault = {0};
    *state = bench;
    setenv("http_proxy", "http://127.0.0.1:1/", 1); /* must not be followed */
    net_folder_make(&bench->folder);
    net_certificates_make(&bench->folder);
    const char *const arguments[] = {python, server_script, NULL};
    net_child_start(&bench->server, arguments);
    bench->port = net_child_number(&bench->server);
    if (loop_new(&bench->loop, &fault) != FAULT_NONE ||
        http_client_new(bench->loop, 4, &bench->client, &fault) != FAULT_NONE)
        fail_msg("%s", fault.text);
    return 0;
}

static int teardown(void **state) {
    struct bench *bench = *state;
    (void)http_client_free(bench->client);
    (void)loop_free(bench->loop);
    net_child_kill(&bench->server);
    net_child_kill(&bench->tls_server);
    net_folder_free(&bench->folder);
    free(bench);
    return 0;
}

static void sends_method_headers_and_body(void **state) {
    struct bench *bench = *state;
    static struct outcome outcome;
    struct http_request request = request_for(url_of(bench, "/echo?x=1"), &outcome);
    const char *const headers[] = {"X-One: first", "Content-Type: application/json", NULL};
    const struct http_auth auth = {.username = "me", .password = "pass"};
    request.body = SLICE_LIT("{\"a\":1}");
    request.headers = headers;
    request.auth = &auth;
    run(bench, &request);
    assert_int_equal(outcome.result.fault.code, FAULT_NONE);
    assert_int_equal(outcome.result.status, 200);
    assert_string_equal(outcome.content_type, "text/plain");
    assert_int_equal(outcome.result.body_bytes, outcome.size);
    assert_non_null(strstr(outcome.body, "POST /echo?x=1\n"));
    assert_non_null(strstr(outcome.body, "x-one: first\n"));
    assert_non_null(strstr(outcome.body, "content-type: application/json\n"));
    assert_non_null(strstr(outcome.body, "authorization: Basic bWU6cGFzcw==\n"));
    assert_non_null(strstr(outcome.body, "user-agent: picket/"));
    assert_non_null(strstr(outcome.body, "\n\n{\"a\":1}"));
    assert_null(strstr(outcome.body, "expect:"));

    request = request_for(url_of(bench, "/echo"), &outcome);
    request.method = "DELETE";
    run(bench, &request);
    assert_non_null(strstr(outcome.body, "DELETE /echo\n"));
    assert_null(strstr(outcome.body, "authorization"));
    assert_null(strstr(outcome.body, "content-type"));

    request = request_for(url_of(bench, "/echo"), &outcome);
    request.method = "HEAD";
    run(bench, &request);
    assert_int_equal(outcome.result.status, 200);
    assert_int_equal(outcome.size, 0);
}

/* Lines of about the size that curl_lean.c prints by itself (1024 bytes, with CR, LF and NUL), and some that curl does. */
static void sends_headers_of_any_length(void **state) {
    struct bench *bench = *state;
    static struct outcome outcome;
    static const size_t sizes[] = {1, 1000, 1020, 1021, 1022, 1023, 1024, 1025, 3000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char line[3100] = "X-Long: ", wanted[3200];
        const size_t begun = strlen(line), size = sizes[i] > begun ? sizes[i] : begun + 1;
        for (size_t at = begun; at < size; at++) line[at] = (char)('a' + at % 26);
        line[size] = '\0';
        snprintf(wanted, sizeof wanted, "\nx-long: %s\n", line + begun);
        const char *const headers[] = {line, "X-After: %s%d", NULL};
        struct http_request request = request_for(url_of(bench, "/echo"), &outcome);
        request.headers = headers;
        run(bench, &request);
        assert_int_equal(outcome.result.fault.code, FAULT_NONE);
        outcome.body[outcome.size] = '\0';
        assert_non_null(strstr(outcome.body, wanted));
        assert_non_null(strstr(outcome.body, "\nx-after: %s%d\n"));
    }
}

static void refuses_wrong_requests(void **state) {
    struct bench *bench = *state;
    static struct outcome outcome;
    struct fault fault;
    struct http_request request = request_for(url_of(bench, "/echo"), &outcome);
    request.timeout_ms = LIMIT_OUTSIDE_CALL_MS + 1;
    assert_int_equal(http_client_start(bench->client, &request, NULL, &fault), FAULT_LIMIT);
    request.timeout_ms = 1000;
    const char *const headers[] = {"X-One: first\r\nX-Two: smuggled", NULL};
    request.headers = headers;
    assert_int_equal(http_client_start(bench->client, &request, NULL, &fault), FAULT_INPUT);
    request = request_for("file:///etc/hostname", &outcome);
    run(bench, &request);
    assert_says(&outcome, FAULT_INPUT, "not an http or https URL");
}

static void unpacks_gzip_and_limits_what_comes_out(void **state) {
    struct bench *bench = *state;
    static struct outcome outcome;
    struct http_request request = request_for(url_of(bench, "/gzip"), &outcome);
    request.accept_gzip = true;
    run(bench, &request);
    assert_int_equal(outcome.result.body_bytes, 100000);
    assert_true(outcome.pieces > 1); /* streamed */
    assert_int_equal(outcome.body[99999], 'a');

    request = request_for(url_of(bench, "/gzip"), &outcome);
    request.accept_gzip = true;
    request.body_bytes_max = 99999; /* the 150 packed bytes would fit */
    run(bench, &request);
    assert_says(&outcome, FAULT_LIMIT, "larger than the 99999 bytes");

    request = request_for(url_of(bench, "/broken-gzip"), &outcome);
    request.accept_gzip = true;
    run(bench, &request);
    assert_says(&outcome, FAULT_INPUT, "compression is broken");
}

static void says_which_phase_took_the_time(void **state) {
    struct bench *bench = *state;
    static struct outcome outcome;
    struct http_request request = request_for(url_of(bench, "/hang?token=secret"), &outcome);
    request.timeout_ms = 300;
    run(bench, &request);
    assert_says(&outcome, FAULT_TIMEOUT, "/hang: not done in 300 ms: waiting for the answer");
    assert_null(strstr(outcome.result.fault.text, "secret"));
    assert_in_range(outcome.result.duration_ms, 290, 30000);
    request = request_for(url_of(bench, "/slow"), &outcome);
    request.timeout_ms = 3000; /* the body takes 10 s */
    run(bench, &request);
    assert_says(&outcome, FAULT_TIMEOUT, "reading the body");
    assert_true(outcome.size >= 2 && outcome.size < 90);
}

static void says_why_there_is_no_answer(void **state) {
    struct bench *bench = *state;
    static struct outcome outcome;
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/x", net_free_port());
    struct http_request request = request_for(url, &outcome);
    run(bench, &request);
    assert_says(&outcome, FAULT_SYSTEM, "Connection refused");
    request = request_for("http://user:secret@name.invalid/x", &outcome);
    run(bench, &request);
    assert_says(&outcome, FAULT_SYSTEM, "GET http://name.invalid/x: the host's name is not resolved");
    get(bench, "/close", &outcome);
    assert_says(&outcome, FAULT_SYSTEM, "without an answer");
    get(bench, "/short", &outcome);
    assert_says(&outcome, FAULT_SYSTEM, "inside the answer after 10 body bytes");
}

static void gives_every_status_as_an_answer(void **state) {
    struct bench *bench = *state;
    static struct outcome outcome;
    get(bench, "/busy", &outcome);
    assert_int_equal(outcome.result.status, 503);
    assert_int_equal(outcome.result.retry_after_ms, 7000);
    assert_in_range(outcome.result.date_ms, clock_wall_ms() - 5000, clock_wall_ms() + 1000);
    assert_int_equal(outcome.result.fault.code, FAULT_NONE);
    get(bench, "/moved", &outcome); /* redirects are not followed */
    assert_int_equal(outcome.result.status, 302);
    get(bench, "/none", &outcome);
    assert_int_equal(outcome.result.status, 404);
}

static void uses_a_connection_again(void **state) {
    struct bench *bench = *state;
    static struct outcome outcome;
    char first[16];
    get(bench, "/connection", &outcome);
    snprintf(first, sizeof first, "%s", outcome.body);
    for (int i = 0; i < 20; i++) {
        get(bench, "/connection", &outcome);
        assert_string_equal(outcome.body, first);
    }
}

static void runs_more_calls_than_connections(void **state) {
    struct bench *bench = *state;
    enum { CALLS = 32 };
    struct outcome *outcomes = calloc(CALLS + 1, sizeof *outcomes);
    struct fault fault;
    for (int i = 0; i < CALLS; i++) start_get(bench, url_of(bench, "/connection"), &outcomes[i]);
    const struct http_request request = request_for(url_of(bench, "/connection"), &outcomes[CALLS]);
    assert_int_equal(http_client_start(bench->client, &request, NULL, &fault), FAULT_AGAIN);
    for (int i = 0; i < CALLS; i++) {
        assert_true(net_loop_until(bench->loop, &outcomes[i].done, 5000));
        assert_int_equal(outcomes[i].result.status, 200);
        assert_int_equal(outcomes[i].done_count, 1);
    }
    free(outcomes);
}

static void cancels_and_stops(void **state) {
    struct bench *bench = *state;
    static struct outcome outcome, second;
    struct http_call *call;
    struct fault fault;
    struct http_request request = request_for(url_of(bench, "/slow"), &outcome);
    assert_int_equal(http_client_start(bench->client, &request, &call, &fault), FAULT_NONE);
    net_loop_for(bench->loop, 150);
    http_call_cancel(call);
    net_loop_for(bench->loop, 50);
    assert_int_equal(outcome.done_count, 0);

    request = request_for(url_of(bench, "/slow"), &outcome); /* cancelled by its own on_body */
    assert_int_equal(http_client_start(bench->client, &request, &outcome.cancel_inside, &fault), FAULT_NONE);
    for (int i = 0; i < 1200 && !outcome.pieces; i++) net_loop_for(bench->loop, 50);
    net_loop_for(bench->loop, 250); /* the next piece would have come */
    assert_int_equal(outcome.pieces, 1);
    assert_int_equal(outcome.done_count, 0);

    request = request_for(url_of(bench, "/slow"), &outcome);
    outcome.stop_at = 2;
    run(bench, &request);
    assert_says(&outcome, FAULT_INPUT, "stopped by its reader after "); /* two of them, or what came in one piece */
    assert_in_range(outcome.size, 2, 99);

    request = request_for(url_of(bench, "/gzip"), &outcome); /* one call started inside another's on_body */
    outcome.start_inside = bench;
    outcome.start_outcome = &second;
    run(bench, &request);
    assert_true(net_loop_until(bench->loop, &second.done, 5000));
    assert_int_equal(second.result.status, 200);
}

static void reads_the_bearer_file_at_each_call(void **state) {
    struct bench *bench = *state;
    static struct outcome outcome;
    struct fault fault;
    struct http_auth auth = {.bearer_token_path = net_path(&bench->folder, "token")};
    struct http_request request = request_for(url_of(bench, "/echo"), &outcome);
    request.auth = &auth;
    assert_int_equal(http_client_start(bench->client, &request, NULL, &fault), FAULT_SYSTEM);
    assert_non_null(strstr(fault.text, "No such file"));
    net_write(&bench->folder, "token", "first-token\n");
    run(bench, &request);
    assert_non_null(strstr(outcome.body, "authorization: Bearer first-token\n"));
    net_write(&bench->folder, "token", "second-token");
    request = request_for(url_of(bench, "/echo"), &outcome);
    request.auth = &auth;
    run(bench, &request);
    assert_non_null(strstr(outcome.body, "authorization: Bearer second-token\n"));
    net_write(&bench->folder, "token", "\n");
    assert_int_equal(http_client_start(bench->client, &request, NULL, &fault), FAULT_INPUT);
}

static void checks_the_servers_certificate(void **state) {
    struct bench *bench = *state;
    static struct outcome outcome;
    char ca[160], foreign_ca[160];
    snprintf(ca, sizeof ca, "%s", net_path(&bench->folder, "ca.pem"));
    snprintf(foreign_ca, sizeof foreign_ca, "%s", net_path(&bench->folder, "foreign-ca.pem"));
    struct http_tls tls = {.ca_path = ca};
    static const struct {
        const char *certificate, *host;
        bool foreign, insecure;
        const char *says; /* NULL: works */
    } cases[] = {
        {"server", "localhost", false, false, NULL},
        {"server", "127.0.0.1", false, false, NULL},
        {"server", "localhost", true, false, "not from a trusted authority"},
        {"other", "localhost", false, false, "for another name"},
        {"expired", "localhost", false, false, "has expired"},
        {"expired", "localhost", true, true, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tls_server_start(bench, cases[i].certificate, NULL);
        tls.ca_path = cases[i].foreign ? foreign_ca : ca;
        tls.insecure = cases[i].insecure;
        struct http_request request = request_for(tls_url_of(bench, cases[i].host), &outcome);
        request.tls = &tls;
        run(bench, &request);
        if (cases[i].says)
            assert_says(&outcome, FAULT_SYSTEM, cases[i].says);
        else if (outcome.result.status != 200)
            fail_msg("case %zu: %s", i, outcome.result.fault.text);
    }
}

static void shows_its_own_certificate(void **state) {
    struct bench *bench = *state;
    static struct outcome outcome;
    struct http_tls tls = {.ca_path = net_path(&bench->folder, "ca.pem")};
    tls_server_start(bench, "server", "ca.pem");
    tls.ca_path = net_path(&bench->folder, "ca.pem");
    struct http_request request = request_for(tls_url_of(bench, "localhost"), &outcome);
    request.tls = &tls;
    run(bench, &request);
    assert_int_not_equal(outcome.result.fault.code, FAULT_NONE);
    tls.certificate_path = net_path(&bench->folder, "client.pem");
    tls.key_path = net_path(&bench->folder, "client.key");
    request = request_for(tls_url_of(bench, "localhost"), &outcome);
    request.tls = &tls;
    run(bench, &request);
    assert_int_equal(outcome.result.status, 200);
    tls.certificate_path = net_path(&bench->folder, "absent.pem");
    request = request_for(tls_url_of(bench, "localhost"), &outcome);
    request.tls = &tls;
    run(bench, &request);
    assert_says(&outcome, FAULT_INPUT, "our client certificate or key");
}

static bool note_head(void *context, int status, const char *content_type) {
    struct outcome *outcome = context;
    assert_int_equal(outcome->pieces, 0);
    outcome->head_ms = status == 200 && strcmp(content_type, "text/late") == 0 ? clock_monotonic_ms() : -1;
    return true;
}

/* A watch may be silent for a minute, and is known to work from its head on. */
static void hands_out_the_head_before_a_body_comes(void **state) {
    struct bench *bench = *state;
    static struct outcome outcome;
    struct http_request request = request_for(url_of(bench, "/late"), &outcome);
    request.on_head = note_head;
    run(bench, &request);
    assert_int_equal(outcome.result.status, 200);
    assert_int_equal(outcome.size, 1);
    assert_true(outcome.head_ms > 0 && clock_monotonic_ms() - outcome.head_ms >= 200);
}

/* As a kubeconfig has them, and with an address that is not the name to prove. */
static void takes_certificates_from_memory(void **state) {
    struct bench *bench = *state;
    static struct outcome outcome;
    static char texts[4][8192];
    static const char *const names[] = {"ca.pem", "client.pem", "client.key", "foreign-ca.pem"};
    slice pem[4];
    for (size_t i = 0; i < 4; i++) {
        FILE *file = fopen(net_path(&bench->folder, names[i]), "r");
        assert_non_null(file);
        pem[i] = slice_of(texts[i], fread(texts[i], 1, sizeof texts[i] - 1, file));
        fclose(file);
    }
    const struct http_tls right = {.ca = pem[0], .certificate = pem[1], .key = pem[2]};
    const struct http_tls nobody = {.ca = pem[0]}, foreign = {.ca = pem[3], .certificate = pem[1], .key = pem[2]};
    tls_server_start(bench, "other", "ca.pem");
    char name_url[64], connect_to[64];
    snprintf(name_url, sizeof name_url, "https://elsewhere.example:%d/connection", bench->tls_port);
    snprintf(connect_to, sizeof connect_to, "::127.0.0.1:%d", bench->tls_port);
    struct http_request request = request_for(name_url, &outcome);
    request.tls = &right;
    request.connect_to = connect_to;
    run(bench, &request);
    if (outcome.result.status != 200) fail_msg("%s", outcome.result.fault.text);
    request = request_for(tls_url_of(bench, "127.0.0.1"), &outcome);
    request.tls = &right;
    run(bench, &request);
    assert_says(&outcome, FAULT_SYSTEM, "for another name");
    tls_server_start(bench, "server", "ca.pem");
    request = request_for(tls_url_of(bench, "127.0.0.1"), &outcome); /* by address */
    request.tls = &right;
    run(bench, &request);
    assert_int_equal(outcome.result.status, 200);
    request = request_for(tls_url_of(bench, "127.0.0.1"), &outcome);
    request.tls = &nobody;
    run(bench, &request);
    assert_int_not_equal(outcome.result.fault.code, FAULT_NONE);
    request = request_for(tls_url_of(bench, "127.0.0.1"), &outcome);
    request.tls = &foreign;
    run(bench, &request);
    assert_says(&outcome, FAULT_SYSTEM, "not from a trusted authority");
}

int main(void) {
    if (!net_program_exists(python) || !net_program_exists("/usr/bin/openssl")) {
        fprintf(stderr, "skipped: needs %s and /usr/bin/openssl\n", python);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_method_headers_and_body),
        cmocka_unit_test(sends_headers_of_any_length),
        cmocka_unit_test(refuses_wrong_requests),
        cmocka_unit_test(unpacks_gzip_and_limits_what_comes_out),
        cmocka_unit_test(says_which_phase_took_the_time),
        cmocka_unit_test(says_why_there_is_no_answer),
        cmocka_unit_test(gives_every_status_as_an_answer),
        cmocka_unit_test(uses_a_connection_again),
        cmocka_unit_test(runs_more_calls_than_connections),
        cmocka_unit_test(cancels_and_stops),
        cmocka_unit_test(reads_the_bearer_file_at_each_call),
        cmocka_unit_test(checks_the_servers_certificate),
        cmocka_unit_test(shows_its_own_certificate),
        cmocka_unit_test(takes_certificates_from_memory),
        cmocka_unit_test(hands_out_the_head_before_a_body_comes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
