/* SPDX-License-Identifier: Apache-2.0
 * In: a topic names tenant and producer, the certificate guards the topic, and the envelope must agree with it.
 * Back: the journal reports on its writer thread, which marks the agent in `agents` and wakes the loop; the loop sends
 * one ack for all that happened to an agent meanwhile. A full journal makes the loop wait, and with it the broker; a
 * batch that finds no room in the end is let go, because its agent sends it again when no ack comes. A single intent is
 * answered too, where its producer asks for it (bus_replies.h).
 *
 * Configurations: a change of a definition marks everything stale; a moment later each agent's configuration is made
 * anew from the journal and published when its revision is another than the last one sent. */
#include "aggregator/intake/mqtt_intake.h"

#include "aggregator/intake/agent_config.h"
#include "aggregator/intake/bus_replies.h"
#include "aggregator/intake/queue_changes.h"
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/logging/log.h"
#include "sre.pb.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
#define METRIC(id, kind, name, labels, help) id,
#include "aggregator/intake/intake_metrics.def"
#undef METRIC
    INTAKE_METRICS_MAX_
};
static const struct metric_row rows[] = {
#define METRIC(id, kind, name, labels, help) METRIC_ROW(kind, name, labels, help),
#include "aggregator/intake/intake_metrics.def"
#undef METRIC
};

enum {
    ARENA_BLOCK_BYTES = 256 * 1024,
    ARENA_BYTES_MAX = 64 * 1024 * 1024,
    CONFIG_DELAY_MS = 50,
    RETRY_MS = 100,
    FULL_WAIT_MS = 5000,
    TOPIC_BYTES = 256,
};

const char *const mqtt_intake_subscriptions[] = {"sre.edge.intents.v1/#", "sre.domain.intents.v1/#",
                                                 "sre.edge.status.v1/#", "sre.edge.replies.v1/#", NULL};

struct mqtt_intake {
    struct loop *loop;
    struct journal *journal;
    struct agents *agents;
    struct mqtt_client *client;
    struct bus_replies *replies;
    struct agent_questions *questions;
    struct metric_table *metrics;
    struct arena *arena;
    struct loop_waker *ack_waker;
    struct loop_timer *ack_timer, *config_timer;
    struct loop_waker *config_waker;
    const char *changes_path; /* NULL: they are not noted */
    uint64_t definitions;     /* the journal's count when the configurations were last made */
    atomic_bool agent_is_new;
    uint64_t *revisions; /* last sent, by the agent's index */
    size_t revisions_count;
    struct log_limit refusals, full, config_faults, no_replies, revoked;
};

/* ---- acks ---- */

static fault_code publish_ack(struct mqtt_intake *intake, const struct agent_view *view, struct fault *reterr) {
    StreamAck *streams = arena_alloc_array(intake->arena, view->streams_count + 1, sizeof *streams);
    if (!streams) return fault_set(reterr, FAULT_LIMIT, "write an ack: out of memory");
    for (size_t i = 0; i < view->streams_count; i++)
        streams[i] = (StreamAck){.stream = view->streams[i].stream,
                                 .committed_sequence = view->streams[i].committed_sequence,
                                 .wanted_sequence = view->streams[i].wanted_sequence,
                                 .lost_known = true,
                                 .lost_count = view->streams[i].missing};
    const IntentAck ack = {.epoch = view->epoch, .streams = {streams, view->streams_count}};
    slice payload;
    const fault_code code = codec_encode_protobuf(&IntentAck_desc, &ack, intake->arena, &payload, reterr);
    if (code) return code;
    char topic[TOPIC_BYTES];
    snprintf(topic, sizeof topic, "sre.edge.acks.v1/%.*s/%.*s", SLICE_ARG(view->tenant), SLICE_ARG(view->agent));
    const struct mqtt_publication publication = {
        .topic = topic,
        .payload = payload,
        .qos = 1,
        .retained = true,
        .out_of_turn = true,
        .content_type = "application/x-protobuf; proto=ameide_core_proto.sre.edge.v1.IntentAck"};
    return mqtt_client_publish(intake->client, &publication, reterr);
}

