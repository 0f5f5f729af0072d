/* SPDX-License-Identifier: Apache-2.0
 * A map has no order, yet its entries stand in one, and clients write them in another each time (protobuf's own runtime
 * for Go does so on purpose). Sorted by their keys, equal messages give equal bytes. */
#include "common/codec/tables.h"

#include <stdlib.h>

static int by_key(const void *a, const void *b) {
    return slice_compare(((const struct map_entry *)a)->key, ((const struct map_entry *)b)->key);
}

static void order_list(const struct field_desc *field, struct list *list) {
    uint8_t *const items = list->items;
    if (field->label == FIELD_MAP) {
        if (list->count > 1) qsort(items, list->count, sizeof(struct map_entry), by_key);
    } else if (field->type == FIELD_MESSAGE) {
        for (size_t i = 0; i < list->count; i++) codec_order_maps(field->message, items + i * field->message->size);
    }
}

void codec_order_maps(const struct message_desc *desc, void *message) {
    for (size_t i = 0; i < desc->fields_count; i++) {
        const struct field_desc *field = &desc->fields[i];
        uint8_t *const value = (uint8_t *)message + field->offset;
        if (field_is_list(field))
            order_list(field, (struct list *)value);
        else if (field->type == FIELD_MESSAGE && field_present(field, message))
            codec_order_maps(field->message, value);
    }
}
