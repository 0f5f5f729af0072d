/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include "common/base/whole_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TEST(a_file_is_read_whole_or_not_at_all) {
    char path[] = "/tmp/whole_file_test.XXXXXX", buffer[16];
    struct fault fault;
    size_t size;
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    CHECK_OK(whole_file_read("token", path, buffer, sizeof buffer, &size, &fault));
    assert_int_equal(size, 0);
    assert_int_equal(write(fd, "0123456789abcdef", 15), 15);
    CHECK_OK(whole_file_read("token", path, buffer, sizeof buffer, &size, &fault));
    assert_int_equal(size, 15);
    assert_memory_equal(buffer, "0123456789abcde", 15);
    assert_int_equal(write(fd, "f", 1), 1);
    CHECK_FAULT(whole_file_read("token", path, buffer, sizeof buffer, &size, &fault), FAULT_LIMIT);
    assert_non_null(strstr(fault.text, "is over 15 bytes"));
    assert_int_equal(size, 0);
    close(fd);
    unlink(path);
}

TEST(what_cannot_be_read_is_named_with_its_path) {
    char buffer[16];
    struct fault fault;
    size_t size;
    CHECK_FAULT(whole_file_read("token", "/no/such/file", buffer, sizeof buffer, &size, &fault), FAULT_SYSTEM);
    assert_string_equal(fault.text, "token '/no/such/file': No such file or directory");
    CHECK_FAULT(whole_file_read("token", "/tmp", buffer, sizeof buffer, &size, &fault), FAULT_SYSTEM); /* EISDIR */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_read_whole_or_not_at_all),
        cmocka_unit_test(what_cannot_be_read_is_named_with_its_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
