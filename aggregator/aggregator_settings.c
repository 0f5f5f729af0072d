/* SPDX-License-Identifier: Apache-2.0
 * One row a key. What rows cannot say (what goes with what) is checked behind them and reported in the same way. */
#include "aggregator/aggregator_settings.h"

#include "common/base/text.h"
#include "common/logging/log.h"

#define SETTING(...) SETTING_ROW(struct aggregator_settings, __VA_ARGS__)

static const struct setting_row oidc_rows[] = {
#define OIDC(...) SETTING_ROW(struct oidc_issuer, __VA_ARGS__)
    OIDC("name", TEXT, name, NULL, "1", "32", "what we call it: its callers are `oidc:<name>:<their name>` in facts"),
    OIDC("issuer", TEXT, issuer, NULL, "1", "512", "`iss` of its tokens, to the letter"),
    OIDC("audience", TEXT, audience, NULL, "1", "256", "what `aud` of its tokens must hold: us"),
    OIDC("jwks_url", TEXT, jwks_url, "", NULL, "2048", "where its keys are: https, or http on this machine"),
    OIDC("jwks_file", PATH, jwks_file, "", NULL, NULL, "or the file that they are in"),
    OIDC("jwks_ca", PATH, jwks_ca, "", NULL, NULL,
         "authority that the certificate there must be from, PEM; without it the system's"),
    OIDC("jwks_refresh", DURATION, jwks_refresh_ms, "10m", "1s", "1d", "between two fetches of the keys"),
    OIDC("jwks_refresh_min", DURATION, jwks_refresh_min_ms, "10s", "1s", "1h",
         "and at least, when a token names a key that is not there, or a fetch failed"),
    OIDC("jwks_age_max", DURATION, jwks_age_max_ms, "1d", "1s", "30d",
         "how long keys stay in use while they cannot be fetched"),
    OIDC("jwks_timeout", DURATION, jwks_timeout_ms, "5s", "100ms", "1m", "for one fetch"),
    OIDC("tenant", TEXT, tenant, "", NULL, "64", "tenant of all its callers"),
    OIDC("tenant_claim", TEXT, tenant_claim, "", NULL, "256", "or the claim that names it"),
    OIDC("name_claim", TEXT, name_claim, "sub", "1", "256",
         "claim that names the caller; one that the caller cannot change"),
    OIDC("role_claim", TEXT, role_claim, "", NULL, "256",
         "claim that gives the role, a text or a list; `realm_access.roles` is a way down"),
    SETTING_MAP(struct oidc_issuer, "roles", roles, 64,
                "value of role_claim to role; the first row that holds decides"),
    OIDC("role", TEXT, role, "", NULL, "16", "role of those whom no row of `roles` names; without it they are refused"),
    OIDC("clock_skew", DURATION, clock_skew_ms, "60s", "0s", "5m", "how far the issuer's clock and ours may differ"),
#undef OIDC
};
static const struct setting_table oidc_table = SETTING_TABLE("oidc", struct oidc_issuer, oidc_rows);

