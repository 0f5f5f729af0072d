/* SPDX-License-Identifier: Apache-2.0
 * Two block functions, chosen once per call by what the processor has: the plain one of FIPS 180-4 section 6.2, and
 * one on the SHA extensions (Intel's "SHA Extensions", instruction set reference: sha256rnds2 does two rounds,
 * sha256msg1 and sha256msg2 the message schedule four words at a time). The extension keeps the state as ABEF and
 * CDGH, hence the shuffles at both ends. Both are checked against NIST's vectors and against one another. */
#include "common/base/digest.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

typedef void blocks_fn(uint32_t state[8], const uint8_t *data, size_t blocks_count);
typedef void blocks_two_fn(uint32_t states[2][8], const uint8_t *const data[2], size_t blocks_count);

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static blocks_fn *blocks_best(void);
static blocks_fn blocks_portable;
static blocks_two_fn blocks_two;

void digest_init(struct digest *digest) {
    *digest = (struct digest){
        .state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

static void feed(struct digest *digest, slice bytes, blocks_fn *blocks) {
    const size_t waiting = digest->bytes % 64;
    digest->bytes += bytes.size;
    if (waiting) {
        const size_t part = bytes.size < 64 - waiting ? bytes.size : 64 - waiting;
        if (part) memcpy(digest->block + waiting, bytes.data, part);
        if (waiting + part < 64) return;
        blocks(digest->state, digest->block, 1);
        bytes = slice_from(bytes, part);
    }
    const size_t whole = bytes.size / 64;
    if (whole) blocks(digest->state, bytes.data, whole);
    if (bytes.size % 64) memcpy(digest->block, bytes.data + whole * 64, bytes.size % 64);
}

static void done(struct digest *digest, uint8_t ret_hash[DIGEST_BYTES], blocks_fn *blocks) {
    const uint64_t bits = digest->bytes * 8;
    uint8_t tail[72] = {0x80};
    const size_t waiting = digest->bytes % 64;
    const size_t zeros_end = (waiting < 56 ? 56 : 120) - waiting;
    for (int i = 0; i < 8; i++) tail[zeros_end + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
    feed(digest, slice_of(tail, zeros_end + 8), blocks);
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 4; j++) ret_hash[4 * i + j] = (uint8_t)(digest->state[i] >> (24 - 8 * j));
}

void digest_feed(struct digest *digest, slice bytes) {
    feed(digest, bytes, blocks_best());
}

void digest_done(struct digest *digest, uint8_t ret_hash[DIGEST_BYTES]) {
    done(digest, ret_hash, blocks_best());
}

void digest_of(slice bytes, uint8_t ret_hash[DIGEST_BYTES]) {
    struct digest digest;
    digest_init(&digest);
    feed(&digest, bytes, blocks_best());
    done(&digest, ret_hash, blocks_best());
}

void digest_of_portable(slice bytes, uint8_t ret_hash[DIGEST_BYTES]) {
    struct digest digest;
    digest_init(&digest);
    feed(&digest, bytes, blocks_portable);
    done(&digest, ret_hash, blocks_portable);
}

/* What follows the whole blocks: the rest, the bit, zeros and the length. One block or two. */
static size_t tail_make(slice bytes, uint8_t tail[128]) {
    const size_t rest = bytes.size % 64, size = rest < 56 ? 64 : 128;
    memset(tail, 0, size);
    if (rest) memcpy(tail, bytes.data + (bytes.size - rest), rest);
    tail[rest] = 0x80;
    for (size_t i = 0; i < 8; i++) tail[size - 8 + i] = (uint8_t)((uint64_t)bytes.size * 8 >> (56 - 8 * i));
    return size / 64;
}

void digest_of_two(const slice bytes[2], uint8_t ret_hashes[2][DIGEST_BYTES]) {
    struct digest digest;
    uint32_t states[2][8];
    uint8_t tails[2][128];
    size_t whole[2], tail_blocks[2];
    digest_init(&digest);
    for (int i = 0; i < 2; i++) {
        memcpy(states[i], digest.state, sizeof digest.state);
        whole[i] = bytes[i].size / 64;
        tail_blocks[i] = tail_make(bytes[i], tails[i]);
    }
    const size_t both = whole[0] < whole[1] ? whole[0] : whole[1];
    const uint8_t *const data[2] = {bytes[0].data, bytes[1].data};
    if (both) blocks_two(states, data, both);
    for (int i = 0; i < 2; i++)
        if (whole[i] > both) blocks_best()(states[i], data[i] + 64 * both, whole[i] - both);
    const size_t tails_both = tail_blocks[0] < tail_blocks[1] ? tail_blocks[0] : tail_blocks[1];
    blocks_two(states, (const uint8_t *const[2]){tails[0], tails[1]}, tails_both);
    for (int i = 0; i < 2; i++)
        if (tail_blocks[i] > tails_both) blocks_best()(states[i], tails[i] + 64, 1);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < DIGEST_BYTES; j++) ret_hashes[i][j] = (uint8_t)(states[i][j / 4] >> (24 - 8 * (j % 4)));
}

static uint32_t rotate_right(uint32_t word, unsigned bits) {
    return word >> bits | word << (32 - bits);
}

static void blocks_portable(uint32_t state[8], const uint8_t *data, size_t blocks_count) {
    for (; blocks_count; blocks_count--, data += 64) {
        uint32_t w[64];
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)data[4 * i] << 24 | (uint32_t)data[4 * i + 1] << 16 | (uint32_t)data[4 * i + 2] << 8 |
                   data[4 * i + 3];
        for (int i = 16; i < 64; i++) {
            const uint32_t s0 = rotate_right(w[i - 15], 7) ^ rotate_right(w[i - 15], 18) ^ w[i - 15] >> 3;
            const uint32_t s1 = rotate_right(w[i - 2], 17) ^ rotate_right(w[i - 2], 19) ^ w[i - 2] >> 10;
            w[i] = w[i - 16] + s0 + w[i - 7] + s1;
        }
        uint32_t v[8];
        memcpy(v, state, sizeof v);
        for (int i = 0; i < 64; i++) {
            const uint32_t s1 = rotate_right(v[4], 6) ^ rotate_right(v[4], 11) ^ rotate_right(v[4], 25);
            const uint32_t choose = (v[4] & v[5]) ^ (~v[4] & v[6]);
            const uint32_t t1 = v[7] + s1 + choose + round_constants[i] + w[i];
            const uint32_t s0 = rotate_right(v[0], 2) ^ rotate_right(v[0], 13) ^ rotate_right(v[0], 22);
            const uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
            memmove(v + 1, v, 7 * sizeof *v);
            v[4] += t1;
            v[0] = t1 + s0 + majority;
        }
        for (int i = 0; i < 8; i++) state[i] += v[i];
    }
}

