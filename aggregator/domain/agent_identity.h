/* SPDX-License-Identifier: Apache-2.0
 * An agent's right to connect: what was offered (a token, by its hash), issued (a certificate, by its serial and its
 * key), refused and revoked. Here is decided who may have a certificate; signing it is the API's. */
#ifndef PICKET_DOMAIN_AGENT_IDENTITY_H
#define PICKET_DOMAIN_AGENT_IDENTITY_H

#include "aggregator/domain/domain.h"

enum {
    AGENT_IDENTITY_REFUSAL_MS = 3600 * 1000, /* the same refusal is a fact so often, and no more */
    AGENT_IDENTITY_REFUSALS_MS = 60 * 1000,  /* and any refusal so often */
    AGENT_IDENTITY_RENEWAL_PARTS = 10,       /* a certificate is renewed after this part of its life, and not before */
    AGENT_IDENTITY_HASH_BYTES = 64,          /* of token_hash and key_hash: hexadecimal digits */
};
#define AGENT_IDENTITY_OFFER_MS_MAX (INT64_C(90) * 24 * 3600 * 1000) /* a token lives no longer */

decide_fn agent_identity_decide_offer, agent_identity_decide_issue, agent_identity_decide_refuse,
    agent_identity_decide_revoke;
apply_fn agent_identity_apply_offered, agent_identity_apply_issued, agent_identity_apply_refused,
    agent_identity_apply_revoked;

#endif
