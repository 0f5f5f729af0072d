/* SPDX-License-Identifier: Apache-2.0
 * What each SLO's budget counts of each hour. Owner: the writer thread; reading is for any thread. */
#ifndef PICKET_JOURNAL_HOUR_TABLE_H
#define PICKET_JOURNAL_HOUR_TABLE_H

#include "aggregator/domain/slo_state.h"
#include "common/store/kv.h"

struct hour_key {
    uint32_t tenant, slo; /* numbers of names.h */
    int64_t hour;         /* ms / 3,600,000 */
};
enum { HOUR_KEY_BYTES = 12 };
/* All hours of an SLO begin with the first 8 bytes, all of a tenant with the first 4. */
slice hour_key_make(const struct hour_key *key, uint8_t bytes[HOUR_KEY_BYTES]);

fault_code hour_table_open(slice key, slice record, struct hour_key *ret_key, struct slo_counts *ret_counts,
                           struct fault *reterr) MUST_CHECK;
fault_code hour_table_put(kv_table table, struct kv_txn *txn, const struct hour_key *key,
                          const struct slo_counts *counts, struct fault *reterr) MUST_CHECK;
fault_code hour_table_delete(kv_table table, struct kv_txn *txn, const struct hour_key *key,
                             struct fault *reterr) MUST_CHECK;

#endif
