/* SPDX-License-Identifier: Apache-2.0
 * The door to nanopb. nanopb walks the wire and sets numbers and submessages itself; text, bytes and everything
 * repeated come to protobuf_field(), which our generated tables bind as the callback of each message.
 *
 * Reading copies nothing: nanopb's stream over a buffer keeps the position in its `state`, so the slice of a text is
 * that position and the length that is left. Lists grow by doubling in the arena.
 *
 * A callback is given a stream and a field, and where the wire type is not that of a run of bytes the stream stands on
 * a private buffer of nanopb's, so nothing of ours can travel in it. The arena and the input of the call under way are
 * therefore kept per thread, set and restored by codec_decode_protobuf(). The private buffer is where a repeated
 * number that is not packed comes from; a text from there would be a field of the wrong wire type, and is refused. */
#include "common/codec/protobuf.h"

#include <pb_decode.h>
#include <pb_encode.h>

#include "common/codec/tables.h"
#include "common/codec/utf8.h"

struct decoding {
    struct arena *arena;
    slice input;
};

static _Thread_local struct decoding decoding;

static const char out_of_memory[] = "arena full";

fault_code codec_decode_protobuf(const struct message_desc *desc, slice bytes, struct arena *arena, void *ret_message,
                                 struct fault *reterr) {
    static const uint8_t nothing;
    pb_istream_t in = pb_istream_from_buffer(bytes.data ? bytes.data : &nothing, bytes.size);
    const struct decoding outer = decoding;
    decoding = (struct decoding){arena, slice_of(in.state, bytes.size)};
    memset(ret_message, 0, desc->size);
    const bool decoded = pb_decode_ex(&in, desc->nanopb, ret_message, PB_DECODE_NOINIT);
    decoding = outer;
    if (decoded) return FAULT_NONE;
    if (in.errmsg == out_of_memory)
        return fault_set(reterr, FAULT_LIMIT, "decode %s of %zu bytes: the arena is full", desc->name, bytes.size);
    return fault_set(reterr, FAULT_INPUT, "not a protobuf %s (%zu bytes): %s", desc->name, bytes.size,
                     PB_GET_ERROR(&in));
}

fault_code codec_encode_protobuf_into(const struct message_desc *desc, const void *message, uint8_t *buffer,
                                      size_t buffer_size, size_t *ret_size, struct fault *reterr) {
    pb_ostream_t out = pb_ostream_from_buffer(buffer, buffer_size);
    if (!pb_encode(&out, desc->nanopb, message))
        return fault_set(reterr, FAULT_LIMIT, "encode %s into %zu bytes: %s", desc->name, buffer_size,
                         PB_GET_ERROR(&out));
    *ret_size = out.bytes_written;
    return FAULT_NONE;
}

fault_code codec_encode_protobuf(const struct message_desc *desc, const void *message, struct arena *arena,
                                 slice *ret_bytes, struct fault *reterr) {
    size_t size;
    if (!pb_get_encoded_size(&size, desc->nanopb, message))
        return fault_set(reterr, FAULT_LIMIT, "encode %s: its size cannot be told", desc->name);
    uint8_t *buffer = arena_alloc(arena, size ? size : 1);
    if (!buffer)
        return fault_set(reterr, FAULT_LIMIT, "encode %s: the arena has no room for %zu bytes", desc->name, size);
    if (codec_encode_protobuf_into(desc, message, buffer, size, &size, reterr)) return fault_wrap(reterr, "encode");
    *ret_bytes = slice_of(buffer, size);
    return FAULT_NONE;
}

/* One more item at the end of a list, zeroed; room doubles, and what room there is follows from the count. */
static void *list_add(struct list *list, size_t item_size) {
    const size_t count = list->count;
    if (count == 0 || (count >= 4 && (count & (count - 1)) == 0)) {
        const size_t room = count ? count * 2 : 4;
        if (room > SIZE_MAX / 2 / item_size) return NULL;
        uint8_t *grown = arena_grow(decoding.arena, list->items, count * item_size, room * item_size);
        if (!grown) return NULL;
        memset(grown + count * item_size, 0, (room - count) * item_size);
        list->items = grown;
    }
    return (uint8_t *)list->items + list->count++ * item_size;
}

static bool decode_text(pb_istream_t *in, const struct field_desc *field, slice *ret_text) {
    const slice text = slice_of(in->state, in->bytes_left);
    if (field->type == FIELD_STRING && !utf8_valid(text)) PB_RETURN_ERROR(in, "text is not UTF-8");
    *ret_text = text;
    return pb_read(in, NULL, text.size);
}

