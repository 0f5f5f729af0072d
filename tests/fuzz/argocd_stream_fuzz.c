/* SPDX-License-Identifier: Apache-2.0
 * The first byte says how the bytes behind it are cut. Cut anywhere, they must say the same as in one piece. */
#include "agent/collect/argocd/argocd_stream.h"

#include <stdlib.h>

#include "common/base/checksum.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
    size_t events, skipped;
    uint32_t sum;
};

static void on_event(void *context, slice type, const KubeApplication *application) {
    struct heard *const heard = context;
    heard->events++;
    heard->sum = checksum_crc32c(heard->sum, type);
    heard->sum = checksum_crc32c(heard->sum, application->metadata.name);
    heard->sum = checksum_crc32c(heard->sum, application->status.health.message);
}

static void on_skipped(void *context, size_t bytes) {
    struct heard *const heard = context;
    heard->skipped++;
}

static fault_code feed(slice bytes, size_t piece, struct heard *heard) {
    struct fault fault;
    struct argocd_stream *stream;
    const struct argocd_stream_calls calls = {on_event, on_skipped, heard};
    if (argocd_stream_new(1024, &calls, &stream, &fault)) abort();
    argocd_stream_begin(stream);
    fault_code code = FAULT_NONE;
    for (; bytes.size && !code; bytes = slice_from(bytes, piece))
        code = argocd_stream_feed(stream, slice_first(bytes, piece), &fault);
    if (argocd_stream_buffer_bytes(stream) > 2048) abort();
    argocd_stream_free(stream);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    struct heard whole = {0}, cut = {0};
    const slice bytes = slice_of(data + 1, size - 1);
    if (feed(bytes, bytes.size, &whole) != feed(bytes, 1 + data[0], &cut)) abort();
    if (whole.events != cut.events || whole.skipped != cut.skipped || whole.sum != cut.sum) abort();
    return 0;
}
