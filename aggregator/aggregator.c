/* SPDX-License-Identifier: Apache-2.0
 * Wiring, and no logic: what is opened first is closed last, but for the journal's callers, which must be silent before
 * the journal ends. Tokens are looked at again every second, so that one made by the command line works at once. */
#include "aggregator/aggregator.h"

#include "aggregator/api/api.h"
#include "aggregator/data_folder.h"
#include "aggregator/intake/mqtt_intake.h"
#include "aggregator/journal_watch.h"
#include "aggregator/outbox/fact_publisher.h"
#include "aggregator/projections/projections.h"
#include "common/base/clock.h"
#include "common/logging/log.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
#define METRIC(id, kind, name, labels, help) id,
#include "aggregator/aggregator_metrics.def"
#undef METRIC
    COUNT_MAX_
};
static const struct metric_row rows[] = {
#define METRIC(id, kind, name, labels, help) METRIC_ROW(kind, name, labels, help),
#include "aggregator/aggregator_metrics.def"
#undef METRIC
};

enum {
    TICK_MS = 1000,
    LISTEN_GAP_MS_MIN = 5000,
    DUE_MAX = 1000,
    HEARTBEAT_MS = 15000,
    DRAIN_MS = 2000,
    SHORT_MS = 30000,  /* a connection that ends so soon ... */
    SHORT_SUSPECT = 3, /* ... so often in a row: two may be taking one client id from each other */
};

struct aggregator {
    struct loop *loop;
    const struct aggregator_settings *settings;
    int lock_fd;
    struct metrics *metrics;
    struct metric_table *table;
    struct agents *agents;
    struct journal *journal;
    struct mqtt_intake *intake;
    struct fact_publisher *publisher;
    struct projections *projections;
    struct outbox *outbox;
    struct tokens *tokens;
    struct oidc *oidc;
    struct enrolment *enrolment;
    struct callers *callers;
    struct api *api;
    struct mqtt_client *mqtt;
    struct loop_timer *tick_timer;
    atomic_bool connected, stands_by; /* for /readyz, which runs on the API's threads */
    atomic_uint_fast64_t publisher_lag, published;
    struct journal_watch watch;
    int64_t looked_ms; /* when the last tick was, by the wall clock; 0: there was none */
    int64_t connected_ms;
    unsigned short_connections; /* in a row */
    struct log_limit disconnects, token_faults, expiry_faults;
    char journal_path[AGGREGATOR_PATH_BYTES], projections_path[AGGREGATOR_PATH_BYTES],
        tokens_path[AGGREGATOR_PATH_BYTES], changes_path[AGGREGATOR_PATH_BYTES];
    char http_address[64];
};

static void path_in(const struct aggregator_settings *settings, const char *name,
                    char ret_path[AGGREGATOR_PATH_BYTES]) {
    snprintf(ret_path, AGGREGATOR_PATH_BYTES, "%.*s/%s", SLICE_ARG(settings->data.path), name);
}

void aggregator_tokens_path(const struct aggregator_settings *settings, char ret_path[AGGREGATOR_PATH_BYTES]) {
    path_in(settings, DATA_TOKENS, ret_path);
}

/* ---- the data folder ---- */

static fault_code lock_folder(struct aggregator *a, struct fault *reterr) {
    const char *folder = setting_text(a->settings->data.path);
    bool copied = false;
    if (data_folder_lock(folder, &a->lock_fd, reterr) || data_folder_finished(folder, reterr)) return reterr->code;
    if (data_folder_look_for_copy(folder, &copied, reterr)) return reterr->code;
    if (copied)
        LOG_WARN("aggregator", "data_path_copied", LOG_TEXT("path", folder),
                 LOG_TEXT("reason", "'" DATA_BORN "' in it was made at another time than it says: this is a copy"),
                 LOG_TEXT("instead", "it stands by, as what was restored does"));
    return FAULT_NONE;
}

/* ---- MQTT ---- */

static void on_connected(void *context, bool session_present) {
    struct aggregator *a = context;
    atomic_store(&a->connected, true);
    a->connected_ms = clock_monotonic_ms();
    LOG_INFO("mqtt", "connected", LOG_SLICE("broker", a->settings->mqtt.host));
    mqtt_intake_on_connected(a->intake);
    fact_publisher_on_connected(a->publisher);
}

