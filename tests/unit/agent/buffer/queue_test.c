/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include "agent/buffer/queue.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/store/kv.h"

struct bench {
    char root[64], path[80];
    struct queue_settings settings;
    struct queue *queue;
    struct fault moved;
};

static void reopen(struct bench *bench) {
    struct fault fault;
    queue_close(bench->queue);
    bench->queue = NULL;
    CHECK_OK(queue_open(&bench->settings, &bench->queue, &bench->moved, &fault));
}

static void begin(struct bench *bench, uint64_t bytes_max) {
    *bench = (struct bench){.root = "/tmp/picket-queue-XXXXXX"};
    assert_non_null(mkdtemp(bench->root));
    snprintf(bench->path, sizeof bench->path, "%s/queue", bench->root);
    bench->settings =
        (struct queue_settings){.path = bench->path, .bytes_max = bytes_max, .reserve_percent = {10, 50, 0}};
    reopen(bench);
}

static void end(struct bench *bench) {
    char command[128];
    bench->queue = queue_close(bench->queue);
    snprintf(command, sizeof command, "rm -rf %s", bench->root);
    assert_int_equal(system(command), 0);
}

/* Appends intents whose bytes are a number, padded to `bytes`. */
static fault_code put(struct queue *queue, enum queue_class class, uint64_t number, size_t bytes,
                      struct fault *reterr) {
    uint8_t intent[4096] = {0};
    kv_store_u64(intent, number);
    const struct queue_item item = {class, slice_of(intent, bytes < 8 ? 8 : bytes)};
    return queue_append(queue, &item, 1, NULL, 1000 + (int64_t)number, reterr);
}

struct seen {
    uint64_t numbers[100000];
    size_t count;
    size_t stop_at;
};

static bool see(void *context, const struct queue_batch *so_far, uint64_t sequence, slice intent) {
    struct seen *seen = context;
    if (seen->stop_at && so_far->count == seen->stop_at) return false;
    assert_true(intent.size >= 8 && seen->count < sizeof seen->numbers / sizeof *seen->numbers);
    if (so_far->count) assert_int_equal(sequence, so_far->last_sequence + 1);
    seen->numbers[seen->count++] = kv_load_u64(intent.data);
    return true;
}

static struct seen seen_store;
static struct seen *fresh(void) {
    seen_store.count = seen_store.stop_at = 0;
    return &seen_store;
}

/* The stream of a class that is open. */
static uint32_t open_stream(struct queue *queue, enum queue_class class) {
    size_t count;
    const struct queue_stream *streams = queue_streams(queue, &count);
    for (size_t i = count; i-- > 0;)
        if (streams[i].class == class && !streams[i].closed) return streams[i].number;
    fail();
    return 0;
}

TEST(sequences_are_gapless_and_survive_reopening) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 16 << 20);
    const struct uuid epoch = queue_epoch(bench.queue);
    for (uint64_t i = 1; i <= 10; i++) CHECK_OK(put(bench.queue, QUEUE_WINDOWS, i, 100, &fault));
    CHECK_OK(put(bench.queue, QUEUE_HEALTH, 100, 100, &fault));
    reopen(&bench);
    assert_true(uuid_equal(epoch, queue_epoch(bench.queue)));
    CHECK_OK(put(bench.queue, QUEUE_WINDOWS, 11, 100, &fault));
    const uint32_t windows = open_stream(bench.queue, QUEUE_WINDOWS);
    struct queue_batch batch;
    CHECK_OK(queue_read(bench.queue, windows, 0, 100, 1 << 20, see, fresh(), &batch, &fault));
    assert_int_equal(batch.first_sequence, 1);
    assert_int_equal(batch.last_sequence, 11);
    assert_int_equal(batch.count, 11);
    assert_false(batch.stream_ends);
    for (size_t i = 0; i < 11; i++) assert_int_equal(seen_store.numbers[i], i + 1);
    /* bounds: by count, by bytes, and a record larger than the bytes asked for comes alone */
    CHECK_OK(queue_read(bench.queue, windows, 4, 3, 1 << 20, see, fresh(), &batch, &fault));
    assert_int_equal(batch.first_sequence, 5);
    assert_int_equal(batch.count, 3);
    CHECK_OK(queue_read(bench.queue, windows, 4, 100, 250, see, fresh(), &batch, &fault));
    assert_int_equal(batch.count, 2);
    CHECK_OK(queue_read(bench.queue, windows, 4, 100, 10, see, fresh(), &batch, &fault));
    assert_int_equal(batch.count, 1);
    seen_store = (struct seen){.stop_at = 2};
    CHECK_OK(queue_read(bench.queue, windows, 4, 100, 1 << 20, see, &seen_store, &batch, &fault));
    assert_int_equal(batch.count, 2);
    assert_int_equal(queue_read(bench.queue, windows, 11, 100, 1 << 20, see, fresh(), &batch, &fault), FAULT_ABSENT);
    assert_int_equal(batch.first_sequence, 12);
    CHECK_FAULT(queue_read(bench.queue, 999, 0, 100, 1 << 20, see, fresh(), &batch, &fault), FAULT_CONFLICT);
    end(&bench);
}

