/* SPDX-License-Identifier: Apache-2.0
 * Text that grows in an arena: for answers and pages made piece by piece. A piece that does not fit sets
 * `full` and is left out, and so are all after it, so that a maker of text checks once, at the end. Not
 * thread-safe. */
#ifndef PICKET_BASE_TEXT_H
#define PICKET_BASE_TEXT_H

#include "common/base/arena.h"
#include "common/base/fault.h"

#include <stdarg.h>

struct text {
    struct arena *arena;
    uint8_t *data;
    size_t size, capacity;
    bool full;
};

/* Nothing is allocated yet. Nothing else should be allocated in the arena while the text grows: it would be
 * copied at each step (which is right, but wastes the arena). */
struct text text_begin(struct arena *arena);
void text_add(struct text *text, slice piece);
void text_add_text(struct text *text, const char *piece);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_format_args(struct text *text, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
/* A JSON string with its quotes (RFC 8259 section 7), DEL and C1 escaped as well, so that it may be
 * shown on a terminal; bytes that are not UTF-8 become U+FFFD. */
void text_add_json_string(struct text *text, slice value);
/* The whole, with a NUL behind it; lives in the arena. FAULT_LIMIT "<what>: larger than its memory" when
 * full. */
fault_code text_end(struct text *text, const char *what, slice *ret_text, struct fault *reterr) MUST_CHECK;

/* How many bytes at the start of `bytes` are one valid UTF-8 character (RFC 3629: no surrogates, nothing
 * overlong, at most U+10FFFF); 0 when they are none. */
size_t text_utf8_character(slice bytes);

/* Begins with http:// or https:// and a host, with a port up to 65535 if any, and holds no blank or control character:
 * what is asked of a URL before it is called. */
bool text_is_http_url(slice text) MUST_CHECK;
/* The host of a URL that text_is_http_url takes, without user, port and brackets: a part of `url`. */
slice text_http_url_host(slice url) MUST_CHECK;
/* Whether an IP address is this machine's own: 127.0.0.0/8 or ::1. A name is none. */
bool text_is_loopback(slice address) MUST_CHECK;
/* Splits "host:port" ("[::1]:443"), port 1 to 65535; false when it is none. The host is a part of `text`. */
bool text_host_port(slice text, slice *ret_host, uint16_t *ret_port) MUST_CHECK;

#endif
