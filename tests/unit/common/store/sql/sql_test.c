/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/sql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char folder[64], path[96];
    struct sql *sql;
};

static int set_up(void **state) {
    struct place *place = calloc(1, sizeof *place);
    snprintf(place->folder, sizeof place->folder, "/tmp/sql_test.XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof place->path, "%s/a.db", place->folder);
    struct fault fault;
    if (sql_open(place->path, SQL_WRITER, &place->sql, &fault)) fail_msg("%s", fault.text);
    assert_int_equal(sql_script(place->sql, "CREATE TABLE t (a TEXT PRIMARY KEY, b INTEGER NOT NULL, c BLOB)", NULL),
                     FAULT_NONE);
    *state = place;
    return 0;
}

static int tear_down(void **state) {
    struct place *place = *state;
    sql_close(place->sql);
    char path[128];
    for (const char *const *suffix = (const char *const[]){"", "-wal", "-shm", NULL}; *suffix; suffix++) {
        snprintf(path, sizeof path, "%s%s", place->path, *suffix);
        (void)unlink(path);
    }
    rmdir(place->folder);
    free(place);
    return 0;
}

static fault_code put(struct sql *sql, slice key, int64_t value) {
    struct sql_statement *s;
    /* $2 stands before $1 on purpose: numbers are meant, not places. */
    assert_int_equal(sql_prepare(sql, "INSERT INTO t (b, a, c) VALUES ($2, $1, $3)", &s, NULL), FAULT_NONE);
    sql_bind_text(s, 1, key);
    sql_bind_integer(s, 2, value);
    sql_bind_bytes(s, 3, slice_of("\0\1", 2));
    return sql_run(s, NULL);
}

static int64_t count(struct sql *sql) {
    struct sql_statement *s;
    assert_int_equal(sql_prepare(sql, "SELECT count(*) FROM t", &s, NULL), FAULT_NONE);
    assert_int_equal(sql_step(s, NULL), FAULT_NONE);
    const int64_t result = sql_integer(s, 0);
    sql_reset(s);
    return result;
}

static void values_come_back_as_they_were_bound_by_number(void **state) {
    struct place *place = *state;
    assert_int_equal(put(place->sql, SLICE_LIT("key"), -5000000000), FAULT_NONE);
    struct sql_statement *s;
    assert_int_equal(sql_prepare(place->sql, "SELECT a, b, c FROM t WHERE a = $1", &s, NULL), FAULT_NONE);
    sql_bind_text(s, 1, SLICE_LIT("key"));
    assert_int_equal(sql_step(s, NULL), FAULT_NONE);
    assert_true(slice_equal_text(sql_bytes(s, 0), "key"));
    assert_int_equal(sql_integer(s, 1), -5000000000);
    assert_true(slice_equal(sql_bytes(s, 2), slice_of("\0\1", 2)));
    assert_int_equal(sql_step(s, NULL), FAULT_ABSENT);
}

static void constraint_is_a_conflict_and_rollback_takes_all_back(void **state) {
    struct place *place = *state;
    assert_int_equal(sql_begin(place->sql, NULL), FAULT_NONE);
    assert_int_equal(put(place->sql, SLICE_LIT("one"), 1), FAULT_NONE);
    assert_int_equal(put(place->sql, SLICE_LIT("one"), 2), FAULT_CONFLICT);
    sql_rollback(place->sql);
    assert_int_equal(count(place->sql), 0);
    assert_int_equal(sql_begin(place->sql, NULL), FAULT_NONE);
    assert_int_equal(put(place->sql, SLICE_LIT("one"), 1), FAULT_NONE);
    assert_int_equal(sql_commit(place->sql, NULL), FAULT_NONE);
    assert_int_equal(count(place->sql), 1);
}

static void readers_see_commits_only_and_cannot_write(void **state) {
    struct place *place = *state;
    struct sql_readers *readers;
    assert_int_equal(sql_readers_open(place->path, 2, &readers, NULL), FAULT_NONE);
    struct sql *reader = sql_readers_take(readers);
    assert_int_equal(sql_begin(place->sql, NULL), FAULT_NONE);
    assert_int_equal(put(place->sql, SLICE_LIT("one"), 1), FAULT_NONE);
    assert_int_equal(count(reader), 0);
    assert_int_equal(sql_commit(place->sql, NULL), FAULT_NONE);
    assert_int_equal(count(reader), 1);
    assert_int_not_equal(put(reader, SLICE_LIT("two"), 1), FAULT_NONE);
    sql_readers_give(readers, reader);
    sql_readers_close(readers);
}

static void file_that_is_no_database_is_said_to_be_corrupt(void **state) {
    struct place *place = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/b.db", place->folder);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 200; i++) fputs("this is no database at all. ", file);
    fclose(file);
    struct sql *sql;
    struct fault fault;
    assert_int_equal(sql_open(path, SQL_WRITER, &sql, &fault), FAULT_CORRUPT);
    assert_non_null(strstr(fault.text, "b.db"));
    unlink(path);
    assert_int_not_equal(sql_open(path, SQL_READER, &sql, &fault), FAULT_NONE);
    struct stat info;
    assert_int_equal(stat(place->path, &info), 0);
    assert_int_equal(info.st_mode & 077, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(values_come_back_as_they_were_bound_by_number),
        TEST(constraint_is_a_conflict_and_rollback_takes_all_back),
        TEST(readers_see_commits_only_and_cannot_write),
        TEST(file_that_is_no_database_is_said_to_be_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
