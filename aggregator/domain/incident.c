/* SPDX-License-Identifier: Apache-2.0
 * All changes of status pass one function here and one table (incident_status.c). Each move gives the fact of its own
 * name, whichever intent asked for it, and apply writes it in the timeline. */
#include "aggregator/domain/incident.h"

#include "aggregator/domain/content.h"
#include "aggregator/domain/correlation.h"
#include "aggregator/domain/domain_list.h"
#include "aggregator/domain/incident_status.h"
#include "aggregator/domain/incident_timeline.h"

static const char *const severity_names[] = {
    [SEVERITY_UNSPECIFIED] = "unspecified", [SEVERITY_CRITICAL] = "critical", [SEVERITY_HIGH] = "high",
    [SEVERITY_MEDIUM] = "medium",           [SEVERITY_LOW] = "low",
};
static const char *severity_name(Severity severity) {
    return (size_t)severity < sizeof severity_names / sizeof *severity_names ? severity_names[severity] : "unknown";
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
                         incident_status_name(aggregate->state.incident.status));
    struct correlation ties;
    const fault_code code =
        correlation_find(aggregate, request->alert_ids.items, request->alert_ids.count, call, &ties, reterr);
    if (code) return code;
    if (fact_list_reserve(ret_facts, 1 + ties.count, call->arena, reterr)) return FAULT_LIMIT;
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
    incident->alert_ids.items = ties.ids;
    incident->alert_ids.count = ties.count;
    incident->service_id = request->service_id;
    MAP_COPY(incident->labels, request->labels, call->arena);
    incident->environment_id = request->environment_id;
    incident->cluster_id = request->cluster_id;
    incident->has_created_at = incident->has_updated_at = true;
    incident->created_at = incident->updated_at = domain_time(call->now_ms);
    incident->version = 1;
    correlation_tell_alerts(&ties, aggregate->id, SLICE_LIT("the incident was opened for it"), call, ret_facts);
    return FAULT_NONE;
}

