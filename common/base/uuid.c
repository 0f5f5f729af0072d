/* SPDX-License-Identifier: Apache-2.0
 * RFC 9562 section 5.7: 48 bits of milliseconds, version, 12 random bits, variant, 62 random bits. */
#include "common/base/uuid.h"
#include "common/base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

struct uuid uuid_v7_from(int64_t wall_ms, const uint8_t random_bytes_in[10]) {
    struct uuid id;
    for (int i = 0; i < 6; i++) id.bytes[i] = (uint8_t)((uint64_t)wall_ms >> (40 - 8 * i));
    memcpy(id.bytes + 6, random_bytes_in, 10);
    id.bytes[6] = (uint8_t)(0x70 | (id.bytes[6] & 0x0f));
    id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
    return id;
}

struct uuid uuid_v7_new(void) {
    uint8_t random[10];
    random_bytes(random, sizeof random);
    return uuid_v7_from(clock_wall_ms(), random);
}

void uuid_format(struct uuid id, char ret_text[UUID_TEXT_SIZE + 1]) {
    static const char digits[] = "0123456789abcdef";
    char *out = ret_text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *out++ = '-';
        *out++ = digits[id.bytes[i] >> 4];
        *out++ = digits[id.bytes[i] & 15];
    }
    *out = '\0';
}

static int hex_value(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool uuid_parse(slice text, struct uuid *ret_id) {
    if (text.size != UUID_TEXT_SIZE) return false;
    struct uuid id;
    size_t at = 0;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            if (text.data[at++] != '-') return false;
        const int high = hex_value(text.data[at]), low = hex_value(text.data[at + 1]);
        if (high < 0 || low < 0) return false;
        id.bytes[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    *ret_id = id;
    return true;
}

bool uuid_equal(struct uuid a, struct uuid b) {
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

void random_bytes(void *buffer, size_t size) {
    uint8_t *at = buffer;
    while (size) {
        const ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno != EINTR) abort();
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
}
