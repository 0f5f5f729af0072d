/* SPDX-License-Identifier: Apache-2.0
 * One way for every procedure: token, role, codec, body, validation, handler, answer. What differs lies in the method
 * table (generated) and in the handlers' rows. A method of the contract without a row answers "unimplemented", so that
 * a client learns the difference between what is not there yet and what it got wrong. */
#include "aggregator/api/rpc.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/limits.h"

static const int counted_statuses[] = {200, 400, 401, 403, 404, 405, 409, 413, 415, 429, 499, 500, 501, 503, 504};
enum { STATUSES = sizeof counted_statuses / sizeof *counted_statuses };

struct rpc {
    struct rpc_parts parts;
    rpc_handler_fn **handlers; /* by the method's place in methods_table */
    size_t *metric_groups;     /* by the method's place: its row of STATUSES counters; the last is "other" */
    size_t groups_count;
    struct arena *labels; /* what the metric rows point to */
    struct metric_table *requests, *durations;
    atomic_size_t kept; /* calls that another thread will answer */
};

static const struct handlers {
    const struct rpc_handler *rows;
    const size_t *count;
} handler_tables[] = {{rpc_command_handlers, &rpc_command_handlers_count},
                      {rpc_aggregate_handlers, &rpc_aggregate_handlers_count},
                      {rpc_query_handlers, &rpc_query_handlers_count},
                      {rpc_log_handlers, &rpc_log_handlers_count},
                      {rpc_enrolment_handlers, &rpc_enrolment_handlers_count},
                      {rpc_agent_handlers, &rpc_agent_handlers_count},
                      {rpc_diagnostics_handlers, &rpc_diagnostics_handlers_count}};

static fault_code add_metrics(struct rpc *rpc, struct fault *reterr) {
    const size_t groups = rpc->groups_count;
    struct metric_row *requests = arena_alloc_array(rpc->labels, groups * STATUSES, sizeof *requests);
    struct metric_row *durations = arena_alloc_array(rpc->labels, groups, sizeof *durations);
    if (!requests || !durations) return fault_set(reterr, FAULT_SYSTEM, "start the API: no memory for its metrics");
    size_t group = 0;
    for (size_t m = 0; m <= methods_count; m++) {
        const bool other = m == methods_count;
        if (!other && !rpc->handlers[m]) {
            rpc->metric_groups[m] = groups - 1;
            continue;
        }
        const char *service = other ? "other" : methods_table[m].service;
        for (const char *dot = service; !other && (dot = strchr(dot, '.'));) service = ++dot;
        for (size_t s = 0; s < STATUSES; s++) {
            const slice labels = arena_format(rpc->labels, "method=\"%s%s%s\",code=\"%d\"", service, other ? "" : "/",
                                              other ? "" : methods_table[m].name, counted_statuses[s]);
            requests[group * STATUSES + s] = (struct metric_row){METRIC_COUNTER,
                                                                 "picket_http_requests_total",
                                                                 (const char *)labels.data,
                                                                 "Requests answered over HTTP, by method and status.",
                                                                 0,
                                                                 NULL,
                                                                 0};
        }
        const slice labels = arena_format(rpc->labels, "method=\"%s%s%s\"", service, other ? "" : "/",
                                          other ? "" : methods_table[m].name);
        durations[group] = (struct metric_row){METRIC_HISTOGRAM,
                                               "picket_http_request_duration_seconds",
                                               (const char *)labels.data,
                                               "From the whole request to its answer, commit included.",
                                               0,
                                               NULL,
                                               0};
        rpc->metric_groups[m] = group++;
    }
    const fault_code code = metrics_add(rpc->parts.metrics, requests, groups * STATUSES, &rpc->requests, reterr);
    return code ? code : metrics_add(rpc->parts.metrics, durations, groups, &rpc->durations, reterr);
}

fault_code rpc_new(const struct rpc_parts *parts, struct rpc **ret_rpc, struct fault *reterr) {
    struct rpc *rpc = calloc(1, sizeof *rpc);
    if (!rpc) return fault_set(reterr, FAULT_SYSTEM, "start the API: no memory");
    rpc->parts = *parts;
    rpc->handlers = calloc(methods_count, sizeof *rpc->handlers);
    rpc->metric_groups = calloc(methods_count + 1, sizeof *rpc->metric_groups);
    rpc->labels = arena_new(64 * 1024, 4 * 1024 * 1024);
    if (!rpc->handlers || !rpc->metric_groups || !rpc->labels) {
        rpc_free(rpc);
        return fault_set(reterr, FAULT_SYSTEM, "start the API: no memory");
    }
    rpc->groups_count = 1;
    for (size_t t = 0; t < sizeof handler_tables / sizeof *handler_tables; t++)
        for (size_t i = 0; i < *handler_tables[t].count; i++) {
            const struct rpc_handler *row = &handler_tables[t].rows[i];
            const struct method_desc *method = method_find(slice_from_text(row->path));
            if (!method) {
                rpc_free(rpc);
                return fault_set(reterr, FAULT_CORRUPT, "start the API: the contract has no method '%s'", row->path);
            }
            rpc->handlers[method - methods_table] = row->handle;
            rpc->groups_count++;
        }
    const fault_code code = parts->metrics ? add_metrics(rpc, reterr) : FAULT_NONE;
    if (code) {
        rpc_free(rpc);
        return code;
    }
    *ret_rpc = rpc;
    return FAULT_NONE;
}