#if defined(__x86_64__)
__attribute__((target("sha,sse4.1,ssse3"))) static void blocks_sha_ni(uint32_t state[8], const uint8_t *data,
                                                                      size_t blocks_count) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);        /* CDAB */
    __m128i cdgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b); /* EFGH */
    __m128i abef = _mm_alignr_epi8(low, cdgh, 8);
    cdgh = _mm_blend_epi16(cdgh, low, 0xf0);
    for (; blocks_count; blocks_count--, data += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i m[4];
        for (int i = 0; i < 4; i++)
            m[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), big_endian);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) { /* four rounds each; m[i % 4] holds words 4i to 4i+3 */
            __m128i k = _mm_add_epi32(m[i & 3], _mm_loadu_si128((const __m128i *)(round_constants + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, k);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(k, 0x0e));
            if (i < 12) { /* words 4(i+4) and on take this place */
                __m128i next = _mm_sha256msg1_epu32(m[i & 3], m[(i + 1) & 3]);
                next = _mm_add_epi32(next, _mm_alignr_epi8(m[(i + 3) & 3], m[(i + 2) & 3], 4));
                m[i & 3] = _mm_sha256msg2_epu32(next, m[(i + 3) & 3]);
            }
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    low = _mm_shuffle_epi32(abef, 0x1b);  /* FEBA */
    cdgh = _mm_shuffle_epi32(cdgh, 0xb1); /* DCHG */
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(low, cdgh, 0xf0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(cdgh, low, 8));
}

/* The same for two messages, a step of each in turn. */
__attribute__((target("sha,sse4.1,ssse3"))) static void
blocks_two_sha_ni(uint32_t states[2][8], const uint8_t *const data[2], size_t blocks_count) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i abef[2], cdgh[2], m[2][4];
    for (int s = 0; s < 2; s++) {
        const __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)states[s]), 0xb1);
        const __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(states[s] + 4)), 0x1b);
        abef[s] = _mm_alignr_epi8(low, high, 8);
        cdgh[s] = _mm_blend_epi16(high, low, 0xf0);
    }
    for (size_t block = 0; block < blocks_count; block++) {
        const __m128i abef_before[2] = {abef[0], abef[1]}, cdgh_before[2] = {cdgh[0], cdgh[1]};
#pragma GCC unroll 2
        for (int s = 0; s < 2; s++)
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                m[s][i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data[s] + 64 * block + 16 * (size_t)i)),
                                           big_endian);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            const __m128i constants = _mm_loadu_si128((const __m128i *)(round_constants + 4 * i));
