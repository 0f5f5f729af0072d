/* SPDX-License-Identifier: Apache-2.0
 * The protobuf wire format (https://protobuf.dev/programming-guides/encoding/) by our rows, into and out of the structs
 * that nanopb lays out.
 *
 * Reading copies nothing: a text is a slice of the input. Senders write fields in the order of their numbers, so the
 * row that comes next is tried before one is searched. As the format has it, a field of another wire type than its own
 * is unknown, and skipped; numbers may come packed or not; a message that comes twice is merged.
 *
 * Writing goes backwards: the last field first, so that when a submessage's length has to be written it is known, and
 * nothing is measured twice. */
#include "common/codec/tables.h"
#include "common/codec/utf8.h"

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

enum { VARINT_BYTES_MAX = 10 };

struct reader {
    const uint8_t *at;
    struct arena *arena;
    const char *wrong; /* why it ended, in words */
    bool arena_full;
    bool mend_text, bounded;
};

static bool read_message(struct reader *r, const struct message_desc *desc, uint8_t *message, const uint8_t *end);

static fault_code decode(const struct message_desc *desc, slice bytes, struct reader reader, void *ret_message,
                         struct fault *reterr) {
    reader.at = bytes.data;
    memset(ret_message, 0, desc->size);
    if (bytes.size == 0 || read_message(&reader, desc, ret_message, bytes.data + bytes.size)) return FAULT_NONE;
    if (reader.arena_full)
        return fault_set(reterr, FAULT_LIMIT, "decode %s of %zu bytes: the arena is full", desc->name, bytes.size);
    return fault_set(reterr, FAULT_INPUT, "not a protobuf %s (%zu bytes): %s, at byte %zu", desc->name, bytes.size,
                     reader.wrong, (size_t)(reader.at - bytes.data));
}

fault_code codec_decode_protobuf(const struct message_desc *desc, slice bytes, struct arena *arena, void *ret_message,
                                 struct fault *reterr) {
    return decode(desc, bytes, (struct reader){.arena = arena}, ret_message, reterr);
}

fault_code codec_decode_protobuf_bounded(const struct message_desc *desc, slice bytes, struct arena *arena,
                                         void *ret_message, struct fault *reterr) {
    return decode(desc, bytes, (struct reader){.arena = arena, .bounded = true}, ret_message, reterr);
}

fault_code codec_decode_protobuf_foreign(const struct message_desc *desc, slice bytes, struct arena *arena,
                                         void *ret_message, struct fault *reterr) {
    return decode(desc, bytes, (struct reader){.arena = arena, .mend_text = true}, ret_message, reterr);
}

static bool wrong(struct reader *r, const char *words) {
    r->wrong = words;
    return false;
}

static bool read_varint_long(struct reader *r, const uint8_t *end, uint64_t *ret_value) {
    uint64_t value = 0;
    for (unsigned i = 0; i < VARINT_BYTES_MAX && r->at < end; i++) {
        const uint8_t byte = *r->at++;
        if (i == VARINT_BYTES_MAX - 1 && byte > 1) return wrong(r, "a number of more than 64 bits");
        value |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte & 0x80) continue;
        *ret_value = value;
        return true;
    }
    return wrong(r, "the bytes end within a number");
}

static inline bool read_varint(struct reader *r, const uint8_t *end, uint64_t *ret_value) {
    if (r->at < end && *r->at < 0x80) {
        *ret_value = *r->at++;
        return true;
    }
    return read_varint_long(r, end, ret_value);
}

/* The end of a run of bytes whose length stands here. */
static bool read_run(struct reader *r, const uint8_t *end, const uint8_t **ret_run_end) {
    uint64_t size;
    if (!read_varint(r, end, &size)) return false;
    if (size > (uint64_t)(end - r->at)) return wrong(r, "a length that goes past the end");
    *ret_run_end = r->at + size;
    return true;
}

