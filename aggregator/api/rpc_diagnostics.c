/* SPDX-License-Identifier: Apache-2.0
 * A question to an agent, over four threads and back: the HTTP thread checks it and gives it to the journal; when it is on
 * disk who asks what of whom, the writer thread sends it on its way; the loop takes the agent's answer (or none) and gives
 * the journal how it ended; when that is on disk too, the writer thread answers the caller. So nothing is looked at, and
 * nothing shown, without a fact that says so. The call's arena goes from hand to hand with it: at any time one thread
 * works on a call. */
#include "aggregator/api/rpc.h"
#include "aggregator/intake/agent_questions.h"
#include "aggregator/projections/folds.h"
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/uuid.h"
#include "sre.pb.h"

enum { WAIT_MS = 30000 };

struct diagnostics_wait { /* in the exchange's arena */
    struct rpc_call *call;
    struct agent_question *question;
    slice id, payload; /* the encoded DiagnosticsRequest */
    RunDiagnosticsResponse response;
    struct fault fault; /* FAULT_NONE: the response holds the agent's answer */
};

/* ---- 1: what is asked, as it goes on record ---- */

static void about(DiagnosticsQuestion *question, DiagnosticsVerb verb, const ResourceRef *resource) {
    *question = (DiagnosticsQuestion){.verb = verb,
                                      .kind = resource->type,
                                      .namespace = resource->namespace,
                                      .name = resource->id,
                                      .cluster = resource->cluster};
}

static DiagnosticsQuestion question_of(const DiagnosticsRequest *request) {
    DiagnosticsQuestion question = {0};
    switch (request->which_query) {
    case DiagnosticsRequest_describe_tag:
        about(&question, DIAGNOSTICS_VERB_DESCRIBE, &request->query.describe.resource);
        break;
    case DiagnosticsRequest_events_tag:
        about(&question, DIAGNOSTICS_VERB_EVENTS, &request->query.events.resource);
        question.lines = request->query.events.limit;
        break;
    case DiagnosticsRequest_rollout_status_tag:
        about(&question, DIAGNOSTICS_VERB_ROLLOUT_STATUS, &request->query.rollout_status.resource);
        break;
    case DiagnosticsRequest_logs_tag:
        question = (DiagnosticsQuestion){.verb = DIAGNOSTICS_VERB_LOGS,
                                         .kind = SLICE_LIT("pod"),
                                         .namespace = request->query.logs.namespace,
                                         .name = request->query.logs.pod,
                                         .cluster = request->query.logs.cluster,
                                         .container = request->query.logs.container,
                                         .lines = request->query.logs.lines,
                                         .previous = request->query.logs.previous};
        break;
    case DiagnosticsRequest_top_tag:
        question = (DiagnosticsQuestion){.verb = DIAGNOSTICS_VERB_TOP,
                                         .kind = request->query.top.of == TOP_SUBJECT_NODES ? SLICE_LIT("node")
                                                                                            : SLICE_LIT("pod"),
                                         .namespace = request->query.top.namespace,
                                         .name = request->query.top.name,
                                         .cluster = request->query.top.cluster};
        break;
    default: break; /* validated: there is one */
    }
    return question;
}

static fault_code agent_check(const struct rpc_call *call, slice agent, struct fault *reterr) {
    struct agent_view view;
    AgentStatus status;
    AgentIdentity identity;
    slice bytes;
    if (!journal_get(call->parts->journal, call->caller.tenant, SLICE_LIT("agent"), agent, call->arena, &bytes, NULL) &&
        !codec_decode_protobuf(&AgentIdentity_desc, bytes, call->arena, &identity, NULL) && identity.revoked)
        return fault_set(reterr, FAULT_CONFLICT,
                         "agent '%.*s' was revoked by %.*s (%.*s): nothing of it is taken in, its answers neither",
                         SLICE_ARG(agent), SLICE_ARG(slice_first(identity.revoked_by, 64)),
                         SLICE_ARG(slice_first(identity.revoke_reason, 100)));
    if (!call->parts->agents || !agents_find(call->parts->agents, call->caller.tenant, agent, call->arena, &view))
        return fault_set(reterr, FAULT_ABSENT, "nothing was heard of an agent '%.*s' since the aggregator started",
                         SLICE_ARG(agent));
    if (!view.status.size || codec_decode_protobuf(&AgentStatus_desc, view.status, call->arena, &status, reterr))
        return fault_set(reterr, FAULT_AGAIN, "agent '%.*s' has not said yet whether it is connected",
                         SLICE_ARG(agent));
    if (status.online) return FAULT_NONE;
    return fault_set(reterr, FAULT_AGAIN, "agent '%.*s' is not connected: it was last heard of %lld s ago",
                     SLICE_ARG(agent), (long long)((clock_wall_ms() - view.last_seen_ms) / 1000));
}

