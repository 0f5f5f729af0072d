/* SPDX-License-Identifier: Apache-2.0
 * Scrapes and probes against a server of our own that answers each connection with given bytes, on a real loop. */
#include "agent/collect/probe/probe.h"
#include "agent/collect/prometheus/scrape.h"
#include "agent/window/slot.h"
#include "common/base/clock.h"
#include "tests/support/check.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

struct server {
    int fd;
    uint16_t port;
    pthread_t thread;
    const char *answer; /* NULL: takes the connection and says nothing */
    char asked[4096];   /* the last request */
};

static void *server_run(void *context) {
    struct server *server = context;
    for (;;) {
        const int fd = accept(server->fd, NULL, NULL);
        if (fd < 0) return NULL;
        char request[4096];
        const ssize_t size = recv(fd, request, sizeof request - 1, 0);
        if (size > 0) {
            request[size] = '\0';
            memcpy(server->asked, request, (size_t)size + 1);
        }
        if (server->answer) {
            for (const char *at = server->answer; *at; at += 7) /* in small pieces */
                if (send(fd, at, strnlen(at, 7), MSG_NOSIGNAL) < 0)
                    break;
                else if (strlen(at) <= 7)
                    break;
        } else {
            (void)recv(fd, request, sizeof request, 0); /* until the other side has had enough */
        }
        close(fd);
    }
}

static void server_start(struct server *server, const char *answer) {
    memset(server, 0, sizeof *server);
    server->answer = answer;
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_int_equal(bind(server->fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->fd, 16), 0);
    getsockname(server->fd, (struct sockaddr *)&address, &size);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, server_run, server), 0);
}

static void server_stop(struct server *server) {
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->fd);
}

struct watch {
    bool patient; /* one that timed out, on a machine that stood still, is made again */
    struct loop *loop;
    unsigned begun, done, wanted, samples;
    double value;
    struct scrape_result scrape;
    struct probe_result probe;
    int64_t first_slot_ms, last_slot_ms;
    uint32_t tag_base;
    bool open;
};

static bool on_begin(void *context, size_t target, int64_t slot_ms) {
    struct watch *w = context;
    assert_false(w->open);
    w->open = true;
    if (w->begun++ == 0) w->first_slot_ms = slot_ms;
    w->last_slot_ms = slot_ms;
    return true;
}

static void on_sample(void *context, uint32_t tag, const struct exposition_sample *sample) {
    struct watch *w = context;
    assert_true(w->open);
    if (w->tag_base) assert_int_equal(tag, w->tag_base + 5);
    w->samples++;
    w->value = sample->value;
}

static void ended(struct watch *w, int64_t slot_ms) {
    assert_true(w->open);
    assert_int_equal(slot_ms, w->last_slot_ms);
    w->open = false;
    if (++w->done >= w->wanted) loop_stop(w->loop);
}

static void on_scraped(void *context, size_t target, const struct scrape_result *result) {
    struct watch *w = context;
    w->scrape = *result;
    if (w->patient && result->fault.code == FAULT_TIMEOUT) w->wanted++;
    ended(w, result->slot_ms);
}

static void on_probed(void *context, size_t target, const struct probe_result *result) {
    struct watch *w = context;
    w->probe = *result;
    ended(w, result->slot_ms);
}

enum { INTERVAL_MS = 500, OFFSET_MS = 30, TIMEOUT_MS = 450 };

