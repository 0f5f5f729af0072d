/* SPDX-License-Identifier: Apache-2.0
 * Regular expressions of =~ and !~: RE2's syntax as Prometheus users write it, anchored at both ends, `.` matching
 * newlines too. Matching time is linear in text times pattern, and it allocates nothing.
 * Known: literals, . [..] [^..] [[:alpha:]] \d \w \s \D \W \S | * + ? {n} {n,} {n,m} (also non-greedy: the same here),
 * (..) (?:..) (?P<name>..) (?i) (?s) and both as (?i:..), ^ $ \A \z, \t \n \r \f \v \a \xHH \x{H..}, \Q..\E.
 * Refused by name: \b \B \p{..} \P{..} \C, (?m), look-around and back references (RE2 has not got the last two).
 * (?i) folds ASCII letters only. Text that is not UTF-8 is matched byte by byte. */
#ifndef PICKET_BASE_PATTERN_H
#define PICKET_BASE_PATTERN_H

#include "common/base/fault.h"

struct pattern;

enum { PATTERN_BYTES_MAX = 2048, PATTERN_STEPS_MAX = 2048, PATTERN_DEPTH_MAX = 64, PATTERN_REPEAT_MAX = 1000 };

/* FAULT_INPUT names the position and what is wrong; FAULT_LIMIT one of the maxima above. */
fault_code pattern_compile(slice source, struct pattern **ret_pattern, struct fault *reterr) MUST_CHECK;
struct pattern *pattern_free(struct pattern *pattern); /* NULL is fine; returns NULL */
bool pattern_match(const struct pattern *pattern, slice text);

/* Not anchored: everything in the text that is part of some match, as stretches in the order of their ends (a later one may
 * hold an earlier one); ^ and $ are the text's ends, and a match of nothing is none. One pass, linear as pattern_match. */
typedef void pattern_found_fn(void *context, size_t begin, size_t end);
void pattern_find(const struct pattern *pattern, slice text, pattern_found_fn *found, void *context);

#endif
