/* SPDX-License-Identifier: Apache-2.0
 * What every cmocka test needs, in cmocka's required order of includes. */
#ifndef PICKET_TESTS_CHECK_H
#define PICKET_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/base/fault.h"

/* Tests are named as sentences: TEST(spool_refuses_record_over_limit). */
#define TEST(name) static void name(void **state __attribute__((unused)))

/* The call must succeed; prints the fault's sentence when it does not. `fault` must be a struct fault in scope. */
#define CHECK_OK(call)                                                                                                 \
    do {                                                                                                               \
        if (call) fail_msg("%s: %s", #call, fault.text);                                                               \
    } while (0)

/* The call must fail with this code. */
#define CHECK_FAULT(call, expected) assert_string_equal(fault_code_name(call), fault_code_name(expected))

/* The slice must equal the text. */
#define CHECK_SLICE(bytes, text)                                                                                       \
    do {                                                                                                               \
        const slice check_slice_ = (bytes);                                                                            \
        if (!slice_equal_text(check_slice_, text))                                                                     \
            fail_msg("expected '%s', got '%.*s'", text, SLICE_ARG(check_slice_));                                      \
    } while (0)

/* Seed of a random test: PICKET_SEED or the time; printed, so that a failure can be run again. */
static inline uint64_t check_seed(void) {
    const char *given = getenv("PICKET_SEED");
    const uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("PICKET_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* splitmix64: small, repeatable, good enough to choose test cases by. */
static inline uint64_t check_random(uint64_t *seed) {
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

#endif
