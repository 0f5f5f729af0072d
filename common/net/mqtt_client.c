/* SPDX-License-Identifier: Apache-2.0
 * The only file that knows Paho. Paho's two threads call back with its one big mutex held; a publish from the loop
 * takes that same mutex. So a callback never waits for the loop: it puts what happened into the inbox (mqtt_inbox.c).
 *
 * Every connection gets a new Paho handle, and the old one is destroyed after the new one was made: Paho then has no
 * publications of a former connection to send again (our caller's store is the only queue), and its threads, which
 * end with the last handle and take a second for that, go on. After MQTTAsync_destroy no callback of the old handle
 * can come, so that a slot is never touched for a connection that is gone. */
#include "common/net/mqtt_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <MQTTAsync.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/uuid.h"
#include "common/net/mqtt_inbox.h"
#include "common/net/mqtt_reason.h"
#include "common/net/mqtt_settings.h"
#include "common/net/paho_lean.h"
#include "common/net/tls_relay.h"

enum {
    PROPERTIES_OUT_MAX = 32,
    PACKET_BYTES_MAX = LIMIT_MESSAGE_BYTES + 128 * 1024, /* with topic and properties; told to the broker */
    EVENTS_PER_TURN = 256,                               /* then the loop gets to its other work */
    PROPERTY_COST_BYTES = 128, /* of one that came in: Paho's struct for it, and two allocations */
};

enum client_state { CLIENT_WAITS, CLIENT_CONNECTS, CLIENT_SUBSCRIBES, CLIENT_CONNECTED };

/* reason: an MQTT 5 reason code, or a negative Paho code. */
enum event_kind { EVENT_PUBLISHED, EVENT_CONNECTED, EVENT_FAILED, EVENT_LOST, EVENT_SUBSCRIBED, EVENT_KIND_MAX_ };

struct slot { /* one publication in flight; its event comes first */
    struct mqtt_event event;
    struct mqtt_client *client;
    struct slot *next_free;
    uint64_t token;
    size_t bytes;
    bool used;
};

struct subscription {
    struct mqtt_event event;
    struct mqtt_client *client;
    char *topic;
    bool granted;
};

struct mqtt_client {
    struct loop *loop;
    struct loop_waker *waker;
    struct loop_timer *timer; /* back-off while waiting, else the deadline of the attempt */
    struct tls_relay *relay;
    struct mqtt_settings settings;
    struct mqtt_callbacks callbacks;
    struct mqtt_stats stats;
    MQTTAsync paho;
    enum client_state state;
    bool session_present;
    unsigned attempts; /* since a connection last held */
    int64_t connected_ms, waits_since_ms, waits_until_ms;
    unsigned window;
    size_t inflight_bytes, packet_bytes_max;
    struct slot *slots, *free_slots;
    struct subscription subscriptions[MQTT_SUBSCRIPTIONS_MAX];
    size_t subscriptions_count, subscriptions_granted;
    struct mqtt_inbox *inbox;
    struct mqtt_event connect_event, lost_event;
};

/* ---- Paho's threads ---- */

static void paho_connected(void *context, MQTTAsync_successData5 *data) {
    struct mqtt_client *client = context;
    MQTTProperties *properties = &data->properties;
    const struct mqtt_connack connack = {
        .session_present = data->alt.connect.sessionPresent != 0,
        .receive_max = MQTTProperties_hasProperty(properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM)
                           ? (unsigned)MQTTProperties_getNumericValue(properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM)
                           : 65535, /* MQTT 5.0 section 3.2.2.3.3 */
        .packet_bytes_max =
            MQTTProperties_hasProperty(properties, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE)
                ? (unsigned)MQTTProperties_getNumericValue(properties, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE)
                : 0,
    };
    mqtt_inbox_put_connack(client->inbox, &connack);
    mqtt_inbox_put(client->inbox, &client->connect_event, EVENT_CONNECTED, 0);
}

static void paho_connect_failed(void *context, MQTTAsync_failureData5 *data) {
    struct mqtt_client *client = context;
    mqtt_inbox_put(client->inbox, &client->connect_event, EVENT_FAILED,
                   data->code > 0 ? data->code : (int)data->reasonCode);
}

static void paho_connection_lost(void *context, char *cause) {
    struct mqtt_client *client = context;
    mqtt_inbox_put(client->inbox, &client->lost_event, EVENT_LOST, 0);
}

