/* SPDX-License-Identifier: Apache-2.0
 * What may wait for the disk: how many commits it takes, who sees it when, and what becomes of it when things fail. */
#include "tests/unit/agent/buffer/queue_bench.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/loop/loop.h"

static fault_code put_later(struct queue *queue, enum queue_class class, uint64_t number, size_t bytes,
                            struct fault *reterr) {
    uint8_t intent[4096] = {0}, note[8];
    kv_store_u64(intent, number);
    kv_store_u64(note, number);
    const struct queue_item item = {class, slice_of(intent, bytes < 8 ? 8 : bytes)};
    return queue_append_later(queue, &item, 1, &(struct queue_note){"last", slice_of(note, sizeof note)},
                              1000 + (int64_t)number, reterr);
}

static void begin_later(struct bench *bench, uint64_t commit_bytes) {
    begin(bench, 16 << 20);
    bench->settings.commit_ms = 60000;
    bench->settings.commit_bytes = commit_bytes;
    reopen(bench);
}

static struct queue_stats stats_of(const struct bench *bench) {
    struct queue_stats stats;
    queue_stats(bench->queue, &stats);
    return stats;
}

/* How many of a class a reader is given; they are 1, 2, 3 ... */
static size_t readable(struct bench *bench, enum queue_class class) {
    struct fault fault;
    struct queue_batch batch;
    const fault_code code =
        queue_read(bench->queue, open_stream(bench->queue, class), 0, SIZE_MAX, SIZE_MAX, see, fresh(), &batch, &fault);
    assert_true(code == FAULT_NONE || code == FAULT_ABSENT);
    for (size_t i = 0; i < seen_store.count; i++) assert_int_equal(seen_store.numbers[i], i + 1);
    return seen_store.count;
}

static uint64_t last_note(struct bench *bench) {
    struct fault fault;
    struct arena *const arena = arena_new(4096, 1 << 20);
    slice note;
    const fault_code code = queue_note_get(bench->queue, "last", arena, &note, &fault);
    const uint64_t number = code ? 0 : kv_load_u64(note.data);
    assert_true(code == FAULT_NONE || code == FAULT_ABSENT);
    arena_free(arena);
    return number;
}

TEST(what_waits_shares_one_commit_and_is_not_given_out_before) {
    struct fault fault;
    struct bench bench;
    begin_later(&bench, 0);
    const uint64_t before = stats_of(&bench).commits;
    for (uint64_t i = 1; i <= 50; i++) CHECK_OK(put_later(bench.queue, QUEUE_WINDOWS, i, 100, &fault));
    assert_int_equal(stats_of(&bench).commits, before);
    assert_int_equal(stats_of(&bench).waits, 50);
    assert_int_equal(readable(&bench, QUEUE_WINDOWS), 0);
    assert_int_equal(last_note(&bench), 50); /* a note is what was said last */
    uint32_t stream;
    uint64_t sequence;
    queue_next(bench.queue, QUEUE_WINDOWS, &stream, &sequence);
    assert_int_equal(sequence, 51);
    CHECK_OK(queue_commit(bench.queue, &fault));
    assert_int_equal(stats_of(&bench).commits, before + 1);
    assert_int_equal(stats_of(&bench).waits, 0);
    assert_int_equal(readable(&bench, QUEUE_WINDOWS), 50);
    assert_int_equal(last_note(&bench), 50);
    CHECK_OK(queue_commit(bench.queue, &fault)); /* nothing waits: nothing is done */
    assert_int_equal(stats_of(&bench).commits, before + 1);
    end(&bench);
}

TEST(what_cannot_wait_takes_along_what_waits_in_its_order) {
    struct fault fault;
    struct bench bench;
    begin_later(&bench, 0);
    const uint64_t before = stats_of(&bench).commits;
    CHECK_OK(put_later(bench.queue, QUEUE_HEALTH, 1, 100, &fault));
    CHECK_OK(put_later(bench.queue, QUEUE_HEALTH, 2, 100, &fault));
    CHECK_OK(put(bench.queue, QUEUE_HEALTH, 3, 100, &fault));
    assert_int_equal(readable(&bench, QUEUE_HEALTH), 3);
    CHECK_OK(put_later(bench.queue, QUEUE_HEALTH, 4, 100, &fault));
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){open_stream(bench.queue, QUEUE_HEALTH), 2}, 1, &fault));
    assert_int_equal(stats_of(&bench).commits, before + 2);
    assert_int_equal(queue_stream_find(bench.queue, open_stream(bench.queue, QUEUE_HEALTH))->last_sequence, 4);
    CHECK_OK(put_later(bench.queue, QUEUE_HEALTH, 5, 100, &fault));
    const uint32_t old_stream = open_stream(bench.queue, QUEUE_HEALTH);
    CHECK_OK(queue_rotate(bench.queue, INT64_MAX, INT64_MAX, NULL, &fault));
    assert_int_equal(queue_stream_find(bench.queue, old_stream)->last_sequence, 5); /* as queue_next had said */
    CHECK_OK(put_later(bench.queue, QUEUE_REST, 1, 100, &fault));
    CHECK_OK(queue_epoch_renew(bench.queue, NULL, 0, &fault));
    assert_int_equal(readable(&bench, QUEUE_REST), 1);
    assert_int_equal(stats_of(&bench).commits, before + 4);
    end(&bench);
}

