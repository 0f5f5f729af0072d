/* SPDX-License-Identifier: Apache-2.0
 * A deep copy: the struct as it is, and then everything it points to moved over into the arena, field by field. */
#include "common/codec/tables.h"

static bool copy_inside(const struct message_desc *desc, uint8_t *message, struct arena *arena);

fault_code codec_copy(const struct message_desc *desc, const void *message, struct arena *arena, void *ret_message,
                      struct fault *reterr) {
    if (ret_message != message) memcpy(ret_message, message, desc->size);
    if (copy_inside(desc, ret_message, arena)) return FAULT_NONE;
    return fault_set(reterr, FAULT_LIMIT, "copy %s: the arena is full", desc->name);
}

/* Copies what one value points to, and sets the value to the copy. */
static bool copy_value(const struct field_desc *field, uint8_t *value, struct arena *arena) {
    if (field->type == FIELD_MESSAGE) return copy_inside(field->message, value, arena);
    if (field->type != FIELD_STRING && field->type != FIELD_BYTES) return true;
    slice *const text = (slice *)value;
    if (text->size == 0) {
        *text = (slice){0};
        return true;
    }
    *text = arena_copy(arena, *text);
    return text->data != NULL;
}

static bool copy_list(const struct field_desc *field, struct list *list, struct arena *arena) {
    if (list->count == 0) {
        list->items = NULL;
        return true;
    }
    const size_t size = field_value_size(field);
    uint8_t *const items = arena_alloc_array(arena, list->count, size);
    if (!items) return false;
    memcpy(items, list->items, list->count * size);
    list->items = items;
    for (size_t i = 0; i < list->count; i++)
        if (!copy_value(field, items + i * size, arena)) return false;
    return true;
}

static bool copy_inside(const struct message_desc *desc, uint8_t *message, struct arena *arena) {
    for (size_t i = 0; i < desc->fields_count; i++) {
        const struct field_desc *field = &desc->fields[i];
        uint8_t *const value = message + field->offset;
        if (field_is_list(field)) {
            if (!copy_list(field, (struct list *)value, arena)) return false;
        } else if (field_present(field, message)) {
            if (!copy_value(field, value, arena)) return false;
        }
    }
    return true;
}