static void on_disconnected(void *context, const struct fault *reason) {
    struct aggregator *a = context;
    uint64_t held;
    if (atomic_exchange(&a->connected, false))
        a->short_connections = clock_monotonic_ms() - a->connected_ms < SHORT_MS ? a->short_connections + 1 : 0;
    if (log_limit_pass(&a->disconnects, clock_monotonic_ms(), 10000, &held))
        LOG_WARN("mqtt", "disconnected", LOG_FAULT(reason),
                 LOG_TEXT("instead", a->short_connections < SHORT_SUSPECT
                                         ? "connecting again with back-off; agents keep their queues"
                                         : "connecting again with back-off; it ends soon each time: does another "
                                           "aggregator connect by this mqtt.client_id?"),
                 LOG_UINT("repeats", held));
}

static void on_message(void *context, const struct mqtt_message *message) {
    mqtt_intake_on_message(((struct aggregator *)context)->intake, message);
}

static void on_published(void *context, uint64_t token, const struct fault *fault) {
    struct aggregator *a = context;
    if (token & FACT_PUBLISHER_TOKEN)
        fact_publisher_on_published(a->publisher, token, fault);
    else
        mqtt_intake_on_published(a->intake);
}

static fault_code connect_broker(struct aggregator *a, struct fault *reterr) {
    const struct aggregator_settings *s = a->settings;
    if (s->mqtt.disabled || atomic_load(&a->stands_by)) return FAULT_NONE;
    const struct mqtt_settings settings = {
        .host = setting_text(s->mqtt.host),
        .port = (uint16_t)s->mqtt.port,
        .plain_text = s->mqtt.plain_text,
        .ca_path = setting_text(s->mqtt.ca),
        .certificate_path = setting_text(s->mqtt.certificate),
        .key_path = setting_text(s->mqtt.key),
        .server_name = setting_text(s->mqtt.server_name),
        .client_id = setting_text(s->mqtt.client_id),
        .inflight_max = (unsigned)s->mqtt.inflight_max,
        .inflight_bytes_max = (size_t)s->mqtt.inflight_bytes_max,
        .keep_alive_ms = s->mqtt.keep_alive_ms,
        .connect_timeout_ms = s->mqtt.connect_timeout_ms,
        .backoff_min_ms = s->mqtt.backoff_ms_min,
        .backoff_max_ms = s->mqtt.backoff_ms_max,
        .clean_start = true, /* agents send again what was not committed: nothing depends on the broker's memory */
        .subscriptions = mqtt_intake_subscriptions,
    };
    const struct mqtt_callbacks callbacks = {on_connected, on_disconnected, on_message, on_published, a};
    if (mqtt_client_open(a->loop, &settings, &callbacks, &a->mqtt, reterr))
        return fault_wrap(reterr, "connect to the broker");
    mqtt_intake_use(a->intake, a->mqtt);
    fact_publisher_client(a->publisher, a->mqtt);
    return FAULT_NONE;
}

/* ---- what others ask ---- */

static uint64_t newest_sequence(void *context) {
    return journal_last_sequence(((struct aggregator *)context)->journal);
}

static void not_ready(void *context, struct text *reasons) {
    struct aggregator *a = context;
    struct journal_stats journal;
    journal_stats(a->journal, &journal);
    if (journal.refusing) text_format(reasons, "the journal takes no commands: %s\n", journal.refusing_reason.text);
    if (atomic_load(&a->stands_by))
        text_format(
            reasons,
            "it stands by, off the broker: its journal was restored or its data.path copied, and nobody has said "
            "'picket-aggregator take-over'\n");
    else if (!a->settings->mqtt.disabled && !atomic_load(&a->connected))
        text_format(reasons, "not connected to the broker\n");
    const uint64_t newest = journal_last_sequence(a->journal), shown = projections_sequence(a->projections);
    if (newest > shown && newest - shown > (uint64_t)a->settings->ready.lag_max)
        text_format(reasons, "the projections are %llu facts behind\n", (unsigned long long)(newest - shown));
}

