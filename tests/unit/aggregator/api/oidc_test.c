/* SPDX-License-Identifier: Apache-2.0
 * What claims mean here, and how keys come and go, with key sets in files; over HTTP: tests/e2e/test_callers.py. */
#include "tests/unit/aggregator/api/jwt_signer.h"

#include <unistd.h>

#include "aggregator/api/oidc.h"
#include "aggregator/api/oidc_cache.h"

#define NOW_S INT64_C(1800000000)
#define NOW_MS (NOW_S * 1000)
#define BASE "\"iss\":\"https://id.example\",\"aud\":\"picket\",\"exp\":1800000300"
#define GOOD "{" BASE ",\"sub\":\"anna\",\"groups\":[\"all\",\"sre\"]}"

static struct arena *arena;
static struct signer ec, fresh;
static char path[64];
static const struct setting_pair role_pairs[] = {{SLICE_LIT("sre-leads"), SLICE_LIT("admin")},
                                                 {SLICE_LIT("sre"), SLICE_LIT("responder")},
                                                 {SLICE_LIT("all"), SLICE_LIT("viewer")}};
static struct oidc_issuer issuer;

static void keys_write(slice first, slice second) {
    char beside[80];
    snprintf(beside, sizeof beside, "%s.new", path);
    FILE *file = fopen(beside, "w");
    fprintf(file, "{\"keys\":[%.*s%s%.*s]}", SLICE_ARG(first), second.size ? "," : "", SLICE_ARG(second));
    fclose(file);
    assert_int_equal(rename(beside, path), 0);
}

static int setup(void **state) {
    arena = arena_new(1 << 20, 1 << 26);
    snprintf(path, sizeof path, "/tmp/picket_oidc_test.%d", (int)getpid());
    signer_init(&ec, SIGNATURE_ES256, "e1", 0);
    signer_init(&fresh, SIGNATURE_ES256, "e2", 0);
    return 0;
}

static int teardown(void **state) {
    signer_done(&ec);
    signer_done(&fresh);
    arena_free(arena);
    (void)unlink(path);
    return 0;
}

static int each(void **state) {
    issuer = (struct oidc_issuer){.name = SLICE_LIT("corp"),
                                  .issuer = SLICE_LIT("https://id.example"),
                                  .audience = SLICE_LIT("picket"),
                                  .jwks_file = slice_from_text(path),
                                  .tenant = SLICE_LIT("acme"),
                                  .name_claim = SLICE_LIT("sub"),
                                  .role_claim = SLICE_LIT("groups"),
                                  .roles = {role_pairs, 3},
                                  .clock_skew_ms = 60000,
                                  .jwks_refresh_ms = 600000,
                                  .jwks_refresh_min_ms = 1,
                                  .jwks_age_max_ms = 86400000,
                                  .jwks_timeout_ms = 1000};
    keys_write(signer_jwk(&ec, "", arena), (slice){0});
    return 0;
}

static struct oidc *open_one(void) {
    struct fault fault;
    struct oidc *oidc;
    const void *member;
    assert_null(oidc_issuer_mistake(&issuer, &member));
    CHECK_OK(oidc_open(&issuer, 1, NULL, &oidc, &fault));
    return oidc;
}

/* As a client does: again after FAULT_AGAIN, for some seconds. */
static fault_code ask(struct oidc *oidc, slice token, struct token_owner *ret_owner, struct fault *reterr) {
    fault_code code = FAULT_AGAIN;
    for (int i = 0; i < 12000 && code == FAULT_AGAIN; i++) {
        code = oidc_find(oidc, token, NOW_MS, arena, ret_owner, reterr);
        if (code == FAULT_AGAIN) usleep(5000);
    }
    return code;
}

static void owned(const char *claims, const char *tenant, const char *name, enum method_role role) {
    struct fault fault;
    struct token_owner owner;
    struct oidc *oidc = open_one();
    CHECK_OK(ask(oidc, signer_token(&ec, NULL, claims, arena), &owner, &fault));
    CHECK_SLICE(owner.tenant, tenant);
    CHECK_SLICE(owner.name, name);
    assert_int_equal(owner.role, role);
    assert_int_equal(owner.expires_ms, (NOW_S + 300) * 1000 + 60000);
    oidc_close(oidc);
}

static void refused(const char *claims, fault_code expected, const char *words) {
    struct fault fault;
    struct token_owner owner;
    struct oidc *oidc = open_one();
    CHECK_FAULT(ask(oidc, signer_token(&ec, NULL, claims, arena), &owner, &fault), expected);
    if (!strstr(fault.text, words)) fail_msg("expected '%s', got '%s'", words, fault.text);
    oidc_close(oidc);
}

