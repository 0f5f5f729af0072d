/* SPDX-License-Identifier: Apache-2.0
 * A borrowed run of bytes: the only way text and bytes travel inside Picket. It never owns what it points to;
 * each function that returns one says how long it is valid. NUL terminators exist only at a library's door.
 * Any thread. */
#ifndef PICKET_BASE_SLICE_H
#define PICKET_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST_CHECK __attribute__((warn_unused_result))

typedef struct slice {
    const uint8_t *data; /* may be NULL when size is 0 */
    size_t size;         /* bytes */
} slice;

/* A slice over a string literal, without its NUL. */
#define SLICE_LIT(text) ((slice){(const uint8_t *)(text), sizeof(text) - 1})
/* For printf: printf("%.*s", SLICE_ARG(s)). */
#define SLICE_ARG(s) (int)(s).size, (const char *)((s).data ? (s).data : (const uint8_t *)"")

static inline slice slice_of(const void *data, size_t size) {
    return (slice){(const uint8_t *)data, size};
}

static inline slice slice_from_text(const char *text) {
    return (slice){(const uint8_t *)text, text ? strlen(text) : 0};
}

static inline bool slice_equal(slice a, slice b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_equal_text(slice a, const char *text) {
    return slice_equal(a, slice_from_text(text));
}

static inline bool slice_starts_with(slice a, slice prefix) {
    return a.size >= prefix.size && (prefix.size == 0 || memcmp(a.data, prefix.data, prefix.size) == 0);
}

/* <0, 0, >0 in byte order; a prefix sorts before what it begins. */
static inline int slice_compare(slice a, slice b) {
    const size_t common = a.size < b.size ? a.size : b.size;
    const int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

/* The bytes from offset on; empty when offset is past the end. */
static inline slice slice_from(slice a, size_t offset) {
    return offset >= a.size ? (slice){0} : (slice){a.data + offset, a.size - offset};
}

/* The first bytes, at most `size` of them. */
static inline slice slice_first(slice a, size_t size) {
    return (slice){a.data, size < a.size ? size : a.size};
}

/* Copies into the caller's buffer with a NUL, for a library's door; false (and an empty text) when it does not
 * fit or holds a NUL itself. */
static inline bool slice_to_text(slice a, char *buffer, size_t buffer_size) {
    if (buffer_size == 0) return false;
    buffer[0] = '\0';
    if (a.size >= buffer_size || (a.size && memchr(a.data, 0, a.size))) return false;
    if (a.size) memcpy(buffer, a.data, a.size);
    buffer[a.size] = '\0';
    return true;
}

#endif
