/* SPDX-License-Identifier: Apache-2.0
 * What the centre sends to an agent: a configuration. It is refused as a whole, or every definition taken compiles. */
#include "agent/ship/remote_config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *arena = arena_new(16 * 1024, 64 * 1024 * 1024);
    struct remote_definitions read;
    struct fault fault;
    if (!remote_config_read(slice_of(data, size), 1000, arena, &read, &fault)) {
        if ((read.refused > 0) != (read.refusals[0] != '\0')) abort();
        for (size_t i = 0; i < read.slis_count; i++) {
            struct sli *sli = NULL;
            if (sli_new(&read.slis[i], &sli, &fault)) abort();
            sli_free(sli);
        }
    }
    arena_free(arena);
    return 0;
}
