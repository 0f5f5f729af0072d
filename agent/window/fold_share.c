/* SPDX-License-Identifier: Apache-2.0
 * Who has room in the table of series. As long as there is room, whoever comes has it: nothing is set aside for those that
 * may never come. When it is full, an SLI on a target (a binding) that did not fit has a claim to an equal share of the
 * table: it asks for no more than that, so somebody has more, and gives way. One exporter whose labels explode can thus
 * darken itself, and nobody else for longer than one scrape.
 *
 * Only who would then fit whole takes anything: a binding that lacks one series counts as unseen, and two that are unseen
 * instead of one help nobody. How much it asks for is known from its last scrape, the one that did not fit. Of those that
 * have more than a share, one that does not fit anyway gives first, then the largest; its newest series go, and its
 * next scrape is not counted as seen, because the increases of those that went are lost. */
#include "agent/window/fold_parts.h"

/* Not before before_s; those of the scrape in flight are newer. */
static bool series_is_old(const struct series *series, uint32_t before_s) {
    return series->seen_s < before_s && !(series->flags & (SERIES_STAGED | SERIES_STAGED_TOTAL));
}

void fold_drop_series(struct fold *fold, struct fold_binding *binding, series_filter *drop, uint32_t before_s,
                      uint64_t *counter) {
    const uint32_t dropped = series_drop(&fold->series, &binding->series_first, drop, before_s);
    binding->series_count -= dropped;
    if (counter) *counter += dropped;
}

/* Gives back what was not seen for long, and divides the table among those that have or want some of it. */
static void sweep(struct fold *fold, int64_t now_ms) {
    const int64_t before_s = (now_ms - fold->settings.series_forget_ms) / 1000;
    struct fold_walk walk = {0};
    uint32_t sharers = 0;
    for (const struct fold_slot *target; (target = fold_walk_target(fold, &walk));)
        for (uint32_t b = target->bindings_first; b < target->bindings_first + target->bindings_count; b++) {
            struct fold_binding *const binding = &fold->bindings[b];
            if (before_s > 0)
                fold_drop_series(fold, binding, series_is_old, (uint32_t)before_s, &fold->stats.series_forgotten);
            sharers += binding->series_count || binding->wants;
        }
    fold->series_share = fold->series.max / (sharers ? sharers : 1);
    fold->giver = 0;
}

/* 1 + number; 0: nobody has more than a share. */
static uint32_t find_giver(const struct fold *fold) {
    uint32_t best = 0;
    for (uint32_t b = 0; b < fold->bindings_count; b++) {
        const struct fold_binding *const one = &fold->bindings[b];
        if (one->series_count <= fold->series_share) continue;
        const struct fold_binding *const other = best ? &fold->bindings[best - 1] : NULL;
        const bool dark = one->wants || one->cut, other_dark = other && (other->wants || other->cut);
        if (!other || (dark != other_dark ? dark : one->series_count > other->series_count)) best = 1 + b;
    }
    return best;
}

/* Takes one series from somebody who has more than a share, for one who asks for no more than that. */
static bool take(struct fold *fold, const struct fold_binding *binding) {
    if (binding->wants == 0 || binding->wants > fold->series_share || binding->refused) return false;
    if (fold->giver == 0 || fold->bindings[fold->giver - 1].series_count <= fold->series_share)
        fold->giver = find_giver(fold);
    struct fold_binding *const giver = fold->giver ? &fold->bindings[fold->giver - 1] : NULL;
    if (giver == NULL || giver == binding) return false;
    series_drop_first(&fold->series, &giver->series_first);
    giver->series_count--;
    giver->cut = true;
    fold->stats.series_taken++;
    return true;
}

struct series *fold_series(struct fold *fold, uint32_t number, uint8_t part, struct series_id id) {
    struct fold_binding *const binding = &fold->bindings[number];
    struct fold_slot *const target = &fold->targets[binding->target];
    const uint32_t before = fold->series.count;
    struct series *series = series_find_or_add(&fold->series, &binding->series_first, number, part, id);
    if (series) {
        binding->series_count += fold->series.count - before;
        return series;
    }
    if (!target->swept) {
        target->swept = true;
        sweep(fold, target->slot_ms);
    }
    if (fold->series.count < fold->series.max || take(fold, binding))
        series = series_find_or_add(&fold->series, &binding->series_first, number, part, id);
    if (series) binding->series_count++;
    return series;
}
