/* SPDX-License-Identifier: Apache-2.0
 * Behind a proxy, one connection carries the requests of many callers. Where the proxy and this server disagree about
 * the end of one request, its sender writes the beginning of the next one, which is another's ("request smuggling",
 * RFC 9112, 11.2); where they disagree about which of two fields counts, one checks what the other does not use. So
 * nothing here is repaired: a request in doubt is refused, also where the RFC would let a server go on (two equal
 * Content-Length fields; Content-Length beside Transfer-Encoding). */
#include "common/net/http_framing.h"

#include <strings.h>

/* Fields that may come once (RFC 9110, 5.3), of those that decide something here. */
static const struct field {
    const char *name, *twice;
} fields[] = {
    {"Content-Length", "Content-Length twice"},
    {"Transfer-Encoding", "Transfer-Encoding twice"},
    {"Host", "Host twice"},
    {"Authorization", "Authorization twice"},
    {"Content-Type", "Content-Type twice"},
    {"Content-Encoding", "Content-Encoding twice"},
    {"Idempotency-Key", "Idempotency-Key twice"},
};
enum { CONTENT_LENGTH, TRANSFER_ENCODING, HOST };

/* RFC 9110, 5.6.2. */
static bool is_token(slice name) {
    for (size_t i = 0; i < name.size; i++) {
        const uint8_t c = name.data[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) continue;
        if (!c || !strchr("-!#$%&'*+.^_`|~", c)) return false;
    }
    return true;
}

/* uri-host [ ":" port ] (RFC 9112, 3.2); empty is allowed. Bytes that end or begin another part of a URI are none of it. */
static bool is_host(slice value) {
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] <= ' ' || value.data[i] > '~' || strchr("/?#@\\\"<>^`{|}", value.data[i])) return false;
    return true;
}

/* RFC 9110, 8.6; up to what an int64_t holds, which is more than any server takes. */
static bool is_length(slice value) {
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] < '0' || value.data[i] > '9') return false;
    return value.size >= 1 && value.size <= 18;
}

static bool same(slice a, const char *text) {
    return strlen(text) == a.size && strncasecmp((const char *)a.data, text, a.size) == 0;
}

/* Whitespace around a value is none of it (RFC 9112, 5.1). */
static slice trimmed(slice value) {
    while (value.size && (value.data[value.size - 1] == ' ' || value.data[value.size - 1] == '\t')) value.size--;
    return value;
}

static const char *field_wrong(unsigned *seen, slice name, slice value) {
    if (!name.size) return "a field without a name";
    if (!is_token(name)) return "a name with a character that no header field's name has";
    if (value.size && memchr(value.data, '\r', value.size)) return "a carriage return in a header field's value";
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (!same(name, fields[i].name)) continue;
        if (*seen & 1U << i) return fields[i].twice;
        *seen |= 1U << i;
        if (i == CONTENT_LENGTH && !is_length(trimmed(value))) return "a Content-Length that is no number of bytes";
        if (i == TRANSFER_ENCODING && !same(trimmed(value), "chunked"))
            return "a Transfer-Encoding other than chunked, which is the only one that this server reads";
        if (i == HOST && !is_host(trimmed(value))) return "a Host that is no name of a host";
        break;
    }
    return NULL;
}

void http_framing_fold(struct http_framing *framing) {
    if (!framing->wrong) framing->wrong = "a header field that goes on in a second line";
}

void http_framing_add(struct http_framing *framing, slice name, slice value) {
    if (!framing->wrong) framing->wrong = field_wrong(&framing->seen, name, value);
}

const char *http_framing_wrong(const struct http_framing *framing, bool old) {
    if (framing->wrong) return framing->wrong;
    const bool chunked = framing->seen & 1U << TRANSFER_ENCODING;
    if (chunked && framing->seen & 1U << CONTENT_LENGTH)
        return "Content-Length beside Transfer-Encoding: its end is in doubt";
    if (chunked && old) return "Transfer-Encoding in HTTP/1.0, which does not know it";
    if (!old && !(framing->seen & 1U << HOST)) return "no Host";
    return NULL;
}
