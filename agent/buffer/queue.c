/* SPDX-License-Identifier: Apache-2.0
 * One LMDB table of records per class, so that what is new always has the highest key of its table: appending never
 * searches and fills pages whole. Beside them the book, the notes and the quarantine.
 *
 * A commit waits for the disk twice, and an SD card takes long and wears: so what can wait is gathered in the log
 * (queue_log.h) and comes in with the next commit, whoever asks for that one: time, size, what cannot wait, an
 * acknowledgement. Readers see the store alone, so nothing leaves before it is on the disk. */
#include "agent/buffer/queue.h"

#include <assert.h>
#include <stdlib.h>

#include "agent/buffer/queue_log.h"
#include "agent/buffer/queue_note.h"
#include "agent/buffer/queue_salvage.h"
#include "agent/buffer/queue_trim.h"

enum {
    COMMIT_BYTES = 256 * 1024,
    COMMIT_RETRY_MS = 5000,
};

struct queue {
    struct queue_store store;
    struct queue_log log;
    int64_t commit_ms;
    struct loop_timer *timer; /* NULL: nobody asked for one */
    bool timer_set, came_in;  /* what waited has come in, which is to be told */
    queue_committed_fn *committed;
    void *context;
    uint64_t appended[QUEUE_CLASSES_MAX_];
    struct fault fault; /* why the last attempt to store something failed */
};

static void on_timer(void *context);

static fault_code check_settings(const struct queue_settings *settings, struct fault *reterr) {
    unsigned reserve_percent = 0;
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++) reserve_percent += settings->reserve_percent[class];
    if (reserve_percent > 100)
        return fault_set(reterr, FAULT_INPUT,
                         "open queue '%s': the classes' reserves are %u %% together, at most 100 %% is possible",
                         settings->path, reserve_percent);
    if (settings->bytes_max < 1024 * 1024)
        return fault_set(reterr, FAULT_INPUT,
                         "open queue '%s': buffer.bytes_max is %llu bytes, at least 1 MiB is needed", settings->path,
                         (unsigned long long)settings->bytes_max);
    return FAULT_NONE;
}

static fault_code open_store(const struct queue_settings *settings, struct queue *queue, struct fault *ret_moved,
                             struct fault *reterr) {
    fault_code code = queue_store_prepare(settings, &queue->store, reterr);
    if (!code) code = queue_salvage_check(settings->path, reterr);
    if (!code) code = queue_store_open(&queue->store, reterr);
    if (code != FAULT_CORRUPT || !queue->store.record) return code;
    const struct fault found = *reterr;
    queue_store_close(&queue->store);
    code = queue_salvage(settings, &found, ret_moved, reterr);
    return code ? code : queue_store_open(&queue->store, reterr);
}

fault_code queue_open(const struct queue_settings *settings, struct queue **ret_queue, struct fault *ret_moved,
                      struct fault *reterr) {
    struct fault moved = {0}, why = {0};
    if (check_settings(settings, reterr)) return FAULT_INPUT;
    struct queue *queue = calloc(1, sizeof *queue);
    if (!queue) return fault_set(reterr, FAULT_LIMIT, "open queue '%s': out of memory", settings->path);
    queue->commit_ms = settings->commit_ms;
    fault_code code = open_store(settings, queue, &moved, &why);
    if (!code)
        code = queue_log_open(settings->path, settings->commit_bytes ? settings->commit_bytes : COMMIT_BYTES,
                              queue->store.book.log_applied, &queue->log, &why);
    if (code) {
        queue_close(queue);
        if (reterr) *reterr = why;
        return fault_wrap(reterr, "open queue '%s'", settings->path);
    }
    (void)(queue_commit(queue, NULL) == FAULT_NONE); /* of a process before this one: else it waits as it did there */
    *ret_queue = queue;
    if (ret_moved) *ret_moved = moved;
    return FAULT_NONE;
}

