/* SPDX-License-Identifier: Apache-2.0
 * One splitter for both encodings: each has a file that finds where objects begin and end, and hands them to the buffer. */
#include "agent/collect/kubernetes/kube_split_parts.h"

#include <stdlib.h>

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
