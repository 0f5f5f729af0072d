/* SPDX-License-Identifier: Apache-2.0
 * A clock that was ahead and is set right leaves windows behind that were sealed for a time that is yet to come. A little
 * of that is waited out: what is counted meanwhile goes to the oldest open window, and comes late. Beyond FOLD_AHEAD_MS_MAX
 * (the centre refuses windows that far ahead) windows begin anew at the present one. What was counted and not sealed goes
 * with it: nothing is lost, nothing counts twice. Windows that were sealed for a time that now comes again have a higher
 * revision when they come: what was measured at that time replaces what a wrong clock said of it.
 *
 * It may be the other way round: the clock was right, was behind for a while (a node without a battery for it, before it
 * has heard of the time), and is set forward again. Nobody lived through the time in between a second time, so nothing is
 * said of it: what was measured in it before stays. That it was set, and time did not just pass (suspended, frozen),
 * is seen by the clock since the boot. */
#include "agent/window/fold_parts.h"
#include "agent/window/slot.h"

/* What is counted and not sealed counts in the window that starts here, the oldest one from now on. */
static void move_to(struct fold *fold, struct fold_sli *sli, int64_t start_ms) {
    struct fold_walk walk = {0};
    for (struct fold_binding *binding; (binding = fold_walk_next(fold, sli, &walk));) {
        struct fold_count sum = {0};
        for (uint32_t i = 0; i < sli->ring_count; i++) {
            struct fold_count *const count = &binding->ring[i];
            if (__builtin_add_overflow(sum.good, count->good, &sum.good)) sum.good = INT64_MAX;
            if (__builtin_add_overflow(sum.total, count->total, &sum.total)) sum.total = INT64_MAX;
            sum.seen += count->seen;
            *count = (struct fold_count){0};
        }
        *fold_count_at(fold, binding, start_ms) = sum;
    }
    sli->next_ms = start_ms;
}

static bool follow_forward(struct fold *fold, int64_t now_ms, int64_t step_ms) {
    bool set_right = false;
    for (uint32_t s = 0; s < fold->slis_count; s++) {
        struct fold_sli *const sli = &fold->slis[s];
        int64_t start_ms = slot_floor(now_ms, sli->window_ms) * sli->window_ms;
        if (start_ms > sli->revise_until_ms) start_ms = sli->revise_until_ms;
        if (step_ms < sli->window_ms || start_ms <= sli->next_ms) continue;
        move_to(fold, sli, start_ms);
        set_right = true;
    }
    return set_right;
}

enum fold_clock fold_follow_clock(struct fold *fold, int64_t now_ms, int64_t boot_ms) {
    const int64_t offset_ms = now_ms - boot_ms;
    const int64_t step_ms = fold->clock_offset_ms == INT64_MIN ? 0 : offset_ms - fold->clock_offset_ms;
    bool set_back = false;
    fold->clock_offset_ms = offset_ms;
    if (step_ms > 0 && follow_forward(fold, now_ms, step_ms)) return FOLD_CLOCK_SET_RIGHT;
    for (uint32_t s = 0; s < fold->slis_count; s++) {
        struct fold_sli *const sli = &fold->slis[s];
        const int64_t start_ms = slot_floor(now_ms, sli->window_ms) * sli->window_ms;
        if (sli->next_ms - start_ms <= FOLD_AHEAD_MS_MAX + sli->window_ms) continue;
        if (sli->next_ms > sli->revise_until_ms) sli->revise_until_ms = sli->next_ms;
        sli->revision++;
        move_to(fold, sli, start_ms);
        set_back = true;
    }
    if (!set_back) return FOLD_CLOCK_STEADY;
    struct fold_walk walk = {0};
    for (struct fold_slot *target; (target = fold_walk_target(fold, &walk));) {
        if (target->last_slot_ms > now_ms) target->last_slot_ms = INT64_MIN;
        if (target->from_ms > now_ms) target->from_ms = now_ms;
        if (target->until_ms > now_ms && target->until_ms != INT64_MAX) target->until_ms = now_ms; /* it has left */
    }
    return FOLD_CLOCK_SET_BACK;
}