static bool skip_value(struct reader *r, uint32_t wire, const uint8_t *end) {
    uint64_t ignored;
    const uint8_t *to;
    switch (wire) {
    case WIRE_VARINT: return read_varint(r, end, &ignored);
    case WIRE_BYTES:
        if (!read_run(r, end, &to)) return false;
        break;
    case WIRE_FIXED64:
    case WIRE_FIXED32:
        if ((size_t)(end - r->at) < (wire == WIRE_FIXED64 ? 8u : 4u)) return wrong(r, "the bytes end within a field");
        to = r->at + (wire == WIRE_FIXED64 ? 8 : 4);
        break;
    default: return wrong(r, "a wire type that is none"); /* groups among them */
    }
    r->at = to;
    return true;
}

static uint32_t wire_of(const struct field_desc *field) {
    switch ((enum field_type)field->type) {
    case FIELD_DOUBLE: return WIRE_FIXED64;
    case FIELD_STRING:
    case FIELD_BYTES:
    case FIELD_MESSAGE: return WIRE_BYTES;
    default: return WIRE_VARINT;
    }
}

/* Three bytes, U+FFFD, for each that begins no character. */
static bool mend_text(struct reader *r, slice *text) {
    size_t wrong_count = 0;
    for (slice rest = *text; rest.size; rest = slice_from(rest, 1)) {
        rest = slice_from(rest, utf8_valid_prefix(rest));
        wrong_count += rest.size > 0;
    }
    uint8_t *const mended = arena_alloc(r->arena, text->size + 2 * wrong_count);
    r->arena_full = !mended;
    if (!mended) return false;
    size_t size = 0;
    for (slice rest = *text; rest.size; rest = slice_from(rest, 1)) {
        const size_t valid = utf8_valid_prefix(rest);
        memcpy(mended + size, rest.data, valid);
        size += valid;
        rest = slice_from(rest, valid);
        if (!rest.size) break;
        memcpy(mended + size, "\xEF\xBF\xBD", 3);
        size += 3;
    }
    *text = slice_of(mended, size);
    return true;
}

/* A value of the field's own wire type, to where it belongs. */
static bool read_value(struct reader *r, const struct field_desc *field, void *ret_value, const uint8_t *end) {
    uint64_t number;
    const uint8_t *run_end;
    switch ((enum field_type)field->type) {
    case FIELD_MESSAGE: return read_run(r, end, &run_end) && read_message(r, field->message, ret_value, run_end);
    case FIELD_STRING:
    case FIELD_BYTES: {
        if (!read_run(r, end, &run_end)) return false;
        slice text = slice_of(r->at, (size_t)(run_end - r->at));
        if (field->type == FIELD_STRING && !utf8_valid(text)) {
            if (!r->mend_text) return wrong(r, "text that is not UTF-8");
            if (!mend_text(r, &text)) return false;
        }
        *(slice *)ret_value = text;
        r->at = run_end;
        return true;
    }
    case FIELD_DOUBLE: {
        if (end - r->at < 8) return wrong(r, "the bytes end within a field");
        uint64_t bits = 0;
        for (unsigned i = 0; i < 8; i++) bits |= (uint64_t)r->at[i] << (8 * i);
        memcpy(ret_value, &bits, 8);
        r->at += 8;
        return true;
    }
    case FIELD_BOOL:
        if (!read_varint(r, end, &number)) return false;
        *(bool *)ret_value = number != 0;
        return true;
    case FIELD_INT32:
    case FIELD_UINT32:
    case FIELD_ENUM:
        if (!read_varint(r, end, &number)) return false;
        *(uint32_t *)ret_value = (uint32_t)number; /* the low 32 bits, as the format has it */
        return true;
    case FIELD_INT64:
    case FIELD_UINT64: return read_varint(r, end, ret_value);
    }
    return false;
}

/* One more item at the end of a list, zeroed; room doubles, and what room there is follows from the count. */
static void *list_add(struct reader *r, struct list *list, const struct field_desc *field) {
    const size_t count = list->count, item_size = field_value_size(field);
    if (r->bounded && field->rule && field->rule->max_items && count == field->rule->max_items) {
        wrong(r, "more items than the contract allows");
        return NULL;
    }
    if (count == 0 || (count >= 4 && (count & (count - 1)) == 0)) {
        const size_t room = count ? count * 2 : 4;
        uint8_t *grown = room > SIZE_MAX / 2 / item_size
                             ? NULL
                             : arena_grow(r->arena, list->items, count * item_size, room * item_size);
        r->arena_full = !grown;
        if (!grown) return NULL;
        memset(grown + count * item_size, 0, (room - count) * item_size);
        list->items = grown;
    }
    return (uint8_t *)list->items + list->count++ * item_size;
}

