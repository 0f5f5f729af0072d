/* SPDX-License-Identifier: Apache-2.0
 * Rows first: a row is the whole truth about a key. Below them is what no row can say: that a name is unique, that a
 * reference exists, that a selector parses, that two durations fit together. Each of these is reported at the line of
 * the value it is about, beside the mistakes of the rows, so that one --check-config tells everything. */
#include "agent/settings/agent_settings.h"

#include <stdio.h>

#include "agent/settings/node_agent_name.h"
#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/logging/log.h"

static const char *const kind_names[] = {"ratio_good", "ratio_bad", "histogram", "gauge", "probe", "ratio_parts", NULL};
static const char *const comparison_names[] = {"<", "<=", ">", ">=", "==", "!=", NULL};
static const char *const severity_names[] = {"unhealthy", "degraded", NULL};
static const char *const format_names[] = {"none", "text", "openmetrics", NULL}; /* enum exposition_format */

static const struct setting_row target_rows[] = {
    SETTING_ROW(struct target_settings, "name", TEXT, name, NULL, "1", "128",
                "what SLIs and health checks call it; unique"),
    SETTING_ROW(struct target_settings, "url", TEXT, url, NULL, "1", "2048",
                "where its metrics are, http:// or https://"),
    SETTING_ROW(struct target_settings, "interval", DURATION, interval_ms, "", "100ms", "1h",
                "time between two scrapes; without it scrape.interval"),
    SETTING_ROW(struct target_settings, "timeout", DURATION, timeout_ms, "", "50ms", "5m",
                "for a whole scrape; without it scrape.timeout"),
    SETTING_ROW(struct target_settings, "bytes_max", BYTES, bytes_max, "", "1KiB", "4GiB",
                "of one answer, decompressed; without it scrape.bytes_max"),
    SETTING_ENUM(struct target_settings, "fallback_format", fallback_format, format_names, "none",
                 "how an answer is read that names no known Content-Type; none: it is refused"),
    ACCESS_ROWS(struct target_settings),
};
static const struct setting_table target_table = SETTING_TABLE("target", struct target_settings, target_rows);

static const struct setting_row probe_rows[] = {
    SETTING_ROW(struct probe_settings, "name", TEXT, name, NULL, "1", "128",
                "what SLIs and health checks call it; unique"),
    SETTING_ROW(struct probe_settings, "url", TEXT, url, "", "1", "2048", "HTTP: what to ask for; or else"),
    SETTING_ROW(struct probe_settings, "tcp", TEXT, tcp, "", "3", "300", "TCP: host:port to connect to"),
    SETTING_ROW(struct probe_settings, "interval", DURATION, interval_ms, "15s", "100ms", "1h",
                "time between two probes"),
    SETTING_ROW(struct probe_settings, "timeout", DURATION, timeout_ms, "5s", "50ms", "5m", "later is no answer"),
    SETTING_ROW(struct probe_settings, "status_min", INT, status_min, "200", "100", "599",
                "HTTP: the lowest good status"),
    SETTING_ROW(struct probe_settings, "status_max", INT, status_max, "399", "100", "599",
                "HTTP: the highest good status"),
    ACCESS_ROWS(struct probe_settings),
};
static const struct setting_table probe_table = SETTING_TABLE("probe", struct probe_settings, probe_rows);

