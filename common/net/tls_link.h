/* SPDX-License-Identifier: Apache-2.0
 * The door to mbedTLS for MQTT: one connection to a broker, by TLS or (brokers of tests on loopback) in plain text. Only
 * connecting waits; reading and writing say what they would wait for. One thread at a time. */
#ifndef PICKET_NET_TLS_LINK_H
#define PICKET_NET_TLS_LINK_H

#include "common/base/fault.h"

struct tls_link;

/* Texts are the caller's and outlive the link. */
struct tls_link_settings {
    bool plain_text;
    const char *ca_path, *certificate_path, *key_path; /* PEM; not used in plain text */
    const char *server_name;                           /* what the broker's certificate must be for */
};

/* What reading and writing return when no byte went. */
enum {
    TLS_LINK_WANT_READ = -1,
    TLS_LINK_WANT_WRITE = -2,
    TLS_LINK_OVER = -3, /* tls_link_fault tells why */
};

/* FAULT_SYSTEM: no memory, or no random numbers. */
fault_code tls_link_new(const struct tls_link_settings *settings, struct tls_link **ret_link,
                        struct fault *reterr) MUST_CHECK;
struct tls_link *tls_link_free(struct tls_link *link); /* closes the socket; NULL is fine */

/* Reads and checks the files, once; tls_link_begin does it by itself. FAULT_INPUT names the file that is wrong. */
fault_code tls_link_load(struct tls_link *link, struct fault *reterr) MUST_CHECK;

/* Dials and shakes hands, once in a link's life. cancel: a descriptor that is readable when waiting is to end, which
 * gives FAULT_AGAIN and says nothing. FAULT_TIMEOUT at deadline_ms (monotonic); FAULT_DENIED: a certificate was refused,
 * ours or the broker's; FAULT_INPUT: a file; FAULT_SYSTEM: the rest. */
fault_code tls_link_begin(struct tls_link *link, const char *host, uint16_t port, int cancel, int64_t deadline_ms,
                          struct fault *reterr) MUST_CHECK;
/* Says goodbye where there was a handshake; the socket stays open until tls_link_free. */
void tls_link_end(struct tls_link *link);

/* Bytes moved (more than 0), or one of TLS_LINK_*. */
int tls_link_read(struct tls_link *link, unsigned char *bytes, size_t size);
/* Bytes for a broker that is gone go nowhere and count as sent: what it said last is still to be read. */
int tls_link_write(struct tls_link *link, const unsigned char *bytes, size_t size);
bool tls_link_gone(const struct tls_link *link);

/* To poll; and that poll said there is something to read, without which an empty socket is not read again. -1: none. */
int tls_link_fd(const struct tls_link *link);
void tls_link_ready(struct tls_link *link);

/* Why it was TLS_LINK_OVER, a sentence for a person. Never FAULT_NONE. */
fault_code tls_link_fault(const struct tls_link *link, struct fault *reterr);

#endif
