/* SPDX-License-Identifier: Apache-2.0
 * The agent's one outgoing connection and everything that goes over it: batches of the shipper, the retained status,
 * and messages of the centre, each to who listens to its family of topics (contract.md, "Topics"). A new connection
 * may replace the one before it at any time (new certificates, new settings); whoever publishes through the link does
 * not notice but by a disconnection. Owner: the agent's loop thread. */
#ifndef PICKET_SHIP_LINK_H
#define PICKET_SHIP_LINK_H

#include "agent/ship/shipper.h"

struct link;

enum { LINK_LISTENERS_MAX = 8, LINK_TOPIC_BYTES = 160 };

/* What the link wants to know of its owner. */
struct link_callbacks {
    /* An encoded AgentStatus, valid until the next call. will: what the broker shall say when we are gone. */
    fault_code (*status)(void *context, bool online, bool will, slice *ret_payload, struct fault *reterr);
    /* The state of the connection changed; reason NULL: connected. May come again with another reason while none is. */
    void (*changed)(void *context, const struct fault *reason);
    void *context;
};

/* tenant and agent are copied; the shipper must outlive the link. Not connected before link_open. */
fault_code link_new(struct loop *loop, struct shipper *shipper, const char *tenant, const char *agent,
                    const struct link_callbacks *callbacks, struct link **ret_link, struct fault *reterr) MUST_CHECK;
/* Says good-bye with a last status (online false), waits up to drain_ms for what is in flight. Acks that come meanwhile are
 * still the shipper's; nobody who called link_listen hears anything more: a configuration is given again with the next
 * connection, and a question that nobody answers is asked again. NULL is fine; returns NULL. */
struct link *link_free(struct link *link, int64_t drain_ms);

/* Gives messages on "<family>/<tenant>/<agent>" to on_message; family is a literal such as "sre.edge.config.v1". All
 * before the first link_open. FAULT_LIMIT: more than LINK_LISTENERS_MAX. */
fault_code link_listen(struct link *link, const char *family,
                       void (*on_message)(void *context, const struct mqtt_message *message), void *context,
                       struct fault *reterr) MUST_CHECK;

/* Connects with these settings, in place of the connection before it, which is drained for up to drain_ms. Identity,
 * will, subscriptions and session are the link's. The broker sends the will when we stay away for a quarter of a minute, or
 * come back: then the next status follows it at once. status_ms: a status is sent that often, and when it is wanted.
 * A fault (settings, certificate files): there is no connection until link_open is called again. */
fault_code link_open(struct link *link, const struct mqtt_settings *settings, int64_t status_ms, int64_t drain_ms,
                     struct fault *reterr) MUST_CHECK;

/* "<family>/<tenant>/<agent>" in ret_topic. */
void link_topic(const struct link *link, const char *family, char ret_topic[LINK_TOPIC_BYTES]);
/* As mqtt_client_publish; FAULT_AGAIN also when there is no connection at all. The token 0 is for those who do not want to
 * hear of the PUBACK, the only one that others than the shipper may use. */
fault_code link_publish(struct link *link, const struct mqtt_publication *publication, struct fault *reterr) MUST_CHECK;
/* A status goes out soon: at once when connected, else with the next connection. */
void link_want_status(struct link *link);

/* Something is stored that should not wait for the back-off (mqtt_client_hurry). */
void link_hurry(struct link *link);

struct link_stats {
    struct mqtt_stats mqtt;
    bool ever_connected;
    int64_t disconnected_ms; /* monotonic: since when there is no connection; the start counts as one */
};
void link_stats(const struct link *link, struct link_stats *ret_stats);

#endif
