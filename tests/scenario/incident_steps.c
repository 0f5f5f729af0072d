/* SPDX-License-Identifier: Apache-2.0
 * Sentences about incidents. */
#include "tests/scenario/step.h"

static const char *const incident_words[] = {"-",          "open",     "acknowledged", "investigating",
                                             "mitigating", "resolved", "closed",       NULL};
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
    {"{who} of {tenant} moves incident {id} to {status}", incident_move},
    {"{who} of {tenant} acknowledges incident {id}", incident_acknowledge},
    {"{who} of {tenant} resolves incident {id} by {what}", incident_resolve},
    {"{who} of {tenant} closes incident {id}", incident_close},
    {"{who} of {tenant} gives incident {id} to {whom}", incident_assign},
    {"{who} of {tenant} gives incident {id} severity {severity}", incident_reclassify},
    {"{who} of {tenant} notes {text} on incident {id}", incident_note},
    {"incident {id} is {status}", incident_is},
    {"incident {id} is at version {n}", incident_version},
    {"incident {id} does not exist for {tenant}", incident_absent},
    {NULL, NULL},
};
