/* SPDX-License-Identifier: Apache-2.0
 * Sixteen bytes a step where every processor of the architecture has vectors (SSE2 on x86_64, NEON on aarch64), eight
 * otherwise. The end of a range that is no whole step is looked through byte by byte: reading over it could leave the
 * page. The plain step is the old one: a byte minus one borrows into its highest bit only when it was zero. */
#include "common/base/bytes.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#include <arm_neon.h>
#endif

static const uint8_t *find_in_rest(const uint8_t *at, const uint8_t *end, uint8_t byte) {
    for (; at < end; at++)
        if (*at == byte) return at;
    return NULL;
}

const uint8_t *bytes_find_plain(const uint8_t *at, const uint8_t *end, uint8_t byte) {
    const uint64_t ones = UINT64_C(0x0101010101010101), wanted = ones * byte;
    for (; (size_t)(end - at) >= sizeof(uint64_t); at += sizeof(uint64_t)) {
        const uint64_t zero_where_found = bytes_word(at) ^ wanted;
        if ((zero_where_found - ones) & ~zero_where_found & (ones << 7))
            return find_in_rest(at, at + sizeof(uint64_t), byte);
    }
    return find_in_rest(at, end, byte);
}

#if defined(__SSE2__)

enum { STEP_BYTES = sizeof(__m128i) };

const uint8_t *bytes_find(const uint8_t *at, const uint8_t *end, uint8_t byte) {
    const __m128i wanted = _mm_set1_epi8((char)byte);
    for (; end - at >= STEP_BYTES; at += STEP_BYTES) {
        const __m128i equal = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)at), wanted);
        const unsigned bits = (unsigned)_mm_movemask_epi8(equal); /* one for each byte */
        if (bits) return at + __builtin_ctz(bits);
    }
    return find_in_rest(at, end, byte);
}

#elif defined(__aarch64__) && defined(__ARM_NEON) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

enum { STEP_BYTES = sizeof(uint8x16_t) };

const uint8_t *bytes_find(const uint8_t *at, const uint8_t *end, uint8_t byte) {
    const uint8x16_t wanted = vdupq_n_u8(byte);
    for (; end - at >= STEP_BYTES; at += STEP_BYTES) {
        const uint16x8_t equal = vreinterpretq_u16_u8(vceqq_u8(vld1q_u8(at), wanted));
        const uint64_t bits = vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(equal, 4)), 0); /* four for each byte */
        if (bits) return at + __builtin_ctzll(bits) / 4;
    }
    return find_in_rest(at, end, byte);
}

#else

const uint8_t *bytes_find(const uint8_t *at, const uint8_t *end, uint8_t byte) {
    return bytes_find_plain(at, end, byte);
}

#endif