static const struct setting_row rows[] = {
    SETTING("data.path", PATH, data.path, "/var/lib/picket-aggregator", NULL, NULL,
            "folder of the journal, the projections and the tokens; no network file system"),
    SETTING("data.map_bytes", BYTES, data.map_bytes, "64GiB", "64MiB", "16TiB",
            "address space of the journal and so its largest size; the disk is used as it grows"),
    SETTING(
        "data.budget_bytes", BYTES, data.budget_bytes, "", "4MiB", "16TiB",
        "what the journal may use of it: from 95 % on new intents are refused, with the reason, until retention has "
        "freed some or this is raised (SIGHUP reads it); left out, it is data.map_bytes"),
    SETTING("data.budget_warn_percent", INT, data.budget_warn_percent, "80", "10", "94",
            "from here on a warning is logged, picketctl doctor tells, and compaction gets more time"),
    SETTING("http.address", TEXT, http.address, "127.0.0.1", "1", "45", "where the API listens; an IP address"),
    SETTING("http.port", INT, http.port, "8420", "0", "65535", "its port; 0 takes a free one"),
    SETTING("http.threads", INT, http.threads, "2", "1", "64", "threads that answer requests"),
    SETTING("http.connections_max", INT, http.connections_max, "1024", "8", "65000", "connections at one time"),
    SETTING("http.body_bytes_max", BYTES, http.body_bytes_max, "1MiB", "64KiB", "16MiB", "a larger request is refused"),
    SETTING("http.idle_timeout", DURATION, http.idle_timeout_ms, "2m", "1s", "1h",
            "a connection that is silent for longer is closed"),
    SETTING("http.event_streams_max", INT, http.event_streams_max, "256", "1", "10000", "open streams of /events"),
    SETTING("http.tls.certificate", PATH, http.tls_certificate, "", NULL, NULL,
            "the server's certificate chain, PEM; without it plain text"),
    SETTING("http.tls.key", PATH, http.tls_key, "", NULL, NULL, "its key, PEM"),
    SETTING("http.plain_text", BOOL, http.plain_text, "false", NULL, NULL,
            "allow plain text on an address that is not loopback: behind a proxy that speaks TLS"),
    SETTING("limits.requests_per_second", INT, limits.requests_per_second, "1000", "0", "1000000",
            "requests of one person (tenant and name; viewer, responder, approver, admin) over time; 0: no limit"),
    SETTING("limits.burst", INT, limits.burst, "2000", "1", "1000000", "and at once, after a rest"),
    SETTING("limits.machine_requests_per_second", INT, limits.machine_requests_per_second, "5000", "0", "1000000",
            "requests of one program (agent, integration) over time; 0: no limit"),
    SETTING("limits.machine_burst", INT, limits.machine_burst, "10000", "1", "1000000", "and at once, after a rest"),
    SETTING("limits.failed_sign_ins_per_minute", INT, limits.failed_sign_ins_per_minute, "60", "0", "1000000",
            "tokens refused from one address (one /64 of IPv6) before it is told to wait; 0: no limit"),
    SETTING_LIST(struct aggregator_settings, "oidc", oidc, &oidc_table, 16,
                 "outside issuers whose tokens are taken as callers (aggregator/api/SIGN-IN.md)"),
    SETTING("mqtt.disabled", BOOL, mqtt.disabled, "false", NULL, NULL, "no broker: the API only"),
    SETTING("mqtt.host", TEXT, mqtt.host, "", NULL, "253", "the broker; required unless disabled"),
    SETTING("mqtt.port", INT, mqtt.port, "8883", "1", "65535", "its port"),
    SETTING("mqtt.ca", PATH, mqtt.ca, "", NULL, NULL,
            "certificate authority that the broker's certificate must be from, PEM; required unless plain_text"),
    SETTING("mqtt.certificate", PATH, mqtt.certificate, "", NULL, NULL,
            "the aggregator's certificate, PEM; required unless plain_text"),
    SETTING("mqtt.key", PATH, mqtt.key, "", NULL, NULL, "its key, PEM; required unless plain_text"),
    SETTING("mqtt.server_name", TEXT, mqtt.server_name, "", NULL, "253",
            "name in the broker's certificate, where it is not mqtt.host"),
    SETTING("mqtt.client_id", TEXT, mqtt.client_id, "picket-aggregator", "1", "64", "who we are to the broker"),
    SETTING("mqtt.plain_text", BOOL, mqtt.plain_text, "false", NULL, NULL,
            "no TLS: for a broker on this machine, in tests only"),
    SETTING("mqtt.keep_alive", DURATION, mqtt.keep_alive_ms, "30s", "5s", "10m",
            "a connection that is silent for longer is dead"),
    SETTING("mqtt.connect_timeout", DURATION, mqtt.connect_timeout_ms, "10s", "1s", "1m",
            "for TCP, TLS and MQTT together"),
    SETTING("mqtt.backoff_min", DURATION, mqtt.backoff_ms_min, "200ms", "50ms", "1m",
            "wait before the first new attempt; doubled by each that fails, with jitter"),
    SETTING("mqtt.backoff_max", DURATION, mqtt.backoff_ms_max, "10s", "100ms", "10m",
            "longest wait between two attempts"),
    SETTING("mqtt.inflight_max", INT, mqtt.inflight_max, "128", "1", "1000",
            "facts and acks published and not yet taken by the broker"),
    SETTING("mqtt.inflight_bytes_max", BYTES, mqtt.inflight_bytes_max, "4MiB", "1MiB", "64MiB", "their bytes"),
    SETTING("enrolment.ca_certificate", PATH, enrolment.ca_certificate, "", NULL, NULL,
            "certificate authority that signs agents' certificates, PEM: the one that the broker takes clients of; "
            "without it agents get theirs elsewhere (agent/ADD-AN-AGENT.md)"),
    SETTING("enrolment.ca_key", PATH, enrolment.ca_key, "", NULL, NULL, "its key, PEM"),
    SETTING("enrolment.validity", DURATION, enrolment.validity_ms, "90d", "10s", "825d",
            "of a certificate; an agent renews it after two thirds"),
    SETTING("enrolment.broker_host", TEXT, enrolment.broker_host, "", NULL, "253",
            "where agents find the broker; without it mqtt.host"),
    SETTING("enrolment.broker_port", INT, enrolment.broker_port, "", "1", "65535", "its port; without it mqtt.port"),
    SETTING("enrolment.broker_ca", PATH, enrolment.broker_ca, "", NULL, NULL,
            "authority of the broker's certificate that agents are told, PEM; without it mqtt.ca"),
    SETTING_TEXTS(
        struct aggregator_settings, "enrolment.reserved", enrolment.reserved, 1000,
        "names that no agent may have, because the broker's ACL gives them rights of their own: of integrations "
        "and of readers of facts; besides aggregator, integration, picket-aggregator, reader and whoever has a "
        "token of the API"),
    SETTING("journal.queue_commands_max", INT, journal.queue_commands_max, "8192", "16", "1000000",
            "commands and batches that wait for the writer"),
    SETTING("journal.queue_bytes_max", BYTES, journal.queue_bytes_max, "64MiB", "2MiB", "4GiB", "their bytes"),
    SETTING("journal.commit_intents_max", INT, journal.commit_intents_max, "16384", "1", "1000000",
            "intents in one transaction"),
    SETTING("journal.rejections_max", INT, journal.rejections_max, "100000", "100", "10000000",
            "refused intents that are kept; when there are more, the tenant that has most gives its oldest"),
    SETTING("journal.rejections_days", INT, journal.rejections_days, "90", "0", "3650",
            "refused intents that are older go, too; 0: by number only"),
    SETTING("journal.alert_expiry", DURATION, journal.alert_expiry_ms, "5m", "10s", "7d",
            "a firing alert without an end expires when it was not repeated for so long; time in which the aggregator "
            "was away or stood by does not count"),
    SETTING("journal.health_expiry", DURATION, journal.health_expiry_ms, "1h", "10s", "7d",
            "a health check or fleet state without an end is unknown so long after it was observed"),
    SETTING("projections.readers", INT, projections.readers, "4", "1", "64", "queries at one time"),
    SETTING("projections.retention_days", INT, projections.retention_days, "100", "31", "3650",
            "windows older than this leave the charts"),
    SETTING("retention.sli_windows", DURATION, retention.sli_windows_ms, "100d", "0s", "3650d",
            "facts of SLI windows that are older are compacted: counted, no longer listed; 0s: never. As long as "
            "projections.retention_days, or charts that are built anew show what lies between as unknown"),
    SETTING("retention.health_checks", DURATION, retention.health_checks_ms, "30d", "0s", "3650d",
            "the same for observations of health checks, the most frequent of all facts; the one that a check's state "
            "comes from always stays"),
    SETTING("retention.newest_facts", INT, retention.newest_facts, "10000", "1", "1000000000",
            "the newest facts, which are never compacted, whatever their age"),
    SETTING("ready.lag_max", INT, ready.lag_max, "500000", "1", "1000000000",
            "facts that the projections may be behind before /readyz says no"),
    SETTING_ENUM(struct aggregator_settings, "log.level", log_level, log_level_names, "info",
                 "least important lines that are written"),
    SETTING_ENUM(struct aggregator_settings, "log.format", log_format, log_format_names, "logfmt", "shape of a line"),
    SETTING("log.debug", TEXT, log_debug, "", NULL, "256",
            "areas whose debug lines are written, such as `intake,journal`"),
};

