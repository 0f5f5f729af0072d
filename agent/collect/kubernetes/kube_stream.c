/* SPDX-License-Identifier: Apache-2.0
 * A stream is always about to do one of four things (the first page of a list, a further page, a check, a watch), at a
 * moment that may be now; or doing it. What is next, and when, is for how the last one ended to say (kube_stream_end.c,
 * kube_stream_next.c).
 * (https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes)
 *
 * A watch is held for a time that we ask for. Where bookmarks come, silence is a sign: some minutes, which `stall` cuts
 * short. Where none do, silence is normal and proves nothing, so the watch is asked to end before `stall`: that it ends in
 * order shows that the server was there, and a check, that nothing is missing. */
#include <inttypes.h>
#include <stdlib.h>

#include "agent/collect/kubernetes/kube_stream_parts.h"
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/base/uuid.h"

enum {
    WATCH_S_MIN = 240, /* and up to a sixth more, so that the streams of an agent do not end together */
    WATCH_S_PARTS = 6,
    LIST_SLOT_WAIT_MS = 50
};

struct kube_stream *kube_stream_new(struct kube_cluster *cluster, const struct kube_scope *scope,
                                    const struct kube_listener_calls *calls) {
    struct kube_stream *stream = calloc(1, sizeof *stream);
    if (!stream) return NULL;
    const struct kube_split_calls split_calls = {stream_object_came, stream_metadata_came, stream_object_skipped,
                                                 stream};
    stream->cluster = cluster;
    stream->made_ms = clock_monotonic_ms();
    stream->scope = *scope;
    stream->calls = *calls;
    stream->split = kube_split_new((size_t)cluster->settings.object_bytes_max, &split_calls);
    if (!stream->split) return kube_stream_free(stream);
    return stream;
}

