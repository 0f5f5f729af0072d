/* SPDX-License-Identifier: Apache-2.0
 * From bytes to what listeners hear: the head says whether this is a list or a watch and how it is encoded, the splitter
 * cuts it, and each object is decoded in the cluster's arena, handed on and forgotten. One that cannot be read is counted
 * and passed over; what cannot be cut any more ends the request. */
#include <inttypes.h>
#include <stdlib.h>

#include "agent/collect/kubernetes/kube_stream_parts.h"
#include "common/base/clock.h"
#include "common/base/checksum.h"
#include "common/logging/log.h"

static bool starts_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool stream_head_came(void *context, int status, const char *content_type) {
    struct kube_stream *stream = context;
    stream->head_ms = stream->byte_ms = clock_monotonic_ms();
    stream->head_wall_ms = clock_wall_ms();
    if (status != 200) return true;
    stream->protobuf = starts_with(content_type, "application/vnd.kubernetes.protobuf");
    if (!stream->protobuf && !starts_with(content_type, "application/json")) {
        fault_set(&stream->fault, FAULT_INPUT, "the answer is '%.60s', neither protobuf nor JSON of Kubernetes",
                  content_type);
        stream->broken = true;
        return false;
    }
    stream->body_ok = true;
    stream->token_tried = false;
    stream->open = stream->next == NEXT_WATCH;
    kube_split_begin(stream->split, stream->open ? KUBE_SPLIT_WATCH : KUBE_SPLIT_LIST, stream->protobuf,
                     stream->scope.resource->message);
    if (stream->open && stream->doubted)
        cluster_due(stream->cluster, stream->head_ms + STREAM_SETTLED_MS);
    else if (stream->open)
        stream_fresh(stream);
    return true;
}

bool stream_body_came(void *context, slice piece) {
    struct kube_stream *stream = context;
    stream->byte_ms = clock_monotonic_ms();
    stream->cluster->stats.bytes += piece.size;
    if (!stream->body_ok) {
        const slice kept = slice_first(piece, STATUS_BYTES_MAX - stream->status_size);
        if (kept.size) memcpy(stream->status + stream->status_size, kept.data, kept.size);
        stream->status_size += kept.size;
        return kept.size == piece.size;
    }
    if (!stream->broken && kube_split_feed(stream->split, piece, &stream->fault)) stream->broken = true;
    return !stream->broken;
}

static fault_code decode(struct kube_stream *stream, const struct message_desc *desc, slice bytes, void **ret_message,
                         struct fault *reterr) {
    struct arena *arena = stream->cluster->arena;
    arena_reset(arena);
    void *message = arena_alloc(arena, message_size(desc));
    if (!message) return fault_set(reterr, FAULT_SYSTEM, "out of memory");
    *ret_message = message;
    return stream->protobuf ? codec_decode_protobuf_foreign(desc, bytes, arena, message, reterr)
                            : codec_decode_json_foreign(desc, bytes, arena, message, reterr);
}

static void version_keep(struct kube_stream *stream, slice version) {
    if (version.size == 0 || version.size > VERSION_BYTES_MAX) return;
    memcpy(stream->version, version.data, version.size);
    stream->version[version.size] = '\0';
    stream->version_size = version.size;
}

/* Of an event or a bookmark, whose versions only grow; else the watch is over. */
static bool event_version_keep(struct kube_stream *stream, slice version) {
    if (stream_goes_back(stream, version, &stream->fault)) {
        stream->gone_back = stream->broken = true;
        return false;
    }
    stream->told = true;
    version_keep(stream, version);
    return true;
}

static void unreadable(struct kube_stream *stream, const struct fault *fault) {
    stream->cluster->stats.objects_unreadable++;
    stream->cluster->stats.last_skip = *fault;
    (void)fault_wrap(&stream->cluster->stats.last_skip, "one of %s cannot be read", stream->scope.resource->plural);
}

