/* SPDX-License-Identifier: Apache-2.0
 * Bounded like everything that leaves: texts are cut to what the contract takes, on a character's border, and a
 * list longer than it takes loses its end. */
#include "agent/ship/agent_report.h"

#include <stdio.h>
#include <sys/utsname.h>

#include "common/codec/codec.h"
#include "sre.pb.h"

enum {
    TARGETS_MAX = 1000,
    CLUSTERS_MAX = 64,
    WATCHES_MAX = 64,
    RESOURCE_BYTES = 128,
    TARGET_ERROR_BYTES = 500,
    CONFIG_ERROR_BYTES = 1000
};

static Timestamp timestamp_of(int64_t ms) {
    return (Timestamp){.seconds = ms / 1000, .nanos = (int32_t)(ms % 1000) * 1000000};
}

/* At most `bytes`, and no UTF-8 sequence cut in two. */
static slice cut(const char *text, size_t bytes) {
    const slice whole = slice_from_text(text);
    if (whole.size <= bytes) return whole;
    while (bytes && (whole.data[bytes] & 0xc0) == 0x80) bytes--;
    return slice_first(whole, bytes);
}

static fault_code fill_streams(const struct agent_report *report, struct arena *arena, AgentStatus *status,
                               struct fault *reterr) {
    size_t count;
    const struct queue_stream *const streams = queue_streams(report->queue, &count);
    StreamStatus *const items = arena_alloc_array(arena, count + 1, sizeof *items);
    if (!items) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    for (size_t i = 0; i < count; i++) {
        items[i] = (StreamStatus){
            .stream = streams[i].number,
            .class_name = slice_from_text(queue_class_name(streams[i].class)),
            .first_sequence = streams[i].oldest_sequence - streams[i].began_after, /* as they are sent */
            .last_sequence = streams[i].last_sequence - streams[i].began_after,
            .records_waiting = streams[i].records,
            .bytes_waiting = streams[i].bytes,
            .records_shed = report->shed && !streams[i].closed ? report->shed[streams[i].class] : 0,
            .open = !streams[i].closed,
        };
    }
    status->streams.items = items;
    status->streams.count = count;
    return FAULT_NONE;
}

/* By class, of all its streams. */
static fault_code fill_queues(const struct agent_report *report, struct arena *arena, AgentStatus *status,
                              struct fault *reterr) {
    size_t count;
    const struct queue_stream *const streams = queue_streams(report->queue, &count);
    QueueStatus *const items = arena_alloc_array(arena, QUEUE_CLASSES_MAX_, sizeof *items);
    if (!items) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++) {
        items[class] = (QueueStatus){.class_name = slice_from_text(queue_class_name((enum queue_class) class)),
                                     .records_shed = report->shed ? report->shed[class] : 0};
    }
    for (size_t i = 0; i < count; i++) {
        QueueStatus *const item = &items[streams[i].class];
        item->records_waiting += streams[i].records;
        item->bytes_waiting += streams[i].bytes;
        if (!streams[i].oldest_ms) continue;
        const Timestamp oldest = timestamp_of(streams[i].oldest_ms);
        if (!item->has_oldest_at || streams[i].oldest_ms < item->oldest_at.seconds * 1000) item->oldest_at = oldest;
        item->has_oldest_at = true;
    }
    status->queues.items = items;
    status->queues.count = QUEUE_CLASSES_MAX_;
    return FAULT_NONE;
}

static void fill_config(const struct config_trial_report *report, AgentStatus *status) {
    static const ConfigState states[] = {[CONFIG_TRIAL_NONE] = CONFIG_STATE_NONE,
                                         [CONFIG_TRIAL_GOOD] = CONFIG_STATE_IN_FORCE,
                                         [CONFIG_TRIAL_RUNS] = CONFIG_STATE_ON_TRIAL,
                                         [CONFIG_TRIAL_ROLLED_BACK] = CONFIG_STATE_ROLLED_BACK};
    status->has_config = true;
    status->config = (ConfigStatus){.state = states[report->state],
                                    .wanted_revision = report->wanted_revision,
                                    .failed_revision = report->failed_revision,
                                    .failed_reason = cut(report->failed_reason, CONFIG_ERROR_BYTES),
                                    .has_failed_at = report->failed_ms > 0,
                                    .failed_at = timestamp_of(report->failed_ms),
                                    .starts = report->starts};
}

static void fill_certificate(const struct certificate_report *report, AgentStatus *status) {
    const bool is = report->serial[0] != '\0';
    status->has_certificate = true;
    status->certificate = (CertificateStatus){.serial = slice_from_text(report->serial),
                                              .has_not_before = is,
                                              .not_before = timestamp_of(report->not_before_ms),
                                              .has_not_after = is,
                                              .not_after = timestamp_of(report->not_after_ms),
                                              .renews = report->renews,
                                              .error = cut(report->error, CONFIG_ERROR_BYTES)};
}

static fault_code fill_capabilities(const struct agent_report *report, struct arena *arena, AgentStatus *status,
                                    struct fault *reterr) {
    slice *const items = arena_alloc_array(arena, report->capabilities_count + 1, sizeof *items);
    if (!items) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    for (size_t i = 0; i < report->capabilities_count; i++) items[i] = slice_from_text(report->capabilities[i]);
    status->capabilities.items = items;
    status->capabilities.count = report->capabilities_count;
    return FAULT_NONE;
}

