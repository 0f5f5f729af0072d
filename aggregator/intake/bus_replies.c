/* SPDX-License-Identifier: Apache-2.0
 * A reply is owed from the moment its intent is submitted: its memory is taken then, so that the writer thread has
 * nothing to allocate but the encoded answer. What is done waits in one list until the client takes it. A reply that
 * cannot be sent for long is not kept for ever: the list is bounded, the oldest goes, and its producer asks again. */
#include "aggregator/intake/bus_replies.h"

#include "aggregator/intake/intent_reply.h"
#include "common/base/limits.h"
#include "common/codec/codec.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOPIC_BYTES = 160, MESSAGE_ID_BYTES_MAX = 36, PAYLOAD_BYTES_MAX = 2048, RETRY_MS = 100 };

struct bus_reply {
    struct bus_replies *replies;
    struct bus_reply *next;
    char topic[TOPIC_BYTES];
    uint8_t correlation[BUS_CORRELATION_BYTES_MAX];
    size_t correlation_bytes;
    uint8_t message_id[MESSAGE_ID_BYTES_MAX];
    size_t message_id_bytes;
    uint8_t payload[PAYLOAD_BYTES_MAX];
    size_t payload_bytes;
};

struct bus_replies {
    struct mqtt_client *client;
    struct loop_waker *waker;
    struct loop_timer *retry;
    atomic_size_t owed; /* submitted or waiting to be sent */
    pthread_mutex_t lock;
    struct bus_reply *first, **end; /* done, in order */
};

static void on_wake(void *context) {
    bus_replies_send(context);
}

fault_code bus_replies_new(struct loop *loop, struct bus_replies **ret_replies, struct fault *reterr) {
    struct bus_replies *replies = calloc(1, sizeof *replies);
    if (!replies) return fault_set(reterr, FAULT_LIMIT, "make the replies: out of memory");
    pthread_mutex_init(&replies->lock, NULL);
    replies->end = &replies->first;
    replies->retry = loop_timer_new(loop, on_wake, replies);
    fault_code code = replies->retry ? FAULT_NONE : fault_set(reterr, FAULT_LIMIT, "make the replies: out of memory");
    if (!code) code = loop_waker_new(loop, on_wake, replies, &replies->waker, reterr);
    if (code) {
        bus_replies_free(replies);
        return code;
    }
    *ret_replies = replies;
    return FAULT_NONE;
}

struct bus_replies *bus_replies_free(struct bus_replies *replies) {
    if (!replies) return NULL;
    while (replies->first) {
        struct bus_reply *next = replies->first->next;
        free(replies->first);
        replies->first = next;
    }
    loop_waker_free(replies->waker);
    loop_timer_free(replies->retry);
    pthread_mutex_destroy(&replies->lock);
    free(replies);
    return NULL;
}

void bus_replies_use(struct bus_replies *replies, struct mqtt_client *client) {
    replies->client = client;
}

fault_code bus_reply_owe(struct bus_replies *replies, slice tenant, slice producer, const struct mqtt_message *message,
                         slice message_id, struct bus_reply **ret_reply, struct fault *reterr) {
    *ret_reply = NULL;
    if (message->response_topic.size == 0) return FAULT_NONE;
    char topic[TOPIC_BYTES];
    snprintf(topic, sizeof topic, "sre.domain.replies.v1/%.*s/%.*s", SLICE_ARG(tenant), SLICE_ARG(producer));
    if (!slice_equal_text(message->response_topic, topic))
        return fault_set(reterr, FAULT_INPUT, "the response topic '%.*s' is not the producer's own, '%s': no reply",
                         SLICE_ARG(slice_first(message->response_topic, 100)), topic);
    if (message->correlation_data.size > BUS_CORRELATION_BYTES_MAX)
        return fault_set(reterr, FAULT_INPUT, "correlation data of %zu bytes, at most %d are given back: no reply",
                         message->correlation_data.size, BUS_CORRELATION_BYTES_MAX);
    if (atomic_load(&replies->owed) >= BUS_REPLIES_MAX)
        return fault_set(reterr, FAULT_LIMIT, "%d replies are owed already: no reply", BUS_REPLIES_MAX);
    struct bus_reply *reply = malloc(sizeof *reply);
    if (!reply) return fault_set(reterr, FAULT_LIMIT, "owe a reply: out of memory");
    memset(reply, 0, offsetof(struct bus_reply, payload));
    reply->replies = replies;
    reply->payload_bytes = 0;
    memcpy(reply->topic, topic, sizeof topic);
    reply->correlation_bytes = message->correlation_data.size;
    if (reply->correlation_bytes)
        memcpy(reply->correlation, message->correlation_data.data, message->correlation_data.size);
    if (message_id.size <= MESSAGE_ID_BYTES_MAX) reply->message_id_bytes = message_id.size;
    if (reply->message_id_bytes) memcpy(reply->message_id, message_id.data, message_id.size);
    atomic_fetch_add(&replies->owed, 1);
    *ret_reply = reply;
    return FAULT_NONE;
}

static void finish(struct bus_reply *reply, const IntentReply *answer) {
    struct bus_replies *replies = reply->replies;
    if (codec_encode_protobuf_into(&IntentReply_desc, answer, reply->payload, sizeof reply->payload,
                                   &reply->payload_bytes, NULL)) { /* bounded well below it: ids and one sentence */
        atomic_fetch_sub(&replies->owed, 1);
        free(reply);
        return;
    }
    reply->next = NULL;
    pthread_mutex_lock(&replies->lock);
    *replies->end = reply;
    replies->end = &reply->next;
    pthread_mutex_unlock(&replies->lock);
    loop_wake(replies->waker);
}

static slice id_of(const struct bus_reply *reply) {
    return slice_of(reply->message_id, reply->message_id_bytes);
}

void bus_reply_done(void *context, const struct journal_outcome *outcome) {
    struct bus_reply *reply = context;
    IntentReply answer;
    intent_reply_fill(outcome, id_of(reply), &answer);
    finish(reply, &answer);
}

void bus_reply_failed(struct bus_reply *reply, const struct fault *fault) {
    IntentReply answer;
    intent_reply_fill_fault(fault, id_of(reply), &answer);
    finish(reply, &answer);
}

static fault_code publish(const struct bus_replies *replies, const struct bus_reply *reply, struct fault *reterr) {
    const struct mqtt_publication publication = {
        .topic = reply->topic,
        .payload = slice_of(reply->payload, reply->payload_bytes),
        .correlation_data = slice_of(reply->correlation, reply->correlation_bytes),
        .qos = 1,
        .content_type = "application/x-protobuf; proto=ameide_core_proto.sre.core.v1.IntentReply"};
    return mqtt_client_publish(replies->client, &publication, reterr);
}

void bus_replies_send(struct bus_replies *replies) {
    struct fault fault;
    for (;;) {
        pthread_mutex_lock(&replies->lock);
        struct bus_reply *reply = replies->first;
        pthread_mutex_unlock(&replies->lock);
        if (!reply) return;
        if (replies->client && publish(replies, reply, &fault) == FAULT_AGAIN) {
            /* Nobody reads: half of what may be owed is kept, for the connection that comes back. */
            if (atomic_load(&replies->owed) < BUS_REPLIES_MAX / 2) {
                loop_timer_set(replies->retry, RETRY_MS);
                return;
            }
        }
        pthread_mutex_lock(&replies->lock);
        replies->first = reply->next;
        if (!replies->first) replies->end = &replies->first;
        pthread_mutex_unlock(&replies->lock);
        atomic_fetch_sub(&replies->owed, 1);
        free(reply);
    }
}
