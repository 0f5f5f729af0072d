/* SPDX-License-Identifier: Apache-2.0
 * Sentences about health checks. */
#include "tests/scenario/step.h"

static const char *const health_words[] = {"-", "healthy", "degraded", "unhealthy", "unknown", NULL};

static bool report(struct scenario *s, int64_t expires_ms) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_record_health_check_tag};
    RecordHealthCheckRequested *r = &intent.intent.record_health_check;
    r->healthcheck_id = s->words[2];
    r->has_resource_ref = true;
    r->resource_ref.type = SLICE_LIT("node");
    r->resource_ref.id = s->words[2];
    r->has_timestamp = true;
    r->timestamp = domain_time(step_minute_ms(s->words[4]));
    r->status = (HealthStatus)step_choice(s->words[3], health_words);
    r->source = HEALTH_SOURCE_PROBE;
    r->has_expires_at = expires_ms != 0;
    r->expires_at = domain_time(expires_ms);
    return step_send_as(s, &intent, s->words[0], s->words[1], ROLE_AGENT);
}

static bool check_report(struct scenario *s) {
    return report(s, 0);
}

static bool check_report_until(struct scenario *s) {
    return report(s, step_minute_ms(s->words[5]));
}

static bool check_until(struct scenario *s) {
    HealthCheck check;
    if (!step_read(s, "health_check", s->words[0], SLICE_LIT("acme"), &HealthCheck_desc, &check)) return false;
    const int64_t until_ms = domain_ms(check.expires_at);
    return (check.has_expires_at && until_ms == step_minute_ms(s->words[1])) ||
           step_fails(s, "it says something until %lld ms", (long long)until_ms);
}

static bool check_is(struct scenario *s) {
    HealthCheck check;
    return step_read(s, "health_check", s->words[0], SLICE_LIT("acme"), &HealthCheck_desc, &check) &&
           step_state_is(s, check.status, health_words);
}

const struct step_row health_check_steps[] = {
    {"agent {agent} of {tenant} sees {check} {status} at minute {m}", check_report},
    {"agent {agent} of {tenant} sees {check} {status} at minute {m} , until minute {m}", check_report_until},
    {"check {check} is {status}", check_is},
    {"check {check} says something until minute {m}", check_until},
    {NULL, NULL},
};
