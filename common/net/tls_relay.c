/* SPDX-License-Identifier: Apache-2.0
 * Paho is linked without TLS and speaks to us over loopback; its bytes are encrypted here. Two buffers of one TLS
 * record each, one per direction: a side is read only when its buffer is empty, so that slowness of one end reaches
 * the other by TCP and memory is fixed. Buffers and TLS state exist only while there is a connection. TLS 1.3 and
 * 1.2; the broker's certificate must be of our CA and for the server name, our own certificate is always shown.
 *
 * A small message costs what its system calls cost. A broker sends each PUBACK as a TLS record of its own, so records
 * are taken from the socket many at a time and handed on in one piece; a socket whose last read came back short is
 * empty, and is not read again before poll says that there is more.
 *
 * With TLS 1.3 a broker that does not like our certificate says so in its application keys while we still write the
 * end of the handshake, then closes, so that writing fails before the alert can be read. Therefore writing to a broker
 * that is gone never fails here: those bytes go nowhere, the handshake comes to its end, and the next read has the
 * alert (or an MQTT DISCONNECT), or at last tells that the connection is lost.
 * When the broker has ended the connection its last bytes (an MQTT DISCONNECT with the reason) must reach Paho: we
 * shut our side down and read on for a moment instead of closing, since closing with unread data resets. */
#include "common/net/tls_relay.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mbedtls/error.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>

#include "common/base/clock.h"
#include "common/net/mqtt_guard.h"
#include "common/net/tcp_dial.h"

enum {
    RECORD_BYTES = 16 * 1024,        /* of plain text in one TLS record */
    THREAD_STACK_BYTES = 256 * 1024, /* the handshake and the resolver; touched pages only are resident */
    DRAIN_MS = 1000,
    FLUSH_MS = 200,
    AHEAD_BYTES = 4 * 1024, /* records of PUBACKs are of 26 bytes */
    PUMP_TURNS_MAX = 64,    /* before looking at the listener and at requests again */
};

/* One direction: bytes [start, end) wait to go out. */
struct relay_buffer {
    size_t start, end;
    unsigned char bytes[RECORD_BYTES];
};

/* All that exists only during a connection. */
struct relay_link {
    int local, remote;
    bool local_dry, remote_dry; /* nothing to read until poll says so */
    bool wants_write;           /* the broker's socket is full */
    bool write_failed;          /* the broker is gone: what it said last is still to be read, nothing more is sent */
    int error_number;           /* of the broker's socket; mbedTLS only learns that it failed */
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    mbedtls_x509_crt ca, certificate;
    mbedtls_pk_context key;
    bool broker_ended; /* after what is in `down` */
    struct mqtt_guard guard;
    int end_error;                 /* mbedTLS's word for it */
    struct relay_buffer up, down;  /* to the broker, from the broker */
    size_t ahead_start, ahead_end; /* read from the broker's socket, not yet by mbedTLS */
    unsigned char ahead[AHEAD_BYTES];
};

struct tls_relay {
    struct tls_relay_settings settings;
    pthread_t thread;
    bool thread_runs;
    int listener;
    int wake;   /* something may have changed */
    int cancel; /* stop or drop: ends waiting inside dial and handshake as well */
    uint16_t port;
    atomic_bool paused;
    struct relay_link *link; /* the thread's own */
    pthread_mutex_t lock;    /* the members below */
    bool stop, drop;
    struct fault fault;
};

static void *relay_run(void *context);
static fault_code files_load(struct relay_link *link, const struct tls_relay_settings *settings, struct fault *reterr);
static struct relay_link *link_new(void);
static struct relay_link *link_free(struct relay_link *link);
static fault_code settings_copy(struct tls_relay_settings *target, const struct tls_relay_settings *source);
static fault_code thread_start(struct tls_relay *relay, struct fault *reterr);