static void paho_disconnected(void *context, MQTTProperties *properties, enum MQTTReasonCodes reason) {
    struct mqtt_client *client = context;
    const MQTTProperty *text = MQTTProperties_getProperty(properties, MQTTPROPERTY_CODE_REASON_STRING);
    mqtt_inbox_put_goodbye(client->inbox, (int)reason, text ? text->value.data.data : NULL,
                           text && text->value.data.len > 0 ? (size_t)text->value.data.len : 0);
    mqtt_inbox_put(client->inbox, &client->lost_event, EVENT_LOST, 0); /* Paho does not call connectionLost as well */
}

static void paho_published(void *context, MQTTAsync_successData5 *data) {
    struct slot *slot = context;
    mqtt_inbox_put(slot->client->inbox, &slot->event, EVENT_PUBLISHED, 0);
}

/* reasonCode is not set in every failure of Paho's own; then code is negative. */
static void paho_publish_failed(void *context, MQTTAsync_failureData5 *data) {
    struct slot *slot = context;
    mqtt_inbox_put(slot->client->inbox, &slot->event, EVENT_PUBLISHED,
                   data->code != 0 ? data->code : (int)data->reasonCode);
}

static void paho_subscribed(void *context, MQTTAsync_successData5 *data) {
    struct subscription *subscription = context;
    mqtt_inbox_put(subscription->client->inbox, &subscription->event, EVENT_SUBSCRIBED, 0);
}

static void paho_subscribe_failed(void *context, MQTTAsync_failureData5 *data) {
    struct subscription *subscription = context;
    mqtt_inbox_put(subscription->client->inbox, &subscription->event, EVENT_SUBSCRIBED,
                   data->code != 0 ? data->code : (int)data->reasonCode);
}

/* Takes the message over as it is; Paho sends PUBACK after we return 1. */
static int paho_message_arrived(void *context, char *topic, int topic_bytes, MQTTAsync_message *message) {
    struct mqtt_client *client = context;
    const size_t name_bytes = topic_bytes > 0 ? (size_t)topic_bytes : strlen(topic);
    const size_t bytes = (size_t)message->payloadlen + name_bytes + (size_t)message->properties.length +
                         (size_t)message->properties.count * PROPERTY_COST_BYTES;
    /* 0: Paho keeps it and asks again. */
    return mqtt_inbox_put_message(client->inbox, message, bytes, topic, name_bytes);
}

/* ---- opening ---- */

static bool tables_make(struct mqtt_client *client, const struct mqtt_settings *settings);
static fault_code parts_make(struct mqtt_client *client, const struct mqtt_settings *settings, struct fault *reterr);
static fault_code paho_renew(struct mqtt_client *client, struct fault *reterr);
static void client_free(struct mqtt_client *client);
static void client_woken(void *context);
static void timer_fired(void *context);

fault_code mqtt_client_open(struct loop *loop, const struct mqtt_settings *settings,
                            const struct mqtt_callbacks *callbacks, struct mqtt_client **ret_client,
                            struct fault *reterr) {
    fault_code code = mqtt_settings_check(settings, reterr);
    if (code != FAULT_NONE) return code;
    struct mqtt_client *client = calloc(1, sizeof *client);
    if (!client) return fault_set(reterr, FAULT_SYSTEM, "MQTT: out of memory");
    client->loop = loop;
    client->callbacks = *callbacks;
    if (!mqtt_settings_copy(settings, &client->settings) || !tables_make(client, settings)) {
        code = fault_set(reterr, FAULT_SYSTEM, "MQTT: out of memory");
    } else {
        code = parts_make(client, settings, reterr);
    }
    if (code != FAULT_NONE) {
        client_free(client);
        return code;
    }
    loop_timer_set(client->timer, 0); /* the first attempt, from the loop: no callback inside this call */
    *ret_client = client;
    return FAULT_NONE;
}

static bool tables_make(struct mqtt_client *client, const struct mqtt_settings *settings) {
    for (size_t i = 0; settings->subscriptions && settings->subscriptions[i]; i++) {
        client->subscriptions[i].client = client;
        client->subscriptions[i].topic = strdup(settings->subscriptions[i]);
        if (!client->subscriptions[i].topic) return false;
        client->subscriptions_count++;
    }
    client->slots = calloc(settings->inflight_max, sizeof *client->slots);
    if (!client->slots) return false;
    for (unsigned i = 0; i < settings->inflight_max; i++) {
        client->slots[i].client = client;
        client->slots[i].next_free = client->free_slots;
        client->free_slots = &client->slots[i];
    }
    return true;
}

