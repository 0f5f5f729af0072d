/* SPDX-License-Identifier: Apache-2.0
 * Real folders, copied by cp: on file systems that say when a file was made (statx). */
#include "tests/support/check.h"

#include "aggregator/data_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct folders {
    char top[64], first[80], second[80];
};

static bool times_are_told(const char *path) {
    struct statx found;
    return !statx(AT_FDCWD, path, 0, STATX_BTIME, &found) && found.stx_mask & STATX_BTIME;
}

static int64_t made_ns(const char *path) {
    struct statx found;
    assert_int_equal(statx(AT_FDCWD, path, 0, STATX_BTIME, &found), 0);
    return found.stx_btime.tv_sec * 1000000000 + found.stx_btime.tv_nsec;
}

/* The kernel's clock of files goes by ticks: what is made from now on is younger than what is there. */
static void let_it_tick(const char *folder) {
    char born[128], tick[128];
    snprintf(born, sizeof born, "%s/" DATA_BORN, folder);
    snprintf(tick, sizeof tick, "%s.tick", folder);
    const int64_t born_ns = made_ns(born);
    for (bool later = false; !later;) {
        close(open(tick, O_CREAT | O_WRONLY, 0600));
        later = made_ns(tick) != born_ns;
        assert_int_equal(unlink(tick), 0);
    }
}

static void run(const char *words, const char *from, const char *to) {
    char command[256];
    snprintf(command, sizeof command, "%s %s %s", words, from, to);
    assert_int_equal(system(command), 0);
}

static struct folders begin(void) {
    struct folders f = {.top = "/tmp/picket-folder-XXXXXX"};
    assert_non_null(mkdtemp(f.top));
    snprintf(f.first, sizeof f.first, "%s/first", f.top);
    snprintf(f.second, sizeof f.second, "%s/second", f.top);
    assert_int_equal(mkdir(f.first, 0700), 0);
    if (!times_are_told(f.first)) {
        run("rm -rf", f.top, "");
        print_message("skipped: the file system of /tmp does not say when a file was made\n");
        skip();
    }
    return f;
}

static bool copied(const char *path) {
    struct fault fault;
    bool is = false;
    CHECK_OK(data_folder_look_for_copy(path, &is, &fault));
    return is;
}

TEST(folder_that_was_copied_stands_by_until_it_takes_over) {
    struct folders f = begin();
    struct fault fault;
    assert_false(copied(f.first));
    assert_false(copied(f.first));
    let_it_tick(f.first);
    run("cp -a", f.first, f.second);
    assert_true(copied(f.second));
    assert_true(data_folder_stands_by(f.second));
    assert_false(copied(f.second)); /* it is known, and still stands by */
    assert_true(data_folder_stands_by(f.second));
    CHECK_OK(data_folder_take_over(f.second, &fault));
    assert_false(copied(f.second));
    assert_false(data_folder_stands_by(f.second));
    assert_false(copied(f.first));
    assert_false(data_folder_stands_by(f.first));
    run("rm -rf", f.top, "");
}

TEST(folder_that_was_renamed_is_the_same) {
    struct folders f = begin();
    assert_false(copied(f.first));
    run("mv", f.first, f.second);
    assert_false(copied(f.second));
    assert_false(data_folder_stands_by(f.second));
    run("rm -rf", f.top, "");
}

/* Its first start was interrupted, or the copy was. */
TEST(file_that_says_nothing_is_written) {
    struct folders f = begin();
    char file[128];
    snprintf(file, sizeof file, "%s/" DATA_BORN, f.first);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    assert_false(copied(f.first));
    let_it_tick(f.first);
    run("cp -a", f.first, f.second);
    assert_true(copied(f.second));
    run("rm -rf", f.top, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folder_that_was_copied_stands_by_until_it_takes_over),
        cmocka_unit_test(folder_that_was_renamed_is_the_same),
        cmocka_unit_test(file_that_says_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
