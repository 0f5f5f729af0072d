/* SPDX-License-Identifier: Apache-2.0
 * Up to when a tenant's windows are no longer in the journal. Tables that were made while the facts were there never
 * come by a range of compacted ones; tables that are built anew do, and must not show what they cannot know as
 * nothing, or as good. Private to projections/. */
#ifndef PICKET_PROJECTIONS_COMPACTED_WINDOWS_H
#define PICKET_PROJECTIONS_COMPACTED_WINDOWS_H

#include "aggregator/projections/folds.h"

extern const char compacted_windows_schema[];

/* A view with `compacted` set. */
fault_code compacted_windows_fold(struct fold *fold, const struct fact_view *view, struct fault *reterr) MUST_CHECK;

/* A window of this SLO that began before ret_until_s may have been compacted away; 0: none is missing. */
fault_code compacted_windows_until(struct sql *sql, slice tenant, const SLO *slo, int64_t *ret_until_s,
                                   struct fault *reterr) MUST_CHECK;

#endif