struct rpc *rpc_free(struct rpc *rpc) {
    if (!rpc) return NULL;
    while (atomic_load(&rpc->kept))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); /* the journal answers all */
    if (rpc->parts.metrics) {
        metrics_remove(rpc->parts.metrics, rpc->requests);
        metrics_remove(rpc->parts.metrics, rpc->durations);
    }
    arena_free(rpc->labels);
    free(rpc->handlers);
    free(rpc->metric_groups);
    free(rpc);
    return NULL;
}

static void count(struct rpc *rpc, size_t method_index, int status, int64_t begun_ns) {
    const size_t group = rpc->metric_groups[method_index];
    for (size_t s = 0; s < STATUSES; s++)
        if (counted_statuses[s] == status) {
            metric_count(rpc->requests, group * STATUSES + s, 1);
            break;
        }
    if (begun_ns) metric_observe(rpc->durations, group, (double)(clock_monotonic_ns() - begun_ns) * 1e-9);
}

void rpc_count_other(struct rpc *rpc, int status) {
    count(rpc, methods_count, status, 0);
}

/* retry_after_s 0: a second where a try may help at all. */
static void send_error(struct http_exchange *exchange, enum connect_code code, int status, int64_t retry_after_s,
                       const char *message) {
    static const char *const challenge[] = {"WWW-Authenticate: Bearer realm=\"picket\"", NULL};
    static const char *const post[] = {"Allow: POST", NULL};
    static const char *const accept[] = {"Accept-Post: application/json, application/proto", NULL};
    char later[48];
    snprintf(later, sizeof later, "Retry-After: %" PRId64, retry_after_s ? retry_after_s : 1);
    const char *const again[] = {later, NULL};
    const bool is_later = status == 503 || status == 429;
    http_exchange_answer(exchange, &(struct http_answer){.status = status,
                                                         .content_type = "application/json",
                                                         .body = connect_error_body(code, slice_from_text(message),
                                                                                    http_exchange_arena(exchange)),
                                                         .body_static = true,
                                                         .headers = code == CONNECT_UNAUTHENTICATED ? challenge
                                                                    : is_later                      ? again
                                                                    : status == 405                 ? post
                                                                    : status == 415                 ? accept
                                                                                                    : NULL});
}

void rpc_refuse(struct rpc *rpc, struct http_exchange *exchange, enum connect_code code, const char *message) {
    rpc_count_other(rpc, connect_code_status(code));
    send_error(exchange, code, connect_code_status(code), 0, message);
}

void rpc_refuse_path(struct rpc *rpc, struct http_exchange *exchange) {
    rpc_count_other(rpc, 404);
    send_error(exchange, CONNECT_UNIMPLEMENTED, 404, 0,
               "there is no such procedure: procedures are at /<package>.<Service>/<Method>, see /openapi.json");
}

bool rpc_keep(struct rpc_call *call) {
    call->kept = true; /* before another thread may answer */
    atomic_fetch_add(&call->rpc->kept, 1);
    if (http_exchange_keep(call->exchange)) return true;
    atomic_fetch_sub(&call->rpc->kept, 1);
    return false;
}

static void fail_status(struct rpc_call *call, enum connect_code code, int status, const char *message) {
    struct rpc *rpc = call->rpc;
    const bool kept = call->kept; /* the call may be gone when it is answered */
    count(rpc, call->method_index, status, call->begun_ns);
    send_error(call->exchange, code, status, 0, message);
    if (kept) atomic_fetch_sub(&rpc->kept, 1);
}

void rpc_fail(struct rpc_call *call, enum connect_code code, const char *message) {
    fail_status(call, code, connect_code_status(code), message);
}

/* An answer that is too large stays so however long one waits. */
static void fail_answer(struct rpc_call *call, fault_code code, struct fault *fault) {
    (void)fault_wrap(fault, "write the answer");
    rpc_fail(call, code == FAULT_LIMIT ? CONNECT_OUT_OF_RANGE : connect_code_of(code), fault->text);
}