/* How long the caller waits: the least of the deadline that it gives, its own timeout, and five minutes. */
static fault_code time_max(const struct rpc_call *call, const DiagnosticsRequest *request, int64_t *ret_ms,
                           struct fault *reterr) {
    int64_t left_ms = WAIT_MS;
    if (request->has_deadline) {
        left_ms = request->deadline.seconds * 1000 + request->deadline.nanos / 1000000 - clock_wall_ms();
        if (left_ms <= 0) return fault_set(reterr, FAULT_TIMEOUT, "request.deadline: has passed already");
    }
    if (call->deadline_ms && call->deadline_ms - clock_monotonic_ms() < left_ms)
        left_ms = call->deadline_ms - clock_monotonic_ms();
    /* A second less than the five minutes: the journal looks at its own clock a moment later or earlier. */
    if (left_ms > LIMIT_OUTSIDE_CALL_MS - 1000) left_ms = LIMIT_OUTSIDE_CALL_MS - 1000;
    if (left_ms <= 0) return fault_set(reterr, FAULT_TIMEOUT, "the request allowed no time");
    *ret_ms = left_ms;
    return FAULT_NONE;
}

static fault_code request_complete(struct rpc_call *call, int64_t left_ms, DiagnosticsRequest *request,
                                   struct fault *reterr) {
    if (!request->request_id.size) {
        char id[UUID_TEXT_SIZE + 1];
        uuid_format(uuid_v7_new(), id);
        request->request_id = arena_copy(call->arena, slice_of(id, UUID_TEXT_SIZE));
        if (!request->request_id.data)
            return fault_set(reterr, FAULT_LIMIT, "the request needs more memory than one may use");
    }
    request->requested_by = call->caller.name;
    request->has_deadline = request->has_time_max = true;
    request->deadline = fold_time(clock_wall_ms() + left_ms);
    request->time_max = (Duration){.seconds = left_ms / 1000, .nanos = (int32_t)(left_ms % 1000) * 1000000};
    return FAULT_NONE;
}

/* ---- 4: how it ended is on disk ---- */

static void on_completed(void *context, const struct journal_outcome *outcome) {
    struct diagnostics_wait *wait = context;
    struct rpc_call *call = wait->call;
    if (outcome->result == JOURNAL_REFUSED || outcome->result == JOURNAL_FAILED) {
        struct fault fault = outcome->fault;
        fault_wrap(&fault, "the answer is not shown, because it could not be put on record");
        rpc_fail(call, connect_code_of(fault.code), fault.text);
    } else if (wait->fault.code) {
        rpc_fail(call, connect_code_of(wait->fault.code), wait->fault.text);
    } else {
        rpc_answer(call, &wait->response);
    }
}

/* ---- 3: the agent's answer, or none ---- */

static fault_code answer_read(struct diagnostics_wait *wait, slice payload, struct fault *reterr) {
    DiagnosticsReply *reply = &wait->response.reply;
    const slice kept = arena_copy(wait->call->arena, payload);
    if (payload.size && !kept.data)
        return fault_set(reterr, FAULT_LIMIT, "the answer needs more memory than a request may use");
    fault_code code = codec_decode_protobuf(&DiagnosticsReply_desc, kept, wait->call->arena, reply, reterr);
    if (!code) code = codec_validate(&DiagnosticsReply_desc, reply, reterr);
    if (code) return fault_set(reterr, FAULT_CORRUPT, "the agent's answer cannot be read: %s", reterr->text);
    if (!slice_equal(reply->request_id, wait->id))
        return fault_set(reterr, FAULT_CORRUPT, "the agent's answer is to another question");
    if (!reply->outcome) reply->outcome = reply->error.size ? DIAGNOSTICS_OUTCOME_FAILED : DIAGNOSTICS_OUTCOME_ANSWERED;
    wait->response.has_reply = true;
    return FAULT_NONE;
}

static fault_code complete(struct diagnostics_wait *wait, struct fault *reterr) {
    struct rpc_call *call = wait->call;
    const DiagnosticsReply *reply = &wait->response.reply;
    const bool answered = !wait->fault.code;
    SreDomainIntent *intent = arena_alloc(call->arena, sizeof *intent);
    if (!intent) return fault_set(reterr, FAULT_LIMIT, "the answer needs more memory than a request may use");
    intent->which_intent = SreDomainIntent_complete_diagnostics_tag;
    intent->intent.complete_diagnostics = (CompleteDiagnosticsRequested){
        .diagnostics_id = wait->id,
        .outcome = answered                            ? reply->outcome
                   : wait->fault.code == FAULT_TIMEOUT ? DIAGNOSTICS_OUTCOME_TIMED_OUT
                                                       : DIAGNOSTICS_OUTCOME_FAILED,
        .reason = answered ? reply->error : slice_from_text(wait->fault.text),
        .content_bytes = answered ? (int64_t)reply->content.size : 0,
        .masked_count = answered ? reply->masked_count : 0,
        .truncated = answered && reply->truncated,
        .has_took = answered && reply->has_took,
        .took = reply->took,
    };
    struct journal_command command = {
        .caller = {.tenant = call->caller.tenant, .actor = SLICE_LIT("picket-aggregator"), .self = true},
        .done = on_completed,
        .context = wait};
    const fault_code code = codec_encode_protobuf(&SreDomainIntent_desc, intent, call->arena, &command.intent, reterr);
    return code ? code : journal_submit(call->parts->journal, &command, reterr);
}

