/* SPDX-License-Identifier: Apache-2.0
 * Wiring, in the order of the way: file -> measure (scrapes, probes, fold, health) -> queue -> shipper -> broker, and
 * back: acks to the shipper, configuration from the centre to a new measure.
 *
 * A configuration, from the file or from the centre, is read into an arena of its own and becomes effective as a whole:
 * a measure is built with it beside the one that runs, and only when that has worked does it take over. */
#include "agent/pipeline_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/settings/restart_keys.h"
#include "common/base/clock.h"
#include "common/logging/log.h"

enum {
    FILE_ARENA_BYTES = 128 * 1024 * 1024,
    REPORT_ARENA_BYTES = 4 * 1024 * 1024,
    TICK_MS = 1000,
    DRAIN_MS = 1000,
    ACK_WAIT_MS = 500,
    ACK_STORE_MS = 50,
    CONFIG_PACE_MS = 1000,
    PATH_BYTES = 512,
};

static void on_tick(void *context);

static void log_mistakes(const struct setting_texts *mistakes) {
    for (size_t i = 0; i < mistakes->count; i++)
        LOG_ERROR("agent", "config_mistake", LOG_SLICE("mistake", mistakes->items[i]));
}

static fault_code read_file(struct pipeline *pipeline, struct file_config *ret_file, struct fault *reterr) {
    struct file_config file = {.arena = arena_new(32 * 1024, FILE_ARENA_BYTES)};
    if (!file.arena) return fault_set(reterr, FAULT_LIMIT, "read configuration: out of memory");
    file.settings = arena_alloc(file.arena, sizeof *file.settings);
    struct setting_texts mistakes = {0};
    const fault_code code = file.settings ? agent_settings_read(pipeline->config_path, pipeline->environment,
                                                                file.arena, file.settings, &mistakes, reterr)
                                          : fault_set(reterr, FAULT_LIMIT, "out of memory");
    if (code) {
        log_mistakes(&mistakes);
        arena_free(file.arena);
        return fault_wrap(reterr, "read configuration");
    }
    *ret_file = file;
    return FAULT_NONE;
}

static fault_code apply_log(const struct agent_settings *settings, struct fault *reterr) {
    return log_setup((enum log_level)settings->log_level, (enum log_format)settings->log_format, settings->log_debug,
                     reterr);
}

static void on_stored(void *context) {
    struct pipeline *const pipeline = context;
    if (pipeline->shipper) shipper_kick(pipeline->shipper);
}

static void on_alert(void *context) {
    struct pipeline *const pipeline = context;
    on_stored(pipeline);
    if (pipeline->link) link_hurry(pipeline->link);
}

static struct envelope envelope_of(const struct agent_settings *settings) {
    return (struct envelope){settings->tenant, settings->name, settings->cluster_id, settings->environment_id};
}

static fault_code open_alerts(struct pipeline *pipeline, struct fault *reterr) {
    const struct edge_alerts_parts parts = {pipeline->loop,    pipeline->client, pipeline->queue, pipeline->state,
                                            pipeline->metrics, on_alert,         pipeline};
    const struct envelope envelope = envelope_of(pipeline->file.settings);
    return edge_alerts_new(&parts, &pipeline->file.settings->alerts, &envelope, &pipeline->alerts, reterr);
}

static fault_code build_measure(struct pipeline *pipeline, const struct agent_settings *settings,
                                const struct remote_definitions *remote, struct measure **ret_measure,
                                struct fault *reterr) {
    const struct measure_parts parts = {pipeline->loop, pipeline->client, pipeline->queue, pipeline->state,
                                        on_stored,      pipeline,         pipeline->alerts};
    char notes[PIPELINE_NOTES_BYTES];
    const fault_code code = measure_new(&parts, settings, remote, notes, sizeof notes, ret_measure, reterr);
    if (!code) memcpy(pipeline->notes, notes, sizeof notes);
    return code;
}

static fault_code apply_remote(void *context, const struct remote_definitions *remote, struct fault *reterr);
static enum config_trial_finding find_measuring(void *context);
static void want_status(void *context);

static fault_code open_remote(struct pipeline *pipeline, struct fault *reterr) {
    const struct config_trial_parts parts = {
        pipeline->loop, pipeline->queue, AGENT_SLIS_MAX, pipeline->file.settings->config.probation_ms,
        apply_remote,   find_measuring,  want_status,    pipeline,
        CONFIG_PACE_MS};
    return config_trial_open(&parts, &pipeline->remote, reterr);
}

