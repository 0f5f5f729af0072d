/* SPDX-License-Identifier: Apache-2.0
 * A walk over the rows beside the message. Where nothing below a message has a rule (message_desc.ruled) the walk does
 * not go. The path of a field is a chain of places on the stack, written out only when something is wrong, so that the
 * usual case costs a comparison a field.
 *
 * Rules bind what is there: an empty text that is not required is absent, and has neither length nor form. Items of a
 * list and values of a map are there, also when empty. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/codec/format.h"
#include "common/codec/place.h"
#include "common/codec/tables.h"
#include "common/codec/utf8.h"

static fault_code validate_message(const struct message_desc *desc, const void *message, const struct place *above,
                                   struct fault *reterr);

fault_code codec_validate(const struct message_desc *desc, const void *message, struct fault *reterr) {
    return validate_message(desc, message, NULL, reterr);
}

static fault_code check_length(size_t size, uint32_t low, uint32_t high, const char *unit, const struct place *place,
                               struct fault *reterr) {
    if (size >= low && (high == 0 || size <= high)) return FAULT_NONE;
    if (high == 0) return place_fault(reterr, place, "must have at least %" PRIu32 " %s, has %zu", low, unit, size);
    if (low == 0) return place_fault(reterr, place, "must have at most %" PRIu32 " %s, has %zu", high, unit, size);
    return place_fault(reterr, place, "must have %" PRIu32 " to %" PRIu32 " %s, has %zu", low, high, unit, size);
}

enum { SHOWN_BYTES_MAX = 60, CONTROL_BYTES = 6, NUMBER_BYTES = 32 };

/* The beginning of it, control characters (a NUL would end the message) as in JSON. */
static void show_text(slice text, char *ret_shown) {
    size_t used = 0;
    for (size_t i = 0; i < text.size && i < SHOWN_BYTES_MAX; i++)
        if (text.data[i] < 0x20 || text.data[i] == 0x7F)
            used += (size_t)snprintf(ret_shown + used, CONTROL_BYTES + 1, "\\u%04x", text.data[i]);
        else
            ret_shown[used++] = (char)text.data[i];
    ret_shown[used] = '\0';
}

static fault_code check_text(const struct field_desc *field, slice text, bool present, const struct place *place,
                             struct fault *reterr) {
    const struct field_rule *rule = field->rule;
    if (field->type == FIELD_STRING && text.size && !utf8_valid(text))
        return place_fault(reterr, place, "must be UTF-8");
    if (text.size == 0 && !rule->required && !present) return FAULT_NONE;
    const uint32_t low = rule->required && rule->min_len == 0 ? 1 : rule->min_len;
    /* Characters are no more than bytes: they are counted only where that could matter. */
    const bool characters = field->type == FIELD_STRING && (text.size > rule->max_len || low > 1);
    const size_t length = characters ? utf8_length(text) : text.size;
    const char *const unit = field->type == FIELD_STRING ? "characters" : "bytes";
    if (check_length(length, low, rule->max_len, unit, place, reterr)) return FAULT_INPUT;
    if (!text.size || format_holds(rule->format, text)) return FAULT_NONE;
    char shown[SHOWN_BYTES_MAX * CONTROL_BYTES + 1];
    show_text(text, shown);
    return place_fault(reterr, place, "must be %s, is '%s'%s", format_words(rule->format), shown,
                       text.size > SHOWN_BYTES_MAX ? "..." : "");
}

/* As somebody would write it: 100.1, and not 100.09999999999999. */
static void show_number(double value, char shown[static NUMBER_BYTES]) {
    snprintf(shown, NUMBER_BYTES, "%.15g", value);
    if (strtod(shown, NULL) != value) snprintf(shown, NUMBER_BYTES, "%.17g", value);
}

