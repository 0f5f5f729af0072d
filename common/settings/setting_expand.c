/* SPDX-License-Identifier: Apache-2.0
 * Names are as the shell has them (POSIX, Environment Variable Definition): letters, digits and _, no digit first. There is no fallback and no nesting
 * on purpose: a value that is not there is a mistake of the place where the program runs, and is said with its line. */
#include "common/settings/setting_expand.h"

#include "common/base/text.h"

static bool is_name(slice text) {
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t c = text.data[i];
        const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9')) return false;
    }
    return text.size > 0;
}

static bool is_utf8(slice text) {
    while (text.size) {
        const size_t size = text_utf8_character(text);
        if (!size) return false;
        text = slice_from(text, size);
    }
    return true;
}

static fault_code variable(slice name, char *const *environment, slice *ret_value, struct fault *reterr) {
    for (char *const *entry = environment; entry && *entry; entry++) {
        const slice one = slice_from_text(*entry);
        if (one.size <= name.size || !slice_starts_with(one, name) || one.data[name.size] != '=') continue;
        *ret_value = slice_from(one, name.size + 1);
        if (is_utf8(*ret_value)) return FAULT_NONE;
        return fault_set(reterr, FAULT_INPUT, "the environment variable %.*s is not UTF-8", SLICE_ARG(name));
    }
    return fault_set(
        reterr, FAULT_INPUT,
        "the environment variable %.*s is not set; set it where the program is started, or write the value",
        SLICE_ARG(name));
}

struct piece {
    slice plain, put_in; /* one after the other */
    slice rest;
};

/* The text up to the next variable, that variable's value, and what follows. */
static fault_code piece_next(slice text, char *const *environment, struct piece *ret_piece, struct fault *reterr) {
    for (size_t i = 0; i + 1 < text.size; i++) {
        if (text.data[i] != '$') continue;
        if (text.data[i + 1] == '$' && i + 2 < text.size && text.data[i + 2] == '{') {
            *ret_piece = (struct piece){slice_first(text, i), slice_of(text.data + i + 1, 2), slice_from(text, i + 3)};
            return FAULT_NONE;
        }
        if (text.data[i + 1] != '{') continue;
        const slice inner = slice_from(text, i + 2);
        const uint8_t *end = inner.size ? memchr(inner.data, '}', inner.size) : NULL;
        const slice name = end ? slice_first(inner, (size_t)(end - inner.data)) : (slice){0};
        if (!is_name(name))
            return fault_set(
                reterr, FAULT_INPUT,
                "'${' begins the name of an environment variable, as in ${NODE_NAME}; write '$${' for the two "
                "characters themselves");
        ret_piece->plain = slice_first(text, i);
        ret_piece->rest = slice_from(inner, name.size + 1);
        return variable(name, environment, &ret_piece->put_in, reterr);
    }
    *ret_piece = (struct piece){.plain = text};
    return FAULT_NONE;
}

fault_code setting_expand(slice text, char *const *environment, struct arena *arena, slice *ret_text,
                          struct fault *reterr) {
    if (!text.size || !memmem(text.data, text.size, "${", 2)) {
        *ret_text = text;
        return FAULT_NONE;
    }
    struct text out = text_begin(arena);
    for (struct piece piece = {.rest = text}; piece.rest.size;) {
        const fault_code code = piece_next(piece.rest, environment, &piece, reterr);
        if (code) return code;
        text_add(&out, piece.plain);
        text_add(&out, piece.put_in);
    }
    return text_end(&out, "settings with what the environment puts in", ret_text, reterr);
}
