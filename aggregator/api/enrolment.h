/* SPDX-License-Identifier: Apache-2.0
 * What is needed to enrol agents: the certificate authority, and what an agent is told beside its certificate. And the token:
 * "<tenant>/<agent>:<43 random letters>", so that whoever has one knows whose it is. Constant after opening; any thread. */
#ifndef PICKET_API_ENROLMENT_H
#define PICKET_API_ENROLMENT_H

#include "common/net/certificate_authority.h"
#include "common/settings/settings.h"

struct enrolment_settings {
    const char *certificate_path, *key_path; /* of the authority, PEM */
    int64_t validity_ms;
    slice broker_host;                    /* outlives it, as the next */
    const struct setting_texts *reserved; /* names that no agent may have; NULL: none but our own */
    int64_t broker_port;
    const char *broker_authority_path; /* PEM; NULL: agents are told none */
};

struct enrolment {
    struct certificate_authority *authority;
    int64_t validity_ms;
    slice broker_host, broker_authority; /* the second is PEM */
    int32_t broker_port;
    const struct setting_texts *reserved;
};

enum {
    ENROLMENT_SECRET_BYTES = 43, /* of 6 random bits each */
    ENROLMENT_TOKEN_BYTES = 128, /* with its NUL */
    ENROLMENT_VALID_MS = 24 * 3600 * 1000,
};
/* What the key of the certificate signs, in front of the request, to renew it. */
#define ENROLMENT_RENEWAL "picket: renew\n"

/* Faults name the file. */
fault_code enrolment_open(const struct enrolment_settings *settings, struct enrolment **ret_enrolment,
                          struct fault *reterr) MUST_CHECK;
struct enrolment *enrolment_close(struct enrolment *enrolment); /* NULL is fine; returns NULL */

/* tenant and agent together have at most LIMIT_TENANT_AND_PRODUCER_BYTES. */
void enrolment_token_make(slice tenant, slice agent, char ret_token[ENROLMENT_TOKEN_BYTES]);
/* The parts in front of the secret, lent by the token; false: it is none. */
bool enrolment_token_parts(slice token, slice *ret_tenant, slice *ret_agent) MUST_CHECK;
/* SHA-256 in hexadecimal digits: as it is stored. */
void enrolment_token_hash(slice token, char ret_hash[CERTIFICATE_HASH_BYTES]);
/* A name that the broker's ACL may give more to than to an agent: the templates' own, and those of the settings. */
bool enrolment_reserved(const struct enrolment *enrolment, slice agent) MUST_CHECK;
/* "<tenant>/<agent>", as in certificates and topics; false: it is none. */
bool enrolment_name_parts(slice name, slice *ret_tenant, slice *ret_agent) MUST_CHECK;

#endif