static bool read_packed(struct reader *r, const struct field_desc *field, struct list *list, const uint8_t *end) {
    const uint8_t *run_end;
    if (!read_run(r, end, &run_end)) return false;
    while (r->at < run_end) {
        void *item = list_add(r, list, field);
        if (!item || !read_value(r, field, item, run_end)) return false;
    }
    return true;
}

static bool read_field(struct reader *r, const struct field_desc *field, uint32_t wire, uint8_t *message,
                       const uint8_t *end) {
    uint8_t *value = message + field->offset;
    const uint32_t own = wire_of(field);
    if (field_is_list(field)) {
        if (wire == WIRE_BYTES && own != WIRE_BYTES) return read_packed(r, field, (struct list *)value, end);
        if (wire != own) return skip_value(r, wire, end);
        value = list_add(r, (struct list *)value, field);
        return value && read_value(r, field, value, end);
    }
    if (wire != own) return skip_value(r, wire, end);
    if (field->label == FIELD_OPTIONAL) {
        *(bool *)(message + field->has_offset) = true;
    } else if (field->label == FIELD_ONEOF) {
        uint32_t *const which = (uint32_t *)(message + field->has_offset);
        if (*which != field->number) memset(value, 0, field_value_size(field));
        *which = field->number;
    }
    return read_value(r, field, value, end);
}

static bool read_message(struct reader *r, const struct message_desc *desc, uint8_t *message, const uint8_t *end) {
    const struct field_desc *next = desc->fields, *const fields_end = desc->fields + desc->fields_count;
    while (r->at < end) {
        uint64_t tag;
        if (!read_varint(r, end, &tag)) return false;
        if (tag > UINT32_MAX || tag >> 3 == 0) return wrong(r, "a field number that is none");
        const uint32_t number = (uint32_t)tag >> 3, wire = tag & 7;
        const struct field_desc *field =
            next < fields_end && next->number == number ? next : field_by_number(desc, number);
        if (!field) {
            if (!skip_value(r, wire, end)) return false;
            continue;
        }
        if (!read_field(r, field, wire, message, end)) return false;
        next = field_is_list(field) ? field : field + 1;
    }
    return true;
}

/* ---- writing ---- */

struct writer {
    uint8_t *begin, *at; /* what is written lies from `at` on */
    bool full;
};

static uint8_t *write_room(struct writer *w, size_t size) {
    if ((size_t)(w->at - w->begin) < size) {
        w->full = true;
        w->at = w->begin;
        return NULL;
    }
    return w->at -= size;
}

static size_t varint_size(uint64_t value) {
    return (size_t)(70 - __builtin_clzll(value | 1)) / 7;
}

static void write_varint(struct writer *w, uint64_t value) {
    uint8_t *p = write_room(w, varint_size(value));
    if (!p) return;
    for (; value >= 0x80; value >>= 7) *p++ = (uint8_t)(value | 0x80);
    *p = (uint8_t)value;
}

static uint64_t varint_of(const struct field_desc *field, const void *value) {
    switch ((enum field_type)field->type) {
    case FIELD_BOOL: return *(const bool *)value;
    case FIELD_UINT32: return *(const uint32_t *)value;
    case FIELD_INT32:
    case FIELD_ENUM: return (uint64_t)(int64_t) * (const int32_t *)value;
    default: return *(const uint64_t *)value;
    }
}

static void write_message(struct writer *w, const struct message_desc *desc, const uint8_t *message);

static void write_value(struct writer *w, const struct field_desc *field, const void *value) {
    switch ((enum field_type)field->type) {
    case FIELD_MESSAGE: {
        const uint8_t *const end = w->at;
        write_message(w, field->message, value);
        write_varint(w, (uint64_t)(end - w->at));
        return;
    }
    case FIELD_STRING:
    case FIELD_BYTES: {
        const slice text = *(const slice *)value;
        uint8_t *p = write_room(w, text.size);
        if (p && text.size) memcpy(p, text.data, text.size);
        write_varint(w, text.size);
        return;
    }
    case FIELD_DOUBLE: {
        uint64_t bits;
        memcpy(&bits, value, 8);
        uint8_t *p = write_room(w, 8);
        for (unsigned i = 0; p && i < 8; i++) p[i] = (uint8_t)(bits >> (8 * i));
        return;
    }
    default: write_varint(w, varint_of(field, value));
    }
}