fault_code tls_relay_open(const struct tls_relay_settings *settings, struct tls_relay **ret_relay,
                          struct fault *reterr) {
    if (!settings->host) return fault_set(reterr, FAULT_INPUT, "TLS relay: no broker host");
    if (!settings->plain_text && (!settings->ca_path || !settings->certificate_path || !settings->key_path))
        return fault_set(reterr, FAULT_INPUT, "TLS relay: CA, certificate and key are all required");
    if (psa_crypto_init() != PSA_SUCCESS)
        return fault_set(reterr, FAULT_SYSTEM, "TLS relay: mbedTLS has no random numbers");
    struct tls_relay *relay = calloc(1, sizeof *relay);
    struct relay_link *trial = link_new();
    fault_code code = relay && trial ? FAULT_NONE : fault_set(reterr, FAULT_SYSTEM, "TLS relay: out of memory");
    if (code == FAULT_NONE && !settings->plain_text) code = files_load(trial, settings, reterr);
    (void)link_free(trial);
    if (code != FAULT_NONE) {
        free(relay);
        return code;
    }
    relay->listener = -1;
    pthread_mutex_init(&relay->lock, NULL);
    relay->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    relay->cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (relay->wake < 0 || relay->cancel < 0) code = fault_set_errno(reterr, FAULT_SYSTEM, errno, "TLS relay: eventfd");
    if (code == FAULT_NONE && settings_copy(&relay->settings, settings) != FAULT_NONE)
        code = fault_set(reterr, FAULT_SYSTEM, "TLS relay: out of memory");
    if (code == FAULT_NONE) code = tcp_listen_loopback(&relay->listener, &relay->port, reterr);
    if (code == FAULT_NONE) code = thread_start(relay, reterr);
    if (code != FAULT_NONE) {
        (void)tls_relay_close(relay);
        return code;
    }
    *ret_relay = relay;
    return FAULT_NONE;
}

static fault_code settings_copy(struct tls_relay_settings *target, const struct tls_relay_settings *source) {
    *target = *source;
    target->host = strdup(source->host);
    target->server_name = strdup(source->server_name ? source->server_name : source->host);
    target->ca_path = strdup(source->ca_path ? source->ca_path : "");
    target->certificate_path = strdup(source->certificate_path ? source->certificate_path : "");
    target->key_path = strdup(source->key_path ? source->key_path : "");
    return target->host && target->server_name && target->ca_path && target->certificate_path && target->key_path
               ? FAULT_NONE
               : FAULT_SYSTEM;
}

static fault_code thread_start(struct tls_relay *relay, struct fault *reterr) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
    const int error = pthread_create(&relay->thread, &attributes, relay_run, relay);
    pthread_attr_destroy(&attributes);
    if (error) return fault_set_errno(reterr, FAULT_SYSTEM, error, "TLS relay: start its thread");
    relay->thread_runs = true;
    (void)pthread_setname_np(relay->thread, "tls-relay");
    return FAULT_NONE;
}

static void raise_event(int fd) {
    const uint64_t one = 1;
    (void)!write(fd, &one, sizeof one);
}

struct tls_relay *tls_relay_close(struct tls_relay *relay) {
    if (!relay) return NULL;
    if (relay->thread_runs) {
        pthread_mutex_lock(&relay->lock);
        relay->stop = true;
        raise_event(relay->cancel);
        pthread_mutex_unlock(&relay->lock);
        pthread_join(relay->thread, NULL);
    }
    if (relay->listener >= 0) close(relay->listener);
    if (relay->wake >= 0) close(relay->wake);
    if (relay->cancel >= 0) close(relay->cancel);
    pthread_mutex_destroy(&relay->lock);
    free((char *)relay->settings.host);
    free((char *)relay->settings.server_name);
    free((char *)relay->settings.ca_path);
    free((char *)relay->settings.certificate_path);
    free((char *)relay->settings.key_path);
    free(relay);
    return NULL;
}

uint16_t tls_relay_port(const struct tls_relay *relay) {
    return relay->port;
}

void tls_relay_fault(struct tls_relay *relay, struct fault *ret_fault) {
    pthread_mutex_lock(&relay->lock);
    *ret_fault = relay->fault;
    pthread_mutex_unlock(&relay->lock);
}

void tls_relay_pause(struct tls_relay *relay, bool paused) {
    if (atomic_exchange(&relay->paused, paused) && !paused) raise_event(relay->wake);
}

void tls_relay_drop(struct tls_relay *relay, const struct fault *reason) {
    pthread_mutex_lock(&relay->lock);
    relay->drop = true;
    relay->fault = *reason;
    raise_event(relay->cancel);
    pthread_mutex_unlock(&relay->lock);
}