TEST(the_first_row_that_a_claim_holds_gives_the_role) {
    owned(GOOD, "acme", "oidc:corp:anna", ROLE_RESPONDER);
    owned("{" BASE ",\"sub\":\"anna\",\"groups\":[\"all\",\"sre\",\"sre-leads\"]}", "acme", "oidc:corp:anna",
          ROLE_ADMIN);
    owned("{" BASE ",\"sub\":\"anna\",\"groups\":\"all\"}", "acme", "oidc:corp:anna", ROLE_VIEWER);
}

TEST(who_has_no_role_gets_none_unless_there_is_one_for_all) {
    refused("{" BASE ",\"sub\":\"anna\",\"groups\":[\"sr\",7,[\"sre\"]]}", FAULT_CONFLICT,
            "holds nothing that gives a role");
    refused("{" BASE ",\"sub\":\"anna\"}", FAULT_CONFLICT, "holds nothing that gives a role");
    issuer.role = SLICE_LIT("viewer");
    owned("{" BASE ",\"sub\":\"anna\"}", "acme", "oidc:corp:anna", ROLE_VIEWER);
    owned(GOOD, "acme", "oidc:corp:anna", ROLE_RESPONDER);
}

TEST(a_tenant_may_come_from_a_claim_and_must_be_one) {
    issuer.tenant = (slice){0};
    issuer.tenant_claim = SLICE_LIT("org.id");
    owned("{" BASE ",\"sub\":\"anna\",\"groups\":\"all\",\"org\":{\"id\":\"north\"}}", "north", "oidc:corp:anna",
          ROLE_VIEWER);
    refused("{" BASE ",\"sub\":\"anna\",\"groups\":\"all\",\"org\":{\"id\":\"North\"}}", FAULT_CONFLICT,
            "names no tenant");
    refused("{" BASE ",\"sub\":\"anna\",\"groups\":\"all\",\"org\":{\"id\":[\"north\"]}}", FAULT_CONFLICT,
            "names no tenant");
    refused("{" BASE ",\"sub\":\"anna\",\"groups\":\"all\"}", FAULT_CONFLICT, "names no tenant");
}

TEST(a_name_is_a_line_of_bounded_length) {
    refused("{" BASE ",\"groups\":\"all\"}", FAULT_CONFLICT, "names no caller");
    refused("{" BASE ",\"sub\":\"\",\"groups\":\"all\"}", FAULT_CONFLICT, "names no caller");
    refused("{" BASE ",\"sub\":7,\"groups\":\"all\"}", FAULT_CONFLICT, "names no caller");
    refused("{" BASE ",\"sub\":\"a\\nb\",\"groups\":\"all\"}", FAULT_CONFLICT, "names no caller");
    refused("{" BASE ",\"sub\":\"a\\u0000b\",\"groups\":\"all\"}", FAULT_CONFLICT, "names no caller");
    char name[200], claims[512];
    memset(name, 'n', sizeof name);
    snprintf(claims, sizeof claims, "{" BASE ",\"sub\":\"%.118s\",\"groups\":\"all\"}", name);
    char whole[256];
    snprintf(whole, sizeof whole, "oidc:corp:%.118s", name);
    assert_int_equal(strlen(whole), OIDC_NAME_BYTES_MAX);
    owned(claims, "acme", whole, ROLE_VIEWER);
    snprintf(claims, sizeof claims, "{" BASE ",\"sub\":\"%.119s\",\"groups\":\"all\"}", name);
    refused(claims, FAULT_CONFLICT, "has 119 bytes, names of at most 118 are kept");
}

TEST(an_address_that_its_issuer_did_not_verify_names_nobody) {
    issuer.name_claim = SLICE_LIT("email");
    owned("{" BASE ",\"email\":\"a@x.example\",\"groups\":\"all\"}", "acme", "oidc:corp:a@x.example", ROLE_VIEWER);
    owned("{" BASE ",\"email\":\"a@x.example\",\"email_verified\":true,\"groups\":\"all\"}", "acme",
          "oidc:corp:a@x.example", ROLE_VIEWER);
    refused("{" BASE ",\"email\":\"a@x.example\",\"email_verified\":false,\"groups\":\"all\"}", FAULT_CONFLICT,
            "not verified");
    refused("{" BASE ",\"email\":\"a@x.example\",\"email_verified\":\"true\",\"groups\":\"all\"}", FAULT_CONFLICT,
            "not verified");
}

TEST(an_issuer_that_is_not_configured_is_refused) {
    refused("{\"iss\":\"https://other.example\",\"aud\":\"picket\",\"exp\":1800000300}", FAULT_ABSENT,
            "none that this server knows");
    refused("{\"iss\":\"https://id.example\",\"aud\":\"other\",\"exp\":1800000300}", FAULT_DENIED, "not for 'picket'");
}

