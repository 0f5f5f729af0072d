/* SPDX-License-Identifier: Apache-2.0
 * What both encodings share: the buffer that holds the one object which is being put together. It doubles as it is filled
 * up to the bound; behind an object that needed more than is usual it is freed and not kept, so that one big object in a
 * thousand does not stay in memory for as long as the agent runs. */
#include "agent/collect/kubernetes/kube_split_parts.h"

#include <stdlib.h>

enum { BUFFER_FIRST_BYTES = 4096, BUFFER_KEPT_BYTES = 16 * 1024 };

struct kube_split *kube_split_new(size_t object_bytes_max, const struct kube_split_calls *calls) {
    struct kube_split *split = calloc(1, sizeof *split);
    if (!split) return NULL;
    split->object_bytes_max = object_bytes_max;
    split->calls = *calls;
    return split;
}

struct kube_split *kube_split_free(struct kube_split *split) {
    if (split) free(split->buffer);
    free(split);
    return NULL;
}

void kube_split_begin(struct kube_split *split, enum kube_split_form form, bool protobuf,
                      const struct message_desc *desc) {
    split->form = form;
    split->protobuf = protobuf;
    split->desc = desc;
    split->starved = false;
    split->fed_bytes = 0;
    split_object_begins(split);
    if (protobuf)
        split_protobuf_begin(split);
    else
        split_json_begin(split);
}

fault_code kube_split_feed(struct kube_split *split, slice piece, struct fault *reterr) {
    const fault_code code =
        split->protobuf ? split_protobuf_feed(split, piece, reterr) : split_json_feed(split, piece, reterr);
    if (code == FAULT_NONE && split->starved)
        return fault_set(reterr, FAULT_SYSTEM, "no memory for an object of over %zu bytes", split->size);
    return code;
}

fault_code kube_split_end(const struct kube_split *split, struct fault *reterr) {
    return split->protobuf ? split_protobuf_end(split, reterr) : split_json_end(split, reterr);
}

size_t kube_split_buffer_bytes(const struct kube_split *split) {
    return split->room;
}

void split_object_begins(struct kube_split *split) {
    split->size = split->wire_bytes = 0;
    split->too_large = false;
}

void split_put(struct kube_split *split, const void *bytes, size_t size) {
    if (split->too_large) return;
    if (size > split->object_bytes_max + SPLIT_MORE_BYTES - split->size) {
        split->too_large = true;
        return;
    }
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

static void buffer_give_back(struct kube_split *split) {
    if (split->room > BUFFER_KEPT_BYTES) {
        free(split->buffer);
        split->buffer = NULL;
        split->room = 0;
    }
    split_object_begins(split);
}

void split_object_ends(struct kube_split *split, slice type, slice whole) {
    if (split->too_large)
        split->calls.skipped(split->calls.context, split->wire_bytes);
    else
        split->calls.object(split->calls.context, type, whole.data ? whole : slice_of(split->buffer, split->size),
                            split->wire_bytes);
    buffer_give_back(split);
}

void split_metadata_ends(struct kube_split *split, slice whole) {
    if (!split->too_large)
        split->calls.metadata(split->calls.context, whole.data ? whole : slice_of(split->buffer, split->size));
    buffer_give_back(split);
}
