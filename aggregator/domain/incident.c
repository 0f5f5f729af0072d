/* SPDX-License-Identifier: Apache-2.0
 * All changes of status pass one function and one matrix. The way is the specification's chain; besides, an incident
 * can be resolved from any status before (a false alarm needs no investigation), mitigation may turn out to need
 * more investigation, and a resolved incident that comes back is investigated again. Closed is the end.
 * Each intent that moves the status gives the fact of its own name, whichever intent asked for the move. */
#include "aggregator/domain/incident.h"

#include "aggregator/domain/domain_list.h"

enum { STATUSES = INCIDENT_STATUS_CLOSED + 1 };

#define TO(status) (1u << INCIDENT_STATUS_##status)
static const unsigned may_move[STATUSES] = {
    [INCIDENT_STATUS_OPEN] = TO(ACKNOWLEDGED) | TO(RESOLVED),
    [INCIDENT_STATUS_ACKNOWLEDGED] = TO(INVESTIGATING) | TO(RESOLVED),
    [INCIDENT_STATUS_INVESTIGATING] = TO(MITIGATING) | TO(RESOLVED),
    [INCIDENT_STATUS_MITIGATING] = TO(INVESTIGATING) | TO(RESOLVED),
    [INCIDENT_STATUS_RESOLVED] = TO(INVESTIGATING) | TO(CLOSED),
    [INCIDENT_STATUS_CLOSED] = 0,
};
#undef TO
static const char *const status_names[STATUSES] = {
    [INCIDENT_STATUS_UNSPECIFIED] = "unspecified",
    [INCIDENT_STATUS_OPEN] = "open",
    [INCIDENT_STATUS_ACKNOWLEDGED] = "acknowledged",
    [INCIDENT_STATUS_INVESTIGATING] = "investigating",
    [INCIDENT_STATUS_MITIGATING] = "mitigating",
    [INCIDENT_STATUS_RESOLVED] = "resolved",
    [INCIDENT_STATUS_CLOSED] = "closed",
};
static const char *const severity_names[] = {
    [SEVERITY_UNSPECIFIED] = "unspecified", [SEVERITY_CRITICAL] = "critical", [SEVERITY_HIGH] = "high",
    [SEVERITY_MEDIUM] = "medium",           [SEVERITY_LOW] = "low",
};

bool incident_may_move(IncidentStatus from, IncidentStatus to) {
    return (unsigned)from < STATUSES && (unsigned)to < STATUSES && (may_move[from] & 1u << to);
}

void incident_index(const struct aggregate *aggregate, struct arena *arena, struct aggregate_index *ret_index) {
    ret_index->open = aggregate->state.incident.status < INCIDENT_STATUS_RESOLVED;
    ret_index->open_since_ms = domain_ms(aggregate->state.incident.created_at);
}

static fault_code exists(const struct aggregate *aggregate, struct fault *reterr) {
    if (aggregate->version) return FAULT_NONE;
    return fault_set(reterr, FAULT_ABSENT, "incident '%.*s' does not exist", SLICE_ARG(aggregate->id));
}

static fault_code not_closed(const struct aggregate *aggregate, const char *what, struct fault *reterr) {
    if (exists(aggregate, reterr)) return FAULT_ABSENT;
    if (aggregate->state.incident.status != INCIDENT_STATUS_CLOSED) return FAULT_NONE;
    return fault_set(reterr, FAULT_CONFLICT, "incident '%.*s' is closed: %s", SLICE_ARG(aggregate->id), what);
}

