/* SPDX-License-Identifier: Apache-2.0
 * Building the journal and its door in: submissions are copied into one block each, counted against the queue's
 * bounds, and handed to the writer through the mailbox. Nothing is decided here. */
#include "aggregator/journal/journal_state.h"

#include "aggregator/domain/observation_expiry.h"
#include "aggregator/journal/aggregate_table.h"
#include "aggregator/journal/index_build.h"
#include "aggregator/journal/log_end.h"
#include "common/base/clock.h"
#include "common/store/kv_file.h"

#include <stdlib.h>
#include <stdio.h>

enum {
    QUEUE_COMMANDS = 8192,
    QUEUE_BYTES = 64 * 1024 * 1024,
    COMMIT_INTENTS = 16384,
    REJECTIONS = 100000,
    ALERT_EXPIRY_MS = 5 * 60 * 1000,
    NEWEST_FACTS = 10000,
    HOT_SLOS = 16384, /* of 25 KB each; with more than these each window of another costs a read of up to 31 days */
    READERS = 256,
    ARENA_BLOCK_BYTES = 8 * 1024 * 1024,
};
#define REJECTIONS_BYTES (UINT64_C(256) * 1024 * 1024)
#define ARENA_BYTES_MAX (UINT64_C(1024) * 1024 * 1024)

static int64_t wall(void *context) {
    return clock_wall_ms();
}

static fault_code decisions_open(struct journal *j, struct fault *reterr) {
    struct decisions *d = &j->decisions;
    d->tables = j->tables;
    d->marks = (struct mark_table){.marks = j->tables.marks, .by_time = j->tables.marks_by_time};
    d->alert_expiry_ms = j->settings.alert_expiry_ms;
    d->health_expiry_ms = j->settings.health_expiry_ms;
    uint64_t seed = j->settings.random_seed;
    if (seed == 0) random_bytes(&seed, sizeof seed);
    domain_ids_seed(&d->ids, seed);
    d->names = names_new(j->tables.names);
    d->slos = d->names ? hot_slos_new(&j->tables, d->names, HOT_SLOS) : NULL;
    d->buffer = malloc(AGGREGATE_BYTES_MAX);
    j->arena = d->arena = arena_new(ARENA_BLOCK_BYTES, ARENA_BYTES_MAX);
    if (!d->slos || !d->buffer || !j->arena) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    struct kv_txn *txn;
    if (kv_begin_read(j->kv, &txn, reterr)) return reterr ? reterr->code : FAULT_SYSTEM;
    fault_code code = fact_log_init(&d->facts, j->tables.facts, txn, reterr);
    if (!code)
        code =
            rejection_list_init(&d->rejections, &j->tables, j->settings.rejections_max, REJECTIONS_BYTES, txn, reterr);
    if (!code && log_end_check(&j->tables, txn, d->facts.last_sequence, reterr))
        code = fault_wrap(reterr,
                          "the log of facts is not whole (restore a backup; 'picket-aggregator verify' says more)");
    if (!code) code = journal_upkeep_open(j, txn, reterr);
    kv_abort(txn);
    if (code) return code;
    d->facts_before = d->facts;
    atomic_store(&j->last_sequence, d->facts.last_sequence);
    j->stats.last_sequence = d->facts.last_sequence;
    j->stats.rejections = d->rejections.count;
    return FAULT_NONE;
}

fault_code journal_open(const struct journal_settings *settings, struct journal **ret_journal, struct fault *reterr) {
    struct journal *j = calloc(1, sizeof *j);
    if (!j) return fault_set(reterr, FAULT_LIMIT, "open journal '%s': out of memory", settings->path);
    pthread_mutex_init(&j->lock, NULL);
    pthread_mutex_init(&j->calls_lock, NULL);
    pthread_mutex_init(&j->tenants_lock, NULL);
    j->settings = *settings;
    struct journal_settings *s = &j->settings;
    if (!s->queue_commands_max) s->queue_commands_max = QUEUE_COMMANDS;
    if (!s->queue_bytes_max) s->queue_bytes_max = QUEUE_BYTES;
    if (!s->commit_intents_max) s->commit_intents_max = COMMIT_INTENTS;
    if (!s->rejections_max) s->rejections_max = REJECTIONS;
    if (!s->alert_expiry_ms) s->alert_expiry_ms = ALERT_EXPIRY_MS;
    if (!s->health_expiry_ms) s->health_expiry_ms = OBSERVATION_EXPIRY_MS;
    if (!s->retention.newest_facts) s->retention.newest_facts = NEWEST_FACTS;
    if (!s->now_ms) s->now_ms = wall;
    j->budget = s->budget;
    const struct kv_settings kv = {.path = s->path,
                                   .map_bytes = s->map_bytes,
                                   .tables_max = JOURNAL_TABLES_COUNT,
                                   .readers_max = READERS,
                                   .sync = s->sync};
    /* Without its list of tables a store is a new one to LMDB, and a second history would begin in it. */
    fault_code code = kv_file_check_tables(s->path, reterr);
    if (code)
        fault_wrap(reterr,
                   "the list of its tables is damaged (restore a backup; 'picket-aggregator verify' says more)");
    if (!code) code = kv_open(&kv, &j->kv, reterr);
    if (!code) code = journal_tables_open(j->kv, &j->tables, reterr);
    if (!code) code = index_build_once(j->kv, &j->tables, &j->stats.reindexed, reterr);
    if (!code) code = decisions_open(j, reterr);
    if (!code) {
        j->mailbox = mailbox_new(s->queue_commands_max);
        if (!j->mailbox) code = fault_set(reterr, FAULT_LIMIT, "out of memory");
    }
    if (!code && !s->without_thread) {
        const int rc = pthread_create(&j->writer, NULL, journal_writer_main, j);
        if (rc)
            code = fault_set_errno(reterr, FAULT_SYSTEM, rc, "start the writer thread");
        else
            j->writer_runs = true;
    }
    if (code) {
        fault_wrap(reterr, "open journal '%s'", settings->path);
        journal_close(j);
        return code;
    }
    *ret_journal = j;
    return FAULT_NONE;
}

