/* SPDX-License-Identifier: Apache-2.0
 * The way out: take the lane whose turn it is (smooth weighted round robin, so no lane starves and none comes in bursts),
 * read a run behind what it has sent, publish it, take a slot. It ends when there is nothing to send, no slot, or the
 * client's window is full, and begins again at the next event.
 *
 * Old streams, closed after an outage, never get all of it: a part of the slots is kept from them, and of the client's
 * window (bulk), so that what is new finds a place at once. */
#include "agent/ship/shipper_state.h"

#include <stdio.h>

#include "agent/ship/batch_writer.h"
#include "common/base/clock.h"
#include "common/logging/log.h"

enum { TRACEPARENT_BYTES = 55 };

static bool lane_has_more(const struct lane *lane, const struct queue_stream *stream) {
    const uint64_t done = lane->sent > lane->empty_through ? lane->sent : lane->empty_through;
    return stream->last_sequence > done || (stream->closed && !lane->ends_sent);
}

/* The lane whose turn it is, NULL when none has anything to send. old_full: the client takes nothing of old streams now. */
static struct lane *choose_lane(struct shipper *shipper, bool old_full) {
    static const int64_t weights[QUEUE_CLASSES_MAX_] = {16, 8, 4};
    const unsigned kept = shipper->settings.inflight_max / 4;
    const bool old_may = !old_full && shipper->stats.inflight + kept < shipper->settings.inflight_max;
    struct lane *chosen = NULL;
    int64_t all = 0;
    for (size_t i = 0; i < shipper->lanes_count; i++) {
        struct lane *const lane = &shipper->lanes[i];
        const struct queue_stream *const stream = queue_stream_find(shipper->queue, lane->stream);
        if (!stream || !lane_has_more(lane, stream) || (stream->closed && !old_may)) continue;
        const int64_t weight = stream->closed ? weights[stream->class] / 4 : weights[stream->class];
        all += weight;
        lane->turn += weight;
        if (!chosen || lane->turn > chosen->turn) chosen = lane;
    }
    if (chosen) chosen->turn -= all;
    return chosen;
}

struct reading {
    struct shipper *shipper;
    struct batch_writer writer;
    uint32_t stream;
    uint64_t began_after;
};

/* On the wire a stream's numbers count from where it began in this epoch. */
static void begin_batch(struct reading *reading, uint64_t after_sequence, uint64_t first_sequence) {
    batch_begin(&reading->writer, reading->shipper->payload, reading->shipper->payload_bytes,
                queue_epoch(reading->shipper->queue), reading->stream, after_sequence - reading->began_after,
                first_sequence - reading->began_after);
}

static bool add_intent(void *context, const struct queue_batch *so_far, uint64_t sequence, slice intent) {
    struct reading *const reading = context;
    if (so_far->count == 0) begin_batch(reading, so_far->after_sequence, sequence);
    return batch_add(&reading->writer, intent);
}

/* 00-<trace id>-<span id>-01, made anew: a batch carries intents of many traces, each with its own inside. */
static slice make_traceparent(char text[TRACEPARENT_BYTES + 1]) {
    uint8_t bytes[24];
    random_bytes(bytes, sizeof bytes);
    bytes[0] |= 1; /* neither id may be zero */
    bytes[16] |= 1;
    char hex[49];
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    snprintf(text, TRACEPARENT_BYTES + 1, "00-%.32s-%.16s-01", hex, hex + 32);
    return slice_of(text, TRACEPARENT_BYTES);
}

static fault_code publish(struct shipper *shipper, slice payload, bool bulk, uint64_t token, struct fault *reterr) {
    char traceparent[TRACEPARENT_BYTES + 1];
    const struct mqtt_property properties[] = {
        {SLICE_LIT("traceparent"), make_traceparent(traceparent)},
        {SLICE_LIT("tenant_id"), slice_from_text(shipper->tenant)},
        {SLICE_LIT("schema_version"), SLICE_LIT("1")},
    };
    const struct mqtt_publication publication = {
        .topic = shipper->topic,
        .payload = payload,
        .content_type = "application/x-protobuf; proto=ameide_core_proto.sre.edge.v1.IntentBatch",
        .properties = properties,
        .properties_count = sizeof properties / sizeof *properties,
        .qos = 1,
        .bulk = bulk,
        .token = token,
    };
    return mqtt_client_publish(shipper->client, &publication, reterr);
}

