/* SPDX-License-Identifier: Apache-2.0
 * A checkpoint after every scrape would be an fsync after every scrape, so this store leaves the writing to the
 * kernel: the page cache outlives kill -9, and nothing else is asked of it. What the cache loses (power, panic) would
 * be found half written, hence the boot id: the file counts only under the kernel that holds its pages.
 *
 * Rows: "\0boot" -> boot id; 'c' key -> crc32c, generation, bytes. A generation that is not the asked one is absent:
 * after a seal the queue's note is newer than every checkpoint written before it. */
#include "agent/buffer/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/checksum.h"
#include "common/base/clock.h"
#include "common/base/whole_file.h"
#include "common/store/kv.h"
#include "common/store/kv_file.h"

enum { KEY_BYTES_MAX = 400, HEADER_BYTES = 12, BOOT_ID_BYTES_MAX = 64, FAULT_KEPT_MS = 5 * 60 * 1000 };
static const uint8_t boot_key[] = {0, 'b', 'o', 'o', 't'};

struct state {
    char path[256];
    uint64_t map_bytes;
    struct kv *kv; /* NULL: the disk failed, and it could not be opened again yet */
    kv_table table;
    uint8_t *record; /* where a checkpoint gets its header; grows to the largest one seen */
    size_t record_bytes;
    struct fault fault; /* of the key that failed last */
    uint8_t failed_key[KEY_BYTES_MAX];
    size_t failed_key_bytes;
    int64_t failed_ms; /* monotonic */
};

static fault_code read_boot_id(char ret_text[BOOT_ID_BYTES_MAX + 1], struct fault *reterr) {
    static const char path[] = "/proc/sys/kernel/random/boot_id";
    size_t size = 0;
    if (whole_file_read("boot id", path, ret_text, BOOT_ID_BYTES_MAX, &size, reterr)) return FAULT_SYSTEM;
    ret_text[size] = '\0';
    ret_text[strcspn(ret_text, "\n")] = '\0';
    return FAULT_NONE;
}

static fault_code open_store(struct state *state, struct fault *reterr) {
    const struct kv_settings store = {
        .path = state->path,
        .map_bytes = state->map_bytes ? state->map_bytes : 256ull * 1024 * 1024,
        .tables_max = 2,
        .readers_max = 4,
        .sync = KV_SYNC_NONE,
        .release_after = 4,
    };
    const fault_code code = kv_open(&store, &state->kv, reterr);
    return code ? code : kv_table_open(state->kv, "state", &state->table, reterr);
}

/* After a disk that failed in the middle of a commit the store must be opened again. */
static fault_code begin_write(struct state *state, struct kv_txn **ret_txn, struct fault *reterr) {
    const fault_code code = state->kv ? kv_begin_write(state->kv, ret_txn, reterr) : FAULT_SYSTEM;
    if (!code || (state->kv && !kv_broken(state->kv))) return code;
    state->kv = kv_close(state->kv);
    if (!open_store(state, reterr)) return kv_begin_write(state->kv, ret_txn, reterr);
    state->kv = kv_close(state->kv);
    return fault_wrap(reterr, "open the checkpoints again");
}

/* Whether the file was written under this boot. */
static fault_code same_boot(struct state *state, slice boot_id, bool *ret_same, struct fault *reterr) {
    struct kv_txn *txn = NULL;
    fault_code code = kv_begin_write(state->kv, &txn, reterr);
    if (code) return code;
    slice stored;
    code = kv_get(txn, state->table, slice_of(boot_key, sizeof boot_key), &stored, reterr);
    if (code == FAULT_NONE) {
        *ret_same = slice_equal(stored, boot_id);
        kv_abort(txn);
        return FAULT_NONE;
    }
    if (code == FAULT_ABSENT) code = kv_put(txn, state->table, slice_of(boot_key, sizeof boot_key), boot_id, reterr);
    if (code) {
        kv_abort(txn);
        return code;
    }
    *ret_same = true;
    return kv_commit(txn, reterr);
}

static fault_code remove_files(const char *path, struct fault *reterr) {
    static const char *const files[] = {"data.mdb", "lock.mdb"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char file[512];
        snprintf(file, sizeof file, "%s/%s", path, files[i]);
        if (unlink(file) && errno != ENOENT) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "remove '%s'", file);
    }
    return FAULT_NONE;
}

