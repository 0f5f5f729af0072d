/* SPDX-License-Identifier: Apache-2.0
 * Two places, and who finds none is told "busy" at once: a question costs memory that the agent does not have otherwise. A
 * place has an arena for the time of its question, request, job and answer in it, and gives it back whole. An answer that
 * the broker does not take now waits until its time is over, and then for nobody. */
#include "agent/diagnose/diagnose.h"

#include "agent/diagnose/diagnose_job.h"
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/codec/codec.h"
#include "common/logging/log.h"

#include <stdlib.h>

enum {
    ARENA_BLOCK_BYTES = 16 * 1024,
    ARENA_BYTES_MAX = 32 * 1024 * 1024,
    QUESTION_BYTES_MAX = 16 * 1024,
    CORRELATION_BYTES_MAX = 256,
    RETRY_MS = 100,
};

enum {
#define METRIC(id, kind, name, labels, help) id,
#include "agent/diagnose/diagnose_metrics.def"
#undef METRIC
    DIAGNOSE_METRICS_MAX_
};
static const struct metric_row rows[] = {
#define METRIC(id, kind, name, labels, help) METRIC_ROW(kind, name, labels, help),
#include "agent/diagnose/diagnose_metrics.def"
#undef METRIC
};

struct place {
    struct diagnose *diagnose;
    struct arena *arena; /* NULL: free */
    struct loop_timer *timer;
    struct diagnose_job *job; /* NULL: it has ended, and the answer waits to be sent */
    DiagnosticsRequest request;
    slice correlation, payload;
    int64_t begun_ms, deadline_ms;
};

struct diagnose {
    struct diagnose_parts parts;
    const struct diagnose_settings *settings;
    struct diagnose_access *access;
    struct mask *mask;
    struct metric_table *metrics;
    struct place places[DIAGNOSE_JOBS_MAX];
    struct log_limit unreadable;
};

/* ---- answers ---- */

static void place_free(struct place *place) {
    diagnose_job_cancel(place->job);
    place->job = NULL;
    loop_timer_clear(place->timer);
    place->arena = arena_free(place->arena);
}

static fault_code publish(struct diagnose *diagnose, slice correlation, slice payload, struct fault *reterr) {
    char topic[LINK_TOPIC_BYTES];
    link_topic(diagnose->parts.link, "sre.edge.replies.v1", topic);
    const struct mqtt_publication publication = {
        .topic = topic,
        .payload = payload,
        .content_type = "application/x-protobuf; proto=ameide_core_proto.sre.edge.v1.DiagnosticsReply",
        .correlation_data = correlation,
        .qos = 1,
        .out_of_turn = true};
    return link_publish(diagnose->parts.link, &publication, reterr);
}

static void on_timer(void *context) {
    struct place *place = context;
    struct fault fault = {0};
    if (clock_monotonic_ms() < place->deadline_ms) {
        const fault_code code = publish(place->diagnose, place->correlation, place->payload, &fault);
        if (code == FAULT_AGAIN) {
            loop_timer_set(place->timer, RETRY_MS);
            return;
        }
        if (!code) {
            place_free(place);
            return;
        }
    } else {
        fault_set(&fault, FAULT_TIMEOUT, "the connection took nothing in time");
    }
    LOG_WARN("diagnose", "answer_lost", LOG_SLICE("request", place->request.request_id), LOG_FAULT(&fault),
             LOG_TEXT("instead", "who asked hears that the time is over"));
    place_free(place);
}

static slice encode(struct place *place, const struct diagnose_result *result) {
    const int64_t took_ms = clock_monotonic_ms() - place->begun_ms, now_ms = clock_wall_ms();
    const DiagnosticsReply reply = {
        .request_id = place->request.request_id,
        .has_answered_at = true,
        .answered_at = {.seconds = now_ms / 1000, .nanos = (int32_t)(now_ms % 1000) * 1000000},
        .error = slice_from_text(result->fault.text),
        .content = result->content,
        .content_type = result->content.size ? slice_from_text(result->content_type) : (slice){0},
        .truncated = result->truncated,
        .masked_count = (int32_t)result->masked_count,
        .has_took = true,
        .took = {.seconds = took_ms / 1000, .nanos = (int32_t)(took_ms % 1000) * 1000000},
        .outcome = result->outcome,
    };
    slice payload = {0};
    struct fault fault;
    if (codec_encode_protobuf(&DiagnosticsReply_desc, &reply, place->arena, &payload, &fault))
        LOG_WARN("diagnose", "answer_not_made", LOG_FAULT(&fault));
    return payload;
}

