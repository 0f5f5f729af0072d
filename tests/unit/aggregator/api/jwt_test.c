/* SPDX-License-Identifier: Apache-2.0
 * One good token, and each way in which it may be bad, separately. */
#include "tests/unit/aggregator/api/jwt_signer.h"

#include "aggregator/api/jwks.h"
#include "aggregator/api/jwt.h"

#define NOW_S 1800000000
#define GOOD                                                                                                           \
    "{\"iss\":\"https://id.example\",\"aud\":\"picket\",\"sub\":\"anna\",\"exp\":1800000300,\"iat\":1799999990}"
#define HEAD(alg, kid, more) "{\"alg\":\"" alg "\",\"kid\":\"" kid "\"" more "}"

static struct arena *arena;
static struct signer rsa, ec, other_ec;
static struct jwks *keys;
static const struct jwt_rules rules = {.issuer = {(const uint8_t *)"https://id.example", 18},
                                       .audience = {(const uint8_t *)"picket", 6},
                                       .skew_ms = 60000};

static int setup(void **state) {
    struct fault fault;
    arena = arena_new(1 << 20, 1 << 26);
    signer_init(&rsa, SIGNATURE_RS256, "r1", 2048);
    signer_init(&ec, SIGNATURE_ES256, "e1", 0);
    signer_init(&other_ec, SIGNATURE_ES256, "e1", 0); /* the same name, another key */
    const slice first = signer_jwk(&rsa, ",\"use\":\"sig\",\"alg\":\"RS256\"", arena),
                second = signer_jwk(&ec, ",\"key_ops\":[\"sign\",\"verify\"]", arena);
    CHECK_OK(jwks_read(arena_format(arena, "{\"keys\":[%.*s,%.*s]}", SLICE_ARG(first), SLICE_ARG(second)), arena, &keys,
                       &fault));
    return 0;
}

static int teardown(void **state) {
    jwks_free(keys);
    signer_done(&rsa);
    signer_done(&ec);
    signer_done(&other_ec);
    arena_free(arena);
    return 0;
}

/* As oidc.c does it. */
static fault_code check(slice token, int64_t now_ms, struct fault *reterr) {
    struct jwt jwt;
    int64_t expires_ms;
    fault_code code = jwt_read(token, arena, &jwt, reterr);
    if (!code) code = jwt_check_claims(&jwt, &rules, now_ms, &expires_ms, reterr);
    if (code) return code;
    const struct signature_key *key = jwks_find(keys, jwt.kid, jwt.algorithm);
    return key ? jwt_check_signature(&jwt, key, reterr) : fault_set(reterr, FAULT_ABSENT, "unknown key");
}

static void accepted(slice token) {
    struct fault fault;
    CHECK_OK(check(token, NOW_S * INT64_C(1000), &fault));
}

static void refused_at(slice token, int64_t now_ms, const char *words) {
    struct fault fault = {0};
    if (!check(token, now_ms, &fault)) fail_msg("accepted, though: %s", words);
    if (!strstr(fault.text, words)) fail_msg("expected '%s', got '%s'", words, fault.text);
}

static void refused(slice token, const char *words) {
    refused_at(token, NOW_S * INT64_C(1000), words);
}

TEST(a_good_token_of_each_algorithm_is_accepted) {
    accepted(signer_token(&rsa, NULL, GOOD, arena));
    accepted(signer_token(&ec, NULL, GOOD, arena));
    accepted(signer_token(&ec, HEAD("ES256", "e1", ""), GOOD, arena));
    accepted(signer_token(&ec, HEAD("ES256", "e1", ",\"typ\":\"application/AT+JWT\""), GOOD, arena));
    accepted(signer_token(&ec, HEAD("ES256", "e1", ",\"jku\":\"https://evil.example\",\"jwk\":{}"), GOOD, arena));
}

