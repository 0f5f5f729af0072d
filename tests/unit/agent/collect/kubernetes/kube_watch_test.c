/* SPDX-License-Identifier: Apache-2.0
 * Lists, watches and single requests against a server that follows a script: what is asked for, and what listeners hear.
 * (tests/e2e/test_kubernetes_watch.py has the many ways in which things go wrong.) */
#include "agent/collect/kubernetes/kube_get.h"
#include "agent/collect/kubernetes/kube_watch.h"
#include "common/base/clock.h"
#include "tests/support/check.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#define JSON(body) "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" body
#define POD(name, version) "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"}}"

struct step {
    const char *asked;  /* in the request */
    const char *answer; /* NULL: a watch on which nothing comes */
};

struct server {
    const struct step *steps;
    size_t count, done;
    char wrong[512]; /* the first request that is not the script's */
    int fd, silent_fd;
    uint16_t port;
    pthread_t thread;
    char config[64];
};

static void *server_run(void *context) {
    struct server *server = context;
    for (;;) {
        const int fd = accept(server->fd, NULL, NULL);
        if (fd < 0) return NULL;
        char request[4096];
        size_t size = 0;
        ssize_t got = 1;
        request[0] = '\0';
        while (got > 0 && !strstr(request, "\r\n\r\n")) {
            got = recv(fd, request + size, sizeof request - 1 - size, 0);
            size += got > 0 ? (size_t)got : 0;
            request[size] = '\0';
        }
        const struct step *step = server->done < server->count ? &server->steps[server->done] : NULL;
        if ((!step || !strstr(request, step->asked)) && !server->wrong[0])
            snprintf(server->wrong, sizeof server->wrong, "%s", request);
        const char *answer = step && step->answer ? step->answer : JSON("");
        (void)!send(fd, answer, strlen(answer), MSG_NOSIGNAL);
        __atomic_add_fetch(&server->done, 1, __ATOMIC_SEQ_CST);
        if (step && !step->answer)
            server->silent_fd = fd;
        else
            close(fd);
    }
}

static void server_start(struct server *server, const struct step *steps, size_t count) {
    *server = (struct server){.steps = steps, .count = count, .silent_fd = -1};
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_int_equal(bind(server->fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->fd, 16), 0);
    getsockname(server->fd, (struct sockaddr *)&address, &size);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, server_run, server), 0);
    snprintf(server->config, sizeof server->config, "/tmp/kube_watch_test-XXXXXX");
    const int fd = mkstemp(server->config);
    assert_true(fd >= 0);
    dprintf(fd,
            "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:%d'}}]\n"
            "contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\nusers: [{name: u, user: "
            "{token: t0}}]\n",
            server->port);
    close(fd);
}

static void server_stop(struct server *server) {
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->fd);
    if (server->silent_fd >= 0) close(server->silent_fd);
    unlink(server->config);
    if (server->wrong[0]) fail_msg("after %zu of %zu steps came: %s", server->done, server->count, server->wrong);
}

/* ---- what is heard ---- */

struct heard {
    struct loop *loop;
    struct loop_timer *timer;
    char text[4096], until[64];
    size_t size;
    struct fault why;
};