static void on_answer(void *context, const struct agent_answer *answer) {
    struct diagnostics_wait *wait = context;
    struct fault fault = {0};
    wait->fault = answer->fault;
    if (wait->fault.code == FAULT_AGAIN) { /* stopping: on record it ends as unknown, by the clock */
        rpc_fail(wait->call, CONNECT_UNAVAILABLE, wait->fault.text);
        return;
    }
    if (!wait->fault.code && answer_read(wait, answer->payload, &fault)) wait->fault = fault;
    if (!complete(wait, &fault)) return;
    fault_wrap(&fault, "the answer is not shown, because it could not be put on record");
    rpc_fail(wait->call, connect_code_of(fault.code), fault.text);
}

/* ---- 2: the question is on disk ---- */

static void on_started(void *context, const struct journal_outcome *outcome) {
    struct diagnostics_wait *wait = context;
    if (outcome->result != JOURNAL_COMMITTED) {
        agent_question_drop(wait->question);
        rpc_fail(wait->call, connect_code_of(outcome->fault.code), outcome->fault.text);
        return;
    }
    agent_question_send(wait->question, wait->payload, on_answer, wait); /* from here on it is the loop's */
}

static fault_code start(struct diagnostics_wait *wait, slice agent, const DiagnosticsRequest *request,
                        struct fault *reterr) {
    struct rpc_call *call = wait->call;
    SreDomainIntent *intent = arena_alloc(call->arena, sizeof *intent);
    if (!intent) return fault_set(reterr, FAULT_LIMIT, "the request needs more memory than one may use");
    intent->which_intent = SreDomainIntent_run_diagnostics_tag;
    intent->intent.run_diagnostics = (RunDiagnosticsRequested){.diagnostics_id = request->request_id,
                                                               .agent = agent,
                                                               .has_question = true,
                                                               .question = question_of(request),
                                                               .has_deadline_at = true,
                                                               .deadline_at = request->deadline};
    struct journal_command command = {
        .caller = {.tenant = call->caller.tenant, .actor = call->caller.name, .role = call->caller.role},
        .done = on_started,
        .context = wait};
    fault_code code = codec_encode_protobuf(&SreDomainIntent_desc, intent, call->arena, &command.intent, reterr);
    if (!code) code = codec_encode_protobuf(&DiagnosticsRequest_desc, request, call->arena, &wait->payload, reterr);
    if (code) return code;
    if (!rpc_keep(call)) {
        agent_question_drop(wait->question);
        return FAULT_NONE;
    }
    struct fault fault;
    struct agent_question *question = wait->question;
    code = journal_submit(call->parts->journal, &command, &fault);
    if (code) {
        agent_question_drop(question);
        rpc_fail(call, connect_code_of(code), fault.text);
    }
    return FAULT_NONE;
}

static fault_code run_diagnostics(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const RunDiagnosticsRequest *given = call->request;
    DiagnosticsRequest request = given->request;
    int64_t left_ms;
    if (agent_check(call, given->agent, reterr) || time_max(call, &request, &left_ms, reterr) ||
        request_complete(call, left_ms, &request, reterr))
        return reterr->code;
    if (!call->parts->questions) return fault_set(reterr, FAULT_AGAIN, "this aggregator asks no agents");
    struct diagnostics_wait *wait = arena_alloc(call->arena, sizeof *wait);
    if (!wait) return fault_set(reterr, FAULT_LIMIT, "the request needs more memory than one may use");
    *wait = (struct diagnostics_wait){.call = call, .id = request.request_id};
    fault_code code = agent_question_new(call->parts->questions, call->caller.tenant, given->agent, call->caller.name,
                                         request.request_id, clock_monotonic_ms() + left_ms, &wait->question, reterr);
    if (code) return code;
    code = start(wait, given->agent, &request, reterr);
    if (code) agent_question_drop(wait->question);
    return code;
}

const struct rpc_handler rpc_diagnostics_handlers[] = {
    {"/ameide_core_proto.sre.edge.v1.AgentService/RunDiagnostics", run_diagnostics},
};
const size_t rpc_diagnostics_handlers_count = sizeof rpc_diagnostics_handlers / sizeof *rpc_diagnostics_handlers;
