/* SPDX-License-Identifier: Apache-2.0
 * Three calls at most run at a time: the session's, the stream, and a list. The stream is opened first and the list is
 * asked for when the stream has begun, so that no change falls between the two; what the stream says while the list comes
 * is newer than the list (the receiver sees to that), and a deletion in that time asks for the list again.
 *
 * There is no resuming: after a break the stream is opened anew and a list is taken. A stream of server-sent events is
 * never silent for more than 15 seconds, so silence is a dead stream; a bare one may be, so behind it lists go on as in
 * polling. No call is longer than five minutes; a stream that reaches them is opened anew at once.
 *
 * What is due is decided in one place, on_timer, from what runs and three moments. Formulas: Argo CD's server (grpc-gateway
 * v1): errors {error, code, message}; `fields` cuts answers down to what is read here. */
#include "agent/collect/argocd/argocd_api.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/collect/argocd/argocd_said.h"
#include "agent/collect/argocd/argocd_stream.h"
#include "agent/collect/argocd/argocd_url.h"
#include "agent/collect/kubernetes/kube_split.h"
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/uuid.h"

enum {
    CONNECTIONS_MAX = 3,
    LIST_AFTER_MS = 2000, /* a quiet fleet's stream says nothing at first, not even that it is there */
    SILENCE_MS = 45 * 1000,
    BACKOFF_MS_MIN = 1000,
    BACKOFF_MS_MAX = 60 * 1000,
    REOPEN_MS = 200,
    SHORT_MS = 10 * 1000, /* a stream that ended sooner was none */
    STREAM_FAILURES = 2,  /* in a row, and it is polled until there is a stream again */
    TOKEN_BYTES = 8 * 1024,
    URL_BYTES = 16 * 1024,
    ARENA_BLOCK_BYTES = 8 * 1024,
    LIST_BYTES_MAX = 512 * 1024 * 1024, /* never held: cut as it comes */
};

#define FIELDS(prefix)                                                                                                 \
    prefix "metadata.name," prefix "metadata.namespace," prefix "metadata.uid," prefix "metadata.labels," prefix       \
           "metadata.resourceVersion," prefix "spec.destination," prefix "status.health," prefix                       \
           "status.sync.status," prefix "status.operationState.phase," prefix "status.operationState.message"

struct argocd_api {
    struct argocd_api_calls calls;
    const struct argocd_settings *settings;
    struct http_client *client;
    struct http_tls tls;
    struct http_auth auth;
    struct arena *arena;
    struct loop_timer *timer;
    struct kube_split *split;
    struct argocd_stream *reader;
    struct http_call *session, *stream, *list;
    struct argocd_said session_said, stream_said, list_said;
    struct fault stream_fault, list_fault;
    char list_url[URL_BYTES], stream_url[URL_BYTES], session_url[URL_BYTES / 4];
    char token[TOKEN_BYTES];            /* of the session; empty: none */
    slice credentials;                  /* the session's request */
    unsigned failures, stream_failures; /* in a row */
    bool token_new;                     /* no list has come with it yet */
    bool list_again;
    int64_t list_due_ms, stream_due_ms, begun_ms, heard_ms, current_ms; /* monotonic */
    struct argocd_source_stats stats;
};

static void on_timer(void *context);

static bool uses_session(const struct argocd_api *api) {
    return api->settings->access.username.size > 0;
}

static void arm(struct argocd_api *api) {
    const int64_t now_ms = clock_monotonic_ms();
    int64_t due_ms = INT64_MAX;
    if (!api->list && api->list_due_ms < due_ms) due_ms = api->list_due_ms;
    if (api->settings->stream && !api->stream && api->stream_due_ms < due_ms) due_ms = api->stream_due_ms;
    if (api->stream && argocd_stream_speaks(api->reader) && api->heard_ms + SILENCE_MS < due_ms)
        due_ms = api->heard_ms + SILENCE_MS;
    if (due_ms == INT64_MAX || api->session) return;
    loop_timer_set(api->timer, due_ms > now_ms ? due_ms - now_ms : 0);
}

/* ---- failures */

