/* SPDX-License-Identifier: Apache-2.0
 * The closed forms of text that constraints name (Format in options.proto). Any thread. */
#ifndef PICKET_CODEC_FORMAT_H
#define PICKET_CODEC_FORMAT_H

#include "common/codec/tables.h"

/* Whether the text has the form; text is valid UTF-8. FORMAT_NONE takes all. Empty text has none of the others. */
bool format_holds(enum text_format format, slice text);

/* In words, for "must be ...": "an id of [A-Za-z0-9._-], 1 to 128 characters". */
const char *format_words(enum text_format format);

/* The same form as an ECMA 262 regular expression, for JSON schema; NULL for FORMAT_NONE. */
const char *format_pattern(enum text_format format);

#endif
