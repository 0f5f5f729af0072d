/* SPDX-License-Identifier: Apache-2.0
 * Every size and every place, against the C library; the range ends where the memory does, so that a look over its end
 * is a fault (and a finding of AddressSanitizer before). */
#include "tests/support/check.h"

#include "common/base/bytes.h"

#include <sys/mman.h>
#include <unistd.h>

enum { SIZE_MAX_TRIED = 70 };

static uint8_t *page_end(void) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *const two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(two != MAP_FAILED);
    assert_int_equal(mprotect(two + page, page, PROT_NONE), 0);
    return two + page;
}

/* Neighbours of the wanted byte are around it: 0x0b ^ 0x0a == 1 is what a wrong borrow would take for a zero. */
static void find_everywhere(const uint8_t *(*find)(const uint8_t *at, const uint8_t *end, uint8_t byte), uint8_t wanted,
                            uint8_t other) {
    uint8_t *const end = page_end();
    for (size_t size = 0; size <= SIZE_MAX_TRIED; size++) {
        uint8_t *const at = end - size;
        memset(at, other, size);
        assert_null(find(at, end, wanted));
        for (size_t place = 0; place < size; place++) {
            at[place] = wanted;
            assert_ptr_equal(find(at, end, wanted), at + place);
            if (place + 1 < size) at[size - 1] = wanted; /* a later one changes nothing */
            assert_ptr_equal(find(at, end, wanted), at + place);
            at[size - 1] = other;
            at[place] = other;
        }
    }
}

TEST(the_first_byte_is_found_at_every_place) {
    static const uint8_t pairs[][2] = {{'\n', 'a'}, {'\n', '\n' + 1}, {'\n', '\n' - 1}, {0, 1},
                                       {0, 0x80},   {0x80, 0},        {0xff, 0x7f}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        find_everywhere(bytes_find, pairs[i][0], pairs[i][1]);
        find_everywhere(bytes_find_plain, pairs[i][0], pairs[i][1]);
    }
}

TEST(runs_are_equal_when_no_byte_differs) {
    uint8_t *const end = page_end(), *const other_end = page_end();
    for (size_t size = 0; size <= SIZE_MAX_TRIED; size++) {
        uint8_t *const a = end - size, *const b = other_end - size;
        for (size_t i = 0; i < size; i++) a[i] = b[i] = (uint8_t)(i * 37);
        assert_true(bytes_equal(a, b, size));
        for (size_t i = 0; i < size; i++) {
            b[i] ^= 0x80;
            assert_false(bytes_equal(a, b, size));
            b[i] ^= 0x80;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_byte_is_found_at_every_place),
        cmocka_unit_test(runs_are_equal_when_no_byte_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
