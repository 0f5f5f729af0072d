/* SPDX-License-Identifier: Apache-2.0
 * A stream is always about to do one of three things (the first page of a list, a further page, a watch), at a moment
 * that may be now; or doing it. Each way in which it can end has a line in `outcomes`, which says what is next; the rest
 * is the same for all. (https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes)
 *
 * A resourceVersion is never looked into: it is kept as it came, and sent back. */
#include "agent/collect/kubernetes/kube_stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/collect/kubernetes/kube_split.h"
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/base/uuid.h"

enum {
    VERSION_BYTES_MAX = 256,
    CONTINUE_BYTES_MAX = 16 * 1024,
    STATUS_BYTES_MAX = 2048,
    WATCH_S_MIN = 240, /* and up to 40 s more, so that the streams of an agent do not end together */
    WATCH_S_MORE = 40,
    BACK_OFF_FIRST_MS = 500,
    BACK_OFF_LAST_MS = 60 * 1000,
    DENIED_AGAIN_MS = 3 * 60 * 1000, /* a right may be given, a resource installed */
    SETTLED_MS = 10 * 1000,          /* a watch that held so long was no failure */
    LIST_SLOT_WAIT_MS = 50,
    PAGES_MAX = 10000
};

enum next { NEXT_LIST, NEXT_PAGE, NEXT_WATCH };

struct kube_stream {
    struct kube_cluster *cluster;
    struct kube_scope scope;
    struct kube_listener_calls calls;
    struct kube_split *split;
    struct http_call *call;
    enum next next; /* what comes, or (with a call) what is being done */
    enum kube_watch_state state;
    struct fault why;
    int64_t due_ms, begun_ms, byte_ms, heard_ms; /* monotonic; heard: what is known was current then; 0: never */
    unsigned failures, pages;
    uint8_t round;
    bool metadata_seen;    /* of the page */
    bool unpaged;          /* tokens expire faster than pages come */
    bool json_only;        /* the server does not want to speak protobuf */
    bool token_tried;      /* 401 came, and credentials were fetched anew */
    bool body_ok, open;    /* of the call: 200 came; and it is a watch */
    bool protobuf, broken; /* of the body; nothing more is read of it */
    struct fault fault;    /* why it is broken */
    int error_code, error_after_s;
    size_t version_size, status_size;
    char *continue_token; /* NULL: the last page */
    char version[VERSION_BYTES_MAX + 1];
    uint8_t status[STATUS_BYTES_MAX];
};

static void object_came(void *context, slice type, slice bytes, size_t wire_bytes);
static void metadata_came(void *context, slice bytes);
static void object_skipped(void *context, size_t wire_bytes);

struct kube_stream *kube_stream_new(struct kube_cluster *cluster, const struct kube_scope *scope,
                                    const struct kube_listener_calls *calls) {
    struct kube_stream *stream = calloc(1, sizeof *stream);
    if (!stream) return NULL;
    const struct kube_split_calls split_calls = {object_came, metadata_came, object_skipped, stream};
    stream->cluster = cluster;
    stream->scope = *scope;
    stream->calls = *calls;
    stream->split = kube_split_new((size_t)cluster->settings.object_bytes_max, &split_calls);
    if (!stream->split) return kube_stream_free(stream);
    return stream;
}

static void call_drop(struct kube_stream *stream) {
    if (stream->call && stream->next != NEXT_WATCH) stream->cluster->lists_running--;
    http_call_cancel(stream->call);
    stream->call = NULL;
    stream->open = false;
}

struct kube_stream *kube_stream_free(struct kube_stream *stream) {
    if (!stream) return NULL;
    call_drop(stream);
    (void)kube_split_free(stream->split);
    free(stream->continue_token);
    free(stream);
    return NULL;
}

enum kube_watch_state kube_stream_state(const struct kube_stream *stream, int64_t *ret_since_ms,
                                        struct fault *ret_why) {
    *ret_since_ms = stream->open ? clock_monotonic_ms() : stream->heard_ms;
    *ret_why = stream->why;
    return stream->state;
}

const struct kube_scope *kube_stream_scope(const struct kube_stream *stream) {
    return &stream->scope;
}

size_t kube_stream_buffer_bytes(const struct kube_stream *stream) {
    return kube_split_buffer_bytes(stream->split);
}

