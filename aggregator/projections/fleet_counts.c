/* SPDX-License-Identifier: Apache-2.0
 * One row for each alert that fires; one that no longer does loses its row, so that these stay as few as what is wrong at
 * the moment. An incident keeps its row, marked as over: only the fact that created it says where it is, and it may come
 * back. */
#include "aggregator/projections/fleet_counts.h"

const char fleet_counts_schema[] =
    "CREATE TABLE IF NOT EXISTS fleet_counts (tenant TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,"
    " environment TEXT NOT NULL, cluster TEXT NOT NULL, counts INTEGER NOT NULL, PRIMARY KEY (tenant, kind, id))"
    " WITHOUT ROWID;";

static fault_code counts_add(struct fold *fold, const struct fact_view *view, slice environment, slice cluster,
                             struct fault *reterr) {
    struct sql_statement *put;
    if (sql_prepare(fold->sql,
                    "INSERT INTO fleet_counts (tenant, kind, id, environment, cluster, counts)"
                    " VALUES ($1, $2, $3, $4, $5, 1) ON CONFLICT (tenant, kind, id)"
                    " DO UPDATE SET environment = excluded.environment, cluster = excluded.cluster, counts = 1",
                    &put, reterr))
        return fault_wrap(reterr, "count an alert or incident");
    sql_bind_text(put, 1, view->tenant);
    sql_bind_text(put, 2, view->aggregate_type);
    sql_bind_text(put, 3, view->aggregate_id);
    sql_bind_text(put, 4, environment);
    sql_bind_text(put, 5, cluster);
    return sql_run(put, reterr);
}

static fault_code counts_remove(struct fold *fold, const struct fact_view *view, struct fault *reterr) {
    struct sql_statement *drop;
    if (sql_prepare(fold->sql, "DELETE FROM fleet_counts WHERE tenant = $1 AND kind = $2 AND id = $3", &drop, reterr))
        return fault_wrap(reterr, "uncount an alert");
    sql_bind_text(drop, 1, view->tenant);
    sql_bind_text(drop, 2, view->aggregate_type);
    sql_bind_text(drop, 3, view->aggregate_id);
    return sql_run(drop, reterr);
}

fault_code fleet_counts_incident_created(struct fold *fold, const struct fact_view *view, const SreDomainFact *fact,
                                         struct fault *reterr) {
    const Incident *incident = &fact->fact.incident_created.incident;
    return counts_add(fold, view, incident->environment_id.size ? incident->environment_id : fact->meta.environment_id,
                      incident->cluster_id.size ? incident->cluster_id : fact->meta.cluster_id, reterr);
}

static fault_code incident_counts(struct fold *fold, const struct fact_view *view, bool counts, struct fault *reterr) {
    struct sql_statement *mark;
    if (sql_prepare(fold->sql, "UPDATE fleet_counts SET counts = $4 WHERE tenant = $1 AND kind = $2 AND id = $3", &mark,
                    reterr))
        return fault_wrap(reterr, "count an incident or not");
    sql_bind_text(mark, 1, view->tenant);
    sql_bind_text(mark, 2, view->aggregate_type);
    sql_bind_text(mark, 3, view->aggregate_id);
    sql_bind_integer(mark, 4, counts);
    return sql_run(mark, reterr);
}

fault_code fleet_counts_incident_resolved(struct fold *fold, const struct fact_view *view, const SreDomainFact *fact,
                                          struct fault *reterr) {
    return incident_counts(fold, view, false, reterr);
}

fault_code fleet_counts_incident_closed(struct fold *fold, const struct fact_view *view, const SreDomainFact *fact,
                                        struct fault *reterr) {
    return incident_counts(fold, view, false, reterr);
}

fault_code fleet_counts_incident_status(struct fold *fold, const struct fact_view *view, const SreDomainFact *fact,
                                        struct fault *reterr) {
    return incident_counts(fold, view, fact->fact.incident_status_changed.to < INCIDENT_STATUS_RESOLVED, reterr);
}

fault_code fleet_counts_alert_ingested(struct fold *fold, const struct fact_view *view, const SreDomainFact *fact,
                                       struct fault *reterr) {
    const Alert *alert = &fact->fact.alert_ingested.alert;
    if (fact->fact.alert_ingested.late) return FAULT_NONE; /* says what was, not what is */
    if (alert->status == ALERT_STATUS_RESOLVED) return counts_remove(fold, view, reterr);
    return counts_add(fold, view, alert->environment_id.size ? alert->environment_id : fact->meta.environment_id,
                      alert->cluster_id.size ? alert->cluster_id : fact->meta.cluster_id, reterr);
}

fault_code fleet_counts_alert_expired(struct fold *fold, const struct fact_view *view, const SreDomainFact *fact,
                                      struct fault *reterr) {
    return counts_remove(fold, view, reterr);
}

fault_code fleet_counts_query(struct sql *sql, slice tenant, slice environment, slice cluster, int32_t *ret_alerts,
                              int32_t *ret_incidents, struct fault *reterr) {
    struct sql_statement *find;
    if (sql_prepare(sql,
                    "SELECT sum(kind = 'alert'), sum(kind = 'incident') FROM fleet_counts"
                    " WHERE tenant = $1 AND environment = $2 AND cluster = $3 AND counts = 1",
                    &find, reterr))
        return fault_wrap(reterr, "count alerts and incidents");
    sql_bind_text(find, 1, tenant);
    sql_bind_text(find, 2, environment);
    sql_bind_text(find, 3, cluster);
    if (sql_step(find, reterr)) return fault_wrap(reterr, "count alerts and incidents");
    *ret_alerts = (int32_t)sql_integer(find, 0);
    *ret_incidents = (int32_t)sql_integer(find, 1);
    sql_reset(find);
    return FAULT_NONE;
}
