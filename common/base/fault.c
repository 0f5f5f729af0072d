/* SPDX-License-Identifier: Apache-2.0
 * A fault is a value in the caller's frame: nothing is allocated, so failing can never fail. Text that does not
 * fit is cut at the end of the innermost message, which is the part that repeats what the caller knows best. */
#include "common/base/fault.h"

#include <stdarg.h>
#include <stdio.h>

fault_code fault_set(struct fault *reterr, fault_code code, const char *format, ...) {
    if (!reterr) return code;
    va_list args;
    va_start(args, format);
    vsnprintf(reterr->text, sizeof reterr->text, format, args);
    va_end(args);
    reterr->code = code;
    return code;
}

fault_code fault_set_errno(struct fault *reterr, fault_code code, int error_number, const char *format, ...) {
    if (!reterr) return code;
    va_list args;
    va_start(args, format);
    int used = vsnprintf(reterr->text, sizeof reterr->text, format, args);
    va_end(args);
    /* strerror is safe between threads: constant texts in musl, a buffer a thread in glibc (2.32) */
    if (used >= 0 && (size_t)used < sizeof reterr->text)
        snprintf(reterr->text + used, sizeof reterr->text - (size_t)used, ": %s", strerror(error_number));
    reterr->code = code;
    return code;
}

fault_code fault_wrap(struct fault *reterr, const char *format, ...) {
    if (!reterr) return FAULT_SYSTEM;
    char inner[sizeof reterr->text];
    memcpy(inner, reterr->text, sizeof inner);
    va_list args;
    va_start(args, format);
    int used = vsnprintf(reterr->text, sizeof reterr->text, format, args);
    va_end(args);
    if (used < 0) used = 0;
    if ((size_t)used < sizeof reterr->text)
        snprintf(reterr->text + used, sizeof reterr->text - (size_t)used, ": %s", inner);
    return reterr->code;
}

const char *fault_code_name(fault_code code) {
    static const char *const names[FAULT_MAX_] = {
        [FAULT_NONE] = "none",         [FAULT_AGAIN] = "again",   [FAULT_ABSENT] = "absent",
        [FAULT_CONFLICT] = "conflict", [FAULT_INPUT] = "input",   [FAULT_LIMIT] = "limit",
        [FAULT_CORRUPT] = "corrupt",   [FAULT_DENIED] = "denied", [FAULT_TIMEOUT] = "timeout",
        [FAULT_SYSTEM] = "system",     [FAULT_EXISTS] = "exists",
    };
    return (unsigned)code < FAULT_MAX_ ? names[code] : "unknown";
}
