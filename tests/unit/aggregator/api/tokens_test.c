/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregator/api/tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PATH "tokens" /* in a folder of this process */

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
    struct token_new new = {.tenant = SLICE_LIT("acme"), .name = SLICE_LIT("bo"), .role = ROLE_VIEWER, .now_ms = 1000};
    assert_int_equal(tokens_file_create(PATH, &new, text, NULL), FAULT_NONE);
    assert_int_equal(tokens_find(tokens, slice_from_text(text), 2000, arena, &owner, NULL), FAULT_ABSENT);
    assert_int_equal(tokens_refresh(tokens, &changed, NULL), FAULT_NONE);
    assert_true(changed);
    assert_int_equal(tokens_find(tokens, slice_from_text(text), 2000, arena, &owner, NULL), FAULT_NONE);
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
    new.role = ROLE_ADMIN;
    assert_int_equal(tokens_file_create(PATH, &new, text, NULL), FAULT_CONFLICT);
    assert_int_equal(tokens_file_revoke(PATH, SLICE_LIT("acme"), SLICE_LIT("nobody"), NULL), FAULT_ABSENT);
    assert_int_equal(tokens_file_revoke(PATH, SLICE_LIT("acme"), SLICE_LIT("bo"), NULL), FAULT_NONE);
    assert_int_equal(tokens_refresh(tokens, &changed, NULL), FAULT_NONE);
    assert_int_equal(tokens_count(tokens), 0);
    tokens_close(tokens);
    arena_free(arena);
    clean();
}

static void a_token_expires_at_its_moment_and_says_so(void **state) {
    clean();
    struct arena *arena = arena_new(4096, 1 << 20);
    struct tokens *tokens;
    struct token_owner owner;
    struct fault fault;
    char text[TOKEN_TEXT_BYTES];
    const struct token_new new = {
        .tenant = SLICE_LIT("acme"), .name = SLICE_LIT("bo"), .role = ROLE_VIEWER, .now_ms = 1000, .expires_ms = 61000};
    assert_int_equal(tokens_file_create(PATH, &new, text, NULL), FAULT_NONE);
    assert_int_equal(tokens_open(PATH, &tokens, NULL), FAULT_NONE); /* from the file, as after a restart */
    assert_int_equal(tokens_find(tokens, slice_from_text(text), 60999, arena, &owner, NULL), FAULT_NONE);
    assert_int_equal(tokens_find(tokens, slice_from_text(text), 61000, arena, &owner, &fault), FAULT_DENIED);
    assert_int_equal(tokens_find(tokens, slice_from_text(text), 96000, arena, &owner, &fault), FAULT_DENIED);
    assert_non_null(strstr(fault.text, "the token 'bo' expired 35 s ago"));
    slice list;
    assert_int_equal(tokens_file_list(PATH, (slice){0}, 96000, arena, &list, NULL), FAULT_NONE);
    assert_non_null(strstr((const char *)list.data, "1970-01-01T00:01:01Z (expired)"));
    tokens_close(tokens);
    arena_free(arena);
    clean();
}

/* On the disk a bit may flip: then it is nobody's token rather than another's. */
static void a_line_that_is_not_as_it_was_written_is_refused(void **state) {
    clean();
    char text[TOKEN_TEXT_BYTES], file[1024] = "", changed[1024];
    struct fault fault;
    struct tokens *tokens;
    const struct token_new new = {.tenant = SLICE_LIT("demo"),
                                  .name = SLICE_LIT("anna"),
                                  .role = ROLE_ADMIN,
                                  .now_ms = 1000,
                                  .expires_ms = 61000};
    assert_int_equal(tokens_file_create(PATH, &new, text, NULL), FAULT_NONE);
    FILE *stored = fopen(PATH, "r+");
    assert_non_null(stored);
    const size_t size = fread(file, 1, sizeof file - 1, stored);
    assert_true(size > 80 && file[size - 1] == '\n');
    unsigned taken = 0;
    for (size_t bit = 0; bit < size * 8; bit++) {
        memcpy(changed, file, size);
        changed[bit / 8] ^= (char)(1u << bit % 8);
        rewind(stored);
        assert_int_equal(fwrite(changed, 1, size, stored), size);
        fflush(stored);
        const fault_code code = tokens_open(PATH, &tokens, &fault);
        if (code == FAULT_NONE) {
            taken++;
            tokens_close(tokens);
        } else {
            assert_int_equal(code, FAULT_CORRUPT);
            assert_memory_equal(fault.text, PATH ":", sizeof PATH);
        }
    }
    fclose(stored);
    assert_int_equal(taken, 0);
    /* A line of before, or one that was written by hand, has no checksum. */
    stored = fopen(PATH, "w");
    char *const mark = strstr(file, " sha256:");
    assert_non_null(mark);
    fprintf(stored, "%.*s\n", (int)(mark - file), file);
    fclose(stored);
    assert_int_equal(tokens_open(PATH, &tokens, NULL), FAULT_NONE);
    assert_int_equal(tokens_count(tokens), 1);
    tokens_close(tokens);
    clean();
}

static void a_file_from_before_there_were_expiries_is_read(void **state) {
    clean();
    struct arena *arena = arena_new(4096, 1 << 20);
    FILE *file = fopen(PATH, "w");
    fputs("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 acme bo viewer 1000\n", file); /* "test" */
    fclose(file);
    struct tokens *tokens;
    struct token_owner owner;
    assert_int_equal(tokens_open(PATH, &tokens, NULL), FAULT_NONE);
    assert_int_equal(tokens_find(tokens, SLICE_LIT("test"), INT64_MAX, arena, &owner, NULL), FAULT_NONE);
    tokens_close(tokens);
    arena_free(arena);
    clean();
}

static void expiries_are_durations_or_dates_that_are_not_past(void **state) {
    const int64_t now_ms = INT64_C(1767225600000); /* 2026-01-01 */
    const struct {
        const char *text;
        int64_t expires_ms; /* 0: refused */
    } cases[] = {{"90d", now_ms + INT64_C(90) * 86400000},
                 {"1s", now_ms + 1000},
                 {"2026-01-02", now_ms + 86400000},
                 {"2026-01-01T00:00:01Z", now_ms + 1000},
                 {"2026-01-01T00:00:00Z", 0},
                 {"2025-12-31", 0},
                 {"0s", 0},
                 {"", 0},
                 {"tomorrow", 0},
                 {"2026-02-30x", 0},
                 {"90", 0},
                 {"200000000d", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t expires_ms = 0;
        struct fault fault;
        const fault_code code = token_expiry_parse(slice_from_text(cases[i].text), now_ms, &expires_ms, &fault);
        if (code != (cases[i].expires_ms ? FAULT_NONE : FAULT_INPUT) || expires_ms != cases[i].expires_ms)
            fail_msg("'%s': %d, %lld", cases[i].text, (int)code, (long long)expires_ms);
    }
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
        cmocka_unit_test(a_token_expires_at_its_moment_and_says_so),
        cmocka_unit_test(a_line_that_is_not_as_it_was_written_is_refused),
        cmocka_unit_test(a_file_from_before_there_were_expiries_is_read),
        cmocka_unit_test(expiries_are_durations_or_dates_that_are_not_past),
        cmocka_unit_test(a_file_that_is_not_ours_is_refused_with_its_line),
    };
    char folder[] = "/tmp/picket-tokens-XXXXXX";
    if (!mkdtemp(folder) || chdir(folder)) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clean();
    rmdir(folder);
    return failed;
}
