/* SPDX-License-Identifier: Apache-2.0
 * Takes secrets out of text before it leaves the agent: each becomes "***". What is taken for one is in mask_rules.h (keys
 * and tokens by their shape, values by the names beside them, passwords in URLs and commands, long runs that look random),
 * also behind escapes and encodings (mask_view.h), and what the settings add as patterns. It is a net, and masks too much rather than too little; what must not leave at all is
 * kept back by the kinds that are allowed, not here. One owner. */
#ifndef PICKET_DIAGNOSE_MASK_H
#define PICKET_DIAGNOSE_MASK_H

#include "common/base/text.h"

struct mask;

enum { MASK_PATTERNS_MAX = 32, MASK_LOOKBACK_BYTES = 16 * 1024 };
#define MASK_TEXT "***"

/* Patterns of common/base/pattern.h, found anywhere in a line; ^ and $ are its ends. FAULT_INPUT names the pattern. */
fault_code mask_new(const slice *patterns, size_t patterns_count, struct mask **ret_mask,
                    struct fault *reterr) MUST_CHECK;
struct mask *mask_free(struct mask *mask); /* NULL is fine; returns NULL */

/* Appends the text without its secrets to `out`; adds how many there were to *count. Takes up to five times `text.size` of
 * the heap while it works, and time in line with it; without that memory `out` is full and has nothing of it. The text is whole: a secret that is cut off at an end may not be known (mask_whole). */
void mask_add(const struct mask *mask, slice text, struct text *out, uint32_t *count);
/* Of a text that was cut off at its end somewhere: the part that ends with a whole line, or else with a whole word. */
slice mask_whole(slice cut);
/* Whether what stands beside such a name ("password", "DB_PASS", "apiKey") is taken for a secret. */
bool mask_is_secret_name(slice name);

#endif
