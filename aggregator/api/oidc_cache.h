/* SPDX-License-Identifier: Apache-2.0
 * Tokens that were checked, by their SHA-256, so that a caller's next request costs a hash and no signature. Of fixed size:
 * a new one takes an old one's place. Any thread. */
#ifndef PICKET_API_OIDC_CACHE_H
#define PICKET_API_OIDC_CACHE_H

#include "aggregator/api/tokens.h"
#include "common/base/digest.h"

struct oidc_cache;

struct oidc_cached {
    size_t source;       /* the issuer's keys, and which of their sets: what makes the entry hold (oidc_keys_holds) */
    uint64_t generation; /* */
    struct token_owner owner; /* expires_ms is when the entry ends */
};

struct oidc_cache *oidc_cache_new(void) MUST_CHECK; /* NULL: no memory */
struct oidc_cache *oidc_cache_free(struct oidc_cache *cache);

/* Whatever does not fit (names beyond their bounds) is not kept. */
void oidc_cache_put(struct oidc_cache *cache, const uint8_t hash[DIGEST_BYTES], const struct oidc_cached *entry);
/* False when it is not there, or has ended. Slices are in the arena. */
bool oidc_cache_find(struct oidc_cache *cache, const uint8_t hash[DIGEST_BYTES], int64_t now_ms, struct arena *arena,
                     struct oidc_cached *ret_entry) MUST_CHECK;

#endif
