/* SPDX-License-Identifier: Apache-2.0
 * Enrolment: a token for an administrator, a certificate for the token, the next certificate for the one before.
 *
 * A renewal is signed by the key of the certificate that it renews, and comes by the same door as the enrolment. It does not
 * come over the bus: there, the broker's word would be all that proves who asks, and a broker in strange hands could
 * get itself a certificate in the name of any agent. Nor by a client certificate of TLS, which a proxy in front of us
 * would keep to itself.
 *
 * A certificate is signed first, and given out when the journal has it; who comes again is given the stored one. Whoever
 * proves nothing learns nothing (one answer for all that is wrong with a token), costs a rate and no fact. */
#include "aggregator/api/rpc.h"

#include <assert.h>
#include <stdio.h>

#include "aggregator/domain/domain.h"
#include "common/base/clock.h"
#include "common/logging/log.h"
#include "sre.pb.h"

/* In the exchange's arena. */
struct enrolment_wait {
    struct rpc_call *call;
    char message_id[UUID_TEXT_SIZE + 1];
    slice tenant, agent;
    OfferEnrolmentResponse offered;
};

static fault_code not_set_up(struct fault *reterr) {
    return fault_set(reterr, FAULT_CONFLICT,
                     "this centre signs no certificates: its operator has to set enrolment.ca_certificate and "
                     "enrolment.ca_key");
}

static fault_code no_memory(struct fault *reterr) {
    return fault_set(reterr, FAULT_LIMIT, "the request needs more memory than one may use");
}

/* self: as the aggregator, in the name of the agent; else as the caller. */
static fault_code submit(struct enrolment_wait *wait, SreDomainIntent *intent, bool self, journal_command_fn *done,
                         struct fault *reterr) {
    struct rpc_call *call = wait->call;
    struct journal_command command = {.caller = {.tenant = wait->tenant,
                                                 .actor = self ? wait->agent : call->caller.name,
                                                 .role = call->caller.role,
                                                 .self = self},
                                      .done = done,
                                      .context = wait};
    uuid_format(uuid_v7_new(), wait->message_id);
    intent->has_meta = true;
    intent->meta.message_id = slice_of(wait->message_id, UUID_TEXT_SIZE);
    intent->meta.schema_version = 1;
    fault_code code = codec_encode_protobuf(&SreDomainIntent_desc, intent, call->arena, &command.intent, reterr);
    if (code || !rpc_keep(call)) return code;
    struct fault fault;
    code = journal_submit(call->parts->journal, &command, &fault);
    if (code) rpc_fail(call, connect_code_of(code), fault.text);
    return FAULT_NONE;
}

/* A fact that this agent was refused; nobody waits for it. */
static void put_on_record(const struct rpc_parts *parts, slice tenant, slice agent, const char *reason,
                          struct arena *arena) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_refuse_agent_certificate_tag};
    struct journal_command command = {.caller = {.tenant = tenant, .actor = agent, .self = true}};
    struct fault fault;
    intent.intent.refuse_agent_certificate =
        (RefuseAgentCertificateRequested){.agent = agent, .reason = slice_from_text(reason)};
    fault_code code = codec_encode_protobuf(&SreDomainIntent_desc, &intent, arena, &command.intent, &fault);
    if (!code) code = journal_submit(parts->journal, &command, &fault);
    LOG_WARN("api", "certificate_refused", LOG_SLICE("tenant", tenant), LOG_SLICE("agent", agent),
             LOG_TEXT("reason", reason), LOG_TEXT("recorded", code ? fault.text : "yes"));
}

/* On the journal's writer thread. */
static bool state_read(struct enrolment_wait *wait, const struct journal_outcome *outcome, AgentIdentity *ret_state) {
    struct fault fault;
    if (outcome->result == JOURNAL_REFUSED || outcome->result == JOURNAL_FAILED) {
        rpc_fail(wait->call, connect_code_of(outcome->fault.code), outcome->fault.text);
        return false;
    }
    const fault_code code =
        codec_decode_protobuf(&AgentIdentity_desc, outcome->aggregate, wait->call->arena, ret_state, &fault);
    if (code) rpc_fail(wait->call, connect_code_of(code), fault.text);
    return !code;
}

