/* SPDX-License-Identifier: Apache-2.0
 * A queue that was put back from an older copy (a machine's snapshot, a restored node) brings baselines of then. The
 * increase since then was counted by the process that went on after the copy was made, and would be counted again. Nobody
 * here can tell how much of it was; so none of it counts, and the windows say that they were not seen whole. */
#include "agent/window/fold_parts.h"

void fold_forget_past(struct fold *fold) {
    struct fold_walk walk = {0};
    for (struct fold_slot *target; (target = fold_walk_target(fold, &walk));) {
        for (uint32_t b = target->bindings_first; b < target->bindings_first + target->bindings_count; b++) {
            struct fold_binding *const binding = &fold->bindings[b];
            memset(binding->ring, 0, fold->slis[binding->sli].ring_count * sizeof *binding->ring);
            binding->good_part = binding->total_part = 0;
            if (!target->restored) continue;
            for (struct series *series = series_at(&fold->series, binding->series_first); series;
                 series = series_at(&fold->series, series->next_in_binding))
                series->flags &= (uint8_t)~SERIES_KNOWN;
        }
        target->commits++; /* newer than any checkpoint that is stored */
    }
    for (uint32_t s = 0; s < fold->slis_count; s++) fold->slis[s].carry = 0;
}