static const struct setting_row sli_rows[] = {
    SETTING_ROW(struct sli_settings, "slo_id", TEXT, slo_id, NULL, "1", "128",
                "the SLO that it is counted for, as at the centre"),
    SETTING_ENUM(struct sli_settings, "kind", kind, kind_names, NULL,
                 "what makes an event good, see `good`, `bad`, `total`, `threshold`"),
    SETTING_ROW(struct sli_settings, "good", TEXT, good, "", NULL, "4096",
                "ratio_good, ratio_parts: selector of the counters of good events"),
    SETTING_ROW(struct sli_settings, "bad", TEXT, bad, "", NULL, "4096",
                "ratio_bad, ratio_parts: selector of the counters of bad events"),
    SETTING_ROW(struct sli_settings, "total", TEXT, total, "", NULL, "4096",
                "selector of the counters of all events, of the histogram, or of the gauge"),
    SETTING_ROW(struct sli_settings, "divisor", TEXT, divisor, "", NULL, "4096",
                "gauge: selector; what is compared is the sum of `total` over the sum of this"),
    SETTING_ROW(struct sli_settings, "threshold", DOUBLE, threshold, "0", NULL, NULL,
                "histogram: the bucket (le) that holds what is good; gauge: what to compare with"),
    SETTING_ENUM(struct sli_settings, "comparison", comparison, comparison_names,
                 "<=", "gauge: good when `value comparison threshold` holds"),
    SETTING_ROW(struct sli_settings, "latency_max", DURATION, latency_ms_max, "", "1ms", "5m",
                "probe: good only if it took no longer"),
    SETTING_ROW(struct sli_settings, "window", DURATION, window_ms, "1m", "1s", "1h",
                "length of one window, in whole seconds"),
    SETTING_ROW(struct sli_settings, "objective", DOUBLE, objective_percent, "0", "0", "99.9999999",
                "percent of good events that the SLO asks for: what edge_alerts holds burn rates against; 0: none"),
    SETTING_TEXTS(struct sli_settings, "targets", targets, 64,
                  "names of targets, discoveries and Prometheus servers (kind probe: of probes) that count; none: all "
                  "but the servers"),
};
static const struct setting_table sli_table = SETTING_TABLE("sli", struct sli_settings, sli_rows);

static const struct setting_row health_rows[] = {
    SETTING_ROW(struct health_settings, "id", TEXT, id, NULL, "1", "128",
                "the health check's identity, as at the centre; unique"),
    SETTING_ROW(struct health_settings, "target", TEXT, target, "", NULL, "128",
                "a target whose series are looked at; or else"),
    SETTING_ROW(struct health_settings, "probe", TEXT, probe, "", NULL, "128", "a probe whose answers are looked at"),
    SETTING_ROW(struct health_settings, "selector", TEXT, selector, "", NULL, "4096",
                "target: every selected series must hold `value comparison threshold`"),
    SETTING_ENUM(struct health_settings, "comparison", comparison, comparison_names, "<", "target: how to compare"),
    SETTING_ROW(struct health_settings, "threshold", DOUBLE, threshold, "0", NULL, NULL,
                "target: what to compare with"),
    SETTING_ENUM(struct health_settings, "severity", severity, severity_names, "unhealthy",
                 "target: what a broken rule means"),
    SETTING_ROW(struct health_settings, "latency_max", DURATION, latency_ms_max, "", "1ms", "5m",
                "probe: slower is degraded"),
    SETTING_ROW(struct health_settings, "rise", INT, rise, "2", "1", "1000",
                "good observations in a row to become healthy"),
    SETTING_ROW(struct health_settings, "fall", INT, fall, "3", "1", "1000", "bad observations in a row to leave it"),
    SETTING_ROW(struct health_settings, "stale", DURATION, stale_ms, "2m", "1s", "1h",
                "unknown when nothing was observed for so long"),
    SETTING_ROW(struct health_settings, "heartbeat", DURATION, heartbeat_ms, "5m", "1s", "1d",
                "reported at least so often, also without a change"),
    SETTING_ROW(struct health_settings, "resource.type", TEXT, resource_type, "endpoint", "1", "64",
                "what it is about: endpoint, service, node ..."),
    SETTING_ROW(struct health_settings, "resource.id", TEXT, resource_id, "", NULL, "512",
                "its name; without it the URL that is observed"),
};
static const struct setting_table health_table = SETTING_TABLE("health", struct health_settings, health_rows);

