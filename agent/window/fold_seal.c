/* SPDX-License-Identifier: Apache-2.0
 * Sealing is in two steps because what is sealed must be on disk before it is forgotten: begin computes each SLI's new
 * next window and carry beside the old ones, commit puts them in force and clears the counts, abort does nothing.
 *
 * After a down time the windows that nobody saw are handed out as well, with scrapes_seen 0, so that the centre knows
 * them as unknown; but at most gap_windows_max per SLI, and those beyond are counted as dropped. */
#include "agent/window/fold_parts.h"

#include "agent/window/slot.h"

int64_t fold_seal_due_ms(const struct fold *fold) {
    int64_t due_ms = INT64_MAX;
    for (uint32_t s = 0; s < fold->slis_count; s++) {
        const struct fold_sli *const sli = &fold->slis[s];
        if (sli->bindings_count + sli->links_count && sli->next_ms + sli->window_ms < due_ms)
            due_ms = sli->next_ms + sli->window_ms;
    }
    return due_ms;
}

/* Where sealing must stop: the end of the last window that has ended and that no scrape in flight will count in. */
static int64_t seal_end(const struct fold *fold, const struct fold_sli *sli, int64_t now_ms) {
    int64_t end_ms = slot_floor(now_ms, sli->window_ms) * sli->window_ms;
    struct fold_walk walk = {0};
    for (const struct fold_binding *binding; (binding = fold_walk_next(fold, sli, &walk));) {
        const struct fold_slot *const target = &fold->targets[binding->target];
        if (!target->in_flight) continue;
        int64_t counts_in_ms = slot_floor(target->slot_ms, sli->window_ms) * sli->window_ms;
        if (counts_in_ms < sli->next_ms) counts_in_ms = sli->next_ms;
        if (counts_in_ms < end_ms) end_ms = counts_in_ms;
    }
    return end_ms;
}

/* The sum over all targets, and the slots that were due while they were there. */
static struct sli_window window_sum(const struct fold *fold, const struct fold_sli *sli, int64_t start_ms) {
    struct sli_window window = {.slo_id = sli->definition->slo_id,
                                .window_start_ms = start_ms,
                                .window_seconds = sli->definition->window_seconds,
                                .revision = start_ms < sli->revise_until_ms ? sli->revision + 1 : 1};
    const bool in_ring = start_ms < sli->next_ms + sli->ring_count * sli->window_ms;
    struct fold_walk walk = {0};
    for (const struct fold_binding *binding; (binding = fold_walk_next(fold, sli, &walk));) {
        const struct fold_slot *const target = &fold->targets[binding->target];
        const int64_t from_ms = target->from_ms > start_ms ? target->from_ms : start_ms;
        const int64_t end_ms = start_ms + sli->window_ms;
        const int64_t until_ms = target->until_ms < end_ms ? target->until_ms : end_ms;
        if (from_ms < until_ms)
            window.scrapes_expected += (uint32_t)slot_count(from_ms, until_ms, target->interval_ms, target->offset_ms);
        if (!in_ring) continue;
        const struct fold_count *const count = fold_count_at(fold, binding, start_ms);
        window.scrapes_seen += count->seen;
        if (__builtin_add_overflow(window.good, count->good, &window.good)) window.good = INT64_MAX;
        if (__builtin_add_overflow(window.total, count->total, &window.total)) window.total = INT64_MAX;
    }
    /* The interval was changed inside the window: the slots of the old one were due as well. */
    if (window.scrapes_seen > window.scrapes_expected) window.scrapes_expected = window.scrapes_seen;
    return window;
}

/* good <= total, what is over goes on to the next window; of SLI_RATIO_BAD the bad is what was counted. */
static void window_settle(struct sli_window *window, enum sli_kind kind, int64_t *carry) {
    int64_t part;
    if (kind == SLI_RATIO_PARTS) {
        if (__builtin_add_overflow(window->total, window->good, &window->total)) window->total = INT64_MAX;
        return;
    }
    if (__builtin_add_overflow(window->good, *carry, &part)) part = INT64_MAX;
    *carry = part > window->total ? part - window->total : 0;
    part -= *carry;
    window->good = kind == SLI_RATIO_BAD ? window->total - part : part;
}

static void seal_apply(struct fold *fold);

void fold_seal_begin(struct fold *fold, int64_t now_ms, struct sli_window *ret_windows, size_t windows_max,
                     size_t *ret_count) {
    size_t count = 0;
    fold->seal_dropped = 0;
    fold->sealing = false;
    for (uint32_t s = 0; s < fold->slis_count; s++) {
        struct fold_sli *const sli = &fold->slis[s];
        const int64_t end_ms = sli->bindings_count + sli->links_count ? seal_end(fold, sli, now_ms) : sli->next_ms;
        int64_t at_ms = sli->next_ms;
        sli->seal_carry = sli->carry;
        while (at_ms < end_ms && count < windows_max) {
            const int64_t ahead = (end_ms - at_ms) / sli->window_ms;
            const int64_t ring_end_ms = sli->next_ms + sli->ring_count * sli->window_ms;
            if (at_ms >= ring_end_ms && ahead > fold->settings.gap_windows_max) {
                const int64_t dropped = ahead - fold->settings.gap_windows_max;
                fold->seal_dropped += (uint64_t)dropped;
                at_ms += dropped * sli->window_ms;
                continue;
            }
            struct sli_window window = window_sum(fold, sli, at_ms);
            at_ms += sli->window_ms;
            const bool empty = window.scrapes_seen == 0 && window.good == 0 && window.total == 0;
            fold->sealing = true;
            if (empty && ahead > fold->settings.gap_windows_max) {
                fold->seal_dropped++;
                continue;
            }
            if (empty && window.scrapes_expected == 0) continue; /* between two scrapes: there is nothing to say */
            window_settle(&window, sli->definition->kind, &sli->seal_carry);
            ret_windows[count++] = window;
        }
        sli->seal_next_ms = at_ms;
    }
    *ret_count = count;
    if (count > 0 || !fold->sealing) return;
    /* Only windows without anything in them have passed: nothing to store, and no new generation, for what was stored
     * says the same with them as without. */
    seal_apply(fold);
}

void fold_seal_commit(struct fold *fold) {
    if (!fold->sealing) return;
    seal_apply(fold);
    fold->generation++;
}

static void seal_apply(struct fold *fold) {
    for (uint32_t s = 0; s < fold->slis_count; s++) {
        struct fold_sli *const sli = &fold->slis[s];
        struct fold_walk walk = {0};
        for (const struct fold_binding *binding; (binding = fold_walk_next(fold, sli, &walk));)
            for (uint32_t i = 0; i < sli->ring_count; i++) {
                const int64_t start_ms = sli->next_ms + i * sli->window_ms;
                if (start_ms >= sli->seal_next_ms) break;
                *fold_count_at(fold, binding, start_ms) = (struct fold_count){0};
            }
        sli->next_ms = sli->seal_next_ms;
        sli->carry = sli->seal_carry;
    }
    fold->stats.gap_windows_dropped += fold->seal_dropped;
    fold->sealing = false;
    fold_vacate(fold);
}

void fold_seal_abort(struct fold *fold) {
    fold->sealing = false;
}
