/* SPDX-License-Identifier: Apache-2.0
 * Two lists behind one lock. Results (acks, connection) are bounded by the window, as each has its event in a struct that
 * exists once. Messages are bounded by asking the relay to stop reading from the broker when many wait here; what is
 * under way in socket buffers still comes, nothing is lost. */
#include "common/net/mqtt_inbox.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/limits.h"

enum {
    MESSAGES_WAITING_MAX = 1024, /* then the relay pauses, until half of it is gone */
    MESSAGE_BYTES_WAITING_MAX = 2 * LIMIT_MESSAGE_BYTES,
};

struct mqtt_inbox {
    struct loop_waker *waker;
    struct tls_relay *relay;
    struct mqtt_event *batch; /* taken from the list, being handled; the loop's alone */

    pthread_mutex_t lock; /* the members below */
    pthread_cond_t arrived;
    struct mqtt_event *events, **events_end;
    struct mqtt_waiting *messages, **messages_end;
    size_t messages_waiting, message_bytes_waiting;
    bool paused;
    struct mqtt_connack connack;
    int goodbye_reason;
    char goodbye_text[MQTT_GOODBYE_TEXT_SIZE];
};

struct mqtt_inbox *mqtt_inbox_new(struct loop_waker *waker, struct tls_relay *relay) {
    struct mqtt_inbox *inbox = calloc(1, sizeof *inbox);
    if (!inbox) return NULL;
    inbox->waker = waker;
    inbox->relay = relay;
    inbox->events_end = &inbox->events;
    inbox->messages_end = &inbox->messages;
    inbox->goodbye_reason = MQTT_GOODBYE_NONE;
    pthread_mutex_init(&inbox->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&inbox->arrived, &attributes);
    pthread_condattr_destroy(&attributes);
    return inbox;
}

struct mqtt_inbox *mqtt_inbox_free(struct mqtt_inbox *inbox) {
    if (!inbox) return NULL;
    pthread_cond_destroy(&inbox->arrived);
    pthread_mutex_destroy(&inbox->lock);
    free(inbox);
    return NULL;
}

/* ---- any thread ---- */

void mqtt_inbox_put(struct mqtt_inbox *inbox, struct mqtt_event *event, int kind, int reason) {
    pthread_mutex_lock(&inbox->lock);
    const bool first = inbox->events == NULL && inbox->messages == NULL;
    if (!event->queued) {
        event->kind = kind;
        event->reason = reason;
        event->next = NULL;
        event->queued = true;
        *inbox->events_end = event;
        inbox->events_end = &event->next;
        pthread_cond_signal(&inbox->arrived);
    }
    pthread_mutex_unlock(&inbox->lock);
    if (first) loop_wake(inbox->waker);
}

bool mqtt_inbox_put_message(struct mqtt_inbox *inbox, void *message, size_t bytes, char *topic, size_t topic_bytes) {
    struct mqtt_waiting *waiting = malloc(sizeof *waiting);
    if (!waiting) return false;
    *waiting = (struct mqtt_waiting){NULL, message, topic, topic_bytes, bytes};
    pthread_mutex_lock(&inbox->lock);
    const bool first = inbox->events == NULL && inbox->messages == NULL;
    *inbox->messages_end = waiting;
    inbox->messages_end = &waiting->next;
    inbox->messages_waiting++;
    inbox->message_bytes_waiting += bytes;
    if (!inbox->paused && (inbox->messages_waiting >= MESSAGES_WAITING_MAX ||
                           inbox->message_bytes_waiting >= MESSAGE_BYTES_WAITING_MAX)) {
        inbox->paused = true;
        tls_relay_pause(inbox->relay, true);
    }
    pthread_mutex_unlock(&inbox->lock);
    if (first) loop_wake(inbox->waker);
    return true;
}

void mqtt_inbox_put_connack(struct mqtt_inbox *inbox, const struct mqtt_connack *connack) {
    pthread_mutex_lock(&inbox->lock);
    inbox->connack = *connack;
    pthread_mutex_unlock(&inbox->lock);
}