#define SETTING(...) SETTING_ROW(struct agent_settings, __VA_ARGS__)
static const struct setting_row agent_rows[] = {
    SETTING("agent.tenant", TEXT, tenant, NULL, "1", "62", "tenant that everything measured belongs to, [a-z0-9.-]"),
    SETTING(
        "agent.name", TEXT, name, NULL, "1", "253",
        "this agent, unique in its tenant, [a-z0-9.-]; with the tenant and a slash it is the certificate's common "
        "name, of 64 bytes; where it is agent.node_name and longer, its beginning and a hash (--check-config tells)"),
    SETTING("agent.cluster_id", TEXT, cluster_id, "", NULL, "128", "cluster that is measured, [A-Za-z0-9._-]"),
    SETTING("agent.environment_id", TEXT, environment_id, "", NULL, "128",
            "environment that it belongs to, [A-Za-z0-9._-]"),
    SETTING("agent.node_name", TEXT, node_name, "", NULL, "253", "the machine's full name, which the status tells"),
    SETTING_ENUM(struct agent_settings, "log.level", log_level, log_level_names, "info",
                 "least important lines that are written"),
    SETTING_ENUM(struct agent_settings, "log.format", log_format, log_format_names, "logfmt", "shape of a line"),
    SETTING("log.debug", TEXT, log_debug, "", NULL, "256",
            "areas whose debug lines are written, such as `ship,collect`"),
    SETTING("buffer.path", PATH, buffer.path, "/var/lib/picket-agent", NULL, NULL,
            "folder of the queue and its checkpoints; no network file system"),
    SETTING("buffer.bytes_max", BYTES, buffer.bytes_max, "256MiB", "1MiB", "64GiB",
            "kept while the centre is away; beyond it the least important and oldest is given up, and counted"),
    SETTING("buffer.health_percent", INT, buffer.health_percent, "10", "0", "100",
            "share of bytes_max that only health and alerts may use"),
    SETTING("buffer.windows_percent", INT, buffer.windows_percent, "60", "0", "100",
            "share of bytes_max that only SLI windows may use"),
    SETTING(
        "buffer.commit_interval", DURATION, buffer.commit_ms, "1s", "0s", "5m",
        "what is measured waits so long at most, to be put on the disk together and then sent (SD cards: 10s or more); "
        "kill -9 loses nothing of it, a power cut what came since; alerts and configurations never wait; 0s: nothing "
        "does"),
    SETTING("buffer.commit_bytes", BYTES, buffer.commit_bytes, "256KiB", "4KiB", "16MiB",
            "and less long when so much waits, which is in memory"),
    SETTING("mqtt.host", TEXT, mqtt.host, NULL, "1", "253", "the broker"),
    SETTING("mqtt.port", INT, mqtt.port, "8883", "1", "65535", "its port"),
    SETTING("mqtt.ca", PATH, mqtt.ca, "", NULL, NULL,
            "certificate authority that the broker's certificate must be from, PEM; required unless plain_text"),
    SETTING("mqtt.certificate", PATH, mqtt.certificate, "", NULL, NULL,
            "this agent's certificate, PEM; required unless plain_text"),
    SETTING("mqtt.key", PATH, mqtt.key, "", NULL, NULL, "its key, PEM; required unless plain_text"),
    SETTING("mqtt.server_name", TEXT, mqtt.server_name, "", NULL, "253",
            "name in the broker's certificate, where it is not mqtt.host"),
    SETTING("mqtt.plain_text", BOOL, mqtt.plain_text, "false", NULL, NULL,
            "no TLS: for a broker on this machine, in tests only"),
    SETTING("mqtt.keep_alive", DURATION, mqtt.keep_alive_ms, "30s", "5s", "10m",
            "a connection that is silent for longer is dead"),
    SETTING("mqtt.connect_timeout", DURATION, mqtt.connect_timeout_ms, "10s", "1s", "1m",
            "for TCP, TLS and MQTT together"),
    SETTING("mqtt.backoff_min", DURATION, mqtt.backoff_ms_min, "500ms", "50ms", "1m",
            "wait before the first new attempt; doubled by each that fails, with jitter"),
    SETTING("mqtt.backoff_max", DURATION, mqtt.backoff_ms_max, "30s", "100ms", "10m",
            "longest wait between two attempts"),
    ENROL_ROWS(struct agent_settings, enrolment),
    SETTING("ship.inflight_max", INT, ship.inflight_max, "16", "1", "256",
            "batches sent and not yet committed by the centre"),
    SETTING("ship.inflight_bytes_max", BYTES, ship.inflight_bytes_max, "512KiB", "64KiB", "64MiB",
            "bytes given to the broker and not yet acknowledged by it"),
    SETTING("ship.batch_bytes", BYTES, ship.batch_bytes, "64KiB", "1KiB", "512KiB", "of one batch, about"),
    SETTING("ship.batch_intents", INT, ship.batch_intents, "500", "1", "4096", "in one batch"),
    SETTING("ship.resend_after", DURATION, ship.resend_ms, "15s", "100ms", "5m",
            "a batch that the centre did not commit by then is sent again"),
    SETTING("ship.outage", DURATION, ship.outage_ms, "1m", "1s", "1d",
            "what waited longer than this when the centre comes back is sent beside what is new, not before it"),
    SETTING("ship.status_interval", DURATION, ship.status_ms, "1m", "1s", "1h",
            "time between two reports of the agent's own state"),
    SETTING("http.address", TEXT, http.address, "127.0.0.1", NULL, "64",
            "where /metrics, /healthz and /readyz are served, without TLS; empty: nowhere"),
    SETTING("http.port", INT, http.port, "8421", "0", "65535", "0: any free one, see the log"),
    SETTING("scrape.interval", DURATION, scrape.interval_ms, "15s", "100ms", "1h",
            "time between two scrapes of one target"),
    SETTING("scrape.timeout", DURATION, scrape.timeout_ms, "10s", "50ms", "5m",
            "for a whole scrape; no longer than its interval"),
    SETTING("scrape.bytes_max", BYTES, scrape.bytes_max, "64MiB", "1KiB", "4GiB",
            "of one answer, decompressed; it is never held in memory"),
    SETTING("scrape.connections_max", INT, scrape.connections_max, "32", "1", "1000", "open to targets at one time"),
    SETTING(
        "fold.series_max", INT, fold.series_max, "10000", "1", "10000000",
        "series that SLIs select, over all targets; memory is set aside for them at start. When it is full, an SLI on "
        "a "
        "target that needs no more than an equal share has room from the one that has most, which then is not counted"),
    SETTING("fold.series_forget", DURATION, fold.series_forget_ms, "1h", "1m", "7d",
            "a series not seen for so long makes room when that many are reached"),
    SETTING("fold.gap_windows_max", INT, fold.gap_windows_max, "120", "1", "10000",
            "windows stated as unseen for one SLI after a down time"),
    SETTING(
        "config.probation", DURATION, config.probation_ms, "1m", "1s", "1h",
        "a configuration from the centre is on trial for so long, and rolled back if the agent ends three times in it, "
        "or measures no more"),
    SETTING("ready.stall", DURATION, ready.stall_ms, "3m", "1s", "1d",
            "not ready when nothing was committed for so long although something waits, or no scrape succeeds"),
    ALERT_ROWS(struct agent_settings, alerts),
    DIAGNOSE_ROWS(struct agent_settings, diagnostics),
    SETTING_LIST(struct agent_settings, "targets", targets, &target_table, 1000, "what to scrape"),
    SETTING_LIST(struct agent_settings, "kubernetes", kubernetes, &kube_cluster_table, 64,
                 "clusters whose API servers are watched"),
    SETTING_LIST(struct agent_settings, "argocd", argocd, &argocd_table, 16,
                 "Argo CDs, whose applications make fleet states and health checks"),
    SETTING_LIST(struct agent_settings, "discovery", discovery, &discovery_table, 64,
                 "targets that come and go, found in a cluster"),
    SETTING_LIST(struct agent_settings, "prometheus_apis", prometheus_apis, &prometheus_api_table, 64,
                 "Prometheus servers that are asked, where their targets cannot be scraped from here"),
    SETTING_LIST(struct agent_settings, "probes", probes, &probe_table, 1000, "what to ask whether it answers"),
    SETTING_LIST(struct agent_settings, "slis", slis, &sli_table, 10000,
                 "what to count, beside the definitions that come from the centre"),
    SETTING_LIST(struct agent_settings, "health", health, &health_table, 1000, "what to watch"),
    CLUSTER_HEALTH_ROWS(struct agent_settings, cluster_health),
};
#undef SETTING
const struct setting_table agent_setting_table = SETTING_TABLE("picket-agent", struct agent_settings, agent_rows);