static struct watch scrape_times(const char *answer, unsigned times, uint64_t bytes_max, char *ret_asked) {
    struct server server;
    server_start(&server, answer);
    struct watch w = {.wanted = times, .patient = answer != NULL};
    struct fault fault;
    struct http_client *client;
    struct scrape *scrape;
    struct selector *selector;
    CHECK_OK(loop_new(&w.loop, &fault));
    CHECK_OK(http_client_new(w.loop, 4, &client, &fault));
    CHECK_OK(selector_parse(SLICE_LIT("up_total"), "", &selector, &fault));
    struct selector_index *index = selector_index_new();
    CHECK_OK(selector_index_add(index, selector, on_sample, &w, 0, &fault));
    CHECK_OK(selector_index_ready(index, &fault));
    const struct scrape_callbacks callbacks = {on_begin, on_scraped, &w};
    CHECK_OK(scrape_new(w.loop, client, &callbacks, &scrape, &fault));
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/metrics", server.port);
    const struct http_auth auth = {.bearer_token = "secret"};
    const struct scrape_target target = {.name = "t",
                                         .url = url,
                                         .interval_ms = INTERVAL_MS,
                                         .offset_ms = OFFSET_MS,
                                         .timeout_ms = TIMEOUT_MS,
                                         .body_bytes_max = bytes_max,
                                         .index = index,
                                         .auth = &auth};
    CHECK_OK(scrape_add(scrape, &target, &fault));
    scrape_start(scrape);
    loop_run(w.loop);
    struct scrape_stats stats;
    scrape_stats(scrape, &stats);
    assert_int_equal(stats.scrapes, w.done);
    assert_int_equal(stats.in_flight, 0);
    scrape_free(scrape);
    http_client_free(client);
    loop_free(w.loop);
    selector_index_free(index);
    selector_free(selector);
    server_stop(&server);
    if (ret_asked) memcpy(ret_asked, server.asked, sizeof server.asked);
    return w;
}

static void fails_with(const char *answer, uint64_t bytes_max, fault_code code, const char *words) {
    const struct watch w = scrape_times(answer, 1, bytes_max, NULL);
    if (w.scrape.fault.code != code || !strstr(w.scrape.fault.text, words))
        fail_msg("'%s' (%s) does not say '%s'", w.scrape.fault.text, fault_code_name(w.scrape.fault.code), words);
    assert_non_null(strstr(w.scrape.fault.text, "target 't'"));
}

#define HEAD(type) "HTTP/1.1 200 OK\r\nContent-Type: " type "\r\nConnection: close\r\n\r\n"

TEST(a_target_is_scraped_at_its_slots) {
    char asked[4096];
    const struct watch w =
        scrape_times(HEAD("text/plain; version=0.0.4") "# HELP x\nup_total{a=\"b\"} 42\nother 1\n", 3, 100000, asked);
    if (w.scrape.fault.code) fail_msg("%s", w.scrape.fault.text);
    assert_int_equal(w.samples, 3);
    assert_true(w.value == 42);
    assert_int_equal(w.scrape.samples, 2);
    assert_int_equal(w.scrape.selected, 1);
    assert_int_equal(w.first_slot_ms % INTERVAL_MS, OFFSET_MS);
    assert_int_equal((w.last_slot_ms - w.first_slot_ms) % INTERVAL_MS, 0);
    assert_true(w.last_slot_ms - w.first_slot_ms >= 2 * INTERVAL_MS);
    assert_non_null(strstr(asked, "GET /metrics"));
    assert_non_null(strstr(asked, "Accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
                                  "application/openmetrics-text;version=0.0.1;q=0.5,"
                                  "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
                                  "text/plain;version=0.0.4;q=0.3,*/*;q=0.2\r\n"));
    assert_non_null(strstr(asked, "X-Prometheus-Scrape-Timeout-Seconds: 0.450\r\n"));
    assert_non_null(strstr(asked, "gzip"));
    assert_non_null(strstr(asked, "Authorization: Bearer secret"));
}

TEST(openmetrics_is_chosen_by_its_type) {
    const struct watch w =
        scrape_times(HEAD("application/openmetrics-text; version=1.0.0") "up_total 7 # {} 1\n# EOF\n", 1, 100000, NULL);
    if (w.scrape.fault.code) fail_msg("%s", w.scrape.fault.text);
    assert_true(w.value == 7);
}

TEST(a_scrape_that_goes_wrong_says_why) {
    fails_with("HTTP/1.1 500 No\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nup_total 1\n\n", 100000,
               FAULT_SYSTEM, "HTTP status 500");
    fails_with("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", 100000, FAULT_SYSTEM, "HTTP status 404");
    fails_with(HEAD("text/html") "<html>", 100000, FAULT_INPUT, "Content-Type 'text/html'");
    fails_with("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nup_total 1\n\n", 100000, FAULT_INPUT, "fallback_format");
    fails_with(HEAD("text/plain") "up_total x\n", 100000, FAULT_INPUT, "line 1, column 10: expected a value");
    fails_with(HEAD("application/openmetrics-text") "up_total 1\n", 100000, FAULT_INPUT, "expected '# EOF'");
    fails_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nup_total 1\n", 100000,
               FAULT_SYSTEM, "connection was lost");
    fails_with(HEAD("text/plain") "up_total 1\nup_total 2\n", 15, FAULT_LIMIT, "larger than");
    fails_with(NULL, 100000, FAULT_TIMEOUT, "not done in 450 ms");
}

