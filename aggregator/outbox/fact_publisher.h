/* SPDX-License-Identifier: Apache-2.0
 * Publishes every fact to sre.domain.facts.v1/<tenant>/<aggregate type>/<aggregate id>, in order, QoS 1, with the
 * CloudEvents attributes as user properties (binary content mode). A consumer of the journal without a thread: it
 * runs on the loop of its MQTT client. Its cursor moves through what is acknowledged without a gap, so after a
 * kill -9 some facts go out again, under the same message id.
 * Owner: the loop's thread. */
#ifndef PICKET_OUTBOX_FACT_PUBLISHER_H
#define PICKET_OUTBOX_FACT_PUBLISHER_H

#include "aggregator/journal/journal.h"
#include "common/net/mqtt_client.h"

struct fact_publisher;

/* The name of its cursor, and as a consumer that compaction waits for. */
#define FACT_PUBLISHER_NAME "fact_publisher"

/* Its tokens have this bit, so that it can share a client: give it only those callbacks. */
#define FACT_PUBLISHER_TOKEN (UINT64_C(1) << 63)

/* Begins after the stored cursor. The client is set when it is there (its callbacks need the publisher). */
fault_code fact_publisher_new(struct loop *loop, struct journal *journal, struct fact_publisher **ret_publisher,
                              struct fault *reterr) MUST_CHECK;
void fact_publisher_client(struct fact_publisher *publisher, struct mqtt_client *client);
/* Before the client is closed and the journal; NULL is fine; returns NULL. */
struct fact_publisher *fact_publisher_free(struct fact_publisher *publisher);

/* From the client's callbacks. */
void fact_publisher_on_connected(struct fact_publisher *publisher);
void fact_publisher_on_published(struct fact_publisher *publisher, uint64_t token, const struct fault *fault);

struct fact_publisher_stats {
    uint64_t cursor, lag, published, failures;
};
void fact_publisher_stats(const struct fact_publisher *publisher, struct fact_publisher_stats *ret_stats);

#endif
