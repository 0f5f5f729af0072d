/* SPDX-License-Identifier: Apache-2.0
 * An issuer's public keys: a JSON Web Key Set (RFC 7517) read into those that may check a token. A set is not changed once
 * it is read; any thread. */
#ifndef PICKET_API_JWKS_H
#define PICKET_API_JWKS_H

#include "common/base/arena.h"
#include "common/net/signature.h"

enum { JWKS_BYTES_MAX = 256 * 1024, JWKS_KEYS_MAX = 64, JWKS_KID_BYTES_MAX = 128 };

struct jwks;

/* Keys for other things than RS256 and ES256 signatures, without a `kid`, or too weak are passed over; a set without
 * one that can be used is FAULT_INPUT, which says what was wrong with the last. On the heap; the arena is for the way. */
fault_code jwks_read(slice json, struct arena *arena, struct jwks **ret_jwks, struct fault *reterr) MUST_CHECK;
struct jwks *jwks_free(struct jwks *jwks); /* NULL is fine; returns NULL */

size_t jwks_count(const struct jwks *jwks);
size_t jwks_passed_over(const struct jwks *jwks);
/* The key of this name for this algorithm; NULL when there is none. */
const struct signature_key *jwks_find(const struct jwks *jwks, slice kid, enum signature_algorithm algorithm);

#endif
