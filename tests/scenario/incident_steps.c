/* SPDX-License-Identifier: Apache-2.0
 * Sentences about incidents. */
#include "tests/scenario/step.h"

static const char *const incident_words[] = {"-",          "open",     "acknowledged", "investigating",
                                             "mitigating", "resolved", "closed",       NULL};
static const char *const entry_words[] = {"-",     "note",   "status",  "severity", "assignment",
                                          "alert", "action", "finding", NULL};
static const char *const severity_words[] = {"-", "critical", "high", "medium", "low", NULL};

static bool incident_open(struct scenario *s) {
    char id[129];
    slice_to_text(s->words[2], id, sizeof id);
    SreDomainIntent intent = place_incident_intent(id);
    intent.intent.create_incident.severity = (Severity)step_choice(s->words[3], severity_words);
    return step_send(s, &intent);
}

static bool incident_open_untitled(struct scenario *s) {
    SreDomainIntent intent = place_incident_intent("x");
    intent.intent.create_incident.incident_id = s->words[2];
    intent.intent.create_incident.title = (slice){0};
    return step_send(s, &intent);
}

static bool agent_opens(struct scenario *s) {
    SreDomainIntent intent = place_incident_intent("by-an-agent");
    return step_send_as(s, &intent, s->words[0], s->words[1], ROLE_AGENT);
}

enum { ALERTS_MAX = 1100 };

/* "f1 f2", or "f1 to f1001". */
static size_t alert_ids(struct scenario *s, slice words, slice ids[ALERTS_MAX]) {
    slice word;
    size_t count = 0;
    while (count < ALERTS_MAX && step_item(&words, &word)) {
        if (!slice_equal_text(word, "to")) {
            ids[count++] = alert_steps_id(s, word);
            continue;
        }
        if (!step_item(&words, &word)) break;
        const int last = (int)step_number(slice_from(word, 1));
        for (int n = (int)count + 1; n <= last && count < ALERTS_MAX; n++)
            ids[count++] = alert_steps_id(s, arena_format(s->place->arena, "f%d", n));
    }
    return count;
}

static bool incident_open_for(struct scenario *s) {
    char id[129];
    slice ids[ALERTS_MAX];
    slice_to_text(s->words[2], id, sizeof id);
    SreDomainIntent intent = place_incident_intent(id);
    intent.intent.create_incident.alert_ids.items = ids;
    intent.intent.create_incident.alert_ids.count = alert_ids(s, s->words[3], ids);
    return step_send(s, &intent);
}

static bool incident_correlate(struct scenario *s) {
    slice ids[ALERTS_MAX];
    SreDomainIntent intent = {.which_intent = SreDomainIntent_correlate_alerts_tag};
    intent.intent.correlate_alerts.incident_id = s->words[3];
    intent.intent.correlate_alerts.alert_ids.items = ids;
    intent.intent.correlate_alerts.alert_ids.count = alert_ids(s, s->words[2], ids);
    return step_send(s, &intent);
}

static bool incident_move_because(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_transition_incident_status_tag};
    intent.intent.transition_incident_status.incident_id = s->words[2];
    intent.intent.transition_incident_status.status = (IncidentStatus)step_choice(s->words[3], incident_words);
    intent.intent.transition_incident_status.reason = s->words[4];
    return step_send(s, &intent);
}

static bool incident_move(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_transition_incident_status_tag};
    intent.intent.transition_incident_status.incident_id = s->words[2];
    intent.intent.transition_incident_status.status = (IncidentStatus)step_choice(s->words[3], incident_words);
    return step_send(s, &intent);
}

static bool incident_acknowledge(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_acknowledge_incident_tag};
    intent.intent.acknowledge_incident.incident_id = s->words[2];
    return step_send(s, &intent);
}

static bool incident_resolve(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_resolve_incident_tag};
    intent.intent.resolve_incident.incident_id = s->words[2];
    intent.intent.resolve_incident.resolution = s->words[3];
    return step_send(s, &intent);
}

static bool incident_close(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_close_incident_tag};
    intent.intent.close_incident.incident_id = s->words[2];
    return step_send(s, &intent);
}

static bool incident_assign(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_assign_incident_tag};
    intent.intent.assign_incident.incident_id = s->words[2];
    intent.intent.assign_incident.assigned_to = s->words[3];
    return step_send(s, &intent);
}

static bool incident_reclassify(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_reclassify_incident_severity_tag};
    intent.intent.reclassify_incident_severity.incident_id = s->words[2];
    intent.intent.reclassify_incident_severity.severity = (Severity)step_choice(s->words[3], severity_words);
    return step_send(s, &intent);
}

static bool incident_note(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_add_timeline_entry_tag};
    intent.intent.add_timeline_entry.incident_id = s->words[3];
    intent.intent.add_timeline_entry.text = s->words[2];
    return step_send(s, &intent);
}

static bool incident_note_of(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_add_timeline_entry_tag};
    intent.intent.add_timeline_entry.incident_id = s->words[3];
    intent.intent.add_timeline_entry.text = s->words[2];
    intent.intent.add_timeline_entry.entry_id = s->words[4];
    intent.intent.add_timeline_entry.has_at = true;
    intent.intent.add_timeline_entry.at = domain_time(step_minute_ms(s->words[5]));
    return step_send(s, &intent);
}

