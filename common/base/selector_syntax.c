/* SPDX-License-Identifier: Apache-2.0
 * The syntax is PromQL's for a vector selector: strings in "double" or 'single' quotes with Go's escapes, or in
 * `back quotes` without; commas may trail; the name may stand in the braces, quoted or as __name__="...". */
#include "common/base/selector_syntax.h"

#include <stdlib.h>

struct scan {
    slice text;
    size_t at;
    struct selector *into;
    struct fault *reterr;
};

static void scan_blanks(struct scan *s) {
    while (s->at < s->text.size && strchr(" \t\r\n", s->text.data[s->at]) && s->text.data[s->at]) s->at++;
}

static int scan_peek(const struct scan *s) {
    return s->at < s->text.size ? s->text.data[s->at] : -1;
}

static bool scan_take(struct scan *s, const char *token) {
    if (!slice_starts_with(slice_from(s->text, s->at), slice_from_text(token))) return false;
    s->at += strlen(token);
    return true;
}

static fault_code scan_fault(const struct scan *s, const char *expected) {
    const int found = scan_peek(s);
    if (found < 0)
        return fault_set(s->reterr, FAULT_INPUT, "column %zu: expected %s, found the end", s->at + 1, expected);
    if (found >= 0x20 && found < 0x7f)
        return fault_set(s->reterr, FAULT_INPUT, "column %zu: expected %s, found '%c'", s->at + 1, expected, found);
    return fault_set(s->reterr, FAULT_INPUT, "column %zu: expected %s, found byte 0x%02x", s->at + 1, expected,
                     (unsigned)found);
}

static bool is_word_byte(int byte, bool first, bool colon) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_' || (colon && byte == ':') ||
           (!first && byte >= '0' && byte <= '9');
}

static slice scan_word(struct scan *s, bool colon) {
    const size_t start = s->at;
    while (is_word_byte(scan_peek(s), s->at == start, colon)) s->at++;
    return slice_of(s->text.data + start, s->at - start);
}

static void store_byte(struct scan *s, uint32_t byte) {
    s->into->store[s->into->store_used++] =
        (uint8_t)byte; /* room for the text: an escape is longer than what it means */
}

static void store_character(struct scan *s, uint32_t character) {
    if (character < 0x80) {
        store_byte(s, character);
    } else if (character < 0x800) {
        store_byte(s, 0xc0 | character >> 6);
        store_byte(s, 0x80 | (character & 0x3f));
    } else if (character < 0x10000) {
        store_byte(s, 0xe0 | character >> 12);
        store_byte(s, 0x80 | (character >> 6 & 0x3f));
        store_byte(s, 0x80 | (character & 0x3f));
    } else {
        store_byte(s, 0xf0 | character >> 18);
        store_byte(s, 0x80 | (character >> 12 & 0x3f));
        store_byte(s, 0x80 | (character >> 6 & 0x3f));
        store_byte(s, 0x80 | (character & 0x3f));
    }
}

/* Reads `count` digits of a base; -1 when they are not there. */
static int64_t scan_digits(struct scan *s, int count, int base) {
    int64_t value = 0;
    for (int i = 0; i < count; i++) {
        const int byte = scan_peek(s);
        const int digit = byte >= '0' && byte <= '9'                     ? byte - '0'
                          : (byte | 0x20) >= 'a' && (byte | 0x20) <= 'f' ? (byte | 0x20) - 'a' + 10
                                                                         : 99;
        if (byte < 0 || digit >= base) return -1;
        value = value * base + digit;
        s->at++;
    }
    return value;
}

/* Behind a backslash, Go's escapes (strconv.Unquote). */
static fault_code scan_escape(struct scan *s, int quote) {
    static const char names[] = "abfnrtv\\", values[] = "\a\b\f\n\r\t\v\\";
    const int byte = scan_peek(s);
    const char *const name = byte > 0 ? strchr(names, byte) : NULL;
    if (name || byte == quote) {
        s->at++;
        store_byte(s, name ? (uint32_t)(uint8_t)values[name - names] : (uint32_t)quote);
        return FAULT_NONE;
    }
    const size_t start = s->at;
    int64_t value = -1;
    bool character = false;
    if (scan_take(s, "x")) {
        value = scan_digits(s, 2, 16);
    } else if (scan_take(s, "u")) {
        value = scan_digits(s, 4, 16);
        character = true;
    } else if (scan_take(s, "U")) {
        value = scan_digits(s, 8, 16);
        character = true;
    } else if (byte >= '0' && byte <= '7') {
        value = scan_digits(s, 3, 8);
        if (value > 255) value = -1;
    }
    if (value < 0 || value > 0x10ffff || (character && value >= 0xd800 && value <= 0xdfff)) {
        s->at = start;
        return scan_fault(s,
                          "an escape as in Go (\\n, \\\", \\\\, \\x41, \\u00e9; write \\\\. for the expression \\.)");
    }
    if (character)
        store_character(s, (uint32_t)value);
    else
        store_byte(s, (uint32_t)value);
    return FAULT_NONE;
}

/* A quoted text; ret_value lives in the selector's store. */
static fault_code scan_string(struct scan *s, slice *ret_value) {
    const int quote = scan_peek(s);
    if (quote != '"' && quote != '\'' && quote != '`') return scan_fault(s, "a text in quotes");
    s->at++;
    const size_t start = s->into->store_used;
    for (;;) {
        const int byte = scan_peek(s);
        if (byte < 0 || (byte == '\n' && quote != '`')) return scan_fault(s, "the closing quote");
        s->at++;
        if (byte == quote) break;
        if (byte != '\\' || quote == '`') {
            store_byte(s, (uint32_t)byte);
            continue;
        }
        const fault_code code = scan_escape(s, quote);
        if (code) return code;
    }
    *ret_value = slice_of(s->into->store + start, s->into->store_used - start);
    return FAULT_NONE;
}