static void set_metrics(void *context) {
    struct aggregator *a = context;
    struct journal_stats s;
    journal_stats(a->journal, &s);
    metric_count_to(a->table, COUNT_JOURNAL_COMMITS, s.commits);
    metric_count_to(a->table, COUNT_JOURNAL_INTENTS, s.intents);
    metric_count_to(a->table, COUNT_JOURNAL_FACTS, s.facts);
    metric_count_to(a->table, COUNT_JOURNAL_REFUSED, s.refused);
    metric_count_to(a->table, COUNT_JOURNAL_REPEATED, s.repeated);
    metric_count_to(a->table, COUNT_JOURNAL_MISSING, s.missing);
    metric_count_to(a->table, COUNT_JOURNAL_UNREADABLE, s.unreadable_batches);
    metric_count_to(a->table, COUNT_JOURNAL_WRONG_TENANT, s.wrong_tenant);
    metric_count_to(a->table, COUNT_JOURNAL_WINDOW_REPEATS, s.window_repeats);
    metric_set(a->table, COUNT_JOURNAL_QUEUE_COMMANDS, (double)s.queue_commands);
    metric_set(a->table, COUNT_JOURNAL_QUEUE_BYTES, (double)s.queue_bytes);
    metric_set(a->table, COUNT_JOURNAL_SEQUENCE, (double)s.last_sequence);
    metric_set(a->table, COUNT_JOURNAL_REJECTIONS, (double)s.rejections);
    metric_set(a->table, COUNT_JOURNAL_USED_BYTES, (double)s.used_bytes);
    metric_set(a->table, COUNT_JOURNAL_FILE_BYTES, (double)s.file_bytes);
    metric_set(a->table, COUNT_JOURNAL_BUDGET_BYTES, (double)s.budget_bytes);
    metric_set(a->table, COUNT_JOURNAL_SPACE, (double)s.space);
    metric_set(a->table, COUNT_JOURNAL_MAP_BYTES, (double)s.map_bytes);
    metric_count_to(a->table, COUNT_JOURNAL_COMPACTED, s.compacted);
    metric_set(a->table, COUNT_JOURNAL_COMPACTABLE, (double)s.compactable_sequence);
    metric_set(a->table, COUNT_JOURNAL_COMPACTION_SECONDS, (double)s.slice_ns * 1e-9);
    metric_set(a->table, COUNT_JOURNAL_COMPACTION_PAUSE, (double)s.slice_ns_max * 1e-9);
    metric_count_to(a->table, COUNT_JOURNAL_DAMAGED, s.damaged);
    metric_set(a->table, COUNT_JOURNAL_REFUSING, s.refusing);
    metric_set(a->table, COUNT_JOURNAL_DECIDE_SECONDS, (double)s.decide_ns * 1e-9);
    metric_set(a->table, COUNT_JOURNAL_COMMIT_SECONDS, (double)s.commit_ns * 1e-9);
    const uint64_t newest = journal_last_sequence(a->journal), shown = projections_sequence(a->projections);
    metric_set(a->table, COUNT_OUTBOX_LAG_PROJECTIONS, newest > shown ? (double)(newest - shown) : 0);
    metric_set(a->table, COUNT_OUTBOX_LAG_PUBLISHER, (double)atomic_load(&a->publisher_lag));
    metric_count_to(a->table, COUNT_OUTBOX_PUBLISHED, atomic_load(&a->published));
    metric_set(a->table, COUNT_MQTT_CONNECTED, atomic_load(&a->connected));
    metric_set(a->table, COUNT_INTAKE_AGENTS, (double)agents_count(a->agents));
}

/* Somebody has said that it is the centre. */
static void take_over(struct aggregator *a) {
    struct fault fault;
    atomic_store(&a->stands_by, false);
    LOG_INFO("aggregator", "takes_over", LOG_TEXT("reason", "picket-aggregator take-over"));
    if (!connect_broker(a, &fault)) return;
    atomic_store(&a->stands_by, true);
    LOG_ERROR("mqtt", "not_opened", LOG_FAULT(&fault), LOG_TEXT("instead", "tried again in a second"));
}

/* While it was not there, stood by or stood still, nobody could tell it anything; and a clock that jumps has not told how
 * long it listened. */
