/* SPDX-License-Identifier: Apache-2.0
 * The tables that follow from the aggregates (open, links, expiries), made from them where a journal was written by a
 * version that kept them otherwise or not at all. Before the writer begins. */
#ifndef PICKET_JOURNAL_INDEX_BUILD_H
#define PICKET_JOURNAL_INDEX_BUILD_H

#include "aggregator/journal/journal_tables.h"

/* Once for each journal and layout, in one transaction; afterwards it reads one record. ret_aggregates: how many were
 * looked at, 0 when there was nothing to do. FAULT_CORRUPT: an aggregate does not open; nothing was changed. */
fault_code index_build_once(struct kv *kv, const struct journal_tables *tables, uint64_t *ret_aggregates,
                            struct fault *reterr) MUST_CHECK;

/* Whether those tables are of this program's layout, so that they can be held against the aggregates. */
fault_code index_build_same(const struct journal_tables *tables, struct kv_txn *txn, bool *ret_same,
                            struct fault *reterr) MUST_CHECK;

#endif