static fault_code fill_targets(const struct agent_report *report, struct arena *arena, AgentStatus *status,
                               struct fault *reterr) {
    const size_t count = report->targets_count < TARGETS_MAX ? report->targets_count : TARGETS_MAX;
    TargetStatus *const items = arena_alloc_array(arena, count + 1, sizeof *items);
    if (!items) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const struct target_report *const target = &report->targets[i];
        items[i] = (TargetStatus){
            .name = target->name,
            .up = target->up,
            .has_last_scrape_at = target->last_ms > 0,
            .last_scrape_at = timestamp_of(target->last_ms),
            .has_last_scrape_took = target->last_ms > 0,
            .last_scrape_took = {.seconds = target->duration_ms / 1000,
                                 .nanos = (int32_t)(target->duration_ms % 1000) * 1000000},
            .samples = target->samples,
            .error = cut(target->error, TARGET_ERROR_BYTES),
        };
    }
    status->targets.items = items;
    status->targets.count = count;
    return FAULT_NONE;
}

static WatchState watch_state_of(const struct watch_report *watch) {
    if (!watch->resource[0]) return WATCH_STATE_NO_ACCESS;
    return watch->denied ? WATCH_STATE_DENIED : WATCH_STATE_STALE;
}

static fault_code fill_watches(const struct agent_report *report, struct arena *arena, AgentStatus *status,
                               struct fault *reterr) {
    const size_t count = report->watches_count < WATCHES_MAX ? report->watches_count : WATCHES_MAX;
    WatchStatus *const items = arena_alloc_array(arena, count + 1, sizeof *items);
    char *const names = arena_alloc_array(arena, count + 1, RESOURCE_BYTES);
    if (!items || !names) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const struct watch_report *const watch = &report->watches[i];
        char *const name = names + i * RESOURCE_BYTES;
        snprintf(name, RESOURCE_BYTES, "%s%s%s", watch->resource, watch->group[0] ? "." : "", watch->group);
        items[i] = (WatchStatus){
            .cluster_id = watch->cluster,
            .resource = slice_from_text(name),
            .namespace = watch->namespace,
            .state = watch_state_of(watch),
            .has_current_at = watch->current_ms > 0,
            .current_at = timestamp_of(watch->current_ms),
            .error = cut(watch->error, TARGET_ERROR_BYTES),
        };
    }
    status->dark_watches.items = items;
    status->dark_watches.count = count;
    return FAULT_NONE;
}

fault_code agent_report_encode(const struct agent_report *report, struct arena *arena, slice *ret_payload,
                               struct fault *reterr) {
    struct utsname machine;
    char epoch[UUID_TEXT_SIZE + 1] = "";
    slice clusters[CLUSTERS_MAX];
    AgentStatus status = {
        .tenant_id = report->tenant,
        .agent = report->agent,
        .online = report->online,
        .has_reported_at = true,
        .reported_at = timestamp_of(report->now_ms),
        .has_started_at = true,
        .started_at = timestamp_of(report->started_ms),
        .version = SLICE_LIT(PICKET_VERSION),
        .node_name = report->node_name,
        .config_revision = report->config_revision,
        .config_error = cut(report->config_error, CONFIG_ERROR_BYTES),
        .store_error = cut(report->store_error ? report->store_error : "", CONFIG_ERROR_BYTES),
        .environment_id = report->environment_id,
        .resident_bytes = report->resident_bytes,
        .has_status_interval = report->status_interval_ms > 0,
        .status_interval = {.seconds = report->status_interval_ms / 1000,
                            .nanos = (int32_t)(report->status_interval_ms % 1000) * 1000000},
    };
    status.cluster_ids.items = clusters;
    if (report->cluster_id.size) clusters[status.cluster_ids.count++] = report->cluster_id;
    for (size_t i = 0; i < report->clusters_count && status.cluster_ids.count < CLUSTERS_MAX; i++)
        if (!slice_equal(report->clusters[i], report->cluster_id))
            clusters[status.cluster_ids.count++] = report->clusters[i];
    if (uname(&machine) == 0) status.architecture = slice_from_text(machine.machine);
    if (report->queue) {
        uuid_format(queue_epoch(report->queue), epoch);
        status.epoch = slice_from_text(epoch);
        if (fill_streams(report, arena, &status, reterr) || fill_queues(report, arena, &status, reterr))
            return fault_wrap(reterr, "agent status");
    }
    if (report->config) fill_config(report->config, &status);
    if (report->certificate) fill_certificate(report->certificate, &status);
    if (fill_capabilities(report, arena, &status, reterr)) return fault_wrap(reterr, "agent status");
    if (fill_targets(report, arena, &status, reterr)) return fault_wrap(reterr, "agent status");
    if (fill_watches(report, arena, &status, reterr)) return fault_wrap(reterr, "agent status");
    return codec_encode_protobuf(&AgentStatus_desc, &status, arena, ret_payload, reterr)
               ? fault_wrap(reterr, "agent status")
               : FAULT_NONE;
}
