/* SPDX-License-Identifier: Apache-2.0
 * Sentences about alerts. */
#include "tests/scenario/step.h"

#include "aggregator/domain/alert.h"

static const char *const alert_words[] = {"-", "firing", "resolved", "silenced", "acknowledged", NULL};

/* who, tenant, alert, "since" minute, "seen at" minute */
static bool alert_send(struct scenario *s, AlertStatus status) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_ingest_alert_tag};
    IngestAlertRequested *r = &intent.intent.ingest_alert;
    r->fingerprint = s->words[2];
    r->name = SLICE_LIT("HighErrorRate");
    r->source = ALERT_SOURCE_PROMETHEUS;
    r->status = status;
    r->has_starts_at = r->has_observed_at = true;
    r->starts_at = domain_time(step_minute_ms(s->words[3]));
    r->observed_at = domain_time(step_minute_ms(s->words[4]));
    r->has_ends_at = status == ALERT_STATUS_RESOLVED;
    if (r->has_ends_at) r->ends_at = r->observed_at;
    return step_send_as(s, &intent, s->words[0], s->words[1], ROLE_INTEGRATION);
}

static slice alert_id(struct scenario *s, slice fingerprint) {
    return alert_id_from(ALERT_SOURCE_PROMETHEUS, fingerprint, s->place->arena);
}

static bool alert_fires(struct scenario *s) {
    return alert_send(s, ALERT_STATUS_FIRING);
}

static bool alert_resolves(struct scenario *s) {
    return alert_send(s, ALERT_STATUS_RESOLVED);
}

static bool alert_acknowledge(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_acknowledge_alert_tag};
    intent.intent.acknowledge_alert.alert_id = alert_id(s, s->words[2]);
    return step_send(s, &intent);
}

static bool alert_expire(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_expire_alert_tag};
    intent.intent.expire_alert.alert_id = alert_id(s, s->words[2]);
    intent.intent.expire_alert.has_expires_at = true;
    intent.intent.expire_alert.expires_at = domain_time(step_minute_ms(s->words[3]));
    return step_send(s, &intent);
}

static bool alert_is(struct scenario *s) {
    Alert alert;
    return step_read(s, "alert", alert_id(s, s->words[0]), SLICE_LIT("acme"), &Alert_desc, &alert) &&
           step_state_is(s, alert.status, alert_words);
}

const struct step_row alert_steps[] = {
    {"{who} of {tenant} says alert {alert} fires since minute {m} , seen at minute {m}", alert_fires},
    {"{who} of {tenant} says alert {alert} of minute {m} is over , seen at minute {m}", alert_resolves},
    {"{who} of {tenant} acknowledges alert {alert}", alert_acknowledge},
    {"{who} of {tenant} says alert {alert} expired at minute {m}", alert_expire},
    {"alert {alert} is {status}", alert_is},
    {NULL, NULL},
};
