/* SPDX-License-Identifier: Apache-2.0
 * What the parts know of themselves, gathered in the three forms in which others see it: the retained status at the
 * broker, the answer of /readyz, and the metrics. Nothing is decided here. */
#include "agent/show/agent_status.h"
#include "agent/enrol/own_certificate.h"
#include "agent/show/capabilities.h"
#include "agent/show/dark_watches.h"
#include "agent/pipeline_parts.h"
#include "agent/show/readiness.h"
#include "common/base/clock.h"
#include "common/logging/log.h"

#include <stdio.h>
#include <string.h>

enum {
    OWN_CERTIFICATE_TICKS = 60, /* it may be replaced, and it ends */
    TROUBLE_SAID_MS = 10 * 1000,
};

fault_code pipeline_encode_status(void *context, bool online, bool will, slice *ret_payload, struct fault *reterr) {
    struct pipeline *const pipeline = context;
    const struct agent_settings *const settings = pipeline->file.settings;
    struct queue_stats stats = {0};
    struct fault trouble = {0};
    bool fails;
    struct config_trial_report config;
    const char *words[CAPABILITIES_MAX];
    char error[4 * PIPELINE_NOTES_BYTES];
    const struct remote_definitions *const remote = config_trial_definitions(pipeline->remote);
    uint64_t lost[QUEUE_CLASSES_MAX_];
    if (!will) {
        queue_stats(pipeline->queue, &stats);
        (void)stores_trouble(pipeline->stores, &fails, &trouble);
    }
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++) lost[class] = stats.shed[class] - stats.arrived[class];
    config_trial_report(pipeline->remote, &config);
    const char *const failed = config.state == CONFIG_TRIAL_ROLLED_BACK ? config.failed_reason : "";
    const char *const errors[] = {pipeline->file_error, failed, remote->refusals, pipeline->notes,
                                  stores_note(pipeline->stores)};
    agent_status_join(errors, sizeof errors / sizeof *errors, error, sizeof error);
    slice clusters[KUBE_CLUSTERS_MAX];
    for (size_t i = 0; i < settings->kubernetes.count; i++) clusters[i] = settings->kubernetes.items[i].cluster_id;
    struct agent_report report = {
        .tenant = settings->tenant,
        .agent = settings->name,
        .node_name = settings->node_name,
        .cluster_id = settings->cluster_id,
        .environment_id = settings->environment_id,
        .clusters = clusters,
        .clusters_count = settings->kubernetes.count,
        .started_ms = pipeline->started_ms,
        .now_ms = clock_wall_ms(),
        .online = online,
        .config_revision = remote->revision,
        .config_error = error,
        .store_error = trouble.text,
        .config = &config,
        .status_interval_ms = settings->ship.status_ms,
        .queue = will ? NULL : pipeline->queue,
        .shed = will ? NULL : lost,
        .resident_bytes = will ? 0 : agent_status_resident(),
        .capabilities = words,
    };
    if (pipeline->measure && online) report.targets = measure_targets(pipeline->measure, &report.targets_count);
    report.capabilities_count = capabilities_of(settings, words);
    arena_reset(pipeline->report_arena);
    if (online) report.watches = dark_watches(pipeline->clusters, pipeline->report_arena, &report.watches_count);
    struct certificate_report certificate;
    agent_status_certificate(pipeline->enrol, setting_text(settings->mqtt.certificate), pipeline->report_arena,
                             &certificate);
    if (!settings->mqtt.plain_text) report.certificate = &certificate;
    return agent_report_encode(&report, pipeline->report_arena, ret_payload, reterr);
}

/* Of mqtt.certificate; said in the log when it is another fault than before. */
void pipeline_look_at_certificate(struct pipeline *pipeline) {
    const struct agent_settings *const settings = pipeline->file.settings;
    char name[CERTIFICATE_NAME_BYTES];
    struct fault fault = {0};
    snprintf(name, sizeof name, "%.*s/%.*s", SLICE_ARG(settings->tenant), SLICE_ARG(settings->name));
    const fault_code code =
        own_certificate_check(setting_text(settings->mqtt.certificate), name, &pipeline->certificate, &fault);
    if (code != FAULT_INPUT) fault.text[0] = '\0';
    if (fault.text[0] && strcmp(fault.text, pipeline->certificate_fault) != 0)
        LOG_ERROR("agent", "certificate_of_another", LOG_FAULT(&fault),
                  LOG_TEXT("instead", "measuring goes on, the queue keeps it"));
    memcpy(pipeline->certificate_fault, fault.text, sizeof pipeline->certificate_fault);
}

/* Milliseconds since a monotonic moment; -1 when it never came. */
static int64_t since(int64_t moment_ms, int64_t now_ms) {
    return moment_ms ? now_ms - moment_ms : -1;
}

