/* SPDX-License-Identifier: Apache-2.0
 * CRC32C by the processor's instruction where there is one (chosen once by the resolver), else by table.
 * hash_bytes folds 8 bytes at a time through a 64x64->128 multiply (wide_product.h). */
#include "common/base/checksum.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include "common/base/wide_product.h"

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
#elif defined(__aarch64__)
enum { HAS_CRC32 = 1 << 7 }; /* HWCAP_CRC32 of asm/hwcap.h */

/* An option of ARMv8.0, in every processor since 8.1. Without intrinsics: arm_acle.h wants it for the whole file. */
static uint32_t crc32c_by_instruction(uint32_t crc, const uint8_t *data, size_t size) {
    for (; size >= 8; data += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    }
    while (size--) __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"(*data++));
    return crc;
}
#endif

uint32_t checksum_crc32c(uint32_t crc, slice bytes) {
    crc = ~crc;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return ~crc32c_by_instruction(crc, bytes.data, bytes.size);
#elif defined(__aarch64__)
    if (getauxval(AT_HWCAP) & HAS_CRC32) return ~crc32c_by_instruction(crc, bytes.data, bytes.size);
#endif
    return ~crc32c_by_table(crc, bytes.data, bytes.size);
}

uint64_t hash_bytes(slice bytes, uint64_t seed) {
    const uint64_t k0 = 0x9e3779b97f4a7c15u, k1 = 0xd1b54a32d192ed03u;
    uint64_t state = seed ^ k0;
    const uint8_t *at = bytes.data;
    size_t left = bytes.size;
    for (; left >= 8; at += 8, left -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        state = wide_product_fold(state ^ word, k1);
    }
    uint64_t tail = 0;
    if (left) memcpy(&tail, at, left);
    state = wide_product_fold(state ^ tail, k1);
    return wide_product_fold(state ^ (uint64_t)bytes.size, k0);
}
