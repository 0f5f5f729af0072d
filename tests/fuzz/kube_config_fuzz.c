/* SPDX-License-Identifier: Apache-2.0
 * A kubeconfig of any bytes. Beyond not crashing: what is taken has a server to call. */
#include "agent/collect/kubernetes/kube_config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *arena = arena_new(16 * 1024, 1024 * 1024);
    struct kube_config config;
    if (!arena) return 0;
    if (kube_config_read_text("folder/config", slice_of(data, size), (slice){0}, arena, &config, NULL) == FAULT_NONE &&
        (strncmp(config.server, "http", 4) != 0 || strncmp(config.base_url, "http", 4) != 0 ||
         (config.plugin_arguments && !config.plugin_arguments[0])))
        abort();
    arena_free(arena);
    return 0;
}