static void listen(struct aggregator *a) {
    const int64_t now_ms = clock_wall_ms(), half_ms = a->settings->journal.alert_expiry_ms / 2;
    const int64_t gap_ms = half_ms > LISTEN_GAP_MS_MIN ? half_ms : LISTEN_GAP_MS_MIN;
    if (atomic_load(&a->stands_by) || !a->looked_ms || now_ms < a->looked_ms || now_ms - a->looked_ms > gap_ms)
        journal_listens_since(a->journal, now_ms);
    a->looked_ms = now_ms;
}

static void tick(void *context) {
    struct aggregator *a = context;
    listen(a);
    if (atomic_load(&a->stands_by) && !data_folder_stands_by(setting_text(a->settings->data.path))) take_over(a);
    struct fact_publisher_stats publisher;
    fact_publisher_stats(a->publisher, &publisher);
    atomic_store(&a->publisher_lag, publisher.lag);
    atomic_store(&a->published, publisher.published);
    bool changed = false;
    struct fault fault;
    uint64_t held;
    if (tokens_refresh(a->tokens, &changed, &fault) &&
        log_limit_pass(&a->token_faults, clock_monotonic_ms(), 60000, &held))
        LOG_WARN("api", "tokens_not_read", LOG_FAULT(&fault), LOG_TEXT("instead", "the tokens stay as they were"));
    if (changed) LOG_INFO("api", "tokens_read", LOG_UINT("count", tokens_count(a->tokens)));
    size_t submitted = 0;
    if (journal_submit_due(a->journal, DUE_MAX, &submitted, &fault) &&
        log_limit_pass(&a->expiry_faults, clock_monotonic_ms(), 60000, &held))
        LOG_WARN("journal", "due_not_submitted", LOG_FAULT(&fault), LOG_TEXT("instead", "tried again in a second"),
                 LOG_UINT("repeats", held));
    journal_watch_look(&a->watch, a->journal);
    loop_timer_set(a->tick_timer, TICK_MS);
}

/* ---- life ---- */

static struct journal_budget budget_of(const struct aggregator_settings *s) {
    return (struct journal_budget){.bytes = (uint64_t)s->data.budget_bytes,
                                   .warn_percent = (unsigned)s->data.budget_warn_percent};
}

void aggregator_reload(struct aggregator *a, const struct aggregator_settings *settings) {
    journal_budget_set(a->journal, budget_of(settings));
}

static fault_code open_store(struct aggregator *a, struct fault *reterr) {
    const struct aggregator_settings *s = a->settings;
    path_in(s, DATA_JOURNAL, a->journal_path);
    path_in(s, DATA_PROJECTIONS, a->projections_path);
    aggregator_tokens_path(s, a->tokens_path);
    path_in(s, DATA_QUEUE_CHANGES, a->changes_path);
    const struct journal_settings journal = {
        .path = a->journal_path,
        .map_bytes = (uint64_t)s->data.map_bytes,
        .sync = KV_SYNC_FULL,
        .queue_commands_max = (size_t)s->journal.queue_commands_max,
        .queue_bytes_max = (size_t)s->journal.queue_bytes_max,
        .commit_intents_max = (size_t)s->journal.commit_intents_max,
        .rejections_max = (uint64_t)s->journal.rejections_max,
        .rejections_keep_ms = s->journal.rejections_days * INT64_C(86400000),
        .alert_expiry_ms = s->journal.alert_expiry_ms,
        .health_expiry_ms = s->journal.health_expiry_ms,
        .budget = budget_of(s),
        .retention = {.sli_windows_ms = s->retention.sli_windows_ms,
                      .health_checks_ms = s->retention.health_checks_ms,
                      .newest_facts = (uint64_t)s->retention.newest_facts,
                      .consumers = {PROJECTIONS_NAME, s->mqtt.disabled ? NULL : FACT_PUBLISHER_NAME}},
    };
    if (journal_open(&journal, &a->journal, reterr)) return fault_wrap(reterr, "open the journal");
    size_t abandoned = 0;
    struct fault fault;
    if (journal_submit_abandoned(a->journal, &abandoned, &fault))
        LOG_WARN("journal", "abandoned_not_submitted", LOG_FAULT(&fault), LOG_TEXT("instead", "ended in their time"));
    else if (abandoned)
        LOG_INFO("journal", "questions_ended", LOG_UINT("count", abandoned),
                 LOG_TEXT("reason", "the aggregator before this one ended while it waited for their answers"));
    if (mqtt_intake_new(a->loop, a->journal, a->agents, a->metrics, &a->intake, reterr)) return reterr->code;
    mqtt_intake_note_changes(a->intake, a->changes_path);
    if (fact_publisher_new(a->loop, a->journal, &a->publisher, reterr)) return reterr->code;
    const struct projections_settings projections = {
        .path = a->projections_path,
        .readers = (unsigned)s->projections.readers,
        .retention_days = (unsigned)s->projections.retention_days,
        .newest_sequence = newest_sequence,
        .newest_context = a,
    };
    if (projections_open(&projections, &a->projections, reterr)) return fault_wrap(reterr, "open the projections");
    if (!journal_last_sequence(a->journal) && projections_sequence(a->projections))
        return fault_set(reterr, FAULT_CORRUPT,
                         "the journal '%s' holds no fact, and the read tables were made of %" PRIu64
                         ": it was lost, or is another's. Restore a backup, or remove '%s' to begin anew",
                         a->journal_path, projections_sequence(a->projections), a->projections_path);
    if (outbox_new(a->journal, &a->outbox, reterr)) return reterr->code;
    const struct outbox_consumer consumer = projections_consumer(a->projections);
    if (outbox_add(a->outbox, &consumer, reterr)) return reterr->code;
    return tokens_open(a->tokens_path, &a->tokens, reterr);
}

