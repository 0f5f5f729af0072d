/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include "common/store/kv.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct store {
    char path[64];
    struct kv *kv;
    kv_table table;
};

static struct store open_store(const char *path, uint64_t map_bytes) {
    struct fault fault;
    struct store store = {0};
    if (path)
        snprintf(store.path, sizeof store.path, "%s", path);
    else {
        snprintf(store.path, sizeof store.path, "/tmp/picket-kv-XXXXXX");
        assert_non_null(mkdtemp(store.path));
    }
    const struct kv_settings settings = {
        .path = store.path, .map_bytes = map_bytes, .tables_max = 4, .readers_max = 300, .sync = KV_SYNC_FULL};
    CHECK_OK(kv_open(&settings, &store.kv, &fault));
    CHECK_OK(kv_table_open(store.kv, "records", &store.table, &fault));
    return store;
}

static void close_store(struct store *store) {
    char command[128];
    store->kv = kv_close(store->kv);
    snprintf(command, sizeof command, "rm -rf %s", store->path);
    assert_int_equal(system(command), 0);
}

TEST(records_come_back_in_key_order) {
    struct fault fault;
    struct store store = open_store(NULL, 1 << 20);
    struct kv_txn *txn;
    uint8_t key[8];
    CHECK_OK(kv_begin_write(store.kv, &txn, &fault));
    for (uint64_t i = 0; i < 300; i++) {
        kv_store_u64(key, i * 7919 % 300);
        CHECK_OK(kv_put(txn, store.table, slice_of(key, 8), slice_of(key, 8), &fault));
    }
    CHECK_OK(kv_commit(txn, &fault));
    CHECK_OK(kv_begin_read(store.kv, &txn, &fault));
    struct kv_cursor *cursor;
    CHECK_OK(kv_cursor_open(txn, store.table, &cursor, &fault));
    slice k, v;
    kv_store_u64(key, 100);
    CHECK_OK(kv_cursor_seek(cursor, slice_of(key, 8), &k, &v, &fault));
    for (uint64_t i = 100; i < 300; i++) {
        assert_int_equal(kv_load_u64(k.data), i);
        CHECK_FAULT(kv_cursor_next(cursor, &k, &v, &fault), i == 299 ? FAULT_ABSENT : FAULT_NONE);
    }
    CHECK_OK(kv_cursor_last(cursor, &k, &v, &fault));
    assert_int_equal(kv_load_u64(k.data), 299);
    CHECK_OK(kv_cursor_seek(cursor, (slice){0}, &k, &v, &fault));
    assert_int_equal(kv_load_u64(k.data), 0);
    kv_cursor_close(cursor);
    uint64_t count;
    CHECK_OK(kv_table_count(txn, store.table, &count, &fault));
    assert_int_equal(count, 300);
    kv_abort(txn);
    close_store(&store);
}

TEST(an_absent_key_is_not_an_error_and_an_aborted_write_leaves_nothing) {
    struct fault fault;
    struct store store = open_store(NULL, 1 << 20);
    struct kv_txn *txn;
    slice value;
    CHECK_OK(kv_begin_write(store.kv, &txn, &fault));
    CHECK_OK(kv_put(txn, store.table, SLICE_LIT("k"), SLICE_LIT("v"), &fault));
    kv_abort(txn);
    CHECK_OK(kv_begin_read(store.kv, &txn, &fault));
    CHECK_FAULT(kv_get(txn, store.table, SLICE_LIT("k"), &value, &fault), FAULT_ABSENT);
    kv_abort(txn);
    close_store(&store);
}

TEST(append_refuses_a_key_out_of_order) {
    struct fault fault;
    struct store store = open_store(NULL, 1 << 20);
    struct kv_txn *txn;
    CHECK_OK(kv_begin_write(store.kv, &txn, &fault));
    CHECK_OK(kv_append(txn, store.table, SLICE_LIT("b"), SLICE_LIT("1"), &fault));
    CHECK_FAULT(kv_append(txn, store.table, SLICE_LIT("a"), SLICE_LIT("2"), &fault), FAULT_CONFLICT);
    kv_abort(txn);
    close_store(&store);
}

TEST(a_full_store_says_so_and_goes_on_reading) {
    struct fault fault;
    struct store store = open_store(NULL, 128 * 1024);
    struct kv_txn *txn;
    uint8_t value[4096] = {0}, key[8];
    fault_code code = FAULT_NONE;
    uint64_t kept = 0;
    while (!code) {
        CHECK_OK(kv_begin_write(store.kv, &txn, &fault));
        kv_store_u64(key, kept);
        code = kv_put(txn, store.table, slice_of(key, 8), slice_of(value, sizeof value), &fault);
        if (code)
            kv_abort(txn);
        else
            code = kv_commit(txn, &fault);
        if (!code) kept++;
    }
    CHECK_FAULT(code, FAULT_LIMIT);
    assert_non_null(strstr(fault.text, "store full"));
    CHECK_OK(kv_begin_read(store.kv, &txn, &fault));
    uint64_t count;
    CHECK_OK(kv_table_count(txn, store.table, &count, &fault));
    assert_int_equal(count, kept);
    kv_abort(txn);
    struct kv_stats stats;
    CHECK_OK(kv_stats(store.kv, &stats, &fault));
    assert_true(stats.used_bytes <= stats.map_bytes && stats.used_bytes > stats.map_bytes / 2);
    close_store(&store);
}

