/* SPDX-License-Identifier: Apache-2.0
 * A lane follows each stream of the queue: how far it is committed, how far it is sent. A slot is a batch that was
 * sent and is not committed yet. How they go out is in shipper_send.c.
 *
 * Going back is the only remedy there is, for every trouble: set a lane's `sent` to what is committed and send on.
 * The centre drops what it has already. What comes back twice as a wish (each batch behind a lost one makes the centre
 * say "wanted" again) is followed once per resend_ms only, or one lost batch would multiply itself.
 *
 * All batches go out on one topic, which keeps their order, and the centre decides them in that order. So one that is not
 * committed when an ack has a later one, of whichever stream, was lost on the way: a single alert beside a backlog needs
 * no timer for that.
 *
 * Acks change lanes at once and the queue a little later, several together: deleting is a transaction with a sync. */
#include "agent/ship/shipper_state.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/ship/batch_writer.h"
#include "common/base/clock.h"
#include "common/codec/codec.h"
#include "common/logging/log.h"
#include "sre.pb.h"

static const struct metric_row rows[] = {
#define METRIC(id, kind, name, labels, help) METRIC_ROW(kind, name, labels, help),
#include "agent/ship/ship_metrics.def"
#undef METRIC
};

enum { ACKS_FEW = 512, ACK_ARENA_BYTES = 256 * 1024 };
enum { WISHES_MAX = 32 }; /* of one lane followed in resend_ms; what is missing then comes by its time */

static void store_acks(struct shipper *shipper);
static void on_pump_timer(void *context);
static void on_resend_timer(void *context);
static void on_store_timer(void *context);

fault_code shipper_new(struct loop *loop, struct queue *queue, const struct shipper_settings *settings,
                       struct metrics *metrics, struct shipper **ret_shipper, struct fault *reterr) {
    if (settings->inflight_max < 1 || settings->inflight_max > INFLIGHT_MAX || settings->batch_intents < 1 ||
        settings->batch_intents > LIMIT_BATCH_INTENTS || settings->batch_bytes < 1024 ||
        settings->batch_bytes > QUEUE_RECORD_BYTES_MAX)
        return fault_set(reterr, FAULT_INPUT,
                         "shipper: 1 to %d batches in flight of 1 to %d intents and 1 KiB to %d KiB are possible",
                         INFLIGHT_MAX, LIMIT_BATCH_INTENTS, QUEUE_RECORD_BYTES_MAX / 1024);
    struct shipper *shipper = calloc(1, sizeof *shipper);
    if (!shipper) return fault_set(reterr, FAULT_LIMIT, "shipper: out of memory");
    shipper->loop = loop;
    shipper->queue = queue;
    shipper->settings = *settings;
    snprintf(shipper->tenant, sizeof shipper->tenant, "%s", settings->tenant);
    snprintf(shipper->topic, sizeof shipper->topic, "sre.edge.intents.v1/%s/%s", settings->tenant, settings->agent);
    /* One record may be larger than a batch should be; the pages behind are touched only then. */
    shipper->payload_bytes = QUEUE_RECORD_BYTES_MAX + settings->batch_intents * BATCH_INTENT_BYTES + BATCH_HEAD_BYTES;
    shipper->payload = malloc(shipper->payload_bytes);
    shipper->arena = arena_new(16 * 1024, ACK_ARENA_BYTES);
    shipper->pump_timer = loop_timer_new(loop, on_pump_timer, shipper);
    shipper->resend_timer = loop_timer_new(loop, on_resend_timer, shipper);
    shipper->store_timer = loop_timer_new(loop, on_store_timer, shipper);
    if (!shipper->payload || !shipper->arena || !shipper->pump_timer || !shipper->resend_timer ||
        !shipper->store_timer) {
        shipper_free(shipper);
        return fault_set(reterr, FAULT_LIMIT, "shipper: out of memory");
    }
    if (metrics && metrics_add(metrics, rows, SHIP_METRICS_MAX_, &shipper->metrics, reterr)) {
        shipper_free(shipper);
        return fault_wrap(reterr, "shipper");
    }
    shipper_match_lanes(shipper);
    for (size_t i = 0; i < shipper->lanes_count; i++) { /* all that is there may have been sent in a former life */
        const struct queue_stream *const stream = queue_stream_find(queue, shipper->lanes[i].stream);
        shipper->lanes[i].given = stream->last_sequence;
    }
    *ret_shipper = shipper;
    return FAULT_NONE;
}