static fault_code connect_link(struct pipeline *pipeline, struct fault *reterr);

static void on_certificate(void *context) {
    struct pipeline *const pipeline = context;
    struct fault fault;
    if (!pipeline->link || !connect_link(pipeline, &fault)) return;
    LOG_ERROR("agent", "mqtt_refused", LOG_FAULT(&fault), LOG_TEXT("instead", "not connected until there is another"));
}

static fault_code open_enrol(struct pipeline *pipeline, struct fault *reterr) {
    const struct agent_settings *const settings = pipeline->file.settings;
    char folder[PATH_BYTES];
    if (!settings->enrolment.url.size) return FAULT_NONE;
    snprintf(folder, sizeof folder, "%.*s/identity", SLICE_ARG(settings->buffer.path));
    const struct enrol_parts parts = {pipeline->loop,   pipeline->client, &settings->enrolment, folder,
                                      settings->tenant, settings->name,   on_certificate,       pipeline};
    return enrol_open(&parts, &pipeline->enrol, reterr);
}

static void on_link(void *context, const struct fault *reason);
static void on_config(void *context, const struct mqtt_message *message);

static fault_code open_diagnose(struct pipeline *pipeline, struct fault *reterr) {
    const struct diagnose_parts parts = {pipeline->loop, pipeline->link, pipeline->metrics, clusters_ask,
                                         &pipeline->clusters};
    return diagnose_open(&parts, &pipeline->file.settings->diagnostics, &pipeline->diagnose, reterr);
}

static void on_older_copy(void *context) {
    measure_forget_past(((struct pipeline *)context)->measure);
}

static fault_code open_ship(struct pipeline *pipeline, struct fault *reterr) {
    const struct agent_settings *const settings = pipeline->file.settings;
    const struct shipper_settings ship = {
        .tenant = setting_text(settings->tenant),
        .agent = setting_text(settings->name),
        .inflight_max = (unsigned)settings->ship.inflight_max,
        .batch_bytes = (size_t)settings->ship.batch_bytes,
        .batch_intents = (size_t)settings->ship.batch_intents,
        .resend_ms = settings->ship.resend_ms,
        .outage_ms = settings->ship.outage_ms,
        .ack_wait_ms = ACK_WAIT_MS,
        .ack_store_ms = ACK_STORE_MS,
        .ack_few_ms = settings->buffer.commit_ms,
        .older_copy = on_older_copy,
        .context = pipeline,
    };
    const struct link_callbacks callbacks = {pipeline_encode_status, on_link, pipeline};
    fault_code code =
        shipper_new(pipeline->loop, pipeline->queue, &ship, pipeline->metrics, &pipeline->shipper, reterr);
    if (!code)
        code =
            link_new(pipeline->loop, pipeline->shipper, ship.tenant, ship.agent, &callbacks, &pipeline->link, reterr);
    if (!code) code = link_listen(pipeline->link, "sre.edge.config.v1", on_config, pipeline, reterr);
    if (!code) code = open_diagnose(pipeline, reterr);
    return code ? code : connect_link(pipeline, reterr);
}

static void log_opened(const struct pipeline *pipeline) {
    struct measure_stats stats;
    char epoch[UUID_TEXT_SIZE + 1];
    const struct agent_settings *const settings = pipeline->file.settings;
    measure_stats(pipeline->measure, &stats);
    uuid_format(queue_epoch(pipeline->queue), epoch);
    LOG_INFO("agent", "started", LOG_TEXT("version", PICKET_VERSION), LOG_SLICE("tenant", settings->tenant),
             LOG_SLICE("agent", settings->name), LOG_TEXT("epoch", epoch), LOG_UINT("targets", stats.targets),
             LOG_UINT("slis", stats.slis), LOG_UINT("checks", stats.checks),
             LOG_UINT("config_revision", config_trial_definitions(pipeline->remote)->revision),
             LOG_SLICE("broker", settings->mqtt.host), LOG_UINT("memory_measure_bytes", stats.memory_bytes),
             LOG_INT("memory_ship_bytes", settings->ship.inflight_bytes_max + settings->ship.batch_bytes),
             LOG_INT("http_port", pipeline->pages ? pages_port(pipeline->pages) : 0));
}

