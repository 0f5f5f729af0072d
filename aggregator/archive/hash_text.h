/* SPDX-License-Identifier: Apache-2.0
 * Digests as people see them: 64 hexadecimal digits in lower case. Any thread. */
#ifndef PICKET_ARCHIVE_HASH_TEXT_H
#define PICKET_ARCHIVE_HASH_TEXT_H

#include "common/base/arena.h"
#include "common/base/digest.h"

enum { HASH_TEXT_BYTES = 2 * DIGEST_BYTES + 1 };

/* With a NUL behind it. */
void hash_text(const uint8_t hash[DIGEST_BYTES], char ret_text[HASH_TEXT_BYTES]);
/* In the arena; data is NULL when it is full. */
slice hash_text_in(const uint8_t hash[DIGEST_BYTES], struct arena *arena) MUST_CHECK;
bool hash_text_parse(slice text, uint8_t ret_hash[DIGEST_BYTES]) MUST_CHECK;

#endif
