/* SPDX-License-Identifier: Apache-2.0
 * What journal.c, journal_writer.c and journal_read.c share; nobody else includes it. */
#ifndef PICKET_JOURNAL_JOURNAL_STATE_H
#define PICKET_JOURNAL_JOURNAL_STATE_H

#include "aggregator/journal/compaction.h"
#include "aggregator/journal/decision.h"
#include "aggregator/journal/expiry_table.h"
#include "common/loop/mailbox.h"

#include <pthread.h>
#include <stdatomic.h>

enum { CURSORS_MAX = 32, CURSOR_NAME_BYTES = 64, COMMIT_CALLS_MAX = 8, TENANTS_REMEMBERED = 8 };

/* One submission: the caller's bytes are copied behind it, the outcome lives in it until its callback returns. */
struct queued {
    enum queued_kind { QUEUED_COMMAND, QUEUED_BATCH, QUEUED_REJECTION } kind;
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
    uint64_t bytes_since_check;               /* of intents, since the space was last looked at */
    struct compaction *compaction;            /* NULL: everything is kept */
    int64_t next_upkeep_ns;                   /* monotonic */
    size_t slice_facts;                       /* so many at most in the next slice */

    struct { /* of whoever calls journal_submit_due */
        bool known;
        int64_t since_ms;
        uint8_t passed
            [EXPIRY_KEY_BYTES_MAX]; /* the last row that waits and was looked at; the next look begins behind it */
        size_t passed_bytes;
    } listens;

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
    uint64_t taken[JOURNAL_CONSUMERS_MAX]; /* by settings.retention.consumers */
    struct journal_budget budget;

    pthread_mutex_t calls_lock; /* held while the calls are made */
    struct {
        journal_commit_fn *call;
        void *context;
    } commit_calls[COMMIT_CALLS_MAX];
    size_t commit_calls_count;
};

void *journal_writer_main(void *context);

/* ---- journal_space.c, on the writer's thread ---- */

/* Whether commands may be decided; when not, ret_why says why. Looks at the space once a second, and when a hundredth
 * of the budget may have been used since. */
bool journal_may_write(struct journal *journal, struct fault *ret_why);
void journal_refuse_from_now(struct journal *journal, const struct fault *why);
/* In the refusing state: what a read transaction can answer (a batch that is a repeat as a whole, a command that
 * was committed before). False: nothing. */
bool journal_answer_repeat(struct journal *journal, struct queued *queued);

/* ---- journal_upkeep.c, on the writer's thread ---- */

/* One slice of what may go, when it is due. idle: nobody waits. */
void journal_upkeep(struct journal *journal, bool idle);
int64_t journal_upkeep_wait_ms(const struct journal *journal); /* until it is due; 0: now */
fault_code journal_upkeep_open(struct journal *journal, struct kv_txn *txn, struct fault *reterr) MUST_CHECK;

#endif
