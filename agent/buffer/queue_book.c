/* SPDX-License-Identifier: Apache-2.0
 * The book is small (some dozen streams), so a transaction copies it, changes the copy, stores the rows that
 * changed and keeps the copy when the commit succeeds: what is in memory is always what is on disk, whatever
 * fails. Each row carries a CRC32C over its key and bytes; a record's CRC covers its key too, so that a record
 * found in the wrong place does not pass for another one.
 *
 * Rows (big-endian):
 *   "head"                -> crc32c, version, epoch, next stream, shed per class, quarantined; since version 2 arrived per class
 *   "log"                 -> crc32c, number of the last entry of the log that is in here
 *   's', stream u32       -> crc32c, class, closed, last, committed, oldest, records, bytes, oldest ms; since version 2 shed,
 *                            arrived, other holes; since version 3 where its numbers of this epoch begin
 * What needs version 3 only is written only where there is some, so that a program from before still reads the rest.
 * Records (a table per class), key stream u32, sequence u64 -> crc32c, stored ms, intent. */
#include "agent/buffer/queue_book.h"

#include <assert.h>

#include "common/base/checksum.h"

enum {
    BOOK_VERSION = 3,
    BOOK_VERSION_USUAL = 2,
    HEAD_1_BYTES = 4 + 4 + 16 + 4 + 8 * QUEUE_CLASSES_MAX_ + 8,
    HEAD_BYTES = HEAD_1_BYTES + 8 * QUEUE_CLASSES_MAX_,
    STREAM_KEY_BYTES = 5,
    STREAM_1_BYTES = 4 + 2 + 8 * 6,
    STREAM_BYTES = STREAM_1_BYTES + 8 * 3,
    STREAM_3_BYTES = STREAM_BYTES + 8,
    LOG_BYTES = 4 + 8
};
static const char head_key[] = "head", log_key[] = "log";

static uint32_t row_crc(slice key, const uint8_t *row, size_t row_bytes) {
    return checksum_crc32c(checksum_crc32c(0, key), slice_of(row + 4, row_bytes - 4));
}

static bool row_checks(slice key, slice row, size_t row_bytes) {
    return row.size == row_bytes && kv_load_u32(row.data) == row_crc(key, row.data, row.size);
}

static slice stream_key(uint32_t number, uint8_t buffer[STREAM_KEY_BYTES]) {
    buffer[0] = 's';
    kv_store_u32(buffer + 1, number);
    return slice_of(buffer, STREAM_KEY_BYTES);
}

static fault_code load_stream(slice key, slice row, struct queue_stream *ret_stream, struct fault *reterr) {
    const uint32_t number = key.size == STREAM_KEY_BYTES ? kv_load_u32(key.data + 1) : 0;
    const bool began = row.size == STREAM_3_BYTES, whole = began || row.size == STREAM_BYTES;
    if (!row_checks(key, row, whole ? row.size : STREAM_1_BYTES) || row.data[4] >= QUEUE_CLASSES_MAX_)
        return fault_set(reterr, FAULT_CORRUPT, "the row of stream %u does not check", number);
    const uint8_t *const at = row.data + 6;
    *ret_stream = (struct queue_stream){
        .number = number,
        .class = (enum queue_class)row.data[4],
        .closed = row.data[5] != 0,
        .last_sequence = kv_load_u64(at),
        .committed_sequence = kv_load_u64(at + 8),
        .oldest_sequence = kv_load_u64(at + 16),
        .records = kv_load_u64(at + 24),
        .bytes = kv_load_u64(at + 32),
        .oldest_ms = (int64_t)kv_load_u64(at + 40),
        .shed = whole ? kv_load_u64(at + 48) : 0,
        .arrived = whole ? kv_load_u64(at + 56) : 0,
        .other_holes = whole ? kv_load_u64(at + 64) : 0,
        .began_after = began ? kv_load_u64(at + 72) : 0,
    };
    return FAULT_NONE;
}

bool queue_book_read_stream(slice key, slice row, struct queue_stream *ret_stream) {
    return key.size == STREAM_KEY_BYTES && key.data[0] == 's' && load_stream(key, row, ret_stream, NULL) == FAULT_NONE;
}

static struct queue_book head_from(slice row) {
    struct queue_book book = {.next_stream = kv_load_u32(row.data + 24)};
    memcpy(book.epoch.bytes, row.data + 8, 16);
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++) book.shed[class] = kv_load_u64(row.data + 28 + 8 * class);
    book.quarantined = kv_load_u64(row.data + 28 + 8 * QUEUE_CLASSES_MAX_);
    for (int class = 0; class < QUEUE_CLASSES_MAX_ && row.size == HEAD_BYTES; class ++)
        book.arrived[class] = kv_load_u64(row.data + HEAD_1_BYTES + 8 * class);
    return book;
}