static bool only_of(slice text, const char *others) {
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t c = text.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr(others, c)))) return false;
    }
    return true;
}

static bool has_letter_or_digit(slice text) {
    size_t i = 0;
    while (i < text.size && (text.data[i] == '.' || text.data[i] == '-')) i++;
    return i < text.size;
}

static bool is_id(slice text) {
    return only_of(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ._-");
}

void agent_settings_sli(const struct sli_settings *settings, struct sli_definition *ret_definition) {
    *ret_definition = (struct sli_definition){
        .slo_id = settings->slo_id,
        .kind = (enum sli_kind)settings->kind,
        .good = settings->good,
        .bad = settings->bad,
        .total = settings->total,
        .divisor = settings->divisor,
        .threshold = settings->threshold,
        .operator=(enum sli_operator) settings->comparison,
        .latency_ms_max = settings->latency_ms_max,
        .window_seconds = (uint32_t)(settings->window_ms / 1000),
        .targets = settings->targets.items,
        .targets_count = settings->targets.count,
        .objective_percent = settings->objective_percent,
    };
}

void agent_settings_health(const struct health_settings *settings, struct health_check *ret_check) {
    const bool probe = settings->probe.size > 0;
    *ret_check = (struct health_check){
        .id = settings->id,
        .target = probe ? settings->probe : settings->target,
        .probe = probe,
        .latency_ms_max = settings->latency_ms_max,
        .selector = settings->selector,
        .operator=(enum sli_operator) settings->comparison,
        .threshold = settings->threshold,
        .degrades = settings->severity == 1,
        .rise = (unsigned)settings->rise,
        .fall = (unsigned)settings->fall,
        .stale_ms = settings->stale_ms,
        .heartbeat_ms = settings->heartbeat_ms,
    };
}

/* FORMAT_PRODUCER, in words of its own. */
static void check_producer(struct settings *read, const slice *name) {
    if (name->size && !only_of(*name, ".-"))
        settings_mistake(read, name, "may have a-z, 0-9, '.' and '-' only");
    else if (name->size && !has_letter_or_digit(*name))
        settings_mistake(read, name, "needs a letter or a digit, '%.*s' has none", SLICE_ARG(slice_first(*name, 64)));
}

static void check_identity(struct settings *read, const struct agent_settings *settings) {
    check_producer(read, &settings->tenant);
    check_producer(read, &settings->name);
    if (settings->tenant.size + 1 + settings->name.size > LIMIT_TENANT_AND_PRODUCER_BYTES)
        settings_mistake(
            read, &settings->name,
            "tenant and name with a slash between have %zu characters, a certificate's common name holds %d (a node's "
            "name, given as agent.node_name too, is shortened where the tenant leaves 14)",
            settings->tenant.size + 1 + settings->name.size, LIMIT_TENANT_AND_PRODUCER_BYTES);
    if (!is_id(settings->cluster_id))
        settings_mistake(read, &settings->cluster_id, "may have A-Z, a-z, 0-9, '.', '_' and '-' only");
    if (!is_id(settings->environment_id))
        settings_mistake(read, &settings->environment_id, "may have A-Z, a-z, 0-9, '.', '_' and '-' only");
}

static bool enrol_url_ok(slice url) {
    static const char *const good[] = {"https://", "http://127.0.0.1:", "http://localhost:", "http://[::1]:"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (slice_starts_with(url, slice_from_text(good[i]))) return text_is_http_url(url);
    return false;
}

static void check_ways_out(struct settings *read, const struct agent_settings *settings) {
    if (settings->buffer.health_percent + settings->buffer.windows_percent > 100)
        settings_mistake(read, &settings->buffer.windows_percent,
                         "buffer.health_percent and buffer.windows_percent are more than 100 together");
    const slice *const files[] = {&settings->mqtt.ca, &settings->mqtt.certificate, &settings->mqtt.key};
    const bool enrols = settings->enrolment.url.size > 0;
    for (size_t i = 1; enrols && i < sizeof files / sizeof *files; i++)
        if (files[i]->size)
            settings_mistake(read, files[i], "with enrolment.url the agent keeps its own: leave it out");
    if (enrols && !enrol_url_ok(settings->enrolment.url))
        settings_mistake(read, &settings->enrolment.url,
                         "must begin with https:// (http:// on this machine only): a token goes there");
    for (size_t i = 0; !enrols && i < sizeof files / sizeof *files; i++)
        if (!settings->mqtt.plain_text && files[i]->size == 0)
            settings_mistake(read, files[i],
                             "is required: the broker and the agent prove to one another who they are; or let the "
                             "agent enrol (enrolment.url), or mqtt.plain_text in tests");
    if (settings->mqtt.backoff_ms_min > settings->mqtt.backoff_ms_max)
        settings_mistake(read, &settings->mqtt.backoff_ms_min, "is longer than mqtt.backoff_max");
    if (settings->ship.batch_bytes > settings->ship.inflight_bytes_max)
        settings_mistake(read, &settings->ship.batch_bytes, "is more than ship.inflight_bytes_max");
    if (settings->scrape.timeout_ms > settings->scrape.interval_ms)
        settings_mistake(read, &settings->scrape.timeout_ms, "scrape.timeout is longer than scrape.interval");
}

static bool has_target(const struct agent_settings *settings, slice name) {
    for (size_t i = 0; i < settings->targets.count; i++)
        if (slice_equal(settings->targets.items[i].name, name)) return true;
    return false;
}

static bool has_group(const struct agent_settings *settings, slice name) {
    for (size_t i = 0; i < settings->discovery.count; i++)
        if (slice_equal(settings->discovery.items[i].name, name)) return true;
    for (size_t i = 0; i < settings->prometheus_apis.count; i++)
        if (slice_equal(settings->prometheus_apis.items[i].name, name)) return true;
    return false;
}

static bool has_probe(const struct agent_settings *settings, slice name) {
    for (size_t i = 0; i < settings->probes.count; i++)
        if (slice_equal(settings->probes.items[i].name, name)) return true;
    return false;
}

static void check_targets(struct settings *read, const struct agent_settings *settings) {
    for (size_t i = 0; i < settings->targets.count; i++) {
        const struct target_settings *const target = &settings->targets.items[i];
        for (size_t other = 0; other < i; other++)
            if (target->name.size && slice_equal(target->name, settings->targets.items[other].name)) {
                settings_mistake(read, &target->name, "another target is called '%.*s' already",
                                 SLICE_ARG(target->name));
                break;
            }
        if (target->name.size && has_group(settings, target->name))
            settings_mistake(read, &target->name, "a discovery or Prometheus is called '%.*s' already",
                             SLICE_ARG(target->name));
        if (slice_starts_with(target->name, SLICE_LIT("slo:")))
            settings_mistake(read, &target->name, "names that begin with slo: are those of the centre's probes");
        if (target->url.size && !text_is_http_url(target->url))
            settings_mistake(read, &target->url, "must begin with http:// or https:// and a host, and hold no blanks");
        const int64_t interval_ms = target->interval_ms ? target->interval_ms : settings->scrape.interval_ms;
        if (target->timeout_ms > interval_ms)
            settings_mistake(read, &target->timeout_ms, "is longer than the interval (%lld ms)",
                             (long long)interval_ms);
        access_settings_check(read, &target->access);
    }
    for (size_t i = 0; i < settings->probes.count; i++) {
        const struct probe_settings *const probe = &settings->probes.items[i];
        slice host;
        uint16_t port;
        for (size_t other = 0; other < i; other++)
            if (probe->name.size && slice_equal(probe->name, settings->probes.items[other].name)) {
                settings_mistake(read, &probe->name, "another probe is called '%.*s' already", SLICE_ARG(probe->name));
                break;
            }
        if (probe->name.size && (has_target(settings, probe->name) || has_group(settings, probe->name)))
            settings_mistake(read, &probe->name, "a target is called '%.*s' already", SLICE_ARG(probe->name));
        if (slice_starts_with(probe->name, SLICE_LIT("slo:")))
            settings_mistake(read, &probe->name, "names that begin with slo: are those of the centre's probes");
        if (!probe->url.size == !probe->tcp.size) settings_mistake(read, probe, "give one of url and tcp");
        if (probe->url.size && !text_is_http_url(probe->url))
            settings_mistake(read, &probe->url, "must begin with http:// or https:// and a host, and hold no blanks");
        if (probe->tcp.size && !text_host_port(probe->tcp, &host, &port))
            settings_mistake(read, &probe->tcp, "must be host:port, with the port from 1 to 65535");
        if (probe->timeout_ms > probe->interval_ms)
            settings_mistake(read, &probe->timeout_ms, "is longer than the interval");
        if (probe->status_min > probe->status_max) settings_mistake(read, &probe->status_min, "is above status_max");
        access_settings_check(read, &probe->access);
    }
}

/* One cluster for each, and no doubt which. */
static void check_discoveries(struct settings *read, const struct agent_settings *settings) {
    for (size_t i = 0; i < settings->discovery.count; i++) {
        const struct discovery_settings *const item = &settings->discovery.items[i];
        size_t fitting = 0;
        for (size_t k = 0; k < settings->kubernetes.count; k++)
            fitting +=
                item->cluster_id.size == 0 || slice_equal(item->cluster_id, settings->kubernetes.items[k].cluster_id);
        if (fitting == 1) continue;
        if (item->cluster_id.size)
            settings_mistake(read, &item->cluster_id, "there is no cluster '%.*s' in `kubernetes`",
                             SLICE_ARG(item->cluster_id));
        else
            settings_mistake(read, &item->name, "`kubernetes` has %zu clusters: say which one by `cluster`",
                             settings->kubernetes.count);
    }
}

static void check_slis(struct settings *read, const struct agent_settings *settings) {
    for (size_t i = 0; i < settings->slis.count; i++) {
        const struct sli_settings *const sli = &settings->slis.items[i];
        if (!sli->slo_id.size) continue; /* reported by its row */
        for (size_t other = 0; other < i; other++)
            if (slice_equal(sli->slo_id, settings->slis.items[other].slo_id)) {
                settings_mistake(read, &sli->slo_id, "'%.*s' is measured already", SLICE_ARG(sli->slo_id));
                break;
            }
        if (sli->window_ms % 1000) settings_mistake(read, &sli->window_ms, "must be whole seconds");
        for (size_t t = 0; t < sli->targets.count; t++) {
            const slice name = sli->targets.items[t];
            if (sli->kind == SLI_PROBE ? !has_probe(settings, name)
                                       : !has_target(settings, name) && !has_group(settings, name))
                settings_mistake(read, &sli->targets, "there is no %s '%.*s'%s",
                                 sli->kind == SLI_PROBE ? "probe" : "target", SLICE_ARG(name),
                                 sli->kind == SLI_PROBE ? "" : ", nor a discovery or Prometheus of that name");
        }
        struct sli_definition definition;
        struct sli *compiled = NULL;
        struct fault fault;
        agent_settings_sli(sli, &definition);
        if (definition.window_seconds && sli_new(&definition, &compiled, &fault))
            settings_mistake(read, sli, "%s", fault.text);
        sli_free(compiled);
    }
}

static void check_health(struct settings *read, const struct agent_settings *settings) {
    for (size_t i = 0; i < settings->health.count; i++) {
        const struct health_settings *const check = &settings->health.items[i];
        if (!check->id.size) continue;
        for (size_t other = 0; other < i; other++)
            if (slice_equal(check->id, settings->health.items[other].id)) {
                settings_mistake(read, &check->id, "another health check is called '%.*s' already",
                                 SLICE_ARG(check->id));
                break;
            }
        const bool target = check->target.size > 0, probe = check->probe.size > 0;
        if (target == probe) {
            settings_mistake(read, check, "give one of target and probe");
            continue;
        }
        if (target && !has_target(settings, check->target)) {
            settings_mistake(
                read, &check->target,
                has_group(settings, check->target)
                    ? "'%.*s' is a discovery or Prometheus, and a health check is of one target: pods are judged by "
                      "cluster_health, many targets together by an SLO"
                    : "there is no target '%.*s'",
                SLICE_ARG(check->target));
            continue;
        }
        if (probe && !has_probe(settings, check->probe)) {
            settings_mistake(read, &check->probe, "there is no probe '%.*s'", SLICE_ARG(check->probe));
            continue;
        }
        struct health_check definition;
        struct health *compiled = NULL;
        struct fault fault;
        agent_settings_health(check, &definition);
        if (health_new(&definition, 1, &check->target, target, &check->probe, probe, 0, &compiled, &fault))
            settings_mistake(read, check, "%s", fault.text);
        health_free(compiled);
    }
}

/* An agent called as its node, as a DaemonSet does: the node's full name stays in node_name. */
static void name_after_node(struct arena *arena, struct agent_settings *settings) {
    if (settings->name.size && slice_equal(settings->name, settings->node_name))
        node_agent_name(settings->tenant, settings->node_name, arena, &settings->name); /* else: refused as too long */
}

/* After the rows: what they cannot say, and all mistakes as text. */
static fault_code finish(struct settings *read, fault_code code, struct arena *arena, struct agent_settings *settings,
                         struct setting_texts *ret_mistakes, struct fault *reterr) {
    if (code == FAULT_NONE || code == FAULT_INPUT) {
        name_after_node(arena, settings);
        check_identity(read, settings);
        check_ways_out(read, settings);
        check_targets(read, settings);
        kube_settings_check(read, settings->kubernetes.items, settings->kubernetes.count);
        argocd_settings_check(read, settings->argocd.items, settings->argocd.count, settings->kubernetes.items,
                              settings->kubernetes.count, settings->environment_id);
        prometheus_settings_check(read, settings->discovery.items, settings->discovery.count,
                                  settings->prometheus_apis.items, settings->prometheus_apis.count);
        check_discoveries(read, settings);
        check_slis(read, settings);
        alert_settings_check(read, &settings->alerts);
        diagnose_settings_check(read, &settings->diagnostics);
        check_health(read, settings);
        for (size_t i = 0; i < settings->kubernetes.count; i++)
            if (!is_id(settings->kubernetes.items[i].cluster_id))
                settings_mistake(read, &settings->kubernetes.items[i].cluster_id,
                                 "may have A-Z, a-z, 0-9, '.', '_' and '-' only");
        cluster_health_settings_check(read, &settings->cluster_health);
        code = settings_result(read, reterr);
    }
    const size_t count = settings_mistakes_count(read);
    slice *const items = count ? arena_alloc_array(arena, count, sizeof *items) : NULL;
    for (size_t i = 0; items && i < count; i++) items[i] = slice_from_text(settings_mistake_at(read, i));
    *ret_mistakes = (struct setting_texts){items, items ? count : 0};
    return code;
}

fault_code agent_settings_read(const char *path, char *const *environment, struct arena *arena,
                               struct agent_settings *ret_settings, struct setting_texts *ret_mistakes,
                               struct fault *reterr) {
    *ret_mistakes = (struct setting_texts){0};
    struct settings *const read = settings_new(&agent_setting_table, arena);
    if (!read) return fault_set(reterr, FAULT_LIMIT, "read '%s': out of memory", path);
    return finish(read, settings_read_file(read, path, environment, ret_settings, reterr), arena, ret_settings,
                  ret_mistakes, reterr);
}

fault_code agent_settings_read_text(const char *file_name, slice yaml, char *const *environment, struct arena *arena,
                                    struct agent_settings *ret_settings, struct setting_texts *ret_mistakes,
                                    struct fault *reterr) {
    *ret_mistakes = (struct setting_texts){0};
    struct settings *const read = settings_new(&agent_setting_table, arena);
    if (!read) return fault_set(reterr, FAULT_LIMIT, "read '%s': out of memory", file_name);
    return finish(read, settings_read_text(read, file_name, yaml, environment, ret_settings, reterr), arena,
                  ret_settings, ret_mistakes, reterr);
}