static fault_code parts_make(struct mqtt_client *client, const struct mqtt_settings *settings, struct fault *reterr) {
    const struct tls_relay_settings relay = {.host = settings->host,
                                             .port = settings->port,
                                             .plain_text = settings->plain_text,
                                             .ca_path = settings->ca_path,
                                             .certificate_path = settings->certificate_path,
                                             .key_path = settings->key_path,
                                             .server_name = settings->server_name,
                                             .connect_timeout_ms = settings->connect_timeout_ms,
                                             .packet_bytes_max = PACKET_BYTES_MAX,
                                             .user_properties_max = settings->user_properties_max};
    (void)unsetenv("http_proxy"); /* Paho would send MQTT through it */
    (void)unsetenv("https_proxy");
    fault_code code = tls_relay_open(&relay, &client->relay, reterr);
    if (code == FAULT_NONE) code = loop_waker_new(client->loop, client_woken, client, &client->waker, reterr);
    if (code == FAULT_NONE && !(client->inbox = mqtt_inbox_new(client->waker, client->relay)))
        code = fault_set(reterr, FAULT_SYSTEM, "out of memory");
    if (code == FAULT_NONE && !(client->timer = loop_timer_new(client->loop, timer_fired, client)))
        code = fault_set(reterr, FAULT_SYSTEM, "out of memory");
    if (code == FAULT_NONE) code = paho_renew(client, reterr);
    return code == FAULT_NONE ? code : fault_wrap(reterr, "MQTT to %s:%u", settings->host, settings->port);
}

/* A handle for the next connection; the one before is destroyed, and with it all that Paho holds of it. */
static fault_code paho_renew(struct mqtt_client *client, struct fault *reterr) {
    MQTTAsync fresh = NULL;
    MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer5;
    char uri[32];
    options.maxBufferedMessages = (int)client->settings.inflight_max + MQTT_SUBSCRIPTIONS_MAX;
    snprintf(uri, sizeof uri, "tcp://127.0.0.1:%u", tls_relay_port(client->relay));
    int error = MQTTAsync_createWithOptions(&fresh, uri, client->settings.client_id, MQTTCLIENT_PERSISTENCE_NONE, NULL,
                                            &options);
    if (error == MQTTASYNC_SUCCESS)
        error = MQTTAsync_setCallbacks(fresh, client, paho_connection_lost, paho_message_arrived, NULL);
    if (error == MQTTASYNC_SUCCESS) error = MQTTAsync_setDisconnected(fresh, client, paho_disconnected);
    if (client->paho) MQTTAsync_destroy(&client->paho);
    paho_lean_use();
    if (error != MQTTASYNC_SUCCESS) {
        if (fresh) MQTTAsync_destroy(&fresh);
        return fault_set(reterr, FAULT_SYSTEM, "Paho refuses the client '%s': %s", client->settings.client_id,
                         MQTTAsync_strerror(error));
    }
    client->paho = fresh;
    return FAULT_NONE;
}

static void client_free(struct mqtt_client *client) {
    if (client->paho) MQTTAsync_destroy(&client->paho); /* sends DISCONNECT; after it Paho calls no more */
    (void)tls_relay_close(client->relay);
    (void)loop_timer_free(client->timer);
    (void)loop_waker_free(client->waker);
    (void)mqtt_inbox_free(client->inbox);
    for (size_t i = 0; i < MQTT_SUBSCRIPTIONS_MAX; i++) free(client->subscriptions[i].topic);
    free(client->slots);
    mqtt_settings_clear(&client->settings);
    free(client);
}

/* ---- connecting ---- */

static void connect_begin(struct mqtt_client *client);
static void connection_end(struct mqtt_client *client, const struct fault *reason);
static MQTTProperty property_number(enum MQTTPropertyCodes identifier, unsigned value);
static MQTTProperty property_text(enum MQTTPropertyCodes identifier, const void *data, size_t size);

