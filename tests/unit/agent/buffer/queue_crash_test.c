/* SPDX-License-Identifier: Apache-2.0
 * Processes that are killed at random moments, by SIGKILL or with the power. PICKET_SEED: which moments. */
#include "tests/unit/agent/buffer/queue_bench.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* What the child says about itself, in memory that outlives it. */
struct journal {
    volatile uint64_t append_asked[QUEUE_CLASSES_MAX_], append_done[QUEUE_CLASSES_MAX_];
    volatile uint64_t ack_asked[QUEUE_CLASSES_MAX_], ack_done[QUEUE_CLASSES_MAX_];
    volatile uint64_t given[QUEUE_CLASSES_MAX_]; /* the highest number that a reader was given */
    volatile uint64_t later, faults;
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
    const struct queue_note counts = {"counts", slice_of(note, sizeof note)};
    const bool later = check_random(seed) % 4;
    if ((later ? queue_append_later : queue_append)(queue, items, count, &counts, 1, &fault)) journal->faults++;
    struct queue_stats stats;
    queue_stats(queue, &stats);
    journal->later += stats.waits > 0;
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
        journal->given[stream.class] = seen_store.numbers[seen_store.count - 1];
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
        else if (check_random(&seed) % 2 ? queue_commit(queue, &fault)
                                         : queue_rotate(queue, INT64_MAX, INT64_MAX, NULL, &fault))
            journal->faults++;
    }
}

/* Everything stored and not acknowledged is there, once and in order, and the note is of the same moment. Where the power
 * was cut, what waited for the disk may be missing, but nothing that was given to a reader. */
static void check_after_crash(struct bench *bench, struct journal *journal, bool power_cut) {
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
        if (power_cut)
            assert_true(appended >= journal->given[class] && appended <= journal->append_asked[class]);
        else
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

/* The power is cut: of what was not forced to the disk any part is gone. */
static void cut_power(const struct bench *bench, uint64_t *seed) {
    char file[128];
    struct stat found;
    snprintf(file, sizeof file, "%s/pending", bench->path);
    const int fd = open(file, O_RDWR);
    assert_true(fd >= 0 && fstat(fd, &found) == 0);
    const off_t at = found.st_size ? (off_t)(check_random(seed) % (uint64_t)found.st_size) : 0;
    static const uint8_t zeros[512];
    switch (check_random(seed) % 4) {
    case 0: assert_int_equal(unlink(file), 0); break;
    case 1: assert_int_equal(ftruncate(fd, at), 0); break;
    case 2: assert_int_equal(pwrite(fd, zeros, sizeof zeros, at / 512 * 512), sizeof zeros); break;
    default: break; /* all of it had come to the disk */
    }
    close(fd);
}

static bool something_was_done(const struct journal *journal, int64_t commit_ms) {
    return journal->append_done[QUEUE_WINDOWS] > 0 && journal->ack_done[QUEUE_WINDOWS] > 0 &&
           (!commit_ms || journal->later > 0);
}

/* On a busy machine a child may be killed before it has begun: then there are more of them. */
static void kill_again_and_again(int64_t commit_ms, bool power_cut) {
    enum { ROUNDS = 25, ROUNDS_MAX = 2000 };
    struct bench bench;
    begin(&bench, 16 << 20);
    bench.queue = queue_close(bench.queue);
    uint64_t seed = check_seed();
    struct journal *journal = mmap(NULL, sizeof *journal, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(journal != MAP_FAILED);
    for (int round = 0; round < ROUNDS || (round < ROUNDS_MAX && !something_was_done(journal, commit_ms)); round++) {
        const uint64_t child_seed = check_random(&seed);
        const useconds_t life_us = (useconds_t)(check_random(&seed) % 80000);
        bench.settings.commit_ms = commit_ms;
        bench.settings.commit_bytes = 1024 + check_random(&seed) % 30000;
        const pid_t child = fork();
        if (child == 0) child_works(&bench, journal, child_seed);
        usleep(life_us);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        if (power_cut && journal->append_asked[0]) cut_power(&bench, &seed);
        check_after_crash(&bench, journal, power_cut);
    }
    assert_true(something_was_done(journal, commit_ms));
    assert_true(commit_ms || journal->later == 0);
    munmap(journal, sizeof *journal);
    end(&bench);
}

TEST(kill_at_any_moment_loses_nothing_and_doubles_nothing) {
    kill_again_and_again(0, false);
}

TEST(kill_loses_nothing_of_what_waits_for_the_disk) {
    kill_again_and_again(60000, false);
}

TEST(power_cut_takes_nothing_that_a_reader_was_given) {
    kill_again_and_again(60000, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_at_any_moment_loses_nothing_and_doubles_nothing),
        cmocka_unit_test(kill_loses_nothing_of_what_waits_for_the_disk),
        cmocka_unit_test(power_cut_takes_nothing_that_a_reader_was_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
