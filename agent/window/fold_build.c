/* SPDX-License-Identifier: Apache-2.0
 * Everything is numbered and allocated once: targets that stay, then the places of each group; the bindings of a target
 * stand in one run. What a group's places need is set aside, and touched only when a place is taken. */
#include "agent/window/fold_parts.h"

#include "agent/window/slot.h"

#include <stdlib.h>

enum { FOLD_SERIES_MAX = 1 << 24, FOLD_TARGETS_MAX = 65536, FOLD_SLIS_MAX = 65536, FOLD_GROUPS_MAX = 1024 };

static bool binds(const struct fold_target *target, const struct sli *sli) {
    return target->probe == (sli_definition(sli)->kind == SLI_PROBE) && sli_wants_target(sli, target->name);
}

static fault_code check_targets(const struct fold_target *targets, size_t count, struct fault *reterr) {
    for (size_t i = 0; i < count; i++) {
        const struct fold_target *const t = &targets[i];
        if (t->name.size == 0 || t->interval_ms < 1 || t->timeout_ms < 1 || t->timeout_ms > t->interval_ms ||
            t->offset_ms < 0 || t->offset_ms >= t->interval_ms)
            return fault_set(
                reterr, FAULT_INPUT,
                "target '%.*s': expected a name, a timeout of at most the interval, and an offset inside it",
                SLICE_ARG(slice_first(t->name, 100)));
        for (size_t j = 0; j < i; j++)
            if (targets[j].probe == t->probe && slice_equal(targets[j].name, t->name))
                return fault_set(reterr, FAULT_CONFLICT, "two targets are named '%.*s'",
                                 SLICE_ARG(slice_first(t->name, 100)));
    }
    return FAULT_NONE;
}

static fault_code check_slis(const struct sli *const *slis, size_t count, struct fault *reterr) {
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (slice_equal(sli_definition(slis[i])->slo_id, sli_definition(slis[j])->slo_id))
                return fault_set(reterr, FAULT_CONFLICT, "two SLIs are of slo '%.*s'",
                                 SLICE_ARG(sli_definition(slis[i])->slo_id));
    return FAULT_NONE;
}

static fault_code fold_add_targets(struct fold *fold, const struct fold_target *targets, struct fault *reterr) {
    size_t name_bytes = 0;
    size_t places = 0;
    for (size_t i = 0; i < fold->steady_count; i++) name_bytes += targets[i].name.size;
    for (size_t i = 0; i < fold->crowds_count; i++)
        places += 1 + FOLD_PLACES_PER_TARGET * fold->settings.groups[i].targets_max;
    if (fold->steady_count + places > FOLD_TARGETS_MAX)
        return fault_set(reterr, FAULT_INPUT, "at most %d targets, and groups count %d for each of their targets_max",
                         FOLD_TARGETS_MAX, FOLD_PLACES_PER_TARGET);
    fold->targets_count = fold->steady_count + (uint32_t)places;
    fold->targets = fold_alloc(fold, fold->targets_count, sizeof *fold->targets);
    uint8_t *names = fold_alloc(fold, name_bytes, 1);
    if (fold->targets == NULL || names == NULL) return fold_no_memory(reterr);
    for (size_t i = 0; i < fold->steady_count; i++) {
        const struct fold_target *const t = &targets[i];
        memcpy(names, t->name.data, t->name.size);
        fold->targets[i] = (struct fold_slot){.name = slice_of(names, t->name.size),
                                              .probe = t->probe,
                                              .interval_ms = t->interval_ms,
                                              .offset_ms = t->offset_ms,
                                              .timeout_ms = t->timeout_ms,
                                              .from_ms = INT64_MIN,
                                              .until_ms = INT64_MAX,
                                              .last_slot_ms = INT64_MIN};
        names += t->name.size;
    }
    return FAULT_NONE;
}

static fault_code fold_add_slis(struct fold *fold, const struct sli *const *slis, int64_t now_ms,
                                struct fault *reterr) {
    fold->slis = fold_alloc(fold, fold->slis_count, sizeof *fold->slis);
    if (fold->slis == NULL) return fold_no_memory(reterr);
    for (size_t i = 0; i < fold->slis_count; i++) {
        struct fold_sli *const s = &fold->slis[i];
        s->sli = slis[i];
        s->definition = sli_definition(slis[i]);
        s->window_ms = 1000 * (int64_t)s->definition->window_seconds;
        s->next_ms = slot_floor(now_ms, s->window_ms) * s->window_ms;
    }
    return FAULT_NONE;
}

/* Bindings stand by target, so that a scrape walks one run of them; each SLI has the numbers of its own. */
static fault_code fold_add_bindings(struct fold *fold, const struct fold_target *targets, struct fault *reterr) {
    for (uint32_t t = 0; t < fold->steady_count; t++) {
        fold->targets[t].bindings_first = fold->bindings_count;
        for (uint32_t s = 0; s < fold->slis_count; s++)
            if (binds(&targets[t], fold->slis[s].sli)) {
                fold->slis[s].bindings_count++;
                fold->bindings_count++;
            }
        fold->targets[t].bindings_count = fold->bindings_count - fold->targets[t].bindings_first;
    }
    const uint32_t steady = fold->bindings_count;
    const fault_code code = fold_add_crowds(fold, fold->settings.groups, reterr);
    if (code) return code;
    fold->bindings = fold_alloc(fold, fold->bindings_count, sizeof *fold->bindings);
    uint32_t *numbers = fold_alloc(fold, steady, sizeof *numbers);
    if (fold->bindings == NULL || numbers == NULL) return fold_no_memory(reterr);
    for (uint32_t s = 0; s < fold->slis_count; s++) {
        fold->slis[s].bindings = numbers;
        numbers += fold->slis[s].bindings_count;
        fold->slis[s].bindings_count = 0;
    }
    uint32_t number = 0;
    for (uint32_t t = 0; t < fold->steady_count; t++)
        for (uint32_t s = 0; s < fold->slis_count; s++) {
            if (!binds(&targets[t], fold->slis[s].sli)) continue;
            fold->bindings[number] = (struct fold_binding){.target = t, .sli = s};
            fold->slis[s].bindings[fold->slis[s].bindings_count++] = number++;
        }
    return FAULT_NONE;
}

