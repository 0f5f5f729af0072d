/* SPDX-License-Identifier: Apache-2.0
 * One spelling in every place, so that what one command prints another takes, and sha256sum agrees. */
#include "aggregator/archive/hash_text.h"

static const char digits[] = "0123456789abcdef";

void hash_text(const uint8_t hash[DIGEST_BYTES], char ret_text[HASH_TEXT_BYTES]) {
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        ret_text[2 * i] = digits[hash[i] >> 4];
        ret_text[2 * i + 1] = digits[hash[i] & 15];
    }
    ret_text[HASH_TEXT_BYTES - 1] = '\0';
}

slice hash_text_in(const uint8_t hash[DIGEST_BYTES], struct arena *arena) {
    char text[HASH_TEXT_BYTES];
    hash_text(hash, text);
    return arena_copy(arena, slice_from_text(text));
}

static int digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hash_text_parse(slice text, uint8_t ret_hash[DIGEST_BYTES]) {
    if (text.size != HASH_TEXT_BYTES - 1) return false;
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        const int high = digit(text.data[2 * i]), low = digit(text.data[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        ret_hash[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
