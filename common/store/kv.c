/* SPDX-License-Identifier: Apache-2.0
 * LMDB turned into slices and faults. Thread-local reader slots are off (MDB_NOTLS), because servers read on pooled
 * threads and a read transaction belongs to an object here, not to a thread. Read-ahead is off: our tables are
 * larger than what is looked at. A record in LMDB's own page is lent as it is: no copy on the way out. */
#include "common/store/kv.h"
#include "common/store/kv_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    IDLE_READS_MAX = 16,
    PATH_BYTES = 512,
    READERS_FILE_HEAD_BYTES = 256,
    READER_BYTES = 64,
    DISK_FULL_BYTES = 1024 * 1024
};

struct kv {
    MDB_env *env;
    char path[256];
    bool read_only, broken;
    pthread_mutex_t lock;
    struct kv_txn *idle; /* read transactions that hold no snapshot, kept for the next reads; through ->next */
    size_t idle_count;
    unsigned release_after, written; /* see kv_settings; records written since */
    struct kv_pages pages; /* found when they are given back the first time; LMDB maps once for an environment's life */
};

struct kv_txn {
    struct kv_txn *next;
    MDB_txn *txn;
    struct kv *kv;
    bool reads;
};

struct kv_cursor {
    MDB_cursor *cursor;
    struct kv_txn *txn;
};