TEST(a_paused_reader_sees_the_newest_state_after_resume) {
    struct fault fault;
    struct store store = open_store(NULL, 1 << 20);
    struct kv_txn *reader, *writer;
    slice value;
    CHECK_OK(kv_begin_read(store.kv, &reader, &fault));
    CHECK_OK(kv_begin_write(store.kv, &writer, &fault));
    CHECK_OK(kv_put(writer, store.table, SLICE_LIT("k"), SLICE_LIT("v"), &fault));
    CHECK_OK(kv_commit(writer, &fault));
    CHECK_FAULT(kv_get(reader, store.table, SLICE_LIT("k"), &value, &fault), FAULT_ABSENT);
    kv_pause(reader);
    CHECK_OK(kv_resume(reader, &fault));
    CHECK_OK(kv_get(reader, store.table, SLICE_LIT("k"), &value, &fault));
    CHECK_SLICE(value, "v");
    kv_abort(reader);
    close_store(&store);
}

/* The child commits and tells each number over the pipe until it is killed; what it told must be there. */
TEST(what_was_committed_survives_kill_9) {
    uint64_t seed = check_seed();
    struct fault fault;
    char path[64] = "/tmp/picket-kv-XXXXXX";
    assert_non_null(mkdtemp(path));
    for (int round = 0; round < 5; round++) {
        int channel[2];
        assert_int_equal(pipe(channel), 0);
        const pid_t child = fork();
        if (child == 0) {
            struct store store = open_store(path, 16 << 20);
            for (uint64_t i = (uint64_t)round * 1000000;; i++) {
                struct kv_txn *txn;
                uint8_t key[8];
                kv_store_u64(key, i);
                if (kv_begin_write(store.kv, &txn, &fault) ||
                    kv_put(txn, store.table, slice_of(key, 8), slice_of(key, 8), &fault) || kv_commit(txn, &fault) ||
                    write(channel[1], &i, sizeof i) != sizeof i)
                    _exit(1);
            }
        }
        close(channel[1]);
        usleep((useconds_t)(20000 + check_random(&seed) % 60000));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        uint64_t told = 0;
        for (uint64_t i; read(channel[0], &i, sizeof i) == sizeof i;) told = i;
        close(channel[0]);
        struct store store = open_store(path, 16 << 20);
        struct kv_txn *txn;
        CHECK_OK(kv_begin_read(store.kv, &txn, &fault));
        uint8_t key[8];
        slice value;
        kv_store_u64(key, told);
        if (told) CHECK_OK(kv_get(txn, store.table, slice_of(key, 8), &value, &fault));
        kv_abort(txn);
        if (round == 4)
            close_store(&store);
        else
            kv_close(store.kv);
    }
}

static void put_one(struct store *store, const char *key) {
    struct fault fault;
    struct kv_txn *txn;
    CHECK_OK(kv_begin_write(store->kv, &txn, &fault));
    CHECK_OK(kv_put(txn, store->table, slice_from_text(key), SLICE_LIT("value"), &fault));
    CHECK_OK(kv_commit(txn, &fault));
}