TEST(acknowledged_records_leave_and_numbers_go_on) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 16 << 20);
    const uint32_t windows = open_stream(bench.queue, QUEUE_WINDOWS);
    for (uint64_t i = 1; i <= 10; i++) CHECK_OK(put(bench.queue, QUEUE_WINDOWS, i, 100, &fault));
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){windows, 7}, 1, &fault));
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){windows, 3}, 1, &fault)); /* late: no effect */
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){4711, 3}, 1, &fault));    /* of another time: no effect */
    reopen(&bench);
    const struct queue_stream *stream = queue_stream_find(bench.queue, windows);
    assert_int_equal(stream->committed_sequence, 7);
    assert_int_equal(stream->oldest_sequence, 8);
    assert_int_equal(stream->oldest_ms, 1008);
    assert_int_equal(stream->records, 3);
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){windows, 10}, 1, &fault));
    stream = queue_stream_find(bench.queue, windows);
    assert_int_equal(stream->records, 0);
    assert_int_equal(stream->bytes, 0);
    CHECK_OK(put(bench.queue, QUEUE_WINDOWS, 11, 100, &fault));
    struct queue_batch batch;
    CHECK_OK(queue_read(bench.queue, windows, 10, 100, 1 << 20, see, fresh(), &batch, &fault));
    assert_int_equal(batch.first_sequence, 11);
    end(&bench);
}

TEST(committed_number_never_given_out_asks_for_a_new_epoch) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 16 << 20);
    const uint32_t windows = open_stream(bench.queue, QUEUE_WINDOWS);
    for (uint64_t i = 1; i <= 3; i++) CHECK_OK(put(bench.queue, QUEUE_WINDOWS, i, 100, &fault));
    const struct uuid epoch = queue_epoch(bench.queue);
    CHECK_FAULT(queue_ack(bench.queue, &(struct queue_ack){windows, 9}, 1, &fault), FAULT_CONFLICT);
    assert_int_equal(queue_stream_find(bench.queue, windows)->records, 3);
    CHECK_OK(queue_epoch_renew(bench.queue, &fault));
    assert_false(uuid_equal(epoch, queue_epoch(bench.queue)));
    assert_int_equal(queue_stream_find(bench.queue, windows)->records, 3);
    end(&bench);
}