#pragma GCC unroll 2
            for (int s = 0; s < 2; s++) {
                const __m128i k = _mm_add_epi32(m[s][i & 3], constants);
                cdgh[s] = _mm_sha256rnds2_epu32(cdgh[s], abef[s], k);
                abef[s] = _mm_sha256rnds2_epu32(abef[s], cdgh[s], _mm_shuffle_epi32(k, 0x0e));
                if (i < 12) {
                    __m128i next = _mm_sha256msg1_epu32(m[s][i & 3], m[s][(i + 1) & 3]);
                    next = _mm_add_epi32(next, _mm_alignr_epi8(m[s][(i + 3) & 3], m[s][(i + 2) & 3], 4));
                    m[s][i & 3] = _mm_sha256msg2_epu32(next, m[s][(i + 3) & 3]);
                }
            }
        }
        for (int s = 0; s < 2; s++) {
            abef[s] = _mm_add_epi32(abef[s], abef_before[s]);
            cdgh[s] = _mm_add_epi32(cdgh[s], cdgh_before[s]);
        }
    }
    for (int s = 0; s < 2; s++) {
        const __m128i low = _mm_shuffle_epi32(abef[s], 0x1b), high = _mm_shuffle_epi32(cdgh[s], 0xb1);
        _mm_storeu_si128((__m128i *)states[s], _mm_blend_epi16(low, high, 0xf0));
        _mm_storeu_si128((__m128i *)(states[s] + 4), _mm_alignr_epi8(high, low, 8));
    }
}

static void blocks_two(uint32_t states[2][8], const uint8_t *const data[2], size_t blocks_count) {
    if (blocks_best() == blocks_sha_ni) {
        blocks_two_sha_ni(states, data, blocks_count);
        return;
    }
    for (int i = 0; i < 2; i++) blocks_portable(states[i], data[i], blocks_count);
}

static blocks_fn *blocks_best(void) {
    static _Atomic(blocks_fn *) chosen; /* the same value whoever finds it first */
    blocks_fn *best = chosen;
    if (best) return best;
    unsigned a, b, c, d;
    const bool sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29);
    best = sha && __builtin_cpu_supports("sse4.1") ? blocks_sha_ni : blocks_portable;
    chosen = best;
    return best;
}
#else
static blocks_fn *blocks_best(void) {
    return blocks_portable;
}

static void blocks_two(uint32_t states[2][8], const uint8_t *const data[2], size_t blocks_count) {
    for (int i = 0; i < 2; i++) blocks_portable(states[i], data[i], blocks_count);
}
#endif
