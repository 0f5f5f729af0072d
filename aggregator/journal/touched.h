/* SPDX-License-Identifier: Apache-2.0
 * The aggregates that one intent has to do with: its own and those that its decider asks about. Each is loaded once,
 * changed in memory and written, with what it is found by, when all facts are applied. SLOs are not among them: they
 * live in hot_slos. Owner: the writer thread. */
#ifndef PICKET_JOURNAL_TOUCHED_H
#define PICKET_JOURNAL_TOUCHED_H

#include "aggregator/domain/domain.h"
#include "aggregator/journal/journal_tables.h"

enum { TOUCHED_BUCKETS = 64 };

struct touched {
    const struct journal_tables *tables;
    struct kv_txn *txn;
    struct arena *arena;
    uint8_t *buffer; /* AGGREGATE_BYTES_MAX */
    slice tenant;
    uint32_t tenant_number;
    struct domain_neighbours neighbours; /* for the domain_call */
    fault_code broken;                   /* FAULT_NONE, or: a record could not be read; nothing is to be decided */
    struct touched_aggregate *buckets[TOUCHED_BUCKETS], *first, **end;
};

/* Slices and pointers are borrowed until the intent is done. */
void touched_begin(struct touched *touched, const struct journal_tables *tables, struct kv_txn *txn,
                   struct arena *arena, uint8_t *buffer, slice tenant, uint32_t tenant_number);

/* Loads it when it is not there; version 0 when there is none. Its state and id stay in the arena. */
fault_code touched_get(struct touched *touched, enum aggregate_kind kind, slice id, struct aggregate **ret_aggregate,
                       struct fault *reterr) MUST_CHECK;

/* Writes every aggregate whose version went up since it was loaded. ret_bytes (may be NULL): of `wanted` as written,
 * in the arena; empty when it is deleted. */
fault_code touched_write(struct touched *touched, const struct aggregate *wanted, slice *ret_bytes,
                         struct fault *reterr) MUST_CHECK;

/* Writes only what a stored aggregate is found by, where the index tables have nothing of it. No buffer is needed. */
fault_code touched_index(struct touched *touched, enum aggregate_kind kind, slice id, struct fault *reterr) MUST_CHECK;

#endif