TEST(new_streams_open_only_behind_a_backlog_and_old_ones_end) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 16 << 20);
    unsigned opened = 9;
    CHECK_OK(queue_rotate(bench.queue, INT64_MAX, INT64_MAX, &opened, &fault));
    assert_int_equal(opened, 0);
    const uint32_t old_windows = open_stream(bench.queue, QUEUE_WINDOWS),
                   old_health = open_stream(bench.queue, QUEUE_HEALTH);
    CHECK_OK(put(bench.queue, QUEUE_WINDOWS, 1, 100, &fault));
    CHECK_OK(put(bench.queue, QUEUE_WINDOWS, 2, 100, &fault));
    CHECK_OK(queue_rotate(bench.queue, 1000, INT64_MAX, &opened, &fault)); /* stored at 1001: too young */
    assert_int_equal(opened, 0);
    CHECK_OK(queue_rotate(bench.queue, 1001, INT64_MAX, &opened, &fault));
    assert_int_equal(opened, 1);
    assert_int_equal(open_stream(bench.queue, QUEUE_HEALTH), old_health);
    const uint32_t new_windows = open_stream(bench.queue, QUEUE_WINDOWS);
    assert_int_not_equal(new_windows, old_windows);
    CHECK_OK(put(bench.queue, QUEUE_WINDOWS, 3, 100, &fault));
    CHECK_FAULT(queue_stream_drop(bench.queue, old_windows, &fault), FAULT_CONFLICT);
    struct queue_batch batch;
    CHECK_OK(queue_read(bench.queue, old_windows, 0, 1, 1 << 20, see, fresh(), &batch, &fault));
    assert_false(batch.stream_ends);
    CHECK_OK(queue_read(bench.queue, old_windows, 1, 1, 1 << 20, see, fresh(), &batch, &fault));
    assert_true(batch.stream_ends);
    CHECK_OK(queue_read(bench.queue, new_windows, 0, 1, 1 << 20, see, fresh(), &batch, &fault));
    assert_int_equal(batch.first_sequence, 1);
    assert_int_equal(seen_store.numbers[0], 3);
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){old_windows, 2}, 1, &fault));
    CHECK_OK(queue_stream_drop(bench.queue, old_windows, &fault));
    CHECK_FAULT(queue_stream_drop(bench.queue, new_windows, &fault), FAULT_CONFLICT);
    reopen(&bench);
    assert_null(queue_stream_find(bench.queue, old_windows));
    size_t count;
    (void)queue_streams(bench.queue, &count);
    assert_int_equal(count, QUEUE_CLASSES_MAX_);
    /* streams are bounded: at the bound the open one is used on */
    for (int i = 0; i < 3 * QUEUE_STREAMS_MAX; i++) {
        CHECK_OK(put(bench.queue, QUEUE_REST, (uint64_t)i, 100, &fault));
        CHECK_OK(queue_rotate(bench.queue, INT64_MAX, INT64_MAX, &opened, &fault));
    }
    (void)queue_streams(bench.queue, &count);
    assert_int_equal(count, QUEUE_STREAMS_MAX);
    reopen(&bench);
    end(&bench);
}

TEST(quota_sheds_the_lowest_class_oldest_first_and_the_reader_sees_the_hole) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 1 << 20); /* reserve: health 10 %, windows 50 %, rest nothing */
    struct queue_stats stats;
    for (uint64_t i = 1; i <= 10; i++) CHECK_OK(put(bench.queue, QUEUE_HEALTH, i, 1000, &fault));
    for (uint64_t i = 1; i <= 300; i++) CHECK_OK(put(bench.queue, QUEUE_REST, i, 1000, &fault));
    for (uint64_t i = 1; i <= 2000; i++) CHECK_OK(put(bench.queue, QUEUE_WINDOWS, i, 1000, &fault));
    queue_stats(bench.queue, &stats);
    assert_int_equal(stats.records[QUEUE_HEALTH], 10);
    assert_int_equal(stats.records[QUEUE_REST], 0);
    assert_int_equal(stats.shed[QUEUE_REST], 300);
    assert_int_equal(stats.shed[QUEUE_HEALTH], 0);
    assert_int_equal(stats.records[QUEUE_WINDOWS] + stats.shed[QUEUE_WINDOWS], 2000);
    assert_true(stats.shed[QUEUE_WINDOWS] > 800);
    assert_true(stats.bytes[QUEUE_HEALTH] + stats.bytes[QUEUE_WINDOWS] <= stats.bytes_max);
    reopen(&bench);
    const uint32_t windows = open_stream(bench.queue, QUEUE_WINDOWS);
    struct queue_batch batch;
    CHECK_OK(queue_read(bench.queue, windows, 0, 100000, 1 << 30, see, fresh(), &batch, &fault));
    assert_int_equal(batch.after_sequence, 0);
    assert_int_equal(batch.first_sequence, stats.shed[QUEUE_WINDOWS] + 1);
    assert_int_equal(batch.last_sequence, 2000);
    assert_int_equal(seen_store.numbers[0], stats.shed[QUEUE_WINDOWS] + 1);
    queue_stats(bench.queue, &stats);
    assert_int_equal(stats.shed[QUEUE_REST], 300); /* kept over a restart */
    CHECK_OK(queue_shed(bench.queue, 10000, &fault));
    struct queue_stats after;
    queue_stats(bench.queue, &after);
    assert_true(after.records[QUEUE_WINDOWS] <= stats.records[QUEUE_WINDOWS] - 9);
    end(&bench);
}