static fault_code open_api(struct aggregator *a, struct fault *reterr) {
    const struct aggregator_settings *s = a->settings;
    snprintf(a->http_address, sizeof a->http_address, "%.*s", SLICE_ARG(s->http.address));
    const struct api_settings settings = {
        .http = {.address = a->http_address,
                 .port = (uint16_t)s->http.port,
                 .threads = (unsigned)s->http.threads,
                 .connections_max = (unsigned)s->http.connections_max,
                 .body_bytes_max = (size_t)s->http.body_bytes_max,
                 .idle_timeout_ms = s->http.idle_timeout_ms,
                 .certificate_path = setting_text(s->http.tls_certificate),
                 .key_path = setting_text(s->http.tls_key)},
        .plain_text_anywhere = s->http.plain_text,
        .event_streams_max = (size_t)s->http.event_streams_max,
        .heartbeat_ms = HEARTBEAT_MS,
        .not_ready = not_ready,
        .not_ready_context = a,
    };
    if (s->oidc.count && oidc_open(s->oidc.items, s->oidc.count, a->metrics, &a->oidc, reterr)) return reterr->code;
    const struct callers_settings callers = {
        .tokens = a->tokens,
        .oidc = a->oidc,
        .metrics = a->metrics,
        .people = rate_of(s->limits.requests_per_second, 1000, s->limits.burst),
        .machines = rate_of(s->limits.machine_requests_per_second, 1000, s->limits.machine_burst),
        .failures = rate_of(s->limits.failed_sign_ins_per_minute, 60000, s->limits.failed_sign_ins_per_minute),
    };
    if (callers_new(&callers, &a->callers, reterr)) return reterr->code;
    const struct enrolment_settings enrolment = {
        .certificate_path = setting_text(s->enrolment.ca_certificate),
        .key_path = setting_text(s->enrolment.ca_key),
        .validity_ms = s->enrolment.validity_ms,
        .reserved = &s->enrolment.reserved,
        .broker_host = s->enrolment.broker_host.size ? s->enrolment.broker_host : s->mqtt.host,
        .broker_port = s->enrolment.broker_port ? s->enrolment.broker_port : s->mqtt.port,
        .broker_authority_path = setting_text(s->enrolment.broker_ca.size ? s->enrolment.broker_ca : s->mqtt.ca)};
    if (s->enrolment.ca_certificate.size && enrolment_open(&enrolment, &a->enrolment, reterr))
        return fault_wrap(reterr, "open enrolment");
    const struct rpc_parts parts = {.journal = a->journal,
                                    .projections = a->projections,
                                    .callers = a->callers,
                                    .metrics = a->metrics,
                                    .agents = a->agents,
                                    .questions = mqtt_intake_questions(a->intake),
                                    .enrolment = a->enrolment};
    return api_open(&settings, &parts, &a->api, reterr);
}