static void count(struct diagnose *diagnose, const struct diagnose_result *result) {
    metric_count(diagnose->metrics,
                 result->outcome == DIAGNOSTICS_OUTCOME_ANSWERED  ? DIAGNOSE_ANSWERED
                 : result->outcome == DIAGNOSTICS_OUTCOME_REFUSED ? DIAGNOSE_REFUSED
                 : result->outcome == DIAGNOSTICS_OUTCOME_BUSY    ? DIAGNOSE_BUSY
                                                                  : DIAGNOSE_FAILED,
                 1);
    metric_count(diagnose->metrics, DIAGNOSE_MASKED, result->masked_count);
    metric_count(diagnose->metrics, DIAGNOSE_BYTES, result->content.size);
}

static void on_done(void *context, const struct diagnose_result *result) {
    struct place *place = context;
    place->job = NULL; /* it has nothing under way any more */
    count(place->diagnose, result);
    LOG_INFO("diagnose", "answered", LOG_SLICE("request", place->request.request_id),
             LOG_SLICE("by", place->request.requested_by),
             LOG_TEXT("outcome", enum_name(&DiagnosticsOutcome_enum, (int32_t)result->outcome)),
             LOG_UINT("bytes", result->content.size), LOG_UINT("masked", result->masked_count),
             LOG_TEXT("reason", result->fault.text));
    place->payload = encode(place, result);
    loop_timer_set(place->timer, 0); /* not from here: the cluster's callback is still under way */
}

/* ---- questions ---- */

/* By the duration that it brings, whatever the two clocks say; without one, by the deadline. */
static int64_t time_of(const struct diagnose *diagnose, const DiagnosticsRequest *request) {
    int64_t time_ms = LIMIT_OUTSIDE_CALL_MS;
    if (request->has_time_max)
        time_ms = request->time_max.seconds * 1000 + request->time_max.nanos / 1000000;
    else if (request->has_deadline)
        time_ms = request->deadline.seconds * 1000 + request->deadline.nanos / 1000000 - clock_wall_ms();
    if (time_ms > LIMIT_OUTSIDE_CALL_MS) time_ms = LIMIT_OUTSIDE_CALL_MS;
    return time_ms < diagnose->settings->time_ms_max ? time_ms : diagnose->settings->time_ms_max;
}

static fault_code question_read(struct place *place, const struct mqtt_message *message, struct fault *reterr) {
    char topic[LINK_TOPIC_BYTES];
    link_topic(place->diagnose->parts.link, "sre.edge.replies.v1", topic);
    if (message->payload.size > QUESTION_BYTES_MAX)
        return fault_set(reterr, FAULT_LIMIT, "a question of %zu bytes, at most %d are read", message->payload.size,
                         QUESTION_BYTES_MAX);
    const slice payload = arena_copy(place->arena, message->payload);
    place->correlation = arena_copy(place->arena, message->correlation_data);
    if (message->retained) return fault_set(reterr, FAULT_INPUT, "a question must not be retained");
    if (message->correlation_data.size > CORRELATION_BYTES_MAX)
        return fault_set(reterr, FAULT_LIMIT, "correlation data of %zu bytes", message->correlation_data.size);
    if (message->response_topic.size && !slice_equal_text(message->response_topic, topic))
        return fault_set(reterr, FAULT_INPUT, "the answer is wanted elsewhere than on '%s'", topic);
    if (!payload.data) return fault_set(reterr, FAULT_INPUT, "it is empty");
    fault_code code =
        codec_decode_protobuf_bounded(&DiagnosticsRequest_desc, payload, place->arena, &place->request, reterr);
    if (!code) code = codec_validate(&DiagnosticsRequest_desc, &place->request, reterr);
    if (!code && !place->request.request_id.size) code = fault_set(reterr, FAULT_INPUT, "request_id: is needed");
    return code;
}

static void answer_busy(struct place *place) {
    struct diagnose_result result = {.outcome = DIAGNOSTICS_OUTCOME_BUSY};
    struct fault fault;
    fault_set(&result.fault, FAULT_AGAIN, "the agent answers %d questions at a time, and does: try again in a moment",
              DIAGNOSE_JOBS_MAX);
    count(place->diagnose, &result);
    const slice payload = encode(place, &result);
    if (payload.size && publish(place->diagnose, place->correlation, payload, &fault))
        LOG_WARN("diagnose", "answer_lost", LOG_SLICE("request", place->request.request_id), LOG_FAULT(&fault));
}