/* Lists alone say how things are: no stream is wanted, or none can be had. */
static bool polls(const struct argocd_api *api) {
    return !api->settings->stream || (!api->stream && api->stream_failures >= STREAM_FAILURES);
}

static int64_t backoff_ms(unsigned failures) {
    int64_t wait_ms = BACKOFF_MS_MIN;
    for (unsigned i = 1; i < failures && wait_ms < BACKOFF_MS_MAX; i++) wait_ms *= 2;
    uint16_t chance;
    random_bytes(&chance, sizeof chance);
    if (wait_ms > BACKOFF_MS_MAX) wait_ms = BACKOFF_MS_MAX;
    return wait_ms / 2 + wait_ms * chance / (2 * 65536);
}

/* The stream, whose beginning asks for a list; or the list itself. */
static void try_again(struct argocd_api *api, int64_t due_ms) {
    api->stream_due_ms = due_ms;
    api->list_due_ms = api->stream || polls(api) ? due_ms : INT64_MAX;
}

static void failed(struct argocd_api *api, int64_t retry_after_ms, const char *why) {
    api->stats.requests_failed++;
    api->failures++;
    int64_t wait_ms = backoff_ms(api->failures);
    if (retry_after_ms > wait_ms)
        wait_ms = retry_after_ms < LIMIT_OUTSIDE_CALL_MS ? retry_after_ms : LIMIT_OUTSIDE_CALL_MS;
    try_again(api, clock_monotonic_ms() + wait_ms);
    api->calls.lost(api->calls.context, api->current_ms, why);
}

/* An answer 401 to a session's token that worked before: a new session, and no failure yet. */
static bool refused_token(struct argocd_api *api, int status) {
    if (status != 401 || !uses_session(api) || !api->token[0]) return false;
    api->token[0] = '\0';
    return !api->token_new;
}

static void not_answered(struct argocd_api *api, const char *what, const struct argocd_said *said,
                         const struct http_result *result) {
    char why[400];
    if (refused_token(api, result->status)) {
        try_again(api, clock_monotonic_ms());
        return;
    }
    argocd_said_explain(said, what, result, api->arena, why, sizeof why);
    failed(api, result->retry_after_ms, why);
}

static fault_code start(struct argocd_api *api, const struct http_request *asked, struct http_call **ret_call) {
    struct http_auth auth = uses_session(api) ? (struct http_auth){.bearer_token = api->token} : api->auth;
    struct http_request request = *asked;
    request.tls = &api->tls;
    if (!request.body.size) request.auth = &auth;
    request.context = api;
    struct fault fault;
    api->stats.requests++;
    const fault_code code = http_client_start(api->client, &request, ret_call, &fault);
    if (code) failed(api, 0, fault.text);
    return code;
}

/* ---- the session */

static bool on_session_body(void *context, slice piece) {
    struct argocd_api *const api = context;
    /* A token is longer than what is kept of an error: it is put together where it is needed. */
    const size_t used = strlen(api->token);
    argocd_said_keep(&api->session_said, piece);
    if (used + piece.size >= sizeof api->token) return false;
    memcpy(api->token + used, piece.data, piece.size);
    api->token[used + piece.size] = '\0';
    return true;
}

static void on_session_done(void *context, const struct http_result *result) {
    struct argocd_api *const api = context;
    ArgoSession session = {0};
    struct fault fault = {0};
    api->session = NULL;
    arena_reset(api->arena);
    bool good =
        result->status == 200 && !result->fault.code &&
        !codec_decode_json_foreign(&ArgoSession_desc, slice_from_text(api->token), api->arena, &session, &fault);
    /* The token lives in the arena; what it is copied to held the answer. */
    good = good && session.token.size && slice_to_text(session.token, api->token, sizeof api->token);
    if (!good) {
        char why[400];
        api->token[0] = '\0';
        if (result->status == 200)
            snprintf(why, sizeof why, "session: Argo CD's answer holds no token%s%s", fault.code ? ": " : "",
                     fault.code ? fault.text : "");
        else
            argocd_said_explain(&api->session_said, "session", result, api->arena, why, sizeof why);
        failed(api, result->retry_after_ms, why);
    } else {
        api->stats.logins++;
        api->token_new = true;
    }
    arm(api);
}

