/* SPDX-License-Identifier: Apache-2.0
 * One event loop per thread: file descriptors (epoll), timers (monotonic, milliseconds) and wake-ups from other
 * threads. Everything runs on the thread that calls loop_run, except loop_stop and loop_wake. */
#ifndef PICKET_LOOP_LOOP_H
#define PICKET_LOOP_LOOP_H

#include "common/base/fault.h"

struct loop;
struct loop_watch; /* one file descriptor */
struct loop_timer;
struct loop_waker; /* lets another thread run a callback here */

enum loop_events { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_ERROR = 4 };
typedef void loop_watch_fn(void *context, int fd, unsigned events);
typedef void loop_fn(void *context);

fault_code loop_new(struct loop **ret_loop, struct fault *reterr) MUST_CHECK;
struct loop *loop_free(struct loop *loop); /* after all watches, timers and wakers of it are freed */

/* Runs until loop_stop. */
void loop_run(struct loop *loop);
/* Any thread, and from a signal handler. */
void loop_stop(struct loop *loop);

fault_code loop_watch_new(struct loop *loop, int fd, unsigned events, loop_watch_fn *call, void *context,
                          struct loop_watch **ret_watch, struct fault *reterr) MUST_CHECK;
fault_code loop_watch_change(struct loop_watch *watch, unsigned events, struct fault *reterr) MUST_CHECK;
struct loop_watch *loop_watch_free(struct loop_watch *watch); /* before closing the fd; safe inside a callback */

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn *call, void *context) MUST_CHECK; /* NULL: no memory */
/* Fires once, delay_ms from now; sets again when already set. Allocates nothing. */
void loop_timer_set(struct loop_timer *timer, int64_t delay_ms);
void loop_timer_clear(struct loop_timer *timer);
struct loop_timer *loop_timer_free(struct loop_timer *timer);

/* loop_wake from any thread makes the callback run soon, once for any number of wakes before it ran. */
fault_code loop_waker_new(struct loop *loop, loop_fn *call, void *context, struct loop_waker **ret_waker,
                          struct fault *reterr) MUST_CHECK;
void loop_wake(struct loop_waker *waker);
struct loop_waker *loop_waker_free(struct loop_waker *waker);

/* Runs the callback on SIGTERM/SIGINT/SIGHUP... by signalfd: the signal must be blocked in every thread, so call
 * this first in main(), before any thread is made. */
typedef void loop_signal_fn(void *context, int signal_number);
fault_code loop_signals(struct loop *loop, const int *signals, size_t count, loop_signal_fn *call, void *context,
                        struct fault *reterr) MUST_CHECK;

#endif
