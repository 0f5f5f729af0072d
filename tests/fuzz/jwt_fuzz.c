/* SPDX-License-Identifier: Apache-2.0
 * What a stranger may send as a bearer, and what an issuer may answer. The first byte chooses: a token (k: its claims are
 * the input, so that the checks behind the encoding are reached), or a key set. A token that is read says what its text
 * says, and no token is accepted: the key in use has signed none. */
#include <stdlib.h>

#include "aggregator/api/jwks.h"
#include "aggregator/api/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_BYTES = 32 * 1024 * 1024 };

static const char key_set[] =
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

static void must(bool holds) {
    if (!holds) abort();
}

static slice encode(slice bytes, struct arena *arena) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t *text = arena_alloc(arena, bytes.size * 4 / 3 + 4);
    size_t size = 0;
    must(text);
    for (size_t i = 0; i < bytes.size * 8; i += 6) {
        const unsigned pair = (unsigned)bytes.data[i / 8] << 8 | (i / 8 + 1 < bytes.size ? bytes.data[i / 8 + 1] : 0u);
        text[size++] = (uint8_t)letters[pair >> (10 - i % 8) & 63];
    }
    return slice_of(text, size);
}

static void try_token(slice token, const struct jwks *keys, struct arena *arena) {
    static const struct jwt_rules rules = {{(const uint8_t *)"i", 1}, {(const uint8_t *)"a", 1}, 60000};
    struct fault fault;
    struct jwt jwt;
    int64_t expires_ms;
    if (jwt_read(token, arena, &jwt, &fault)) return;
    must(jwt_is(token) && token.size <= JWT_BYTES_MAX);
    must(jwt.signed_part.size + 1 < token.size);
    must(slice_equal(encode(jwt.signature, arena), slice_from(token, jwt.signed_part.size + 1)));
    (void)jwt_claim(&jwt, SLICE_LIT("a.b"));
    if (!jwt_check_claims(&jwt, &rules, INT64_C(1800000000000), &expires_ms, &fault))
        must(expires_ms > INT64_C(1800000000000) - rules.skew_ms);
    must(jwt_check_signature(&jwt, jwks_find(keys, SLICE_LIT("k"), SIGNATURE_ES256), &fault) != FAULT_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct arena *arena;
    static struct jwks *keys;
    struct fault fault;
    if (!arena) {
        arena = arena_new(1024 * 1024, ARENA_BYTES);
        must(arena && !jwks_read(SLICE_LIT(key_set), arena, &keys, &fault));
        arena_reset(arena);
    }
    if (size == 0) return 0;
    const slice input = slice_of(data + 1, size - 1);
    if (data[0] == 's') {
        struct jwks *read;
        if (!jwks_read(input, arena, &read, &fault)) {
            must(jwks_count(read) > 0 && jwks_count(read) + jwks_passed_over(read) <= JWKS_KEYS_MAX);
            jwks_free(read);
        }
    } else if (data[0] == 'k') {
        const slice claims = encode(input, arena);
        const slice token = arena_format(arena, "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.%.*s.AAAA", SLICE_ARG(claims));
        if (token.data) try_token(token, keys, arena);
    } else {
        try_token(input, keys, arena);
    }
    arena_reset(arena);
    return 0;
}
