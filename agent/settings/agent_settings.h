/* SPDX-License-Identifier: Apache-2.0
 * The agent's configuration: rows (agent_settings.c) that give the file's grammar, its checks, --help, the sample and
 * REFERENCE.md, and what rows cannot say (names that must exist, selectors that must parse). Slices live as long as
 * the arena that was read into. Read by any thread, changed by none. */
#ifndef PICKET_AGENT_AGENT_SETTINGS_H
#define PICKET_AGENT_AGENT_SETTINGS_H

#include "agent/alert/alert_settings.h"
#include "agent/collect/argocd/argocd_settings.h"
#include "agent/collect/kubernetes/kube_settings.h"
#include "agent/enrol/enrol_settings.h"
#include "agent/collect/prometheus/prometheus_settings.h"
#include "agent/health/cluster_health_settings.h"
#include "agent/health/health.h"
#include "agent/window/sli.h"
#include "agent/diagnose/diagnose_settings.h"
#include "common/settings/settings.h"

enum {
    AGENT_TARGETS_MAX = 1000,
    AGENT_PROBES_MAX = 1000,
    AGENT_SLIS_MAX = 10000,
    AGENT_HEALTH_MAX = 1000,
    KUBE_CLUSTERS_MAX = 64
};

struct target_settings {
    slice name, url;
    int64_t interval_ms, timeout_ms, bytes_max; /* 0: those of scrape.* */
    int fallback_format;                        /* enum exposition_format */
    struct access_settings access;
};

struct probe_settings {
    slice name, url, tcp; /* one of url and tcp (host:port) */
    int64_t interval_ms, timeout_ms, status_min, status_max;
    struct access_settings access;
};

struct sli_settings {
    double objective_percent; /* 0: none */
    slice slo_id, good, bad, total, divisor;
    int kind, comparison; /* enum sli_kind, enum sli_operator */
    double threshold;
    int64_t latency_ms_max, window_ms;
    struct setting_texts targets;
};

struct health_settings {
    slice id, target, probe, selector; /* one of target and probe */
    int comparison, severity;          /* enum sli_operator; 0 unhealthy, 1 degraded */
    double threshold;
    int64_t latency_ms_max, rise, fall, stale_ms, heartbeat_ms;
    slice resource_type, resource_id;
};

struct agent_settings {
    slice tenant, name, cluster_id, environment_id, node_name;
    int log_level, log_format;
    slice log_debug;
    struct {
        slice path;
        int64_t bytes_max, health_percent, windows_percent, commit_ms, commit_bytes;
    } buffer;
    struct {
        slice host, ca, certificate, key, server_name;
        int64_t port, keep_alive_ms, connect_timeout_ms, backoff_ms_min, backoff_ms_max;
        bool plain_text;
    } mqtt;
    struct {
        int64_t inflight_max, inflight_bytes_max, batch_bytes, batch_intents, resend_ms, outage_ms, status_ms;
    } ship;
    struct {
        slice address;
        int64_t port;
    } http;
    struct {
        int64_t interval_ms, timeout_ms, bytes_max, connections_max;
    } scrape;
    struct {
        int64_t series_max, series_forget_ms, gap_windows_max;
    } fold;
    struct {
        int64_t probation_ms;
    } config;
    struct {
        int64_t stall_ms;
    } ready;
    struct enrol_settings enrolment;
    struct alert_settings alerts;
    struct diagnose_settings diagnostics;
    struct {
        struct target_settings *items;
        size_t count;
    } targets;
    struct {
        struct kube_cluster_settings *items;
        size_t count;
    } kubernetes;
    struct {
        struct argocd_settings *items;
        size_t count;
    } argocd;
    struct {
        struct discovery_settings *items;
        size_t count;
    } discovery;
    struct {
        struct prometheus_api_settings *items;
        size_t count;
    } prometheus_apis;
    struct {
        struct probe_settings *items;
        size_t count;
    } probes;
    struct {
        struct sli_settings *items;
        size_t count;
    } slis;
    struct {
        struct health_settings *items;
        size_t count;
    } health;
    struct cluster_health_settings cluster_health;
};

extern const struct setting_table agent_setting_table;

/* Reads and checks a file (and the environment, which may be NULL). Every mistake is kept as a line of text;
 * FAULT_INPUT when there are some. ret_mistakes is in the arena, valid whatever is returned. */
fault_code agent_settings_read(const char *path, char *const *environment, struct arena *arena,
                               struct agent_settings *ret_settings, struct setting_texts *ret_mistakes,
                               struct fault *reterr) MUST_CHECK;
/* The same from memory; file_name stands in the messages. */
fault_code agent_settings_read_text(const char *file_name, slice yaml, char *const *environment, struct arena *arena,
                                    struct agent_settings *ret_settings, struct setting_texts *ret_mistakes,
                                    struct fault *reterr) MUST_CHECK;

/* Definitions as window/ wants them; slices are the settings'. */
void agent_settings_sli(const struct sli_settings *settings, struct sli_definition *ret_definition);
void agent_settings_health(const struct health_settings *settings, struct health_check *ret_check);

#endif
