/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as an object; then the value of an environment variable among any bytes. Beyond not crashing: what is shown is
 * JSON as our own walk reads it, and the value is not in it. */
#include "agent/diagnose/json_walk.h"
#include "agent/diagnose/object_view.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void view(struct arena *arena, const struct mask *mask, slice json, const char *secret) {
    struct object_view shown = {.mask = mask, .arena = arena};
    struct text out = text_begin(arena);
    struct fault fault;
    slice text, name, value;
    if (object_view_add(&shown, json, &out, &fault) || text_end(&out, "the object", &text, &fault)) return;
    struct json_walk walk = json_walk_into(text);
    while (json_walk_next(&walk, &name, &value)) {
    }
    if (!json_walk_ended(&walk)) abort();
    if (secret && memmem(text.data, text.size, secret, strlen(secret))) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char secret[] = "Zq7!ngh-planted", env[] = "{\"env\":[{\"value\":\"Zq7!ngh-planted\",\"name\":\"A\"},",
                      end[] = "]}";
    struct arena *const arena = arena_new(1 << 16, 64 << 20);
    struct mask *mask = NULL;
    uint8_t *const text = malloc(size + sizeof env + sizeof end);
    if (!arena || !text || mask_new(NULL, 0, &mask, NULL)) abort();
    view(arena, mask, slice_of(data, size), NULL);
    memcpy(text, env, sizeof env - 1);
    if (size) memcpy(text + sizeof env - 1, data, size);
    memcpy(text + sizeof env - 1 + size, end, sizeof end - 1);
    view(arena, mask, slice_of(text, sizeof env - 1 + size + sizeof end - 1),
         size && memmem(data, size, "Zq7!", 4) ? NULL : secret);
    mask_free(mask);
    arena_free(arena);
    free(text);
    return 0;
}
