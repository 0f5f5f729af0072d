/* SPDX-License-Identifier: Apache-2.0
 * What the queue knows about its streams, as rows of a table and as a struct in memory, and the shape of a stored
 * record. Private to agent/buffer. Owner: the agent's loop thread. */
#ifndef PICKET_BUFFER_QUEUE_BOOK_H
#define PICKET_BUFFER_QUEUE_BOOK_H

#include "agent/buffer/queue_class.h"
#include "common/base/uuid.h"
#include "common/store/kv.h"

enum { RECORD_KEY_BYTES = 12, RECORD_HEADER_BYTES = 12 };

/* One state of the whole queue apart from its records. The queue holds two: what is committed, and the draft that
 * the transaction under way makes. */
struct queue_book {
    struct uuid epoch;
    uint32_t next_stream;
    uint64_t shed[QUEUE_CLASSES_MAX_], arrived[QUEUE_CLASSES_MAX_]; /* of all streams that ever were */
    uint64_t quarantined;
    uint64_t log_applied; /* the last entry of the log (queue_log.h) that is in here */
    bool log_dirty;
    size_t streams_count;
    struct queue_stream streams[QUEUE_STREAMS_MAX]; /* by number */
    bool dirty[QUEUE_STREAMS_MAX];                  /* row differs from the stored one */
};

/* FAULT_ABSENT (silent): a new store, nothing in it. FAULT_CORRUPT: a row does not check. */
fault_code queue_book_load(struct kv_txn *txn, kv_table table, struct queue_book *ret_book,
                           struct fault *reterr) MUST_CHECK;
/* false: this is no such row, or it does not check. The head comes without streams. */
bool queue_book_read_head(slice key, slice row, struct queue_book *ret_head) MUST_CHECK;
bool queue_book_read_stream(slice key, slice row, struct queue_stream *ret_stream) MUST_CHECK;
/* Writes the head and what is dirty. */
fault_code queue_book_store(const struct queue_book *book, struct kv_txn *txn, kv_table table,
                            struct fault *reterr) MUST_CHECK;
fault_code queue_book_delete_stream(struct kv_txn *txn, kv_table table, uint32_t number,
                                    struct fault *reterr) MUST_CHECK;

/* Adds an open stream of a class; there must be room. Returns its index. */
size_t queue_book_add_stream(struct queue_book *book, enum queue_class class);
/* Index of the open stream of a class; there always is one. */
size_t queue_book_open_stream(const struct queue_book *book, enum queue_class class);
/* Index of a stream, streams_count when there is no such. */
size_t queue_book_find(const struct queue_book *book, uint32_t number);
uint64_t queue_book_bytes(const struct queue_book *book, enum queue_class class);
uint64_t queue_book_bytes_all(const struct queue_book *book);

void record_key(uint32_t stream, uint64_t sequence, uint8_t ret_key[RECORD_KEY_BYTES]);
uint32_t record_key_stream(slice key);
uint64_t record_key_sequence(slice key);
/* Puts header and intent behind one another; buffer has room for RECORD_HEADER_BYTES + intent.size. */
slice record_encode(slice key, int64_t stored_ms, slice intent, uint8_t *buffer);
/* false: the bytes do not check under this key. */
bool record_decode(slice key, slice value, int64_t *ret_stored_ms, slice *ret_intent) MUST_CHECK;
/* Bytes of the file that a record of this value size takes, pages and keys counted in. */
uint64_t record_cost(size_t value_bytes);

#endif