/* The broker goes by the common name alone (acl.in): whoever gets a certificate in the name of an integration or a reader
 * has what the ACL gives to that one. Looked at for each certificate, as a name may have been taken since the token was made. */
static fault_code name_check(struct rpc_call *call, slice tenant, slice agent, struct fault *reterr) {
    const bool reserved = enrolment_reserved(call->parts->enrolment, agent);
    if (!reserved && !callers_know(call->parts->callers, tenant, agent)) return FAULT_NONE;
    return fault_set(
        reterr, FAULT_INPUT,
        "agent: '%.*s' is %s, so the broker may give that name rights that no agent has; choose another name%s",
        SLICE_ARG(agent), reserved ? "reserved" : "the name of a token of the API",
        reserved ? " (enrolment.reserved)" : "");
}

/* ---- a token ---- */

static void on_offered(void *context, const struct journal_outcome *outcome) {
    struct enrolment_wait *wait = context;
    AgentIdentity state;
    if (!state_read(wait, outcome, &state)) return;
    wait->offered.has_expires_at = true;
    wait->offered.expires_at = state.enrolment.expires_at;
    rpc_answer(wait->call, &wait->offered);
}

static fault_code offer_enrolment(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const OfferEnrolmentRequest *request = call->request;
    const size_t size = call->caller.tenant.size + 1 + request->agent.size;
    struct enrolment_wait *wait = arena_alloc(call->arena, sizeof *wait);
    char *token = arena_alloc(call->arena, ENROLMENT_TOKEN_BYTES),
         *hash = arena_alloc(call->arena, CERTIFICATE_HASH_BYTES);
    SreDomainIntent *intent = arena_alloc(call->arena, sizeof *intent);
    if (!wait || !token || !hash || !intent) return no_memory(reterr);
    if (!call->parts->enrolment) return not_set_up(reterr);
    if (size > LIMIT_TENANT_AND_PRODUCER_BYTES)
        return fault_set(reterr, FAULT_INPUT,
                         "agent: '%.*s/%.*s' would be its certificate's name, which may have %d characters, not %zu",
                         SLICE_ARG(call->caller.tenant), SLICE_ARG(request->agent), LIMIT_TENANT_AND_PRODUCER_BYTES,
                         size);
    if (name_check(call, call->caller.tenant, request->agent, reterr)) return reterr->code;
    const int64_t valid_ms = request->has_valid_for ? request->valid_for.seconds * 1000 : ENROLMENT_VALID_MS;
    enrolment_token_make(call->caller.tenant, request->agent, token);
    enrolment_token_hash(slice_from_text(token), hash);
    *wait = (struct enrolment_wait){.call = call,
                                    .tenant = call->caller.tenant,
                                    .agent = request->agent,
                                    .offered = {.token = slice_from_text(token)}};
    intent->which_intent = SreDomainIntent_offer_agent_enrolment_tag;
    intent->intent.offer_agent_enrolment =
        (OfferAgentEnrolmentRequested){.agent = request->agent,
                                       .token_hash = slice_from_text(hash),
                                       .has_expires_at = true,
                                       .expires_at = domain_time(clock_wall_ms() + valid_ms)};
    return submit(wait, intent, false, on_offered, reterr);
}

/* ---- a certificate ---- */

/* Both responses have the same fields. */
static_assert(sizeof(EnrolAgentResponse) == sizeof(RenewCertificateResponse), "one is filled for the other");

