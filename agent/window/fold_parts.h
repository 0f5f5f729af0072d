/* SPDX-License-Identifier: Apache-2.0
 * The inside of the fold, for fold*.c and snapshot.c alone.
 *
 * Counts are kept per binding (one SLI on one target), not per SLI: a target's snapshot then holds its baselines and
 * what they have been counted into, and is right by itself, whatever the age of the other targets' snapshots. */
#ifndef PICKET_WINDOW_FOLD_PARTS_H
#define PICKET_WINDOW_FOLD_PARTS_H

#include "agent/window/fold.h"
#include "agent/window/series.h"

enum { FOLD_RING_MIN = 4, FOLD_RING_MAX = 1024 };

/* Places in a group beyond its targets_max: who left keeps one until its windows are sealed. */
enum { FOLD_PLACES_PER_TARGET = 2 };

/* Of one binding in one window. For SLI_RATIO_BAD `good` counts the bad, for SLI_RATIO_PARTS `total` does. */
struct fold_count {
    int64_t good, total;
    uint32_t seen;
};

struct fold_binding {
    uint32_t target, sli;
    uint32_t series_first;              /* 1 + number; 0: none */
    double good_part, total_part;       /* fractions of events, 0 <= x < 1, until they make a whole one */
    struct fold_count *ring;            /* by window number mod the SLI's ring_count */
    double gauge_sums[SLI_PART_COUNT_]; /* gauge, of the scrape in flight */
    uint32_t gauge_counts[SLI_PART_COUNT_];
    bool gauge_holds, gauge_wrong; /* every series holds; one is NaN */
    bool gauge_known;              /* there was one since the start: from then on its absence is unknown */
    bool wrong;                    /* in the scrape in flight: a value is no counter's */
    bool cut;                      /* it gave way since its last commit: increases are lost (fold_share.c) */
    uint32_t series_count;         /* in its list */
    uint32_t refused;              /* samples of the scrape in flight that had no room */
    uint32_t wants;                /* series that its last scrape asked for, when those did not fit; else 0 */
};

struct fold_sli {
    const struct sli *sli;
    const struct sli_definition *definition;
    int64_t window_ms, next_ms; /* start of the oldest open window */
    uint32_t ring_count;
    int64_t carry;                    /* good that came before its total did */
    int64_t seal_next_ms, seal_carry; /* after the seal that is open */
    int64_t revise_until_ms;          /* windows before it were sealed by a clock that was ahead */
    uint32_t revision;                /* of these, less one */
    uint32_t *bindings;               /* numbers, of those on targets that stay */
    uint32_t bindings_count;
    struct fold_link *links; /* to groups */
    uint32_t links_count;
};

struct fold_link {
    uint32_t group, position; /* which of the bindings of each place */
};

struct fold_slot {
    slice name;
    bool probe, in_flight, swept;
    int64_t interval_ms, offset_ms, timeout_ms;
    int64_t slot_ms;      /* of the one in flight */
    int64_t last_slot_ms; /* of the newest that counted as seen */
    uint64_t commits;
    bool restored; /* its baselines are of a process before this one: nothing was committed since */
    uint32_t bindings_first, bindings_count;
    /* From here on: of a place in a group. */
    uint32_t group; /* 1 + number; 0: a target that stays */
    bool occupied;  /* by a target whose windows are not all sealed yet */
    bool confirmed; /* joined in this life of the fold, not only restored */
    bool left;
    int64_t from_ms, until_ms; /* its slots are expected in [from, until) */
    uint64_t incarnation;
};

/* The group's own entry (see fold_group_stale) is the first of its places, and always occupied. */
struct fold_crowd {
    slice name;
    uint32_t targets_max, places_first, places_count; /* places: numbers of targets */
    int64_t interval_ms, timeout_ms;
    uint32_t *slis, *ring_at; /* by position: the SLI, and where the ring begins among those of one place */
    uint32_t slis_count, ring_stride;
    struct fold_count *rings;                       /* of all places */
    uint8_t *names;                                 /* FOLD_NAME_BYTES a place */
    uint32_t *live, *vacant;                        /* numbers of places: occupied, given back */
    uint32_t live_count, vacant_count, fresh_count; /* fresh: places from the end that were never taken */
    uint32_t members_count;                         /* confirmed and not left */
    uint32_t bindings_first;
};

