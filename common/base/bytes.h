/* SPDX-License-Identifier: Apache-2.0
 * Looking through bytes as fast as the processor reads them, with any C library: musl's memchr and memcmp go a word or a
 * byte at a time. Any thread. */
#ifndef PICKET_BASE_BYTES_H
#define PICKET_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Where the first such byte of [at, end) is; NULL: there is none. Nothing outside of the range is read. */
const uint8_t *bytes_find(const uint8_t *at, const uint8_t *end, uint8_t byte);
/* The same in plain C, for processors whose vectors bytes_find does not know. */
const uint8_t *bytes_find_plain(const uint8_t *at, const uint8_t *end, uint8_t byte);

static inline uint64_t bytes_word(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Whether the runs are the same; for short ones, whose size is known at the place of the call only. */
static inline bool bytes_equal(const uint8_t *a, const uint8_t *b, size_t size) {
    if (size < sizeof(uint64_t)) {
        while (size && a[size - 1] == b[size - 1]) size--;
        return size == 0;
    }
    size_t at = 0;
    for (; at + sizeof(uint64_t) < size; at += sizeof(uint64_t))
        if (bytes_word(a + at) != bytes_word(b + at)) return false;
    at = size - sizeof(uint64_t); /* the last word, overlapping the one before */
    return bytes_word(a + at) == bytes_word(b + at);
}

#endif
