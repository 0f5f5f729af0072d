/* SPDX-License-Identifier: Apache-2.0
 * Aggregates as they stand, straight from the journal: what a command has just answered is there. The lists that ask
 * for what is open take their ids from a read table and the rest from the journal. */
#include "aggregator/api/rpc.h"
#include "aggregator/projections/fleet_counts.h"
#include "common/base/limits.h"
#include "sre.pb.h"

enum { PAGE_SIZE = 100, SCAN_MAX = 20000, PAGE_BYTES_MAX = 4 * 1024 * 1024 };

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
GETTER(GetSLO, GetSLORequest, GetSLOResponse, "slo", slo_id, slo, SLO)
GETTER(GetAlert, GetAlertRequest, GetAlertResponse, "alert", alert_id, alert, Alert)
GETTER(GetIncident, GetIncidentRequest, GetIncidentResponse, "incident", incident_id, incident, Incident)

static fault_code list_slos(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const ListSLOsRequest *request = call->request;
    ListSLOsResponse *response = ret_response;
    const size_t wanted = rpc_page_size(request->page_size);
    SLO *slos = arena_alloc_array(call->arena, wanted, sizeof *slos);
    if (!slos)
        return fault_set(reterr, FAULT_LIMIT, "page_size: the page does not fit the request's memory, ask for fewer");
    slice after = request->page_token;
    size_t scanned = 0;
    bool more = true;
    while (more && response->slos.count < wanted && scanned < SCAN_MAX && arena_used(call->arena) < PAGE_BYTES_MAX) {
        struct journal_item *items;
        size_t count;
        fault_code code = journal_list(call->parts->journal, call->caller.tenant, SLICE_LIT("slo"), after,
                                       wanted - response->slos.count, call->arena, &items, &count, &more, reterr);
        if (code) return code;
        for (size_t i = 0; i < count; i++) {
            SLO *slo = &slos[response->slos.count];
            code = codec_decode_protobuf(&SLO_desc, items[i].aggregate, call->arena, slo, reterr);
            if (code) return code;
            if (request->service_id.size && !slice_equal(request->service_id, slo->service_id)) continue;
            if (request->owner.size && !slice_equal(request->owner, slo->owner)) continue;
            response->slos.count++;
        }
        scanned += count;
        if (!count) break;
        after = items[count - 1].id;
    }
    response->slos.items = slos;
    if (more) response->next_page_token = after;
    return FAULT_NONE;
}

/* Ids of what is open, from the read tables: newest first where `newest` (ids sort by time), else in their order. */
static fault_code open_ids(struct rpc_call *call, const char *kind, slice after, size_t ids_max, bool newest,
                           slice **ret_ids, size_t *ret_count, struct fault *reterr) {
    struct sql *reader = projections_take_reader(call->parts->projections);
    const fault_code code = fleet_counts_ids(reader, call->caller.tenant, slice_from_text(kind), after, ids_max, newest,
                                             call->arena, ret_ids, ret_count, reterr);
    projections_give_reader(call->parts->projections, reader);
    return code;
}

static bool severity_wanted(const Severity *items, size_t count, Severity severity) {
    for (size_t i = 0; i < count; i++)
        if (items[i] == severity) return true;
    return count == 0;
}

static fault_code list_open_incidents(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const ListOpenIncidentsRequest *request = call->request;
    ListOpenIncidentsResponse *response = ret_response;
    const size_t wanted = rpc_page_size(request->page_size);
    slice *ids;
    size_t count;
    fault_code code = open_ids(call, "incident", request->page_token, LIMIT_PAGE_SIZE + 1, true, &ids, &count, reterr);
    if (code) return code;
    Incident *incidents = arena_alloc_array(call->arena, wanted, sizeof *incidents);
    if (!incidents)
        return fault_set(reterr, FAULT_LIMIT, "page_size: the page does not fit the request's memory, ask for fewer");
    size_t at = 0;
    for (; at < count && at < LIMIT_PAGE_SIZE && response->incidents.count < wanted &&
           arena_used(call->arena) < PAGE_BYTES_MAX;
         at++) {
        Incident *incident = &incidents[response->incidents.count];
        code = get_aggregate(call, "incident", ids[at], &Incident_desc, incident, reterr);
        if (code == FAULT_ABSENT) continue;
        if (code) return code;
        if (incident->status >= INCIDENT_STATUS_RESOLVED) continue; /* the journal is ahead of the read table */
        if (!severity_wanted(request->severities.items, request->severities.count, incident->severity)) continue;
        if (request->assigned_to.size && !slice_equal(request->assigned_to, incident->assigned_to)) continue;
        response->incidents.count++;
    }
    response->incidents.items = incidents;
    if (at < count) response->next_page_token = ids[at - 1];
    return FAULT_NONE;
}

static fault_code list_active_alerts(struct rpc_call *call, void *ret_response, struct fault *reterr) {
    const ListActiveAlertsRequest *request = call->request;
    ListActiveAlertsResponse *response = ret_response;
    const size_t wanted = rpc_page_size(request->page_size);
    slice *ids;
    size_t count;
    fault_code code = open_ids(call, "alert", request->page_token, LIMIT_PAGE_SIZE + 1, false, &ids, &count, reterr);
    if (code) return code;
    Alert *alerts = arena_alloc_array(call->arena, wanted, sizeof *alerts);
    if (!alerts)
        return fault_set(reterr, FAULT_LIMIT, "page_size: the page does not fit the request's memory, ask for fewer");
    size_t at = 0;
    for (; at < count && at < LIMIT_PAGE_SIZE && response->alerts.count < wanted &&
           arena_used(call->arena) < PAGE_BYTES_MAX;
         at++) {
        Alert *alert = &alerts[response->alerts.count];
        code = get_aggregate(call, "alert", ids[at], &Alert_desc, alert, reterr);
        if (code == FAULT_ABSENT) continue;
        if (code) return code;
        if (alert->status != ALERT_STATUS_FIRING && alert->status != ALERT_STATUS_ACKNOWLEDGED) continue;
        if (!severity_wanted(request->severities.items, request->severities.count, alert->severity)) continue;
        if (request->cluster_id.size && !slice_equal(request->cluster_id, alert->cluster_id)) continue;
        response->alerts.count++;
    }
    response->alerts.items = alerts;
    if (at < count) response->next_page_token = ids[at - 1];
    return FAULT_NONE;
}

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

#define CORE "/ameide_core_proto.sre.core.v1."
const struct rpc_handler rpc_aggregate_handlers[] = {
    {CORE "SLOService/GetSLO", get_SLO},
    {CORE "SLOService/ListSLOs", list_slos},
    {CORE "AlertService/GetAlert", get_Alert},
    {CORE "AlertQueryService/ListActiveAlerts", list_active_alerts},
    {CORE "IncidentService/GetIncident", get_Incident},
    {CORE "IncidentService/ListOpenIncidents", list_open_incidents},
    {CORE "IncidentQueryService/GetIncidentTimeline", get_timeline},
};
const size_t rpc_aggregate_handlers_count = sizeof rpc_aggregate_handlers / sizeof *rpc_aggregate_handlers;
