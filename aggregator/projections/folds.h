/* SPDX-License-Identifier: Apache-2.0
 * What the folds of one consumer share. Private to projections/. Owner: the consumer's thread. */
#ifndef PICKET_PROJECTIONS_FOLDS_H
#define PICKET_PROJECTIONS_FOLDS_H

#include "aggregator/journal/fact_view.h"
#include "common/store/sql.h"
#include "sre.pb.h"

struct sli_series;
struct burndown;

struct fold {
    struct sql *sql; /* inside a transaction */
    struct sli_series *series;
    struct burndown *burndown;
};

/* One fact into the tables. `view`, `fact` and what they point to live during the call. */
typedef fault_code fold_fn(struct fold *fold, const struct fact_view *view, const SreDomainFact *fact,
                           struct fault *reterr);

static inline int64_t fold_ms(Timestamp at) {
    return at.seconds * 1000 + at.nanos / 1000000;
}
static inline Timestamp fold_time(int64_t ms) {
    const int64_t rest = (ms % 1000 + 1000) % 1000;
    return (Timestamp){.seconds = (ms - rest) / 1000, .nanos = (int32_t)rest * 1000000};
}

#endif
