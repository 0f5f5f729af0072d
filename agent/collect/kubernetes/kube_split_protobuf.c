/* SPDX-License-Identifier: Apache-2.0
 * Kubernetes' protobuf (https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding). A body is
 * 'k8s\0' and a runtime.Unknown whose field 2 is the object: for a list {1: ListMeta, 2: item ...}. A watch is frames, each
 * a length of four bytes (the highest first) and a WatchEvent {1: type, 2: {1: a body as above}}.
 *
 * A list is read field by field, since it has no bound; a frame is put together first and then looked into. What lies
 * whole in the piece that came is handed on from there and copied nowhere. */
#include "agent/collect/kubernetes/kube_split_parts.h"

#include <inttypes.h>

enum state { STATE_MAGIC, STATE_TAG, STATE_LENGTH, STATE_VARINT, STATE_SKIP, STATE_TAKE, STATE_FRAME_LENGTH };
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
enum { UNKNOWN_RAW = 2, LIST_METADATA = 1, LIST_ITEM = 2 };
enum { FRAME_BYTES_MAX = 256 * 1024 * 1024 }; /* over this it is no object but noise */

static const uint8_t magic[] = {'k', '8', 's', 0};

void split_protobuf_begin(struct kube_split *split) {
    split->frames = (struct protobuf_place){.state = split->form == KUBE_SPLIT_LIST ? STATE_MAGIC : STATE_FRAME_LENGTH};
}

static fault_code wrong(const struct kube_split *split, const char *what, struct fault *reterr) {
    return fault_set(reterr, FAULT_INPUT, "not a Kubernetes %s in protobuf: %s, in the %" PRIu64 " bytes to here",
                     split->form == KUBE_SPLIT_LIST ? "list" : "watch", what, split->fed_bytes);
}

static fault_code list_field(struct kube_split *split, struct fault *reterr);
static void run_ends(struct kube_split *split, slice whole);

/* One byte of a number; true when it was the last. */
static bool number_take(struct protobuf_place *at, uint8_t byte, bool *ret_wrong) {
    *ret_wrong = at->shift > 63 || (at->shift == 63 && byte > 1);
    if (!*ret_wrong) at->value |= (uint64_t)(byte & 0x7F) << at->shift;
    at->shift += 7;
    return !(byte & 0x80);
}

static void number_begins(struct protobuf_place *at, enum state state) {
    at->state = (uint8_t)state;
    at->value = 0;
    at->shift = 0;
}

/* Of a field of the list, or of what surrounds it: its tag, its length or its value was read. */
static fault_code number_ends(struct kube_split *split, struct fault *reterr) {
    struct protobuf_place *at = &split->frames;
    switch ((enum state)at->state) {
    case STATE_TAG:
        if (at->value >> 3 == 0 || at->value > UINT32_MAX) return wrong(split, "a field number that is none", reterr);
        at->number = (uint32_t)(at->value >> 3);
        switch (at->value & 7) {
        case WIRE_VARINT: number_begins(at, STATE_VARINT); return FAULT_NONE;
        case WIRE_BYTES: number_begins(at, STATE_LENGTH); return FAULT_NONE;
        case WIRE_FIXED64: at->left = 8; break;
        case WIRE_FIXED32: at->left = 4; break;
        default: return wrong(split, "a wire type that is none", reterr);
        }
        at->state = STATE_SKIP;
        at->number = 0; /* nothing to take, whatever its number */
        return at->in_list && at->left > at->list_left ? wrong(split, "a field that goes past the end", reterr)
                                                       : FAULT_NONE;
    case STATE_LENGTH: return list_field(split, reterr);
    default: number_begins(at, STATE_TAG); return FAULT_NONE;
    }
}

