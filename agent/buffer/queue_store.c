/* SPDX-License-Identifier: Apache-2.0
 * Every change is one transaction over a draft of the book. Draft and records are committed together, and only then
 * does the draft become the book: a fault leaves memory and disk as they were, and the caller may try again.
 *
 * LMDB needs free pages in order to delete; hence the map is several times the quota, and quotas are enforced when
 * appending, long before the map is full. A full disk can come sooner, though, and with it a store that can neither
 * grow nor shrink: so it holds ballast, pages that are thrown off when an append fails, and that acknowledging then
 * has. Appending begins again when there is room for the ballast as well. */
#include "agent/buffer/queue_store.h"

#include <sys/statvfs.h>

enum {
    BALLAST_PAGES = 64,
    BALLAST_PAGE_BYTES = 4000, /* with its header one page of LMDB: no run of pages is needed */
    DISK_FULL_BYTES = 1024 * 1024,
};

/* The disk failed in the middle of a commit: what is on it is the truth, whatever was in memory. */
static fault_code open_again(struct queue *queue, struct fault *reterr) {
    const struct queue_settings settings = {
        .path = queue->path, .bytes_max = queue->bytes_max, .map_bytes = queue->map_bytes};
    queue->kv = kv_close(queue->kv);
    if (!queue_store_open(&settings, queue, reterr)) return FAULT_NONE;
    queue->kv = kv_close(queue->kv);
    return fault_wrap(reterr, "open the queue again");
}

fault_code queue_store_read(struct queue *queue, struct kv_txn **ret_txn, struct fault *reterr) {
    if (queue->kv) return kv_begin_read(queue->kv, ret_txn, reterr);
    return fault_set(reterr, FAULT_SYSTEM, "the disk of '%s' failed, and it could not be opened again yet",
                     queue->path);
}

fault_code queue_store_begin(struct queue *queue, struct kv_txn **ret_txn, struct fault *reterr) {
    fault_code code = queue->kv ? kv_begin_write(queue->kv, ret_txn, reterr) : FAULT_SYSTEM;
    if (code && (!queue->kv || kv_broken(queue->kv))) {
        code = open_again(queue, reterr);
        if (!code) code = kv_begin_write(queue->kv, ret_txn, reterr);
    }
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

fault_code queue_store_commit(struct queue *queue, struct kv_txn *txn, struct fault *reterr) {
    fault_code code = queue_book_store(&queue->draft, txn, queue->book_table, reterr);
    if (code) {
        kv_abort(txn);
        return code;
    }
    code = kv_commit(txn, reterr);
    if (code == FAULT_SYSTEM && disk_is_full(queue))
        return fault_set(reterr, FAULT_LIMIT, "commit to '%s': no space left on the disk", queue->path);
    if (code) return code;
    queue->commits++;
    queue->book = queue->draft;
    return FAULT_NONE;
}

fault_code queue_store_open(const struct queue_settings *settings, struct queue *queue, struct fault *reterr) {
    const struct kv_settings store = {
        .path = settings->path,
        .map_bytes = settings->map_bytes ? settings->map_bytes : 4 * settings->bytes_max + 64ull * 1024 * 1024,
        .tables_max = 8,
        .readers_max = 16,
        .sync = KV_SYNC_FULL,
    };
    queue->map_bytes = settings->map_bytes;
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
    return queue_store_commit(queue, txn, reterr);
}

fault_code queue_store_take_ballast(struct queue *queue, struct kv_txn *txn, struct fault *reterr) {
    memset(queue->record, 0, BALLAST_PAGE_BYTES);
    for (uint8_t page = 0; page < BALLAST_PAGES; page++) {
        const fault_code code =
            kv_put(txn, queue->ballast_table, slice_of(&page, 1), slice_of(queue->record, BALLAST_PAGE_BYTES), reterr);
        if (code) return code;
    }
    return FAULT_NONE;
}

void queue_store_throw_off_ballast(struct queue *queue) {
    struct kv_txn *txn = NULL;
    if (!queue->ballast || !queue->kv || kv_begin_write(queue->kv, &txn, NULL)) return;
    for (uint8_t page = 0; page < BALLAST_PAGES; page++) {
        if (!kv_delete(txn, queue->ballast_table, slice_of(&page, 1), NULL)) continue;
        kv_abort(txn);
        return;
    }
    if (!kv_commit(txn, NULL)) queue->ballast = false;
}