struct queue *queue_close(struct queue *queue) {
    if (!queue) return NULL;
    (void)(queue_commit(queue, NULL) == FAULT_NONE); /* else the next process finds it in the log */
    loop_timer_free(queue->timer);
    queue_log_close(&queue->log);
    queue_store_end(&queue->store);
    free(queue);
    return NULL;
}

static void set_timer(struct queue *queue, int64_t ms) {
    if (!queue->timer || queue->timer_set) return;
    queue->timer_set = true;
    loop_timer_set(queue->timer, ms);
}

fault_code queue_use_loop(struct queue *queue, struct loop *loop, queue_committed_fn *committed, void *context,
                          struct fault *reterr) {
    queue->timer = loop_timer_new(loop, on_timer, queue);
    if (!queue->timer) return fault_set(reterr, FAULT_LIMIT, "the queue's timer: out of memory");
    queue->committed = committed;
    queue->context = context;
    if (queue->log.entries) set_timer(queue, queue->commit_ms);
    return FAULT_NONE;
}

bool queue_is_new(const struct queue *queue) {
    return queue->store.made;
}

fault_code queue_check(const struct queue *queue, struct fault *reterr) {
    return queue_salvage_check(queue->store.path, reterr);
}

struct uuid queue_epoch(const struct queue *queue) {
    return queue->store.book.epoch;
}

/* ---- coming in ---- */

static fault_code append_item(struct queue_store *store, struct kv_txn *txn, const struct queue_item *item,
                              int64_t now_ms, struct fault *reterr) {
    assert((unsigned)item->class < QUEUE_CLASSES_MAX_);
    const size_t index = queue_book_open_stream(&store->draft, item->class);
    struct queue_stream *const stream = &store->draft.streams[index];
    uint8_t key_bytes[RECORD_KEY_BYTES];
    record_key(stream->number, stream->last_sequence + 1, key_bytes);
    const slice key = slice_of(key_bytes, sizeof key_bytes);
    const slice value = record_encode(key, now_ms, item->intent, store->record);
    const fault_code code = kv_append(txn, store->records_tables[item->class], key, value, reterr);
    if (code) return code;
    stream->last_sequence++;
    if (stream->records == 0) {
        stream->oldest_sequence = stream->last_sequence;
        stream->oldest_ms = now_ms;
    }
    stream->records++;
    stream->bytes += record_cost(value.size);
    store->draft.dirty[index] = true;
    return FAULT_NONE;
}

/* Puts into the draft what waits. The caller commits, and then says so by ended. */
static fault_code bring_in(struct queue *queue, struct kv_txn *txn, struct fault *reterr) {
    struct queue_store *const store = &queue->store;
    struct queue_log_entry entry;
    struct queue_item item;
    fault_code code = FAULT_NONE;
    queue_log_drop_applied(&queue->log, store->book.log_applied); /* a commit that failed may have come to pass */
    if (!queue->log.entries) return FAULT_NONE;
    for (size_t at = 0; !code && queue_log_next(&queue->log, &at, &entry);) {
        while (!code && queue_log_item(&entry, &item)) code = append_item(store, txn, &item, entry.now_ms, reterr);
        if (!code && entry.note_name.size) code = queue_note_put(store, txn, entry.note_name, entry.note_value, reterr);
    }
    store->draft.log_applied = queue->log.last_number;
    store->draft.log_dirty = true;
    return code;
}

/* It is on the disk, or it is not: what waited does no more, and whoever sends is told, from the loop. */
static void ended(struct queue *queue, fault_code code, const struct fault *fault) {
    if (code) {
        queue->fault = *fault;
        if (queue->log.entries) set_timer(queue, COMMIT_RETRY_MS);
        return;
    }
    if (!queue->log.entries) return;
    queue_log_clear(&queue->log);
    queue->came_in = true;
    if (queue->timer) loop_timer_clear(queue->timer);
    queue->timer_set = false;
    set_timer(queue, 0);
}