static fault_code list_field(struct kube_split *split, struct fault *reterr) {
    struct protobuf_place *at = &split->frames;
    const uint64_t length = at->value;
    number_begins(at, STATE_TAG);
    if (!at->in_list && at->number == UNKNOWN_RAW) {
        at->in_list = length > 0;
        at->list_left = length;
        at->list_seen = true;
        return FAULT_NONE;
    }
    if (at->in_list && length > at->list_left) return wrong(split, "a length that goes past the end", reterr);
    const bool take = at->in_list && (at->number == LIST_METADATA || at->number == LIST_ITEM);
    if (!take) at->number = 0;
    split_object_begins(split);
    split->wire_bytes = length;
    split->too_large = take && length > split->object_bytes_max;
    at->left = length;
    at->state = take && !split->too_large ? STATE_TAKE : STATE_SKIP;
    if (length == 0) run_ends(split, slice_of("", 0));
    return FAULT_NONE;
}

static void event_ends(struct kube_split *split, slice frame);

static void run_ends(struct kube_split *split, slice whole) {
    struct protobuf_place *at = &split->frames;
    if (split->form == KUBE_SPLIT_WATCH) {
        number_begins(at, STATE_FRAME_LENGTH);
        event_ends(split, whole.data ? whole : slice_of(split->buffer, split->size));
        return;
    }
    number_begins(at, STATE_TAG);
    if (at->number == LIST_METADATA)
        split_metadata_ends(split, whole);
    else if (at->number == LIST_ITEM)
        split_object_ends(split, (slice){0}, whole);
}

/* One field, whose value may be cut off; false: this is none. value.data is NULL where it holds no bytes. */
static bool field_next(const uint8_t **at, const uint8_t *end, uint32_t *ret_number, bool *ret_cut, slice *ret_value) {
    uint64_t numbers[2] = {0};
    const uint8_t *p = *at;
    for (unsigned i = 0; i < 2; i++) {
        unsigned shift = 0;
        do {
            if (p == end || shift > 63) return false;
            numbers[i] |= (uint64_t)(*p & 0x7F) << shift;
            shift += 7;
        } while (*p++ & 0x80);
        const unsigned wire = numbers[0] & 7;
        if (i == 0 && (wire == WIRE_FIXED64 || wire == WIRE_FIXED32)) {
            numbers[1] = wire == WIRE_FIXED64 ? 8 : 4;
            break;
        }
    }
    const unsigned wire = numbers[0] & 7;
    if (wire != WIRE_VARINT && wire != WIRE_BYTES && wire != WIRE_FIXED64 && wire != WIRE_FIXED32) return false;
    const uint64_t left = (uint64_t)(end - p), size = wire == WIRE_VARINT ? 0 : numbers[1];
    *ret_number = (uint32_t)(numbers[0] >> 3);
    *ret_cut = size > left;
    *ret_value = wire == WIRE_BYTES ? slice_of(p, (size_t)(size < left ? size : left)) : (slice){0};
    *at = p + (size < left ? size : left);
    return true;
}

/* The field of this number that holds bytes; empty when there is none. False: not protobuf. */
static bool field_find(slice message, uint32_t number, slice *ret_value) {
    *ret_value = (slice){0};
    if (message.size == 0) return true;
    const uint8_t *p = message.data, *const end = p + message.size;
    while (p < end) {
        uint32_t seen;
        bool cut;
        slice value;
        if (!field_next(&p, end, &seen, &cut, &value) || cut) return false;
        if (value.data && seen == number) *ret_value = value;
    }
    return true;
}

slice split_field_begin(slice message, uint32_t number) {
    if (message.size == 0) return (slice){0};
    const uint8_t *p = message.data, *const end = p + message.size;
    uint32_t seen;
    bool cut;
    slice value;
    while (p < end && field_next(&p, end, &seen, &cut, &value))
        if (value.data && seen == number) return value;
    return (slice){0};
}

bool kube_split_is_protobuf(slice body) {
    return slice_starts_with(body, slice_of(magic, sizeof magic));
}

bool kube_split_whole(slice body, slice *ret_object) {
    return kube_split_is_protobuf(body) && field_find(slice_from(body, sizeof magic), UNKNOWN_RAW, ret_object);
}