TEST(as_much_as_may_wait_is_bounded) {
    struct fault fault;
    struct bench bench;
    begin_later(&bench, 10000);
    const uint64_t before = stats_of(&bench).commits;
    for (uint64_t i = 1; i <= 100; i++) CHECK_OK(put_later(bench.queue, QUEUE_WINDOWS, i, 1000, &fault));
    const struct queue_stats stats = stats_of(&bench);
    assert_true(stats.commits - before >= 10 && stats.commits - before <= 13);
    assert_true(stats.waits < 10);
    assert_int_equal(readable(&bench, QUEUE_WINDOWS), 100 - stats.waits);
    static uint8_t large[20000]; /* more than may wait at all */
    const struct queue_item item = {QUEUE_REST, slice_of(large, sizeof large)};
    CHECK_OK(queue_append_later(bench.queue, &item, 1, NULL, 1, &fault));
    assert_int_equal(stats_of(&bench).waits, 0);
    end(&bench);
}

TEST(without_an_interval_nothing_waits) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 16 << 20);
    const uint64_t before = stats_of(&bench).commits;
    for (uint64_t i = 1; i <= 10; i++) CHECK_OK(put_later(bench.queue, QUEUE_WINDOWS, i, 100, &fault));
    assert_int_equal(stats_of(&bench).commits, before + 10);
    assert_int_equal(readable(&bench, QUEUE_WINDOWS), 10);
    end(&bench);
}

static void on_committed(void *context) {
    loop_stop(context);
}

TEST(timer_commits_what_waits_and_says_so) {
    struct fault fault;
    struct bench bench;
    struct loop *loop;
    begin_later(&bench, 0);
    bench.settings.commit_ms = 50;
    reopen(&bench);
    CHECK_OK(loop_new(&loop, &fault));
    CHECK_OK(queue_use_loop(bench.queue, loop, on_committed, loop, &fault));
    const uint64_t before = stats_of(&bench).commits;
    CHECK_OK(put_later(bench.queue, QUEUE_WINDOWS, 1, 100, &fault));
    CHECK_OK(put_later(bench.queue, QUEUE_WINDOWS, 2, 100, &fault));
    loop_run(loop);
    assert_int_equal(readable(&bench, QUEUE_WINDOWS), 2);
    CHECK_OK(put_later(bench.queue, QUEUE_WINDOWS, 3, 100, &fault));
    CHECK_OK(put(bench.queue, QUEUE_WINDOWS, 4, 100, &fault)); /* comes in by another call: said all the same */
    CHECK_OK(put_later(bench.queue, QUEUE_WINDOWS, 5, 100, &fault));
    loop_run(loop);
    assert_int_equal(readable(&bench, QUEUE_WINDOWS), 4);
    loop_run(loop);
    assert_int_equal(readable(&bench, QUEUE_WINDOWS), 5);
    assert_int_equal(stats_of(&bench).commits, before + 3);
    bench.queue = queue_close(bench.queue);
    loop_free(loop);
    end(&bench);
}

