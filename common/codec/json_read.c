/* SPDX-License-Identifier: Apache-2.0
 * The door to yyjson, and the proto3 JSON mapping read with it. yyjson parses the whole text into a document in the
 * arena (it copies it once and undoes escapes in place, so that our slices point into that copy); then the rows are
 * filled by a walk over the document. The walk goes as deep as the message does, whatever the text holds; yyjson
 * itself does not recurse.
 *
 * Where the mapping leaves room we do as the reference implementations: a field given twice (also under its two
 * names), a key twice in a map, two fields of one oneof, null in a list: refused. For what another's program wrote
 * (foreign) we do as Go's encoding/json does with it. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <yyjson.h>

#include "common/codec/json.h"
#include "common/codec/place.h"
#include "common/codec/tables.h"

enum { FIELDS_MAX = 128, MAP_ENTRIES_MAX = 4096 };

struct reader {
    struct arena *arena;
    yyjson_alc allocator;
    bool ignore_unknown, foreign;
    struct fault *reterr;
};

static fault_code read_message(struct reader *r, const struct message_desc *desc, yyjson_val *json, uint8_t *message,
                               const struct place *above);

static void *reader_malloc(void *arena, size_t size) {
    return arena_alloc(arena, size);
}

static void *reader_realloc(void *arena, void *old, size_t old_size, size_t size) {
    return arena_grow(arena, old, old_size, size);
}

static void reader_free(void *arena, void *memory) {
    (void)arena;
    (void)memory;
}

static fault_code decode(const struct message_desc *desc, slice json, bool ignore_unknown, bool foreign,
                         struct arena *arena, void *ret_message, struct fault *reterr) {
    struct reader reader = {.arena = arena,
                            .ignore_unknown = ignore_unknown,
                            .foreign = foreign,
                            .reterr = reterr,
                            .allocator = {reader_malloc, reader_realloc, reader_free, arena}};
    if (json.size == 0) return fault_set(reterr, FAULT_INPUT, "not JSON: the text is empty");
    yyjson_read_err error = {0};
    /* Without YYJSON_READ_INSITU the text is not written to. */
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)json.data, json.size, YYJSON_READ_NOFLAG, &reader.allocator, &error);
    if (!doc && error.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return fault_set(reterr, FAULT_LIMIT, "read JSON of %zu bytes: the arena is full", json.size);
    if (!doc) return fault_set(reterr, FAULT_INPUT, "not JSON: %s, at byte %zu", error.msg, error.pos);
    memset(ret_message, 0, desc->size);
    return read_message(&reader, desc, yyjson_doc_get_root(doc), ret_message, NULL);
}

fault_code codec_decode_json(const struct message_desc *desc, slice json, bool ignore_unknown, struct arena *arena,
                             void *ret_message, struct fault *reterr) {
    return decode(desc, json, ignore_unknown, false, arena, ret_message, reterr);
}

fault_code codec_decode_json_foreign(const struct message_desc *desc, slice json, struct arena *arena,
                                     void *ret_message, struct fault *reterr) {
    return decode(desc, json, true, true, arena, ret_message, reterr);
}

static slice text_of(yyjson_val *json) {
    return slice_of(yyjson_get_str(json), yyjson_get_len(json));
}

static fault_code expected(struct reader *r, const struct place *place, const char *what, yyjson_val *json) {
    char given[48] = "";
    if (yyjson_is_str(json)) (void)snprintf(given, sizeof given, " '%.*s'", 40, yyjson_get_str(json));
    return place_fault(r->reterr, place, "expected %s, found %s%s", what, yyjson_get_type_desc(json), given);
}

/* A number, or a text that holds one and nothing else. */
static bool read_number(struct reader *r, yyjson_val *json, yyjson_val *ret_number) {
    if (yyjson_is_num(json)) {
        *ret_number = *json;
        return true;
    }
    if (!yyjson_is_str(json)) return false;
    const char *text = yyjson_get_str(json);
    const char *end = yyjson_read_number(text, ret_number, YYJSON_READ_NOFLAG, &r->allocator, NULL);
    return end && end == text + yyjson_get_len(json);
}