static void event_ends(struct kube_split *split, slice frame) {
    slice type = {0}, object = {0}, raw = {0}, body = {0};
    if (split->too_large) {
        type = split_field_begin(frame, 1);
        raw = split_field_begin(split_field_begin(frame, 2), 1);
        if (kube_split_is_protobuf(raw)) body = split_field_begin(slice_from(raw, sizeof magic), UNKNOWN_RAW);
        split_object_ends(split, type, body.data ? body : slice_of("", 0));
        return;
    }
    if (frame.size == 0) return;
    if (field_find(frame, 1, &type) && field_find(frame, 2, &object) && field_find(object, 1, &raw) &&
        kube_split_whole(raw, &body)) {
        split->wire_bytes = body.size;
        split_object_ends(split, type, body.data ? body : slice_of("", 0));
        return;
    }
    split_object_ends(split, SLICE_LIT("BROKEN"), frame);
}

static fault_code frame_begins(struct kube_split *split, struct fault *reterr) {
    struct protobuf_place *at = &split->frames;
    const uint64_t length = at->value;
    if (length > FRAME_BYTES_MAX) return wrong(split, "an event of over 256 MiB", reterr);
    split_object_begins(split);
    split->wire_bytes = (size_t)length;
    split->too_large = length > (uint64_t)split->object_bytes_max + SPLIT_MORE_BYTES;
    at->left = length;
    at->state = split->too_large ? STATE_SKIP : STATE_TAKE;
    if (length == 0) run_ends(split, slice_of("", 0));
    return FAULT_NONE;
}

/* Passes over a run, or takes it; *ret_used bytes of the piece. */
static void run_feed(struct kube_split *split, slice piece, size_t *ret_used) {
    struct protobuf_place *at = &split->frames;
    const size_t size = at->left < piece.size ? (size_t)at->left : piece.size;
    const bool whole = at->state == STATE_TAKE && split->size == 0 && size == at->left;
    if (at->state == STATE_TAKE && !whole) split_put(split, piece.data, size);
    if (at->state == STATE_SKIP && split->too_large) split_head_put(split, slice_first(piece, size));
    at->left -= size;
    if (at->in_list) at->list_left -= size;
    *ret_used = size;
    if (at->left == 0) run_ends(split, whole ? slice_first(piece, size) : (slice){0});
}

fault_code split_protobuf_feed(struct kube_split *split, slice piece, struct fault *reterr) {
    struct protobuf_place *at = &split->frames;
    split->fed_bytes += piece.size;
    for (size_t i = 0; i < piece.size;) {
        if (at->state == STATE_SKIP || at->state == STATE_TAKE) {
            size_t used;
            run_feed(split, slice_from(piece, i), &used);
            i += used;
        } else if (at->state == STATE_MAGIC) {
            if (piece.data[i++] != magic[at->magic_size++]) return wrong(split, "it does not begin with 'k8s'", reterr);
            if (at->magic_size == sizeof magic) number_begins(at, STATE_TAG);
        } else if (at->state == STATE_FRAME_LENGTH) {
            at->value = at->value << 8 | piece.data[i++];
            at->shift += 8;
            if (at->shift == 32) {
                const fault_code code = frame_begins(split, reterr);
                if (code) return code;
            }
        } else {
            bool is_wrong;
            const bool last = number_take(at, piece.data[i++], &is_wrong);
            if (is_wrong) return wrong(split, "a number of more than 64 bits", reterr);
            if (at->in_list && at->list_left-- == 0) return wrong(split, "a field that goes past the end", reterr);
            const fault_code code = last ? number_ends(split, reterr) : FAULT_NONE;
            if (code) return code;
        }
        if (at->in_list && at->list_left == 0 && at->state == STATE_TAG && at->shift == 0) at->in_list = false;
    }
    return FAULT_NONE;
}

fault_code split_protobuf_end(const struct kube_split *split, struct fault *reterr) {
    const struct protobuf_place *at = &split->frames;
    if (split->form == KUBE_SPLIT_WATCH)
        return at->state == STATE_FRAME_LENGTH && at->shift == 0 ? FAULT_NONE
                                                                 : wrong(split, "it ends within an event", reterr);
    return at->state == STATE_TAG && at->shift == 0 && !at->in_list && at->list_seen
               ? FAULT_NONE
               : wrong(split, "it ends before the list does", reterr);
}