static void error_came(struct kube_stream *stream, slice bytes) {
    struct fault fault = {0};
    void *message = NULL;
    stream->broken = true;
    if (decode(stream, &KubeStatus_desc, bytes, &message, &fault)) {
        fault_set(&stream->fault, FAULT_INPUT, "the watch ended with an error that cannot be read");
        return;
    }
    const KubeStatus *status = message;
    stream->error_code = stream_status_code(status, status->code);
    stream->error_after_s = status->details.retry_after_seconds;
    fault_set(&stream->fault, FAULT_AGAIN, "the watch ended with %d: %.*s", status->code,
              SLICE_ARG(slice_first(status->message.size ? status->message : status->reason, 300)));
}

/* Of an object that cannot be read whole: into a message in which all else is absent. */
static bool metadata_read(struct kube_stream *stream, slice bytes, void **ret_message) {
    struct arena *arena = stream->cluster->arena;
    arena_reset(arena);
    void *message = arena_alloc(arena, message_size(stream->scope.resource->message));
    const fault_code code = !message ? FAULT_SYSTEM
                            : stream->protobuf
                                ? codec_decode_protobuf_foreign(&KubeObject_desc, bytes, arena, message, NULL)
                                : codec_decode_json_foreign(&KubeObject_desc, bytes, arena, message, NULL);
    if (code == FAULT_NONE) *ret_message = message;
    return code == FAULT_NONE;
}

static void hand_on(struct kube_stream *stream, const void *message, bool deleted, bool listed, bool partial,
                    size_t wire_bytes) {
    struct kube_cluster_stats *stats = &stream->cluster->stats;
    const struct kube_object object = {.scope = &stream->scope,
                                       .message = message,
                                       .meta = &((const KubeObject *)message)->metadata,
                                       .bytes = wire_bytes,
                                       .round = stream->round,
                                       .listed = listed,
                                       .partial = partial};
    if (deleted)
        stats->deletions++;
    else
        stats->objects++;
    void (*const call)(void *, const struct kube_object *) = deleted ? stream->calls.deleted : stream->calls.object;
    if (call) call(stream->calls.context, &object);
}

void stream_object_came(void *context, slice type, slice bytes, size_t wire_bytes) {
    struct kube_stream *stream = context;
    struct kube_cluster_stats *stats = &stream->cluster->stats;
    struct fault fault = {0};
    void *message = NULL;
    if (stream->broken || stream->next == NEXT_CHECK) return;
    if (slice_equal(type, SLICE_LIT("ERROR"))) {
        error_came(stream, bytes);
        return;
    }
    if (slice_equal(type, SLICE_LIT("BROKEN"))) { /* whatever it was, it is missing now */
        fault_set(&stream->fault, FAULT_INPUT, "the watch sent an event that is none");
        stream->broken = true;
        return;
    }
    const bool bookmark = slice_equal(type, SLICE_LIT("BOOKMARK")), listed = type.size == 0;
    const bool deleted = slice_equal(type, SLICE_LIT("DELETED"));
    const bool changed = slice_equal(type, SLICE_LIT("ADDED")) || slice_equal(type, SLICE_LIT("MODIFIED"));
    fault_code code =
        bookmark || listed || deleted || changed
            ? decode(stream, bookmark ? &KubeObject_desc : stream->scope.resource->message, bytes, &message, &fault)
            : fault_set(&fault, FAULT_INPUT, "an event of the type '%.*s'", SLICE_ARG(slice_first(type, 16)));
    const KubeMeta *meta = message ? &((const KubeObject *)message)->metadata : NULL;
    const bool partial = code == FAULT_INPUT && message && !bookmark && metadata_read(stream, bytes, &message);
    if (partial) {
        unreadable(stream, &fault);
        meta = &((const KubeObject *)message)->metadata;
        code = FAULT_NONE;
    }
    if (!code && !bookmark && meta->name.size == 0) code = fault_set(&fault, FAULT_INPUT, "it has no name");
    if (code) {
        unreadable(stream, &fault);
        return;
    }
    if (!listed && !event_version_keep(stream, meta->resource_version)) return;
    if (bookmark) {
        stream->bookmarks = true;
        stats->bookmarks++;
        return;
    }
    hand_on(stream, message, deleted, listed, partial, wire_bytes);
}

