/* SPDX-License-Identifier: Apache-2.0
 * Nearly all our text is ASCII: eight bytes at a time as long as it is, and only then one character after the other. */
#include "common/codec/utf8.h"

#include "common/base/text.h"

enum { WORD = sizeof(uint64_t) };

bool utf8_valid(slice text) {
    return utf8_valid_prefix(text) == text.size;
}

size_t utf8_valid_prefix(slice text) {
    const uint8_t *p = text.data;
    size_t left = text.size;
    while (left > 0) {
        const size_t take = left < WORD ? left : WORD;
        uint64_t word = 0;
        if (take == WORD)
            memcpy(&word, p, WORD);
        else
            for (size_t i = 0; i < take; i++) word |= p[i];
        size_t size = take;
        if (word & 0x8080808080808080u) {
            size = text_utf8_character(slice_of(p, left));
            if (size == 0) break;
        }
        p += size;
        left -= size;
    }
    return text.size - left;
}

size_t utf8_length(slice text) {
    size_t length = 0;
    for (size_t i = 0; i < text.size; i++) length += (text.data[i] & 0xC0) != 0x80; /* not one that continues */
    return length;
}
