/* SPDX-License-Identifier: Apache-2.0
 * The door to LMDB: ordered tables of bytes, one writer, many readers, a commit that is on disk when it returns.
 * Keys are at most 511 bytes. Slices returned by reads are valid until the transaction ends or, in a write
 * transaction, until the next write. The environment is opened once per process and never on a network file
 * system. A write transaction belongs to the thread that began it. */
#ifndef PICKET_STORE_KV_H
#define PICKET_STORE_KV_H

#include "common/base/fault.h"

#include <string.h>

struct kv;        /* an environment */
struct kv_txn;    /* a read or write transaction */
struct kv_cursor; /* a position in one table */
typedef unsigned kv_table;

struct kv_settings {
    const char *path;   /* directory; made (0700) when absent */
    uint64_t map_bytes; /* address space: well above any data that will be kept */
    unsigned tables_max;
    unsigned readers_max;
    enum kv_sync { KV_SYNC_FULL, KV_SYNC_NONE } sync; /* NONE: survives kill -9, not a power cut */
    /* The file's resident pages are given back (kv_release_pages) at the end of a write transaction, when that many records
     * were written since the last time; 0: only by kv_release_pages. A look at one page maps up to sixteen. */
    unsigned release_after;
};

fault_code kv_open(const struct kv_settings *settings, struct kv **ret_kv, struct fault *reterr) MUST_CHECK;
/* For reading only, also while another process has it open for writing (and then sees its commits); with read-ahead, for
 * those who look at all of it. FAULT_ABSENT when there is none. A read transaction that lasts keeps every page that the
 * other process frees meanwhile: its file grows. */
fault_code kv_open_read(const char *path, unsigned tables_max, unsigned readers_max, struct kv **ret_kv,
                        struct fault *reterr) MUST_CHECK;
struct kv *kv_close(struct kv *kv); /* NULL is fine; returns NULL. All transactions must have ended. */
/* The disk failed at a moment after which nothing can be written any more (LMDB's MDB_PANIC) until the store was closed and
 * opened again. What was committed is there. */
bool kv_broken(const struct kv *kv);

/* Writes what is committed now, without free pages, to a file that must not exist; fsynced. Commits go on meanwhile. */
fault_code kv_copy(struct kv *kv, const char *file, struct fault *reterr) MUST_CHECK;
/* Lets go the snapshots of processes that were killed while they read. */
void kv_drop_dead_readers(struct kv *kv);

/* A table without records, which cannot be written. */
#define KV_TABLE_NONE ((kv_table)-1)
/* Opens or makes a named table (opened for reading: KV_TABLE_NONE when it is not there). Call at start, from one
 * thread, with no transaction open. */
fault_code kv_table_open(struct kv *kv, const char *name, kv_table *ret_table, struct fault *reterr) MUST_CHECK;

fault_code kv_begin_write(struct kv *kv, struct kv_txn **ret_txn, struct fault *reterr) MUST_CHECK;
fault_code kv_begin_read(struct kv *kv, struct kv_txn **ret_txn, struct fault *reterr) MUST_CHECK;
/* Ends the transaction whatever it returns. FAULT_LIMIT: the map is full. FAULT_SYSTEM: the disk said no. */
fault_code kv_commit(struct kv_txn *txn, struct fault *reterr) MUST_CHECK;
void kv_abort(struct kv_txn *txn); /* NULL is fine; also ends a read transaction */

/* Which commit a read transaction sees: equal numbers, equal contents. */
uint64_t kv_snapshot(const struct kv_txn *txn);

/* For a read transaction that is used again and again: pause lets its snapshot go but keeps its place, resume takes
 * the newest snapshot. Cheaper than kv_abort and kv_begin_read. Slices from before the pause are invalid. */
void kv_pause(struct kv_txn *txn);
fault_code kv_resume(struct kv_txn *txn, struct fault *reterr) MUST_CHECK;

fault_code kv_get(struct kv_txn *txn, kv_table table, slice key, slice *ret_value,
                  struct fault *reterr) MUST_CHECK; /* FAULT_ABSENT: silent, reterr untouched */
fault_code kv_put(struct kv_txn *txn, kv_table table, slice key, slice value, struct fault *reterr) MUST_CHECK;
/* The key must sort after every key in the table: no search. FAULT_CONFLICT when it does not. */
fault_code kv_append(struct kv_txn *txn, kv_table table, slice key, slice value, struct fault *reterr) MUST_CHECK;
fault_code kv_delete(struct kv_txn *txn, kv_table table, slice key,
                     struct fault *reterr) MUST_CHECK; /* an absent key is fine */
fault_code kv_table_count(struct kv_txn *txn, kv_table table, uint64_t *ret_records, struct fault *reterr) MUST_CHECK;

fault_code kv_cursor_open(struct kv_txn *txn, kv_table table, struct kv_cursor **ret_cursor,
                          struct fault *reterr) MUST_CHECK;
void kv_cursor_close(struct kv_cursor *cursor); /* before its transaction ends; NULL is fine */
/* Each returns FAULT_ABSENT, silently, when there is no such record. */
fault_code kv_cursor_seek(struct kv_cursor *cursor, slice key_at_least, slice *ret_key, slice *ret_value,
                          struct fault *reterr) MUST_CHECK;
fault_code kv_cursor_next(struct kv_cursor *cursor, slice *ret_key, slice *ret_value, struct fault *reterr) MUST_CHECK;
fault_code kv_cursor_previous(struct kv_cursor *cursor, slice *ret_key, slice *ret_value,
                              struct fault *reterr) MUST_CHECK;
fault_code kv_cursor_last(struct kv_cursor *cursor, slice *ret_key, slice *ret_value, struct fault *reterr) MUST_CHECK;
fault_code kv_cursor_delete(struct kv_cursor *cursor, struct fault *reterr)
    MUST_CHECK; /* in a write transaction; then kv_cursor_next is the following record */

/* Forces what KV_SYNC_NONE left to the kernel onto the disk. */
fault_code kv_flush(struct kv *kv, struct fault *reterr) MUST_CHECK;

struct kv_stats {
    uint64_t map_bytes;
    uint64_t used_bytes; /* highest page in use; the file's size */
    uint64_t free_bytes; /* pages inside it that can be used again */
};
fault_code kv_stats(struct kv *kv, struct kv_stats *ret_stats, struct fault *reterr) MUST_CHECK;

/* Gives the map's resident pages back to the kernel (kv_pages.h). Owner's thread. */
void kv_release_pages(struct kv *kv);

/* Big-endian integers, so that byte order is number order. */
static inline uint64_t kv_swap_u64(uint64_t value) {
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap64(value) : value;
}
static inline uint32_t kv_swap_u32(uint32_t value) {
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap32(value) : value;
}
static inline void kv_store_u64(uint8_t *at, uint64_t value) {
    value = kv_swap_u64(value);
    memcpy(at, &value, sizeof value);
}
static inline uint64_t kv_load_u64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return kv_swap_u64(value);
}
static inline void kv_store_u32(uint8_t *at, uint32_t value) {
    value = kv_swap_u32(value);
    memcpy(at, &value, sizeof value);
}
static inline uint32_t kv_load_u32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return kv_swap_u32(value);
}

#endif
