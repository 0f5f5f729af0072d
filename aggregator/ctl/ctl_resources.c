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
static const struct ctl_column incident_wide[] = {
    {"SERVICE", "serviceId", CTL_FORMAT_TEXT}, {"CLUSTER", "clusterId", CTL_FORMAT_TEXT},
    {"SOURCE", "source", CTL_FORMAT_ENUM},     {"UPDATED", "updatedAt", CTL_FORMAT_AGE},
    {"VERSION", "version", CTL_FORMAT_NUMBER}, {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column alert_wide[] = {
    {"SOURCE", "source", CTL_FORMAT_ENUM},
    {"SILENCED UNTIL", "silencedUntil", CTL_FORMAT_TIME},
    {"ACKNOWLEDGED BY", "acknowledgedBy", CTL_FORMAT_TEXT},
    {"EXPIRES", "expiresAt", CTL_FORMAT_TIME},
    {"TIMES", "occurrences", CTL_FORMAT_NUMBER},
    {"VERSION", "version", CTL_FORMAT_NUMBER},
    {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column slo_wide[] = {
    {"SERVICE", "serviceId", CTL_FORMAT_TEXT},
    {"OWNER", "owner", CTL_FORMAT_TEXT},
    {"COUNTS", "budgetingMethod", CTL_FORMAT_ENUM},
    {"VERSION", "version", CTL_FORMAT_NUMBER},
    {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column runbook_columns[] = {
    {"ID", "runbookId", CTL_FORMAT_TEXT},
    {"AUTOMATION", "automationLevel", CTL_FORMAT_ENUM},
    {"APPROVAL", "approvalRequired", CTL_FORMAT_YES},
    {"SERVICE", "serviceId", CTL_FORMAT_TEXT},
    {"OWNER", "owner", CTL_FORMAT_TEXT},
    {"TITLE", "title", CTL_FORMAT_TEXT},
    {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column runbook_wide[] = {
    {"TAGS", "tags", CTL_FORMAT_LIST},
    {"TRIGGERS", "triggerConditions", CTL_FORMAT_LIST},
    {"UPDATED", "updatedAt", CTL_FORMAT_AGE},
    {"VERSION", "version", CTL_FORMAT_NUMBER},
    {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column execution_columns[] = {
    {"ID", "executionId", CTL_FORMAT_TEXT},         {"RUNBOOK", "runbookId", CTL_FORMAT_TEXT},
    {"STATUS", "status", CTL_FORMAT_ENUM},          {"INCIDENT", "incidentId", CTL_FORMAT_TEXT},
    {"ASKED BY", "requestedBy", CTL_FORMAT_TEXT},   {"ASKED", "requestedAt", CTL_FORMAT_AGE},
    {"APPROVED BY", "approvedBy", CTL_FORMAT_TEXT}, {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column execution_wide[] = {
    {"STARTED", "startedAt", CTL_FORMAT_AGE},
    {"DEADLINE", "deadlineAt", CTL_FORMAT_TIME},
    {"REASON", "reason", CTL_FORMAT_TEXT},
    {"VERSION", "version", CTL_FORMAT_NUMBER},
    {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column service_columns[] = {
    {"ID", "serviceId", CTL_FORMAT_TEXT},
    {"TIER", "tier", CTL_FORMAT_ENUM},
    {"OWNER", "owner", CTL_FORMAT_TEXT},
    {"ON CALL", "onCallSchedule", CTL_FORMAT_TEXT},
    {"NEEDS", "dependencies", CTL_FORMAT_SIZE},
    {"NAME", "name", CTL_FORMAT_TEXT},
    {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column service_wide[] = {
    {"TEAM", "team", CTL_FORMAT_TEXT},           {"TAGS", "tags", CTL_FORMAT_LIST},
    {"RUNBOOKS", "runbookIds", CTL_FORMAT_LIST}, {"REPOSITORY", "repositoryUrl", CTL_FORMAT_TEXT},
    {"VERSION", "version", CTL_FORMAT_NUMBER},   {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column postmortem_columns[] = {
    {"ID", "postmortemId", CTL_FORMAT_TEXT},
    {"STATUS", "status", CTL_FORMAT_ENUM},
    {"SEVERITY", "severity", CTL_FORMAT_ENUM},
    {"SERVICE", "serviceId", CTL_FORMAT_TEXT},
    {"REVISION", "revision", CTL_FORMAT_NUMBER},
    {"TITLE", "title", CTL_FORMAT_TEXT},
    {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column postmortem_wide[] = {
    {"INCIDENTS", "incidentIds", CTL_FORMAT_LIST}, {"AUTHORS", "authors", CTL_FORMAT_LIST},
    {"ACTIONS", "actionItems", CTL_FORMAT_SIZE},   {"UPDATED", "updatedAt", CTL_FORMAT_AGE},
    {"VERSION", "version", CTL_FORMAT_NUMBER},     {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column fleet_state_columns[] = {
    {"ENVIRONMENT", "environmentId", CTL_FORMAT_TEXT},
    {"CLUSTER", "clusterId", CTL_FORMAT_TEXT},
    {"AT", "timestamp", CTL_FORMAT_AGE},
    {"EXPIRES", "expiresAt", CTL_FORMAT_UNTIL},
    {"APPLICATIONS", "totalApplications", CTL_FORMAT_NUMBER},
    {"HEALTHY", "healthyCount", CTL_FORMAT_NUMBER},
    {"DEGRADED", "degradedCount", CTL_FORMAT_NUMBER},
    {"PROGRESSING", "progressingCount", CTL_FORMAT_NUMBER},
    {"SUSPENDED", "suspendedCount", CTL_FORMAT_NUMBER},
    {"MISSING", "missingCount", CTL_FORMAT_NUMBER},
    {"UNKNOWN", "unknownCount", CTL_FORMAT_NUMBER},
    {"OUT OF SYNC", "outOfSyncCount", CTL_FORMAT_NUMBER},
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
    {"STATE", "state", CTL_FORMAT_ENUM},
    {"LAST SEEN", "lastSeenAt", CTL_FORMAT_AGE},
    {"WAITING", "recordsWaiting", CTL_FORMAT_NUMBER},
    {"OLDEST", "oldestWaitingAt", CTL_FORMAT_AGE},
    {"LOST", "intentsLost", CTL_FORMAT_NUMBER},
    {"CONFIG", "status.config.state", CTL_FORMAT_ENUM},
    {"CERTIFICATE ENDS", "status.certificate", CTL_FORMAT_ENDS},
    {"VERSION", "status.version", CTL_FORMAT_TEXT},
    {"CONFIG ERROR", "status.configError", CTL_FORMAT_TEXT},
    {"STORE ERROR", "status.storeError", CTL_FORMAT_TEXT},
    {NULL, NULL, CTL_FORMAT_TEXT},
};
static const struct ctl_column agent_wide[] = {
    {"COMMITTED", "intentsCommitted", CTL_FORMAT_NUMBER},
    {"REJECTED", "intentsRejected", CTL_FORMAT_NUMBER},
    {"REVISION", "status.configRevision", CTL_FORMAT_NUMBER},
    {"PUBLISHED", "configRevision", CTL_FORMAT_NUMBER},
    {"CAN", "status.capabilities", CTL_FORMAT_LIST},
    {"WHY", "stateReason", CTL_FORMAT_TEXT},
    {NULL, NULL, CTL_FORMAT_TEXT},
};

const struct ctl_resource ctl_resources[] = {
    {.name = "slos",
     .one = "slo",
     .aliases = "",
     .list_path = CORE("SLOService/ListSLOs"),
     .list_items = "slos",
     .list_pages = true,
     .get_path = CORE("SLOService/GetSLO"),
     .get_field = "sloId",
     .get_item = "slo",
     .describe_also = "windows",
     .fact_types = "slo",
     .columns = slo_columns,
     .wide = slo_wide,
     .help = "service level objectives with their budgets"},
    {.name = "windows",
     .one = "window",
     .aliases = "series",
     .list_path = CORE("SLOQueryService/GetSLITimeSeries"),
     .list_items = "series.points",
     .list_parent = "sloId",
     .list_by_time = true,
     .fact_types = "slo",
     .columns = window_columns,
     .help = "what was measured for one SLO, window by window; gaps are unknown"},
    {.name = "burndown",
     .one = "point",
     .aliases = "budget",
     .list_path = CORE("SLOQueryService/GetSLOBurndown"),
     .list_items = "points",
     .list_parent = "sloId",
     .list_by_time = true,
     .fact_types = "slo",
     .columns = burndown_columns,
     .help = "one SLO's error budget over time"},
    {.name = "health",
     .one = "healthcheck",
     .aliases = "healthchecks hc",
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
     .one = "environment",
     .aliases = "environments",
     .list_path = CORE("FleetHealthQueryService/ListEnvironmentHealth"),
     .list_items = "environments",
     .list_pages = true,
     .fact_types = "health_check fleet_state alert incident",
     .columns = fleet_columns,
     .help = "the health of environments and clusters, counted"},
    {.name = "alerts",
     .one = "alert",
     .aliases = "al",
     .list_path = CORE("AlertQueryService/ListActiveAlerts"),
     .list_items = "alerts",
     .list_pages = true,
     .get_path = CORE("AlertService/GetAlert"),
     .get_field = "alertId",
     .get_item = "alert",
     .fact_types = "alert",
     .columns = alert_columns,
     .wide = alert_wide,
     .help = "alerts that are firing, acknowledged or silenced"},
    {.name = "incidents",
     .one = "incident",
     .aliases = "inc",
     .list_path = CORE("IncidentService/ListOpenIncidents"),
     .list_items = "incidents",
     .list_pages = true,
     .get_path = CORE("IncidentService/GetIncident"),
     .get_field = "incidentId",
     .get_item = "incident",
     .fact_types = "incident",
     .columns = incident_columns,
     .wide = incident_wide,
     .help = "incidents that are neither resolved nor closed"},
    {.name = "runbooks",
     .one = "runbook",
     .aliases = "rb",
     .list_path = CORE("RunbookService/ListRunbooks"),
     .list_items = "runbooks",
     .list_pages = true,
     .get_path = CORE("RunbookService/GetRunbook"),
     .get_field = "runbookId",
     .get_item = "runbook",
     .fact_types = "runbook",
     .columns = runbook_columns,
     .wide = runbook_wide,
     .help = "procedures, with the alerts that they are for"},
    {.name = "executions",
     .one = "execution",
     .aliases = "exec ex",
     .list_path = CORE("RunbookService/ListOpenRunbookExecutions"),
     .list_items = "executions",
     .list_pages = true,
     .get_path = CORE("RunbookService/GetRunbookExecution"),
     .get_field = "executionId",
     .get_item = "execution",
     .fact_types = "runbook_execution",
     .columns = execution_columns,
     .wide = execution_wide,
     .help = "runs of runbooks that wait for approval or go on"},
    {.name = "services",
     .one = "service",
     .aliases = "svc",
     .list_path = CORE("ServiceCatalogService/ListServices"),
     .list_items = "services",
     .list_pages = true,
     .get_path = CORE("ServiceCatalogService/GetService"),
     .get_field = "serviceId",
     .get_item = "service",
     .fact_types = "service",
     .columns = service_columns,
     .wide = service_wide,
     .help = "the catalog: who owns what, who is on call, what needs what"},
    {.name = "postmortems",
     .one = "postmortem",
     .aliases = "pm",
     .list_path = CORE("PostmortemService/ListPostmortems"),
     .list_items = "postmortems",
     .list_pages = true,
     .get_path = CORE("PostmortemService/GetPostmortem"),
     .get_field = "postmortemId",
     .get_item = "postmortem",
     .fact_types = "postmortem",
     .columns = postmortem_columns,
     .wide = postmortem_wide,
     .help = "what was learned of incidents"},
    {.name = "fleetstates",
     .one = "fleetstate",
     .aliases = "fs",
     .list_items = "fleetStates",
     .get_path = CORE("HealthService/GetCurrentFleetState"),
     .get_field = "environmentId",
     .get_item = "fleetState",
     .fact_types = "fleet_state",
     .columns = fleet_state_columns,
     .help = "the newest snapshot of one environment; narrow it with -w clusterId=..."},
    {.name = "facts",
     .one = "fact",
     .aliases = "",
     .list_path = CORE("FactService/ListFacts"),
     .list_items = "facts",
     .list_by_sequence = true,
     .columns = fact_columns,
     .help = "what was decided, in order; the journal itself"},
    {.name = "rejections",
     .one = "rejection",
     .aliases = "rejected",
     .list_path = CORE("RejectionService/ListRejections"),
     .list_items = "rejections",
     .list_pages = true,
     .get_path = CORE("RejectionService/GetRejection"),
     .get_field = "rejectionId",
     .get_item = "rejection",
     .columns = rejection_columns,
     .help = "messages that were refused, kept whole with the reason"},
    {.name = "agents",
     .one = "agent",
     .aliases = "",
     .list_path = EDGE("AgentService/ListAgents"),
     .list_items = "agents",
     .list_pages = true,
     .get_path = EDGE("AgentService/GetAgent"),
     .get_field = "agent",
     .get_item = "agent",
     .columns = agent_columns,
     .wide = agent_wide,
     .help = "agents with their queues and targets"},
};
const size_t ctl_resources_count = sizeof ctl_resources / sizeof *ctl_resources;

const struct ctl_kind ctl_kinds[] = {
    {"SLO", CORE("SLOService/CreateSLO"), CORE("SLOService/UpdateSLO"), "slos", "sloId", NULL, false,
     "kind: SLO\nslo_id: checkout-availability\nname: Checkout answers\ntarget: 99.9\nwindow: "
     "SLO_WINDOW_28D\n"
     "sli_spec:\n  counter_ratio:\n    good_selector: http_requests_total{code!~\"5..\"}\n"
     "    total_selector: http_requests_total\n  targets: [checkout]\n  window_seconds: 60\n"},
    {"Service", CORE("ServiceCatalogService/CreateService"), CORE("ServiceCatalogService/UpdateService"), "services",
     "serviceId", "dependencies", false,
     "kind: Service\nservice_id: checkout\nname: Checkout\nowner: team-shop\ntier: SERVICE_TIER_CRITICAL\n"
     "on_call_schedule: pagerduty:PI7DH85\ndependencies:\n  - {service_id: payments, critical: true}\n"
     "selectors:\n  - match_labels: {app: checkout}\n"},
    {"Runbook", CORE("RunbookService/CreateRunbook"), CORE("RunbookService/UpdateRunbook"), "runbooks", "runbookId",
     NULL, false,
     "kind: Runbook\nrunbook_id: restart-checkout\ntitle: Restart checkout\ntrigger_conditions: [CheckoutDown]\n"
     "automation_level: AUTOMATION_LEVEL_ASSISTED\napproval_required: true\nsteps:\n"
     "  - step_id: look\n    title: Look at the dashboard\n    link: https://grafana.example/d/checkout\n"
     "  - step_id: restart\n    title: Restart it\n    command: kubectl rollout restart deploy/checkout\n"
     "    timeout_seconds: 120\n    expected_result: every pod is Ready\n"},
    {"Postmortem", CORE("PostmortemService/CreatePostmortem"), CORE("PostmortemService/UpdatePostmortem"),
     "postmortems", "postmortemId", NULL, false,
     "kind: Postmortem\npostmortem_id: 2026-01-checkout\ntitle: Checkout was down for ten minutes\n"
     "incident_ids: [inc-1]\nseverity: SEVERITY_HIGH\nsummary: A pool ran dry.\nroot_cause: The limit was never "
     "raised.\n"
     "root_cause_category: capacity\ncontributing_factors: [no alert on the pool]\naction_items:\n"
     "  - {action_item_id: a1, title: Alert on the pool, owner: anna, status: ACTION_ITEM_STATUS_OPEN}\n"},
    {"Incident", CORE("IncidentService/CreateIncident"), NULL, "incidents", "incidentId", NULL, false,
     "kind: Incident\ntitle: Checkout is slow\nseverity: SEVERITY_HIGH\nsource: INCIDENT_SOURCE_MANUAL\n"},
    {"Alert", CORE("AlertService/IngestAlert"), NULL, NULL, "alertId", NULL, true,
     "kind: Alert\nfingerprint: 3f2a\nname: HighLatency\nseverity: SEVERITY_HIGH\nstatus: "
     "ALERT_STATUS_FIRING\n"
     "source: ALERT_SOURCE_CUSTOM\nstarts_at: 2026-01-31T09:30:00Z\n"},
    {"HealthCheck", CORE("HealthService/RecordHealthCheck"), NULL, NULL, "healthcheckId", NULL, true,
     "kind: HealthCheck\nhealthcheck_id: edge-1-dns\nresource_ref: {type: node, id: edge-1}\n"
     "timestamp: 2026-01-31T09:30:00Z\nstatus: HEALTH_STATUS_HEALTHY\nsource: HEALTH_SOURCE_PROBE\n"},
    {"FleetState", CORE("HealthService/RecordFleetState"), NULL, NULL, "fleetstateId", NULL, true,
     "kind: FleetState\nenvironment_id: production\ncluster_id: c1\ntimestamp: 2026-01-31T09:30:00Z\n"
     "total_applications: 12\nhealthy_count: 11\ndegraded_count: 1\nsource: HEALTH_SOURCE_ARGOCD\n"},
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
        if (strcmp(ctl_resources[i].name, name) == 0 || strcmp(ctl_resources[i].one, name) == 0 ||
            has_word(ctl_resources[i].aliases, name))
            return &ctl_resources[i];
    return NULL;
}

const struct ctl_kind *ctl_kind_of(const struct ctl_resource *resource) {
    for (size_t i = 0; i < ctl_kinds_count; i++)
        if (ctl_kinds[i].resource && strcmp(ctl_kinds[i].resource, resource->name) == 0) return &ctl_kinds[i];
    return NULL;
}

const struct ctl_kind *ctl_kind_find(slice kind) {
    for (size_t i = 0; i < ctl_kinds_count; i++)
        if (slice_equal_text(kind, ctl_kinds[i].kind)) return &ctl_kinds[i];
    return NULL;
}
