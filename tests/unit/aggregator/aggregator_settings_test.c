/* SPDX-License-Identifier: Apache-2.0
 * What rows cannot say about the aggregator's file, and the page that is made from them. */
#include "tests/support/check.h"

#include "aggregator/aggregator_settings.h"

#define GOOD "mqtt: {disabled: true}\n"

/* The first mistake; "" for none. */
static const char *mistake_of(struct arena *arena, const char *yaml) {
    struct fault fault;
    struct setting_texts mistakes;
    struct aggregator_settings settings;
    const fault_code code = aggregator_settings_read_text("aggregator.yaml", slice_from_text(yaml), NULL, arena,
                                                          &settings, &mistakes, &fault);
    assert_int_equal(code, mistakes.count ? FAULT_INPUT : FAULT_NONE);
    return mistakes.count ? setting_text(mistakes.items[0]) : "";
}

static void says(const char *yaml, const char *words) {
    struct arena *arena = arena_new(65536, 1 << 24);
    const char *mistake = mistake_of(arena, yaml);
    if (*words ? !strstr(mistake, words) : *mistake != '\0') fail_msg("expected '%s', got '%s'", words, mistake);
    arena_free(arena);
}

TEST(plain_text_beyond_this_machine_is_a_mistake_unless_it_is_allowed) {
    says(GOOD, "");
    says(GOOD "http: {address: '127.8.8.8'}\n", "");
    says(GOOD "http: {address: '::1'}\n", "");
    says(GOOD "http: {address: '0.0.0.0'}\n", "aggregator.yaml:2: http.address: '0.0.0.0' is reachable from elsewhere");
    says(GOOD "http: {address: '::'}\n", "is reachable from elsewhere");
    says(GOOD "http: {address: '0.0.0.0', plain_text: true}\n", "");
    says(GOOD "http: {address: '0.0.0.0', tls: {certificate: /c.pem, key: /k.pem}}\n", "");
}

#define ISSUER "name: corp, issuer: 'https://id.example', audience: picket"
#define KEYS "jwks_url: 'https://id.example/keys'"
#define MEANING "tenant: acme, role: viewer"

static void issuer_says(const char *members, const char *words) {
    struct arena *arena = arena_new(65536, 1 << 24);
    const slice yaml = arena_format(arena, GOOD "oidc: [{%s}]\n", members);
    says((const char *)yaml.data, words);
    arena_free(arena);
}

TEST(issuers_are_checked_before_the_start) {
    issuer_says(ISSUER ", " KEYS ", " MEANING, "");
    issuer_says(ISSUER ", jwks_file: /keys.json, tenant_claim: org, role_claim: groups, roles: {sre: admin}", "");
    issuer_says(ISSUER ", " MEANING, "one of jwks_url and jwks_file is needed");
    issuer_says(ISSUER ", " KEYS ", jwks_file: /k, " MEANING, "one of jwks_url and jwks_file is needed");
    issuer_says(ISSUER ", jwks_url: 'http://id.example/keys', " MEANING, "jwks_url: https:// is needed");
    issuer_says(ISSUER ", jwks_url: 'http://localhost@id.example/keys', " MEANING, "jwks_url: https:// is needed");
    issuer_says(ISSUER ", jwks_url: 'ftp://127.0.0.1/keys', " MEANING, "jwks_url: https:// is needed");
    issuer_says(ISSUER ", jwks_url: 'http://localhost:80/keys', " MEANING, "");
    issuer_says(ISSUER ", jwks_url: 'http://[::1]/keys', " MEANING, "");
    issuer_says(ISSUER ", " KEYS ", role: viewer", "one of tenant and tenant_claim is needed");
    issuer_says(ISSUER ", " KEYS ", tenant: acme, tenant_claim: org, role: viewer", "one of tenant and tenant_claim");
    issuer_says(ISSUER ", " KEYS ", tenant: ACME, role: viewer", "tenant: 1 to 64 of a-z 0-9 . - are needed");
    issuer_says(ISSUER ", " KEYS ", tenant: acme", "nobody could sign in");
    issuer_says(ISSUER ", " KEYS ", tenant: acme, role: root", "role: one of viewer,");
    issuer_says(ISSUER ", " KEYS ", tenant: acme, roles: {a: admin}", "role_claim: is needed");
    issuer_says(ISSUER ", " KEYS ", tenant: acme, role_claim: g, roles: {a: boss}", "each value is one of viewer,");
    issuer_says(ISSUER ", " KEYS ", " MEANING ", clock_skew: 6m", "clock_skew");
    issuer_says(ISSUER ", " KEYS ", " MEANING ", jwks_refresh: 1m, jwks_refresh_min: 2m",
                "is longer than jwks_refresh");
    issuer_says(ISSUER ", " KEYS ", " MEANING ", jwks_refresh: 1h, jwks_age_max: 1m", "is shorter than jwks_refresh");
    issuer_says("name: 'A b', issuer: x, audience: y, " KEYS ", " MEANING, "name: 1 to 32 of a-z 0-9 - are needed");
    issuer_says("name: a, issuer: x, " KEYS ", " MEANING, "audience");
}

TEST(two_issuers_differ_in_name_and_in_issuer_or_audience) {
    issuer_says("name: a, issuer: x, audience: y, " KEYS ", " MEANING "}, {name: b, issuer: x, audience: z, " KEYS
                ", " MEANING,
                "");
    issuer_says("name: a, issuer: x, audience: y, " KEYS ", " MEANING "}, {name: a, issuer: z, audience: y, " KEYS
                ", " MEANING,
                "another has this name");
    issuer_says("name: a, issuer: x, audience: y, " KEYS ", " MEANING "}, {name: b, issuer: x, audience: y, " KEYS
                ", " MEANING,
                "another has this issuer and this audience");
}

TEST(reference_page_is_what_the_rows_say) {
    struct fault fault;
    struct arena *arena = arena_new(4096, 1 << 24);
    slice made;
    CHECK_OK(settings_reference(&aggregator_setting_table, arena, &made, &fault));
    FILE *file = fopen("aggregator/REFERENCE.md", "r");
    assert_non_null(file);
    static char page[1 << 20];
    const size_t bytes = fread(page, 1, sizeof page, file);
    fclose(file);
    if (!slice_equal(made, slice_of(page, bytes)))
        fail_msg("aggregator/REFERENCE.md is old: picket-aggregator --reference > aggregator/REFERENCE.md");
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_beyond_this_machine_is_a_mistake_unless_it_is_allowed),
        cmocka_unit_test(issuers_are_checked_before_the_start),
        cmocka_unit_test(two_issuers_differ_in_name_and_in_issuer_or_audience),
        cmocka_unit_test(reference_page_is_what_the_rows_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
