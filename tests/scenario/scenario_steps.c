/* SPDX-License-Identifier: Apache-2.0
 * A sentence is a row: a pattern whose words in braces are what it is about, and a function that gets these words. What
 * is done goes through a real journal, as the API or an agent's batch would send it. Minutes count from 08:00. */
#include "tests/scenario/scenario_steps.h"

#include <stdio.h>
#include <stdlib.h>

#include "aggregator/domain/alert.h"
#include "tests/unit/aggregator/journal/journal_fixture.h"

struct scenario {
    struct place *place;
    bool given;
    slice words[STEP_WORDS_MAX];
    /* how the next intent is sent */
    uint64_t expected_version;
    slice idempotency_key, message_id, claimed_tenant;
    /* what became of the last one */
    struct journal_outcome outcome;
    uint64_t facts_before;
    char *why;
    size_t why_size;
};

struct scenario *scenario_new(void) {
    struct scenario *s = calloc(1, sizeof *s);
    if (!s) abort();
    s->place = place_opened();
    return s;
}

struct scenario *scenario_free(struct scenario *s) {
    place_free(s->place);
    free(s);
    return NULL;
}

/* ---- words ---- */

static bool fails(struct scenario *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fails(struct scenario *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(s->why, s->why_size, format, args);
    va_end(args);
    return false;
}

static double number(slice word) {
    char text[32];
    return slice_to_text(word, text, sizeof text) ? strtod(text, NULL) : -1;
}

static int64_t minute_ms(slice word) {
    return JOURNAL_NOW_MS + (int64_t)number(word) * 60000;
}

static int choice(slice word, const char *const *words) {
    for (int i = 0; words[i]; i++)
        if (slice_equal_text(word, words[i])) return i;
    return -1;
}

static const char *const incident_words[] = {"-",          "open",     "acknowledged", "investigating",
                                             "mitigating", "resolved", "closed",       NULL};
static const char *const alert_words[] = {"-", "firing", "resolved", "silenced", "acknowledged", NULL};
static const char *const health_words[] = {"-", "healthy", "degraded", "unhealthy", "unknown", NULL};
static const char *const severity_words[] = {"-", "critical", "high", "medium", "low", NULL};

/* ---- sending ---- */

static bool send_as(struct scenario *s, SreDomainIntent *intent, slice who, slice tenant, enum method_role role) {
    if (s->message_id.size || s->claimed_tenant.size) intent->has_meta = true;
    intent->meta.message_id = s->message_id;
    intent->meta.tenant_id = s->claimed_tenant;
    s->facts_before = journal_last_sequence(s->place->journal);
    s->outcome =
        *place_command(s->place, (struct journal_command){.caller = {.tenant = arena_copy(s->place->arena, tenant),
                                                                     .actor = arena_copy(s->place->arena, who),
                                                                     .role = role},
                                                          .intent = place_intent(s->place, intent),
                                                          .expected_version = s->expected_version,
                                                          .idempotency_key = s->idempotency_key});
    s->expected_version = 0;
    s->idempotency_key = s->message_id = s->claimed_tenant = (slice){0};
    const bool taken = s->outcome.result == JOURNAL_COMMITTED || s->outcome.result == JOURNAL_REPEATED;
    if (s->given && !taken) return fails(s, "it is not accepted: %s", s->outcome.fault.text);
    return true;
}

static bool send(struct scenario *s, SreDomainIntent *intent) {
    return send_as(s, intent, s->words[0], s->words[1], ROLE_RESPONDER);
}

static bool slo_create(struct scenario *s) {
    char id[129];
    slice_to_text(s->words[2], id, sizeof id);
    SreDomainIntent intent = place_slo_intent(id);
    const int days = (int)number(s->words[4]);
    intent.intent.create_slo.target = number(s->words[3]);
    intent.intent.create_slo.window = days == 7    ? SLO_WINDOW_7D
                                      : days == 28 ? SLO_WINDOW_28D
                                      : days == 30 ? SLO_WINDOW_30D
                                                   : 0;
    return send(s, &intent);
}

static bool slo_update(struct scenario *s) {
    char id[129];
    slice_to_text(s->words[2], id, sizeof id);
    const SreDomainIntent created = place_slo_intent(id);
    SreDomainIntent intent = {.which_intent = SreDomainIntent_update_slo_tag};
    intent.intent.update_slo = (UpdateSLORequested){.slo_id = s->words[2],
                                                    .name = SLICE_LIT("Changed"),
                                                    .target = number(s->words[3]),
                                                    .window = SLO_WINDOW_7D,
                                                    .has_sli_spec = true,
                                                    .sli_spec = created.intent.create_slo.sli_spec};
    return send(s, &intent);
}

/* agent, tenant, slo, minute, good, total, revision */
static bool window_report(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_record_sli_window_tag};
    intent.intent.record_sli_window = (RecordSLIWindowRequested){.slo_id = s->words[2],
                                                                 .has_window_start = true,
                                                                 .window_start = domain_time(minute_ms(s->words[3])),
                                                                 .window_seconds = 60,
                                                                 .good = (int64_t)number(s->words[4]),
                                                                 .total = (int64_t)number(s->words[5]),
                                                                 .scrapes_expected = 4,
                                                                 .scrapes_seen = 4,
                                                                 .revision = (int64_t)number(s->words[6])};
    return send_as(s, &intent, s->words[0], s->words[1], ROLE_AGENT);
}

