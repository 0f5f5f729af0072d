/* SPDX-License-Identifier: Apache-2.0
 * Of each aggregate the version of its last fact, to see that versions have no gap. 56 bytes an aggregate, at most 75 %
 * full; aggregates are known by 128 bits of a hash. One thread at a time. */
#ifndef PICKET_ARCHIVE_VERSION_MAP_H
#define PICKET_ARCHIVE_VERSION_MAP_H

#include "common/base/fault.h"

struct version_map;

struct version_key {
    uint64_t low, high;
};
/* The aggregate's name as the map knows it. */
struct version_key version_key_of(slice tenant, slice aggregate_type, slice aggregate_id);

struct version_entry {
    struct version_key key;
    uint64_t missing;                       /* versions between the first and the last that no fact made */
    uint64_t first;                         /* version of the first fact that was looked at */
    uint64_t version : 63, seen : 1;        /* of the last; 0: a new entry. seen: the caller's */
    uint64_t first_sequence, last_sequence; /* of those two facts */
};

struct version_map *version_map_new(void) MUST_CHECK; /* NULL: no memory */
struct version_map *version_map_free(struct version_map *map);

/* The aggregate's entry, a new one when there is none: version 0. Valid until the next call that may add one. NULL: no
 * memory. */
struct version_entry *version_map_at(struct version_map *map, struct version_key key) MUST_CHECK;
/* NULL when there is none. */
struct version_entry *version_map_find(struct version_map *map, struct version_key key) MUST_CHECK;

size_t version_map_count(const struct version_map *map);
/* The entries one after the other, in no order: *position begins at 0; NULL at the end. */
struct version_entry *version_map_next(struct version_map *map, size_t *position) MUST_CHECK;
/* Forgets all of them, keeps the memory. */
void version_map_clear(struct version_map *map);

#endif
