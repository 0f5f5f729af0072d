/* SPDX-License-Identifier: Apache-2.0
 * Distributions build Paho for debugging: each of its functions keeps a stack of names under a mutex, and each
 * allocation is kept in two trees under another, with eye-catchers around it. That is half of what a small message
 * costs. Paho has a build option without both (PAHO_HIGH_PERFORMANCE), in which malloc is malloc; we get the same
 * from the library as it is packaged, by defining the functions of its Heap.c and StackTrace.c here. The static
 * linker takes a member of an archive only for a name that is still undefined, so those two are left out.
 *
 * Should another release of Paho want one more name of those files, the linker says "multiple definition": add it.
 * Should Paho be linked as a shared library, it uses its own, and all works as before, slower. */
#include "common/net/paho_lean.h"

#include <stdlib.h>

#include <MQTTAsync.h>

/* Paho's names (its Heap.h and StackTrace.h are not installed). */
void *mymalloc(char *file, int line, size_t size);
void *myrealloc(char *file, int line, void *data, size_t size);
void myfree(char *file, int line, void *data);
int Heap_initialize(void);
void Heap_terminate(void);
void StackTrace_entry(const char *name, int line, int level);
void StackTrace_exit(const char *name, int line, void *value, int level);

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
