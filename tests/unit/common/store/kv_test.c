/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include "common/store/kv.h"

#include <signal.h>
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
        .path = store.path, .map_bytes = map_bytes, .tables_max = 4, .readers_max = 8, .sync = KV_SYNC_FULL};
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_back_in_key_order),
        cmocka_unit_test(an_absent_key_is_not_an_error_and_an_aborted_write_leaves_nothing),
        cmocka_unit_test(append_refuses_a_key_out_of_order),
        cmocka_unit_test(a_full_store_says_so_and_goes_on_reading),
        cmocka_unit_test(a_paused_reader_sees_the_newest_state_after_resume),
        cmocka_unit_test(what_was_committed_survives_kill_9),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
