/* SPDX-License-Identifier: Apache-2.0
 * A row for each word, and what it depends on. To add one: a row. */
#include "agent/show/capabilities.h"

#include <assert.h>

static bool always(const struct agent_settings *settings) {
    return true;
}

static bool has_enrolment(const struct agent_settings *settings) {
    return settings->enrolment.url.size > 0;
}

static bool has_edge_alerts(const struct agent_settings *settings) {
    return !settings->alerts.disabled;
}

static bool has_webhook(const struct agent_settings *settings) {
    return !settings->alerts.disabled && settings->alerts.webhook_url.size;
}

static bool has_cluster_health(const struct agent_settings *settings) {
    return settings->kubernetes.count && !settings->cluster_health.disabled;
}

static bool has_argocd(const struct agent_settings *settings) {
    return settings->argocd.count > 0;
}

static bool has_prometheus_api(const struct agent_settings *settings) {
    return settings->prometheus_apis.count > 0;
}

static bool has_discovery(const struct agent_settings *settings) {
    return settings->discovery.count > 0;
}

static bool has_diagnostics(const struct agent_settings *settings) {
    return settings->diagnostics.allow.count > 0;
}

static const struct {
    const char *word;
    bool (*has)(const struct agent_settings *settings);
} rows[] = {
    {"prometheus_scrape", always},
    {"probe", always},
    {"config_rollback", always},
    {"edge_alerts", has_edge_alerts},
    {"edge_webhook", has_webhook},
    {"kubernetes_health", has_cluster_health},
    {"enrolment", has_enrolment},
    {"argocd", has_argocd},
    {"prometheus_api", has_prometheus_api},
    {"discovery", has_discovery},
    {"diagnostics", has_diagnostics},
};
static_assert(sizeof rows / sizeof *rows <= CAPABILITIES_MAX, "all words have a place");

size_t capabilities_of(const struct agent_settings *settings, const char *ret_words[CAPABILITIES_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].has(settings)) ret_words[count++] = rows[i].word;
    return count;
}
