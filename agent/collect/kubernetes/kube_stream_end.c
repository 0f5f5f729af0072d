/* SPDX-License-Identifier: Apache-2.0
 * Each way in which a request can end has a row in `outcomes`, which says what is next; the rest is the same for all.
 * (https://kubernetes.io/docs/reference/using-api/api-concepts/) */
#include "agent/collect/kubernetes/kube_stream_parts.h"
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/uuid.h"

enum {
    BACK_OFF_FIRST_MS = 500,
    BACK_OFF_LAST_MS = 60 * 1000,
    DENIED_AGAIN_MS = 3 * 60 * 1000, /* a right may be given, a resource installed */
    SETTLED_MS = 10 * 1000,          /* a watch that held so long was no failure */
    PAGES_MAX = 10000
};

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

static void pause_take(struct kube_stream *stream, const struct fault *fault, int64_t after_ms) {
    struct kube_cluster_stats *stats = &stream->cluster->stats;
    const int64_t pause_ms = back_off_ms(++stream->failures);
    if (after_ms > LIMIT_OUTSIDE_CALL_MS) after_ms = LIMIT_OUTSIDE_CALL_MS;
    stats->requests_failed++;
    stats->last_fault = *fault;
    stream->fault = *fault;
    stream->due_ms = clock_monotonic_ms() + (after_ms > pause_ms ? after_ms : pause_ms);
}

void stream_failed(struct kube_stream *stream, const struct fault *fault, int64_t after_ms) {
    pause_take(stream, fault, after_ms);
    if (stream->state == KUBE_WATCH_LISTING) stream_state_set(stream, KUBE_WATCH_LISTING, fault);
}

/* Nothing is there, so whoever keeps objects sweeps all of them. */
static void absent(struct kube_stream *stream, const struct fault *fault) {
    if (stream->state != KUBE_WATCH_ABSENT) {
        stream_list_begin(stream);
        if (stream->calls.list_ends) stream->calls.list_ends(stream->calls.context, &stream->scope, stream->round);
    }
    stream_state_set(stream, KUBE_WATCH_ABSENT, fault);
}

static void refused(struct kube_stream *stream, int status, struct fault *fault, int64_t after_ms) {
    const struct kube_resource *resource = stream->scope.resource;
    const bool spaced = stream->scope.namespace.size > 0;
    enum ending ending = ending_of(status);
    if (ending == END_JSON && stream->json_only) ending = END_RETRY;
    if (ending == END_TOKEN && !stream->token_tried) {
        stream->token_tried = true;
        kube_access_refused(stream->cluster->access);
        stream_failed(stream, fault, 0);
        return;
    }
    (void)fault_wrap(fault, "%s %s", stream->next == NEXT_WATCH ? "watch" : "list", resource->plural);
    if (ending == END_RETRY) {
        stream_failed(stream, fault, after_ms);
        return;
    }
    pause_take(stream, fault, after_ms);
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
        if (stream->state == KUBE_WATCH_LISTING) stream_state_set(stream, KUBE_WATCH_LISTING, fault);
        return;
    case END_DENIED:
        fault_wrap(fault, "give the agent get, list and watch on %s of the API group '%s' (%s)", resource->plural,
                   resource->group,
                   spaced ? "by a Role and its binding in the namespace" : "by a ClusterRole and its binding");
        break;
    case END_ABSENT: break;
    }
    stream->next = NEXT_LIST;
    if (ending != END_TOKEN) stream->due_ms = clock_monotonic_ms() + DENIED_AGAIN_MS - back_off_ms(8) / 2;
    if (ending == END_ABSENT)
        absent(stream, fault);
    else
        stream_state_set(stream, KUBE_WATCH_DENIED, fault);
}

static void page_done(struct kube_stream *stream) {
    stream->due_ms = clock_monotonic_ms();
    if (stream->continue_token) {
        stream->next = NEXT_PAGE;
        return;
    }
    stream->failures = 0;
    stream->unpaged = false;
    stream->fault = (struct fault){0};
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
        stream_failed(stream, fault, 0);
        return;
    }
    stream->due_ms = now_ms;
}

void stream_call_done(void *context, const struct http_result *result) {
    struct kube_stream *stream = context;
    struct fault fault = result->fault;
    stream->call = NULL;
    if (stream->next != NEXT_WATCH) stream->cluster->lists_running--;
    if (stream->broken) fault = stream->fault;
    if (stream->body_ok)
        cluster_date_came(stream->cluster, result->date_ms, stream->head_wall_ms, stream->head_ms - stream->begun_ms);
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
        if (!fault.code && kube_split_end(stream->split, &fault)) stream_page_lost(stream);
        if (!fault.code && (stream->version_size == 0 || !stream->metadata_seen))
            fault_set(&fault, FAULT_INPUT, "the list says no resourceVersion");
        if (!fault.code && stream->continue_token && ++stream->pages == PAGES_MAX) {
            fault_set(&fault, FAULT_LIMIT, "the list does not end within %d pages", PAGES_MAX);
            stream->next = NEXT_LIST;
        }
        if (fault.code) {
            (void)fault_wrap(&fault, "%s %s", stream->next == NEXT_WATCH ? "watch" : "list",
                             stream->scope.resource->plural);
            stream_page_lost(stream);
            stream_failed(stream, &fault, 0);
        } else {
            page_done(stream);
        }
    }
    cluster_due(stream->cluster, clock_monotonic_ms());
}
