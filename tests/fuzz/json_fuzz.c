/* SPDX-License-Identifier: Apache-2.0
 * JSON from HTTP. The first byte chooses the message and whether unknown fields are ignored. What is read must be
 * written, and that read and written to the same text; and it must survive protobuf. */
#include <stdlib.h>

#include "sre.pb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_BYTES = 64 * 1024 * 1024, IGNORE_UNKNOWN = 0x80 };

static const struct message_desc *const messages[] = {
    &CreateSLORequest_desc,
    &SLO_desc,
    &SreDomainIntent_desc,
    &SearchIncidentsRequest_desc,
    &Rejection_desc,
    &GetSLOBurndownRequest_desc,
    &CreateServiceRequest_desc,
    &GetSLITimeSeriesResponse_desc,
};

static void must(bool holds) {
    if (!holds) abort();
}

static bool must_or_limit(fault_code code) {
    must(code == FAULT_NONE || code == FAULT_LIMIT);
    return code == FAULT_NONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct arena *arena;
    if (!arena) arena = arena_new(1024 * 1024, ARENA_BYTES);
    if (size == 0) return 0;
    const struct message_desc *desc = messages[(data[0] & 0x7F) % (sizeof messages / sizeof messages[0])];
    struct fault fault;
    slice first, second, bytes;
    void *message = arena_alloc(arena, message_size(desc)), *read = arena_alloc(arena, message_size(desc));
    must(message && read);
    if (codec_decode_json(desc, slice_of(data + 1, size - 1), data[0] & IGNORE_UNKNOWN, arena, message, &fault) ==
            FAULT_NONE &&
        must_or_limit(codec_encode_json(desc, message, data[0] & 1, arena, &first, &fault)) &&
        must_or_limit(codec_decode_json(desc, first, false, arena, read, &fault)) &&
        must_or_limit(codec_encode_json(desc, read, data[0] & 1, arena, &second, &fault))) {
        must(slice_equal(first, second));
        (void)codec_validate(desc, message, &fault);
        if (must_or_limit(codec_encode_protobuf(desc, message, arena, &bytes, &fault)) &&
            codec_decode_protobuf(desc, bytes, arena, read, &fault) == FAULT_NONE && /* an enum below 0 is not */
            must_or_limit(codec_encode_json(desc, read, data[0] & 1, arena, &second, &fault)))
            must(slice_equal(first, second));
    }
    arena_reset(arena);
    return 0;
}