static void timer_fired(void *context) {
    struct mqtt_client *client = context;
    struct fault fault;
    if (client->state == CLIENT_WAITS) {
        connect_begin(client);
        return;
    }
    /* The relay has deadlines of its own; this one is for a resolver that hangs and a broker that does not answer. */
    tls_relay_fault(client->relay, &fault);
    if (fault.code == FAULT_NONE)
        fault_set(&fault, FAULT_TIMEOUT, "broker %s:%u: no answer to %s in %" PRId64 " ms", client->settings.host,
                  client->settings.port, client->state == CLIENT_SUBSCRIBES ? "SUBSCRIBE" : "CONNECT",
                  2 * client->settings.connect_timeout_ms);
    connection_end(client, &fault);
}

static void connect_begin(struct mqtt_client *client) {
    const struct mqtt_settings *settings = &client->settings;
    MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer5;
    MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
    MQTTProperty connect_list[] = {
        property_number(MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, settings->session_expiry_s),
        property_number(MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE, PACKET_BYTES_MAX)};
    MQTTProperty will_list[2];
    MQTTProperties connect_properties = {.count = 2, .max_count = 2, .array = connect_list, .length = 10};
    MQTTProperties will_properties = {.count = 0, .max_count = 2, .array = will_list};
    struct fault fault = {0};
    options.keepAliveInterval = (int)(settings->keep_alive_ms / 1000);
    options.cleanstart = settings->clean_start;
    options.maxInflight = 65535; /* the window is ours; Paho's own would only stall */
    options.connectTimeout = (int)(settings->connect_timeout_ms / 1000 * 2 + 10); /* later than our timer */
    options.automaticReconnect = 0;
    options.username = settings->username;
    options.password = settings->password;
    options.connectProperties = &connect_properties;
    options.onSuccess5 = paho_connected;
    options.onFailure5 = paho_connect_failed;
    options.context = client;
    if (settings->will_topic) {
        will.topicName = settings->will_topic;
        will.payload.data = settings->will_payload.size ? (const void *)settings->will_payload.data : "";
        will.payload.len = (int)settings->will_payload.size;
        will.qos = 1;
        options.will = &will;
        if (settings->will_content_type) {
            will_list[will_properties.count++] = property_text(
                MQTTPROPERTY_CODE_CONTENT_TYPE, settings->will_content_type, strlen(settings->will_content_type));
        }
        if (settings->will_delay_s)
            will_list[will_properties.count++] =
                property_number(MQTTPROPERTY_CODE_WILL_DELAY_INTERVAL, settings->will_delay_s);
        if (will_properties.count) options.willProperties = &will_properties;
    }
    client->state = CLIENT_CONNECTS;
    client->attempts++;
    loop_timer_set(client->timer, 2 * settings->connect_timeout_ms);
    int error = MQTTASYNC_FAILURE;
    if (client->paho || paho_renew(client, &fault) == FAULT_NONE) error = MQTTAsync_connect(client->paho, &options);
    if (error == MQTTASYNC_SUCCESS) return;
    if (fault.code == FAULT_NONE)
        fault_set(&fault, FAULT_SYSTEM, "Paho does not connect: %s", MQTTAsync_strerror(error));
    connection_end(client, &fault);
}

static MQTTProperty property_number(enum MQTTPropertyCodes identifier, unsigned value) {
    MQTTProperty property = {.identifier = identifier};
    property.value.integer4 = value;
    return property;
}

static MQTTProperty property_text(enum MQTTPropertyCodes identifier, const void *data, size_t size) {
    MQTTProperty property = {.identifier = identifier};
    property.value.data.data = (char *)data; /* Paho copies it */
    property.value.data.len = (int)size;
    return property;
}

/* ---- on the loop: what Paho told ---- */

static void event_handle(struct mqtt_client *client, struct mqtt_event *event);
static void subscribe_all(struct mqtt_client *client);
static void connection_ready(struct mqtt_client *client);
static void published_handle(struct mqtt_client *client, struct slot *slot, int reason);
static void message_hand_over(struct mqtt_client *client, const struct mqtt_waiting *waiting);

/* True when there was something. */
static bool events_handle(struct mqtt_client *client) {
    const bool some = mqtt_inbox_take_batch(client->inbox);
    for (struct mqtt_event *event; (event = mqtt_inbox_next(client->inbox));) /* connection_end empties it */
        event_handle(client, event);
    return some;
}

