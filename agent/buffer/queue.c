/* SPDX-License-Identifier: Apache-2.0
 * One LMDB table of records per class, so that what is new always has the highest key of its table: appending never
 * searches and fills pages whole. Beside them the book (queue_book.c), the notes and the quarantine.
 *
 * Every change is one transaction over a draft of the book. Draft and records are committed together, and only then
 * does the draft become the book: a fault leaves memory and disk as they were, and the caller may try again.
 *
 * Records only ever leave from the head of a stream (acknowledged or shed), or as damaged from anywhere, so a
 * stream's row says where its head is and no search for it is needed. LMDB needs free pages in order to delete;
 * hence the map is several times the quota, and quotas are enforced when appending, long before the map is full.
 * A full disk can come sooner, though, and with it a store that can neither grow nor shrink: so it holds ballast, pages
 * that are thrown off when an append fails, and that acknowledging then has. Appending begins again when there is
 * room for the ballast as well. */
#include "agent/buffer/queue.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "agent/buffer/queue_book.h"
#include "common/base/checksum.h"
#include "common/base/clock.h"

enum {
    BALLAST_PAGES = 64,
    BALLAST_PAGE_BYTES = 4000,      /* with its header one page of LMDB: no run of pages is needed */
    RECORDS_PER_TRANSACTION = 8192, /* deleted at most: LMDB keeps the pages that one transaction changes in memory */
    QUARANTINE_RECORDS_MAX = 256,
    DISK_FULL_BYTES = 1024 * 1024,
    NOTE_NAME_BYTES_MAX = 64,
    NOTE_BYTES_MAX = 16 * 1024 * 1024,
};

struct queue {
    char path[256];
    struct kv *kv;
    kv_table book_table, notes_table, quarantine_table, ballast_table, records_tables[QUEUE_CLASSES_MAX_];
    bool ballast; /* is in the store */
    uint64_t bytes_max, reserve_bytes[QUEUE_CLASSES_MAX_];
    uint64_t appended[QUEUE_CLASSES_MAX_];
    struct queue_book book, draft;
    uint8_t *record; /* RECORD_HEADER_BYTES + QUEUE_RECORD_BYTES_MAX: where a record is put together */
};

static fault_code open_store(const struct queue_settings *settings, struct queue *queue, struct fault *reterr);
static fault_code enforce_quota(struct queue *queue, struct kv_txn *txn, struct fault *reterr);

const char *queue_class_name(enum queue_class class) {
    static const char *const names[QUEUE_CLASSES_MAX_] = {"health", "windows", "rest"};
    return (unsigned)class < QUEUE_CLASSES_MAX_ ? names[class] : "unknown";
}

static fault_code begin(struct queue *queue, struct kv_txn **ret_txn, struct fault *reterr) {
    const fault_code code = kv_begin_write(queue->kv, ret_txn, reterr);
    if (code) return code;
    queue->draft = queue->book;
    memset(queue->draft.dirty, 0, sizeof queue->draft.dirty);
    return FAULT_NONE;
}