TEST(hole_at_the_end_of_a_closed_stream_can_be_stated) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 1 << 20);
    const uint32_t old_stream = open_stream(bench.queue, QUEUE_REST);
    for (uint64_t i = 1; i <= 5; i++) CHECK_OK(put(bench.queue, QUEUE_REST, i, 1000, &fault));
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){old_stream, 2}, 1, &fault));
    CHECK_OK(queue_rotate(bench.queue, INT64_MAX, INT64_MAX, NULL, &fault));
    for (uint64_t i = 1; i <= 2000; i++) CHECK_OK(put(bench.queue, QUEUE_WINDOWS, i, 1000, &fault));
    assert_int_equal(queue_stream_find(bench.queue, old_stream)->records, 0);
    struct queue_batch batch;
    assert_int_equal(queue_read(bench.queue, old_stream, 2, 10, 1 << 20, see, fresh(), &batch, &fault), FAULT_ABSENT);
    assert_int_equal(batch.after_sequence, 2);
    assert_int_equal(batch.first_sequence, 6);
    assert_true(batch.stream_ends);
    end(&bench);
}

TEST(loss_of_all_that_a_stream_held_is_stated_without_waiting_for_the_next_record) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 1 << 20);
    const uint32_t rest = open_stream(bench.queue, QUEUE_REST);
    unsigned opened = 0;
    CHECK_OK(put(bench.queue, QUEUE_REST, 1, 1000, &fault));
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){rest, 1}, 1, &fault));
    CHECK_OK(queue_rotate(bench.queue, INT64_MAX, INT64_MAX, &opened, &fault));
    assert_int_equal(opened, 0); /* all committed: nothing to state */
    CHECK_OK(put(bench.queue, QUEUE_REST, 2, 1000, &fault));
    for (uint64_t i = 1; i <= 2000; i++) CHECK_OK(put(bench.queue, QUEUE_WINDOWS, i, 1000, &fault));
    assert_int_equal(queue_stream_find(bench.queue, rest)->records, 0);
    CHECK_OK(queue_rotate(bench.queue, 0, INT64_MAX, &opened, &fault));
    assert_int_equal(opened, 1);
    assert_true(queue_stream_find(bench.queue, rest)->closed);
    end(&bench);
}

TEST(streams_from_before_a_clock_was_set_back_are_taken_for_old) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 1 << 20);
    unsigned opened = 0;
    CHECK_OK(put(bench.queue, QUEUE_HEALTH, 1, 1000, &fault)); /* stored at 1001 */
    CHECK_OK(queue_rotate(bench.queue, 500, 1001, &opened, &fault));
    assert_int_equal(opened, 0);
    CHECK_OK(queue_rotate(bench.queue, 400, 900, &opened, &fault));
    assert_int_equal(opened, 1);
    end(&bench);
}

/* Puts a descriptor that cannot be written in the place of the one that commits are made with. */
static int break_commits(const struct bench *bench) {
    char file[128], link[64], target[256];
    snprintf(file, sizeof file, "%s/data.mdb", bench->path);
    int broken = 0;
    for (int fd = 3; fd < 200; fd++) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        const ssize_t size = readlink(link, target, sizeof target - 1);
        if (size <= 0) continue;
        target[size] = '\0';
        if (strcmp(target, file) != 0 || !(fcntl(fd, F_GETFL) & O_DSYNC)) continue;
        const int unwritable = open(file, O_RDONLY | O_CLOEXEC);
        assert_int_equal(dup2(unwritable, fd), fd);
        close(unwritable);
        broken++;
    }
    return broken;
}

TEST(disk_that_fails_in_the_middle_of_a_commit_is_a_state_and_not_an_end) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 16 << 20);
    CHECK_OK(put(bench.queue, QUEUE_WINDOWS, 1, 100, &fault));
    assert_int_equal(break_commits(&bench), 1);
    assert_int_not_equal(put(bench.queue, QUEUE_WINDOWS, 2, 100, &fault), FAULT_NONE);
    CHECK_OK(put(bench.queue, QUEUE_WINDOWS, 3, 100, &fault)); /* opened again */
    struct queue_batch batch;
    CHECK_OK(
        queue_read(bench.queue, open_stream(bench.queue, QUEUE_WINDOWS), 0, 10, 1 << 20, see, fresh(), &batch, &fault));
    assert_int_equal(batch.count, 2);
    assert_int_equal(seen_store.numbers[1], 3);
    reopen(&bench);
    assert_int_equal(queue_stream_find(bench.queue, open_stream(bench.queue, QUEUE_WINDOWS))->records, 2);
    end(&bench);
}