static void begin_session(struct argocd_api *api) {
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    api->session_said = (struct argocd_said){0};
    const struct http_request request = {
        .url = api->session_url,
        .headers = headers,
        .body = api->credentials,
        .timeout_ms = api->settings->timeout_ms,
        .body_bytes_max = TOKEN_BYTES,
        .on_body = on_session_body,
        .on_done = on_session_done,
    };
    (void)start(api, &request, &api->session);
}

/* ---- the list */

static void on_list_object(void *context, slice type, slice bytes, size_t wire_bytes) {
    struct argocd_api *const api = context;
    KubeApplication application;
    struct fault fault;
    arena_reset(api->arena);
    if (codec_decode_json_foreign(&KubeApplication_desc, bytes, api->arena, &application, &fault) ||
        !application.metadata.name.size) {
        api->stats.skipped++;
        return;
    }
    api->calls.application(api->calls.context, &application, true);
}

/* A list without pages: nothing in it is of use. */
static void on_list_metadata(void *context, slice bytes) {}

static void on_list_skipped(void *context, slice type, slice head, size_t wire_bytes) {
    struct argocd_api *const api = context;
    api->stats.skipped++;
}

static bool on_list_head(void *context, int status, const char *content_type) {
    struct argocd_api *const api = context;
    api->list_said = (struct argocd_said){.status = status};
    api->list_fault = (struct fault){0};
    if (status == 200) {
        kube_split_begin(api->split, KUBE_SPLIT_LIST, false, &KubeApplication_desc);
        api->calls.list_begins(api->calls.context);
    }
    return true;
}

static bool on_list_body(void *context, slice piece) {
    struct argocd_api *const api = context;
    if (api->list_said.status == 200) return !kube_split_feed(api->split, piece, &api->list_fault);
    argocd_said_keep(&api->list_said, piece);
    return true;
}

static void on_list_done(void *context, const struct http_result *result) {
    struct argocd_api *const api = context;
    struct http_result judged = *result;
    const int64_t now_ms = clock_monotonic_ms();
    api->list = NULL;
    if (!judged.fault.code && judged.status == 200 && kube_split_end(api->split, &api->list_fault)) judged.status = 0;
    if (api->list_fault.code) {
        judged.status = 0;
        judged.fault = api->list_fault;
    }
    if (judged.fault.code || judged.status != 200) {
        if (judged.fault.code) judged.status = 0;
        not_answered(api, "list of applications", &api->list_said, &judged);
        arm(api);
        return;
    }
    api->stats.lists++;
    api->failures = 0;
    api->token_new = false;
    api->calls.list_ends(api->calls.context);
    const bool quiet = api->stream && argocd_stream_speaks(api->reader);
    api->list_due_ms = api->list_again ? now_ms : quiet ? INT64_MAX : now_ms + api->settings->poll_ms;
    api->list_again = false;
    if (api->stream || polls(api)) {
        api->current_ms = now_ms;
        api->calls.current(api->calls.context);
    }
    arm(api);
}

static void begin_list(struct argocd_api *api) {
    static const char *const headers[] = {"Accept: application/json", NULL};
    const struct http_request request = {
        .url = api->list_url,
        .headers = headers,
        .timeout_ms = api->settings->timeout_ms,
        .body_bytes_max = LIST_BYTES_MAX,
        .accept_gzip = true,
        .on_head = on_list_head,
        .on_body = on_list_body,
        .on_done = on_list_done,
    };
    api->list_due_ms = INT64_MAX;
    api->list_again = false;
    (void)start(api, &request, &api->list);
}

/* ---- the stream */

static void on_event(void *context, slice type, const KubeApplication *application) {
    struct argocd_api *const api = context;
    api->stats.events++;
    if (slice_equal_text(type, "DELETED")) {
        api->list_again |= api->list != NULL;
        api->calls.deleted(api->calls.context, application);
    } else {
        api->calls.application(api->calls.context, application, false);
    }
}

/* Which application it was is not known: a list says all. */
static void on_skipped(void *context, size_t bytes) {
    struct argocd_api *const api = context;
    api->stats.skipped++;
    if (!api->list && api->list_due_ms > clock_monotonic_ms() + api->settings->poll_ms)
        api->list_due_ms = clock_monotonic_ms() + api->settings->poll_ms;
}