/* Whole numbers also as 1.0 and 1e5. */
static bool read_signed(yyjson_val *number, int64_t low, int64_t high, int64_t *ret_value) {
    int64_t value;
    if (yyjson_is_real(number)) {
        const double real = yyjson_get_real(number);
        if (!(real >= -9223372036854775808.0 && real < 9223372036854775808.0) || trunc(real) != real) return false;
        value = (int64_t)real;
    } else if (yyjson_is_uint(number)) {
        if (yyjson_get_uint(number) > INT64_MAX) return false;
        value = (int64_t)yyjson_get_uint(number);
    } else {
        value = yyjson_get_sint(number);
    }
    if (value < low || value > high) return false;
    *ret_value = value;
    return true;
}

static bool read_unsigned(yyjson_val *number, uint64_t high, uint64_t *ret_value) {
    uint64_t value;
    if (yyjson_is_real(number)) {
        const double real = yyjson_get_real(number);
        if (!(real >= 0 && real < 18446744073709551616.0) || trunc(real) != real) return false;
        value = (uint64_t)real;
    } else if (yyjson_is_uint(number)) {
        value = yyjson_get_uint(number);
    } else {
        if (yyjson_get_sint(number) != 0) return false; /* "-0" */
        value = 0;
    }
    if (value > high) return false;
    *ret_value = value;
    return true;
}

static fault_code read_double(struct reader *r, yyjson_val *json, double *ret_value, const struct place *place) {
    yyjson_val number;
    if (yyjson_is_str(json)) {
        if (yyjson_equals_str(json, "NaN")) return *ret_value = (double)NAN, FAULT_NONE;
        if (yyjson_equals_str(json, "Infinity")) return *ret_value = (double)INFINITY, FAULT_NONE;
        if (yyjson_equals_str(json, "-Infinity")) return *ret_value = -(double)INFINITY, FAULT_NONE;
    }
    if (!read_number(r, json, &number))
        return expected(r, place, "a number, \"NaN\", \"Infinity\" or \"-Infinity\"", json);
    *ret_value = yyjson_get_num(&number);
    return FAULT_NONE;
}

static fault_code read_integer(struct reader *r, const struct field_desc *field, yyjson_val *json, void *ret_value,
                               const struct place *place) {
    yyjson_val number;
    int64_t value = 0;
    uint64_t positive = 0;
    const bool is_number = read_number(r, json, &number);
    switch ((enum field_type)field->type) {
    case FIELD_INT32:
        if (!is_number || !read_signed(&number, INT32_MIN, INT32_MAX, &value))
            return expected(r, place, "a whole number of 32 bits", json);
        *(int32_t *)ret_value = (int32_t)value;
        return FAULT_NONE;
    case FIELD_INT64:
        if (!is_number || !read_signed(&number, INT64_MIN, INT64_MAX, &value))
            return expected(r, place, "a whole number of 64 bits", json);
        *(int64_t *)ret_value = value;
        return FAULT_NONE;
    case FIELD_UINT32:
        if (!is_number || !read_unsigned(&number, UINT32_MAX, &positive))
            return expected(r, place, "a whole number from 0 to 4294967295", json);
        *(uint32_t *)ret_value = (uint32_t)positive;
        return FAULT_NONE;
    default:
        if (!is_number || !read_unsigned(&number, UINT64_MAX, &positive))
            return expected(r, place, "a whole number from 0 to 18446744073709551615", json);
        *(uint64_t *)ret_value = positive;
        return FAULT_NONE;
    }
}