/* What another process does: an environment is opened once per process. Gives what `look` gives. */
static int in_another_process(struct store *store, int (*look)(const char *path)) {
    const pid_t child = fork();
    if (child == 0) _exit(look(store->path));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int count_records(const char *path) {
    struct kv *kv;
    struct kv_txn *txn;
    kv_table table, none;
    uint64_t records, nothing;
    slice value;
    if (kv_open_read(path, 4, 8, &kv, NULL) || kv_table_open(kv, "records", &table, NULL)) return 100;
    if (kv_table_open(kv, "not there", &none, NULL) || none != KV_TABLE_NONE) return 101;
    if (kv_begin_read(kv, &txn, NULL) || kv_table_count(txn, table, &records, NULL)) return 102;
    struct kv_cursor *cursor;
    slice key;
    if (kv_table_count(txn, none, &nothing, NULL) || nothing) return 103;
    if (kv_get(txn, none, SLICE_LIT("a"), &value, NULL) != FAULT_ABSENT) return 104;
    if (kv_cursor_open(txn, none, &cursor, NULL) || kv_cursor_last(cursor, &key, &value, NULL) != FAULT_ABSENT)
        return 105;
    kv_cursor_close(cursor);
    kv_abort(txn);
    struct kv_txn *write;
    if (kv_begin_write(kv, &write, NULL) == FAULT_NONE) return 106;
    kv_close(kv);
    return (int)records;
}

TEST(another_process_reads_beside_the_writer) {
    struct store store = open_store(NULL, 1 << 20);
    put_one(&store, "a");
    assert_int_equal(in_another_process(&store, count_records), 1);
    put_one(&store, "b");
    assert_int_equal(in_another_process(&store, count_records), 2);
    close_store(&store);
}

TEST(nothing_to_read_is_absent) {
    struct kv *kv;
    struct fault fault;
    CHECK_FAULT(kv_open_read("/tmp/picket-there-is-nothing-here", 4, 8, &kv, &fault), FAULT_ABSENT);
}

/* In a process of its own: no file may grow over so many bytes, which is what a full disk comes to. */
static int open_with_room_for(const char *path, rlim_t bytes) {
    const pid_t child = fork();
    if (child == 0) {
        struct fault fault;
        struct kv *kv;
        const struct rlimit limit = {bytes, bytes};
        const struct kv_settings settings = {
            .path = path, .map_bytes = 1 << 20, .tables_max = 4, .readers_max = 8, .sync = KV_SYNC_FULL};
        sigaction(SIGXFSZ, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
        _exit(setrlimit(RLIMIT_FSIZE, &limit) || !kv_open(&settings, &kv, &fault) ? 1 : 0);
    }
    int status;
    waitpid(child, &status, 0);
    return status;
}

TEST(store_that_could_not_be_made_leaves_nothing_that_looks_damaged) {
    char path[] = "/tmp/picket-kv-XXXXXX";
    assert_non_null(mkdtemp(path));
    assert_int_equal(open_with_room_for(path, 4096), 0);
    struct store store = open_store(path, 1 << 20);
    close_store(&store);
}

/* What is mapped must be on the disk before it is touched: a hole in it would end the process on a full disk. */
TEST(table_of_readers_has_no_holes) {
    char file[96];
    struct stat found;
    struct store store = open_store(NULL, 1 << 20);
    snprintf(file, sizeof file, "%s/lock.mdb", store.path);
    assert_int_equal(stat(file, &found), 0);
    assert_true(found.st_size >= 300 * 64);
    assert_true(found.st_blocks * 512 >= found.st_size);
    close_store(&store);
}

TEST(copy_holds_what_is_committed) {
    struct fault fault;
    struct store store = open_store(NULL, 1 << 20);
    char folder[96], file[128];
    put_one(&store, "a");
    struct kv_txn *open_write;
    CHECK_OK(kv_begin_write(store.kv, &open_write, &fault));
    CHECK_OK(kv_put(open_write, store.table, SLICE_LIT("b"), SLICE_LIT("not yet"), &fault));
    snprintf(folder, sizeof folder, "%s/copy", store.path);
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(file, sizeof file, "%s/data.mdb", folder);
    CHECK_OK(kv_copy(store.kv, file, &fault));
    CHECK_FAULT(kv_copy(store.kv, file, &fault), FAULT_SYSTEM); /* it is there */
    kv_abort(open_write);
    assert_int_equal(count_records(folder), 1);
    close_store(&store);
}

static int die_while_reading(const char *path) {
    struct kv *kv;
    struct kv_txn *txn;
    if (kv_open_read(path, 4, 8, &kv, NULL) || kv_begin_read(kv, &txn, NULL)) return 100;
    return 0; /* without letting go */
}

TEST(reader_that_was_killed_does_not_hold_pages_for_ever) {
    struct fault fault;
    struct store store = open_store(NULL, 4 << 20);
    uint8_t value[2000] = {0};
    assert_int_equal(in_another_process(&store, die_while_reading), 0);
    struct kv_stats stats;
    uint64_t used[2];
    for (int round = 0; round < 2; round++) {
        if (round == 1) kv_drop_dead_readers(store.kv);
        for (int i = 0; i < 100; i++) {
            struct kv_txn *txn;
            CHECK_OK(kv_begin_write(store.kv, &txn, &fault));
            CHECK_OK(kv_put(txn, store.table, SLICE_LIT("a"), slice_of(value, sizeof value), &fault));
            CHECK_OK(kv_commit(txn, &fault));
        }
        CHECK_OK(kv_stats(store.kv, &stats, &fault));
        used[round] = stats.used_bytes;
    }
    assert_true(used[0] > 100 * 4096);  /* each commit took new pages */
    assert_int_equal(used[1], used[0]); /* and then none any more */
    close_store(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_back_in_key_order),
        cmocka_unit_test(an_absent_key_is_not_an_error_and_an_aborted_write_leaves_nothing),
        cmocka_unit_test(append_refuses_a_key_out_of_order),
        cmocka_unit_test(a_full_store_says_so_and_goes_on_reading),
        cmocka_unit_test(a_paused_reader_sees_the_newest_state_after_resume),
        cmocka_unit_test(what_was_committed_survives_kill_9),
        cmocka_unit_test(another_process_reads_beside_the_writer),
        cmocka_unit_test(nothing_to_read_is_absent),
        cmocka_unit_test(store_that_could_not_be_made_leaves_nothing_that_looks_damaged),
        cmocka_unit_test(table_of_readers_has_no_holes),
        cmocka_unit_test(copy_holds_what_is_committed),
        cmocka_unit_test(reader_that_was_killed_does_not_hold_pages_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