static bool on_stream_head(void *context, int status, const char *content_type) {
    struct argocd_api *const api = context;
    api->stream_said = (struct argocd_said){.status = status};
    api->heard_ms = clock_monotonic_ms();
    argocd_stream_begin(api->reader);
    if (status == 200 && !api->list) api->list_due_ms = api->heard_ms;
    arm(api);
    return true;
}

static bool on_stream_body(void *context, slice piece) {
    struct argocd_api *const api = context;
    if (api->stream_said.status != 200) {
        argocd_said_keep(&api->stream_said, piece);
        return true;
    }
    api->heard_ms = clock_monotonic_ms();
    if (api->current_ms && argocd_stream_speaks(api->reader)) api->current_ms = api->heard_ms;
    return !argocd_stream_feed(api->reader, piece, &api->stream_fault);
}

/* It ended as streams end, by the server, a proxy between, or after five minutes: a new one follows at once, unless it is
 * the second that hardly began. */
static void stream_ended(struct argocd_api *api, const struct fault *fault) {
    const int64_t now_ms = clock_monotonic_ms();
    const bool timeout = fault->code == FAULT_TIMEOUT;
    api->stream_failures = now_ms - api->begun_ms < SHORT_MS ? api->stream_failures + 1 : 0;
    api->stream_due_ms = now_ms + (timeout                    ? 0
                                   : api->stream_failures > 1 ? backoff_ms(api->stream_failures)
                                                              : REOPEN_MS);
    if (polls(api)) {
        if (!api->list && api->list_due_ms > now_ms + api->settings->poll_ms) api->list_due_ms = now_ms;
        return;
    }
    api->calls.lost(api->calls.context, api->current_ms,
                    timeout       ? "the stream is opened anew"
                    : fault->code ? fault->text
                                  : "Argo CD ended the stream");
}

static void on_stream_done(void *context, const struct http_result *result) {
    struct argocd_api *const api = context;
    struct http_result judged = *result;
    api->stream = NULL;
    const bool began = api->stream_said.status == 200;
    if (began && !api->stream_fault.code) {
        stream_ended(api, &judged.fault);
        arm(api);
        return;
    }
    if (api->stream_fault.code) judged.fault = api->stream_fault;
    if (judged.fault.code) judged.status = 0;
    if (judged.status != 401 && ++api->stream_failures >= STREAM_FAILURES) {
        /* Lists go on without it, and say whether anything is wrong; it is tried now and then. */
        const int64_t now_ms = clock_monotonic_ms();
        api->stats.requests_failed++;
        api->stream_due_ms = now_ms + backoff_ms(api->stream_failures);
        if (!api->list && api->list_due_ms > now_ms + api->settings->poll_ms) api->list_due_ms = now_ms;
        arm(api);
        return;
    }
    not_answered(api, "stream of applications", &api->stream_said, &judged);
    arm(api);
}

static void begin_stream(struct argocd_api *api) {
    static const char *const headers[] = {"Accept: text/event-stream", NULL};
    const struct http_request request = {
        .url = api->stream_url,
        .headers = headers,
        .timeout_ms = LIMIT_OUTSIDE_CALL_MS,
        .body_bytes_max = UINT64_MAX / 2,
        .on_head = on_stream_head,
        .on_body = on_stream_body,
        .on_done = on_stream_done,
    };
    api->stream_said = (struct argocd_said){0};
    api->stream_fault = (struct fault){0};
    argocd_stream_begin(api->reader);
    api->begun_ms = clock_monotonic_ms();
    if (start(api, &request, &api->stream)) return;
    api->stats.streams++;
    if (!api->list) api->list_due_ms = clock_monotonic_ms() + LIST_AFTER_MS;
}

static void end_silent_stream(struct argocd_api *api) {
    http_call_cancel(api->stream);
    api->stream = NULL;
    api->stream_failures++;
    failed(api, 0, "nothing was heard on the stream for 45s: it is taken for dead");
}

