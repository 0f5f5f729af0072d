/* SPDX-License-Identifier: Apache-2.0
 * One row a key type: which algorithm it is for and how its numbers are read. A symmetric key ("oct") has no row, so the
 * text of a public key can never become a secret that somebody signs with (RFC 8725 section 2.1). */
#include "aggregator/api/jwks.h"

#include <stdlib.h>

#include "aggregator/api/jwt.h"
#include "common/codec/json_tree.h"

struct jwks_key {
    size_t kid_bytes;
    uint8_t kid[JWKS_KID_BYTES_MAX];
    struct signature_key key;
};

struct jwks {
    size_t count, passed_over;
    struct jwks_key keys[];
};

/* Empty when it is missing or no base64url. */
static slice number_of(const struct json_value *json, slice name, struct arena *arena) {
    slice text = {0};
    return json_tree_text(json_tree_member(json, name), &text) ? jwt_base64url(text, arena) : (slice){0};
}

static fault_code read_rsa(const struct json_value *json, struct arena *arena, struct signature_key *ret_key,
                           struct fault *reterr) {
    return signature_key_rsa(number_of(json, SLICE_LIT("n"), arena), number_of(json, SLICE_LIT("e"), arena), ret_key,
                             reterr);
}

static fault_code read_ec(const struct json_value *json, struct arena *arena, struct signature_key *ret_key,
                          struct fault *reterr) {
    slice curve = {0};
    if (!json_tree_text(json_tree_member(json, SLICE_LIT("crv")), &curve) || !slice_equal_text(curve, "P-256"))
        return fault_set(reterr, FAULT_INPUT, "an elliptic curve other than P-256");
    return signature_key_p256(number_of(json, SLICE_LIT("x"), arena), number_of(json, SLICE_LIT("y"), arena), ret_key,
                              reterr);
}

static const struct key_type {
    const char *type;
    const char *algorithm;
    fault_code (*read)(const struct json_value *json, struct arena *arena, struct signature_key *ret_key,
                       struct fault *reterr);
} key_types[] = {{"RSA", "RS256", read_rsa}, {"EC", "ES256", read_ec}};

static bool may_verify(const struct json_value *json) {
    slice use;
    if (json_tree_text(json_tree_member(json, SLICE_LIT("use")), &use) && !slice_equal_text(use, "sig")) return false;
    const struct json_value *operations = json_tree_member(json, SLICE_LIT("key_ops"));
    if (!operations) return true;
    const struct json_value *item = json_tree_first(operations);
    const size_t count = json_tree_count(operations);
    for (size_t i = 0; i < count; i++) {
        slice operation;
        if (json_tree_text(item, &operation) && slice_equal_text(operation, "verify")) return true;
        if (i + 1 < count) item = json_tree_next(item);
    }
    return false;
}

static fault_code read_key(const struct json_value *json, struct arena *arena, struct jwks_key *ret_key,
                           struct fault *reterr) {
    slice kid, type, algorithm;
    if (!json_tree_text(json_tree_member(json, SLICE_LIT("kid")), &kid) || !kid.size || kid.size > JWKS_KID_BYTES_MAX)
        return fault_set(reterr, FAULT_INPUT, "a key without a name ('kid') of 1 to %d bytes", JWKS_KID_BYTES_MAX);
    if (!json_tree_text(json_tree_member(json, SLICE_LIT("kty")), &type)) type = (slice){0};
    if (!may_verify(json)) return fault_set(reterr, FAULT_INPUT, "a key that is not for checking signatures");
    for (size_t i = 0; i < sizeof key_types / sizeof *key_types; i++) {
        if (!slice_equal_text(type, key_types[i].type)) continue;
        if (json_tree_text(json_tree_member(json, SLICE_LIT("alg")), &algorithm) &&
            !slice_equal_text(algorithm, key_types[i].algorithm))
            return fault_set(reterr, FAULT_INPUT, "a key for another algorithm than %s", key_types[i].algorithm);
        ret_key->kid_bytes = kid.size;
        memcpy(ret_key->kid, kid.data, kid.size);
        return key_types[i].read(json, arena, &ret_key->key, reterr);
    }
    return fault_set(reterr, FAULT_INPUT, "a key of another type than RSA and EC");
}

fault_code jwks_read(slice json, struct arena *arena, struct jwks **ret_jwks, struct fault *reterr) {
    const struct json_value *root;
    struct fault why = {.text = "there is none at all"};
    if (json.size > JWKS_BYTES_MAX)
        return fault_set(reterr, FAULT_LIMIT, "a key set of %zu bytes, at most %d are read", json.size, JWKS_BYTES_MAX);
    fault_code code = json_tree_read(json, arena, &root, reterr);
    if (code) return code;
    const struct json_value *keys = json_tree_member(root, SLICE_LIT("keys"));
    if (!json_tree_is_list(keys)) return fault_set(reterr, FAULT_INPUT, "no key set: there is no list 'keys'");
    const size_t count = json_tree_count(keys);
    if (count > JWKS_KEYS_MAX)
        return fault_set(reterr, FAULT_LIMIT, "a set of %zu keys, at most %d are read", count, JWKS_KEYS_MAX);
    struct jwks *jwks = calloc(1, sizeof *jwks + count * sizeof *jwks->keys);
    if (!jwks) return fault_set(reterr, FAULT_SYSTEM, "read a key set: no memory");
    const struct json_value *item = json_tree_first(keys);
    for (size_t i = 0; i < count; i++) {
        struct jwks_key *key = &jwks->keys[jwks->count];
        code = read_key(item, arena, key, &why);
        if (!code && jwks_find(jwks, slice_of(key->kid, key->kid_bytes), key->key.algorithm))
            code = fault_set(&why, FAULT_INPUT, "a second key of one name");
        if (code)
            jwks->passed_over++;
        else
            jwks->count++;
        if (i + 1 < count) item = json_tree_next(item);
    }
    if (!jwks->count) {
        jwks_free(jwks);
        return fault_set(reterr, FAULT_INPUT, "a set of %zu keys and none that can be used: %s", count, why.text);
    }
    *ret_jwks = jwks;
    return FAULT_NONE;
}

struct jwks *jwks_free(struct jwks *jwks) {
    free(jwks);
    return NULL;
}

size_t jwks_count(const struct jwks *jwks) {
    return jwks->count;
}

size_t jwks_passed_over(const struct jwks *jwks) {
    return jwks->passed_over;
}

const struct signature_key *jwks_find(const struct jwks *jwks, slice kid, enum signature_algorithm algorithm) {
    for (size_t i = 0; i < jwks->count; i++)
        if (jwks->keys[i].key.algorithm == algorithm &&
            slice_equal(kid, slice_of(jwks->keys[i].kid, jwks->keys[i].kid_bytes)))
            return &jwks->keys[i].key;
    return NULL;
}
