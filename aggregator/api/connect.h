/* SPDX-License-Identifier: Apache-2.0
 * The Connect protocol's error codes and bodies (connectrpc.com/docs/protocol, "Error codes", "Error end-stream") and
 * its small encodings. Pure; any thread. */
#ifndef PICKET_API_CONNECT_H
#define PICKET_API_CONNECT_H

#include "common/base/arena.h"
#include "common/base/fault.h"

enum connect_code {
    CONNECT_CANCELED,
    CONNECT_UNKNOWN,
    CONNECT_INVALID_ARGUMENT,
    CONNECT_DEADLINE_EXCEEDED,
    CONNECT_NOT_FOUND,
    CONNECT_ALREADY_EXISTS,
    CONNECT_PERMISSION_DENIED,
    CONNECT_RESOURCE_EXHAUSTED,
    CONNECT_FAILED_PRECONDITION,
    CONNECT_ABORTED,
    CONNECT_OUT_OF_RANGE,
    CONNECT_UNIMPLEMENTED,
    CONNECT_INTERNAL,
    CONNECT_UNAVAILABLE,
    CONNECT_DATA_LOSS,
    CONNECT_UNAUTHENTICATED,
    CONNECT_CODES_
};

const char *connect_code_name(enum connect_code code); /* "not_found" */
int connect_code_status(enum connect_code code);       /* 404 */
/* What a fault is to a caller. */
enum connect_code connect_code_of(fault_code code);

/* {"code":"...","message":"...","details":[]}; lives in the arena; a fixed body when the arena is full. */
slice connect_error_body(enum connect_code code, slice message, struct arena *arena);

/* Connect-Timeout-Ms: at most 10 digits. */
bool connect_timeout_parse(slice text, int64_t *ret_ms) MUST_CHECK;
/* base64url or base64, padded or not (RFC 4648), for GET's message. data is NULL when it is not that or does not fit. */
slice connect_base64(slice text, struct arena *arena) MUST_CHECK;

#endif