static void begin(struct place *place) {
    struct diagnose *diagnose = place->diagnose;
    const struct diagnose_rules rules = {.settings = diagnose->settings,
                                         .access = diagnose->access,
                                         .mask = diagnose->mask,
                                         .cluster = diagnose->parts.cluster,
                                         .cluster_context = diagnose->parts.cluster_context};
    const int64_t most = diagnose->settings->bytes_max, asked = place->request.bytes_max,
                  time_ms = time_of(diagnose, &place->request);
    place->deadline_ms = place->begun_ms + time_ms + RETRY_MS;
    place->job = diagnose_job_new(&rules, &place->request, time_ms, (size_t)(asked && asked < most ? asked : most),
                                  place->arena, on_done, place);
    if (place->job)
        diagnose_job_start(place->job);
    else
        place_free(place);
}

static void on_request(void *context, const struct mqtt_message *message) {
    struct diagnose *diagnose = context;
    struct fault fault = {0};
    uint64_t held;
    struct place passing = {.diagnose = diagnose}, *place = &passing;
    for (size_t i = 0; i < DIAGNOSE_JOBS_MAX; i++)
        if (!diagnose->places[i].arena) place = &diagnose->places[i];
    place->begun_ms = clock_monotonic_ms();
    place->arena = arena_new(ARENA_BLOCK_BYTES, ARENA_BYTES_MAX);
    if (!place->arena) return;
    if (question_read(place, message, &fault)) {
        metric_count(diagnose->metrics, DIAGNOSE_UNREADABLE, 1);
        if (log_limit_pass(&diagnose->unreadable, clock_monotonic_ms(), 10000, &held))
            LOG_WARN("diagnose", "question_unreadable", LOG_FAULT(&fault), LOG_UINT("repeats", held));
    } else if (place != &passing) {
        begin(place);
        return;
    } else {
        answer_busy(place);
    }
    place->arena = arena_free(place->arena);
}

/* ---- life ---- */

fault_code diagnose_use(struct diagnose *diagnose, const struct diagnose_settings *settings, struct fault *reterr) {
    static const struct diagnose_settings none = {.bytes_max = 1024, .time_ms_max = 1000, .lines_max = 1};
    diagnose_give_up(diagnose);
    diagnose->access = diagnose_access_free(diagnose->access);
    diagnose->mask = mask_free(diagnose->mask);
    diagnose->settings = &none; /* the old ones may go now, whatever becomes of the new */
    fault_code code = mask_new(settings->mask.items, settings->mask.count, &diagnose->mask, reterr);
    if (!code) code = diagnose_access_new(settings, &diagnose->access, reterr);
    if (code) return fault_wrap(reterr, "diagnostics");
    diagnose->settings = settings;
    return FAULT_NONE;
}

void diagnose_give_up(struct diagnose *diagnose) {
    for (size_t i = 0; diagnose && i < DIAGNOSE_JOBS_MAX; i++)
        if (diagnose->places[i].arena) place_free(&diagnose->places[i]);
}

fault_code diagnose_open(const struct diagnose_parts *parts, const struct diagnose_settings *settings,
                         struct diagnose **ret_diagnose, struct fault *reterr) {
    struct diagnose *diagnose = calloc(1, sizeof *diagnose);
    if (!diagnose) return fault_set(reterr, FAULT_LIMIT, "diagnostics: out of memory");
    diagnose->parts = *parts;
    fault_code code = FAULT_NONE;
    for (size_t i = 0; i < DIAGNOSE_JOBS_MAX; i++) {
        struct place *const place = &diagnose->places[i];
        place->diagnose = diagnose;
        place->timer = loop_timer_new(parts->loop, on_timer, place);
        if (!place->timer) code = fault_set(reterr, FAULT_LIMIT, "diagnostics: out of memory");
    }
    if (!code) code = diagnose_use(diagnose, settings, reterr);
    if (!code && parts->metrics)
        code = metrics_add(parts->metrics, rows, DIAGNOSE_METRICS_MAX_, &diagnose->metrics, reterr);
    if (!code) code = link_listen(parts->link, "sre.edge.requests.v1", on_request, diagnose, reterr);
    if (code) {
        diagnose_close(diagnose);
        return code;
    }
    *ret_diagnose = diagnose;
    return FAULT_NONE;
}

struct diagnose *diagnose_close(struct diagnose *diagnose) {
    if (!diagnose) return NULL;
    diagnose_give_up(diagnose);
    for (size_t i = 0; i < DIAGNOSE_JOBS_MAX; i++) loop_timer_free(diagnose->places[i].timer);
    diagnose_access_free(diagnose->access);
    mask_free(diagnose->mask);
    free(diagnose);
    return NULL;
}
