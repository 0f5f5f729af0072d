/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/agent/buffer/queue_bench.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

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
    CHECK_OK(queue_epoch_renew(bench.queue, NULL, 0, &fault));
    assert_false(uuid_equal(epoch, queue_epoch(bench.queue)));
    assert_int_equal(queue_stream_find(bench.queue, windows)->records, 3);
    end(&bench);
}

/* What the queue's head says of its format; the queue is closed for that. */
static uint32_t format_of(struct bench *bench) {
    struct fault fault;
    struct kv *kv;
    kv_table book;
    struct kv_txn *txn;
    slice head;
    bench->queue = queue_close(bench->queue);
    const struct kv_settings settings = {
        .path = bench->path, .map_bytes = 128 << 20, .tables_max = 8, .readers_max = 4, .sync = KV_SYNC_FULL};
    CHECK_OK(kv_open(&settings, &kv, &fault));
    CHECK_OK(kv_table_open(kv, "book", &book, &fault));
    CHECK_OK(kv_begin_read(kv, &txn, &fault));
    CHECK_OK(kv_get(txn, book, SLICE_LIT("head"), &head, &fault));
    const uint32_t format = kv_load_u32(head.data + 4);
    kv_abort(txn);
    kv_close(kv);
    reopen(bench);
    return format;
}

TEST(program_of_before_reads_a_queue_in_its_first_epoch) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 16 << 20);
    const uint32_t windows = open_stream(bench.queue, QUEUE_WINDOWS);
    for (uint64_t i = 1; i <= 3; i++) CHECK_OK(put(bench.queue, QUEUE_WINDOWS, i, 100, &fault));
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){windows, 2}, 1, &fault));
    assert_int_equal(format_of(&bench), 2);
    CHECK_OK(queue_epoch_renew(bench.queue, NULL, 0, &fault));
    assert_int_equal(format_of(&bench), 3); /* it would send numbers that the centre does not know */
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){windows, 3}, 1, &fault));
    CHECK_OK(put(bench.queue, QUEUE_WINDOWS, 4, 100, &fault));
    CHECK_OK(queue_rotate(bench.queue, INT64_MAX, INT64_MAX, NULL, &fault));
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){windows, 4}, 1, &fault));
    CHECK_OK(queue_stream_drop(bench.queue, windows, &fault));
    CHECK_OK(put(bench.queue, QUEUE_WINDOWS, 5, 100, &fault));
    assert_int_equal(format_of(&bench), 2); /* the streams of then have gone */
    end(&bench);
}

TEST(new_epoch_begins_behind_what_is_accounted_for) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 16 << 20);
    const uint32_t windows = open_stream(bench.queue, QUEUE_WINDOWS), rest = open_stream(bench.queue, QUEUE_REST),
                   health = open_stream(bench.queue, QUEUE_HEALTH);
    for (uint64_t i = 1; i <= 30; i++) {
        CHECK_OK(put(bench.queue, QUEUE_WINDOWS, i, 100, &fault));
        CHECK_OK(put(bench.queue, QUEUE_REST, i, 100, &fault));
    }
    CHECK_OK(queue_ack(bench.queue, (struct queue_ack[]){{windows, 10}, {rest, 10}}, 2, &fault));
    CHECK_OK(queue_shed(bench.queue, 500, &fault)); /* of rest */
    const struct queue_stream before = *queue_stream_find(bench.queue, rest);
    assert_true(before.shed > 0 && before.records > 0);
    CHECK_OK(
        queue_epoch_renew(bench.queue, (struct queue_ack[]){{windows, UINT64_MAX}, {rest, 9}, {77, 5}}, 3, &fault));
    for (int again = 0; again < 2; again++) {
        const struct queue_stream *stream = queue_stream_find(bench.queue, windows);
        assert_int_equal(stream->began_after, 10); /* the twenty behind it are here, and will be sent */
        assert_int_equal(stream->committed_sequence, 10);
        assert_int_equal(stream->other_holes, 0);
        stream = queue_stream_find(bench.queue, rest);
        assert_int_equal(stream->began_after, 10);
        assert_int_equal(stream->other_holes, before.shed);
        assert_int_equal(stream->shed, 0);
        assert_int_equal(queue_stream_find(bench.queue, health)->began_after, 0);
        reopen(&bench);
        assert_int_equal(bench.moved.code, FAULT_NONE);
    }
    CHECK_OK(put(bench.queue, QUEUE_WINDOWS, 31, 100, &fault));
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){windows, 31}, 1, &fault));
    CHECK_OK(queue_epoch_renew(bench.queue, NULL, 0, &fault));
    assert_int_equal(queue_stream_find(bench.queue, windows)->began_after, 31);
    assert_true(queue_stream_was(bench.queue, windows));
    assert_false(queue_stream_was(bench.queue, 0));
    assert_false(queue_stream_was(bench.queue, UINT64_MAX));
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