struct shipper *shipper_free(struct shipper *shipper) {
    if (!shipper) return NULL;
    if (shipper->store_set) store_acks(shipper);
    loop_timer_free(shipper->pump_timer);
    loop_timer_free(shipper->resend_timer);
    loop_timer_free(shipper->store_timer);
    arena_free(shipper->arena);
    free(shipper->payload);
    free(shipper);
    return NULL;
}

void shipper_use(struct shipper *shipper, struct mqtt_client *client) {
    shipper->client = client;
}

static struct lane *lane_find(struct shipper *shipper, uint64_t stream) {
    for (size_t i = 0; i < shipper->lanes_count; i++)
        if (shipper->lanes[i].stream == stream) return &shipper->lanes[i];
    return NULL;
}

static const struct queue_stream *stream_of(const struct shipper *shipper, uint64_t number) {
    return number <= UINT32_MAX ? queue_stream_find(shipper->queue, (uint32_t)number) : NULL;
}

void shipper_match_lanes(struct shipper *shipper) {
    struct lane lanes[QUEUE_STREAMS_MAX];
    size_t count;
    const struct queue_stream *const streams = queue_streams(shipper->queue, &count);
    for (size_t i = 0; i < count; i++) {
        const struct lane *const known = lane_find(shipper, streams[i].number);
        const struct lane fresh = {.stream = streams[i].number,
                                   .committed = streams[i].committed_sequence,
                                   .sent = streams[i].committed_sequence,
                                   .given = streams[i].committed_sequence};
        lanes[i] = known ? *known : fresh;
    }
    memcpy(shipper->lanes, lanes, count * sizeof *lanes);
    shipper->lanes_count = count;
}

static void free_slots(struct shipper *shipper, uint32_t stream) {
    for (size_t i = 0; i < shipper->settings.inflight_max; i++) {
        struct slot *const slot = &shipper->slots[i];
        if (!slot->used || slot->stream != stream) continue;
        slot->used = false;
        shipper->stats.inflight--;
    }
}

static void go_back(struct shipper *shipper, struct lane *lane, uint64_t sequence) {
    free_slots(shipper, lane->stream);
    lane->sent = sequence;
    lane->empty_through = 0;
    lane->ends_sent = lane->ends_taken = false;
}

static void go_back_everywhere(struct shipper *shipper) {
    for (size_t i = 0; i < shipper->lanes_count; i++) {
        go_back(shipper, &shipper->lanes[i], shipper->lanes[i].committed);
        shipper->lanes[i].went_back_ms = shipper->lanes[i].overtaken_ms = 0;
    }
}

/* What waited through an outage must not stand before what is new. */
static void rotate_after_outage(struct shipper *shipper) {
    unsigned opened = 0;
    struct fault fault;
    const int64_t now_ms = clock_wall_ms();
    if (queue_rotate(shipper->queue, now_ms - shipper->settings.outage_ms, now_ms, &opened, &fault)) {
        shipper->stats.last_fault = fault;
        LOG_WARN("ship", "rotate_failed", LOG_FAULT(&fault),
                 LOG_TEXT("instead", "new intents wait behind the backlog"));
        return;
    }
    if (!opened) return;
    shipper->stats.rotations++;
    LOG_INFO("ship", "backlog_beside", LOG_UINT("streams_opened", opened));
}

