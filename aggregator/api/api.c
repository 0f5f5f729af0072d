/* SPDX-License-Identifier: Apache-2.0
 * Paths to answers. Procedures come first, because they are nearly all that is asked. /metrics, /healthz and /readyz
 * take no token: probes and scrapers have none, and nothing of a tenant is in them. */
#include "aggregator/api/api.h"

#include <stdlib.h>

#include "aggregator/api/events.h"
#include "common/codec/openapi.h"

enum { OPENAPI_BYTES_MAX = 16 * 1024 * 1024 };

struct api {
    struct rpc_parts parts;
    void (*not_ready)(void *context, struct text *reasons);
    void *not_ready_context;
    struct rpc *rpc;
    struct events *events;
    struct http_server *server;
    struct arena *openapi_arena;
    slice openapi;
};

static void on_exchange(void *context, struct http_exchange *exchange);

fault_code api_open(const struct api_settings *settings, const struct rpc_parts *parts, struct api **ret_api,
                    struct fault *reterr) {
    if (!settings->http.certificate_path && !settings->plain_text_anywhere &&
        !text_is_loopback(slice_from_text(settings->http.address)))
        return fault_set(reterr, FAULT_INPUT,
                         "http.address '%s' is reachable from elsewhere and would carry tokens in plain text: set "
                         "http.tls.certificate"
                         " and http.tls.key, or listen on 127.0.0.1, or allow it by http.plain_text: true",
                         settings->http.address);
    struct api *api = calloc(1, sizeof *api);
    if (!api) return fault_set(reterr, FAULT_SYSTEM, "start the API: no memory");
    api->parts = *parts;
    api->not_ready = settings->not_ready;
    api->not_ready_context = settings->not_ready_context;
    fault_code code = FAULT_NONE;
    api->openapi_arena = arena_new(64 * 1024, OPENAPI_BYTES_MAX);
    if (!api->openapi_arena) code = fault_set(reterr, FAULT_SYSTEM, "start the API: no memory");
    if (!code) code = openapi_write(&rpc_intent_route.method, 1, api->openapi_arena, &api->openapi, reterr);
    if (!code) code = rpc_new(parts, &api->rpc, reterr);
    const struct events_settings events = {.journal = parts->journal,
                                           .callers = parts->callers,
                                           .subscribers_max = settings->event_streams_max,
                                           .heartbeat_ms = settings->heartbeat_ms};
    if (!code) code = events_open(&events, &api->events, reterr);
    if (!code) code = http_server_open(&settings->http, on_exchange, api, &api->server, reterr);
    if (code) {
        api_close(api);
        return code;
    }
    *ret_api = api;
    return FAULT_NONE;
}

struct api *api_close(struct api *api) {
    if (!api) return NULL;
    http_server_close(api->server);
    events_close(api->events);
    rpc_free(api->rpc);
    arena_free(api->openapi_arena);
    free(api);
    return NULL;
}

uint16_t api_port(const struct api *api) {
    return http_server_port(api->server);
}

static void answer(struct api *api, struct http_exchange *exchange, int status, const char *content_type, slice body) {
    static const char *const no_store[] = {"Cache-Control: no-store", NULL};
    rpc_count_other(api->rpc, status);
    http_exchange_answer(
        exchange,
        &(struct http_answer){
            .status = status, .content_type = content_type, .body = body, .body_static = true, .headers = no_store});
}

static void serve_metrics(struct api *api, struct http_exchange *exchange) {
    const bool openmetrics = metrics_wants_openmetrics(http_exchange_header(exchange, "Accept"));
    slice text;
    struct fault fault;
    if (!api->parts.metrics ||
        metrics_text(api->parts.metrics, openmetrics, http_exchange_arena(exchange), &text, &fault)) {
        rpc_refuse(api->rpc, exchange, CONNECT_INTERNAL, api->parts.metrics ? fault.text : "no metrics are kept");
        return;
    }
    answer(api, exchange, 200, metrics_content_type(openmetrics), text);
}

static void serve_ready(struct api *api, struct http_exchange *exchange) {
    struct text text = text_begin(http_exchange_arena(exchange));
    if (api->not_ready) api->not_ready(api->not_ready_context, &text);
    slice reasons;
    if (text_end(&text, "the reasons", &reasons, NULL)) reasons = SLICE_LIT("not ready\n");
    answer(api, exchange, reasons.size ? 503 : 200, "text/plain; charset=utf-8",
           reasons.size ? reasons : SLICE_LIT("ready\n"));
}

static void serve_events(struct api *api, struct http_exchange *exchange) {
    struct token_owner owner;
    if (!rpc_authorize(api->rpc, exchange, ROLE_VIEWER, &owner)) return;
    struct fault fault;
    const fault_code code = events_subscribe(api->events, exchange, &owner, &fault);
    if (code)
        rpc_refuse(api->rpc, exchange, connect_code_of(code), fault.text);
    else
        rpc_count_other(api->rpc, 200);
}

static void serve_page(struct api *api, struct http_exchange *exchange, slice path) {
    if (slice_equal_text(path, "/metrics")) {
        serve_metrics(api, exchange);
    } else if (slice_equal_text(path, "/healthz")) {
        answer(api, exchange, 200, "text/plain; charset=utf-8", SLICE_LIT("alive\n"));
    } else if (slice_equal_text(path, "/readyz")) {
        serve_ready(api, exchange);
    } else if (slice_equal_text(path, "/openapi.json")) {
        answer(api, exchange, 200, "application/json", api->openapi);
    } else if (slice_equal_text(path, "/events")) {
        serve_events(api, exchange);
    } else if (slice_equal_text(path, "/")) {
        answer(api, exchange, 200, "text/plain; charset=utf-8",
               SLICE_LIT(
                   "picket-aggregator\n\nThe API is described at /openapi.json. For example, with a token of yours:\n\n"
                   "  curl -H \"Authorization: Bearer $PICKET_TOKEN\" -H 'Content-Type: application/json' -d '{}' \\\n"
                   "    \"$PICKET_URL/ameide_core_proto.sre.core.v1.SLOService/ListSLOs\"\n\n"
                   "Also here: /events (facts as they happen), /metrics, /healthz, /readyz.\n"));
    } else {
        struct fault fault;
        fault_set(&fault, FAULT_ABSENT,
                  "there is nothing at '%.*s': procedures are at /<package>.<Service>/<Method>, see /openapi.json",
                  SLICE_ARG(slice_first(path, 200)));
        rpc_refuse(api->rpc, exchange, CONNECT_NOT_FOUND, fault.text);
    }
}

static void on_exchange(void *context, struct http_exchange *exchange) {
    struct api *api = context;
    if (rpc_serve(api->rpc, exchange) == FAULT_NONE) return;
    const slice method = http_exchange_method(exchange);
    if (slice_equal_text(method, "GET") || slice_equal_text(method, "HEAD"))
        serve_page(api, exchange, http_exchange_path(exchange));
    else
        rpc_refuse_path(api->rpc, exchange);
}