void stream_metadata_came(void *context, slice bytes) {
    struct kube_stream *stream = context;
    void *message = NULL;
    if (decode(stream, &KubeListMeta_desc, bytes, &message, &stream->fault)) {
        stream->broken = true;
        return;
    }
    const KubeListMeta *meta = message;
    stream->metadata_seen = true;
    if (stream->next == NEXT_CHECK) {
        stream->gone_back = stream_goes_back(stream, meta->resource_version, &stream->fault);
        return;
    }
    if (stream->version_size && stream_goes_back(stream, meta->resource_version, &stream->fault)) {
        stream->broken = true; /* between two pages */
        return;
    }
    if (stream->version_size == 0) version_keep(stream, meta->resource_version); /* of the first page: of all */
    free(stream->continue_token);
    stream->continue_token = NULL;
    if (meta->continue_token.size == 0) return;
    if (meta->continue_token.size <= CONTINUE_BYTES_MAX)
        stream->continue_token = strndup((const char *)meta->continue_token.data, meta->continue_token.size);
    if (stream->continue_token) return;
    fault_set(&stream->fault, FAULT_LIMIT, "a continue token of %zu bytes is not kept", meta->continue_token.size);
    stream->broken = true;
}

/* Once for each, up to a bound. */
static void skip_say(struct kube_stream *stream, const struct kube_identity *identity, size_t wire_bytes) {
    const uint32_t hash = (uint32_t)hash_bytes(identity->name, hash_bytes(identity->namespace, 0));
    for (unsigned i = 0; i < stream->skips_said; i++)
        if (stream->skipped[i] == hash) return;
    if (stream->skips_said == SKIPS_SAID_MAX) return;
    stream->skipped[stream->skips_said++] = hash;
    LOG_WARN("collect", "object_skipped", LOG_SLICE("cluster", stream->scope.cluster_id),
             LOG_TEXT("resource", stream->scope.resource->plural), LOG_SLICE("namespace", identity->namespace),
             LOG_SLICE("name", identity->name), LOG_UINT("bytes", wire_bytes),
             LOG_FAULT(&stream->cluster->stats.last_skip),
             LOG_TEXT("instead", stream->skips_said < SKIPS_SAID_MAX
                                     ? "what it says is unknown"
                                     : "what it says is unknown; further ones of this resource are only counted"));
}

void stream_object_skipped(void *context, slice type, slice head, size_t wire_bytes) {
    struct kube_stream *stream = context;
    struct kube_cluster_stats *stats = &stream->cluster->stats;
    struct kube_identity identity;
    if (stream->broken || stream->next == NEXT_CHECK) return;
    const bool named = kube_split_identity(stream->protobuf, head, &identity);
    stats->objects_too_large++;
    fault_set(&stats->last_skip, FAULT_LIMIT,
              "one of %s is passed over: it has %zu bytes, %" PRId64 " are allowed (raise object_bytes_max)",
              stream->scope.resource->plural, wire_bytes, stream->cluster->settings.object_bytes_max);
    skip_say(stream, &identity, wire_bytes);
    const bool listed = stream->next != NEXT_WATCH, deleted = slice_equal(type, SLICE_LIT("DELETED"));
    if (!named || slice_equal(type, SLICE_LIT("ERROR")) || slice_equal(type, SLICE_LIT("BOOKMARK"))) return;
    if (!listed && !event_version_keep(stream, identity.resource_version)) return;
    struct arena *arena = stream->cluster->arena;
    arena_reset(arena);
    KubeObject *message = arena_alloc(arena, message_size(stream->scope.resource->message));
    if (!message) return;
    message->has_metadata = true;
    message->metadata.name = identity.name;
    message->metadata.namespace = identity.namespace;
    message->metadata.uid = identity.uid;
    message->metadata.resource_version = identity.resource_version;
    hand_on(stream, message, deleted, listed, true, wire_bytes);
}
