/* SPDX-License-Identifier: Apache-2.0
 * A queue whose file was damaged, at places or at random (bits, pages, its end). Whoever finds it so lives on, and never
 * gives out another record than was put there. PICKET_DAMAGES: how many files, PICKET_SEED: which. */
#include "tests/unit/agent/buffer/queue_bench.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/logging/map_fault.h"

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
    assert_non_null(strstr(bench.moved.text, "400 records were saved, 0 are known to be lost"));
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

TEST(damaged_store_goes_on_in_the_numbers_of_its_epoch) {
    struct fault fault;
    struct bench bench;
    begin(&bench, 16 << 20);
    const uint32_t windows = open_stream(bench.queue, QUEUE_WINDOWS);
    for (uint64_t i = 1; i <= 500; i++) CHECK_OK(put(bench.queue, QUEUE_WINDOWS, i, 100, &fault));
    CHECK_OK(queue_ack(bench.queue, &(struct queue_ack){windows, 100}, 1, &fault));
    CHECK_OK(queue_epoch_renew(bench.queue, NULL, 0, &fault));
    spoil(&bench, 8192);
    assert_int_equal(bench.moved.code, FAULT_CORRUPT);
    const struct queue_stream *const stream = queue_stream_find(bench.queue, windows);
    assert_int_equal(stream->began_after, 100);
    assert_int_equal(stream->committed_sequence, 100);
    assert_int_equal(stream->records, 400);
    end(&bench);
}

