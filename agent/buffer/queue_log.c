/* SPDX-License-Identifier: Apache-2.0
 * Memory and file hold the same bytes (big-endian):
 *   entry: crc32c u32, size u32 (of the whole entry), number u64, now ms u64, items u32, then the note: size of its name u8,
 *          name, size of its value u32, value (both only with a name), then each item: class u8, size u32, intent
 * The CRC covers that of the entry before it too, and numbers follow one another: whatever an older log left behind the
 * last entry does not pass for the next one. The file is written from its beginning again and again and does not shrink, so
 * that a disk that got full meanwhile has its blocks; while the log is empty the first size is 0. */
#include "agent/buffer/queue_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/checksum.h"
#include "common/store/kv.h"

enum { HEAD_BYTES = 28, ITEM_HEAD_BYTES = 5, PATH_BYTES = 320, FILE_BYTES_MAX = 64 * 1024 * 1024 };

const char queue_log_name[] = "pending";

static uint32_t entry_crc(uint32_t chain, const uint8_t *entry, size_t size) {
    uint8_t before[4];
    kv_store_u32(before, chain);
    return checksum_crc32c(checksum_crc32c(0, slice_of(before, sizeof before)), slice_of(entry + 4, size - 4));
}

/* ---- reading ---- */

static bool take(slice *from, size_t size, slice *ret_piece) {
    if (from->size < size) return false;
    *ret_piece = slice_first(*from, size);
    *from = slice_from(*from, size);
    return true;
}

static bool take_note(slice *from, struct queue_log_entry *entry) {
    slice size, name, value_size, value;
    if (!take(from, 1, &size)) return false;
    if (size.data[0] == 0) return true;
    if (!take(from, size.data[0], &name) || !take(from, 4, &value_size) ||
        !take(from, kv_load_u32(value_size.data), &value))
        return false;
    entry->note_name = name;
    entry->note_value = value;
    return true;
}

bool queue_log_item(struct queue_log_entry *entry, struct queue_item *ret_item) {
    slice head, intent;
    if (!take(&entry->rest, ITEM_HEAD_BYTES, &head) || !take(&entry->rest, kv_load_u32(head.data + 1), &intent))
        return false;
    *ret_item = (struct queue_item){(enum queue_class)head.data[0], intent};
    return true;
}

bool queue_log_next(const struct queue_log *log, size_t *at, struct queue_log_entry *ret_entry) {
    if (*at == log->used) return false;
    const uint8_t *const head = log->bytes + *at;
    slice rest = slice_of(head + HEAD_BYTES, kv_load_u32(head + 4) - HEAD_BYTES);
    struct queue_log_entry entry = {.now_ms = (int64_t)kv_load_u64(head + 16)};
    *at += kv_load_u32(head + 4);
    if (!take_note(&rest, &entry)) return false;
    entry.rest = rest;
    *ret_entry = entry;
    return true;
}

bool queue_log_note(const struct queue_log *log, slice name, slice *ret_value) {
    struct queue_log_entry entry;
    bool found = false;
    for (size_t at = 0; queue_log_next(log, &at, &entry);) {
        if (!slice_equal(entry.note_name, name)) continue;
        *ret_value = entry.note_value;
        found = true;
    }
    return found;
}

/* Whether the entry is what we write: sizes fit, classes and intents are possible. */
static bool entry_fits(const struct queue_log *log, size_t at) {
    struct queue_log_entry entry = {.now_ms = 0};
    const uint8_t *const head = log->bytes + at;
    uint32_t items = kv_load_u32(head + 24);
    slice rest = slice_of(head + HEAD_BYTES, kv_load_u32(head + 4) - HEAD_BYTES);
    if (!take_note(&rest, &entry)) return false;
    entry.rest = rest;
    for (struct queue_item item; items && queue_log_item(&entry, &item); items--)
        if ((unsigned)item.class >= QUEUE_CLASSES_MAX_ || item.intent.size == 0 ||
            item.intent.size > QUEUE_RECORD_BYTES_MAX)
            return false;
    return items == 0 && entry.rest.size == 0;
}

static void count_items(struct queue_log *log) {
    struct queue_log_entry entry;
    struct queue_item item;
    memset(log->items, 0, sizeof log->items);
    for (size_t at = 0; queue_log_next(log, &at, &entry);)
        while (queue_log_item(&entry, &item)) log->items[item.class]++;
}

/* The first `size` bytes are a file's: finds where what checks ends. */
static void find_end(struct queue_log *log, size_t size) {
    log->used = log->entries = 0;
    log->chain = 0;
    for (size_t at = 0; size - at >= HEAD_BYTES;) {
        const uint8_t *const head = log->bytes + at;
        const size_t bytes = kv_load_u32(head + 4);
        if (bytes < HEAD_BYTES || bytes > size - at) break;
        const uint32_t crc = entry_crc(log->chain, head, bytes);
        const uint64_t number = kv_load_u64(head + 8);
        if (kv_load_u32(head) != crc || (log->entries && number != log->last_number + 1) || !entry_fits(log, at)) break;
        at += bytes;
        log->used = at;
        log->chain = crc;
        log->last_number = number;
        log->entries++;
    }
    count_items(log);
}

/* ---- the file ---- */

