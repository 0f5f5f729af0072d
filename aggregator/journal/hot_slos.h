/* SPDX-License-Identifier: Apache-2.0
 * SLOs kept decoded in memory, because each window touches one: loaded once, changed in place, written once per
 * transaction. Owner: the writer thread. */
#ifndef PICKET_JOURNAL_HOT_SLOS_H
#define PICKET_JOURNAL_HOT_SLOS_H

#include "aggregator/domain/slo_state.h"
#include "aggregator/journal/journal_tables.h"
#include "aggregator/journal/names.h"

struct hot_slos;

struct hot_slo {
    struct aggregate aggregate; /* state.slo points into this entry */
    uint32_t tenant, number;    /* of names.h */
    bool redefined;             /* its texts lie in this transaction's memory */
};

struct hot_slos *hot_slos_new(const struct journal_tables *tables, struct names *names,
                              size_t entries_max) MUST_CHECK; /* NULL: no memory */
struct hot_slos *hot_slos_free(struct hot_slos *slos);

/* Loads it when it is not there. One that does not exist: FAULT_ABSENT, silently, or with `make` an entry with
 * version 0, which is forgotten at the transaction's end unless it came to be. now_ms: older hours than any budget
 * reaches are not loaded. */
fault_code hot_slos_get(struct hot_slos *slos, struct kv_txn *txn, uint32_t tenant, slice id, bool make, int64_t now_ms,
                        struct hot_slo **ret_slo, struct fault *reterr) MUST_CHECK;
/* To be written by hot_slos_flush. */
void hot_slos_touch(struct hot_slos *slos, struct hot_slo *slo);
/* Writes what was touched: definition and budget, and the hours that changed. Before the commit. */
fault_code hot_slos_flush(struct hot_slos *slos, struct kv_txn *txn, int64_t now_ms, struct fault *reterr) MUST_CHECK;
/* After the commit (or, with committed false, after the abort): forgets what must be read again. */
void hot_slos_end(struct hot_slos *slos, bool committed);

#endif
