/* SPDX-License-Identifier: Apache-2.0
 * One writer decides, so a token is used once whatever races. An answer may get lost on its way to the agent, and must not
 * lock it out: the same token, or the same certificate, with the same key again is a repeat, and whoever asks is given
 * the certificate that is stored. The holder of the key is the only one to whom that is of use.
 *
 * A certificate may be renewed while it is the newest one, or the one that the newest renews: the agent may have died
 * between asking and keeping what it got. All older ones are copies of a disk, or stolen. */
#include "aggregator/domain/agent_identity.h"

/* ---- offer ---- */

fault_code agent_identity_decide_offer(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                       struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const OfferAgentEnrolmentRequested *from = &intent->intent.offer_agent_enrolment;
    const int64_t lives_ms = domain_ms(from->expires_at) - call->now_ms;
    if (lives_ms <= 0) return fault_set(reterr, FAULT_INPUT, "expires_at: is past, the token could never be used");
    if (lives_ms > AGENT_IDENTITY_OFFER_MS_MAX)
        return fault_set(reterr, FAULT_INPUT, "expires_at: a token to enrol with lives for at most 90 days");
    if (aggregate_exists(aggregate) && aggregate->state.agent.has_enrolment &&
        slice_equal(aggregate->state.agent.enrolment.token_hash, from->token_hash))
        return FAULT_NONE;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_agent_enrolment_offered_tag);
    fact->fact.agent_enrolment_offered = (AgentEnrolmentOffered){.agent = aggregate->id,
                                                                 .has_enrolment = true,
                                                                 .enrolment = {.token_hash = from->token_hash,
                                                                               .has_offered_at = true,
                                                                               .offered_at = domain_time(call->now_ms),
                                                                               .has_expires_at = true,
                                                                               .expires_at = from->expires_at,
                                                                               .offered_by = call->actor}};
    return FAULT_NONE;
}

void agent_identity_apply_offered(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                  struct arena *arena) {
    AgentIdentity *state = &aggregate->state.agent;
    if (!aggregate_exists(aggregate)) *state = (AgentIdentity){0};
    state->agent = fact->fact.agent_enrolment_offered.agent;
    state->has_enrolment = true;
    state->enrolment = fact->fact.agent_enrolment_offered.enrolment;
    state->has_updated_at = true;
    state->updated_at = domain_time(now_ms);
}

/* ---- issue ---- */

static fault_code token_check(const AgentIdentity *state, const IssueAgentCertificateRequested *from, int64_t now_ms,
                              bool *ret_repeat, struct fault *reterr) {
    const AgentEnrolment *offered = &state->enrolment;
    if (!state->has_enrolment || !slice_equal(offered->token_hash, from->token_hash))
        return fault_set(reterr, FAULT_DENIED,
                         "the token is not the one that was offered last for agent '%.*s'; ask for a new one",
                         SLICE_ARG(state->agent));
    if (domain_ms(offered->expires_at) <= now_ms)
        return fault_set(reterr, FAULT_CONFLICT, "the token expired %lld s ago; ask for a new one",
                         (long long)(now_ms - domain_ms(offered->expires_at)) / 1000);
    *ret_repeat = slice_equal(offered->used_by, from->certificate.key_hash) && state->has_certificate &&
                  slice_equal(state->certificate.key_hash, from->certificate.key_hash);
    if (offered->used_by.size && !*ret_repeat)
        return fault_set(reterr, FAULT_CONFLICT,
                         "the token was used already, for another key; if that was not this agent, revoke it "
                         "(picketctl agents revoke); ask for a new one");
    return FAULT_NONE;
}

static fault_code renewal_check(const AgentIdentity *state, const IssueAgentCertificateRequested *from, int64_t now_ms,
                                bool *ret_repeat, struct fault *reterr) {
    if (state->revoked)
        return fault_set(reterr, FAULT_CONFLICT, "agent '%.*s' was revoked; it needs a new token to enrol",
                         SLICE_ARG(state->agent));
    const bool newest = state->has_certificate && slice_equal(state->certificate.serial, from->renewed_serial);
    if (!newest && (!state->renewed_serial.size || !slice_equal(state->renewed_serial, from->renewed_serial)))
        return fault_set(
            reterr, FAULT_CONFLICT,
            "the certificate %.*s is not the newest of agent '%.*s', so it is not renewed; if it is no copy "
            "of another's disk, enrol with a new token",
            SLICE_ARG(from->renewed_serial), SLICE_ARG(state->agent));
    *ret_repeat = slice_equal(state->certificate.key_hash, from->certificate.key_hash);
    if (newest && *ret_repeat)
        return fault_set(reterr, FAULT_INPUT, "a renewal needs a key of its own, this is the certificate's");
    const int64_t begun_ms = domain_ms(state->certificate.not_before);
    const int64_t life_ms = domain_ms(state->certificate.not_after) - begun_ms;
    if (!*ret_repeat && now_ms - begun_ms < life_ms / AGENT_IDENTITY_RENEWAL_PARTS)
        return fault_set(reterr, FAULT_CONFLICT,
                         "the newest certificate of agent '%.*s' is not a tenth of its life old; it is renewed later",
                         SLICE_ARG(state->agent));
    return FAULT_NONE;
}

