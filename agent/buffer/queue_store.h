/* SPDX-License-Identifier: Apache-2.0
 * The inside of the queue: its tables and its book, and the transaction that every change of it is. For queue.c (what
 * comes in and is read) and queue_trim.c (what leaves) alone. Owner: the agent's loop thread. */
#ifndef PICKET_BUFFER_QUEUE_STORE_H
#define PICKET_BUFFER_QUEUE_STORE_H

#include "agent/buffer/queue_book.h"

struct queue {
    char path[256];
    struct kv *kv;
    kv_table book_table, notes_table, quarantine_table, ballast_table, records_tables[QUEUE_CLASSES_MAX_];
    bool ballast; /* is in the store */
    uint64_t map_bytes;
    uint64_t bytes_max, reserve_bytes[QUEUE_CLASSES_MAX_];
    uint64_t appended[QUEUE_CLASSES_MAX_];
    uint64_t commits;
    struct queue_book book, draft;
    uint8_t *record; /* RECORD_HEADER_BYTES + QUEUE_RECORD_BYTES_MAX: where a record is put together */
};

/* Opens the environment and its tables, and reads the book or makes the first one. FAULT_CORRUPT: does not check. */
fault_code queue_store_open(const struct queue_settings *settings, struct queue *queue,
                            struct fault *reterr) MUST_CHECK;

/* To be ended by kv_abort. */
fault_code queue_store_read(struct queue *queue, struct kv_txn **ret_txn, struct fault *reterr) MUST_CHECK;

/* A write transaction, with a draft of the book that the caller changes. To be ended by one of queue_store_commit (which
 * also ends it when it fails) and kv_abort. */
fault_code queue_store_begin(struct queue *queue, struct kv_txn **ret_txn, struct fault *reterr) MUST_CHECK;
/* FAULT_LIMIT: the map or the disk is full. */
fault_code queue_store_commit(struct queue *queue, struct kv_txn *txn, struct fault *reterr) MUST_CHECK;

/* Puts the ballast into the transaction; queue->ballast is the caller's to set when that is committed. */
fault_code queue_store_take_ballast(struct queue *queue, struct kv_txn *txn, struct fault *reterr) MUST_CHECK;
/* In a transaction of its own, if there is ballast. */
void queue_store_throw_off_ballast(struct queue *queue);

#endif
