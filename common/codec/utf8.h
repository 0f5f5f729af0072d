/* SPDX-License-Identifier: Apache-2.0
 * UTF-8 as RFC 3629 has it: no surrogates, nothing over U+10FFFF, no longer form than needed. Any thread. */
#ifndef PICKET_CODEC_UTF8_H
#define PICKET_CODEC_UTF8_H

#include "common/base/slice.h"

bool utf8_valid(slice text);

/* Bytes of the longest valid run at the start of the text; its size when all of it is valid. */
size_t utf8_valid_prefix(slice text);

/* Code points in valid UTF-8. */
size_t utf8_length(slice text);

#endif