static void state_set(struct kube_stream *stream, enum kube_watch_state state, const struct fault *why) {
    const struct fault none = {0};
    const bool same = stream->state == state && stream->why.code == (why ? why->code : FAULT_NONE) &&
                      (!why || strcmp(stream->why.text, why->text) == 0);
    stream->state = state;
    stream->why = why ? *why : none;
    if (same || !stream->calls.state) return;
    const int64_t since_ms = state == KUBE_WATCH_FRESH ? clock_monotonic_ms() : stream->heard_ms;
    stream->calls.state(stream->calls.context, &stream->scope, state, since_ms, &stream->why);
}

void kube_stream_relist(struct kube_stream *stream) {
    call_drop(stream);
    stream->next = NEXT_LIST;
    stream->due_ms = clock_monotonic_ms();
    cluster_due(stream->cluster, stream->due_ms);
}

/* ---- what is due ---- */

static void list_begin(struct kube_stream *stream);
static fault_code call_begin(struct kube_stream *stream, struct fault *reterr);
static void stall_check(struct kube_stream *stream, int64_t now_ms);
static void failed(struct kube_stream *stream, const struct fault *fault, int64_t after_ms);

int64_t kube_stream_act(struct kube_stream *stream, int64_t now_ms) {
    const struct kube_cluster_settings *settings = &stream->cluster->settings;
    if (stream->call) stall_check(stream, now_ms);
    if (!stream->call && now_ms >= stream->due_ms) {
        struct fault fault = {0};
        if (stream->next != NEXT_WATCH && stream->cluster->lists_running >= CLUSTER_LISTS_MAX) {
            stream->due_ms = now_ms + LIST_SLOT_WAIT_MS;
        } else {
            const fault_code code = call_begin(stream, &fault);
            if (code == FAULT_NONE && stream->next == NEXT_LIST) list_begin(stream);
            if (code == FAULT_AGAIN) {
                stream->due_ms = now_ms + CLUSTER_CREDENTIALS_WAIT_MS;
                if (stream->state != KUBE_WATCH_FRESH && stream->state != KUBE_WATCH_STALE)
                    state_set(stream, KUBE_WATCH_LISTING, &fault);
                stream->fault = fault;
            } else if (code) {
                failed(stream, &fault, 0);
            }
        }
    }
    int64_t next_ms = stream->call ? stream->byte_ms + settings->stall_ms : stream->due_ms;
    if (stream->state == KUBE_WATCH_FRESH && !stream->open) {
        const int64_t stale_ms = stream->heard_ms + settings->stale_ms;
        if (now_ms >= stale_ms) {
            if (!stream->fault.code) fault_set(&stream->fault, FAULT_TIMEOUT, "no watch could be begun");
            state_set(stream, KUBE_WATCH_STALE, &stream->fault);
        } else if (stale_ms < next_ms) {
            next_ms = stale_ms;
        }
    }
    return next_ms;
}

/* Its metadata, and with it the token of the page behind it, may have come already: what of it is missing can only be had
 * by a list from the start. */
static void page_lost(struct kube_stream *stream) {
    if (stream->next == NEXT_PAGE && stream->body_ok) stream->next = NEXT_LIST;
}

static void stall_check(struct kube_stream *stream, int64_t now_ms) {
    const int64_t stall_ms = stream->cluster->settings.stall_ms;
    if (now_ms - stream->byte_ms < stall_ms) return;
    struct fault fault;
    fault_set(&fault, FAULT_TIMEOUT, "%s %s: nothing came for %" PRId64 " s",
              stream->next == NEXT_WATCH ? "watch" : "list", stream->scope.resource->plural, stall_ms / 1000);
    if (stream->open) stream->heard_ms = stream->byte_ms;
    stream->cluster->stats.stalls++;
    call_drop(stream);
    page_lost(stream);
    failed(stream, &fault, 0);
}

/* A new round: whoever keeps objects marks them with it. */
static void list_begin(struct kube_stream *stream) {
    stream->version_size = 0;
    stream->pages = 0;
    free(stream->continue_token);
    stream->continue_token = NULL;
    stream->round = stream->round == UINT8_MAX ? 1 : (uint8_t)(stream->round + 1);
    if (stream->calls.list_begins) stream->calls.list_begins(stream->calls.context, &stream->scope, stream->round);
}

static void query_add(struct text *text, const char *name, slice value) {
    static const char digits[] = "0123456789ABCDEF";
    text_add_text(text, name);
    for (size_t i = 0; i < value.size; i++) {
        const uint8_t c = value.data[i];
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                           c == '_' || c == '.' || c == '~';
        const char escaped[] = {'%', digits[c >> 4], digits[c & 15]};
        text_add(text, plain ? slice_of(&value.data[i], 1) : slice_of(escaped, 3));
    }
}

