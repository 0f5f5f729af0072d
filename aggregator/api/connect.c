/* SPDX-License-Identifier: Apache-2.0
 * The table is the protocol's own: code, name on the wire, HTTP status. */
#include "aggregator/api/connect.h"

#include "common/base/text.h"

static const struct {
    const char *name;
    int status;
} codes[CONNECT_CODES_] = {
    [CONNECT_CANCELED] = {"canceled", 499},
    [CONNECT_UNKNOWN] = {"unknown", 500},
    [CONNECT_INVALID_ARGUMENT] = {"invalid_argument", 400},
    [CONNECT_DEADLINE_EXCEEDED] = {"deadline_exceeded", 504},
    [CONNECT_NOT_FOUND] = {"not_found", 404},
    [CONNECT_ALREADY_EXISTS] = {"already_exists", 409},
    [CONNECT_PERMISSION_DENIED] = {"permission_denied", 403},
    [CONNECT_RESOURCE_EXHAUSTED] = {"resource_exhausted", 429},
    [CONNECT_FAILED_PRECONDITION] = {"failed_precondition", 400},
    [CONNECT_ABORTED] = {"aborted", 409},
    [CONNECT_OUT_OF_RANGE] = {"out_of_range", 400},
    [CONNECT_UNIMPLEMENTED] = {"unimplemented", 501},
    [CONNECT_INTERNAL] = {"internal", 500},
    [CONNECT_UNAVAILABLE] = {"unavailable", 503},
    [CONNECT_DATA_LOSS] = {"data_loss", 500},
    [CONNECT_UNAUTHENTICATED] = {"unauthenticated", 401},
};

const char *connect_code_name(enum connect_code code) {
    return codes[code].name;
}

int connect_code_status(enum connect_code code) {
    return codes[code].status;
}

enum connect_code connect_code_of(fault_code code) {
    switch (code) {
    case FAULT_AGAIN: return CONNECT_UNAVAILABLE;
    case FAULT_ABSENT: return CONNECT_NOT_FOUND;
    case FAULT_CONFLICT: return CONNECT_FAILED_PRECONDITION;
    case FAULT_EXISTS: return CONNECT_ALREADY_EXISTS;
    case FAULT_INPUT: return CONNECT_INVALID_ARGUMENT;
    case FAULT_LIMIT: return CONNECT_RESOURCE_EXHAUSTED;
    case FAULT_CORRUPT: return CONNECT_DATA_LOSS;
    case FAULT_DENIED: return CONNECT_PERMISSION_DENIED;
    case FAULT_TIMEOUT: return CONNECT_DEADLINE_EXCEEDED;
    case FAULT_SYSTEM: return CONNECT_INTERNAL;
    default: return CONNECT_UNKNOWN;
    }
}

slice connect_error_body(enum connect_code code, slice message, struct arena *arena) {
    struct text text = text_begin(arena);
    text_format(&text, "{\"code\":\"%s\",\"message\":", connect_code_name(code));
    text_add_json_string(&text, message);
    text_add_text(&text, ",\"details\":[]}");
    slice body;
    if (text_end(&text, "an error", &body, NULL))
        return SLICE_LIT(
            "{\"code\":\"resource_exhausted\",\"message\":\"the request used up its memory\",\"details\":[]}");
    return body;
}

bool connect_timeout_parse(slice text, int64_t *ret_ms) {
    if (text.size == 0 || text.size > 10) return false;
    int64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        value = value * 10 + (text.data[i] - '0');
    }
    *ret_ms = value;
    return true;
}

static int base64_value(uint8_t c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+' || c == '-') return 62;
    if (c == '/' || c == '_') return 63;
    return -1;
}

slice connect_base64(slice text, struct arena *arena) {
    while (text.size && text.data[text.size - 1] == '=') text.size--;
    uint8_t *bytes = arena_alloc(arena, text.size + 1);
    if (!bytes || text.size % 4 == 1) return (slice){0};
    size_t size = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < text.size; i++) {
        const int value = base64_value(text.data[i]);
        if (value < 0) return (slice){0};
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 == 0) continue;
        bytes[size++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    return slice_of(bytes, size);
}
