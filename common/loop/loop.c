/* SPDX-License-Identifier: Apache-2.0
 * epoll over watches; timers in a binary heap that grows when a timer is made, never when it is set; wakers share
 * one eventfd. A watch freed inside a callback may still stand in the batch of events that epoll returned, so it
 * is only marked dead and its memory is given back when the batch is done. */
#include "common/loop/loop.h"

#include "common/base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { EVENTS_PER_WAIT = 64, TIMER_NOT_SET = -1 };

struct loop_watch {
    struct loop *loop;
    loop_watch_fn *call;
    void *context;
    struct loop_watch *next_dead;
    int fd;
    bool dead;
};

struct loop_timer {
    struct loop *loop;
    loop_fn *call;
    void *context;
    int64_t due_ms;
    uint64_t order; /* equal due times fire in the order in which they were set */
    ptrdiff_t heap_index;
};

struct loop_waker {
    struct loop *loop;
    loop_fn *call;
    void *context;
    struct loop_waker *next;
    atomic_bool asked;
};

struct loop {
    int epoll_fd;
    int event_fd;
    atomic_bool stop_asked;
    bool dispatching;
    struct loop_watch *dead_watches;
    struct loop_watch *event_watch;
    struct loop_watch *signal_watch;
    int signal_fd;
    loop_signal_fn *signal_call;
    void *signal_context;
    struct loop_timer **heap;
    size_t heap_count, heap_capacity, timers_count;
    uint64_t timer_order;
    struct loop_waker *wakers; /* changed on the loop's thread only */
};

static void event_fd_ready(void *context, int fd, unsigned events);

fault_code loop_new(struct loop **ret_loop, struct fault *reterr) {
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop) return fault_set(reterr, FAULT_LIMIT, "make an event loop: out of memory");
    loop->signal_fd = -1;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll_fd < 0 || loop->event_fd < 0) {
        (void)fault_set_errno(reterr, FAULT_SYSTEM, errno, "make an event loop");
        goto done;
    }
    if (loop_watch_new(loop, loop->event_fd, LOOP_READ, event_fd_ready, loop, &loop->event_watch, reterr)) goto done;
    *ret_loop = loop;
    return FAULT_NONE;
done:
    if (loop->epoll_fd >= 0) close(loop->epoll_fd);
    if (loop->event_fd >= 0) close(loop->event_fd);
    free(loop);
    return reterr ? reterr->code : FAULT_SYSTEM;
}

static void free_dead_watches(struct loop *loop) {
    while (loop->dead_watches) {
        struct loop_watch *watch = loop->dead_watches;
        loop->dead_watches = watch->next_dead;
        free(watch);
    }
}

struct loop *loop_free(struct loop *loop) {
    if (!loop) return NULL;
    loop_watch_free(loop->signal_watch);
    loop_watch_free(loop->event_watch);
    free_dead_watches(loop);
    if (loop->signal_fd >= 0) close(loop->signal_fd);
    close(loop->event_fd);
    close(loop->epoll_fd);
    free(loop->heap);
    free(loop);
    return NULL;
}

static void fire_due_timers(struct loop *loop) {
    const int64_t now_ms = clock_monotonic_ms();
    const uint64_t order_limit = loop->timer_order; /* one set again with no delay waits for the next round */
    while (loop->heap_count && loop->heap[0]->due_ms <= now_ms && loop->heap[0]->order <= order_limit) {
        struct loop_timer *timer = loop->heap[0];
        loop_timer_clear(timer);
        timer->call(timer->context);
        if (atomic_load(&loop->stop_asked)) return;
    }
}

static int wait_ms(const struct loop *loop) {
    if (!loop->heap_count) return -1;
    const int64_t left_ms = loop->heap[0]->due_ms - clock_monotonic_ms();
    return left_ms <= 0 ? 0 : left_ms > 3600000 ? 3600000 : (int)left_ms;
}