static void call_drop(struct kube_stream *stream) {
    if (stream->call && stream_is_listing(stream)) stream->cluster->lists_running--;
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

void kube_stream_relist(struct kube_stream *stream) {
    const int64_t now_ms = clock_monotonic_ms();
    if (stream->open) {
        stream->heard_ms = stream->watched_ms = stream->byte_ms;
        stream->grace_ms = now_ms + stream->cluster->settings.stale_ms;
    }
    call_drop(stream);
    stream->next = NEXT_LIST;
    stream->due_ms = now_ms;
    cluster_due(stream->cluster, stream->due_ms);
}

/* ---- what is due ---- */

static fault_code call_begin(struct kube_stream *stream, struct fault *reterr);
static void stall_check(struct kube_stream *stream, int64_t now_ms);

int64_t kube_stream_act(struct kube_stream *stream, int64_t now_ms) {
    const struct kube_cluster_settings *settings = &stream->cluster->settings;
    if (stream->call) stall_check(stream, now_ms);
    if (!stream->call && now_ms >= stream->due_ms) {
        struct fault fault = {0};
        stream_next_settle(stream, now_ms);
        if (stream_is_listing(stream) && stream->cluster->lists_running >= CLUSTER_LISTS_MAX) {
            stream->due_ms = now_ms + LIST_SLOT_WAIT_MS;
        } else {
            const fault_code code = call_begin(stream, &fault);
            if (code == FAULT_NONE && stream->next == NEXT_LIST) stream_list_begin(stream);
            if (code == FAULT_AGAIN) {
                stream->due_ms = now_ms + CLUSTER_CREDENTIALS_WAIT_MS;
                if (stream->state != KUBE_WATCH_FRESH && stream->state != KUBE_WATCH_STALE)
                    stream_state_set(stream, KUBE_WATCH_LISTING, &fault);
                stream->fault = fault;
            } else if (code) {
                stream_failed(stream, &fault, 0);
            }
        }
    }
    int64_t next_ms = stream->call ? stream->byte_ms + settings->stall_ms : stream->due_ms;
    if (stream->open && stream->doubted) {
        const int64_t settled_ms = stream->head_ms + STREAM_SETTLED_MS;
        if (now_ms >= settled_ms)
            stream_fresh(stream);
        else if (settled_ms < next_ms)
            next_ms = settled_ms;
    }
    /* Also what never was fresh, once something has gone wrong: it is said, and why. */
    const bool listing = stream->state == KUBE_WATCH_LISTING && stream->fault.code != FAULT_NONE;
    if ((stream->state == KUBE_WATCH_FRESH && !stream->open) || listing) {
        int64_t stale_ms = (listing ? stream->made_ms : stream->watched_ms) + settings->stale_ms;
        if (stale_ms < stream->grace_ms) stale_ms = stream->grace_ms;
        if (now_ms >= stale_ms) {
            if (!stream->fault.code) fault_set(&stream->fault, FAULT_TIMEOUT, "no watch could be begun");
            stream_state_set(stream, KUBE_WATCH_STALE, &stream->fault);
        } else if (stale_ms < next_ms) {
            next_ms = stale_ms;
        }
    }
    return next_ms;
}

static void stall_check(struct kube_stream *stream, int64_t now_ms) {
    const int64_t stall_ms = stream->cluster->settings.stall_ms;
    if (now_ms - stream->byte_ms < stall_ms) return;
    const bool was_open = stream->open;
    struct fault fault;
    fault_set(&fault, FAULT_TIMEOUT, "%s %s: nothing came for %" PRId64 " s",
              stream->next == NEXT_WATCH ? "watch" : "list", stream->scope.resource->plural, stall_ms / 1000);
    stream->cluster->stats.stalls++;
    call_drop(stream);
    if (!was_open) {
        stream_page_lost(stream);
        stream_failed(stream, &fault, 0);
        return;
    }
    stream->heard_ms = stream->watched_ms = stream->byte_ms;
    stream->bookmarks = stream->anew = false;
    stream->failures = 0;
    stream->silent = stream->told ? 0 : stream->silent + 1;
    stream_check_next(stream);
    stream_watch_broke(stream, &fault);
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

static int64_t watch_s(const struct kube_stream *stream) {
    const int64_t stall_s = stream->cluster->settings.stall_ms / 1000;
    const int64_t least_s = stream->bookmarks ? WATCH_S_MIN : stall_s * 3 / 4;
    uint8_t part;
    random_bytes(&part, sizeof part);
    const int64_t asked_s = least_s + least_s / WATCH_S_PARTS * part / UINT8_MAX;
    return asked_s > 0 ? asked_s : 1;
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
        stream->asked_s = watch_s(stream);
        text_format(&text, "?watch=1&allowWatchBookmarks=true&timeoutSeconds=%" PRId64, stream->asked_s);
        query_add(&text, "&resourceVersion=", slice_of(stream->version, stream->version_size));
    } else {
        const int whole = stream->unpaged ? 0 : (int)settings->page_size;
        text_format(&text, "?limit=%d", stream->next == NEXT_CHECK ? 1 : whole);
        if (stream->next == NEXT_PAGE) query_add(&text, "&continue=", slice_from_text(stream->continue_token));
    }
    if (stream->scope.resource->id == KUBE_PODS && settings->node.size) {
        text_add_text(&text, "&fieldSelector=spec.nodeName");
        query_add(&text, "%3D", settings->node);
    }
    return text_end(&text, "the request's URL", ret_url, reterr);
}

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
        .on_head = stream_head_came,
        .on_body = stream_body_came,
        .on_done = stream_call_done,
        .context = stream};
    stream->body_ok = stream->open = stream->broken = stream->metadata_seen = false;
    stream->told = stream->gone_back = false;
    stream->status_size = 0;
    stream->error_code = stream->error_after_s = 0;
    stream->begun_ms = stream->byte_ms = clock_monotonic_ms();
    code = cluster_call(stream->cluster, &request, &stream->call, reterr);
    arena_reset(stream->cluster->arena);
    if (code) return code;
    if (stream->next == NEXT_WATCH) stream->cluster->stats.watches++;
    if (stream->next == NEXT_CHECK) stream->cluster->stats.checks++;
    stream->cluster->lists_running += stream_is_listing(stream);
    return FAULT_NONE;
}
