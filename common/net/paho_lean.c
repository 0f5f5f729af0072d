/* SPDX-License-Identifier: Apache-2.0
 * Distributions build Paho for debugging: each of its functions keeps a stack of names under a mutex, and each
 * allocation is kept in two trees under another, with eye-catchers around it. That is half of what a small message
 * costs. Paho has a build option without both (PAHO_HIGH_PERFORMANCE), in which malloc is malloc; we get the same
 * from the library as it is packaged, by defining the functions of its Heap.c and StackTrace.c here. The static
 * linker takes a member of an archive only for a name that is still undefined, so those two are left out.
 *
 * One thing is mended in the same way: Paho's sending thread looks whether there is something to send, then waits for
 * a condition that nothing remembers. A signal in between is lost, and what was to be sent waits for the next signal
 * or for the end of the second that the thread waits. CMakeLists.txt has the linker send Thread_signal_cond and
 * Thread_wait_cond here (--wrap), where the signal is kept.
 *
 * Should another release of Paho want one more name of those files, the linker says "multiple definition": add it.
 * Should Paho be linked as a shared library, it uses its own, and all works as before, slower. */
#include "common/net/paho_lean.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include <MQTTAsync.h>

/* Paho's names (its Heap.h and StackTrace.h are not installed). */
void *mymalloc(char *file, int line, size_t size);
void *myrealloc(char *file, int line, void *data, size_t size);
void myfree(char *file, int line, void *data);
int Heap_initialize(void);
void Heap_terminate(void);
void StackTrace_entry(const char *name, int line, int level);
void StackTrace_exit(const char *name, int line, void *value, int level);
int __wrap_Thread_signal_cond(void *condition);
int __wrap_Thread_wait_cond(void *condition, int timeout_ms);

/* Paho has one such condition in a process (send_cond), and one thread that waits for it. */
static struct {
    pthread_once_t made;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* waits by CLOCK_MONOTONIC, which an initialiser cannot say */
    bool signalled;
} send_signal = {.made = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER};

static void make_send_signal(void) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&send_signal.changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void paho_lean_use(void) {
    MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
}

void *mymalloc(char *file, int line, size_t size) {
    return malloc(size);
}

void *myrealloc(char *file, int line, void *data, size_t size) {
    return realloc(data, size);
}

void myfree(char *file, int line, void *data) {
    free(data);
}

int Heap_initialize(void) {
    return 0;
}

void Heap_terminate(void) {}

void StackTrace_entry(const char *name, int line, int level) {}

void StackTrace_exit(const char *name, int line, void *value, int level) {}

int __wrap_Thread_signal_cond(void *condition) {
    pthread_once(&send_signal.made, make_send_signal);
    pthread_mutex_lock(&send_signal.lock);
    const bool first = !send_signal.signalled;
    send_signal.signalled = true;
    pthread_mutex_unlock(&send_signal.lock);
    return first ? pthread_cond_signal(&send_signal.changed) : 0;
}

int __wrap_Thread_wait_cond(void *condition, int timeout_ms) {
    struct timespec until;
    int error = 0;
    pthread_once(&send_signal.made, make_send_signal);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&send_signal.lock);
    while (!send_signal.signalled && error == 0)
        error = pthread_cond_timedwait(&send_signal.changed, &send_signal.lock, &until);
    if (send_signal.signalled) error = 0;
    send_signal.signalled = false;
    pthread_mutex_unlock(&send_signal.lock);
    return error;
}
