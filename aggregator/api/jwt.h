/* SPDX-License-Identifier: Apache-2.0
 * One JSON Web Token: its parts, its signature, its times (RFC 7515, 7518, 7519, with the advice of RFC 8725). Pure; any
 * thread. Sentences say what is wrong and repeat nothing of the token but the name of its key. */
#ifndef PICKET_API_JWT_H
#define PICKET_API_JWT_H

#include "common/codec/json_tree.h"
#include "common/net/signature.h"

enum { JWT_BYTES_MAX = 8 * 1024, JWT_AUDIENCES_MAX = 64 };

struct jwt {
    enum signature_algorithm algorithm; /* as the header says; what counts is the key's */
    slice kid, issuer;
    const struct json_value *claims; /* nothing of them is true before jwt_check has passed */
    slice signed_part, signature;
};

/* Whether a bearer is of this kind: three parts with dots between. Our own tokens have none. */
bool jwt_is(slice token);

/* Everything in the arena but signed_part, which points into the token. FAULT_INPUT: malformed, or of a kind that is not
 * taken: `none`, HS256 and all other algorithms but two, critical headers, another `typ` than JWT and at+jwt. */
fault_code jwt_read(slice token, struct arena *arena, struct jwt *ret_jwt, struct fault *reterr) MUST_CHECK;

/* Whether `aud` holds this one. */
bool jwt_is_for(const struct jwt *jwt, slice audience);

struct jwt_rules {
    slice issuer, audience;
    int64_t skew_ms; /* how far the issuer's clock and ours may differ */
};
/* iss, aud, exp (required), nbf and iat. FAULT_DENIED with the reason; ret_expires_ms: without the skew. */
fault_code jwt_check_claims(const struct jwt *jwt, const struct jwt_rules *rules, int64_t now_ms,
                            int64_t *ret_expires_ms, struct fault *reterr) MUST_CHECK;
/* FAULT_DENIED: the key is for another algorithm, or did not sign this. */
fault_code jwt_check_signature(const struct jwt *jwt, const struct signature_key *key, struct fault *reterr) MUST_CHECK;

/* A claim by its name, or else by its way down with dots ("realm_access.roles"); NULL when it is not there. */
const struct json_value *jwt_claim(const struct jwt *jwt, slice name);

/* RFC 4648 section 5 as RFC 7515 has it: no padding, no blanks, no bits left over. data is NULL when it is not that, or
 * the arena is full. */
slice jwt_base64url(slice text, struct arena *arena);

#endif
