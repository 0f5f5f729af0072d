/* SPDX-License-Identifier: Apache-2.0
 * The measured windows, one row for each (tenant, SLO, cluster, agent, window start), and their sums over time.
 * Folding belongs to the consumer's thread; queries take any reader. */
#ifndef PICKET_PROJECTIONS_SLI_SERIES_H
#define PICKET_PROJECTIONS_SLI_SERIES_H

#include "aggregator/projections/folds.h"
#include "common/base/arena.h"

extern const char sli_series_schema[];

/* ---- folding ---- */
struct sli_series *sli_series_new(void) MUST_CHECK; /* NULL: no memory */
struct sli_series *sli_series_free(struct sli_series *series);
fold_fn sli_series_fold;
/* Writes the windows that the batch has gathered: before anybody reads the table in its transaction. */
fault_code sli_series_settle(struct sli_series *series, struct sql *sql, struct fault *reterr) MUST_CHECK;
/* Writes all that the batch has gathered; before the commit. */
fault_code sli_series_flush(struct sli_series *series, struct sql *sql, struct fault *reterr) MUST_CHECK;
/* After a rollback: nothing that was gathered holds. */
void sli_series_forget(struct sli_series *series);
/* Deletes windows that began before start_s. */
fault_code sli_series_prune(struct sql *sql, int64_t start_s, struct fault *reterr) MUST_CHECK;

/* ---- reading ---- */

/* One agent's series of one SLO. */
struct sli_source {
    int64_t series_id, first_s, end_s; /* from the first window's start to the newest window's end */
    slice cluster_id, agent;
};
enum { SLI_SOURCES_MAX = 1000, SLI_POINTS_MAX = 20000, SLI_SILENT_S = 7 * 24 * 3600 };

/* All that have ever reported, and (with series_id 0) each agent that the SLO names and that never has. */
fault_code sli_sources(struct sql *sql, slice tenant, const SLO *slo, struct arena *arena,
                       struct sli_source **ret_sources, size_t *ret_count, struct fault *reterr) MUST_CHECK;
/* Seconds of [from_s, to_s) for which a window of this source should be there: from its first window on, until it
 * has been silent for SLI_SILENT_S (then it counts as taken out of service). */
int64_t sli_source_expected_s(const struct sli_source *source, int64_t from_s, int64_t to_s);

struct sli_range {
    int64_t from_s, to_s, step_s; /* whole steps, aligned to step_s */
};
/* In SQL over sli_windows: whether a window with events is a good slice, `needed` being good events per hundred million.
 * Exact up to 92 thousand million good events in one window; beyond, SQLite goes over to floating point. */
#define SLI_SLICE_GOOD(needed) "good * 100000000 >= total * " needed

/* slice_needed: 0 counts events; else slices, good from so many good events per hundred million on.
 * Adds the source's windows to points[(to_s - from_s) / step_s] and marks those as unknown where it lacks one or did
 * not see all that it should have. */
fault_code sli_source_add(struct sql *sql, const struct sli_source *source, struct sli_range range,
                          int64_t slice_needed, SLITimeSeriesPoint *points, struct fault *reterr) MUST_CHECK;
/* Points with their times, before the first source is added; and after the last: nothing measured is unknown. */
SLITimeSeriesPoint *sli_points_new(struct sli_range range, struct arena *arena, size_t *ret_count);
void sli_points_finish(SLITimeSeriesPoint *points, size_t count);

/* The answer to GetSLITimeSeries. now_ms: steps that have not ended yet are left out. */
fault_code sli_series_query(struct sql *sql, slice tenant, const SLO *slo, const GetSLITimeSeriesRequest *request,
                            int64_t now_ms, struct arena *arena, GetSLITimeSeriesResponse *ret_response,
                            struct fault *reterr) MUST_CHECK;

#endif