const struct setting_table aggregator_setting_table =
    SETTING_TABLE("picket-aggregator", struct aggregator_settings, rows);

static void check_issuers(struct settings *read, const struct aggregator_settings *s) {
    for (size_t i = 0; i < s->oidc.count; i++) {
        const struct oidc_issuer *issuer = &s->oidc.items[i];
        const void *member;
        const char *mistake = oidc_issuer_mistake(issuer, &member);
        if (mistake) settings_mistake(read, member, "%s", mistake);
        for (size_t k = 0; k < i; k++) {
            const struct oidc_issuer *other = &s->oidc.items[k];
            if (slice_equal(issuer->name, other->name)) settings_mistake(read, &issuer->name, "another has this name");
            if (slice_equal(issuer->issuer, other->issuer) && slice_equal(issuer->audience, other->audience))
                settings_mistake(read, &issuer->audience, "another has this issuer and this audience");
        }
    }
}

static void check(struct settings *read, const struct aggregator_settings *s) {
    if (s->data.budget_bytes > s->data.map_bytes)
        settings_mistake(read, &s->data.budget_bytes, "data.budget_bytes is more than data.map_bytes");
    if (!s->http.tls_certificate.size != !s->http.tls_key.size)
        settings_mistake(read, s->http.tls_certificate.size ? &s->http.tls_certificate : &s->http.tls_key,
                         "http.tls.certificate and http.tls.key go together");
    if (!s->http.tls_certificate.size && !s->http.plain_text && !text_is_loopback(s->http.address))
        settings_mistake(read, &s->http.address,
                         "'%.*s' is reachable from elsewhere and would carry tokens in plain text: set "
                         "http.tls.certificate and http.tls.key, or listen on 127.0.0.1, or allow it by "
                         "http.plain_text: true",
                         SLICE_ARG(s->http.address));
    check_issuers(read, s);
    if (!s->enrolment.ca_certificate.size != !s->enrolment.ca_key.size)
        settings_mistake(read, s->enrolment.ca_key.size ? &s->enrolment.ca_key : &s->enrolment.ca_certificate,
                         "enrolment.ca_certificate and enrolment.ca_key go together");
    if (s->mqtt.backoff_ms_min > s->mqtt.backoff_ms_max)
        settings_mistake(read, &s->mqtt.backoff_ms_min, "mqtt.backoff_min is longer than mqtt.backoff_max");
    if (s->mqtt.disabled) return;
    if (!s->mqtt.host.size) settings_mistake(read, &s->mqtt.host, "mqtt.host is required (or mqtt.disabled: true)");
    if (s->mqtt.plain_text) return;
    if (!s->mqtt.ca.size) settings_mistake(read, &s->mqtt.ca, "mqtt.ca is required: the broker must prove who it is");
    if (!s->mqtt.certificate.size) settings_mistake(read, &s->mqtt.certificate, "mqtt.certificate is required");
    if (!s->mqtt.key.size) settings_mistake(read, &s->mqtt.key, "mqtt.key is required");
}