/* A process that ends without a word while so many wait. */
static void leave_waiting(struct bench *bench, uint64_t from, uint64_t to) {
    bench->queue = queue_close(bench->queue);
    const pid_t child = fork();
    if (child == 0) {
        struct fault fault;
        if (queue_open(&bench->settings, &bench->queue, NULL, &fault)) _exit(1);
        for (uint64_t i = from; i <= to; i++)
            if (put_later(bench->queue, QUEUE_WINDOWS, i, 100, &fault)) _exit(2);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

TEST(next_process_finds_what_waited_once) {
    struct bench bench;
    begin_later(&bench, 0);
    leave_waiting(&bench, 1, 10);
    reopen(&bench);
    assert_int_equal(readable(&bench, QUEUE_WINDOWS), 10);
    assert_int_equal(last_note(&bench), 10);
    leave_waiting(&bench, 11, 15);
    reopen(&bench);
    reopen(&bench);
    assert_int_equal(readable(&bench, QUEUE_WINDOWS), 15);
    end(&bench);
}

/* The log as it was before it came into the store: the process died between the commit and the clearing. */
TEST(log_that_is_in_already_is_not_put_in_again) {
    struct fault fault;
    struct bench bench;
    char command[256];
    begin_later(&bench, 0);
    leave_waiting(&bench, 1, 10);
    snprintf(command, sizeof command, "cp %s/pending %s/kept", bench.path, bench.root);
    assert_int_equal(system(command), 0);
    reopen(&bench);
    CHECK_OK(put(bench.queue, QUEUE_WINDOWS, 11, 100, &fault));
    bench.queue = queue_close(bench.queue);
    snprintf(command, sizeof command, "cp %s/kept %s/pending", bench.root, bench.path);
    assert_int_equal(system(command), 0);
    reopen(&bench);
    assert_int_equal(readable(&bench, QUEUE_WINDOWS), 11);
    assert_int_equal(last_note(&bench), 10);
    CHECK_OK(put_later(bench.queue, QUEUE_WINDOWS, 12, 100, &fault));
    reopen(&bench);
    assert_int_equal(readable(&bench, QUEUE_WINDOWS), 12);
    end(&bench);
}

/* Whatever a log was damaged by: what is put in is what was taken, from the first one on, and the note with the last. */
TEST(damaged_log_gives_its_beginning) {
    struct fault fault;
    uint64_t seed = check_seed();
    unsigned whole = 0, none = 0;
    for (int round = 0; round < 60; round++) {
        struct bench bench;
        char file[128];
        struct stat found;
        uint8_t byte;
        begin_in(&bench, "/dev/shm", 16 << 20);
        bench.settings.commit_ms = 60000;
        leave_waiting(&bench, 1, 20);
        snprintf(file, sizeof file, "%s/pending", bench.path);
        const int fd = open(file, O_RDWR);
        assert_int_equal(fstat(fd, &found), 0);
        const off_t at = (off_t)(check_random(&seed) % (uint64_t)found.st_size);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= (uint8_t)(1u << check_random(&seed) % 8);
        if (round % 2)
            assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        else
            assert_int_equal(ftruncate(fd, at), 0);
        close(fd);
        reopen(&bench);
        const size_t count = readable(&bench, QUEUE_WINDOWS);
        assert_true(count < 20);
        assert_int_equal(last_note(&bench), count);
        CHECK_OK(put_later(bench.queue, QUEUE_WINDOWS, count + 1, 100, &fault));
        reopen(&bench);
        assert_int_equal(readable(&bench, QUEUE_WINDOWS), count + 1);
        whole += count > 10;
        none += count < 10;
        end(&bench);
    }
    assert_true(whole && none);
}

TEST(what_waits_on_a_full_store_waits_on_and_more_is_refused) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 64 << 20);
    bench.settings.map_bytes = 1 << 20;
    bench.settings.commit_ms = 60000;
    bench.queue = queue_close(bench.queue);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", bench.path);
    assert_int_equal(system(command), 0);
    reopen(&bench);
    uint64_t stored = 0;
    while (stored < 100000 && !put(bench.queue, QUEUE_WINDOWS, stored + 1, 2000, &fault)) stored++;
    assert_int_equal(stats_of(&bench).fault.code, FAULT_LIMIT);
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){open_stream(bench.queue, QUEUE_WINDOWS), 50}, 1, &fault));
    CHECK_OK(put(bench.queue, QUEUE_WINDOWS, stored + 1, 2000, &fault));
    assert_int_equal(stats_of(&bench).fault.code, FAULT_NONE);
    for (uint64_t i = 1; i <= 100; i++) CHECK_OK(put_later(bench.queue, QUEUE_HEALTH, i, 2000, &fault)); /* taken */
    CHECK_FAULT(queue_commit(bench.queue, &fault), FAULT_LIMIT);
    assert_int_equal(stats_of(&bench).waits, 100);
    assert_int_equal(stats_of(&bench).fault.code, FAULT_LIMIT);
    CHECK_FAULT(put_later(bench.queue, QUEUE_HEALTH, 101, 2000, &fault), FAULT_LIMIT); /* told at once */
    assert_int_equal(stats_of(&bench).waits, 100);
    reopen(&bench); /* not even the next process has room for it */
    assert_int_equal(stats_of(&bench).waits, 100);
    CHECK_OK(queue_shed(bench.queue, 500000, &fault));
    CHECK_OK(queue_commit(bench.queue, &fault));
    assert_int_equal(stats_of(&bench).fault.code, FAULT_NONE);
    CHECK_OK(put_later(bench.queue, QUEUE_HEALTH, 101, 2000, &fault));
    reopen(&bench);
    assert_int_equal(readable(&bench, QUEUE_HEALTH), 101);
    end(&bench);
}