TEST(note_and_intents_are_stored_together) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 16 << 20);
    struct arena *arena = arena_new(4096, 1 << 24);
    slice value;
    assert_int_equal(queue_note_get(bench.queue, "fold", arena, &value, &fault), FAULT_ABSENT);
    const struct queue_item items[2] = {{QUEUE_WINDOWS, SLICE_LIT("window 1")}, {QUEUE_WINDOWS, SLICE_LIT("window 2")}};
    CHECK_OK(queue_append(bench.queue, items, 2, &(struct queue_note){"fold", SLICE_LIT("first")}, 1, &fault));
    /* the second intent is refused: neither the first one nor the note may stay */
    static uint8_t large[QUEUE_RECORD_BYTES_MAX + 1];
    const struct queue_item bad[2] = {{QUEUE_WINDOWS, SLICE_LIT("window 3")},
                                      {QUEUE_WINDOWS, slice_of(large, sizeof large)}};
    CHECK_FAULT(queue_append(bench.queue, bad, 2, &(struct queue_note){"fold", SLICE_LIT("second")}, 1, &fault),
                FAULT_LIMIT);
    const struct queue_item empty = {QUEUE_WINDOWS, {0}};
    CHECK_FAULT(queue_append(bench.queue, &empty, 1, NULL, 1, &fault), FAULT_LIMIT);
    reopen(&bench);
    CHECK_OK(queue_note_get(bench.queue, "fold", arena, &value, &fault));
    CHECK_SLICE(value, "first");
    assert_int_equal(queue_stream_find(bench.queue, open_stream(bench.queue, QUEUE_WINDOWS))->last_sequence, 2);
    CHECK_OK(queue_append(bench.queue, NULL, 0, &(struct queue_note){"fold", {0}}, 1, &fault));
    assert_int_equal(queue_note_get(bench.queue, "fold", arena, &value, &fault), FAULT_ABSENT);
    const struct queue_item largest = {QUEUE_REST, slice_of(large, QUEUE_RECORD_BYTES_MAX)};
    CHECK_OK(queue_append(bench.queue, &largest, 1, NULL, 1, &fault));
    arena_free(arena);
    end(&bench);
}

/* Flips one byte of a stored record, through the store. */
static void damage(struct bench *bench, const char *table_name, uint32_t stream, uint64_t sequence) {
    struct fault fault;
    struct kv *kv;
    kv_table table;
    struct kv_txn *txn;
    slice value;
    uint8_t key[12], copy[4096];
    bench->queue = queue_close(bench->queue);
    const struct kv_settings settings = {
        .path = bench->path, .map_bytes = 128 << 20, .tables_max = 8, .readers_max = 4};
    CHECK_OK(kv_open(&settings, &kv, &fault));
    CHECK_OK(kv_table_open(kv, table_name, &table, &fault));
    CHECK_OK(kv_begin_write(kv, &txn, &fault));
    kv_store_u32(key, stream);
    kv_store_u64(key + 4, sequence);
    CHECK_OK(kv_get(txn, table, slice_of(key, 12), &value, &fault));
    memcpy(copy, value.data, value.size);
    copy[value.size / 2] ^= 1;
    CHECK_OK(kv_put(txn, table, slice_of(key, 12), slice_of(copy, value.size), &fault));
    CHECK_OK(kv_commit(txn, &fault));
    kv_close(kv);
    reopen(bench);
}

TEST(damaged_record_is_quarantined_and_the_rest_goes_on) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 16 << 20);
    const uint32_t windows = open_stream(bench.queue, QUEUE_WINDOWS);
    for (uint64_t i = 1; i <= 6; i++) CHECK_OK(put(bench.queue, QUEUE_WINDOWS, i, 100, &fault));
    damage(&bench, "records.windows", windows, 1);
    damage(&bench, "records.windows", windows, 4);
    struct queue_batch batch;
    CHECK_OK(queue_read(bench.queue, windows, 0, 100, 1 << 20, see, fresh(), &batch, &fault));
    assert_int_equal(batch.first_sequence, 2);
    assert_int_equal(batch.last_sequence, 3);
    CHECK_OK(queue_read(bench.queue, windows, 3, 100, 1 << 20, see, fresh(), &batch, &fault));
    assert_int_equal(batch.after_sequence, 3);
    assert_int_equal(batch.first_sequence, 5);
    assert_int_equal(batch.last_sequence, 6);
    struct queue_stats stats;
    queue_stats(bench.queue, &stats);
    assert_int_equal(stats.quarantined, 2);
    assert_int_equal(stats.records[QUEUE_WINDOWS], 4);
    assert_int_equal(queue_stream_find(bench.queue, windows)->oldest_sequence, 2);
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){windows, 6}, 1, &fault));
    queue_stats(bench.queue, &stats);
    assert_int_equal(stats.bytes[QUEUE_WINDOWS], 0);
    end(&bench);
}

