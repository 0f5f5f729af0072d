/* SPDX-License-Identifier: Apache-2.0
 * Each way in which a request can end has a row in `outcomes`, which says what is next; the rest is the same for all.
 * (https://kubernetes.io/docs/reference/using-api/api-concepts/) */
#include "agent/collect/kubernetes/kube_stream_parts.h"
#include "agent/collect/kubernetes/kube_version.h"
#include "common/base/clock.h"
#include "common/base/uuid.h"

enum {
    TOLD_MS = 1000, /* a watch that said something, or ended in order, and was held so long was no failure either */
    EARLY_MS = 2 * 1000, /* before its time */
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
    if (ending == END_TOKEN) kube_access_refused(stream->cluster->access); /* which has a pause of its own */
    if (ending == END_TOKEN && !stream->token_tried) {
        stream->token_tried = true;
        stream_failed(stream, fault, 0);
        return;
    }
    (void)fault_wrap(fault, "%s %s", stream->next == NEXT_WATCH ? "watch" : "list", resource->plural);
    if (ending == END_RETRY) {
        stream_failed(stream, fault, after_ms);
        return;
    }
    stream_pause(stream, fault, after_ms);
    switch (ending) {
    case END_RETRY:
    case END_TOKEN: break;
    case END_JSON:
        stream->json_only = true;
        stream->due_ms = clock_monotonic_ms();
        return;
    case END_LIST:
        if (stream->next == NEXT_PAGE) stream->unpaged = true;
        stream_list_anew(stream);
        if (stream->state == KUBE_WATCH_LISTING) stream_state_set(stream, KUBE_WATCH_LISTING, fault);
        return;
    case END_DENIED:
        fault_wrap(fault, "give the agent list and watch on %s of the API group '%s' (%s)", resource->plural,
                   resource->group,
                   spaced ? "by a Role and its binding in the namespace" : "by a ClusterRole and its binding");
        break;
    case END_ABSENT: break;
    }
    stream->next = NEXT_LIST;
    if (ending != END_TOKEN) stream->due_ms = clock_monotonic_ms() + stream_denied_ms(stream->failures);
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
    const int64_t relist_ms = stream->cluster->settings.relist_ms;
    uint16_t part;
    random_bytes(&part, sizeof part); /* so that neither streams nor agents ask together */
    stream->relist_ms = relist_ms ? stream->due_ms + relist_ms - relist_ms / 4 * part / UINT16_MAX : 0;
    stream->silent = 0;
    stream->unpaged = false;
    if (stream->failures == 0) stream->fault = (struct fault){0};
    stream->heard_ms = stream->due_ms;
    stream->next = NEXT_WATCH;
    stream->cluster->stats.lists++;
    if (stream->calls.list_ends) stream->calls.list_ends(stream->calls.context, &stream->scope, stream->round);
}

static void check_done(struct kube_stream *stream) {
    if (stream->gone_back) {
        stream_pause(stream, &stream->fault, 0);
        stream_list_anew(stream);
        return;
    }
    stream->next = NEXT_WATCH;
    stream->due_ms = clock_monotonic_ms();
}

/* A watch that ends as it was asked to, or because the server goes away, is begun again from where it was. That it ended
 * in order shows that all had come that was to be told: heard now; else when its last byte came. */
static void watch_done(struct kube_stream *stream, struct fault *fault) {
    const int64_t now_ms = clock_monotonic_ms(), lasted_ms = now_ms - stream->begun_ms;
    const bool settled = lasted_ms >= STREAM_SETTLED_MS, broken = stream->broken;
    const bool lived = settled || (!broken && (stream->told || lasted_ms >= TOLD_MS)); /* else it shows nothing */
    if (lived) stream->heard_ms = stream->watched_ms = fault->code ? stream->byte_ms : now_ms;
    if (settled || (!broken && lasted_ms >= TOLD_MS && (stream->told || !fault->code))) {
        stream->failures = 0;
        stream->anew = false;
    }
    stream->doubted = !lived;
    if (stream->gone_back) {
        stream_pause(stream, fault, 0);
        stream_list_anew(stream);
        return;
    }
    if (stream->error_code) {
        refused(stream, stream->error_code, fault, (int64_t)stream->error_after_s * 1000);
        return;
    }
    const bool number = kube_version_is_number(slice_of(stream->version, stream->version_size));
    if (stream->told)
        stream->silent = 0;
    else if (!fault->code && !number)
        stream->silent++; /* and no check can say why */
    if (fault->code || !stream->told || lasted_ms + EARLY_MS < stream->asked_s * 1000) stream_check_next(stream);
    if (fault->code || lasted_ms < TOLD_MS) {
        if (stream->broken) stream->next = NEXT_LIST; /* the same would come again */
        if (!fault->code) fault_set(fault, FAULT_SYSTEM, "the watch ended at once");
        if (lived)
            stream_watch_broke(stream, fault);
        else
            stream_failed(stream, fault, 0);
        return;
    }
    stream->due_ms = now_ms;
}

/* "A resource version larger than the current one": by whichever of these a release says it. */
static bool is_too_new(const KubeStatus *status) {
    for (size_t i = 0; i < status->details.causes.count; i++)
        if (slice_equal(status->details.causes.items[i].reason, SLICE_LIT("ResourceVersionTooLarge"))) return true;
    const slice words = SLICE_LIT("Too large resource version");
    return status->message.size >= words.size &&
           memmem(status->message.data, status->message.size, words.data, words.size) != NULL;
}

/* The code that says what is to be done: that of a version which is gone, whatever the server calls it. */
int stream_status_code(const KubeStatus *status, int code) {
    const bool gone =
        slice_equal(status->reason, SLICE_LIT("Expired")) || slice_equal(status->reason, SLICE_LIT("Gone"));
    return gone || is_too_new(status) ? 410 : code;
}

void stream_call_done(void *context, const struct http_result *result) {
    struct kube_stream *stream = context;
    struct fault fault = result->fault;
    stream->call = NULL;
    if (stream_is_listing(stream)) stream->cluster->lists_running--;
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
        const int code = stream->next == NEXT_WATCH ? stream_status_code(&status, result->status) : result->status;
        arena_reset(stream->cluster->arena);
        refused(stream, code, &fault, after_ms);
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
            if (stream->next == NEXT_WATCH) stream_check_next(stream);
            stream_failed(stream, &fault, 0);
        } else if (stream->next == NEXT_CHECK) {
            check_done(stream);
        } else {
            page_done(stream);
        }
    }
    cluster_due(stream->cluster, clock_monotonic_ms());
}