static void on_issued(void *context, const struct journal_outcome *outcome) {
    struct enrolment_wait *wait = context;
    const struct enrolment *enrolment = wait->call->parts->enrolment;
    AgentIdentity state;
    if (outcome->result == JOURNAL_REFUSED)
        put_on_record(wait->call->parts, wait->tenant, wait->agent, outcome->fault.text, wait->call->arena);
    if (!state_read(wait, outcome, &state)) return;
    LOG_INFO("api", "certificate_issued", LOG_SLICE("tenant", wait->tenant), LOG_SLICE("agent", wait->agent),
             LOG_SLICE("serial", state.certificate.serial), LOG_SLICE("renews", state.renewed_serial));
    rpc_answer(wait->call, &(EnrolAgentResponse){.certificate = state.certificate.pem,
                                                 .authority = certificate_authority_pem(enrolment->authority),
                                                 .broker_host = enrolment->broker_host,
                                                 .broker_port = enrolment->broker_port,
                                                 .broker_authority = enrolment->broker_authority});
}

/* Signs, and asks the journal whether it may be given out. One of token_hash and renewed is empty. */
static fault_code issue(struct rpc_call *call, slice tenant, slice agent, slice csr, slice token_hash, slice renewed,
                        struct fault *reterr) {
    const struct enrolment *enrolment = call->parts->enrolment;
    char name[CERTIFICATE_NAME_BYTES];
    struct enrolment_wait *wait = arena_alloc(call->arena, sizeof *wait);
    struct certificate_view *view = arena_alloc(call->arena, sizeof *view);
    SreDomainIntent *intent = arena_alloc(call->arena, sizeof *intent);
    slice pem;
    if (!wait || !view || !intent) return no_memory(reterr);
    snprintf(name, sizeof name, "%.*s/%.*s", SLICE_ARG(tenant), SLICE_ARG(agent));
    fault_code code = name_check(call, tenant, agent, reterr);
    if (!code)
        code = certificate_authority_issue(enrolment->authority, csr, name, clock_wall_ms(), enrolment->validity_ms,
                                           call->arena, &pem, view, reterr);
    if (code) {
        put_on_record(call->parts, tenant, agent, reterr->text, call->arena);
        return code;
    }
    *wait = (struct enrolment_wait){.call = call, .tenant = tenant, .agent = agent};
    intent->which_intent = SreDomainIntent_issue_agent_certificate_tag;
    intent->intent.issue_agent_certificate =
        (IssueAgentCertificateRequested){.agent = agent,
                                         .token_hash = token_hash,
                                         .renewed_serial = renewed,
                                         .has_certificate = true,
                                         .certificate = {.serial = slice_from_text(view->serial),
                                                         .key_hash = slice_from_text(view->key_hash),
                                                         .has_not_before = true,
                                                         .not_before = domain_time(view->not_before_ms),
                                                         .has_not_after = true,
                                                         .not_after = domain_time(view->not_after_ms),
                                                         .pem = pem}};
    return submit(wait, intent, true, on_issued, reterr);
}

static bool same_hash(slice stored, const char *hash) {
    uint8_t difference = stored.size != CERTIFICATE_HASH_BYTES - 1;
    for (size_t i = 0; i < CERTIFICATE_HASH_BYTES - 1 && i < stored.size; i++)
        difference |= stored.data[i] ^ (uint8_t)hash[i];
    return difference == 0;
}

static fault_code enrol_agent(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const EnrolAgentRequest *request = call->request;
    char *hash = arena_alloc(call->arena, CERTIFICATE_HASH_BYTES);
    slice tenant, agent, bytes;
    AgentIdentity state;
    if (!hash) return no_memory(reterr);
    if (!call->parts->enrolment) return not_set_up(reterr);
    enrolment_token_hash(request->token, hash);
    if (!enrolment_token_parts(request->token, &tenant, &agent) ||
        journal_get(call->parts->journal, tenant, SLICE_LIT("agent"), agent, call->arena, &bytes, NULL) ||
        codec_decode_protobuf(&AgentIdentity_desc, bytes, call->arena, &state, NULL) || !state.has_enrolment ||
        !same_hash(state.enrolment.token_hash, hash)) {
        fault_set(reterr, FAULT_DENIED,
                  "the token is not known: it was copied wrong, a newer one was made for the agent, or the agent was "
                  "revoked; ask for a new one");
        callers_stranger_failed(call->parts->callers, call->exchange, reterr);
        return FAULT_DENIED;
    }
    return issue(call, tenant, agent, request->csr, slice_from_text(hash), (slice){0}, reterr);
}

