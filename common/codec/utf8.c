/* SPDX-License-Identifier: Apache-2.0
 * Nearly all our text is ASCII: eight bytes at a time as long as it is, and only then by the table of RFC 3629,
 * section 4, row by row. */
#include "common/codec/utf8.h"

static bool continues(uint8_t byte) {
    return (byte & 0xC0) == 0x80;
}

/* Bytes of the code point that begins at p; 0 when it is none. */
static size_t utf8_sequence(const uint8_t *p, size_t left) {
    if (p[0] < 0x80) return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4) return 0;
    if (p[0] < 0xE0) return left >= 2 && continues(p[1]) ? 2 : 0;
    if (p[0] < 0xF0) {
        if (left < 3 || !continues(p[1]) || !continues(p[2])) return 0;
        if (p[0] == 0xE0 && p[1] < 0xA0) return 0;
        if (p[0] == 0xED && p[1] > 0x9F) return 0;
        return 3;
    }
    if (left < 4 || !continues(p[1]) || !continues(p[2]) || !continues(p[3])) return 0;
    if (p[0] == 0xF0 && p[1] < 0x90) return 0;
    if (p[0] == 0xF4 && p[1] > 0x8F) return 0;
    return 4;
}

bool utf8_valid(slice text) {
    const uint8_t *p = text.data;
    size_t left = text.size;
    while (left > 0) {
        uint64_t eight;
        while (left >= 8) {
            memcpy(&eight, p, 8);
            if (eight & 0x8080808080808080u) break;
            p += 8;
            left -= 8;
        }
        if (left == 0) break;
        const size_t size = utf8_sequence(p, left);
        if (size == 0) return false;
        p += size;
        left -= size;
    }
    return true;
}

size_t utf8_length(slice text) {
    size_t length = 0;
    for (size_t i = 0; i < text.size; i++) length += !continues(text.data[i]);
    return length;
}