static bool head_checks(slice row) {
    return row_checks(SLICE_LIT(head_key), row, row.size == HEAD_BYTES ? HEAD_BYTES : HEAD_1_BYTES);
}

bool queue_book_read_head(slice key, slice row, struct queue_book *ret_head) {
    if (!slice_equal(key, SLICE_LIT(head_key)) || !head_checks(row) || kv_load_u32(row.data + 4) > BOOK_VERSION)
        return false;
    *ret_head = head_from(row);
    return true;
}

fault_code queue_book_load(struct kv_txn *txn, kv_table table, struct queue_book *ret_book, struct fault *reterr) {
    slice row;
    fault_code code = kv_get(txn, table, SLICE_LIT(head_key), &row, reterr);
    if (code) return code == FAULT_ABSENT ? FAULT_ABSENT : fault_wrap(reterr, "read the queue's head");
    if (!head_checks(row)) return fault_set(reterr, FAULT_CORRUPT, "the queue's head does not check");
    if (kv_load_u32(row.data + 4) > BOOK_VERSION)
        return fault_set(
            reterr, FAULT_CONFLICT,
            "the queue has format %u, this program reads format %d: run the version that wrote it until it is empty",
            kv_load_u32(row.data + 4), BOOK_VERSION);
    struct queue_book book = head_from(row);
    code = kv_get(txn, table, SLICE_LIT(log_key), &row, reterr); /* a queue from before there was a log has none */
    if (code && code != FAULT_ABSENT) return fault_wrap(reterr, "read how far the log is in");
    if (!code && !row_checks(SLICE_LIT(log_key), row, LOG_BYTES))
        return fault_set(reterr, FAULT_CORRUPT, "the row that says how far the log is in does not check");
    if (!code) book.log_applied = kv_load_u64(row.data + 4);

    struct kv_cursor *cursor = NULL;
    if (kv_cursor_open(txn, table, &cursor, reterr)) return fault_wrap(reterr, "read the queue's streams");
    slice key;
    code = kv_cursor_seek(cursor, SLICE_LIT("s"), &key, &row, reterr);
    while (!code && key.size && key.data[0] == 's') {
        if (book.streams_count == QUEUE_STREAMS_MAX) {
            code = fault_set(reterr, FAULT_CORRUPT, "the queue has more than %d streams", QUEUE_STREAMS_MAX);
            break;
        }
        code = load_stream(key, row, &book.streams[book.streams_count], reterr);
        if (code) break;
        book.streams_count++;
        code = kv_cursor_next(cursor, &key, &row, reterr);
    }
    kv_cursor_close(cursor);
    if (code && code != FAULT_ABSENT) return fault_wrap(reterr, "read the queue's streams");
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++)
        if (queue_book_open_stream(&book, (enum queue_class) class) == book.streams_count)
            return fault_set(reterr, FAULT_CORRUPT, "the queue has no open stream for %s",
                             queue_class_name((enum queue_class) class));
    *ret_book = book;
    return FAULT_NONE;
}

static uint32_t version_needed(const struct queue_book *book) {
    for (size_t i = 0; i < book->streams_count; i++)
        if (book->streams[i].began_after) return BOOK_VERSION;
    return BOOK_VERSION_USUAL;
}

fault_code queue_book_store(const struct queue_book *book, struct kv_txn *txn, kv_table table, struct fault *reterr) {
    uint8_t row[HEAD_BYTES > STREAM_3_BYTES ? HEAD_BYTES : STREAM_3_BYTES];
    kv_store_u32(row + 4, version_needed(book));
    memcpy(row + 8, book->epoch.bytes, 16);
    kv_store_u32(row + 24, book->next_stream);
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++) kv_store_u64(row + 28 + 8 * class, book->shed[class]);
    kv_store_u64(row + 28 + 8 * QUEUE_CLASSES_MAX_, book->quarantined);
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++)
        kv_store_u64(row + HEAD_1_BYTES + 8 * class, book->arrived[class]);
    kv_store_u32(row, row_crc(SLICE_LIT(head_key), row, HEAD_BYTES));
    if (kv_put(txn, table, SLICE_LIT(head_key), slice_of(row, HEAD_BYTES), reterr))
        return fault_wrap(reterr, "write the queue's head");
    if (book->log_dirty) {
        kv_store_u64(row + 4, book->log_applied);
        kv_store_u32(row, row_crc(SLICE_LIT(log_key), row, LOG_BYTES));
        if (kv_put(txn, table, SLICE_LIT(log_key), slice_of(row, LOG_BYTES), reterr))
            return fault_wrap(reterr, "write how far the log is in");
    }

    for (size_t i = 0; i < book->streams_count; i++) {
        if (!book->dirty[i]) continue;
        const struct queue_stream *const stream = &book->streams[i];
        assert(stream->committed_sequence <= stream->last_sequence);
        assert(stream->began_after <= stream->committed_sequence && stream->began_after < stream->oldest_sequence);
        assert(stream->oldest_sequence <= stream->last_sequence + 1);
        uint8_t key_bytes[STREAM_KEY_BYTES];
        const slice key = stream_key(stream->number, key_bytes);
        row[4] = (uint8_t)stream->class;
        row[5] = stream->closed;
        kv_store_u64(row + 6, stream->last_sequence);
        kv_store_u64(row + 14, stream->committed_sequence);
        kv_store_u64(row + 22, stream->oldest_sequence);
        kv_store_u64(row + 30, stream->records);
        kv_store_u64(row + 38, stream->bytes);
        kv_store_u64(row + 46, (uint64_t)stream->oldest_ms);
        kv_store_u64(row + 54, stream->shed);
        kv_store_u64(row + 62, stream->arrived);
        kv_store_u64(row + 70, stream->other_holes);
        kv_store_u64(row + 78, stream->began_after);
        const size_t row_bytes = stream->began_after ? STREAM_3_BYTES : STREAM_BYTES;
        kv_store_u32(row, row_crc(key, row, row_bytes));
        if (kv_put(txn, table, key, slice_of(row, row_bytes), reterr))
            return fault_wrap(reterr, "write the row of stream %u", stream->number);
    }
    return FAULT_NONE;
}