TEST(one_note_is_saved_from_a_damaged_store) {
    struct fault fault;
    struct bench bench;
    struct arena *const arena = arena_new(4096, 1 << 20);
    slice note;
    begin(&bench, 16 << 20);
    bench.settings.note_saved = "config";
    for (uint64_t i = 1; i <= 20; i++) {
        const slice version = arena_format(arena, "revision %d", (int)i);
        CHECK_OK(queue_append(bench.queue, NULL, 0, &(struct queue_note){"config", version}, 1, &fault));
        CHECK_OK(queue_append(bench.queue, NULL, 0, &(struct queue_note){"fold", version}, 1, &fault));
        CHECK_OK(put(bench.queue, QUEUE_WINDOWS, i, 100, &fault));
    }
    spoil(&bench, 8192);
    assert_int_equal(bench.moved.code, FAULT_CORRUPT);
    CHECK_OK(queue_note_get(bench.queue, "config", arena, &note, &fault));
    assert_true(slice_starts_with(note, SLICE_LIT("revision ")));
    assert_int_equal(queue_note_get(bench.queue, "fold", arena, &note, &fault), FAULT_ABSENT);
    arena_free(arena);
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

enum { MARKED_BYTES = 12 };

/* A record says where it was put. */
static fault_code put_marked(struct queue *queue, enum queue_class class, size_t bytes, struct fault *reterr) {
    static uint8_t record[20000];
    uint32_t stream;
    uint64_t sequence;
    queue_next(queue, class, &stream, &sequence);
    memset(record, (int)(sequence & 0xff), sizeof record);
    kv_store_u32(record, stream);
    kv_store_u64(record + 4, sequence);
    const struct queue_item item = {class, slice_of(record, bytes)};
    return queue_append(queue, &item, 1, &(struct queue_note){"fold", slice_of(record, 3000)}, 1000, reterr);
}

static bool see_marked(void *context, const struct queue_batch *so_far, uint64_t sequence, slice intent) {
    (void)so_far;
    const uint32_t stream = *(const uint32_t *)context;
    if (intent.size < MARKED_BYTES || kv_load_u32(intent.data) != stream || kv_load_u64(intent.data + 4) != sequence ||
        (intent.size > MARKED_BYTES && intent.data[MARKED_BYTES] != (sequence & 0xff)))
        _exit(3); /* another record than was put there */
    return true;
}

static void fill_marked(struct bench *bench, uint64_t *seed) {
    struct fault fault;
    const size_t count = 20 + check_random(seed) % 400;
    for (size_t i = 0; i < count; i++) {
        const enum queue_class class = (enum queue_class)(check_random(seed) % QUEUE_CLASSES_MAX_);
        const size_t bytes = MARKED_BYTES + check_random(seed) % (check_random(seed) % 20 ? 300 : 19000);
        CHECK_OK(put_marked(bench->queue, class, bytes, &fault));
        if (check_random(seed) % 60 == 0) CHECK_OK(queue_rotate(bench->queue, INT64_MAX, INT64_MAX, NULL, &fault));
        size_t streams_count;
        const struct queue_stream *const streams = queue_streams(bench->queue, &streams_count);
        const struct queue_stream *const one = &streams[check_random(seed) % streams_count];
        if (one->records && check_random(seed) % 20 == 0) {
            const struct queue_ack ack = {one->number, one->oldest_sequence + check_random(seed) % one->records};
            CHECK_OK(queue_ack(bench->queue, &ack, 1, &fault));
        }
    }
}

static void damage_file(const char *folder, uint64_t *seed) {
    char file[128];
    uint8_t page[4096];
    struct stat found;
    snprintf(file, sizeof file, "%s/data.mdb", folder);
    const int fd = open(file, O_RDWR);
    assert_int_equal(fstat(fd, &found), 0);
    const uint64_t bytes = (uint64_t)found.st_size, pages = bytes / sizeof page;
    for (uint64_t times = 1 + check_random(seed) % 3; times; times--) {
        const uint64_t to = check_random(seed) % pages * sizeof page;
        switch (check_random(seed) % 6) {
        case 0: /* a torn end */
            assert_int_equal(ftruncate(fd, (off_t)(check_random(seed) % bytes)), 0);
            close(fd);
            return;
        case 1: /* a page of another place */
            assert_int_equal(pread(fd, page, sizeof page, (off_t)(check_random(seed) % pages * sizeof page)),
                             sizeof page);
            assert_int_equal(pwrite(fd, page, sizeof page, (off_t)to), sizeof page);
            break;
        case 2: /* a page of nothing */
            memset(page, check_random(seed) % 2 ? 0 : 0xff, sizeof page);
            assert_int_equal(pwrite(fd, page, sizeof page, (off_t)to), sizeof page);
            break;
        default: /* bits, most of them where pages begin */
            for (uint64_t i = 1 + check_random(seed) % 8; i; i--) {
                const uint64_t at = to + check_random(seed) % (check_random(seed) % 2 ? 64 : sizeof page);
                assert_int_equal(pread(fd, page, 1, (off_t)at), 1);
                page[0] ^= (uint8_t)(1u << check_random(seed) % 8);
                assert_int_equal(pwrite(fd, page, 1, (off_t)at), 1);
            }
        }
    }
    close(fd);
}

/* The life of a process that finds it so. */
static void live_with_it(struct bench *bench) {
    struct fault fault;
    alarm(20);
    if (queue_open(&bench->settings, &bench->queue, &bench->moved, &fault)) {
        fprintf(stderr, "%s\n", fault.text);
        _exit(2);
    }
    for (int round = 0; round < 2; round++) {
        size_t count;
        (void)queue_streams(bench->queue, &count);
        for (size_t i = 0; i < count; i++) {
            const struct queue_stream *const stream = &queue_streams(bench->queue, &count)[i];
            const uint32_t number = stream->number;
            uint64_t after = stream->committed_sequence;
            struct queue_batch batch;
            while (!queue_read(bench->queue, number, after, 64, 1 << 20, see_marked, (void *)(uintptr_t)&number, &batch,
                               &fault)) {
                if (batch.last_sequence <= after) _exit(4); /* for ever */
                after = batch.last_sequence;
            }
            if (round && queue_ack(bench->queue, &(struct queue_ack){number, after}, 1, &fault)) _exit(5);
        }
        for (int i = 0; i < 30; i++)
            if (put_marked(bench->queue, (enum queue_class)(i % QUEUE_CLASSES_MAX_), 500, &fault)) _exit(6);
    }
    struct arena *const arena = arena_new(4096, 1 << 20);
    slice note;
    if (queue_note_get(bench->queue, "fold", arena, &note, &fault)) _exit(7);
    arena_free(arena);
    bench->queue = queue_close(bench->queue);
    if (queue_open(&bench->settings, &bench->queue, &bench->moved, &fault) || bench->moved.code) _exit(8);
    queue_close(bench->queue);
    _exit(0);
}

TEST(any_damage_leaves_a_queue_that_works_and_records_that_are_genuine) {
    uint64_t seed = check_seed();
    int salvaged = 0;
    const int rounds = getenv("PICKET_DAMAGES") ? atoi(getenv("PICKET_DAMAGES")) : 60;
    for (int round = 0; round < rounds; round++) {
        struct bench bench;
        begin_in(&bench, "/dev/shm", 16 << 20);
        fill_marked(&bench, &seed);
        bench.queue = queue_close(bench.queue);
        damage_file(bench.path, &seed);
        fflush(NULL);
        const pid_t child = fork();
        if (child == 0) live_with_it(&bench);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFEXITED(status) || WEXITSTATUS(status))
            fail_msg("round %d: %s %d; %s", round, WIFEXITED(status) ? "exit" : "signal",
                     WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), bench.path);
        char command[160];
        snprintf(command, sizeof command, "test -z \"$(ls -d %s.damaged-* 2>/dev/null)\"", bench.path);
        salvaged += system(command) != 0;
        struct fault fault;
        CHECK_OK(queue_open(&bench.settings, &bench.queue, &bench.moved, &fault));
        end(&bench);
    }
    printf("%d of %d damages were found at opening\n", salvaged, rounds);
    assert_true(salvaged > rounds / 4);
}