/* ret_known is false for a name that we do not know and shall ignore. */
static fault_code read_enum(struct reader *r, const struct field_desc *field, yyjson_val *json, int32_t *ret_value,
                            bool *ret_known, const struct place *place) {
    int64_t number;
    if (yyjson_is_num(json)) {
        if (!read_signed(json, INT32_MIN, INT32_MAX, &number))
            return expected(r, place, "an enum's name or number", json);
        *ret_value = (int32_t)number;
        return FAULT_NONE;
    }
    if (!yyjson_is_str(json)) return expected(r, place, "an enum's name or number", json);
    if (enum_number(field->enumeration, text_of(json), ret_value)) return FAULT_NONE;
    if (r->ignore_unknown) {
        *ret_known = false;
        return FAULT_NONE;
    }
    const struct enum_desc *names = field->enumeration;
    char words[96];
    (void)snprintf(words, sizeof words, "one of %s ... %s", names->values[0].name,
                   names->values[names->count - 1].name);
    return expected(r, place, words, json);
}

static fault_code read_bytes(struct reader *r, yyjson_val *json, slice *ret_bytes, const struct place *place) {
    if (!yyjson_is_str(json)) return expected(r, place, "base64", json);
    const slice text = text_of(json);
    uint8_t *bytes = arena_alloc(r->arena, text.size / 4 * 3 + 3);
    if (!bytes) return fault_set(r->reterr, FAULT_LIMIT, "read JSON: the arena is full");
    size_t size = 0;
    if (!json_base64_parse(text, bytes, &size)) return expected(r, place, "base64", json);
    *ret_bytes = slice_of(bytes, size);
    return FAULT_NONE;
}

/* A number or a boolean as the text that stands for it. */
static fault_code read_as_text(struct reader *r, yyjson_val *json, slice *ret_text, const struct place *place) {
    char number[JSON_DOUBLE_BYTES];
    slice text = {0};
    if (yyjson_is_bool(json))
        text = yyjson_get_bool(json) ? SLICE_LIT("true") : SLICE_LIT("false");
    else if (yyjson_is_real(json))
        text = slice_of(number, json_double_format(yyjson_get_real(json), number));
    else if (yyjson_is_uint(json))
        text = slice_of(number, (size_t)snprintf(number, sizeof number, "%" PRIu64, yyjson_get_uint(json)));
    else if (yyjson_is_int(json))
        text = slice_of(number, (size_t)snprintf(number, sizeof number, "%" PRId64, yyjson_get_sint(json)));
    else
        return expected(r, place, "text in quotes", json);
    *ret_text = arena_copy(r->arena, text);
    return ret_text->data ? FAULT_NONE : fault_set(r->reterr, FAULT_LIMIT, "read JSON: the arena is full");
}

static fault_code read_value(struct reader *r, const struct field_desc *field, yyjson_val *json, void *ret_value,
                             bool *ret_known, const struct place *place) {
    switch ((enum field_type)field->type) {
    case FIELD_DOUBLE: return read_double(r, json, ret_value, place);
    case FIELD_INT32:
    case FIELD_INT64:
    case FIELD_UINT32:
    case FIELD_UINT64: return read_integer(r, field, json, ret_value, place);
    case FIELD_BOOL:
        if (!yyjson_is_bool(json)) return expected(r, place, "true or false", json);
        *(bool *)ret_value = yyjson_get_bool(json);
        return FAULT_NONE;
    case FIELD_STRING:
        if (r->foreign && !yyjson_is_str(json)) return read_as_text(r, json, ret_value, place);
        if (!yyjson_is_str(json)) return expected(r, place, "text in quotes", json);
        *(slice *)ret_value = text_of(json);
        return FAULT_NONE;
    case FIELD_BYTES: return read_bytes(r, json, ret_value, place);
    case FIELD_ENUM: return read_enum(r, field, json, ret_value, ret_known, place);
    case FIELD_MESSAGE: return read_message(r, field->message, json, ret_value, place);
    }
    return FAULT_NONE;
}