static void hear(struct heard *heard, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void hear(struct heard *heard, const char *format, ...) {
    va_list args;
    va_start(args, format);
    heard->size += (size_t)vsnprintf(heard->text + heard->size, sizeof heard->text - heard->size, format, args);
    va_end(args);
    assert_true(heard->size < sizeof heard->text);
    if (heard->size >= strlen(heard->until) &&
        strcmp(heard->text + heard->size - strlen(heard->until), heard->until) == 0)
        loop_stop(heard->loop);
}

static void on_begins(void *context, const struct kube_scope *scope, uint8_t round) {
    hear(context, "begins %d; ", round);
}

static void on_object(void *context, const struct kube_object *object) {
    assert_ptr_equal(object->meta, &((const KubePod *)object->message)->metadata);
    hear(context, "%s%.*s/%d; ", object->listed ? "" : "+", SLICE_ARG(object->meta->name), object->round);
}

static void on_deleted(void *context, const struct kube_object *object) {
    hear(context, "-%.*s; ", SLICE_ARG(object->meta->name));
}

static void on_ends(void *context, const struct kube_scope *scope, uint8_t round) {
    hear(context, "ends %d; ", round);
}

static void on_state(void *context, const struct kube_scope *scope, enum kube_watch_state state, int64_t since_ms,
                     const struct fault *why) {
    struct heard *heard = context;
    assert_string_equal(scope->resource->plural, "pods");
    CHECK_SLICE(scope->cluster_id, "c1");
    heard->why = *why;
    hear(heard, "%s; ", kube_watch_state_name(state));
}

static void too_late(void *context) {
    struct heard *heard = context;
    fail_msg("not heard in time: %s, only: %s", heard->until, heard->text);
}

static struct kube_cluster *cluster_open(struct heard *heard, const struct server *server, const char *until) {
    struct fault fault;
    struct kube_cluster *cluster;
    const struct kube_cluster_settings settings = {.cluster_id = SLICE_LIT("c1"),
                                                   .kubeconfig = slice_from_text(server->config),
                                                   .object_bytes_max = 100000,
                                                   .page_size = 2,
                                                   .stall_ms = 60000,
                                                   .stale_ms = strstr(until, "stale") ? 300 : 60000};
    *heard = (struct heard){0};
    snprintf(heard->until, sizeof heard->until, "%s", until);
    CHECK_OK(loop_new(&heard->loop, &fault));
    heard->timer = loop_timer_new(heard->loop, too_late, heard);
    loop_timer_set(heard->timer, 30000);
    CHECK_OK(kube_cluster_open(heard->loop, &settings, &cluster, &fault));
    return cluster;
}

static void cluster_end(struct heard *heard, struct kube_cluster *cluster) {
    (void)kube_cluster_close(cluster);
    (void)loop_timer_free(heard->timer);
    (void)loop_free(heard->loop);
}

static void follow(struct heard *heard, const struct step *steps, size_t count, const char *until) {
    struct server server;
    struct fault fault;
    struct kube_listener *listener;
    server_start(&server, steps, count);
    struct kube_cluster *cluster = cluster_open(heard, &server, until);
    const struct kube_listener_calls calls = {on_begins, on_object, on_deleted, on_ends, on_state, heard};
    CHECK_OK(kube_watch_listen(cluster, KUBE_PODS, &calls, &listener, &fault));
    assert_int_equal(heard->size, 0); /* nothing before it returns */
    loop_run(heard->loop);
    listener = kube_watch_unlisten(listener);
    cluster_end(heard, cluster);
    server_stop(&server);
}

TEST(a_list_is_followed_and_taken_anew_when_its_version_is_gone) {
    static const struct step steps[] = {
        {"GET /api/v1/pods?limit=2 ",
         JSON("{\"metadata\":{\"resourceVersion\":\"10\",\"continue\":\"t/+=\"},\"items\":[" POD("a", "1") "," POD(
             "b", "2") "]}")},
        {"GET /api/v1/pods?limit=2&continue=t%2F%2B%3D ",
         JSON("{\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[" POD("c", "3") "]}")},
        {"&resourceVersion=10 ",
         JSON("{\"type\":\"MODIFIED\",\"object\":" POD("a", "11") "}{\"type\":\"DELETED\",\"object\":" POD(
             "b", "12") "}"
                        "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"15 x\"}}}")},
        {"&resourceVersion=15%20x ", JSON("{\"type\":\"ERROR\",\"object\":{\"code\":410,\"reason\":\"Expired\"}}")},
        {"GET /api/v1/pods?limit=2 ",
         JSON("{\"metadata\":{\"resourceVersion\":\"20\"},\"items\":[" POD("a", "11") "]}")},
        {"&resourceVersion=20 ", JSON("{\"type\":\"ADDED\",\"object\":" POD("d", "21") "}")},
    };
    static struct heard heard;
    follow(&heard, steps, sizeof steps / sizeof *steps, "+d/2; ");
    assert_string_equal(heard.text,
                        "listing; begins 1; a/1; b/1; c/1; ends 1; fresh; +a/1; -b; begins 2; a/2; ends 2; +d/2; ");
}

#define LIST(version, ...) JSON("{\"metadata\":{\"resourceVersion\":\"" version "\"},\"items\":[" __VA_ARGS__ "]}")
#define BOOKMARK(version) "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" version "\"}}}"

TEST(a_server_is_asked_where_it_is_before_a_watch_that_broke_off_goes_on) {
    static const struct step steps[] = {
        {"GET /api/v1/pods?limit=2 ", LIST("100", POD("a", "90"))},
        {"&resourceVersion=100 ", JSON(BOOKMARK("110"))}, /* and at once its end, long before its time */
        {"GET /api/v1/pods?limit=1 ", LIST("110", POD("x", "9"))},
        {"&resourceVersion=110 ", JSON(BOOKMARK("120"))},
        {"GET /api/v1/pods?limit=1 ", LIST("99", POD("x", "9"))}, /* restored from a backup */
        {"GET /api/v1/pods?limit=2 ", LIST("99", POD("b", "9"))},
        {"&resourceVersion=99 ", JSON("{\"type\":\"ADDED\",\"object\":" POD("c", "100") "}")},
    };
    static struct heard heard;
    follow(&heard, steps, sizeof steps / sizeof *steps, "+c/2; ");
    assert_string_equal(heard.text, "listing; begins 1; a/1; ends 1; fresh; begins 2; b/2; ends 2; +c/2; ");
}

TEST(a_watch_whose_versions_go_back_is_over) {
    static const struct step steps[] = {
        {"GET /api/v1/pods?limit=2 ", LIST("100", POD("a", "90"))},
        {"&resourceVersion=100 ", JSON("{\"type\":\"ADDED\",\"object\":" POD("b", "101") "}" BOOKMARK("9"))},
        {"GET /api/v1/pods?limit=2 ", LIST("9", POD("a", "9"))},
        {"&resourceVersion=9 ", JSON("{\"type\":\"MODIFIED\",\"object\":" POD("a", "8") "}")},
        {"GET /api/v1/pods?limit=2 ", LIST("8", POD("a", "8"))},
        {"&resourceVersion=8 ", JSON("{\"type\":\"ADDED\",\"object\":" POD("c", "10") "}")},
    };
    static struct heard heard;
    follow(&heard, steps, sizeof steps / sizeof *steps, "+c/3; ");
    assert_string_equal(
        heard.text,
        "listing; begins 1; a/1; ends 1; fresh; +b/1; begins 2; a/2; ends 2; begins 3; a/3; ends 3; +c/3; ");
}

/* One that numbers otherwise is not listed for ever. */
TEST(versions_that_go_back_again_and_again_have_another_order) {
    struct step steps[10];
    for (size_t i = 0; i < 10; i += 2) {
        steps[i] = (struct step){"GET /api/v1/pods?limit=2 ", LIST("100")};
        steps[i + 1] = (struct step){"&resourceVersion=100 ", JSON(BOOKMARK("9"))};
    }
    steps[9].answer = JSON("{\"type\":\"ADDED\",\"object\":" POD("c", "10") "}");
    static struct heard heard;
    follow(&heard, steps, 10, "+c/5; ");
}

TEST(a_version_that_is_newer_than_the_server_is_listed_anew_at_once) {
    static const struct step steps[] = {
        {"GET /api/v1/pods?limit=2 ", LIST("100", POD("a", "90"))},
        {"&resourceVersion=100 ",
         "HTTP/1.1 504 Gateway Timeout\r\nContent-Type: application/json\r\nRetry-After: 60\r\n"
         "Connection: close\r\n\r\n{\"kind\":\"Status\",\"code\":504,\"reason\":\"Timeout\","
         "\"details\":{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\"}]}}"},
        {"GET /api/v1/pods?limit=2 ", LIST("9", POD("a", "9"))},
        {"&resourceVersion=9 ", JSON("{\"type\":\"ERROR\",\"object\":{\"code\":500,\"message\":\"Timeout: Too large "
                                     "resource version: 9, current: 8\"}}")},
        {"GET /api/v1/pods?limit=2 ", LIST("8", POD("a", "8"))},
        {"&resourceVersion=8 ", NULL},
    };
    static struct heard heard;
    const int64_t begun_ms = clock_monotonic_ms();
    follow(&heard, steps, sizeof steps / sizeof *steps, "ends 3; ");
    assert_string_equal(
        heard.text, "listing; begins 1; a/1; ends 1; listing; begins 2; a/2; ends 2; fresh; begins 3; a/3; ends 3; ");
    assert_true(clock_monotonic_ms() - begun_ms < 20000);
}

#define GONE(version)                                                                                                  \
    {"GET /api/v1/pods?limit=2 ", LIST(version)}, {                                                                    \
        "&resourceVersion=" version " ", JSON("{\"type\":\"ERROR\",\"object\":{\"code\":410,\"reason\":\"Expired\"}}") \
    }

/* Lists that work are no working watch, and the first list anew is the only one without a pause (the next one comes behind
 * `stale`, so that it is no step of the script). */
TEST(a_server_whose_watches_are_all_gone_is_stale) {
    static const struct step steps[] = {GONE("1"), GONE("2")};
    static struct heard heard;
    follow(&heard, steps, sizeof steps / sizeof *steps, "stale; ");
    const char *fresh = strstr(heard.text, "fresh; ");
    assert_true(!fresh || !strstr(fresh + 1, "fresh; "));
}

TEST(a_watch_that_was_gone_again_and_again_goes_on_in_the_end) {
    static const struct step steps[] = {
        GONE("1"),
        GONE("2"),
        {"GET /api/v1/pods?limit=2 ", LIST("3")},
        {"&resourceVersion=3 ", "HTTP/1.1 410 Gone\r\nConnection: close\r\n\r\n"},
        {"GET /api/v1/pods?limit=2 ", LIST("4")},
        {"&resourceVersion=4 ", JSON("{\"type\":\"ADDED\",\"object\":" POD("d", "5") "}")},
    };
    static struct heard heard;
    follow(&heard, steps, sizeof steps / sizeof *steps, "+d/4; ");
    assert_string_equal(
        heard.text, "listing; begins 1; ends 1; fresh; begins 2; ends 2; begins 3; ends 3; begins 4; ends 4; +d/4; ");
}

/* Nothing more than a head has come of the second watch. */
TEST(a_watch_behind_one_that_did_not_hold_is_fresh_once_it_has) {
    static const struct step steps[] = {
        {"GET /api/v1/pods?limit=2 ", LIST("1")},
        {"&resourceVersion=1 ", JSON("{\"type\":\"ERROR\",\"object\":{\"code\":410,\"reason\":\"Expired\"}}")},
        {"GET /api/v1/pods?limit=2 ", "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n"},
        {"GET /api/v1/pods?limit=2 ", LIST("2")},
        {"&resourceVersion=2 ", NULL},
    };
    static struct heard heard;
    follow(&heard, steps, sizeof steps / sizeof *steps, "ends 3; fresh; ");
    assert_string_equal(heard.text, "listing; begins 1; ends 1; fresh; begins 2; denied; begins 3; ends 3; fresh; ");
}

TEST(a_page_that_breaks_off_begins_the_list_again) {
    static const struct step steps[] = {
        {"GET /api/v1/pods?limit=2 ", JSON("{\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[" POD("a", "1"))},
        {"GET /api/v1/pods?limit=2 ",
         JSON("{\"metadata\":{\"resourceVersion\":\"10\",\"continue\":\"x\"},\"items\":[" POD("a", "1") "]}")},
        {"&continue=x ", JSON("{\"metadata\":{\"resourceVersion\":\"10\",\"continue\":\"y\"},\"items\":[")},
        {"GET /api/v1/pods?limit=2 ", JSON("{\"metadata\":{\"resourceVersion\":\"11\"},\"items\":null}")},
        {"&resourceVersion=11 ", NULL},
    };
    static struct heard heard;
    follow(&heard, steps, sizeof steps / sizeof *steps, "fresh; ");
    assert_string_equal(heard.text,
                        "listing; begins 1; a/1; listing; begins 2; a/2; listing; begins 3; ends 3; fresh; ");
}

TEST(what_is_missing_is_said_by_name) {
    static const struct step denied[] = {
        {"Authorization: Bearer t0",
         "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
         "{\"kind\":\"Status\",\"code\":403,\"message\":\"pods is forbidden: User \\\"x\\\" cannot list\"}"}};
    static const struct step absent[] = {
        {"GET /api/v1/pods", "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nno such page"}};
    static struct heard heard;
    follow(&heard, denied, 1, "denied; ");
    assert_string_equal(heard.text, "listing; begins 1; denied; ");
    assert_int_equal(heard.why.code, FAULT_DENIED);
    assert_non_null(strstr(heard.why.text, "list and watch on pods of the API group ''"));
    assert_non_null(strstr(heard.why.text, "User \"x\" cannot list"));
    follow(&heard, absent, 1, "absent; ");
    assert_string_equal(heard.text, "listing; begins 1; begins 2; ends 2; absent; "); /* so that all is swept */
    assert_int_equal(heard.why.code, FAULT_ABSENT);
}

TEST(a_server_that_is_not_there_is_said) {
    static struct heard heard;
    struct server server;
    struct fault fault;
    struct kube_listener *listener;
    server_start(&server, NULL, 0);
    server_stop(&server);
    FILE *config = fopen(server.config, "w");
    fprintf(config,
            "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:%d'}}]\ncontexts: [{name: x, context: {cluster: "
            "c}}]\n"
            "current-context: x\n",
            server.port);
    fclose(config);
    struct kube_cluster *cluster = cluster_open(&heard, &server, "stale; ");
    const struct kube_listener_calls calls = {.state = on_state, .context = &heard};
    CHECK_OK(kube_watch_listen(cluster, KUBE_PODS, &calls, &listener, &fault));
    loop_run(heard.loop);
    unlink(server.config);
    assert_non_null(strstr(heard.why.text, "no connection"));
    cluster_end(&heard, cluster);
}

static void on_get(void *context, const struct kube_get_result *result) {
    struct heard *heard = context;
    heard->why = result->fault;
    hear(heard, "%d %.*s%s; ", result->status, SLICE_ARG(result->body), result->cut ? "..." : "");
}

TEST(single_requests_are_bounded) {
    static const struct step steps[] = {
        {"GET /version ", JSON("0123456789")},
        {"Accept: text/plain\r\n", JSON("0123456789")},
        {"GET /gone ", "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nConnection: "
                       "close\r\n\r\n{\"message\":\"not here\"}"},
    };
    static struct heard heard;
    struct server server;
    struct fault fault;
    server_start(&server, steps, sizeof steps / sizeof *steps);
    struct kube_cluster *cluster = cluster_open(&heard, &server, "; ");
    struct kube_get_request request = {
        .path = "/version", .body_bytes_max = 10, .timeout_ms = 5000, .on_done = on_get, .context = &heard};
    CHECK_OK(kube_get_start(cluster, &request, NULL, &fault));
    loop_run(heard.loop);
    request.accept = "text/plain";
    request.body_bytes_max = 4;
    CHECK_OK(kube_get_start(cluster, &request, NULL, &fault));
    loop_run(heard.loop);
    request.path = "/gone";
    request.body_bytes_max = 1000;
    CHECK_OK(kube_get_start(cluster, &request, NULL, &fault));
    loop_run(heard.loop);
    assert_string_equal(heard.text, "200 0123456789; 200 0123...; 404 {\"message\":\"not here\"}; ");
    assert_int_equal(heard.why.code, FAULT_ABSENT);
    assert_non_null(strstr(heard.why.text, "not here"));

    struct kube_get *get;
    for (size_t i = 0; i < KUBE_GETS_MAX; i++) CHECK_OK(kube_get_start(cluster, &request, &get, &fault));
    CHECK_FAULT(kube_get_start(cluster, &request, NULL, &fault), FAULT_AGAIN);
    kube_get_cancel(get);
    CHECK_OK(kube_get_start(cluster, &request, &get, &fault));
    request.path = "no/slash";
    CHECK_FAULT(kube_get_start(cluster, &request, NULL, &fault), FAULT_INPUT);
    request.body_bytes_max = 0;
    request.path = "/x";
    CHECK_FAULT(kube_get_start(cluster, &request, NULL, &fault), FAULT_LIMIT);
    cluster_end(&heard, cluster); /* with what waits */
    server_stop(&server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_followed_and_taken_anew_when_its_version_is_gone),
        cmocka_unit_test(a_server_is_asked_where_it_is_before_a_watch_that_broke_off_goes_on),
        cmocka_unit_test(a_watch_whose_versions_go_back_is_over),
        cmocka_unit_test(versions_that_go_back_again_and_again_have_another_order),
        cmocka_unit_test(a_version_that_is_newer_than_the_server_is_listed_anew_at_once),
        cmocka_unit_test(a_server_whose_watches_are_all_gone_is_stale),
        cmocka_unit_test(a_watch_that_was_gone_again_and_again_goes_on_in_the_end),
        cmocka_unit_test(a_watch_behind_one_that_did_not_hold_is_fresh_once_it_has),
        cmocka_unit_test(a_page_that_breaks_off_begins_the_list_again),
        cmocka_unit_test(what_is_missing_is_said_by_name),
        cmocka_unit_test(a_server_that_is_not_there_is_said),
        cmocka_unit_test(single_requests_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