fault_code queue_book_delete_stream(struct kv_txn *txn, kv_table table, uint32_t number, struct fault *reterr) {
    uint8_t key_bytes[STREAM_KEY_BYTES];
    return kv_delete(txn, table, stream_key(number, key_bytes), reterr);
}

size_t queue_book_add_stream(struct queue_book *book, enum queue_class class) {
    assert(book->streams_count < QUEUE_STREAMS_MAX);
    const size_t index = book->streams_count++;
    book->streams[index] = (struct queue_stream){.number = book->next_stream++, .class = class, .oldest_sequence = 1};
    book->dirty[index] = true;
    return index;
}

size_t queue_book_open_stream(const struct queue_book *book, enum queue_class class) {
    for (size_t i = book->streams_count; i-- > 0;)
        if (book->streams[i].class == class && !book->streams[i].closed) return i;
    return book->streams_count;
}

size_t queue_book_find(const struct queue_book *book, uint32_t number) {
    size_t i = 0;
    while (i < book->streams_count && book->streams[i].number != number) i++;
    return i;
}

uint64_t queue_book_bytes(const struct queue_book *book, enum queue_class class) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < book->streams_count; i++)
        if (book->streams[i].class == class) bytes += book->streams[i].bytes;
    return bytes;
}

uint64_t queue_book_bytes_all(const struct queue_book *book) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < book->streams_count; i++) bytes += book->streams[i].bytes;
    return bytes;
}

void record_key(uint32_t stream, uint64_t sequence, uint8_t ret_key[RECORD_KEY_BYTES]) {
    kv_store_u32(ret_key, stream);
    kv_store_u64(ret_key + 4, sequence);
}

uint32_t record_key_stream(slice key) {
    return key.size == RECORD_KEY_BYTES ? kv_load_u32(key.data) : UINT32_MAX;
}

uint64_t record_key_sequence(slice key) {
    return key.size == RECORD_KEY_BYTES ? kv_load_u64(key.data + 4) : 0;
}

slice record_encode(slice key, int64_t stored_ms, slice intent, uint8_t *buffer) {
    kv_store_u64(buffer + 4, (uint64_t)stored_ms);
    memcpy(buffer + RECORD_HEADER_BYTES, intent.data, intent.size);
    kv_store_u32(buffer, row_crc(key, buffer, RECORD_HEADER_BYTES + intent.size));
    return slice_of(buffer, RECORD_HEADER_BYTES + intent.size);
}

bool record_decode(slice key, slice value, int64_t *ret_stored_ms, slice *ret_intent) {
    if (value.size <= RECORD_HEADER_BYTES || !row_checks(key, value, value.size)) return false;
    *ret_stored_ms = (int64_t)kv_load_u64(value.data + 4);
    *ret_intent = slice_from(value, RECORD_HEADER_BYTES);
    return true;
}

/* LMDB (0.9, 4096-byte pages): a node has an 8-byte header, its key and a 2-byte index; a value that would leave
 * less than two nodes to a page goes to pages of its own, which begin with 16 bytes. */
uint64_t record_cost(size_t value_bytes) {
    const uint64_t node = 8 + 2 + RECORD_KEY_BYTES;
    if (value_bytes <= 2000) return node + value_bytes;
    return node + 8 + (value_bytes + 16 + 4095) / 4096 * 4096;
}
