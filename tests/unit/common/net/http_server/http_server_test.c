/* SPDX-License-Identifier: Apache-2.0
 * The server over real sockets: a raw client, so that bytes on the wire are checked and not a client library's
 * view of them. */
#include "common/net/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct site {
    struct http_server *server;
    pthread_t late_thread;
    bool late_started;
    struct http_exchange *late;
    int64_t late_delay_ms;
    struct http_stream *stream;
    pthread_mutex_t lock;
    atomic_int handled;
};

static void pause_ms(int64_t ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void *answer_late(void *context) {
    struct site *site = context;
    pause_ms(site->late_delay_ms);
    slice body =
        arena_format(http_exchange_arena(site->late), "late %.*s", SLICE_ARG(http_exchange_query(site->late, "name")));
    http_exchange_answer(
        site->late,
        &(struct http_answer){.status = 201, .content_type = "text/plain", .body = body, .body_static = true});
    return NULL;
}

static void on_exchange(void *context, struct http_exchange *exchange) {
    struct site *site = context;
    atomic_fetch_add(&site->handled, 1);
    const slice path = http_exchange_path(exchange);
    if (slice_equal_text(path, "/echo")) {
        const slice text = arena_format(
            http_exchange_arena(exchange), "%.*s|%.*s|%.*s|%.*s|%.*s", SLICE_ARG(http_exchange_method(exchange)),
            SLICE_ARG(http_exchange_query(exchange, "q")), SLICE_ARG(http_exchange_header(exchange, "x-Test")),
            SLICE_ARG(http_exchange_peer(exchange)), SLICE_ARG(http_exchange_body(exchange)));
        const char *const headers[] = {"X-Answer: yes", NULL};
        http_exchange_answer(
            exchange,
            &(struct http_answer){.status = 200, .content_type = "text/plain", .body = text, .headers = headers});
    } else if (slice_equal_text(path, "/size")) {
        const slice text = arena_format(http_exchange_arena(exchange), "%zu", http_exchange_body(exchange).size);
        http_exchange_answer(exchange, &(struct http_answer){.status = 200, .body = text, .body_static = true});
    } else if (slice_equal_text(path, "/late")) {
        assert_true(http_exchange_keep(exchange));
        site->late = exchange;
        site->late_started = true;
        pthread_create(&site->late_thread, NULL, answer_late, site);
    } else if (slice_equal_text(path, "/never")) {
        assert_true(http_exchange_keep(exchange));
        pthread_mutex_lock(&site->lock);
        site->late = exchange;
        pthread_mutex_unlock(&site->lock);
    } else if (slice_equal_text(path, "/stream")) {
        struct http_stream *stream;
        assert_int_equal(http_stream_begin(exchange, "text/event-stream", 1024, &stream, NULL), FAULT_NONE);
        pthread_mutex_lock(&site->lock);
        site->stream = stream;
        pthread_mutex_unlock(&site->lock);
    } else if (!slice_equal_text(path, "/silent")) {
        http_exchange_answer(exchange,
                             &(struct http_answer){.status = 404, .body = SLICE_LIT("none\n"), .body_static = true});
    }
}

static int set_up(void **state) {
    struct site *site = calloc(1, sizeof *site);
    pthread_mutex_init(&site->lock, NULL);
    struct fault fault;
    const struct http_server_settings settings = {
        .address = "127.0.0.1", .threads = 2, .connections_max = 64, .body_bytes_max = 10000, .idle_timeout_ms = 5000};
    if (http_server_open(&settings, on_exchange, site, &site->server, &fault)) fail_msg("%s", fault.text);
    *state = site;
    return 0;
}

static int tear_down(void **state) {
    struct site *site = *state;
    if (site->late_started) pthread_join(site->late_thread, NULL);
    http_server_close(site->server);
    http_stream_end(site->stream);
    free(site);
    return 0;
}

static int dial(const struct site *site) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(http_server_port(site->server)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 5}, sizeof(struct timeval));
    return fd;
}