/* What is wrong with the certificate and does not wait; "": nothing. */
static void find_certificate_fault(struct pipeline *pipeline, const struct enrol_report *enrolled, char *ret_text,
                                   size_t text_bytes) {
    const struct agent_settings *const settings = pipeline->file.settings;
    struct certificate_view view = {0};
    ret_text[0] = '\0';
    if (pipeline->enrol && enrolled->serial[0]) {
        view.not_before_ms = enrolled->not_before_ms;
        view.not_after_ms = enrolled->not_after_ms;
        own_certificate_trouble(&view, clock_wall_ms(), enrolled->error, ret_text, text_bytes);
    }
    if (pipeline->enrol || settings->mqtt.plain_text || !settings->mqtt.certificate.size) return;
    if (pipeline->ticks % OWN_CERTIFICATE_TICKS == 0) pipeline_look_at_certificate(pipeline);
    if (pipeline->certificate_fault[0])
        snprintf(ret_text, text_bytes, "%s", pipeline->certificate_fault);
    else if (pipeline->certificate.not_after_ms)
        own_certificate_trouble(&pipeline->certificate, clock_wall_ms(), "", ret_text, text_bytes);
}

/* That storing fails, or does so no more, is not left to the next status; a disk at its border may change its mind often. */
static void say_trouble(struct pipeline *pipeline, bool troubled, int64_t now_ms) {
    if (troubled == pipeline->trouble_said || (pipeline->trouble_ms && now_ms - pipeline->trouble_ms < TROUBLE_SAID_MS))
        return;
    pipeline->trouble_said = troubled;
    pipeline->trouble_ms = now_ms;
    if (pipeline->link) link_want_status(pipeline->link);
}

static bool update_readiness(struct pipeline *pipeline, const struct measure_stats *measure,
                             const struct queue_stats *queue, const struct shipper_stats *ship,
                             const struct link_stats *link, size_t uncounted, const char *uncounted_error) {
    const int64_t now_ms = clock_monotonic_ms();
    char text[4096], clusters[400] = "", certificate_text[400];
    struct enrol_report certificate = {.error = ""};
    if (pipeline->enrol) enrol_report(pipeline->enrol, &certificate);
    find_certificate_fault(pipeline, &certificate, certificate_text, sizeof certificate_text);
    struct fault trouble;
    bool fails;
    const bool troubled = stores_trouble(pipeline->stores, &fails, &trouble) != FAULT_NONE;
    say_trouble(pipeline, troubled, now_ms);
    const struct readiness readiness = {
        .stall_ms = pipeline->file.settings->ready.stall_ms,
        .up_ms = now_ms - pipeline->started_monotonic_ms,
        .connected = link->mqtt.connected,
        .ever_connected = link->ever_connected,
        .disconnected_ms = link->mqtt.connected ? 0 : now_ms - link->disconnected_ms,
        .broker_fault = certificate.error[0] ? certificate.error : link->mqtt.last_fault.text,
        .waiting = queue->records[QUEUE_HEALTH] + queue->records[QUEUE_WINDOWS] + queue->records[QUEUE_REST],
        .oldest_ms = queue->oldest_ms ? clock_wall_ms() - queue->oldest_ms : 0,
        .last_commit_ms = since(ship->last_commit_ms, now_ms),
        .targets = measure->targets,
        .last_success_ms = since(measure->last_success_ms, now_ms),
        .refusal = ship->refusal,
        .certificate_fault = certificate_text,
        .store_failing = measure->store_failing || (troubled && fails),
        .store_fault = troubled                 ? trouble.text
                       : measure->store_failing ? measure->last_fault.text
                                                : "",
        .uncounted_targets = uncounted,
        .uncounted = uncounted_error,
        .clusters_ms = cluster_health_trouble(pipeline->cluster_health, clusters, sizeof clusters),
        .clusters_fault = clusters,
    };
    const bool ready = readiness_judge(&readiness, text, sizeof text);
    if (pipeline->pages) pages_update(pipeline->pages, ready, text);
    return ready;
}

void pipeline_show(struct pipeline *pipeline) {
    struct measure_stats measure;
    struct queue_stats queue;
    struct shipper_stats ship;
    struct link_stats link = {0};
    measure_stats(pipeline->measure, &measure);
    queue_stats(pipeline->queue, &queue);
    shipper_stats(pipeline->shipper, &ship);
    if (pipeline->link) link_stats(pipeline->link, &link);
    size_t targets_count, uncounted = 0;
    const char *uncounted_error = "";
    const struct target_report *const targets = measure_targets(pipeline->measure, &targets_count);
    for (size_t i = 0; i < targets_count; i++)
        if (targets[i].uncounted && uncounted++ == 0) uncounted_error = targets[i].error;
    const bool ready = update_readiness(pipeline, &measure, &queue, &ship, &link, uncounted, uncounted_error);
    agent_metrics_measure(pipeline->table, &measure, targets, targets_count);
    agent_metrics_queue(pipeline->table, &queue, clock_wall_ms());
    agent_metrics_ship(pipeline->table, &ship, &link.mqtt);
    if (pipeline->argocd) agent_metrics_argocd(pipeline->table, pipeline->argocd);
    agent_metrics_config(pipeline->table, config_trial_definitions(pipeline->remote)->revision, pipeline->reloads,
                         pipeline->reloads_refused, ready);
}
