/* SPDX-License-Identifier: Apache-2.0
 * Questions to the read tables. Each takes a reader for as long as its statements run and gives it back before the
 * answer is written. */
#include "aggregator/api/rpc.h"
#include "aggregator/domain/slo_state.h"
#include "aggregator/projections/burndown.h"
#include "aggregator/projections/fleet_health.h"
#include "aggregator/projections/sli_series.h"
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "sre.pb.h"

static fault_code find_slo(struct rpc_call *call, slice slo_id, SLO **ret_slo, struct fault *reterr) {
    SLO *slo = arena_alloc(call->arena, sizeof *slo);
    if (!slo) return fault_set(reterr, FAULT_LIMIT, "the request's memory is full");
    slice bytes;
    fault_code code =
        journal_get(call->parts->journal, call->caller.tenant, SLICE_LIT("slo"), slo_id, call->arena, &bytes, reterr);
    if (code == FAULT_ABSENT) return fault_set(reterr, FAULT_ABSENT, "there is no slo '%.*s'", SLICE_ARG(slo_id));
    if (!code) code = codec_decode_protobuf(&SLO_desc, bytes, call->arena, slo, reterr);
    if (!code) slo_budget_read(slo, clock_wall_ms());
    *ret_slo = slo;
    return code;
}

static fault_code get_series(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const GetSLITimeSeriesRequest *request = call->request;
    SLO *slo;
    fault_code code = find_slo(call, request->slo_id, &slo, reterr);
    if (code) return code;
    struct sql *reader = projections_take_reader(call->parts->projections);
    code =
        sli_series_query(reader, call->caller.tenant, slo, request, clock_wall_ms(), call->arena, ret_response, reterr);
    projections_give_reader(call->parts->projections, reader);
    return code;
}

static fault_code get_burndown(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const GetSLOBurndownRequest *request = call->request;
    SLO *slo;
    fault_code code = find_slo(call, request->slo_id, &slo, reterr);
    if (code) return code;
    struct sql *reader = projections_take_reader(call->parts->projections);
    code =
        burndown_query(reader, call->caller.tenant, slo, request, clock_wall_ms(), call->arena, ret_response, reterr);
    projections_give_reader(call->parts->projections, reader);
    return code;
}

static void add_environment(EnvironmentHealth *total, const EnvironmentHealth *part) {
    total->status = total->status ? fleet_health_worse(total->status, part->status) : part->status;
    total->healthy_count += part->healthy_count;
    total->degraded_count += part->degraded_count;
    total->unhealthy_count += part->unhealthy_count;
    total->unknown_count += part->unknown_count;
    total->firing_alerts_count += part->firing_alerts_count;
    total->open_incidents_count += part->open_incidents_count;
    if (part->has_updated_at && (!total->has_updated_at || part->updated_at.seconds > total->updated_at.seconds)) {
        total->has_updated_at = true;
        total->updated_at = part->updated_at;
    }
}

static fault_code get_fleet(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const GetFleetHealthRequest *request = call->request;
    GetFleetHealthResponse *response = ret_response;
    bool more;
    struct sql *reader = projections_take_reader(call->parts->projections);
    const fault_code code = fleet_health_environments(
        reader, call->caller.tenant, request->environment_id, request->cluster_id, (slice){0}, LIMIT_PAGE_SIZE,
        clock_wall_ms(), call->arena, &response->environments.items, &response->environments.count, &more, reterr);
    projections_give_reader(call->parts->projections, reader);
    if (code) return code;
    if (more)
        return fault_set(reterr, FAULT_INPUT,
                         "more than %d environments and clusters: ask for one, or use ListEnvironmentHealth",
                         LIMIT_PAGE_SIZE);
    response->has_total = true;
    response->total.environment_id = request->environment_id;
    response->total.cluster_id = request->cluster_id;
    for (size_t i = 0; i < response->environments.count; i++)
        add_environment(&response->total, &response->environments.items[i]);
    if (!response->environments.count) response->total.status = HEALTH_STATUS_UNKNOWN;
    return FAULT_NONE;
}

static fault_code list_environments(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const ListEnvironmentHealthRequest *request = call->request;
    ListEnvironmentHealthResponse *response = ret_response;
    bool more;
    const slice all = {0};
    struct sql *reader = projections_take_reader(call->parts->projections);
    const fault_code code = fleet_health_environments(
        reader, call->caller.tenant, all, all, request->page_token, rpc_page_size(request->page_size), clock_wall_ms(),
        call->arena, &response->environments.items, &response->environments.count, &more, reterr);
    projections_give_reader(call->parts->projections, reader);
    if (code) return code;
    EnvironmentHealth *items = response->environments.items;
    const size_t count = response->environments.count;
    if (more) {
        response->next_page_token = arena_format(call->arena, "%.*s/%.*s", SLICE_ARG(items[count - 1].environment_id),
                                                 SLICE_ARG(items[count - 1].cluster_id));
        if (!response->next_page_token.data) return fault_set(reterr, FAULT_LIMIT, "the request's memory is full");
    }
    if (!request->statuses.count) return FAULT_NONE;
    response->environments.count = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < request->statuses.count; k++)
            if (request->statuses.items[k] == items[i].status) {
                items[response->environments.count++] = items[i];
                break;
            }
    return FAULT_NONE;
}

static fault_code get_application(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    struct sql *reader = projections_take_reader(call->parts->projections);
    const fault_code code = fleet_health_application(reader, call->caller.tenant, call->request, clock_wall_ms(),
                                                     call->arena, ret_response, reterr);
    projections_give_reader(call->parts->projections, reader);
    return code;
}

static fault_code list_checks(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const ListHealthChecksRequest *request = call->request;
    ListHealthChecksResponse *response = ret_response;
    bool more;
    struct sql *reader = projections_take_reader(call->parts->projections);
    const fault_code code = fleet_health_checks(
        reader, call->caller.tenant, request, request->page_token, rpc_page_size(request->page_size), clock_wall_ms(),
        call->arena, &response->health_checks.items, &response->health_checks.count, &more, reterr);
    projections_give_reader(call->parts->projections, reader);
    if (!code && more)
        response->next_page_token = response->health_checks.items[response->health_checks.count - 1].healthcheck_id;
    return code;
}

static fault_code get_check(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const GetHealthCheckRequest *request = call->request;
    struct sql *reader = projections_take_reader(call->parts->projections);
    const fault_code code = fleet_health_check(reader, call->caller.tenant, request->healthcheck_id, clock_wall_ms(),
                                               call->arena, ret_response, reterr);
    projections_give_reader(call->parts->projections, reader);
    return code;
}

#define CORE "/ameide_core_proto.sre.core.v1."
const struct rpc_handler rpc_query_handlers[] = {
    {CORE "SLOQueryService/GetSLITimeSeries", get_series},
    {CORE "SLOQueryService/GetSLOBurndown", get_burndown},
    {CORE "FleetHealthQueryService/GetFleetHealth", get_fleet},
    {CORE "FleetHealthQueryService/ListEnvironmentHealth", list_environments},
    {CORE "FleetHealthQueryService/GetApplicationHealth", get_application},
    {CORE "FleetHealthQueryService/ListHealthChecks", list_checks},
    {CORE "FleetHealthQueryService/GetHealthCheck", get_check},
};
const size_t rpc_query_handlers_count = sizeof rpc_query_handlers / sizeof *rpc_query_handlers;
