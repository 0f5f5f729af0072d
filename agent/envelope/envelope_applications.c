/* SPDX-License-Identifier: Apache-2.0
 * An application's status, from what Argo CD says of it, is the worst of three rows:
 *
 *     health     Healthy healthy; Progressing, Suspended degraded; Degraded, Missing unhealthy; anything else unknown
 *     sync       Synced and OutOfSync as good as healthy (a difference from Git is no illness, it has a count of its own and
 *                a condition); unknown at best degraded: nobody can say whether this is what was asked for
 *     operation  Failed and Error at best degraded: the last deployment did not go through
 *
 * Unknown health is unknown, whatever the others say. */
#include "agent/envelope/envelope_applications.h"

#include <stdio.h>

#include "common/base/digest.h"

#define LONG_FLEET "_h"
enum { LONG_FLEET_BYTES = 64, EXPIRES_HEARTBEATS = 3, TEXT_BYTES = 512, CONDITIONS_MAX = 3, HASH_BYTES = 16 };

static const HealthStatus by_health[APPLICATION_HEALTHS_] = {
    [APPLICATION_UNKNOWN] = HEALTH_STATUS_UNKNOWN,      [APPLICATION_HEALTHY] = HEALTH_STATUS_HEALTHY,
    [APPLICATION_PROGRESSING] = HEALTH_STATUS_DEGRADED, [APPLICATION_DEGRADED] = HEALTH_STATUS_UNHEALTHY,
    [APPLICATION_SUSPENDED] = HEALTH_STATUS_DEGRADED,   [APPLICATION_MISSING] = HEALTH_STATUS_UNHEALTHY,
};
static const HealthStatus by_sync[APPLICATION_SYNCS_] = {
    [APPLICATION_SYNC_UNKNOWN] = HEALTH_STATUS_UNKNOWN,
    [APPLICATION_SYNCED] = HEALTH_STATUS_HEALTHY,
    [APPLICATION_OUT_OF_SYNC] = HEALTH_STATUS_DEGRADED,
};
static const HealthStatus by_phase[APPLICATION_PHASES_] = {
    [APPLICATION_NO_OPERATION] = HEALTH_STATUS_HEALTHY, [APPLICATION_RUNNING] = HEALTH_STATUS_HEALTHY,
    [APPLICATION_TERMINATING] = HEALTH_STATUS_HEALTHY,  [APPLICATION_SUCCEEDED] = HEALTH_STATUS_HEALTHY,
    [APPLICATION_FAILED] = HEALTH_STATUS_DEGRADED,      [APPLICATION_ERROR] = HEALTH_STATUS_DEGRADED,
};

static Timestamp timestamp_of(int64_t ms) {
    return (Timestamp){.seconds = ms / 1000, .nanos = (int32_t)(ms % 1000) * 1000000};
}

static void hash_of(slice text, char ret_hex[2 * HASH_BYTES + 1]) {
    uint8_t hash[DIGEST_BYTES];
    digest_of(text, hash);
    for (unsigned i = 0; i < HASH_BYTES; i++) snprintf(ret_hex + (size_t)2 * i, 3, "%02x", hash[i]);
}

void envelope_application_id(slice own_cluster, slice namespace, slice name, char ret_id[ENVELOPE_ID_BYTES + 1]) {
    char whole[APPLICATION_NAMESPACE_BYTES + APPLICATION_NAME_BYTES + APPLICATION_PLACE_BYTES + 16];
    const int size = snprintf(whole, sizeof whole, "argocd_%.*s_%.*s_%.*s", SLICE_ARG(namespace), SLICE_ARG(name),
                              SLICE_ARG(own_cluster));
    if (size <= ENVELOPE_ID_BYTES) {
        memcpy(ret_id, whole, (size_t)size + 1);
        return;
    }
    char hex[2 * HASH_BYTES + 1];
    hash_of(slice_of(whole, (size_t)size), hex);
    snprintf(ret_id, ENVELOPE_ID_BYTES + 1, "argocd__%s", hex); /* no namespace: no other begins so */
}

void envelope_fleet_id(slice environment, slice cluster, char ret_id[ENVELOPE_ID_BYTES + 1]) {
    char whole[3 * APPLICATION_PLACE_BYTES + 2];
    size_t size = 0;
    for (size_t i = 0; i < environment.size && i < APPLICATION_PLACE_BYTES; i++) {
        const char c = (char)environment.data[i];
        whole[size++] = c == '.' ? '_' : c;
        if (c == '.') whole[size++] = 'd';
        if (c == '_') whole[size++] = '_';
    }
    size += (size_t)snprintf(whole + size, sizeof whole - size, "%s%.*s", cluster.size ? "." : "",
                             SLICE_ARG(slice_first(cluster, APPLICATION_PLACE_BYTES)));
    if (size <= ENVELOPE_ID_BYTES) {
        memcpy(ret_id, whole, size + 1);
        return;
    }
    char hex[2 * HASH_BYTES + 1];
    hash_of(slice_of(whole, size), hex);
    snprintf(ret_id, ENVELOPE_ID_BYTES + 1, "%s%s.%.*s", LONG_FLEET, hex, LONG_FLEET_BYTES, whole);
}

static HealthStatus status_of(const struct application_view *application) {
    const HealthStatus health = by_health[application->health];
    const bool whole =
        by_phase[application->phase] == HEALTH_STATUS_HEALTHY && application->sync != APPLICATION_SYNC_UNKNOWN;
    return health == HEALTH_STATUS_HEALTHY && !whole ? HEALTH_STATUS_DEGRADED : health;
}

