/* SPDX-License-Identifier: Apache-2.0
 * TLS beside Paho: a thread of ours that listens on 127.0.0.1, takes a connection of this very process
 * (any other is closed at once), dials the broker, does the TLS handshake and pumps bytes both ways. One connection
 * at a time; a new one replaces the old. Functions: any thread, but open and close from one. */
#ifndef PICKET_NET_TLS_RELAY_H
#define PICKET_NET_TLS_RELAY_H

#include "common/base/fault.h"

struct tls_relay;

struct tls_relay_settings {
    const char *host;
    uint16_t port;
    bool plain_text;                                   /* pump without TLS: loopback brokers in tests only */
    const char *ca_path, *certificate_path, *key_path; /* PEM; all required unless plain_text; read at each dial */
    const char *server_name;                           /* what the broker's certificate must be for; NULL: host */
    int64_t connect_timeout_ms;                        /* from accepting to the end of the handshake */
    size_t packet_bytes_max; /* what the broker sends goes through an mqtt_guard with these; 0: through none */
    unsigned user_properties_max;
};

/* Settings are copied. The files are read once here as well, so that a wrong path is said at start. */
fault_code tls_relay_open(const struct tls_relay_settings *settings, struct tls_relay **ret_relay,
                          struct fault *reterr) MUST_CHECK;
struct tls_relay *tls_relay_close(struct tls_relay *relay); /* ends the connection and the thread; NULL is fine */
uint16_t tls_relay_port(const struct tls_relay *relay);

/* Why the last connection could not be made or ended, a sentence for a person; FAULT_NONE when nothing failed.
 * It is set before the local side sees the end of its connection, and cleared when a new connection begins. */
void tls_relay_fault(struct tls_relay *relay, struct fault *ret_fault);

/* Paused, nothing more is taken from the broker: TCP then slows the broker down. */
void tls_relay_pause(struct tls_relay *relay, bool paused);

/* Ends the connection of now with this reason. */
void tls_relay_drop(struct tls_relay *relay, const struct fault *reason);

#endif