static void write_list(struct writer *w, const struct field_desc *field, const struct list *list) {
    const size_t size = field_value_size(field);
    const uint8_t *const items = list->items;
    const bool packed = wire_of(field) != WIRE_BYTES;
    const uint8_t *const end = w->at;
    for (size_t i = list->count; i-- > 0 && !w->full;) {
        write_value(w, field, items + i * size);
        if (!packed) write_varint(w, (uint64_t)field->number << 3 | WIRE_BYTES);
    }
    if (!packed) return;
    write_varint(w, (uint64_t)(end - w->at));
    write_varint(w, (uint64_t)field->number << 3 | WIRE_BYTES);
}

static void write_message(struct writer *w, const struct message_desc *desc, const uint8_t *message) {
    for (size_t i = desc->fields_count; i-- > 0 && !w->full;) {
        const struct field_desc *field = &desc->fields[i];
        if (!field_present(field, message)) continue;
        if (field_is_list(field)) {
            write_list(w, field, (const struct list *)(message + field->offset));
            continue;
        }
        write_value(w, field, message + field->offset);
        write_varint(w, (uint64_t)field->number << 3 | wire_of(field));
    }
}

fault_code codec_encode_protobuf_into(const struct message_desc *desc, const void *message, uint8_t *buffer,
                                      size_t buffer_size, size_t *ret_size, struct fault *reterr) {
    struct writer writer = {.begin = buffer, .at = buffer + buffer_size};
    write_message(&writer, desc, message);
    if (writer.full)
        return fault_set(reterr, FAULT_LIMIT, "encode %s: it does not fit into %zu bytes", desc->name, buffer_size);
    *ret_size = (size_t)(buffer + buffer_size - writer.at);
    if (*ret_size && writer.at != buffer) memmove(buffer, writer.at, *ret_size);
    return FAULT_NONE;
}

static size_t encoded_size(const struct message_desc *desc, const uint8_t *message);

/* With its length in front, without its tag. */
static size_t encoded_value_size(const struct field_desc *field, const void *value) {
    size_t size;
    switch ((enum field_type)field->type) {
    case FIELD_MESSAGE: size = encoded_size(field->message, value); break;
    case FIELD_STRING:
    case FIELD_BYTES: size = ((const slice *)value)->size; break;
    case FIELD_DOUBLE: return 8;
    default: return varint_size(varint_of(field, value));
    }
    return varint_size(size) + size;
}

static size_t encoded_size(const struct message_desc *desc, const uint8_t *message) {
    size_t total = 0;
    for (size_t i = 0; i < desc->fields_count; i++) {
        const struct field_desc *field = &desc->fields[i];
        if (!field_present(field, message)) continue;
        const size_t tag = varint_size((uint64_t)field->number << 3);
        const uint8_t *value = message + field->offset;
        if (!field_is_list(field)) {
            total += tag + encoded_value_size(field, value);
            continue;
        }
        const struct list *list = (const struct list *)value;
        const size_t item_size = field_value_size(field);
        size_t items = 0;
        for (size_t j = 0; j < list->count; j++)
            items += encoded_value_size(field, (const uint8_t *)list->items + j * item_size);
        total += wire_of(field) == WIRE_BYTES ? tag * list->count + items : tag + varint_size(items) + items;
    }
    return total;
}

fault_code codec_encode_protobuf(const struct message_desc *desc, const void *message, struct arena *arena,
                                 slice *ret_bytes, struct fault *reterr) {
    const size_t size = encoded_size(desc, message);
    uint8_t *buffer = arena_alloc(arena, size ? size : 1);
    if (!buffer)
        return fault_set(reterr, FAULT_LIMIT, "encode %s: the arena has no room for %zu bytes", desc->name, size);
    size_t written;
    if (codec_encode_protobuf_into(desc, message, buffer, size, &written, reterr)) return FAULT_LIMIT;
    *ret_bytes = slice_of(buffer, written);
    return FAULT_NONE;
}