static fault_code open_parts(struct pipeline *pipeline, struct fault *reterr) {
    const struct agent_settings *const settings = pipeline->file.settings;
    pipeline->metrics = metrics_new("picket-agent");
    pipeline->report_arena = arena_new(16 * 1024, REPORT_ARENA_BYTES);
    pipeline->tick_timer = loop_timer_new(pipeline->loop, on_tick, pipeline);
    if (!pipeline->metrics || !pipeline->report_arena || !pipeline->tick_timer)
        return fault_set(reterr, FAULT_LIMIT, "out of memory");
    fault_code code = agent_metrics_add(pipeline->metrics, &pipeline->table, reterr);
    if (!code) code = stores_open(settings, &pipeline->stores, reterr);
    if (code) return code;
    pipeline->queue = stores_queue(pipeline->stores);
    pipeline->state = stores_state(pipeline->stores);
    code = queue_use_loop(pipeline->queue, pipeline->loop, on_stored, pipeline, reterr);
    if (!code)
        code = http_client_new(pipeline->loop, (unsigned)settings->scrape.connections_max, &pipeline->client, reterr);
    if (!code) code = open_alerts(pipeline, reterr);
    if (!code) code = open_enrol(pipeline, reterr);
    if (!code) code = open_remote(pipeline, reterr);
    if (code) return code;
    do {
        code =
            build_measure(pipeline, settings, config_trial_definitions(pipeline->remote), &pipeline->measure, reterr);
    } while (code && config_trial_step_back(pipeline->remote, reterr));
    if (code) return code;
    measure_restore(pipeline->measure);
    code = open_ship(pipeline, reterr);
    if (!code && settings->http.address.size)
        code = pages_open(setting_text(settings->http.address), (uint16_t)settings->http.port, pipeline->metrics,
                          &pipeline->pages, reterr);
    return code;
}

/* The clusters, and what looks into them. */
static fault_code open_clusters(struct pipeline *pipeline, struct fault *reterr) {
    const struct agent_settings *const settings = pipeline->file.settings;
    fault_code code = clusters_open(pipeline->loop, settings, &pipeline->clusters, reterr);
    const struct cluster_health_parts health = {pipeline->loop,    pipeline->queue, pipeline->state, pipeline->clusters,
                                                pipeline->metrics, on_stored,       pipeline};
    if (!code) code = cluster_health_open(&health, settings, &pipeline->cluster_health, reterr);
    if (!code) code = discoveries_open(pipeline->loop, pipeline->clusters, settings, &pipeline->discoveries, reterr);
    const struct argocd_feed_parts argocd = {pipeline->loop, pipeline->queue, pipeline->clusters, on_stored, pipeline};
    if (!code) code = argocd_feed_open(&argocd, settings, &pipeline->argocd, reterr);
    return code;
}

static void close_clusters(struct pipeline *pipeline) {
    pipeline->argocd = argocd_feed_close(pipeline->argocd); /* what was reported is in the queue's notes */
    diagnose_give_up(pipeline->diagnose);
    pipeline->discoveries = discoveries_close(pipeline->discoveries);
    pipeline->cluster_health = cluster_health_close(pipeline->cluster_health); /* told: see the queue's notes */
    pipeline->clusters = clusters_close(pipeline->clusters);
}

fault_code pipeline_open(struct loop *loop, const char *config_path, char *const *environment,
                         struct pipeline **ret_pipeline, struct fault *reterr) {
    struct pipeline *pipeline = calloc(1, sizeof *pipeline);
    if (!pipeline) return fault_set(reterr, FAULT_LIMIT, "start: out of memory");
    pipeline->loop = loop;
    pipeline->config_path = config_path;
    pipeline->environment = environment;
    pipeline->started_ms = clock_wall_ms();
    pipeline->started_monotonic_ms = clock_monotonic_ms();
    fault_code code = read_file(pipeline, &pipeline->file, reterr);
    if (!code) code = apply_log(pipeline->file.settings, reterr);
    if (!code) code = open_parts(pipeline, reterr);
    if (!code) code = open_clusters(pipeline, reterr);
    if (code) {
        pipeline_close(pipeline);
        return fault_wrap(reterr, "start");
    }
    measure_start(pipeline->measure);
    config_trial_started(pipeline->remote);
    discoveries_use(pipeline->discoveries, pipeline->measure);
    on_tick(pipeline);
    log_opened(pipeline);
    *ret_pipeline = pipeline;
    return FAULT_NONE;
}

