/* SPDX-License-Identifier: Apache-2.0
 * A group has a fixed number of places, and a target that comes takes one. From there on it is like any other, but for
 * the time in which its slots are expected. Who leaves keeps the place until every window that it counted in is sealed:
 * nothing has to be moved, and a snapshot or a checkpoint says the same before and after, so that a kill at any moment
 * neither loses nor doubles a count. Hence more places than targets (FOLD_PLACES_PER_TARGET): all may be replaced within
 * one window.
 *
 * The first place is the group's own entry. It is never scraped, and expected while nobody knows who belongs to the
 * group: a window in which a target may have come and gone unnoticed then says that it was not seen whole. */
#include "agent/window/fold_parts.h"

#include "agent/window/slot.h"

static bool group_binds(const struct fold_group *group, const struct sli *sli) {
    const struct sli_definition *const definition = sli_definition(sli);
    return definition->kind != SLI_PROBE && sli_wants_target(sli, group->name) &&
           (definition->targets_count || !group->named_only);
}

static fault_code check_group(const struct fold *fold, const struct fold_group *groups, uint32_t number,
                              struct fault *reterr) {
    const struct fold_group *const group = &groups[number];
    const slice name = slice_first(group->name, 100);
    if (group->name.size == 0 || group->name.size > FOLD_NAME_BYTES || group->targets_max == 0 ||
        group->interval_ms < 1 || group->timeout_ms < 1)
        return fault_set(reterr, FAULT_INPUT, "group '%.*s': expected a name, targets_max, an interval and a timeout",
                         SLICE_ARG(name));
    for (uint32_t i = 0; i < number; i++)
        if (slice_equal(groups[i].name, group->name))
            return fault_set(reterr, FAULT_CONFLICT, "two groups are named '%.*s'", SLICE_ARG(name));
    for (uint32_t t = 0; t < fold->steady_count; t++)
        if (!fold->targets[t].probe && slice_equal(fold->targets[t].name, group->name))
            return fault_set(reterr, FAULT_CONFLICT, "a target and a group are named '%.*s'", SLICE_ARG(name));
    return FAULT_NONE;
}

fault_code fold_add_crowds(struct fold *fold, const struct fold_group *groups, struct fault *reterr) {
    if (fold->crowds_count == 0) return FAULT_NONE;
    const size_t places = fold->targets_count - fold->steady_count;
    const size_t links = (size_t)fold->crowds_count * fold->slis_count;
    fold->crowds = fold_alloc(fold, fold->crowds_count, sizeof *fold->crowds);
    uint8_t *names = fold_alloc(fold, places, FOLD_NAME_BYTES);
    uint32_t *numbers = fold_alloc(fold, 2 * places + 2 * links, sizeof *numbers);
    struct fold_link *link = fold_alloc(fold, links, sizeof *link);
    if (!fold->crowds || !names || !numbers || !link) return fold_no_memory(reterr);
    uint32_t first = fold->steady_count;
    for (uint32_t c = 0; c < fold->crowds_count; c++) {
        const fault_code code = check_group(fold, groups, c, reterr);
        if (code) return code;
        struct fold_crowd *const crowd = &fold->crowds[c];
        *crowd = (struct fold_crowd){.targets_max = (uint32_t)groups[c].targets_max,
                                     .places_first = first,
                                     .places_count = 1 + FOLD_PLACES_PER_TARGET * (uint32_t)groups[c].targets_max,
                                     .interval_ms = groups[c].interval_ms,
                                     .timeout_ms = groups[c].timeout_ms,
                                     .names = names,
                                     .bindings_first = fold->bindings_count};
        memcpy(names, groups[c].name.data, groups[c].name.size);
        crowd->name = slice_of(names, groups[c].name.size);
        crowd->fresh_count = crowd->places_count;
        crowd->live = numbers;
        crowd->vacant = numbers + crowd->places_count;
        crowd->slis = numbers + 2 * (size_t)crowd->places_count;
        crowd->ring_at = crowd->slis + fold->slis_count;
        numbers += 2 * (size_t)crowd->places_count + 2 * (size_t)fold->slis_count;
        names += (size_t)crowd->places_count * FOLD_NAME_BYTES;
        first += crowd->places_count;
        for (uint32_t s = 0; s < fold->slis_count; s++)
            if (group_binds(&groups[c], fold->slis[s].sli)) crowd->slis[crowd->slis_count++] = s;
        fold->bindings_count += crowd->places_count * crowd->slis_count;
    }
    for (uint32_t s = 0; s < fold->slis_count; s++) {
        struct fold_sli *const sli = &fold->slis[s];
        sli->links = link;
        for (uint32_t c = 0; c < fold->crowds_count; c++)
            for (uint32_t k = 0; k < fold->crowds[c].slis_count; k++)
                if (fold->crowds[c].slis[k] == s) sli->links[sli->links_count++] = (struct fold_link){c, k};
        link += sli->links_count;
    }
    return FAULT_NONE;
}