fault_code incident_decide_create(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                  struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const CreateIncidentRequested *request = &intent->intent.create_incident;
    if (aggregate->version)
        return fault_set(reterr, FAULT_EXISTS, "incident '%.*s' exists already, and is %s", SLICE_ARG(aggregate->id),
                         status_names[aggregate->state.incident.status]);
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_incident_created_tag);
    fact->fact.incident_created.has_incident = true;
    Incident *incident = &fact->fact.incident_created.incident;
    incident->incident_id = aggregate->id;
    incident->title = request->title;
    incident->description = request->description;
    incident->severity = request->severity;
    incident->status = INCIDENT_STATUS_OPEN;
    incident->source = request->source ? request->source : INCIDENT_SOURCE_MANUAL;
    LIST_SHARE(incident->affected_resources, request->affected_resources);
    incident->assigned_to = request->assigned_to;
    LIST_SHARE(incident->alert_ids, request->alert_ids);
    incident->service_id = request->service_id;
    MAP_COPY(incident->labels, request->labels, call->arena);
    incident->environment_id = request->environment_id;
    incident->cluster_id = request->cluster_id;
    incident->has_created_at = incident->has_updated_at = true;
    incident->created_at = incident->updated_at = domain_time(call->now_ms);
    incident->version = 1;
    return FAULT_NONE;
}

fault_code incident_decide_reclassify(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                      struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const ReclassifyIncidentSeverityRequested *request = &intent->intent.reclassify_incident_severity;
    if (not_closed(aggregate, "its severity stays", reterr)) return reterr ? reterr->code : FAULT_CONFLICT;
    const Severity from = aggregate->state.incident.severity;
    if (from == request->severity)
        return fault_set(reterr, FAULT_CONFLICT, "incident '%.*s' cannot go from severity %s to %s: it has it already",
                         SLICE_ARG(aggregate->id), severity_names[from], severity_names[request->severity]);
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_incident_severity_changed_tag);
    fact->fact.incident_severity_changed = (IncidentSeverityChanged){.incident_id = aggregate->id,
                                                                     .from = from,
                                                                     .to = request->severity,
                                                                     .changed_by = call->actor,
                                                                     .reason = request->reason};
    return FAULT_NONE;
}

fault_code incident_decide_assign(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                  struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const AssignIncidentRequested *request = &intent->intent.assign_incident;
    if (not_closed(aggregate, "nobody can take it", reterr)) return reterr ? reterr->code : FAULT_CONFLICT;
    if (slice_equal(aggregate->state.incident.assigned_to, request->assigned_to)) return FAULT_NONE;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_incident_assigned_tag);
    fact->fact.incident_assigned = (IncidentAssigned){.incident_id = aggregate->id,
                                                      .from = aggregate->state.incident.assigned_to,
                                                      .to = request->assigned_to,
                                                      .assigned_by = call->actor,
                                                      .reason = request->reason};
    return FAULT_NONE;
}

static size_t entry_bytes(slice text, const slice *links, size_t links_count) {
    size_t bytes = text.size;
    for (size_t i = 0; i < links_count; i++) bytes += links[i].size;
    return bytes;
}

fault_code incident_decide_entry(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                 struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const AddIncidentTimelineEntryRequested *request = &intent->intent.add_timeline_entry;
    if (exists(aggregate, reterr)) return FAULT_ABSENT; /* what is learned after closing still belongs to it */
    const Incident *incident = &aggregate->state.incident;
    if (incident->timeline.count >= INCIDENT_TIMELINE_MAX)
        return fault_set(reterr, FAULT_LIMIT, "incident '%.*s' has %d timeline entries, the most there can be",
                         SLICE_ARG(aggregate->id), INCIDENT_TIMELINE_MAX);
    for (size_t i = 0; request->entry_id.size && i < incident->timeline.count; i++)
        if (slice_equal(incident->timeline.items[i].entry_id, request->entry_id)) return FAULT_NONE; /* a repeat */
    size_t bytes = entry_bytes(request->text, request->links.items, request->links.count);
    for (size_t i = 0; i < incident->timeline.count; i++) {
        const TimelineEntry *before = &incident->timeline.items[i];
        bytes += entry_bytes(before->text, before->links.items, before->links.count);
    }
    if (bytes > INCIDENT_TIMELINE_BYTES_MAX)
        return fault_set(reterr, FAULT_LIMIT,
                         "with this entry the timeline of incident '%.*s' would hold %zu bytes, the most is %d",
                         SLICE_ARG(aggregate->id), bytes, INCIDENT_TIMELINE_BYTES_MAX);
    slice entry_id = request->entry_id;
    if (entry_id.size == 0) {
        char text[UUID_TEXT_SIZE + 1];
        uuid_format(domain_ids_next(call->ids, call->now_ms), text);
        entry_id = arena_copy(call->arena, slice_of(text, UUID_TEXT_SIZE));
        if (!entry_id.data) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
    }
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_incident_timeline_entry_added_tag);
    fact->fact.incident_timeline_entry_added.incident_id = aggregate->id;
    fact->fact.incident_timeline_entry_added.has_entry = true;
    TimelineEntry *entry = &fact->fact.incident_timeline_entry_added.entry;
    entry->entry_id = entry_id;
    entry->has_at = true;
    entry->at = request->has_at ? request->at : domain_time(call->now_ms);
    entry->author = call->actor;
    entry->kind = request->kind ? request->kind : TIMELINE_ENTRY_KIND_NOTE;
    entry->text = request->text;
    LIST_SHARE(entry->links, request->links);
    return FAULT_NONE;
}

