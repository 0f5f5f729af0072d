/* SPDX-License-Identifier: Apache-2.0
 * Bytes from the broker and from HTTP. The first byte chooses the message, the others are it. What is decoded must be
 * encoded again, and that decoded and encoded to the same bytes; what is valid must also survive JSON. */
#include <stdlib.h>

#include "sre.pb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_BYTES = 64 * 1024 * 1024 };

static const struct message_desc *const messages[] = {
    &SreDomainIntent_desc,    &IntentBatch_desc,
    &EncodedIntentBatch_desc, &IntentAck_desc,
    &AgentConfig_desc,        &AgentStatus_desc,
    &DiagnosticsRequest_desc, &DiagnosticsReply_desc,
    &SreDomainFact_desc,      &ListOpenIncidentsRequest_desc,
    &Rejection_desc,
};

static void must(bool holds) {
    if (!holds) abort();
}

/* FAULT_LIMIT is the arena's, and no finding. */
static bool must_or_limit(fault_code code) {
    must(code == FAULT_NONE || code == FAULT_LIMIT);
    return code == FAULT_NONE;
}

static void check_json(const struct message_desc *desc, const void *message, slice bytes, struct arena *arena) {
    struct fault fault;
    slice json, again;
    void *read = arena_alloc(arena, message_size(desc));
    if (!read || !must_or_limit(codec_encode_json(desc, message, false, arena, &json, &fault))) return;
    if (!must_or_limit(codec_decode_json(desc, json, false, arena, read, &fault))) return;
    if (!must_or_limit(codec_encode_protobuf(desc, read, arena, &again, &fault))) return;
    must(slice_equal(bytes, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct arena *arena;
    if (!arena) arena = arena_new(1024 * 1024, ARENA_BYTES);
    if (size == 0) return 0;
    const struct message_desc *desc = messages[data[0] % (sizeof messages / sizeof messages[0])];
    struct fault fault;
    slice first, second;
    void *message = arena_alloc(arena, message_size(desc)), *read = arena_alloc(arena, message_size(desc));
    must(message && read);
    if (codec_decode_protobuf(desc, slice_of(data + 1, size - 1), arena, message, &fault) == FAULT_NONE &&
        must_or_limit(codec_encode_protobuf(desc, message, arena, &first, &fault)) &&
        must_or_limit(codec_decode_protobuf(desc, first, arena, read, &fault)) &&
        must_or_limit(codec_encode_protobuf(desc, read, arena, &second, &fault))) {
        must(slice_equal(first, second));
        if (must_or_limit(codec_copy(desc, message, arena, read, &fault)) &&
            must_or_limit(codec_encode_protobuf(desc, read, arena, &second, &fault)))
            must(slice_equal(first, second));
        if (codec_validate(desc, message, &fault) == FAULT_NONE) check_json(desc, message, first, arena);
    }
    arena_reset(arena);
    return 0;
}
