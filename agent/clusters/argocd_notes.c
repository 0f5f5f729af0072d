/* SPDX-License-Identifier: Apache-2.0
 * The names of the items are a note themselves, one a line. It is written before any note of a new item is, and after all
 * notes of the ones that went are deleted, so whatever a kill leaves behind is found by the next start. */
#include "agent/clusters/argocd_notes.h"

#include <stdio.h>

#include "agent/applications/applications.h"
#include "common/base/text.h"

#define NAMES "argocd"

void argocd_note_name(slice item, unsigned shard, char ret_name[ARGOCD_NOTE_NAME_BYTES]) {
    snprintf(ret_name, ARGOCD_NOTE_NAME_BYTES, NAMES ".%.*s.%u", SLICE_ARG(item), shard);
}

static fault_code forget(struct queue *queue, slice item, int64_t now_ms, struct arena *arena, struct fault *reterr) {
    for (unsigned shard = 0; shard < APPLICATIONS_SHARDS; shard++) {
        char name[ARGOCD_NOTE_NAME_BYTES];
        slice value;
        argocd_note_name(item, shard, name);
        if (queue_note_get(queue, name, arena, &value, reterr) == FAULT_ABSENT) continue;
        const struct queue_note none = {.name = name};
        const fault_code code = queue_append_later(queue, NULL, 0, &none, now_ms, reterr);
        if (code) return code;
    }
    return FAULT_NONE;
}

static bool is_among(slice name, const slice *items, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (slice_equal(items[i], name)) return true;
    return false;
}

fault_code argocd_notes_tidy(struct queue *queue, const slice *items, size_t count, int64_t now_ms, struct arena *arena,
                             size_t *ret_gone, struct fault *reterr) {
    slice before = {0}, names;
    struct text text = text_begin(arena);
    size_t gone = 0;
    for (size_t i = 0; i < count; i++) {
        text_add(&text, items[i]);
        text_add_text(&text, "\n");
    }
    fault_code code = text_end(&text, "the names of the Argo CDs", &names, reterr);
    if (code) return code;
    code = queue_note_get(queue, NAMES, arena, &before, reterr);
    if (code && code != FAULT_ABSENT && code != FAULT_CORRUPT) return code;
    if (code != FAULT_CORRUPT && slice_equal(before, names)) { /* also where there never was one */
        *ret_gone = 0;
        return FAULT_NONE;
    }
    while (before.size) {
        const uint8_t *end = memchr(before.data, '\n', before.size);
        const slice name = end ? slice_first(before, (size_t)(end - before.data)) : before;
        before = slice_from(before, name.size + 1);
        if (is_among(name, items, count)) continue;
        code = forget(queue, name, now_ms, arena, reterr);
        if (code) return fault_wrap(reterr, "forget the applications of '%.*s'", SLICE_ARG(name));
        gone++;
    }
    const struct queue_note note = {.name = NAMES, .value = names};
    code = queue_append(queue, NULL, 0, &note, now_ms, reterr);
    if (!code) *ret_gone = gone;
    return code;
}