static unsigned events_from_epoll(uint32_t events) {
    unsigned result = 0;
    if (events & (EPOLLIN | EPOLLRDHUP)) result |= LOOP_READ;
    if (events & EPOLLOUT) result |= LOOP_WRITE;
    if (events & (EPOLLERR | EPOLLHUP)) result |= LOOP_ERROR;
    return result;
}

void loop_run(struct loop *loop) {
    while (!atomic_load(&loop->stop_asked)) {
        struct epoll_event events[EVENTS_PER_WAIT];
        const int count = epoll_wait(loop->epoll_fd, events, EVENTS_PER_WAIT, wait_ms(loop));
        loop->dispatching = true;
        for (int i = 0; i < count; i++) {
            struct loop_watch *watch = events[i].data.ptr;
            if (!watch->dead) watch->call(watch->context, watch->fd, events_from_epoll(events[i].events));
        }
        loop->dispatching = false;
        free_dead_watches(loop);
        if (!atomic_load(&loop->stop_asked)) fire_due_timers(loop);
    }
    atomic_store(&loop->stop_asked, false);
}

static void ring(const struct loop *loop) {
    const uint64_t one = 1;
    const ssize_t written = write(loop->event_fd, &one, sizeof one); /* full means: rung already */
    (void)written;
}

void loop_stop(struct loop *loop) {
    atomic_store(&loop->stop_asked, true);
    ring(loop);
}

static uint32_t events_to_epoll(unsigned events) {
    return (events & LOOP_READ ? EPOLLIN | EPOLLRDHUP : 0u) | (events & LOOP_WRITE ? EPOLLOUT : 0u);
}

fault_code loop_watch_new(struct loop *loop, int fd, unsigned events, loop_watch_fn *call, void *context,
                          struct loop_watch **ret_watch, struct fault *reterr) {
    struct loop_watch *watch = calloc(1, sizeof *watch);
    if (!watch) return fault_set(reterr, FAULT_LIMIT, "watch descriptor %d: out of memory", fd);
    *watch = (struct loop_watch){.loop = loop, .call = call, .context = context, .fd = fd};
    struct epoll_event event = {.events = events_to_epoll(events), .data.ptr = watch};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
        free(watch);
        return fault_set_errno(reterr, FAULT_SYSTEM, errno, "watch descriptor %d", fd);
    }
    *ret_watch = watch;
    return FAULT_NONE;
}

fault_code loop_watch_change(struct loop_watch *watch, unsigned events, struct fault *reterr) {
    struct epoll_event event = {.events = events_to_epoll(events), .data.ptr = watch};
    if (epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event))
        return fault_set_errno(reterr, FAULT_SYSTEM, errno, "change watch of descriptor %d", watch->fd);
    return FAULT_NONE;
}

struct loop_watch *loop_watch_free(struct loop_watch *watch) {
    if (!watch) return NULL;
    struct loop *loop = watch->loop;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL); /* fails harmlessly when the fd is closed already */
    watch->dead = true;
    watch->next_dead = loop->dead_watches;
    loop->dead_watches = watch;
    if (!loop->dispatching) free_dead_watches(loop);
    return NULL;
}

static bool fires_before(const struct loop_timer *a, const struct loop_timer *b) {
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->order < b->order;
}

static void heap_place(struct loop *loop, size_t index, struct loop_timer *timer) {
    loop->heap[index] = timer;
    timer->heap_index = (ptrdiff_t)index;
}

