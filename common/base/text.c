/* SPDX-License-Identifier: Apache-2.0
 * The buffer doubles by arena_grow, which extends in place while it is the arena's last allocation. One byte
 * is always kept for the NUL. */
#include "common/base/text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

enum { FIRST_CAPACITY = 1024 };

struct text text_begin(struct arena *arena) {
    return (struct text){.arena = arena};
}

static bool reserve(struct text *text, size_t more) {
    if (text->full) return false;
    size_t needed;
    if (__builtin_add_overflow(text->size, more, &needed) || __builtin_add_overflow(needed, 1, &needed)) {
        text->full = true;
        return false;
    }
    if (needed <= text->capacity) return true;
    size_t capacity = text->capacity ? text->capacity : FIRST_CAPACITY;
    while (capacity < needed) {
        if (__builtin_mul_overflow(capacity, 2, &capacity)) capacity = needed;
    }
    uint8_t *grown = arena_grow(text->arena, text->data, text->size, capacity);
    if (!grown) {
        capacity = needed;
        grown = arena_grow(text->arena, text->data, text->size, capacity);
    }
    if (!grown) {
        text->full = true;
        return false;
    }
    text->data = grown;
    text->capacity = capacity;
    return true;
}

void text_add(struct text *text, slice piece) {
    if (piece.size == 0 || !reserve(text, piece.size)) return;
    memcpy(text->data + text->size, piece.data, piece.size);
    text->size += piece.size;
}

void text_add_text(struct text *text, const char *piece) {
    text_add(text, slice_from_text(piece));
}

void text_format_args(struct text *text, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    const int size = vsnprintf(NULL, 0, format, args);
    if (size >= 0 && reserve(text, (size_t)size)) {
        vsnprintf((char *)text->data + text->size, (size_t)size + 1, format, again);
        text->size += (size_t)size;
    }
    va_end(again);
}

void text_format(struct text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    text_format_args(text, format, args);
    va_end(args);
}

size_t text_utf8_character(slice bytes) {
    if (bytes.size == 0) return 0;
    const uint8_t lead = bytes.data[0];
    if (lead < 0x80) return 1;
    const size_t size = lead >= 0xC2 && lead <= 0xDF   ? 2
                        : lead >= 0xE0 && lead <= 0xEF ? 3
                        : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                       : 0;
    if (size == 0 || bytes.size < size) return 0;
    for (size_t i = 1; i < size; i++)
        if ((bytes.data[i] & 0xC0) != 0x80) return 0;
    const uint8_t second = bytes.data[1];
    if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) || (lead == 0xF0 && second < 0x90) ||
        (lead == 0xF4 && second > 0x8F))
        return 0;
    return size;
}

void text_add_json_string(struct text *text, slice value) {
    text_add_text(text, "\"");
    size_t plain = 0;
    for (size_t at = 0; at < value.size && !text->full;) {
        const uint8_t byte = value.data[at];
        const size_t size = text_utf8_character(slice_from(value, at));
        const bool c1 = size == 2 && byte == 0xC2 && value.data[at + 1] < 0xA0;
        if (size && byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7F && !c1) {
            at += size;
            continue;
        }
        text_add(text, slice_of(value.data + plain, at - plain));
        if (size == 0)
            text_add_text(text, "\xEF\xBF\xBD");
        else if (byte == '"')
            text_add_text(text, "\\\"");
        else if (byte == '\\')
            text_add_text(text, "\\\\");
        else if (byte == '\n')
            text_add_text(text, "\\n");
        else if (byte == '\t')
            text_add_text(text, "\\t");
        else if (byte == '\r')
            text_add_text(text, "\\r");
        else
            text_format(text, "\\u%04x", c1 ? value.data[at + 1] : byte);
        at += c1 ? 2 : 1;
        plain = at;
    }
    if (value.size > plain) text_add(text, slice_of(value.data + plain, value.size - plain));
    text_add_text(text, "\"");
}