static void answer_body(struct rpc_call *call, slice body) {
    struct rpc *rpc = call->rpc;
    const bool kept = call->kept; /* the call may be gone when it is answered */
    count(rpc, call->method_index, 200, call->begun_ns);
    http_exchange_answer(call->exchange,
                         &(struct http_answer){.status = 200,
                                               .body = body,
                                               .body_static = true,
                                               .content_type = call->json ? "application/json" : "application/proto"});
    if (kept) atomic_fetch_sub(&rpc->kept, 1);
}

void rpc_answer_bytes(struct rpc_call *call, slice bytes) {
    struct fault fault;
    if (!call->json) {
        answer_body(call, bytes);
        return;
    }
    void *response = arena_alloc(call->arena, message_size(call->method->response));
    fault_code code = response ? codec_decode_protobuf(call->method->response, bytes, call->arena, response, &fault)
                               : fault_set(&fault, FAULT_LIMIT, "the answer needs more memory than a request may use");
    if (code) {
        fail_answer(call, code, &fault);
        return;
    }
    rpc_answer(call, response);
}

void rpc_answer(struct rpc_call *call, const void *response) {
    struct fault fault;
    slice body;
    const fault_code code = call->json
                                ? codec_encode_json(call->method->response, response, false, call->arena, &body, &fault)
                                : codec_encode_protobuf(call->method->response, response, call->arena, &body, &fault);
    if (code) {
        fail_answer(call, code, &fault);
        return;
    }
    answer_body(call, body);
}

bool rpc_authorize(struct rpc *rpc, struct http_exchange *exchange, enum method_role role,
                   struct token_owner *ret_owner) {
    struct callers_refusal refusal;
    if (callers_admit(rpc->parts.callers, exchange, role, ret_owner, &refusal)) return true;
    rpc_count_other(rpc, connect_code_status(refusal.code));
    send_error(exchange, refusal.code, connect_code_status(refusal.code), refusal.retry_after_s, refusal.fault.text);
    return false;
}

static bool media_type_is(slice header, const char *type) {
    const size_t size = strlen(type);
    if (header.size < size || strncasecmp((const char *)header.data, type, size) != 0) return false;
    return header.size == size || header.data[size] == ';' || header.data[size] == ' ';
}

/* The message's bytes and codec, from a body or a query; false when the call has been answered. */
static bool read_message(struct rpc_call *call, slice *ret_bytes) {
    struct http_exchange *exchange = call->exchange;
    const slice verb = http_exchange_method(exchange);
    const bool get = slice_equal_text(verb, "GET") || slice_equal_text(verb, "HEAD");
    call->json = true;
    if (get && !call->method->no_side_effects) {
        fail_status(call, CONNECT_UNIMPLEMENTED, 405, "this method has effects: use POST");
        return false;
    }
    if (!get && !slice_equal_text(verb, "POST")) {
        fail_status(call, CONNECT_UNIMPLEMENTED, 405, "use POST, or GET for methods without side effects");
        return false;
    }
    const slice compression =
        get ? http_exchange_query(exchange, "compression") : http_exchange_header(exchange, "Content-Encoding");
    if (compression.size && !slice_equal_text(compression, "identity")) {
        rpc_fail(call, CONNECT_UNIMPLEMENTED, "compressed requests are not taken: send it as it is");
        return false;
    }
    const slice version =
        get ? http_exchange_query(exchange, "connect") : http_exchange_header(exchange, "Connect-Protocol-Version");
    if (version.size && !slice_equal_text(version, get ? "v1" : "1")) {
        rpc_fail(call, CONNECT_INVALID_ARGUMENT, "this server speaks version 1 of the Connect protocol");
        return false;
    }
    if (get) {
        const slice encoding = http_exchange_query(exchange, "encoding"),
                    message = http_exchange_query(exchange, "message");
        call->json = encoding.size == 0 || slice_equal_text(encoding, "json");
        if (!call->json && !slice_equal_text(encoding, "proto")) {
            fail_status(call, CONNECT_UNKNOWN, 415, "encoding: json or proto");
            return false;
        }
        *ret_bytes = message;
        if (slice_equal_text(http_exchange_query(exchange, "base64"), "1") && message.size) {
            *ret_bytes = connect_base64(message, call->arena);
            if (!ret_bytes->data) {
                rpc_fail(call, CONNECT_INVALID_ARGUMENT, "message: is not base64");
                return false;
            }
        }
    } else {
        const slice type = http_exchange_header(exchange, "Content-Type");
        call->json = media_type_is(type, "application/json");
        if (!call->json && !media_type_is(type, "application/proto")) {
            fail_status(call, CONNECT_UNKNOWN, 415, "Content-Type: application/json or application/proto is needed");
            return false;
        }
        *ret_bytes = http_exchange_body(exchange);
    }
    if (call->json && !ret_bytes->size) *ret_bytes = SLICE_LIT("{}");
    return true;
}

