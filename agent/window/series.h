/* SPDX-License-Identifier: Apache-2.0
 * The last value of each selected series: a table of fixed size, hashed, with one list per binding (one SLI on one
 * target). For the fold alone. Owner: the fold's. */
#ifndef PICKET_WINDOW_SERIES_H
#define PICKET_WINDOW_SERIES_H

#include "agent/window/sli.h"

enum series_flags {
    SERIES_KNOWN = 1,        /* last[] is a baseline */
    SERIES_STAGED = 2,       /* staged[0] came in the scrape that is in flight */
    SERIES_STAGED_TOTAL = 4, /* histogram: staged[1] did (then SERIES_STAGED is the bucket at the threshold) */
};

struct series {
    struct series_id id;
    double last[2], staged[2]; /* [1]: of a histogram, the total beside the good */
    uint32_t binding;
    uint32_t seen_s;                          /* seconds since 1970 of the last commit that had it */
    uint32_t next_in_bucket, next_in_binding; /* 1 + number; 0: none */
    uint8_t part, flags;
};

struct series_table {
    struct series *all;
    uint32_t *buckets;
    uint32_t buckets_mask;
    uint32_t max, count, free_first; /* free_first: 1 + number, linked by next_in_bucket */
};

/* False: no memory. */
bool series_table_init(struct series_table *table, uint32_t series_max) MUST_CHECK;
void series_table_done(struct series_table *table);
size_t series_table_bytes(uint32_t series_max);
/* Finds it, or makes it and puts it in front of the binding's list. NULL: not there and the table is full. */
struct series *series_find_or_add(struct series_table *table, uint32_t *binding_first, uint32_t binding, uint8_t part,
                                  struct series_id id);
typedef bool series_filter(const struct series *series, uint32_t before_s);
/* Takes out of the binding's list, and gives back, every series of which drop says true. Returns how many. */
uint32_t series_drop(struct series_table *table, uint32_t *binding_first, series_filter *drop, uint32_t before_s);
/* The one that came last, of a list that is not empty. */
void series_drop_first(struct series_table *table, uint32_t *binding_first);
static inline struct series *series_at(const struct series_table *table, uint32_t number) {
    return number ? &table->all[number - 1] : NULL;
}

#endif