/* LMDB says EIO when a write came out short, which is how a disk gets full. */
static bool disk_is_full(const struct queue *queue) {
    struct statvfs disk;
    return statvfs(queue->path, &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize < DISK_FULL_BYTES;
}

static fault_code commit(struct queue *queue, struct kv_txn *txn, struct fault *reterr) {
    fault_code code = queue_book_store(&queue->draft, txn, queue->book_table, reterr);
    if (code) {
        kv_abort(txn);
        return code;
    }
    code = kv_commit(txn, reterr);
    if (code == FAULT_SYSTEM && disk_is_full(queue))
        return fault_set(reterr, FAULT_LIMIT, "commit to '%s': no space left on the disk", queue->path);
    if (code) return code;
    queue->book = queue->draft;
    return FAULT_NONE;
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
    fault_code code = open_store(settings, queue, &why);
    if (code == FAULT_CORRUPT) {
        queue->kv = kv_close(queue->kv);
        char aside[512];
        snprintf(aside, sizeof aside, "%s.damaged-%lld", settings->path, (long long)clock_wall_ms());
        if (rename(settings->path, aside)) {
            const int reason = errno;
            queue_close(queue);
            return fault_set_errno(reterr, FAULT_SYSTEM, reason, "move the damaged queue '%s' to '%s'", settings->path,
                                   aside);
        }
        fault_set(&moved, FAULT_CORRUPT, "%s; moved to '%s', a new epoch begins", why.text, aside);
        code = open_store(settings, queue, &why);
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

/* Opens the environment and its tables, and reads the book or makes the first one. */
static fault_code open_store(const struct queue_settings *settings, struct queue *queue, struct fault *reterr) {
    const struct kv_settings store = {
        .path = settings->path,
        .map_bytes = settings->map_bytes ? settings->map_bytes : 4 * settings->bytes_max + 64ull * 1024 * 1024,
        .tables_max = 8,
        .readers_max = 16,
        .sync = KV_SYNC_FULL,
    };
    fault_code code = kv_open(&store, &queue->kv, reterr);
    if (code) return code;
    const struct {
        const char *name;
        kv_table *table;
    } tables[] = {
        {"book", &queue->book_table},
        {"notes", &queue->notes_table},
        {"quarantine", &queue->quarantine_table},
        {"ballast", &queue->ballast_table},
        {"records.health", &queue->records_tables[QUEUE_HEALTH]},
        {"records.windows", &queue->records_tables[QUEUE_WINDOWS]},
        {"records.rest", &queue->records_tables[QUEUE_REST]},
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        code = kv_table_open(queue->kv, tables[i].name, tables[i].table, reterr);
        if (code) return code;
    }
    struct kv_txn *txn = NULL;
    code = kv_begin_write(queue->kv, &txn, reterr);
    if (code) return code;
    uint64_t ballast_pages = 0;
    if (kv_table_count(txn, queue->ballast_table, &ballast_pages, reterr)) {
        kv_abort(txn);
        return FAULT_SYSTEM;
    }
    queue->ballast = ballast_pages == BALLAST_PAGES;
    code = queue_book_load(txn, queue->book_table, &queue->book, reterr);
    if (code != FAULT_ABSENT) {
        kv_abort(txn);
        return code;
    }
    queue->draft = (struct queue_book){.epoch = uuid_v7_new(), .next_stream = 1};
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++)
        (void)queue_book_add_stream(&queue->draft, (enum queue_class) class);
    return commit(queue, txn, reterr);
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
    if (begin(queue, &txn, reterr)) return fault_wrap(reterr, "begin a new epoch");
    queue->draft.epoch = uuid_v7_new();
    for (size_t i = 0; i < queue->draft.streams_count; i++) { /* the centre knows nothing of this epoch */
        queue->draft.streams[i].committed_sequence = 0;
        queue->draft.dirty[i] = true;
    }
    return commit(queue, txn, reterr) ? fault_wrap(reterr, "begin a new epoch") : FAULT_NONE;
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

static fault_code take_ballast(struct queue *queue, struct kv_txn *txn, struct fault *reterr) {
    memset(queue->record, 0, BALLAST_PAGE_BYTES);
    for (uint8_t page = 0; page < BALLAST_PAGES; page++) {
        const fault_code code =
            kv_put(txn, queue->ballast_table, slice_of(&page, 1), slice_of(queue->record, BALLAST_PAGE_BYTES), reterr);
        if (code) return code;
    }
    return FAULT_NONE;
}

static void throw_off_ballast(struct queue *queue) {
    struct kv_txn *txn = NULL;
    if (!queue->ballast || kv_begin_write(queue->kv, &txn, NULL)) return;
    for (uint8_t page = 0; page < BALLAST_PAGES; page++) {
        if (!kv_delete(txn, queue->ballast_table, slice_of(&page, 1), NULL)) continue;
        kv_abort(txn);
        return;
    }
    if (!kv_commit(txn, NULL)) queue->ballast = false;
}

static fault_code append_once(struct queue *queue, const struct queue_item *items, size_t count,
                              const struct queue_note *note, int64_t now_ms, struct fault *reterr) {
    struct kv_txn *txn = NULL;
    fault_code code = begin(queue, &txn, reterr);
    if (code) return code;
    if (!queue->ballast) code = take_ballast(queue, txn, reterr);
    for (size_t i = 0; i < count && !code; i++) code = append_item(queue, txn, &items[i], now_ms, reterr);
    if (!code && note) code = put_note(queue, txn, note, reterr);
    if (!code) code = enforce_quota(queue, txn, reterr);
    if (code) {
        kv_abort(txn);
        return code;
    }
    code = commit(queue, txn, reterr);
    if (!code) queue->ballast = true;
    return code;
}

/* LMDB uses a page again no earlier than two transactions after the one that freed it, and one that fails does not
 * count: when the store is full, what an acknowledgement freed is out of reach until something small was committed. */
static void reach_freed_pages(struct queue *queue) {
    struct kv_txn *txn = NULL;
    if (!begin(queue, &txn, NULL)) (void)(commit(queue, txn, NULL) == FAULT_NONE);
}

fault_code queue_append(struct queue *queue, const struct queue_item *items, size_t count,
                        const struct queue_note *note, int64_t now_ms, struct fault *reterr) {
    fault_code code = append_once(queue, items, count, note, now_ms, reterr);
    if (code == FAULT_LIMIT) {
        throw_off_ballast(queue);
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
    fault_code code = kv_begin_read(queue->kv, &txn, reterr);
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

fault_code queue_rotate(struct queue *queue, int64_t stored_ms, unsigned *ret_opened, struct fault *reterr) {
    struct kv_txn *txn = NULL;
    if (begin(queue, &txn, reterr)) return fault_wrap(reterr, "open new streams");
    unsigned opened = 0;
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++) {
        const size_t index = queue_book_open_stream(&queue->draft, (enum queue_class) class);
        const struct queue_stream *const open = &queue->draft.streams[index];
        if (open->records == 0 || open->oldest_ms > stored_ms || queue->draft.streams_count == QUEUE_STREAMS_MAX)
            continue;
        queue->draft.streams[index].closed = true;
        queue->draft.dirty[index] = true;
        (void)queue_book_add_stream(&queue->draft, (enum queue_class) class);
        opened++;
    }
    if (opened == 0)
        kv_abort(txn);
    else if (commit(queue, txn, reterr))
        return fault_wrap(reterr, "open new streams");
    if (ret_opened) *ret_opened = opened;
    return FAULT_NONE;
}

struct trim {
    uint64_t through_sequence; /* stop behind this one */
    uint64_t bytes;            /* stop when that many were freed */
    size_t records_max;
};

/* Deletes from the head of a stream in the draft until the first bound of the trim is reached. */
static fault_code trim_stream(struct queue *queue, struct kv_txn *txn, size_t index, struct trim trim,
                              uint64_t *ret_records, uint64_t *ret_bytes, struct fault *reterr) {
    struct queue_stream *const stream = &queue->draft.streams[index];
    uint8_t key_bytes[RECORD_KEY_BYTES];
    record_key(stream->number, stream->oldest_sequence, key_bytes);
    struct kv_cursor *cursor = NULL;
    if (kv_cursor_open(txn, queue->records_tables[stream->class], &cursor, reterr))
        return fault_wrap(reterr, "trim stream %u", stream->number);
    slice key, value;
    uint64_t records = 0, bytes = 0;
    bool kept = false;
    fault_code code = kv_cursor_seek(cursor, slice_of(key_bytes, sizeof key_bytes), &key, &value, reterr);
    while (!code && record_key_stream(key) == stream->number) {
        if (record_key_sequence(key) > trim.through_sequence || bytes >= trim.bytes || records >= trim.records_max) {
            kept = true;
            break;
        }
        bytes += record_cost(value.size);
        records++;
        code = kv_cursor_delete(cursor, reterr);
        if (!code) code = kv_cursor_next(cursor, &key, &value, reterr);
    }
    if (kept) {
        int64_t stored_ms = stream->oldest_ms;
        slice intent;
        if (!record_decode(key, value, &stored_ms, &intent))
            stored_ms = stream->oldest_ms; /* the reader will meet it */
        stream->oldest_sequence = record_key_sequence(key);
        stream->oldest_ms = stored_ms;
        stream->records -= records < stream->records ? records : stream->records;
        stream->bytes -= bytes < stream->bytes ? bytes : stream->bytes;
    } else if (!code || code == FAULT_ABSENT) {
        stream->oldest_sequence = stream->last_sequence + 1;
        stream->oldest_ms = 0;
        stream->records = stream->bytes = 0;
    }
    kv_cursor_close(cursor);
    if (code && code != FAULT_ABSENT) return fault_wrap(reterr, "trim stream %u", stream->number);
    queue->draft.dirty[index] = true;
    *ret_records = records;
    *ret_bytes = bytes;
    return FAULT_NONE;
}

/* The oldest stream with records of the least important class that holds more than its reserve. */
static size_t shed_victim(const struct queue *queue) {
    for (int class = QUEUE_CLASSES_MAX_ - 1; class >= 0; class --) {
        if (queue_book_bytes(&queue->draft, (enum queue_class) class) <= queue->reserve_bytes[class]) continue;
        for (size_t i = 0; i < queue->draft.streams_count; i++)
            if (queue->draft.streams[i].class == (enum queue_class) class && queue->draft.streams[i].records) return i;
    }
    return queue->draft.streams_count;
}

static fault_code enforce_quota(struct queue *queue, struct kv_txn *txn, struct fault *reterr) {
    for (uint64_t all; (all = queue_book_bytes_all(&queue->draft)) > queue->bytes_max;) {
        const size_t index = shed_victim(queue);
        if (index == queue->draft.streams_count) return FAULT_NONE;
        const enum queue_class class = queue->draft.streams[index].class;
        const uint64_t excess = all - queue->bytes_max;
        const uint64_t above_reserve = queue_book_bytes(&queue->draft, class) - queue->reserve_bytes[class];
        const struct trim trim = {UINT64_MAX, excess < above_reserve ? excess : above_reserve, SIZE_MAX};
        uint64_t records = 0, bytes = 0;
        if (trim_stream(queue, txn, index, trim, &records, &bytes, reterr)) return fault_wrap(reterr, "shed");
        queue->draft.shed[class] += records;
    }
    return FAULT_NONE;
}

/* Deleting writes too (LMDB copies what it changes), the less the less is deleted at once: where the store is so full
 * that a deletion fails, smaller ones succeed and make room for larger ones. false: not even one record. */
static bool deletion_goes_on(struct queue *queue, fault_code code, size_t *room) {
    if (code == FAULT_NONE) {
        *room = *room * 2 < RECORDS_PER_TRANSACTION ? *room * 2 : RECORDS_PER_TRANSACTION;
        return true;
    }
    if ((code != FAULT_LIMIT && code != FAULT_SYSTEM) || *room == 1) return false;
    *room = *room > 64 ? 16 : 1;
    throw_off_ballast(queue);
    return true;
}

static fault_code shed_some(struct queue *queue, uint64_t bytes, size_t room, uint64_t *ret_bytes,
                            struct fault *reterr) {
    struct kv_txn *txn = NULL;
    fault_code code = begin(queue, &txn, reterr);
    if (code) return code;
    size_t index = 0;
    for (int class = QUEUE_CLASSES_MAX_ - 1; class >= 0; class --) { /* a full disk knows no shares */
        for (index = 0; index < queue->draft.streams_count; index++)
            if (queue->draft.streams[index].class == (enum queue_class) class && queue->draft.streams[index].records)
                break;
        if (index < queue->draft.streams_count) break;
    }
    uint64_t records = 0, shed = 0;
    if (index < queue->draft.streams_count) {
        code = trim_stream(queue, txn, index, (struct trim){UINT64_MAX, bytes, room}, &records, &shed, reterr);
        queue->draft.shed[queue->draft.streams[index].class] += records;
    }
    if (code || !records) {
        kv_abort(txn);
        if (!code) *ret_bytes = UINT64_MAX; /* nothing is left */
        return code;
    }
    *ret_bytes = shed;
    return commit(queue, txn, reterr);
}

fault_code queue_shed(struct queue *queue, uint64_t bytes, struct fault *reterr) {
    size_t room = RECORDS_PER_TRANSACTION;
    while (bytes) {
        uint64_t shed = 0;
        const fault_code code = shed_some(queue, bytes, room, &shed, reterr);
        if (!deletion_goes_on(queue, code, &room)) return fault_wrap(reterr, "shed");
        if (!code) bytes -= shed < bytes ? shed : bytes;
    }
    return FAULT_NONE;
}

/* One transaction's worth of an acknowledgement; ret_more: records that are acknowledged are left. */
static fault_code ack_some(struct queue *queue, const struct queue_ack *acks, size_t count, size_t room, bool *ret_more,
                           struct fault *reterr) {
    struct kv_txn *txn = NULL;
    fault_code code = begin(queue, &txn, reterr);
    if (code) return code;
    bool changed = false, more = false;
    for (size_t i = 0; i < count && !code; i++) {
        const size_t index = queue_book_find(&queue->draft, acks[i].stream);
        if (index == queue->draft.streams_count) continue;
        struct queue_stream *const stream = &queue->draft.streams[index];
        if (acks[i].committed_sequence > stream->committed_sequence) {
            stream->committed_sequence = acks[i].committed_sequence;
            queue->draft.dirty[index] = changed = true;
        }
        if (stream->records == 0 || stream->oldest_sequence > acks[i].committed_sequence) continue;
        uint64_t records = 0, bytes = 0;
        code = trim_stream(queue, txn, index, (struct trim){acks[i].committed_sequence, UINT64_MAX, room}, &records,
                           &bytes, reterr);
        room -= records;
        changed = true;
        if (stream->records && stream->oldest_sequence <= acks[i].committed_sequence) more = true;
    }
    *ret_more = more;
    if (code || !changed) {
        kv_abort(txn);
        return code;
    }
    return commit(queue, txn, reterr);
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
    size_t room = RECORDS_PER_TRANSACTION;
    for (bool more = true; more;) {
        const fault_code code = ack_some(queue, acks, count, room, &more, reterr);
        if (!deletion_goes_on(queue, code, &room)) return fault_wrap(reterr, "delete what is committed");
        if (code) more = true;
    }
    return FAULT_NONE;
}

fault_code queue_stream_drop(struct queue *queue, uint32_t number, struct fault *reterr) {
    struct kv_txn *txn = NULL;
    if (begin(queue, &txn, reterr)) return fault_wrap(reterr, "drop stream %u", number);
    struct queue_book *const draft = &queue->draft;
    const size_t index = queue_book_find(draft, number);
    if (index == draft->streams_count || !draft->streams[index].closed || draft->streams[index].records) {
        kv_abort(txn);
        return fault_set(reterr, FAULT_CONFLICT, "drop stream %u: it is not a closed and empty one", number);
    }
    if (queue_book_delete_stream(txn, queue->book_table, number, reterr)) {
        kv_abort(txn);
        return fault_wrap(reterr, "drop stream %u", number);
    }
    memmove(&draft->streams[index], &draft->streams[index + 1],
            (draft->streams_count - index - 1) * sizeof draft->streams[0]);
    draft->streams_count--; /* nothing in this draft is dirty */
    return commit(queue, txn, reterr) ? fault_wrap(reterr, "drop stream %u", number) : FAULT_NONE;
}

/* Moves one record out of the way. What there is of it is kept for whoever wants to look. */
static fault_code quarantine(struct queue *queue, uint32_t number, uint64_t sequence, struct fault *reterr) {
    uint8_t key_bytes[RECORD_KEY_BYTES];
    record_key(number, sequence, key_bytes);
    const slice key = slice_of(key_bytes, sizeof key_bytes);
    struct kv_txn *txn = NULL;
    fault_code code = begin(queue, &txn, reterr);
    if (code) return code;
    const size_t index = queue_book_find(&queue->draft, number);
    assert(index < queue->draft.streams_count);
    struct queue_stream *const stream = &queue->draft.streams[index];
    const kv_table records = queue->records_tables[stream->class];
    slice value;
    uint64_t quarantined = 0, cost = 0;
    code = kv_get(txn, records, key, &value, reterr);
    if (!code) cost = record_cost(value.size);
    if (!code) code = kv_table_count(txn, queue->quarantine_table, &quarantined, reterr);
    if (!code && quarantined < QUARANTINE_RECORDS_MAX && value.size <= RECORD_HEADER_BYTES + QUEUE_RECORD_BYTES_MAX) {
        memcpy(queue->record, value.data, value.size);
        code = kv_put(txn, queue->quarantine_table, key, slice_of(queue->record, value.size), reterr);
    }
    if (!code && sequence == stream->oldest_sequence) {
        uint64_t trimmed = 0, bytes = 0;
        code = trim_stream(queue, txn, index, (struct trim){sequence, UINT64_MAX, 1}, &trimmed, &bytes, reterr);
    } else if (!code) {
        code = kv_delete(txn, records, key, reterr);
        stream->records -= stream->records ? 1 : 0;
        stream->bytes -= cost < stream->bytes ? cost : stream->bytes;
        queue->draft.dirty[index] = true;
    }
    queue->draft.quarantined++;
    if (code) {
        kv_abort(txn);
        return code;
    }
    return commit(queue, txn, reterr);
}

/* Reads up to the first hole, bound or damage. ret_damaged: the very first record found does not check. */
static fault_code read_run(struct queue *queue, const struct queue_stream *stream, size_t count_max, size_t bytes_max,
                           queue_visit_fn *visit, void *context, struct queue_batch *batch, uint64_t *ret_damaged,
                           struct fault *reterr) {
    struct kv_txn *txn = NULL;
    struct kv_cursor *cursor = NULL;
    fault_code code = kv_begin_read(queue->kv, &txn, reterr);
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
            if (quarantine(queue, number, damaged, reterr))
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
    struct queue_stats stats = {.quarantined = queue->book.quarantined, .bytes_max = queue->bytes_max};
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
