/* SPDX-License-Identifier: Apache-2.0
 * Aggregates as they stand, straight from the journal: what a command has just answered is there. */
#include "aggregator/api/rpc.h"
#include "aggregator/domain/fleet_state.h"
#include "aggregator/domain/slo_state.h"
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "sre.pb.h"

/* A request has some 20 MiB, its answer as JSON included, which grows by doubling. */
enum { PAGE_SIZE = 100, SCAN_MAX = 20000, PAGE_BYTES_MAX = 3 * 512 * 1024, FLEET_BYTES_MAX = 4 * 1024 * 1024 };

size_t rpc_page_size(int32_t asked) {
    if (asked <= 0) return PAGE_SIZE;
    return asked < LIMIT_PAGE_SIZE ? (size_t)asked : LIMIT_PAGE_SIZE;
}

static fault_code get_aggregate(struct rpc_call *call, const char *type, slice id, const struct message_desc *desc,
                                void *ret_aggregate, struct fault *reterr) {
    slice bytes;
    const fault_code code =
        journal_get(call->parts->journal, call->caller.tenant, slice_from_text(type), id, call->arena, &bytes, reterr);
    if (code == FAULT_ABSENT) return fault_set(reterr, FAULT_ABSENT, "there is no %s '%.*s'", type, SLICE_ARG(id));
    return code ? code : codec_decode_protobuf(desc, bytes, call->arena, ret_aggregate, reterr);
}

#define GETTER(method, request_type, response_type, type, id_field, field, message)                                    \
    static fault_code get_##message(struct rpc_call *call, void *ret_response, struct fault *reterr) {                 \
        const request_type *request = call->request;                                                                   \
        response_type *response = ret_response;                                                                        \
        response->has_##field = true;                                                                                  \
        return get_aggregate(call, type, request->id_field, &message##_desc, &response->field, reterr);                \
    }

/* A budget was stored with the last window; its calendar period may have ended since. */
static void slo_renew(void *item) {
    slo_budget_read(item, clock_wall_ms());
}

static fault_code get_SLO(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const GetSLORequest *request = call->request;
    GetSLOResponse *response = ret_response;
    response->has_slo = true;
    const fault_code code = get_aggregate(call, "slo", request->slo_id, &SLO_desc, &response->slo, reterr);
    if (!code) slo_renew(&response->slo);
    return code;
}

GETTER(GetAlert, GetAlertRequest, GetAlertResponse, "alert", alert_id, alert, Alert)
GETTER(GetIncident, GetIncidentRequest, GetIncidentResponse, "incident", incident_id, incident, Incident)
GETTER(GetRunbook, GetRunbookRequest, GetRunbookResponse, "runbook", runbook_id, runbook, Runbook)
GETTER(GetRunbookExecution, GetRunbookExecutionRequest, GetRunbookExecutionResponse, "runbook_execution", execution_id,
       execution, RunbookExecution)
GETTER(GetService, GetServiceRequest, GetServiceResponse, "service", service_id, service, Service)
GETTER(GetPostmortem, GetPostmortemRequest, GetPostmortemResponse, "postmortem", postmortem_id, postmortem, Postmortem)

/* ---- lists in the order of ids ---- */

struct id_list {
    const char *type;
    const struct message_desc *desc;
    bool (*wanted)(const void *request, const void *item);
    void (*shorten)(void *item); /* or renews it; NULL: shown whole, as stored */
};

static fault_code list_by_id(struct rpc_call *call, const struct id_list *list, int32_t page_size, slice token,
                             uint8_t **ret_items, size_t *ret_count, slice *ret_token, struct fault *reterr) {
    const size_t wanted = rpc_page_size(page_size), size = message_size(list->desc);
    uint8_t *found = arena_alloc_array(call->arena, wanted, size);
    if (!found)
        return fault_set(reterr, FAULT_INPUT, "page_size: the page does not fit the request's memory, ask for fewer");
    const size_t used = arena_used(call->arena);
    slice after = token;
    size_t scanned = 0, count = 0;
    bool more = true;
    while (more && count < wanted && scanned < SCAN_MAX && arena_used(call->arena) - used < PAGE_BYTES_MAX) {
        struct journal_item *items;
        size_t items_count;
        fault_code code = journal_list(call->parts->journal, call->caller.tenant, slice_from_text(list->type), after,
                                       wanted - count, call->arena, &items, &items_count, &more, reterr);
        if (code) return code;
        for (size_t i = 0; i < items_count; i++) {
            void *item = found + count * size;
            code = codec_decode_protobuf(list->desc, items[i].aggregate, call->arena, item, reterr);
            if (code) return code;
            if (!list->wanted(call->request, item)) continue;
            if (list->shorten) list->shorten(item);
            count++;
        }
        scanned += items_count;
        if (!items_count) break;
        after = items[items_count - 1].id;
    }
    *ret_items = found;
    *ret_count = count;
    if (more) *ret_token = after;
    return FAULT_NONE;
}

