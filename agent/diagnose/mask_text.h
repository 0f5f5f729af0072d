/* SPDX-License-Identifier: Apache-2.0
 * The letters that the rules of the mask are written with. Any thread. */
#ifndef PICKET_DIAGNOSE_MASK_TEXT_H
#define PICKET_DIAGNOSE_MASK_TEXT_H

#include "common/base/slice.h"

#include <ctype.h>

static inline void mask_mark(uint8_t *marks, size_t begin, size_t end) {
    if (end > begin) memset(marks + begin, 1, end - begin);
}

static inline bool mask_is_alnum(uint8_t c) {
    return c < 128 && isalnum(c);
}

static inline bool mask_is_name_byte(uint8_t c) {
    return mask_is_alnum(c) || c == '_' || c == '-' || c == '.';
}

static inline bool mask_is_blank(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static inline bool mask_is_quote(uint8_t c) {
    return c == '"' || c == '\'' || c == '`';
}

/* Whether text goes on at `at` with `prefix`, which is in small letters, without regard to case. */
static inline bool mask_goes_on_with(slice text, size_t at, slice prefix) {
    if (at > text.size || text.size - at < prefix.size) return false;
    for (size_t i = 0; i < prefix.size; i++)
        if (tolower(text.data[at + i]) != prefix.data[i]) return false;
    return true;
}

static inline size_t mask_skip_blanks(slice text, size_t at) {
    while (at < text.size && mask_is_blank(text.data[at])) at++;
    return at;
}

/* Of the line that `at` is in; without its newline. */
static inline size_t mask_line_end(slice text, size_t at) {
    const uint8_t *const end = at < text.size ? memchr(text.data + at, '\n', text.size - at) : NULL;
    return end ? (size_t)(end - text.data) : text.size;
}

/* SIZE_MAX: it is not there. */
static inline size_t mask_find(slice text, size_t from, slice what) {
    const uint8_t *const found =
        from < text.size ? memmem(text.data + from, text.size - from, what.data, what.size) : NULL;
    return found ? (size_t)(found - text.data) : SIZE_MAX;
}

#endif
