/* SPDX-License-Identifier: Apache-2.0
 * A tenant's export from somewhere else: it is refused at a line, or every line of it can be written again. The digest
 * would stop nearly every change at the end only, which is why the lines are what is looked at. */
#include "aggregator/archive/export_file.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    FILE *from = fmemopen((void *)(uintptr_t)data, size, "rb"), *to = fopen("/dev/null", "wb");
    struct arena *arena = arena_new(64 * 1024, EXPORT_ARENA_BYTES_MAX);
    ExportLine *line = calloc(1, sizeof *line);
    struct export_reader reader;
    struct export_writer writer;
    struct fault fault = {0};
    export_reader_begin(&reader, from);
    export_writer_begin(&writer, to);
    fault_code code;
    while ((code = export_read(&reader, arena, line, &fault)) == FAULT_NONE) {
        if (export_write(&writer, line, arena, &fault)) abort();
        arena_reset(arena);
    }
    if (code != FAULT_ABSENT && !fault.text[0]) abort();
    if (code == FAULT_ABSENT && reader.which != ExportLine_end_tag) abort();
    export_reader_done(&reader);
    free(line);
    arena_free(arena);
    fclose(from);
    fclose(to);
    return 0;
}
