/* SPDX-License-Identifier: Apache-2.0
 * UUIDs, RFC 9562: version 7 (time-ordered) for every message id and queue epoch, so that ids made later sort
 * later. Any thread. */
#ifndef PICKET_BASE_UUID_H
#define PICKET_BASE_UUID_H

#include "common/base/slice.h"

enum { UUID_TEXT_SIZE = 36 };

struct uuid {
    uint8_t bytes[16];
};

/* From the time (ms since 1970) and 10 random bytes of the caller: pure, for code that must be repeatable. */
struct uuid uuid_v7_from(int64_t wall_ms, const uint8_t random_bytes[10]);
/* From the wall clock and the kernel's random numbers; aborts only if the kernel has none (never after boot). */
struct uuid uuid_v7_new(void);
/* Writes the 36 characters, lower case, and a NUL. */
void uuid_format(struct uuid id, char ret_text[UUID_TEXT_SIZE + 1]);
/* Takes the 36-character form, either case; false for anything else. */
bool uuid_parse(slice text, struct uuid *ret_id) MUST_CHECK;
bool uuid_equal(struct uuid a, struct uuid b);
/* Fills a buffer with the kernel's random bytes. */
void random_bytes(void *buffer, size_t size);

#endif