static void send_acks(void *context) {
    struct mqtt_intake *intake = context;
    if (!intake->client) return;
    struct agent_view view;
    struct fault fault;
    for (size_t at = 0;;) {
        arena_reset(intake->arena);
        if (!agents_take_due(intake->agents, &at, intake->arena, &view)) return;
        if (!publish_ack(intake, &view, &fault)) {
            metric_count(intake->metrics, INTAKE_ACKS, 1);
            continue;
        }
        agents_put_back(intake->agents, view.tenant, view.agent);
        loop_timer_set(intake->ack_timer, RETRY_MS);
        return;
    }
}

/* On the writer thread. */
static void on_batch(void *context, const struct journal_batch_outcome *outcome) {
    struct mqtt_intake *intake = context;
    if (outcome->result == JOURNAL_FAILED) return; /* not decided: the agent sends it again when no ack comes */
    metric_count(intake->metrics, INTAKE_APPLIED, outcome->applied);
    metric_count(intake->metrics, INTAKE_REPEATED, outcome->repeated);
    metric_count(intake->metrics, INTAKE_REFUSED, outcome->refused);
    metric_count(intake->metrics, INTAKE_MISSING, outcome->missing);
    if (outcome->result == JOURNAL_REFUSED) return;
    bool is_new;
    agents_batch(intake->agents, outcome, clock_wall_ms(), &is_new);
    loop_wake(intake->ack_waker);
    if (is_new) {
        atomic_store(&intake->agent_is_new, true);
        loop_wake(intake->config_waker);
    }
}

/* ---- configurations ---- */

static bool remember_room(struct mqtt_intake *intake, size_t count) {
    if (count <= intake->revisions_count) return true;
    uint64_t *grown = realloc(intake->revisions, count * sizeof *grown);
    if (!grown) return false;
    memset(grown + intake->revisions_count, 0, (count - intake->revisions_count) * sizeof *grown);
    intake->revisions = grown;
    intake->revisions_count = count;
    return true;
}

static fault_code publish_config(struct mqtt_intake *intake, const struct agent_view *view, size_t index,
                                 struct fault *reterr) {
    slice payload;
    uint64_t revision;
    fault_code code =
        agent_config_encode(intake->journal, view->tenant, view->agent, intake->arena, &payload, &revision, reterr);
    if (code || revision == intake->revisions[index]) return code;
    char topic[TOPIC_BYTES];
    snprintf(topic, sizeof topic, "sre.edge.config.v1/%.*s/%.*s", SLICE_ARG(view->tenant), SLICE_ARG(view->agent));
    const struct mqtt_publication publication = {
        .topic = topic,
        .payload = payload,
        .qos = 1,
        .retained = true,
        .content_type = "application/x-protobuf; proto=ameide_core_proto.sre.edge.v1.AgentConfig"};
    code = mqtt_client_publish(intake->client, &publication, reterr);
    if (code) return code;
    intake->revisions[index] = revision;
    agents_config(intake->agents, index, revision);
    metric_count(intake->metrics, INTAKE_CONFIGS, 1);
    LOG_INFO("intake", "config_published", LOG_SLICE("tenant", view->tenant), LOG_SLICE("agent", view->agent),
             LOG_UINT("revision", revision), LOG_UINT("bytes", payload.size));
    return FAULT_NONE;
}

static void send_configs(void *context) {
    struct mqtt_intake *intake = context;
    const size_t count = agents_count(intake->agents);
    if (!intake->client || !remember_room(intake, count)) return;
    struct agent_view view;
    struct fault fault;
    uint64_t held;
    for (size_t i = 0; i < count; i++) {
        arena_reset(intake->arena);
        if (!agents_at(intake->agents, i, intake->arena, &view)) continue;
        const fault_code code = publish_config(intake, &view, i, &fault);
        if (!code) continue;
        if (code != FAULT_AGAIN && log_limit_pass(&intake->config_faults, clock_monotonic_ms(), 60000, &held))
            LOG_WARN("intake", "config_not_sent", LOG_SLICE("agent", view.agent), LOG_FAULT(&fault),
                     LOG_UINT("repeats", held));
        if (code == FAULT_AGAIN) {
            loop_timer_set(intake->config_timer, RETRY_MS);
            return;
        }
    }
}