static bool check_report(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_record_health_check_tag};
    RecordHealthCheckRequested *r = &intent.intent.record_health_check;
    r->healthcheck_id = s->words[2];
    r->has_resource_ref = true;
    r->resource_ref.type = SLICE_LIT("node");
    r->resource_ref.id = s->words[2];
    r->has_timestamp = true;
    r->timestamp = domain_time(minute_ms(s->words[4]));
    r->status = (HealthStatus)choice(s->words[3], health_words);
    r->source = HEALTH_SOURCE_PROBE;
    return send_as(s, &intent, s->words[0], s->words[1], ROLE_AGENT);
}

/* who, tenant, alert, "since" minute, "seen at" minute */
static bool alert_send(struct scenario *s, AlertStatus status) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_ingest_alert_tag};
    IngestAlertRequested *r = &intent.intent.ingest_alert;
    r->fingerprint = s->words[2];
    r->name = SLICE_LIT("HighErrorRate");
    r->source = ALERT_SOURCE_PROMETHEUS;
    r->status = status;
    r->has_starts_at = r->has_observed_at = true;
    r->starts_at = domain_time(minute_ms(s->words[3]));
    r->observed_at = domain_time(minute_ms(s->words[4]));
    r->has_ends_at = status == ALERT_STATUS_RESOLVED;
    if (r->has_ends_at) r->ends_at = r->observed_at;
    return send_as(s, &intent, s->words[0], s->words[1], ROLE_INTEGRATION);
}

static bool alert_fires(struct scenario *s) {
    return alert_send(s, ALERT_STATUS_FIRING);
}

static bool alert_resolves(struct scenario *s) {
    return alert_send(s, ALERT_STATUS_RESOLVED);
}

static slice alert_id(struct scenario *s, slice fingerprint) {
    return alert_id_from(ALERT_SOURCE_PROMETHEUS, fingerprint, s->place->arena);
}

static bool alert_acknowledge(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_acknowledge_alert_tag};
    intent.intent.acknowledge_alert.alert_id = alert_id(s, s->words[2]);
    return send(s, &intent);
}

static bool alert_expire(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_expire_alert_tag};
    intent.intent.expire_alert.alert_id = alert_id(s, s->words[2]);
    intent.intent.expire_alert.has_expires_at = true;
    intent.intent.expire_alert.expires_at = domain_time(minute_ms(s->words[3]));
    return send(s, &intent);
}

static bool incident_open(struct scenario *s) {
    char id[129];
    slice_to_text(s->words[2], id, sizeof id);
    SreDomainIntent intent = place_incident_intent(id);
    intent.intent.create_incident.severity = (Severity)choice(s->words[3], severity_words);
    return send(s, &intent);
}

