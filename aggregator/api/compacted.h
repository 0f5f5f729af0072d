/* SPDX-License-Identifier: Apache-2.0
 * A range of compacted facts as one tenant may see it: its own facts are counted, others' are not told of. Any thread. */
#ifndef PICKET_API_COMPACTED_H
#define PICKET_API_COMPACTED_H

#include "aggregator/journal/fact_view.h"
#include "common/base/arena.h"
#include "sre.pb.h"

/* Whether a fact of that name (fact_name) and number is of interest. */
typedef bool compacted_wanted_fn(const void *context, const char *name, uint32_t fact_number);

/* False when the range has no fact of the tenant that is wanted, does not check, or the arena is full. */
bool compacted_range(const struct fact_view *view, slice tenant, compacted_wanted_fn *wanted, const void *context,
                     struct arena *arena, CompactedRange *ret_range);

#endif
