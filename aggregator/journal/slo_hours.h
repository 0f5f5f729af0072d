/* SPDX-License-Identifier: Apache-2.0
 * The hours of an SLO as they are stored: a few that are being counted lie beside its budget (slo_rest.h), in a record
 * that each window changes anyway; all others in the table of hours. Owner: the writer thread; walking is for any. */
#ifndef PICKET_JOURNAL_SLO_HOURS_H
#define PICKET_JOURNAL_SLO_HOURS_H

#include "aggregator/domain/slo_budget.h"
#include "common/store/kv.h"

enum { SLO_RECENT_HOURS = 4 }; /* an old and a new hour of a backlog, and of what is fresh beside it */

struct slo_recent {
    int64_t hour; /* ms / 3,600,000 */
    struct slo_counts counts;
    bool used;
};

/* Stores the hours that the budget calls touched, and forgets that they are. recent: the newest by change first; takes
 * them in, and those that they push out go into the table. tenant, slo: numbers of names.h. */
fault_code slo_hours_store(kv_table hours, struct kv_txn *txn, uint32_t tenant, uint32_t slo, struct slo_budget *budget,
                           struct slo_recent recent[SLO_RECENT_HOURS], struct fault *reterr) MUST_CHECK;

/* Called for each hour from `oldest` on, in their order, until one is refused. recent: as stored. */
typedef fault_code slo_hour_fn(void *context, int64_t hour, const struct slo_counts *counts, struct fault *reterr);
fault_code slo_hours_walk(kv_table hours, struct kv_txn *txn, uint32_t tenant, uint32_t slo, int64_t oldest,
                          const struct slo_recent recent[SLO_RECENT_HOURS], slo_hour_fn *each, void *context,
                          struct fault *reterr) MUST_CHECK;

#endif