/* Overwrites the first bytes of the store's file with noise; 0: all of it. */
static void spoil(struct bench *bench, size_t bytes) {
    bench->queue = queue_close(bench->queue);
    char file[128];
    snprintf(file, sizeof file, "%s/data.mdb", bench->path);
    const int fd = open(file, O_WRONLY);
    struct stat found;
    assert_int_equal(fstat(fd, &found), 0);
    const size_t size = bytes ? bytes : (size_t)found.st_size;
    uint8_t *const noise = malloc(size);
    memset(noise, 0xa5, size);
    assert_int_equal(pwrite(fd, noise, size, 0), size);
    free(noise);
    close(fd);
    reopen(bench);
}

TEST(damaged_store_is_moved_aside_and_what_checks_goes_on) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 16 << 20);
    const struct uuid epoch = queue_epoch(bench.queue);
    const uint32_t windows = open_stream(bench.queue, QUEUE_WINDOWS);
    for (uint64_t i = 1; i <= 500; i++) CHECK_OK(put(bench.queue, QUEUE_WINDOWS, i, 100, &fault));
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){windows, 100}, 1, &fault));
    assert_int_equal(bench.moved.code, FAULT_NONE);
    spoil(&bench, 8192); /* both pages that say where everything is */
    assert_int_equal(bench.moved.code, FAULT_CORRUPT);
    assert_non_null(strstr(bench.moved.text, "400 records were saved, 0 are lost"));
    assert_true(uuid_equal(epoch, queue_epoch(bench.queue)));
    assert_true(open_stream(bench.queue, QUEUE_WINDOWS) > windows);
    struct queue_batch batch;
    CHECK_OK(queue_read(bench.queue, windows, 100, 1000, 1 << 30, see, fresh(), &batch, &fault));
    assert_int_equal(batch.first_sequence, 101);
    assert_int_equal(batch.last_sequence, 500);
    assert_int_equal(seen_store.numbers[0], 101);
    assert_true(batch.stream_ends);
    CHECK_OK(put(bench.queue, QUEUE_WINDOWS, 1, 100, &fault));
    reopen(&bench);
    assert_int_equal(bench.moved.code, FAULT_NONE);
    end(&bench);
}

TEST(store_of_which_nothing_is_left_gives_a_new_epoch) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 16 << 20);
    const struct uuid epoch = queue_epoch(bench.queue);
    CHECK_OK(put(bench.queue, QUEUE_WINDOWS, 1, 100, &fault));
    spoil(&bench, 0);
    assert_int_equal(bench.moved.code, FAULT_CORRUPT);
    assert_false(uuid_equal(epoch, queue_epoch(bench.queue)));
    CHECK_OK(put(bench.queue, QUEUE_WINDOWS, 1, 100, &fault));
    end(&bench);
}

/* Appends until the store refuses, and checks that nothing changed by the refusal and that acks make room again. */
static void fill_and_recover(struct bench *bench) {
    struct fault fault = {0};
    uint64_t stored = 0;
    while (stored < 100000 && !put(bench->queue, QUEUE_WINDOWS, stored + 1, 2000, &fault)) stored++;
    assert_string_equal(fault_code_name(fault.code), "limit");
    assert_true(stored > 10 && stored < 100000);
    assert_int_equal(queue_stream_find(bench->queue, open_stream(bench->queue, QUEUE_WINDOWS))->last_sequence, stored);
    CHECK_FAULT(put(bench->queue, QUEUE_WINDOWS, stored + 1, 2000, &fault), FAULT_LIMIT);
    const uint32_t windows = open_stream(bench->queue, QUEUE_WINDOWS);
    CHECK_OK(queue_ack(bench->queue, &(struct queue_ack){windows, stored / 2}, 1, &fault));
    CHECK_OK(put(bench->queue, QUEUE_WINDOWS, stored + 1, 2000, &fault));
    struct queue_batch batch;
    CHECK_OK(queue_read(bench->queue, windows, stored / 2, 100000, 1 << 30, see, fresh(), &batch, &fault));
    assert_int_equal(batch.first_sequence, stored / 2 + 1);
    assert_int_equal(batch.last_sequence, stored + 1);
    reopen(bench);
    CHECK_OK(queue_read(bench->queue, windows, stored / 2, 100000, 1 << 30, see, fresh(), &batch, &fault));
    assert_int_equal(batch.last_sequence, stored + 1);
    /* full again, and nobody acknowledges: what is shed makes room */
    for (stored += 1; !put(bench->queue, QUEUE_WINDOWS, stored + 1, 2000, &fault);) stored++;
    CHECK_OK(queue_shed(bench->queue, 100000, &fault));
    CHECK_OK(put(bench->queue, QUEUE_WINDOWS, stored + 1, 2000, &fault));
}

