/* SPDX-License-Identifier: Apache-2.0
 * The reason goes into the labels too, so that the centre can be asked for all that is CrashLoopBackOff. */
#include "agent/envelope/envelope_cluster.h"

#include "sre.pb.h"

enum { EXPIRES_HEARTBEATS = 3 };

static Timestamp timestamp_of(int64_t ms) {
    return (Timestamp){.seconds = ms / 1000, .nanos = (int32_t)(ms % 1000) * 1000000};
}

/* The numbers of both are the same, see health.h. */
static HealthStatus status_of(enum health_status status) {
    return status ? (HealthStatus)status : HEALTH_STATUS_UNKNOWN;
}

fault_code envelope_cluster(const struct envelope *envelope, const struct cluster_report *report,
                            const char *traceparent, int64_t now_ms, struct arena *arena, slice *ret_intent,
                            struct fault *reterr) {
    HealthCondition conditions[CLUSTER_CONDITIONS_MAX];
    for (size_t i = 0; i < report->conditions_count; i++) {
        const struct cluster_condition *const condition = &report->conditions[i];
        conditions[i] = (HealthCondition){
            .type = slice_from_text(condition->type),
            .status = status_of(condition->status),
            .reason = slice_from_text(condition->reason),
            .message = slice_from_text(condition->message),
            .has_last_transition_at = condition->since_ms > 0,
            .last_transition_at = timestamp_of(condition->since_ms),
        };
    }
    RecordHealthCheckRequested_LabelsEntry labels[] = {
        {.key = SLICE_LIT("kind"), .value = slice_from_text(report->type)},
        {.key = SLICE_LIT("reason"), .value = slice_from_text(report->reason)},
    };
    SreDomainIntent intent = {.which_intent = SreDomainIntent_record_health_check_tag};
    RecordHealthCheckRequested *const check = &intent.intent.record_health_check;
    *check = (RecordHealthCheckRequested){
        .healthcheck_id = slice_from_text(report->id),
        .has_resource_ref = true,
        .resource_ref = {.type = slice_from_text(report->type),
                         .id = report->name,
                         .namespace = report->namespace,
                         .cluster = envelope->cluster_id,
                         .environment = envelope->environment_id},
        .has_timestamp = true,
        .timestamp = timestamp_of(now_ms),
        .status = status_of(report->status),
        .source = HEALTH_SOURCE_KUBERNETES,
        .message = slice_from_text(report->message),
        .has_expires_at = report->heartbeat_ms > 0,
        .expires_at = timestamp_of(now_ms + EXPIRES_HEARTBEATS * report->heartbeat_ms),
    };
    check->conditions.items = conditions;
    check->conditions.count = report->conditions_count;
    check->labels.items = labels;
    check->labels.count = sizeof labels / sizeof *labels;
    return envelope_seal(envelope, &intent, now_ms, traceparent, SLICE_LIT("health_check"), check->healthcheck_id,
                         arena, ret_intent, reterr);
}
