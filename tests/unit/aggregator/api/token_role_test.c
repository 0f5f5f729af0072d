/* SPDX-License-Identifier: Apache-2.0
 * Rights do not change unnoticed: the whole table stands in roles.txt beside this file, and a change of it is a change
 * of that file, which a reviewer sees. */
#include "tests/support/check.h"

#include "aggregator/api/token_role.h"

TEST(every_method_of_the_contract_asks_for_a_role) {
    for (size_t i = 0; i < methods_count; i++)
        if (!token_role_name(methods_table[i].role)) fail_msg("%s asks for no role", methods_table[i].path);
}

TEST(every_method_can_be_called_by_somebody) {
    for (size_t i = 0; i < methods_count; i++) {
        bool somebody = false;
        for (enum method_role role = ROLE_VIEWER; role <= ROLE_INTEGRATION; role++)
            somebody |= token_role_allows(role, methods_table[i].role);
        if (!somebody) fail_msg("no role may call %s", methods_table[i].path);
    }
}

TEST(roles_are_a_table_and_no_ranks) {
    assert_true(token_role_allows(ROLE_ADMIN, ROLE_RESPONDER));
    assert_false(token_role_allows(ROLE_VIEWER, ROLE_RESPONDER));
    assert_false(token_role_allows(ROLE_RESPONDER, ROLE_APPROVER));
    assert_false(token_role_allows(ROLE_AGENT, ROLE_VIEWER));
    assert_false(token_role_allows(ROLE_ADMIN, ROLE_AGENT));
    assert_false(token_role_allows(ROLE_INTEGRATION, ROLE_RESPONDER));
}

TEST(no_role_and_unknown_roles_may_do_nothing) {
    for (enum method_role role = ROLE_NONE; role <= ROLE_INTEGRATION; role++) {
        assert_false(token_role_allows(ROLE_NONE, role));
        assert_false(token_role_allows((enum method_role)99, role));
        assert_false(token_role_allows(role, (enum method_role)99));
    }
    assert_null(token_role_name(ROLE_NONE));
    assert_int_equal(token_role_find(SLICE_LIT("")), ROLE_NONE);
    assert_int_equal(token_role_find(SLICE_LIT("Admin")), ROLE_NONE);
}

TEST(the_table_of_who_may_call_what_is_as_written_down) {
    struct arena *arena = arena_new(65536, 1 << 20);
    struct text text = text_begin(arena);
    slice made;
    token_role_table_add(&text);
    assert_int_equal(text_end(&text, "table", &made, NULL), FAULT_NONE);
    FILE *file = fopen("tests/unit/aggregator/api/roles.txt", "r");
    char *written = arena_alloc(arena, 1 << 18);
    const size_t size = file ? fread(written, 1, 1 << 18, file) : 0;
    if (file) fclose(file);
    size_t line = 1, same = 0;
    while (same < size && same < made.size && (uint8_t)written[same] == made.data[same])
        line += written[same++] == '\n';
    if (same != size || same != made.size)
        fail_msg("who may call what has changed, first in line %zu of roles.txt. If that is meant: picketctl roles > "
                 "tests/unit/aggregator/api/roles.txt, and say so in the commit",
                 line);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_of_the_contract_asks_for_a_role),
        cmocka_unit_test(every_method_can_be_called_by_somebody),
        cmocka_unit_test(roles_are_a_table_and_no_ranks),
        cmocka_unit_test(no_role_and_unknown_roles_may_do_nothing),
        cmocka_unit_test(the_table_of_who_may_call_what_is_as_written_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
