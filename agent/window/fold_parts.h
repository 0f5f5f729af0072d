/* SPDX-License-Identifier: Apache-2.0
 * The inside of the fold, for fold.c, fold_seal.c and snapshot.c alone.
 *
 * Counts are kept per binding (one SLI on one target), not per SLI: a target's snapshot then holds its baselines and
 * what they have been counted into, and is right by itself, whatever the age of the other targets' snapshots. */
#ifndef PICKET_WINDOW_FOLD_PARTS_H
#define PICKET_WINDOW_FOLD_PARTS_H

#include "agent/window/fold.h"
#include "agent/window/series.h"

enum { FOLD_RING_MIN = 4, FOLD_RING_MAX = 1024 };

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
    bool refused, wrong;           /* in the scrape in flight: series_max was reached; a value is no counter's */
};

struct fold_sli {
    const struct sli *sli;
    const struct sli_definition *definition;
    int64_t window_ms, next_ms; /* start of the oldest open window */
    uint32_t ring_count;
    int64_t carry;                    /* good that came before its total did */
    int64_t seal_next_ms, seal_carry; /* after the seal that is open */
    uint32_t *bindings;               /* numbers */
    uint32_t bindings_count;
};

struct fold_slot {
    slice name;
    bool probe, in_flight, swept;
    int64_t interval_ms, offset_ms, timeout_ms;
    int64_t slot_ms;      /* of the one in flight */
    int64_t last_slot_ms; /* of the newest that counted as seen */
    uint64_t commits;
    uint32_t bindings_first, bindings_count;
};

struct fold {
    struct fold_settings settings;
    struct fold_slot *targets;
    struct fold_sli *slis;
    struct fold_binding *bindings;
    uint32_t targets_count, slis_count, bindings_count;
    struct series_table series;
    uint64_t generation;
    bool sealing;
    uint64_t seal_dropped;
    struct fold_stats stats;
    uint8_t *snapshot; /* snapshot_max bytes */
    size_t snapshot_max;
    void *blocks[8]; /* what was allocated, for fold_free */
    size_t blocks_count;
};

static inline struct fold_count *fold_count_at(const struct fold *fold, const struct fold_binding *binding,
                                               int64_t window_ms) {
    const struct fold_sli *const sli = &fold->slis[binding->sli];
    return &binding->ring[(uint64_t)(window_ms / sli->window_ms) % sli->ring_count];
}

/* Upper bound of the snapshots of a fold with these counts; in snapshot.c. */
size_t fold_snapshot_bound(const struct fold *fold);

#endif