void shipper_on_connected(struct shipper *shipper) {
    shipper->stats.connected = true;
    shipper->waiting_for_ack = !shipper->stats.heard; /* the retained ack may come before this */
    shipper->heard_ms = clock_monotonic_ms();
    if (shipper->store_set) store_acks(shipper);
    rotate_after_outage(shipper);
    shipper_match_lanes(shipper);
    go_back_everywhere(shipper);
    loop_timer_set(shipper->pump_timer, shipper->waiting_for_ack ? shipper->settings.ack_wait_ms : 0);
    loop_timer_set(shipper->resend_timer, shipper->settings.resend_ms / 4 + 1);
}

void shipper_on_disconnected(struct shipper *shipper) {
    shipper->stats.connected = shipper->stats.heard = false;
    shipper->stats.refusal[0] = '\0'; /* the centre says it again */
    loop_timer_clear(shipper->pump_timer);
    loop_timer_clear(shipper->resend_timer);
    go_back_everywhere(shipper);
}

void shipper_kick(struct shipper *shipper) {
    shipper_pump(shipper);
}

static void on_pump_timer(void *context) {
    struct shipper *const shipper = context;
    shipper->waiting_for_ack = false;
    shipper_pump(shipper);
}

/* A closed stream leaves when the centre has all of it and the broker has its end. */
static void drop_ended(struct shipper *shipper) {
    for (size_t i = 0; i < shipper->lanes_count; i++) {
        const struct lane *const lane = &shipper->lanes[i];
        const struct queue_stream *const stream = queue_stream_find(shipper->queue, lane->stream);
        if (!stream || !stream->closed || stream->records || !lane->ends_taken ||
            lane->committed < stream->last_sequence)
            continue;
        struct fault fault;
        if (queue_stream_drop(shipper->queue, lane->stream, &fault)) {
            shipper->stats.last_fault = fault; /* it stays, and is tried again at the next ack */
            continue;
        }
        free_slots(shipper, lane->stream);
        LOG_INFO("ship", "stream_ended", LOG_UINT("stream", lane->stream), LOG_UINT("intents", lane->committed));
    }
    shipper_match_lanes(shipper);
}

void shipper_on_published(struct shipper *shipper, uint64_t token, const struct fault *fault) {
    const size_t index = token & 0xffff;
    if (index >= shipper->settings.inflight_max) return;
    const struct slot *const slot = &shipper->slots[index];
    struct lane *const lane =
        slot->used && shipper_slot_token(shipper, slot) == token ? lane_find(shipper, slot->stream) : NULL;
    if (lane && fault) {
        go_back(shipper, lane, lane->committed);
    } else if (lane && slot->ends) {
        lane->ends_taken = true;
        drop_ended(shipper);
    }
    if (!fault) shipper_pump(shipper);
}

/* The slots behind a commit: measured, then free. */
static void commit_lane(struct shipper *shipper, struct lane *lane, uint64_t committed, int64_t now_ns) {
    for (size_t i = 0; i < shipper->settings.inflight_max; i++) {
        struct slot *const slot = &shipper->slots[i];
        if (!slot->used || slot->stream != lane->stream || slot->last_sequence > committed) continue;
        if (slot->ends && !lane->ends_taken)
            continue; /* its PUBACK is yet to come, and says that the end has arrived */
        metric_observe(shipper->metrics, SHIP_COMMIT_SECONDS, (double)(now_ns - slot->sent_ns) / 1e9);
        if (slot->order > shipper->committed_order) shipper->committed_order = slot->order;
        slot->used = false;
        shipper->stats.inflight--;
    }
    metric_count(shipper->metrics, SHIP_COMMITTED, committed - lane->committed);
    shipper->stats.intents_committed += committed - lane->committed;
    lane->committed = committed;
    if (lane->sent < committed) lane->sent = committed;
    shipper->stats.last_commit_ms = now_ns / 1000000;
}