TEST(full_map_is_a_state_and_not_an_end) {
    struct bench bench;
    begin(&bench, 64 << 20);
    bench.settings.map_bytes = 1 << 20;
    bench.queue = queue_close(bench.queue);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", bench.path);
    assert_int_equal(system(command), 0);
    reopen(&bench);
    fill_and_recover(&bench);
    end(&bench);
}

TEST(full_disk_is_a_state_and_not_an_end) {
    struct bench bench;
    begin(&bench, 64 << 20);
    bench.queue = queue_close(bench.queue);
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", bench.root, "tmpfs", 0, "size=1m")) {
        end(&bench);
        skip(); /* a small file system needs the right to mount one */
    }
    reopen(&bench);
    fill_and_recover(&bench);
    bench.queue = queue_close(bench.queue);
    assert_int_equal(umount(bench.root), 0);
    end(&bench);
}

/* What the child says about itself, in memory that outlives it. */
struct journal {
    volatile uint64_t append_asked[QUEUE_CLASSES_MAX_], append_done[QUEUE_CLASSES_MAX_];
    volatile uint64_t ack_asked[QUEUE_CLASSES_MAX_], ack_done[QUEUE_CLASSES_MAX_];
    volatile uint64_t faults;
};

static void child_append(struct queue *queue, struct journal *journal, uint64_t *seed) {
    struct fault fault;
    uint8_t bytes[20][64] = {0}, note[8 * QUEUE_CLASSES_MAX_];
    struct queue_item items[20];
    const size_t count = 1 + check_random(seed) % 20;
    uint64_t next[QUEUE_CLASSES_MAX_];
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++) next[class] = journal->append_done[class];
    for (size_t i = 0; i < count; i++) {
        const enum queue_class class = (enum queue_class)(check_random(seed) % QUEUE_CLASSES_MAX_);
        kv_store_u64(bytes[i], ++next[class]);
        items[i] = (struct queue_item){class, slice_of(bytes[i], 8 + check_random(seed) % 56)};
    }
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++) {
        kv_store_u64(note + 8 * class, next[class]);
        journal->append_asked[class] = next[class];
    }
    if (queue_append(queue, items, count, &(struct queue_note){"counts", slice_of(note, sizeof note)}, 1, &fault))
        journal->faults++;
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++) journal->append_done[class] = next[class];
}

static void child_ack(struct queue *queue, struct journal *journal, uint64_t *seed) {
    struct fault fault;
    size_t count;
    const struct queue_stream *streams = queue_streams(queue, &count);
    bool served[QUEUE_CLASSES_MAX_] = {false}; /* a class in order, so that one number says what is acknowledged */
    for (size_t i = 0; i < count; i++) {
        const struct queue_stream stream = streams[i];
        if (served[stream.class]) continue;
        served[stream.class] = stream.records > 0;
        if (stream.records == 0) {
            if (stream.closed && queue_stream_drop(queue, stream.number, &fault)) journal->faults++;
            if (stream.closed) return;
            continue;
        }
        struct queue_batch batch;
        if (queue_read(queue, stream.number, stream.committed_sequence, 1 + check_random(seed) % 30, 1 << 20, see,
                       fresh(), &batch, &fault))
            journal->faults++;
        journal->ack_asked[stream.class] = seen_store.numbers[seen_store.count - 1];
        if (queue_ack(queue, &(struct queue_ack){stream.number, batch.last_sequence}, 1, &fault)) journal->faults++;
        journal->ack_done[stream.class] = journal->ack_asked[stream.class];
        if (check_random(seed) % 2) return;
    }
}

static void child_works(const struct bench *bench, struct journal *journal, uint64_t seed) {
    struct fault fault;
    struct queue *queue;
    if (queue_open(&bench->settings, &queue, NULL, &fault)) {
        journal->faults++;
        _exit(1);
    }
    for (;;) {
        const uint64_t what = check_random(&seed) % 10;
        if (what < 6)
            child_append(queue, journal, &seed);
        else if (what < 9)
            child_ack(queue, journal, &seed);
        else if (queue_rotate(queue, INT64_MAX, INT64_MAX, NULL, &fault))
            journal->faults++;
    }
}

