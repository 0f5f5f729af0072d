/* SPDX-License-Identifier: Apache-2.0
 * The door to Eclipse Paho (async, MQTT 5) over our own TLS relay. One connection to one broker: connects again
 * by itself with back-off and jitter, keeps at most `inflight_max` publications unacknowledged and queues nothing:
 * a full window is FAULT_AGAIN, and the caller's own store is the queue. All callbacks run on the loop's thread.
 * Owner: the loop's thread; mqtt_client_publish may also be called from it only. */
#ifndef PICKET_NET_MQTT_CLIENT_H
#define PICKET_NET_MQTT_CLIENT_H

#include "common/loop/loop.h"

struct mqtt_client;

enum { MQTT_PROPERTIES_MAX = 64 }; /* user properties of a message that came in; further ones are left out */

struct mqtt_property {
    slice name, value;
};

/* A message that came in, valid during the callback. */
struct mqtt_message {
    slice topic, payload, content_type, response_topic, correlation_data;
    const struct mqtt_property *properties; /* user properties */
    size_t properties_count;
    bool retained;
};

struct mqtt_publication {
    const char *topic;
    slice payload;              /* copied before publish returns */
    const char *content_type;   /* NULL: none */
    const char *response_topic; /* where an answer is wanted; NULL: none */
    slice correlation_data;     /* given back with an answer, or of the request that this answers; empty: none */
    const struct mqtt_property *properties;
    size_t properties_count;
    uint32_t expiry_s; /* the broker gives it to nobody any more when so much time has passed; 0: it may keep it */
    int qos;           /* 0 or 1; at most 32 user properties */
    bool retained;
    bool bulk;        /* one of many that keep coming: leaves a quarter of the window, at least one place, to others */
    bool out_of_turn; /* not counted against inflight_bytes_max: a few single messages that must not wait for a bulk */
    uint64_t token;   /* given back to on_published */
};

struct mqtt_settings {
    const char *host;
    uint16_t port;
    bool plain_text;                                   /* no TLS: loopback brokers in tests only */
    const char *ca_path, *certificate_path, *key_path; /* all required unless plain_text */
    const char *server_name;                           /* name in the broker's certificate; NULL: host */
    const char *client_id;
    const char *username, *password; /* NULL: none (the certificate is the identity) */
    unsigned inflight_max; /* publications without PUBACK, 1 to 1000; lowered to the broker's Receive Maximum */
    size_t inflight_bytes_max;
    int64_t keep_alive_ms, connect_timeout_ms, backoff_min_ms, backoff_max_ms;
    bool clean_start; /* false: the broker keeps our session for session_expiry_s */
    uint32_t session_expiry_s;
    const char *will_topic; /* NULL: no will */
    slice will_payload;
    const char *will_content_type;
    uint32_t will_delay_s;        /* the broker waits so long for us before it sends it; not beyond session_expiry_s */
    unsigned user_properties_max; /* a broker that sends us a message with more is left; 0: any number are taken */
    const char *const *subscriptions; /* NULL-terminated; subscribed with QoS 1 after each connect */
};

struct mqtt_callbacks {
    /* The broker has accepted us and granted every subscription (a refused one ends the connection, with the topic in
     * the reason). Messages may come before this. */
    void (*on_connected)(void *context, bool session_present);
    /* The connection was lost, or an attempt to connect failed; another follows. reason: one sentence for a person,
     * from the relay where TLS or TCP failed. Publications in flight are given to on_published with FAULT_AGAIN first. */
    void (*on_disconnected)(void *context, const struct fault *reason);
    /* The broker's PUBACK goes out when the message waits for the loop, so what must not be lost needs an answer of its
     * own. While on_message is slow, up to about 1000 messages or 2 MiB (and what is in socket buffers) wait here and
     * the broker is slowed down by TCP; none is dropped. Messages over LIMIT_MESSAGE_BYTES + 128 KiB are not sent to us. */
    void (*on_message)(void *context, const struct mqtt_message *message);
    /* The broker's PUBACK came (fault NULL) or never will (fault set). Exactly once per accepted publication. */
    void (*on_published)(void *context, uint64_t token, const struct fault *fault);
    void *context;
};

struct mqtt_stats {
    bool connected;
    uint64_t connects, disconnects, messages_in, messages_out, bytes_in, bytes_out;
    unsigned inflight;
    struct fault last_fault; /* why the connection was last lost or refused */
};

/* Settings are copied. Begins to connect as soon as the loop runs. Unsets http_proxy, so call it before other threads
 * read the environment. Faults: FAULT_LIMIT, FAULT_INPUT for settings and certificate files. */
fault_code mqtt_client_open(struct loop *loop, const struct mqtt_settings *settings,
                            const struct mqtt_callbacks *callbacks, struct mqtt_client **ret_client,
                            struct fault *reterr) MUST_CHECK;
/* Waits for the PUBACK of what is in flight for up to drain_ms (on_published is called), hands over the messages that
 * wait, disconnects (the will is not sent). Paho's threads take up to 1.2 s more to end. Not inside a callback, the loop
 * need not run. NULL is fine; returns NULL. */
struct mqtt_client *mqtt_client_close(struct mqtt_client *client, int64_t drain_ms);
/* FAULT_AGAIN: not connected, or the window is full; try after on_published or on_connected. FAULT_LIMIT, FAULT_INPUT:
 * this publication can never be sent (size, topic). */
fault_code mqtt_client_publish(struct mqtt_client *client, const struct mqtt_publication *publication,
                               struct fault *reterr) MUST_CHECK;
/* Something is there that should not wait for the back-off: the next attempt to connect begins at once, or backoff_min_ms
 * after the one before it. Nothing happens while connected or connecting. */
void mqtt_client_hurry(struct mqtt_client *client);
void mqtt_client_stats(const struct mqtt_client *client, struct mqtt_stats *ret_stats);

#endif
