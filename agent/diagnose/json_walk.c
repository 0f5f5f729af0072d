/* SPDX-License-Identifier: Apache-2.0
 * A value's end is found by counting brackets outside strings, without recursion; what is inside is looked at when somebody
 * walks into it. So each level is scanned once by each level above it, which is what a few levels may cost. */
#include "agent/diagnose/json_walk.h"

#include <string.h>

static slice skip_blanks(slice text) {
    while (text.size && strchr(" \t\r\n", text.data[0]) && text.data[0]) text = slice_from(text, 1);
    return text;
}

bool json_walk_is(slice value, char first) {
    return value.size && value.data[0] == (uint8_t)first;
}

/* Bytes of the string that begins here, with its quotes; 0: it does not end. */
static size_t string_size(slice text) {
    for (size_t i = 1; i < text.size; i++) {
        if (text.data[i] == '\\')
            i++;
        else if (text.data[i] == '"')
            return i + 1;
        else if (text.data[i] < ' ')
            return 0;
    }
    return 0;
}

/* Bytes of the value that begins here; 0: it is none, or does not end. */
static size_t value_size(slice text) {
    if (!text.size) return 0;
    if (text.data[0] == '"') return string_size(text);
    if (text.data[0] != '{' && text.data[0] != '[') {
        size_t size = 0;
        while (size < text.size && text.data[size] && !strchr(" \t\r\n,:{}[]\"", text.data[size])) size++;
        return size;
    }
    size_t depth = 0;
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t c = text.data[i];
        if (c == '"') {
            const size_t size = string_size(slice_from(text, i));
            if (!size) return 0;
            i += size - 1;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

struct json_walk json_walk_into(slice value) {
    value = skip_blanks(value);
    struct json_walk walk = {.object = json_walk_is(value, '{'), .state = JSON_WALK_BROKEN};
    if (!walk.object && !json_walk_is(value, '[')) return walk;
    const size_t size = value_size(value);
    if (!size) return walk;
    walk.rest = slice_of(value.data + 1, size - 1); /* with the closing bracket */
    walk.state = JSON_WALK_BEGIN;
    return walk;
}

static bool broken(struct json_walk *walk) {
    walk->state = JSON_WALK_BROKEN;
    return false;
}

bool json_walk_next(struct json_walk *walk, slice *ret_name, slice *ret_value) {
    if (walk->state != JSON_WALK_BEGIN && walk->state != JSON_WALK_INSIDE) return false;
    slice rest = skip_blanks(walk->rest), name = {0};
    if (rest.size == 1 && rest.data[0] == (walk->object ? '}' : ']')) {
        walk->state = JSON_WALK_END;
        return false;
    }
    if (walk->state == JSON_WALK_INSIDE) {
        if (!json_walk_is(rest, ',')) return broken(walk);
        rest = skip_blanks(slice_from(rest, 1));
    }
    if (walk->object) {
        const size_t size = json_walk_is(rest, '"') ? string_size(rest) : 0;
        if (!size) return broken(walk);
        name = slice_of(rest.data + 1, size - 2);
        rest = skip_blanks(slice_from(rest, size));
        if (!json_walk_is(rest, ':')) return broken(walk);
        rest = skip_blanks(slice_from(rest, 1));
    }
    const size_t size = value_size(rest);
    if (!size || size >= rest.size) return broken(walk);
    *ret_name = name;
    *ret_value = slice_first(rest, size);
    walk->rest = slice_from(rest, size);
    walk->state = JSON_WALK_INSIDE;
    return true;
}

bool json_walk_ended(const struct json_walk *walk) {
    return walk->state == JSON_WALK_END;
}

slice json_walk_find(slice value, const char *path) {
    while (*path) {
        const char *const dot = strchr(path, '.');
        const slice wanted = slice_of(path, dot ? (size_t)(dot - path) : strlen(path));
        struct json_walk walk = json_walk_into(value);
        slice name, found;
        value = (slice){0};
        while (!value.size && json_walk_next(&walk, &name, &found))
            if (slice_equal(name, wanted)) value = found;
        if (!value.size) return value;
        path += wanted.size + (dot != NULL);
    }
    return value;
}

static int hex_digit(uint8_t c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* Four digits at the front; -1: they are none. */
static int32_t hex_four(slice text) {
    int32_t number = 0;
    if (text.size < 4) return -1;
    for (int i = 0; i < 4; i++) {
        const int digit = hex_digit(text.data[i]);
        if (digit < 0) return -1;
        number = number * 16 + digit;
    }
    return number;
}

static size_t put_character(uint8_t *to, uint32_t c) {
    if (c < 0x80) {
        to[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (uint8_t)(0xc0 | c >> 6);
        to[1] = (uint8_t)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (uint8_t)(0xe0 | c >> 12);
        to[1] = (uint8_t)(0x80 | (c >> 6 & 63));
        to[2] = (uint8_t)(0x80 | (c & 63));
        return 3;
    }
    to[0] = (uint8_t)(0xf0 | c >> 18);
    to[1] = (uint8_t)(0x80 | (c >> 12 & 63));
    to[2] = (uint8_t)(0x80 | (c >> 6 & 63));
    to[3] = (uint8_t)(0x80 | (c & 63));
    return 4;
}

/* "\u00e4", or a pair of surrogates; a lone one becomes U+FFFD, and so does NUL, which nobody can show. at: behind the 'u'. */
static size_t put_escaped(slice text, size_t *at, uint8_t *to) {
    const int32_t first = hex_four(slice_from(text, *at));
    if (first < 0) return put_character(to, 0xfffd);
    *at += 4;
    if (first == 0) return put_character(to, 0xfffd);
    if (first < 0xd800 || first > 0xdfff) return put_character(to, (uint32_t)first);
    const slice behind = slice_from(text, *at);
    const int32_t second = slice_starts_with(behind, SLICE_LIT("\\u")) ? hex_four(slice_from(behind, 2)) : -1;
    if (first > 0xdbff || second < 0xdc00 || second > 0xdfff) return put_character(to, 0xfffd);
    *at += 6;
    return put_character(to, 0x10000 + ((uint32_t)(first - 0xd800) << 10) + (uint32_t)(second - 0xdc00));
}

bool json_walk_text(slice value, struct arena *arena, slice *ret_text) {
    if (!json_walk_is(value, '"') || value.size < 2) return false;
    const slice text = slice_of(value.data + 1, value.size - 2);
    if (!text.size || !memchr(text.data, '\\', text.size)) {
        *ret_text = text;
        return true;
    }
    uint8_t *const to =
        arena_alloc(arena, text.size + text.size / 2 + 1); /* a broken "\\u" becomes U+FFFD, of three bytes */
    if (!to) return false;
    size_t size = 0;
    for (size_t at = 0; at < text.size;) {
        if (text.data[at] != '\\' || at + 1 == text.size) {
            to[size++] = text.data[at++];
            continue;
        }
        const uint8_t c = text.data[at + 1];
        static const char escapes[] = "bfnrt", means[] = "\b\f\n\r\t";
        const char *const known = c ? strchr(escapes, c) : NULL;
        at += 2;
        if (c == 'u')
            size += put_escaped(text, &at, to + size);
        else
            to[size++] = known ? (uint8_t)means[known - escapes] : c;
    }
    *ret_text = slice_of(to, size);
    return true;
}

int64_t json_walk_number(slice value, int64_t otherwise) {
    int64_t number = 0;
    const bool negative = json_walk_is(value, '-');
    if (negative) value = slice_from(value, 1);
    if (!value.size || value.size > 18) return otherwise;
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') return otherwise;
        number = number * 10 + (value.data[i] - '0');
    }
    return negative ? -number : number;
}