struct fold {
    struct fold_settings settings;
    struct fold_slot *targets;
    struct fold_sli *slis;
    struct fold_binding *bindings;
    struct fold_crowd *crowds;
    uint32_t targets_count, slis_count, bindings_count, crowds_count;
    uint32_t steady_count; /* the targets that stay: places come behind them */
    struct series_table series;
    uint32_t series_share,
        giver; /* at the last sweep; 1 + number of the binding that gives way, 0: none (fold_share.c) */
    int64_t
        clock_offset_ms; /* of the wall clock to that since the boot, when it was looked at last; INT64_MIN: never */
    uint64_t generation;
    bool sealing;
    uint64_t seal_dropped;
    struct fold_stats stats;
    uint8_t *snapshot; /* snapshot_max bytes */
    size_t snapshot_max;
    void *blocks[16]; /* what was allocated, for fold_free */
    size_t blocks_count;
};

static inline struct fold_count *fold_count_at(const struct fold *fold, const struct fold_binding *binding,
                                               int64_t window_ms) {
    const struct fold_sli *const sli = &fold->slis[binding->sli];
    return &binding->ring[(uint64_t)(window_ms / sli->window_ms) % sli->ring_count];
}

/* All live bindings of an SLI, one a call, NULL behind the last. Begin with a walk of zeros. */
struct fold_walk {
    uint32_t binding, link, live;
};
static inline struct fold_binding *fold_walk_next(const struct fold *fold, const struct fold_sli *sli,
                                                  struct fold_walk *walk) {
    if (walk->binding < sli->bindings_count) return &fold->bindings[sli->bindings[walk->binding++]];
    for (; walk->link < sli->links_count; walk->link++, walk->live = 0) {
        const struct fold_link *const link = &sli->links[walk->link];
        const struct fold_crowd *const crowd = &fold->crowds[link->group];
        if (walk->live < crowd->live_count)
            return &fold->bindings[fold->targets[crowd->live[walk->live++]].bindings_first + link->position];
    }
    return NULL;
}

/* All targets that stay and all occupied places; NULL behind the last. */
static inline struct fold_slot *fold_walk_target(const struct fold *fold, struct fold_walk *walk) {
    if (walk->binding < fold->steady_count) return &fold->targets[walk->binding++];
    for (; walk->link < fold->crowds_count; walk->link++, walk->live = 0)
        if (walk->live < fold->crowds[walk->link].live_count)
            return &fold->targets[fold->crowds[walk->link].live[walk->live++]];
    return NULL;
}

/* In fold_memory.c: zeroed, freed with the fold; NULL: no memory. */
void *fold_alloc(struct fold *fold, size_t count, size_t bytes);
fault_code fold_no_memory(struct fault *reterr);
/* In fold.c: forgets what is staged. */
void fold_unstage(struct fold *fold, struct fold_slot *target, bool forget);

/* In fold_share.c. The series of a binding whose target is in flight, found or made; NULL: there is no room for it. */
struct series *fold_series(struct fold *fold, uint32_t number, uint8_t part, struct series_id id);
/* counter is raised by how many; may be NULL. */
void fold_drop_series(struct fold *fold, struct fold_binding *binding, series_filter *drop, uint32_t before_s,
                      uint64_t *counter);

/* In fold_group.c. */
/* Their numbers, behind all that stays; how many counts their rings have; and, when all is allocated, their own
 * entries. */
fault_code fold_add_crowds(struct fold *fold, const struct fold_group *groups, struct fault *reterr);
size_t fold_crowd_counts(const struct fold *fold, struct fold_crowd *crowd);
void fold_begin_crowds(struct fold *fold, int64_t now_ms);
/* The place of a target, taken for it when it has none; NULL: all are taken. */
struct fold_slot *fold_occupy(struct fold *fold, struct fold_crowd *crowd, slice name, uint64_t incarnation);
struct fold_crowd *fold_crowd_named(struct fold *fold, slice name);
/* It left, all windows that its slots lie in are sealed (after the seal that is open, if one is), and nothing of it waits
 * in a later one. */
bool fold_is_settled(const struct fold *fold, const struct fold_slot *slot);
/* Gives back the places of those that are settled. */
void fold_vacate(struct fold *fold);

/* Upper bound of the snapshots of a fold with these counts; in snapshot.c. */
size_t fold_snapshot_bound(const struct fold *fold);

#endif
