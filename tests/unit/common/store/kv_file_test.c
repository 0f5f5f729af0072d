/* SPDX-License-Identifier: Apache-2.0
 * A store's file damaged in the ways that LMDB does not see: what is said to be whole gives every record when it is asked for
 * by its key, and has as many as there were. */
#include "tests/support/check.h"

#include "common/store/kv.h"
#include "common/store/kv_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RECORDS = 6000, PAGE = 4096, ROUNDS = 200 };

struct store {
    char folder[64], path[80];
    size_t pages;
};

static slice key_of(unsigned i, char buffer[32]) {
    return slice_of(buffer, (size_t)snprintf(buffer, 32, "key-%06u-of-many", i * 37 % 1000003));
}

static struct kv *opened(const struct store *store, kv_table *ret_table) {
    struct fault fault;
    struct kv *kv;
    const struct kv_settings settings = {
        .path = store->folder, .map_bytes = 1 << 24, .tables_max = 4, .readers_max = 8, .sync = KV_SYNC_NONE};
    CHECK_OK(kv_open(&settings, &kv, &fault));
    CHECK_OK(kv_table_open(kv, "records", ret_table, &fault));
    return kv;
}

static void put(struct kv *kv, kv_table table, unsigned from, unsigned to) {
    struct fault fault;
    struct kv_txn *txn;
    char buffer[32];
    CHECK_OK(kv_begin_write(kv, &txn, &fault));
    for (unsigned i = from; i < to; i++) CHECK_OK(kv_put(txn, table, key_of(i, buffer), SLICE_LIT("a value"), &fault));
    CHECK_OK(kv_commit(txn, &fault));
}

static struct store made(void) {
    struct store store = {.folder = "/tmp/picket-kv-file-XXXXXX"};
    struct stat file;
    kv_table table;
    assert_non_null(mkdtemp(store.folder));
    snprintf(store.path, sizeof store.path, "%s/data.mdb", store.folder);
    struct kv *kv = opened(&store, &table);
    put(kv, table, 0, RECORDS / 2);
    put(kv, table, RECORDS / 2, RECORDS);
    kv_close(kv);
    assert_int_equal(stat(store.path, &file), 0);
    store.pages = (size_t)file.st_size / PAGE;
    return store;
}

static void unmade(const struct store *store) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", store->folder);
    assert_int_equal(system(command), 0);
}

static void page_read(const struct store *store, size_t number, uint8_t page[PAGE]) {
    const int fd = open(store->path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, page, PAGE, (off_t)(number * PAGE)), PAGE);
    close(fd);
}

static void page_write(const struct store *store, size_t number, const uint8_t page[PAGE]) {
    const int fd = open(store->path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, page, PAGE, (off_t)(number * PAGE)), PAGE);
    close(fd);
}

