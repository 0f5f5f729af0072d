/* SPDX-License-Identifier: Apache-2.0
 * What Paho's threads have for the loop: results, in order, and messages, in order. The functions that put may be called
 * by any thread and never wait for the loop; all others are the loop's. Knows nothing of Paho: a message is a pointer
 * that is given back as it came. Private to mqtt_client.c. */
#ifndef PICKET_NET_MQTT_INBOX_H
#define PICKET_NET_MQTT_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/fault.h"
#include "common/loop/loop.h"
#include "common/net/tls_relay.h"

enum { MQTT_GOODBYE_NONE = -1, MQTT_GOODBYE_TEXT_SIZE = 160 };

/* Embedded where it can happen once only: nothing is allocated to report. */
struct mqtt_event {
    struct mqtt_event *next;
    int kind, reason; /* the caller's */
    bool queued;
};

struct mqtt_waiting {
    struct mqtt_waiting *next;
    void *message;
    char *topic;
    size_t topic_bytes, bytes;
};

struct mqtt_connack {
    bool session_present;
    unsigned receive_max, packet_bytes_max; /* the broker's; packet_bytes_max 0: no bound */
};

struct mqtt_inbox;

/* Both are borrowed. The waker is woken when the inbox was empty; the relay is paused when many messages wait, and goes
 * on when half of them are gone. NULL: no memory. */
struct mqtt_inbox *mqtt_inbox_new(struct loop_waker *waker, struct tls_relay *relay) MUST_CHECK;
struct mqtt_inbox *mqtt_inbox_free(struct mqtt_inbox *inbox); /* when no one puts any more; NULL is fine */

/* Without effect on an event that is queued already: an end of the connection can be told twice. */
void mqtt_inbox_put(struct mqtt_inbox *inbox, struct mqtt_event *event, int kind, int reason);
/* bytes: what the message takes in memory. Takes both pointers over. false: no memory, they are still the caller's. */
bool mqtt_inbox_put_message(struct mqtt_inbox *inbox, void *message, size_t bytes, char *topic,
                            size_t topic_bytes) MUST_CHECK;
void mqtt_inbox_put_connack(struct mqtt_inbox *inbox, const struct mqtt_connack *connack);
/* The reason and text of the broker's DISCONNECT. */
void mqtt_inbox_put_goodbye(struct mqtt_inbox *inbox, int reason, const char *text, size_t text_bytes);

/* Everything that happened until now becomes the batch; false: nothing did. Only when the batch before is through. */
bool mqtt_inbox_take_batch(struct mqtt_inbox *inbox);
/* The next event of the batch; NULL at its end. It may be put again at once. */
struct mqtt_event *mqtt_inbox_next(struct mqtt_inbox *inbox);
/* Forgets the events, the batch's too, and the goodbye; the messages stay: the broker has their PUBACK. */
void mqtt_inbox_drop_events(struct mqtt_inbox *inbox);
/* The oldest message, for the caller to free with what it points to; NULL: none. */
struct mqtt_waiting *mqtt_inbox_next_message(struct mqtt_inbox *inbox);
bool mqtt_inbox_holds_some(struct mqtt_inbox *inbox);
/* Blocks until there is an event, at most time_ms. */
void mqtt_inbox_wait(struct mqtt_inbox *inbox, int64_t time_ms);
void mqtt_inbox_connack(struct mqtt_inbox *inbox, struct mqtt_connack *ret_connack);
/* The reason of the last DISCONNECT since events were dropped, MQTT_GOODBYE_NONE without one. */
int mqtt_inbox_goodbye(struct mqtt_inbox *inbox, char ret_text[MQTT_GOODBYE_TEXT_SIZE]);

#endif