fault_code state_open(const struct state_settings *settings, struct state **ret_state, bool *ret_emptied,
                      struct fault *reterr) {
    char boot_text[BOOT_ID_BYTES_MAX + 1] = "";
    if (!settings->boot_id && read_boot_id(boot_text, reterr))
        return fault_wrap(reterr, "open state '%s'", settings->path);
    const slice boot_id = slice_from_text(settings->boot_id ? settings->boot_id : boot_text);
    struct state *state = calloc(1, sizeof *state);
    if (!state) return fault_set(reterr, FAULT_LIMIT, "open state '%s': out of memory", settings->path);
    snprintf(state->path, sizeof state->path, "%s", settings->path);
    state->map_bytes = settings->map_bytes;
    bool same = false, emptied = false;
    fault_code code = kv_file_check(settings->path, reterr); /* a power cut may leave any bytes in it */
    if (!code) code = open_store(state, reterr);
    if (!code) code = same_boot(state, boot_id, &same, reterr);
    if (code == FAULT_CORRUPT || (!code && !same)) {
        emptied = true;
        state->kv = kv_close(state->kv);
        code = remove_files(settings->path, reterr);
        if (!code) code = open_store(state, reterr);
        if (!code) code = same_boot(state, boot_id, &same, reterr);
    }
    if (code) {
        state_close(state);
        return fault_wrap(reterr, "open state '%s'", settings->path);
    }
    *ret_state = state;
    if (ret_emptied) *ret_emptied = emptied;
    return FAULT_NONE;
}

struct state *state_close(struct state *state) {
    if (!state) return NULL;
    kv_close(state->kv);
    free(state->record);
    free(state);
    return NULL;
}

static fault_code row_key(slice key, uint8_t buffer[KEY_BYTES_MAX + 1], slice *ret_key, struct fault *reterr) {
    if (key.size == 0 || key.size > KEY_BYTES_MAX)
        return fault_set(reterr, FAULT_LIMIT, "a checkpoint's key of %zu bytes: 1 to %d are possible", key.size,
                         KEY_BYTES_MAX);
    buffer[0] = 'c';
    memcpy(buffer + 1, key.data, key.size);
    *ret_key = slice_of(buffer, key.size + 1);
    return FAULT_NONE;
}

static fault_code put_row(struct state *state, slice row, uint64_t generation, slice value, struct fault *reterr) {
    if (state->record_bytes < value.size + HEADER_BYTES) {
        const size_t bytes = (value.size + HEADER_BYTES) * 3 / 2;
        uint8_t *const larger = realloc(state->record, bytes);
        if (!larger) return fault_set(reterr, FAULT_LIMIT, "checkpoint of %zu bytes: out of memory", value.size);
        state->record = larger;
        state->record_bytes = bytes;
    }
    kv_store_u64(state->record + 4, generation);
    if (value.size) memcpy(state->record + HEADER_BYTES, value.data, value.size);
    kv_store_u32(state->record, checksum_crc32c(checksum_crc32c(0, row), slice_of(state->record + 4, value.size + 8)));
    struct kv_txn *txn = NULL;
    fault_code code = begin_write(state, &txn, reterr);
    if (code) return fault_wrap(reterr, "store checkpoint");
    code = kv_put(txn, state->table, row, slice_of(state->record, value.size + HEADER_BYTES), reterr);
    if (code)
        kv_abort(txn);
    else
        code = kv_commit(txn, reterr);
    return code ? fault_wrap(reterr, "store checkpoint") : FAULT_NONE;
}

static bool failed_is(const struct state *state, slice key) {
    return slice_equal(key, slice_of(state->failed_key, state->failed_key_bytes));
}

fault_code state_put(struct state *state, slice key, uint64_t generation, slice value, struct fault *reterr) {
    uint8_t buffer[KEY_BYTES_MAX + 1];
    slice row = {0};
    struct fault fault;
    if (row_key(key, buffer, &row, reterr)) return FAULT_LIMIT;
    const fault_code code = put_row(state, row, generation, value, &fault);
    if (code) {
        state->fault = fault;
        state->failed_ms = clock_monotonic_ms();
        state->failed_key_bytes = key.size;
        memcpy(state->failed_key, key.data, key.size);
        if (reterr) *reterr = fault;
    } else if (state->fault.code &&
               (failed_is(state, key) || clock_monotonic_ms() - state->failed_ms >= FAULT_KEPT_MS)) {
        state->fault = (struct fault){0};
    }
    return code;
}

fault_code state_fault(const struct state *state, struct fault *ret_fault) {
    *ret_fault = state->fault;
    return state->fault.code;
}

static bool row_checks(slice row, slice stored) {
    return stored.size >= HEADER_BYTES &&
           kv_load_u32(stored.data) == checksum_crc32c(checksum_crc32c(0, row), slice_from(stored, 4));
}