static bool messages_handle(struct mqtt_client *client, unsigned messages_max) {
    bool some = false;
    for (unsigned i = 0; i < messages_max; i++) {
        struct mqtt_waiting *waiting = mqtt_inbox_next_message(client->inbox);
        if (!waiting) return some;
        some = true;
        message_hand_over(client, waiting);
        MQTTAsync_message *message = waiting->message;
        MQTTAsync_freeMessage(&message);
        MQTTAsync_free(waiting->topic);
        free(waiting);
    }
    return some;
}

static void client_woken(void *context) {
    struct mqtt_client *client = context;
    (void)events_handle(client);
    (void)messages_handle(client, EVENTS_PER_TURN);
    if (mqtt_inbox_holds_some(client->inbox)) loop_wake(client->waker);
}

static void event_handle(struct mqtt_client *client, struct mqtt_event *event) {
    struct fault fault = {0};
    switch ((enum event_kind)event->kind) {
    case EVENT_PUBLISHED: published_handle(client, (struct slot *)event, event->reason); return;
    case EVENT_CONNECTED: subscribe_all(client); return;
    case EVENT_FAILED:
        if (event->reason >= MQTT_REASON_REFUSED)
            fault_set(&fault, mqtt_reason_fault(event->reason), "broker %s:%u refuses the connection: %s (0x%02x)",
                      client->settings.host, client->settings.port, mqtt_reason_text(event->reason),
                      (unsigned)event->reason);
        connection_end(client, &fault);
        return;
    case EVENT_LOST: connection_end(client, &fault); return;
    case EVENT_SUBSCRIBED: {
        struct subscription *subscription = (struct subscription *)event;
        if (event->reason != 0) {
            fault_set(&fault, event->reason > 0 ? mqtt_reason_fault(event->reason) : FAULT_SYSTEM,
                      "broker %s:%u refuses the subscription '%s': %s (0x%02x)", client->settings.host,
                      client->settings.port, subscription->topic,
                      event->reason > 0 ? mqtt_reason_text(event->reason) : "connection lost",
                      (unsigned)event->reason & 0xff);
            connection_end(client, event->reason > 0 ? &fault : &(struct fault){0});
        } else if (++client->subscriptions_granted == client->subscriptions_count) {
            connection_ready(client);
        }
        return;
    }
    case EVENT_KIND_MAX_: return;
    }
}

static void subscribe_all(struct mqtt_client *client) {
    struct mqtt_connack connack;
    mqtt_inbox_connack(client->inbox, &connack);
    client->session_present = connack.session_present;
    client->packet_bytes_max = connack.packet_bytes_max;
    client->window =
        connack.receive_max < client->settings.inflight_max ? connack.receive_max : client->settings.inflight_max;
    client->state = CLIENT_SUBSCRIBES;
    client->subscriptions_granted = 0;
    for (size_t i = 0; i < client->subscriptions_count; i++) {
        MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
        struct fault fault;
        response.onSuccess5 = paho_subscribed;
        response.onFailure5 = paho_subscribe_failed;
        response.context = &client->subscriptions[i];
        const int error = MQTTAsync_subscribe(client->paho, client->subscriptions[i].topic, 1, &response);
        if (error == MQTTASYNC_SUCCESS) continue;
        fault_set(&fault, FAULT_SYSTEM, "subscribe to '%s': %s", client->subscriptions[i].topic,
                  MQTTAsync_strerror(error));
        connection_end(client, error == MQTTASYNC_DISCONNECTED ? &(struct fault){0} : &fault);
        return;
    }
    if (client->subscriptions_count == 0) connection_ready(client);
}

static void connection_ready(struct mqtt_client *client) {
    client->state = CLIENT_CONNECTED;
    client->connected_ms = clock_monotonic_ms();
    client->stats.connected = true;
    client->stats.connects++;
    loop_timer_clear(client->timer);
    if (client->callbacks.on_connected)
        client->callbacks.on_connected(client->callbacks.context, client->session_present);
}

static void reason_find(struct mqtt_client *client, struct fault *reason);
static void backoff_begin(struct mqtt_client *client);
static void inflight_fail(struct mqtt_client *client, const char *why);
static void slot_free(struct mqtt_client *client, struct slot *slot);

