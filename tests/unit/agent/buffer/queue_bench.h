/* SPDX-License-Identifier: Apache-2.0
 * A queue in a folder of its own, in memory (/dev/shm) where there are thousands of commits to make, and what is put into
 * it: intents whose bytes are a number. */
#ifndef PICKET_TESTS_QUEUE_BENCH_H
#define PICKET_TESTS_QUEUE_BENCH_H

#include "tests/support/check.h"

#include "agent/buffer/queue.h"

#include <unistd.h>

#include "common/store/kv.h"

struct bench {
    char root[64], path[80];
    struct queue_settings settings;
    struct queue *queue;
    struct fault moved;
};

static inline void reopen(struct bench *bench) {
    struct fault fault;
    queue_close(bench->queue);
    bench->queue = NULL;
    CHECK_OK(queue_open(&bench->settings, &bench->queue, &bench->moved, &fault));
}

static inline void begin_in(struct bench *bench, const char *folder, uint64_t bytes_max) {
    *bench = (struct bench){.queue = NULL};
    snprintf(bench->root, sizeof bench->root, "%s/picket-queue-XXXXXX", folder);
    assert_non_null(mkdtemp(bench->root));
    snprintf(bench->path, sizeof bench->path, "%s/queue", bench->root);
    bench->settings =
        (struct queue_settings){.path = bench->path, .bytes_max = bytes_max, .reserve_percent = {10, 50, 0}};
    reopen(bench);
}

static inline void begin(struct bench *bench, uint64_t bytes_max) {
    begin_in(bench, "/tmp", bytes_max);
}

static inline void end(struct bench *bench) {
    char command[128];
    bench->queue = queue_close(bench->queue);
    snprintf(command, sizeof command, "rm -rf %s", bench->root);
    assert_int_equal(system(command), 0);
}

/* Appends intents whose bytes are a number, padded to `bytes`. */
static inline fault_code put(struct queue *queue, enum queue_class class, uint64_t number, size_t bytes,
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

static inline bool see(void *context, const struct queue_batch *so_far, uint64_t sequence, slice intent) {
    struct seen *seen = context;
    if (seen->stop_at && so_far->count == seen->stop_at) return false;
    assert_true(intent.size >= 8 && seen->count < sizeof seen->numbers / sizeof *seen->numbers);
    if (so_far->count) assert_int_equal(sequence, so_far->last_sequence + 1);
    seen->numbers[seen->count++] = kv_load_u64(intent.data);
    return true;
}

static struct seen seen_store;
static inline struct seen *fresh(void) {
    seen_store.count = seen_store.stop_at = 0;
    return &seen_store;
}

/* The stream of a class that is open. */
static inline uint32_t open_stream(struct queue *queue, enum queue_class class) {
    size_t count;
    const struct queue_stream *streams = queue_streams(queue, &count);
    for (size_t i = count; i-- > 0;)
        if (streams[i].class == class && !streams[i].closed) return streams[i].number;
    fail();
    return 0;
}

#endif