static struct journal *let_go(struct journal *j) {
    mailbox_free(j->mailbox);
    compaction_free(j->compaction);
    fact_log_done(&j->decisions.facts);
    rejection_list_done(&j->decisions.rejections);
    hot_slos_free(j->decisions.slos);
    names_free(j->decisions.names);
    free(j->decisions.buffer);
    arena_free(j->arena);
    kv_close(j->kv);
    pthread_mutex_destroy(&j->tenants_lock);
    pthread_mutex_destroy(&j->calls_lock);
    pthread_mutex_destroy(&j->lock);
    free(j);
    return NULL;
}

struct journal *journal_close(struct journal *j) {
    if (!j) return NULL;
    if (j->mailbox) mailbox_close(j->mailbox);
    if (j->writer_runs) pthread_join(j->writer, NULL);
    while (j->mailbox && j->settings.without_thread && mailbox_count(j->mailbox)) journal_turn(j);
    return let_go(j);
}

struct journal *journal_abandon(struct journal *j) {
    void *item;
    while (mailbox_take(j->mailbox, &item, 1, 0)) free(item);
    return let_go(j);
}

/* ---- submitting ---- */

static slice keep(struct queued *q, size_t *at, slice bytes) {
    const slice copy = slice_of(q->data + *at, bytes.size);
    if (bytes.size) memcpy(q->data + *at, bytes.data, bytes.size);
    *at += bytes.size;
    return copy;
}

static struct queued *queued_new(enum queued_kind kind, size_t bytes) {
    struct queued *q = malloc(sizeof *q + bytes);
    if (!q) return NULL;
    memset(q, 0, sizeof *q);
    q->kind = kind;
    q->bytes = bytes;
    return q;
}

static fault_code enqueue(struct journal *j, struct queued *q, struct fault *reterr) {
    if (!q) return fault_set(reterr, FAULT_AGAIN, "submit to the journal: out of memory");
    const size_t bytes = q->bytes; /* the writer may free q as soon as it is in */
    fault_code code;
    if (atomic_fetch_add(&j->queue_bytes, bytes) + bytes > j->settings.queue_bytes_max &&
        bytes <= j->settings.queue_bytes_max)
        code = fault_set(reterr, FAULT_AGAIN, "the journal's queue holds %zu bytes, its maximum: try again",
                         j->settings.queue_bytes_max);
    else if (bytes > j->settings.queue_bytes_max)
        code = fault_set(reterr, FAULT_LIMIT, "%zu bytes are more than the journal's queue may hold (%zu)", bytes,
                         j->settings.queue_bytes_max);
    else {
        code = mailbox_put(j->mailbox, q);
        if (code == FAULT_AGAIN)
            fault_set(reterr, code, "the journal's queue holds %zu commands, its maximum: try again",
                      j->settings.queue_commands_max);
        else if (code)
            fault_set(reterr, code, "the journal is closing");
    }
    if (code) {
        atomic_fetch_sub(&j->queue_bytes, bytes);
        free(q);
    }
    return code;
}

fault_code journal_submit(struct journal *j, const struct journal_command *command, struct fault *reterr) {
    const struct journal_caller *caller = &command->caller;
    struct queued *q = queued_new(QUEUED_COMMAND, caller->tenant.size + caller->actor.size + command->intent.size +
                                                      command->idempotency_key.size);
    if (q) {
        size_t at = 0;
        q->command = *command;
        q->command.caller.tenant = keep(q, &at, caller->tenant);
        q->command.caller.actor = keep(q, &at, caller->actor);
        q->command.intent = keep(q, &at, command->intent);
        q->command.idempotency_key = keep(q, &at, command->idempotency_key);
    }
    return enqueue(j, q, reterr);
}