size_t fold_crowd_counts(const struct fold *fold, struct fold_crowd *crowd) {
    crowd->ring_stride = 0;
    for (uint32_t k = 0; k < crowd->slis_count; k++) {
        crowd->ring_at[k] = crowd->ring_stride;
        crowd->ring_stride += fold->slis[crowd->slis[k]].ring_count;
    }
    return (size_t)crowd->ring_stride * crowd->places_count;
}

/* The name of the group's own entry is the group's; no member can have this incarnation beside it. */
enum { OWN_ENTRY = -1 };

void fold_begin_crowds(struct fold *fold, int64_t now_ms) {
    for (uint32_t c = 0; c < fold->crowds_count; c++) {
        struct fold_crowd *const crowd = &fold->crowds[c];
        struct fold_slot *const own = fold_occupy(fold, crowd, crowd->name, (uint64_t)OWN_ENTRY);
        own->interval_ms = crowd->interval_ms;
        own->offset_ms = slot_offset_ms(crowd->name, crowd->interval_ms);
        own->timeout_ms = 1;
        own->confirmed = true;
        own->from_ms = now_ms;
        own->until_ms = INT64_MAX;
    }
}

struct fold_crowd *fold_crowd_named(struct fold *fold, slice name) {
    for (uint32_t c = 0; c < fold->crowds_count; c++)
        if (slice_equal(fold->crowds[c].name, name)) return &fold->crowds[c];
    return NULL;
}

static struct fold_slot *crowd_find(struct fold *fold, const struct fold_crowd *crowd, slice name,
                                    uint64_t incarnation) {
    for (uint32_t i = 0; i < crowd->live_count; i++) {
        struct fold_slot *const slot = &fold->targets[crowd->live[i]];
        if (slot->incarnation == incarnation && slice_equal(slot->name, name)) return slot;
    }
    return NULL;
}

struct fold_slot *fold_occupy(struct fold *fold, struct fold_crowd *crowd, slice name, uint64_t incarnation) {
    struct fold_slot *slot = crowd_find(fold, crowd, name, incarnation);
    if (slot) return slot;
    if (crowd->vacant_count == 0 && crowd->fresh_count == 0) return NULL;
    const uint32_t number = crowd->vacant_count ? crowd->vacant[--crowd->vacant_count]
                                                : crowd->places_first + crowd->places_count - crowd->fresh_count--;
    const uint32_t place = number - crowd->places_first;
    uint8_t *const text = crowd->names + (size_t)place * FOLD_NAME_BYTES;
    if (text != name.data) memcpy(text, name.data, name.size);
    slot = &fold->targets[number];
    *slot = (struct fold_slot){.name = slice_of(text, name.size),
                               .group = 1 + (uint32_t)(crowd - fold->crowds),
                               .occupied = true,
                               .incarnation = incarnation,
                               .interval_ms = crowd->interval_ms,
                               .timeout_ms = crowd->timeout_ms,
                               .from_ms = INT64_MAX,
                               .until_ms = INT64_MAX,
                               .last_slot_ms = INT64_MIN,
                               .bindings_first = crowd->bindings_first + place * crowd->slis_count,
                               .bindings_count = crowd->slis_count};
    for (uint32_t k = 0; k < crowd->slis_count; k++)
        fold->bindings[slot->bindings_first + k] =
            (struct fold_binding){.target = number,
                                  .sli = crowd->slis[k],
                                  .ring = crowd->rings + (size_t)place * crowd->ring_stride + crowd->ring_at[k]};
    crowd->live[crowd->live_count++] = number;
    return slot;
}

