/* SPDX-License-Identifier: Apache-2.0
 * The whole check is kept as the fact brought it, beside the columns that queries filter by. An observation that is
 * late goes into the history only. The history keeps changes of state, the newest HISTORY_KEPT of each check. Expiry is
 * never folded: it depends on the moment of reading.
 *
 * A check ends with an observation that does not expire and whose label `reason` is Deleted or NotWatched: what it was
 * about is gone, or nobody is asked to look at it any more. It can still be read for ENDED_KEPT_MS, counts nowhere, and is
 * then removed with its history; one that is made again under its id begins anew. */
#include "aggregator/projections/fleet_health.h"

#include "aggregator/domain/fleet_state.h"
#include "aggregator/domain/health_check.h"
#include "aggregator/domain/observation_expiry.h"
#include "aggregator/projections/fleet_counts.h"
#include "common/base/limits.h"
#include "common/codec/codec.h"

enum { HISTORY_KEPT = 200, ENDED_KEPT_MS = 3600 * 1000 };

/* Effective status; 4 is HEALTH_STATUS_UNKNOWN. */
#define EFFECTIVE "CASE WHEN expires_ms > 0 AND expires_ms <= $2 THEN 4 ELSE status END"

const char fleet_health_schema[] =
    "CREATE TABLE IF NOT EXISTS health (tenant TEXT NOT NULL, check_id TEXT NOT NULL, environment TEXT NOT NULL,"
    " cluster TEXT NOT NULL, resource_type TEXT NOT NULL, resource_id TEXT NOT NULL, agent TEXT NOT NULL,"
    " status INTEGER NOT NULL, observed_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL, ended_ms BIGINT NOT NULL,"
    " body BLOB NOT NULL,"
    " PRIMARY KEY (tenant, check_id));"
    "CREATE INDEX IF NOT EXISTS health_by_resource ON health (tenant, resource_id);"
    "CREATE INDEX IF NOT EXISTS health_by_environment ON health (tenant, environment, cluster);"
    "CREATE TABLE IF NOT EXISTS health_history (tenant TEXT NOT NULL, check_id TEXT NOT NULL, sequence BIGINT NOT NULL,"
    " body BLOB NOT NULL, PRIMARY KEY (tenant, check_id, sequence)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS fleet_states (tenant TEXT NOT NULL, environment TEXT NOT NULL, cluster TEXT NOT NULL,"
    " at_ms BIGINT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (tenant, environment, cluster));";

static fault_code fold_history(struct fold *fold, const struct fact_view *view, slice body, struct fault *reterr) {
    struct sql_statement *add;
    if (sql_prepare(fold->sql,
                    "INSERT INTO health_history (tenant, check_id, sequence, body) VALUES ($1, $2, $3, $4)"
                    " ON CONFLICT (tenant, check_id, sequence) DO NOTHING",
                    &add, reterr))
        return fault_wrap(reterr, "keep a change of health");
    sql_bind_text(add, 1, view->tenant);
    sql_bind_text(add, 2, view->aggregate_id);
    sql_bind_integer(add, 3, (int64_t)view->sequence);
    sql_bind_bytes(add, 4, body);
    if (sql_run(add, reterr)) return fault_wrap(reterr, "keep a change of health");
    struct sql_statement *trim;
    if (sql_prepare(fold->sql,
                    "DELETE FROM health_history WHERE tenant = $1 AND check_id = $2 AND sequence <="
                    " (SELECT sequence FROM health_history WHERE tenant = $1 AND check_id = $2"
                    " ORDER BY sequence DESC LIMIT 1 OFFSET $3)",
                    &trim, reterr))
        return fault_wrap(reterr, "trim changes of health");
    sql_bind_text(trim, 1, view->tenant);
    sql_bind_text(trim, 2, view->aggregate_id);
    sql_bind_integer(trim, 3, HISTORY_KEPT);
    return sql_run(trim, reterr);
}

/* 0: never. One that was recorded without an end, as older journals hold them, gets the default. */
static int64_t expires_ms(const HealthCheck *check) {
    if (check->has_expires_at) return fold_ms(check->expires_at);
    return health_check_is_end(check) ? 0 : fold_ms(check->timestamp) + OBSERVATION_EXPIRY_MS;
}

