/* SPDX-License-Identifier: Apache-2.0
 * POST /v1/intents: one SreDomainIntent, as on the bus, for producers that speak HTTP. It is no method of a service,
 * because its body is the intent itself: what may be left out of an envelope (the tenant, the message id, ...) is filled
 * in as it is for MQTT. A message_id makes a repeat harmless; so does an Idempotency-Key. Who may send which intent is
 * said by aggregator/domain/intents.def. */
#include "aggregator/api/rpc.h"
#include "aggregator/domain/domain.h"
#include "aggregator/intake/intent_reply.h"

/* In the exchange's arena. */
struct intent_wait {
    struct rpc_call *call;
    slice message_id;
};

/* On the journal's writer thread. */
static void on_outcome(void *context, const struct journal_outcome *outcome) {
    struct intent_wait *wait = context;
    if (outcome->result == JOURNAL_REFUSED || outcome->result == JOURNAL_FAILED) {
        rpc_fail(wait->call, connect_code_of(outcome->fault.code), outcome->fault.text);
        return;
    }
    IntentReply reply;
    intent_reply_fill(outcome, wait->message_id, &reply);
    rpc_answer(wait->call, &reply);
}

static fault_code submit_intent(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const SreDomainIntent *intent = call->request;
    struct intent_wait *wait = arena_alloc(call->arena, sizeof *wait);
    if (!wait) return fault_set(reterr, FAULT_LIMIT, "the intent needs more memory than a request may use");
    *wait = (struct intent_wait){.call = call, .message_id = intent->meta.message_id};
    struct journal_command command = {
        .caller = {.tenant = call->caller.tenant, .actor = call->caller.name, .role = call->caller.role},
        .idempotency_key = http_exchange_header(call->exchange, "Idempotency-Key"),
        .done = on_outcome,
        .context = wait};
    if (call->caller.role == ROLE_VIEWER) /* else the rejections list would fill with what was never theirs to say */
        return fault_set(reterr, FAULT_DENIED, "'%.*s' has the role viewer, which sends no intents",
                         SLICE_ARG(call->caller.name));
    if (command.idempotency_key.size > RPC_IDEMPOTENCY_KEY_BYTES_MAX)
        return fault_set(reterr, FAULT_INPUT, "Idempotency-Key: at most %d bytes", RPC_IDEMPOTENCY_KEY_BYTES_MAX);
    const int64_t seen = intent->subject.aggregate_version; /* a negative one is refused with all else of the intent */
    fault_code code = rpc_expected_version(call, seen > 0 ? seen : 0, &command.expected_version, reterr);
    if (!code) code = codec_encode_protobuf(&SreDomainIntent_desc, intent, call->arena, &command.intent, reterr);
    if (code) return code;
    if (!rpc_keep(call)) return FAULT_NONE;
    struct fault fault;
    code = journal_submit(call->parts->journal, &command, &fault);
    if (code) rpc_fail(call, connect_code_of(code), fault.text);
    return FAULT_NONE;
}

const struct rpc_route rpc_intent_route = {
    .method = {.service = "",
               .name = "/v1/intents",
               .path = "/v1/intents",
               .request = &SreDomainIntent_desc,
               .response = &IntentReply_desc,
               .role = ROLE_NONE,
               .comment = "One intent, as on the bus. What is left out of meta and subject is filled in."},
    .handle = submit_intent,
};