bool pipeline_broken(const struct pipeline *pipeline) {
    return pipeline->broken;
}

struct pipeline *pipeline_close(struct pipeline *pipeline) {
    if (!pipeline) return NULL;
    pipeline->link = link_free(pipeline->link, DRAIN_MS); /* first: the acks that still come are about all the others */
    pipeline->shipper = shipper_free(pipeline->shipper);
    pipeline->measure = measure_free(pipeline->measure);
    close_clusters(pipeline);
    pipeline->alerts = edge_alerts_free(pipeline->alerts);
    pipeline->diagnose = diagnose_close(pipeline->diagnose);
    pipeline->pages = pages_close(pipeline->pages);
    loop_timer_free(pipeline->tick_timer);
    enrol_close(pipeline->enrol);
    http_client_free(pipeline->client);
    config_trial_close(pipeline->remote);
    stores_close(pipeline->stores);
    metrics_free(pipeline->metrics);
    arena_free(pipeline->report_arena);
    arena_free(pipeline->file.arena);
    free(pipeline);
    return NULL;
}

/* Lets a measure with these settings and definitions take over; what it was built from becomes the one in force. */
static fault_code change_measure(struct pipeline *pipeline, const struct agent_settings *settings,
                                 const struct remote_definitions *remote, struct fault *reterr) {
    struct measure *measure = NULL;
    const fault_code code = build_measure(pipeline, settings, remote, &measure, reterr);
    if (code) return code;
    measure_take_over(measure, pipeline->measure);
    pipeline->measure = measure;
    measure_start(measure);
    return FAULT_NONE;
}

static void refuse_reload(struct pipeline *pipeline, const struct fault *fault) {
    pipeline->reloads_refused++;
    snprintf(pipeline->file_error, sizeof pipeline->file_error, "file: %s", fault->text);
    LOG_ERROR("agent", "reload_refused", LOG_FAULT(fault),
              LOG_TEXT("instead", "the configuration before it stays in force"));
    link_want_status(pipeline->link);
}

void pipeline_reload(struct pipeline *pipeline) {
    struct fault fault = {FAULT_LIMIT, "out of memory"};
    struct file_config file;
    if (read_file(pipeline, &file, &fault)) {
        refuse_reload(pipeline, &fault);
        return;
    }
    char keys[PIPELINE_NOTES_BYTES];
    if (restart_keys_keep(pipeline->file.settings, file.settings, file.arena, keys, sizeof keys, &fault) ||
        apply_log(file.settings, &fault) ||
        change_measure(pipeline, file.settings, config_trial_definitions(pipeline->remote), &fault)) {
        arena_free(file.arena);
        refuse_reload(pipeline, &fault);
        return;
    }
    config_trial_forgive(pipeline->remote); /* what failed may come again with the new connection */
    struct file_config old = pipeline->file;
    if (keys[0])
        LOG_WARN("agent", "restart_needed", LOG_TEXT("keys", keys),
                 LOG_TEXT("instead", "their old values stay in force until then"));
    pipeline->file = file;
    close_clusters(pipeline);
    if (open_clusters(pipeline, &fault))
        LOG_ERROR("agent", "clusters_refused", LOG_FAULT(&fault), LOG_TEXT("instead", "not watched until a reload"));
    discoveries_use(pipeline->discoveries, pipeline->measure);
    const struct envelope envelope = envelope_of(file.settings);
    if (pipeline->enrol) enrol_use(pipeline->enrol, &file.settings->enrolment);
    edge_alerts_use(pipeline->alerts, &file.settings->alerts, &envelope);
    if (diagnose_use(pipeline->diagnose, &file.settings->diagnostics, &fault))
        LOG_ERROR("agent", "diagnostics_off", LOG_FAULT(&fault), LOG_TEXT("instead", "no questions are answered"));
    if (connect_link(pipeline, &fault)) { /* anew: certificates may be others in the same files */
        LOG_ERROR("agent", "mqtt_refused", LOG_FAULT(&fault),
                  LOG_TEXT("instead", "not connected; correct the file and reload"));
        snprintf(pipeline->file_error, sizeof pipeline->file_error, "file: %s", fault.text);
    } else {
        pipeline->file_error[0] = '\0';
    }
    arena_free(old.arena);
    pipeline->certificate_fault[0] = '\0';
    if (!pipeline->enrol && file.settings->mqtt.certificate.size) pipeline_look_at_certificate(pipeline);
    pipeline->reloads++;
    LOG_INFO("agent", "reloaded", LOG_UINT("targets", file.settings->targets.count),
             LOG_UINT("slis", file.settings->slis.count));
    link_want_status(pipeline->link);
}