fault_code fleet_health_prune(struct sql *sql, int64_t now_ms, struct fault *reterr) {
    static const char *const drops[] = {
        "DELETE FROM health_history WHERE (tenant, check_id) IN"
        " (SELECT tenant, check_id FROM health WHERE ended_ms > 0 AND ended_ms <= $1)",
        "DELETE FROM health WHERE ended_ms > 0 AND ended_ms <= $1",
    };
    for (size_t i = 0; i < sizeof drops / sizeof *drops; i++) {
        struct sql_statement *drop;
        if (sql_prepare(sql, drops[i], &drop, reterr)) return fault_wrap(reterr, "remove health checks that ended");
        sql_bind_integer(drop, 1, now_ms - ENDED_KEPT_MS);
        if (sql_run(drop, reterr)) return fault_wrap(reterr, "remove health checks that ended");
    }
    return FAULT_NONE;
}

fault_code fleet_health_fold(struct fold *fold, const struct fact_view *view, const SreDomainFact *fact,
                             struct fault *reterr) {
    const HealthCheckRecorded *recorded = &fact->fact.health_check_recorded;
    const HealthCheck *check = &recorded->health_check;
    uint8_t buffer[64 * 1024];
    size_t size;
    if (codec_encode_protobuf_into(&HealthCheck_desc, check, buffer, sizeof buffer, &size, reterr))
        return fault_wrap(reterr, "keep health check '%.*s'", SLICE_ARG(view->aggregate_id));
    const slice body = slice_of(buffer, size);
    if ((recorded->late || recorded->from != check->status) && fold_history(fold, view, body, reterr))
        return fault_wrap(reterr, "fold a health check");
    if (recorded->late) return FAULT_NONE;
    struct sql_statement *put;
    if (sql_prepare(
            fold->sql,
            "INSERT INTO health (tenant, check_id, environment, cluster, resource_type, resource_id, agent, status,"
            " observed_ms, expires_ms, body, ended_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
            " ON CONFLICT (tenant, check_id) DO UPDATE SET environment = excluded.environment,"
            " cluster = excluded.cluster, resource_type = excluded.resource_type, resource_id = excluded.resource_id,"
            " agent = excluded.agent, status = excluded.status, observed_ms = excluded.observed_ms,"
            " expires_ms = excluded.expires_ms, body = excluded.body, ended_ms = excluded.ended_ms",
            &put, reterr))
        return fault_wrap(reterr, "fold a health check");
    const ResourceRef *ref = &check->resource_ref;
    sql_bind_text(put, 1, view->tenant);
    sql_bind_text(put, 2, view->aggregate_id);
    sql_bind_text(put, 3, ref->environment.size ? ref->environment : fact->meta.environment_id);
    sql_bind_text(put, 4, ref->cluster.size ? ref->cluster : fact->meta.cluster_id);
    sql_bind_text(put, 5, ref->type);
    sql_bind_text(put, 6, ref->id);
    sql_bind_text(put, 7, check->agent);
    sql_bind_integer(put, 8, check->status);
    sql_bind_integer(put, 9, fold_ms(check->timestamp));
    sql_bind_integer(put, 10, expires_ms(check));
    sql_bind_bytes(put, 11, body);
    sql_bind_integer(put, 12, health_check_is_end(check) ? view->committed_ms : 0);
    return sql_run(put, reterr);
}

fault_code fleet_health_fold_state(struct fold *fold, const struct fact_view *view, const SreDomainFact *fact,
                                   struct fault *reterr) {
    const FleetState *state = &fact->fact.fleet_state_recorded.fleet_state;
    uint8_t buffer[4096];
    size_t size;
    if (codec_encode_protobuf_into(&FleetState_desc, state, buffer, sizeof buffer, &size, reterr))
        return fault_wrap(reterr, "keep fleet state '%.*s'", SLICE_ARG(view->aggregate_id));
    struct sql_statement *put;
    if (sql_prepare(
            fold->sql,
            "INSERT INTO fleet_states (tenant, environment, cluster, at_ms, body) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT (tenant, environment, cluster) DO UPDATE SET at_ms = excluded.at_ms, body = excluded.body"
            " WHERE excluded.at_ms >= fleet_states.at_ms",
            &put, reterr))
        return fault_wrap(reterr, "fold a fleet state");
    sql_bind_text(put, 1, view->tenant);
    sql_bind_text(put, 2, state->environment_id);
    sql_bind_text(put, 3, state->cluster_id);
    sql_bind_integer(put, 4, fold_ms(state->timestamp));
    sql_bind_bytes(put, 5, slice_of(buffer, size));
    return sql_run(put, reterr);
}

