/* SPDX-License-Identifier: Apache-2.0
 * Damage of the pages that lead to the records, which no record's checksum sees: a walk from leaf to leaf passes by it, and
 * what is asked for by its key is not there. */
#include "tests/unit/aggregator/journal/journal_fixture.h"

#include "aggregator/archive/verify.h"
#include "common/store/kv_file.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { INCIDENTS = 150, PAGE = 4096 };

static struct place *made_place(void) {
    struct place *place = place_opened();
    for (int i = 0; i < INCIDENTS; i++) {
        char id[32];
        snprintf(id, sizeof id, "incident-number-%d", i);
        SreDomainIntent intent = place_incident_intent(id);
        assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_COMMITTED);
    }
    place->journal = journal_close(place->journal);
    return place;
}

static int store_open(const struct place *place, size_t *ret_pages) {
    char path[96];
    struct stat file;
    snprintf(path, sizeof path, "%s/data.mdb", place->folder);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &file) == 0);
    *ret_pages = (size_t)file.st_size / PAGE;
    return fd;
}

static void page_read(int fd, size_t number, uint8_t page[PAGE]) {
    assert_int_equal(pread(fd, page, PAGE, (off_t)(number * PAGE)), PAGE);
}
static void page_write(int fd, size_t number, const uint8_t page[PAGE]) {
    assert_int_equal(pwrite(fd, page, PAGE, (off_t)(number * PAGE)), PAGE);
}

/* Anything but "whole" is an answer. */
static bool said_whole(const struct place *place, struct verify_result *ret_result) {
    struct fault fault = {0};
    const struct verify_settings settings = {.path = place->folder, .threads = 2, .quiet = true};
    return !verify_journal_apart(&settings, ret_result, &fault) && !ret_result->finding.kind;
}

struct reading {
    struct kv *kv;
    struct journal_tables tables;
    struct kv_txn *txn;
};

static struct reading reading_begin(const struct place *place) {
    struct fault fault;
    struct reading r;
    CHECK_OK(kv_open_read(place->folder, JOURNAL_TABLES_COUNT, 8, &r.kv, &fault));
    CHECK_OK(journal_tables_open(r.kv, &r.tables, &fault));
    CHECK_OK(kv_begin_read(r.kv, &r.txn, &fault));
    return r;
}

static void reading_end(struct reading *r) {
    kv_abort(r->txn);
    kv_close(r->kv);
}

enum { ROWS_MAX = 4000 };
struct rows {
    slice keys[ROWS_MAX];
    kv_table tables[ROWS_MAX];
    size_t count;
};

/* Each key of facts and aggregates while all is well. */
static struct rows *rows_of(const struct place *place) {
    struct rows *rows = arena_alloc(place->arena, sizeof *rows);
    struct reading r = reading_begin(place);
    const kv_table tables[] = {r.tables.facts, r.tables.aggregates, r.tables.marks, r.tables.open};
    struct fault fault;
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        struct kv_cursor *cursor;
        slice key, value;
        CHECK_OK(kv_cursor_open(r.txn, tables[t], &cursor, &fault));
        for (fault_code code = kv_cursor_seek(cursor, (slice){0}, &key, &value, &fault); !code;
             code = kv_cursor_next(cursor, &key, &value, &fault)) {
            assert_true(rows->count < ROWS_MAX);
            rows->tables[rows->count] = tables[t];
            rows->keys[rows->count++] = arena_copy(place->arena, key);
        }
        kv_cursor_close(cursor);
    }
    reading_end(&r);
    assert_true(rows->count >= 2 * INCIDENTS);
    return rows;
}

static bool gives_all(const struct place *place, const struct rows *rows) {
    struct reading r = reading_begin(place);
    struct fault fault;
    size_t found = 0;
    slice value;
    for (size_t i = 0; i < rows->count; i++)
        found += kv_get(r.txn, rows->tables[i], rows->keys[i], &value, &fault) == FAULT_NONE;
    reading_end(&r);
    return found == rows->count;
}

