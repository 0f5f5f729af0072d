/* SPDX-License-Identifier: Apache-2.0
 * A fixed number of places, each with one request. An answer is collected up to its bound; what is longer is cut there,
 * since the head of a description or the first part of a log is worth more than nothing. */
#include "agent/collect/kubernetes/kube_get.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/collect/kubernetes/kube_cluster_parts.h"
#include "common/base/clock.h"
#include "common/base/limits.h"

static bool head_came(void *context, int status, const char *content_type);
static bool body_came(void *context, slice piece);
static void call_done(void *context, const struct http_result *result);

fault_code kube_get_start(struct kube_cluster *cluster, const struct kube_get_request *request,
                          struct kube_get **ret_get, struct fault *reterr) {
    if (!request->path || request->path[0] != '/' || !request->on_done)
        return fault_set(reterr, FAULT_INPUT, "a request to the API server needs a path that begins with a slash");
    if (request->body_bytes_max < 1 || request->body_bytes_max > KUBE_GET_BYTES_MAX || request->timeout_ms < 1 ||
        request->timeout_ms > LIMIT_OUTSIDE_CALL_MS)
        return fault_set(reterr, FAULT_LIMIT, "a request to the API server: at most %d bytes and %d ms",
                         KUBE_GET_BYTES_MAX, LIMIT_OUTSIDE_CALL_MS);
    struct kube_get *get = NULL;
    for (size_t i = 0; i < KUBE_GETS_MAX && !get; i++)
        if (!cluster->gets[i].used) get = &cluster->gets[i];
    if (!get) return fault_set(reterr, FAULT_AGAIN, "%d requests to the API server are running already", KUBE_GETS_MAX);
    char *path = strdup(request->path);
    if (!path) return fault_set(reterr, FAULT_SYSTEM, "a request to the API server: out of memory");
    const int64_t now_ms = clock_monotonic_ms();
    *get = (struct kube_get){.cluster = cluster,
                             .used = true,
                             .accept = request->accept,
                             .path = path,
                             .body_bytes_max = request->body_bytes_max,
                             .started_ms = now_ms,
                             .deadline_ms = now_ms + request->timeout_ms,
                             .due_ms = now_ms,
                             .on_done = request->on_done,
                             .context = request->context};
    cluster_due(cluster, now_ms);
    if (ret_get) *ret_get = get;
    return FAULT_NONE;
}

static void get_release(struct kube_get *get) {
    free(get->path);
    free(get->body);
    *get = (struct kube_get){0};
}

void kube_get_cancel(struct kube_get *get) {
    if (!get || !get->used) return;
    http_call_cancel(get->call);
    get_release(get);
}

void kube_gets_close(struct kube_cluster *cluster) {
    for (size_t i = 0; i < KUBE_GETS_MAX; i++) kube_get_cancel(&cluster->gets[i]);
}

/* The place is free again before the callback, which may start another. */
static void get_end(struct kube_get *get, struct kube_get_result *result) {
    void (*const on_done)(void *, const struct kube_get_result *) = get->on_done;
    void *const context = get->context;
    uint8_t *const body = get->body;
    result->body = slice_of(body, get->size);
    result->cut = get->cut;
    result->duration_ms = clock_monotonic_ms() - get->started_ms;
    if (result->fault.code) {
        get->cluster->stats.requests_failed++;
        get->cluster->stats.last_fault = result->fault;
    }
    get->body = NULL;
    get_release(get);
    on_done(context, result);
    free(body);
}

static void get_fail(struct kube_get *get, const struct fault *fault) {
    struct kube_get_result result = {.content_type = "", .fault = *fault};
    get_end(get, &result);
}

/* Sends what waits: since now, or for credentials. */
int64_t kube_gets_act(struct kube_cluster *cluster, int64_t now_ms) {
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < KUBE_GETS_MAX; i++) {
        struct kube_get *get = &cluster->gets[i];
        if (!get->used || get->call) continue;
        struct fault fault = {0};
        if (now_ms >= get->deadline_ms) {
            fault_set(&fault, FAULT_TIMEOUT, "GET %.200s: no credentials in time", get->path);
            get_fail(get, &fault);
            continue;
        }
        if (now_ms >= get->due_ms) {
            char accept[160];
            snprintf(accept, sizeof accept, "Accept: %s", get->accept ? get->accept : "application/json");
            const char *const headers[] = {accept, NULL};
            struct http_request request = {.url = get->path,
                                           .headers = headers,
                                           .timeout_ms = get->deadline_ms - now_ms,
                                           .body_bytes_max = (uint64_t)KUBE_GET_BYTES_MAX * 2,
                                           .on_head = head_came,
                                           .on_body = body_came,
                                           .on_done = call_done,
                                           .context = get};
            get->begun_ms = now_ms;
            const fault_code code = cluster_call(cluster, &request, &get->call, &fault);
            if (code == FAULT_NONE) continue;
            if (code != FAULT_AGAIN) {
                get_fail(get, &fault);
                continue;
            }
            get->due_ms = now_ms + CLUSTER_CREDENTIALS_WAIT_MS;
        }
        if (get->due_ms < next_ms) next_ms = get->due_ms;
    }
    return next_ms;
}

static bool head_came(void *context, int status, const char *content_type) {
    struct kube_get *get = context;
    get->status = status;
    get->head_ms = clock_monotonic_ms();
    get->head_wall_ms = clock_wall_ms();
    return true;
}

static bool body_came(void *context, slice piece) {
    struct kube_get *get = context;
    size_t size = piece.size;
    if (size > get->body_bytes_max - get->size) {
        size = get->body_bytes_max - get->size;
        get->cut = true;
    }
    get->cluster->stats.bytes += size;
    if (get->size + size > get->room) {
        size_t room = get->room ? get->room : 4096;
        while (room < get->size + size) room *= 2;
        uint8_t *grown = realloc(get->body, room);
        if (!grown) {
            get->cut = true;
            return false;
        }
        get->body = grown;
        get->room = room;
    }
    if (size) memcpy(get->body + get->size, piece.data, size);
    get->size += size;
    return !get->cut;
}

static void call_done(void *context, const struct http_result *answer) {
    struct kube_get *get = context;
    struct kube_get_result result = {.status = get->cut ? get->status : answer->status,
                                     .content_type = answer->content_type,
                                     .retry_after_ms = answer->retry_after_ms};
    get->call = NULL;
    if (result.status == 200)
        cluster_date_came(get->cluster, answer->date_ms, get->head_wall_ms, get->head_ms - get->begun_ms);
    if (result.status == 401) kube_access_refused(get->cluster->access);
    if (answer->fault.code && !get->cut) {
        result.fault = answer->fault;
    } else if (result.status < 200 || result.status >= 300) {
        KubeStatus status;
        (void)cluster_status_fault(get->cluster, result.status, slice_of(get->body, get->size), &status, &result.fault);
        arena_reset(get->cluster->arena);
    }
    get_end(get, &result);
}