/* In the cluster's arena. */
static fault_code url_write(struct kube_stream *stream, slice *ret_url, struct fault *reterr) {
    const struct kube_cluster_settings *settings = &stream->cluster->settings;
    char path[512];
    const fault_code code = kube_resource_path(stream->scope.resource, stream->scope.namespace, (slice){0}, (slice){0},
                                               path, sizeof path, reterr);
    if (code) return code;
    struct text text = text_begin(stream->cluster->arena);
    text_add_text(&text, path);
    if (stream->next == NEXT_WATCH) {
        uint8_t more;
        random_bytes(&more, sizeof more);
        text_format(&text, "?watch=1&allowWatchBookmarks=true&timeoutSeconds=%d", WATCH_S_MIN + more % WATCH_S_MORE);
        query_add(&text, "&resourceVersion=", slice_of(stream->version, stream->version_size));
    } else {
        text_format(&text, "?limit=%d", stream->unpaged ? 0 : (int)settings->page_size);
        if (stream->next == NEXT_PAGE) query_add(&text, "&continue=", slice_from_text(stream->continue_token));
    }
    if (stream->scope.resource->id == KUBE_PODS && settings->node.size) {
        text_add_text(&text, "&fieldSelector=spec.nodeName");
        query_add(&text, "%3D", settings->node);
    }
    return text_end(&text, "the request's URL", ret_url, reterr);
}

static bool head_came(void *context, int status, const char *content_type);
static bool body_came(void *context, slice piece);
static void call_done(void *context, const struct http_result *result);

static fault_code call_begin(struct kube_stream *stream, struct fault *reterr) {
    static const char *const accept_json[] = {"Accept: application/json", NULL};
    static const char *const accept_both[] = {"Accept: application/vnd.kubernetes.protobuf, application/json", NULL};
    slice url;
    fault_code code = url_write(stream, &url, reterr);
    if (code) return code;
    struct http_request request = {
        .url = (const char *)url.data,
        .headers = stream->scope.resource->protobuf && !stream->json_only ? accept_both : accept_json,
        .timeout_ms = LIMIT_OUTSIDE_CALL_MS,
        .body_bytes_max = (uint64_t)1 << 40, /* what is kept of it is bounded elsewhere, and its time above */
        .on_head = head_came,
        .on_body = body_came,
        .on_done = call_done,
        .context = stream};
    stream->body_ok = stream->open = stream->broken = stream->metadata_seen = false;
    stream->status_size = 0;
    stream->error_code = stream->error_after_s = 0;
    stream->begun_ms = stream->byte_ms = clock_monotonic_ms();
    code = cluster_call(stream->cluster, &request, &stream->call, reterr);
    arena_reset(stream->cluster->arena);
    if (code) return code;
    if (stream->next == NEXT_WATCH)
        stream->cluster->stats.watches++;
    else
        stream->cluster->lists_running++;
    return FAULT_NONE;
}

/* ---- what comes ---- */

static bool starts_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool head_came(void *context, int status, const char *content_type) {
    struct kube_stream *stream = context;
    stream->byte_ms = clock_monotonic_ms();
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
    if (stream->open) state_set(stream, KUBE_WATCH_FRESH, NULL);
    return true;
}

