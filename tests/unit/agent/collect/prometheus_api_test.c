/* SPDX-License-Identifier: Apache-2.0
 * A Prometheus server of our own that knows two instances, and what is said of them when it cannot scrape one, has lost
 * one, or does not answer as it should. */
#include "agent/collect/prometheus/prometheus_api.h"
#include "tests/support/check.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* The time for a round is long enough for any machine, but where a test is about its end. */
enum { INSTANCES = 3, INTERVAL_MS = 200, PATIENCE_MS = 60 * 1000 };
enum up { UP_ABSENT, UP_NOT, UP_YES };
enum mode { MODE_GOOD, MODE_ERROR, MODE_REDIRECT, MODE_ENDLESS, MODE_SILENT, MODE_GARBAGE };

struct server {
    int fd;
    uint16_t port;
    pthread_t thread;
    atomic_int mode, up[INSTANCES], sampled[INSTANCES];
    char query[2][512]; /* the last one of each: of the series, of up */
};

static void answer_good(struct server *server, int fd, bool about_up) {
    char body[2048], head[256];
    size_t size =
        (size_t)snprintf(body, sizeof body, "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[");
    for (int i = 0, n = 0; i < INSTANCES; i++) {
        const int up = atomic_load(&server->up[i]);
        if (about_up ? up == UP_ABSENT : !atomic_load(&server->sampled[i])) continue;
        size += (size_t)snprintf(
            body + size, sizeof body - size,
            "%s{\"metric\":{\"__name__\":\"%s\",\"job\":\"j\",\"instance\":\"i%d\"},\"value\":[1,\"%d\"]}",
            n++ ? "," : "", about_up ? "up" : "r", i, about_up ? up == UP_YES : 100 + i);
    }
    size += (size_t)snprintf(body + size, sizeof body - size, "]}}");
    const int head_size = snprintf(
        head, sizeof head,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", size);
    (void)!send(fd, head, (size_t)head_size, MSG_NOSIGNAL);
    (void)!send(fd, body, size, MSG_NOSIGNAL);
}

static void answer_other(struct server *server, int fd, int mode) {
    static const char *const answers[] = {
        [MODE_ERROR] = "HTTP/1.1 503 No\r\nContent-Length: "
                       "64\r\n\r\n{\"status\":\"error\",\"errorType\":\"timeout\",\"error\":\"too slow here\"}",
        [MODE_REDIRECT] = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        [MODE_GARBAGE] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[[[}}}]{\"",
        [MODE_ENDLESS] =
            "HTTP/1.1 200 OK\r\n\r\n{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":["};
    if (mode == MODE_SILENT) {
        char wait;
        (void)!recv(fd, &wait, 1, 0);
        return;
    }
    (void)!send(fd, answers[mode], strlen(answers[mode]), MSG_NOSIGNAL);
    static const char more[] =
        "{\"metric\":{\"__name__\":\"r\",\"job\":\"j\",\"instance\":\"i0\"},\"value\":[1,\"100\"]},";
    while (mode == MODE_ENDLESS && send(fd, more, sizeof more - 1, MSG_NOSIGNAL) > 0) {
    }
}

static void *server_run(void *context) {
    struct server *const server = context;
    for (;;) {
        const int fd = accept(server->fd, NULL, NULL);
        if (fd < 0) return NULL;
        char request[4096] = "";
        size_t size = 0;
        while (!strstr(request, "&timeout=") && size < sizeof request - 1) {
            const ssize_t got = recv(fd, request + size, sizeof request - 1 - size, 0);
            if (got <= 0) break;
            size += (size_t)got;
            request[size] = '\0';
        }
        const char *const query = strstr(request, "query=");
        const bool about_up = query && strstr(query, "up%7B");
        if (query) snprintf(server->query[about_up], sizeof server->query[0], "%s", query);
        const int mode = atomic_load(&server->mode);
        if (mode == MODE_GOOD)
            answer_good(server, fd, about_up);
        else
            answer_other(server, fd, mode);
        close(fd);
    }
}

/* What the measure would be: members by number, and how the last round ended for each. */
struct watch {
    struct loop *loop;
    unsigned rounds, wanted;
    size_t members;
    struct {
        char name[64];
        bool there, ending, begun, ok;
        unsigned dones, samples;
        char fault[240];
    } all[8];
    bool fresh, stale;
    size_t room;
};

static fault_code on_join(void *context, size_t group, const struct sink_target *target, size_t *ret_number,
                          struct fault *reterr) {
    struct watch *const w = context;
    assert_null(target->url);
    for (size_t i = 0; i < w->members; i++)
        if (slice_equal_text(target->name, w->all[i].name) && w->all[i].there) {
            w->all[i].ending = false;
            *ret_number = i;
            return FAULT_NONE;
        }
    if (w->members == w->room) return fault_set(reterr, FAULT_LIMIT, "full");
    snprintf(w->all[w->members].name, 64, "%.*s", SLICE_ARG(target->name));
    w->all[w->members].there = true;
    *ret_number = w->members++;
    return FAULT_NONE;
}

static void on_ending(void *context, size_t number) {
    ((struct watch *)context)->all[number].ending = true;
}

static void on_leave(void *context, size_t number) {
    ((struct watch *)context)->all[number].there = false;
}

static void on_fresh(void *context, size_t group) {
    ((struct watch *)context)->fresh = true;
}

static void on_stale(void *context, size_t group) {
    ((struct watch *)context)->fresh = false;
    ((struct watch *)context)->stale = true;
}

static bool on_begin(void *context, size_t number, int64_t slot_ms) {
    struct watch *const w = context;
    assert_false(w->all[number].begun);
    w->all[number].begun = true;
    return true;
}

static void on_done(void *context, size_t number, const struct scrape_result *result) {
    struct watch *const w = context;
    assert_true(w->all[number].begun);
    w->all[number].begun = false;
    w->all[number].dones++;
    w->all[number].ok = result->fault.code == FAULT_NONE;
    snprintf(w->all[number].fault, sizeof w->all[number].fault, "%s", result->fault.text);
}

static void on_sample(void *context, uint32_t tag, const struct exposition_sample *sample) {
    struct watch *const w = context;
    assert_int_equal(tag % 10, 3);
    assert_true(w->all[tag / 10].begun);
    assert_int_equal((int)sample->value, 100 + w->all[tag / 10].name[3] - '0');
    w->all[tag / 10].samples++;
}

static uint32_t tag_base(void *context, size_t number) {
    return (uint32_t)number * 10;
}

static bool remembers(void *context, size_t group, slice name) {
    return slice_equal_text(name, "j/i2");
}

struct bench {
    struct server server;
    struct watch watch;
    struct http_client *client;
    struct selector *selector, *up;
    struct selector_index *index;
    struct prometheus_api *api;
    struct loop_timer *timer;
};

static void bench_begin_in(struct bench *b, size_t room, int64_t timeout_ms) {
    struct fault fault;
    static char url[64];
    memset(b, 0, sizeof *b);
    b->server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_int_equal(bind(b->server.fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(b->server.fd, 16), 0);
    getsockname(b->server.fd, (struct sockaddr *)&address, &size);
    assert_int_equal(pthread_create(&b->server.thread, NULL, server_run, &b->server), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", ntohs(address.sin_port));
    b->watch.room = room;
    CHECK_OK(loop_new(&b->watch.loop, &fault));
    CHECK_OK(http_client_new(b->watch.loop, 4, &b->client, &fault));
    CHECK_OK(selector_parse(SLICE_LIT("r"), "", &b->selector, &fault));
    CHECK_OK(selector_parse(SLICE_LIT("up"), "", &b->up, &fault));
    b->index = selector_index_new();
    CHECK_OK(selector_index_add(b->index, b->selector, on_sample, &b->watch, 3, &fault));
    CHECK_OK(selector_index_ready(b->index, &fault));
    const struct target_sink sink = {on_join, on_ending, on_leave, on_fresh, on_stale, &b->watch};
    const struct scrape_callbacks scraped = {on_begin, on_done, &b->watch};
    const struct prometheus_api_parts parts = {.loop = b->watch.loop,
                                               .client = b->client,
                                               .sink = &sink,
                                               .scraped = &scraped,
                                               .index = b->index,
                                               .tag_base = tag_base,
                                               .remembers = remembers,
                                               .context = &b->watch};
    const struct prometheus_api_config config = {.name = SLICE_LIT("main"),
                                                 .url = slice_from_text(url),
                                                 .interval_ms = INTERVAL_MS,
                                                 .timeout_ms = timeout_ms,
                                                 .fresh_ms = 60000,
                                                 .body_bytes_max = 8 << 10,
                                                 .instances_max = 4,
                                                 .up = b->up};
    CHECK_OK(prometheus_api_new(&parts, &config, &b->api, &fault));
    b->timer = loop_timer_new(b->watch.loop, (loop_fn *)loop_stop, b->watch.loop);
    prometheus_api_start(b->api);
}

static void bench_begin(struct bench *b, size_t room) {
    bench_begin_in(b, room, PATIENCE_MS);
}

/* So many rounds from now on, of which the first may have begun already. */
static struct prometheus_api_stats rounds(struct bench *b, uint64_t count) {
    struct prometheus_api_stats stats;
    prometheus_api_stats(b->api, &stats);
    const uint64_t wanted = stats.rounds + count + 1;
    for (int i = 0; stats.rounds < wanted && i < 2 * PATIENCE_MS / 10; i++) {
        loop_timer_set(b->timer, 10);
        loop_run(b->watch.loop);
        prometheus_api_stats(b->api, &stats);
    }
    assert_true(stats.rounds >= wanted);
    return stats;
}

static void bench_end(struct bench *b) {
    prometheus_api_free(b->api);
    for (size_t i = 0; i < b->watch.members; i++) assert_false(b->watch.all[i].begun);
    loop_timer_free(b->timer);
    http_client_free(b->client);
    loop_free(b->watch.loop);
    selector_index_free(b->index);
    selector_free(b->selector);
    selector_free(b->up);
    shutdown(b->server.fd, SHUT_RDWR);
    pthread_join(b->server.thread, NULL);
    close(b->server.fd);
}

static void set(struct bench *b, int instance, enum up up, bool sampled) {
    atomic_store(&b->server.up[instance], up);
    atomic_store(&b->server.sampled[instance], sampled);
}

TEST(each_instance_is_seen_as_the_server_sees_it) {
    struct bench b;
    bench_begin(&b, 8);
    struct watch *const w = &b.watch;
    set(&b, 0, UP_YES, true);
    set(&b, 1, UP_YES, true);
    struct prometheus_api_stats stats = rounds(&b, 2);
    if (stats.fault.code) fail_msg("%s", stats.fault.text);
    assert_int_equal(w->members, 2);
    assert_true(w->fresh && w->all[0].ok && w->all[1].ok && w->all[0].samples >= 2);
    assert_string_equal(w->all[0].name, "j/i0");
    assert_non_null(strstr(b.server.query[0], "query=last_over_time%28r%7B%7D%5B60000ms%5D%29&time="));
    set(&b, 1, UP_NOT, false); /* it cannot be scraped */
    rounds(&b, 1);
    assert_true(w->all[0].ok && !w->all[1].ok && w->all[1].there && !w->all[1].ending);
    assert_non_null(strstr(w->all[1].fault, "could not scrape it"));
    set(&b, 1, UP_ABSENT, false); /* it was taken away */
    rounds(&b, 1);
    assert_true(w->all[1].ending && w->all[1].there && w->all[0].ok && w->fresh);
    set(&b, 1, UP_YES, true); /* and comes back */
    rounds(&b, 1);
    assert_true(!w->all[1].ending && w->all[1].ok);
    assert_int_equal(w->members, 2);
    bench_end(&b);
}

TEST(who_was_there_before_a_restart_and_is_down_is_there_still) {
    struct bench b;
    bench_begin(&b, 8);
    set(&b, 0, UP_YES, true);
    set(&b, 2, UP_NOT, false);
    rounds(&b, 1);
    assert_int_equal(b.watch.members, 2);
    assert_string_equal(b.watch.all[1].name, "j/i2");
    assert_false(b.watch.all[1].ok);
    bench_end(&b);
}

TEST(who_has_no_up_is_seen_by_its_samples) {
    struct bench b;
    bench_begin(&b, 8);
    set(&b, 0, UP_YES, true);
    set(&b, 1, UP_ABSENT, true);
    rounds(&b, 1);
    assert_true(b.watch.all[0].ok && b.watch.all[1].ok && b.watch.fresh);
    set(&b, 1, UP_ABSENT, false);
    rounds(&b, 1);
    assert_true(!b.watch.all[1].ok && b.watch.all[1].there && !b.watch.all[1].ending);
    assert_non_null(strstr(b.watch.all[1].fault, "no fresh sample"));
    bench_end(&b);
}

TEST(a_server_that_scrapes_nobody_says_nothing_of_anybody) {
    struct bench b;
    bench_begin(&b, 8);
    set(&b, 0, UP_YES, true);
    rounds(&b, 1);
    set(&b, 0, UP_ABSENT, false); /* just started: nothing is scraped yet */
    const struct prometheus_api_stats stats = rounds(&b, 1);
    assert_non_null(strstr(stats.fault.text, "scrapes nobody"));
    assert_true(!b.watch.all[0].ok && !b.watch.all[0].ending && b.watch.stale && !b.watch.fresh);
    bench_end(&b);
}

TEST(a_server_that_goes_wrong_is_not_seen_and_says_why) {
    static const struct {
        enum mode mode;
        const char *words;
    } cases[] = {{MODE_ERROR, "503, timeout: too slow here"},
                 {MODE_REDIRECT, "HTTP status 302"},
                 {MODE_ENDLESS, "larger than"},
                 {MODE_SILENT, "not done in"},
                 {MODE_GARBAGE, "JSON"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench b;
        bench_begin_in(&b, 8, cases[i].mode == MODE_SILENT ? INTERVAL_MS : PATIENCE_MS);
        set(&b, 0, UP_YES, true);
        for (int turn = 0; turn < 2; turn++) {
            atomic_store(&b.server.mode, MODE_GOOD);
            for (int tries = 0; tries < 100 && !(b.watch.fresh && b.watch.all[0].ok); tries++) rounds(&b, 1);
            assert_true(b.watch.fresh && b.watch.all[0].ok);
            atomic_store(&b.server.mode, (int)cases[i].mode);
            const struct prometheus_api_stats stats = rounds(&b, 1);
            if (!strstr(stats.fault.text, cases[i].words))
                fail_msg("'%s' does not say '%s'", stats.fault.text, cases[i].words);
            assert_true(!b.watch.fresh && !b.watch.all[0].ok && b.watch.all[0].there && !b.watch.all[0].ending);
        }
        bench_end(&b);
    }
}

TEST(who_finds_no_room_leaves_the_group_unknown) {
    struct bench b;
    bench_begin(&b, 1);
    set(&b, 0, UP_YES, true);
    set(&b, 1, UP_YES, true);
    const struct prometheus_api_stats stats = rounds(&b, 1);
    assert_string_equal(stats.fault.text, "full");
    assert_true(b.watch.all[0].ok && !b.watch.fresh);
    bench_end(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_instance_is_seen_as_the_server_sees_it),
        cmocka_unit_test(who_was_there_before_a_restart_and_is_down_is_there_still),
        cmocka_unit_test(who_has_no_up_is_seen_by_its_samples),
        cmocka_unit_test(a_server_that_scrapes_nobody_says_nothing_of_anybody),
        cmocka_unit_test(a_server_that_goes_wrong_is_not_seen_and_says_why),
        cmocka_unit_test(who_finds_no_room_leaves_the_group_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