static bool incident_open_untitled(struct scenario *s) {
    SreDomainIntent intent = place_incident_intent("x");
    intent.intent.create_incident.incident_id = s->words[2];
    intent.intent.create_incident.title = (slice){0};
    return send(s, &intent);
}

static bool incident_move(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_transition_incident_status_tag};
    intent.intent.transition_incident_status.incident_id = s->words[2];
    intent.intent.transition_incident_status.status = (IncidentStatus)choice(s->words[3], incident_words);
    return send(s, &intent);
}

static bool incident_resolve(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_resolve_incident_tag};
    intent.intent.resolve_incident.incident_id = s->words[2];
    intent.intent.resolve_incident.resolution = s->words[3];
    return send(s, &intent);
}

static bool incident_close(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_close_incident_tag};
    intent.intent.close_incident.incident_id = s->words[2];
    return send(s, &intent);
}

static bool incident_acknowledge(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_acknowledge_incident_tag};
    intent.intent.acknowledge_incident.incident_id = s->words[2];
    return send(s, &intent);
}

static bool incident_assign(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_assign_incident_tag};
    intent.intent.assign_incident.incident_id = s->words[2];
    intent.intent.assign_incident.assigned_to = s->words[3];
    return send(s, &intent);
}

static bool incident_reclassify(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_reclassify_incident_severity_tag};
    intent.intent.reclassify_incident_severity.incident_id = s->words[2];
    intent.intent.reclassify_incident_severity.severity = (Severity)choice(s->words[3], severity_words);
    return send(s, &intent);
}

static bool incident_note(struct scenario *s) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_add_timeline_entry_tag};
    intent.intent.add_timeline_entry.incident_id = s->words[3];
    intent.intent.add_timeline_entry.text = s->words[2];
    return send(s, &intent);
}

static bool agent_opens(struct scenario *s) {
    SreDomainIntent intent = place_incident_intent("by-an-agent");
    return send_as(s, &intent, s->words[0], s->words[1], ROLE_AGENT);
}

/* ---- how the next one is sent ---- */

static bool next_version(struct scenario *s) {
    s->expected_version = (uint64_t)number(s->words[0]);
    return true;
}

static bool next_key(struct scenario *s) {
    s->idempotency_key = arena_copy(s->place->arena, s->words[0]);
    return true;
}

static bool next_message(struct scenario *s) {
    s->message_id = arena_format(s->place->arena, "0190a5c0-7e1f-7000-8000-%012d", (int)number(s->words[0]));
    return true;
}

static bool next_tenant(struct scenario *s) {
    s->claimed_tenant = arena_copy(s->place->arena, s->words[0]);
    return true;
}

static bool time_is(struct scenario *s) {
    s->place->now_ms = minute_ms(s->words[0]);
    return true;
}

static bool restart(struct scenario *s) {
    place_reopen(s->place);
    return true;
}

/* ---- what must be so ---- */

static const char *const result_words[] = {"accepted", "a repeat", "refused", "failed"};

static bool result_is(struct scenario *s, enum journal_result result) {
    if (s->outcome.result == result) return true;
    return fails(s, "it is %s: %s", result_words[s->outcome.result], s->outcome.fault.text);
}

static bool accepted(struct scenario *s) {
    return result_is(s, JOURNAL_COMMITTED);
}

static bool repeated(struct scenario *s) {
    if (!result_is(s, JOURNAL_REPEATED)) return false;
    if (journal_last_sequence(s->place->journal) == s->facts_before) return true;
    return fails(s, "it made facts");
}

static bool refused(struct scenario *s) {
    char expected[400];
    if (!result_is(s, JOURNAL_REFUSED)) return false;
    if (journal_last_sequence(s->place->journal) != s->facts_before) return fails(s, "it made facts");
    slice_to_text(s->words[0], expected, sizeof expected);
    if (!strstr(s->outcome.fault.text, expected)) return fails(s, "the reason is: %s", s->outcome.fault.text);
    struct journal_rejection *items;
    for (const char *const *tenant = (const char *const[]){"acme", "other", NULL}; *tenant; tenant++)
        if (place_rejections(s->place, *tenant, &items) && slice_equal_text(items[0].reason, s->outcome.fault.text))
            return true;
    return fails(s, "it is not in the list of what was refused");
}