/* ---- messages in ---- */

/* "<family>/<tenant>/<producer>": false when it is not of that shape. */
static bool topic_parts(slice topic, slice *ret_family, slice *ret_tenant, slice *ret_producer) {
    const uint8_t *first = memchr(topic.data, '/', topic.size);
    if (!first) return false;
    *ret_family = slice_of(topic.data, (size_t)(first - topic.data));
    const slice rest = slice_from(topic, ret_family->size + 1);
    const uint8_t *second = rest.size ? memchr(rest.data, '/', rest.size) : NULL;
    if (!second) return false;
    *ret_tenant = slice_of(rest.data, (size_t)(second - rest.data));
    *ret_producer = slice_from(rest, ret_tenant->size + 1);
    return ret_tenant->size && ret_producer->size && !memchr(ret_producer->data, '/', ret_producer->size) &&
           ret_tenant->size + 1 + ret_producer->size <= LIMIT_TENANT_AND_PRODUCER_BYTES;
}

static void refuse(struct mqtt_intake *intake, slice tenant, slice producer, const struct mqtt_message *message,
                   fault_code code, const char *reason) {
    struct fault fault;
    uint64_t held;
    metric_count(intake->metrics, INTAKE_UNREADABLE, 1);
    if (log_limit_pass(&intake->refusals, clock_monotonic_ms(), 10000, &held))
        LOG_WARN("intake", "message_refused", LOG_SLICE("topic", slice_first(message->topic, 200)),
                 LOG_TEXT("reason", reason), LOG_UINT("repeats", held));
    if (tenant.size && journal_submit_rejection(intake->journal, tenant, producer, code, slice_from_text(reason),
                                                message->payload, &fault))
        LOG_WARN("intake", "rejection_not_kept", LOG_FAULT(&fault));
}

/* Waits while the journal is full: this is what slows the broker down. reply: NULL for a batch. */
static fault_code submit(struct mqtt_intake *intake, slice tenant, slice producer, const struct mqtt_message *message,
                         bool batch, struct bus_reply *reply, struct fault *reterr) {
    const struct journal_command command = {.caller = {.tenant = tenant, .actor = producer, .role = ROLE_INTEGRATION},
                                            .intent = message->payload,
                                            .message_id_needed = true,
                                            .done = reply ? bus_reply_done : NULL,
                                            .context = reply};
    const int64_t until_ms = clock_monotonic_ms() + FULL_WAIT_MS;
    fault_code code;
    while ((code = batch ? journal_submit_batch(intake->journal, tenant, producer, message->payload, on_batch, intake,
                                                reterr)
                         : journal_submit(intake->journal, &command, reterr)) == FAULT_AGAIN &&
           clock_monotonic_ms() < until_ms)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (!code) return FAULT_NONE;
    uint64_t held;
    metric_count(intake->metrics, INTAKE_DEFERRED, 1);
    if (log_limit_pass(&intake->full, clock_monotonic_ms(), 10000, &held))
        LOG_WARN("intake", "message_not_taken", LOG_SLICE("producer", producer), LOG_FAULT(reterr),
                 LOG_TEXT("instead", "an agent sends its batch again when no ack comes, an integration its intent when "
                                     "no reply says that it is committed"),
                 LOG_UINT("repeats", held));
    return code;
}

static void take_batch(struct mqtt_intake *intake, slice tenant, slice producer, const struct mqtt_message *message) {
    struct fault fault;
    (void)submit(intake, tenant, producer, message, true, NULL, &fault); /* its agent sends it again */
}

static void take_intent(struct mqtt_intake *intake, slice tenant, slice producer, const struct mqtt_message *message) {
    struct fault fault;
    struct bus_reply *reply = NULL;
    slice message_id = {0};
    uint64_t held;
    arena_reset(intake->arena);
    if (message->response_topic.size) { /* the journal reads it once more; here only a reply needs it */
        SreDomainIntent *intent = arena_alloc(intake->arena, sizeof *intent);
        if (intent && !codec_decode_protobuf(&SreDomainIntent_desc, message->payload, intake->arena, intent, NULL))
            message_id = intent->meta.message_id;
    }
    if (bus_reply_owe(intake->replies, tenant, producer, message, message_id, &reply, &fault) &&
        log_limit_pass(&intake->no_replies, clock_monotonic_ms(), 10000, &held))
        LOG_WARN("intake", "no_reply", LOG_SLICE("producer", producer), LOG_FAULT(&fault), LOG_UINT("repeats", held));
    if (submit(intake, tenant, producer, message, false, reply, &fault) && reply) bus_reply_failed(reply, &fault);
}