fault_code state_get(struct state *state, slice key, uint64_t generation, struct arena *arena, slice *ret_value,
                     struct fault *reterr) {
    uint8_t buffer[KEY_BYTES_MAX + 1];
    slice row = {0}, stored, copy = {0};
    fault_code code = row_key(key, buffer, &row, reterr);
    if (code) return code;
    struct kv_txn *txn = NULL;
    code = state->kv ? kv_begin_read(state->kv, &txn, reterr) : fault_set(reterr, FAULT_SYSTEM, "the disk failed");
    if (code) return fault_wrap(reterr, "read checkpoint");
    code = kv_get(txn, state->table, row, &stored, reterr);
    if (!code && !row_checks(row, stored)) code = fault_set(reterr, FAULT_CORRUPT, "its bytes do not check");
    if (!code && kv_load_u64(stored.data + 4) != generation) code = FAULT_ABSENT;
    if (!code) {
        copy = arena_copy(arena, slice_from(stored, HEADER_BYTES));
        if (stored.size > HEADER_BYTES && !copy.data)
            code = fault_set(reterr, FAULT_LIMIT, "its %zu bytes do not fit into memory", stored.size);
    }
    kv_abort(txn);
    if (code == FAULT_ABSENT) return FAULT_ABSENT;
    if (code) return fault_wrap(reterr, "read checkpoint '%.*s'", SLICE_ARG(key));
    *ret_value = copy;
    return FAULT_NONE;
}

/* Walks the rows that begin so; what does not check or fit is told, and passed over. */
static fault_code list_rows(struct kv_cursor *cursor, slice first, uint64_t generation, struct arena *arena,
                            slice *ret_values, size_t values_max, size_t *ret_count, struct fault *reterr) {
    fault_code told = FAULT_NONE;
    struct fault fault;
    slice row, stored;
    fault_code code = kv_cursor_seek(cursor, first, &row, &stored, reterr);
    for (; !code && slice_starts_with(row, first); code = kv_cursor_next(cursor, &row, &stored, reterr)) {
        if (!row_checks(row, stored)) {
            told = fault_set(&fault, FAULT_CORRUPT, "the bytes of '%.*s' do not check",
                             SLICE_ARG(slice_first(slice_from(row, 1), 100)));
            continue;
        }
        if (kv_load_u64(stored.data + 4) != generation) continue;
        const slice copy = *ret_count < values_max ? arena_copy(arena, slice_from(stored, HEADER_BYTES)) : (slice){0};
        if (copy.data)
            ret_values[(*ret_count)++] = copy;
        else
            told = fault_set(&fault, FAULT_LIMIT, "there are more than %zu, or no memory is left", *ret_count);
    }
    if (code && code != FAULT_ABSENT) return code;
    return told ? fault_set(reterr, told, "%s", fault.text) : FAULT_NONE;
}

fault_code state_list(struct state *state, slice prefix, uint64_t generation, struct arena *arena, slice *ret_values,
                      size_t values_max, size_t *ret_count, struct fault *reterr) {
    uint8_t buffer[KEY_BYTES_MAX + 1];
    slice first = {0};
    *ret_count = 0;
    fault_code code = row_key(prefix, buffer, &first, reterr);
    if (code) return code;
    struct kv_txn *txn = NULL;
    struct kv_cursor *cursor = NULL;
    code = state->kv ? kv_begin_read(state->kv, &txn, reterr) : fault_set(reterr, FAULT_SYSTEM, "the disk failed");
    if (code) return fault_wrap(reterr, "list checkpoints");
    code = kv_cursor_open(txn, state->table, &cursor, reterr);
    if (!code) code = list_rows(cursor, first, generation, arena, ret_values, values_max, ret_count, reterr);
    kv_cursor_close(cursor);
    kv_abort(txn);
    return code ? fault_wrap(reterr, "list checkpoints") : FAULT_NONE;
}

fault_code state_prune(struct state *state, uint64_t generation, struct fault *reterr) {
    struct kv_txn *txn = NULL;
    struct kv_cursor *cursor = NULL;
    fault_code code = begin_write(state, &txn, reterr);
    if (code) return fault_wrap(reterr, "prune checkpoints");
    code = kv_cursor_open(txn, state->table, &cursor, reterr);
    slice key, value;
    if (!code) code = kv_cursor_seek(cursor, SLICE_LIT("c"), &key, &value, reterr);
    while (!code) {
        const uint64_t found = value.size < HEADER_BYTES ? 0 : kv_load_u64(value.data + 4);
        if (value.size < HEADER_BYTES || (found != generation && found != STATE_KEPT))
            code = kv_cursor_delete(cursor, reterr);
        if (!code) code = kv_cursor_next(cursor, &key, &value, reterr);
    }
    kv_cursor_close(cursor);
    if (code != FAULT_ABSENT) {
        kv_abort(txn);
        return fault_wrap(reterr, "prune checkpoints");
    }
    return kv_commit(txn, reterr) ? fault_wrap(reterr, "prune checkpoints") : FAULT_NONE;
}

void state_release_pages(struct state *state) {
    if (state->kv) kv_release_pages(state->kv);
}
