/* SPDX-License-Identifier: Apache-2.0
 * Checks and hashes over bytes. checksum_crc32c guards stored records (RFC 3720 appendix B.4, Castagnoli);
 * hash_bytes spreads keys over tables in memory and is never stored. Any thread. */
#ifndef PICKET_BASE_CHECKSUM_H
#define PICKET_BASE_CHECKSUM_H

#include "common/base/slice.h"

/* Start with crc 0; feeding parts one after another equals feeding the whole. */
uint32_t checksum_crc32c(uint32_t crc, slice bytes);

/* 64-bit, not cryptographic: outsiders' keys need a table that stays bounded when they collide. */
uint64_t hash_bytes(slice bytes, uint64_t seed);

#endif