static int64_t ms_of(Timestamp at) {
    return at.seconds * 1000 + at.nanos / 1000000;
}

/* A retained one was said when it says so, or by its agent's clock later than now. */
static struct agent_word word_of(const AgentStatus *status, bool retained, int64_t now_ms) {
    const int64_t said_ms = ms_of(status->reported_at);
    return (struct agent_word){.online = status->online,
                               .heard_ms = retained && said_ms < now_ms ? said_ms : now_ms,
                               .started_ms = ms_of(status->started_at),
                               .interval_ms =
                                   status->status_interval.seconds * 1000 + status->status_interval.nanos / 1000000,
                               .retained = retained};
}

/* Of a status; the agents know it by then. */
static void take_queue(struct mqtt_intake *intake, slice tenant, slice producer, const AgentStatus *status,
                       int64_t now_ms) {
    struct agent_queue queue = {.epoch = status->epoch, .said_ms = ms_of(status->reported_at)};
    struct agent_queue_change change;
    for (size_t i = 0; i < status->queues.count; i++) queue.waiting += status->queues.items[i].records_waiting;
    if (!agents_queue(intake->agents, tenant, producer, &queue, now_ms, &change)) return;
    LOG_WARN("intake", "queue_changed", LOG_SLICE("tenant", tenant), LOG_SLICE("agent", producer),
             LOG_SLICE("epoch", status->epoch), LOG_SLICE("before", slice_of(change.previous_epoch, AGENT_EPOCH_BYTES)),
             LOG_UINT("waited", change.waiting), LOG_INT("said_s_ago", (now_ms - change.said_ms) / 1000),
             LOG_UINT("committed_since", change.committed_since),
             LOG_TEXT("means", "what its former queue held is lost: its folder was deleted, or is on another disk"));
    struct fault fault;
    if (intake->changes_path &&
        queue_changes_note(intake->changes_path, tenant, producer, status->epoch, &change, &fault))
        LOG_WARN("intake", "queue_change_not_noted", LOG_FAULT(&fault),
                 LOG_TEXT("instead", "said until the aggregator ends"));
}

static void take_status(struct mqtt_intake *intake, slice tenant, slice producer, const struct mqtt_message *message) {
    AgentStatus status;
    struct fault fault;
    bool is_new;
    arena_reset(intake->arena);
    if (!message->payload.size) return; /* a retained status that was cleared */
    if (codec_decode_protobuf(&AgentStatus_desc, message->payload, intake->arena, &status, &fault) ||
        codec_validate(&AgentStatus_desc, &status, &fault)) {
        refuse(intake, tenant, producer, message, FAULT_INPUT, fault.text);
        return;
    }
    if (!slice_equal(status.tenant_id, tenant) || !slice_equal(status.agent, producer)) {
        metric_count(intake->metrics, INTAKE_WRONG_TENANT, 1);
        refuse(intake, tenant, producer, message, FAULT_DENIED,
               "the status is of another tenant or agent than its topic");
        return;
    }
    metric_count(intake->metrics, INTAKE_STATUSES, 1);
    const int64_t now_ms = clock_wall_ms();
    const struct agent_word word = word_of(&status, message->retained, now_ms);
    if (agents_status(intake->agents, tenant, producer, message->payload, &word, now_ms, &is_new, &fault))
        LOG_WARN("intake", "agent_not_kept", LOG_FAULT(&fault));
    else if (is_new)
        loop_timer_set(intake->config_timer, 0);
    take_queue(intake, tenant, producer, &status, now_ms);
}

/* What a status of a revoked agent is answered with: else it would wait for acks for ever, and nobody at the edge would know
 * why. Not retained: it is not to outlive the reason. One that cannot be sent now is sent after the next status. */