static fault_code renew_certificate(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const RenewCertificateRequest *request = call->request;
    const struct enrolment *enrolment = call->parts->enrolment;
    struct certificate_view *view = arena_alloc(call->arena, sizeof *view);
    slice tenant, agent, bytes;
    if (!view) return no_memory(reterr);
    if (!enrolment) return not_set_up(reterr);
    enum { HEAD = sizeof ENROLMENT_RENEWAL - 1 };
    uint8_t *signed_part = arena_alloc(call->arena, HEAD + request->csr.size);
    if (!signed_part) return no_memory(reterr);
    memcpy(signed_part, ENROLMENT_RENEWAL, HEAD);
    memcpy(signed_part + HEAD, request->csr.data, request->csr.size);
    const slice message = slice_of(signed_part, HEAD + request->csr.size);
    fault_code code = certificate_authority_prove(enrolment->authority, request->certificate, message,
                                                  request->signature, clock_wall_ms(), view, reterr);
    if (!code && (!enrolment_name_parts(slice_from_text(view->common_name), &tenant, &agent) ||
                  journal_get(call->parts->journal, tenant, SLICE_LIT("agent"), agent, call->arena, &bytes, NULL)))
        code = fault_set(reterr, FAULT_DENIED, "the certificate is of no agent that was enrolled here");
    if (code) {
        callers_stranger_failed(call->parts->callers, call->exchange, reterr);
        return code;
    }
    return issue(call, tenant, agent, request->csr, (slice){0}, slice_from_text(view->serial), reterr);
}

/* ---- taking it back ---- */

static void on_revoked(void *context, const struct journal_outcome *outcome) {
    struct enrolment_wait *wait = context;
    AgentIdentity state;
    if (!state_read(wait, outcome, &state)) return;
    rpc_answer(wait->call, &(RevokeAgentResponse){state.certificate.serial});
}

static fault_code revoke_agent(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const RevokeAgentRequest *request = call->request;
    struct enrolment_wait *wait = arena_alloc(call->arena, sizeof *wait);
    SreDomainIntent *intent = arena_alloc(call->arena, sizeof *intent);
    struct agent_view heard;
    slice bytes;
    if (!wait || !intent) return no_memory(reterr);
    const fault_code code = journal_get(call->parts->journal, call->caller.tenant, SLICE_LIT("agent"), request->agent,
                                        call->arena, &bytes, reterr);
    if (code && code != FAULT_ABSENT) return code;
    if (code && !(call->parts->agents &&
                  agents_find(call->parts->agents, call->caller.tenant, request->agent, call->arena, &heard)))
        return fault_set(
            reterr, FAULT_ABSENT,
            "no agent '%.*s' was enrolled here, nor was one heard of since the aggregator started; nothing "
            "is revoked",
            SLICE_ARG(request->agent));
    *wait = (struct enrolment_wait){.call = call, .tenant = call->caller.tenant, .agent = request->agent};
    intent->which_intent = SreDomainIntent_revoke_agent_tag;
    intent->intent.revoke_agent = (RevokeAgentRequested){request->agent, request->reason};
    return submit(wait, intent, false, on_revoked, reterr);
}

#define EDGE "/ameide_core_proto.sre.edge.v1."
const struct rpc_handler rpc_enrolment_handlers[] = {
    {EDGE "AgentService/OfferEnrolment", offer_enrolment},
    {EDGE "AgentService/EnrolAgent", enrol_agent},
    {EDGE "AgentService/RenewCertificate", renew_certificate},
    {EDGE "AgentService/RevokeAgent", revoke_agent},
};
const size_t rpc_enrolment_handlers_count = sizeof rpc_enrolment_handlers / sizeof *rpc_enrolment_handlers;
