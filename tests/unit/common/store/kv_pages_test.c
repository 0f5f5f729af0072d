/* SPDX-License-Identifier: Apache-2.0
 * A store that was read through: its pages are given back, and what was lent stays what it was. */
#include "tests/support/check.h"

#include "common/store/kv.h"
#include "common/store/kv_pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECORDS = 512, RECORD_BYTES = 4000 };

static long file_kib(void) {
    char line[256];
    long kib = -1;
    FILE *const status = fopen("/proc/self/status", "re");
    assert_non_null(status);
    while (fgets(line, sizeof line, status)) (void)sscanf(line, "RssFile: %ld", &kib);
    fclose(status);
    return kib;
}

static void remove_store(const char *folder) {
    char file[64];
    for (int i = 0; i < 2; i++) {
        snprintf(file, sizeof file, "%s/%s", folder, i ? "lock.mdb" : "data.mdb");
        unlink(file);
    }
    rmdir(folder);
}

TEST(pages_that_were_read_are_given_back_and_lent_data_stays) {
    struct fault fault;
    struct kv *kv;
    kv_table table;
    struct kv_txn *txn;
    char folder[] = "/tmp/kv_pages_test.XXXXXX";
    uint8_t value[RECORD_BYTES], key[8];
    slice record, lent;
    assert_non_null(mkdtemp(folder));
    const struct kv_settings settings = {
        .path = folder, .map_bytes = 64 << 20, .tables_max = 2, .readers_max = 4, .sync = KV_SYNC_NONE};
    CHECK_OK(kv_open(&settings, &kv, &fault));
    CHECK_OK(kv_table_open(kv, "t", &table, &fault));
    CHECK_OK(kv_begin_write(kv, &txn, &fault));
    for (uint64_t i = 0; i < RECORDS; i++) {
        kv_store_u64(key, i);
        memset(value, (int)i, sizeof value);
        CHECK_OK(kv_put(txn, table, slice_of(key, 8), slice_of(value, sizeof value), &fault));
    }
    CHECK_OK(kv_commit(txn, &fault));
    CHECK_OK(kv_begin_read(kv, &txn, &fault));
    unsigned sum = 0;
    for (uint64_t i = 0; i < RECORDS; i++) {
        kv_store_u64(key, i);
        CHECK_OK(kv_get(txn, table, slice_of(key, 8), &record, &fault));
        sum += record.data[RECORD_BYTES / 2];
        if (i == 77) lent = record;
    }
    assert_true(sum > 0);
    const long before = file_kib();
    kv_release_pages(kv);
    const long after = file_kib();
    print_message("%ld KiB of files resident, then %ld\n", before, after);
    if (before >= 0) assert_true(before - after >= RECORDS * 4 / 2);
    for (size_t i = 0; i < lent.size; i++) assert_int_equal(lent.data[i], 77);
    for (uint64_t i = 0; i < RECORDS; i++) { /* and again: where they are is known by now */
        kv_store_u64(key, i);
        CHECK_OK(kv_get(txn, table, slice_of(key, 8), &record, &fault));
        assert_int_equal(record.data[RECORD_BYTES / 2], (uint8_t)i);
    }
    const long read_again = file_kib();
    kv_release_pages(kv);
    if (before >= 0) assert_true(read_again - file_kib() >= RECORDS * 4 / 2);
    kv_abort(txn);
    kv_close(kv);
    assert_int_equal(kv_pages_find(folder).to, 0); /* no longer open */
    assert_int_equal(kv_pages_find("/no/such/folder").to, 0);
    kv_pages_release((struct kv_pages){0});
    remove_store(folder);
}

TEST(pages_are_given_back_after_some_records) {
    struct fault fault;
    struct kv *kv;
    kv_table table;
    struct kv_txn *txn;
    char folder[] = "/tmp/kv_pages_test.XXXXXX";
    uint8_t value[RECORD_BYTES], key[8];
    assert_non_null(mkdtemp(folder));
    const struct kv_settings settings = {.path = folder,
                                         .map_bytes = 64 << 20,
                                         .tables_max = 2,
                                         .readers_max = 4,
                                         .sync = KV_SYNC_NONE,
                                         .release_after = 2};
    CHECK_OK(kv_open(&settings, &kv, &fault));
    CHECK_OK(kv_table_open(kv, "t", &table, &fault));
    CHECK_OK(kv_begin_write(kv, &txn, &fault));
    memset(value, 1, sizeof value);
    for (uint64_t i = 0; i < RECORDS; i++) {
        kv_store_u64(key, i);
        CHECK_OK(kv_put(txn, table, slice_of(key, 8), slice_of(value, sizeof value), &fault));
    }
    CHECK_OK(kv_commit(txn, &fault));
    long resident[3]; /* all was looked at, then one record written, then another */
    for (int round = 0; round < 3; round++) {
        slice record;
        if (round == 0) {
            CHECK_OK(kv_begin_read(kv, &txn, &fault));
            for (uint64_t i = 0; i < RECORDS; i++) {
                kv_store_u64(key, i);
                CHECK_OK(kv_get(txn, table, slice_of(key, 8), &record, &fault));
                assert_int_equal(record.data[RECORD_BYTES / 2], 1);
            }
            kv_abort(txn);
        } else {
            kv_store_u64(key, 0);
            CHECK_OK(kv_begin_write(kv, &txn, &fault));
            CHECK_OK(kv_put(txn, table, slice_of(key, 8), slice_of(value, 10), &fault));
            CHECK_OK(kv_commit(txn, &fault));
        }
        resident[round] = file_kib();
    }
    print_message("%ld KiB of files resident, then %ld, then %ld\n", resident[0], resident[1], resident[2]);
    if (resident[0] >= 0) {
        assert_true(resident[0] - resident[1] < RECORDS * 4 / 2);
        assert_true(resident[0] - resident[2] >= RECORDS * 4 / 2);
    }
    kv_close(kv);
    remove_store(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_that_were_read_are_given_back_and_lent_data_stays),
        cmocka_unit_test(pages_are_given_back_after_some_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
