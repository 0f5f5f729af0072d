/* SPDX-License-Identifier: Apache-2.0
 * What is checked, and in which order, follows RFC 8725 section 3: the algorithm comes from a closed table and must be the
 * key's own (3.1, 3.2), the key is the issuer's (3.8), the audience is ours (3.9), the type is that of a token for us
 * (3.11). Claims are looked at before the signature only to find the issuer and to refuse early what would be refused
 * anyway; nothing is decided for the caller's good before the signature is checked. */
#include "aggregator/api/jwt.h"

#include <inttypes.h>
#include <math.h>
#include <strings.h>

static const char *const algorithm_names[SIGNATURE_ALGORITHMS_] = {
    [SIGNATURE_RS256] = "RS256",
    [SIGNATURE_ES256] = "ES256",
};
#define SECONDS_MAX 253402300799.0 /* the year 9999 */

bool jwt_is(slice token) {
    size_t dots = 0;
    for (size_t i = 0; i < token.size; i++) dots += token.data[i] == '.';
    return dots == 2;
}

static int base64url_value(uint8_t c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

slice jwt_base64url(slice text, struct arena *arena) {
    if (!text.size || text.size % 4 == 1) return (slice){0};
    uint8_t *bytes = arena_alloc(arena, text.size);
    size_t size = 0;
    uint32_t bits = 0;
    for (size_t i = 0; bytes && i < text.size; i++) {
        const int value = base64url_value(text.data[i]);
        if (value < 0) return (slice){0};
        bits = bits << 6 | (uint32_t)value;
        if (i % 4) bytes[size++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    const uint32_t left_over = text.size % 4 == 2 ? bits & 0xF : text.size % 4 == 3 ? bits & 0x3 : 0;
    return bytes && !left_over ? slice_of(bytes, size) : (slice){0};
}

/* The part up to the next dot; *rest begins behind it. */
static slice part_take(slice *rest) {
    const uint8_t *dot = memchr(rest->data, '.', rest->size);
    const slice part = slice_first(*rest, dot ? (size_t)(dot - rest->data) : rest->size);
    *rest = slice_from(*rest, part.size + 1);
    return part;
}

static fault_code object_read(slice part, const char *what, struct arena *arena, const struct json_value **ret_object,
                              struct fault *reterr) {
    const slice json = jwt_base64url(part, arena);
    if (!json.data) return fault_set(reterr, FAULT_INPUT, "the token's %s is not base64url", what);
    const fault_code code = json_tree_read(json, arena, ret_object, reterr);
    if (code) return fault_set(reterr, FAULT_INPUT, "the token's %s is no JSON that is taken", what);
    if (!json_tree_is_object(*ret_object)) return fault_set(reterr, FAULT_INPUT, "the token's %s is no object", what);
    return FAULT_NONE;
}

/* RFC 7519 section 5.1, RFC 9068 section 2.1: a media type without "application/", in any case. A token made for another
 * end (logout+jwt, dpop+jwt) is not taken for one that signs a caller in. */
static bool type_is_taken(slice type) {
    static const char *const taken[] = {"JWT", "at+jwt"};
    static const char prefix[] = "application/";
    if (type.size > sizeof prefix - 1 && !strncasecmp((const char *)type.data, prefix, sizeof prefix - 1))
        type = slice_from(type, sizeof prefix - 1);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (type.size == strlen(taken[i]) && !strncasecmp((const char *)type.data, taken[i], type.size)) return true;
    return false;
}

static fault_code header_check(const struct json_value *header, struct jwt *jwt, struct fault *reterr) {
    slice text;
    if (json_tree_member(header, SLICE_LIT("crit")))
        return fault_set(reterr, FAULT_INPUT, "the token has critical headers ('crit'), none is understood here");
    const struct json_value *type = json_tree_member(header, SLICE_LIT("typ"));
    if (type && (!json_tree_text(type, &text) || !type_is_taken(text)))
        return fault_set(reterr, FAULT_INPUT, "the token is of another kind ('typ') than JWT or at+jwt");
    if (!json_tree_text(json_tree_member(header, SLICE_LIT("alg")), &text)) text = (slice){0};
    jwt->algorithm = SIGNATURE_ALGORITHMS_;
    for (size_t i = 0; i < SIGNATURE_ALGORITHMS_; i++)
        if (slice_equal_text(text, algorithm_names[i])) jwt->algorithm = (enum signature_algorithm)i;
    if (jwt->algorithm == SIGNATURE_ALGORITHMS_)
        return fault_set(reterr, FAULT_INPUT, "the token is not signed with RS256 or ES256 ('alg')");
    if (!json_tree_text(json_tree_member(header, SLICE_LIT("kid")), &jwt->kid) || !jwt->kid.size)
        return fault_set(reterr, FAULT_INPUT, "the token does not name its key ('kid')");
    return FAULT_NONE;
}

fault_code jwt_read(slice token, struct arena *arena, struct jwt *ret_jwt, struct fault *reterr) {
    if (token.size > JWT_BYTES_MAX)
        return fault_set(reterr, FAULT_INPUT, "the token has %zu bytes, at most %d are taken", token.size,
                         JWT_BYTES_MAX);
    if (!jwt_is(token)) return fault_set(reterr, FAULT_INPUT, "the token does not have three parts");
    struct jwt jwt = {0};
    slice rest = token;
    const slice header_part = part_take(&rest), claims_part = part_take(&rest);
    jwt.signed_part = slice_first(token, header_part.size + 1 + claims_part.size);
    const struct json_value *header;
    fault_code code = object_read(header_part, "header", arena, &header, reterr);
    if (!code) code = header_check(header, &jwt, reterr);
    if (!code) code = object_read(claims_part, "content", arena, &jwt.claims, reterr);
    if (code) return code;
    jwt.signature = jwt_base64url(rest, arena);
    if (!jwt.signature.data) return fault_set(reterr, FAULT_INPUT, "the token's signature is not base64url");
    if (!json_tree_text(json_tree_member(jwt.claims, SLICE_LIT("iss")), &jwt.issuer))
        return fault_set(reterr, FAULT_INPUT, "the token does not name its issuer ('iss')");
    *ret_jwt = jwt;
    return FAULT_NONE;
}

/* RFC 7519 section 4.1.3: one text or a list of texts, compared as they are. */
bool jwt_is_for(const struct jwt *jwt, slice audience) {
    const struct json_value *claim = json_tree_member(jwt->claims, SLICE_LIT("aud"));
    slice text;
    if (json_tree_text(claim, &text)) return slice_equal(text, audience);
    const size_t count = json_tree_count(claim);
    if (count > JWT_AUDIENCES_MAX) return false;
    const struct json_value *item = json_tree_first(claim);
    for (size_t i = 0; i < count; i++) {
        if (json_tree_text(item, &text) && slice_equal(text, audience)) return true;
        if (i + 1 < count) item = json_tree_next(item);
    }
    return false;
}

/* NumericDate (RFC 7519 section 2): seconds, also with a fraction. *ret_given: it is there. */
static fault_code date_read(const struct jwt *jwt, const char *name, bool *ret_given, int64_t *ret_ms,
                            struct fault *reterr) {
    double seconds;
    const struct json_value *claim = json_tree_member(jwt->claims, slice_from_text(name));
    *ret_given = claim != NULL;
    if (!claim) return FAULT_NONE;
    if (!json_tree_number(claim, &seconds) || !(seconds >= 0 && seconds <= SECONDS_MAX))
        return fault_set(reterr, FAULT_DENIED, "the token's '%s' is no time in seconds since 1970", name);
    *ret_ms = (int64_t)floor(seconds * 1000);
    return FAULT_NONE;
}

fault_code jwt_check_claims(const struct jwt *jwt, const struct jwt_rules *rules, int64_t now_ms,
                            int64_t *ret_expires_ms, struct fault *reterr) {
    int64_t expires_ms = 0, begins_ms = 0, issued_ms = 0;
    bool expires, begins, issued;
    if (!slice_equal(jwt->issuer, rules->issuer))
        return fault_set(reterr, FAULT_DENIED, "the token is of another issuer ('iss')");
    if (!jwt_is_for(jwt, rules->audience))
        return fault_set(reterr, FAULT_DENIED, "the token is not for '%.*s' ('aud'): it was made for another program",
                         SLICE_ARG(rules->audience));
    if (date_read(jwt, "exp", &expires, &expires_ms, reterr) || date_read(jwt, "nbf", &begins, &begins_ms, reterr) ||
        date_read(jwt, "iat", &issued, &issued_ms, reterr))
        return FAULT_DENIED;
    if (!expires) return fault_set(reterr, FAULT_DENIED, "the token has no end ('exp')");
    if (now_ms - expires_ms >= rules->skew_ms)
        return fault_set(reterr, FAULT_DENIED, "the token expired %" PRId64 " s ago: sign in again",
                         (now_ms - expires_ms) / 1000);
    if (begins && begins_ms - now_ms > rules->skew_ms)
        return fault_set(reterr, FAULT_DENIED,
                         "the token becomes valid in %" PRId64 " s ('nbf'); are the clocks right?",
                         (begins_ms - now_ms) / 1000);
    if (issued && issued_ms - now_ms > rules->skew_ms)
        return fault_set(reterr, FAULT_DENIED,
                         "the token was issued %" PRId64 " s in the future ('iat'); are the clocks right?",
                         (issued_ms - now_ms) / 1000);
    *ret_expires_ms = expires_ms;
    return FAULT_NONE;
}

fault_code jwt_check_signature(const struct jwt *jwt, const struct signature_key *key, struct fault *reterr) {
    if (key->algorithm != jwt->algorithm)
        return fault_set(reterr, FAULT_DENIED, "the token's key is not for %s", algorithm_names[jwt->algorithm]);
    const fault_code code = signature_verify(key, jwt->signed_part, jwt->signature, reterr);
    return code ? fault_wrap(reterr, "the token") : FAULT_NONE;
}

const struct json_value *jwt_claim(const struct jwt *jwt, slice name) {
    const struct json_value *claim = json_tree_member(jwt->claims, name);
    if (claim || !memchr(name.data, '.', name.size)) return claim;
    claim = jwt->claims;
    while (claim && name.size) claim = json_tree_member(claim, part_take(&name));
    return claim;
}
