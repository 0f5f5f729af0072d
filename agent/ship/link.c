/* SPDX-License-Identifier: Apache-2.0
 * A table of listeners by topic, and the status: published on connecting, on request and on a timer. A status that
 * could not be sent is only remembered as wanted: the next one says more than it did. */
#include "agent/ship/link.h"

#include "common/base/clock.h"
#include "common/logging/log.h"

#include <stdio.h>
#include <stdlib.h>

enum { WILL_DELAY_S = 15 }; /* nobody is called away for a connection that is back by then */
enum { STATUS_TOKEN = 1, STATUS_AGAIN_MS = 1000, UNREADABLE_MS = 10000 };
#define ACKS_FAMILY "sre.edge.acks.v1"
#define STATUS_FAMILY "sre.edge.status.v1"
#define STATUS_CONTENT_TYPE "application/x-protobuf; proto=ameide_core_proto.sre.edge.v1.AgentStatus"

struct listener {
    char topic[LINK_TOPIC_BYTES];
    void (*on_message)(void *context, const struct mqtt_message *message);
    void *context;
};

struct link {
    struct loop *loop;
    struct shipper *shipper;
    struct mqtt_client *mqtt; /* NULL: none could be opened */
    struct link_callbacks callbacks;
    struct listener listeners[LINK_LISTENERS_MAX];
    size_t listeners_count;
    struct loop_timer *status_timer;
    int64_t status_ms;
    bool status_wanted, connected, ever_connected;
    int64_t disconnected_ms;
    struct log_limit unreadable;
    char identity[LINK_TOPIC_BYTES], topic_status[LINK_TOPIC_BYTES]; /* identity: <tenant>/<agent> */
    slice tenant;                                                    /* in identity */
};

/* ---- status ---- */

static void publish_status(struct link *link, bool online) {
    struct fault fault;
    slice payload;
    if (link->callbacks.status(link->callbacks.context, online, false, &payload, &fault)) {
        LOG_WARN("agent", "status_failed", LOG_FAULT(&fault),
                 LOG_TEXT("instead", "the centre sees the status before it"));
        return;
    }
    const struct mqtt_property properties[] = {{SLICE_LIT("tenant_id"), link->tenant},
                                               {SLICE_LIT("schema_version"), SLICE_LIT("1")}};
    const struct mqtt_publication publication = {.topic = link->topic_status,
                                                 .payload = payload,
                                                 .content_type = STATUS_CONTENT_TYPE,
                                                 .properties = properties,
                                                 .properties_count = sizeof properties / sizeof *properties,
                                                 .qos = 1,
                                                 .retained = true,
                                                 .token = STATUS_TOKEN};
    link->status_wanted = link_publish(link, &publication, &fault) != FAULT_NONE;
}

static void on_status_timer(void *context) {
    struct link *const link = context;
    if (link->connected) publish_status(link, true);
    loop_timer_set(link->status_timer, link->connected && link->status_wanted ? STATUS_AGAIN_MS : link->status_ms);
}

void link_want_status(struct link *link) {
    link->status_wanted = true;
    if (link->connected) loop_timer_set(link->status_timer, 0);
}

void link_hurry(struct link *link) {
    if (link->mqtt) mqtt_client_hurry(link->mqtt);
}

/* ---- the connection ---- */

static void on_connected(void *context, bool session_present) {
    struct link *const link = context;
    link->connected = link->ever_connected = true;
    shipper_on_connected(link->shipper);
    link->callbacks.changed(link->callbacks.context, NULL);
    link_want_status(link);
}

static void lost(struct link *link) {
    if (!link->connected) return;
    link->connected = false;
    link->disconnected_ms = clock_monotonic_ms();
    shipper_on_disconnected(link->shipper);
}

static void on_disconnected(void *context, const struct fault *reason) {
    struct link *const link = context;
    lost(link);
    link->callbacks.changed(link->callbacks.context, reason);
}

static void on_message(void *context, const struct mqtt_message *message) {
    struct link *const link = context;
    for (size_t i = 0; i < link->listeners_count; i++)
        if (slice_equal_text(message->topic, link->listeners[i].topic)) {
            link->listeners[i].on_message(link->listeners[i].context, message);
            return;
        }
}

static void on_published(void *context, uint64_t token, const struct fault *fault) {
    struct link *const link = context;
    if (token & SHIPPER_TOKEN)
        shipper_on_published(link->shipper, token, fault);
    else if (token == STATUS_TOKEN && fault)
        link->status_wanted = true;
}

