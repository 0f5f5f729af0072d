/* SPDX-License-Identifier: Apache-2.0
 * Sends what the queue holds to the centre in batches, several in flight, and deletes only what the centre says that
 * it has committed (contract.md, "Delivery: nothing lost, nothing twice"). Streams are interleaved: every stream with
 * something to send gets its share, the higher class and the newer stream the larger one.
 *
 * What may go wrong, and what is done: the connection is lost: sending begins again behind what is committed; the
 * broker took a batch and lost it: no commit within resend_ms, the stream is sent again; the centre misses something:
 * wanted_sequence, the stream goes back; the centre knows numbers that this queue never gave: a new epoch.
 * Owner: the agent's loop thread. Allocates at shipper_new only (the LMDB and MQTT doors aside). */
#ifndef PICKET_SHIP_SHIPPER_H
#define PICKET_SHIP_SHIPPER_H

#include "agent/buffer/queue.h"
#include "common/loop/loop.h"
#include "common/metrics/metrics.h"
#include "common/net/mqtt_client.h"

struct shipper;

/* Set in the token of every publication of the shipper: who owns the client gives those to shipper_on_published. */
#define SHIPPER_TOKEN (UINT64_C(1) << 63)

struct shipper_settings {
    const char *tenant, *agent; /* copied */
    unsigned inflight_max;      /* batches sent and not committed, 1 to 256 */
    size_t batch_bytes;         /* of intents in one batch, about; 1 KiB to 512 KiB */
    size_t batch_intents;       /* 1 to LIMIT_BATCH_INTENTS */
    int64_t resend_ms;          /* a batch that is not committed for so long is sent again */
    int64_t outage_ms;   /* what waits for so long when the centre answers again goes beside, not before, what is new */
    int64_t ack_wait_ms; /* after connecting: how long to wait for the retained ack before sending */
    int64_t ack_store_ms; /* acks are gathered for so long before records are deleted */
    int64_t
        ack_few_ms; /* and so long, if that is longer, while they are of few records: each deletion waits for the disk */
    /* The centre has committed what this queue never gave out: it is an older copy. Once in a shipper's life, before
     * the new epoch is stored. May be NULL. */
    void (*older_copy)(void *context);
    void *context;
};

/* metrics may be NULL. The queue must outlive the shipper. */
fault_code shipper_new(struct loop *loop, struct queue *queue, const struct shipper_settings *settings,
                       struct metrics *metrics, struct shipper **ret_shipper, struct fault *reterr) MUST_CHECK;
struct shipper *shipper_free(struct shipper *shipper); /* stores the acks it still holds; NULL is fine; returns NULL */
/* The connection to publish by, NULL when there is none any more. Before the first event below. */
void shipper_use(struct shipper *shipper, struct mqtt_client *client);

/* There is something new in the queue. */
void shipper_kick(struct shipper *shipper);

/* The client's callbacks, from whoever owns it. */
void shipper_on_connected(struct shipper *shipper);
void shipper_on_disconnected(struct shipper *shipper);
void shipper_on_published(struct shipper *shipper, uint64_t token, const struct fault *fault);
/* A message on the agent's acks topic (an IntentAck). FAULT_INPUT: it could not be read; nothing was done. */
fault_code shipper_on_ack(struct shipper *shipper, slice payload, struct fault *reterr) MUST_CHECK;

enum { SHIPPER_REFUSAL_BYTES = 320 };

struct shipper_stats {
    bool connected, heard; /* heard: an ack of this epoch came on this connection */
    unsigned inflight;     /* batches sent and not committed */
    uint64_t batches_sent, intents_sent, resends, went_back, rotations, epochs_renewed, acks, acks_foreign;
    uint64_t intents_committed; /* since the process started */
    int64_t last_commit_ms;     /* monotonic; 0: none yet */
    struct fault last_fault;    /* of the queue or of reading an ack */
    char refusal
        [SHIPPER_REFUSAL_BYTES]; /* why the centre takes nothing of this agent, on this connection; "": it does */
};
void shipper_stats(const struct shipper *shipper, struct shipper_stats *ret_stats);

#endif
