/* SPDX-License-Identifier: Apache-2.0
 * A request is partly a repeat when some of its alerts are tied already: only the others get facts. The incident's fact
 * names all that are new to it; each alert's fact names itself alone, so that a thousand alerts make a thousand short
 * facts and not a thousand lists. */
#include "aggregator/domain/correlation.h"

#include "aggregator/domain/incident_status.h"
#include "aggregator/domain/incident_timeline.h"

#include <stdio.h>

enum { NAMED_MAX = 8 };

static bool among(const slice *ids, size_t count, slice id) {
    for (size_t i = 0; i < count; i++)
        if (slice_equal(ids[i], id)) return true;
    return false;
}

/* The first of them, as far as the text holds. */
static void names_print(const slice *ids, size_t count, char *text, size_t text_size) {
    size_t used = 0, i = 0;
    text[0] = '\0';
    for (; i < count && i < NAMED_MAX && used + ids[i].size + sizeof " and 1000 more" < text_size; i++)
        used += (size_t)snprintf(text + used, text_size - used, "%s%.*s", i ? ", " : "", SLICE_ARG(ids[i]));
    if (i < count) snprintf(text + used, text_size - used, " and %zu more", count - i);
}

slice correlation_text(const slice *ids, size_t count, struct arena *arena) {
    char names[400];
    names_print(ids, count, names, sizeof names);
    return arena_format(arena, "%zu alert%s: %s", count, count == 1 ? "" : "s", names);
}

static fault_code free_of_others(const struct aggregate *alert, const struct domain_call *call, struct fault *reterr) {
    const slice other_id = alert->state.alert.incident_id;
    if (other_id.size == 0) return FAULT_NONE;
    const struct aggregate *other;
    const fault_code code = domain_find(call, AGGREGATE_INCIDENT, other_id, &other, reterr);
    if (code) return code;
    const IncidentStatus status = other->state.incident.status;
    if (!aggregate_exists(other) || status == INCIDENT_STATUS_CLOSED) return FAULT_NONE;
    return fault_set(reterr, FAULT_CONFLICT, "alert '%.*s' belongs to incident '%.*s', which is %s",
                     SLICE_ARG(alert->id), SLICE_ARG(other_id), incident_status_name(status));
}

/* Pointers are enough to see one twice: domain_find gives the same for the same id. */
static bool seen(const struct correlation *ties, const struct aggregate *alert) {
    for (size_t i = 0; i < ties->count; i++)
        if (ties->alerts[i] == alert) return true;
    return false;
}

fault_code correlation_find(const struct aggregate *incident, const slice *ids, size_t count, struct domain_call *call,
                            struct correlation *ret_ties, struct fault *reterr) {
    struct correlation ties = {.ids = arena_alloc_array(call->arena, count + 1, sizeof *ties.ids),
                               .alerts = arena_alloc_array(call->arena, count + 1, sizeof(struct aggregate *))};
    slice *unknown = arena_alloc_array(call->arena, count + 1, sizeof *unknown);
    if (!ties.ids || !ties.alerts || !unknown)
        return fault_set(reterr, FAULT_LIMIT, "no memory left to decide about %zu alerts in", count);
    const bool exists = aggregate_exists(incident);
    const slice *before = exists ? incident->state.incident.alert_ids.items : NULL;
    const size_t before_count = exists ? incident->state.incident.alert_ids.count : 0;
    size_t unknown_count = 0, members = before_count;
    for (size_t i = 0; i < count; i++) {
        const struct aggregate *alert;
        fault_code code = domain_find(call, AGGREGATE_ALERT, ids[i], &alert, reterr);
        if (code) return code;
        if (!aggregate_exists(alert)) {
            if (!among(unknown, unknown_count, ids[i])) unknown[unknown_count++] = ids[i];
            continue;
        }
        if (seen(&ties, alert) || slice_equal(alert->state.alert.incident_id, incident->id)) continue;
        code = free_of_others(alert, call, reterr);
        if (code) return code;
        members += !among(before, before_count, alert->id); /* one whose tie has ended may be listed still */
        ties.ids[ties.count] = alert->id;
        ties.alerts[ties.count++] = alert;
    }
    if (unknown_count) {
        char names[160];
        names_print(unknown, unknown_count, names, sizeof names);
        return fault_set(reterr, FAULT_ABSENT, "alert_ids: not one of these exists: %s", names);
    }
    if (members > CORRELATION_ALERTS_MAX)
        return fault_set(reterr, FAULT_CONFLICT, "incident '%.*s' would have %zu alerts, the most is %d",
                         SLICE_ARG(incident->id), members, CORRELATION_ALERTS_MAX);
    *ret_ties = ties;
    return FAULT_NONE;
}