static bool decode_number(pb_istream_t *in, const struct field_desc *field, void *item) {
    if (field->type == FIELD_DOUBLE) return pb_decode_fixed64(in, item);
    uint64_t value;
    if (!pb_decode_varint(in, &value)) return false;
    if (field->type == FIELD_BOOL)
        *(bool *)item = value != 0;
    else if (field_value_size(field) == 8)
        *(uint64_t *)item = value;
    else
        *(uint32_t *)item = (uint32_t)value; /* as protobuf has it: the low 32 bits */
    return true;
}

static bool in_input(const pb_istream_t *in) {
    const uint8_t *const at = in->state;
    return at >= decoding.input.data && at <= decoding.input.data + decoding.input.size;
}

/* Whether what is left is one varint, whole: the only thing that a number of ours is outside a packed run. */
static bool one_varint(const pb_istream_t *in) {
    const uint8_t *const bytes = in->state;
    for (size_t i = 0; i < in->bytes_left; i++)
        if (!(bytes[i] & 0x80)) return i + 1 == in->bytes_left;
    return false;
}

static bool decode_field(const struct field_desc *field, pb_istream_t *in, void *value) {
    const bool number = field->type != FIELD_STRING && field->type != FIELD_BYTES && field->type != FIELD_MESSAGE;
    if (!in_input(in) && !(number && one_varint(in))) PB_RETURN_ERROR(in, "wrong wire type");
    if (!field_is_list(field)) return decode_text(in, field, value);
    if (number && in->bytes_left == 0) return true; /* packed, and empty */
    void *item = list_add(value, field_value_size(field));
    if (!item) PB_RETURN_ERROR(in, out_of_memory);
    switch ((enum field_type)field->type) {
    case FIELD_STRING:
    case FIELD_BYTES: return decode_text(in, field, item);
    case FIELD_MESSAGE: return pb_decode_ex(in, field->message->nanopb, item, PB_DECODE_NOINIT);
    default: return decode_number(in, field, item); /* nanopb calls again while a packed run has more */
    }
}

static bool encode_text(pb_ostream_t *out, const pb_field_t *field, slice text) {
    return pb_encode_tag_for_field(out, field) && pb_encode_string(out, text.data, text.size);
}

static bool encode_number(pb_ostream_t *out, const struct field_desc *field, const void *item) {
    switch ((enum field_type)field->type) {
    case FIELD_DOUBLE: return pb_encode_fixed64(out, item);
    case FIELD_BOOL: return pb_encode_varint(out, *(const bool *)item);
    case FIELD_UINT32: return pb_encode_varint(out, *(const uint32_t *)item);
    case FIELD_INT32:
    case FIELD_ENUM: return pb_encode_varint(out, (uint64_t)(int64_t) * (const int32_t *)item);
    default: return pb_encode_varint(out, *(const uint64_t *)item);
    }
}

static bool encode_packed(pb_ostream_t *out, const struct field_desc *field, const struct list *list) {
    const size_t item_size = field_value_size(field);
    const uint8_t *items = list->items;
    pb_ostream_t sizing = PB_OSTREAM_SIZING;
    for (size_t i = 0; i < list->count; i++)
        if (!encode_number(&sizing, field, items + i * item_size)) return false;
    if (!pb_encode_tag(out, PB_WT_STRING, field->number) || !pb_encode_varint(out, sizing.bytes_written)) return false;
    if (!out->callback) return pb_write(out, NULL, sizing.bytes_written);
    for (size_t i = 0; i < list->count; i++)
        if (!encode_number(out, field, items + i * item_size)) return false;
    return true;
}

static bool encode_list(pb_ostream_t *out, const struct field_desc *field, const pb_field_t *place,
                        const struct list *list) {
    if (list->count == 0) return true;
    const slice *texts = list->items;
    const uint8_t *items = list->items;
    switch ((enum field_type)field->type) {
    case FIELD_STRING:
    case FIELD_BYTES:
        for (size_t i = 0; i < list->count; i++)
            if (!encode_text(out, place, texts[i])) return false;
        return true;
    case FIELD_MESSAGE:
        for (size_t i = 0; i < list->count; i++)
            if (!pb_encode_tag_for_field(out, place) ||
                !pb_encode_submessage(out, field->message->nanopb, items + i * field->message->size))
                return false;
        return true;
    default: return encode_packed(out, field, list);
    }
}

bool protobuf_field(const struct message_desc *desc, pb_istream_t *in, pb_ostream_t *out, const pb_field_t *place) {
    /* Both sides sort by number, so the index is nearly always the row. */
    const struct field_desc *field = place->index < desc->fields_count ? &desc->fields[place->index] : NULL;
    if (!field || field->number != place->tag) field = field_by_number(desc, place->tag);
    if (!field) return false;
    if (in) return decode_field(field, in, place->pData);
    if (field_is_list(field)) return encode_list(out, field, place, place->pData);
    const slice *text = place->pData;
    return text->size == 0 || encode_text(out, place, *text);
}