static struct slot *free_slot(struct shipper *shipper) {
    for (size_t i = 0; i < shipper->settings.inflight_max; i++)
        if (!shipper->slots[i].used) return &shipper->slots[i];
    return NULL;
}

uint64_t shipper_slot_token(const struct shipper *shipper, const struct slot *slot) {
    return SHIPPER_TOKEN | (uint64_t)slot->number << 16 | (uint64_t)(slot - shipper->slots);
}

/* false: nothing more can go out now, of a closed stream nothing more of closed ones. */
static bool send_batch(struct shipper *shipper, struct lane *lane, const struct queue_stream *stream,
                       struct slot *slot) {
    const bool closed = stream->closed;
    struct reading reading = {.shipper = shipper, .stream = lane->stream, .began_after = stream->began_after};
    struct queue_batch batch;
    struct fault fault;
    const fault_code code = queue_read(shipper->queue, lane->stream, lane->sent, shipper->settings.batch_intents,
                                       shipper->settings.batch_bytes, add_intent, &reading, &batch, &fault);
    if (code && code != FAULT_ABSENT) {
        shipper->stats.last_fault = fault;
        LOG_ERROR("ship", "read_failed", LOG_FAULT(&fault), LOG_TEXT("instead", "the stream is read again later"));
        loop_timer_set(shipper->pump_timer, shipper->settings.resend_ms);
        return false;
    }
    if (code == FAULT_ABSENT) { /* nothing is left behind what was sent: all shed, or only the end is to be said */
        if (!batch.stream_ends) {
            lane->empty_through = batch.last_sequence; /* the next record will state the hole */
            return true;
        }
        begin_batch(&reading, batch.after_sequence, batch.first_sequence);
    }
    slot->number++;
    if (publish(shipper, batch_end(&reading.writer, batch.stream_ends), closed, shipper_slot_token(shipper, slot),
                &fault)) {
        if (fault.code != FAULT_AGAIN) {
            shipper->stats.last_fault = fault;
            LOG_WARN("ship", "publish_failed", LOG_FAULT(&fault), LOG_TEXT("instead", "sent again later"));
        }
        loop_timer_set(shipper->pump_timer, shipper->settings.resend_ms); /* on_published comes sooner, as a rule */
        return false;
    }
    *slot = (struct slot){.used = true,
                          .ends = batch.stream_ends,
                          .stream = lane->stream,
                          .number = slot->number,
                          .last_sequence = batch.last_sequence,
                          .order = shipper->stats.batches_sent,
                          .sent_ns = clock_monotonic_ns()};
    lane->sent = batch.last_sequence;
    if (lane->given < lane->sent) lane->given = lane->sent;
    if (batch.stream_ends) lane->ends_sent = true;
    shipper->stats.inflight++;
    shipper->stats.batches_sent++;
    shipper->stats.intents_sent += batch.count;
    metric_count(shipper->metrics, SHIP_BATCHES, 1);
    metric_count(shipper->metrics, SHIP_INTENTS, batch.count);
    return true;
}

void shipper_pump(struct shipper *shipper) {
    if (!shipper->client || !shipper->stats.connected || shipper->waiting_for_ack || shipper->pumping) return;
    shipper->pumping = true; /* publish may call back */
    shipper_match_lanes(shipper);
    bool old_full = false;
    for (struct slot *slot; (slot = free_slot(shipper));) {
        struct lane *const lane = choose_lane(shipper, old_full);
        if (!lane) break;
        const struct queue_stream *const stream = queue_stream_find(shipper->queue, lane->stream);
        const bool closed = stream->closed;
        if (send_batch(shipper, lane, stream, slot)) continue;
        if (!closed) break;
        old_full = true;
    }
    shipper->pumping = false;
}
