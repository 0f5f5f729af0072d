/* SPDX-License-Identifier: Apache-2.0
 * The journal's range counts every tenant's facts. */
#include "aggregator/api/compacted.h"

#include "aggregator/domain/domain.h"
#include "aggregator/journal/fact_range.h"
#include "aggregator/projections/folds.h"

bool compacted_range(const struct fact_view *view, slice tenant, compacted_wanted_fn *wanted, const void *context,
                     struct arena *arena, CompactedRange *ret_range) {
    struct fact_range range;
    if (fact_range_open(view->sequence, view->bytes, &range, NULL)) return false;
    CompactedFacts *facts = arena_alloc_array(arena, COMPACTABLES_, sizeof *facts);
    size_t count = 0;
    if (!facts) return false;
    for (size_t i = 0; i < range.counts_count && count < COMPACTABLES_; i++) {
        const struct fact_range_count *c = &range.counts[i];
        const char *name = fact_name(c->fact_number);
        if (!name || !slice_equal(c->tenant, tenant) || !wanted(context, name, c->fact_number)) continue;
        facts[count++] = (CompactedFacts){.fact = slice_from_text(name), .count = c->facts};
    }
    if (count == 0) return false;
    *ret_range = (CompactedRange){.first_sequence = range.first_sequence,
                                  .last_sequence = range.last_sequence,
                                  .has_first_committed_at = true,
                                  .first_committed_at = fold_time(range.first_ms),
                                  .has_last_committed_at = true,
                                  .last_committed_at = fold_time(range.last_ms)};
    ret_range->facts.items = facts;
    ret_range->facts.count = count;
    return true;
}
