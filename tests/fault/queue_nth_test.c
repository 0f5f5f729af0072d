/* SPDX-License-Identifier: Apache-2.0
 * The agent's queue when the n-th call of the store, the n-th allocation or the n-th write of the log fails, for each n:
 * who is told of a failure does it again, and in the end each record is there once, in its order, and the last note. */
#include "tests/simulation/injection.h"
#include "tests/unit/agent/buffer/queue_bench.h"

#include <errno.h>
#include <sys/stat.h>

enum { RECORDS = 60, TRIES = 4, EVERY_OTHER = 2, PAGE_BYTES = 4096 };

static unsigned writes_until_failure; /* 0: none fails */
static bool write_failed;

ssize_t __real_pwrite(int fd, const void *bytes, size_t size, off_t at);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t at);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t at) {
    if (!writes_until_failure || --writes_until_failure) return __real_pwrite(fd, bytes, size, at);
    write_failed = true;
    if (size > 1 && __real_pwrite(fd, bytes, size / 2, at) < 0) return -1; /* a part of it gets there */
    errno = ENOSPC;
    return -1;
}

static off_t unreadable_page = -1;
static ino_t unreadable_file;

ssize_t __real_pread(int fd, void *bytes, size_t size, off_t at);
ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t at);
ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t at) {
    const off_t from = unreadable_page * PAGE_BYTES;
    struct stat file;
    if (unreadable_page < 0 || fstat(fd, &file) || file.st_ino != unreadable_file || at + (off_t)size <= from ||
        at >= from + PAGE_BYTES)
        return __real_pread(fd, bytes, size, at);
    errno = EIO;
    return -1;
}

static fault_code put_numbered(struct queue *queue, uint64_t number, struct fault *reterr) {
    uint8_t bytes[300] = {0};
    kv_store_u64(bytes, number);
    const struct queue_item item = {QUEUE_WINDOWS, slice_of(bytes, 8 + number * 7 % 292)};
    const struct queue_note note = {"last", slice_of(bytes, 8)};
    return (number % 5 ? queue_append_later : queue_append)(queue, &item, 1, &note, 1, reterr);
}

static fault_code other(struct queue *queue, uint64_t number, struct fault *reterr) {
    const uint32_t stream = open_stream(queue, QUEUE_WINDOWS);
    const struct queue_stream *const row = queue_stream_find(queue, stream);
    switch (number % 4) {
    case 0: return queue_commit(queue, reterr);
    case 1: return queue_rotate(queue, number % 3 ? INT64_MAX : 0, INT64_MAX, NULL, reterr);
    case 2: return queue_ack(queue, &(struct queue_ack){stream, row->committed_sequence}, 1, reterr);
    default: return queue_shed(queue, 0, reterr);
    }
}

static void check_all(struct bench *bench) {
    struct fault fault;
    size_t count;
    struct arena *const arena = arena_new(4096, 1 << 20);
    slice note;
    struct seen *const seen = fresh();
    const struct queue_stream *const streams = queue_streams(bench->queue, &count);
    for (size_t i = 0; i < count; i++) {
        struct queue_batch batch;
        if (streams[i].class == QUEUE_WINDOWS)
            (void)(queue_read(bench->queue, streams[i].number, 0, SIZE_MAX, SIZE_MAX, see, seen, &batch, &fault) ==
                   FAULT_NONE);
    }
    assert_int_equal(seen->count, RECORDS);
    for (size_t i = 0; i < seen->count; i++) assert_int_equal(seen->numbers[i], i + 1);
    CHECK_OK(queue_note_get(bench->queue, "last", arena, &note, &fault));
    assert_int_equal(kv_load_u64(note.data), RECORDS);
    arena_free(arena);
}

/* One life with a failure in it; false: it ended before the failure's turn. */
static bool live(enum injection what, bool writes, unsigned n) {
    struct fault fault;
    struct bench bench;
    injection_pause(true);
    begin_in(&bench, "/dev/shm", 16 << 20);
    bench.settings.commit_ms = 60000;
    bench.settings.commit_bytes = 2000;
    reopen(&bench);
    injection_begin(what, n);
    writes_until_failure = writes ? n : 0;
    write_failed = false;
    injection_pause(false);
    for (uint64_t number = 1; number <= RECORDS; number++) {
        unsigned tries = 0;
        while (tries < TRIES && put_numbered(bench.queue, number, &fault)) tries++;
        assert_true(tries < TRIES);
        for (tries = 0; number % EVERY_OTHER == 0 && tries < TRIES && other(bench.queue, number / 2, &fault);) tries++;
        assert_true(tries < TRIES);
    }
    injection_pause(true);
    writes_until_failure = 0;
    CHECK_OK(queue_commit(bench.queue, &fault));
    check_all(&bench);
    reopen(&bench);
    check_all(&bench);
    end(&bench);
    return writes ? write_failed : injection_struck_ever();
}

static void each(enum injection what, bool writes) {
    unsigned n = 1;
    while (live(what, writes, n)) n++;
    print_message("%u places of failure\n", n - 1);
    assert_true(n > 20);
}

TEST(failing_disk_at_each_call_of_the_store) {
    each(INJECT_STORE_SYSTEM, false);
}

TEST(full_store_at_each_call_of_the_store) {
    each(INJECT_STORE_FULL, false);
}

TEST(missing_memory_at_each_allocation) {
    each(INJECT_NO_MEMORY, false);
}

TEST(failing_write_of_the_log) {
    each(INJECT_NOTHING, true);
}

/* A sector that the disk gives no more, wherever it is: found at the start, once, and what is given out is genuine. */
TEST(page_that_cannot_be_read_costs_what_was_on_it) {
    struct fault fault;
    unsigned moved = 0;
    injection_begin(INJECT_NOTHING, 0);
    for (off_t page = 0;; page++) {
        struct bench bench;
        struct stat found;
        char file[128];
        begin_in(&bench, "/dev/shm", 16 << 20);
        for (uint64_t number = 1; number <= RECORDS; number++) CHECK_OK(put_numbered(bench.queue, number, &fault));
        snprintf(file, sizeof file, "%s/data.mdb", bench.path);
        assert_int_equal(stat(file, &found), 0);
        unreadable_page = page;
        unreadable_file = found.st_ino;
        reopen(&bench);
        unreadable_page = -1;
        moved += bench.moved.code == FAULT_CORRUPT;
        struct seen *const seen = fresh();
        size_t count;
        const struct queue_stream *const streams = queue_streams(bench.queue, &count);
        for (size_t i = 0; i < count; i++) {
            struct queue_batch batch;
            for (uint64_t after = 0;
                 !queue_read(bench.queue, streams[i].number, after, SIZE_MAX, SIZE_MAX, see, seen, &batch, &fault);)
                after = batch.last_sequence;
        }
        for (size_t i = 1; i < seen->count; i++) assert_true(seen->numbers[i] > seen->numbers[i - 1]);
        assert_true(bench.moved.code || seen->count == RECORDS);
        reopen(&bench);
        assert_int_equal(bench.moved.code, FAULT_NONE);
        end(&bench);
        if (page > found.st_size / PAGE_BYTES) break;
    }
    assert_true(moved > 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_disk_at_each_call_of_the_store),
        cmocka_unit_test(full_store_at_each_call_of_the_store),
        cmocka_unit_test(missing_memory_at_each_allocation),
        cmocka_unit_test(failing_write_of_the_log),
        cmocka_unit_test(page_that_cannot_be_read_costs_what_was_on_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
