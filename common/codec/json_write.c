/* SPDX-License-Identifier: Apache-2.0
 * The proto3 JSON mapping, written straight into growing text: no document is built in between, since the rows give
 * the order. Defaults are left out; a field with presence (a message, an optional, a oneof) is written when it is
 * there. 64-bit integers are strings, because a JavaScript number holds 53 bits.
 *
 * Every answer of the API passes here: what fits into the text's room is copied in line, and numbers are made by hand;
 * printf took most of the time before. */
#include <inttypes.h>

#include "common/base/text.h"
#include "common/codec/json.h"
#include "common/codec/place.h"
#include "common/codec/tables.h"

struct writer {
    struct text text;
    bool pretty;
    int depth;
    const struct place *place; /* of the message under way, for faults */
    struct fault *reterr;
};

static fault_code write_message(struct writer *w, const struct message_desc *desc, const void *message);

fault_code codec_encode_json(const struct message_desc *desc, const void *message, bool pretty, struct arena *arena,
                             slice *ret_json, struct fault *reterr) {
    struct writer writer = {.text = text_begin(arena), .pretty = pretty, .reterr = reterr};
    if (write_message(&writer, desc, message)) return fault_wrap(reterr, "write %s as JSON", desc->name);
    return text_end(&writer.text, desc->name, ret_json, reterr);
}

static inline void put(struct writer *w, const void *data, size_t size) {
    struct text *const text = &w->text;
    if (size >= text->capacity - text->size) { /* one byte is the NUL's */
        text_add(text, slice_of(data, size));
        return;
    }
    memcpy(text->data + text->size, data, size);
    text->size += size;
}

#define PUT_LIT(w, literal) put(w, literal, sizeof(literal) - 1)

static void write_line(struct writer *w) {
    static const char spaces[] = "\n                                ";
    if (!w->pretty) return;
    const size_t indent = (size_t)w->depth * 2;
    put(w, spaces, 1 + (indent < sizeof spaces - 2 ? indent : sizeof spaces - 2));
}

/* Text that needs no escape, such as names of the contract: one piece with its quotes. */
static void write_plain(struct writer *w, slice value) {
    struct text *const text = &w->text;
    if (value.size + 2 >= text->capacity - text->size) {
        PUT_LIT(w, "\"");
        put(w, value.data, value.size);
        PUT_LIT(w, "\"");
        return;
    }
    uint8_t *const at = text->data + text->size;
    at[0] = '"';
    if (value.size) memcpy(at + 1, value.data, value.size);
    at[value.size + 1] = '"';
    text->size += value.size + 2;
}

/* Eight bytes at a time: the high bit of a lane says that its byte is below 0x20, above 0x7E, '"' or '\\'. (Bit tricks:
 * "Determine if a word has a byte less than n", Sean Eron Anderson; a borrow can only make a lane look special.) */
static size_t plain_prefix(slice value) {
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;
    size_t i = 0;
    for (; i + 8 <= value.size; i += 8) {
        uint64_t lanes;
        memcpy(&lanes, value.data + i, 8);
        const uint64_t quote = lanes ^ ones * '"', backslash = lanes ^ ones * '\\';
        if (((lanes - ones * 0x20) | lanes | (lanes + ones) | (quote - ones) | (backslash - ones)) & tops) break;
    }
    return i;
}

/* Nearly all text needs no escape, and then it is one piece. */
static void write_string(struct writer *w, slice value) {
    for (size_t i = plain_prefix(value); i < value.size; i++) {
        const uint8_t c = value.data[i];
        if (c >= 0x20 && c < 0x7F && c != '"' && c != '\\') continue;
        text_add_json_string(&w->text, value);
        return;
    }
    write_plain(w, value);
}

/* Before each member of an object: comma, line, "name": */
static void write_name(struct writer *w, bool first, slice name, bool plain) {
    if (!first) PUT_LIT(w, ",");
    write_line(w);
    if (plain)
        write_plain(w, name);
    else
        write_string(w, name);
    if (w->pretty)
        PUT_LIT(w, ": ");
    else
        PUT_LIT(w, ":");
}

static void write_bytes(struct writer *w, slice bytes) {
    enum { CHUNK = 3 * 256 };
    uint8_t chunk[CHUNK / 3 * 4];
    PUT_LIT(w, "\"");
    for (size_t at = 0; at < bytes.size; at += CHUNK) {
        const slice part = slice_first(slice_from(bytes, at), CHUNK);
        json_base64_format(part, chunk);
        put(w, chunk, json_base64_size(part.size));
    }
    PUT_LIT(w, "\"");
}