static fault_code append_once(struct queue *queue, const struct queue_item *items, size_t count,
                              const struct queue_note *note, int64_t now_ms, struct fault *reterr) {
    struct queue_store *const store = &queue->store;
    struct kv_txn *txn = NULL;
    fault_code code = queue_store_begin(store, &txn, reterr);
    if (code) return code;
    if (!store->ballast) code = queue_store_take_ballast(store, txn, reterr);
    if (!code) code = bring_in(queue, txn, reterr);
    for (size_t i = 0; i < count && !code; i++) code = append_item(store, txn, &items[i], now_ms, reterr);
    if (!code && note) code = queue_note_put(store, txn, slice_from_text(note->name), note->value, reterr);
    if (!code) code = queue_trim_to_quota(store, txn, reterr);
    if (code) {
        kv_abort(txn);
        return code;
    }
    code = queue_store_commit(store, txn, reterr);
    if (!code) store->ballast = true;
    return code;
}

/* LMDB uses a page again no earlier than two transactions after the one that freed it, and one that fails does not
 * count: when the store is full, what an acknowledgement freed is out of reach until something small was committed. */
static void reach_freed_pages(struct queue_store *store) {
    struct kv_txn *txn = NULL;
    if (!queue_store_begin(store, &txn, NULL)) (void)(queue_store_commit(store, txn, NULL) == FAULT_NONE);
}

static fault_code append(struct queue *queue, const struct queue_item *items, size_t count,
                         const struct queue_note *note, int64_t now_ms, struct fault *reterr) {
    struct fault fault;
    fault_code code = append_once(queue, items, count, note, now_ms, &fault);
    if (code == FAULT_LIMIT) {
        queue_store_throw_off_ballast(&queue->store);
        reach_freed_pages(&queue->store);
        code = append_once(queue, items, count, note, now_ms, &fault);
    }
    ended(queue, code, &fault);
    if (!code) queue->fault = (struct fault){0};
    if (code && reterr) *reterr = fault;
    return code;
}

static fault_code check_input(const struct queue_item *items, size_t count, const struct queue_note *note,
                              struct fault *reterr) {
    for (size_t i = 0; i < count; i++) {
        assert((unsigned)items[i].class < QUEUE_CLASSES_MAX_);
        if (items[i].intent.size == 0 || items[i].intent.size > QUEUE_RECORD_BYTES_MAX)
            return fault_set(reterr, FAULT_LIMIT, "an intent of %zu bytes: 1 to %d are kept", items[i].intent.size,
                             QUEUE_RECORD_BYTES_MAX);
    }
    return note ? queue_note_check(note, reterr) : FAULT_NONE;
}

static fault_code append_all(struct queue *queue, const struct queue_item *items, size_t count,
                             const struct queue_note *note, int64_t now_ms, bool later, struct fault *reterr) {
    fault_code code = check_input(items, count, note, reterr);
    /* While storing fails nothing more is taken to wait: who brings it must know. */
    const bool waits = !code && later && queue->commit_ms > 0 && !queue->fault.code &&
                       queue_log_put(&queue->log, items, count, note, now_ms);
    if (waits) set_timer(queue, queue->commit_ms);
    if (!code && !waits) code = append(queue, items, count, note, now_ms, reterr);
    if (code == FAULT_LIMIT)
        return fault_wrap(reterr, "append %zu intents to the queue (free disk space, or lower buffer.bytes_max)",
                          count);
    if (code) return fault_wrap(reterr, "append %zu intents to the queue", count);
    for (size_t i = 0; i < count; i++) queue->appended[items[i].class]++;
    return FAULT_NONE;
}

fault_code queue_append(struct queue *queue, const struct queue_item *items, size_t count,
                        const struct queue_note *note, int64_t now_ms, struct fault *reterr) {
    return append_all(queue, items, count, note, now_ms, false, reterr);
}

fault_code queue_append_later(struct queue *queue, const struct queue_item *items, size_t count,
                              const struct queue_note *note, int64_t now_ms, struct fault *reterr) {
    return append_all(queue, items, count, note, now_ms, true, reterr);
}

fault_code queue_commit(struct queue *queue, struct fault *reterr) {
    if (!queue->log.entries) return FAULT_NONE;
    return append(queue, NULL, 0, NULL, 0, reterr) ? fault_wrap(reterr, "commit what waits in the queue's log")
                                                   : FAULT_NONE;
}