/* ---- reading ---- */

static int badness(HealthStatus status) {
    switch (status) {
    case HEALTH_STATUS_UNHEALTHY: return 4;
    case HEALTH_STATUS_DEGRADED: return 3;
    case HEALTH_STATUS_HEALTHY: return 1;
    default: return 2;
    }
}

HealthStatus fleet_health_worse(HealthStatus a, HealthStatus b) {
    return badness(a) >= badness(b) ? a : b;
}

static fault_code read_check(slice body, int64_t now_ms, struct arena *arena, HealthCheck *ret_check,
                             struct fault *reterr) {
    const slice copy = arena_copy(arena, body);
    if (!copy.data) return fault_set(reterr, FAULT_LIMIT, "the answer is larger than a request may use: ask for fewer");
    const fault_code code = codec_decode_protobuf(&HealthCheck_desc, copy, arena, ret_check, reterr);
    if (code) return code;
    const int64_t until_ms = expires_ms(ret_check);
    if (until_ms && until_ms <= now_ms) {
        ret_check->status = HEALTH_STATUS_UNKNOWN;
        ret_check->message = SLICE_LIT("nothing was observed before the last observation expired");
    }
    return FAULT_NONE;
}

static void count_in(EnvironmentHealth *environment, HealthStatus status, int32_t count) {
    if (status == HEALTH_STATUS_HEALTHY)
        environment->healthy_count += count;
    else if (status == HEALTH_STATUS_DEGRADED)
        environment->degraded_count += count;
    else if (status == HEALTH_STATUS_UNHEALTHY)
        environment->unhealthy_count += count;
    else
        environment->unknown_count += count;
    environment->status = environment->status ? fleet_health_worse(environment->status, status) : status;
}

/* Snapshots, alerts and incidents of the environment that the row is about. */
static fault_code add_context(struct sql *sql, slice tenant, EnvironmentHealth *environment, int64_t now_ms,
                              struct arena *arena, struct fault *reterr) {
    struct sql_statement *find;
    if (sql_prepare(sql, "SELECT body FROM fleet_states WHERE tenant = $1 AND environment = $2 AND cluster = $3", &find,
                    reterr))
        return fault_wrap(reterr, "read a fleet state");
    sql_bind_text(find, 1, tenant);
    sql_bind_text(find, 2, environment->environment_id);
    sql_bind_text(find, 3, environment->cluster_id);
    fault_code code = sql_step(find, reterr);
    if (code == FAULT_NONE) {
        const slice body = arena_copy(arena, sql_bytes(find, 0));
        sql_reset(find);
        code = body.data ? codec_decode_protobuf(&FleetState_desc, body, arena, &environment->fleet_state, reterr)
                         : fault_set(reterr, FAULT_LIMIT, "the answer is larger than a request may use");
        environment->has_fleet_state = !code;
        if (!code) fleet_state_age(&environment->fleet_state, now_ms);
    }
    if (code && code != FAULT_ABSENT) return code;
    return fleet_counts_query(sql, tenant, environment->environment_id, environment->cluster_id,
                              &environment->firing_alerts_count, &environment->open_incidents_count, reterr);
}