/* Moves the timer at index to where it belongs, up or down. */
static void heap_settle(struct loop *loop, size_t index) {
    struct loop_timer *timer = loop->heap[index];
    while (index && fires_before(timer, loop->heap[(index - 1) / 2])) {
        heap_place(loop, index, loop->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= loop->heap_count) break;
        if (child + 1 < loop->heap_count && fires_before(loop->heap[child + 1], loop->heap[child])) child++;
        if (!fires_before(loop->heap[child], timer)) break;
        heap_place(loop, index, loop->heap[child]);
        index = child;
    }
    heap_place(loop, index, timer);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn *call, void *context) {
    if (loop->timers_count == loop->heap_capacity) {
        const size_t capacity = loop->heap_capacity ? loop->heap_capacity * 2 : 16;
        struct loop_timer **heap = realloc(loop->heap, capacity * sizeof *heap);
        if (!heap) return NULL;
        loop->heap = heap;
        loop->heap_capacity = capacity;
    }
    struct loop_timer *timer = calloc(1, sizeof *timer);
    if (!timer) return NULL;
    *timer = (struct loop_timer){.loop = loop, .call = call, .context = context, .heap_index = TIMER_NOT_SET};
    loop->timers_count++;
    return timer;
}

void loop_timer_set(struct loop_timer *timer, int64_t delay_ms) {
    struct loop *loop = timer->loop;
    timer->due_ms = clock_monotonic_ms() + (delay_ms > 0 ? delay_ms : 0);
    timer->order = ++loop->timer_order;
    if (timer->heap_index == TIMER_NOT_SET) heap_place(loop, loop->heap_count++, timer);
    heap_settle(loop, (size_t)timer->heap_index);
}

void loop_timer_clear(struct loop_timer *timer) {
    if (!timer || timer->heap_index == TIMER_NOT_SET) return;
    struct loop *loop = timer->loop;
    const size_t index = (size_t)timer->heap_index;
    struct loop_timer *last = loop->heap[--loop->heap_count];
    timer->heap_index = TIMER_NOT_SET;
    if (last == timer) return;
    heap_place(loop, index, last);
    heap_settle(loop, index);
}

struct loop_timer *loop_timer_free(struct loop_timer *timer) {
    if (!timer) return NULL;
    loop_timer_clear(timer);
    timer->loop->timers_count--;
    free(timer);
    return NULL;
}

static void event_fd_ready(void *context, int fd, unsigned events) {
    struct loop *loop = context;
    uint64_t count;
    const ssize_t got = read(fd, &count, sizeof count);
    (void)got;
    /* From the beginning after each call: the callback may have freed any waker. */
    for (struct loop_waker *waker = loop->wakers; waker;) {
        if (atomic_exchange(&waker->asked, false)) {
            waker->call(waker->context);
            waker = loop->wakers;
        } else
            waker = waker->next;
    }
}

fault_code loop_waker_new(struct loop *loop, loop_fn *call, void *context, struct loop_waker **ret_waker,
                          struct fault *reterr) {
    struct loop_waker *waker = calloc(1, sizeof *waker);
    if (!waker) return fault_set(reterr, FAULT_LIMIT, "make a waker: out of memory");
    *waker = (struct loop_waker){.loop = loop, .call = call, .context = context, .next = loop->wakers};
    loop->wakers = waker;
    *ret_waker = waker;
    return FAULT_NONE;
}

void loop_wake(struct loop_waker *waker) {
    if (!atomic_exchange(&waker->asked, true)) ring(waker->loop);
}

struct loop_waker *loop_waker_free(struct loop_waker *waker) {
    if (!waker) return NULL;
    for (struct loop_waker **at = &waker->loop->wakers; *at; at = &(*at)->next)
        if (*at == waker) {
            *at = waker->next;
            break;
        }
    free(waker);
    return NULL;
}

static void signal_fd_ready(void *context, int fd, unsigned events) {
    struct loop *loop = context;
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
        loop->signal_call(loop->signal_context, (int)info.ssi_signo);
}

fault_code loop_signals(struct loop *loop, const int *signals, size_t count, loop_signal_fn *call, void *context,
                        struct fault *reterr) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < count; i++) sigaddset(&set, signals[i]);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    loop->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (loop->signal_fd < 0) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "watch signals");
    loop->signal_call = call;
    loop->signal_context = context;
    return loop_watch_new(loop, loop->signal_fd, LOOP_READ, signal_fd_ready, loop, &loop->signal_watch, reterr);
}