static void on_timer(void *context) {
    struct queue *const queue = context;
    queue->timer_set = false;
    if (!queue->came_in) {
        (void)(queue_commit(queue, NULL) == FAULT_NONE); /* queue_stats says why not; it is tried again */
        return;
    }
    queue->came_in = false;
    if (queue->log.entries) set_timer(queue, queue->commit_ms);
    if (queue->committed) queue->committed(queue->context);
}

fault_code queue_note_get(struct queue *queue, const char *name, struct arena *arena, slice *ret_value,
                          struct fault *reterr) {
    slice waits, copy;
    if (!queue_log_note(&queue->log, slice_from_text(name), &waits))
        return queue_note_load(&queue->store, name, arena, ret_value, reterr);
    if (waits.size == 0) return FAULT_ABSENT;
    copy = arena_copy(arena, waits);
    if (!copy.data)
        return fault_set(reterr, FAULT_LIMIT, "read note '%s': its %zu bytes do not fit into memory", name, waits.size);
    *ret_value = copy;
    return FAULT_NONE;
}

/* ---- streams ---- */

const struct queue_stream *queue_streams(const struct queue *queue, size_t *ret_count) {
    *ret_count = queue->store.book.streams_count;
    return queue->store.book.streams;
}

const struct queue_stream *queue_stream_find(const struct queue *queue, uint32_t number) {
    const size_t index = queue_book_find(&queue->store.book, number);
    return index < queue->store.book.streams_count ? &queue->store.book.streams[index] : NULL;
}

bool queue_stream_was(const struct queue *queue, uint64_t number) {
    return number && number < queue->store.book.next_stream;
}

void queue_next(const struct queue *queue, enum queue_class class, uint32_t *ret_stream, uint64_t *ret_sequence) {
    const struct queue_stream *const open =
        &queue->store.book.streams[queue_book_open_stream(&queue->store.book, class)];
    *ret_stream = open->number;
    *ret_sequence = open->last_sequence + queue->log.items[class] + 1;
}

/* Ends a transaction that brings in what waits, too; where nothing changes, neither. */
static fault_code end_change(struct queue *queue, struct kv_txn *txn, fault_code code, bool changed,
                             struct fault *fault) {
    if (code || !changed)
        kv_abort(txn);
    else
        code = queue_store_commit(&queue->store, txn, fault);
    if (code || changed) ended(queue, code, fault);
    return code;
}

/* The centre knows nothing of the epoch that begins, and of the former one all up to `accounted`. */
static void begin_stream_again(struct queue_stream *stream, uint64_t accounted) {
    const uint64_t left = stream->oldest_sequence - 1;
    if (accounted < stream->committed_sequence) accounted = stream->committed_sequence;
    stream->began_after = accounted < left ? accounted : left;
    stream->committed_sequence = stream->began_after;
    stream->other_holes = left - stream->began_after;
    stream->shed = stream->arrived = 0;
}

fault_code queue_epoch_renew(struct queue *queue, const struct queue_ack *acks, size_t count, struct fault *reterr) {
    struct kv_txn *txn = NULL;
    struct fault fault;
    struct queue_book *const draft = &queue->store.draft;
    fault_code code = queue_store_begin(&queue->store, &txn, &fault);
    if (!code) {
        code = bring_in(queue, txn, &fault);
        draft->epoch = uuid_v7_new();
        for (size_t i = 0; i < draft->streams_count; i++) {
            uint64_t accounted = 0;
            for (size_t a = 0; a < count; a++)
                if (acks[a].stream == draft->streams[i].number && acks[a].committed_sequence > accounted)
                    accounted = acks[a].committed_sequence;
            begin_stream_again(&draft->streams[i], accounted);
            draft->dirty[i] = true;
        }
        code = end_change(queue, txn, code, true, &fault);
    }
    if (code && reterr) *reterr = fault;
    return code ? fault_wrap(reterr, "begin a new epoch") : FAULT_NONE;
}

