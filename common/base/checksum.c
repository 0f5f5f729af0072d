/* SPDX-License-Identifier: Apache-2.0
 * CRC32C by the processor's instruction where there is one (chosen once by the resolver), else by table.
 * hash_bytes folds 8 bytes at a time through a 64x64->128 multiply. */
#include "common/base/checksum.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

static uint32_t crc32c_by_table(uint32_t crc, const uint8_t *data, size_t size) {
    while (size--) {
        crc ^= *data++;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_by_instruction(uint32_t crc, const uint8_t *data,
                                                                        size_t size) {
    uint64_t wide = crc;
    for (; size >= 8; data += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    while (size--) crc = _mm_crc32_u8(crc, *data++);
    return crc;
}
#endif

uint32_t checksum_crc32c(uint32_t crc, slice bytes) {
    crc = ~crc;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return ~crc32c_by_instruction(crc, bytes.data, bytes.size);
#endif
    return ~crc32c_by_table(crc, bytes.data, bytes.size);
}

__extension__ typedef unsigned __int128 product128;

static uint64_t fold(uint64_t a, uint64_t b) {
    const product128 product = (product128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_bytes(slice bytes, uint64_t seed) {
    const uint64_t k0 = 0x9e3779b97f4a7c15u, k1 = 0xd1b54a32d192ed03u;
    uint64_t state = seed ^ k0;
    const uint8_t *at = bytes.data;
    size_t left = bytes.size;
    for (; left >= 8; at += 8, left -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        state = fold(state ^ word, k1);
    }
    uint64_t tail = 0;
    if (left) memcpy(&tail, at, left);
    state = fold(state ^ tail, k1);
    return fold(state ^ (uint64_t)bytes.size, k0);
}
