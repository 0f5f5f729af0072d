/* SPDX-License-Identifier: Apache-2.0
 * One LMDB table of records per class, so that what is new always has the highest key of its table: appending never
 * searches and fills pages whole. Beside them the book (queue_book.c), the notes and the quarantine. What every change
 * has in common is in queue_store.c, how records leave in queue_trim.c. */
#include "agent/buffer/queue.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/buffer/queue_salvage.h"
#include "agent/buffer/queue_trim.h"
#include "common/base/checksum.h"
#include "common/base/clock.h"

enum { NOTE_NAME_BYTES_MAX = 64, NOTE_BYTES_MAX = 16 * 1024 * 1024 };

const char *queue_class_name(enum queue_class class) {
    static const char *const names[QUEUE_CLASSES_MAX_] = {"health", "windows", "rest"};
    return (unsigned)class < QUEUE_CLASSES_MAX_ ? names[class] : "unknown";
}

fault_code queue_open(const struct queue_settings *settings, struct queue **ret_queue, struct fault *ret_moved,
                      struct fault *reterr) {
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
    struct queue *queue = calloc(1, sizeof *queue);
    if (queue) queue->record = malloc(RECORD_HEADER_BYTES + QUEUE_RECORD_BYTES_MAX);
    if (!queue || !queue->record) {
        queue_close(queue);
        return fault_set(reterr, FAULT_LIMIT, "open queue '%s': out of memory", settings->path);
    }
    snprintf(queue->path, sizeof queue->path, "%s", settings->path);
    queue->bytes_max = settings->bytes_max;
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++)
        queue->reserve_bytes[class] = settings->bytes_max / 100 * settings->reserve_percent[class];

    struct fault moved = {0}, why = {0};
    fault_code code = queue_salvage_check(settings->path, &why);
    if (!code) code = queue_store_open(settings, queue, &why);
    if (code == FAULT_CORRUPT) {
        const struct fault found = why;
        queue->kv = kv_close(queue->kv);
        code = queue_salvage(settings, &found, &moved, &why);
        if (!code) code = queue_store_open(settings, queue, &why);
    }
    if (code) {
        queue_close(queue);
        if (reterr) *reterr = why;
        return fault_wrap(reterr, "open queue '%s'", settings->path);
    }
    *ret_queue = queue;
    if (ret_moved) *ret_moved = moved;
    return FAULT_NONE;
}

struct queue *queue_close(struct queue *queue) {
    if (!queue) return NULL;
    kv_close(queue->kv);
    free(queue->record);
    free(queue);
    return NULL;
}

struct uuid queue_epoch(const struct queue *queue) {
    return queue->book.epoch;
}

fault_code queue_epoch_renew(struct queue *queue, struct fault *reterr) {
    struct kv_txn *txn = NULL;
    if (queue_store_begin(queue, &txn, reterr)) return fault_wrap(reterr, "begin a new epoch");
    queue->draft.epoch = uuid_v7_new();
    for (size_t i = 0; i < queue->draft.streams_count; i++) { /* the centre knows nothing of this epoch */
        queue->draft.streams[i].committed_sequence = 0;
        queue->draft.dirty[i] = true;
    }
    return queue_store_commit(queue, txn, reterr) ? fault_wrap(reterr, "begin a new epoch") : FAULT_NONE;
}

static fault_code put_note(struct queue *queue, struct kv_txn *txn, const struct queue_note *note,
                           struct fault *reterr) {
    const slice name = slice_from_text(note->name);
    if (name.size == 0 || name.size > NOTE_NAME_BYTES_MAX || note->value.size > NOTE_BYTES_MAX)
        return fault_set(reterr, FAULT_LIMIT, "note '%s' of %zu bytes: at most %d bytes are kept, names have 1 to %d",
                         note->name, note->value.size, NOTE_BYTES_MAX, NOTE_NAME_BYTES_MAX);
    uint8_t check_key[NOTE_NAME_BYTES_MAX + 1], check[4];
    check_key[0] = 0; /* sorts apart from every name */
    memcpy(check_key + 1, name.data, name.size);
    const slice check_name = slice_of(check_key, name.size + 1);
    if (note->value.size == 0) {
        const fault_code code = kv_delete(txn, queue->notes_table, name, reterr);
        return code ? code : kv_delete(txn, queue->notes_table, check_name, reterr);
    }
    kv_store_u32(check, checksum_crc32c(checksum_crc32c(0, name), note->value));
    const fault_code code = kv_put(txn, queue->notes_table, name, note->value, reterr);
    return code ? code : kv_put(txn, queue->notes_table, check_name, slice_of(check, sizeof check), reterr);
}

