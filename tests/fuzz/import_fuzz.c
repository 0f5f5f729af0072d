/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a file to import: the first says in which format. What comes out is within its bounds, and each object
 * is one line of JSON's characters. */
#include "aggregator/ctl/import/import.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    struct import import = {.arena = arena_new(65536, 64 << 20)};
    const struct import_format *format = &import_formats[data[0] % import_formats_count];
    struct fault fault = {0};
    import_read(&import, format, "fuzz/a.md", slice_of(data + 1, size - 1));
    if (import_finish(&import, format, &fault) == FAULT_NONE) {
        if (import.objects_count > IMPORT_OBJECTS_MAX || import.notes_count > IMPORT_NOTES_MAX) abort();
        for (size_t i = 0; i < import.objects_count; i++) {
            const struct import_object *object = &import.objects[i];
            if (!object->id.size || object->command.size < 2 || object->command.data[0] != '{') abort();
            for (size_t j = 0; j < object->command.size; j++)
                if (object->command.data[j] < 0x20) abort();
        }
        for (size_t i = 0; i < import.notes_count; i++)
            if (!import.notes[i].why.size) abort();
    } else if (!fault.text[0])
        abort();
    arena_free(import.arena);
    return 0;
}