static fault_code read_list(struct reader *r, const struct field_desc *field, yyjson_val *json, struct list *ret_list,
                            struct place *place) {
    if (!yyjson_is_arr(json)) return expected(r, place, "a list", json);
    const size_t size = field_value_size(field), count = yyjson_arr_size(json);
    if (count == 0) return FAULT_NONE;
    uint8_t *items = arena_alloc_array(r->arena, count, size);
    if (!items) return fault_set(r->reterr, FAULT_LIMIT, "read JSON: the arena is full");
    size_t index, all, kept = 0;
    yyjson_val *item;
    yyjson_arr_foreach(json, index, all, item) {
        bool known = true;
        place->index = (ptrdiff_t)index;
        if (yyjson_is_null(item) && r->foreign) continue;
        if (yyjson_is_null(item)) return place_fault(r->reterr, place, "null is no item of a list");
        const fault_code code = read_value(r, field, item, items + kept * size, &known, place);
        if (code) return code;
        kept += known;
    }
    *ret_list = (struct list){items, kept};
    return FAULT_NONE;
}

/* Without a search for keys that are there twice: it would be quadratic, and nothing is lost by them. */
static fault_code read_foreign_map(struct reader *r, yyjson_val *json, struct map_entry *entries, size_t *ret_count,
                                   const struct place *place) {
    size_t index, all, kept = 0;
    yyjson_val *key, *value;
    yyjson_obj_foreach(json, index, all, key, value) {
        if (yyjson_is_null(value)) continue;
        entries[kept].key = text_of(key);
        if (yyjson_is_str(value)) {
            entries[kept].value = text_of(value);
        } else {
            const fault_code code = read_as_text(r, value, &entries[kept].value, place);
            if (code) return code;
        }
        kept++;
    }
    *ret_count = kept;
    return FAULT_NONE;
}

static fault_code read_map(struct reader *r, yyjson_val *json, struct list *ret_list, struct place *place) {
    if (!yyjson_is_obj(json)) return expected(r, place, "an object", json);
    const size_t count = yyjson_obj_size(json);
    if (count == 0) return FAULT_NONE;
    if (count > MAP_ENTRIES_MAX && !r->foreign)
        return place_fault(r->reterr, place, "must have at most %d entries, has %zu", MAP_ENTRIES_MAX, count);
    struct map_entry *entries = arena_alloc_array(r->arena, count, sizeof *entries);
    if (!entries) return fault_set(r->reterr, FAULT_LIMIT, "read JSON: the arena is full");
    if (r->foreign) {
        ret_list->items = entries;
        return read_foreign_map(r, json, entries, &ret_list->count, place);
    }
    size_t index, all;
    yyjson_val *key, *value;
    yyjson_obj_foreach(json, index, all, key, value) {
        place->key = text_of(key);
        if (!yyjson_is_str(value)) return expected(r, place, "text in quotes", value);
        entries[index] = (struct map_entry){text_of(key), text_of(value)};
        for (size_t i = 0; i < index; i++)
            if (slice_equal(entries[i].key, entries[index].key))
                return place_fault(r->reterr, place, "the key is there twice");
    }
    *ret_list = (struct list){entries, count};
    return FAULT_NONE;
}

static fault_code read_well_known(struct reader *r, const struct message_desc *desc, yyjson_val *json, uint8_t *message,
                                  const struct place *place) {
    int64_t *const seconds = (int64_t *)(message + desc->fields[0].offset);
    int32_t *const nanos = (int32_t *)(message + desc->fields[1].offset);
    const bool text = yyjson_is_str(json);
    if (desc->well_known == WELL_KNOWN_TIMESTAMP) {
        if (!text || !json_time_parse(text_of(json), seconds, nanos))
            return expected(r, place, "a time such as \"2026-11-21T01:02:03.5Z\"", json);
        return FAULT_NONE;
    }
    if (!text || !json_duration_parse(text_of(json), seconds, nanos))
        return expected(r, place, "a duration such as \"1.5s\"", json);
    return FAULT_NONE;
}