static size_t conditions_of(const struct application_view *application, HealthCondition *ret_conditions) {
    size_t count = 0;
    ret_conditions[count++] = (HealthCondition){.type = SLICE_LIT("Health"),
                                                .status = by_health[application->health],
                                                .reason = slice_from_text(application_health_name(application->health)),
                                                .message = application->message};
    ret_conditions[count++] = (HealthCondition){.type = SLICE_LIT("Sync"),
                                                .status = by_sync[application->sync],
                                                .reason = slice_from_text(application_sync_name(application->sync))};
    if (application->phase != APPLICATION_NO_OPERATION)
        ret_conditions[count++] =
            (HealthCondition){.type = SLICE_LIT("Operation"),
                              .status = by_phase[application->phase],
                              .reason = slice_from_text(application_phase_name(application->phase))};
    return count;
}

static void say(const struct application_report *report, const char *stale_why, char *ret_text, size_t text_bytes) {
    const struct application_view *const application = &report->application;
    if (report->deleted)
        snprintf(ret_text, text_bytes, "the Application was deleted: with this its check has ended");
    else if (report->stale)
        snprintf(ret_text, text_bytes, "Argo CD is not heard: %s", stale_why);
    else
        snprintf(ret_text, text_bytes, "%s, %s%s%s%s%.*s", application_health_name(application->health),
                 application->sync == APPLICATION_SYNC_UNKNOWN ? "sync unknown"
                                                               : application_sync_name(application->sync),
                 application->phase != APPLICATION_NO_OPERATION ? ", last operation " : "",
                 application_phase_name(application->phase), application->message.size ? ": " : "",
                 SLICE_ARG(application->message));
}

static Timestamp expiry_of(const struct application_report *report, int64_t heartbeat_ms, int64_t now_ms) {
    return timestamp_of((now_ms > report->observed_ms ? now_ms : report->observed_ms) +
                        EXPIRES_HEARTBEATS * heartbeat_ms);
}

fault_code envelope_application(const struct envelope *envelope, const struct application_report *report,
                                slice own_cluster, const char *stale_why, int64_t heartbeat_ms, int64_t now_ms,
                                const char *traceparent, struct arena *arena, slice *ret_intent, struct fault *reterr) {
    const struct application_view *const application = &report->application;
    char id[ENVELOPE_ID_BYTES + 1], text[TEXT_BYTES];
    HealthCondition conditions[CONDITIONS_MAX];
    const bool known = !report->deleted && !report->stale;
    envelope_application_id(own_cluster, application->namespace, application->name, id);
    say(report, stale_why, text, sizeof text);
    SreDomainIntent intent = {.which_intent = SreDomainIntent_record_health_check_tag};
    intent.intent.record_health_check = (RecordHealthCheckRequested){
        .healthcheck_id = slice_from_text(id),
        .has_resource_ref = true,
        .resource_ref = {.type = SLICE_LIT("application"),
                         .id = application->name,
                         .namespace = application->namespace,
                         .cluster = application->cluster,
                         .environment = application->environment},
        .has_timestamp = true,
        .timestamp = timestamp_of(report->observed_ms),
        .status = known ? status_of(application) : HEALTH_STATUS_UNKNOWN,
        .source = HEALTH_SOURCE_ARGOCD,
        .message = slice_from_text(text),
        .has_expires_at = !report->deleted,
        .expires_at = expiry_of(report, heartbeat_ms, now_ms),
    };
    if (known) {
        intent.intent.record_health_check.conditions.items = conditions;
        intent.intent.record_health_check.conditions.count = conditions_of(application, conditions);
    }
    RecordHealthCheckRequested_LabelsEntry end = {.key = SLICE_LIT("reason"), .value = SLICE_LIT("Deleted")};
    if (report->deleted) { /* by this the centre knows that the check has ended */
        intent.intent.record_health_check.expires_at = (Timestamp){0};
        intent.intent.record_health_check.labels.items = &end;
        intent.intent.record_health_check.labels.count = 1;
    }
    return envelope_seal(envelope, &intent, report->observed_ms, traceparent, SLICE_LIT("health_check"),
                         slice_from_text(id), arena, ret_intent, reterr);
}

fault_code envelope_fleet(const struct envelope *envelope, const struct application_report *report,
                          int64_t heartbeat_ms, int64_t now_ms, const char *traceparent, struct arena *arena,
                          slice *ret_intent, struct fault *reterr) {
    const struct applications_counts *const counts = &report->counts;
    SreDomainIntent intent = {.which_intent = SreDomainIntent_record_fleet_state_tag};
    intent.intent.record_fleet_state = (RecordFleetStateRequested){
        .environment_id = report->application.environment,
        .cluster_id = report->application.cluster,
        .has_timestamp = true,
        .timestamp = timestamp_of(report->observed_ms),
        .total_applications = (int32_t)counts->total,
        .healthy_count = (int32_t)counts->by_health[APPLICATION_HEALTHY],
        .degraded_count = (int32_t)counts->by_health[APPLICATION_DEGRADED],
        .progressing_count = (int32_t)counts->by_health[APPLICATION_PROGRESSING],
        .unknown_count = (int32_t)counts->by_health[APPLICATION_UNKNOWN],
        .out_of_sync_count = (int32_t)counts->out_of_sync,
        .source = HEALTH_SOURCE_ARGOCD,
        .suspended_count = (int32_t)counts->by_health[APPLICATION_SUSPENDED],
        .missing_count = (int32_t)counts->by_health[APPLICATION_MISSING],
        .has_expires_at = true,
        .expires_at = expiry_of(report, heartbeat_ms, now_ms),
    };
    char id[ENVELOPE_ID_BYTES + 1];
    envelope_fleet_id(report->application.environment, report->application.cluster, id);
    return envelope_seal(envelope, &intent, report->observed_ms, traceparent, SLICE_LIT("fleet_state"),
                         slice_from_text(id), arena, ret_intent, reterr);
}