static bool facts_made(struct scenario *s) {
    size_t count;
    char said[300] = "";
    const struct fact_view *facts = place_facts(s->place, &count);
    for (size_t i = s->facts_before; i < count; i++) {
        const char *name = fact_name(facts[i].fact_number);
        snprintf(said + strlen(said), sizeof said - strlen(said), "%s%s", said[0] ? " " : "", name ? name : "?");
    }
    if (slice_equal_text(s->words[0], said)) return true;
    return fails(s, "what happened is: %s", said);
}

/* Reads words[0] of tenant words[1]; false when it is not there. */
static bool read_one(struct scenario *s, const char *type, slice id, slice tenant, const struct message_desc *desc,
                     void *ret_message) {
    struct fault fault = {0};
    slice bytes;
    if (journal_get(s->place->journal, tenant, slice_from_text(type), id, s->place->arena, &bytes, &fault) ||
        codec_decode_protobuf(desc, bytes, s->place->arena, ret_message, &fault))
        return fails(s, "%s", fault.text);
    return true;
}

static bool slo_read(struct scenario *s, SLO *slo) {
    return read_one(s, "slo", s->words[0], SLICE_LIT("acme"), &SLO_desc, slo);
}

static bool slo_counts(struct scenario *s) {
    SLO slo;
    if (!slo_read(s, &slo)) return false;
    if (slo.budget.good == (int64_t)number(s->words[1]) && slo.budget.total == (int64_t)number(s->words[2]))
        return true;
    return fails(s, "it counts %lld good of %lld", (long long)slo.budget.good, (long long)slo.budget.total);
}

static bool slo_remaining(struct scenario *s) {
    SLO slo;
    if (!slo_read(s, &slo)) return false;
    const double left = slo.budget.current_budget_remaining, off = left - number(s->words[1]);
    if (!slo.budget.unknown && off < 0.001 && off > -0.001) return true;
    return fails(s, "%.3f percent are left%s", left, slo.budget.unknown ? ", and it is unknown" : "");
}

static bool slo_unknown(struct scenario *s) {
    SLO slo;
    if (!slo_read(s, &slo)) return false;
    if (slo.budget.unknown && slo.budget.current_budget_remaining == 0) return true;
    return fails(s, "%.3f percent are left", slo.budget.current_budget_remaining);
}

static bool state_is(struct scenario *s, int64_t status, const char *const *words) {
    const int wanted = choice(s->words[1], words);
    return wanted == status || fails(s, "it is %s", words[status]);
}

static bool incident_is(struct scenario *s) {
    Incident incident;
    return read_one(s, "incident", s->words[0], SLICE_LIT("acme"), &Incident_desc, &incident) &&
           state_is(s, incident.status, incident_words);
}

static bool incident_version(struct scenario *s) {
    Incident incident;
    if (!read_one(s, "incident", s->words[0], SLICE_LIT("acme"), &Incident_desc, &incident)) return false;
    return incident.version == (int64_t)number(s->words[1]) || fails(s, "it is %lld", (long long)incident.version);
}

static bool incident_absent(struct scenario *s) {
    Incident incident;
    if (!read_one(s, "incident", s->words[0], s->words[1], &Incident_desc, &incident)) return true;
    return fails(s, "it does");
}

static bool alert_is(struct scenario *s) {
    Alert alert;
    return read_one(s, "alert", alert_id(s, s->words[0]), SLICE_LIT("acme"), &Alert_desc, &alert) &&
           state_is(s, alert.status, alert_words);
}

static bool check_is(struct scenario *s) {
    HealthCheck check;
    return read_one(s, "health_check", s->words[0], SLICE_LIT("acme"), &HealthCheck_desc, &check) &&
           state_is(s, check.status, health_words);
}

/* ---- the sentences ---- */

