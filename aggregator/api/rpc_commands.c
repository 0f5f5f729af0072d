/* SPDX-License-Identifier: Apache-2.0
 * A command is put into an intent's envelope as it is, submitted to the journal, and answered when it is on disk. Every
 * request is `{command, expected_version}` and every response `{outcome}`, so a row says all that differs. The
 * expected version may also come as If-Match, and Idempotency-Key makes a repeat harmless. */
#include <assert.h>
#include <stddef.h>
#include <stdio.h>

#include "aggregator/api/rpc.h"
#include "common/base/uuid.h"
#include "sre.pb.h"

enum { TRACEPARENT_BYTES = 55, TRACESTATE_BYTES_MAX = 512 };

struct command_wait { /* in the exchange's arena */
    struct rpc_call *call;
    char message_id[UUID_TEXT_SIZE + 1];
};

static_assert(CreateSLOResponse_outcome_tag == 1 && CreateSLOResponse_slo_tag == 2,
              "responses of commands have one shape: the outcome, and the aggregate");

/* A response is put together from its two fields as bytes: the aggregate is there as bytes already. */
static fault_code response_bytes(struct rpc_call *call, const CommandOutcome *outcome, slice aggregate,
                                 slice *ret_bytes, struct fault *reterr) {
    enum { LENGTH_BYTES_MAX = 5 };
    const CreateSLOResponse head = {.has_outcome = true, .outcome = *outcome};
    slice first;
    const fault_code code = codec_encode_protobuf(&CreateSLOResponse_desc, &head, call->arena, &first, reterr);
    if (code || aggregate.size == 0) {
        *ret_bytes = first;
        return code;
    }
    uint8_t *bytes = arena_alloc(call->arena, first.size + 1 + LENGTH_BYTES_MAX + aggregate.size);
    if (!bytes) return fault_set(reterr, FAULT_LIMIT, "the answer needs more memory than a request may use");
    memcpy(bytes, first.data, first.size);
    size_t at = first.size, rest = aggregate.size;
    bytes[at++] = CreateSLOResponse_slo_tag << 3 | 2;
    for (; rest > 127; rest >>= 7) bytes[at++] = (uint8_t)(rest | 128);
    bytes[at++] = (uint8_t)rest;
    memcpy(bytes + at, aggregate.data, aggregate.size);
    *ret_bytes = slice_of(bytes, at + aggregate.size);
    return FAULT_NONE;
}

/* On the journal's writer thread. */
static void on_outcome(void *context, const struct journal_outcome *outcome) {
    struct command_wait *wait = context;
    struct rpc_call *call = wait->call;
    if (outcome->result == JOURNAL_REFUSED || outcome->result == JOURNAL_FAILED) {
        rpc_fail(call, connect_code_of(outcome->fault.code), outcome->fault.text);
        return;
    }
    const CommandOutcome answer = {.message_id = slice_from_text(wait->message_id),
                                   .aggregate_type = outcome->aggregate_type,
                                   .aggregate_id = outcome->aggregate_id,
                                   .aggregate_version = (int64_t)outcome->aggregate_version,
                                   .sequence = outcome->last_sequence,
                                   .repeated = outcome->result == JOURNAL_REPEATED};
    struct fault fault;
    slice bytes;
    const fault_code code = response_bytes(call, &answer, outcome->aggregate, &bytes, &fault);
    if (code)
        rpc_fail(call, connect_code_of(code), fault.text);
    else
        rpc_answer_bytes(call, bytes);
}

fault_code rpc_expected_version(struct rpc_call *call, int64_t in_body, uint64_t *ret_version, struct fault *reterr) {
    *ret_version = (uint64_t)in_body;
    slice match = http_exchange_header(call->exchange, "If-Match");
    if (!match.size || slice_equal_text(match, "*")) return FAULT_NONE;
    if (slice_starts_with(match, SLICE_LIT("W/"))) match = slice_from(match, 2);
    if (match.size >= 2 && match.data[0] == '"' && match.data[match.size - 1] == '"')
        match = slice_of(match.data + 1, match.size - 2);
    int64_t version;
    if (!connect_timeout_parse(match, &version)) /* the same grammar: up to ten digits */
        return fault_set(reterr, FAULT_INPUT, "If-Match: a version such as \"7\" is needed");
    if (in_body && in_body != version)
        return fault_set(reterr, FAULT_INPUT, "If-Match and the body say different versions");
    *ret_version = (uint64_t)version;
    return FAULT_NONE;
}

static fault_code submit(struct rpc_call *call, SreDomainIntent *intent, int64_t version, struct fault *reterr) {
    struct command_wait *wait = arena_alloc(call->arena, sizeof *wait);
    if (!wait) return fault_set(reterr, FAULT_LIMIT, "the command needs more memory than a request may use");
    struct journal_command command = {
        .caller = {.tenant = call->caller.tenant, .actor = call->caller.name, .role = call->caller.role},
        .done = on_outcome,
        .context = wait};
    *wait = (struct command_wait){.call = call};
    uuid_format(uuid_v7_new(), wait->message_id);
    intent->has_meta = true;
    intent->meta.message_id = slice_of(wait->message_id, UUID_TEXT_SIZE);
    intent->meta.schema_version = 1;
    const slice trace = http_exchange_header(call->exchange, "traceparent");
    const slice state = http_exchange_header(call->exchange, "tracestate");
    if (trace.size == TRACEPARENT_BYTES) intent->meta.traceparent = trace;
    /* W3C Trace Context: none without the parent; what one cannot keep is let go, and refuses nothing. */
    if (intent->meta.traceparent.size && state.size <= TRACESTATE_BYTES_MAX) intent->meta.tracestate = state;
    command.idempotency_key = http_exchange_header(call->exchange, "Idempotency-Key");
    if (command.idempotency_key.size > RPC_IDEMPOTENCY_KEY_BYTES_MAX)
        return fault_set(reterr, FAULT_INPUT, "Idempotency-Key: at most %d bytes", RPC_IDEMPOTENCY_KEY_BYTES_MAX);
    fault_code code = rpc_expected_version(call, version, &command.expected_version, reterr);
    if (!code) code = codec_encode_protobuf(&SreDomainIntent_desc, intent, call->arena, &command.intent, reterr);
    if (code) return code;
    if (!rpc_keep(call)) return FAULT_NONE;
    struct fault fault;
    code = journal_submit(call->parts->journal, &command, &fault);
    if (code) rpc_fail(call, connect_code_of(code), fault.text);
    return FAULT_NONE;
}

#define COMMAND(service, method, request_type, field)                                                                  \
    static fault_code command_##method(struct rpc_call *call, void *ret_response, struct fault *reterr) {              \
        const request_type *request = call->request;                                                                   \
        SreDomainIntent *intent = arena_alloc(call->arena, sizeof *intent);                                            \
        if (!intent) return fault_set(reterr, FAULT_LIMIT, "the command needs more memory than a request may use");    \
        intent->which_intent = SreDomainIntent_##field##_tag;                                                          \
        intent->intent.field = request->command;                                                                       \
        return submit(call, intent, request->expected_version, reterr);                                                \
    }
#include "aggregator/api/rpc_commands.def"
#undef COMMAND

const struct rpc_handler rpc_command_handlers[] = {
#define COMMAND(service, method, request_type, field)                                                                  \
    {"/ameide_core_proto.sre.core.v1." #service "/" #method, command_##method},
#include "aggregator/api/rpc_commands.def"
#undef COMMAND
};
const size_t rpc_command_handlers_count = sizeof rpc_command_handlers / sizeof *rpc_command_handlers;
