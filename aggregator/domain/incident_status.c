/* SPDX-License-Identifier: Apache-2.0
 * The way is the specification's chain, and each step forward may skip some: who is paged may begin to work, or to
 * mitigate, without acknowledging first, and a false alarm is resolved from anywhere. Closing alone skips nothing: what is
 * closed was resolved by somebody who said how. Back there are three ways: a mitigation that does not hold needs more
 * investigation, a resolved incident that comes back is investigated again, and so is a closed one, when somebody says why. */
#include "aggregator/domain/incident_status.h"

#include <stdio.h>
#include <string.h>

enum { STATUSES = INCIDENT_STATUS_CLOSED + 1 };

/* Every move there is. Each may be asked for by transition_incident_status; besides, acknowledge_incident moves to
 * acknowledged, resolve_incident to resolved and close_incident to closed. */
enum reason_rule { REASON_FREE = 1, REASON_NEEDED };
#define FROM(status) [INCIDENT_STATUS_##status]
#define TO(status, rule) [INCIDENT_STATUS_##status] = REASON_##rule
static const uint8_t moves[STATUSES][STATUSES] = {
    /* clang-format off */
    FROM(OPEN) = {
        TO(ACKNOWLEDGED,  FREE),   /* somebody has seen it */
        TO(INVESTIGATING, FREE),
        TO(MITIGATING,    FREE),   /* what helps is known at once */
        TO(RESOLVED,      NEEDED), /* the resolution */
    },
    FROM(ACKNOWLEDGED) = {
        TO(INVESTIGATING, FREE),
        TO(MITIGATING,    FREE),
        TO(RESOLVED,      NEEDED),
    },
    FROM(INVESTIGATING) = {
        TO(MITIGATING,    FREE),
        TO(RESOLVED,      NEEDED),
    },
    FROM(MITIGATING) = {
        TO(INVESTIGATING, FREE),   /* it does not help */
        TO(RESOLVED,      NEEDED),
    },
    FROM(RESOLVED) = {
        TO(INVESTIGATING, FREE),   /* it came back */
        TO(CLOSED,        FREE),
    },
    FROM(CLOSED) = {
        TO(INVESTIGATING, NEEDED), /* it was closed too early, or came back much later */
    },
    /* clang-format on */
};
#undef FROM
#undef TO
static const char *const status_names[STATUSES] = {
    [INCIDENT_STATUS_UNSPECIFIED] = "unspecified",
    [INCIDENT_STATUS_OPEN] = "open",
    [INCIDENT_STATUS_ACKNOWLEDGED] = "acknowledged",
    [INCIDENT_STATUS_INVESTIGATING] = "investigating",
    [INCIDENT_STATUS_MITIGATING] = "mitigating",
    [INCIDENT_STATUS_RESOLVED] = "resolved",
    [INCIDENT_STATUS_CLOSED] = "closed",
};

bool incident_may_move(IncidentStatus from, IncidentStatus to, bool *ret_reason) {
    const unsigned rule = (unsigned)from < STATUSES && (unsigned)to < STATUSES ? moves[from][to] : 0;
    if (ret_reason) *ret_reason = rule == REASON_NEEDED;
    return rule;
}

const char *incident_status_name(IncidentStatus status) {
    return (unsigned)status < STATUSES ? status_names[status] : "unknown";
}

fault_code incident_move_refused(slice id, IncidentStatus from, IncidentStatus to, struct fault *reterr) {
    char ways[80] = "";
    for (int way = 0; way < STATUSES; way++)
        if (incident_may_move(from, (IncidentStatus)way, NULL))
            snprintf(ways + strlen(ways), sizeof ways - strlen(ways), "%s%s", ways[0] ? ", " : "", status_names[way]);
    return fault_set(reterr, FAULT_CONFLICT, "incident '%.*s' cannot go from %s to %s, only to %s", SLICE_ARG(id),
                     incident_status_name(from), incident_status_name(to), ways);
}