/* The one way to another status. note: reason, resolution or note of the intent. */
static fault_code move(const struct aggregate *aggregate, IncidentStatus to, slice note, slice root_cause,
                       struct domain_call *call, struct fact_list *facts, struct fault *reterr) {
    if (exists(aggregate, reterr)) return FAULT_ABSENT;
    const IncidentStatus from = aggregate->state.incident.status;
    if (!incident_may_move(from, to))
        return fault_set(reterr, FAULT_CONFLICT, "incident '%.*s' cannot go from %s to %s", SLICE_ARG(aggregate->id),
                         status_names[from], (unsigned)to < STATUSES ? status_names[to] : "an unknown status");
    const Timestamp now = domain_time(call->now_ms);
    switch (to) {
    case INCIDENT_STATUS_ACKNOWLEDGED:
        fact_list_add(facts, SreDomainFact_incident_acknowledged_tag)->fact.incident_acknowledged =
            (IncidentAcknowledged){.incident_id = aggregate->id,
                                   .acknowledged_by = call->actor,
                                   .has_acknowledged_at = true,
                                   .acknowledged_at = now,
                                   .note = note};
        return FAULT_NONE;
    case INCIDENT_STATUS_RESOLVED:
        fact_list_add(facts, SreDomainFact_incident_resolved_tag)->fact.incident_resolved =
            (IncidentResolved){.incident_id = aggregate->id,
                               .from = from,
                               .resolution = note,
                               .root_cause = root_cause,
                               .resolved_by = call->actor,
                               .has_resolved_at = true,
                               .resolved_at = now};
        return FAULT_NONE;
    case INCIDENT_STATUS_CLOSED:
        fact_list_add(facts, SreDomainFact_incident_closed_tag)->fact.incident_closed =
            (IncidentClosed){.incident_id = aggregate->id,
                             .from = from,
                             .reason = note,
                             .closed_by = call->actor,
                             .has_closed_at = true,
                             .closed_at = now};
        return FAULT_NONE;
    default:
        fact_list_add(facts, SreDomainFact_incident_status_changed_tag)->fact.incident_status_changed =
            (IncidentStatusChanged){.incident_id = aggregate->id,
                                    .from = from,
                                    .to = to,
                                    .changed_by = call->actor,
                                    .reason = note,
                                    .has_changed_at = true,
                                    .changed_at = now};
        return FAULT_NONE;
    }
}

fault_code incident_decide_resolve(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                   struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const ResolveIncidentRequested *request = &intent->intent.resolve_incident;
    return move(aggregate, INCIDENT_STATUS_RESOLVED, request->resolution, request->root_cause, call, ret_facts, reterr);
}

