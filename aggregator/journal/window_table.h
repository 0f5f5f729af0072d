/* SPDX-License-Identifier: Apache-2.0
 * What is stored of each SLI window: enough to tell a repeat from a correction and to correct by the difference. The
 * series itself belongs to a projection. Owner: the writer thread. */
#ifndef PICKET_JOURNAL_WINDOW_TABLE_H
#define PICKET_JOURNAL_WINDOW_TABLE_H

#include "aggregator/domain/domain.h"
#include "common/store/kv.h"

struct window_key {
    uint32_t tenant, slo, source; /* numbers of names.h; source: agent and cluster */
    int64_t start_s;
};

/* revision 0 when there is none. */
fault_code window_table_get(kv_table table, struct kv_txn *txn, const struct window_key *key,
                            struct sli_window_stored *ret_window, struct fault *reterr) MUST_CHECK;
/* A window of the same source and SLO, seconds_other long, that shares moments with one of `seconds` at key, but does not
 * start with it; window_seconds 0 when there is none. Costs a look-up for each that could stand there. */
fault_code window_table_overlap(kv_table table, struct kv_txn *txn, const struct window_key *key, int32_t seconds,
                                int32_t seconds_other, struct sli_window_overlap *ret_overlap,
                                struct fault *reterr) MUST_CHECK;
fault_code window_table_put(kv_table table, struct kv_txn *txn, const struct window_key *key,
                            const struct sli_window_stored *window, struct fault *reterr) MUST_CHECK;
/* Deletes up to records_max windows of the tenant that start before that second: no window so old is taken any more. */
fault_code window_table_prune(kv_table table, struct kv_txn *txn, uint32_t tenant, int64_t before_s, size_t records_max,
                              struct fault *reterr) MUST_CHECK;

#endif