TEST(headers_that_are_not_taken_are_refused_each_with_its_reason) {
    static const struct {
        const char *header, *words;
    } cases[] = {
        {HEAD("none", "e1", ""), "not signed with RS256 or ES256"},
        {HEAD("None", "e1", ""), "not signed with RS256 or ES256"},
        {HEAD("HS256", "e1", ""), "not signed with RS256 or ES256"},
        {HEAD("RS512", "r1", ""), "not signed with RS256 or ES256"},
        {HEAD("PS256", "r1", ""), "not signed with RS256 or ES256"},
        {HEAD("ES384", "e1", ""), "not signed with RS256 or ES256"},
        {HEAD("es256", "e1", ""), "not signed with RS256 or ES256"},
        {HEAD("", "e1", ""), "not signed with RS256 or ES256"},
        {"{\"kid\":\"e1\"}", "not signed with RS256 or ES256"},
        {"{\"alg\":[\"ES256\"],\"kid\":\"e1\"}", "not signed with RS256 or ES256"},
        {"{\"alg\":\"ES256\"}", "does not name its key"},
        {"{\"alg\":\"ES256\",\"kid\":\"\"}", "does not name its key"},
        {"{\"alg\":\"ES256\",\"kid\":7}", "does not name its key"},
        {HEAD("ES256", "e2", ""), "unknown key"},
        {HEAD("RS256", "e1", ""), "unknown key"}, /* that name is an ES256 key's */
        {HEAD("ES256", "e1", ",\"crit\":[\"b64\"],\"b64\":false"), "critical headers"},
        {HEAD("ES256", "e1", ",\"typ\":\"logout+jwt\""), "of another kind"},
        {HEAD("ES256", "e1", ",\"typ\":\"JW\""), "of another kind"},
        {HEAD("ES256", "e1", ",\"typ\":1"), "of another kind"},
        {HEAD("ES256", "e1", ",\"alg\":\"none\""), "header is no JSON that is taken"}, /* twice */
        {"[]", "header is no object"},
        {"{", "header is no JSON that is taken"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(signer_token(&ec, cases[i].header, GOOD, arena), cases[i].words);
}

/* RFC 8725 section 2.1: a public key's text as the secret of an HMAC, and keys of one type under another's name. */
TEST(algorithms_are_not_confused) {
    const slice jwk = signer_jwk(&rsa, "", arena);
    const slice head = signer_base64url(SLICE_LIT("{\"alg\":\"HS256\",\"kid\":\"r1\"}"), arena),
                body = signer_base64url(SLICE_LIT(GOOD), arena);
    const slice message = arena_format(arena, "%.*s.%.*s", SLICE_ARG(head), SLICE_ARG(body));
    uint8_t mac[32];
    assert_int_equal(mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), jwk.data, jwk.size, message.data,
                                     message.size, mac),
                     0);
    const slice signature = signer_base64url(slice_of(mac, sizeof mac), arena);
    refused(arena_format(arena, "%.*s.%.*s", SLICE_ARG(message), SLICE_ARG(signature)),
            "not signed with RS256 or ES256");
    refused(signer_token(&rsa, HEAD("ES256", "r1", ""), GOOD, arena), "unknown key");
    struct fault fault;
    struct jwt jwt;
    CHECK_OK(jwt_read(signer_token(&rsa, HEAD("ES256", "r1", ""), GOOD, arena), arena, &jwt, &fault));
    CHECK_FAULT(jwt_check_signature(&jwt, jwks_find(keys, SLICE_LIT("r1"), SIGNATURE_RS256), &fault), FAULT_DENIED);
    assert_non_null(strstr(fault.text, "key is not for ES256"));
}

TEST(no_signature_is_no_token) {
    const slice token = signer_token(&ec, NULL, GOOD, arena);
    const uint8_t *dot = memrchr(token.data, '.', token.size);
    refused(slice_first(token, (size_t)(dot - token.data) + 1), "signature is not base64url");
    refused(slice_first(token, (size_t)(dot - token.data)), "does not have three parts");
    refused(arena_format(arena, "%.*s.AAAA", SLICE_ARG(slice_first(token, (size_t)(dot - token.data)))),
            "the signature has 3 bytes, one of this key has 64");
    refused(arena_format(arena, "%.*s.x", SLICE_ARG(token)), "does not have three parts");
}

TEST(a_signature_by_another_key_of_that_name_is_refused) {
    refused(signer_token(&other_ec, NULL, GOOD, arena), "the token: the signature is not this key's");
}

