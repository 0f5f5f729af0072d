/* SPDX-License-Identifier: Apache-2.0
 * The little of PromQL that says the same as a selector of ours: an agent counts increases by itself, so that the
 * functions around a selector fall away, and whatever else would change the meaning is refused. Any thread. */
#ifndef PICKET_CTL_IMPORT_IMPORT_PROMQL_H
#define PICKET_CTL_IMPORT_IMPORT_PROMQL_H

#include "common/base/arena.h"
#include "common/base/fault.h"

enum { IMPORT_PROMQL_BYTES_MAX = 8192, IMPORT_PROMQL_DEPTH_MAX = 16 };

/* A counter: SELECTOR, rate or increase of SELECTOR[5m], sum of any of these. *ret_rate: there was a rate or increase.
 * FAULT_INPUT says what else was found. The selector lives in the arena, one line, its strings as they were. */
fault_code import_promql_counter(slice query, struct arena *arena, slice *ret_selector, bool *ret_rate,
                                 struct fault *reterr) MUST_CHECK;
/* A gauge: SELECTOR, or a quotient of two (sums). max() and min() are let through where `upper` (smaller is better) or
 * its opposite makes them say the same as every series. *ret_divisor is empty without a quotient. */
fault_code import_promql_gauge(slice query, bool upper, struct arena *arena, slice *ret_selector, slice *ret_divisor,
                               struct fault *reterr) MUST_CHECK;

#endif