/* From the wire, where a stream's numbers count from where it began in this epoch. */
static uint64_t stored_number(const struct queue_stream *stream, uint64_t sequence) {
    return sequence > UINT64_MAX - stream->began_after ? UINT64_MAX : sequence + stream->began_after;
}

static void take_stream_ack(struct shipper *shipper, struct lane *lane, const struct queue_stream *stream,
                            const StreamAck *ack, int64_t now_ns) {
    const int64_t now_ms = now_ns / 1000000;
    const uint64_t committed = stored_number(stream, ack->committed_sequence),
                   wanted = stored_number(stream, ack->wanted_sequence);
    if (committed > lane->committed) commit_lane(shipper, lane, committed, now_ns);
    if (ack->lost_known && committed == lane->committed) {
        lane->lost_known = true;
        lane->lost = ack->lost_count;
    }
    if (ack->wanted_sequence == 0 || wanted > lane->sent) return;
    if (lane->went_back_to == wanted && lane->went_back_ms && now_ms - lane->went_back_ms < shipper->settings.resend_ms)
        return;
    /* A broker that was taken over may wish for another number in each ack. */
    if (now_ms - lane->wishes_since_ms >= shipper->settings.resend_ms) {
        lane->wishes_since_ms = now_ms;
        lane->wishes = 0;
    }
    if (lane->wishes++ >= WISHES_MAX) return;
    lane->went_back_to = wanted;
    lane->went_back_ms = now_ms;
    shipper->stats.went_back++;
    metric_count(shipper->metrics, SHIP_WENT_BACK, 1);
    LOG_INFO("ship", "went_back", LOG_UINT("stream", lane->stream), LOG_UINT("wanted", wanted),
             LOG_UINT("sent", lane->sent));
    go_back(shipper, lane, wanted - 1);
}

static void resend(struct shipper *shipper, struct lane *lane, const char *why) {
    shipper->stats.resends++;
    metric_count(shipper->metrics, SHIP_RESENDS, 1);
    LOG_INFO("ship", "resend", LOG_UINT("stream", lane->stream), LOG_TEXT("why", why),
             LOG_UINT("behind", lane->committed), LOG_UINT("sent", lane->sent));
    go_back(shipper, lane, lane->committed);
}

static void resend_overtaken(struct shipper *shipper, int64_t now_ms) {
    for (size_t i = 0; i < shipper->lanes_count; i++) {
        struct lane *const lane = &shipper->lanes[i];
        bool overtaken = false;
        for (size_t s = 0; s < shipper->settings.inflight_max; s++) {
            const struct slot *const slot = &shipper->slots[s];
            overtaken = overtaken || (slot->used && slot->stream == lane->stream &&
                                      slot->last_sequence > lane->committed && slot->order < shipper->committed_order);
        }
        if (!overtaken || (lane->overtaken_ms && now_ms - lane->overtaken_ms < shipper->settings.resend_ms)) continue;
        lane->overtaken_ms = now_ms;
        resend(shipper, lane, "overtaken");
    }
}

/* What the centre has accounted for of each stream, by this ack and by those before it. */
static size_t accounted(struct shipper *shipper, const IntentAck *ack, struct queue_ack acks[2 * QUEUE_STREAMS_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < shipper->lanes_count; i++)
        acks[count++] =
            (struct queue_ack){.stream = shipper->lanes[i].stream, .committed_sequence = shipper->lanes[i].committed};
    for (size_t i = 0; i < ack->streams.count && count < 2 * QUEUE_STREAMS_MAX; i++) {
        const struct queue_stream *const stream = stream_of(shipper, ack->streams.items[i].stream);
        if (stream)
            acks[count++] = (struct queue_ack){.stream = stream->number,
                                               .committed_sequence =
                                                   stored_number(stream, ack->streams.items[i].committed_sequence)};
    }
    return count;
}

