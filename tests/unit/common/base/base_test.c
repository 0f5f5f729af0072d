/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include "common/base/arena.h"
#include "common/base/checksum.h"
#include "common/base/clock.h"
#include "common/base/uuid.h"
#include "common/base/wide_product.h"

TEST(fault_wrap_puts_what_was_attempted_before_what_failed) {
    struct fault fault;
    CHECK_FAULT(fault_set(&fault, FAULT_LIMIT, "write '%s': store full", "/q"), FAULT_LIMIT);
    CHECK_FAULT(fault_wrap(&fault, "append (raise buffer.bytes_max)"), FAULT_LIMIT);
    CHECK_FAULT(fault_wrap(&fault, "keep window %d", 812), FAULT_LIMIT);
    assert_string_equal(fault.text, "keep window 812: append (raise buffer.bytes_max): write '/q': store full");
}

TEST(fault_text_that_is_too_long_is_cut_and_terminated) {
    struct fault fault;
    char big[1000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    (void)fault_set(&fault, FAULT_INPUT, "%s", big);
    for (int i = 0; i < 5; i++) (void)fault_wrap(&fault, "%s", big);
    assert_int_equal(strlen(fault.text), sizeof fault.text - 1);
}

TEST(fault_names_cover_every_code) {
    for (int code = 0; code < FAULT_MAX_; code++) assert_string_not_equal(fault_code_name(code), "unknown");
    assert_string_equal(fault_code_name(FAULT_MAX_), "unknown");
}

TEST(slices_compare_as_bytes) {
    assert_true(slice_compare(SLICE_LIT("ab"), SLICE_LIT("abc")) < 0);
    assert_true(slice_compare(SLICE_LIT("\xff"), SLICE_LIT("a")) > 0);
    assert_int_equal(slice_compare((slice){0}, SLICE_LIT("")), 0);
    assert_true(slice_starts_with(SLICE_LIT("abc"), SLICE_LIT("ab")));
    assert_false(slice_starts_with(SLICE_LIT("a"), SLICE_LIT("ab")));
    assert_int_equal(slice_from(SLICE_LIT("abc"), 5).size, 0);
    char text[4];
    assert_true(slice_to_text(SLICE_LIT("abc"), text, sizeof text));
    assert_false(slice_to_text(SLICE_LIT("abcd"), text, sizeof text));
    assert_false(slice_to_text(SLICE_LIT("a\0b"), text, sizeof text));
}

TEST(arena_gives_zeroed_aligned_memory_within_its_bound) {
    struct arena *arena = arena_new(256, 4096);
    for (int round = 0; round < 3; round++) {
        size_t got = 0;
        for (uint8_t *at; (at = arena_alloc(arena, 100)); got++) {
            assert_int_equal((uintptr_t)at % 16, 0);
            for (int i = 0; i < 100; i++) assert_int_equal(at[i], 0);
            memset(at, 0xaa, 100);
        }
        assert_in_range(got, 20, 4096 / 100);
        arena_reset(arena);
        assert_int_equal(arena_used(arena), 0);
    }
    assert_null(arena_alloc_array(arena, SIZE_MAX / 2, 4));
    assert_null(arena_alloc(arena, SIZE_MAX));
    arena_free(arena);
}

TEST(arena_grow_keeps_the_bytes_in_place_or_moved) {
    struct arena *arena = arena_new(64, 1 << 20);
    size_t size = 0;
    uint8_t *bytes = NULL;
    for (size_t next = 1; next < 5000; next += 1 + next / 3) {
        bytes = arena_grow(arena, bytes, size, next);
        assert_non_null(bytes);
        for (size_t i = size; i < next; i++) bytes[i] = (uint8_t)(i * 7);
        size = next;
        if (size % 2) assert_non_null(arena_alloc(arena, 3)); /* forces a move next time */
        for (size_t i = 0; i < size; i++) assert_int_equal(bytes[i], (uint8_t)(i * 7));
    }
    arena_free(arena);
}

TEST(arena_format_and_copy_end_in_nul) {
    struct arena *arena = arena_new(64, 4096);
    const slice text = arena_format(arena, "%d-%s", 42, "x");
    CHECK_SLICE(text, "42-x");
    assert_int_equal(text.data[text.size], 0);
    CHECK_SLICE(arena_copy(arena, SLICE_LIT("abc")), "abc");
    arena_free(arena);
}

TEST(arena_remembers_that_it_refused_until_it_is_reset) {
    struct arena *arena = arena_new(64, 4096);
    assert_non_null(arena_alloc(arena, 3000));
    assert_false(arena_refused(arena));
    assert_null(arena_alloc(arena, 3000));
    assert_non_null(arena_alloc(arena, 8));
    assert_true(arena_refused(arena));
    assert_false(arena_starved(arena)); /* the system has memory; that it had none is tests/simulation's */
    arena_reset(arena);
    assert_null(arena_alloc_array(arena, SIZE_MAX / 2, 8));
    assert_true(arena_refused(arena));
    arena_reset(arena);
    assert_false(arena_refused(arena));
    arena_free(arena);
}

TEST(crc32c_matches_rfc_3720) {
    uint8_t bytes[32];
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(checksum_crc32c(0, slice_of(bytes, 32)), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(checksum_crc32c(0, slice_of(bytes, 32)), 0x62a8ab43);
    for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)i;
    assert_int_equal(checksum_crc32c(0, slice_of(bytes, 32)), 0x46dd794e);
    const uint32_t first = checksum_crc32c(0, slice_of(bytes, 5));
    assert_int_equal(checksum_crc32c(first, slice_of(bytes + 5, 27)), 0x46dd794e);
}

TEST(uuid_v7_orders_by_time_and_round_trips) {
    const uint8_t random[10] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    char text[UUID_TEXT_SIZE + 1];
    uuid_format(uuid_v7_from(0x0123456789ab, random), text);
    assert_string_equal(text, "01234567-89ab-7fff-bfff-ffffffffffff");
    struct uuid back;
    assert_true(uuid_parse(slice_from_text(text), &back));
    assert_true(uuid_equal(back, uuid_v7_from(0x0123456789ab, random)));
    assert_false(uuid_parse(SLICE_LIT("01234567-89ab-7fff-bfff-fffffffffffg"), &back));
    assert_false(uuid_parse(SLICE_LIT("0123456789ab7fffbfffffffffffffff0000"), &back));
    assert_false(uuid_equal(uuid_v7_new(), uuid_v7_new()));
    assert_true(clock_wall_ms() > 1700000000000);
}

TEST(hash_depends_on_every_byte_and_on_the_size) {
    uint8_t bytes[40] = {0};
    const uint64_t base = hash_bytes(slice_of(bytes, 40), 1);
    assert_int_not_equal(base, hash_bytes(slice_of(bytes, 39), 1));
    assert_int_not_equal(base, hash_bytes(slice_of(bytes, 40), 2));
    for (int i = 0; i < 40; i++) {
        bytes[i] = 1;
        assert_int_not_equal(base, hash_bytes(slice_of(bytes, 40), 1));
        bytes[i] = 0;
    }
}

TEST(wide_product_is_the_same_with_and_without_128_bit_integers) {
    const uint64_t edges[] = {0, 1, UINT32_MAX, 1ull << 32, UINT64_MAX - 1, UINT64_MAX, 0x9e3779b97f4a7c15u};
    uint64_t walk = 0xd1b54a32d192ed03u;
    for (size_t i = 0; i < 7; i++)
        for (size_t j = 0; j < 7; j++)
            assert_int_equal(wide_product_fold(edges[i], edges[j]), wide_product_fold_by_halves(edges[i], edges[j]));
    for (int i = 0; i < 10000; i++) {
        const uint64_t next = walk * 6364136223846793005u + 1442695040888963407u;
        assert_int_equal(wide_product_fold(walk, next), wide_product_fold_by_halves(walk, next));
        walk = next;
    }
    assert_int_equal(wide_product_fold_by_halves(UINT64_MAX, UINT64_MAX), UINT64_MAX); /* 1 and 2^64 - 2 */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fault_wrap_puts_what_was_attempted_before_what_failed),
        cmocka_unit_test(fault_text_that_is_too_long_is_cut_and_terminated),
        cmocka_unit_test(fault_names_cover_every_code),
        cmocka_unit_test(slices_compare_as_bytes),
        cmocka_unit_test(arena_gives_zeroed_aligned_memory_within_its_bound),
        cmocka_unit_test(arena_grow_keeps_the_bytes_in_place_or_moved),
        cmocka_unit_test(arena_format_and_copy_end_in_nul),
        cmocka_unit_test(arena_remembers_that_it_refused_until_it_is_reset),
        cmocka_unit_test(crc32c_matches_rfc_3720),
        cmocka_unit_test(uuid_v7_orders_by_time_and_round_trips),
        cmocka_unit_test(hash_depends_on_every_byte_and_on_the_size),
        cmocka_unit_test(wide_product_is_the_same_with_and_without_128_bit_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