/* While the oldest scrape in flight keeps a window open, newer slots need windows too: as many as fit the timeout. */
static fault_code fold_add_rings(struct fold *fold, struct fault *reterr) {
    size_t counts = 0;
    for (uint32_t s = 0; s < fold->slis_count; s++) {
        struct fold_sli *const sli = &fold->slis[s];
        int64_t timeout_ms = 0;
        for (uint32_t b = 0; b < sli->bindings_count; b++) {
            const struct fold_slot *const target = &fold->targets[fold->bindings[sli->bindings[b]].target];
            if (target->timeout_ms > timeout_ms) timeout_ms = target->timeout_ms;
        }
        for (uint32_t l = 0; l < sli->links_count; l++)
            if (fold->crowds[sli->links[l].group].timeout_ms > timeout_ms)
                timeout_ms = fold->crowds[sli->links[l].group].timeout_ms;
        const int64_t ring = timeout_ms / sli->window_ms + FOLD_RING_MIN;
        sli->ring_count = ring > FOLD_RING_MAX ? FOLD_RING_MAX : (uint32_t)ring;
        counts += (size_t)sli->ring_count * sli->bindings_count;
    }
    for (uint32_t c = 0; c < fold->crowds_count; c++) counts += fold_crowd_counts(fold, &fold->crowds[c]);
    struct fold_count *ring = fold_alloc(fold, counts, sizeof *ring);
    if (ring == NULL) return fold_no_memory(reterr);
    for (uint32_t s = 0; s < fold->slis_count; s++)
        for (uint32_t b = 0; b < fold->slis[s].bindings_count; b++) {
            fold->bindings[fold->slis[s].bindings[b]].ring = ring;
            ring += fold->slis[s].ring_count;
        }
    for (uint32_t c = 0; c < fold->crowds_count; c++) {
        fold->crowds[c].rings = ring;
        ring += fold_crowd_counts(fold, &fold->crowds[c]);
    }
    return FAULT_NONE;
}

static fault_code fold_fill(struct fold *fold, const struct fold_target *targets, const struct sli *const *slis,
                            int64_t now_ms, struct fault *reterr) {
    fault_code code = check_targets(targets, fold->steady_count, reterr);
    if (code == FAULT_NONE) code = check_slis(slis, fold->slis_count, reterr);
    if (code == FAULT_NONE) code = fold_add_targets(fold, targets, reterr);
    if (code == FAULT_NONE) code = fold_add_slis(fold, slis, now_ms, reterr);
    if (code == FAULT_NONE) code = fold_add_bindings(fold, targets, reterr);
    if (code == FAULT_NONE) code = fold_add_rings(fold, reterr);
    if (code) return code;
    fold_begin_crowds(fold, now_ms);
    fold->settings.groups = NULL; /* were the caller's */
    fold->snapshot_max = fold_snapshot_bound(fold);
    fold->snapshot = fold_alloc(fold, fold->snapshot_max, 1);
    if (fold->snapshot == NULL || !series_table_init(&fold->series, (uint32_t)fold->settings.series_max))
        return fold_no_memory(reterr);
    fold->stats.memory_bytes += sizeof *fold + series_table_bytes((uint32_t)fold->settings.series_max);
    return FAULT_NONE;
}

fault_code fold_new(const struct fold_settings *settings, const struct fold_target *targets, size_t targets_count,
                    const struct sli *const *slis, size_t slis_count, int64_t now_ms, struct fold **ret_fold,
                    struct fault *reterr) {
    if (settings->series_max > FOLD_SERIES_MAX || targets_count > FOLD_TARGETS_MAX || slis_count > FOLD_SLIS_MAX ||
        settings->groups_count > FOLD_GROUPS_MAX || settings->gap_windows_max < 1)
        return fault_set(reterr, FAULT_INPUT,
                         "at most %d series, %d targets, %d groups and %d SLIs, and gap_windows_max at least 1",
                         FOLD_SERIES_MAX, FOLD_TARGETS_MAX, FOLD_GROUPS_MAX, FOLD_SLIS_MAX);
    struct fold *fold = calloc(1, sizeof *fold);
    if (fold == NULL) return fold_no_memory(reterr);
    fold->settings = *settings;
    fold->clock_offset_ms = INT64_MIN;
    fold->steady_count = (uint32_t)targets_count;
    fold->crowds_count = (uint32_t)settings->groups_count;
    fold->slis_count = (uint32_t)slis_count;
    const fault_code code = fold_fill(fold, targets, slis, now_ms, reterr);
    if (code) {
        fold_free(fold);
        return code;
    }
    *ret_fold = fold;
    return FAULT_NONE;
}

struct fold *fold_free(struct fold *fold) {
    if (fold) {
        series_table_done(&fold->series);
        for (size_t i = 0; i < fold->blocks_count; i++) free(fold->blocks[i]);
        free(fold);
    }
    return NULL;
}