/* reason without a code: found out here. Publications in flight fail, the old handle goes, the next attempt is set. */
static void connection_end(struct mqtt_client *client, const struct fault *known_reason) {
    struct fault reason = *known_reason;
    const bool was_connected = client->state == CLIENT_CONNECTED;
    if (client->state == CLIENT_WAITS) return;
    if (reason.code == FAULT_NONE) reason_find(client, &reason);
    client->state = CLIENT_WAITS;
    client->stats.connected = false;
    client->stats.disconnects += was_connected;
    client->stats.last_fault = reason;
    struct fault ignored;
    (void)paho_renew(client, &ignored); /* on failure connect_begin tries again and says so */
    tls_relay_drop(client->relay, &reason);
    mqtt_inbox_drop_events(client->inbox);
    if (was_connected && clock_monotonic_ms() - client->connected_ms > client->settings.backoff_max_ms)
        client->attempts = 0;
    backoff_begin(client);
    inflight_fail(client, "the connection was lost before the broker's PUBACK");
    if (client->callbacks.on_disconnected) client->callbacks.on_disconnected(client->callbacks.context, &reason);
}

static void inflight_fail(struct mqtt_client *client, const char *why) {
    struct fault again;
    fault_set(&again, FAULT_AGAIN, "%s", why);
    for (unsigned i = 0; i < client->settings.inflight_max; i++) {
        struct slot *slot = &client->slots[i];
        if (!slot->used) continue;
        slot_free(client, slot);
        if (client->callbacks.on_published)
            client->callbacks.on_published(client->callbacks.context, slot->token, &again);
    }
}

static void slot_free(struct mqtt_client *client, struct slot *slot) {
    slot->used = false;
    slot->next_free = client->free_slots;
    client->free_slots = slot;
    client->stats.inflight--;
    client->inflight_bytes -= slot->bytes;
}

/* The broker's DISCONNECT says most, then what the relay saw of TCP and TLS; Paho only knows that it is over. */
static void reason_find(struct mqtt_client *client, struct fault *reason) {
    char text[MQTT_GOODBYE_TEXT_SIZE];
    const int code = mqtt_inbox_goodbye(client->inbox, text);
    if (code != MQTT_GOODBYE_NONE) {
        fault_set(reason, mqtt_reason_fault(code), "broker %s:%u ended the connection: %s (0x%02x)%s%s",
                  client->settings.host, client->settings.port, mqtt_reason_text(code), (unsigned)code,
                  text[0] ? ": " : "", text);
        return;
    }
    tls_relay_fault(client->relay, reason);
    if (reason->code == FAULT_NONE)
        fault_set(reason, FAULT_SYSTEM, "broker %s:%u: the connection was lost, no answer to the keep-alive",
                  client->settings.host, client->settings.port);
}

/* Full jitter: any time up to the least back-off doubled per attempt, so that a fleet does not come back at once. */
static void backoff_begin(struct mqtt_client *client) {
    int64_t most_ms = client->settings.backoff_min_ms;
    for (unsigned i = 1; i < client->attempts && most_ms < client->settings.backoff_max_ms; i++) most_ms *= 2;
    if (most_ms > client->settings.backoff_max_ms) most_ms = client->settings.backoff_max_ms;
    uint64_t random;
    random_bytes(&random, sizeof random);
    const int64_t wait_ms = 1 + (int64_t)(random % (uint64_t)most_ms);
    client->waits_since_ms = clock_monotonic_ms();
    client->waits_until_ms = client->waits_since_ms + wait_ms;
    loop_timer_set(client->timer, wait_ms);
}

void mqtt_client_hurry(struct mqtt_client *client) {
    if (client->state != CLIENT_WAITS) return;
    const int64_t now_ms = clock_monotonic_ms();
    int64_t at_ms = client->waits_since_ms + client->settings.backoff_min_ms;
    if (at_ms < now_ms) at_ms = now_ms;
    if (at_ms >= client->waits_until_ms) return;
    client->waits_until_ms = at_ms;
    loop_timer_set(client->timer, at_ms - now_ms);
}

static void published_handle(struct mqtt_client *client, struct slot *slot, int reason) {
    if (!slot->used) return;
    slot_free(client, slot);
    if (reason == 0) {
        client->stats.messages_out++;
        client->stats.bytes_out += slot->bytes;
    }
    if (!client->callbacks.on_published) return;
    struct fault fault;
    if (reason >= MQTT_REASON_REFUSED)
        fault_set(&fault, mqtt_reason_fault(reason), "the broker refuses the message: %s (0x%02x)",
                  mqtt_reason_text(reason), (unsigned)reason);
    else if (reason != 0)
        fault_set(&fault, FAULT_AGAIN, "the connection was lost before the broker's PUBACK");
    client->callbacks.on_published(client->callbacks.context, slot->token, reason ? &fault : NULL);
}

