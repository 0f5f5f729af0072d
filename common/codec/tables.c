/* SPDX-License-Identifier: Apache-2.0
 * Reading the generated rows: names, numbers, presence and routes. A message's fields are sorted by number and few,
 * so that finding one is a guess at its place and then a binary search; routes go by a hash made at build time. */
#include "common/codec/tables.h"

size_t message_size(const struct message_desc *desc) {
    return desc->size;
}

const char *message_full_name(const struct message_desc *desc) {
    return desc->full_name;
}

const char *message_field_full_name(const struct message_desc *desc, uint32_t number) {
    const struct field_desc *field = field_by_number(desc, number);
    return field && field->message ? field->message->full_name : NULL;
}

const char *enum_name(const struct enum_desc *desc, int32_t number) {
    /* Nearly all enums run from 0 without gaps. */
    if (number >= 0 && (uint32_t)number < desc->count && desc->values[number].number == number)
        return desc->values[number].name;
    for (uint32_t i = 0; i < desc->count; i++)
        if (desc->values[i].number == number) return desc->values[i].name;
    return NULL;
}

bool enum_number(const struct enum_desc *desc, slice name, int32_t *ret_number) {
    for (uint32_t i = 0; i < desc->count; i++) {
        if (!slice_equal_text(name, desc->values[i].name)) continue;
        *ret_number = desc->values[i].number;
        return true;
    }
    return false;
}

const struct field_desc *field_by_number(const struct message_desc *desc, uint32_t number) {
    size_t low = 0, high = desc->fields_count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (desc->fields[middle].number == number) return &desc->fields[middle];
        if (desc->fields[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool field_present(const struct field_desc *field, const void *message) {
    const uint8_t *base = message;
    const uint8_t *value = base + field->offset;
    switch ((enum field_label)field->label) {
    case FIELD_OPTIONAL: return *(const bool *)(base + field->has_offset);
    case FIELD_ONEOF: return *(const uint32_t *)(base + field->has_offset) == field->number;
    case FIELD_REPEATED:
    case FIELD_MAP: return ((const struct list *)value)->count != 0;
    case FIELD_SINGULAR: break;
    }
    switch ((enum field_type)field->type) {
    case FIELD_DOUBLE: return *(const uint64_t *)value != 0; /* by its bits: -0.0 is not the default */
    case FIELD_INT64:
    case FIELD_UINT64: return *(const uint64_t *)value != 0;
    case FIELD_INT32:
    case FIELD_UINT32:
    case FIELD_ENUM: return *(const uint32_t *)value != 0;
    case FIELD_BOOL: return *(const bool *)value;
    case FIELD_STRING:
    case FIELD_BYTES: return ((const slice *)value)->size != 0;
    case FIELD_MESSAGE: return true; /* never singular in the tables */
    }
    return false;
}

const struct method_desc *method_find(slice path) {
    for (uint32_t at = method_path_hash(path) & methods_hash_mask;; at = (at + 1) & methods_hash_mask) {
        if (methods_hash[at] >= methods_count) return NULL;
        const struct method_desc *method = &methods_table[methods_hash[at]];
        if (slice_equal_text(path, method->path)) return method;
    }
}

bool message_json_member(const struct message_desc *desc, slice name, const struct message_desc **ret_held) {
    for (size_t i = 0; i < desc->fields_count; i++) {
        const struct field_desc *field = &desc->fields[i];
        if (!slice_equal(name, slice_of(field->json_name, field->json_name_size))) continue;
        *ret_held = field->label == FIELD_MAP ? NULL : field->message;
        return true;
    }
    return false;
}
