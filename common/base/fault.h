/* SPDX-License-Identifier: Apache-2.0
 * Two-part failure: a code for the program, one sentence for the person. Inner code says what failed on what
 * (fault_set); each border adds what was being attempted (fault_wrap), so that the operator reads one line:
 *   keep window 812: append (raise buffer.bytes_max): write '/var/lib/picket/queue': store full
 * Functions return fault_code; outputs come last (ret_x, then reterr) and stay untouched on failure.
 * Every function here takes a NULL reterr. Any thread. */
#ifndef PICKET_BASE_FAULT_H
#define PICKET_BASE_FAULT_H

#include "common/base/slice.h"

typedef enum fault_code {
    FAULT_NONE = 0,
    FAULT_AGAIN,    /* not now: a queue is full, a peer is away; the same call may succeed later */
    FAULT_ABSENT,   /* what was asked for does not exist */
    FAULT_CONFLICT, /* the state does not allow it: version mismatch, forbidden move */
    FAULT_INPUT,    /* bytes from outside are wrong; the text says where and what is expected */
    FAULT_LIMIT,    /* a stated maximum was reached; the text names it */
    FAULT_CORRUPT,  /* our own stored bytes do not check */
    FAULT_DENIED,   /* who asks may not */
    FAULT_TIMEOUT,  /* a deadline passed */
    FAULT_SYSTEM,   /* the operating system or a library failed */
    FAULT_EXISTS,   /* what was to be made is there already */
    FAULT_MAX_
} fault_code;

struct fault {
    fault_code code;
    char text[480];
};

/* Fills reterr and returns code, so that `return fault_set(reterr, FAULT_INPUT, "...")` is one line. */
fault_code fault_set(struct fault *reterr, fault_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As fault_set with ": <strerror(error_number)>" appended. */
fault_code fault_set_errno(struct fault *reterr, fault_code code, int error_number, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "<message>: " before reterr's text and returns its code. With a NULL reterr returns FAULT_SYSTEM. */
fault_code fault_wrap(struct fault *reterr, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Lower-case word for metrics and logs: "again", "input", ... Static storage. */
const char *fault_code_name(fault_code code);

#endif