static bool series_any(const struct series *series, uint32_t before_s) {
    return true;
}

static void place_give_back(struct fold *fold, struct fold_crowd *crowd, uint32_t at) {
    struct fold_slot *const slot = &fold->targets[crowd->live[at]];
    for (uint32_t b = slot->bindings_first; b < slot->bindings_first + slot->bindings_count; b++) {
        struct fold_binding *const binding = &fold->bindings[b];
        fold_drop_series(fold, binding, series_any, 0, NULL);
        binding->wants = 0;
        memset(binding->ring, 0, fold->slis[binding->sli].ring_count * sizeof *binding->ring);
    }
    slot->occupied = false;
    crowd->vacant[crowd->vacant_count++] = crowd->live[at];
    crowd->live[at] = crowd->live[--crowd->live_count];
}

bool fold_is_settled(const struct fold *fold, const struct fold_slot *slot) {
    if (!slot->left) return false;
    for (uint32_t b = slot->bindings_first; b < slot->bindings_first + slot->bindings_count; b++) {
        const struct fold_binding *const binding = &fold->bindings[b];
        const struct fold_sli *const sli = &fold->slis[binding->sli];
        const int64_t open_ms = fold->sealing ? sli->seal_next_ms : sli->next_ms;
        const int64_t end_ms = sli->next_ms + sli->ring_count * sli->window_ms;
        if (open_ms < slot->until_ms) return false;
        for (int64_t start_ms = open_ms; start_ms < end_ms; start_ms += sli->window_ms) {
            const struct fold_count *const count = fold_count_at(fold, binding, start_ms);
            if (count->good || count->total || count->seen) return false;
        }
    }
    return true;
}

void fold_vacate(struct fold *fold) {
    for (uint32_t c = 0; c < fold->crowds_count; c++) {
        struct fold_crowd *const crowd = &fold->crowds[c];
        for (uint32_t i = crowd->live_count; i-- > 1;)
            if (fold_is_settled(fold, &fold->targets[crowd->live[i]])) place_give_back(fold, crowd, i);
    }
}

static void place_leave(struct fold *fold, struct fold_crowd *crowd, struct fold_slot *slot, int64_t now_ms) {
    if (slot->left) return;
    fold_abort(fold, (size_t)(slot - fold->targets));
    slot->left = true;
    if (slot->until_ms > now_ms) slot->until_ms = now_ms;
    if (slot->from_ms > slot->until_ms) slot->from_ms = slot->until_ms;
    crowd->members_count -= slot->confirmed;
}