static void on_ack(void *context, const struct mqtt_message *message) {
    struct link *const link = context;
    struct fault fault;
    uint64_t held;
    if (message->payload.size && shipper_on_ack(link->shipper, message->payload, &fault) &&
        log_limit_pass(&link->unreadable, clock_monotonic_ms(), UNREADABLE_MS, &held))
        LOG_WARN("agent", "ack_unreadable", LOG_FAULT(&fault), LOG_UINT("repeats", held));
}

/* ---- all ---- */

fault_code link_new(struct loop *loop, struct shipper *shipper, const char *tenant, const char *agent,
                    const struct link_callbacks *callbacks, struct link **ret_link, struct fault *reterr) {
    struct link *link = calloc(1, sizeof *link);
    if (link) link->status_timer = loop_timer_new(loop, on_status_timer, link);
    if (!link || !link->status_timer) {
        free(link);
        return fault_set(reterr, FAULT_LIMIT, "open the connection to the centre: out of memory");
    }
    link->loop = loop;
    link->shipper = shipper;
    link->callbacks = *callbacks;
    link->disconnected_ms = clock_monotonic_ms();
    snprintf(link->identity, sizeof link->identity, "%s/%s", tenant, agent);
    link->tenant = slice_of(link->identity, strlen(tenant));
    link_topic(link, STATUS_FAMILY, link->topic_status);
    const fault_code code = link_listen(link, ACKS_FAMILY, on_ack, link, reterr);
    if (code) {
        link_free(link, 0);
        return code;
    }
    *ret_link = link;
    return FAULT_NONE;
}

struct link *link_free(struct link *link, int64_t drain_ms) {
    if (!link) return NULL;
    if (link->listeners_count) link->listeners_count = 1; /* on_ack, of link_new */
    if (link->connected) publish_status(link, false);
    shipper_use(link->shipper, NULL);
    mqtt_client_close(link->mqtt, drain_ms);
    loop_timer_free(link->status_timer);
    free(link);
    return NULL;
}

fault_code link_listen(struct link *link, const char *family,
                       void (*listener)(void *context, const struct mqtt_message *message), void *context,
                       struct fault *reterr) {
    if (link->listeners_count == LINK_LISTENERS_MAX)
        return fault_set(reterr, FAULT_LIMIT, "listen to '%s': %d families are listened to already", family,
                         LINK_LISTENERS_MAX);
    struct listener *const added = &link->listeners[link->listeners_count++];
    *added = (struct listener){.on_message = listener, .context = context};
    link_topic(link, family, added->topic);
    return FAULT_NONE;
}

fault_code link_open(struct link *link, const struct mqtt_settings *settings, int64_t status_ms, int64_t drain_ms,
                     struct fault *reterr) {
    link->mqtt = mqtt_client_close(link->mqtt, drain_ms);
    lost(link);
    shipper_use(link->shipper, NULL);
    link->status_ms = status_ms;
    const struct mqtt_callbacks callbacks = {on_connected, on_disconnected, on_message, on_published, link};
    const char *subscriptions[LINK_LISTENERS_MAX + 1] = {NULL};
    for (size_t i = 0; i < link->listeners_count; i++) subscriptions[i] = link->listeners[i].topic;
    slice will;
    if (link->callbacks.status(link->callbacks.context, false, true, &will, reterr))
        return fault_wrap(reterr, "make the status that the broker keeps as our will");
    struct mqtt_settings own = *settings;
    own.client_id = link->identity;
    own.clean_start = true;
    own.session_expiry_s = own.will_delay_s = WILL_DELAY_S; /* a session that ends sends its will at once */
    own.will_topic = link->topic_status;
    own.will_payload = will;
    own.will_content_type = STATUS_CONTENT_TYPE;
    own.subscriptions = subscriptions;
    own.user_properties_max = MQTT_PROPERTIES_MAX;
    const fault_code code = mqtt_client_open(link->loop, &own, &callbacks, &link->mqtt, reterr);
    if (code) link->mqtt = NULL;
    shipper_use(link->shipper, link->mqtt);
    loop_timer_set(link->status_timer, status_ms);
    return code;
}

void link_topic(const struct link *link, const char *family, char ret_topic[LINK_TOPIC_BYTES]) {
    snprintf(ret_topic, LINK_TOPIC_BYTES, "%s/%s", family, link->identity);
}

fault_code link_publish(struct link *link, const struct mqtt_publication *publication, struct fault *reterr) {
    if (!link->mqtt) return fault_set(reterr, FAULT_AGAIN, "publish on '%s': not connected", publication->topic);
    return mqtt_client_publish(link->mqtt, publication, reterr);
}

void link_stats(const struct link *link, struct link_stats *ret_stats) {
    *ret_stats = (struct link_stats){.ever_connected = link->ever_connected, .disconnected_ms = link->disconnected_ms};
    if (link->mqtt) mqtt_client_stats(link->mqtt, &ret_stats->mqtt);
}
