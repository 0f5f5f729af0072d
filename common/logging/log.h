/* SPDX-License-Identifier: Apache-2.0
 * Log lines to stderr, one write each: logfmt (the default) or JSON lines.
 *
 *   LOG_WARN("ship", "connect_failed", LOG_TEXT("broker", host), LOG_INT("retry_ms", wait));
 *   time=2026-01-31T09:30:00.123Z level=warn area=ship event=connect_failed broker=mq.lan retry_ms=4000
 *
 * Area is the folder ("ship", "journal"), event a snake_case word: both are literals. Who decides, logs, and
 * once: common/ and domain/ never log above debug. Nothing is allocated; a line is cut at LOG_LINE_BYTES; a
 * reader of stderr that hangs costs a caller at most some milliseconds, then lines are dropped, counted and
 * reported. The level and the format are process-wide. Any thread; not from signal handlers. */
#ifndef PICKET_LOGGING_LOG_H
#define PICKET_LOGGING_LOG_H

#include "common/base/fault.h"

#include <stdatomic.h>

enum { LOG_LINE_BYTES = 4096, LOG_AREAS_MAX = 16, LOG_AREA_BYTES = 31 };

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVEL_MAX_ };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON, LOG_FORMAT_MAX_ };

/* For the settings rows (SETTING_ENUM): NULL-terminated, in the order of the enums. */
extern const char *const log_level_names[];
extern const char *const log_format_names[];

/* debug_areas: comma-separated areas whose debug lines are written whatever the level is ("ship,collect";
 * "all"; "": none). May be called again (SIGHUP) while other threads log. FAULT_INPUT when an area's name is
 * too long, FAULT_LIMIT when there are more than LOG_AREAS_MAX. Before the first call: info, logfmt. */
fault_code log_setup(enum log_level level, enum log_format format, slice debug_areas, struct fault *reterr) MUST_CHECK;
/* Where lines go: stderr until changed (tests). The descriptor stays the caller's. */
void log_to(int fd);

/* Also in signal handlers. */
enum log_format log_format_now(void);
bool log_enabled(enum log_level level, const char *area);
/* Lines that could not be written since the start. */
uint64_t log_dropped(void);

enum log_kind { LOG_KIND_INT, LOG_KIND_UINT, LOG_KIND_DOUBLE, LOG_KIND_BOOL, LOG_KIND_SLICE };
struct log_field {
    const char *key; /* [a-z0-9_]+ literal */
    enum log_kind kind;
    union {
        int64_t integer;
        uint64_t natural;
        double real;
        slice text;
    };
};
#define LOG_INT(name, value) ((struct log_field){(name), LOG_KIND_INT, .integer = (value)})
#define LOG_UINT(name, value) ((struct log_field){(name), LOG_KIND_UINT, .natural = (value)})
#define LOG_DOUBLE(name, value) ((struct log_field){(name), LOG_KIND_DOUBLE, .real = (value)})
#define LOG_BOOL(name, value) ((struct log_field){(name), LOG_KIND_BOOL, .integer = (value)})
#define LOG_SLICE(name, value)                                                                                         \
    ((struct log_field){(name), LOG_KIND_SLICE, .text = (value)}) /* escaped, may hold anything */
#define LOG_TEXT(name, value) ((struct log_field){(name), LOG_KIND_SLICE, .text = slice_from_text(value)})
#define LOG_FAULT(fault_pointer) LOG_TEXT("fault", (fault_pointer)->text)

/* Use the macros: they do not evaluate the fields when the line is not wanted. fields[0] is not used. */
void log_write(enum log_level level, const char *area, const char *event, const struct log_field *fields, size_t count);
#define LOG_AT(level, area, event, ...)                                                                                \
    do {                                                                                                               \
        if (log_enabled((level), (area))) {                                                                            \
            const struct log_field log_fields_[] = {{.key = NULL}, ##__VA_ARGS__};                                     \
            log_write((level), (area), (event), log_fields_, sizeof log_fields_ / sizeof *log_fields_);                \
        }                                                                                                              \
    } while (0)
#define LOG_ERROR(area, event, ...) LOG_AT(LOG_LEVEL_ERROR, area, event, ##__VA_ARGS__)
#define LOG_WARN(area, event, ...) LOG_AT(LOG_LEVEL_WARN, area, event, ##__VA_ARGS__)
#define LOG_INFO(area, event, ...) LOG_AT(LOG_LEVEL_INFO, area, event, ##__VA_ARGS__)
#define LOG_DEBUG_LINE(area, event, ...) LOG_AT(LOG_LEVEL_DEBUG, area, event, ##__VA_ARGS__)

/* For a fault that repeats: zero-initialised, one beside what fails. True at most once per interval; then
 * *ret_suppressed says how many were held back since the last true:
 *   if (log_limit_pass(&target->log_limit, clock_monotonic_ms(), 60000, &held))
 *       LOG_WARN(..., LOG_UINT("repeats", held)); */
struct log_limit {
    _Atomic int64_t next_ms;
    _Atomic uint64_t suppressed;
};
bool log_limit_pass(struct log_limit *limit, int64_t monotonic_ms, int64_t interval_ms, uint64_t *ret_suppressed);

#endif
