/* SPDX-License-Identifier: Apache-2.0
 * Sentences about agents' right to connect. A token, a key and a serial are a letter each: their hashes are 64 of it. */
#include "tests/scenario/step.h"

static slice hash_of(struct scenario *s, slice letter) {
    char *text = arena_alloc(s->place->arena, 64);
    if (!text) return (slice){0};
    memset(text, letter.data[0], 64);
    return slice_of(text, 64);
}

/* who, tenant, agent, token, minute */
static bool agent_offer(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_offer_agent_enrolment_tag};
    intent.intent.offer_agent_enrolment =
        (OfferAgentEnrolmentRequested){.agent = s->words[2],
                                       .token_hash = hash_of(s, s->words[3]),
                                       .has_expires_at = true,
                                       .expires_at = domain_time(step_minute_ms(s->words[4]))};
    return step_send_as(s, &intent, s->words[0], s->words[1], ROLE_ADMIN);
}

static bool issue(struct scenario *s, slice tenant, slice agent, slice token, slice renewed, slice key, slice serial,
                  slice person, bool is_new) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_issue_agent_certificate_tag};
    intent.intent.issue_agent_certificate = (IssueAgentCertificateRequested){
        .agent = agent,
        .token_hash = token.size ? hash_of(s, token) : (slice){0},
        .renewed_serial = renewed,
        .has_certificate = true,
        .certificate = {.serial = serial,
                        .key_hash = hash_of(s, key),
                        .has_not_before = true,
                        .not_before = domain_time(JOURNAL_NOW_MS - INT64_C(86400) * 1000 * (is_new ? 0 : 10)),
                        .has_not_after = true,
                        .not_after = domain_time(JOURNAL_NOW_MS + INT64_C(90) * 86400 * 1000),
                        .pem = SLICE_LIT("-----BEGIN CERTIFICATE-----")}};
    s->self = !person.size;
    return step_send_as(s, &intent, person.size ? person : SLICE_LIT("picket-aggregator"), tenant, ROLE_ADMIN);
}

/* agent, tenant, token, key, serial */
static bool agent_enrol(struct scenario *s) {
    return issue(s, s->words[1], s->words[0], s->words[2], (slice){0}, s->words[3], s->words[4], (slice){0}, false);
}

static bool agent_enrol_new(struct scenario *s) {
    return issue(s, s->words[1], s->words[0], s->words[2], (slice){0}, s->words[3], s->words[4], (slice){0}, true);
}

/* agent, tenant, serial, key, serial */
static bool agent_renew(struct scenario *s) {
    return issue(s, s->words[1], s->words[0], (slice){0}, s->words[2], s->words[3], s->words[4], (slice){0}, false);
}

/* who, tenant, agent: whole in itself, so that nothing but the sender is wrong */
static bool agent_forge(struct scenario *s) {
    return issue(s, s->words[1], s->words[2], SLICE_LIT("a"), (slice){0}, SLICE_LIT("k"), SLICE_LIT("01"), s->words[0],
                 false);
}

/* agent, tenant, reason */
static bool agent_refuse(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_refuse_agent_certificate_tag};
    intent.intent.refuse_agent_certificate = (RefuseAgentCertificateRequested){s->words[0], s->words[2]};
    s->self = true;
    return step_send_as(s, &intent, SLICE_LIT("picket-aggregator"), s->words[1], ROLE_NONE);
}

/* who, tenant, agent, reason */
static bool agent_revoke(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_revoke_agent_tag};
    intent.intent.revoke_agent = (RevokeAgentRequested){s->words[2], s->words[3]};
    return step_send_as(s, &intent, s->words[0], s->words[1], ROLE_ADMIN);
}

static bool agent_read(struct scenario *s, AgentIdentity *agent) {
    return step_read(s, "agent", s->words[0], SLICE_LIT("acme"), &AgentIdentity_desc, agent);
}

static bool agent_serial(struct scenario *s) {
    AgentIdentity agent;
    if (!agent_read(s, &agent)) return false;
    return slice_equal(agent.certificate.serial, s->words[1]) ||
           step_fails(s, "it is '%.*s'", SLICE_ARG(agent.certificate.serial));
}

static bool agent_revoked(struct scenario *s) {
    AgentIdentity agent;
    if (!agent_read(s, &agent)) return false;
    return agent.revoked || step_fails(s, "it is not");
}

static bool agent_not_revoked(struct scenario *s) {
    AgentIdentity agent;
    if (!agent_read(s, &agent)) return false;
    return !agent.revoked || step_fails(s, "it is");
}

const struct step_row agent_steps[] = {
    {"{who} of {tenant} offers agent {id} token {token} until minute {m}", agent_offer},
    {"agent {id} of {tenant} shows token {token} with key {key} and is given {serial}", agent_enrol},
    {"agent {id} of {tenant} shows token {token} with key {key} and is given the new {serial}", agent_enrol_new},
    {"agent {id} of {tenant} renews {serial} with key {key} and is given {serial}", agent_renew},
    {"{who} of {tenant} issues a certificate for agent {id}", agent_forge},
    {"agent {id} of {tenant} is refused because {reason}", agent_refuse},
    {"{who} of {tenant} revokes agent {id} because {reason}", agent_revoke},
    {"agent {id} has certificate {serial}", agent_serial},
    {"agent {id} is revoked", agent_revoked},
    {"agent {id} is not revoked", agent_not_revoked},
    {NULL, NULL},
};
