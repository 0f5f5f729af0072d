/* SPDX-License-Identifier: Apache-2.0
 * Rows only. A test makes a request from each of them and has the contract check it. */
#include "aggregator/ctl/ctl_actions.h"

#include "aggregator/ctl/ctl_resources.h"
#include "sre.pb.h"

#include <stdio.h>

#define CORE(method) "/ameide_core_proto.sre.core.v1." method

#define WORD(name, field, kind)                                                                                        \
    { name, field, kind, NULL, NULL, true, NULL }
#define OPTION(name, field, kind)                                                                                      \
    { name, field, kind, NULL, NULL, false, NULL }
#define NEEDED(name, field, kind)                                                                                      \
    { name, field, kind, NULL, NULL, true, NULL }
#define ONE_OF(name, field, type, prefix, required, otherwise)                                                         \
    { name, field, CTL_VALUE_WORD, &type##_enum, prefix, required, otherwise }
#define END                                                                                                            \
    { NULL, NULL, CTL_VALUE_TEXT, NULL, NULL, false, NULL }

static const struct ctl_argument incident_create[] = {
    OPTION("--id", "incidentId", CTL_VALUE_TEXT),
    WORD("TITLE", "title", CTL_VALUE_SENTENCE),
    OPTION("--description", "description", CTL_VALUE_TEXT),
    ONE_OF("--severity", "severity", Severity, "SEVERITY_", true, NULL),
    ONE_OF("--source", "source", IncidentSource, "INCIDENT_SOURCE_", false, "\"INCIDENT_SOURCE_MANUAL\""),
    OPTION("--resource", "affectedResources", CTL_VALUE_RESOURCES),
    OPTION("--assign", "assignedTo", CTL_VALUE_TEXT),
    OPTION("--alert", "alertIds", CTL_VALUE_TEXTS),
    OPTION("--service", "serviceId", CTL_VALUE_TEXT),
    OPTION("--label", "labels", CTL_VALUE_PAIRS),
    OPTION("--environment", "environmentId", CTL_VALUE_TEXT),
    OPTION("--cluster", "clusterId", CTL_VALUE_TEXT),
    END,
};
static const struct ctl_argument incident_ack[] = {
    WORD("ID", "incidentId", CTL_VALUE_TEXT),
    OPTION("--note", "note", CTL_VALUE_TEXT),
    END,
};
static const struct ctl_argument incident_assign[] = {
    WORD("ID", "incidentId", CTL_VALUE_TEXT),
    WORD("WHO", "assignedTo", CTL_VALUE_TEXT),
    OPTION("--reason", "reason", CTL_VALUE_TEXT),
    END,
};
static const struct ctl_argument incident_with_reason[] = {
    WORD("ID", "incidentId", CTL_VALUE_TEXT),
    OPTION("--reason", "reason", CTL_VALUE_TEXT),
    END,
};
static const struct ctl_argument incident_severity[] = {
    WORD("ID", "incidentId", CTL_VALUE_TEXT),
    ONE_OF("SEVERITY", "severity", Severity, "SEVERITY_", true, NULL),
    OPTION("--reason", "reason", CTL_VALUE_TEXT),
    END,
};
static const struct ctl_argument incident_note[] = {
    WORD("ID", "incidentId", CTL_VALUE_TEXT),
    ONE_OF("--kind", "kind", TimelineEntryKind, "TIMELINE_ENTRY_KIND_", false, "\"TIMELINE_ENTRY_KIND_NOTE\""),
    WORD("TEXT", "text", CTL_VALUE_SENTENCE),
    OPTION("--link", "links", CTL_VALUE_TEXTS),
    OPTION("--at", "at", CTL_VALUE_TIME),
    END,
};
static const struct ctl_argument incident_move[] = {
    WORD("ID", "incidentId", CTL_VALUE_TEXT),
    ONE_OF("STATUS", "status", IncidentStatus, "INCIDENT_STATUS_", true, NULL),
    OPTION("--reason", "reason", CTL_VALUE_TEXT),
    END,
};
static const struct ctl_argument incident_resolve[] = {
    WORD("ID", "incidentId", CTL_VALUE_TEXT),
    WORD("RESOLUTION", "resolution", CTL_VALUE_SENTENCE),
    OPTION("--root-cause", "rootCause", CTL_VALUE_TEXT),
    END,
};
static const struct ctl_argument incident_correlate[] = {
    WORD("INCIDENT", "incidentId", CTL_VALUE_TEXT),
    WORD("ALERT", "alertIds", CTL_VALUE_TEXTS),
    OPTION("--reason", "reason", CTL_VALUE_TEXT),
    END,
};

static const struct ctl_argument alert_create[] = {
    WORD("FINGERPRINT", "fingerprint", CTL_VALUE_TEXT),
    NEEDED("--name", "name", CTL_VALUE_TEXT),
    ONE_OF("--severity", "severity", Severity, "SEVERITY_", false, NULL),
    ONE_OF("--status", "status", AlertStatus, "ALERT_STATUS_", false, "\"ALERT_STATUS_FIRING\""),
    OPTION("--label", "labels", CTL_VALUE_PAIRS),
    ONE_OF("--source", "source", AlertSource, "ALERT_SOURCE_", false, "\"ALERT_SOURCE_CUSTOM\""),
    {"--at", "startsAt", CTL_VALUE_TIME, NULL, NULL, false, "now"},
    END,
};
static const struct ctl_argument alert_ack[] = {
    WORD("ID", "alertId", CTL_VALUE_TEXT),
    OPTION("--note", "note", CTL_VALUE_TEXT),
    END,
};
static const struct ctl_argument alert_silence[] = {
    WORD("ID", "alertId", CTL_VALUE_TEXT),
    NEEDED("--for", "until", CTL_VALUE_AHEAD),
    NEEDED("--reason", "reason", CTL_VALUE_TEXT),
    END,
};
static const struct ctl_argument alert_unsilence[] = {
    WORD("ID", "alertId", CTL_VALUE_TEXT),
    OPTION("--reason", "reason", CTL_VALUE_TEXT),
    END,
};

static const struct ctl_argument slo_create[] = {
    WORD("ID", "sloId", CTL_VALUE_TEXT),
    NEEDED("--name", "name", CTL_VALUE_TEXT),
    OPTION("--description", "description", CTL_VALUE_TEXT),
    NEEDED("--target", "target", CTL_VALUE_NUMBER),
    ONE_OF("--window", "window", SLOWindow, "SLO_WINDOW_", false, "\"SLO_WINDOW_28D\""),
    OPTION("--good", "sliSpec.counterRatio.goodSelector", CTL_VALUE_TEXT),
    OPTION("--bad", "sliSpec.counterRatio.badSelector", CTL_VALUE_TEXT),
    OPTION("--total", "sliSpec.counterRatio.totalSelector", CTL_VALUE_TEXT),
    OPTION("--scrape-target", "sliSpec.targets", CTL_VALUE_TEXTS),
    OPTION("--owner", "owner", CTL_VALUE_TEXT),
    OPTION("--service", "serviceId", CTL_VALUE_TEXT),
    OPTION("--label", "labels", CTL_VALUE_PAIRS),
    END,
};

static const struct ctl_argument runbook_create[] = {
    WORD("ID", "runbookId", CTL_VALUE_TEXT),
    NEEDED("--title", "title", CTL_VALUE_TEXT),
    OPTION("--description", "description", CTL_VALUE_TEXT),
    OPTION("--trigger", "triggerConditions", CTL_VALUE_TEXTS),
    ONE_OF("--automation", "automationLevel", AutomationLevel, "AUTOMATION_LEVEL_", false, NULL),
    OPTION("--approval-required", "approvalRequired", CTL_VALUE_YES),
    OPTION("--owner", "owner", CTL_VALUE_TEXT),
    OPTION("--tag", "tags", CTL_VALUE_TEXTS),
    OPTION("--service", "serviceId", CTL_VALUE_TEXT),
    END,
};
static const struct ctl_argument runbook_execute[] = {
    WORD("RUNBOOK", "runbookId", CTL_VALUE_TEXT),       OPTION("--id", "executionId", CTL_VALUE_TEXT),
    OPTION("--incident", "incidentId", CTL_VALUE_TEXT), OPTION("--parameter", "parameters", CTL_VALUE_PAIRS),
    OPTION("--reason", "reason", CTL_VALUE_TEXT),       END,
};
static const struct ctl_argument execution_approve[] = {
    WORD("ID", "executionId", CTL_VALUE_TEXT),
    OPTION("--reason", "reason", CTL_VALUE_TEXT),
    END,
};
static const struct ctl_argument execution_reject[] = {
    WORD("ID", "executionId", CTL_VALUE_TEXT),
    NEEDED("--reason", "reason", CTL_VALUE_TEXT),
    END,
};
static const struct ctl_argument execution_step[] = {
    WORD("ID", "executionId", CTL_VALUE_TEXT),
    WORD("STEP", "result.stepId", CTL_VALUE_TEXT),
    ONE_OF("STATUS", "result.status", RunbookExecutionStatus, "RUNBOOK_EXECUTION_STATUS_", true, NULL),
    OPTION("--output-text", "result.output", CTL_VALUE_TEXT),
    END,
};
static const struct ctl_argument execution_complete[] = {
    WORD("ID", "executionId", CTL_VALUE_TEXT),
    ONE_OF("STATUS", "status", RunbookExecutionStatus, "RUNBOOK_EXECUTION_STATUS_", true, NULL),
    OPTION("--reason", "reason", CTL_VALUE_TEXT),
    END,
};

static const struct ctl_argument service_create[] = {
    WORD("ID", "serviceId", CTL_VALUE_TEXT),
    NEEDED("--name", "name", CTL_VALUE_TEXT),
    OPTION("--description", "description", CTL_VALUE_TEXT),
    OPTION("--owner", "owner", CTL_VALUE_TEXT),
    OPTION("--team", "team", CTL_VALUE_TEXT),
    ONE_OF("--tier", "tier", ServiceTier, "SERVICE_TIER_", false, NULL),
    OPTION("--depends-on", "dependencies", CTL_VALUE_SERVICES),
    OPTION("--resource", "resources", CTL_VALUE_RESOURCES),
    OPTION("--runbook", "runbookIds", CTL_VALUE_TEXTS),
    OPTION("--repository", "repositoryUrl", CTL_VALUE_TEXT),
    OPTION("--dashboard", "dashboardUrl", CTL_VALUE_TEXT),
    OPTION("--tag", "tags", CTL_VALUE_TEXTS),
    OPTION("--label", "labels", CTL_VALUE_PAIRS),
    OPTION("--on-call", "onCallSchedule", CTL_VALUE_TEXT),
    END,
};
static const struct ctl_argument service_delete[] = {
    WORD("ID", "serviceId", CTL_VALUE_TEXT),
    OPTION("--reason", "reason", CTL_VALUE_TEXT),
    END,
};

static const struct ctl_argument postmortem_create[] = {
    OPTION("--id", "postmortemId", CTL_VALUE_TEXT),
    WORD("TITLE", "title", CTL_VALUE_SENTENCE),
    OPTION("--incident", "incidentIds", CTL_VALUE_TEXTS),
    OPTION("--service", "serviceId", CTL_VALUE_TEXT),
    ONE_OF("--severity", "severity", Severity, "SEVERITY_", false, NULL),
    OPTION("--summary", "summary", CTL_VALUE_TEXT),
    OPTION("--impact", "impact", CTL_VALUE_TEXT),
    OPTION("--root-cause", "rootCause", CTL_VALUE_TEXT),
    OPTION("--lesson", "lessons", CTL_VALUE_TEXTS),
    OPTION("--author", "authors", CTL_VALUE_TEXTS),
    OPTION("--tag", "tags", CTL_VALUE_TEXTS),
    OPTION("--factor", "contributingFactors", CTL_VALUE_TEXTS),
    OPTION("--revises", "revises", CTL_VALUE_TEXT),
    END,
};
static const struct ctl_argument postmortem_move[] = {
    WORD("ID", "postmortemId", CTL_VALUE_TEXT),
    ONE_OF("STATUS", "status", PostmortemStatus, "POSTMORTEM_STATUS_", true, NULL),
    OPTION("--reason", "reason", CTL_VALUE_TEXT),
    END,
};
static const struct ctl_argument postmortem_review[] = {
    WORD("ID", "postmortemId", CTL_VALUE_TEXT),
    ONE_OF("--status", "status", PostmortemStatus, "POSTMORTEM_STATUS_", false, "\"POSTMORTEM_STATUS_IN_REVIEW\""),
    OPTION("--reason", "reason", CTL_VALUE_TEXT),
    END,
};
static const struct ctl_argument postmortem_publish[] = {
    WORD("ID", "postmortemId", CTL_VALUE_TEXT),
    END,
};

static const struct ctl_argument health_create[] = {
    WORD("ID", "healthcheckId", CTL_VALUE_TEXT),
    NEEDED("--resource", "resourceRef", CTL_VALUE_RESOURCE),
    {"--at", "timestamp", CTL_VALUE_TIME, NULL, NULL, false, "now"},
    ONE_OF("--status", "status", HealthStatus, "HEALTH_STATUS_", true, NULL),
    ONE_OF("--source", "source", HealthSource, "HEALTH_SOURCE_", false, "\"HEALTH_SOURCE_PROBE\""),
    OPTION("--message", "message", CTL_VALUE_TEXT),
    OPTION("--for", "expiresAt", CTL_VALUE_AHEAD),
    OPTION("--service", "serviceId", CTL_VALUE_TEXT),
    OPTION("--label", "labels", CTL_VALUE_PAIRS),
    END,
};

static const struct ctl_argument rejection_replay[] = {
    WORD("ID", "rejectionId", CTL_VALUE_TEXT),
    END,
};

const struct ctl_action ctl_actions[] = {
    {"create", "incidents", CORE("IncidentService/CreateIncident"), incident_create, "created", false},
    {"create", "alerts", CORE("AlertService/IngestAlert"), alert_create, "ingested", false},
    {"create", "slos", CORE("SLOService/CreateSLO"), slo_create, "created", false},
    {"create", "runbooks", CORE("RunbookService/CreateRunbook"), runbook_create, "created", false},
    {"create", "services", CORE("ServiceCatalogService/CreateService"), service_create, "created", false},
    {"create", "postmortems", CORE("PostmortemService/CreatePostmortem"), postmortem_create, "created", false},
    {"create", "health", CORE("HealthService/RecordHealthCheck"), health_create, "recorded", false},
    {"ack", "incidents", CORE("IncidentService/AcknowledgeIncident"), incident_ack, "acknowledged", false},
    {"ack", "alerts", CORE("AlertService/Acknowledge"), alert_ack, "acknowledged", false},
    {"assign", "incidents", CORE("IncidentService/AssignIncident"), incident_assign, "assigned", false},
    {"unassign", "incidents", CORE("IncidentService/AssignIncident"), incident_with_reason, "given back", false},
    {"severity", "incidents", CORE("IncidentService/ReclassifyIncidentSeverity"), incident_severity, "reclassified",
     false},
    {"note", "incidents", CORE("IncidentService/AddIncidentTimelineEntry"), incident_note, "noted", false},
    {"move", "incidents", CORE("IncidentService/TransitionIncidentStatus"), incident_move, "moved", false},
    {"move", "postmortems", CORE("PostmortemService/TransitionPostmortemStatus"), postmortem_move, "moved", false},
    {"resolve", "incidents", CORE("IncidentService/ResolveIncident"), incident_resolve, "resolved", false},
    {"close", "incidents", CORE("IncidentService/CloseIncident"), incident_with_reason, "closed", false},
    {"correlate", "incidents", CORE("AlertService/CorrelateToIncident"), incident_correlate, "correlated", false},
    {"silence", "alerts", CORE("AlertService/SilenceAlert"), alert_silence, "silenced", false},
    {"unsilence", "alerts", CORE("AlertService/UnsilenceAlert"), alert_unsilence, "unsilenced", false},
    {"execute", "runbooks", CORE("RunbookService/ExecuteRunbook"), runbook_execute, "asked for", false},
    {"approve", "executions", CORE("RunbookService/ApproveRunbookExecution"), execution_approve, "approved", false},
    {"reject", "executions", CORE("RunbookService/RejectRunbookExecution"), execution_reject, "rejected", false},
    {"step", "executions", CORE("RunbookService/RecordRunbookStep"), execution_step, "told of the step", false},
    {"complete", "executions", CORE("RunbookService/CompleteRunbookExecution"), execution_complete, "completed", false},
    {"delete", "services", CORE("ServiceCatalogService/DeleteService"), service_delete, "deleted", false},
    {"review", "postmortems", CORE("PostmortemService/TransitionPostmortemStatus"), postmortem_review, "put to review",
     false},
    {"publish", "postmortems", CORE("PostmortemService/PublishPostmortem"), postmortem_publish, "published", false},
    {"replay", "rejections", CORE("RejectionService/ReplayRejection"), rejection_replay, "replayed", true},
};
const size_t ctl_actions_count = sizeof ctl_actions / sizeof *ctl_actions;

bool ctl_verb_is(const char *verb) {
    for (size_t i = 0; i < ctl_actions_count; i++)
        if (strcmp(ctl_actions[i].verb, verb) == 0) return true;
    return false;
}

const struct ctl_argument *ctl_action_option(const struct ctl_action *action, const char *option) {
    for (const struct ctl_argument *argument = action->arguments; argument->name; argument++)
        if (strcmp(argument->name, option) == 0) return argument;
    return NULL;
}

bool ctl_verb_takes(const char *verb, const char *option) {
    for (size_t i = 0; i < ctl_actions_count; i++)
        if (strcmp(ctl_actions[i].verb, verb) == 0 && ctl_action_option(&ctl_actions[i], option)) return true;
    return false;
}

const struct ctl_action *ctl_action_find(const char *verb, const char *resource) {
    for (size_t i = 0; i < ctl_actions_count; i++)
        if (strcmp(ctl_actions[i].verb, verb) == 0 && strcmp(ctl_actions[i].resource, resource) == 0)
            return &ctl_actions[i];
    return NULL;
}

static bool takes_several(enum ctl_value value) {
    return value == CTL_VALUE_TEXTS || value == CTL_VALUE_PAIRS || value == CTL_VALUE_RESOURCES ||
           value == CTL_VALUE_SERVICES;
}

void ctl_usage_add(struct text *text, const struct ctl_action *action) {
    const struct ctl_resource *resource = ctl_resource_find(action->resource);
    text_format(text, "%s %s", action->verb, resource ? resource->one : action->resource);
    for (const struct ctl_argument *a = action->arguments; a->name; a++)
        if (ctl_argument_is_word(a))
            text_format(text, " %s%s", a->name,
                        a->value == CTL_VALUE_TEXTS || a->value == CTL_VALUE_SENTENCE ? "..." : "");
    for (int required = 1; required >= 0; required--)
        for (const struct ctl_argument *a = action->arguments; a->name; a++) {
            if (ctl_argument_is_word(a) || a->required != (required == 1)) continue;
            const struct ctl_option_row *row = NULL;
            for (size_t i = 0; i < ctl_option_rows_count && !row; i++)
                if (strcmp(ctl_option_rows[i].name, a->name) == 0) row = &ctl_option_rows[i];
            text_format(text, required ? " %s%s%s" : " [%s%s%s]", a->name, row && row->value ? " " : "",
                        row && row->value ? row->value : "");
            if (takes_several(a->value)) text_add_text(text, "...");
        }
}