static fault_code open_all(struct aggregator *a, struct fault *reterr) {
    if (lock_folder(a, reterr)) return reterr->code;
    atomic_store(&a->stands_by,
                 !a->settings->mqtt.disabled && data_folder_stands_by(setting_text(a->settings->data.path)));
    a->agents = agents_new();
    a->metrics = metrics_new("picket-aggregator");
    a->tick_timer = loop_timer_new(a->loop, tick, a);
    if (!a->agents || !a->metrics || !a->tick_timer) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    if (metrics_add(a->metrics, rows, COUNT_MAX_, &a->table, reterr)) return reterr->code;
    if (open_store(a, reterr)) return reterr->code;
    if (metrics_on_read(a->metrics, set_metrics, a, reterr)) return reterr->code;
    if (open_api(a, reterr)) return reterr->code;
    if (outbox_start(a->outbox, reterr)) return reterr->code;
    if (connect_broker(a, reterr)) return reterr->code;
    loop_timer_set(a->tick_timer, 0);
    return FAULT_NONE;
}

fault_code aggregator_open(struct loop *loop, const struct aggregator_settings *settings,
                           struct aggregator **ret_aggregator, struct fault *reterr) {
    struct aggregator *a = calloc(1, sizeof *a);
    if (!a) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    a->loop = loop;
    a->settings = settings;
    a->lock_fd = -1;
    const fault_code code = open_all(a, reterr);
    if (code) {
        aggregator_close(a);
        return code;
    }
    const int64_t charts_ms = settings->projections.retention_days * INT64_C(86400000);
    if (settings->retention.sli_windows_ms && settings->retention.sli_windows_ms < charts_ms)
        LOG_WARN("aggregator", "retention_short", LOG_INT("sli_windows_s", settings->retention.sli_windows_ms / 1000),
                 LOG_INT("charts_days", settings->projections.retention_days),
                 LOG_TEXT("instead", "charts that are built anew will show the windows between as unknown"));
    struct journal_stats stats;
    journal_stats(a->journal, &stats);
    if (stats.reindexed)
        LOG_INFO("aggregator", "indexes_made", LOG_UINT("aggregates", stats.reindexed),
                 LOG_TEXT("why", "the journal is of a version that kept what is open and due otherwise"));
    if (atomic_load(&a->stands_by))
        LOG_WARN("aggregator", "stands_by",
                 LOG_TEXT("reason",
                          "its journal was restored or its data.path copied: were another aggregator there still, "
                          "agents would delete what only this one has committed"),
                 LOG_TEXT("instead", "it answers, and stays off the broker until 'picket-aggregator take-over'"));
    LOG_INFO("aggregator", "started", LOG_TEXT("address", a->http_address), LOG_UINT("port", api_port(a->api)),
             LOG_UINT("sequence", journal_last_sequence(a->journal)));
    *ret_aggregator = a;
    return FAULT_NONE;
}

struct aggregator *aggregator_close(struct aggregator *a) {
    if (!a) return NULL;
    if (a->intake) mqtt_intake_use(a->intake, NULL);
    if (a->publisher) fact_publisher_client(a->publisher, NULL);
    mqtt_client_close(a->mqtt, DRAIN_MS);
    if (a->intake) agent_questions_stop(mqtt_intake_questions(a->intake));
    api_close(a->api);
    outbox_stop(a->outbox);
    fact_publisher_free(a->publisher);
    journal_close(a->journal);
    mqtt_intake_free(a->intake);
    projections_close(a->projections);
    callers_free(a->callers);
    oidc_close(a->oidc);
    enrolment_close(a->enrolment);
    tokens_close(a->tokens);
    loop_timer_free(a->tick_timer);
    metrics_free(a->metrics);
    agents_free(a->agents);
    if (a->lock_fd >= 0) close(a->lock_fd);
    free(a);
    return NULL;
}