static fault_code check_range(const struct field_desc *field, double value, const struct place *place,
                              struct fault *reterr) {
    const struct field_rule *rule = field->rule;
    const bool low_ok = rule->bounds & BOUND_GT ? value > rule->low : !(rule->bounds & BOUND_GTE) || value >= rule->low;
    const bool high_ok =
        rule->bounds & BOUND_LT ? value < rule->high : !(rule->bounds & BOUND_LTE) || value <= rule->high;
    if (low_ok && high_ok) return FAULT_NONE; /* NaN is within no bound */
    const char *const low_words = rule->bounds & BOUND_GT ? "above" : "at least";
    const char *const high_words = rule->bounds & BOUND_LT ? "below" : "at most";
    char low[NUMBER_BYTES], high[NUMBER_BYTES], is[NUMBER_BYTES];
    show_number(rule->low, low);
    show_number(rule->high, high);
    show_number(value, is);
    if (!(rule->bounds & (BOUND_LT | BOUND_LTE)))
        return place_fault(reterr, place, "must be %s %s, is %s", low_words, low, is);
    if (!(rule->bounds & (BOUND_GT | BOUND_GTE)))
        return place_fault(reterr, place, "must be %s %s, is %s", high_words, high, is);
    return place_fault(reterr, place, "must be %s %s and %s %s, is %s", low_words, low, high_words, high, is);
}

static fault_code check_number(const struct field_desc *field, const void *value, const struct place *place,
                               struct fault *reterr) {
    const struct field_rule *rule = field->rule;
    double number = 0;
    switch ((enum field_type)field->type) {
    case FIELD_DOUBLE: number = *(const double *)value; break;
    case FIELD_INT32: number = *(const int32_t *)value; break;
    case FIELD_UINT32: number = *(const uint32_t *)value; break;
    case FIELD_INT64: number = (double)*(const int64_t *)value; break;
    case FIELD_UINT64: number = (double)*(const uint64_t *)value; break;
    default: return FAULT_NONE;
    }
    if (rule->required && number == 0) return place_fault(reterr, place, "is required, and must not be 0");
    return rule->bounds ? check_range(field, number, place, reterr) : FAULT_NONE;
}

static fault_code check_enum(const struct field_desc *field, int32_t number, const struct place *place,
                             struct fault *reterr) {
    const struct enum_desc *names = field->enumeration;
    if (number == 0 && !field->rule->required) return FAULT_NONE;
    if (number != 0 && (!field->rule->defined_only || enum_name(names, number))) return FAULT_NONE;
    char list[160];
    size_t used = 0;
    for (uint32_t i = 0; i < names->count && used < sizeof list; i++) {
        if (names->values[i].number == 0) continue;
        const int more = snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", names->values[i].name);
        used += more > 0 ? (size_t)more : 0;
    }
    if (number == 0) return place_fault(reterr, place, "is required: one of %s", list);
    return place_fault(reterr, place, "must be one of %s, is %" PRId32, list, number);
}

/* One value that is there (or, singular, may be). */
static fault_code check_value(const struct field_desc *field, const void *value, bool present,
                              const struct place *place, struct fault *reterr) {
    if (field->type == FIELD_MESSAGE)
        return field->message->ruled ? validate_message(field->message, value, place, reterr) : FAULT_NONE;
    if (!field->rule) return FAULT_NONE;
    switch ((enum field_type)field->type) {
    case FIELD_STRING:
    case FIELD_BYTES: return check_text(field, *(const slice *)value, present, place, reterr);
    case FIELD_ENUM: return check_enum(field, *(const int32_t *)value, place, reterr);
    default: return check_number(field, value, place, reterr);
    }
}

static fault_code check_entry(const struct field_desc *field, const struct map_entry *entries, size_t index,
                              const struct place *above, struct fault *reterr) {
    const struct field_rule *rule = field->rule;
    const struct map_entry *entry = &entries[index];
    const struct place by_index = {.above = above->above, .name = above->name, .index = (ptrdiff_t)index};
    if (!utf8_valid(entry->key) || !utf8_valid(entry->value)) return place_fault(reterr, &by_index, "must be UTF-8");
    if (check_length(utf8_length(entry->key), 1, rule->key_max_len, "characters in its key", &by_index, reterr))
        return FAULT_INPUT;
    const struct place place = {.above = above->above, .name = above->name, .index = -1, .key = entry->key};
    if (!format_holds(rule->key_format, entry->key))
        return place_fault(reterr, &place, "the key must be %s", format_words(rule->key_format));
    if (check_length(utf8_length(entry->value), 0, rule->max_len, "characters", &place, reterr)) return FAULT_INPUT;
    if (entry->value.size && !format_holds(rule->format, entry->value))
        return place_fault(reterr, &place, "must be %s", format_words(rule->format));
    for (size_t i = 0; i < index; i++) /* max_items was checked before */
        if (slice_equal(entries[i].key, entry->key)) return place_fault(reterr, &place, "the key is there twice");
    return FAULT_NONE;
}

