/* SPDX-License-Identifier: Apache-2.0
 * The path is written from the top down; what does not fit into its buffer is cut, the words never are. Keys come from
 * outside: control characters in them become '?'. */
#include "common/codec/place.h"

#include <stdarg.h>
#include <stdio.h>

enum { PATH_BYTES = 200, WORDS_BYTES = 240, KEY_BYTES = 40 };

static size_t place_fault_path(const struct place *place, char *buffer, size_t size) {
    size_t used = place->above ? place_fault_path(place->above, buffer, size) : 0;
    if (used >= size) return size;
    int more = snprintf(buffer + used, size - used, "%s%s", used ? "." : "", place->name);
    used += more > 0 ? (size_t)more : 0;
    if (used >= size) return size;
    more = 0;
    if (place->key.data) {
        char key[KEY_BYTES + 1];
        const slice shown = slice_first(place->key, KEY_BYTES);
        for (size_t i = 0; i < shown.size; i++) key[i] = shown.data[i] < 0x20 ? '?' : (char)shown.data[i];
        more = snprintf(buffer + used, size - used, "[%.*s]", (int)shown.size, key);
    } else if (place->index >= 0) {
        more = snprintf(buffer + used, size - used, "[%td]", place->index);
    }
    used += more > 0 ? (size_t)more : 0;
    return used < size ? used : size;
}

fault_code place_fault(struct fault *reterr, const struct place *place, const char *format, ...) {
    char path[PATH_BYTES] = "message", words[WORDS_BYTES];
    if (place) place_fault_path(place, path, sizeof path);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    return fault_set(reterr, FAULT_INPUT, "%s: %s", path, words);
}
