/* SPDX-License-Identifier: Apache-2.0
 * A line is built in a buffer on the stack and written by one write(2) of at most PIPE_BUF bytes, so that
 * lines of several threads and of a parent never mix. Before the write the descriptor is polled: a pipe that
 * is ready takes a whole line without blocking. When the reader hangs, the first line waits a little; until
 * it reads again all others are counted as dropped at once, and the first line that goes through says how
 * many there were.
 *
 * Areas with their debug switch on are kept as hashes, so that changing them while other threads log needs no
 * lock; two areas of one hash would merely share a switch. */
#include "common/logging/log.h"

#include "common/base/checksum.h"
#include "common/base/clock.h"
#include "common/base/text.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static_assert((int)LOG_LINE_BYTES <= PIPE_BUF, "a line must be one atomic write");

enum { WRITE_WAIT_MS = 10, TAIL_BYTES = 48 /* for what closes a line that was cut */ };

const char *const log_level_names[] = {"error", "warn", "info", "debug", NULL};
const char *const log_format_names[] = {"logfmt", "json", NULL};

/* The one process-wide thing that style.md allows. */
static struct {
    _Atomic int level, format, fd;
    _Atomic bool all_areas;
    _Atomic uint64_t areas[LOG_AREAS_MAX]; /* hashes; 0: none */
    _Atomic uint64_t dropped;
    pthread_mutex_t write_lock;
    bool reader_hangs;         /* under write_lock */
    uint64_t dropped_reported; /* under write_lock */
} process = {.level = LOG_LEVEL_INFO, .fd = STDERR_FILENO, .write_lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t area_hash(slice area) {
    const uint64_t hash = hash_bytes(area, 0);
    return hash ? hash : 1;
}

static slice trimmed(slice text) {
    while (text.size && text.data[0] == ' ') text = slice_from(text, 1);
    while (text.size && text.data[text.size - 1] == ' ') text.size--;
    return text;
}

fault_code log_setup(enum log_level level, enum log_format format, slice debug_areas, struct fault *reterr) {
    uint64_t hashes[LOG_AREAS_MAX] = {0};
    size_t count = 0;
    bool all = false;
    for (slice rest = debug_areas; rest.size;) {
        const uint8_t *comma = memchr(rest.data, ',', rest.size);
        const slice part = comma ? slice_of(rest.data, (size_t)(comma - rest.data)) : rest;
        rest = comma ? slice_from(rest, part.size + 1) : (slice){0};
        const slice area = trimmed(part);
        if (area.size == 0) continue;
        if (area.size > LOG_AREA_BYTES)
            return fault_set(reterr, FAULT_INPUT, "debug area '%.*s...' is longer than %d characters", LOG_AREA_BYTES,
                             (const char *)area.data, LOG_AREA_BYTES);
        if (slice_equal_text(area, "all")) {
            all = true;
            continue;
        }
        if (count == LOG_AREAS_MAX)
            return fault_set(reterr, FAULT_LIMIT, "more than %d debug areas; 'all' switches all on", LOG_AREAS_MAX);
        hashes[count++] = area_hash(area);
    }
    for (size_t i = 0; i < LOG_AREAS_MAX; i++)
        atomic_store_explicit(&process.areas[i], hashes[i], memory_order_relaxed);
    atomic_store_explicit(&process.all_areas, all, memory_order_relaxed);
    atomic_store_explicit(&process.format, (int)format, memory_order_relaxed);
    atomic_store_explicit(&process.level, (int)level, memory_order_relaxed);
    return FAULT_NONE;
}

void log_to(int fd) {
    atomic_store_explicit(&process.fd, fd, memory_order_relaxed);
}

enum log_format log_format_now(void) {
    return (enum log_format)process.format;
}

bool log_enabled(enum log_level level, const char *area) {
    if ((int)level <= atomic_load_explicit(&process.level, memory_order_relaxed)) return true;
    if (atomic_load_explicit(&process.all_areas, memory_order_relaxed)) return true;
    if (atomic_load_explicit(&process.areas[0], memory_order_relaxed) == 0) return false;
    const uint64_t wanted = area_hash(slice_from_text(area));
    for (size_t i = 0; i < LOG_AREAS_MAX; i++)
        if (atomic_load_explicit(&process.areas[i], memory_order_relaxed) == wanted) return true;
    return false;
}

uint64_t log_dropped(void) {
    return atomic_load_explicit(&process.dropped, memory_order_relaxed);
}

struct line {
    char bytes[LOG_LINE_BYTES];
    size_t size;
    bool json;
    bool cut;
};

/* All or nothing, so that an escape is never cut in two. */
static void line_add(struct line *line, const char *piece, size_t size) {
    if (line->cut) return;
    if (line->size + size > sizeof line->bytes - TAIL_BYTES) {
        line->cut = true;
        return;
    }
    memcpy(line->bytes + line->size, piece, size);
    line->size += size;
}

static void line_add_text(struct line *line, const char *piece) {
    line_add(line, piece, strlen(piece));
}

static void line_add_key(struct line *line, const char *key) {
    if (line->json) {
        line_add_text(line, line->size == 0 ? "{\"" : ",\"");
        line_add_text(line, key);
        line_add_text(line, "\":");
    } else {
        if (line->size) line_add_text(line, " ");
        line_add_text(line, key);
        line_add_text(line, "=");
    }
}

/* Escapes what would end the value, the line or reach into the reader's terminal: quotes, C0, DEL, C1. */
static void line_add_quoted(struct line *line, slice value) {
    if (line->cut) return;
    line_add_text(line, "\"");
    for (size_t at = 0; at < value.size && !line->cut;) {
        const uint8_t byte = value.data[at];
        const size_t size = text_utf8_character(slice_from(value, at));
        char escape[8];
        if (size == 0) {
            line_add_text(line, "\xEF\xBF\xBD");
        } else if (byte == '"' || byte == '\\') {
            line_add(line, (char[]){'\\', (char)byte}, 2);
        } else if (byte == '\n' || byte == '\r' || byte == '\t') {
            line_add(line, (char[]){'\\', byte == '\n' ? 'n' : byte == '\r' ? 'r' : 't'}, 2);
        } else if (byte < 0x20 || byte == 0x7F || (byte == 0xC2 && value.data[at + 1] < 0xA0)) {
            snprintf(escape, sizeof escape, "\\u%04x", size == 2 ? value.data[at + 1] : byte);
            line_add_text(line, escape);
        } else {
            line_add(line, (const char *)value.data + at, size);
        }
        at += size ? size : 1;
    }
    /* Its place is in the tail when the value was cut. */
    line->bytes[line->size++] = '"';
}

static bool is_plain(slice value) {
    for (size_t i = 0; i < value.size; i++) {
        const uint8_t byte = value.data[i];
        if (byte <= ' ' || byte >= 0x7F || byte == '"' || byte == '=' || byte == '\\') return false;
    }
    return value.size > 0;
}

static void line_add_value(struct line *line, slice value) {
    if (!line->json && is_plain(value) && value.size < sizeof line->bytes - TAIL_BYTES - line->size)
        line_add(line, (const char *)value.data, value.size);
    else
        line_add_quoted(line, value);
}

static void line_add_field(struct line *line, const struct log_field *field) {
    /* A key without its value would spoil the line: room for the shortest is asked first. */
    if (line->size + strlen(field->key) + 48 > sizeof line->bytes - TAIL_BYTES) line->cut = true;
    if (line->cut) return;
    char number[40];
    line_add_key(line, field->key);
    switch (field->kind) {
    case LOG_KIND_INT: snprintf(number, sizeof number, "%" PRId64, field->integer); break;
    case LOG_KIND_UINT: snprintf(number, sizeof number, "%" PRIu64, field->natural); break;
    case LOG_KIND_BOOL: snprintf(number, sizeof number, "%s", field->integer ? "true" : "false"); break;
    case LOG_KIND_DOUBLE:
        snprintf(number, sizeof number, line->json && !isfinite(field->real) ? "\"%g\"" : "%.9g", field->real);
        break;
    case LOG_KIND_SLICE: line_add_value(line, field->text); return;
    }
    line_add_text(line, number);
}

static void line_begin(struct line *line, enum log_level level, const char *area, const char *event) {
    const int64_t now_ms = clock_wall_ms();
    const time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    char stamp[40];
    const size_t size = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(stamp + size, sizeof stamp - size, ".%03dZ", (int)(now_ms % 1000));
    line_add_field(line, &LOG_TEXT("time", stamp));
    line_add_field(line, &LOG_TEXT("level", log_level_names[level]));
    line_add_field(line, &LOG_TEXT("area", area));
    line_add_field(line, &LOG_TEXT("event", event));
}

static void line_end(struct line *line) {
    const bool cut = line->cut;
    line->cut = false;
    size_t room = sizeof line->bytes - line->size;
    const int size = snprintf(line->bytes + line->size, room, "%s%s\n",
                              !cut         ? ""
                              : line->json ? ",\"cut\":true"
                                           : " cut=true",
                              line->json ? "}" : "");
    line->size += (size_t)size;
}

static bool line_write_locked(const struct line *line) {
    const int fd = atomic_load_explicit(&process.fd, memory_order_relaxed);
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    const int count = poll(&ready, 1, process.reader_hangs ? 0 : WRITE_WAIT_MS);
    process.reader_hangs = count == 0;
    if (count <= 0) return false;
    ssize_t written;
    do written = write(fd, line->bytes, line->size);
    while (written < 0 && errno == EINTR);
    return written == (ssize_t)line->size;
}

void log_write(enum log_level level, const char *area, const char *event, const struct log_field *fields,
               size_t count) {
    const bool json = atomic_load_explicit(&process.format, memory_order_relaxed) == LOG_FORMAT_JSON;
    struct line line = {.json = json};
    line_begin(&line, level, area, event);
    for (size_t i = 1; i < count; i++) line_add_field(&line, &fields[i]);
    line_end(&line);

    pthread_mutex_lock(&process.write_lock);
    const bool written = line_write_locked(&line);
    const uint64_t dropped = written ? log_dropped() : 0;
    if (!written) {
        atomic_fetch_add_explicit(&process.dropped, 1, memory_order_relaxed);
    } else if (dropped > process.dropped_reported) {
        struct line report = {.json = json};
        line_begin(&report, LOG_LEVEL_WARN, "logging", "lines_dropped");
        line_add_field(&report, &LOG_UINT("lines", dropped - process.dropped_reported));
        line_end(&report);
        if (line_write_locked(&report)) process.dropped_reported = dropped;
    }
    pthread_mutex_unlock(&process.write_lock);
}

bool log_limit_pass(struct log_limit *limit, int64_t monotonic_ms, int64_t interval_ms, uint64_t *ret_suppressed) {
    int64_t next_ms = atomic_load_explicit(&limit->next_ms, memory_order_relaxed);
    if (monotonic_ms < next_ms ||
        !atomic_compare_exchange_strong(&limit->next_ms, &next_ms, monotonic_ms + interval_ms)) {
        atomic_fetch_add_explicit(&limit->suppressed, 1, memory_order_relaxed);
        return false;
    }
    *ret_suppressed = atomic_exchange(&limit->suppressed, 0);
    return true;
}