static unsigned open_new_streams(struct queue_book *draft, int64_t stored_ms, int64_t now_ms) {
    unsigned opened = 0;
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++) {
        const size_t index = queue_book_open_stream(draft, (enum queue_class) class);
        const struct queue_stream *const open = &draft->streams[index];
        const bool all_shed = open->records == 0 && open->last_sequence > open->committed_sequence;
        const bool old = open->records > 0 && (open->oldest_ms <= stored_ms || open->oldest_ms > now_ms);
        if ((!all_shed && !old) || draft->streams_count == QUEUE_STREAMS_MAX) continue;
        draft->streams[index].closed = true;
        draft->dirty[index] = true;
        (void)queue_book_add_stream(draft, (enum queue_class) class);
        opened++;
    }
    return opened;
}

fault_code queue_rotate(struct queue *queue, int64_t stored_ms, int64_t now_ms, unsigned *ret_opened,
                        struct fault *reterr) {
    struct kv_txn *txn = NULL;
    struct fault fault;
    unsigned opened = 0;
    fault_code code = queue_store_begin(&queue->store, &txn, &fault);
    if (!code) {
        code = bring_in(queue, txn, &fault); /* its numbers are of the streams that are open now */
        if (!code) opened = open_new_streams(&queue->store.draft, stored_ms, now_ms);
        code = end_change(queue, txn, code, opened > 0, &fault);
    }
    if (code && reterr) *reterr = fault;
    if (code) return fault_wrap(reterr, "open new streams");
    if (ret_opened) *ret_opened = opened;
    return FAULT_NONE;
}