static const struct field_desc *find_field(const struct message_desc *desc, slice name) {
    for (size_t i = 0; i < desc->fields_count; i++) {
        const struct field_desc *field = &desc->fields[i];
        if (slice_equal(name, slice_of(field->json_name, field->json_name_size)) ||
            slice_equal(name, slice_of(field->name, field->name_size)))
            return field;
    }
    return NULL;
}

static fault_code read_field(struct reader *r, const struct message_desc *desc, const struct field_desc *field,
                             yyjson_val *json, uint8_t *message, const struct place *above) {
    struct place place = {.above = above, .name = field->name, .index = -1};
    uint8_t *const value = message + field->offset;
    if (yyjson_is_null(json)) return FAULT_NONE;
    if (field->label == FIELD_REPEATED) return read_list(r, field, json, (struct list *)value, &place);
    if (field->label == FIELD_MAP) return read_map(r, json, (struct list *)value, &place);
    if (field->label == FIELD_ONEOF) {
        uint32_t *const which = (uint32_t *)(message + field->has_offset);
        if (*which != 0)
            return place_fault(r->reterr, &place, "%s is given already, and only one of '%s' may be",
                               field_by_number(desc, *which)->name, desc->oneofs[field->oneof].name);
        *which = field->number;
    }
    bool known = true;
    const fault_code code = read_value(r, field, json, value, &known, &place);
    if (code == FAULT_INPUT && r->foreign && field->message && field->message->well_known) return FAULT_NONE;
    if (code) return code;
    if (field->label == FIELD_OPTIONAL) *(bool *)(message + field->has_offset) = known;
    return FAULT_NONE;
}

static fault_code read_message(struct reader *r, const struct message_desc *desc, yyjson_val *json, uint8_t *message,
                               const struct place *above) {
    if (desc->well_known) return read_well_known(r, desc, json, message, above);
    if (!yyjson_is_obj(json)) return expected(r, above, "an object", json);
    uint64_t seen[FIELDS_MAX / 64] = {0};
    size_t index, all;
    yyjson_val *key, *value;
    yyjson_obj_foreach(json, index, all, key, value) {
        const slice name = text_of(key);
        const struct field_desc *field = find_field(desc, name);
        if (!field && r->ignore_unknown) continue;
        if (!field) {
            char shown[64];
            (void)snprintf(shown, sizeof shown, "%.*s", (int)slice_first(name, sizeof shown - 1).size,
                           (const char *)name.data);
            const struct place place = {.above = above, .name = shown, .index = -1};
            return place_fault(r->reterr, &place, "%s has no such field", desc->name);
        }
        const size_t row = (size_t)(field - desc->fields);
        if (seen[row / 64] >> row % 64 & 1 && !r->foreign) {
            const struct place place = {.above = above, .name = field->name, .index = -1};
            return place_fault(r->reterr, &place, "the field is given twice");
        }
        seen[row / 64] |= (uint64_t)1 << row % 64;
        const fault_code code = read_field(r, desc, field, value, message, above);
        if (code) return code;
    }
    return FAULT_NONE;
}

size_t json_double_format(double value, char ret_text[JSON_DOUBLE_BYTES]) {
    if (isnan(value)) return (size_t)snprintf(ret_text, JSON_DOUBLE_BYTES, "\"NaN\"");
    if (isinf(value))
        return (size_t)snprintf(ret_text, JSON_DOUBLE_BYTES, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    char pool[512];
    yyjson_alc allocator;
    yyjson_val number = {0};
    number.tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL;
    number.uni.f64 = value;
    size_t size = 0;
    if (yyjson_alc_pool_init(&allocator, pool, sizeof pool)) {
        const char *text = yyjson_val_write_opts(&number, YYJSON_WRITE_NOFLAG, &allocator, &size, NULL);
        if (text && size < JSON_DOUBLE_BYTES) {
            memcpy(ret_text, text, size);
            return size;
        }
    }
    return (size_t)snprintf(ret_text, JSON_DOUBLE_BYTES, "%.17g", value);
}
