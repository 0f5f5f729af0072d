/* SPDX-License-Identifier: Apache-2.0
 * Counts of each SLO by the hour, and the error budget over time made from them. Folding belongs to the consumer's
 * thread; queries take any reader. */
#ifndef PICKET_PROJECTIONS_BURNDOWN_H
#define PICKET_PROJECTIONS_BURNDOWN_H

#include "aggregator/projections/folds.h"
#include "common/base/arena.h"

extern const char burndown_schema[];

struct burndown *burndown_new(void) MUST_CHECK; /* NULL: no memory */
struct burndown *burndown_free(struct burndown *burndown);
fold_fn burndown_fold;
fault_code burndown_flush(struct burndown *burndown, struct sql *sql, struct fault *reterr) MUST_CHECK;
void burndown_forget(struct burndown *burndown);
fault_code burndown_prune(struct sql *sql, int64_t hour, struct fault *reterr) MUST_CHECK; /* hours before this one */

/* The answer to GetSLOBurndown; slo is the present definition with its budget. */
fault_code burndown_query(struct sql *sql, slice tenant, const SLO *slo, const GetSLOBurndownRequest *request,
                          int64_t now_ms, struct arena *arena, GetSLOBurndownResponse *ret_response,
                          struct fault *reterr) MUST_CHECK;

#endif