/* LMDB says EIO when a write came out short, which is how a disk gets full. */
static bool disk_is_full(const struct kv *kv) {
    struct statvfs disk;
    return statvfs(kv->path, &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize < DISK_FULL_BYTES;
}

static fault_code fault_from(int rc, const struct kv *kv, const char *what, struct fault *reterr) {
    switch (rc) {
    case MDB_MAP_FULL:
        return fault_set(reterr, FAULT_LIMIT, "%s '%s': store full (its map size is reached)", what, kv->path);
    case EIO:
        if (!disk_is_full(kv)) return fault_set(reterr, FAULT_SYSTEM, "%s '%s': %s", what, kv->path, strerror(rc));
        __attribute__((fallthrough));
    case ENOSPC: return fault_set(reterr, FAULT_LIMIT, "%s '%s': no space left on the disk", what, kv->path);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return fault_set(reterr, FAULT_CORRUPT, "%s '%s': the file is damaged or not ours: %s", what, kv->path,
                         mdb_strerror(rc));
    case MDB_KEYEXIST:
        return fault_set(reterr, FAULT_CONFLICT, "%s '%s': key is not in order or exists already", what, kv->path);
    case MDB_READERS_FULL:
        return fault_set(reterr, FAULT_LIMIT, "%s '%s': too many readers at one time", what, kv->path);
    default: return fault_set(reterr, FAULT_SYSTEM, "%s '%s': %s", what, kv->path, mdb_strerror(rc));
    }
}

static MDB_val value_of(slice bytes) {
    return (MDB_val){.mv_size = bytes.size, .mv_data = (void *)(uintptr_t)bytes.data};
}

static struct kv *kv_new(const char *path) {
    struct kv *kv = calloc(1, sizeof *kv);
    if (!kv) return NULL;
    pthread_mutex_init(&kv->lock, NULL);
    snprintf(kv->path, sizeof kv->path, "%s", path);
    return kv;
}

static size_t file_bytes(const char *folder, const char *name, char *ret_path, size_t path_size) {
    struct stat found;
    if ((size_t)snprintf(ret_path, path_size, "%s/%s", folder, name) >= path_size || stat(ret_path, &found)) return 0;
    return (size_t)found.st_size;
}

/* The table of readers is a file that LMDB makes with holes in it and maps: on a full disk the first touch of a hole
 * ends the process (SIGBUS). So its bytes are asked for before. Only who makes the file gives it a size: others have
 * mapped what it had. ENOSPC, or 0, also where it cannot be made at all: LMDB has its own way with that. */
static int readers_file_fill(const char *folder, unsigned readers_max) {
    char path[PATH_BYTES];
    const size_t there = file_bytes(folder, "lock.mdb", path, sizeof path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    const bool made = fd >= 0;
    if (fd < 0 && errno == ENOSPC) return ENOSPC;
    if (fd < 0) fd = open(path, O_RDWR | O_CLOEXEC);
    const size_t wanted = made ? READERS_FILE_HEAD_BYTES + (size_t)readers_max * READER_BYTES : there;
    if (fd < 0) return 0;
    const int rc = wanted && fallocate(fd, 0, 0, (off_t)wanted) && errno == ENOSPC ? ENOSPC : 0;
    if (rc && made) (void)unlink(path);
    close(fd);
    return rc;
}

/* Where LMDB could not write the first pages of a new store, what it left is no store, and would be called damaged. */
static void unmade_drop(const char *folder, size_t bytes_before) {
    char path[PATH_BYTES];
    if (bytes_before == 0 && file_bytes(folder, "data.mdb", path, sizeof path)) (void)unlink(path);
}

fault_code kv_open(const struct kv_settings *settings, struct kv **ret_kv, struct fault *reterr) {
    struct kv *kv = kv_new(settings->path);
    if (!kv) return fault_set(reterr, FAULT_LIMIT, "open store '%s': out of memory", settings->path);
    if (mkdir(settings->path, 0700) && errno != EEXIST) {
        const int reason = errno;
        free(kv);
        return fault_set_errno(reterr, FAULT_SYSTEM, reason, "make store folder '%s'", settings->path);
    }
    char path[PATH_BYTES];
    const size_t bytes_before = file_bytes(settings->path, "data.mdb", path, sizeof path);
    unsigned flags = MDB_NOTLS | MDB_NORDAHEAD;
    if (settings->sync == KV_SYNC_NONE) flags |= MDB_NOSYNC;
    int rc = mdb_env_create(&kv->env);
    if (!rc) rc = mdb_env_set_mapsize(kv->env, settings->map_bytes);
    if (!rc) rc = mdb_env_set_maxdbs(kv->env, settings->tables_max);
    if (!rc) rc = mdb_env_set_maxreaders(kv->env, settings->readers_max);
    if (!rc) rc = readers_file_fill(settings->path, settings->readers_max);
    if (!rc) rc = mdb_env_open(kv->env, settings->path, flags, 0600);
    if (rc) {
        const fault_code code = fault_from(rc, kv, "open store", reterr);
        if (kv->env) mdb_env_close(kv->env);
        unmade_drop(settings->path, bytes_before);
        free(kv);
        return code;
    }
    kv->release_after = settings->release_after;
    kv_drop_dead_readers(kv);
    *ret_kv = kv;
    return FAULT_NONE;
}

fault_code kv_open_read(const char *path, unsigned tables_max, unsigned readers_max, struct kv **ret_kv,
                        struct fault *reterr) {
    struct kv *kv = kv_new(path);
    if (!kv) return fault_set(reterr, FAULT_LIMIT, "open store '%s': out of memory", path);
    kv->read_only = true;
    char file[PATH_BYTES];
    int rc = mdb_env_create(&kv->env);
    if (!rc) rc = mdb_env_set_maxdbs(kv->env, tables_max);
    if (!rc) rc = mdb_env_set_maxreaders(kv->env, readers_max);
    if (!rc && file_bytes(path, "data.mdb", file, sizeof file)) rc = readers_file_fill(path, readers_max);
    if (!rc) rc = mdb_env_open(kv->env, path, MDB_RDONLY | MDB_NOTLS, 0600);
    if (rc) {
        const fault_code code = rc == ENOENT ? fault_set(reterr, FAULT_ABSENT, "there is no store in '%s'", path)
                                             : fault_from(rc, kv, "open store", reterr);
        if (kv->env) mdb_env_close(kv->env);
        pthread_mutex_destroy(&kv->lock);
        free(kv);
        return code;
    }
    kv_drop_dead_readers(kv);
    *ret_kv = kv;
    return FAULT_NONE;
}

/* Slots that a killed process left behind keep old pages alive for ever. */
void kv_drop_dead_readers(struct kv *kv) {
    int dead_readers = 0;
    mdb_reader_check(kv->env, &dead_readers);
}

fault_code kv_copy(struct kv *kv, const char *file, struct fault *reterr) {
    const int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "make '%s'", file);
    const int rc = mdb_env_copyfd2(kv->env, fd, MDB_CP_COMPACT);
    fault_code code = rc ? fault_from(rc, kv, "copy store", reterr) : FAULT_NONE;
    if (!code && fsync(fd)) code = fault_set_errno(reterr, FAULT_SYSTEM, errno, "write '%s' to the disk", file);
    if (close(fd) && !code) code = fault_set_errno(reterr, FAULT_SYSTEM, errno, "write '%s'", file);
    if (code) (void)unlink(file);
    return code;
}

struct kv *kv_close(struct kv *kv) {
    if (!kv) return NULL;
    for (struct kv_txn *txn = kv->idle, *next; txn; txn = next) {
        next = txn->next;
        mdb_txn_abort(txn->txn);
        free(txn);
    }
    pthread_mutex_destroy(&kv->lock);
    mdb_env_close(kv->env);
    free(kv);
    return NULL;
}

bool kv_broken(const struct kv *kv) {
    return kv->broken;
}

fault_code kv_table_open(struct kv *kv, const char *name, kv_table *ret_table, struct fault *reterr) {
    MDB_txn *txn = NULL;
    MDB_dbi table = 0;
    int rc = mdb_txn_begin(kv->env, NULL, kv->read_only ? MDB_RDONLY : 0, &txn);
    if (rc) return fault_from(rc, kv, "open table in", reterr);
    rc = mdb_dbi_open(txn, name, kv->read_only ? 0 : MDB_CREATE, &table);
    if (rc)
        mdb_txn_abort(txn);
    else
        rc = mdb_txn_commit(txn);
    if (rc == MDB_NOTFOUND) {
        table = KV_TABLE_NONE;
        rc = 0;
    }
    if (rc) return fault_from(rc, kv, "open table in", reterr);
    *ret_table = table;
    return FAULT_NONE;
}

static fault_code txn_begin(struct kv *kv, unsigned flags, struct kv_txn **ret_txn, struct fault *reterr) {
    struct kv_txn *txn = malloc(sizeof *txn);
    if (!txn) return fault_set(reterr, FAULT_LIMIT, "begin transaction in '%s': out of memory", kv->path);
    txn->kv = kv;
    txn->reads = flags & MDB_RDONLY;
    const int rc = mdb_txn_begin(kv->env, NULL, flags, &txn->txn);
    if (rc) {
        if (rc == MDB_PANIC) kv->broken = true;
        free(txn);
        return fault_from(rc, kv, "begin transaction in", reterr);
    }
    *ret_txn = txn;
    return FAULT_NONE;
}

fault_code kv_begin_write(struct kv *kv, struct kv_txn **ret_txn, struct fault *reterr) {
    return txn_begin(kv, 0, ret_txn, reterr);
}

fault_code kv_begin_read(struct kv *kv, struct kv_txn **ret_txn, struct fault *reterr) {
    pthread_mutex_lock(&kv->lock);
    struct kv_txn *txn = kv->idle;
    if (txn) {
        kv->idle = txn->next;
        kv->idle_count--;
    }
    pthread_mutex_unlock(&kv->lock);
    if (!txn) return txn_begin(kv, MDB_RDONLY, ret_txn, reterr);
    if (kv_resume(txn, reterr)) {
        mdb_txn_abort(txn->txn);
        free(txn);
        return txn_begin(kv, MDB_RDONLY, ret_txn, reterr);
    }
    *ret_txn = txn;
    return FAULT_NONE;
}

fault_code kv_commit(struct kv_txn *txn, struct fault *reterr) {
    struct kv *kv = txn->kv;
    const int rc = mdb_txn_commit(txn->txn);
    free(txn);
    if (kv->release_after && kv->written >= kv->release_after) kv_release_pages(kv);
    return rc ? fault_from(rc, kv, "commit to", reterr) : FAULT_NONE;
}

void kv_abort(struct kv_txn *txn) {
    if (!txn) return;
    struct kv *kv = txn->kv;
    if (txn->reads) {
        mdb_txn_reset(txn->txn); /* lets the snapshot go; the place in the table of readers stays */
        pthread_mutex_lock(&kv->lock);
        const bool kept = kv->idle_count < IDLE_READS_MAX;
        if (kept) {
            txn->next = kv->idle;
            kv->idle = txn;
            kv->idle_count++;
        }
        pthread_mutex_unlock(&kv->lock);
        if (kept) return;
    }
    mdb_txn_abort(txn->txn);
    free(txn);
}

uint64_t kv_snapshot(const struct kv_txn *txn) {
    return mdb_txn_id(txn->txn);
}

void kv_pause(struct kv_txn *txn) {
    mdb_txn_reset(txn->txn);
}

fault_code kv_resume(struct kv_txn *txn, struct fault *reterr) {
    const int rc = mdb_txn_renew(txn->txn);
    return rc ? fault_from(rc, txn->kv, "renew reading of", reterr) : FAULT_NONE;
}

fault_code kv_get(struct kv_txn *txn, kv_table table, slice key, slice *ret_value, struct fault *reterr) {
    if (table == KV_TABLE_NONE) return FAULT_ABSENT;
    MDB_val k = value_of(key), v;
    const int rc = mdb_get(txn->txn, table, &k, &v);
    if (rc == MDB_NOTFOUND) return FAULT_ABSENT;
    if (rc) return fault_from(rc, txn->kv, "read from", reterr);
    *ret_value = slice_of(v.mv_data, v.mv_size);
    return FAULT_NONE;
}

static fault_code put(struct kv_txn *txn, kv_table table, slice key, slice value, unsigned flags,
                      struct fault *reterr) {
    MDB_val k = value_of(key), v = value_of(value);
    txn->kv->written++;
    const int rc = mdb_put(txn->txn, table, &k, &v, flags);
    return rc ? fault_from(rc, txn->kv, "write to", reterr) : FAULT_NONE;
}

fault_code kv_put(struct kv_txn *txn, kv_table table, slice key, slice value, struct fault *reterr) {
    return put(txn, table, key, value, 0, reterr);
}

fault_code kv_append(struct kv_txn *txn, kv_table table, slice key, slice value, struct fault *reterr) {
    return put(txn, table, key, value, MDB_APPEND, reterr);
}

fault_code kv_delete(struct kv_txn *txn, kv_table table, slice key, struct fault *reterr) {
    MDB_val k = value_of(key);
    const int rc = mdb_del(txn->txn, table, &k, NULL);
    return rc && rc != MDB_NOTFOUND ? fault_from(rc, txn->kv, "delete from", reterr) : FAULT_NONE;
}

fault_code kv_table_count(struct kv_txn *txn, kv_table table, uint64_t *ret_records, struct fault *reterr) {
    MDB_stat stat = {0};
    const int rc = table == KV_TABLE_NONE ? 0 : mdb_stat(txn->txn, table, &stat);
    if (rc) return fault_from(rc, txn->kv, "count records of", reterr);
    *ret_records = stat.ms_entries;
    return FAULT_NONE;
}

fault_code kv_cursor_open(struct kv_txn *txn, kv_table table, struct kv_cursor **ret_cursor, struct fault *reterr) {
    struct kv_cursor *cursor = malloc(sizeof *cursor);
    if (!cursor) return fault_set(reterr, FAULT_LIMIT, "open cursor in '%s': out of memory", txn->kv->path);
    cursor->txn = txn;
    cursor->cursor = NULL;
    const int rc = table == KV_TABLE_NONE ? 0 : mdb_cursor_open(txn->txn, table, &cursor->cursor);
    if (rc) {
        free(cursor);
        return fault_from(rc, txn->kv, "open cursor in", reterr);
    }
    *ret_cursor = cursor;
    return FAULT_NONE;
}

void kv_cursor_close(struct kv_cursor *cursor) {
    if (!cursor) return;
    if (cursor->cursor) mdb_cursor_close(cursor->cursor);
    free(cursor);
}

static fault_code move(struct kv_cursor *cursor, MDB_cursor_op op, MDB_val key, slice *ret_key, slice *ret_value,
                       struct fault *reterr) {
    MDB_val value;
    if (!cursor->cursor) return FAULT_ABSENT; /* of KV_TABLE_NONE */
    const int rc = mdb_cursor_get(cursor->cursor, &key, &value, op);
    if (rc == MDB_NOTFOUND) return FAULT_ABSENT;
    if (rc) return fault_from(rc, cursor->txn->kv, "read from", reterr);
    *ret_key = slice_of(key.mv_data, key.mv_size);
    *ret_value = slice_of(value.mv_data, value.mv_size);
    return FAULT_NONE;
}

fault_code kv_cursor_seek(struct kv_cursor *cursor, slice key_at_least, slice *ret_key, slice *ret_value,
                          struct fault *reterr) {
    /* LMDB refuses an empty key, which asks for the first record. */
    if (key_at_least.size == 0) return move(cursor, MDB_FIRST, (MDB_val){0}, ret_key, ret_value, reterr);
    return move(cursor, MDB_SET_RANGE, value_of(key_at_least), ret_key, ret_value, reterr);
}

fault_code kv_cursor_next(struct kv_cursor *cursor, slice *ret_key, slice *ret_value, struct fault *reterr) {
    return move(cursor, MDB_NEXT, (MDB_val){0}, ret_key, ret_value, reterr);
}

fault_code kv_cursor_previous(struct kv_cursor *cursor, slice *ret_key, slice *ret_value, struct fault *reterr) {
    return move(cursor, MDB_PREV, (MDB_val){0}, ret_key, ret_value, reterr);
}

fault_code kv_cursor_last(struct kv_cursor *cursor, slice *ret_key, slice *ret_value, struct fault *reterr) {
    return move(cursor, MDB_LAST, (MDB_val){0}, ret_key, ret_value, reterr);
}

fault_code kv_cursor_delete(struct kv_cursor *cursor, struct fault *reterr) {
    const int rc = mdb_cursor_del(cursor->cursor, 0);
    return rc ? fault_from(rc, cursor->txn->kv, "delete from", reterr) : FAULT_NONE;
}

fault_code kv_flush(struct kv *kv, struct fault *reterr) {
    const int rc = mdb_env_sync(kv->env, 1);
    return rc ? fault_from(rc, kv, "flush", reterr) : FAULT_NONE;
}

/* The free list is LMDB's table 0: each value is a count followed by that many page numbers. */
static uint64_t free_pages(MDB_txn *txn) {
    MDB_cursor *cursor;
    uint64_t pages = 0;
    if (mdb_cursor_open(txn, 0, &cursor)) return 0;
    for (MDB_val key, value; mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0;) {
        size_t count;
        memcpy(&count, value.mv_data, sizeof count);
        pages += count;
    }
    mdb_cursor_close(cursor);
    return pages;
}

void kv_release_pages(struct kv *kv) {
    kv->written = 0;
    if (!kv->pages.to) kv->pages = kv_pages_find(kv->path);
    kv_pages_release(kv->pages);
}

fault_code kv_stats(struct kv *kv, struct kv_stats *ret_stats, struct fault *reterr) {
    MDB_envinfo info;
    MDB_stat stat;
    MDB_txn *txn;
    mdb_env_info(kv->env, &info);
    mdb_env_stat(kv->env, &stat);
    const int rc = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &txn);
    if (rc) return fault_from(rc, kv, "read statistics of", reterr);
    *ret_stats = (struct kv_stats){
        .map_bytes = info.me_mapsize,
        .used_bytes = (info.me_last_pgno + 1) * stat.ms_psize,
        .free_bytes = free_pages(txn) * stat.ms_psize,
    };
    mdb_txn_abort(txn);
    return FAULT_NONE;
}