fault_code journal_submit_batch(struct journal *j, slice tenant, slice agent, slice payload, journal_batch_fn *done,
                                void *context, struct fault *reterr) {
    struct queued *q = queued_new(QUEUED_BATCH, tenant.size + agent.size + payload.size);
    if (q) {
        size_t at = 0;
        q->tenant = keep(q, &at, tenant);
        q->agent = keep(q, &at, agent);
        q->payload = keep(q, &at, payload);
        q->batch_done = done;
        q->batch_context = context;
    }
    return enqueue(j, q, reterr);
}

fault_code journal_submit_rejection(struct journal *j, slice tenant, slice producer, fault_code code, slice reason,
                                    slice payload, struct fault *reterr) {
    struct queued *q = queued_new(QUEUED_REJECTION, tenant.size + producer.size + reason.size + payload.size);
    if (q) {
        size_t at = 0;
        q->tenant = keep(q, &at, tenant);
        q->agent = keep(q, &at, producer);
        q->reason = keep(q, &at, reason);
        q->payload = keep(q, &at, payload);
        q->code = code;
    }
    return enqueue(j, q, reterr);
}

/* ---- consumers ---- */

fault_code journal_on_commit(struct journal *j, journal_commit_fn *call, void *context, struct fault *reterr) {
    fault_code code = FAULT_NONE;
    pthread_mutex_lock(&j->calls_lock);
    if (j->commit_calls_count == COMMIT_CALLS_MAX) {
        code = fault_set(reterr, FAULT_LIMIT, "at most %d may listen to the journal's commits", COMMIT_CALLS_MAX);
    } else {
        j->commit_calls[j->commit_calls_count].call = call;
        j->commit_calls[j->commit_calls_count].context = context;
        j->commit_calls_count++;
    }
    pthread_mutex_unlock(&j->calls_lock);
    return code;
}

void journal_off_commit(struct journal *j, journal_commit_fn *call, void *context) {
    pthread_mutex_lock(&j->calls_lock);
    for (size_t i = 0; i < j->commit_calls_count; i++)
        if (j->commit_calls[i].call == call && j->commit_calls[i].context == context)
            j->commit_calls[i--] = j->commit_calls[--j->commit_calls_count];
    pthread_mutex_unlock(&j->calls_lock);
}

static struct cursor_slot *cursor_find(struct journal *j, const char *consumer) {
    for (size_t i = 0; i < j->cursors_count; i++)
        if (strcmp(j->cursors[i].name, consumer) == 0) return &j->cursors[i];
    return NULL;
}

void journal_cursor_set(struct journal *j, const char *consumer, uint64_t sequence) {
    pthread_mutex_lock(&j->lock);
    struct cursor_slot *slot = cursor_find(j, consumer);
    if (!slot && j->cursors_count < CURSORS_MAX && strlen(consumer) < CURSOR_NAME_BYTES) {
        slot = &j->cursors[j->cursors_count++];
        snprintf(slot->name, sizeof slot->name, "%s", consumer);
    }
    if (slot && sequence > slot->sequence) {
        slot->sequence = sequence;
        slot->dirty = j->cursors_dirty = true;
    }
    pthread_mutex_unlock(&j->lock);
}

fault_code journal_cursor_get(struct journal *j, const char *consumer, uint64_t *ret_sequence, struct fault *reterr) {
    pthread_mutex_lock(&j->lock);
    const struct cursor_slot *slot = cursor_find(j, consumer);
    const uint64_t pending = slot ? slot->sequence : 0;
    pthread_mutex_unlock(&j->lock);
    struct kv_txn *txn;
    if (kv_begin_read(j->kv, &txn, reterr)) return reterr ? reterr->code : FAULT_SYSTEM;
    slice value;
    uint64_t stored = 0;
    const fault_code code = kv_get(txn, j->tables.cursors, slice_from_text(consumer), &value, reterr);
    if (code == FAULT_NONE && value.size == 8) stored = kv_load_u64(value.data);
    kv_abort(txn);
    if (code && code != FAULT_ABSENT) return code;
    *ret_sequence = pending > stored ? pending : stored;
    return FAULT_NONE;
}

void journal_taken(struct journal *j, const char *consumer, uint64_t sequence) {
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < JOURNAL_CONSUMERS_MAX && j->settings.retention.consumers[i]; i++)
        if (strcmp(j->settings.retention.consumers[i], consumer) == 0) j->taken[i] = sequence;
    pthread_mutex_unlock(&j->lock);
}

void journal_budget_set(struct journal *j, struct journal_budget budget) {
    pthread_mutex_lock(&j->lock);
    j->budget = budget;
    pthread_mutex_unlock(&j->lock);
}

uint64_t journal_last_sequence(struct journal *j) {
    return atomic_load(&j->last_sequence);
}

void journal_stats(struct journal *j, struct journal_stats *ret_stats) {
    pthread_mutex_lock(&j->lock);
    *ret_stats = j->stats;
    pthread_mutex_unlock(&j->lock);
    ret_stats->queue_commands = mailbox_count(j->mailbox);
    ret_stats->queue_bytes = atomic_load(&j->queue_bytes);
}