static void message_hand_over(struct mqtt_client *client, const struct mqtt_waiting *waiting) {
    struct mqtt_property properties[MQTT_PROPERTIES_MAX];
    const MQTTAsync_message *from = waiting->message;
    struct mqtt_message message = {.topic = slice_of(waiting->topic, waiting->topic_bytes),
                                   .payload = slice_of(from->payload, (size_t)from->payloadlen),
                                   .properties = properties,
                                   .retained = from->retained != 0};
    for (int i = 0; i < from->properties.count; i++) {
        const MQTTProperty *property = &from->properties.array[i];
        const slice value = slice_of(property->value.data.data, (size_t)property->value.data.len);
        switch ((int)property->identifier) {
        case MQTTPROPERTY_CODE_CONTENT_TYPE: message.content_type = value; break;
        case MQTTPROPERTY_CODE_RESPONSE_TOPIC: message.response_topic = value; break;
        case MQTTPROPERTY_CODE_CORRELATION_DATA: message.correlation_data = value; break;
        case MQTTPROPERTY_CODE_USER_PROPERTY:
            if (message.properties_count == MQTT_PROPERTIES_MAX) break;
            properties[message.properties_count].name = value;
            properties[message.properties_count++].value =
                slice_of(property->value.value.data, (size_t)property->value.value.len);
            break;
        default: break; /* a number: only its own member of the union holds something */
        }
    }
    client->stats.messages_in++;
    client->stats.bytes_in += message.payload.size;
    if (client->callbacks.on_message) client->callbacks.on_message(client->callbacks.context, &message);
}

/* ---- publishing ---- */

static fault_code publication_check(const struct mqtt_client *client, const struct mqtt_publication *publication,
                                    struct fault *reterr);

/* What comes in bulk fills each place that falls free: were it all of them, a single message would never find one. */
static size_t window_for(size_t window, const struct mqtt_publication *publication) {
    return publication->bulk && window > 1 ? window - (window + 3) / 4 : window;
}

fault_code mqtt_client_publish(struct mqtt_client *client, const struct mqtt_publication *publication,
                               struct fault *reterr) {
    MQTTProperty list[PROPERTIES_OUT_MAX + 4];
    MQTTAsync_message message = MQTTAsync_message_initializer;
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    if (client->state != CLIENT_CONNECTED) return fault_set(reterr, FAULT_AGAIN, "MQTT: not connected");
    if (client->stats.inflight >= window_for(client->window, publication))
        return fault_set(reterr, FAULT_AGAIN, "MQTT: %u publications are in flight", client->stats.inflight);
    const fault_code code = publication_check(client, publication, reterr);
    if (code != FAULT_NONE) return code;

    int count = 0;
    if (publication->content_type)
        list[count++] =
            property_text(MQTTPROPERTY_CODE_CONTENT_TYPE, publication->content_type, strlen(publication->content_type));
    if (publication->response_topic)
        list[count++] = property_text(MQTTPROPERTY_CODE_RESPONSE_TOPIC, publication->response_topic,
                                      strlen(publication->response_topic));
    if (publication->correlation_data.size)
        list[count++] = property_text(MQTTPROPERTY_CODE_CORRELATION_DATA, publication->correlation_data.data,
                                      publication->correlation_data.size);
    if (publication->expiry_s)
        list[count++] = property_number(MQTTPROPERTY_CODE_MESSAGE_EXPIRY_INTERVAL, publication->expiry_s);
    for (size_t i = 0; i < publication->properties_count; i++) {
        const struct mqtt_property *from = &publication->properties[i];
        list[count] = property_text(MQTTPROPERTY_CODE_USER_PROPERTY,
                                    from->name.size ? (const void *)from->name.data : "", from->name.size);
        list[count].value.value.data = from->value.size ? (char *)from->value.data : "";
        list[count++].value.value.len = (int)from->value.size;
    }
    message.payload = publication->payload.size ? (void *)publication->payload.data : "";
    message.payloadlen = (int)publication->payload.size;
    message.qos = publication->qos;
    message.retained = publication->retained;
    message.properties = (MQTTProperties){.count = count, .max_count = count, .array = list};
    struct slot *slot = client->free_slots;
    response.context = slot;
    response.onSuccess5 = paho_published;
    response.onFailure5 = paho_publish_failed;
    const int error = MQTTAsync_sendMessage(client->paho, publication->topic, &message, &response);
    if (error == MQTTASYNC_BAD_UTF8_STRING) return fault_set(reterr, FAULT_INPUT, "MQTT: the topic is not UTF-8");
    if (error != MQTTASYNC_SUCCESS) return fault_set(reterr, FAULT_AGAIN, "MQTT: %s", MQTTAsync_strerror(error));
    client->free_slots = slot->next_free;
    slot->used = true; /* its event may be queued already, but is handled on this thread, later */
    slot->token = publication->token;
    slot->bytes = publication->out_of_turn ? 0 : publication->payload.size;
    client->stats.inflight++;
    client->inflight_bytes += slot->bytes;
    return FAULT_NONE;
}

