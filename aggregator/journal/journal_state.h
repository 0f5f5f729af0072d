/* SPDX-License-Identifier: Apache-2.0
 * What journal.c, journal_writer.c and journal_read.c share; nobody else includes it. */
#ifndef PICKET_JOURNAL_JOURNAL_STATE_H
#define PICKET_JOURNAL_JOURNAL_STATE_H

#include "aggregator/journal/decision.h"
#include "common/loop/mailbox.h"

#include <pthread.h>
#include <stdatomic.h>

enum { CURSORS_MAX = 32, CURSOR_NAME_BYTES = 64, COMMIT_CALLS_MAX = 8, TENANTS_REMEMBERED = 8 };

/* One submission: the caller's bytes are copied behind it, the outcome lives in it until its callback returns. */
struct queued {
    enum queued_kind { QUEUED_COMMAND, QUEUED_BATCH, QUEUED_REJECTION } kind;
    bool internal;
    size_t bytes;
    struct journal_command command; /* its slices point into data */
    slice tenant, agent, payload, reason;
    fault_code code;
    journal_batch_fn *batch_done;
    void *batch_context;
    union {
        struct journal_outcome command;
        struct journal_batch_outcome batch;
    } outcome;
    uint8_t data[];
};

struct cursor_slot {
    char name[CURSOR_NAME_BYTES];
    uint64_t sequence;
    bool dirty;
};

struct journal {
    struct journal_settings settings;
    struct kv *kv;
    struct journal_tables tables;
    struct mailbox *mailbox;
    atomic_size_t queue_bytes;
    atomic_uint_fast64_t last_sequence;
    pthread_t writer;
    bool writer_runs;

    struct decisions decisions; /* the writer's own, as are the next three */
    struct arena *arena;
    int64_t next_try_ms, next_space_check_ms; /* monotonic */

    pthread_mutex_t tenants_lock;
    struct tenant_slot {
        char name[72];
        uint32_t number; /* 0: free */
    } tenants[TENANTS_REMEMBERED];
    size_t tenants_next;

    pthread_mutex_t lock; /* for what follows */
    struct journal_stats stats;
    struct cursor_slot cursors[CURSORS_MAX];
    size_t cursors_count;
    bool cursors_dirty;

    pthread_mutex_t calls_lock; /* held while the calls are made */
    struct {
        journal_commit_fn *call;
        void *context;
    } commit_calls[COMMIT_CALLS_MAX];
    size_t commit_calls_count;
};

void *journal_writer_main(void *context);
/* internal: the aggregator itself asks, and may what nobody else may. */
fault_code journal_submit_as(struct journal *journal, const struct journal_command *command, bool internal,
                             struct fault *reterr) MUST_CHECK;

#endif