fault_code agent_identity_decide_issue(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                       struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const IssueAgentCertificateRequested *from = &intent->intent.issue_agent_certificate;
    const AgentIdentity *state = &aggregate->state.agent;
    if (!aggregate_exists(aggregate))
        return fault_set(reterr, FAULT_ABSENT, "nobody has offered agent '%.*s' a certificate",
                         SLICE_ARG(aggregate->id));
    if (!from->token_hash.size == !from->renewed_serial.size)
        return fault_set(reterr, FAULT_INPUT, "one of token_hash and renewed_serial is needed");
    bool repeat = false;
    const fault_code code = from->token_hash.size ? token_check(state, from, call->now_ms, &repeat, reterr)
                                                  : renewal_check(state, from, call->now_ms, &repeat, reterr);
    if (code || repeat) return code;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_agent_certificate_issued_tag);
    fact->fact.agent_certificate_issued =
        (AgentCertificateIssued){.agent = aggregate->id,
                                 .has_certificate = true,
                                 .certificate = from->certificate,
                                 .renewed_serial = from->renewed_serial,
                                 .offered_by = from->token_hash.size ? state->enrolment.offered_by : (slice){0}};
    return FAULT_NONE;
}

/* Issued against a token, the agent is what it was before it was revoked. */
void agent_identity_apply_issued(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                 struct arena *arena) {
    const AgentCertificateIssued *issued = &fact->fact.agent_certificate_issued;
    AgentIdentity *state = &aggregate->state.agent;
    state->has_certificate = true;
    state->certificate = issued->certificate;
    state->renewed_serial = issued->renewed_serial;
    if (!issued->renewed_serial.size) {
        state->enrolment.used_by = issued->certificate.key_hash;
        state->revoked = state->has_revoked_at = false;
        state->revoked_by = state->revoke_reason = (slice){0};
    }
    state->refusal = (slice){0};
    state->has_refused_at = false;
    state->has_updated_at = true;
    state->updated_at = domain_time(now_ms);
}

/* ---- refuse ---- */

fault_code agent_identity_decide_refuse(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                        struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const RefuseAgentCertificateRequested *from = &intent->intent.refuse_agent_certificate;
    const AgentIdentity *state = &aggregate->state.agent;
    if (!aggregate_exists(aggregate))
        return fault_set(reterr, FAULT_ABSENT, "agent '%.*s' is not known", SLICE_ARG(aggregate->id));
    const int64_t quiet_ms =
        slice_equal(state->refusal, from->reason) ? AGENT_IDENTITY_REFUSAL_MS : AGENT_IDENTITY_REFUSALS_MS;
    if (state->has_refused_at && call->now_ms - domain_ms(state->refused_at) < quiet_ms) return FAULT_NONE;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_agent_certificate_refused_tag);
    fact->fact.agent_certificate_refused = (AgentCertificateRefused){.agent = aggregate->id, .reason = from->reason};
    return FAULT_NONE;
}

void agent_identity_apply_refused(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                  struct arena *arena) {
    AgentIdentity *state = &aggregate->state.agent;
    state->refusal = fact->fact.agent_certificate_refused.reason;
    state->has_refused_at = state->has_updated_at = true;
    state->refused_at = state->updated_at = domain_time(now_ms);
}

/* ---- revoke ---- */

fault_code agent_identity_decide_revoke(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                        struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const RevokeAgentRequested *from = &intent->intent.revoke_agent;
    const AgentIdentity *state = &aggregate->state.agent;
    if (aggregate_exists(aggregate) && state->revoked && !state->has_enrolment) return FAULT_NONE;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_agent_revoked_tag);
    fact->fact.agent_revoked = (AgentRevoked){
        .agent = aggregate->id,
        .reason = from->reason,
        .revoked_by = call->actor,
        .serial = aggregate_exists(aggregate) && state->has_certificate ? state->certificate.serial : (slice){0}};
    return FAULT_NONE;
}

/* A token that was offered and not used yet must not bring it back. */
void agent_identity_apply_revoked(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                  struct arena *arena) {
    const AgentRevoked *revoked = &fact->fact.agent_revoked;
    AgentIdentity *state = &aggregate->state.agent;
    if (!aggregate_exists(aggregate)) *state = (AgentIdentity){0};
    state->agent = revoked->agent;
    state->has_enrolment = false;
    state->enrolment = (AgentEnrolment){0};
    state->revoked = state->has_revoked_at = state->has_updated_at = true;
    state->revoked_at = state->updated_at = domain_time(now_ms);
    state->revoked_by = revoked->revoked_by;
    state->revoke_reason = revoked->reason;
}
