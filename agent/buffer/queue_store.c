/* SPDX-License-Identifier: Apache-2.0
 * Every change is one transaction over a draft of the book. Draft and records are committed together, and only then
 * does the draft become the book: a fault leaves memory and disk as they were, and the caller may try again.
 *
 * LMDB needs free pages in order to delete; hence the map is several times the quota, and quotas are enforced when
 * appending, long before the map is full. A full disk can come sooner, though, and with it a store that can neither
 * grow nor shrink: so it holds ballast, pages that are thrown off when an append fails, and that acknowledging then
 * has. Appending begins again when there is room for the ballast as well. */
#include "agent/buffer/queue_store.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    BALLAST_PAGES = 64,
    BALLAST_PAGE_BYTES = 4000, /* with its header one page of LMDB: no run of pages is needed */
};

fault_code queue_store_prepare(const struct queue_settings *settings, struct queue_store *ret_store,
                               struct fault *reterr) {
    struct queue_store store = {
        .map_bytes = settings->map_bytes ? settings->map_bytes : 4 * settings->bytes_max + 64ull * 1024 * 1024,
        .bytes_max = settings->bytes_max,
        .record = malloc(RECORD_HEADER_BYTES + QUEUE_RECORD_BYTES_MAX),
    };
    if (!store.record) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    if ((size_t)snprintf(store.path, sizeof store.path, "%s", settings->path) >= sizeof store.path) {
        free(store.record);
        return fault_set(reterr, FAULT_INPUT, "the queue's path is longer than %zu bytes", sizeof store.path - 1);
    }
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++)
        store.reserve_bytes[class] = settings->bytes_max / 100 * settings->reserve_percent[class];
    *ret_store = store;
    return FAULT_NONE;
}

void queue_store_close(struct queue_store *store) {
    store->kv = kv_close(store->kv);
}

void queue_store_end(struct queue_store *store) {
    queue_store_close(store);
    free(store->record);
    store->record = NULL;
}

/* The disk failed in the middle of a commit: what is on it is the truth, whatever was in memory. */
static fault_code open_again(struct queue_store *store, struct fault *reterr) {
    queue_store_close(store);
    if (!queue_store_open(store, reterr)) return FAULT_NONE;
    queue_store_close(store);
    return fault_wrap(reterr, "open the queue again");
}

fault_code queue_store_read(struct queue_store *store, struct kv_txn **ret_txn, struct fault *reterr) {
    if (store->kv) return kv_begin_read(store->kv, ret_txn, reterr);
    return fault_set(reterr, FAULT_SYSTEM, "the disk of '%s' failed, and it could not be opened again yet",
                     store->path);
}

fault_code queue_store_begin(struct queue_store *store, struct kv_txn **ret_txn, struct fault *reterr) {
    fault_code code = store->kv ? kv_begin_write(store->kv, ret_txn, reterr) : FAULT_SYSTEM;
    if (code && (!store->kv || kv_broken(store->kv))) {
        code = open_again(store, reterr);
        if (!code) code = kv_begin_write(store->kv, ret_txn, reterr);
    }
    if (code) return code;
    store->draft = store->book;
    memset(store->draft.dirty, 0, sizeof store->draft.dirty);
    store->draft.log_dirty = false;
    return FAULT_NONE;
}

fault_code queue_store_commit(struct queue_store *store, struct kv_txn *txn, struct fault *reterr) {
    fault_code code = queue_book_store(&store->draft, txn, store->book_table, reterr);
    if (code) {
        kv_abort(txn);
        return code;
    }
    code = kv_commit(txn, reterr);
    if (code) return code;
    store->commits++;
    store->book = store->draft;
    return FAULT_NONE;
}

fault_code queue_store_open(struct queue_store *store, struct fault *reterr) {
    const struct kv_settings environment = {
        .path = store->path,
        .map_bytes = store->map_bytes,
        .tables_max = 8,
        .readers_max = 16,
        .sync = KV_SYNC_FULL,
        .release_after = 1,
    };
    fault_code code = kv_open(&environment, &store->kv, reterr);
    if (code) return code;
    const struct {
        const char *name;
        kv_table *table;
    } tables[] = {
        {"book", &store->book_table},
        {"notes", &store->notes_table},
        {"quarantine", &store->quarantine_table},
        {"ballast", &store->ballast_table},
        {"records.health", &store->records_tables[QUEUE_HEALTH]},
        {"records.windows", &store->records_tables[QUEUE_WINDOWS]},
        {"records.rest", &store->records_tables[QUEUE_REST]},
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        code = kv_table_open(store->kv, tables[i].name, tables[i].table, reterr);
        if (code) return code;
    }
    struct kv_txn *txn = NULL;
    code = kv_begin_write(store->kv, &txn, reterr);
    if (code) return code;
    uint64_t ballast_pages = 0;
    if (kv_table_count(txn, store->ballast_table, &ballast_pages, reterr)) {
        kv_abort(txn);
        return FAULT_SYSTEM;
    }
    store->ballast = ballast_pages == BALLAST_PAGES;
    code = queue_book_load(txn, store->book_table, &store->book, reterr);
    if (code != FAULT_ABSENT) {
        kv_abort(txn);
        return code;
    }
    store->made = true;
    store->draft = (struct queue_book){.epoch = uuid_v7_new(), .next_stream = 1};
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++)
        (void)queue_book_add_stream(&store->draft, (enum queue_class) class);
    return queue_store_commit(store, txn, reterr);
}

fault_code queue_store_take_ballast(struct queue_store *store, struct kv_txn *txn, struct fault *reterr) {
    memset(store->record, 0, BALLAST_PAGE_BYTES);
    for (uint8_t page = 0; page < BALLAST_PAGES; page++) {
        const fault_code code =
            kv_put(txn, store->ballast_table, slice_of(&page, 1), slice_of(store->record, BALLAST_PAGE_BYTES), reterr);
        if (code) return code;
    }
    return FAULT_NONE;
}

void queue_store_throw_off_ballast(struct queue_store *store) {
    struct kv_txn *txn = NULL;
    if (!store->ballast || !store->kv || kv_begin_write(store->kv, &txn, NULL)) return;
    for (uint8_t page = 0; page < BALLAST_PAGES; page++) {
        if (!kv_delete(txn, store->ballast_table, slice_of(&page, 1), NULL)) continue;
        kv_abort(txn);
        return;
    }
    if (!kv_commit(txn, NULL)) store->ballast = false;
}
