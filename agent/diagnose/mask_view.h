/* SPDX-License-Identifier: Apache-2.0
 * What hides a text from the rules: escapes between and within its words, and encodings of the whole. Any thread. */
#ifndef PICKET_DIAGNOSE_MASK_VIEW_H
#define PICKET_DIAGNOSE_MASK_VIEW_H

#include "common/base/slice.h"

/* The text as it is meant: without colours (ECMA-48 SGR and EL) and characters that nobody sees, and with %3D, \n, \u003c
 * and &lt; as what they stand for. `to` takes text.size bytes; returns how many it is. When these are as many as the text
 * has, it is the text itself. */
size_t mask_view_plain(slice text, uint8_t *to);
/* Marks in the text what is marked in its plain view. */
void mask_view_return(slice text, const uint8_t *plain_marks, uint8_t *marks);

/* A run of bytes that may be base64 (RFC 4648, both alphabets, wherever it begins) or hexadecimal digits. */
struct mask_run {
    size_t begin, end; /* with its padding */
    bool base64;
};

/* Those of base64 come first, and are the ones of a run that is no hexadecimal digits. */
enum { MASK_BASE64_READINGS = 4, MASK_RUN_READINGS = 6 };

/* The next run at or behind `at` that is long enough to say something; false: there is none. */
bool mask_view_next_run(slice text, size_t at, struct mask_run *ret_run);
/* What it says in one of the ways it can be read: 0 when that is not text, or less than a secret and its name. `to` takes
 * as many bytes as the run has. */
size_t mask_view_decode(slice run, unsigned reading, uint8_t *to);

#endif