static bool incident_entry_kind(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_add_timeline_entry_tag};
    intent.intent.add_timeline_entry.kind = (TimelineEntryKind)step_choice(s->words[2], entry_words);
    intent.intent.add_timeline_entry.incident_id = s->words[4];
    intent.intent.add_timeline_entry.text = s->words[3];
    return step_send(s, &intent);
}

/* ---- what must be so ---- */

static bool incident_read(struct scenario *s, slice id, Incident *incident) {
    return step_read(s, "incident", id, SLICE_LIT("acme"), &Incident_desc, incident);
}

static bool incident_line(struct scenario *s) {
    Incident incident;
    if (!incident_read(s, s->words[1], &incident)) return false;
    const double line = step_number(s->words[0]);
    if (line < 1 || line > (double)incident.timeline.count)
        return step_fails(s, "it has %zu lines", incident.timeline.count);
    const TimelineEntry *entry = &incident.timeline.items[(size_t)line - 1];
    if (slice_equal(entry->author, s->words[2]) && slice_equal(entry->text, s->words[3])) return true;
    return step_fails(s, "it says, by %.*s: %.*s", SLICE_ARG(entry->author), SLICE_ARG(entry->text));
}

static bool incident_lines(struct scenario *s) {
    Incident incident;
    if (!incident_read(s, s->words[0], &incident)) return false;
    return incident.timeline.count == (size_t)step_number(s->words[1]) ||
           step_fails(s, "it has %zu", incident.timeline.count);
}

static bool incident_alerts(struct scenario *s) {
    Incident incident;
    if (!incident_read(s, s->words[0], &incident)) return false;
    return incident.alert_ids.count == (size_t)step_number(s->words[1]) ||
           step_fails(s, "it has %zu", incident.alert_ids.count);
}

static bool incident_with(struct scenario *s) {
    Incident incident;
    if (!incident_read(s, s->words[0], &incident)) return false;
    return slice_equal(incident.assigned_to, s->words[1]) ||
           step_fails(s, "it is with '%.*s'", SLICE_ARG(incident.assigned_to));
}

static bool incident_severity(struct scenario *s) {
    Incident incident;
    return incident_read(s, s->words[0], &incident) && step_state_is(s, incident.severity, severity_words);
}

static bool incident_is(struct scenario *s) {
    Incident incident;
    return step_read(s, "incident", s->words[0], SLICE_LIT("acme"), &Incident_desc, &incident) &&
           step_state_is(s, incident.status, incident_words);
}

static bool incident_version(struct scenario *s) {
    Incident incident;
    if (!step_read(s, "incident", s->words[0], SLICE_LIT("acme"), &Incident_desc, &incident)) return false;
    return incident.version == (int64_t)step_number(s->words[1]) ||
           step_fails(s, "it is %lld", (long long)incident.version);
}

static bool incident_absent(struct scenario *s) {
    Incident incident;
    if (!step_read(s, "incident", s->words[0], s->words[1], &Incident_desc, &incident)) return true;
    return step_fails(s, "it does");
}

const struct step_row incident_steps[] = {
    {"{who} of {tenant} opens incident {id} with severity {severity}", incident_open},
    {"{who} of {tenant} opens incident {id} without a title", incident_open_untitled},
    {"agent {agent} of {tenant} opens an incident", agent_opens},
    {"{who} of {tenant} opens incident {id} for alerts {alerts}", incident_open_for},
    {"{who} of {tenant} adds alerts {alerts} to incident {id}", incident_correlate},
    {"{who} of {tenant} moves incident {id} to {status}", incident_move},
    {"{who} of {tenant} moves incident {id} to {status} because {reason}", incident_move_because},
    {"{who} of {tenant} acknowledges incident {id}", incident_acknowledge},
    {"{who} of {tenant} resolves incident {id} by {what}", incident_resolve},
    {"{who} of {tenant} closes incident {id}", incident_close},
    {"{who} of {tenant} gives incident {id} to {whom}", incident_assign},
    {"{who} of {tenant} gives incident {id} severity {severity}", incident_reclassify},
    {"{who} of {tenant} notes {text} on incident {id}", incident_note},
    {"{who} of {tenant} notes {text} on incident {id} as entry {entry} of minute {m}", incident_note_of},
    {"{who} of {tenant} writes {kind} {text} on incident {id}", incident_entry_kind},
    {"incident {id} is {status}", incident_is},
    {"incident {id} has severity {severity}", incident_severity},
    {"incident {id} is with {whom}", incident_with},
    {"incident {id} has {n} alerts", incident_alerts},
    {"the timeline of incident {id} has {n} lines", incident_lines},
    {"line {n} of the timeline of incident {id} is by {whom} and says {text}", incident_line},
    {"incident {id} is at version {n}", incident_version},
    {"incident {id} does not exist for {tenant}", incident_absent},
    {NULL, NULL},
};