static void say_revoked(struct mqtt_intake *intake, slice tenant, slice producer, const AgentIdentity *identity) {
    char topic[TOPIC_BYTES];
    slice payload;
    struct fault fault;
    const slice by = slice_first(identity->revoked_by, 64), why = slice_first(identity->revoke_reason, 128);
    char text[256];
    snprintf(text, sizeof text, "revoked by %.*s: %.*s; it comes back with a new token", SLICE_ARG(by), SLICE_ARG(why));
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c > '~') *c = '?'; /* cut text is UTF-8 still */
    const IntentAck ack = {.epoch = SLICE_LIT("00000000-0000-0000-0000-000000000000"),
                           .refusal = slice_from_text(text)};
    if (!intake->client || codec_encode_protobuf(&IntentAck_desc, &ack, intake->arena, &payload, &fault)) return;
    snprintf(topic, sizeof topic, "sre.edge.acks.v1/%.*s/%.*s", SLICE_ARG(tenant), SLICE_ARG(producer));
    const struct mqtt_publication publication = {
        .topic = topic,
        .payload = payload,
        .qos = 1,
        .out_of_turn = true,
        .content_type = "application/x-protobuf; proto=ameide_core_proto.sre.edge.v1.IntentAck"};
    if (!mqtt_client_publish(intake->client, &publication, &fault)) metric_count(intake->metrics, INTAKE_ACKS, 1);
}

/* A certificate that was taken back may live on until the broker learns of it; what it says is not taken in. A read for
 * each message: it is small beside the batch. */
static bool is_revoked(struct mqtt_intake *intake, slice tenant, slice producer, const struct mqtt_message *message) {
    slice bytes;
    AgentIdentity identity;
    uint64_t held;
    arena_reset(intake->arena);
    if (journal_get(intake->journal, tenant, SLICE_LIT("agent"), producer, intake->arena, &bytes, NULL) ||
        codec_decode_protobuf(&AgentIdentity_desc, bytes, intake->arena, &identity, NULL) || !identity.revoked)
        return false;
    if (!message->retained && message->payload.size &&
        slice_starts_with(message->topic, SLICE_LIT("sre.edge.status.v1/")))
        say_revoked(intake, tenant, producer, &identity);
    metric_count(intake->metrics, INTAKE_REVOKED, 1);
    if (log_limit_pass(&intake->revoked, clock_monotonic_ms(), 60000, &held))
        LOG_WARN("intake", "revoked_agent", LOG_SLICE("tenant", tenant), LOG_SLICE("agent", producer),
                 LOG_TEXT("instead", "passed over; put its certificate into the broker's revocation list"),
                 LOG_UINT("repeats", held));
    return true;
}

void mqtt_intake_on_message(struct mqtt_intake *intake, const struct mqtt_message *message) {
    slice family, tenant, producer;
    metric_count(intake->metrics, INTAKE_MESSAGES, 1);
    metric_count(intake->metrics, INTAKE_BYTES, message->payload.size);
    if (!topic_parts(message->topic, &family, &tenant, &producer)) {
        refuse(intake, (slice){0}, (slice){0}, message, FAULT_INPUT, "the topic is not <family>/<tenant>/<producer>");
    } else if (message->payload.size > LIMIT_MESSAGE_BYTES) {
        refuse(intake, tenant, producer, &(struct mqtt_message){.topic = message->topic}, FAULT_LIMIT,
               "the message is larger than 1 MiB");
    } else if (is_revoked(intake, tenant, producer, message)) {
        return;
    } else if (slice_equal_text(family, "sre.edge.status.v1")) {
        take_status(intake, tenant, producer, message);
    } else if (slice_equal_text(family, "sre.edge.replies.v1")) { /* never kept as a rejection: it may hold logs */
        agent_questions_on_reply(intake->questions, tenant, producer, message);
    } else if (message->retained) {
        refuse(intake, tenant, producer, message, FAULT_INPUT,
               "intents must not be retained: each would come again on every connect");
    } else if (slice_equal_text(family, "sre.edge.intents.v1")) {
        take_batch(intake, tenant, producer, message);
    } else {
        take_intent(intake, tenant, producer, message);
    }
}