fault_code fleet_health_environments(struct sql *sql, slice tenant, slice environment, slice cluster, slice after,
                                     size_t items_max, int64_t now_ms, struct arena *arena,
                                     EnvironmentHealth **ret_items, size_t *ret_count, bool *ret_more,
                                     struct fault *reterr) {
    EnvironmentHealth *items = arena_alloc_array(arena, items_max, sizeof *items);
    if (!items) return fault_set(reterr, FAULT_LIMIT, "the answer is larger than a request may use: ask for fewer");
    struct sql_statement *find;
    if (sql_prepare(sql,
                    "SELECT environment, cluster, " EFFECTIVE
                    ", count(*), max(observed_ms) FROM health WHERE tenant = $1 AND ended_ms = 0"
                    " AND ($3 = '' OR environment = $3) AND ($4 = '' OR cluster = $4)"
                    " AND ($5 = '' OR environment || '/' || cluster > $5) GROUP BY 1, 2, 3"
                    " ORDER BY environment || '/' || cluster",
                    &find, reterr))
        return fault_wrap(reterr, "read environments");
    sql_bind_text(find, 1, tenant);
    sql_bind_integer(find, 2, now_ms);
    sql_bind_text(find, 3, environment);
    sql_bind_text(find, 4, cluster);
    sql_bind_text(find, 5, after);
    size_t count = 0;
    *ret_more = false;
    fault_code code;
    while ((code = sql_step(find, reterr)) == FAULT_NONE) {
        EnvironmentHealth *item = count ? &items[count - 1] : NULL;
        if (!item || !slice_equal(item->environment_id, sql_bytes(find, 0)) ||
            !slice_equal(item->cluster_id, sql_bytes(find, 1))) {
            if (count == items_max) {
                *ret_more = true;
                sql_reset(find);
                break;
            }
            item = &items[count++];
            item->environment_id = arena_copy(arena, sql_bytes(find, 0));
            item->cluster_id = arena_copy(arena, sql_bytes(find, 1));
        }
        count_in(item, (HealthStatus)sql_integer(find, 2), (int32_t)sql_integer(find, 3));
        if (!item->has_updated_at || fold_ms(item->updated_at) < sql_integer(find, 4)) {
            item->has_updated_at = true;
            item->updated_at = fold_time(sql_integer(find, 4));
        }
    }
    if (code && code != FAULT_ABSENT) return code;
    for (size_t i = 0; i < count; i++)
        if (add_context(sql, tenant, &items[i], now_ms, arena, reterr)) return fault_wrap(reterr, "read environments");
    *ret_items = items;
    *ret_count = count;
    return FAULT_NONE;
}

static bool status_wanted(const ListHealthChecksRequest *filter, HealthStatus status) {
    for (size_t i = 0; i < filter->statuses.count; i++)
        if (filter->statuses.items[i] == status) return true;
    return filter->statuses.count == 0;
}

fault_code fleet_health_checks(struct sql *sql, slice tenant, const ListHealthChecksRequest *filter, slice after_id,
                               size_t items_max, int64_t now_ms, struct arena *arena, HealthCheck **ret_items,
                               size_t *ret_count, bool *ret_more, struct fault *reterr) {
    HealthCheck *items = arena_alloc_array(arena, items_max, sizeof *items);
    if (!items) return fault_set(reterr, FAULT_LIMIT, "the answer is larger than a request may use: ask for fewer");
    struct sql_statement *find;
    if (sql_prepare(sql,
                    "SELECT body, " EFFECTIVE " FROM health WHERE tenant = $1 AND check_id > $3"
                    " AND ($4 = '' OR cluster = $4) AND ($5 = '' OR agent = $5) AND ($6 = '' OR resource_type = $6)"
                    " ORDER BY check_id",
                    &find, reterr))
        return fault_wrap(reterr, "read health checks");
    sql_bind_text(find, 1, tenant);
    sql_bind_integer(find, 2, now_ms);
    sql_bind_text(find, 3, after_id);
    sql_bind_text(find, 4, filter->cluster_id);
    sql_bind_text(find, 5, filter->agent);
    sql_bind_text(find, 6, filter->resource_type);
    size_t count = 0;
    *ret_more = false;
    fault_code code;
    while ((code = sql_step(find, reterr)) == FAULT_NONE) {
        if (!status_wanted(filter, (HealthStatus)sql_integer(find, 1))) continue;
        *ret_more = count == items_max;
        if (!*ret_more) code = read_check(sql_bytes(find, 0), now_ms, arena, &items[count++], reterr);
        if (code || *ret_more) {
            sql_reset(find);
            break;
        }
    }
    if (code && code != FAULT_ABSENT) return code;
    *ret_items = items;
    *ret_count = count;
    return FAULT_NONE;
}

