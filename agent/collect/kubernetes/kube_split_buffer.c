/* SPDX-License-Identifier: Apache-2.0
 * What both encodings share: the buffer that holds the one object which is being put together. It doubles as it is filled
 * up to the bound; behind an object that needed more than is usual it is freed and not kept, so that one big object in a
 * thousand does not stay in memory for as long as the agent runs. */
#include <stdlib.h>

#include "agent/collect/kubernetes/kube_split_parts.h"

enum { BUFFER_FIRST_BYTES = 4096, BUFFER_KEPT_BYTES = 16 * 1024 };

void split_object_begins(struct kube_split *split) {
    split->size = split->wire_bytes = 0;
    split->too_large = false;
}

static void buffer_add(struct kube_split *split, const void *bytes, size_t size) {
    if (size > split->room - split->size) {
        size_t room = split->room ? split->room : BUFFER_FIRST_BYTES;
        while (room < split->size + size) room *= 2;
        if (room > split->object_bytes_max + SPLIT_MORE_BYTES) room = split->object_bytes_max + SPLIT_MORE_BYTES;
        uint8_t *grown = realloc(split->buffer, room);
        if (!grown) {
            split->starved = split->too_large = true;
            return;
        }
        split->buffer = grown;
        split->room = room;
    }
    memcpy(split->buffer + split->size, bytes, size);
    split->size += size;
}

void split_put(struct kube_split *split, const void *bytes, size_t size) {
    if (split->too_large) return;
    if (size > split->object_bytes_max + SPLIT_MORE_BYTES - split->size)
        split->too_large = true;
    else
        buffer_add(split, bytes, size);
}

void split_head_put(struct kube_split *split, slice piece) {
    const size_t room = split->object_bytes_max + SPLIT_MORE_BYTES;
    const slice taken = slice_first(piece, (room < SPLIT_HEAD_BYTES ? room : SPLIT_HEAD_BYTES) - split->size);
    if (taken.size && !split->starved) buffer_add(split, taken.data, taken.size);
}

static void buffer_give_back(struct kube_split *split) {
    if (split->room > BUFFER_KEPT_BYTES) {
        free(split->buffer);
        split->buffer = NULL;
        split->room = 0;
    }
    split_object_begins(split);
}

void split_object_ends(struct kube_split *split, slice type, slice whole) {
    const slice bytes = whole.data ? whole : slice_of(split->buffer, split->size);
    if (split->too_large)
        split->calls.skipped(split->calls.context, type, bytes, split->wire_bytes);
    else
        split->calls.object(split->calls.context, type, bytes, split->wire_bytes);
    buffer_give_back(split);
}

void split_metadata_ends(struct kube_split *split, slice whole) {
    if (!split->too_large)
        split->calls.metadata(split->calls.context, whole.data ? whole : slice_of(split->buffer, split->size));
    buffer_give_back(split);
}
