/* SPDX-License-Identifier: Apache-2.0
 * Passwords in URLs and in what looks like them: "scheme://user:password@host", also where the password holds what it
 * should not (a slash, a hash, a blank), and without a scheme: "user:password@tcp(host)", "user:password@host/path".
 */
#include "agent/diagnose/mask_rules.h"
#include "agent/diagnose/mask_text.h"

enum {
    PASSWORD_BYTES_MAX = 256, /* how far behind a broken one its '@' is looked for */
    HOST_BYTES_MAX = 255,     /* RFC 1035 section 2.3.4 */
    PORT_BYTES_MAX = 5,
};

static bool is_url_byte(uint8_t c) {
    return c > ' ' && !mask_is_quote(c) && c != '<' && c != '>' && c != '\\';
}

/* Whether "host:port" cannot be what ends at `end`, so that it is "user:" and a part of a password. */
static bool has_no_port(slice text, size_t colon, size_t end) {
    if (colon == SIZE_MAX || end - colon - 1 == 0) return false;
    if (end - colon - 1 > PORT_BYTES_MAX) return true;
    for (size_t i = colon + 1; i < end; i++)
        if (!isdigit(text.data[i])) return true;
    return false;
}

/* http and what is like it has paths with '@'; in the URLs of databases and queues it is where the host begins. */
static bool may_have_paths(slice text, size_t at) {
    static const slice schemes[] = {{(const uint8_t *)"http", 4}, {(const uint8_t *)"https", 5},
                                    {(const uint8_t *)"ws", 2},   {(const uint8_t *)"wss", 3},
                                    {(const uint8_t *)"git", 3},  {(const uint8_t *)"file", 4}};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (at >= schemes[i].size && mask_goes_on_with(slice_first(text, at), at - schemes[i].size, schemes[i]))
            return true;
    return false;
}

/* The '@' of a password in which the authority broke off at `end`; 0: it did not. */
static size_t broken_end(slice text, size_t end, bool paths, size_t colon) {
    const size_t limit = text.size - end > PASSWORD_BYTES_MAX ? end + PASSWORD_BYTES_MAX : text.size;
    const bool broken = has_no_port(text, colon, end);
    size_t last = 0;
    if (colon == SIZE_MAX || (paths && !broken)) return 0;
    if (colon + 1 == end && mask_goes_on_with(text, end, SLICE_LIT("//"))) return 0; /* another URL */
    for (; end < limit && is_url_byte(text.data[end]); end++)
        if (text.data[end] == '@') last = end;
    if (last || !broken) return last;
    for (; end < limit && text.data[end] != '\n' && !mask_is_quote(text.data[end]); end++)
        if (text.data[end] == '@' && end + 1 < text.size && mask_is_alnum(text.data[end + 1])) return end;
    return 0;
}

void mask_rule_urls(slice text, uint8_t *marks) {
    size_t at = 0;
    while ((at = mask_find(text, at, SLICE_LIT("://"))) != SIZE_MAX) {
        const bool paths = may_have_paths(text, at);
        size_t end = at += 3, last = 0, colon = SIZE_MAX;
        for (; end < text.size && is_url_byte(text.data[end]) && !strchr("/?#", text.data[end]); end++) {
            if (text.data[end] == '@') last = end;
            if (text.data[end] == ':' && colon == SIZE_MAX) colon = end;
        }
        if (at < text.size && text.data[at] == '[') colon = SIZE_MAX; /* RFC 3986 section 3.2.2: an IPv6 address */
        if (!last) last = broken_end(text, end, paths, colon);
        if (last) mask_mark(marks, at, last);
        at = end > at ? end - 1 : end; /* what ended it may be the slashes of another */
    }
}

/* ---- user:password@host without a scheme ---- */

/* Whether a host stands behind the '@': with a port, a path, or in brackets behind its network, as Go writes it. A mail
 * address has none of them, and the digest of an image is none. */
static bool is_host(slice text, size_t at) {
    size_t end = at;
    while (end < text.size && end - at < HOST_BYTES_MAX && mask_is_name_byte(text.data[end])) end++;
    if (end >= text.size || mask_goes_on_with(text, at, SLICE_LIT("sha"))) return false;
    if (text.data[end] == '/') return end > at || end + 1 == text.size || is_url_byte(text.data[end + 1]);
    if (text.data[end] == '(') return end > at;
    return text.data[end] == ':' && end > at && end + 1 < text.size && isdigit(text.data[end + 1]);
}

void mask_rule_userinfo(slice text, uint8_t *marks) {
    size_t colon = SIZE_MAX; /* of the word that we are in */
    bool url = false;        /* it is one, and mask_rule_urls knows what its parts are */
    for (size_t at = 0; at < text.size; at++) {
        const uint8_t c = text.data[at];
        if (!is_url_byte(c)) {
            colon = SIZE_MAX;
            url = false;
        } else if (c == ':' && colon == SIZE_MAX) {
            url |= mask_goes_on_with(text, at, SLICE_LIT("://"));
            if (!url && at > 0 && (mask_is_alnum(text.data[at - 1]) || strchr("_-.", text.data[at - 1]))) colon = at;
        } else if (c == '@' && colon != SIZE_MAX && colon + 1 < at && is_host(text, at + 1)) {
            mask_mark(marks, colon + 1, at);
            colon = at; /* a longer one goes on from here */
        }
    }
}