static void say(int fd, const char *text, size_t size) {
    assert_int_equal(send(fd, text, size, MSG_NOSIGNAL), (ssize_t)size);
}

/* Reads until `stop` is in the text or the peer closes; "" for no stop. */
static void hear(int fd, char *text, size_t room, const char *stop) {
    size_t size = 0;
    text[0] = '\0';
    while (size + 1 < room) {
        const ssize_t got = recv(fd, text + size, room - size - 1, 0);
        if (got <= 0) return;
        size += (size_t)got;
        text[size] = '\0';
        if (*stop && strstr(text, stop)) return;
    }
}

static void ask(const struct site *site, const char *request, char *text, size_t room) {
    const int fd = dial(site);
    say(fd, request, strlen(request));
    hear(fd, text, room, "");
    close(fd);
}

static void server_gives_the_handler_the_whole_request(void **state) {
    char text[4096];
    ask(*state,
        "POST /ec%68o?q=a%20b&r HTTP/1.1\r\nHost: h\r\nX-Test: 1 2\r\nContent-Length: 5\r\nConnection: "
        "close\r\n\r\nhello",
        text, sizeof text);
    assert_non_null(strstr(text, "HTTP/1.1 200"));
    assert_non_null(strstr(text, "X-Answer: yes"));
    assert_non_null(strstr(text, "POST|a b|1 2|127.0.0.1|hello"));
}

static void server_reads_chunked_bodies(void **state) {
    char text[4096];
    ask(*state,
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: "
        "close\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
        text, sizeof text);
    assert_non_null(strstr(text, "|abcdefg"));
}

static void server_answers_head_without_a_body(void **state) {
    char text[4096];
    ask(*state, "HEAD /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", text, sizeof text);
    assert_non_null(strstr(text, "HTTP/1.1 200"));
    assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
}

static void server_refuses_a_body_over_the_bound_before_it_comes(void **state) {
    char text[4096];
    ask(*state, "POST /size HTTP/1.1\r\nHost: h\r\nContent-Length: 10001\r\nExpect: 100-continue\r\n\r\n", text,
        sizeof text);
    assert_non_null(strstr(text, "HTTP/1.1 413"));
    assert_non_null(strstr(text, "larger than 10000 bytes"));
    assert_null(strstr(text, "100 Continue"));
    assert_int_equal(((struct site *)*state)->handled, 0);
}

static void server_refuses_a_chunked_body_over_the_bound(void **state) {
    char text[4096], piece[0x1000 + 16];
    const int fd = dial(*state);
    const char *head = "POST /size HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    say(fd, head, strlen(head));
    memset(piece, 'x', sizeof piece);
    memcpy(piece, "1000\r\n", 6);
    memcpy(piece + 6 + 0x1000, "\r\n", 2);
    for (int i = 0; i < 3; i++) say(fd, piece, 0x1000 + 8);
    say(fd, "0\r\n\r\n", 5);
    hear(fd, text, sizeof text, "");
    close(fd);
    assert_non_null(strstr(text, "HTTP/1.1 413"));
    assert_int_equal(((struct site *)*state)->handled, 0);
}

static void server_takes_a_body_of_exactly_the_bound(void **state) {
    char text[4096], body[10000];
    const int fd = dial(*state);
    const char *head =
        "POST /size HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    say(fd, head, strlen(head));
    hear(fd, text, sizeof text, "100 Continue\r\n\r\n");
    assert_non_null(strstr(text, "100 Continue"));
    memset(body, 'x', sizeof body);
    say(fd, body, sizeof body);
    hear(fd, text, sizeof text, "");
    close(fd);
    assert_non_null(strstr(text, "\r\n\r\n10000"));
}