static void on_timer(void *context) {
    struct argocd_api *const api = context;
    const int64_t now_ms = clock_monotonic_ms();
    if (api->session) return;
    if (api->stream && argocd_stream_speaks(api->reader) && now_ms - api->heard_ms >= SILENCE_MS)
        end_silent_stream(api);
    const bool stream_due = api->settings->stream && !api->stream && api->stream_due_ms <= now_ms;
    const bool list_due = !api->list && api->list_due_ms <= now_ms;
    if ((stream_due || list_due) && uses_session(api) && !api->token[0])
        begin_session(api);
    else {
        if (stream_due) begin_stream(api);
        if (list_due) begin_list(api);
    }
    arm(api);
}

/* ---- life */

static fault_code make_credentials(struct argocd_api *api, struct fault *reterr) {
    if (!uses_session(api)) return FAULT_NONE;
    const ArgoCredentials credentials = {.username = api->settings->access.username,
                                         .password = api->settings->access.password};
    slice json;
    if (codec_encode_json(&ArgoCredentials_desc, &credentials, false, api->arena, &json, reterr))
        return reterr ? reterr->code : FAULT_SYSTEM;
    uint8_t *const copy = malloc(json.size); /* the arena is used again by every answer */
    if (!copy) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    memcpy(copy, json.data, json.size);
    api->credentials = slice_of(copy, json.size);
    return FAULT_NONE;
}

static fault_code open_parts(struct argocd_api *api, struct loop *loop, struct fault *reterr) {
    const struct argocd_settings *const settings = api->settings;
    const size_t bytes_max = (size_t)settings->object_bytes_max;
    const struct kube_split_calls split = {
        .object = on_list_object, .metadata = on_list_metadata, .skipped = on_list_skipped, .context = api};
    const struct argocd_stream_calls reader = {on_event, on_skipped, api};
    api->arena = arena_new(ARENA_BLOCK_BYTES, 16 * bytes_max);
    api->timer = loop_timer_new(loop, on_timer, api);
    api->split = kube_split_new(bytes_max, &split);
    if (!api->arena || !api->timer || !api->split) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    fault_code code = argocd_stream_new(bytes_max, &reader, &api->reader, reterr);
    if (!code) code = http_client_new(loop, CONNECTIONS_MAX, &api->client, reterr);
    if (!code)
        code = argocd_url_make(settings, "/api/v1/applications", "metadata.resourceVersion," FIELDS("items."),
                               api->list_url, sizeof api->list_url, reterr);
    if (!code)
        code =
            argocd_url_make(settings, "/api/v1/stream/applications", "result.type,error," FIELDS("result.application."),
                            api->stream_url, sizeof api->stream_url, reterr);
    if (!code)
        code = argocd_url_make(settings, "/api/v1/session", NULL, api->session_url, sizeof api->session_url, reterr);
    return code ? code : make_credentials(api, reterr);
}

fault_code argocd_api_open(struct loop *loop, const struct argocd_settings *settings,
                           const struct argocd_api_calls *calls, struct argocd_api **ret_api, struct fault *reterr) {
    struct argocd_api *api = calloc(1, sizeof *api);
    if (!api) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    api->calls = *calls;
    api->settings = settings;
    access_settings_use(&settings->access, &api->tls, &api->auth);
    api->list_due_ms = settings->stream ? INT64_MAX : 0;
    const fault_code code = open_parts(api, loop, reterr);
    if (code) {
        argocd_api_close(api);
        return code;
    }
    arm(api);
    *ret_api = api;
    return FAULT_NONE;
}

struct argocd_api *argocd_api_close(struct argocd_api *api) {
    if (!api) return NULL;
    http_call_cancel(api->session);
    http_call_cancel(api->stream);
    http_call_cancel(api->list);
    http_client_free(api->client);
    loop_timer_free(api->timer);
    argocd_stream_free(api->reader);
    kube_split_free(api->split);
    arena_free(api->arena);
    free((void *)(uintptr_t)api->credentials.data);
    free(api);
    return NULL;
}

void argocd_api_stats(const struct argocd_api *api, struct argocd_source_stats *ret_stats) {
    *ret_stats = api->stats;
    ret_stats->buffer_bytes = kube_split_buffer_bytes(api->split) + argocd_stream_buffer_bytes(api->reader);
}