/* The centre has committed what this queue never gave out: it is a copy from before. Under a new epoch everything
 * left is sent again, and the domain knows what it has already by what the intents are about. A broker that was taken
 * over may say so in each ack: each would cost a sync of the disk, so it is believed once per resend_ms. */
static void begin_new_epoch(struct shipper *shipper, const IntentAck *ack, const StreamAck *found) {
    struct fault fault;
    struct queue_ack acks[2 * QUEUE_STREAMS_MAX];
    const size_t count = accounted(shipper, ack, acks);
    const int64_t now_ms = clock_monotonic_ms();
    if (shipper->epoch_ms && now_ms - shipper->epoch_ms < shipper->settings.resend_ms) return;
    shipper->epoch_ms = now_ms;
    if (shipper->settings.older_copy && !shipper->stats.epochs_renewed)
        shipper->settings.older_copy(shipper->settings.context);
    if (queue_epoch_renew(shipper->queue, acks, count, &fault)) {
        shipper->stats.last_fault = fault;
        LOG_ERROR("ship", "epoch_renew_failed", LOG_FAULT(&fault), LOG_TEXT("instead", "tried again at the next ack"));
        return;
    }
    LOG_WARN("ship", "new_epoch", LOG_UINT("stream", found->stream), LOG_UINT("committed", found->committed_sequence),
             LOG_TEXT("reason", "the centre has committed more than this queue ever gave out: it is an older copy"));
    shipper->stats.epochs_renewed++;
    for (size_t i = 0; i < shipper->lanes_count; i++) {
        const struct queue_stream *const stream = queue_stream_find(shipper->queue, shipper->lanes[i].stream);
        shipper->lanes[i].committed = shipper->lanes[i].given = stream ? stream->began_after : 0;
        shipper->lanes[i].lost_known = false;
    }
    go_back_everywhere(shipper);
}

static uint64_t acks_to_store(const struct shipper *shipper) {
    uint64_t count = 0;
    for (size_t i = 0; i < shipper->lanes_count; i++) {
        const struct lane *const lane = &shipper->lanes[i];
        const struct queue_stream *const stream = queue_stream_find(shipper->queue, lane->stream);
        if (stream && lane->committed > stream->committed_sequence)
            count += lane->committed - stream->committed_sequence;
    }
    return count;
}

static void set_store_timer(struct shipper *shipper) {
    const bool few = shipper->settings.ack_few_ms > shipper->settings.ack_store_ms && acks_to_store(shipper) < ACKS_FEW;
    if (shipper->store_set && (few || !shipper->store_few)) return;
    shipper->store_set = true;
    shipper->store_few = few;
    loop_timer_set(shipper->store_timer, few ? shipper->settings.ack_few_ms : shipper->settings.ack_store_ms);
}

static void take_ack(struct shipper *shipper, const IntentAck *ack) {
    const int64_t now_ns = clock_monotonic_ns();
    if (now_ns / 1000000 - shipper->heard_ms > shipper->settings.outage_ms) rotate_after_outage(shipper);
    shipper->heard_ms = now_ns / 1000000;
    shipper->stats.heard = true;
    shipper_match_lanes(shipper);
    for (size_t i = 0; i < ack->streams.count; i++) {
        const StreamAck *const one = &ack->streams.items[i];
        const struct queue_stream *const stream = stream_of(shipper, one->stream);
        struct lane *const lane = stream ? lane_find(shipper, one->stream) : NULL;
        /* A stream that was never opened here would be, some day, and its records be taken for those that it had. */
        if (lane ? stored_number(stream, one->committed_sequence) > lane->given
                 : one->committed_sequence && !queue_stream_was(shipper->queue, one->stream)) {
            begin_new_epoch(shipper, ack, one);
            return;
        }
        if (lane) take_stream_ack(shipper, lane, stream, one, now_ns);
    }
    resend_overtaken(shipper, now_ns / 1000000);
    set_store_timer(shipper);
}