/* ---- the thread ---- */

static bool requests_take(struct tls_relay *relay, bool *ret_drop);
static void link_begin(struct tls_relay *relay, int local);
static void link_end(struct tls_relay *relay);
static bool link_pump(struct tls_relay *relay);
static void fault_keep(struct tls_relay *relay, const struct fault *fault);

static void *relay_run(void *context) {
    struct tls_relay *relay = context;
    bool asked = true;
    for (;;) {
        bool drop = false;
        if (asked && requests_take(relay, &drop)) break;
        if (drop && relay->link) link_end(relay);
        if (relay->link && !link_pump(relay)) link_end(relay);
        struct relay_link *link = relay->link;
        struct pollfd waits[5] = {{.fd = relay->wake, .events = POLLIN},
                                  {.fd = relay->listener, .events = POLLIN},
                                  {.fd = -1},
                                  {.fd = -1},
                                  {.fd = relay->cancel, .events = POLLIN}};
        if (link) {
            const bool up_empty = link->up.start == link->up.end, down_empty = link->down.start == link->down.end;
            waits[2].fd = link->local;
            waits[2].events = (short)((up_empty && !link->write_failed ? POLLIN : 0) | (down_empty ? 0 : POLLOUT));
            waits[3].fd = link->remote;
            waits[3].events =
                (short)((down_empty && !atomic_load(&relay->paused) ? POLLIN : 0) | (link->wants_write ? POLLOUT : 0));
            if (!waits[2].events) waits[2].fd = -1; /* else a hang-up would spin */
            if (!waits[3].events) waits[3].fd = -1;
        }
        const bool failed = poll(waits, 5, -1) < 0; /* a signal: look at everything */
        asked = failed || waits[0].revents || waits[4].revents;
        if (link && (failed || waits[2].revents)) link->local_dry = false;
        if (link && (failed || waits[3].revents)) link->remote_dry = false;
        if (asked || !waits[1].revents) continue; /* requests come first */
        const int local = accept4(relay->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (local < 0) {
            if (errno != EAGAIN) (void)poll(NULL, 0, 100); /* out of descriptors: do not spin */
            continue;
        }
        if (tcp_peer_is_this_process(local))
            link_begin(relay, local);
        else
            close(local);
    }
    /* The last that Paho sent before it closed (its DISCONNECT) goes out; nothing is waited for beyond that. */
    const int64_t deadline_ms = clock_monotonic_ms() + FLUSH_MS;
    if (relay->link) relay->link->local_dry = false;
    while (relay->link && link_pump(relay) && clock_monotonic_ms() < deadline_ms) {
        (void)poll(NULL, 0, 5);
        relay->link->local_dry = relay->link->remote_dry = false;
    }
    link_end(relay);
    return NULL;
}

/* True when it is time to stop. */
static bool requests_take(struct tls_relay *relay, bool *ret_drop) {
    uint64_t count;
    (void)!read(relay->wake, &count, sizeof count);
    pthread_mutex_lock(&relay->lock);
    const bool stop = relay->stop;
    *ret_drop = relay->drop;
    if (!stop) (void)!read(relay->cancel, &count, sizeof count); /* a stop stays raised */
    relay->drop = false;
    pthread_mutex_unlock(&relay->lock);
    return stop;
}

static void fault_keep(struct tls_relay *relay, const struct fault *fault) {
    pthread_mutex_lock(&relay->lock);
    if (relay->fault.code == FAULT_NONE) relay->fault = *fault; /* the first reason is the true one */
    pthread_mutex_unlock(&relay->lock);
}

static fault_code handshake(struct tls_relay *relay, struct relay_link *link, int64_t deadline_ms,
                            struct fault *reterr);

static void link_begin(struct tls_relay *relay, int local) {
    const struct tls_relay_settings *settings = &relay->settings;
    const int64_t deadline_ms = clock_monotonic_ms() + settings->connect_timeout_ms;
    struct fault fault = {0};
    const int on = 1;
    link_end(relay);
    pthread_mutex_lock(&relay->lock);
    relay->fault = (struct fault){0};
    pthread_mutex_unlock(&relay->lock);
    (void)setsockopt(local, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct relay_link *link = link_new();
    if (!link) {
        fault_set(&fault, FAULT_SYSTEM, "TLS relay: out of memory");
        fault_keep(relay, &fault);
        close(local);
        return;
    }
    link->local = local;
    mqtt_guard_begin(&link->guard, settings->packet_bytes_max, settings->user_properties_max);
    relay->link = link;
    fault_code code = tcp_dial(settings->host, settings->port, relay->cancel, deadline_ms, &link->remote, &fault);
    if (code == FAULT_NONE && !settings->plain_text) code = handshake(relay, link, deadline_ms, &fault);
    if (code == FAULT_NONE) return;
    if (code != FAULT_AGAIN) { /* cancelled: whoever cancelled has said why */
        fault_wrap(&fault, "broker %s:%u", settings->host, settings->port);
        fault_keep(relay, &fault);
    }
    link_end(relay);
}

static struct relay_link *link_new(void) {
    struct relay_link *link = malloc(sizeof *link); /* not zeroed: the buffers' pages stay untouched until used */
    if (!link) return NULL;
    link->local = link->remote = -1;
    link->local_dry = link->remote_dry = link->wants_write = link->write_failed = link->broker_ended = false;
    link->error_number = 0;
    link->up.start = link->up.end = link->down.start = link->down.end = link->ahead_start = link->ahead_end = 0;
    mbedtls_ssl_init(&link->ssl);
    mbedtls_ssl_config_init(&link->config);
    mbedtls_x509_crt_init(&link->ca);
    mbedtls_x509_crt_init(&link->certificate);
    mbedtls_pk_init(&link->key);
    return link;
}

static struct relay_link *link_free(struct relay_link *link) {
    if (!link) return NULL;
    if (link->local >= 0) close(link->local);
    if (link->remote >= 0) close(link->remote);
    mbedtls_ssl_free(&link->ssl);
    mbedtls_ssl_config_free(&link->config);
    mbedtls_x509_crt_free(&link->ca);
    mbedtls_x509_crt_free(&link->certificate);
    mbedtls_pk_free(&link->key);
    free(link);
    return NULL;
}

static void link_end(struct tls_relay *relay) {
    struct relay_link *link = relay->link;
    relay->link = NULL;
    if (!link) return;
    if (link->remote >= 0 && !relay->settings.plain_text && mbedtls_ssl_is_handshake_over(&link->ssl))
        (void)mbedtls_ssl_close_notify(&link->ssl);
    /* Paho first reads what came, then sees the end and closes. */
    const int64_t deadline_ms = clock_monotonic_ms() + DRAIN_MS;
    ssize_t got = shutdown(link->local, SHUT_WR) == 0 ? 1 : -1;
    while (got > 0 || (got < 0 && errno == EAGAIN)) {
        if (tcp_wait(link->local, POLLIN, relay->cancel, deadline_ms) != FAULT_NONE) break;
        got = recv(link->local, link->up.bytes, sizeof link->up.bytes, 0);
    }
    (void)link_free(link);
}

/* ---- TLS ---- */

static fault_code fault_from_tls(const struct tls_relay *relay, const struct relay_link *link, int error,
                                 const char *doing, struct fault *reterr);

static int bytes_send(void *context, const unsigned char *bytes, size_t size) {
    struct relay_link *link = context;
    const ssize_t sent = link->write_failed ? (ssize_t)size : send(link->remote, bytes, size, MSG_NOSIGNAL);
    if (sent >= 0) return (int)sent;
    if (errno == EAGAIN || errno == EINTR) return MBEDTLS_ERR_SSL_WANT_WRITE;
    link->error_number = errno;
    link->write_failed = true;
    link->remote_dry = false;
    return (int)size;
}

static ssize_t socket_receive(struct relay_link *link, unsigned char *bytes, size_t size) {
    if (link->remote_dry) return MBEDTLS_ERR_SSL_WANT_READ;
    const ssize_t got = recv(link->remote, bytes, size, 0);
    link->remote_dry = got != 0 && got < (ssize_t)size && !link->write_failed;
    if (got >= 0) return got;
    if (!link->write_failed && (errno == EAGAIN || errno == EINTR)) return MBEDTLS_ERR_SSL_WANT_READ;
    if (!link->write_failed) link->error_number = errno; /* else the first error is the true one */
    return MBEDTLS_ERR_ERROR_GENERIC_ERROR;
}

static int bytes_receive(void *context, unsigned char *bytes, size_t size) {
    struct relay_link *link = context;
    if (link->ahead_start == link->ahead_end) {
        if (size >= sizeof link->ahead) return (int)socket_receive(link, bytes, size);
        const ssize_t got = socket_receive(link, link->ahead, sizeof link->ahead);
        if (got <= 0) return (int)got;
        link->ahead_start = 0;
        link->ahead_end = (size_t)got;
    }
    const size_t waiting = link->ahead_end - link->ahead_start, taken = waiting < size ? waiting : size;
    memcpy(bytes, link->ahead + link->ahead_start, taken);
    link->ahead_start += taken;
    return (int)taken;
}

static fault_code file_fault(int error, const char *what, const char *path, struct fault *reterr) {
    char text[100];
    mbedtls_strerror(error, text, sizeof text);
    return fault_set(reterr, FAULT_INPUT, "%s '%s': %s", what, path, text);
}

static fault_code files_load(struct relay_link *link, const struct tls_relay_settings *settings, struct fault *reterr) {
    int error = mbedtls_x509_crt_parse_file(&link->ca, settings->ca_path);
    if (error) return file_fault(error, "CA certificate", settings->ca_path, reterr);
    error = mbedtls_x509_crt_parse_file(&link->certificate, settings->certificate_path);
    if (error) return file_fault(error, "our certificate", settings->certificate_path, reterr);
    error = mbedtls_pk_parse_keyfile(&link->key, settings->key_path, NULL, mbedtls_psa_get_random,
                                     MBEDTLS_PSA_RANDOM_STATE);
    if (error) return file_fault(error, "our key", settings->key_path, reterr);
    error = mbedtls_pk_check_pair(&link->certificate.pk, &link->key, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    if (error)
        return fault_set(reterr, FAULT_INPUT, "our key '%s' does not belong to our certificate '%s'",
                         settings->key_path, settings->certificate_path);
    return FAULT_NONE;
}

static fault_code handshake(struct tls_relay *relay, struct relay_link *link, int64_t deadline_ms,
                            struct fault *reterr) {
    const struct tls_relay_settings *settings = &relay->settings;
    fault_code code = files_load(link, settings, reterr);
    if (code != FAULT_NONE) return code;
    mbedtls_ssl_config *config = &link->config;
    int error = mbedtls_ssl_config_defaults(config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                            MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_authmode(config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(config, &link->ca, NULL);
    mbedtls_ssl_conf_rng(config, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    if (!error) error = mbedtls_ssl_conf_own_cert(config, &link->certificate, &link->key);
    if (!error) error = mbedtls_ssl_setup(&link->ssl, config);
    if (!error) error = mbedtls_ssl_set_hostname(&link->ssl, settings->server_name);
    if (error) return fault_from_tls(relay, link, error, "prepare TLS", reterr);
    mbedtls_ssl_set_bio(&link->ssl, link, bytes_send, bytes_receive, NULL);
    while ((error = mbedtls_ssl_handshake(&link->ssl)) != 0) {
        if (error != MBEDTLS_ERR_SSL_WANT_READ && error != MBEDTLS_ERR_SSL_WANT_WRITE)
            return fault_from_tls(relay, link, error, "TLS handshake", reterr);
        code =
            tcp_wait(link->remote, error == MBEDTLS_ERR_SSL_WANT_READ ? POLLIN : POLLOUT, relay->cancel, deadline_ms);
        if (code == FAULT_TIMEOUT) return fault_set(reterr, code, "TLS handshake: not done in time");
        if (code != FAULT_NONE) return code;
        link->remote_dry = false;
    }
    return FAULT_NONE;
}

/* ---- pumping ---- */

static int link_write(struct tls_relay *relay, struct relay_link *link, const unsigned char *bytes, size_t size) {
    return relay->settings.plain_text ? bytes_send(link, bytes, size) : mbedtls_ssl_write(&link->ssl, bytes, size);
}

static int link_read(struct tls_relay *relay, struct relay_link *link, unsigned char *bytes, size_t size) {
    if (relay->settings.plain_text) return bytes_receive(link, bytes, size);
    int got;
    do got = mbedtls_ssl_read(&link->ssl, bytes, size);
    while (got == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET); /* not an end: TLS 1.3 sends them at will */
    return got;
}

static bool would_wait(int result) {
    return result == MBEDTLS_ERR_SSL_WANT_READ || result == MBEDTLS_ERR_SSL_WANT_WRITE;
}

/* Each returns 1 for progress, 0 for nothing to do now, -1 for the end of the connection. */
static int pump_up(struct tls_relay *relay, struct relay_link *link);
static int pump_down(struct tls_relay *relay, struct relay_link *link);

/* False when the connection is over. */
static bool link_pump(struct tls_relay *relay) {
    struct relay_link *link = relay->link;
    link->wants_write = false;
    for (int turn = 0; turn < PUMP_TURNS_MAX; turn++) {
        const int down = pump_down(relay, link);
        const int up = down < 0 ? -1 : pump_up(relay, link);
        if (up < 0) return false;
        if (up == 0 && down == 0) return true;
    }
    raise_event(relay->wake); /* there is more: come back without waiting */
    return true;
}

static void link_fault_keep(struct tls_relay *relay, const struct relay_link *link, int error) {
    struct fault fault;
    fault_from_tls(relay, link, error, "connection", &fault);
    fault_wrap(&fault, "broker %s:%u", relay->settings.host, relay->settings.port);
    fault_keep(relay, &fault);
}

static bool guard_passes(struct tls_relay *relay, struct relay_link *link, const unsigned char *bytes, size_t size) {
    struct fault fault;
    if (!relay->settings.packet_bytes_max || !mqtt_guard_take(&link->guard, bytes, size, &fault)) return true;
    fault_wrap(&fault, "broker %s:%u", relay->settings.host, relay->settings.port);
    fault_keep(relay, &fault);
    return false;
}

/* Reads as many records as fit; the end of the connection is kept for when they were handed on. */
static void down_fill(struct tls_relay *relay, struct relay_link *link) {
    struct relay_buffer *down = &link->down;
    down->start = down->end = 0;
    while (down->end < sizeof down->bytes && !atomic_load(&relay->paused)) {
        const int got = link_read(relay, link, down->bytes + down->end, sizeof down->bytes - down->end);
        if (got == MBEDTLS_ERR_SSL_WANT_WRITE) link->wants_write = true;
        if (would_wait(got)) return;
        if (got <= 0) {
            link->broker_ended = true;
            link->end_error = got;
            return;
        }
        if (!guard_passes(relay, link, down->bytes + down->end, (size_t)got)) {
            link->broker_ended = true; /* the first fault is the one that is told */
            return;
        }
        down->end += (size_t)got;
    }
}

static int pump_down(struct tls_relay *relay, struct relay_link *link) {
    struct relay_buffer *down = &link->down;
    if (down->start == down->end && !link->broker_ended) down_fill(relay, link);
    if (down->start == down->end) {
        if (!link->broker_ended) return 0;
        link_fault_keep(relay, link, link->end_error);
        return -1;
    }
    const ssize_t sent = send(link->local, down->bytes + down->start, down->end - down->start, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
    down->start += (size_t)sent;
    return 1;
}

static int pump_up(struct tls_relay *relay, struct relay_link *link) {
    struct relay_buffer *up = &link->up;
    if (link->write_failed) return 0; /* pump_down finds the end */
    if (up->start == up->end) {
        if (link->local_dry) return 0;
        const ssize_t got = recv(link->local, up->bytes, sizeof up->bytes, 0);
        link->local_dry = got != 0 && got < (ssize_t)sizeof up->bytes;
        if (got == 0) return -1; /* Paho has closed: all it sent has gone out already */
        if (got < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
        up->start = 0;
        up->end = (size_t)got;
        if (relay->settings.packet_bytes_max) mqtt_guard_sends(&link->guard, up->bytes, up->end);
    }
    const int sent = link_write(relay, link, up->bytes + up->start, up->end - up->start);
    if (would_wait(sent)) {
        link->wants_write = true;
        return 0;
    }
    if (sent <= 0) { /* not the socket: TLS itself */
        link_fault_keep(relay, link, sent);
        return -1;
    }
    up->start += (size_t)sent;
    return 1;
}

/* ---- faults ---- */

static fault_code fault_from_certificate(const struct tls_relay *relay, uint32_t flags, const char *doing,
                                         struct fault *reterr);
static const char *alert_name(int alert);

static fault_code fault_from_tls(const struct tls_relay *relay, const struct relay_link *link, int error,
                                 const char *doing, struct fault *reterr) {
    char text[100];
    if (error == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED)
        return fault_from_certificate(relay, mbedtls_ssl_get_verify_result(&link->ssl), doing, reterr);
    if (error == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
        /* 3.6 has no function for it: the second byte of the alert message is its description (RFC 8446 section 6). */
        const int alert = link->ssl.MBEDTLS_PRIVATE(in_msg)[1];
        return fault_set(reterr, FAULT_DENIED, "%s: refused by the broker with TLS alert %d (%s)", doing, alert,
                         alert_name(alert));
    }
    if (error == 0 || error == MBEDTLS_ERR_SSL_CONN_EOF || error == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
        return fault_set(reterr, FAULT_SYSTEM, "%s: closed by the broker", doing);
    if (link->error_number) return fault_set_errno(reterr, FAULT_SYSTEM, link->error_number, "%s: lost", doing);
    mbedtls_strerror(error, text, sizeof text);
    return fault_set(reterr, FAULT_SYSTEM, "%s: %s (mbedTLS -0x%04x)", doing, text, (unsigned)-error);
}

static fault_code fault_from_certificate(const struct tls_relay *relay, uint32_t flags, const char *doing,
                                         struct fault *reterr) {
    const struct tls_relay_settings *settings = &relay->settings;
    if (flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED)
        return fault_set(reterr, FAULT_DENIED, "%s: the broker's certificate is not from the authority in '%s'", doing,
                         settings->ca_path);
    if (flags & MBEDTLS_X509_BADCERT_EXPIRED)
        return fault_set(reterr, FAULT_DENIED, "%s: the broker's certificate has expired", doing);
    if (flags & MBEDTLS_X509_BADCERT_FUTURE)
        return fault_set(reterr, FAULT_DENIED,
                         "%s: the broker's certificate is not valid yet (is this machine's clock right?)", doing);
    if (flags & MBEDTLS_X509_BADCERT_REVOKED)
        return fault_set(reterr, FAULT_DENIED, "%s: the broker's certificate is revoked", doing);
    if (flags & MBEDTLS_X509_BADCERT_CN_MISMATCH)
        return fault_set(reterr, FAULT_DENIED, "%s: the broker's certificate is for another name than '%s'", doing,
                         settings->server_name);
    char text[200];
    if (mbedtls_x509_crt_verify_info(text, sizeof text, "", flags) < 0)
        snprintf(text, sizeof text, "verification failed");
    text[strcspn(text, "\n")] = '\0';
    return fault_set(reterr, FAULT_DENIED, "%s: the broker's certificate is refused: %s", doing, text);
}

/* RFC 8446 section 6.2: those that a broker sends about us. */
static const char *alert_name(int alert) {
    switch (alert) {
    case MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE:
        return "handshake failure: no common cipher, or our certificate is missing";
    case MBEDTLS_SSL_ALERT_MSG_BAD_CERT: return "our certificate is bad";
    case MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT: return "our certificate is of an unsupported kind";
    case MBEDTLS_SSL_ALERT_MSG_CERT_REVOKED: return "our certificate is revoked";
    case MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED: return "our certificate has expired";
    case MBEDTLS_SSL_ALERT_MSG_CERT_UNKNOWN: return "our certificate is not acceptable";
    case MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA: return "our certificate is not from an authority that it trusts";
    case MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED: return "access denied";
    case MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION: return "no common TLS version";
    case MBEDTLS_SSL_ALERT_MSG_UNRECOGNIZED_NAME: return "unknown server name";
    case 116: return "it requires a client certificate";
    default: return "see RFC 8446 section 6";
    }
}
