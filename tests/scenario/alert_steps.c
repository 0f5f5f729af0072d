/* SPDX-License-Identifier: Apache-2.0
 * Sentences about alerts. */
#include "tests/scenario/step.h"

#include "aggregator/domain/alert.h"

static const char *const alert_words[] = {"-", "firing", "resolved", "silenced", "acknowledged", NULL};

/* who, tenant, alert, "since" minute; ends: empty for none */
static void alert_fill(struct scenario *s, AlertStatus status, slice ends, slice seen, SreDomainIntent *intent) {
    IngestAlertRequested *r = &intent->intent.ingest_alert;
    intent->which_intent = SreDomainIntent_ingest_alert_tag;
    r->fingerprint = s->words[2];
    r->name = SLICE_LIT("HighErrorRate");
    r->source = ALERT_SOURCE_PROMETHEUS;
    r->status = status;
    r->has_starts_at = r->has_observed_at = true;
    r->starts_at = domain_time(step_minute_ms(s->words[3]));
    r->observed_at = domain_time(step_minute_ms(seen));
    r->has_ends_at = ends.size;
    if (r->has_ends_at) r->ends_at = domain_time(step_minute_ms(ends));
}

static bool alert_send_until(struct scenario *s, AlertStatus status, slice ends, slice seen) {
    SreDomainIntent intent = {0};
    alert_fill(s, status, ends, seen, &intent);
    return step_send_as(s, &intent, s->words[0], s->words[1], ROLE_INTEGRATION);
}

slice alert_steps_id(struct scenario *s, slice fingerprint) {
    return alert_id_from(ALERT_SOURCE_PROMETHEUS, fingerprint, s->place->arena);
}

static bool alert_fires(struct scenario *s) {
    return alert_send_until(s, ALERT_STATUS_FIRING, (slice){0}, s->words[4]);
}

/* the same, "and ends in" minute */
static bool alert_fires_until(struct scenario *s) {
    return alert_send_until(s, ALERT_STATUS_FIRING, s->words[5], s->words[4]);
}

/* the same, "unless said again by" minute */
static bool alert_fires_unless(struct scenario *s) {
    SreDomainIntent intent = {0};
    alert_fill(s, ALERT_STATUS_FIRING, (slice){0}, s->words[4], &intent);
    intent.intent.ingest_alert.has_expires_at = true;
    intent.intent.ingest_alert.expires_at = domain_time(step_minute_ms(s->words[5]));
    return step_send_as(s, &intent, s->words[0], s->words[1], ROLE_INTEGRATION);
}

/* who, tenant, first, last, minute */
static bool alerts_fire(struct scenario *s) {
    const slice first = s->words[2], last = s->words[3], minute = s->words[4];
    for (int n = (int)step_number(slice_from(first, 1)); n <= (int)step_number(slice_from(last, 1)); n++) {
        s->words[2] = arena_format(s->place->arena, "f%d", n);
        s->words[3] = s->words[4] = minute;
        if (!alert_fires(s)) return false;
    }
    return true;
}

static bool alert_resolves(struct scenario *s) {
    return alert_send_until(s, ALERT_STATUS_RESOLVED, s->words[4], s->words[4]);
}

/* the same, with "ends in" minute before "seen at" minute */
static bool alert_ends(struct scenario *s) {
    return alert_send_until(s, ALERT_STATUS_RESOLVED, s->words[4], s->words[5]);
}

static bool alert_acknowledge(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_acknowledge_alert_tag};
    intent.intent.acknowledge_alert.alert_id = alert_steps_id(s, s->words[2]);
    return step_send(s, &intent);
}

static bool alert_expire(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_expire_alert_tag};
    intent.intent.expire_alert.alert_id = alert_steps_id(s, s->words[2]);
    intent.intent.expire_alert.has_expires_at = true;
    intent.intent.expire_alert.expires_at = domain_time(step_minute_ms(s->words[3]));
    return step_send(s, &intent);
}

static bool alert_silence(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_silence_alert_tag};
    intent.intent.silence_alert = (SilenceAlertRequested){.alert_id = alert_steps_id(s, s->words[2]),
                                                          .has_until = true,
                                                          .until = domain_time(step_minute_ms(s->words[3])),
                                                          .reason = s->words[4]};
    return step_send(s, &intent);
}

static bool alert_unsilence(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_unsilence_alert_tag};
    intent.intent.unsilence_alert.alert_id = alert_steps_id(s, s->words[2]);
    return step_send(s, &intent);
}

static bool alert_read(struct scenario *s, Alert *alert) {
    return step_read(s, "alert", alert_steps_id(s, s->words[0]), SLICE_LIT("acme"), &Alert_desc, alert);
}

static bool alert_incident(struct scenario *s) {
    Alert alert;
    if (!alert_read(s, &alert)) return false;
    return slice_equal(alert.incident_id, s->words[1]) ||
           step_fails(s, "it belongs to '%.*s'", SLICE_ARG(alert.incident_id));
}

static bool alert_no_incident(struct scenario *s) {
    s->words[1] = (slice){0};
    return alert_incident(s);
}

static bool alert_silenced_until(struct scenario *s) {
    Alert alert;
    if (!alert_read(s, &alert)) return false;
    if (alert.has_silenced_until && domain_ms(alert.silenced_until) == step_minute_ms(s->words[1])) return true;
    return step_fails(s, alert.has_silenced_until ? "it is silenced until another time" : "it has no silence");
}

static bool alert_no_silence(struct scenario *s) {
    Alert alert;
    return alert_read(s, &alert) && (!alert.has_silenced_until || step_fails(s, "it has one"));
}

static bool alert_version(struct scenario *s) {
    Alert alert;
    if (!alert_read(s, &alert)) return false;
    return alert.version == (int64_t)step_number(s->words[1]) || step_fails(s, "it is %lld", (long long)alert.version);
}

static bool alert_is(struct scenario *s) {
    Alert alert;
    return step_read(s, "alert", alert_steps_id(s, s->words[0]), SLICE_LIT("acme"), &Alert_desc, &alert) &&
           step_state_is(s, alert.status, alert_words);
}

const struct step_row alert_steps[] = {
    {"{who} of {tenant} says alert {alert} fires since minute {m} , seen at minute {m}", alert_fires},
    {"{who} of {tenant} says alert {alert} fires since minute {m} , seen at minute {m} , and ends in minute {m}",
     alert_fires_until},
    {"{who} of {tenant} says alert {alert} fires since minute {m} , seen at minute {m} , unless said again by minute "
     "{m}",
     alert_fires_unless},
    {"{who} of {tenant} says alerts {first} to {last} fire since minute {m}", alerts_fire},
    {"{who} of {tenant} says alert {alert} of minute {m} is over , seen at minute {m}", alert_resolves},
    {"{who} of {tenant} says alert {alert} of minute {m} ends in minute {m} , seen at minute {m}", alert_ends},
    {"{who} of {tenant} acknowledges alert {alert}", alert_acknowledge},
    {"{who} of {tenant} says alert {alert} expired at minute {m}", alert_expire},
    {"{who} of {tenant} silences alert {alert} until minute {m} because {reason}", alert_silence},
    {"{who} of {tenant} lets alert {alert} sound again", alert_unsilence},
    {"alert {alert} is {status}", alert_is},
    {"alert {alert} is at version {n}", alert_version},
    {"alert {alert} belongs to incident {id}", alert_incident},
    {"alert {alert} belongs to no incident", alert_no_incident},
    {"alert {alert} has a silence until minute {m}", alert_silenced_until},
    {"alert {alert} has no silence", alert_no_silence},
    {NULL, NULL},
};