static const struct {
    const char *pattern;
    bool (*run)(struct scenario *s);
} rows[] = {
    {"{who} of {tenant} creates SLO {id} with target {percent} over {days} days", slo_create},
    {"{who} of {tenant} changes SLO {id} to target {percent}", slo_update},
    {"agent {agent} of {tenant} reports for {slo} minute {m} : {good} good of {total} , revision {n}", window_report},
    {"agent {agent} of {tenant} sees {check} {status} at minute {m}", check_report},
    {"agent {agent} of {tenant} opens an incident", agent_opens},
    {"{who} of {tenant} says alert {alert} fires since minute {m} , seen at minute {m}", alert_fires},
    {"{who} of {tenant} says alert {alert} of minute {m} is over , seen at minute {m}", alert_resolves},
    {"{who} of {tenant} acknowledges alert {alert}", alert_acknowledge},
    {"{who} of {tenant} says alert {alert} expired at minute {m}", alert_expire},
    {"{who} of {tenant} opens incident {id} with severity {severity}", incident_open},
    {"{who} of {tenant} opens incident {id} without a title", incident_open_untitled},
    {"{who} of {tenant} moves incident {id} to {status}", incident_move},
    {"{who} of {tenant} acknowledges incident {id}", incident_acknowledge},
    {"{who} of {tenant} resolves incident {id} by {what}", incident_resolve},
    {"{who} of {tenant} closes incident {id}", incident_close},
    {"{who} of {tenant} gives incident {id} to {whom}", incident_assign},
    {"{who} of {tenant} gives incident {id} severity {severity}", incident_reclassify},
    {"{who} of {tenant} notes {text} on incident {id}", incident_note},
    {"the next one expects version {n}", next_version},
    {"the next one has the key {key}", next_key},
    {"the next one is message number {n}", next_message},
    {"the next one claims to be of {tenant}", next_tenant},
    {"it is minute {m}", time_is},
    {"the journal is restarted", restart},
    {"it is accepted", accepted},
    {"it is a repeat", repeated},
    {"it is refused : {reason}", refused},
    {"what happened is {facts}", facts_made},
    {"SLO {id} counts {good} good of {total}", slo_counts},
    {"SLO {id} has {percent} percent of its budget left", slo_remaining},
    {"SLO {id} has an unknown budget", slo_unknown},
    {"incident {id} is {status}", incident_is},
    {"incident {id} is at version {n}", incident_version},
    {"incident {id} does not exist for {tenant}", incident_absent},
    {"alert {alert} is {status}", alert_is},
    {"check {check} is {status}", check_is},
};

/* The next word: up to a space, a mark (: or ,) alone, or what stands in quotes. */
static bool word_take(slice *text, slice *ret_word) {
    while (text->size && text->data[0] == ' ') *text = slice_from(*text, 1);
    if (text->size == 0) return false;
    size_t size = 0;
    if (text->data[0] == '"') {
        const slice rest = slice_from(*text, 1);
        while (size < rest.size && rest.data[size] != '"') size++;
        *ret_word = slice_first(rest, size);
        *text = slice_from(rest, size + 1);
        return true;
    }
    if (text->data[0] == ':' || text->data[0] == ',')
        size = 1;
    else
        while (size < text->size && !memchr(" ,:", text->data[size], 3)) size++;
    *ret_word = slice_first(*text, size);
    *text = slice_from(*text, size);
    return true;
}

static bool matches(slice pattern, slice sentence, slice words[STEP_WORDS_MAX]) {
    size_t count = 0;
    slice wanted, given;
    while (word_take(&pattern, &wanted)) {
        if (!word_take(&sentence, &given)) return false;
        if (wanted.size && wanted.data[0] == '{') {
            if (count == STEP_WORDS_MAX) return false;
            words[count++] = given;
        } else if (!slice_equal(wanted, given)) {
            return false;
        }
    }
    return !word_take(&sentence, &given);
}

enum step_result scenario_step(struct scenario *s, slice sentence, bool given, char *ret_why, size_t why_size) {
    s->given = given;
    s->why = ret_why;
    s->why_size = why_size;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (matches(slice_from_text(rows[i].pattern), sentence, s->words))
            return rows[i].run(s) ? STEP_DONE : STEP_FAILED;
    return STEP_UNKNOWN;
}

void scenario_sentences_print(void) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) printf("    %s\n", rows[i].pattern);
}
