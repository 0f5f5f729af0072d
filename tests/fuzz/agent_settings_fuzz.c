/* SPDX-License-Identifier: Apache-2.0
 * A whole configuration file: rows, cross checks, selectors, health rules. Whatever is in it, it is read or its
 * mistakes are named; a file that is good compiles. */
#include "agent/settings/agent_settings.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *arena = arena_new(16 * 1024, 64 * 1024 * 1024);
    struct agent_settings settings;
    struct setting_texts mistakes;
    struct fault fault;
    const fault_code code =
        agent_settings_read_text("fuzz.yaml", slice_of(data, size), NULL, arena, &settings, &mistakes, &fault);
    if (code == FAULT_INPUT && mistakes.count == 0) abort();
    for (size_t i = 0; !code && i < settings.slis.count; i++) {
        struct sli_definition definition;
        struct sli *sli = NULL;
        agent_settings_sli(&settings.slis.items[i], &definition);
        if (sli_new(&definition, &sli, &fault)) abort();
        sli_free(sli);
    }
    arena_free(arena);
    return 0;
}
