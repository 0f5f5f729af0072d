/* SPDX-License-Identifier: Apache-2.0
 * All memory of a fold is set aside when it is made, and counted. */
#include <stdlib.h>

#include "agent/window/fold_parts.h"

void *fold_alloc(struct fold *fold, size_t count, size_t bytes) {
    void *const block = calloc(count ? count : 1, bytes);
    if (block) {
        fold->blocks[fold->blocks_count++] = block;
        fold->stats.memory_bytes += count * bytes;
    }
    return block;
}

fault_code fold_no_memory(struct fault *reterr) {
    return fault_set(reterr, FAULT_SYSTEM, "out of memory for the windows");
}