TEST(a_page_of_an_error_is_not_taken_for_samples) {
    const struct watch w = scrape_times(
        "HTTP/1.1 503 No\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nup_total 1\n", 1, 100000, NULL);
    assert_int_equal(w.samples, 0);
}

static struct watch probe_once(struct probe_target target) {
    struct watch w = {.wanted = 1};
    struct fault fault;
    struct http_client *client;
    struct probe *probe;
    size_t number;
    CHECK_OK(loop_new(&w.loop, &fault));
    CHECK_OK(http_client_new(w.loop, 4, &client, &fault));
    const struct probe_callbacks callbacks = {on_begin, on_probed, &w};
    CHECK_OK(probe_new(w.loop, client, &callbacks, &probe, &fault));
    target.name = "p", target.interval_ms = 60000, target.offset_ms = (clock_wall_ms() + 100) % 60000,
    target.timeout_ms = target.timeout_ms ? target.timeout_ms : 30000;
    CHECK_OK(probe_add(probe, &target, &number, &fault));
    probe_start(probe);
    loop_run(w.loop);
    probe_free(probe);
    http_client_free(client);
    loop_free(w.loop);
    return w;
}

TEST(an_http_probe_wants_its_status) {
    struct server server;
    server_start(&server, "HTTP/1.1 204 Fine\r\nConnection: close\r\n\r\n");
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", server.port);
    struct watch w = probe_once((struct probe_target){.kind = PROBE_HTTP, .url = url});
    assert_true(w.probe.asked && w.probe.ok && w.probe.status == 204);
    w = probe_once((struct probe_target){.kind = PROBE_HTTP, .url = url, .status_min = 200, .status_max = 200});
    assert_true(w.probe.asked && !w.probe.ok);
    assert_non_null(strstr(w.probe.fault.text, "probe 'p': http://127.0.0.1:"));
    assert_non_null(strstr(w.probe.fault.text, "HTTP status 204; expected 200 to 200"));
    server_stop(&server);
    w = probe_once((struct probe_target){.kind = PROBE_HTTP, .url = url});
    assert_true(w.probe.asked && !w.probe.ok);
}

TEST(a_tcp_probe_wants_a_connection) {
    struct server server;
    server_start(&server, NULL);
    struct watch w = probe_once((struct probe_target){.kind = PROBE_TCP, .host = "127.0.0.1", .port = server.port});
    assert_true(w.probe.asked && w.probe.ok);
    w = probe_once((struct probe_target){.kind = PROBE_TCP, .host = "localhost", .port = server.port});
    if (!w.probe.ok) fail_msg("%s", w.probe.fault.text);
    server_stop(&server);
    w = probe_once((struct probe_target){.kind = PROBE_TCP, .host = "127.0.0.1", .port = server.port});
    assert_true(w.probe.asked && !w.probe.ok);
    assert_non_null(strstr(w.probe.fault.text, "Connection refused"));
    w = probe_once((struct probe_target){.kind = PROBE_TCP, .host = "no-such-name.invalid", .port = 1});
    assert_true(w.probe.asked && !w.probe.ok);
    assert_true(strstr(w.probe.fault.text, "not resolved") ||
                strstr(w.probe.fault.text, "resolving the name took longer"));
}

