/* SPDX-License-Identifier: Apache-2.0
 * Ranges of compacted facts as records: what is written is read, what does not add up is not believed. */
#include "aggregator/journal/fact_range.h"

#include "aggregator/journal/record.h"
#include "sre.pb.h"
#include "tests/support/check.h"

enum { WINDOW = SreDomainFact_sli_window_recorded_tag, CHECK = SreDomainFact_health_check_recorded_tag };

static struct fact_range range_of(struct arena *arena, uint64_t first, uint64_t windows, uint64_t checks) {
    struct fact_range range = {.first_sequence = first,
                               .last_sequence = first + windows + checks - 1,
                               .first_ms = (int64_t)first * 1000,
                               .last_ms = (int64_t)(first + windows + checks - 1) * 1000};
    memset(range.hash_before, (int)(first & 255), DIGEST_BYTES);
    memset(range.hash_of_last, (int)((first + windows + checks) & 255), DIGEST_BYTES);
    if (windows) assert_true(fact_range_count(&range, SLICE_LIT("acme"), WINDOW, windows, arena));
    if (checks) assert_true(fact_range_count(&range, SLICE_LIT("other"), CHECK, checks, arena));
    return range;
}

TEST(what_is_written_is_read) {
    struct arena *arena = arena_new(4096, 1 << 20);
    struct fault fault;
    uint8_t record[FACT_RANGE_BYTES_MAX];
    struct fact_range read;
    const struct fact_range range = range_of(arena, 7, 10, 3);
    const size_t size = fact_range_write(&range, record);
    CHECK_OK(fact_range_open(19, slice_of(record, size), &read, &fault));
    assert_int_equal(read.first_sequence, 7);
    assert_int_equal(read.last_sequence, 19);
    assert_int_equal(read.first_ms, 7000);
    assert_int_equal(read.last_ms, 19000);
    assert_memory_equal(read.hash_before, range.hash_before, DIGEST_BYTES);
    assert_memory_equal(read.hash_of_last, range.hash_of_last, DIGEST_BYTES);
    assert_int_equal(fact_range_facts_of(&read, SLICE_LIT("acme")), 10);
    assert_int_equal(fact_range_facts_of(&read, SLICE_LIT("other")), 3);
    assert_int_equal(fact_range_facts_of(&read, SLICE_LIT("acm")), 0);
    arena_free(arena);
}

TEST(what_does_not_add_up_is_not_believed) {
    struct arena *arena = arena_new(4096, 1 << 20);
    struct fault fault;
    uint8_t record[FACT_RANGE_BYTES_MAX];
    struct fact_range range = range_of(arena, 7, 10, 3), read;
    const size_t size = fact_range_write(&range, record);
    CHECK_FAULT(fact_range_open(20, slice_of(record, size), &read, &fault), FAULT_CORRUPT); /* another's key */
    CHECK_FAULT(fact_range_open(18, slice_of(record, size), &read, &fault), FAULT_CORRUPT);
    CHECK_FAULT(fact_range_open(6, slice_of(record, size), &read, &fault), FAULT_CORRUPT);
    for (size_t cut = 0; cut < size; cut++) { /* sealed anew, so that it is not the checksum that tells */
        uint8_t part[FACT_RANGE_BYTES_MAX];
        memcpy(part, record, cut);
        if (cut > RECORD_HEAD_BYTES) record_seal(part, cut, FACT_RANGE_SCHEMA);
        CHECK_FAULT(fact_range_open(19, slice_of(part, cut), &read, &fault), FAULT_CORRUPT);
    }
    record[40] ^= 1;
    CHECK_FAULT(fact_range_open(19, slice_of(record, size), &read, &fault), FAULT_CORRUPT);
    range.counts[0].fact_number = SreDomainFact_incident_created_tag; /* an incident may not be compacted away */
    CHECK_FAULT(fact_range_open(19, slice_of(record, fact_range_write(&range, record)), &read, &fault), FAULT_CORRUPT);
    assert_non_null(strstr(fault.text, "may not be compacted"));
    arena_free(arena);
}

TEST(neighbours_join_when_they_follow) {
    struct arena *arena = arena_new(4096, 1 << 20);
    struct fault fault;
    bool joined;
    struct fact_range range = range_of(arena, 7, 10, 3);
    const struct fact_range next = range_of(arena, 20, 5, 1), far = range_of(arena, 27, 5, 1);
    CHECK_OK(fact_range_join(&range, &next, arena, &joined, &fault));
    assert_true(joined);
    assert_int_equal(range.first_sequence, 7);
    assert_int_equal(range.last_sequence, 25);
    assert_int_equal(range.last_ms, 25000);
    assert_int_equal(range.counts_count, 2);
    assert_int_equal(fact_range_facts_of(&range, SLICE_LIT("acme")), 15);
    assert_memory_equal(range.hash_of_last, next.hash_of_last, DIGEST_BYTES);
    CHECK_FAULT(fact_range_join(&range, &far, arena, &joined, &fault), FAULT_CORRUPT);
    struct fact_range forged = range_of(arena, 26, 5, 1);
    forged.hash_before[0] ^= 1;
    CHECK_FAULT(fact_range_join(&range, &forged, arena, &joined, &fault), FAULT_CORRUPT);
    arena_free(arena);
}

TEST(a_range_has_a_largest_number_of_tenants) {
    struct arena *arena = arena_new(4096, 1 << 20);
    struct fault fault;
    uint8_t record[FACT_RANGE_BYTES_MAX];
    struct fact_range range = {.first_sequence = 1, .last_sequence = FACT_RANGE_COUNTS_MAX}, read;
    char name[256];
    memset(name, 'x', 255);
    for (int i = 0; i < FACT_RANGE_COUNTS_MAX; i++) {
        name[0] = (char)('a' + i % 26);
        name[1] = (char)('a' + i / 26 % 26);
        name[2] = (char)('a' + i / 676);
        assert_true(fact_range_count(&range, slice_of(name, 255), WINDOW, 1, arena));
    }
    assert_false(fact_range_count(&range, SLICE_LIT("one more"), WINDOW, 1, arena));
    CHECK_OK(fact_range_open(FACT_RANGE_COUNTS_MAX, slice_of(record, fact_range_write(&range, record)), &read, &fault));
    struct fact_range next = {.first_sequence = range.last_sequence + 1, .last_sequence = range.last_sequence + 1};
    assert_true(fact_range_count(&next, SLICE_LIT("one more"), WINDOW, 1, arena));
    bool joined;
    CHECK_OK(fact_range_join(&range, &next, arena, &joined, &fault));
    assert_false(joined);
    assert_int_equal(range.last_sequence, FACT_RANGE_COUNTS_MAX);
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(what_does_not_add_up_is_not_believed),
        cmocka_unit_test(neighbours_join_when_they_follow),
        cmocka_unit_test(a_range_has_a_largest_number_of_tenants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
