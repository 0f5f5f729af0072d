/* SPDX-License-Identifier: Apache-2.0
 * The damaged file is not opened but scanned (kv_file.h), page by page, whatever its trees say. That gives old versions
 * too, and what was acknowledged long ago; each record and each row of the book carries a checksum over key and bytes, so
 * that what checks is genuine, and of the rows the furthest is taken. A record that the centre has already is sent under the
 * sequence that it had, and has no effect there. What is missing is a hole in its stream, and is stated as lost like any
 * other.
 *
 * What waited in the log is not put in: the furthest row may be lost, and with it the knowledge that it is in already.
 *
 * The new store is made beside the old one and then takes its place by two renames: whoever is killed between them finds
 * the new one without an old one. */
#include "agent/buffer/queue_salvage.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/buffer/queue_log.h"
#include "agent/buffer/queue_note.h"
#include "common/base/clock.h"
#include "common/store/kv_file.h"

enum {
    PATH_BYTES = 512,
    STREAMS_SEEN_MAX = 256,
    PUTS_PER_TRANSACTION = 4096,
    NUMBERS_SKIPPED = 1000, /* rows that are lost may have been of streams beyond those that were found */
    NOTE_CHECKS_MAX = 64,
    STREAMS_KEPT_MAX = QUEUE_STREAMS_MAX - QUEUE_CLASSES_MAX_,
};

struct salvage {
    struct queue_store *to;
    struct queue_book head;
    bool has_head;
    struct queue_stream streams[STREAMS_SEEN_MAX];
    bool has_row[STREAMS_SEEN_MAX];
    size_t count;
    slice note_name;                  /* empty: none is saved */
    uint32_t checks[NOTE_CHECKS_MAX]; /* of that note's versions */
    size_t checks_count;
    uint32_t highest_stream;
    struct kv_txn *txn;
    size_t puts;
    fault_code code;
    struct fault fault;
    uint64_t records, lost, unapplied; /* of the lost, those that had not come from the log into the store */
};

static bool exists(const char *path) {
    struct stat found;
    return stat(path, &found) == 0;
}

static void new_path(const char *path, char ret_path[PATH_BYTES]) {
    snprintf(ret_path, PATH_BYTES, "%s.salvaged", path);
}

static void remove_store(const char *path) {
    const char *const files[] = {"data.mdb", "lock.mdb", queue_log_name};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char file[PATH_BYTES + 16];
        snprintf(file, sizeof file, "%s/%s", path, files[i]);
        (void)unlink(file);
    }
    (void)rmdir(path);
}

fault_code queue_salvage_check(const char *path, struct fault *reterr) {
    char beside[PATH_BYTES];
    new_path(path, beside);
    if (!exists(path) && exists(beside)) {
        if (rename(beside, path)) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "move '%s'", beside);
    } else {
        remove_store(beside);
    }
    return kv_file_check(path, reterr);
}

/* ---- what the book was ---- */

static struct queue_stream *stream_of(struct salvage *salvage, uint32_t number) {
    for (size_t i = 0; i < salvage->count; i++)
        if (salvage->streams[i].number == number) return &salvage->streams[i];
    if (salvage->count == STREAMS_SEEN_MAX) return NULL;
    struct queue_stream *const stream = &salvage->streams[salvage->count++];
    *stream = (struct queue_stream){.number = number, .class = QUEUE_REST};
    if (number > salvage->highest_stream) salvage->highest_stream = number;
    return stream;
}

static void take_head(struct salvage *salvage, const struct queue_book *head) {
    const struct queue_book *const now = &salvage->head;
    /* An epoch is a UUIDv7: a later one sorts behind. */
    const int order = memcmp(head->epoch.bytes, now->epoch.bytes, sizeof head->epoch.bytes);
    uint64_t counted = head->quarantined, counted_now = now->quarantined;
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++) {
        counted += head->shed[class];
        counted_now += now->shed[class];
    }
    if (salvage->has_head &&
        (order < 0 || (order == 0 && (head->next_stream < now->next_stream ||
                                      (head->next_stream == now->next_stream && counted < counted_now)))))
        return;
    salvage->head = *head;
    salvage->has_head = true;
}