/* ---- life ---- */

static void on_commit(void *context, uint64_t last_sequence) {
    loop_wake(((struct mqtt_intake *)context)->config_waker);
}

/* A definition changed, or an agent appeared that has none yet. */
static void on_config_wake(void *context) {
    struct mqtt_intake *intake = context;
    struct journal_stats stats;
    journal_stats(intake->journal, &stats);
    const bool changed = stats.definitions != intake->definitions;
    intake->definitions = stats.definitions;
    if (atomic_exchange(&intake->agent_is_new, false) || changed) loop_timer_set(intake->config_timer, CONFIG_DELAY_MS);
}

fault_code mqtt_intake_new(struct loop *loop, struct journal *journal, struct agents *agents, struct metrics *metrics,
                           struct mqtt_intake **ret_intake, struct fault *reterr) {
    struct mqtt_intake *intake = calloc(1, sizeof *intake);
    if (!intake) return fault_set(reterr, FAULT_LIMIT, "make the intake: out of memory");
    *intake = (struct mqtt_intake){.loop = loop, .journal = journal, .agents = agents};
    intake->arena = arena_new(ARENA_BLOCK_BYTES, ARENA_BYTES_MAX);
    intake->ack_timer = loop_timer_new(loop, send_acks, intake);
    intake->config_timer = loop_timer_new(loop, send_configs, intake);
    fault_code code = FAULT_NONE;
    if (!intake->arena || !intake->ack_timer || !intake->config_timer)
        code = fault_set(reterr, FAULT_LIMIT, "make the intake: out of memory");
    if (!code) code = loop_waker_new(loop, send_acks, intake, &intake->ack_waker, reterr);
    if (!code) code = loop_waker_new(loop, on_config_wake, intake, &intake->config_waker, reterr);
    if (!code) code = bus_replies_new(loop, &intake->replies, reterr);
    if (!code) code = agent_questions_new(loop, metrics, &intake->questions, reterr);
    if (!code && metrics) code = metrics_add(metrics, rows, INTAKE_METRICS_MAX_, &intake->metrics, reterr);
    if (!code) code = journal_on_commit(journal, on_commit, intake, reterr);
    if (code) {
        mqtt_intake_free(intake);
        return code;
    }
    *ret_intake = intake;
    return FAULT_NONE;
}

struct mqtt_intake *mqtt_intake_free(struct mqtt_intake *intake) {
    if (!intake) return NULL;
    bus_replies_free(intake->replies);
    agent_questions_free(intake->questions);
    loop_waker_free(intake->ack_waker);
    loop_waker_free(intake->config_waker);
    loop_timer_free(intake->ack_timer);
    loop_timer_free(intake->config_timer);
    arena_free(intake->arena);
    free(intake->revisions);
    free(intake);
    return NULL;
}

void mqtt_intake_note_changes(struct mqtt_intake *intake, const char *path) {
    struct fault fault;
    intake->changes_path = path;
    if (queue_changes_recall(path, intake->agents, clock_wall_ms(), &fault))
        LOG_WARN("intake", "queue_changes_not_recalled", LOG_FAULT(&fault),
                 LOG_TEXT("instead", "what agents say from now on is compared"));
}

void mqtt_intake_use(struct mqtt_intake *intake, struct mqtt_client *client) {
    intake->client = client;
    bus_replies_use(intake->replies, client);
    agent_questions_use(intake->questions, client);
}

struct agent_questions *mqtt_intake_questions(struct mqtt_intake *intake) {
    return intake->questions;
}

void mqtt_intake_on_connected(struct mqtt_intake *intake) {
    /* The broker may have lost what it retained: everything is said again. */
    if (intake->revisions_count) memset(intake->revisions, 0, intake->revisions_count * sizeof *intake->revisions);
    agents_all_due(intake->agents);
    loop_timer_set(intake->config_timer, CONFIG_DELAY_MS);
    send_acks(intake);
    bus_replies_send(intake->replies);
    agent_questions_publish(intake->questions);
}

void mqtt_intake_on_published(struct mqtt_intake *intake) {
    send_acks(intake);
    bus_replies_send(intake->replies);
    agent_questions_publish(intake->questions);
}