TEST(a_bit_that_flips_in_a_page_above_the_leaves_is_found_or_does_no_harm) {
    struct place *place = made_place();
    const struct rows *rows = rows_of(place);
    uint64_t seed = check_seed();
    struct verify_result result;
    uint8_t page[PAGE];
    size_t pages;
    unsigned found = 0, branches = 0;
    const int fd = store_open(place, &pages);
    assert_true(said_whole(place, &result) && gives_all(place, rows));
    for (size_t number = 2; number < pages; number++) {
        page_read(fd, number, page);
        if (page[sizeof(size_t) + 2] != 1) continue;
        branches++;
        for (unsigned round = 0; round < 8; round++) {
            uint16_t upper;
            memcpy(&upper, page + sizeof(size_t) + 6, sizeof upper);
            const size_t at = upper + check_random(&seed) % (PAGE - upper);
            const uint8_t bit = (uint8_t)(1u << check_random(&seed) % 8);
            page[at] ^= bit;
            page_write(fd, number, page);
            if (!said_whole(place, &result))
                found++;
            else if (!gives_all(place, rows))
                fail_msg("page %zu, byte %zu, bit %02x: said to be whole", number, at, bit);
            page[at] ^= bit;
        }
        page_write(fd, number, page);
    }
    print_message("%u pages above the leaves, %u flips found\n", branches, found);
    assert_true(branches >= 2 && found > 0);
    close(fd);
    place_free(place);
}

TEST(a_page_that_was_written_to_a_wrong_place_is_found_or_does_no_harm) {
    struct place *place = made_place();
    const struct rows *rows = rows_of(place);
    struct verify_result whole, result;
    uint8_t right[PAGE], wrong[PAGE];
    size_t pages;
    unsigned found = 0;
    const int fd = store_open(place, &pages);
    assert_true(said_whole(place, &whole));
    for (size_t to = 2; to < pages; to++) {
        page_read(fd, to, right);
        page_read(fd, 2 + (to * 7 + 1) % (pages - 2), wrong);
        page_write(fd, to, wrong);
        if (!said_whole(place, &result))
            found++;
        else if (result.end.facts != whole.end.facts || result.aggregates != whole.aggregates ||
                 result.records != whole.records || !gives_all(place, rows))
            fail_msg("another page over page %zu: said to be whole", to);
        page_write(fd, to, right);
    }
    print_message("%zu pages, %u found\n", pages, found);
    assert_true(found > 5);
    close(fd);
    place_free(place);
}

/* The list of tables as another page: LMDB finds no table, and a writer would begin a new history. */
TEST(a_journal_without_its_list_of_tables_is_not_opened) {
    struct place *place = made_place();
    uint8_t right[PAGE], wrong[PAGE];
    size_t pages;
    unsigned refused = 0;
    struct fault fault = {0};
    const int fd = store_open(place, &pages);
    for (size_t to = 2; to < pages; to++) {
        page_read(fd, to, right);
        page_read(fd, to == 2 ? 3 : 2, wrong);
        page_write(fd, to, wrong);
        if (kv_file_check_tables(place->folder, &fault)) {
            CHECK_FAULT(journal_open(&place->settings, &place->journal, &fault), FAULT_CORRUPT);
            assert_non_null(strstr(fault.text, "restore a backup"));
            refused++;
        }
        page_write(fd, to, right);
    }
    assert_true(refused > 5); /* the list, and the first page of each table that holds something */
    close(fd);
    place_free(place);
}

static void put(const struct place *place, bool cursor, bool drop_facts) {
    struct fault fault;
    struct opened_store store = store_begin(place);
    uint8_t sequence[8];
    kv_store_u64(sequence, 1000);
    if (cursor) CHECK_OK(kv_put(store.txn, store.tables.cursors, SLICE_LIT("outbox"), slice_of(sequence, 8), &fault));
    for (uint64_t i = 1; drop_facts && i < 1000; i++) {
        kv_store_u64(sequence, i);
        CHECK_OK(kv_delete(store.txn, store.tables.facts, slice_of(sequence, 8), &fault));
    }
    store_end(&store);
}

TEST(a_log_that_ends_before_what_was_given_out_is_found_and_not_opened) {
    for (int without = 0; without < 2; without++) {
        struct place *place = made_place();
        struct verify_result result;
        struct fault fault = {0};
        put(place, !without, without);
        assert_false(said_whole(place, &result));
        assert_int_equal(result.finding.kind, FINDING_GAP);
        assert_int_equal(result.finding.sequence, without ? 1 : INCIDENTS + 1);
        assert_non_null(
            strstr(result.finding.text, without ? "there is no fact, and 150 aggregates" : "'outbox' was given"));
        CHECK_FAULT(journal_open(&place->settings, &place->journal, &fault), FAULT_CORRUPT);
        assert_non_null(strstr(fault.text, without ? "there is no fact, and 150 aggregates" : "those behind are lost"));
        place_free(place);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bit_that_flips_in_a_page_above_the_leaves_is_found_or_does_no_harm),
        cmocka_unit_test(a_page_that_was_written_to_a_wrong_place_is_found_or_does_no_harm),
        cmocka_unit_test(a_journal_without_its_list_of_tables_is_not_opened),
        cmocka_unit_test(a_log_that_ends_before_what_was_given_out_is_found_and_not_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