fault_code fold_join(struct fold *fold, size_t group, const struct fold_member *member, int64_t now_ms,
                     size_t *ret_target, struct fault *reterr) {
    struct fold_crowd *const crowd = &fold->crowds[group];
    const slice name = slice_first(member->name, 100);
    if (member->name.size == 0 || member->name.size > FOLD_NAME_BYTES || member->interval_ms < 1 ||
        member->timeout_ms < 1 || member->timeout_ms > crowd->timeout_ms || member->offset_ms < 0 ||
        member->offset_ms >= member->interval_ms || member->incarnation == (uint64_t)OWN_ENTRY)
        return fault_set(reterr, FAULT_INPUT,
                         "target '%.*s' of '%.*s': expected a name of at most %d bytes, an offset inside the interval, "
                         "and a timeout of at most %lld ms",
                         SLICE_ARG(name), SLICE_ARG(crowd->name), FOLD_NAME_BYTES, (long long)crowd->timeout_ms);
    for (uint32_t i = 1; i < crowd->live_count; i++) {
        struct fold_slot *const other = &fold->targets[crowd->live[i]];
        if (other->incarnation != member->incarnation && slice_equal(other->name, member->name))
            place_leave(fold, crowd, other, now_ms);
    }
    struct fold_slot *slot = crowd_find(fold, crowd, member->name, member->incarnation);
    if (!slot || slot->left || !slot->confirmed) {
        if (crowd->members_count < crowd->targets_max)
            slot = fold_occupy(fold, crowd, member->name, member->incarnation);
        else
            slot = NULL;
        if (!slot) {
            fold->stats.members_refused++;
            return fault_set(reterr, FAULT_LIMIT, "target '%.*s' of '%.*s': %u targets are there already (targets_max)",
                             SLICE_ARG(name), SLICE_ARG(crowd->name), crowd->targets_max);
        }
        crowd->members_count++;
        slot->left = false;
        if (slot->from_ms == INT64_MAX) slot->from_ms = now_ms + 1;
    }
    slot->confirmed = true;
    slot->until_ms = INT64_MAX;
    slot->interval_ms = member->interval_ms;
    slot->offset_ms = member->offset_ms;
    slot->timeout_ms = member->timeout_ms;
    *ret_target = (size_t)(slot - fold->targets);
    return FAULT_NONE;
}

void fold_expect_no_more(struct fold *fold, size_t target, int64_t now_ms) {
    struct fold_slot *const slot = &fold->targets[target];
    if (slot->until_ms > now_ms) slot->until_ms = now_ms;
}

void fold_leave(struct fold *fold, size_t target, int64_t now_ms) {
    struct fold_slot *const slot = &fold->targets[target];
    if (slot->group && slot->occupied) place_leave(fold, &fold->crowds[slot->group - 1], slot, now_ms);
}

void fold_group_fresh(struct fold *fold, size_t group, int64_t now_ms) {
    struct fold_crowd *const crowd = &fold->crowds[group];
    struct fold_slot *const own = &fold->targets[crowd->places_first];
    if (own->until_ms > now_ms) own->until_ms = now_ms;
    for (uint32_t i = 1; i < crowd->live_count; i++) {
        struct fold_slot *const slot = &fold->targets[crowd->live[i]];
        if (!slot->confirmed) place_leave(fold, crowd, slot, now_ms);
    }
}

/* A time that was not known and ended in a window that is still open grows into the new one: rather too much is unknown
 * than too little. */
void fold_group_stale(struct fold *fold, size_t group, int64_t since_ms) {
    struct fold_slot *const own = &fold->targets[fold->crowds[group].places_first];
    int64_t open_ms = INT64_MAX;
    for (uint32_t k = 0; k < fold->crowds[group].slis_count; k++) {
        const struct fold_sli *const sli = &fold->slis[fold->crowds[group].slis[k]];
        if (sli->next_ms < open_ms) open_ms = sli->next_ms;
    }
    if (own->until_ms <= open_ms || own->from_ms > since_ms) own->from_ms = since_ms;
    own->until_ms = INT64_MAX;
}

bool fold_restored_member(const struct fold *fold, size_t group, size_t *cursor, slice *ret_name) {
    const struct fold_crowd *const crowd = &fold->crowds[group];
    for (size_t i = *cursor ? *cursor : 1; i < crowd->live_count; i++) {
        const struct fold_slot *const slot = &fold->targets[crowd->live[i]];
        if (slot->confirmed || slot->left) continue;
        *cursor = i + 1;
        *ret_name = slot->name;
        return true;
    }
    return false;
}

size_t fold_targets_max(const struct fold *fold) {
    return fold->targets_count;
}

uint32_t fold_tag_base(const struct fold *fold, size_t target) {
    return fold->targets[target].bindings_first * SLI_PART_COUNT_;
}
