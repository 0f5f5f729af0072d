/* SPDX-License-Identifier: Apache-2.0
 * Remote procedures over HTTP: Connect's unary protocol, POST for all methods and GET for those without side effects,
 * routed, decoded, checked and answered from the contract's tables. Runs on the HTTP server's threads. */
#ifndef PICKET_API_RPC_H
#define PICKET_API_RPC_H

#include "aggregator/api/callers.h"
#include "aggregator/intake/agent_questions.h"
#include "aggregator/api/enrolment.h"
#include "aggregator/intake/agents.h"
#include "aggregator/journal/journal.h"
#include "aggregator/projections/projections.h"

struct rpc;

/* What handlers may use; all outlive the server. */
struct rpc_parts {
    struct journal *journal;
    struct projections *projections;
    struct callers *callers;
    struct metrics *metrics;           /* NULL: nothing is counted */
    struct agents *agents;             /* NULL: none are known */
    struct agent_questions *questions; /* NULL: none are asked */
    const struct enrolment *enrolment; /* NULL: agents get their certificates elsewhere */
};

fault_code rpc_new(const struct rpc_parts *parts, struct rpc **ret_rpc, struct fault *reterr) MUST_CHECK;
/* After the HTTP server; waits for kept calls whose answer comes too late for their client. */
struct rpc *rpc_free(struct rpc *rpc);

/* Answers the exchange, or keeps it until the journal has committed. FAULT_ABSENT, unanswered: the path is not one of
 * a procedure. */
fault_code rpc_serve(struct rpc *rpc, struct http_exchange *exchange) MUST_CHECK;

/* Who asks (callers_admit); when it may not, answers and returns false. */
bool rpc_authorize(struct rpc *rpc, struct http_exchange *exchange, enum method_role role,
                   struct token_owner *ret_owner);
/* Answers with Connect's error body and its headers, and counts it. */
void rpc_refuse(struct rpc *rpc, struct http_exchange *exchange, enum connect_code code, const char *message);
/* A procedure that nobody knows: 404 for those who look at the status, "unimplemented" for Connect's clients, to whom
 * "not_found" would mean that some SLO is missing. */
void rpc_refuse_path(struct rpc *rpc, struct http_exchange *exchange);
/* Counts an answer that is not of a procedure. */
void rpc_count_other(struct rpc *rpc, int status);

/* ---- for the handlers ---- */
struct rpc_call { /* in the exchange's arena */
    struct rpc *rpc;
    const struct rpc_parts *parts;
    struct http_exchange *exchange;
    struct arena *arena;
    const struct method_desc *method;
    size_t method_index;
    const void *request; /* decoded and validated */
    struct token_owner caller;
    bool json;
    bool kept;                     /* the handler answers later, by rpc_answer or rpc_fail */
    int64_t begun_ns, deadline_ms; /* of the monotonic clock; 0: none */
};
/* Fills the method's response (zeroed), or fails with a sentence for the caller, or sets call->kept. */
typedef fault_code rpc_handler_fn(struct rpc_call *call, void *ret_response, struct fault *reterr);

/* Before the handler hands the call to another thread, which then answers it. False: it has been answered, because the
 * server is stopping; the handler returns FAULT_NONE and does nothing more. */
bool rpc_keep(struct rpc_call *call) MUST_CHECK;
void rpc_answer(struct rpc_call *call, const void *response);
/* The same with the response encoded as protobuf; the bytes lie in the call's arena. */
void rpc_answer_bytes(struct rpc_call *call, slice bytes);
void rpc_fail(struct rpc_call *call, enum connect_code code, const char *message);

enum { RPC_IDEMPOTENCY_KEY_BYTES_MAX = 255 };

/* The version that the caller saw, by If-Match ("7" as a version is shown; a weak mark and missing quotes are let pass)
 * or in the body; 0: any. FAULT_INPUT when the two differ, or the header holds no version. */
fault_code rpc_expected_version(struct rpc_call *call, int64_t in_body, uint64_t *ret_version,
                                struct fault *reterr) MUST_CHECK;

/* page_size as asked, within bounds. */
size_t rpc_page_size(int32_t asked);

/* A path that is served like a procedure and is none of the contract: its request is not validated as it stands. */
struct rpc_route {
    struct method_desc method;
    rpc_handler_fn *handle;
};
extern const struct rpc_route rpc_intent_route; /* POST /v1/intents */

struct rpc_handler {
    const char *path;
    rpc_handler_fn *handle;
};
extern const struct rpc_handler rpc_command_handlers[], rpc_aggregate_handlers[], rpc_query_handlers[],
    rpc_log_handlers[], rpc_agent_handlers[], rpc_enrolment_handlers[], rpc_diagnostics_handlers[];
extern const size_t rpc_command_handlers_count, rpc_aggregate_handlers_count, rpc_query_handlers_count,
    rpc_log_handlers_count, rpc_agent_handlers_count, rpc_enrolment_handlers_count, rpc_diagnostics_handlers_count;

#endif
