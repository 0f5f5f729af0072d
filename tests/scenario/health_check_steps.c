/* SPDX-License-Identifier: Apache-2.0
 * Sentences about health checks. */
#include "tests/scenario/step.h"

static const char *const health_words[] = {"-", "healthy", "degraded", "unhealthy", "unknown", NULL};

static bool check_report(struct scenario *s) {
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
    return step_send_as(s, &intent, s->words[0], s->words[1], ROLE_AGENT);
}

static bool check_is(struct scenario *s) {
    HealthCheck check;
    return step_read(s, "health_check", s->words[0], SLICE_LIT("acme"), &HealthCheck_desc, &check) &&
           step_state_is(s, check.status, health_words);
}

const struct step_row health_check_steps[] = {
    {"agent {agent} of {tenant} sees {check} {status} at minute {m}", check_report},
    {"check {check} is {status}", check_is},
    {NULL, NULL},
};
