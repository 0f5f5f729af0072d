/* SPDX-License-Identifier: Apache-2.0
 * The tables of the queue and its book, and the transaction that every change of it is. Private to agent/buffer, the layer
 * under queue_trim, queue_salvage and queue.c. Owner: the agent's loop thread. */
#ifndef PICKET_BUFFER_QUEUE_STORE_H
#define PICKET_BUFFER_QUEUE_STORE_H

#include "agent/buffer/queue_book.h"

struct queue_store {
    char path[256];
    struct kv *kv; /* NULL: the disk failed, and it could not be opened again yet */
    kv_table book_table, notes_table, quarantine_table, ballast_table, records_tables[QUEUE_CLASSES_MAX_];
    bool ballast; /* is in the store */
    bool made;    /* by queue_store_open: there was none */
    uint64_t map_bytes;
    uint64_t bytes_max, reserve_bytes[QUEUE_CLASSES_MAX_];
    uint64_t commits;
    struct queue_book book, draft;
    uint8_t *record; /* RECORD_HEADER_BYTES + QUEUE_RECORD_BYTES_MAX: where a record is put together */
};

/* Takes what it needs of the settings, and memory; the store is not open yet. To be ended by queue_store_end. */
fault_code queue_store_prepare(const struct queue_settings *settings, struct queue_store *ret_store,
                               struct fault *reterr) MUST_CHECK;
void queue_store_end(struct queue_store *store); /* also what is zeroed, and what is open */
/* Opens the environment and its tables, and reads the book or makes the first one. FAULT_CORRUPT: does not check. */
fault_code queue_store_open(struct queue_store *store, struct fault *reterr) MUST_CHECK;
void queue_store_close(struct queue_store *store); /* to be opened again, or ended */

/* To be ended by kv_abort. */
fault_code queue_store_read(struct queue_store *store, struct kv_txn **ret_txn, struct fault *reterr) MUST_CHECK;

/* A write transaction, with a draft of the book that the caller changes. To be ended by one of queue_store_commit (which
 * also ends it when it fails) and kv_abort. */
fault_code queue_store_begin(struct queue_store *store, struct kv_txn **ret_txn, struct fault *reterr) MUST_CHECK;
/* FAULT_LIMIT: the map or the disk is full. */
fault_code queue_store_commit(struct queue_store *store, struct kv_txn *txn, struct fault *reterr) MUST_CHECK;

/* Puts the ballast into the transaction; store->ballast is the caller's to set when that is committed. */
fault_code queue_store_take_ballast(struct queue_store *store, struct kv_txn *txn, struct fault *reterr) MUST_CHECK;
/* In a transaction of its own, if there is ballast. */
void queue_store_throw_off_ballast(struct queue_store *store);

#endif