static bool write_at(const struct queue_log *log, const uint8_t *bytes, size_t size, size_t at) {
    for (size_t done = 0; done < size;) {
        const ssize_t put = pwrite(log->fd, bytes + done, size - done, (off_t)(at + done));
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        done += (size_t)put;
    }
    return true;
}

static size_t read_all(int fd, uint8_t *bytes, size_t room) {
    size_t size = 0;
    for (ssize_t got; size < room; size += (size_t)got) {
        got = pread(fd, bytes + size, room - size, (off_t)size);
        if (got < 0 && errno == EINTR) {
            got = 0;
            continue;
        }
        if (got <= 0) break; /* what cannot be read ends it */
    }
    return size;
}

static bool load(const char *folder, int flags, size_t bytes, struct queue_log *ret_log) {
    char path[PATH_BYTES];
    struct stat found = {0};
    snprintf(path, sizeof path, "%s/%s", folder, queue_log_name);
    struct queue_log log = {.fd = open(path, flags | O_CLOEXEC, 0600), .room = bytes};
    if (log.fd >= 0 && fstat(log.fd, &found) == 0 && (uint64_t)found.st_size > bytes)
        log.room = found.st_size < FILE_BYTES_MAX ? (size_t)found.st_size : FILE_BYTES_MAX;
    log.bytes = malloc(log.room);
    if (log.bytes && log.fd >= 0) find_end(&log, read_all(log.fd, log.bytes, log.room));
    if (!log.bytes && log.fd >= 0) close(log.fd);
    *ret_log = log;
    return log.bytes;
}

fault_code queue_log_open(const char *folder, size_t bytes, uint64_t applied, struct queue_log *ret_log,
                          struct fault *reterr) {
    struct queue_log log;
    if (!load(folder, O_RDWR | O_CREAT, bytes, &log))
        return fault_set(reterr, FAULT_LIMIT, "the queue's log of %zu bytes: out of memory", bytes);
    queue_log_drop_applied(&log, applied);
    *ret_log = log;
    return FAULT_NONE;
}

void queue_log_close(struct queue_log *log) {
    if (log->bytes && log->fd >= 0) close(log->fd);
    free(log->bytes);
    *log = (struct queue_log){.fd = -1};
}

uint64_t queue_log_count(const char *folder) {
    struct queue_log log;
    uint64_t count = 0;
    if (!load(folder, O_RDONLY, HEAD_BYTES, &log)) return 0;
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++) count += log.items[class];
    queue_log_close(&log);
    return count;
}

/* ---- writing ---- */

static uint8_t *put_bytes(uint8_t *to, slice bytes) {
    if (bytes.size) memcpy(to, bytes.data, bytes.size);
    return to + bytes.size;
}

bool queue_log_put(struct queue_log *log, const struct queue_item *items, size_t count, const struct queue_note *note,
                   int64_t now_ms) {
    const slice name = note ? slice_from_text(note->name) : (slice){0};
    size_t size = HEAD_BYTES + 1 + (note ? name.size + 4 + note->value.size : 0);
    for (size_t i = 0; i < count; i++) size += ITEM_HEAD_BYTES + items[i].intent.size;
    if (log->fd < 0 || size > log->room - log->used) return false;
    uint8_t *const entry = log->bytes + log->used, *to = entry + HEAD_BYTES;
    kv_store_u32(entry + 4, (uint32_t)size);
    kv_store_u64(entry + 8, log->last_number + 1);
    kv_store_u64(entry + 16, (uint64_t)now_ms);
    kv_store_u32(entry + 24, (uint32_t)count);
    *to++ = (uint8_t)name.size;
    if (note) {
        to = put_bytes(to, name);
        kv_store_u32(to, (uint32_t)note->value.size);
        to = put_bytes(to + 4, note->value);
    }
    for (size_t i = 0; i < count; i++) {
        *to++ = (uint8_t)items[i].class;
        kv_store_u32(to, (uint32_t)items[i].intent.size);
        to = put_bytes(to + 4, items[i].intent);
    }
    const uint32_t crc = entry_crc(log->chain, entry, size);
    kv_store_u32(entry, crc);
    if (!write_at(log, entry, size, log->used)) return false; /* a part of it in the file does not check */
    log->used += size;
    log->chain = crc;
    log->last_number++;
    log->entries++;
    for (size_t i = 0; i < count; i++) log->items[items[i].class]++;
    return true;
}

void queue_log_clear(struct queue_log *log) {
    static const uint8_t nothing[HEAD_BYTES];
    /* Not written: the next process finds entries that are in the store already, and drops them. */
    if (log->fd >= 0 && log->used) (void)write_at(log, nothing, sizeof nothing, 0);
    log->used = log->entries = 0;
    log->chain = 0;
    memset(log->items, 0, sizeof log->items);
}

void queue_log_drop_applied(struct queue_log *log, uint64_t applied) {
    if (!log->entries) {
        log->last_number = applied;
        return;
    }
    const uint64_t first_number = log->last_number - log->entries + 1;
    if (first_number == applied + 1) return; /* none of them is in */
    /* A commit takes all or none; and numbers that do not follow are of another store than this one. */
    queue_log_clear(log);
    log->last_number = applied;
}
