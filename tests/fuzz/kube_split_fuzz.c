/* SPDX-License-Identifier: Apache-2.0
 * What an API server sends, through splitter and decoder. First byte: list or watch, protobuf or JSON, which resource;
 * second: where the rest is cut. Beyond not crashing: what comes out must not depend on how it was cut. */
#include "agent/collect/kubernetes/kube_resource.h"
#include "agent/collect/kubernetes/kube_split.h"
#include "common/base/arena.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OBJECT_BYTES_MAX = 1000 };

struct trace {
    const struct message_desc *desc;
    bool protobuf;
    struct arena *arena;
    uint64_t objects, readable, skipped, metadata, hash;
};

static uint64_t hash_add(uint64_t hash, slice bytes) {
    for (size_t i = 0; i < bytes.size; i++) hash = (hash ^ bytes.data[i]) * 1099511628211u;
    return hash + 1;
}

static void decode(struct trace *trace, const struct message_desc *desc, slice bytes) {
    arena_reset(trace->arena);
    void *message = arena_alloc(trace->arena, message_size(desc));
    if (!message) abort();
    const fault_code code = trace->protobuf ? codec_decode_protobuf_foreign(desc, bytes, trace->arena, message, NULL)
                                            : codec_decode_json_foreign(desc, bytes, trace->arena, message, NULL);
    slice again;
    if (code) return;
    trace->readable++;
    /* All that the message points to is readable, and its text is UTF-8. */
    if (codec_encode_json(desc, message, false, trace->arena, &again, NULL) == FAULT_NONE)
        trace->hash = hash_add(trace->hash, again);
}

static void on_object(void *context, slice type, slice bytes, size_t wire_bytes) {
    struct trace *const trace = context;
    trace->objects++;
    trace->hash = hash_add(hash_add(trace->hash, type), bytes);
    if (bytes.size > OBJECT_BYTES_MAX + 512) abort();
    decode(trace, slice_equal(type, SLICE_LIT("ERROR")) ? &KubeStatus_desc : trace->desc, bytes);
}

static void on_metadata(void *context, slice bytes) {
    struct trace *const trace = context;
    trace->metadata++;
    decode(trace, &KubeListMeta_desc, bytes);
}

static void on_skipped(void *context, slice type, slice head, size_t wire_bytes) {
    struct trace *const trace = context;
    struct kube_identity identity;
    if (kube_split_identity(trace->protobuf, head, &identity)) {
        const slice parts[] = {type, identity.name, identity.namespace, identity.uid, identity.resource_version};
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) trace->hash = hash_add(trace->hash, parts[i]);
    }
    trace->skipped += wire_bytes;
}

static fault_code run(struct trace *trace, enum kube_split_form form, slice bytes, size_t piece_bytes) {
    const struct kube_split_calls calls = {on_object, on_metadata, on_skipped, trace};
    struct kube_split *split = kube_split_new(OBJECT_BYTES_MAX, &calls);
    if (!split) abort();
    kube_split_begin(split, form, trace->protobuf, trace->desc);
    fault_code code = FAULT_NONE;
    for (size_t at = 0; at < bytes.size && !code; at += piece_bytes) {
        const slice piece = slice_first(slice_from(bytes, at), piece_bytes);
        uint8_t *const copy = malloc(piece.size); /* its own block: a read past the piece is seen */
        if (!copy) abort();
        memcpy(copy, piece.data, piece.size);
        code = kube_split_feed(split, slice_of(copy, piece.size), NULL);
        free(copy);
    }
    if (!code) code = kube_split_end(split, NULL);
    kube_split_free(split);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    const enum kube_split_form form = data[0] & 1 ? KUBE_SPLIT_WATCH : KUBE_SPLIT_LIST;
    struct trace whole = {.protobuf = data[0] & 2, .arena = arena_new(16 * 1024, 1024 * 1024)};
    if (!whole.arena) abort();
    whole.desc = kube_resource((enum kube_kind)((data[0] >> 2) % KUBE_KINDS_))->message;
    struct trace cut = whole;
    const slice bytes = slice_of(data + 2, size - 2);
    const fault_code whole_code = run(&whole, form, bytes, bytes.size ? bytes.size : 1);
    const fault_code cut_code = run(&cut, form, bytes, 1u + data[1] % 64);
    if (whole_code != cut_code || memcmp(&whole, &cut, sizeof whole) != 0) abort();
    arena_free(whole.arena);
    return 0;
}
