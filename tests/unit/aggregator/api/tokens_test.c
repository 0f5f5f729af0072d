/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregator/api/tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PATH "/tmp/picket_tokens_test"

static void clean(void) {
    (void)unlink(PATH);
    (void)unlink(PATH ".lock");
}

static void a_token_made_beside_is_found_after_a_refresh_and_gone_once_revoked(void **state) {
    clean();
    struct arena *arena = arena_new(4096, 1 << 20);
    struct tokens *tokens;
    struct token_owner owner;
    char text[TOKEN_TEXT_BYTES];
    bool changed;
    assert_int_equal(tokens_open(PATH, &tokens, NULL), FAULT_NONE);
    assert_int_equal(tokens_file_create(PATH, SLICE_LIT("acme"), SLICE_LIT("bo"), ROLE_VIEWER, 1000, text, NULL),
                     FAULT_NONE);
    assert_int_equal(tokens_find(tokens, slice_from_text(text), arena, &owner, NULL), FAULT_ABSENT);
    assert_int_equal(tokens_refresh(tokens, &changed, NULL), FAULT_NONE);
    assert_true(changed);
    assert_int_equal(tokens_find(tokens, slice_from_text(text), arena, &owner, NULL), FAULT_NONE);
    assert_true(slice_equal_text(owner.tenant, "acme") && slice_equal_text(owner.name, "bo"));
    assert_int_equal(owner.role, ROLE_VIEWER);
    struct stat info;
    assert_int_equal(stat(PATH, &info), 0);
    assert_int_equal(info.st_mode & 077, 0);
    char file[1024] = "";
    FILE *stored = fopen(PATH, "r");
    assert_true(fread(file, 1, sizeof file - 1, stored) > 0);
    fclose(stored);
    assert_null(strstr(file, text)); /* its hash alone is kept */
    assert_int_equal(tokens_file_create(PATH, SLICE_LIT("acme"), SLICE_LIT("bo"), ROLE_ADMIN, 1, text + 0, NULL),
                     FAULT_CONFLICT);
    assert_int_equal(tokens_file_revoke(PATH, SLICE_LIT("acme"), SLICE_LIT("nobody"), NULL), FAULT_ABSENT);
    assert_int_equal(tokens_file_revoke(PATH, SLICE_LIT("acme"), SLICE_LIT("bo"), NULL), FAULT_NONE);
    assert_int_equal(tokens_refresh(tokens, &changed, NULL), FAULT_NONE);
    assert_int_equal(tokens_count(tokens), 0);
    tokens_close(tokens);
    arena_free(arena);
    clean();
}

static void a_file_that_is_not_ours_is_refused_with_its_line(void **state) {
    clean();
    FILE *file = fopen(PATH, "w");
    fputs("hello\n", file);
    fclose(file);
    struct tokens *tokens;
    struct fault fault;
    assert_int_equal(tokens_open(PATH, &tokens, &fault), FAULT_CORRUPT);
    assert_non_null(strstr(fault.text, PATH ":1"));
    clean();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_made_beside_is_found_after_a_refresh_and_gone_once_revoked),
        cmocka_unit_test(a_file_that_is_not_ours_is_refused_with_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
