/* SPDX-License-Identifier: Apache-2.0
 * The 128-bit product of two 64-bit numbers, its halves folded into one by exclusive or: the step of our hashes in
 * memory. One instruction or two where the compiler has 128-bit integers; four products where it has none (32-bit
 * ARM), with the same result, so that what an agent has hashed means the same everywhere. */
#ifndef PICKET_BASE_WIDE_PRODUCT_H
#define PICKET_BASE_WIDE_PRODUCT_H

#include <stdint.h>

static inline uint64_t wide_product_fold_by_halves(uint64_t a, uint64_t b) {
    const uint64_t a_low = (uint32_t)a, a_high = a >> 32, b_low = (uint32_t)b, b_high = b >> 32;
    const uint64_t low = a_low * b_low;
    const uint64_t middle = a_high * b_low + (low >> 32); /* at most 2^64 - 2^32: no carry is lost */
    const uint64_t other = a_low * b_high + (uint32_t)middle;
    const uint64_t high = a_high * b_high + (middle >> 32) + (other >> 32);
    return (other << 32 | (uint32_t)low) ^ high;
}

#ifdef __SIZEOF_INT128__
__extension__ typedef unsigned __int128 wide_product;

static inline uint64_t wide_product_fold(uint64_t a, uint64_t b) {
    const wide_product product = (wide_product)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}
#else
static inline uint64_t wide_product_fold(uint64_t a, uint64_t b) {
    return wide_product_fold_by_halves(a, b);
}
#endif

#endif