static fault_code check_list(const struct field_desc *field, const struct list *list, struct place *place,
                             struct fault *reterr) {
    const struct field_rule *rule = field->rule;
    if (rule && check_length(list->count, rule->min_items, rule->max_items, "items", place, reterr)) return FAULT_INPUT;
    const size_t size = field_value_size(field);
    for (size_t i = 0; i < list->count; i++) {
        if (field->label == FIELD_MAP) {
            if (check_entry(field, list->items, i, place, reterr)) return FAULT_INPUT;
            continue;
        }
        place->index = (ptrdiff_t)i;
        if (check_value(field, (const uint8_t *)list->items + i * size, true, place, reterr)) return FAULT_INPUT;
    }
    return FAULT_NONE;
}

/* Ranges of google/protobuf/timestamp.proto and duration.proto. */
static fault_code check_well_known(const struct message_desc *desc, const void *message, const struct place *place,
                                   struct fault *reterr) {
    const int64_t seconds = *(const int64_t *)((const uint8_t *)message + desc->fields[0].offset);
    const int32_t nanos = *(const int32_t *)((const uint8_t *)message + desc->fields[1].offset);
    if (desc->well_known == WELL_KNOWN_TIMESTAMP) {
        if (seconds < -62135596800 || seconds > 253402300799 || nanos < 0 || nanos > 999999999)
            return place_fault(reterr, place,
                               "must be a time from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z");
        return FAULT_NONE;
    }
    const bool signs_agree = !(seconds < 0 && nanos > 0) && !(seconds > 0 && nanos < 0);
    if (seconds < -315576000000 || seconds > 315576000000 || nanos < -999999999 || nanos > 999999999 || !signs_agree)
        return place_fault(reterr, place, "must be a duration within 10000 years, seconds and nanos of one sign");
    return FAULT_NONE;
}

static fault_code check_oneofs(const struct message_desc *desc, const void *message, const struct place *above,
                               struct fault *reterr) {
    for (size_t i = 0; i < desc->oneofs_count; i++) {
        const struct oneof_desc *oneof = &desc->oneofs[i];
        if (!oneof->required || *(const uint32_t *)((const uint8_t *)message + oneof->which_offset) != 0) continue;
        const struct place place = {.above = above, .name = oneof->name, .index = -1};
        return place_fault(reterr, &place, "one of its fields is required");
    }
    return FAULT_NONE;
}

static fault_code validate_message(const struct message_desc *desc, const void *message, const struct place *above,
                                   struct fault *reterr) {
    if (desc->well_known) {
        const struct place top = {.name = desc->name, .index = -1};
        return check_well_known(desc, message, above ? above : &top, reterr);
    }
    for (size_t i = 0; i < desc->fields_count; i++) {
        const struct field_desc *field = &desc->fields[i];
        struct place place = {.above = above, .name = field->name, .index = -1};
        const void *const value = (const uint8_t *)message + field->offset;
        if (field_is_list(field)) {
            if (check_list(field, value, &place, reterr)) return FAULT_INPUT;
        } else if (field->label == FIELD_SINGULAR) {
            if (check_value(field, value, false, &place, reterr)) return FAULT_INPUT;
        } else if (field_present(field, message)) {
            if (check_value(field, value, true, &place, reterr)) return FAULT_INPUT;
        } else if (field->rule && field->rule->required) {
            return place_fault(reterr, &place, "is required");
        }
    }
    return check_oneofs(desc, message, above, reterr);
}