TEST(one_issuer_may_have_a_row_for_each_audience) {
    struct fault fault;
    struct token_owner owner;
    struct oidc *oidc;
    struct oidc_issuer two[] = {issuer, issuer};
    two[1].name = SLICE_LIT("ci");
    two[1].audience = SLICE_LIT("picket-ci");
    two[1].role = SLICE_LIT("integration");
    two[1].roles.count = 0;
    CHECK_OK(oidc_open(two, 2, NULL, &oidc, &fault));
    CHECK_OK(ask(oidc, signer_token(&ec, NULL, GOOD, arena), &owner, &fault));
    CHECK_SLICE(owner.name, "oidc:corp:anna");
    CHECK_OK(
        ask(oidc,
            signer_token(&ec, NULL,
                         "{\"iss\":\"https://id.example\",\"aud\":\"picket-ci\",\"exp\":1800000300,\"sub\":\"job\"}",
                         arena),
            &owner, &fault));
    CHECK_SLICE(owner.name, "oidc:ci:job");
    assert_int_equal(owner.role, ROLE_INTEGRATION);
    oidc_close(oidc);
}

TEST(a_checked_token_is_recalled_until_it_ends) {
    struct fault fault;
    struct token_owner owner;
    struct oidc *oidc = open_one();
    const slice token = signer_token(&ec, NULL, GOOD, arena), other = signer_token(&ec, NULL, GOOD, arena);
    assert_false(oidc_recall(oidc, token, NOW_MS, arena, &owner));
    CHECK_OK(ask(oidc, token, &owner, &fault));
    owner = (struct token_owner){0};
    assert_true(oidc_recall(oidc, token, NOW_MS, arena, &owner));
    CHECK_SLICE(owner.name, "oidc:corp:anna");
    CHECK_SLICE(owner.tenant, "acme");
    assert_int_equal(owner.role, ROLE_RESPONDER);
    assert_false(oidc_recall(oidc, other, NOW_MS, arena, &owner));
    assert_true(oidc_recall(oidc, token, NOW_MS + 359999, arena, &owner));
    assert_false(oidc_recall(oidc, token, NOW_MS + 360000, arena, &owner));
    oidc_close(oidc);
}

TEST(a_new_key_is_fetched_when_a_token_names_it_and_a_withdrawn_one_holds_no_longer) {
    struct fault fault;
    struct token_owner owner;
    struct oidc *oidc = open_one();
    const slice old_token = signer_token(&ec, NULL, GOOD, arena), new_token = signer_token(&fresh, NULL, GOOD, arena);
    CHECK_OK(ask(oidc, old_token, &owner, &fault));
    assert_true(oidc_recall(oidc, old_token, NOW_MS, arena, &owner));
    keys_write(signer_jwk(&ec, "", arena), signer_jwk(&fresh, "", arena));
    CHECK_OK(ask(oidc, new_token, &owner, &fault));
    CHECK_OK(ask(oidc, old_token, &owner, &fault));
    keys_write(signer_jwk(&fresh, "", arena), (slice){0});
    struct signer unknown = fresh;
    unknown.kid = "e3"; /* makes it look again */
    const slice unknown_token = signer_token(&unknown, NULL, GOOD, arena);
    fault_code code = FAULT_NONE;
    for (int i = 0; i < 12000 && code == FAULT_NONE; i++) {
        usleep(5000);
        assert_int_not_equal(oidc_find(oidc, unknown_token, NOW_MS, arena, &owner, &fault), FAULT_NONE);
        code = oidc_recall(oidc, old_token, NOW_MS, arena, &owner) ? FAULT_NONE : FAULT_ABSENT;
    }
    CHECK_FAULT(code, FAULT_ABSENT);
    assert_int_not_equal(oidc_find(oidc, old_token, NOW_MS, arena, &owner, &fault), FAULT_NONE);
    CHECK_OK(ask(oidc, new_token, &owner, &fault));
    oidc_close(oidc);
}

TEST(invented_keys_make_no_flood_and_are_told_so) {
    struct fault fault;
    struct token_owner owner;
    issuer.jwks_refresh_min_ms = 600000;
    struct oidc *oidc = open_one();
    CHECK_OK(ask(oidc, signer_token(&ec, NULL, GOOD, arena), &owner, &fault));
    for (int i = 0; i < 100; i++) {
        CHECK_FAULT(oidc_find(oidc, signer_token(&fresh, NULL, GOOD, arena), NOW_MS, arena, &owner, &fault),
                    FAULT_ABSENT);
        assert_non_null(
            strstr(fault.text, "the issuer 'corp' has no key 'e2' for this algorithm (its keys were fetched "));
    }
    oidc_close(oidc);
}

