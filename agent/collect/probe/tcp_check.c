/* SPDX-License-Identifier: Apache-2.0
 * getaddrinfo blocks for as long as it likes and cannot be broken off, so it gets a thread and a job that both sides
 * hold: the thread reports by an eventfd; when the check has given up in the meantime, whoever lets go last frees the
 * job. The connection itself is a non-blocking connect on the loop. */
#include "agent/collect/probe/tcp_check.h"

#include "common/base/clock.h"
#include "common/net/tcp_dial.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RESOLVER_STACK_BYTES = 256 * 1024 };

struct resolve_job {
    atomic_int holders;
    int done_fd; /* of the thread's side */
    char *host;
    char port[8];
    int result; /* of getaddrinfo */
    struct addrinfo *addresses;
};

struct tcp_check {
    struct loop *loop;
    char *host;
    uint16_t port;
    void (*done)(void *context, const struct tcp_check_result *result);
    void *context;
    struct loop_timer *timer;
    struct loop_watch *watch;
    int fd; /* the eventfd while resolving, the socket while connecting; -1 */
    struct resolve_job *job;
    struct addrinfo *addresses, *next;
    int64_t start_ms, timeout_ms;
    struct fault last; /* why the address before did not answer */
};

static void check_timed_out(void *context);

fault_code tcp_check_new(struct loop *loop, const char *host, uint16_t port,
                         void (*done)(void *context, const struct tcp_check_result *result), void *context,
                         struct tcp_check **ret_check, struct fault *reterr) {
    struct tcp_check *const check = calloc(1, sizeof *check);
    if (check == NULL) return fault_set(reterr, FAULT_SYSTEM, "out of memory");
    check->fd = -1;
    check->loop = loop;
    check->port = port;
    check->done = done;
    check->context = context;
    check->host = strdup(host);
    check->timer = loop_timer_new(loop, check_timed_out, check);
    if (check->host == NULL || check->timer == NULL) {
        tcp_check_free(check);
        return fault_set(reterr, FAULT_SYSTEM, "out of memory");
    }
    *ret_check = check;
    return FAULT_NONE;
}

static void job_let_go(struct resolve_job *job) {
    if (atomic_fetch_sub(&job->holders, 1) != 1) return;
    if (job->addresses) freeaddrinfo(job->addresses);
    if (job->done_fd >= 0) close(job->done_fd);
    free(job->host);
    free(job);
}

/* Ends the step that is under way: resolving or one connect. */
static void check_stop_step(struct tcp_check *check) {
    check->watch = loop_watch_free(check->watch);
    if (check->fd >= 0) close(check->fd);
    check->fd = -1;
    if (check->job) job_let_go(check->job);
    check->job = NULL;
}

static void check_stop(struct tcp_check *check) {
    check_stop_step(check);
    loop_timer_clear(check->timer);
    if (check->addresses) freeaddrinfo(check->addresses);
    check->addresses = check->next = NULL;
}

struct tcp_check *tcp_check_free(struct tcp_check *check) {
    if (check) {
        if (check->timer) check_stop(check);
        (void)loop_timer_free(check->timer);
        free(check->host);
        free(check);
    }
    return NULL;
}

static void check_end(struct tcp_check *check, bool asked, const struct fault *fault) {
    struct tcp_check_result result = {.asked = asked, .latency_ms = clock_monotonic_ms() - check->start_ms};
    if (fault) result.fault = *fault;
    check_stop(check);
    check->done(check->context, &result); /* last: it may free the check */
}

static void check_timed_out(void *context) {
    struct tcp_check *const check = context;
    struct fault fault;
    (void)fault_set(&fault, FAULT_TIMEOUT, "%s:%u: %s took longer than %lld ms", check->host, check->port,
                    check->job ? "resolving the name" : "connecting", (long long)check->timeout_ms);
    check_end(check, true, &fault);
}

static void check_next(struct tcp_check *check);

static void check_connected(void *context, int fd, unsigned events) {
    struct tcp_check *const check = context;
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error == 0) {
        check_end(check, true, NULL);
        return;
    }
    (void)fault_set_errno(&check->last, FAULT_SYSTEM, error, "%s:%u: no connection", check->host, check->port);
    check_stop_step(check);
    check_next(check);
}