static bool read_deadline(struct rpc_call *call) {
    const slice header = http_exchange_header(call->exchange, "Connect-Timeout-Ms");
    if (!header.size) return true;
    int64_t timeout_ms;
    if (!connect_timeout_parse(header, &timeout_ms)) {
        rpc_fail(call, CONNECT_INVALID_ARGUMENT, "Connect-Timeout-Ms: up to ten digits are needed");
        return false;
    }
    call->deadline_ms =
        clock_monotonic_ms() + (timeout_ms < LIMIT_OUTSIDE_CALL_MS ? timeout_ms : LIMIT_OUTSIDE_CALL_MS);
    if (timeout_ms == 0) rpc_fail(call, CONNECT_DEADLINE_EXCEEDED, "the request allowed no time at all");
    return timeout_ms > 0;
}

static void run_handler(struct rpc_call *call, rpc_handler_fn *handle, slice bytes) {
    struct fault fault;
    void *request = arena_alloc(call->arena, message_size(call->method->request));
    void *response = arena_alloc(call->arena, message_size(call->method->response));
    if (!request || !response) {
        fail_status(call, CONNECT_RESOURCE_EXHAUSTED, 413, "the request needs more memory than one may use");
        return;
    }
    fault_code code = call->json ? codec_decode_json(call->method->request, bytes, false, call->arena, request, &fault)
                                 : codec_decode_protobuf(call->method->request, bytes, call->arena, request, &fault);
    if (code == FAULT_LIMIT) {
        (void)fault_wrap(&fault, "the request needs more memory than one may use");
        fail_status(call, CONNECT_RESOURCE_EXHAUSTED, 413, fault.text);
        return;
    }
    if (!code && call->method_index < methods_count) code = codec_validate(call->method->request, request, &fault);
    if (!code) {
        call->request = request;
        code = handle(call, response, &fault);
        if (call->kept) return; /* the call may be answered and gone by now: only the flag, set before, is read */
    }
    if (!code && call->deadline_ms && clock_monotonic_ms() > call->deadline_ms)
        code = fault_set(&fault, FAULT_TIMEOUT, "the answer was not ready in the time that the request allowed");
    if (code)
        rpc_fail(call, connect_code_of(code), fault.text);
    else
        rpc_answer(call, response);
}

fault_code rpc_serve(struct rpc *rpc, struct http_exchange *exchange) {
    const slice path = http_exchange_path(exchange);
    const struct method_desc *method = method_find(path);
    const struct rpc_route *route = NULL;
    if (!method && slice_equal_text(path, rpc_intent_route.method.path)) {
        route = &rpc_intent_route;
        method = &route->method;
    }
    if (!method) return FAULT_ABSENT;
    struct rpc_call *call = arena_alloc(http_exchange_arena(exchange), sizeof *call);
    if (!call) {
        rpc_refuse(rpc, exchange, CONNECT_RESOURCE_EXHAUSTED, "the request needs more memory than one may use");
        return FAULT_NONE;
    }
    *call = (struct rpc_call){.rpc = rpc,
                              .parts = &rpc->parts,
                              .exchange = exchange,
                              .arena = http_exchange_arena(exchange),
                              .method = method,
                              .method_index = route ? methods_count : (size_t)(method - methods_table),
                              .begun_ns = clock_monotonic_ns()};
    struct callers_refusal refusal;
    if (method->role == ROLE_STRANGER
            ? !callers_admit_stranger(rpc->parts.callers, exchange, &refusal)
            : !callers_admit(rpc->parts.callers, exchange, method->role, &call->caller, &refusal)) {
        const int status = connect_code_status(refusal.code);
        count(rpc, call->method_index, status, call->begun_ns);
        send_error(exchange, refusal.code, status, refusal.retry_after_s, refusal.fault.text);
        return FAULT_NONE;
    }
    rpc_handler_fn *handle = route ? route->handle : rpc->handlers[call->method_index];
    if (!handle) {
        struct fault fault;
        fault_set(&fault, FAULT_ABSENT,
                  "%s is in the contract, but version %s of picket-aggregator does not serve it yet", method->name,
                  PICKET_VERSION);
        rpc_fail(call, CONNECT_UNIMPLEMENTED, fault.text);
        return FAULT_NONE;
    }
    slice bytes;
    if (read_message(call, &bytes) && read_deadline(call)) run_handler(call, handle, bytes);
    return FAULT_NONE;
}
