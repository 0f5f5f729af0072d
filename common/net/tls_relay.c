/* SPDX-License-Identifier: Apache-2.0
 * Paho is linked without TLS and speaks to us over loopback; its bytes are encrypted here. Two buffers of one TLS
 * record each, one per direction: a side is read only when its buffer is empty, so that slowness of one end reaches
 * the other by TCP and memory is fixed. Buffers exist only while there is a connection. Small records that came together
 * are handed on in one piece.
 *
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

#include "common/base/clock.h"
#include "common/net/mqtt_guard.h"
#include "common/net/tcp_dial.h"
#include "common/net/tls_link.h"

enum {
    RECORD_BYTES = 16 * 1024,        /* of plain text in one TLS record */
    THREAD_STACK_BYTES = 256 * 1024, /* the handshake and the resolver; touched pages only are resident */
    DRAIN_MS = 1000,
    FLUSH_MS = 200,
    PUMP_TURNS_MAX = 64, /* before looking at the listener and at requests again */
};

/* One direction: bytes [start, end) wait to go out. */
struct relay_buffer {
    size_t start, end;
    unsigned char bytes[RECORD_BYTES];
};

/* All that exists only during a connection. */
struct relay_link {
    struct tls_link *remote; /* the broker */
    int local;               /* Paho */
    bool local_dry;          /* nothing to read until poll says so */
    bool wants_write;        /* the broker's socket is full */
    bool broker_ended;       /* after what is in `down` */
    struct mqtt_guard guard;
    struct relay_buffer up, down; /* to the broker, from the broker */
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
static fault_code files_try(const struct tls_relay_settings *settings, struct fault *reterr);
static fault_code settings_copy(struct tls_relay_settings *target, const struct tls_relay_settings *source);
static fault_code thread_start(struct tls_relay *relay, struct fault *reterr);

fault_code tls_relay_open(const struct tls_relay_settings *settings, struct tls_relay **ret_relay,
                          struct fault *reterr) {
    if (!settings->host) return fault_set(reterr, FAULT_INPUT, "TLS relay: no broker host");
    if (!settings->plain_text && (!settings->ca_path || !settings->certificate_path || !settings->key_path))
        return fault_set(reterr, FAULT_INPUT, "TLS relay: CA, certificate and key are all required");
    struct tls_relay *relay = calloc(1, sizeof *relay);
    fault_code code = relay ? FAULT_NONE : fault_set(reterr, FAULT_SYSTEM, "TLS relay: out of memory");
    if (code == FAULT_NONE) code = files_try(settings, reterr);
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

static struct tls_link_settings link_settings(const struct tls_relay_settings *settings) {
    return (struct tls_link_settings){.plain_text = settings->plain_text,
                                      .ca_path = settings->ca_path,
                                      .certificate_path = settings->certificate_path,
                                      .key_path = settings->key_path,
                                      .server_name = settings->server_name};
}

static fault_code files_try(const struct tls_relay_settings *settings, struct fault *reterr) {
    const struct tls_link_settings of_link = link_settings(settings);
    struct tls_link *trial = NULL;
    fault_code code = tls_link_new(&of_link, &trial, reterr);
    if (!code) code = tls_link_load(trial, reterr);
    (void)tls_link_free(trial);
    return code;
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
            waits[2].events =
                (short)((up_empty && !tls_link_gone(link->remote) ? POLLIN : 0) | (down_empty ? 0 : POLLOUT));
            waits[3].fd = tls_link_fd(link->remote);
            waits[3].events =
                (short)((down_empty && !atomic_load(&relay->paused) ? POLLIN : 0) | (link->wants_write ? POLLOUT : 0));
            if (!waits[2].events) waits[2].fd = -1; /* else a hang-up would spin */
            if (!waits[3].events) waits[3].fd = -1;
        }
        const bool failed = poll(waits, 5, -1) < 0; /* a signal: look at everything */
        asked = failed || waits[0].revents || waits[4].revents;
        if (link && (failed || waits[2].revents)) link->local_dry = false;
        if (link && (failed || waits[3].revents)) tls_link_ready(link->remote);
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
        relay->link->local_dry = false;
        tls_link_ready(relay->link->remote);
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

static fault_code link_new(const struct tls_relay_settings *settings, struct relay_link **ret_link,
                           struct fault *reterr);
static struct relay_link *link_free(struct relay_link *link);

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
    struct relay_link *link;
    if (link_new(settings, &link, &fault)) {
        fault_keep(relay, &fault);
        close(local);
        return;
    }
    link->local = local;
    relay->link = link;
    const fault_code code =
        tls_link_begin(link->remote, settings->host, settings->port, relay->cancel, deadline_ms, &fault);
    if (code == FAULT_NONE) return;
    if (code != FAULT_AGAIN) { /* cancelled: whoever cancelled has said why */
        fault_wrap(&fault, "broker %s:%u", settings->host, settings->port);
        fault_keep(relay, &fault);
    }
    link_end(relay);
}

static fault_code link_new(const struct tls_relay_settings *settings, struct relay_link **ret_link,
                           struct fault *reterr) {
    struct relay_link *link = malloc(sizeof *link); /* not zeroed: the buffers' pages stay untouched until used */
    if (!link) return fault_set(reterr, FAULT_SYSTEM, "TLS relay: out of memory");
    const struct tls_link_settings of_link = link_settings(settings);
    if (tls_link_new(&of_link, &link->remote, reterr)) {
        free(link);
        return FAULT_SYSTEM;
    }
    link->local = -1;
    link->local_dry = link->wants_write = link->broker_ended = false;
    link->up.start = link->up.end = link->down.start = link->down.end = 0;
    mqtt_guard_begin(&link->guard, settings->packet_bytes_max, settings->user_properties_max);
    *ret_link = link;
    return FAULT_NONE;
}

static struct relay_link *link_free(struct relay_link *link) {
    if (link->local >= 0) close(link->local);
    (void)tls_link_free(link->remote);
    free(link);
    return NULL;
}

static void link_end(struct tls_relay *relay) {
    struct relay_link *link = relay->link;
    relay->link = NULL;
    if (!link) return;
    tls_link_end(link->remote);
    /* Paho first reads what came, then sees the end and closes. */
    const int64_t deadline_ms = clock_monotonic_ms() + DRAIN_MS;
    ssize_t got = shutdown(link->local, SHUT_WR) == 0 ? 1 : -1;
    while (got > 0 || (got < 0 && errno == EAGAIN)) {
        if (tcp_wait(link->local, POLLIN, relay->cancel, deadline_ms) != FAULT_NONE) break;
        got = recv(link->local, link->up.bytes, sizeof link->up.bytes, 0);
    }
    (void)link_free(link);
}

/* ---- pumping ---- */

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

static void link_fault_keep(struct tls_relay *relay, const struct relay_link *link) {
    struct fault fault;
    (void)tls_link_fault(link->remote, &fault);
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
        const int got = tls_link_read(link->remote, down->bytes + down->end, sizeof down->bytes - down->end);
        if (got < 0) {
            link->wants_write |= got == TLS_LINK_WANT_WRITE;
            link->broker_ended = got == TLS_LINK_OVER;
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
        link_fault_keep(relay, link);
        return -1;
    }
    const ssize_t sent = send(link->local, down->bytes + down->start, down->end - down->start, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
    down->start += (size_t)sent;
    return 1;
}

static int pump_up(struct tls_relay *relay, struct relay_link *link) {
    struct relay_buffer *up = &link->up;
    if (tls_link_gone(link->remote)) return 0; /* pump_down finds the end */
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
    const int sent = tls_link_write(link->remote, up->bytes + up->start, up->end - up->start);
    if (sent == TLS_LINK_OVER) { /* not the socket: TLS itself */
        link_fault_keep(relay, link);
        return -1;
    }
    if (sent < 0) {
        link->wants_write = true;
        return 0;
    }
    up->start += (size_t)sent;
    return 1;
}