fault_code incident_decide_close(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                 struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    return move(aggregate, INCIDENT_STATUS_CLOSED, intent->intent.close_incident.reason, (slice){0}, call, ret_facts,
                reterr);
}

fault_code incident_decide_acknowledge(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                       struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    return move(aggregate, INCIDENT_STATUS_ACKNOWLEDGED, intent->intent.acknowledge_incident.note, (slice){0}, call,
                ret_facts, reterr);
}

fault_code incident_decide_transition(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                      struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const TransitionIncidentStatusRequested *request = &intent->intent.transition_incident_status;
    return move(aggregate, request->status, request->reason, (slice){0}, call, ret_facts, reterr);
}

/* ---- apply ---- */

static Incident *updated(struct aggregate *aggregate, int64_t now_ms) {
    aggregate->state.incident.has_updated_at = true;
    aggregate->state.incident.updated_at = domain_time(now_ms);
    return &aggregate->state.incident;
}

void incident_apply_created(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                            struct arena *arena) {
    aggregate->state.incident = fact->fact.incident_created.incident;
}

void incident_apply_severity(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                             struct arena *arena) {
    updated(aggregate, now_ms)->severity = fact->fact.incident_severity_changed.to;
}

void incident_apply_assigned(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                             struct arena *arena) {
    updated(aggregate, now_ms)->assigned_to = fact->fact.incident_assigned.to;
}

void incident_apply_entry(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena) {
    Incident *incident = updated(aggregate, now_ms);
    const TimelineEntry *entry = &fact->fact.incident_timeline_entry_added.entry;
    const size_t count = incident->timeline.count, item = sizeof *incident->timeline.items;
    TimelineEntry *items = arena_alloc_array(arena, count + 1, item);
    if (!items) return; /* the fact holds it; decisions are made in arenas far larger than the largest timeline */
    size_t at = count;  /* oldest first by when it happened */
    while (at > 0 && domain_ms(incident->timeline.items[at - 1].at) > domain_ms(entry->at)) at--;
    if (at) memcpy(items, incident->timeline.items, at * item);
    items[at] = *entry;
    if (count > at) memcpy(items + at + 1, incident->timeline.items + at, (count - at) * item);
    incident->timeline.items = items;
    incident->timeline.count = count + 1;
}

void incident_apply_resolved(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                             struct arena *arena) {
    Incident *incident = updated(aggregate, now_ms);
    const IncidentResolved *resolved = &fact->fact.incident_resolved;
    incident->status = INCIDENT_STATUS_RESOLVED;
    incident->resolution = resolved->resolution;
    if (resolved->root_cause.size) incident->root_cause = resolved->root_cause;
    incident->has_resolved_at = true;
    incident->resolved_at = resolved->resolved_at;
}

void incident_apply_closed(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                           struct arena *arena) {
    Incident *incident = updated(aggregate, now_ms);
    incident->status = INCIDENT_STATUS_CLOSED;
    incident->has_closed_at = true;
    incident->closed_at = fact->fact.incident_closed.closed_at;
}

void incident_apply_acknowledged(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                 struct arena *arena) {
    Incident *incident = updated(aggregate, now_ms);
    incident->status = INCIDENT_STATUS_ACKNOWLEDGED;
    incident->has_acknowledged_at = true;
    incident->acknowledged_at = fact->fact.incident_acknowledged.acknowledged_at;
}

void incident_apply_status(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                           struct arena *arena) {
    Incident *incident = updated(aggregate, now_ms);
    const IncidentStatusChanged *changed = &fact->fact.incident_status_changed;
    if (incident->status == INCIDENT_STATUS_RESOLVED) { /* it came back */
        incident->has_resolved_at = false;
        incident->resolved_at = (Timestamp){0};
        incident->resolution = (slice){0};
    }
    incident->status = changed->to;
    if (changed->to == INCIDENT_STATUS_MITIGATING) {
        incident->has_mitigated_at = true;
        incident->mitigated_at = changed->changed_at;
    }
}
