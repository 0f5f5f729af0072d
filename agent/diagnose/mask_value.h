/* SPDX-License-Identifier: Apache-2.0
 * Where the value ends that stands beside a name: a quoted text, also over several lines; a list or object to the bracket
 * that closes it; a block of lines that are indented deeper than their name (YAML); or else all up to white space. When it
 * cannot be known it is rather too much than too little. Any thread. */
#ifndef PICKET_DIAGNOSE_MASK_VALUE_H
#define PICKET_DIAGNOSE_MASK_VALUE_H

#include "common/base/slice.h"

/* One pass over a text, from its beginning to its end: what has been looked at is not looked at again. */
struct mask_values {
    slice text;
    uint8_t *marks;
    size_t line; /* where the line begins that the pass is in; the caller moves it */
    size_t done; /* up to here values without quotes are marked */
};

/* Marks the value that begins at `at`, where blanks are passed over already; whole_line: at least to the line's end. */
void mask_value_mark(struct mask_values *values, size_t at, bool whole_line);
/* The same, of a value whose name begins at `name`: when nothing else is in the line it may be in the lines below. */
void mask_value_mark_named(struct mask_values *values, size_t name, size_t at, bool whole_line);

#endif