static fault_code append_item(struct queue *queue, struct kv_txn *txn, const struct queue_item *item, int64_t now_ms,
                              struct fault *reterr) {
    assert((unsigned)item->class < QUEUE_CLASSES_MAX_);
    if (item->intent.size == 0 || item->intent.size > QUEUE_RECORD_BYTES_MAX)
        return fault_set(reterr, FAULT_LIMIT, "an intent of %zu bytes: 1 to %d are kept", item->intent.size,
                         QUEUE_RECORD_BYTES_MAX);
    const size_t index = queue_book_open_stream(&queue->draft, item->class);
    struct queue_stream *const stream = &queue->draft.streams[index];
    uint8_t key_bytes[RECORD_KEY_BYTES];
    record_key(stream->number, stream->last_sequence + 1, key_bytes);
    const slice key = slice_of(key_bytes, sizeof key_bytes);
    const slice value = record_encode(key, now_ms, item->intent, queue->record);
    const fault_code code = kv_append(txn, queue->records_tables[item->class], key, value, reterr);
    if (code) return code;
    stream->last_sequence++;
    if (stream->records == 0) {
        stream->oldest_sequence = stream->last_sequence;
        stream->oldest_ms = now_ms;
    }
    stream->records++;
    stream->bytes += record_cost(value.size);
    queue->draft.dirty[index] = true;
    return FAULT_NONE;
}

static fault_code append_once(struct queue *queue, const struct queue_item *items, size_t count,
                              const struct queue_note *note, int64_t now_ms, struct fault *reterr) {
    struct kv_txn *txn = NULL;
    fault_code code = queue_store_begin(queue, &txn, reterr);
    if (code) return code;
    if (!queue->ballast) code = queue_store_take_ballast(queue, txn, reterr);
    for (size_t i = 0; i < count && !code; i++) code = append_item(queue, txn, &items[i], now_ms, reterr);
    if (!code && note) code = put_note(queue, txn, note, reterr);
    if (!code) code = queue_trim_to_quota(queue, txn, reterr);
    if (code) {
        kv_abort(txn);
        return code;
    }
    code = queue_store_commit(queue, txn, reterr);
    if (!code) queue->ballast = true;
    return code;
}

/* LMDB uses a page again no earlier than two transactions after the one that freed it, and one that fails does not
 * count: when the store is full, what an acknowledgement freed is out of reach until something small was committed. */
static void reach_freed_pages(struct queue *queue) {
    struct kv_txn *txn = NULL;
    if (!queue_store_begin(queue, &txn, NULL)) (void)(queue_store_commit(queue, txn, NULL) == FAULT_NONE);
}

fault_code queue_append(struct queue *queue, const struct queue_item *items, size_t count,
                        const struct queue_note *note, int64_t now_ms, struct fault *reterr) {
    fault_code code = append_once(queue, items, count, note, now_ms, reterr);
    if (code == FAULT_LIMIT) {
        queue_store_throw_off_ballast(queue);
        reach_freed_pages(queue);
        code = append_once(queue, items, count, note, now_ms, reterr);
    }
    if (code == FAULT_LIMIT)
        return fault_wrap(reterr, "append %zu intents to the queue (free disk space, or lower buffer.bytes_max)",
                          count);
    if (code) return fault_wrap(reterr, "append %zu intents to the queue", count);
    for (size_t i = 0; i < count; i++) queue->appended[items[i].class]++;
    return FAULT_NONE;
}

