/* SPDX-License-Identifier: Apache-2.0
 * A ring under one mutex. The consumer takes in batches, so the lock is taken once per batch and not once per item;
 * producers signal only when the consumer waits. */
#include "common/loop/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct mailbox {
    pthread_mutex_t lock;
    pthread_cond_t filled, drained;
    size_t takers_waiting, putters_waiting;
    bool closed;
    size_t capacity, count, first;
    void *items[];
};

struct mailbox *mailbox_new(size_t capacity) {
    struct mailbox *mailbox = calloc(1, sizeof *mailbox + capacity * sizeof(void *));
    if (!mailbox) return NULL;
    mailbox->capacity = capacity;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&mailbox->lock, NULL);
    pthread_cond_init(&mailbox->filled, &monotonic);
    pthread_cond_init(&mailbox->drained, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return mailbox;
}

struct mailbox *mailbox_free(struct mailbox *mailbox) {
    if (!mailbox) return NULL;
    pthread_cond_destroy(&mailbox->filled);
    pthread_cond_destroy(&mailbox->drained);
    pthread_mutex_destroy(&mailbox->lock);
    free(mailbox);
    return NULL;
}

static struct timespec deadline_in(int64_t timeout_ms) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += timeout_ms % 1000 * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    return at;
}

/* False when the time is up; timeout_ms -1 waits for ever. */
static bool wait_on(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t timeout_ms,
                    const struct timespec *deadline) {
    if (timeout_ms < 0) return pthread_cond_wait(condition, lock) == 0;
    return timeout_ms > 0 && pthread_cond_timedwait(condition, lock, deadline) != ETIMEDOUT;
}

fault_code mailbox_put_wait(struct mailbox *mailbox, void *item, int64_t timeout_ms) {
    const struct timespec deadline = timeout_ms > 0 ? deadline_in(timeout_ms) : (struct timespec){0};
    pthread_mutex_lock(&mailbox->lock);
    while (!mailbox->closed && mailbox->count == mailbox->capacity) {
        mailbox->putters_waiting++;
        const bool woken = wait_on(&mailbox->drained, &mailbox->lock, timeout_ms, &deadline);
        mailbox->putters_waiting--;
        if (!woken) break;
    }
    fault_code code = FAULT_NONE;
    if (mailbox->closed)
        code = FAULT_DENIED;
    else if (mailbox->count == mailbox->capacity)
        code = FAULT_AGAIN;
    else {
        mailbox->items[(mailbox->first + mailbox->count++) % mailbox->capacity] = item;
        if (mailbox->takers_waiting) pthread_cond_signal(&mailbox->filled);
    }
    pthread_mutex_unlock(&mailbox->lock);
    return code;
}

fault_code mailbox_put(struct mailbox *mailbox, void *item) {
    return mailbox_put_wait(mailbox, item, 0);
}

size_t mailbox_take(struct mailbox *mailbox, void **ret_items, size_t items_max, int64_t timeout_ms) {
    const struct timespec deadline = timeout_ms > 0 ? deadline_in(timeout_ms) : (struct timespec){0};
    pthread_mutex_lock(&mailbox->lock);
    while (!mailbox->count && !mailbox->closed) {
        mailbox->takers_waiting++;
        const bool woken = wait_on(&mailbox->filled, &mailbox->lock, timeout_ms, &deadline);
        mailbox->takers_waiting--;
        if (!woken) break;
    }
    const size_t count = mailbox->count < items_max ? mailbox->count : items_max;
    for (size_t i = 0; i < count; i++) ret_items[i] = mailbox->items[(mailbox->first + i) % mailbox->capacity];
    mailbox->first = (mailbox->first + count) % mailbox->capacity;
    mailbox->count -= count;
    if (count && mailbox->putters_waiting) pthread_cond_broadcast(&mailbox->drained);
    pthread_mutex_unlock(&mailbox->lock);
    return count;
}

void mailbox_close(struct mailbox *mailbox) {
    pthread_mutex_lock(&mailbox->lock);
    mailbox->closed = true;
    pthread_cond_broadcast(&mailbox->filled);
    pthread_cond_broadcast(&mailbox->drained);
    pthread_mutex_unlock(&mailbox->lock);
}

bool mailbox_closed(struct mailbox *mailbox) {
    pthread_mutex_lock(&mailbox->lock);
    const bool closed = mailbox->closed;
    pthread_mutex_unlock(&mailbox->lock);
    return closed;
}

size_t mailbox_count(struct mailbox *mailbox) {
    pthread_mutex_lock(&mailbox->lock);
    const size_t count = mailbox->count;
    pthread_mutex_unlock(&mailbox->lock);
    return count;
}
