/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/aggregator/api/jwt_signer.h"

#include "aggregator/api/jwks.h"

static struct arena *arena;
static struct signer rsa, weak, ec;

static int setup(void **state) {
    arena = arena_new(1 << 20, 1 << 26);
    signer_init(&rsa, SIGNATURE_RS256, "r1", 2048);
    signer_init(&weak, SIGNATURE_RS256, "w1", 1024);
    signer_init(&ec, SIGNATURE_ES256, "e1", 0);
    return 0;
}

static int teardown(void **state) {
    signer_done(&rsa);
    signer_done(&weak);
    signer_done(&ec);
    arena_free(arena);
    return 0;
}

static slice set_of(slice first, slice second) {
    return arena_format(arena, "{\"keys\":[%.*s%s%.*s]}", SLICE_ARG(first), second.size ? "," : "", SLICE_ARG(second));
}

static void refused(slice json, fault_code expected, const char *words) {
    struct fault fault;
    struct jwks *jwks;
    CHECK_FAULT(jwks_read(json, arena, &jwks, &fault), expected);
    if (!strstr(fault.text, words)) fail_msg("expected '%s', got '%s'", words, fault.text);
}

TEST(keys_are_found_by_name_and_algorithm) {
    struct fault fault;
    struct jwks *jwks;
    CHECK_OK(jwks_read(set_of(signer_jwk(&rsa, "", arena), signer_jwk(&ec, ",\"alg\":\"ES256\"", arena)), arena, &jwks,
                       &fault));
    assert_int_equal(jwks_count(jwks), 2);
    assert_non_null(jwks_find(jwks, SLICE_LIT("r1"), SIGNATURE_RS256));
    assert_non_null(jwks_find(jwks, SLICE_LIT("e1"), SIGNATURE_ES256));
    assert_null(jwks_find(jwks, SLICE_LIT("e1"), SIGNATURE_RS256));
    assert_null(jwks_find(jwks, SLICE_LIT("r"), SIGNATURE_RS256));
    assert_null(jwks_find(jwks, (slice){0}, SIGNATURE_RS256));
    jwks_free(jwks);
}

TEST(keys_that_may_not_check_tokens_are_passed_over) {
    static const char *const others[] = {
        "{\"kty\":\"oct\",\"kid\":\"s\",\"alg\":\"HS256\",\"k\":\"c2VjcmV0\"}",
        "{\"kty\":\"OKP\",\"kid\":\"o\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}",
        "{\"kty\":\"EC\",\"kid\":\"p\",\"crv\":\"P-384\",\"x\":\"AAAA\",\"y\":\"AAAA\"}",
        "{\"kty\":\"EC\",\"kid\":\"p\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}",
        "{\"kty\":\"RSA\",\"kid\":\"x\",\"n\":\"!!\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"kid\":\"x\"}",
        "{\"kid\":\"x\"}",
        "7",
        "null",
    };
    struct fault fault;
    struct jwks *jwks;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        refused(set_of(slice_from_text(others[i]), (slice){0}), FAULT_INPUT,
                "a set of 1 keys and none that can be used");
        CHECK_OK(jwks_read(set_of(slice_from_text(others[i]), signer_jwk(&ec, "", arena)), arena, &jwks, &fault));
        assert_int_equal(jwks_count(jwks), 1);
        assert_int_equal(jwks_passed_over(jwks), 1);
        jwks_free(jwks);
    }
}

TEST(what_is_wrong_with_a_key_is_said) {
    struct signer nameless = rsa;
    nameless.kid = "";
    refused(set_of(signer_jwk(&weak, "", arena), (slice){0}), FAULT_INPUT, "an RSA key of 1024 bits; 2048 to 8192");
    refused(set_of(signer_jwk(&rsa, ",\"use\":\"enc\"", arena), (slice){0}), FAULT_INPUT,
            "not for checking signatures");
    refused(set_of(signer_jwk(&rsa, ",\"key_ops\":[\"encrypt\"]", arena), (slice){0}), FAULT_INPUT,
            "not for checking signatures");
    refused(set_of(signer_jwk(&rsa, ",\"alg\":\"RSA-OAEP\"", arena), (slice){0}), FAULT_INPUT,
            "another algorithm than RS256");
    refused(set_of(signer_jwk(&rsa, ",\"alg\":\"PS256\"", arena), (slice){0}), FAULT_INPUT,
            "another algorithm than RS256");
    refused(set_of(signer_jwk(&nameless, "", arena), (slice){0}), FAULT_INPUT, "without a name");
}

TEST(a_second_key_of_one_name_is_passed_over) {
    struct fault fault;
    struct jwks *jwks;
    const slice key = signer_jwk(&rsa, "", arena);
    CHECK_OK(jwks_read(set_of(key, key), arena, &jwks, &fault));
    assert_int_equal(jwks_count(jwks), 1);
    assert_int_equal(jwks_passed_over(jwks), 1);
    jwks_free(jwks);
}

TEST(what_is_no_key_set_is_refused) {
    refused(SLICE_LIT("<html>"), FAULT_INPUT, "not JSON");
    refused(SLICE_LIT("[]"), FAULT_INPUT, "there is no list 'keys'");
    refused(SLICE_LIT("{\"keys\":{}}"), FAULT_INPUT, "there is no list 'keys'");
    refused(SLICE_LIT("{\"keys\":[]}"), FAULT_INPUT, "a set of 0 keys and none that can be used: there is none at all");
    refused(SLICE_LIT("{\"keys\":[],\"keys\":[]}"), FAULT_INPUT, "twice");
    struct text text = text_begin(arena);
    slice json;
    text_add_text(&text, "{\"keys\":[{}");
    for (int i = 0; i < JWKS_KEYS_MAX; i++) text_add_text(&text, ",{}");
    text_add_text(&text, "]}");
    assert_int_equal(text_end(&text, "keys", &json, NULL), FAULT_NONE);
    refused(json, FAULT_LIMIT, "a set of 65 keys, at most 64");
    refused(slice_of(arena_alloc(arena, JWKS_BYTES_MAX + 1), JWKS_BYTES_MAX + 1), FAULT_LIMIT,
            "at most 262144 are read");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_found_by_name_and_algorithm),
        cmocka_unit_test(keys_that_may_not_check_tokens_are_passed_over),
        cmocka_unit_test(what_is_wrong_with_a_key_is_said),
        cmocka_unit_test(a_second_key_of_one_name_is_passed_over),
        cmocka_unit_test(what_is_no_key_set_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