/* Tries addresses until one is under way, connected, or there is no more. */
static void check_next(struct tcp_check *check) {
    while (check->next) {
        const struct addrinfo *const address = check->next;
        check->next = address->ai_next;
        check->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
        if (check->fd < 0) {
            const bool ours = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
            (void)fault_set_errno(&check->last, FAULT_SYSTEM, errno, "%s:%u: no socket", check->host, check->port);
            if (!ours) continue; /* a family that this kernel does not have */
            const struct fault fault = check->last;
            check_end(check, false, &fault);
            return;
        }
        if (connect(check->fd, address->ai_addr, address->ai_addrlen) == 0) {
            check_end(check, true, NULL);
            return;
        }
        struct fault fault;
        if (errno == EINPROGRESS) {
            if (loop_watch_new(check->loop, check->fd, LOOP_WRITE, check_connected, check, &check->watch, &fault)) {
                check_end(check, false, &fault);
            }
            return;
        }
        (void)fault_set_errno(&check->last, FAULT_SYSTEM, errno, "%s:%u: no connection", check->host, check->port);
        check_stop_step(check);
    }
    const struct fault fault = check->last;
    check_end(check, true, &fault);
}

static void check_resolved(struct tcp_check *check, int result, struct addrinfo *addresses) {
    if (result != 0) {
        struct fault fault;
        (void)fault_set(&fault, FAULT_SYSTEM, "%s: the name is not resolved: %s", check->host,
                        result == EAI_SYSTEM ? strerror(errno) : gai_strerror(result));
        check_end(check, true, &fault);
        return;
    }
    check->addresses = check->next = addresses;
    check_next(check);
}

static void job_reported(void *context, int fd, unsigned events) {
    struct tcp_check *const check = context;
    struct resolve_job *const job = check->job;
    /* The read, not the event, is what orders the resolver's writes before our reads. */
    uint64_t count;
    if (read(fd, &count, sizeof count) < 0) return;
    struct addrinfo *const addresses = job->addresses;
    const int result = job->result;
    job->addresses = NULL;
    check_stop_step(check);
    check_resolved(check, result, addresses);
}

static void *job_run(void *context) {
    struct resolve_job *const job = context;
    job->result = tcp_resolve(job->host, job->port, &job->addresses);
    const uint64_t one = 1;
    if (write(job->done_fd, &one, sizeof one) < 0) { /* an eventfd at 0 takes it always; the timeout is the net below */
    }
    job_let_go(job);
    return NULL;
}

static fault_code job_start(struct tcp_check *check, const char *port, struct fault *reterr) {
    struct resolve_job *const job = calloc(1, sizeof *job);
    if (job == NULL) return fault_set(reterr, FAULT_SYSTEM, "out of memory");
    job->holders = 1;
    check->job = job;
    check->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    job->done_fd = check->fd < 0 ? -1 : dup(check->fd);
    job->host = strdup(check->host);
    memcpy(job->port, port, sizeof job->port);
    if (job->done_fd < 0 || job->host == NULL)
        return fault_set_errno(reterr, FAULT_SYSTEM, errno, "resolve '%s'", check->host);
    const fault_code code =
        loop_watch_new(check->loop, check->fd, LOOP_READ, job_reported, check, &check->watch, reterr);
    if (code) return code;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, RESOLVER_STACK_BYTES);
    pthread_t thread;
    job->holders = 2;
    const int error = pthread_create(&thread, &attributes, job_run, job);
    pthread_attr_destroy(&attributes);
    if (error == 0) return FAULT_NONE;
    job->holders = 1;
    return fault_set_errno(reterr, FAULT_SYSTEM, error, "resolve '%s': no thread", check->host);
}

void tcp_check_start(struct tcp_check *check, int64_t timeout_ms) {
    char port[8];
    snprintf(port, sizeof port, "%u", check->port);
    check->start_ms = clock_monotonic_ms();
    check->timeout_ms = timeout_ms;
    (void)fault_set(&check->last, FAULT_SYSTEM, "%s: the name has no address", check->host);
    loop_timer_set(check->timer, timeout_ms);
    const struct addrinfo numeric = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    if (getaddrinfo(check->host, port, &numeric, &addresses) == 0) {
        check_resolved(check, 0, addresses);
        return;
    }
    struct fault fault;
    if (job_start(check, port, &fault)) check_end(check, false, &fault);
}
