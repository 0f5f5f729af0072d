/* SPDX-License-Identifier: Apache-2.0
 * /healthz asks whether the loop still turns (restart the process when it does not), /readyz whether the agent does its
 * job (do not: the broker being away is no reason to restart). */
#include "agent/show/pages.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/net/http_server.h"

enum {
    READY_BYTES = 4096,
    LOOP_SILENT_MS = 30 * 1000,
    CONNECTIONS_MAX = 16,
    BODY_BYTES_MAX = 1024,
    IDLE_MS = 30 * 1000
};

struct pages {
    struct http_server *server;
    struct metrics *metrics;
    _Atomic int64_t beat_ms; /* monotonic */
    pthread_mutex_t lock;    /* guards what follows */
    bool ready;
    char text[READY_BYTES];
};

static void answer(struct http_exchange *exchange, int status, const char *content_type, slice body) {
    http_exchange_answer(exchange, &(struct http_answer){.status = status, .content_type = content_type, .body = body});
}

static void answer_metrics(struct pages *pages, struct http_exchange *exchange) {
    struct fault fault;
    slice text;
    const bool openmetrics = metrics_wants_openmetrics(http_exchange_header(exchange, "Accept"));
    if (metrics_text(pages->metrics, openmetrics, http_exchange_arena(exchange), &text, &fault))
        answer(exchange, 500, "text/plain; charset=utf-8", slice_from_text(fault.text));
    else
        answer(exchange, 200, metrics_content_type(openmetrics), text);
}

static void answer_health(struct pages *pages, struct http_exchange *exchange) {
    char text[128];
    const int64_t silent_ms = clock_monotonic_ms() - atomic_load(&pages->beat_ms);
    const bool alive = silent_ms < LOOP_SILENT_MS;
    snprintf(text, sizeof text, "{\"status\":\"%s\",\"loop_silent_seconds\":%" PRId64 "}\n",
             alive ? "ok" : "loop does not turn", silent_ms / 1000);
    answer(exchange, alive ? 200 : 503, "application/json", slice_from_text(text));
}

static void answer_ready(struct pages *pages, struct http_exchange *exchange) {
    char text[READY_BYTES];
    pthread_mutex_lock(&pages->lock);
    bool ready = pages->ready;
    memcpy(text, pages->text, sizeof text);
    pthread_mutex_unlock(&pages->lock);
    if (clock_monotonic_ms() - atomic_load(&pages->beat_ms) >= LOOP_SILENT_MS) {
        ready = false;
        snprintf(text, sizeof text, "{\"reasons\":[\"the loop does not turn\"],\"ready\":false}\n");
    }
    answer(exchange, ready ? 200 : 503, "application/json", slice_from_text(text));
}

static void on_exchange(void *context, struct http_exchange *exchange) {
    struct pages *const pages = context;
    const slice method = http_exchange_method(exchange), path = http_exchange_path(exchange);
    if (!slice_equal_text(method, "GET") && !slice_equal_text(method, "HEAD"))
        answer(exchange, 405, "text/plain; charset=utf-8", SLICE_LIT("only GET is served here\n"));
    else if (slice_equal_text(path, "/metrics"))
        answer_metrics(pages, exchange);
    else if (slice_equal_text(path, "/healthz"))
        answer_health(pages, exchange);
    else if (slice_equal_text(path, "/readyz"))
        answer_ready(pages, exchange);
    else
        answer(exchange, 404, "text/plain; charset=utf-8", SLICE_LIT("served here: /metrics, /healthz, /readyz\n"));
}

fault_code pages_open(const char *address, uint16_t port, struct metrics *metrics, struct pages **ret_pages,
                      struct fault *reterr) {
    struct pages *pages = calloc(1, sizeof *pages);
    if (!pages) return fault_set(reterr, FAULT_LIMIT, "serve pages: out of memory");
    pages->metrics = metrics;
    pthread_mutex_init(&pages->lock, NULL);
    pages_update(pages, false, "{\"reasons\":[\"starting\"],\"ready\":false}\n");
    const struct http_server_settings settings = {
        .address = address,
        .port = port,
        .threads = 1,
        .connections_max = CONNECTIONS_MAX,
        .body_bytes_max = BODY_BYTES_MAX,
        .idle_timeout_ms = IDLE_MS,
    };
    if (http_server_open(&settings, on_exchange, pages, &pages->server, reterr)) {
        pages_close(pages);
        return fault_wrap(reterr, "serve pages");
    }
    *ret_pages = pages;
    return FAULT_NONE;
}

struct pages *pages_close(struct pages *pages) {
    if (!pages) return NULL;
    if (pages->server) http_server_close(pages->server);
    pthread_mutex_destroy(&pages->lock);
    free(pages);
    return NULL;
}

uint16_t pages_port(const struct pages *pages) {
    return http_server_port(pages->server);
}

void pages_update(struct pages *pages, bool ready, const char *text) {
    atomic_store(&pages->beat_ms, clock_monotonic_ms());
    pthread_mutex_lock(&pages->lock);
    pages->ready = ready;
    snprintf(pages->text, sizeof pages->text, "%s", text);
    pthread_mutex_unlock(&pages->lock);
}
