/* SPDX-License-Identifier: Apache-2.0
 * A list may hold thousands of items and is looked at by the one writer thread, so ids are held apart by a hash table
 * and the order is a merge sort, both in the arena. A made number never goes back: with n items at most 2n numbers are
 * tried, whatever ids the sender chose. */
#include "aggregator/domain/item_list.h"

#include "sre.pb.h"

struct id_set {
    slice *places; /* by hash, then the next; data NULL: free */
    size_t mask;
};

static bool id_set_init(struct id_set *set, size_t ids, struct arena *arena) {
    size_t places = 16;
    while (places < 2 * ids) places *= 2;
    set->mask = places - 1;
    set->places = arena_alloc_array(arena, places, sizeof *set->places);
    return set->places != NULL;
}

/* False: it is in there already. */
static bool id_set_add(struct id_set *set, slice id) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < id.size; i++) hash = (hash ^ id.data[i]) * 16777619u;
    for (size_t at = hash & set->mask;; at = (at + 1) & set->mask) {
        if (set->places[at].size == 0) {
            set->places[at] = id;
            return true;
        }
        if (slice_equal(set->places[at], id)) return false;
    }
}

static slice *id_of(const void *items, size_t i, size_t item_bytes) {
    return (slice *)((uint8_t *)items + i * item_bytes);
}

fault_code item_list_complete_ids(void *items, size_t count, size_t item_bytes, const char *list, const char *field,
                                  const char *made, struct arena *arena, struct fault *reterr) {
    struct id_set set;
    if (!id_set_init(&set, count, arena)) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
    for (size_t i = 0; i < count; i++) {
        const slice id = *id_of(items, i, item_bytes);
        if (id.size && !id_set_add(&set, id))
            return fault_set(reterr, FAULT_INPUT, "%s[%zu].%s: '%.*s' is there twice, each needs one of its own", list,
                             i, field, SLICE_ARG(id));
    }
    size_t number = 0;
    for (size_t i = 0; i < count; i++) {
        slice *id = id_of(items, i, item_bytes);
        if (id->size) continue;
        if (number < i) number = i;
        do {
            *id = arena_format(arena, "%s-%zu", made, ++number);
            if (!id->data) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
        } while (!id_set_add(&set, *id));
    }
    return FAULT_NONE;
}

fault_code item_list_each_once(const void *items, size_t count, size_t item_bytes, const char *list,
                               struct arena *arena, struct fault *reterr) {
    struct id_set set;
    if (!id_set_init(&set, count, arena)) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
    for (size_t i = 0; i < count; i++) {
        const slice id = *id_of(items, i, item_bytes);
        if (id.size && !id_set_add(&set, id))
            return fault_set(reterr, FAULT_INPUT, "%s[%zu]: '%.*s' is there twice", list, i, SLICE_ARG(id));
    }
    return FAULT_NONE;
}

/* ---- order ---- */

static bool later(const uint8_t *a, const uint8_t *b, size_t time_offset) {
    const Timestamp *at = (const Timestamp *)(const void *)(a + time_offset);
    const Timestamp *bt = (const Timestamp *)(const void *)(b + time_offset);
    return at->seconds != bt->seconds ? at->seconds > bt->seconds : at->nanos > bt->nanos;
}

void *item_list_by_time(const void *items, size_t count, size_t item_bytes, size_t time_offset, struct arena *arena) {
    uint8_t *from = arena_alloc_array(arena, count ? count : 1, item_bytes);
    uint8_t *to = arena_alloc_array(arena, count ? count : 1, item_bytes);
    if (!from || !to) return NULL;
    if (count) memcpy(from, items, count * item_bytes);
    for (size_t run = 1; run < count; run *= 2) {
        for (size_t begin = 0; begin < count; begin += 2 * run) {
            size_t left = begin, right = begin + run < count ? begin + run : count;
            const size_t left_end = right, right_end = right + run < count ? right + run : count;
            for (size_t out = begin; out < right_end; out++) {
                const bool take_right =
                    left == left_end ||
                    (right < right_end && later(from + left * item_bytes, from + right * item_bytes, time_offset));
                memcpy(to + out * item_bytes, from + (take_right ? right++ : left++) * item_bytes, item_bytes);
            }
        }
        uint8_t *const before = from;
        from = to;
        to = before;
    }
    return from;
}
