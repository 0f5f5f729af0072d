/* SPDX-License-Identifier: Apache-2.0
 * The struct lives on the stack and points to what the caller has; only the encoded bytes are in the arena. An intent
 * is checked against the contract's constraints here, before it is stored: what the centre would refuse is a mistake
 * of ours, and is better found at this end. */
#include "agent/envelope/envelope.h"

#include <stdio.h>

#include "common/base/uuid.h"
#include "common/codec/codec.h"

enum { SCHEMA_VERSION = 1, EXPIRES_HEARTBEATS = 3 };

static Timestamp timestamp_of(int64_t ms) {
    return (Timestamp){.seconds = ms / 1000, .nanos = (int32_t)(ms % 1000) * 1000000};
}

void envelope_traceparent(char ret_text[TRACEPARENT_TEXT_SIZE + 1]) {
    uint8_t bytes[24];
    random_bytes(bytes, sizeof bytes);
    bytes[0] |= 1; /* neither id may be zero */
    bytes[16] |= 1;
    char hex[2 * sizeof bytes + 1];
    for (size_t i = 0; i < sizeof bytes; i++) {
        hex[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    hex[sizeof hex - 1] = '\0';
    snprintf(ret_text, TRACEPARENT_TEXT_SIZE + 1, "00-%.32s-%.16s-01", hex, hex + 32);
}

fault_code envelope_seal(const struct envelope *envelope, SreDomainIntent *intent, int64_t occurred_ms,
                         const char *traceparent, slice aggregate_type, slice aggregate_id, struct arena *arena,
                         slice *ret_intent, struct fault *reterr) {
    char id[UUID_TEXT_SIZE + 1];
    uuid_format(uuid_v7_new(), id);
    intent->has_meta = true;
    intent->meta = (SreMessageMeta){
        .message_id = slice_from_text(id),
        .tenant_id = envelope->tenant,
        .has_occurred_at = true,
        .occurred_at = timestamp_of(occurred_ms),
        .producer = envelope->producer,
        .schema_version = SCHEMA_VERSION,
        .traceparent = slice_from_text(traceparent),
        .environment_id = envelope->environment_id,
        .cluster_id = envelope->cluster_id,
    };
    intent->has_subject = true;
    intent->subject = (SreSubject){.aggregate_type = aggregate_type, .aggregate_id = aggregate_id};
    if (codec_validate(&SreDomainIntent_desc, intent, reterr))
        return fault_wrap(reterr, "%.*s '%.*s'", SLICE_ARG(aggregate_type), SLICE_ARG(aggregate_id));
    return codec_encode_protobuf(&SreDomainIntent_desc, intent, arena, ret_intent, reterr);
}

fault_code envelope_window(const struct envelope *envelope, const struct sli_window *window, const char *traceparent,
                           struct arena *arena, slice *ret_intent, struct fault *reterr) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_record_sli_window_tag};
    intent.intent.record_sli_window = (RecordSLIWindowRequested){
        .slo_id = window->slo_id,
        .cluster_id = envelope->cluster_id,
        .has_window_start = true,
        .window_start = timestamp_of(window->window_start_ms),
        .window_seconds = (int32_t)window->window_seconds,
        .good = window->good,
        .total = window->total,
        .scrapes_expected = window->scrapes_expected,
        .scrapes_seen = window->scrapes_seen,
        .revision = window->revision,
    };
    const int64_t end_ms = window->window_start_ms + (int64_t)window->window_seconds * 1000;
    return envelope_seal(envelope, &intent, end_ms, traceparent, SLICE_LIT("slo"), window->slo_id, arena, ret_intent,
                         reterr);
}

static HealthStatus status_of(enum health_status status) {
    switch (status) {
    case HEALTH_HEALTHY: return HEALTH_STATUS_HEALTHY;
    case HEALTH_DEGRADED: return HEALTH_STATUS_DEGRADED;
    case HEALTH_UNHEALTHY: return HEALTH_STATUS_UNHEALTHY;
    case HEALTH_UNKNOWN: break;
    }
    return HEALTH_STATUS_UNKNOWN;
}

fault_code envelope_health(const struct envelope *envelope, const struct health_observation *observation,
                           const struct envelope_resource *resource, const char *traceparent, int64_t now_ms,
                           struct arena *arena, slice *ret_intent, struct fault *reterr) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_record_health_check_tag};
    intent.intent.record_health_check = (RecordHealthCheckRequested){
        .healthcheck_id = observation->id,
        .has_resource_ref = true,
        .resource_ref = {.type = resource->type,
                         .id = resource->id,
                         .cluster = envelope->cluster_id,
                         .environment = envelope->environment_id},
        .has_timestamp = true,
        .timestamp = timestamp_of(observation->observed_ms),
        .status = status_of(observation->status),
        .source = resource->probe ? HEALTH_SOURCE_PROBE : HEALTH_SOURCE_AGENT,
        .message = slice_from_text(observation->message),
        .has_expires_at = resource->heartbeat_ms > 0,
        .expires_at = timestamp_of(now_ms + EXPIRES_HEARTBEATS * resource->heartbeat_ms),
    };
    return envelope_seal(envelope, &intent, observation->observed_ms, traceparent, SLICE_LIT("health_check"),
                         observation->id, arena, ret_intent, reterr);
}

fault_code envelope_alert(const struct envelope *envelope, const struct envelope_alert *alert, const char *traceparent,
                          struct arena *arena, slice *ret_intent, struct fault *reterr) {
    IngestAlertRequested_LabelsEntry labels[ENVELOPE_LABELS_MAX];
    IngestAlertRequested_AnnotationsEntry annotations[ENVELOPE_LABELS_MAX];
    for (size_t i = 0; i < alert->labels_count; i++)
        labels[i] = (IngestAlertRequested_LabelsEntry){alert->labels[i].name, alert->labels[i].value};
    for (size_t i = 0; i < alert->annotations_count; i++)
        annotations[i] =
            (IngestAlertRequested_AnnotationsEntry){alert->annotations[i].name, alert->annotations[i].value};
    const slice alert_id = arena_format(arena, "picket.%.*s", SLICE_ARG(alert->fingerprint));
    if (!alert_id.data) return fault_set(reterr, FAULT_LIMIT, "alert: out of memory");
    SreDomainIntent intent = {.which_intent = SreDomainIntent_ingest_alert_tag};
    intent.intent.ingest_alert = (IngestAlertRequested){
        .alert_id = alert_id,
        .fingerprint = alert->fingerprint,
        .name = alert->name,
        .severity = (Severity)alert->severity,
        .status = alert->firing ? ALERT_STATUS_FIRING : ALERT_STATUS_RESOLVED,
        .labels = {labels, alert->labels_count},
        .annotations = {annotations, alert->annotations_count},
        .source = ALERT_SOURCE_PICKET,
        .has_starts_at = true,
        .starts_at = timestamp_of(alert->starts_ms),
        .has_ends_at = !alert->firing,
        .ends_at = timestamp_of(alert->ends_ms),
        .has_expires_at = alert->firing,
        .expires_at = timestamp_of(alert->expires_ms),
        .has_observed_at = true,
        .observed_at = timestamp_of(alert->observed_ms),
    };
    return envelope_seal(envelope, &intent, alert->observed_ms, traceparent, SLICE_LIT("alert"), alert_id, arena,
                         ret_intent, reterr);
}
