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
        cmocka_unit_test(reference_page_is_what_the_rows_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