static fault_code apply_remote(void *context, const struct remote_definitions *remote, struct fault *reterr) {
    struct pipeline *const pipeline = context;
    const fault_code code = change_measure(pipeline, pipeline->file.settings, remote, reterr);
    if (!code) discoveries_use(pipeline->discoveries, pipeline->measure);
    return code;
}

/* Works: of late something answered, where there is something to ask. */
static enum config_trial_finding find_measuring(void *context) {
    struct pipeline *const pipeline = context;
    struct measure_stats stats;
    measure_stats(pipeline->measure, &stats);
    if (stats.store_failing) return CONFIG_TRIAL_UNKNOWN;
    const int64_t answered_ms = clock_monotonic_ms() - stats.last_success_ms;
    const bool works =
        !stats.targets || (stats.last_success_ms && answered_ms < pipeline->file.settings->config.probation_ms);
    return works ? CONFIG_TRIAL_WORKS : CONFIG_TRIAL_FAILS;
}

static void want_status(void *context) {
    struct pipeline *const pipeline = context;
    if (pipeline->link) link_want_status(pipeline->link);
}

static void on_config(void *context, const struct mqtt_message *message) {
    struct pipeline *const pipeline = context;
    config_trial_take(pipeline->remote, message->payload);
    want_status(pipeline);
}

static void on_link(void *context, const struct fault *reason) {
    struct pipeline *const pipeline = context;
    if (pipeline->enrol) enrol_on_link(pipeline->enrol, !reason);
    const slice broker = pipeline->file.settings->mqtt.host;
    if (!reason) {
        LOG_INFO("agent", "connected", LOG_SLICE("broker", broker));
        edge_alerts_announce(pipeline->alerts);
    } else {
        LOG_WARN("agent", "disconnected", LOG_SLICE("broker", broker), LOG_FAULT(reason),
                 LOG_TEXT("instead", "measuring goes on, the queue keeps it, connecting again"));
    }
}

static fault_code connect_link(struct pipeline *pipeline, struct fault *reterr) {
    const struct agent_settings *const settings = pipeline->file.settings;
    const char *const own = pipeline->enrol ? enrol_file(pipeline->enrol) : NULL;
    const char *const told = pipeline->enrol ? enrol_authority(pipeline->enrol) : NULL;
    if (pipeline->enrol && !own) return FAULT_NONE; /* on_certificate */
    const struct mqtt_settings mqtt = {
        .host = setting_text(settings->mqtt.host),
        .port = (uint16_t)settings->mqtt.port,
        .plain_text = settings->mqtt.plain_text,
        .ca_path = settings->mqtt.ca.size || !told ? setting_text(settings->mqtt.ca) : told,
        .certificate_path = own ? own : setting_text(settings->mqtt.certificate),
        .key_path = own ? own : setting_text(settings->mqtt.key),
        .server_name = setting_text(settings->mqtt.server_name),
        .inflight_max = (unsigned)settings->ship.inflight_max + 2,
        .inflight_bytes_max = (size_t)settings->ship.inflight_bytes_max,
        .keep_alive_ms = settings->mqtt.keep_alive_ms,
        .connect_timeout_ms = settings->mqtt.connect_timeout_ms,
        .backoff_min_ms = settings->mqtt.backoff_ms_min,
        .backoff_max_ms = settings->mqtt.backoff_ms_max,
    };
    return link_open(pipeline->link, &mqtt, settings->ship.status_ms, DRAIN_MS, reterr);
}

static void on_tick(void *context) {
    struct pipeline *const pipeline = context;
    clusters_tick(pipeline->clusters);
    discoveries_tick(pipeline->discoveries);
    pipeline_show(pipeline);
    pipeline->ticks++;
    stores_release_pages(pipeline->stores);
    if (stores_damaged(pipeline->stores)) {
        pipeline->broken = true;
        loop_stop(pipeline->loop);
    }
    loop_timer_set(pipeline->tick_timer, TICK_MS);
}