TEST(stopping_in_the_middle_ends_what_is_in_flight) {
    struct server server;
    server_start(&server, NULL);
    struct watch w = {.wanted = 1000};
    struct fault fault;
    struct http_client *client;
    struct probe *probe;
    size_t number;
    CHECK_OK(loop_new(&w.loop, &fault));
    CHECK_OK(http_client_new(w.loop, 4, &client, &fault));
    const struct probe_callbacks callbacks = {on_begin, on_probed, &w};
    CHECK_OK(probe_new(w.loop, client, &callbacks, &probe, &fault));
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", server.port);
    const struct probe_target target = {
        .name = "p", .kind = PROBE_HTTP, .url = url, .interval_ms = 50, .timeout_ms = 50};
    CHECK_OK(probe_add(probe, &target, &number, &fault));
    probe_start(probe);
    struct loop_timer *timer = loop_timer_new(w.loop, (loop_fn *)loop_stop, w.loop);
    loop_timer_set(timer, 75);
    loop_run(w.loop);
    const unsigned done = w.done;
    const bool open = w.open;
    probe_free(probe);
    assert_int_equal(w.done, done + open);
    assert_false(w.open);
    loop_timer_free(timer);
    http_client_free(client);
    loop_free(w.loop);
    server_stop(&server);
}

TEST(a_target_may_come_and_go_while_others_are_scraped) {
    struct server silent, answers;
    server_start(&silent, NULL);
    server_start(&answers, HEAD("text/plain") "up_total 3\n");
    struct watch w = {.wanted = 1000};
    struct fault fault;
    struct http_client *client;
    struct scrape *scrape;
    struct selector *selector;
    CHECK_OK(loop_new(&w.loop, &fault));
    CHECK_OK(http_client_new(w.loop, 4, &client, &fault));
    CHECK_OK(selector_parse(SLICE_LIT("up_total"), "", &selector, &fault));
    struct selector_index *index = selector_index_new();
    CHECK_OK(selector_index_add(index, selector, on_sample, &w, 5, &fault));
    CHECK_OK(selector_index_ready(index, &fault));
    const struct scrape_callbacks callbacks = {on_begin, on_scraped, &w};
    CHECK_OK(scrape_new(w.loop, client, &callbacks, &scrape, &fault));
    scrape_start(scrape);
    char url[2][64];
    snprintf(url[0], sizeof url[0], "http://127.0.0.1:%u/", silent.port);
    snprintf(url[1], sizeof url[1], "http://127.0.0.1:%u/", answers.port);
    struct scrape_target target = {.name = "one",
                                   .url = url[0],
                                   .interval_ms = 50,
                                   .timeout_ms = 50,
                                   .body_bytes_max = 1000,
                                   .index = index,
                                   .number = 70};
    CHECK_OK(scrape_add(scrape, &target, &fault));
    target.name = "other";
    assert_int_equal(scrape_add(scrape, &target, &fault), FAULT_CONFLICT);
    struct loop_timer *timer = loop_timer_new(w.loop, (loop_fn *)loop_stop, w.loop);
    while (!w.open) { /* in flight */
        loop_timer_set(timer, 5);
        loop_run(w.loop);
    }
    const unsigned done = w.done;
    scrape_remove(scrape, 70);
    assert_false(w.open);
    assert_int_equal(w.done, done + 1);
    assert_int_equal(w.scrape.fault.code, FAULT_AGAIN);
    w.wanted = w.done + 1;
    w.patient = true;
    w.tag_base = target.tag_base = 40;
    target.url = url[1];
    CHECK_OK(scrape_add(scrape, &target, &fault));
    loop_run(w.loop);
    if (w.scrape.fault.code) fail_msg("%s", w.scrape.fault.text);
    assert_int_equal(w.samples, 1);
    scrape_remove(scrape, 70);
    scrape_remove(scrape, 70); /* nobody */
    struct scrape_stats stats;
    scrape_stats(scrape, &stats);
    assert_int_equal(stats.in_flight, 0);
    scrape_free(scrape);
    loop_timer_free(timer);
    http_client_free(client);
    loop_free(w.loop);
    selector_index_free(index);
    selector_free(selector);
    server_stop(&silent);
    server_stop(&answers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_is_scraped_at_its_slots),
        cmocka_unit_test(openmetrics_is_chosen_by_its_type),
        cmocka_unit_test(a_scrape_that_goes_wrong_says_why),
        cmocka_unit_test(a_page_of_an_error_is_not_taken_for_samples),
        cmocka_unit_test(an_http_probe_wants_its_status),
        cmocka_unit_test(a_tcp_probe_wants_a_connection),
        cmocka_unit_test(a_target_may_come_and_go_while_others_are_scraped),
        cmocka_unit_test(stopping_in_the_middle_ends_what_is_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