fault_code incident_decide_reclassify(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                      struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const ReclassifyIncidentSeverityRequested *request = &intent->intent.reclassify_incident_severity;
    if (not_closed(aggregate, "its severity stays", reterr)) return reterr ? reterr->code : FAULT_CONFLICT;
    const Severity from = aggregate->state.incident.severity;
    if (from == request->severity) return FAULT_NONE;
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

/* What was not given the first time need not be given again. */
static bool entry_repeats(const TimelineEntry *entry, const AddIncidentTimelineEntryRequested *request) {
    return slice_equal(entry->text, request->text) && (!request->kind || entry->kind == request->kind) &&
           (!request->has_at || content_time_equal(entry->at, request->at)) &&
           content_texts_equal(entry->links.items, entry->links.count, request->links.items, request->links.count);
}

fault_code incident_decide_entry(const struct aggregate *aggregate, const SreDomainIntent *intent,
                                 struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const AddIncidentTimelineEntryRequested *request = &intent->intent.add_timeline_entry;
    if (exists(aggregate, reterr)) return FAULT_ABSENT; /* what is learned after closing still belongs to it */
    if (incident_timeline_automatic(request->kind))
        return fault_set(
            reterr, FAULT_INPUT,
            "kind: the aggregator itself writes of status, severity, assignment and alerts; what people add "
            "is a note, an action or a finding");
    const TimelineEntry *said =
        request->entry_id.size ? incident_timeline_find(&aggregate->state.incident, request->entry_id) : NULL;
    if (said && entry_repeats(said, request)) return FAULT_NONE;
    if (said)
        return fault_set(reterr, FAULT_EXISTS,
                         "entry_id: '%.*s' is in the timeline of incident '%.*s' already and says something else; give "
                         "each entry an id of its own",
                         SLICE_ARG(request->entry_id), SLICE_ARG(aggregate->id));
    const int64_t ahead_ms = request->has_at ? domain_ms(request->at) - call->now_ms : 0;
    if (ahead_ms > INCIDENT_TIMELINE_AHEAD_MS_MAX)
        return fault_set(reterr, FAULT_INPUT, "at is %lld s ahead of the aggregator's clock, the most is %d",
                         (long long)ahead_ms / 1000, INCIDENT_TIMELINE_AHEAD_MS_MAX / 1000);
    const fault_code code =
        incident_timeline_check(aggregate, request->text, request->links.items, request->links.count, reterr);
    if (code) return code;
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

/* Acknowledging is a person's word that they have it. Said again by the same person it is a repeat; another one is told
 * who it is, and not that all is well: two who both believe that it is theirs is what acknowledging is to prevent. */
static fault_code acknowledged_again(const struct aggregate *aggregate, const struct domain_call *call,
                                     struct fault *reterr) {
    const slice by = aggregate->state.incident.acknowledged_by;
    if (by.size && slice_equal(by, call->actor)) return FAULT_NONE;
    return fault_set(reterr, FAULT_CONFLICT, "incident '%.*s' cannot go from acknowledged to acknowledged: %.*s has it",
                     SLICE_ARG(aggregate->id), SLICE_ARG(by.size ? by : SLICE_LIT("somebody")));
}

/* The one way to another status. note: reason, resolution or note of the intent. */
static fault_code move(const struct aggregate *aggregate, IncidentStatus to, slice note, slice root_cause,
                       struct domain_call *call, struct fact_list *facts, struct fault *reterr) {
    if (exists(aggregate, reterr)) return FAULT_ABSENT;
    const IncidentStatus from = aggregate->state.incident.status;
    if (from == INCIDENT_STATUS_ACKNOWLEDGED && to == from) return acknowledged_again(aggregate, call, reterr);
    bool reason;
    if (!incident_may_move(from, to, &reason)) return incident_move_refused(aggregate->id, from, to, reterr);
    if (reason && note.size == 0)
        return fault_set(reterr, FAULT_INPUT, "incident '%.*s' goes from %s to %s only with a reason",
                         SLICE_ARG(aggregate->id), incident_status_name(from), incident_status_name(to));
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

/* The one way to another status here: what belongs to the one before is taken back, and the timeline has it. */
static void moved(Incident *incident, IncidentStatus to, const SreDomainFact *fact, Timestamp at, slice by, slice note,
                  struct arena *arena) {
    const IncidentStatus from = incident->status;
    incident->status = to;
    if (from >= INCIDENT_STATUS_RESOLVED && to < INCIDENT_STATUS_RESOLVED) { /* it came back */
        incident->has_resolved_at = incident->has_closed_at = false;
        incident->resolved_at = incident->closed_at = (Timestamp){0};
        incident->resolution = (slice){0};
    }
    incident_timeline_tell(incident, fact, TIMELINE_ENTRY_KIND_STATUS, domain_ms(at), by,
                           arena_format(arena, "%s -> %s", incident_status_name(from), incident_status_name(to)), note,
                           arena);
}

void incident_apply_created(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                            struct arena *arena) {
    Incident *incident = &aggregate->state.incident;
    *incident = fact->fact.incident_created.incident;
    incident_timeline_tell(
        incident, fact, TIMELINE_ENTRY_KIND_STATUS, domain_ms(incident->created_at), fact->meta.producer,
        arena_format(arena, "opened with severity %s", severity_name(incident->severity)),
        incident->alert_ids.count ? correlation_text(incident->alert_ids.items, incident->alert_ids.count, arena)
                                  : (slice){0},
        arena);
}

void incident_apply_severity(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                             struct arena *arena) {
    Incident *incident = updated(aggregate, now_ms);
    const IncidentSeverityChanged *changed = &fact->fact.incident_severity_changed;
    incident->severity = changed->to;
    incident_timeline_tell(
        incident, fact, TIMELINE_ENTRY_KIND_SEVERITY, now_ms, changed->changed_by,
        arena_format(arena, "severity %s -> %s", severity_name(changed->from), severity_name(changed->to)),
        changed->reason, arena);
}

void incident_apply_assigned(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                             struct arena *arena) {
    Incident *incident = updated(aggregate, now_ms);
    const IncidentAssigned *assigned = &fact->fact.incident_assigned;
    const slice nobody = SLICE_LIT("nobody");
    incident->assigned_to = assigned->to;
    incident_timeline_tell(incident, fact, TIMELINE_ENTRY_KIND_ASSIGNMENT, now_ms, assigned->assigned_by,
                           arena_format(arena, "%.*s -> %.*s", SLICE_ARG(assigned->from.size ? assigned->from : nobody),
                                        SLICE_ARG(assigned->to.size ? assigned->to : nobody)),
                           assigned->reason, arena);
}

void incident_apply_entry(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena) {
    incident_timeline_put(updated(aggregate, now_ms), &fact->fact.incident_timeline_entry_added.entry, arena);
}

void incident_apply_resolved(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                             struct arena *arena) {
    Incident *incident = updated(aggregate, now_ms);
    const IncidentResolved *resolved = &fact->fact.incident_resolved;
    incident->resolution = resolved->resolution;
    if (resolved->root_cause.size) incident->root_cause = resolved->root_cause;
    incident->has_resolved_at = true;
    incident->resolved_at = resolved->resolved_at;
    moved(incident, INCIDENT_STATUS_RESOLVED, fact, resolved->resolved_at, resolved->resolved_by, resolved->resolution,
          arena);
}

void incident_apply_closed(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                           struct arena *arena) {
    Incident *incident = updated(aggregate, now_ms);
    const IncidentClosed *closed = &fact->fact.incident_closed;
    incident->has_closed_at = true;
    incident->closed_at = closed->closed_at;
    moved(incident, INCIDENT_STATUS_CLOSED, fact, closed->closed_at, closed->closed_by, closed->reason, arena);
}

void incident_apply_acknowledged(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                 struct arena *arena) {
    Incident *incident = updated(aggregate, now_ms);
    const IncidentAcknowledged *acknowledged = &fact->fact.incident_acknowledged;
    incident->acknowledged_by = acknowledged->acknowledged_by;
    incident->has_acknowledged_at = true;
    incident->acknowledged_at = acknowledged->acknowledged_at;
    moved(incident, INCIDENT_STATUS_ACKNOWLEDGED, fact, acknowledged->acknowledged_at, acknowledged->acknowledged_by,
          acknowledged->note, arena);
}

void incident_apply_status(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                           struct arena *arena) {
    Incident *incident = updated(aggregate, now_ms);
    const IncidentStatusChanged *changed = &fact->fact.incident_status_changed;
    if (changed->to == INCIDENT_STATUS_MITIGATING) {
        incident->has_mitigated_at = true;
        incident->mitigated_at = changed->changed_at;
    }
    moved(incident, changed->to, fact, changed->changed_at, changed->changed_by, changed->reason, arena);
}