static void take_row(struct salvage *salvage, const struct queue_stream *row) {
    struct queue_stream *const stream = stream_of(salvage, row->number);
    if (!stream) return;
    bool *const has_row = &salvage->has_row[stream - salvage->streams];
    if (*has_row &&
        (row->began_after < stream->began_after || row->last_sequence < stream->last_sequence ||
         (row->last_sequence == stream->last_sequence && row->began_after == stream->began_after &&
          (row->committed_sequence < stream->committed_sequence || row->oldest_sequence < stream->oldest_sequence))))
        return;
    const uint64_t last_sequence =
        row->last_sequence > stream->last_sequence ? row->last_sequence : stream->last_sequence;
    *stream = *row;
    stream->last_sequence = last_sequence;
    *has_row = true;
}

static bool is_note_check(const struct salvage *salvage, slice key, slice value) {
    return salvage->note_name.size && key.size == salvage->note_name.size + 1 && key.data[0] == 0 && value.size == 4 &&
           slice_equal(slice_from(key, 1), salvage->note_name);
}

/* Some version of the note, whole: which one is the newest cannot be told. */
static bool is_note(const struct salvage *salvage, slice key, slice value) {
    if (!salvage->note_name.size || !slice_equal(key, salvage->note_name)) return false;
    const uint32_t check = queue_note_crc(key, value);
    for (size_t i = 0; i < salvage->checks_count; i++)
        if (salvage->checks[i] == check) return true;
    return false;
}

static void see_row(void *context, slice key, slice value) {
    struct salvage *const salvage = context;
    struct queue_book head;
    struct queue_stream row;
    int64_t stored_ms;
    slice intent;
    if (queue_book_read_head(key, value, &head)) {
        take_head(salvage, &head);
    } else if (queue_book_read_stream(key, value, &row)) {
        take_row(salvage, &row);
    } else if (is_note_check(salvage, key, value)) {
        if (salvage->checks_count < NOTE_CHECKS_MAX) salvage->checks[salvage->checks_count++] = kv_load_u32(value.data);
    } else if (key.size == RECORD_KEY_BYTES && record_decode(key, value, &stored_ms, &intent)) {
        struct queue_stream *const stream = stream_of(salvage, record_key_stream(key));
        if (stream && record_key_sequence(key) > stream->last_sequence)
            stream->last_sequence = record_key_sequence(key);
    }
}

/* ---- records ---- */

static bool ready_to_put(struct salvage *salvage) {
    if (salvage->txn && ++salvage->puts >= PUTS_PER_TRANSACTION) {
        salvage->code = kv_commit(salvage->txn, &salvage->fault);
        salvage->txn = NULL;
    }
    if (!salvage->txn && !salvage->code) {
        salvage->puts = 0;
        salvage->code = kv_begin_write(salvage->to->kv, &salvage->txn, &salvage->fault);
    }
    return !salvage->code;
}

static void see_record(void *context, slice key, slice value) {
    struct salvage *const salvage = context;
    int64_t stored_ms;
    slice intent;
    if (!salvage->code && is_note(salvage, key, value)) {
        if (ready_to_put(salvage))
            salvage->code = queue_note_put(salvage->to, salvage->txn, key, value, &salvage->fault);
        return;
    }
    if (salvage->code || key.size != RECORD_KEY_BYTES || !record_decode(key, value, &stored_ms, &intent)) return;
    const struct queue_stream *const stream = stream_of(salvage, record_key_stream(key));
    const uint64_t sequence = record_key_sequence(key);
    if (!stream || sequence == 0 || sequence <= stream->committed_sequence || sequence < stream->oldest_sequence)
        return;
    if (!ready_to_put(salvage)) return;
    salvage->code = kv_put(salvage->txn, salvage->to->records_tables[stream->class], key, value, &salvage->fault);
}