void mqtt_inbox_put_goodbye(struct mqtt_inbox *inbox, int reason, const char *text, size_t text_bytes) {
    pthread_mutex_lock(&inbox->lock);
    inbox->goodbye_reason = reason;
    snprintf(inbox->goodbye_text, sizeof inbox->goodbye_text, "%.*s", (int)text_bytes, text_bytes ? text : "");
    pthread_mutex_unlock(&inbox->lock);
}

/* ---- the loop's thread ---- */

bool mqtt_inbox_take_batch(struct mqtt_inbox *inbox) {
    pthread_mutex_lock(&inbox->lock);
    inbox->batch = inbox->events;
    inbox->events = NULL;
    inbox->events_end = &inbox->events;
    pthread_mutex_unlock(&inbox->lock);
    return inbox->batch != NULL;
}

struct mqtt_event *mqtt_inbox_next(struct mqtt_inbox *inbox) {
    struct mqtt_event *event = inbox->batch;
    if (!event) return NULL;
    inbox->batch = event->next;
    pthread_mutex_lock(&inbox->lock);
    event->queued = false;
    pthread_mutex_unlock(&inbox->lock);
    return event;
}

void mqtt_inbox_drop_events(struct mqtt_inbox *inbox) {
    pthread_mutex_lock(&inbox->lock);
    for (struct mqtt_event *event = inbox->batch; event; event = event->next) event->queued = false;
    for (struct mqtt_event *event = inbox->events; event; event = event->next) event->queued = false;
    inbox->batch = inbox->events = NULL;
    inbox->events_end = &inbox->events;
    inbox->goodbye_reason = MQTT_GOODBYE_NONE;
    pthread_mutex_unlock(&inbox->lock);
}

struct mqtt_waiting *mqtt_inbox_next_message(struct mqtt_inbox *inbox) {
    pthread_mutex_lock(&inbox->lock);
    struct mqtt_waiting *waiting = inbox->messages;
    if (waiting) {
        inbox->messages = waiting->next;
        if (!inbox->messages) inbox->messages_end = &inbox->messages;
        inbox->messages_waiting--;
        inbox->message_bytes_waiting -= waiting->bytes;
        if (inbox->paused && inbox->messages_waiting <= MESSAGES_WAITING_MAX / 2 &&
            inbox->message_bytes_waiting <= MESSAGE_BYTES_WAITING_MAX / 2) {
            inbox->paused = false;
            tls_relay_pause(inbox->relay, false);
        }
    }
    pthread_mutex_unlock(&inbox->lock);
    return waiting;
}

bool mqtt_inbox_holds_some(struct mqtt_inbox *inbox) {
    pthread_mutex_lock(&inbox->lock);
    const bool some = inbox->events || inbox->messages;
    pthread_mutex_unlock(&inbox->lock);
    return some;
}

void mqtt_inbox_wait(struct mqtt_inbox *inbox, int64_t time_ms) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += time_ms / 1000;
    until.tv_nsec += time_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&inbox->lock);
    while (!inbox->events && pthread_cond_timedwait(&inbox->arrived, &inbox->lock, &until) == 0) {
    }
    pthread_mutex_unlock(&inbox->lock);
}

void mqtt_inbox_connack(struct mqtt_inbox *inbox, struct mqtt_connack *ret_connack) {
    pthread_mutex_lock(&inbox->lock);
    *ret_connack = inbox->connack;
    pthread_mutex_unlock(&inbox->lock);
}

int mqtt_inbox_goodbye(struct mqtt_inbox *inbox, char ret_text[MQTT_GOODBYE_TEXT_SIZE]) {
    pthread_mutex_lock(&inbox->lock);
    const int reason = inbox->goodbye_reason;
    memcpy(ret_text, inbox->goodbye_text, MQTT_GOODBYE_TEXT_SIZE);
    pthread_mutex_unlock(&inbox->lock);
    return reason;
}
