/* SPDX-License-Identifier: Apache-2.0
 * Two tables that hold nothing but keys: which aggregates of a kind are open, newest first, and which point to which.
 * Both follow from the aggregates (see touched.c). Writing: the writer thread; reading: any thread with a
 * transaction. */
#ifndef PICKET_JOURNAL_INDEX_TABLE_H
#define PICKET_JOURNAL_INDEX_TABLE_H

#include "aggregator/domain/domain.h"
#include "common/store/kv.h"

/* ---- open ---- */

fault_code open_put(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind, int64_t since_ms,
                    slice id, struct fault *reterr) MUST_CHECK;
/* One that is not there is fine. */
fault_code open_delete(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind, int64_t since_ms,
                       slice id, struct fault *reterr) MUST_CHECK;

struct open_place { /* where one stands in the list; id is lent by the transaction or whoever gave it */
    int64_t since_ms;
    slice id;
};
/* FAULT_ABSENT, silently: it is not listed there. */
fault_code open_find(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind, int64_t since_ms,
                     slice id, struct fault *reterr) MUST_CHECK;

/* The places of at most places_max that follow `after` (NULL: from the newest), ids copied to the arena. */
fault_code open_list(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind,
                     const struct open_place *after, size_t places_max, struct arena *arena,
                     struct open_place *ret_places, size_t *ret_count, struct fault *reterr) MUST_CHECK;

/* ---- links, between aggregates of one kind ---- */

fault_code link_put(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind, slice to, slice from,
                    struct fault *reterr) MUST_CHECK;
/* One that is not there is fine. */
fault_code link_delete(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind, slice to,
                       slice from, struct fault *reterr) MUST_CHECK;
/* FAULT_ABSENT, silently: there is none. */
fault_code link_find(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind, slice to,
                     slice from, struct fault *reterr) MUST_CHECK;
/* Ids of at most ids_max that point to `to`, in their order, copied to the arena. */
fault_code link_sources(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind, slice to,
                        size_t ids_max, struct arena *arena, slice *ret_ids, size_t *ret_count,
                        struct fault *reterr) MUST_CHECK;

#endif