fault_code text_end(struct text *text, const char *what, slice *ret_text, struct fault *reterr) {
    if (!reserve(text, 0)) return fault_set(reterr, FAULT_LIMIT, "%s: larger than its memory", what);
    text->data[text->size] = '\0';
    *ret_text = slice_of(text->data, text->size);
    return FAULT_NONE;
}

/* Of what is behind the scheme: without path and user. */
static slice authority_of(slice rest) {
    size_t size = 0;
    while (size < rest.size && !memchr("/?#", rest.data[size], 3)) size++;
    rest = slice_first(rest, size);
    for (size_t i = rest.size; i > 0; i--) /* the last @: what is before it is a user and may hold others */
        if (rest.data[i - 1] == '@') return slice_from(rest, i);
    return rest;
}

/* host [ ":" port ] (RFC 3986, 3.2.2 and 3.2.3): the bracket of an IPv6 address is closed, a port is one or empty. */
static bool authority_holds(slice rest) {
    rest = authority_of(rest);
    const bool six = rest.size && rest.data[0] == '[';
    const uint8_t *end = rest.size ? memchr(rest.data, six ? ']' : ':', rest.size) : NULL;
    if (six && (!end || end - rest.data < 3)) return false;
    const slice port = end ? slice_from(rest, (size_t)(end - rest.data) + six) : (slice){0};
    if (rest.size == 0 || end == rest.data || (port.size && port.data[0] != ':')) return false;
    unsigned number = 0;
    for (size_t i = 1; i < port.size; i++) {
        if (port.data[i] < '0' || port.data[i] > '9') return false;
        number = number * 10 + (port.data[i] - '0');
        if (number > 65535) return false;
    }
    return true;
}

bool text_is_http_url(slice text) {
    size_t scheme = 0;
    if (slice_starts_with(text, SLICE_LIT("http://"))) scheme = 7;
    if (slice_starts_with(text, SLICE_LIT("https://"))) scheme = 8;
    if (scheme == 0 || text.size == scheme || memchr("/?#:", text.data[scheme], 4)) return false;
    for (size_t i = scheme; i < text.size; i++)
        if (text.data[i] <= ' ' || text.data[i] == 0x7F) return false;
    return authority_holds(slice_from(text, scheme));
}

slice text_http_url_host(slice url) {
    const slice rest = authority_of(slice_from(url, slice_starts_with(url, SLICE_LIT("https://")) ? 8 : 7));
    size_t colon;
    const uint8_t *bracket = rest.size && rest.data[0] == '[' ? memchr(rest.data, ']', rest.size) : NULL;
    if (bracket) return slice_of(rest.data + 1, (size_t)(bracket - rest.data) - 1);
    for (colon = 0; colon < rest.size && rest.data[colon] != ':';) colon++;
    return slice_first(rest, colon);
}

bool text_is_loopback(slice address) {
    char text[INET6_ADDRSTRLEN];
    struct in_addr four;
    struct in6_addr six;
    if (!slice_to_text(address, text, sizeof text)) return false;
    if (inet_pton(AF_INET, text, &four) == 1) return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, text, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

bool text_host_port(slice text, slice *ret_host, uint16_t *ret_port) {
    size_t colon = text.size;
    while (colon > 0 && text.data[colon - 1] != ':') colon--;
    if (colon < 2) return false;
    slice host = slice_first(text, colon - 1);
    const slice digits = slice_from(text, colon);
    if (host.data[0] == '[' && host.data[host.size - 1] == ']' && host.size > 2)
        host = slice_first(slice_from(host, 1), host.size - 2);
    else if (memchr(host.data, ':', host.size))
        return false;
    unsigned port = 0;
    for (size_t i = 0; i < digits.size && port < 100000; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9') return false;
        port = port * 10 + (digits.data[i] - '0');
    }
    if (digits.size == 0 || port == 0 || port > 65535) return false;
    *ret_host = host;
    *ret_port = (uint16_t)port;
    return true;
}