/* Each of these is read differently by some proxy: what is behind it would be another's request (RFC 9112, 11.2). */
static void server_refuses_a_request_whose_end_or_sender_is_in_doubt(void **state) {
    static const struct {
        const char *head, *said;
    } cases[] = {
        {"Host: h\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n", "Content-Length beside Transfer-Encoding"},
        {"Host: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n", "Content-Length beside Transfer-Encoding"},
        {"Host: h\r\nContent-Length: 5\r\ncontent-length: 6\r\n", "Content-Length twice"},
        {"Host: h\r\nContent-Length: 6\r\nContent-Length : 5\r\n", "a name with a character"},
        {" Content-Length: 6\r\nHost: h\r\n", "a name with a character"},
        {"Host: h\r\nTransfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding other than"},
        {"Host: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "Transfer-Encoding twice"},
        {"Host: h\r\nX: y\rContent-Length: 5\r\n", "a carriage return"},
        {"Host: h\r\nContent-Length: 5\r\n x\r\n", "goes on in a second line"},
        {"Host: h\r\nX-Test:\r\n\ty\r\n", "goes on in a second line"},
        {"Content-Length: 5\r\n", "no Host"},
        {"Host: h\r\nHost: i\r\nContent-Length: 5\r\n", "Host twice"},
        {"Host: h/i\r\nContent-Length: 5\r\n", "is no name of a host"},
        {"Host: h\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n", "Authorization twice"},
        {"Host: h\r\nContent-Type: text/plain\r\nContent-Type: application/json\r\n", "Content-Type twice"},
        {"Host: h\r\nIdempotency-Key: a\r\nIdempotency-Key: a\r\n", "Idempotency-Key twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[4096], request[1024];
        snprintf(request, sizeof request, "POST /echo HTTP/1.1\r\n%s\r\n0\r\n\r\nGET /echo HTTP/1.1\r\nHost: h\r\n\r\n",
                 cases[i].head);
        ask(*state, request, text, sizeof text);
        /* Some of these libmicrohttpd refuses itself, each version others, with a page of its own. */
        const bool said = strstr(text, "text/html") || strstr(text, cases[i].said);
        if (strncmp(text, "HTTP/1.1 400", 12) != 0 || strstr(text + 1, "HTTP/1.1") || !said)
            fail_msg("%s is answered\n%s", request, text);
    }
    assert_int_equal(((struct site *)*state)->handled, 0);
}

/* libmicrohttpd answers these itself; 0.9 then hands them on without their bodies. */
static void server_handles_no_request_of_a_length_that_is_none(void **state) {
    static const char *const lengths[] = {"5x", "", "-5", "+5", "5, 5", "0x5", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char text[4096], request[1024];
        snprintf(request, sizeof request, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: %s\r\n\r\nhello",
                 lengths[i]);
        ask(*state, request, text, sizeof text);
        if (strncmp(text, "HTTP/1.1 4", 10) != 0 || strstr(text, " 200 "))
            fail_msg("%s is answered\n%s", request, text);
    }
    assert_int_equal(((struct site *)*state)->handled, 0);
}

static void server_refuses_chunks_of_http_1_0(void **state) {
    char text[4096];
    ask(*state, "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", text, sizeof text);
    assert_non_null(strstr(text, " 400 "));
}

static void server_takes_what_clients_may_send(void **state) {
    char text[4096];
    ask(*state, "GET /echo?q=old HTTP/1.0\r\n\r\n", text, sizeof text); /* a probe by hand: no Host in HTTP/1.0 */
    assert_non_null(strstr(text, "GET|old"));
    ask(*state,
        "POST /echo HTTP/1.1\r\nhost: [::1]:8080\r\nX-Test: a\r\nAccept: a\r\nAccept: b\r\nX-!#$%&'*+.^_`|~9:\r\n"
        "TRANSFER-ENCODING: Chunked\r\nConnection: close\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        text, sizeof text);
    assert_non_null(strstr(text, "POST||a|127.0.0.1|hi"));
}

static void server_answers_pipelined_requests_in_order(void **state) {
    char text[8192];
    ask(*state,
        "GET /echo?q=first HTTP/1.1\r\nHost: h\r\n\r\nGET /late?name=second HTTP/1.1\r\nHost: h\r\n\r\n"
        "GET /echo?q=third HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        text, sizeof text);
    const char *first = strstr(text, "GET|first"), *second = strstr(text, "late second"),
               *third = strstr(text, "GET|third");
    assert_true(first && second && third && first < second && second < third);
}

static void server_sends_an_answer_that_comes_later(void **state) {
    struct site *site = *state;
    char text[4096];
    site->late_delay_ms = 50;
    ask(site, "GET /late?name=Bo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", text, sizeof text);
    assert_non_null(strstr(text, "HTTP/1.1 201"));
    assert_non_null(strstr(text, "late Bo"));
}

/* The answer races the handler's return: many times, with no delay. */
static void server_survives_an_answer_quicker_than_the_handler(void **state) {
    struct site *site = *state;
    char text[4096];
    const int fd = dial(site);
    const char *request = "GET /late?name=Bo HTTP/1.1\r\nHost: h\r\n\r\n";
    for (int i = 0; i < 300; i++) {
        say(fd, request, strlen(request));
        hear(fd, text, sizeof text, "late Bo");
        assert_non_null(strstr(text, "HTTP/1.1 201"));
        pthread_join(site->late_thread, NULL);
        site->late_started = false;
    }
    close(fd);
}

static void server_answers_500_for_a_silent_handler(void **state) {
    char text[4096];
    ask(*state, "GET /silent HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", text, sizeof text);
    assert_non_null(strstr(text, "HTTP/1.1 500"));
}

static struct http_stream *stream_of(struct site *site) {
    for (int i = 0; i < 6000; i++) {
        pthread_mutex_lock(&site->lock);
        struct http_stream *stream = site->stream;
        pthread_mutex_unlock(&site->lock);
        if (stream) return stream;
        pause_ms(10);
    }
    fail_msg("no stream was begun");
    return NULL;
}

static void stream_sends_pieces_as_they_come_and_ends(void **state) {
    struct site *site = *state;
    char text[65536];
    const int fd = dial(site);
    const char *request = "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n";
    say(fd, request, strlen(request));
    hear(fd, text, sizeof text, "\r\n\r\n"); /* headers come before the first piece */
    assert_non_null(strstr(text, "Content-Type: text/event-stream"));
    struct http_stream *stream = stream_of(site);
    for (int i = 0; i < 200; i++) {
        char piece[32];
        const int size = snprintf(piece, sizeof piece, "<piece %d>", i);
        assert_int_equal(http_stream_send(stream, slice_of(piece, (size_t)size), NULL), FAULT_NONE);
        hear(fd, text, sizeof text, piece);
        assert_non_null(strstr(text, piece));
    }
    site->stream = http_stream_end(stream);
    hear(fd, text, sizeof text, "0\r\n\r\n");
    assert_non_null(strstr(text, "0\r\n\r\n"));
    close(fd);
}

static void stream_says_when_the_peer_does_not_read_and_when_it_has_gone(void **state) {
    struct site *site = *state;
    char text[4096];
    const int fd = dial(site);
    const char *request = "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n";
    say(fd, request, strlen(request));
    hear(fd, text, sizeof text, "\r\n\r\n");
    struct http_stream *stream = stream_of(site);
    char piece[512];
    memset(piece, 'x', sizeof piece);
    struct fault fault;
    fault_code code = FAULT_NONE;
    for (int i = 0; i < 1000000 && !code; i++) code = http_stream_send(stream, slice_of(piece, sizeof piece), &fault);
    assert_int_equal(code, FAULT_AGAIN);
    assert_non_null(strstr(fault.text, "does not read"));
    close(fd);
    for (int i = 0; i < 6000 && code == FAULT_AGAIN; i++) {
        pause_ms(10);
        code = http_stream_send(stream, slice_of(piece, sizeof piece), &fault);
        if (!code) code = FAULT_AGAIN;
    }
    assert_int_equal(code, FAULT_ABSENT);
}

static void closing_answers_kept_exchanges_503_and_bears_the_late_answer(void **state) {
    struct site *site = *state;
    char text[4096];
    const int fd = dial(site);
    const char *request = "GET /never HTTP/1.1\r\nHost: h\r\n\r\n";
    say(fd, request, strlen(request));
    struct http_exchange *kept = NULL;
    for (int i = 0; i < 6000 && !kept; i++) {
        pause_ms(5);
        pthread_mutex_lock(&site->lock);
        kept = site->late;
        pthread_mutex_unlock(&site->lock);
    }
    assert_non_null(kept);
    site->server = http_server_close(site->server);
    hear(fd, text, sizeof text, "");
    close(fd);
    if (*text) assert_non_null(strstr(text, "HTTP/1.1 503"));
    http_exchange_answer(kept,
                         &(struct http_answer){.status = 200, .body = SLICE_LIT("too late"), .body_static = true});
}

static void closing_ends_streams(void **state) {
    struct site *site = *state;
    char text[4096];
    const int fd = dial(site);
    const char *request = "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n";
    say(fd, request, strlen(request));
    hear(fd, text, sizeof text, "\r\n\r\n");
    struct http_stream *stream = stream_of(site);
    site->server = http_server_close(site->server);
    close(fd);
    assert_int_equal(http_stream_send(stream, SLICE_LIT("x"), NULL), FAULT_ABSENT);
}

static void open_says_what_is_wrong_with_the_address(void **state) {
    struct site *site = *state;
    struct http_server *second = NULL;
    struct fault fault;
    struct http_server_settings settings = {.address = "127.0.0.1",
                                            .port = http_server_port(site->server),
                                            .threads = 1,
                                            .connections_max = 4,
                                            .body_bytes_max = 100,
                                            .idle_timeout_ms = 1000};
    assert_int_equal(http_server_open(&settings, on_exchange, site, &second, &fault), FAULT_SYSTEM);
    assert_non_null(strstr(fault.text, "another program has it"));
    settings.address = "localhost";
    assert_int_equal(http_server_open(&settings, on_exchange, site, &second, &fault), FAULT_INPUT);
    settings = (struct http_server_settings){.address = "127.0.0.1",
                                             .threads = 1,
                                             .connections_max = 4,
                                             .body_bytes_max = 100,
                                             .idle_timeout_ms = 1000,
                                             .certificate_path = "LICENSE",
                                             .key_path = "LICENSE"};
    assert_int_not_equal(http_server_open(&settings, on_exchange, site, &second, &fault), FAULT_NONE);
    settings.certificate_path = "no/such/file";
    assert_int_equal(http_server_open(&settings, on_exchange, site, &second, &fault), FAULT_SYSTEM);
    assert_non_null(strstr(fault.text, "no/such/file"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(server_gives_the_handler_the_whole_request),
        TEST(server_reads_chunked_bodies),
        TEST(server_answers_head_without_a_body),
        TEST(server_refuses_a_body_over_the_bound_before_it_comes),
        TEST(server_refuses_a_chunked_body_over_the_bound),
        TEST(server_takes_a_body_of_exactly_the_bound),
        TEST(server_refuses_a_request_whose_end_or_sender_is_in_doubt),
        TEST(server_handles_no_request_of_a_length_that_is_none),
        TEST(server_refuses_chunks_of_http_1_0),
        TEST(server_takes_what_clients_may_send),
        TEST(server_answers_pipelined_requests_in_order),
        TEST(server_sends_an_answer_that_comes_later),
        TEST(server_survives_an_answer_quicker_than_the_handler),
        TEST(server_answers_500_for_a_silent_handler),
        TEST(stream_sends_pieces_as_they_come_and_ends),
        TEST(stream_says_when_the_peer_does_not_read_and_when_it_has_gone),
        TEST(closing_answers_kept_exchanges_503_and_bears_the_late_answer),
        TEST(closing_ends_streams),
        TEST(open_says_what_is_wrong_with_the_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