/* What the rows must say of the records that are there now. */
static fault_code count_records(struct salvage *salvage, struct kv_txn *txn, struct fault *reterr) {
    for (size_t i = 0; i < salvage->count; i++) {
        salvage->streams[i].records = salvage->streams[i].bytes = 0;
        salvage->streams[i].oldest_ms = 0;
        if (!salvage->has_row[i]) salvage->streams[i].oldest_sequence = 0;
    }
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++) {
        struct kv_cursor *cursor = NULL;
        slice key, value, intent;
        fault_code code = kv_cursor_open(txn, salvage->to->records_tables[class], &cursor, reterr);
        if (!code) code = kv_cursor_seek(cursor, (slice){0}, &key, &value, reterr);
        for (; !code; code = kv_cursor_next(cursor, &key, &value, reterr)) {
            struct queue_stream *const stream = stream_of(salvage, record_key_stream(key));
            int64_t stored_ms = 0;
            if (!stream || !record_decode(key, value, &stored_ms, &intent)) continue;
            if (!stream->records) {
                const uint64_t from = stream->oldest_sequence ? stream->oldest_sequence - 1 : 0;
                stream->other_holes +=
                    stream->last_sequence - (from > stream->committed_sequence ? from : stream->committed_sequence);
                salvage->lost +=
                    stream->last_sequence - (from > stream->committed_sequence ? from : stream->committed_sequence);
                stream->oldest_sequence = record_key_sequence(key);
                stream->oldest_ms = stored_ms;
            }
            stream->records++;
            stream->bytes += record_cost(value.size);
            salvage->records++;
            salvage->lost--;
            stream->other_holes--;
        }
        kv_cursor_close(cursor);
        if (code != FAULT_ABSENT) return code;
    }
    return FAULT_NONE;
}

static int by_number(const void *a, const void *b) {
    const uint32_t one = ((const struct queue_stream *)a)->number, other = ((const struct queue_stream *)b)->number;
    return (one > other) - (one < other);
}

/* The new book: what was kept, closed, then an open stream for each class. */
static void make_book(struct salvage *salvage, struct queue_book *draft) {
    qsort(salvage->streams, salvage->count, sizeof *salvage->streams, by_number);
    size_t kept = 0;
    for (size_t i = 0; i < salvage->count; i++) {
        struct queue_stream stream = salvage->streams[i];
        if (!stream.records && stream.last_sequence <= stream.committed_sequence) continue;
        if (!stream.records) {
            const uint64_t lost = stream.last_sequence - (stream.oldest_sequence > stream.committed_sequence + 1
                                                              ? stream.oldest_sequence - 1
                                                              : stream.committed_sequence);
            salvage->lost += lost;
            stream.other_holes += lost;
            stream.oldest_sequence = stream.last_sequence + 1;
        }
        stream.closed = true;
        salvage->streams[kept++] = stream;
    }
    const size_t from = kept > STREAMS_KEPT_MAX ? kept - STREAMS_KEPT_MAX : 0;
    *draft = (struct queue_book){.epoch = salvage->has_head ? salvage->head.epoch : uuid_v7_new(),
                                 .quarantined = salvage->head.quarantined + salvage->lost};
    memcpy(draft->shed, salvage->head.shed, sizeof draft->shed);
    memcpy(draft->arrived, salvage->head.arrived, sizeof draft->arrived);
    for (size_t i = from; i < kept; i++) {
        draft->dirty[draft->streams_count] = true;
        draft->streams[draft->streams_count++] = salvage->streams[i];
    }
    draft->next_stream =
        NUMBERS_SKIPPED +
        (salvage->head.next_stream > salvage->highest_stream ? salvage->head.next_stream : salvage->highest_stream + 1);
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++)
        (void)queue_book_add_stream(draft, (enum queue_class) class);
}

static fault_code store_book(struct salvage *salvage, struct fault *reterr) {
    struct queue_store *const to = salvage->to;
    struct kv_txn *txn = NULL;
    fault_code code = queue_store_begin(to, &txn, reterr);
    if (code) return code;
    code = count_records(salvage, txn, reterr);
    for (size_t i = 0; i < to->book.streams_count && !code; i++)
        code = queue_book_delete_stream(txn, to->book_table, to->book.streams[i].number, reterr);
    if (code) {
        kv_abort(txn);
        return code;
    }
    make_book(salvage, &to->draft);
    return queue_store_commit(to, txn, reterr);
}

