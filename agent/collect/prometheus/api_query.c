/* SPDX-License-Identifier: Apache-2.0
 * A parsed selector back to PromQL: always the same text for the same selector, whatever quotes it was written in. Names
 * that are none of the old kind go in quotes, as Prometheus 3 reads them. */
#include "agent/collect/prometheus/prometheus_api.h"

#include <stdio.h>

struct put {
    char *at, *end;
    bool full;
};

static void put_text(struct put *p, slice text) {
    if ((size_t)(p->end - p->at) < text.size) {
        p->full = true;
        return;
    }
    if (text.size) memcpy(p->at, text.data, text.size);
    p->at += text.size;
}

static void put_literal(struct put *p, const char *text) {
    put_text(p, slice_from_text(text));
}

static void put_quoted(struct put *p, slice text) {
    put_literal(p, "\"");
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t byte = text.data[i];
        char escape[8];
        if (byte == '"' || byte == '\\')
            snprintf(escape, sizeof escape, "\\%c", byte);
        else if (byte < 0x20)
            snprintf(escape, sizeof escape, "\\x%02x", byte);
        else
            snprintf(escape, sizeof escape, "%c", byte);
        put_literal(p, escape);
    }
    put_literal(p, "\"");
}

static bool is_plain(slice name, bool colons) {
    if (name.size == 0) return false;
    for (size_t i = 0; i < name.size; i++) {
        const uint8_t c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colons && c == ':') ||
              (i && c >= '0' && c <= '9')))
            return false;
    }
    return true;
}

bool prometheus_api_query(const struct selector *selector, int64_t fresh_ms, char *ret_text, size_t text_bytes) {
    static const char *const operators[] = {
        [MATCH_EQUAL] = "=", [MATCH_NOT_EQUAL] = "!=", [MATCH_PATTERN] = "=~", [MATCH_NOT_PATTERN] = "!~"};
    struct put p = {ret_text, ret_text + text_bytes - 1, false};
    const slice name = selector_name(selector);
    const bool plain = is_plain(name, true);
    put_literal(&p, "last_over_time(");
    if (plain) put_text(&p, name);
    put_literal(&p, "{");
    if (!plain) put_quoted(&p, name);
    for (size_t i = 0; i < selector->matchers_count; i++) {
        const struct matcher *const matcher = &selector->matchers[i];
        if (i || !plain) put_literal(&p, ",");
        if (is_plain(matcher->label, false))
            put_text(&p, matcher->label);
        else
            put_quoted(&p, matcher->label);
        put_literal(&p, operators[matcher->kind]);
        put_quoted(&p, matcher->value);
    }
    char tail[40];
    snprintf(tail, sizeof tail, "}[%lldms])", (long long)fresh_ms);
    put_literal(&p, tail);
    *p.at = '\0';
    return !p.full;
}