/* In a process of its own, which what is wrong may end. */
static bool gives_every_record(const struct store *store) {
    const pid_t child = fork();
    if (child == 0) {
        struct kv *kv;
        struct kv_txn *txn;
        kv_table table;
        slice value;
        char buffer[32];
        uint64_t records;
        if (kv_open_read(store->folder, 4, 8, &kv, NULL) || kv_table_open(kv, "records", &table, NULL) ||
            table == KV_TABLE_NONE || kv_begin_read(kv, &txn, NULL) || kv_table_count(txn, table, &records, NULL) ||
            records != RECORDS)
            _exit(1);
        for (unsigned i = 0; i < RECORDS; i++)
            if (kv_get(txn, table, key_of(i, buffer), &value, NULL) || value.size != 7) _exit(1);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool is_branch(const uint8_t page[PAGE]) {
    return page[sizeof(size_t) + 2] == 1;
}

TEST(a_bit_that_flips_in_a_branch_is_found_or_does_no_harm) {
    struct store store = made();
    uint64_t seed = check_seed();
    struct fault fault;
    uint8_t page[PAGE];
    unsigned found = 0, branches = 0;
    CHECK_OK(kv_file_check(store.folder, &fault));
    assert_true(gives_every_record(&store));
    for (size_t number = 2; number < store.pages; number++) {
        page_read(&store, number, page);
        if (!is_branch(page)) continue;
        branches++;
        for (unsigned round = 0; round < ROUNDS; round++) {
            const size_t at = check_random(&seed) % PAGE;
            const uint8_t bit = (uint8_t)(1u << check_random(&seed) % 8);
            page[at] ^= bit;
            page_write(&store, number, page);
            const fault_code code = kv_file_check(store.folder, &fault);
            if (code == FAULT_CORRUPT)
                found++;
            else if (!gives_every_record(&store))
                fail_msg("page %zu, byte %zu, bit %02x: said to be whole", number, at, bit);
            page[at] ^= bit;
        }
        page_write(&store, number, page);
    }
    print_message("%u branch pages, %u flips found\n", branches, found);
    assert_true(branches > 0 && found > 10);
    CHECK_OK(kv_file_check(store.folder, &fault));
    unmade(&store);
}

TEST(a_page_that_was_written_to_a_wrong_place_is_found_or_does_no_harm) {
    struct store store = made();
    uint64_t seed = check_seed();
    struct fault fault;
    uint8_t right[PAGE], wrong[PAGE];
    unsigned found = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        const size_t to = 2 + check_random(&seed) % (store.pages - 2),
                     from = 2 + check_random(&seed) % (store.pages - 2);
        if (to == from) continue;
        page_read(&store, to, right);
        page_read(&store, from, wrong);
        page_write(&store, to, wrong);
        const fault_code code = kv_file_check(store.folder, &fault);
        if (code == FAULT_CORRUPT)
            found++;
        else if (!gives_every_record(&store))
            fail_msg("page %zu over page %zu: said to be whole", from, to);
        page_write(&store, to, right);
    }
    assert_true(found > 10);
    unmade(&store);
}

/* The list of tables, or a table's first page, as somebody else's: LMDB shows a store without records. */
TEST(a_list_of_tables_that_is_none_is_found_without_a_walk) {
    struct store store = made();
    struct fault fault;
    uint8_t right[PAGE], wrong[PAGE];
    unsigned found = 0;
    CHECK_OK(kv_file_check_tables(store.folder, &fault));
    for (size_t to = 2; to < store.pages; to++) {
        page_read(&store, to, right);
        page_read(&store, to == 2 ? 3 : 2, wrong);
        page_write(&store, to, wrong);
        found += kv_file_check_tables(store.folder, &fault) == FAULT_CORRUPT;
        page_write(&store, to, right);
    }
    assert_int_equal(found, 2); /* the list's only page, and the first page of the only table */
    CHECK_OK(kv_file_check_tables("/tmp/picket-no-such-folder", &fault));
    unmade(&store);
}

TEST(a_commit_is_walked_beside_the_writer_as_long_as_it_is_the_newest) {
    struct store store = made();
    struct fault fault;
    struct kv_txn *reads;
    struct kv_file *file;
    kv_table table;
    struct kv *kv = opened(&store, &table);
    CHECK_OK(kv_begin_read(kv, &reads, &fault));
    CHECK_OK(kv_file_open(store.folder, kv_snapshot(reads), &file, &fault));
    for (unsigned i = 0; i < 20; i++) put(kv, table, RECORDS + i * 100, RECORDS + i * 100 + 100);
    CHECK_OK(kv_file_walk(file, &fault)); /* its pages stay while it is read */
    kv_file_close(file);
    assert_int_equal(kv_file_open(store.folder, kv_snapshot(reads), &file, &fault), FAULT_AGAIN);
    kv_abort(reads);
    kv_close(kv);
    unmade(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bit_that_flips_in_a_branch_is_found_or_does_no_harm),
        cmocka_unit_test(a_page_that_was_written_to_a_wrong_place_is_found_or_does_no_harm),
        cmocka_unit_test(a_list_of_tables_that_is_none_is_found_without_a_walk),
        cmocka_unit_test(a_commit_is_walked_beside_the_writer_as_long_as_it_is_the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
