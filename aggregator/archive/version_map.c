/* SPDX-License-Identifier: Apache-2.0
 * Open addressing with linear steps, doubled when three quarters are taken. The key is a hash already, so its low bits
 * are the place. Two aggregates of one hash would look like a gap: with 2^64 seeds of nobody's choosing that is not
 * expected in any journal's life, and it would be a false alarm, never a missed one. */
#include "aggregator/archive/version_map.h"

#include "common/base/checksum.h"

#include <stdlib.h>

enum { SLOTS_FIRST = 1024, PARTS = 3, PART_BYTES_MAX = 255 };

struct version_map {
    size_t slots_count, entries_count;
    struct version_entry *slots; /* version 0 and key 0: free */
};

struct version_key version_key_of(slice tenant, slice aggregate_type, slice aggregate_id) {
    const slice parts[] = {tenant, aggregate_type, aggregate_id};
    uint8_t bytes[PARTS * PART_BYTES_MAX];
    uint64_t sizes = 0;
    size_t at = 0;
    for (size_t i = 0; i < PARTS; i++) {
        const slice part = slice_first(parts[i], PART_BYTES_MAX);
        if (part.size) memcpy(bytes + at, part.data, part.size);
        at += part.size;
        sizes = sizes << 16 | part.size;
    }
    const slice whole = slice_of(bytes, at);
    return (struct version_key){hash_bytes(whole, sizes), hash_bytes(whole, ~sizes) | 1}; /* high is never 0 */
}

struct version_map *version_map_new(void) {
    struct version_map *map = calloc(1, sizeof *map);
    if (!map) return NULL;
    map->slots_count = SLOTS_FIRST;
    map->slots = calloc(SLOTS_FIRST, sizeof *map->slots);
    return map->slots ? map : version_map_free(map);
}

struct version_map *version_map_free(struct version_map *map) {
    if (map) free(map->slots);
    free(map);
    return NULL;
}

static struct version_entry *place_of(const struct version_map *map, struct version_key key) {
    size_t at = key.low & (map->slots_count - 1);
    while (map->slots[at].key.high && (map->slots[at].key.low != key.low || map->slots[at].key.high != key.high))
        at = (at + 1) & (map->slots_count - 1);
    return &map->slots[at];
}

static bool grow(struct version_map *map) {
    struct version_map larger = {.slots_count = 2 * map->slots_count, .entries_count = map->entries_count};
    larger.slots = calloc(larger.slots_count, sizeof *larger.slots);
    if (!larger.slots) return false;
    for (size_t i = 0; i < map->slots_count; i++)
        if (map->slots[i].key.high) *place_of(&larger, map->slots[i].key) = map->slots[i];
    free(map->slots);
    *map = larger;
    return true;
}

struct version_entry *version_map_at(struct version_map *map, struct version_key key) {
    struct version_entry *entry = place_of(map, key);
    if (entry->key.high) return entry;
    if (map->entries_count >= map->slots_count / 4 * 3) {
        if (!grow(map)) return NULL;
        entry = place_of(map, key);
    }
    entry->key = key;
    map->entries_count++;
    return entry;
}

struct version_entry *version_map_find(struct version_map *map, struct version_key key) {
    struct version_entry *entry = place_of(map, key);
    return entry->key.high ? entry : NULL;
}

size_t version_map_count(const struct version_map *map) {
    return map->entries_count;
}

struct version_entry *version_map_next(struct version_map *map, size_t *position) {
    while (*position < map->slots_count) {
        struct version_entry *entry = &map->slots[(*position)++];
        if (entry->key.high) return entry;
    }
    return NULL;
}

void version_map_clear(struct version_map *map) {
    memset(map->slots, 0, map->slots_count * sizeof *map->slots);
    map->entries_count = 0;
}