/* The caller's own checks, and all mistakes as texts in the arena. */
static fault_code finish(struct settings *read, fault_code code, struct arena *arena,
                         struct aggregator_settings *settings, struct setting_texts *ret_mistakes,
                         struct fault *reterr) {
    if (code && code != FAULT_INPUT) return code;
    check(read, settings);
    const size_t count = settings_mistakes_count(read);
    if (!count) return code;
    slice *items = arena_alloc_array(arena, count, sizeof *items);
    if (!items) return fault_set(reterr, FAULT_LIMIT, "read the settings: out of memory");
    for (size_t i = 0; i < count; i++) items[i] = slice_from_text(settings_mistake_at(read, i));
    *ret_mistakes = (struct setting_texts){items, count};
    return settings_result(read, reterr);
}

fault_code aggregator_settings_read(const char *path, char *const *environment, struct arena *arena,
                                    struct aggregator_settings *ret_settings, struct setting_texts *ret_mistakes,
                                    struct fault *reterr) {
    *ret_mistakes = (struct setting_texts){0};
    struct settings *read = settings_new(&aggregator_setting_table, arena);
    if (!read) return fault_set(reterr, FAULT_LIMIT, "read '%s': out of memory", path);
    const fault_code code = settings_read_file(read, path, environment, ret_settings, reterr);
    return finish(read, code, arena, ret_settings, ret_mistakes, reterr);
}

fault_code aggregator_settings_read_text(const char *file_name, slice yaml, char *const *environment,
                                         struct arena *arena, struct aggregator_settings *ret_settings,
                                         struct setting_texts *ret_mistakes, struct fault *reterr) {
    *ret_mistakes = (struct setting_texts){0};
    struct settings *read = settings_new(&aggregator_setting_table, arena);
    if (!read) return fault_set(reterr, FAULT_LIMIT, "read '%s': out of memory", file_name);
    const fault_code code = settings_read_text(read, file_name, yaml, environment, ret_settings, reterr);
    return finish(read, code, arena, ret_settings, ret_mistakes, reterr);
}