/* Reads up to the first hole, bound or damage. ret_damaged: the very first record found does not check. */
static fault_code read_run(struct queue *queue, const struct queue_stream *stream, size_t count_max, size_t bytes_max,
                           queue_visit_fn *visit, void *context, struct queue_batch *batch, uint64_t *ret_damaged,
                           struct fault *reterr) {
    struct kv_txn *txn = NULL;
    struct kv_cursor *cursor = NULL;
    fault_code code = queue_store_read(&queue->store, &txn, reterr);
    if (code) return code;
    code = kv_cursor_open(txn, queue->store.records_tables[stream->class], &cursor, reterr);
    uint8_t key_bytes[RECORD_KEY_BYTES];
    record_key(stream->number, batch->after_sequence + 1, key_bytes);
    slice key, value;
    if (!code) code = kv_cursor_seek(cursor, slice_of(key_bytes, sizeof key_bytes), &key, &value, reterr);
    while (!code && record_key_stream(key) == stream->number) {
        const uint64_t sequence = record_key_sequence(key);
        if (batch->count && sequence != batch->last_sequence + 1) break;
        int64_t stored_ms;
        slice intent;
        if (!record_decode(key, value, &stored_ms, &intent)) {
            if (!batch->count) *ret_damaged = sequence;
            break;
        }
        if (batch->count == count_max || (batch->count && batch->bytes + intent.size > bytes_max)) break;
        if (!batch->count) batch->first_sequence = sequence;
        if (!visit(context, batch, sequence, intent)) {
            if (!batch->count)
                code = fault_set(reterr, FAULT_LIMIT, "record %llu has %zu bytes, more than the reader takes",
                                 (unsigned long long)sequence, intent.size);
            break;
        }
        batch->count++;
        batch->bytes += intent.size;
        batch->last_sequence = sequence;
        code = kv_cursor_next(cursor, &key, &value, reterr);
    }
    kv_cursor_close(cursor);
    kv_abort(txn);
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

fault_code queue_read(struct queue *queue, uint32_t number, uint64_t after_sequence, size_t count_max, size_t bytes_max,
                      queue_visit_fn *visit, void *context, struct queue_batch *ret_batch, struct fault *reterr) {
    for (;;) {
        const struct queue_stream *const stream = queue_stream_find(queue, number);
        if (!stream) return fault_set(reterr, FAULT_CONFLICT, "read stream %u: there is no such stream", number);
        struct queue_batch batch = {.after_sequence = after_sequence};
        uint64_t damaged = 0;
        if (read_run(queue, stream, count_max, bytes_max, visit, context, &batch, &damaged, reterr))
            return fault_wrap(reterr, "read stream %u", number);
        if (damaged) {
            if (queue_trim_quarantine(&queue->store, number, damaged, reterr))
                return fault_wrap(reterr, "quarantine record %llu of stream %u", (unsigned long long)damaged, number);
            continue;
        }
        if (!batch.count) {
            batch.last_sequence = stream->last_sequence;
            batch.first_sequence = stream->last_sequence + 1;
        }
        batch.stream_ends = stream->closed && batch.last_sequence == stream->last_sequence;
        *ret_batch = batch;
        return batch.count ? FAULT_NONE : FAULT_ABSENT;
    }
}

/* ---- leaving ---- */

/* What is acknowledged and what waits, in one commit. false: nothing was done. */
static bool ack_with_log(struct queue *queue, const struct queue_ack *acks, size_t count, bool *ret_more) {
    struct kv_txn *txn = NULL;
    bool changed = false;
    if (!queue->log.entries || queue->fault.code || queue_store_begin(&queue->store, &txn, NULL)) return false;
    fault_code code = queue_trim_acked(&queue->store, txn, acks, count, &changed, ret_more, NULL);
    if (!code && changed) code = bring_in(queue, txn, NULL);
    if (!code && changed) code = queue_trim_to_quota(&queue->store, txn, NULL);
    if (code || !changed) {
        kv_abort(txn);
        return false;
    }
    if (queue_store_commit(&queue->store, txn, NULL)) return false;
    ended(queue, FAULT_NONE, NULL);
    return true;
}

fault_code queue_ack(struct queue *queue, const struct queue_ack *acks, size_t count, struct fault *reterr) {
    for (size_t i = 0; i < count; i++) {
        const struct queue_stream *const stream = queue_stream_find(queue, acks[i].stream);
        if (stream && acks[i].committed_sequence > stream->last_sequence)
            return fault_set(reterr, FAULT_CONFLICT,
                             "stream %u: %llu is committed, but only %llu were given out: the queue is an older copy",
                             stream->number, (unsigned long long)acks[i].committed_sequence,
                             (unsigned long long)stream->last_sequence);
    }
    bool more = true;
    if (ack_with_log(queue, acks, count, &more) && !more) return FAULT_NONE;
    return queue_trim_ack(&queue->store, acks, count, reterr);
}

fault_code queue_shed(struct queue *queue, uint64_t bytes, struct fault *reterr) {
    return queue_trim_shed(&queue->store, bytes, reterr);
}

fault_code queue_stream_drop(struct queue *queue, uint32_t number, struct fault *reterr) {
    return queue_trim_drop(&queue->store, number, reterr);
}

void queue_stats(const struct queue *queue, struct queue_stats *ret_stats) {
    struct queue_stats stats = {.quarantined = queue->store.book.quarantined,
                                .commits = queue->store.commits,
                                .bytes_max = queue->store.bytes_max};
    memcpy(stats.shed, queue->store.book.shed, sizeof stats.shed);
    memcpy(stats.arrived, queue->store.book.arrived, sizeof stats.arrived);
    memcpy(stats.appended, queue->appended, sizeof stats.appended);
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++) stats.waits += queue->log.items[class];
    stats.fault = queue->fault;
    for (size_t i = 0; i < queue->store.book.streams_count; i++) {
        const struct queue_stream *const stream = &queue->store.book.streams[i];
        stats.records[stream->class] += stream->records;
        stats.bytes[stream->class] += stream->bytes;
        if (stream->records && (stats.oldest_ms == 0 || stream->oldest_ms < stats.oldest_ms))
            stats.oldest_ms = stream->oldest_ms;
    }
    *ret_stats = stats;
}

void queue_release_pages(struct queue *queue) {
    if (queue->store.kv) kv_release_pages(queue->store.kv);
}