static fault_code publication_check(const struct mqtt_client *client, const struct mqtt_publication *publication,
                                    struct fault *reterr) {
    const size_t size = publication->payload.size, most = client->settings.inflight_bytes_max;
    const char *topic = publication->topic;
    if (size > most && !publication->out_of_turn)
        return fault_set(reterr, FAULT_LIMIT, "MQTT: a message of %zu bytes, inflight_bytes_max is %zu", size, most);
    if (client->inflight_bytes && client->inflight_bytes + size > window_for(most, publication) &&
        !publication->out_of_turn)
        return fault_set(reterr, FAULT_AGAIN, "MQTT: %zu bytes are in flight", client->inflight_bytes);
    if (!topic || !topic[0] || strpbrk(topic, "+#"))
        return fault_set(reterr, FAULT_INPUT, "MQTT: '%s' is not a topic to publish to", topic ? topic : "");
    if (publication->qos != 0 && publication->qos != 1)
        return fault_set(reterr, FAULT_INPUT, "MQTT: QoS %d, 0 or 1 are possible", publication->qos);
    if (publication->properties_count > PROPERTIES_OUT_MAX)
        return fault_set(reterr, FAULT_LIMIT, "MQTT: %zu user properties, at most %d", publication->properties_count,
                         PROPERTIES_OUT_MAX);
    if (publication->correlation_data.size > 65535)
        return fault_set(reterr, FAULT_LIMIT, "MQTT: correlation data over 65535 bytes");
    size_t packet_bytes = publication->correlation_data.size + 3 +
                          (publication->response_topic ? strlen(publication->response_topic) + 3 : 0) + size +
                          strlen(topic) + 21 + (publication->content_type ? strlen(publication->content_type) + 3 : 0);
    for (size_t i = 0; i < publication->properties_count; i++) {
        const struct mqtt_property *property = &publication->properties[i];
        if (property->name.size > 65535 || property->value.size > 65535)
            return fault_set(reterr, FAULT_LIMIT, "MQTT: a user property over 65535 bytes");
        packet_bytes += property->name.size + property->value.size + 5;
    }
    const size_t packet_bytes_max = client->packet_bytes_max ? client->packet_bytes_max : PACKET_BYTES_MAX;
    if (packet_bytes > packet_bytes_max)
        return fault_set(reterr, FAULT_LIMIT, "MQTT: a packet of %zu bytes, the broker takes %zu", packet_bytes,
                         packet_bytes_max);
    return FAULT_NONE;
}

void mqtt_client_stats(const struct mqtt_client *client, struct mqtt_stats *ret_stats) {
    *ret_stats = client->stats;
}

/* ---- closing ---- */

struct mqtt_client *mqtt_client_close(struct mqtt_client *client, int64_t drain_ms) {
    if (!client) return NULL;
    const int64_t deadline_ms = clock_monotonic_ms() + drain_ms;
    /* The loop may stand still already: results are waited for here. Publishing in callbacks is refused from now on. */
    client->window = 0;
    while (client->stats.inflight > 0 && client->state == CLIENT_CONNECTED && clock_monotonic_ms() < deadline_ms)
        if (!events_handle(client)) mqtt_inbox_wait(client->inbox, deadline_ms - clock_monotonic_ms());
    inflight_fail(client, "closed before the broker's PUBACK");
    while (messages_handle(client, EVENTS_PER_TURN)) { /* the broker has their PUBACK */
    }
    client_free(client);
    return NULL;
}