static fault_code save_into(struct salvage *salvage, const char *from, struct fault *reterr) {
    uint64_t unreadable = 0;
    const size_t most = RECORD_HEADER_BYTES + QUEUE_RECORD_BYTES_MAX;
    fault_code code = kv_file_scan(from, most, see_row, salvage, &unreadable, reterr);
    if (!code) code = kv_file_scan(from, most, see_record, salvage, &unreadable, reterr);
    if (code == FAULT_ABSENT || code == FAULT_CORRUPT) code = FAULT_NONE; /* nothing is left of it */
    if (!code && !salvage->code && salvage->txn) {
        salvage->code = kv_commit(salvage->txn, &salvage->fault);
        salvage->txn = NULL;
    }
    if (salvage->txn) kv_abort(salvage->txn);
    if (!code && salvage->code) {
        if (reterr) *reterr = salvage->fault;
        return salvage->code;
    }
    return code ? code : store_book(salvage, reterr);
}

/* ---- in its place ---- */

/* One damaged store is kept for whoever wants to look: they are as large as the queue was. */
static void remove_kept_aside(const char *path) {
    char folder[PATH_BYTES], found[2 * PATH_BYTES];
    snprintf(folder, sizeof folder, "%s", path);
    char *const slash = strrchr(folder, '/');
    if (!slash) return;
    *slash = '\0';
    char prefix[PATH_BYTES];
    snprintf(prefix, sizeof prefix, "%s.damaged-", slash + 1);
    DIR *const all = opendir(folder);
    if (!all) return;
    for (struct dirent *one; (one = readdir(all));) {
        if (strncmp(one->d_name, prefix, strlen(prefix)) != 0) continue;
        snprintf(found, sizeof found, "%s/%s", folder, one->d_name);
        remove_store(found);
    }
    closedir(all);
}

fault_code queue_salvage(const struct queue_settings *settings, const struct fault *why, struct fault *ret_moved,
                         struct fault *reterr) {
    char beside[PATH_BYTES], aside[PATH_BYTES];
    new_path(settings->path, beside);
    remove_store(beside);
    struct salvage *const salvage = calloc(1, sizeof *salvage);
    struct queue_store *const to = calloc(1, sizeof *to);
    struct queue_settings settings_beside = *settings;
    settings_beside.path = beside;
    fault_code code = FAULT_NONE;
    if (!salvage || !to) code = fault_set(reterr, FAULT_LIMIT, "out of memory");
    if (!code) code = queue_store_prepare(&settings_beside, to, reterr);
    if (!code) code = queue_store_open(to, reterr);
    if (!code) {
        salvage->to = to;
        if (settings->note_saved) salvage->note_name = slice_from_text(settings->note_saved);
        salvage->unapplied = salvage->lost = queue_log_count(settings->path);
        code = save_into(salvage, settings->path, reterr);
    }
    if (to) queue_store_end(to);
    const uint64_t records = salvage ? salvage->records : 0, lost = salvage ? salvage->lost : 0,
                   unapplied = salvage ? salvage->unapplied : 0;
    free(to);
    free(salvage);
    if (code) {
        remove_store(beside);
        return fault_wrap(reterr, "save what is left of '%s'", settings->path);
    }
    remove_kept_aside(settings->path);
    snprintf(aside, sizeof aside, "%s.damaged-%lld", settings->path, (long long)clock_wall_ms());
    if (rename(settings->path, aside) || rename(beside, settings->path))
        return fault_set_errno(reterr, FAULT_SYSTEM, errno, "put a new queue in the place of '%s'", settings->path);
    fault_set(ret_moved, FAULT_CORRUPT,
              "%s; %llu records were saved, %llu are known to be lost and will be stated, %llu more had no number "
              "yet; see '%s'",
              why->text, (unsigned long long)records, (unsigned long long)(lost - unapplied),
              (unsigned long long)unapplied, aside);
    return FAULT_NONE;
}
