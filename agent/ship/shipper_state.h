/* SPDX-License-Identifier: Apache-2.0
 * What shipper.c and shipper_send.c share; nobody else includes it. */
#ifndef PICKET_SHIP_SHIPPER_STATE_H
#define PICKET_SHIP_SHIPPER_STATE_H

#include "agent/ship/shipper.h"

#include "common/base/limits.h"

enum {
#define METRIC(id, kind, name, labels, help) id,
#include "agent/ship/ship_metrics.def"
#undef METRIC
    SHIP_METRICS_MAX_
};

enum { INFLIGHT_MAX = 256 };

struct lane {
    uint32_t stream;
    bool ends_sent, ends_taken; /* a batch with stream_ends went out; the broker has it */
    uint64_t committed, sent;
    uint64_t
        given; /* the most that ever went out under this epoch, as far as is known: nothing behind it can be committed */
    bool lost_known;
    uint64_t lost;          /* up to committed, as the centre says */
    uint64_t empty_through; /* nothing is left from `sent` to here: shed */
    uint64_t went_back_to;
    int64_t went_back_ms; /* monotonic; 0: never on this connection */
    int64_t wishes_since_ms;
    unsigned wishes;      /* of the centre that it go back, since then */
    int64_t overtaken_ms; /* likewise, when it last went back because others had overtaken it */
    int64_t turn;         /* of the round robin */
};

struct slot {
    bool used, ends;
    uint32_t stream;
    uint32_t number; /* tells this use of the slot from the one before */
    uint64_t last_sequence;
    uint64_t order; /* of sending, over all streams */
    int64_t sent_ns;
};

struct shipper {
    struct loop *loop;
    struct queue *queue;
    struct mqtt_client *client;
    struct metric_table *metrics;
    struct shipper_settings settings;
    struct shipper_stats stats;
    char tenant[LIMIT_TENANT_AND_PRODUCER_BYTES + 1], topic[160];
    struct loop_timer *pump_timer, *resend_timer, *store_timer;
    bool store_set, store_few, waiting_for_ack, pumping;
    int64_t heard_ms; /* monotonic: last ack, or when the connection came */
    int64_t epoch_ms; /* likewise: when the last new epoch began; 0: none in this life */
    struct lane lanes[QUEUE_STREAMS_MAX];
    size_t lanes_count;
    struct slot slots[INFLIGHT_MAX];
    uint64_t committed_order; /* of the slots */
    struct arena *arena;      /* for reading one ack */
    uint8_t *payload;
    size_t payload_bytes;
};

/* Makes the lanes those of the queue's streams; what is known of a lane stays. */
void shipper_match_lanes(struct shipper *shipper);

/* ---- shipper_send.c ---- */

/* Sends what can go out now. */
void shipper_pump(struct shipper *shipper);
uint64_t shipper_slot_token(const struct shipper *shipper, const struct slot *slot);

#endif