static struct queue_stats stats_of(const struct bench *bench) {
    struct queue_stats stats;
    queue_stats(bench->queue, &stats);
    return stats;
}

/* What was shed while its ack was on the way is not lost, and the centre says so, before or after the hole was passed. */
TEST(what_was_shed_is_told_from_what_is_lost) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 1 << 20);
    const uint32_t windows = open_stream(bench.queue, QUEUE_WINDOWS);
    for (uint64_t i = 1; i <= 1500; i++) CHECK_OK(put(bench.queue, QUEUE_WINDOWS, i, 1000, &fault));
    const uint64_t shed = stats_of(&bench).shed[QUEUE_WINDOWS];
    assert_true(shed > 300 && shed == queue_stream_find(bench.queue, windows)->oldest_sequence - 1);
    assert_int_equal(stats_of(&bench).arrived[QUEUE_WINDOWS], 0);                            /* nothing is known yet */
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){windows, 100, true, 0}, 1, &fault)); /* in the hole */
    assert_int_equal(stats_of(&bench).arrived[QUEUE_WINDOWS], 100);
    reopen(&bench);
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){windows, 100, true, 0}, 1, &fault)); /* again */
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){windows, 90, true, 0}, 1, &fault));  /* late */
    assert_int_equal(stats_of(&bench).arrived[QUEUE_WINDOWS], 100);
    /* it has 150 when the hole behind those is stated to it */
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){windows, shed + 50, true, shed - 150}, 1, &fault));
    assert_int_equal(stats_of(&bench).arrived[QUEUE_WINDOWS], 150);
    for (uint64_t i = 1501; i <= 2600; i++) CHECK_OK(put(bench.queue, QUEUE_WINDOWS, i, 1000, &fault));
    const struct queue_stream *const stream = queue_stream_find(bench.queue, windows);
    const uint64_t again = stats_of(&bench).shed[QUEUE_WINDOWS] - shed;
    assert_true(again > 0 && stream->oldest_sequence == stream->committed_sequence + again + 1);
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){windows, 2600, true, shed - 150 + again}, 1, &fault));
    assert_int_equal(stats_of(&bench).arrived[QUEUE_WINDOWS], 150);
    reopen(&bench);
    const struct queue_stats stats = stats_of(&bench);
    assert_int_equal(stats.shed[QUEUE_WINDOWS] - stats.arrived[QUEUE_WINDOWS], shed - 150 + again);
    assert_int_equal(stats.records[QUEUE_WINDOWS], 0);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences_are_gapless_and_survive_reopening),
        cmocka_unit_test(acknowledged_records_leave_and_numbers_go_on),
        cmocka_unit_test(committed_number_never_given_out_asks_for_a_new_epoch),
        cmocka_unit_test(program_of_before_reads_a_queue_in_its_first_epoch),
        cmocka_unit_test(new_epoch_begins_behind_what_is_accounted_for),
        cmocka_unit_test(new_streams_open_only_behind_a_backlog_and_old_ones_end),
        cmocka_unit_test(quota_sheds_the_lowest_class_oldest_first_and_the_reader_sees_the_hole),
        cmocka_unit_test(what_was_shed_is_told_from_what_is_lost),
        cmocka_unit_test(hole_at_the_end_of_a_closed_stream_can_be_stated),
        cmocka_unit_test(loss_of_all_that_a_stream_held_is_stated_without_waiting_for_the_next_record),
        cmocka_unit_test(streams_from_before_a_clock_was_set_back_are_taken_for_old),
        cmocka_unit_test(disk_that_fails_in_the_middle_of_a_commit_is_a_state_and_not_an_end),
        cmocka_unit_test(note_and_intents_are_stored_together),
        cmocka_unit_test(full_map_is_a_state_and_not_an_end),
        cmocka_unit_test(full_disk_is_a_state_and_not_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