TEST(damaged_store_counts_what_waited_as_lost) {
    struct bench bench;
    begin_later(&bench, 0);
    leave_waiting(&bench, 1, 7);
    char file[128];
    static const uint8_t noise[8192] = {0xa5};
    snprintf(file, sizeof file, "%s/data.mdb", bench.path);
    const int fd = open(file, O_WRONLY);
    assert_int_equal(pwrite(fd, noise, sizeof noise, 0), sizeof noise);
    close(fd);
    reopen(&bench);
    assert_non_null(strstr(bench.moved.text, "7 more had no number yet"));
    assert_int_equal(stats_of(&bench).quarantined, 7);
    reopen(&bench);
    assert_int_equal(readable(&bench, QUEUE_WINDOWS), 0);
    end(&bench);
}

/* A minute of an agent that measures 20 targets each 15 s for 40 SLIs of one minute, ships, and is acknowledged: what comes
 * at which second is as in the agent (each scrape may end windows; each ack comes behind a commit). */
static uint64_t commits_of_a_minute(int64_t commit_ms, int64_t ack_ms) {
    struct fault fault;
    struct bench bench;
    begin_in(&bench, "/dev/shm", 16 << 20);
    bench.settings.commit_ms = commit_ms;
    reopen(&bench);
    const uint64_t before = stats_of(&bench).commits;
    uint64_t number = 0, acked = 0;
    int64_t commit_due_ms = INT64_MAX, ack_due_ms = INT64_MAX;
    for (int64_t now_ms = 0; now_ms < 60000; now_ms += 50) {
        const bool scrape = now_ms % 750 == 0, seals = scrape && now_ms < 15000;
        const bool heartbeat = now_ms % 3000 == 100;
        for (int i = 0; i < (seals ? 2 : heartbeat ? 1 : 0); i++)
            CHECK_OK(put_later(bench.queue, QUEUE_WINDOWS, ++number, 300, &fault));
        const struct queue_stats stats = stats_of(&bench);
        if (stats.waits && commit_due_ms == INT64_MAX) commit_due_ms = now_ms + commit_ms;
        if (commit_due_ms <= now_ms) {
            CHECK_OK(queue_commit(bench.queue, &fault));
            commit_due_ms = INT64_MAX;
        }
        const struct queue_stream *const stream =
            queue_stream_find(bench.queue, open_stream(bench.queue, QUEUE_WINDOWS));
        if (stream->last_sequence > acked && ack_due_ms == INT64_MAX) ack_due_ms = now_ms + ack_ms;
        if (ack_due_ms > now_ms) continue;
        acked = stream->last_sequence;
        CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){stream->number, acked}, 1, &fault));
        if (!stats_of(&bench).waits) commit_due_ms = INT64_MAX;
        ack_due_ms = INT64_MAX;
    }
    const uint64_t commits = stats_of(&bench).commits - before;
    end(&bench);
    return commits;
}

TEST(commits_of_a_minute_are_fewer_by_the_interval) {
    const uint64_t each = commits_of_a_minute(0, 50), second = commits_of_a_minute(1000, 1000),
                   half_minute = commits_of_a_minute(30000, 30000);
    printf("commits a minute: %llu each by itself, %llu within 1 s, %llu within 30 s\n", (unsigned long long)each,
           (unsigned long long)second, (unsigned long long)half_minute);
    assert_true(second * 2 <= each && half_minute <= 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waits_shares_one_commit_and_is_not_given_out_before),
        cmocka_unit_test(what_cannot_wait_takes_along_what_waits_in_its_order),
        cmocka_unit_test(as_much_as_may_wait_is_bounded),
        cmocka_unit_test(without_an_interval_nothing_waits),
        cmocka_unit_test(timer_commits_what_waits_and_says_so),
        cmocka_unit_test(next_process_finds_what_waited_once),
        cmocka_unit_test(log_that_is_in_already_is_not_put_in_again),
        cmocka_unit_test(damaged_log_gives_its_beginning),
        cmocka_unit_test(what_waits_on_a_full_store_waits_on_and_more_is_refused),
        cmocka_unit_test(damaged_store_counts_what_waited_as_lost),
        cmocka_unit_test(commits_of_a_minute_are_fewer_by_the_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