fault_code fleet_health_application(struct sql *sql, slice tenant, const GetApplicationHealthRequest *request,
                                    int64_t now_ms, struct arena *arena, GetApplicationHealthResponse *ret_response,
                                    struct fault *reterr) {
    HealthCheck *items = arena_alloc_array(arena, LIMIT_PAGE_SIZE, sizeof *items);
    if (!items) return fault_set(reterr, FAULT_LIMIT, "the answer is larger than a request may use");
    struct sql_statement *find;
    if (sql_prepare(sql,
                    "SELECT body FROM health WHERE tenant = $1 AND resource_id = $2 AND ($3 = '' OR environment = $3)"
                    " AND ($4 = '' OR cluster = $4) AND ended_ms = 0 ORDER BY check_id LIMIT 1000",
                    &find, reterr))
        return fault_wrap(reterr, "read health checks");
    sql_bind_text(find, 1, tenant);
    sql_bind_text(find, 2, request->application_id);
    sql_bind_text(find, 3, request->environment_id);
    sql_bind_text(find, 4, request->cluster_id);
    size_t count = 0;
    HealthStatus status = HEALTH_STATUS_UNSPECIFIED;
    fault_code code;
    while ((code = sql_step(find, reterr)) == FAULT_NONE) {
        if (read_check(sql_bytes(find, 0), now_ms, arena, &items[count], reterr)) {
            sql_reset(find);
            return fault_wrap(reterr, "read a health check");
        }
        status = status ? fleet_health_worse(status, items[count].status) : items[count].status;
        count++;
    }
    if (code != FAULT_ABSENT) return code;
    *ret_response = (GetApplicationHealthResponse){.status = count ? status : HEALTH_STATUS_UNKNOWN};
    ret_response->checks.items = items;
    ret_response->checks.count = count;
    return FAULT_NONE;
}

fault_code fleet_health_check(struct sql *sql, slice tenant, slice check_id, int64_t now_ms, struct arena *arena,
                              GetHealthCheckResponse *ret_response, struct fault *reterr) {
    struct sql_statement *find;
    if (sql_prepare(sql, "SELECT body FROM health WHERE tenant = $1 AND check_id = $2", &find, reterr))
        return fault_wrap(reterr, "read a health check");
    sql_bind_text(find, 1, tenant);
    sql_bind_text(find, 2, check_id);
    fault_code code = sql_step(find, reterr);
    if (code == FAULT_ABSENT)
        return fault_set(reterr, FAULT_ABSENT, "there is no health check '%.*s'", SLICE_ARG(check_id));
    if (code) return code;
    *ret_response = (GetHealthCheckResponse){.has_health_check = true};
    code = read_check(sql_bytes(find, 0), now_ms, arena, &ret_response->health_check, reterr);
    sql_reset(find);
    if (code) return code;
    HealthCheck *history = arena_alloc_array(arena, HISTORY_KEPT + 1, sizeof *history);
    if (!history) return fault_set(reterr, FAULT_LIMIT, "the answer is larger than a request may use");
    if (sql_prepare(
            sql, "SELECT body FROM health_history WHERE tenant = $1 AND check_id = $2 ORDER BY sequence DESC LIMIT 200",
            &find, reterr))
        return fault_wrap(reterr, "read changes of health");
    sql_bind_text(find, 1, tenant);
    sql_bind_text(find, 2, check_id);
    size_t count = 0;
    while ((code = sql_step(find, reterr)) == FAULT_NONE)
        if (read_check(sql_bytes(find, 0), INT64_MIN, arena, &history[count++], reterr)) { /* as it was said then */
            sql_reset(find);
            return fault_wrap(reterr, "read changes of health");
        }
    if (code != FAULT_ABSENT) return code;
    ret_response->history.items = history;
    ret_response->history.count = count;
    return FAULT_NONE;
}
