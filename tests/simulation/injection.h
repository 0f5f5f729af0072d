/* SPDX-License-Identifier: Apache-2.0
 * Failures on order, put between the journal and what it stands on by the linker (--wrap): the n-th call of the store, the
 * n-th allocation, or the process's death at a commit. And a monotonic clock that stands still. */
#ifndef PICKET_TESTS_INJECTION_H
#define PICKET_TESTS_INJECTION_H

#include <stdbool.h>
#include <stdint.h>

enum injection {
    INJECT_NOTHING,
    INJECT_DEATH_BEFORE_COMMIT, /* nothing of the transaction has happened */
    INJECT_DEATH_BEHIND_COMMIT, /* all of it has, and nobody was told */
    INJECT_STORE_SYSTEM,        /* the n-th call of the store fails as a disk does */
    INJECT_STORE_FULL,          /* ... as a full map does */
    INJECT_NO_MEMORY            /* the n-th allocation */
};

/* From now on; n from 1. */
void injection_begin(enum injection what, unsigned n);
/* Whether it came to pass: since the last call of this, and ever since it was ordered. */
bool injection_struck(void);
bool injection_struck_ever(void);
/* How many of the calls that it is about were made so far. */
unsigned injection_calls(void);
/* Nothing fails and nothing is counted until it is lifted. */
void injection_pause(bool paused);
/* The process is to be taken for dead. */
bool injection_dead(void);
void injection_clock(int64_t monotonic_ms);

#endif
