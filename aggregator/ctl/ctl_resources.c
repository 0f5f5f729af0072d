/* SPDX-License-Identifier: Apache-2.0
 * Rows only. Each path of a method is checked against the contract's tables by a test, and each column
 * against the fields of the message that it shows. */
#include "aggregator/ctl/ctl_resources.h"

#include <string.h>

#define CORE(method) "/ameide_core_proto.sre.core.v1." method
#define EDGE(method) "/ameide_core_proto.sre.edge.v1." method

static const struct ctl_column slo_columns[] = {
    {"ID", "sloId", CTL_FORMAT_TEXT},           {"TARGET", "target", CTL_FORMAT_PERCENT},
    {"WINDOW", "window", CTL_FORMAT_ENUM},      {"BUDGET LEFT", "budget.currentBudgetRemaining", CTL_FORMAT_BUDGET},
    {"GOOD", "budget.good", CTL_FORMAT_NUMBER}, {"TOTAL", "budget.total", CTL_FORMAT_NUMBER},
    {"SEEN", "budget", CTL_FORMAT_SEEN},        {"LAST WINDOW", "budget.lastWindowAt", CTL_FORMAT_AGE},
    {"NAME", "name", CTL_FORMAT_TEXT},          {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column window_columns[] = {
    {"AT", "at", CTL_FORMAT_TIME},
    {"GOOD", "good", CTL_FORMAT_NUMBER},
    {"TOTAL", "total", CTL_FORMAT_NUMBER},
    {"RATIO", "ratio", CTL_FORMAT_RATIO},
    {"SEEN", "", CTL_FORMAT_SEEN},
    {"STATE", "unknown", CTL_FORMAT_STATE},
    {"CLUSTER", "^clusterId", CTL_FORMAT_TEXT},
    {"AGENT", "^agent", CTL_FORMAT_TEXT},
    {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column burndown_columns[] = {
    {"AT", "at", CTL_FORMAT_TIME},
    {"BUDGET LEFT", "budgetRemaining", CTL_FORMAT_PERCENT},
    {"BURN RATE", "burnRate", CTL_FORMAT_REAL},
    {"GOOD", "good", CTL_FORMAT_NUMBER},
    {"TOTAL", "total", CTL_FORMAT_NUMBER},
    {"SEEN", "", CTL_FORMAT_SEEN},
    {"STATE", "unknown", CTL_FORMAT_STATE},
    {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column health_columns[] = {
    {"ID", "healthcheckId", CTL_FORMAT_TEXT},
    {"STATUS", "status", CTL_FORMAT_ENUM},
    {"SINCE", "statusSince", CTL_FORMAT_AGE},
    {"SEEN", "timestamp", CTL_FORMAT_AGE},
    {"TYPE", "resourceRef.type", CTL_FORMAT_TEXT},
    {"RESOURCE", "resourceRef.id", CTL_FORMAT_TEXT},
    {"AGENT", "agent", CTL_FORMAT_TEXT},
    {"MESSAGE", "message", CTL_FORMAT_TEXT},
    {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column fleet_columns[] = {
    {"ENVIRONMENT", "environmentId", CTL_FORMAT_TEXT},
    {"CLUSTER", "clusterId", CTL_FORMAT_TEXT},
    {"STATUS", "status", CTL_FORMAT_ENUM},
    {"HEALTHY", "healthyCount", CTL_FORMAT_NUMBER},
    {"DEGRADED", "degradedCount", CTL_FORMAT_NUMBER},
    {"UNHEALTHY", "unhealthyCount", CTL_FORMAT_NUMBER},
    {"UNKNOWN", "unknownCount", CTL_FORMAT_NUMBER},
    {"ALERTS", "firingAlertsCount", CTL_FORMAT_NUMBER},
    {"INCIDENTS", "openIncidentsCount", CTL_FORMAT_NUMBER},
    {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column alert_columns[] = {
    {"ID", "alertId", CTL_FORMAT_TEXT},          {"NAME", "name", CTL_FORMAT_TEXT},
    {"SEVERITY", "severity", CTL_FORMAT_ENUM},   {"STATUS", "status", CTL_FORMAT_ENUM},
    {"STARTED", "startsAt", CTL_FORMAT_AGE},     {"CLUSTER", "clusterId", CTL_FORMAT_TEXT},
    {"INCIDENT", "incidentId", CTL_FORMAT_TEXT}, {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column incident_columns[] = {
    {"ID", "incidentId", CTL_FORMAT_TEXT},   {"SEVERITY", "severity", CTL_FORMAT_ENUM},
    {"STATUS", "status", CTL_FORMAT_ENUM},   {"ASSIGNED", "assignedTo", CTL_FORMAT_TEXT},
    {"OPENED", "createdAt", CTL_FORMAT_AGE}, {"TITLE", "title", CTL_FORMAT_TEXT},
    {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column fact_columns[] = {
    {"SEQUENCE", "sequence", CTL_FORMAT_NUMBER},
    {"AT", "meta.occurredAt", CTL_FORMAT_TIME},
    {"FACT", "", CTL_FORMAT_KIND},
    {"AGGREGATE", "subject.aggregateType", CTL_FORMAT_TEXT},
    {"ID", "subject.aggregateId", CTL_FORMAT_TEXT},
    {"VERSION", "subject.aggregateVersion", CTL_FORMAT_NUMBER},
    {"PRODUCER", "meta.producer", CTL_FORMAT_TEXT},
    {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column rejection_columns[] = {
    {"ID", "rejectionId", CTL_FORMAT_NUMBER}, {"AT", "rejectedAt", CTL_FORMAT_AGE},
    {"SOURCE", "source", CTL_FORMAT_ENUM},    {"PRODUCER", "producer", CTL_FORMAT_TEXT},
    {"CODE", "code", CTL_FORMAT_TEXT},        {"INTENT", "intentType", CTL_FORMAT_TEXT},
    {"REASON", "reason", CTL_FORMAT_TEXT},    {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column agent_columns[] = {
    {"AGENT", "status.agent", CTL_FORMAT_TEXT},
    {"ONLINE", "status.online", CTL_FORMAT_YES},
    {"LAST SEEN", "lastSeenAt", CTL_FORMAT_AGE},
    {"COMMITTED", "intentsCommitted", CTL_FORMAT_NUMBER},
    {"LOST", "intentsLost", CTL_FORMAT_NUMBER},
    {"REJECTED", "intentsRejected", CTL_FORMAT_NUMBER},
    {"VERSION", "status.version", CTL_FORMAT_TEXT},
    {"CONFIG ERROR", "status.configError", CTL_FORMAT_TEXT},
    {NULL, NULL, CTL_FORMAT_TEXT},
};

const struct ctl_resource ctl_resources[] = {
    {.name = "slos",
     .aliases = "slo",
     .list_path = CORE("SLOService/ListSLOs"),
     .list_items = "slos",
     .list_pages = true,
     .get_path = CORE("SLOService/GetSLO"),
     .get_field = "sloId",
     .get_item = "slo",
     .describe_also = "windows",
     .fact_types = "slo",
     .columns = slo_columns,
     .help = "service level objectives with their budgets"},
    {.name = "windows",
     .aliases = "window series",
     .list_path = CORE("SLOQueryService/GetSLITimeSeries"),
     .list_items = "series.points",
     .list_parent = "sloId",
     .list_by_time = true,
     .fact_types = "slo",
     .columns = window_columns,
     .help = "what was measured for one SLO, window by window; gaps are unknown"},
    {.name = "burndown",
     .aliases = "budget",
     .list_path = CORE("SLOQueryService/GetSLOBurndown"),
     .list_items = "points",
     .list_parent = "sloId",
     .list_by_time = true,
     .fact_types = "slo",
     .columns = burndown_columns,
     .help = "one SLO's error budget over time"},
    {.name = "health",
     .aliases = "healthchecks healthcheck hc",
     .list_path = CORE("FleetHealthQueryService/ListHealthChecks"),
     .list_items = "healthChecks",
     .list_pages = true,
     .get_path = CORE("FleetHealthQueryService/GetHealthCheck"),
     .get_field = "healthcheckId",
     .get_item = "healthCheck",
     .fact_types = "health_check",
     .columns = health_columns,
     .help = "health checks; past its expiry a check is unknown"},
    {.name = "fleet",
     .aliases = "environments",
     .list_path = CORE("FleetHealthQueryService/ListEnvironmentHealth"),
     .list_items = "environments",
     .list_pages = true,
     .fact_types = "health_check fleet_state alert incident",
     .columns = fleet_columns,
     .help = "the health of environments and clusters, counted"},
    {.name = "alerts",
     .aliases = "alert",
     .list_path = CORE("AlertQueryService/ListActiveAlerts"),
     .list_items = "alerts",
     .list_pages = true,
     .get_path = CORE("AlertService/GetAlert"),
     .get_field = "alertId",
     .get_item = "alert",
     .fact_types = "alert",
     .columns = alert_columns,
     .help = "alerts that are firing or acknowledged"},
    {.name = "incidents",
     .aliases = "incident inc",
     .list_path = CORE("IncidentService/ListOpenIncidents"),
     .list_items = "incidents",
     .list_pages = true,
     .get_path = CORE("IncidentService/GetIncident"),
     .get_field = "incidentId",
     .get_item = "incident",
     .fact_types = "incident",
     .columns = incident_columns,
     .help = "incidents that are not closed"},
    {.name = "facts",
     .aliases = "fact",
     .list_path = CORE("FactService/ListFacts"),
     .list_items = "facts",
     .list_by_sequence = true,
     .columns = fact_columns,
     .help = "what was decided, in order; the journal itself"},
    {.name = "rejections",
     .aliases = "rejection rejected",
     .list_path = CORE("RejectionService/ListRejections"),
     .list_items = "rejections",
     .list_pages = true,
     .get_path = CORE("RejectionService/GetRejection"),
     .get_field = "rejectionId",
     .get_item = "rejection",
     .columns = rejection_columns,
     .help = "messages that were refused, kept whole with the reason"},
    {.name = "agents",
     .aliases = "agent",
     .list_path = EDGE("AgentService/ListAgents"),
     .list_items = "agents",
     .list_pages = true,
     .get_path = EDGE("AgentService/GetAgent"),
     .get_field = "agent",
     .get_item = "agent",
     .columns = agent_columns,
     .help = "agents with their queues and targets"},
};
const size_t ctl_resources_count = sizeof ctl_resources / sizeof *ctl_resources;

const struct ctl_kind ctl_kinds[] = {
    {"SLO", CORE("SLOService/CreateSLO"),
     "kind: SLO\nslo_id: checkout-availability\nname: Checkout answers\ntarget: 99.9\nwindow: "
     "SLO_WINDOW_28D\n"
     "sli_spec:\n  counter_ratio:\n    good_selector: http_requests_total{code!~\"5..\"}\n"
     "    total_selector: http_requests_total\n  targets: [checkout]\n  window_seconds: 60\n"},
    {"Incident", CORE("IncidentService/CreateIncident"),
     "kind: Incident\ntitle: Checkout is slow\nseverity: SEVERITY_HIGH\nsource: INCIDENT_SOURCE_MANUAL\n"},
    {"Alert", CORE("AlertService/IngestAlert"),
     "kind: Alert\nfingerprint: 3f2a\nname: HighLatency\nseverity: SEVERITY_HIGH\nstatus: "
     "ALERT_STATUS_FIRING\n"
     "source: ALERT_SOURCE_CUSTOM\nstarts_at: 2026-01-31T09:30:00Z\n"},
    {"HealthCheck", CORE("HealthService/RecordHealthCheck"),
     "kind: HealthCheck\nhealthcheck_id: edge-1-dns\nresource_ref: {type: node, id: edge-1}\n"
     "timestamp: 2026-01-31T09:30:00Z\nstatus: HEALTH_STATUS_HEALTHY\nsource: HEALTH_SOURCE_PROBE\n"},
};
const size_t ctl_kinds_count = sizeof ctl_kinds / sizeof *ctl_kinds;

static bool has_word(const char *words, const char *word) {
    const size_t size = strlen(word);
    for (const char *at = words; size && (at = strstr(at, word)); at += size)
        if ((at == words || at[-1] == ' ') && (at[size] == ' ' || at[size] == '\0')) return true;
    return false;
}

const struct ctl_resource *ctl_resource_find(const char *name) {
    for (size_t i = 0; i < ctl_resources_count; i++)
        if (strcmp(ctl_resources[i].name, name) == 0 || has_word(ctl_resources[i].aliases, name))
            return &ctl_resources[i];
    return NULL;
}
