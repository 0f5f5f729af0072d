/* SPDX-License-Identifier: Apache-2.0
 * A monitor and an object as JSON, one a line, by whatever API server: the targets that come of them have URLs of the
 * object's own address, and nothing else. */
#include "agent/collect/prometheus/pod_targets.h"
#include "common/base/arena.h"
#include "common/codec/codec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const void *decoded(enum kube_kind kind, slice json, struct arena *arena) {
    const struct message_desc *const desc = kube_resource(kind)->message;
    void *const message = arena_alloc(arena, message_size(desc));
    struct fault fault;
    return message && codec_decode_json_foreign(desc, json, arena, message, &fault) == FAULT_NONE ? message : NULL;
}

static void check(const struct pod_target_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        const char *const url = list->all[i].url;
        if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) abort();
        const char *host = strstr(url, "://") + 3;
        const size_t host_size = strspn(host, "0123456789abcdefABCDEF.:[]");
        if (host[host_size] != '/' || strstr(host, "127.0.0.1") == host || strlen(list->all[i].name) == 0) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct pod_target_list list;
    static const struct setting_pair pair = {{(const uint8_t *)"app", 3}, {(const uint8_t *)"web", 3}};
    const struct discovery_settings settings = {
        .annotations = SLICE_LIT("prometheus.io/"), .host_network = true, .labels = {&pair, size % 2}};
    const uint8_t *const newline = memchr(data, '\n', size);
    const size_t first = newline ? (size_t)(newline - data) : size;
    const slice monitor_json = slice_of(data, first), object_json = slice_from(slice_of(data, size), first + 1);
    struct arena *const arena = arena_new(65536, 1 << 24);
    if (!arena) return 0;
    struct monitor *monitor = NULL;
    struct fault note, fault;
    const void *const message = decoded(KUBE_PODMONITORS, monitor_json, arena);
    if (message && monitor_new(KUBE_PODMONITORS, message, &monitor, &note, &fault)) monitor = NULL;
    const KubePod *const pod = decoded(KUBE_PODS, object_json, arena);
    const KubeEndpointSlice *const slices = decoded(KUBE_ENDPOINTSLICES, object_json, arena);
    list.count = list.skipped = 0;
    if (pod) pod_targets_annotated(&settings, (slice){0}, pod, &list);
    if (pod && monitor) pod_targets_monitored(&settings, (slice){0}, monitor, pod, &list);
    if (slices && monitor) slice_targets_monitored(&settings, (slice){0}, monitor, slices, NULL, &list);
    check(&list);
    monitor_free(monitor);
    arena_free(arena);
    return 0;
}