static void write_integer(struct writer *w, bool negative, uint64_t magnitude, bool quoted) {
    char digits[24], *const end = digits + sizeof digits, *p = end;
    if (quoted) *--p = '"';
    do *--p = (char)('0' + magnitude % 10);
    while (magnitude /= 10);
    if (negative) *--p = '-';
    if (quoted) *--p = '"';
    put(w, p, (size_t)(end - p));
}

static void write_signed(struct writer *w, int64_t value, bool quoted) {
    write_integer(w, value < 0, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, quoted);
}

static void write_number(struct writer *w, const struct field_desc *field, const void *value) {
    char digits[JSON_DOUBLE_BYTES];
    switch ((enum field_type)field->type) {
    case FIELD_DOUBLE: put(w, digits, json_double_format(*(const double *)value, digits)); return;
    case FIELD_INT32:
    case FIELD_ENUM: write_signed(w, *(const int32_t *)value, false); return;
    case FIELD_UINT32: write_integer(w, false, *(const uint32_t *)value, false); return;
    case FIELD_INT64: write_signed(w, *(const int64_t *)value, true); return;
    case FIELD_UINT64: write_integer(w, false, *(const uint64_t *)value, true); return;
    case FIELD_BOOL:
        if (*(const bool *)value)
            PUT_LIT(w, "true");
        else
            PUT_LIT(w, "false");
        return;
    case FIELD_STRING:
    case FIELD_BYTES:
    case FIELD_MESSAGE: return;
    }
}

static fault_code write_value(struct writer *w, const struct field_desc *field, const void *value) {
    switch ((enum field_type)field->type) {
    case FIELD_STRING: write_string(w, *(const slice *)value); return FAULT_NONE;
    case FIELD_BYTES: write_bytes(w, *(const slice *)value); return FAULT_NONE;
    case FIELD_MESSAGE: return write_message(w, field->message, value);
    case FIELD_ENUM: {
        const char *name = enum_name(field->enumeration, *(const int32_t *)value);
        if (!name) break;
        write_plain(w, slice_from_text(name));
        return FAULT_NONE;
    }
    default: break;
    }
    write_number(w, field, value);
    return FAULT_NONE;
}

static fault_code write_list(struct writer *w, const struct field_desc *field, const struct list *list,
                             struct place *place) {
    const bool map = field->label == FIELD_MAP;
    const size_t size = field_value_size(field);
    put(w, map ? "{" : "[", 1);
    w->depth++;
    for (size_t i = 0; i < list->count && !w->text.full; i++) {
        const void *const item = (const uint8_t *)list->items + i * size;
        if (map) {
            const struct map_entry *entry = item;
            write_name(w, i == 0, entry->key, false);
            write_string(w, entry->value);
            continue;
        }
        if (i > 0) PUT_LIT(w, ",");
        write_line(w);
        place->index = (ptrdiff_t)i;
        if (write_value(w, field, item)) return FAULT_INPUT;
    }
    w->depth--;
    write_line(w);
    put(w, map ? "}" : "]", 1);
    return FAULT_NONE;
}

static fault_code write_well_known(struct writer *w, const struct message_desc *desc, const void *message) {
    const int64_t seconds = *(const int64_t *)((const uint8_t *)message + desc->fields[0].offset);
    const int32_t nanos = *(const int32_t *)((const uint8_t *)message + desc->fields[1].offset);
    char text[JSON_TIME_BYTES];
    size_t size = 0;
    const bool time = desc->well_known == WELL_KNOWN_TIMESTAMP;
    if (!(time ? json_time_format(seconds, nanos, text, &size) : json_duration_format(seconds, nanos, text, &size)))
        return place_fault(w->reterr, w->place, "%" PRId64 " seconds and %" PRId32 " nanos are out of a %s's range",
                           seconds, nanos, time ? "time" : "duration");
    write_plain(w, slice_of(text, size));
    return FAULT_NONE;
}

static fault_code write_message(struct writer *w, const struct message_desc *desc, const void *message) {
    if (desc->well_known) return write_well_known(w, desc, message);
    const struct place *const above = w->place;
    bool first = true;
    PUT_LIT(w, "{");
    w->depth++;
    for (size_t i = 0; i < desc->fields_count; i++) {
        const struct field_desc *field = &desc->fields[i];
        if (!field_present(field, message)) continue;
        struct place place = {.above = above, .name = field->name, .index = -1};
        const void *const value = (const uint8_t *)message + field->offset;
        write_name(w, first, slice_of(field->json_name, field->json_name_size), true);
        first = false;
        w->place = &place;
        if (field_is_list(field) ? write_list(w, field, value, &place) : write_value(w, field, value))
            return FAULT_INPUT;
        w->place = above;
    }
    w->depth--;
    if (!first) write_line(w);
    PUT_LIT(w, "}");
    return FAULT_NONE;
}