TEST(broken_keys_leave_the_old_in_use_until_they_are_too_old) {
    struct fault fault;
    struct token_owner owner;
    issuer.jwks_refresh_ms = 10;
    issuer.jwks_age_max_ms = 4000;
    struct oidc *oidc = open_one();
    const slice token = signer_token(&ec, NULL, GOOD, arena);
    CHECK_OK(ask(oidc, token, &owner, &fault));
    FILE *file = fopen(path, "w");
    fputs("<html>maintenance</html>", file);
    fclose(file);
    usleep(100000);
    CHECK_OK(oidc_find(oidc, token, NOW_MS, arena, &owner, &fault));
    fault_code code = FAULT_NONE;
    for (int i = 0; i < 6000 && code == FAULT_NONE; i++) {
        usleep(10000);
        code = oidc_find(oidc, token, NOW_MS, arena, &owner, &fault);
    }
    CHECK_FAULT(code, FAULT_AGAIN);
    assert_non_null(strstr(fault.text, "longer than jwks_age_max allows"));
    assert_false(oidc_recall(oidc, token, NOW_MS, arena, &owner));
    keys_write(signer_jwk(&ec, "", arena), (slice){0});
    CHECK_OK(ask(oidc, token, &owner, &fault));
    oidc_close(oidc);
}

TEST(without_keys_callers_are_told_to_come_again) {
    struct fault fault;
    struct token_owner owner;
    (void)unlink(path);
    struct oidc *oidc = open_one();
    CHECK_FAULT(oidc_find(oidc, signer_token(&ec, NULL, GOOD, arena), NOW_MS, arena, &owner, &fault), FAULT_AGAIN);
    assert_non_null(strstr(fault.text, "could not be fetched yet"));
    keys_write(signer_jwk(&ec, "", arena), (slice){0});
    CHECK_OK(ask(oidc, signer_token(&ec, NULL, GOOD, arena), &owner, &fault));
    oidc_close(oidc);
}

TEST(what_does_not_fit_the_cache_is_not_kept) {
    struct oidc_cache *cache = oidc_cache_new();
    struct oidc_cached entry = {
        .source = 3,
        .generation = 9,
        .owner = {.tenant = SLICE_LIT("t"), .name = SLICE_LIT("n"), .role = ROLE_ADMIN, .expires_ms = 100}};
    uint8_t hash[DIGEST_BYTES] = {1}, other[DIGEST_BYTES] = {1, 0, 1};
    oidc_cache_put(cache, hash, &entry);
    struct oidc_cached found;
    assert_true(oidc_cache_find(cache, hash, 99, arena, &found));
    assert_true(found.source == 3 && found.generation == 9 && found.owner.role == ROLE_ADMIN);
    assert_false(oidc_cache_find(cache, hash, 100, arena, &found));
    assert_false(oidc_cache_find(cache, other, 99, arena, &found)); /* of the same place */
    oidc_cache_put(cache, other, &entry);
    assert_true(oidc_cache_find(cache, other, 99, arena, &found));
    assert_false(oidc_cache_find(cache, hash, 99, arena, &found));
    char name[200] = {0};
    entry.owner.name = slice_of(name, 129);
    oidc_cache_put(cache, hash, &entry);
    assert_false(oidc_cache_find(cache, hash, 99, arena, &found));
    oidc_cache_free(cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_first_row_that_a_claim_holds_gives_the_role, each),
        cmocka_unit_test_setup(who_has_no_role_gets_none_unless_there_is_one_for_all, each),
        cmocka_unit_test_setup(a_tenant_may_come_from_a_claim_and_must_be_one, each),
        cmocka_unit_test_setup(a_name_is_a_line_of_bounded_length, each),
        cmocka_unit_test_setup(an_address_that_its_issuer_did_not_verify_names_nobody, each),
        cmocka_unit_test_setup(an_issuer_that_is_not_configured_is_refused, each),
        cmocka_unit_test_setup(one_issuer_may_have_a_row_for_each_audience, each),
        cmocka_unit_test_setup(a_checked_token_is_recalled_until_it_ends, each),
        cmocka_unit_test_setup(a_new_key_is_fetched_when_a_token_names_it_and_a_withdrawn_one_holds_no_longer, each),
        cmocka_unit_test_setup(invented_keys_make_no_flood_and_are_told_so, each),
        cmocka_unit_test_setup(broken_keys_leave_the_old_in_use_until_they_are_too_old, each),
        cmocka_unit_test_setup(without_keys_callers_are_told_to_come_again, each),
        cmocka_unit_test(what_does_not_fit_the_cache_is_not_kept),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