/* An empty one in the request asks for nothing. */
static bool fits(slice asked, slice has) {
    return !asked.size || slice_equal(asked, has);
}

static bool slo_wanted(const void *context, const void *item) {
    const ListSLOsRequest *request = context;
    return fits(request->service_id, ((const SLO *)item)->service_id) &&
           fits(request->owner, ((const SLO *)item)->owner);
}

static bool runbook_wanted(const void *context, const void *item) {
    return fits(((const ListRunbooksRequest *)context)->service_id, ((const Runbook *)item)->service_id);
}

static void runbook_shorten(void *item) {
    Runbook *runbook = item;
    runbook->steps.count = 0;
}

static bool service_wanted(const void *context, const void *item) {
    return fits(((const ListServicesRequest *)context)->owner, ((const Service *)item)->owner);
}

static bool postmortem_wanted(const void *context, const void *item) {
    const ListPostmortemsRequest *request = context;
    const Postmortem *postmortem = item;
    return fits(request->service_id, postmortem->service_id) &&
           (!request->status || request->status == postmortem->status);
}

static void postmortem_shorten(void *item) {
    Postmortem *postmortem = item;
    postmortem->timeline.count = 0;
}

#define LISTER(name, method, type, message, field, wanted, shorten)                                                    \
    static fault_code name(struct rpc_call *call, void *ret_response, struct fault *reterr) {                          \
        static const struct id_list list = {type, &message##_desc, wanted, shorten};                                   \
        const method##Request *request = call->request;                                                                \
        method##Response *response = ret_response;                                                                     \
        uint8_t *items;                                                                                                \
        const fault_code code = list_by_id(call, &list, request->page_size, request->page_token, &items,               \
                                           &response->field.count, &response->next_page_token, reterr);                \
        if (!code) response->field.items = (message *)(void *)items;                                                   \
        return code;                                                                                                   \
    }
LISTER(list_slos, ListSLOs, "slo", SLO, slos, slo_wanted, slo_renew)
LISTER(list_runbooks, ListRunbooks, "runbook", Runbook, runbooks, runbook_wanted, runbook_shorten)
LISTER(list_services, ListServices, "service", Service, services, service_wanted, NULL)
LISTER(list_postmortems, ListPostmortems, "postmortem", Postmortem, postmortems, postmortem_wanted, postmortem_shorten)

/* ---- lists of what is open ---- */

enum { TOKEN_TIME_DIGITS_MAX = 20 };

/* "<milliseconds>.<id>", the place of the last item that was looked at. */
static bool place_parse(slice token, struct journal_place *ret_place) {
    size_t at = 0;
    int64_t ms = 0;
    for (; at < token.size && at < TOKEN_TIME_DIGITS_MAX && token.data[at] >= '0' && token.data[at] <= '9'; at++)
        if (__builtin_mul_overflow(ms, 10, &ms) || __builtin_add_overflow(ms, token.data[at] - '0', &ms)) return false;
    if (at == 0 || at == token.size || token.data[at] != '.' || token.size - at - 1 > LIMIT_AGGREGATE_ID_BYTES)
        return false;
    *ret_place = (struct journal_place){ms, slice_from(token, at + 1)};
    return true;
}

/* One item as bytes: decoded into the list's next place when it is wanted. */
struct open_list {
    const char *type;
    const struct message_desc *desc;
    bool (*wanted)(const void *request, const void *item);
};

static fault_code list_open(struct rpc_call *call, const struct open_list *list, int32_t page_size, slice token,
                            uint8_t **ret_items, size_t *ret_count, slice *ret_token, struct fault *reterr) {
    const size_t wanted = rpc_page_size(page_size), size = message_size(list->desc);
    struct journal_place place;
    if (token.size && !place_parse(token, &place))
        return fault_set(reterr, FAULT_INPUT, "page_token: is not one that this server gave");
    uint8_t *found = arena_alloc_array(call->arena, wanted, size);
    if (!found)
        return fault_set(reterr, FAULT_INPUT, "page_size: the page does not fit the request's memory, ask for fewer");
    const size_t used = arena_used(call->arena);
    bool more = true, begun = token.size != 0;
    size_t count = 0;
    for (size_t scanned = 0;
         more && count < wanted && scanned < SCAN_MAX && arena_used(call->arena) - used < PAGE_BYTES_MAX;) {
        struct journal_item *items;
        size_t items_count;
        fault_code code = journal_list_open(call->parts->journal, call->caller.tenant, slice_from_text(list->type),
                                            begun ? &place : NULL, wanted - count, call->arena, &items, &items_count,
                                            &place, &more, reterr);
        if (code) return code;
        for (size_t i = 0; i < items_count; i++) {
            code = codec_decode_protobuf(list->desc, items[i].aggregate, call->arena, found + count * size, reterr);
            if (code) return code;
            count += list->wanted(call->request, found + count * size);
        }
        scanned += items_count;
        begun = true;
        if (!items_count) break;
    }
    *ret_items = found;
    *ret_count = count;
    if (more && begun)
        *ret_token = arena_format(call->arena, "%lld.%.*s", (long long)place.since_ms, SLICE_ARG(place.id));
    return FAULT_NONE;
}

static bool severity_wanted(const Severity *items, size_t count, Severity severity) {
    for (size_t i = 0; i < count; i++)
        if (items[i] == severity) return true;
    return count == 0;
}

static bool incident_wanted(const void *context, const void *item) {
    const ListOpenIncidentsRequest *request = context;
    const Incident *incident = item;
    return severity_wanted(request->severities.items, request->severities.count, incident->severity) &&
           (!request->assigned_to.size || slice_equal(request->assigned_to, incident->assigned_to));
}

static bool alert_wanted(const void *context, const void *item) {
    const ListActiveAlertsRequest *request = context;
    const Alert *alert = item;
    return severity_wanted(request->severities.items, request->severities.count, alert->severity) &&
           (!request->cluster_id.size || slice_equal(request->cluster_id, alert->cluster_id));
}

static bool execution_wanted(const void *context, const void *item) {
    const ListOpenRunbookExecutionsRequest *request = context;
    return !request->runbook_id.size || slice_equal(request->runbook_id, ((const RunbookExecution *)item)->runbook_id);
}

#define OPEN_LISTER(name, method, type, message, field, wanted)                                                        \
    static fault_code name(struct rpc_call *call, void *ret_response, struct fault *reterr) {                          \
        static const struct open_list list = {type, &message##_desc, wanted};                                          \
        const method##Request *request = call->request;                                                                \
        method##Response *response = ret_response;                                                                     \
        uint8_t *items;                                                                                                \
        const fault_code code = list_open(call, &list, request->page_size, request->page_token, &items,                \
                                          &response->field.count, &response->next_page_token, reterr);                 \
        if (!code) response->field.items = (message *)(void *)items;                                                   \
        return code;                                                                                                   \
    }
OPEN_LISTER(list_open_incidents, ListOpenIncidents, "incident", Incident, incidents, incident_wanted)
OPEN_LISTER(list_active_alerts, ListActiveAlerts, "alert", Alert, alerts, alert_wanted)
OPEN_LISTER(list_open_executions, ListOpenRunbookExecutions, "runbook_execution", RunbookExecution, executions,
            execution_wanted)

static fault_code get_timeline(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const GetIncidentTimelineRequest *request = call->request;
    GetIncidentTimelineResponse *response = ret_response;
    Incident *incident = arena_alloc(call->arena, sizeof *incident);
    if (!incident) return fault_set(reterr, FAULT_LIMIT, "the timeline does not fit the request's memory");
    const fault_code code = get_aggregate(call, "incident", request->incident_id, &Incident_desc, incident, reterr);
    if (code) return code;
    response->entries.items = incident->timeline.items;
    response->entries.count = incident->timeline.count;
    return FAULT_NONE;
}

/* ---- fleet states ---- */

/* Adds the clusters of an environment whose ids begin with that. */
static fault_code add_clusters(struct rpc_call *call, slice environment, slice prefix,
                               GetCurrentFleetStateResponse *response, struct fault *reterr) {
    slice after = prefix;
    bool more = true;
    size_t scanned = 0;
    while (more) {
        struct journal_item *items;
        size_t count;
        if (scanned >= SCAN_MAX || arena_used(call->arena) >= FLEET_BYTES_MAX)
            return fault_set(reterr, FAULT_INPUT,
                             "cluster_id: the environment has too many clusters to sum, ask for one");
        fault_code code = journal_list(call->parts->journal, call->caller.tenant, SLICE_LIT("fleet_state"), after,
                                       LIMIT_PAGE_SIZE, call->arena, &items, &count, &more, reterr);
        for (size_t i = 0; !code && i < count; i++) {
            FleetState part;
            if (!slice_starts_with(items[i].id, prefix)) return FAULT_NONE;
            code = codec_decode_protobuf(&FleetState_desc, items[i].aggregate, call->arena, &part, reterr);
            if (code || !slice_equal(part.environment_id, environment)) continue;
            fleet_state_age(&part, clock_wall_ms());
            fleet_state_add(&response->fleet_state, &part);
            response->summed_clusters_count++;
        }
        if (code || !count) return code;
        after = items[count - 1].id;
        scanned += count;
    }
    return FAULT_NONE;
}

/* The environment's own snapshot goes before a sum: its source saw all clusters at one time. */
static fault_code get_fleet_state(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const GetCurrentFleetStateRequest *request = call->request;
    GetCurrentFleetStateResponse *response = ret_response;
    const slice environment = request->environment_id;
    const slice id = fleet_state_id_from(environment, request->cluster_id, call->arena);
    const slice prefix = fleet_state_id_prefix(environment, call->arena);
    if (!id.data || !prefix.data) return fault_set(reterr, FAULT_LIMIT, "the request's memory is full");
    FleetState *state = &response->fleet_state;
    response->has_fleet_state = true;
    fault_code code = get_aggregate(call, "fleet_state", id, &FleetState_desc, state, reterr);
    if (!code) fleet_state_age(state, clock_wall_ms());
    if (code != FAULT_ABSENT) return code;
    if (request->cluster_id.size)
        return fault_set(reterr, FAULT_ABSENT, "no fleet state of environment '%.*s' and cluster '%.*s' was recorded",
                         SLICE_ARG(environment), SLICE_ARG(request->cluster_id));
    *state = (FleetState){.fleetstate_id = id, .environment_id = environment};
    code = add_clusters(call, environment, prefix, response, reterr);
    if (!code) code = add_clusters(call, environment, SLICE_LIT(FLEET_STATE_LONG_PREFIX), response, reterr);
    if (code || response->summed_clusters_count) return code;
    return fault_set(reterr, FAULT_ABSENT, "no fleet state of environment '%.*s' was recorded", SLICE_ARG(environment));
}

#define CORE "/ameide_core_proto.sre.core.v1."
const struct rpc_handler rpc_aggregate_handlers[] = {
    {CORE "SLOService/GetSLO", get_SLO},
    {CORE "SLOService/ListSLOs", list_slos},
    {CORE "AlertService/GetAlert", get_Alert},
    {CORE "RunbookService/GetRunbook", get_Runbook},
    {CORE "RunbookService/ListRunbooks", list_runbooks},
    {CORE "RunbookService/GetRunbookExecution", get_RunbookExecution},
    {CORE "RunbookService/ListOpenRunbookExecutions", list_open_executions},
    {CORE "ServiceCatalogService/GetService", get_Service},
    {CORE "ServiceCatalogService/ListServices", list_services},
    {CORE "PostmortemService/GetPostmortem", get_Postmortem},
    {CORE "PostmortemService/ListPostmortems", list_postmortems},
    {CORE "AlertQueryService/ListActiveAlerts", list_active_alerts},
    {CORE "IncidentService/GetIncident", get_Incident},
    {CORE "IncidentService/ListOpenIncidents", list_open_incidents},
    {CORE "IncidentQueryService/GetIncidentTimeline", get_timeline},
    {CORE "HealthService/GetCurrentFleetState", get_fleet_state},
};
const size_t rpc_aggregate_handlers_count = sizeof rpc_aggregate_handlers / sizeof *rpc_aggregate_handlers;