/* A process whose file is cut short, or fails, under it. Says what it wrote before it died; the signal it died of. */
static int die_of_cut(struct bench *bench, off_t bytes, char *ret_text, size_t text_size) {
    int words[2], status;
    char file[128];
    snprintf(file, sizeof file, "%s/data.mdb", bench->path);
    bench->queue = queue_close(bench->queue);
    assert_int_equal(pipe(words), 0);
    const pid_t child = fork();
    if (child == 0) {
        struct fault fault;
        dup2(words[1], STDERR_FILENO);
        map_fault_catch("ended");
        if (queue_open(&bench->settings, &bench->queue, NULL, &fault) || truncate(file, bytes)) _exit(1);
        for (uint64_t i = 1; i < 1000; i++)
            if (put(bench->queue, QUEUE_WINDOWS, i, 500, &fault) ||
                queue_ack(bench->queue, &(struct queue_ack){open_stream(bench->queue, QUEUE_WINDOWS), i}, 1, &fault))
                _exit(2);
        _exit(3);
    }
    close(words[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    const ssize_t got = read(words[0], ret_text, text_size - 1);
    ret_text[got > 0 ? got : 0] = '\0';
    close(words[0]);
    return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

TEST(file_that_is_cut_under_the_process_ends_it_with_a_word_and_the_next_one_goes_on) {
    struct fault fault;
    struct bench bench;
    char words[1024];
    begin(&bench, 16 << 20);
    for (uint64_t i = 1; i <= 300; i++) CHECK_OK(put(bench.queue, QUEUE_HEALTH, i, 500, &fault));
    assert_int_equal(die_of_cut(&bench, 40960, words, sizeof words), SIGBUS);
    print_message("%s", words);
    assert_non_null(strstr(words, "event=file_unreadable file=\"/tmp/picket-queue-"));
    assert_non_null(strstr(words, "it was cut short: it has 40960 bytes"));
    assert_non_null(strstr(words, "instead=\"ended\"\n"));
    reopen(&bench);
    assert_int_equal(bench.moved.code, FAULT_CORRUPT);
    print_message("%s\n", bench.moved.text);
    CHECK_OK(put(bench.queue, QUEUE_HEALTH, 301, 500, &fault));
    reopen(&bench);
    assert_int_equal(bench.moved.code, FAULT_NONE); /* once is enough */
    end(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_that_is_cut_under_the_process_ends_it_with_a_word_and_the_next_one_goes_on),
        cmocka_unit_test(damaged_record_is_quarantined_and_the_rest_goes_on),
        cmocka_unit_test(damaged_store_is_moved_aside_and_what_checks_goes_on),
        cmocka_unit_test(one_note_is_saved_from_a_damaged_store),
        cmocka_unit_test(store_of_which_nothing_is_left_gives_a_new_epoch),
        cmocka_unit_test(damaged_store_goes_on_in_the_numbers_of_its_epoch),
        cmocka_unit_test(any_damage_leaves_a_queue_that_works_and_records_that_are_genuine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
