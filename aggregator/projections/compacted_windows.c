/* SPDX-License-Identifier: Apache-2.0
 * A range does not say which windows its facts were about, only when they were committed. A window begins before it is
 * committed, so all that are missing began before the last commit: one moment for each tenant is enough. An SLO that was
 * created later has lost nothing. */
#include "aggregator/projections/compacted_windows.h"

#include "aggregator/journal/fact_range.h"

const char compacted_windows_schema[] =
    "CREATE TABLE IF NOT EXISTS compacted_windows (tenant TEXT PRIMARY KEY, until_s BIGINT NOT NULL) WITHOUT ROWID;";

fault_code compacted_windows_fold(struct fold *fold, const struct fact_view *view, struct fault *reterr) {
    struct fact_range range;
    if (fact_range_open(view->sequence, view->bytes, &range, reterr)) return fault_wrap(reterr, "fold compacted facts");
    for (size_t i = 0; i < range.counts_count; i++) {
        if (range.counts[i].fact_number != SreDomainFact_sli_window_recorded_tag) continue;
        struct sql_statement *put;
        if (sql_prepare(fold->sql,
                        "INSERT INTO compacted_windows (tenant, until_s) VALUES ($1, $2) ON CONFLICT (tenant)"
                        " DO UPDATE SET until_s = excluded.until_s WHERE excluded.until_s > compacted_windows.until_s",
                        &put, reterr))
            return fault_wrap(reterr, "fold compacted facts");
        sql_bind_text(put, 1, range.counts[i].tenant);
        sql_bind_integer(put, 2, range.last_ms / 1000 + 1);
        if (sql_run(put, reterr)) return fault_wrap(reterr, "fold compacted facts");
    }
    return FAULT_NONE;
}

fault_code compacted_windows_until(struct sql *sql, slice tenant, const SLO *slo, int64_t *ret_until_s,
                                   struct fault *reterr) {
    struct sql_statement *find;
    if (sql_prepare(sql, "SELECT until_s FROM compacted_windows WHERE tenant = $1", &find, reterr))
        return fault_wrap(reterr, "read what was compacted");
    sql_bind_text(find, 1, tenant);
    const fault_code code = sql_step(find, reterr);
    *ret_until_s = 0;
    if (code) return code == FAULT_ABSENT ? FAULT_NONE : code;
    const int64_t until_s = sql_integer(find, 0);
    sql_reset(find);
    if (until_s > slo->created_at.seconds) *ret_until_s = until_s;
    return FAULT_NONE;
}