/* What is measured stays in the queue: who was revoked may come back. */
static void take_refusal(struct shipper *shipper, slice why) {
    char text[SHIPPER_REFUSAL_BYTES];
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(slice_first(why, sizeof text - 1)));
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c > '~') *c = '?';
    if (strcmp(text, shipper->stats.refusal) == 0) return;
    memcpy(shipper->stats.refusal, text, sizeof text);
    LOG_ERROR("ship", "refused_by_centre", LOG_TEXT("reason", text),
              LOG_TEXT("instead", "measuring goes on, the queue keeps it"));
}

fault_code shipper_on_ack(struct shipper *shipper, slice payload, struct fault *reterr) {
    arena_reset(shipper->arena);
    IntentAck ack;
    struct fault fault;
    struct uuid epoch;
    fault_code code = codec_decode_protobuf_bounded(&IntentAck_desc, payload, shipper->arena, &ack, &fault);
    if (!code && !uuid_parse(ack.epoch, &epoch))
        code = fault_set(&fault, FAULT_INPUT, "epoch '%.*s' is not a UUID", SLICE_ARG(ack.epoch));
    if (code) {
        shipper->stats.last_fault = fault;
        if (reterr) *reterr = fault;
        return fault_wrap(reterr, "read the centre's ack");
    }
    if (ack.refusal.size) {
        take_refusal(shipper, ack.refusal);
        return FAULT_NONE;
    }
    shipper->stats.refusal[0] = '\0';
    shipper->stats.acks++;
    if (uuid_equal(epoch, queue_epoch(shipper->queue)))
        take_ack(shipper, &ack);
    else
        shipper->stats.acks_foreign++; /* of the queue before this one */
    shipper->waiting_for_ack = false;
    shipper_pump(shipper);
    return FAULT_NONE;
}

static void store_acks(struct shipper *shipper) {
    struct queue_ack acks[QUEUE_STREAMS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < shipper->lanes_count; i++) {
        const struct lane *const lane = &shipper->lanes[i];
        const struct queue_stream *const stream = queue_stream_find(shipper->queue, lane->stream);
        if (stream && (lane->committed > stream->committed_sequence ||
                       (stream->records && stream->oldest_sequence <= lane->committed)))
            acks[count++] = (struct queue_ack){lane->stream, lane->committed, lane->lost_known, lane->lost};
    }
    struct fault fault;
    if (count && queue_ack(shipper->queue, acks, count, &fault)) {
        shipper->stats.last_fault = fault;
        LOG_WARN("ship", "delete_failed", LOG_FAULT(&fault),
                 LOG_TEXT("instead", "records stay, tried again at the next ack"));
    }
    shipper->store_set = false;
    drop_ended(shipper);
}

static void on_store_timer(void *context) {
    struct shipper *const shipper = context;
    store_acks(shipper);
    shipper_pump(shipper);
}

static void on_resend_timer(void *context) {
    struct shipper *const shipper = context;
    const int64_t overdue_ns = clock_monotonic_ns() - shipper->settings.resend_ms * 1000000;
    for (size_t i = 0; i < shipper->lanes_count; i++) {
        struct lane *const lane = &shipper->lanes[i];
        bool overdue = false;
        for (size_t s = 0; s < shipper->settings.inflight_max; s++)
            if (shipper->slots[s].used && shipper->slots[s].stream == lane->stream &&
                shipper->slots[s].sent_ns < overdue_ns)
                overdue = true;
        if (overdue) resend(shipper, lane, "overdue");
    }
    loop_timer_set(shipper->resend_timer, shipper->settings.resend_ms / 4 + 1);
    shipper_pump(shipper);
}

void shipper_stats(const struct shipper *shipper, struct shipper_stats *ret_stats) {
    *ret_stats = shipper->stats;
}