void correlation_tell_alerts(const struct correlation *ties, slice incident_id, slice reason,
                             const struct domain_call *call, struct fact_list *facts) {
    for (size_t i = 0; i < ties->count; i++) {
        SreDomainFact *fact = fact_list_add_about(facts, SreDomainFact_alerts_correlated_tag, ties->alerts[i]);
        fact->fact.alerts_correlated = (AlertsCorrelatedToIncident){.alert_ids = {.items = &ties->ids[i], .count = 1},
                                                                    .incident_id = incident_id,
                                                                    .correlated_by = call->actor,
                                                                    .reason = reason};
    }
}

fault_code correlation_decide(const struct aggregate *aggregate, const SreDomainIntent *intent,
                              struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const CorrelateAlertsToIncidentRequested *request = &intent->intent.correlate_alerts;
    if (!aggregate_exists(aggregate))
        return fault_set(reterr, FAULT_ABSENT, "incident '%.*s' does not exist", SLICE_ARG(aggregate->id));
    if (aggregate->state.incident.status == INCIDENT_STATUS_CLOSED)
        return fault_set(reterr, FAULT_CONFLICT, "incident '%.*s' is closed: it gets no more alerts",
                         SLICE_ARG(aggregate->id));
    struct correlation ties;
    const fault_code code =
        correlation_find(aggregate, request->alert_ids.items, request->alert_ids.count, call, &ties, reterr);
    if (code || ties.count == 0) return code;
    if (fact_list_reserve(ret_facts, 1 + ties.count, call->arena, reterr)) return FAULT_LIMIT;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_alerts_correlated_tag);
    fact->fact.alerts_correlated = (AlertsCorrelatedToIncident){.alert_ids = {.items = ties.ids, .count = ties.count},
                                                                .incident_id = aggregate->id,
                                                                .correlated_by = call->actor,
                                                                .reason = request->reason};
    correlation_tell_alerts(&ties, aggregate->id, request->reason, call, ret_facts);
    return FAULT_NONE;
}

void correlation_apply_incident(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                                struct arena *arena) {
    const AlertsCorrelatedToIncident *correlated = &fact->fact.alerts_correlated;
    Incident *incident = &aggregate->state.incident;
    const size_t before = incident->alert_ids.count, more = correlated->alert_ids.count;
    slice *ids = arena_alloc_array(arena, before + more + 1, sizeof *ids);
    if (!ids) return; /* the facts hold it; decisions are made in arenas far larger than the longest list */
    if (before) memcpy(ids, incident->alert_ids.items, before * sizeof *ids);
    size_t count = before;
    for (size_t i = 0; i < more; i++)
        if (!among(incident->alert_ids.items, before, correlated->alert_ids.items[i]))
            ids[count++] = correlated->alert_ids.items[i];
    incident->alert_ids.items = ids;
    incident->alert_ids.count = count;
    incident->has_updated_at = true;
    incident->updated_at = domain_time(now_ms);
    incident_timeline_tell(incident, fact, TIMELINE_ENTRY_KIND_ALERT, now_ms, correlated->correlated_by,
                           correlation_text(correlated->alert_ids.items, more, arena), correlated->reason, arena);
}

void correlation_apply_alert(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms,
                             struct arena *arena) {
    aggregate->state.alert.incident_id = fact->fact.alerts_correlated.incident_id;
}