/* Everything stored and not acknowledged is there, once and in order, and the note is of the same moment. */
static void check_after_crash(struct bench *bench, struct journal *journal) {
    struct fault fault;
    struct arena *arena = arena_new(4096, 1 << 20);
    slice note;
    reopen(bench);
    assert_int_equal(bench->moved.code, FAULT_NONE);
    assert_int_equal(journal->faults, 0);
    const fault_code have_note = queue_note_get(bench->queue, "counts", arena, &note, &fault);
    if (have_note) assert_int_equal(have_note, FAULT_ABSENT);
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++) {
        const uint64_t appended = have_note ? 0 : kv_load_u64(note.data + 8 * class);
        assert_true(appended == journal->append_done[class] || appended == journal->append_asked[class]);
        struct seen *seen = fresh();
        size_t count;
        const struct queue_stream *streams = queue_streams(bench->queue, &count);
        for (size_t i = 0; i < count; i++) {
            if (streams[i].class != (enum queue_class) class) continue;
            struct queue_batch batch;
            const fault_code code = queue_read(bench->queue, streams[i].number, streams[i].committed_sequence, SIZE_MAX,
                                               SIZE_MAX, see, seen, &batch, &fault);
            assert_true(code == FAULT_NONE || code == FAULT_ABSENT);
            assert_int_equal(batch.first_sequence, streams[i].committed_sequence + 1);
            assert_int_equal(batch.last_sequence, streams[i].last_sequence);
            assert_int_equal(batch.count, streams[i].records);
        }
        const uint64_t acknowledged = seen->count ? seen->numbers[0] - 1 : appended;
        assert_true(acknowledged == journal->ack_done[class] || acknowledged == journal->ack_asked[class]);
        for (size_t i = 0; i < seen->count; i++) assert_int_equal(seen->numbers[i], acknowledged + 1 + i);
        assert_int_equal(acknowledged + seen->count, appended);
        journal->append_done[class] = journal->append_asked[class] = appended;
        journal->ack_done[class] = journal->ack_asked[class] = acknowledged;
    }
    arena_free(arena);
    bench->queue = queue_close(bench->queue);
}

TEST(kill_at_any_moment_loses_nothing_and_doubles_nothing) {
    struct bench bench;
    begin(&bench, 16 << 20);
    bench.queue = queue_close(bench.queue);
    uint64_t seed = check_seed();
    struct journal *journal = mmap(NULL, sizeof *journal, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(journal != MAP_FAILED);
    for (int round = 0; round < 25; round++) {
        const uint64_t child_seed = check_random(&seed);
        const useconds_t life_us = (useconds_t)(check_random(&seed) % 80000);
        const pid_t child = fork();
        if (child == 0) child_works(&bench, journal, child_seed);
        usleep(life_us);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        check_after_crash(&bench, journal);
    }
    assert_true(journal->append_done[QUEUE_WINDOWS] > 0 && journal->ack_done[QUEUE_WINDOWS] > 0);
    munmap(journal, sizeof *journal);
    end(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences_are_gapless_and_survive_reopening),
        cmocka_unit_test(acknowledged_records_leave_and_numbers_go_on),
        cmocka_unit_test(committed_number_never_given_out_asks_for_a_new_epoch),
        cmocka_unit_test(new_streams_open_only_behind_a_backlog_and_old_ones_end),
        cmocka_unit_test(quota_sheds_the_lowest_class_oldest_first_and_the_reader_sees_the_hole),
        cmocka_unit_test(hole_at_the_end_of_a_closed_stream_can_be_stated),
        cmocka_unit_test(loss_of_all_that_a_stream_held_is_stated_without_waiting_for_the_next_record),
        cmocka_unit_test(streams_from_before_a_clock_was_set_back_are_taken_for_old),
        cmocka_unit_test(disk_that_fails_in_the_middle_of_a_commit_is_a_state_and_not_an_end),
        cmocka_unit_test(note_and_intents_are_stored_together),
        cmocka_unit_test(damaged_record_is_quarantined_and_the_rest_goes_on),
        cmocka_unit_test(damaged_store_is_moved_aside_and_what_checks_goes_on),
        cmocka_unit_test(store_of_which_nothing_is_left_gives_a_new_epoch),
        cmocka_unit_test(full_map_is_a_state_and_not_an_end),
        cmocka_unit_test(full_disk_is_a_state_and_not_an_end),
        cmocka_unit_test(kill_at_any_moment_loses_nothing_and_doubles_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