static bool body_came(void *context, slice piece) {
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

static void unreadable(struct kube_stream *stream, const struct fault *fault) {
    stream->cluster->stats.objects_unreadable++;
    stream->cluster->stats.last_skip = *fault;
    (void)fault_wrap(&stream->cluster->stats.last_skip, "one of %s is passed over", stream->scope.resource->plural);
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
    const bool expired =
        slice_equal(status->reason, SLICE_LIT("Expired")) || slice_equal(status->reason, SLICE_LIT("Gone"));
    stream->error_code = expired ? 410 : status->code;
    stream->error_after_s = status->details.retry_after_seconds;
    fault_set(&stream->fault, FAULT_AGAIN, "the watch ended with %d: %.*s", status->code,
              SLICE_ARG(slice_first(status->message.size ? status->message : status->reason, 300)));
}

static void object_came(void *context, slice type, slice bytes, size_t wire_bytes) {
    struct kube_stream *stream = context;
    struct kube_cluster_stats *stats = &stream->cluster->stats;
    struct fault fault = {0};
    void *message = NULL;
    if (stream->broken) return;
    if (slice_equal(type, SLICE_LIT("ERROR"))) {
        error_came(stream, bytes);
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
    if (!code && !bookmark && meta->name.size == 0) code = fault_set(&fault, FAULT_INPUT, "it has no name");
    if (code) {
        unreadable(stream, &fault);
        return;
    }
    if (!listed) version_keep(stream, meta->resource_version);
    if (bookmark) {
        stats->bookmarks++;
        return;
    }
    const struct kube_object object = {.scope = &stream->scope,
                                       .message = message,
                                       .meta = meta,
                                       .bytes = wire_bytes,
                                       .round = stream->round,
                                       .listed = listed};
    if (deleted)
        stats->deletions++;
    else
        stats->objects++;
    void (*const call)(void *, const struct kube_object *) = deleted ? stream->calls.deleted : stream->calls.object;
    if (call) call(stream->calls.context, &object);
}

static void metadata_came(void *context, slice bytes) {
    struct kube_stream *stream = context;
    void *message = NULL;
    if (decode(stream, &KubeListMeta_desc, bytes, &message, &stream->fault)) {
        stream->broken = true;
        return;
    }
    const KubeListMeta *meta = message;
    stream->metadata_seen = true;
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

static void object_skipped(void *context, size_t wire_bytes) {
    struct kube_stream *stream = context;
    struct kube_cluster_stats *stats = &stream->cluster->stats;
    stats->objects_too_large++;
    fault_set(&stats->last_skip, FAULT_LIMIT,
              "one of %s is passed over: it has %zu bytes, %" PRId64 " are allowed (raise object_bytes_max)",
              stream->scope.resource->plural, wire_bytes, stream->cluster->settings.object_bytes_max);
}

/* ---- how it ends ---- */

enum ending { END_RETRY, END_LIST, END_TOKEN, END_DENIED, END_ABSENT, END_JSON };

/* By HTTP status, or the code in an ERROR; what has no row: 4xx is nothing that a retry changes, so the list is taken
 * anew; all else is tried again. */
static const struct {
    int code;
    enum ending ending;
} outcomes[] = {
    {401, END_TOKEN}, {403, END_DENIED}, {404, END_ABSENT}, {405, END_ABSENT}, {406, END_JSON},
    {410, END_LIST},  {415, END_JSON},   {408, END_RETRY},  {429, END_RETRY},
};

static enum ending ending_of(int code) {
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        if (outcomes[i].code == code) return outcomes[i].ending;
    return code >= 400 && code < 500 ? END_LIST : END_RETRY;
}

static int64_t back_off_ms(unsigned failures) {
    uint16_t part;
    random_bytes(&part, sizeof part);
    int64_t most_ms = BACK_OFF_FIRST_MS;
    for (unsigned i = 1; i < failures && most_ms < BACK_OFF_LAST_MS; i++) most_ms *= 2;
    if (most_ms > BACK_OFF_LAST_MS) most_ms = BACK_OFF_LAST_MS;
    return most_ms / 2 + most_ms / 2 * part / UINT16_MAX;
}

static void failed(struct kube_stream *stream, const struct fault *fault, int64_t after_ms) {
    struct kube_cluster_stats *stats = &stream->cluster->stats;
    const int64_t pause_ms = back_off_ms(++stream->failures);
    if (after_ms > LIMIT_OUTSIDE_CALL_MS) after_ms = LIMIT_OUTSIDE_CALL_MS;
    stats->requests_failed++;
    stats->last_fault = *fault;
    stream->fault = *fault;
    stream->due_ms = clock_monotonic_ms() + (after_ms > pause_ms ? after_ms : pause_ms);
    if (stream->state == KUBE_WATCH_LISTING) state_set(stream, KUBE_WATCH_LISTING, fault);
}

/* Nothing is there, so whoever keeps objects sweeps all of them. */
static void absent(struct kube_stream *stream, const struct fault *fault) {
    if (stream->state != KUBE_WATCH_ABSENT) {
        list_begin(stream);
        if (stream->calls.list_ends) stream->calls.list_ends(stream->calls.context, &stream->scope, stream->round);
    }
    state_set(stream, KUBE_WATCH_ABSENT, fault);
}

static void refused(struct kube_stream *stream, int status, struct fault *fault, int64_t after_ms) {
    const struct kube_resource *resource = stream->scope.resource;
    const bool spaced = stream->scope.namespace.size > 0;
    enum ending ending = ending_of(status);
    if (ending == END_JSON && stream->json_only) ending = END_RETRY;
    if (ending == END_TOKEN && !stream->token_tried) {
        stream->token_tried = true;
        kube_access_refused(stream->cluster->access);
        failed(stream, fault, 0);
        return;
    }
    (void)fault_wrap(fault, "%s %s", stream->next == NEXT_WATCH ? "watch" : "list", resource->plural);
    failed(stream, fault, after_ms);
    switch (ending) {
    case END_RETRY:
    case END_TOKEN: break;
    case END_JSON:
        stream->json_only = true;
        stream->due_ms = clock_monotonic_ms();
        return;
    case END_LIST:
        if (stream->next == NEXT_PAGE) stream->unpaged = true;
        stream->cluster->stats.lists_restarted++;
        stream->next = NEXT_LIST;
        if (stream->failures <= 1) stream->due_ms = clock_monotonic_ms();
        return;
    case END_DENIED:
        fault_wrap(fault, "give the agent get, list and watch on %s of the API group '%s' (%s)", resource->plural,
                   resource->group,
                   spaced ? "by a Role and its binding in the namespace" : "by a ClusterRole and its binding");
        break;
    case END_ABSENT: break;
    }
    if (ending == END_RETRY) return;
    stream->next = NEXT_LIST;
    if (ending != END_TOKEN) stream->due_ms = clock_monotonic_ms() + DENIED_AGAIN_MS - back_off_ms(8) / 2;
    if (ending == END_ABSENT)
        absent(stream, fault);
    else
        state_set(stream, KUBE_WATCH_DENIED, fault);
}

static void page_done(struct kube_stream *stream) {
    stream->due_ms = clock_monotonic_ms();
    if (stream->continue_token) {
        stream->next = NEXT_PAGE;
        return;
    }
    stream->failures = 0;
    stream->unpaged = false;
    stream->heard_ms = stream->due_ms;
    stream->next = NEXT_WATCH;
    stream->cluster->stats.lists++;
    if (stream->calls.list_ends) stream->calls.list_ends(stream->calls.context, &stream->scope, stream->round);
}

/* A watch that ends as it was asked to, or because the server goes away, is begun again from where it was. */
static void watch_done(struct kube_stream *stream, struct fault *fault) {
    const int64_t now_ms = clock_monotonic_ms(), lasted_ms = now_ms - stream->begun_ms;
    stream->heard_ms = stream->byte_ms;
    if (lasted_ms >= SETTLED_MS) stream->failures = 0;
    if (stream->error_code) {
        refused(stream, stream->error_code, fault, (int64_t)stream->error_after_s * 1000);
        return;
    }
    if (fault->code || lasted_ms < 1000) {
        if (stream->broken) stream->next = NEXT_LIST; /* the same would come again */
        if (!fault->code) fault_set(fault, FAULT_SYSTEM, "the watch ended at once");
        failed(stream, fault, 0);
        return;
    }
    stream->due_ms = now_ms;
}

static void call_done(void *context, const struct http_result *result) {
    struct kube_stream *stream = context;
    struct fault fault = result->fault;
    stream->call = NULL;
    if (stream->next != NEXT_WATCH) stream->cluster->lists_running--;
    if (stream->broken) fault = stream->fault;
    const bool was_open = stream->open;
    stream->open = false;
    if (!stream->body_ok && !stream->broken && result->status) {
        KubeStatus status;
        int64_t after_ms = result->retry_after_ms;
        (void)cluster_status_fault(stream->cluster, result->status, slice_of(stream->status, stream->status_size),
                                   &status, &fault);
        if (after_ms == 0) after_ms = (int64_t)status.details.retry_after_seconds * 1000;
        arena_reset(stream->cluster->arena);
        refused(stream, result->status, &fault, after_ms);
    } else if (was_open) {
        watch_done(stream, &fault);
    } else {
        if (!fault.code && kube_split_end(stream->split, &fault)) page_lost(stream);
        if (!fault.code && (stream->version_size == 0 || !stream->metadata_seen))
            fault_set(&fault, FAULT_INPUT, "the list says no resourceVersion");
        if (!fault.code && stream->continue_token && ++stream->pages == PAGES_MAX) {
            fault_set(&fault, FAULT_LIMIT, "the list does not end within %d pages", PAGES_MAX);
            stream->next = NEXT_LIST;
        }
        if (fault.code) {
            (void)fault_wrap(&fault, "%s %s", stream->next == NEXT_WATCH ? "watch" : "list",
                             stream->scope.resource->plural);
            page_lost(stream);
            failed(stream, &fault, 0);
        } else {
            page_done(stream);
        }
    }
    cluster_due(stream->cluster, clock_monotonic_ms());
}