static slice store_copy(struct scan *s, slice text) {
    uint8_t *const into = s->into->store + s->into->store_used;
    if (text.size) memcpy(into, text.data, text.size);
    s->into->store_used += text.size;
    return slice_of(into, text.size);
}

static fault_code scan_set_name(struct scan *s, slice name) {
    if (s->into->name.size) return scan_fault(s, "one metric name only");
    if (name.size == 0) return scan_fault(s, "a metric name that is not empty");
    s->into->name = name;
    return FAULT_NONE;
}

static bool scan_operator(struct scan *s, enum matcher_kind *ret_kind) {
    if (scan_take(s, "=~"))
        *ret_kind = MATCH_PATTERN;
    else if (scan_take(s, "!~"))
        *ret_kind = MATCH_NOT_PATTERN;
    else if (scan_take(s, "!="))
        *ret_kind = MATCH_NOT_EQUAL;
    else if (scan_take(s, "="))
        *ret_kind = MATCH_EQUAL;
    else
        return false;
    return true;
}

static fault_code scan_matcher(struct scan *s) {
    slice label;
    const bool quoted = scan_peek(s) == '"' || scan_peek(s) == '\'' || scan_peek(s) == '`';
    if (quoted) {
        const fault_code code = scan_string(s, &label);
        if (code) return code;
    } else {
        label = scan_word(s, false);
        if (label.size == 0) return scan_fault(s, "a label name or '}'");
    }
    scan_blanks(s);
    struct matcher matcher = {.label = label};
    if (!scan_operator(s, &matcher.kind)) {
        if (quoted && (scan_peek(s) == ',' || scan_peek(s) == '}')) return scan_set_name(s, label);
        return scan_fault(s, "=, !=, =~ or !~");
    }
    scan_blanks(s);
    fault_code code = scan_string(s, &matcher.value);
    if (code) return code;
    if (slice_equal_text(label, "__name__")) {
        if (matcher.kind != MATCH_EQUAL)
            return scan_fault(s, "__name__ with = (a selector without one name would make every line be parsed)");
        return scan_set_name(s, matcher.value);
    }
    if (s->into->matchers_count == SELECTOR_MATCHERS_MAX)
        return fault_set(s->reterr, FAULT_LIMIT, "more than %d matchers (SELECTOR_MATCHERS_MAX)",
                         SELECTOR_MATCHERS_MAX);
    if (matcher.kind == MATCH_PATTERN || matcher.kind == MATCH_NOT_PATTERN) {
        struct fault why = {0};
        code = pattern_compile(matcher.value, &matcher.pattern, &why);
        if (code) return fault_set(s->reterr, code, "column %zu: %s", s->at, why.text);
    }
    if (!quoted) matcher.label = store_copy(s, label);
    s->into->matchers[s->into->matchers_count++] = matcher;
    return FAULT_NONE;
}

static fault_code scan_selector(struct scan *s) {
    scan_blanks(s);
    const slice name = scan_word(s, true);
    if (name.size) s->into->name = store_copy(s, name);
    scan_blanks(s);
    if (scan_take(s, "{")) {
        scan_blanks(s);
        while (!scan_take(s, "}")) {
            const fault_code code = scan_matcher(s);
            if (code) return code;
            scan_blanks(s);
            if (scan_take(s, ","))
                scan_blanks(s);
            else if (scan_peek(s) != '}')
                return scan_fault(s, "',' or '}'");
        }
        scan_blanks(s);
    }
    if (s->at < s->text.size) return scan_fault(s, s->into->name.size ? "the end of the selector" : "a metric name");
    if (s->into->name.size == 0) return scan_fault(s, "a metric name (before the braces, or __name__=\"...\")");
    return FAULT_NONE;
}

static bool ends_with(slice text, slice end) {
    return text.size > end.size && slice_equal(slice_from(text, text.size - end.size), end);
}

fault_code selector_parse(slice text, const char *name_suffix, struct selector **ret_selector, struct fault *reterr) {
    if (text.size > SELECTOR_BYTES_MAX)
        return fault_set(reterr, FAULT_LIMIT, "the selector is longer than %d bytes (SELECTOR_BYTES_MAX)",
                         SELECTOR_BYTES_MAX);
    if (text.size == 0) text = SLICE_LIT("");
    const slice suffix = slice_from_text(name_suffix);
    struct selector *const selector = calloc(1, sizeof *selector);
    /* Twice the text: what is stored of it, and the name again with its suffix. */
    if (selector) selector->store = malloc(2 * text.size + suffix.size + 1);
    if (selector == NULL || selector->store == NULL) {
        selector_free(selector);
        return fault_set(reterr, FAULT_SYSTEM, "out of memory");
    }
    struct scan scan = {.text = text, .into = selector, .reterr = reterr};
    const fault_code code = scan_selector(&scan);
    if (code) {
        selector_free(selector);
        return code;
    }
    if (suffix.size && !ends_with(selector->name, suffix)) {
        const slice whole = {store_copy(&scan, selector->name).data, selector->name.size + suffix.size};
        (void)store_copy(&scan, suffix);
        selector->name = whole;
    }
    *ret_selector = selector;
    return FAULT_NONE;
}

struct selector *selector_free(struct selector *selector) {
    if (selector) {
        for (size_t i = 0; i < selector->matchers_count; i++) pattern_free(selector->matchers[i].pattern);
        free(selector->store);
        free(selector);
    }
    return NULL;
}

slice selector_name(const struct selector *selector) {
    return selector->name;
}