fault_code queue_note_get(struct queue *queue, const char *name, struct arena *arena, slice *ret_value,
                          struct fault *reterr) {
    uint8_t check_key[NOTE_NAME_BYTES_MAX + 1];
    const slice name_bytes = slice_from_text(name);
    if (name_bytes.size == 0 || name_bytes.size > NOTE_NAME_BYTES_MAX) return FAULT_ABSENT;
    check_key[0] = 0;
    memcpy(check_key + 1, name_bytes.data, name_bytes.size);
    struct kv_txn *txn = NULL;
    fault_code code = queue_store_read(queue, &txn, reterr);
    if (code) return fault_wrap(reterr, "read note '%s'", name);
    slice value, check, copy = {0};
    code = kv_get(txn, queue->notes_table, name_bytes, &value, reterr);
    if (!code) code = kv_get(txn, queue->notes_table, slice_of(check_key, name_bytes.size + 1), &check, reterr);
    if (!code && (check.size != 4 || kv_load_u32(check.data) != checksum_crc32c(checksum_crc32c(0, name_bytes), value)))
        code = fault_set(reterr, FAULT_CORRUPT, "its bytes do not check");
    if (!code) {
        copy = arena_copy(arena, value);
        if (!copy.data) code = fault_set(reterr, FAULT_LIMIT, "its %zu bytes do not fit into memory", value.size);
    }
    kv_abort(txn);
    if (code == FAULT_ABSENT) return FAULT_ABSENT;
    if (code) return fault_wrap(reterr, "read note '%s'", name);
    *ret_value = copy;
    return FAULT_NONE;
}

const struct queue_stream *queue_streams(const struct queue *queue, size_t *ret_count) {
    *ret_count = queue->book.streams_count;
    return queue->book.streams;
}

const struct queue_stream *queue_stream_find(const struct queue *queue, uint32_t number) {
    const size_t index = queue_book_find(&queue->book, number);
    return index < queue->book.streams_count ? &queue->book.streams[index] : NULL;
}

void queue_next(const struct queue *queue, enum queue_class class, uint32_t *ret_stream, uint64_t *ret_sequence) {
    const struct queue_stream *const open = &queue->book.streams[queue_book_open_stream(&queue->book, class)];
    *ret_stream = open->number;
    *ret_sequence = open->last_sequence + 1;
}

fault_code queue_rotate(struct queue *queue, int64_t stored_ms, int64_t now_ms, unsigned *ret_opened,
                        struct fault *reterr) {
    struct kv_txn *txn = NULL;
    if (queue_store_begin(queue, &txn, reterr)) return fault_wrap(reterr, "open new streams");
    unsigned opened = 0;
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++) {
        const size_t index = queue_book_open_stream(&queue->draft, (enum queue_class) class);
        const struct queue_stream *const open = &queue->draft.streams[index];
        const bool all_shed = open->records == 0 && open->last_sequence > open->committed_sequence;
        const bool old = open->records > 0 && (open->oldest_ms <= stored_ms || open->oldest_ms > now_ms);
        if ((!all_shed && !old) || queue->draft.streams_count == QUEUE_STREAMS_MAX) continue;
        queue->draft.streams[index].closed = true;
        queue->draft.dirty[index] = true;
        (void)queue_book_add_stream(&queue->draft, (enum queue_class) class);
        opened++;
    }
    if (opened == 0)
        kv_abort(txn);
    else if (queue_store_commit(queue, txn, reterr))
        return fault_wrap(reterr, "open new streams");
    if (ret_opened) *ret_opened = opened;
    return FAULT_NONE;
}

/* Reads up to the first hole, bound or damage. ret_damaged: the very first record found does not check. */
static fault_code read_run(struct queue *queue, const struct queue_stream *stream, size_t count_max, size_t bytes_max,
                           queue_visit_fn *visit, void *context, struct queue_batch *batch, uint64_t *ret_damaged,
                           struct fault *reterr) {
    struct kv_txn *txn = NULL;
    struct kv_cursor *cursor = NULL;
    fault_code code = queue_store_read(queue, &txn, reterr);
    if (code) return code;
    code = kv_cursor_open(txn, queue->records_tables[stream->class], &cursor, reterr);
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
            if (queue_trim_quarantine(queue, number, damaged, reterr))
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

void queue_stats(const struct queue *queue, struct queue_stats *ret_stats) {
    struct queue_stats stats = {
        .quarantined = queue->book.quarantined, .commits = queue->commits, .bytes_max = queue->bytes_max};
    memcpy(stats.shed, queue->book.shed, sizeof stats.shed);
    memcpy(stats.appended, queue->appended, sizeof stats.appended);
    for (size_t i = 0; i < queue->book.streams_count; i++) {
        const struct queue_stream *const stream = &queue->book.streams[i];
        stats.records[stream->class] += stream->records;
        stats.bytes[stream->class] += stream->bytes;
        if (stream->records && (stats.oldest_ms == 0 || stream->oldest_ms < stats.oldest_ms))
            stats.oldest_ms = stream->oldest_ms;
    }
    *ret_stats = stats;
}
