/* SPDX-License-Identifier: Apache-2.0
 * Callers whom an outside issuer vouches for (OpenID Connect, or any that signs JSON Web Tokens): which issuers, and how
 * their claims become tenant, name and role. A caller's name is "oidc:<issuer's name here>:<its name claim>", which no token
 * of ours and no agent can have, so that the log of facts tells who signed in how. Any thread. */
#ifndef PICKET_API_OIDC_H
#define PICKET_API_OIDC_H

#include "aggregator/api/tokens.h"
#include "common/metrics/metrics.h"
#include "common/settings/settings.h"

enum { OIDC_ISSUERS_MAX = 16, OIDC_NAME_BYTES_MAX = 128 /* as the contract's meta.producer */ };

#define OIDC_NAME_PREFIX "oidc:"

struct oidc;

struct oidc_issuer {
    slice name;                         /* 1 to 32 of a-z 0-9 - */
    slice issuer, audience;             /* `iss`, to the letter; what `aud` must hold */
    slice jwks_url, jwks_file, jwks_ca; /* one of url and file */
    slice tenant, tenant_claim;         /* one of them */
    slice name_claim, role_claim;       /* a claim's name, or its way with dots */
    struct setting_map roles;           /* value of role_claim to role: the first row that holds decides */
    slice role;                         /* of whom no row names; empty: refused */
    int64_t clock_skew_ms, jwks_refresh_ms, jwks_refresh_min_ms, jwks_age_max_ms, jwks_timeout_ms;
};

/* What rows of settings cannot say: NULL, or what is wrong with it; *ret_member is then the address of the one. */
const char *oidc_issuer_mistake(const struct oidc_issuer *issuer, const void **ret_member);

/* Starts fetching keys. The issuers' slices outlive it. metrics may be NULL. */
fault_code oidc_open(const struct oidc_issuer *issuers, size_t count, struct metrics *metrics, struct oidc **ret_oidc,
                     struct fault *reterr) MUST_CHECK;
struct oidc *oidc_close(struct oidc *oidc); /* NULL is fine; returns NULL */

/* The owner of a token that was checked before and still holds; no signature is checked. */
bool oidc_recall(struct oidc *oidc, slice token, int64_t now_ms, struct arena *arena,
                 struct token_owner *ret_owner) MUST_CHECK;
/* Checks it all. FAULT_AGAIN: the issuer's keys are not there (yet); FAULT_CONFLICT: the token is good, but its claims give
 * no tenant, name or role here; any other: it is refused. */
fault_code oidc_find(struct oidc *oidc, slice token, int64_t now_ms, struct arena *arena, struct token_owner *ret_owner,
                     struct fault *reterr) MUST_CHECK;

#endif