TEST(claims_that_do_not_fit_are_refused_each_with_its_reason) {
    static const struct {
        const char *claims, *words;
    } cases[] = {
        {"{\"aud\":\"picket\",\"exp\":1800000300}", "does not name its issuer"},
        {"{\"iss\":5,\"aud\":\"picket\",\"exp\":1800000300}", "does not name its issuer"},
        {"{\"iss\":\"https://id.example/\",\"aud\":\"picket\",\"exp\":1800000300}", "of another issuer"},
        {"{\"iss\":\"HTTPS://id.example\",\"aud\":\"picket\",\"exp\":1800000300}", "of another issuer"},
        {"{\"iss\":\"https://id.example\",\"exp\":1800000300}", "not for 'picket'"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"Picket\",\"exp\":1800000300}", "not for 'picket'"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"picket-dev\",\"exp\":1800000300}", "not for 'picket'"},
        {"{\"iss\":\"https://id.example\",\"aud\":[],\"exp\":1800000300}", "not for 'picket'"},
        {"{\"iss\":\"https://id.example\",\"aud\":[7,[\"picket\"],{\"picket\":1}],\"exp\":1800000300}",
         "not for 'picket'"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"picket\"}", "has no end"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"picket\",\"exp\":\"1800000300\"}", "'exp' is no time"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"picket\",\"exp\":null}", "'exp' is no time"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"picket\",\"exp\":-1}", "'exp' is no time"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"picket\",\"exp\":1e300}", "'exp' is no time"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"picket\",\"exp\":1e400}", "no JSON that is taken"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"picket\",\"exp\":1799999900}", "expired 100 s ago"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"picket\",\"exp\":1800000300,\"nbf\":1800000100}",
         "becomes valid in 100 s"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"picket\",\"exp\":1800000300,\"nbf\":\"soon\"}", "'nbf' is no time"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"picket\",\"exp\":1800000300,\"iat\":1800000200}",
         "issued 200 s in the future"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"picket\",\"exp\":1800000300,\"iat\":[]}", "'iat' is no time"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"picket\",\"exp\":1,\"exp\":1800000300}", "no JSON that is taken"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"picket\",\"exp\":1800000300,\"x\":{\"a\":1,\"a\":1}}",
         "no JSON that is taken"},
        {"\"https://id.example\"", "content is no object"},
        {"", "content is not base64url"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(signer_token(&ec, NULL, cases[i].claims, arena), cases[i].words);
}

TEST(audiences_may_be_many_and_times_may_have_fractions) {
    accepted(signer_token(
        &ec, NULL, "{\"iss\":\"https://id.example\",\"aud\":[\"a\",\"picket\"],\"exp\":1800000300.75,\"nbf\":1.5e9}",
        arena));
    struct text text = text_begin(arena);
    slice claims;
    text_add_text(&text, "{\"iss\":\"https://id.example\",\"exp\":1800000300,\"aud\":[");
    for (int i = 0; i < JWT_AUDIENCES_MAX; i++) text_add_text(&text, "\"a\",");
    text_add_text(&text, "\"picket\"]}");
    assert_int_equal(text_end(&text, "claims", &claims, NULL), FAULT_NONE);
    refused(signer_token(&ec, NULL, (const char *)claims.data, arena), "not for 'picket'");
}

TEST(the_skew_is_allowed_to_its_edge_and_no_further) {
    const slice token = signer_token(&ec, NULL,
                                     "{\"iss\":\"https://id.example\",\"aud\":\"picket\",\"exp\":1800000000,"
                                     "\"nbf\":1799999000,\"iat\":1799999000}",
                                     arena);
    struct fault fault;
    CHECK_OK(check(token, INT64_C(1800000059999), &fault));
    refused_at(token, INT64_C(1800000060000), "expired 60 s ago");
    CHECK_OK(check(token, INT64_C(1799998940000), &fault));
    refused_at(token, INT64_C(1799998939999), "becomes valid in 60 s");
}

TEST(every_changed_character_is_refused) {
    const slice token = signer_token(&ec, NULL, GOOD, arena);
    uint8_t *copy = arena_alloc(arena, token.size);
    for (size_t i = 0; i < token.size; i++) {
        memcpy(copy, token.data, token.size);
        copy[i] = copy[i] == 'A' ? 'B' : 'A';
        struct fault fault;
        if (!check(slice_of(copy, token.size), NOW_S * INT64_C(1000), &fault)) fail_msg("changed at %zu: accepted", i);
    }
}

TEST(every_truncated_and_every_lengthened_token_is_refused) {
    struct fault fault;
    const slice token = signer_token(&rsa, NULL, GOOD, arena);
    for (size_t size = 0; size < token.size; size++)
        if (!check(slice_first(token, size), NOW_S * INT64_C(1000), &fault)) fail_msg("cut at %zu: accepted", size);
    static const char *const ends[] = {"A", "=", "==", " ", "\n", "AAAA", "."};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (!check(arena_format(arena, "%.*s%s", SLICE_ARG(token), ends[i]), NOW_S * INT64_C(1000), &fault))
            fail_msg("with '%s' behind it: accepted", ends[i]);
}

TEST(base64url_has_one_form_for_each_value) {
    CHECK_SLICE(jwt_base64url(SLICE_LIT("YQ"), arena), "a");
    CHECK_SLICE(jwt_base64url(SLICE_LIT("YWI"), arena), "ab");
    CHECK_SLICE(jwt_base64url(SLICE_LIT("YWJj"), arena), "abc");
    static const char *const bad[] = {"", "Y", "YR", "YWJ", "YQ==", "YW+j", "YW/j", "YW j", "YWJjY", "YQ\n", "\x80YQ"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (jwt_base64url(slice_from_text(bad[i]), arena).data) fail_msg("'%s' was read", bad[i]);
}

TEST(huge_and_empty_tokens_are_refused_early) {
    char *huge = arena_alloc(arena, 1 << 20);
    memset(huge, 'A', 1 << 20);
    huge[10] = huge[20] = '.';
    refused(slice_of(huge, 1 << 20), "the token has 1048576 bytes, at most 8192 are taken");
    refused(slice_of(huge, JWT_BYTES_MAX + 1), "at most 8192 are taken");
    refused(slice_of(huge, JWT_BYTES_MAX), "header is no JSON that is taken");
    refused(SLICE_LIT(".."), "header is not base64url");
    assert_false(jwt_is((slice){0}) || jwt_is(SLICE_LIT("picket_abc")) || jwt_is(SLICE_LIT("a.b")) ||
                 jwt_is(SLICE_LIT("a.b.c.d.e")));
    struct arena *small = arena_new(512, 512);
    struct jwt jwt;
    struct fault fault;
    CHECK_FAULT(jwt_read(signer_token(&rsa, NULL, GOOD, arena), small, &jwt, &fault), FAULT_INPUT);
    arena_free(small);
}

TEST(claims_are_found_by_name_or_by_their_way) {
    struct fault fault;
    struct jwt jwt;
    slice text;
    CHECK_OK(jwt_read(signer_token(&ec, NULL,
                                   "{\"iss\":\"i\",\"realm_access\":{\"roles\":\"deep\"},\"https://x.y/roles\":\"url\","
                                   "\"a\":{\"b\":\"way\"},\"a.b\":\"name\"}",
                                   arena),
                      arena, &jwt, &fault));
    assert_true(json_tree_text(jwt_claim(&jwt, SLICE_LIT("realm_access.roles")), &text));
    CHECK_SLICE(text, "deep");
    assert_true(json_tree_text(jwt_claim(&jwt, SLICE_LIT("https://x.y/roles")), &text));
    CHECK_SLICE(text, "url");
    assert_true(json_tree_text(jwt_claim(&jwt, SLICE_LIT("a.b")), &text));
    CHECK_SLICE(text, "name"); /* the whole name goes before the way */
    assert_null(jwt_claim(&jwt, SLICE_LIT("realm_access.none")));
    assert_null(jwt_claim(&jwt, SLICE_LIT("iss.none")));
    assert_null(jwt_claim(&jwt, SLICE_LIT("none")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_token_of_each_algorithm_is_accepted),
        cmocka_unit_test(headers_that_are_not_taken_are_refused_each_with_its_reason),
        cmocka_unit_test(algorithms_are_not_confused),
        cmocka_unit_test(no_signature_is_no_token),
        cmocka_unit_test(a_signature_by_another_key_of_that_name_is_refused),
        cmocka_unit_test(claims_that_do_not_fit_are_refused_each_with_its_reason),
        cmocka_unit_test(audiences_may_be_many_and_times_may_have_fractions),
        cmocka_unit_test(the_skew_is_allowed_to_its_edge_and_no_further),
        cmocka_unit_test(every_changed_character_is_refused),
        cmocka_unit_test(every_truncated_and_every_lengthened_token_is_refused),
        cmocka_unit_test(base64url_has_one_form_for_each_value),
        cmocka_unit_test(huge_and_empty_tokens_are_refused_early),
        cmocka_unit_test(claims_are_found_by_name_or_by_their_way),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
