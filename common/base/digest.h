/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 (FIPS 180-4) for the chain of facts, idempotency marks and short names of long ids. Here, and not through
 * the TLS library, because that one has no use of the processor's SHA instructions on x86 (about 0.25 GB/s against
 * more than 1 GB/s), and each committed fact pays for it. Any thread. */
#ifndef PICKET_BASE_DIGEST_H
#define PICKET_BASE_DIGEST_H

#include "common/base/slice.h"

enum { DIGEST_BYTES = 32 };

struct digest {
    uint32_t state[8];
    uint64_t bytes;    /* fed so far */
    uint8_t block[64]; /* the part of a block that waits */
};

void digest_init(struct digest *digest);
void digest_feed(struct digest *digest, slice bytes);
/* Ends it; feed no more. */
void digest_done(struct digest *digest, uint8_t ret_hash[DIGEST_BYTES]);

/* All at once. */
void digest_of(slice bytes, uint8_t ret_hash[DIGEST_BYTES]);
/* Two at once: up to twice as fast as one after the other where the processor helps, because a round of one runs while
 * that of the other waits. Best when both have about the same size. */
void digest_of_two(const slice bytes[2], uint8_t ret_hashes[2][DIGEST_BYTES]);
/* As digest_of without the processor's help: what the tests compare with, and what other machines run. */
void digest_of_portable(slice bytes, uint8_t ret_hash[DIGEST_BYTES]);

#endif
