/* SPDX-License-Identifier: Apache-2.0
 * The only file that knows libcurl. One multi handle hangs on the loop: curl tells us by socket_changed which
 * descriptors it waits for and by timer_changed when it wants to be called; we call curl_multi_socket_action and
 * then hand out what has ended. A call is an easy handle with its own header buffer; ended calls are kept in a
 * free list and used again, so that a steady load of scrapes allocates only what curl itself does per request.
 *
 * curl forbids most of its functions inside its callbacks. on_body runs inside one, so a start or cancel made
 * there is only noted and done when curl has returned (client->inside). on_done always runs outside of curl. */
#include "common/net/http_client.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/whole_file.h"
#include "common/net/curl_lean.h"
#include "common/net/http_date.h"

enum {
    CALL_HEADERS_MAX = 32, /* lines, ours included */
    CALL_HEADER_BYTES_MAX = 64 * 1024,
    BEARER_BYTES_MAX = 16 * 1024,
    /* curl takes this from malloc when a first transfer begins and gives it back when none is left, so for each scrape.
     * musl maps and unmaps what is larger than 26 KB each time, and the kernel clears its pages each time; of this size
     * it keeps a group of three. */
    RECEIVE_BYTES = 20 * 1024,
    CALLS_PER_CONNECTION_MAX = 8, /* running and waiting for a connection; more is FAULT_AGAIN */
};

struct http_call {
    struct http_client *client;
    struct http_call *previous, *next; /* in client->running; next alone in client->idle */
    CURL *easy;
    bool added, cancelled, stopped, too_large, sent, answered, headed;
    bool (*on_head)(void *context, int status, const char *content_type);
    bool (*on_body)(void *context, slice piece);
    void (*on_done)(void *context, const struct http_result *result);
    void *context;
    int64_t start_ms, timeout_ms;
    uint64_t body_bytes, body_bytes_max;
    struct curl_slist lines[CALL_HEADERS_MAX], connect_to;
    size_t lines_count;
    char *text; /* what the lines point into */
    size_t text_bytes, text_bytes_max;
    char label[256]; /* "GET http://host/path" for faults: no query, no user, since both may hold secrets */
    char curl_text[CURL_ERROR_SIZE];
};

struct http_client {
    struct loop *loop;
    struct loop_timer *timer;
    CURLM *multi;
    struct http_call *running, *idle;
    unsigned running_count, idle_count, connections_max;
    int inside;          /* curl is on the stack below us */
    bool changes_wait;   /* a start or cancel was noted while inside */
    const char *ca_path; /* where this curl was built without a bundle */
};

static int socket_changed(CURL *easy, curl_socket_t fd, int what, void *context, void *watch);
static int timer_changed(CURLM *multi, long timeout_ms, void *context);
static void timer_fired(void *context);
static void call_drop(struct http_call *call);
static struct http_call *call_free(struct http_call *call);
static const char *system_bundle(void);

fault_code http_client_new(struct loop *loop, unsigned connections_max, struct http_client **ret_client,
                           struct fault *reterr) {
    if (connections_max == 0)
        return fault_set(reterr, FAULT_INPUT, "HTTP client: connections_max is 0, at least 1 is needed");
    curl_lean_use();
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return fault_set(reterr, FAULT_SYSTEM, "HTTP client: libcurl does not start");
    struct http_client *client = calloc(1, sizeof *client);
    if (!client) {
        curl_global_cleanup();
        return fault_set(reterr, FAULT_SYSTEM, "HTTP client: out of memory");
    }
    client->loop = loop;
    client->connections_max = connections_max;
    client->ca_path = system_bundle();
    client->timer = loop_timer_new(loop, timer_fired, client);
    client->multi = curl_multi_init();
    if (!client->timer || !client->multi) {
        (void)http_client_free(client);
        return fault_set(reterr, FAULT_SYSTEM, "HTTP client: out of memory");
    }
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, timer_changed);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)connections_max);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)connections_max);
    *ret_client = client;
    return FAULT_NONE;
}

/* curl names its built-in bundle; a static curl may have none, then the usual places are tried. */
static const char *system_bundle(void) {
    static const char *const places[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                         "/etc/ssl/cert.pem"};
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    if (info->age >= CURLVERSION_SEVENTH && info->cainfo && access(info->cainfo, R_OK) == 0) return NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (access(places[i], R_OK) == 0) return places[i];
    return NULL;
}

struct http_client *http_client_free(struct http_client *client) {
    if (!client) return NULL;
    while (client->running) call_drop(client->running);
    while (client->idle) {
        struct http_call *call = client->idle;
        client->idle = call->next;
        (void)call_free(call);
    }
    if (client->multi) curl_multi_cleanup(client->multi);
    (void)loop_timer_free(client->timer);
    free(client);
    curl_global_cleanup();
    return NULL;
}

static struct http_call *call_free(struct http_call *call) {
    if (call->easy) curl_easy_cleanup(call->easy);
    if (call->text) explicit_bzero(call->text, call->text_bytes_max);
    free(call->text);
    free(call);
    return NULL;
}

static struct http_call *call_take(struct http_client *client);
static void call_give_back(struct http_call *call);
static fault_code call_prepare(struct http_call *call, const struct http_request *request, struct fault *reterr);
static fault_code call_add(struct http_call *call, struct fault *reterr);

fault_code http_client_start(struct http_client *client, const struct http_request *request,
                             struct http_call **ret_call, struct fault *reterr) {
    if (!request->url || !request->on_done)
        return fault_set(reterr, FAULT_INPUT, "HTTP call: url or on_done is missing");
    if (request->timeout_ms < 1 || request->timeout_ms > LIMIT_OUTSIDE_CALL_MS)
        return fault_set(reterr, FAULT_LIMIT, "HTTP call: timeout of %" PRId64 " ms, allowed are 1 to %d",
                         request->timeout_ms, LIMIT_OUTSIDE_CALL_MS);
    if (client->running_count >= client->connections_max * CALLS_PER_CONNECTION_MAX)
        return fault_set(reterr, FAULT_AGAIN, "HTTP client: %u calls run or wait already on %u connections",
                         client->running_count, client->connections_max);
    struct http_call *call = call_take(client);
    if (!call) return fault_set(reterr, FAULT_SYSTEM, "HTTP call: out of memory");
    fault_code code = call_prepare(call, request, reterr);
    if (code == FAULT_NONE && !client->inside) code = call_add(call, reterr);
    if (code != FAULT_NONE) {
        call_give_back(call);
        return code;
    }
    if (client->inside) client->changes_wait = true;
    if (ret_call) *ret_call = call;
    return FAULT_NONE;
}

static struct http_call *call_take(struct http_client *client) {
    struct http_call *call = client->idle;
    if (call) {
        client->idle = call->next;
        client->idle_count--;
        curl_easy_reset(call->easy); /* keeps its connections, caches and buffers */
    } else {
        call = calloc(1, sizeof *call);
        if (!call) return NULL;
        call->client = client;
        call->easy = curl_easy_init();
        if (!call->easy) return call_free(call);
    }
    call->previous = NULL;
    call->next = client->running;
    if (client->running) client->running->previous = call;
    client->running = call;
    client->running_count++;
    call->added = call->cancelled = call->stopped = call->too_large = call->sent = call->answered = call->headed =
        false;
    call->start_ms = clock_monotonic_ms();
    call->body_bytes = 0;
    call->lines_count = call->text_bytes = 0;
    call->curl_text[0] = '\0';
    return call;
}

static void call_give_back(struct http_call *call) {
    struct http_client *client = call->client;
    if (call->previous)
        call->previous->next = call->next;
    else
        client->running = call->next;
    if (call->next) call->next->previous = call->previous;
    client->running_count--;
    if (call->text) explicit_bzero(call->text, call->text_bytes); /* a bearer token was in there */
    if (client->idle_count >= client->connections_max) {
        (void)call_free(call);
        return;
    }
    call->next = client->idle;
    client->idle = call;
    client->idle_count++;
}

static fault_code call_add(struct http_call *call, struct fault *reterr) {
    const CURLMcode code = curl_multi_add_handle(call->client->multi, call->easy);
    if (code != CURLM_OK) return fault_set(reterr, FAULT_SYSTEM, "%s: %s", call->label, curl_multi_strerror(code));
    call->added = true;
    return FAULT_NONE;
}

/* ---- what is sent ---- */

static void label_write(struct http_call *call, const char *method, const char *url);
static fault_code headers_write(struct http_call *call, const struct http_request *request, struct fault *reterr);
static fault_code connect_to_write(struct http_call *call, const char *connect_to, struct fault *reterr);
static bool text_reserve(struct http_call *call, size_t bytes);
static void tls_write(struct http_call *call, const struct http_tls *tls);
static size_t body_came(char *data, size_t size, size_t count, void *context);
static size_t header_came(char *data, size_t size, size_t count, void *context);
static int request_goes(void *context, char *their_ip, char *our_ip, int their_port, int our_port);

static fault_code call_prepare(struct http_call *call, const struct http_request *request, struct fault *reterr) {
    const char *method = request->method ? request->method : request->body.size ? "POST" : "GET";
    CURL *easy = call->easy;
    label_write(call, method, request->url);
    call->on_head = request->on_head;
    call->on_body = request->on_body;
    call->on_done = request->on_done;
    call->context = request->context;
    call->timeout_ms = request->timeout_ms;
    call->body_bytes_max = request->body_bytes_max ? request->body_bytes_max : LIMIT_MESSAGE_BYTES;
    const fault_code code = headers_write(call, request, reterr);
    if (code != FAULT_NONE) return code;

    if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (request->body.size || strcmp(method, "POST") == 0) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.size ? (const char *)request->body.data : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    } else {
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->lines_count ? call->lines : NULL);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "picket/" PICKET_VERSION);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    if (request->proxy_url) {
        curl_easy_setopt(easy, CURLOPT_PROXY, request->proxy_url);
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    } else {
        curl_easy_setopt(easy, CURLOPT_NOPROXY, "*"); /* the environment's proxies are not ours to follow */
    }
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->curl_text);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, body_came);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, header_came);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, request_goes);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, call);
    if (request->accept_gzip) curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
    tls_write(call, request->tls);
    const fault_code place = connect_to_write(call, request->connect_to, reterr);
    if (place) return place;
    if (curl_easy_setopt(easy, CURLOPT_URL, request->url) != CURLE_OK)
        return fault_set(reterr, FAULT_INPUT, "%s: the URL is not accepted", call->label);
    return FAULT_NONE;
}

static fault_code connect_to_write(struct http_call *call, const char *connect_to, struct fault *reterr) {
    if (!connect_to) return FAULT_NONE;
    const size_t bytes = strlen(connect_to) + 1;
    if (!text_reserve(call, bytes))
        return fault_set(reterr, FAULT_LIMIT, "%s: request headers over %d bytes", call->label, CALL_HEADER_BYTES_MAX);
    /* The last piece of the text: nothing moves it any more. */
    call->connect_to.data = memcpy(call->text + call->text_bytes, connect_to, bytes);
    call->text_bytes += bytes;
    call->connect_to.next = NULL;
    curl_easy_setopt(call->easy, CURLOPT_CONNECT_TO, &call->connect_to);
    return FAULT_NONE;
}

static void label_write(struct http_call *call, const char *method, const char *url) {
    const char *rest = strstr(url, "://");
    rest = rest ? rest + 3 : url;
    const char *user_end = memchr(rest, '@', strcspn(rest, "/?#"));
    const char *host = user_end ? user_end + 1 : rest;
    snprintf(call->label, sizeof call->label, "%.16s %.*s%.*s", method, (int)(rest - url), url,
             (int)strcspn(host, "?#"), host);
}

/* mbedTLS takes a key for PEM when its NUL is counted; of certificates curl makes a copy with a NUL itself. */
static void blob_write(CURL *easy, CURLoption option, slice pem) {
    const size_t size = pem.size + (option == CURLOPT_SSLKEY_BLOB);
    const unsigned how = option == CURLOPT_CAINFO_BLOB ? CURL_BLOB_NOCOPY : CURL_BLOB_COPY;
    struct curl_blob blob = {(void *)(uintptr_t)pem.data, size, how};
    curl_easy_setopt(easy, option, &blob);
}

static void tls_write(struct http_call *call, const struct http_tls *tls) {
    CURL *easy = call->easy;
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (tls && tls->ca.size) {
        blob_write(easy, CURLOPT_CAINFO_BLOB, tls->ca);
        curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    } else if (tls && tls->ca_path) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, tls->ca_path);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* else the system's folder is trusted as well */
    } else if (call->client->ca_path) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, call->client->ca_path);
    }
    if (!tls) return;
    if (tls->certificate.size)
        blob_write(easy, CURLOPT_SSLCERT_BLOB, tls->certificate);
    else if (tls->certificate_path)
        curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->certificate_path);
    if (tls->key.size)
        blob_write(easy, CURLOPT_SSLKEY_BLOB, tls->key);
    else if (tls->key_path)
        curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->key_path);
    if (tls->insecure) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static fault_code line_add(struct http_call *call, const char *start, slice rest, struct fault *reterr);
static fault_code bearer_add(struct http_call *call, const char *path, struct fault *reterr);

static fault_code headers_write(struct http_call *call, const struct http_request *request, struct fault *reterr) {
    bool has_type = false;
    fault_code code = FAULT_NONE;
    for (const char *const *line = request->headers; line && *line && code == FAULT_NONE; line++) {
        if (strncasecmp(*line, "content-type:", 13) == 0) has_type = true;
        code = line_add(call, "", slice_from_text(*line), reterr);
    }
    /* curl would wait for "100 Continue" and call a body a form; an empty value takes its line out. */
    if (code == FAULT_NONE) code = line_add(call, "Expect:", (slice){0}, reterr);
    if (code == FAULT_NONE && !has_type) code = line_add(call, "Content-Type:", (slice){0}, reterr);
    const struct http_auth *auth = request->auth;
    if (code != FAULT_NONE || !auth) return code;
    if (auth->bearer_token_path) return bearer_add(call, auth->bearer_token_path, reterr);
    if (auth->bearer_token)
        return line_add(call, "Authorization: Bearer ", slice_from_text(auth->bearer_token), reterr);
    if (auth->username) {
        curl_easy_setopt(call->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(call->easy, CURLOPT_USERNAME, auth->username);
        curl_easy_setopt(call->easy, CURLOPT_PASSWORD, auth->password ? auth->password : "");
    }
    return FAULT_NONE;
}

static fault_code line_add(struct http_call *call, const char *start, slice rest, struct fault *reterr) {
    const size_t start_bytes = strlen(start);
    if (call->lines_count == CALL_HEADERS_MAX)
        return fault_set(reterr, FAULT_LIMIT, "%s: more than %d request headers", call->label, CALL_HEADERS_MAX);
    for (size_t i = 0; i < rest.size; i++)
        if (rest.data[i] < ' ' && rest.data[i] != '\t')
            return fault_set(reterr, FAULT_INPUT, "%s: a request header holds the control character 0x%02x",
                             call->label, rest.data[i]);
    const size_t bytes = start_bytes + rest.size + 1;
    if (!text_reserve(call, bytes))
        return fault_set(reterr, FAULT_LIMIT, "%s: request headers over %d bytes", call->label, CALL_HEADER_BYTES_MAX);
    char *line = call->text + call->text_bytes;
    memcpy(line, start, start_bytes);
    if (rest.size) memcpy(line + start_bytes, rest.data, rest.size);
    line[bytes - 1] = '\0';
    call->text_bytes += bytes;
    struct curl_slist *node = &call->lines[call->lines_count++];
    node->data = line;
    node->next = NULL;
    if (call->lines_count > 1) node[-1].next = node;
    return FAULT_NONE;
}

static bool text_reserve(struct http_call *call, size_t bytes) {
    if (bytes > CALL_HEADER_BYTES_MAX - call->text_bytes) return false;
    if (call->text_bytes + bytes <= call->text_bytes_max) return true;
    const size_t grown_bytes = (call->text_bytes + bytes + 1023) / 1024 * 1024;
    char *grown = malloc(grown_bytes);
    if (!grown) return false;
    if (call->text) {
        memcpy(grown, call->text, call->text_bytes);
        explicit_bzero(call->text, call->text_bytes);
    }
    for (size_t i = 0; i < call->lines_count; i++) call->lines[i].data = grown + (call->lines[i].data - call->text);
    free(call->text);
    call->text = grown;
    call->text_bytes_max = grown_bytes;
    return true;
}

static fault_code bearer_add(struct http_call *call, const char *path, struct fault *reterr) {
    char token[BEARER_BYTES_MAX];
    size_t size;
    fault_code code = whole_file_read("bearer token file", path, token, sizeof token, &size, reterr);
    if (code) {
        fault_wrap(reterr, "%s", call->label);
    } else {
        while (size && strchr(" \t\r\n", token[size - 1])) size--;
        code = size ? line_add(call, "Authorization: Bearer ", slice_of(token, size), reterr)
                    : fault_set(reterr, FAULT_INPUT, "%s: bearer token file '%s' is empty", call->label, path);
    }
    explicit_bzero(token, sizeof token);
    return code;
}

/* ---- what comes back ---- */

static int request_goes(void *context, char *their_ip, char *our_ip, int their_port, int our_port) {
    struct http_call *call = context;
    call->sent = true;
    return CURL_PREREQFUNC_OK;
}

static bool head_hand_out(struct http_call *call);

static size_t header_came(char *data, size_t size, size_t count, void *context) {
    struct http_call *call = context;
    call->answered = true;
    /* The empty line: a stream's first piece may come much later. */
    const bool last = size * count <= 2 && (*data == '\r' || *data == '\n');
    if (last && !call->headed && !call->cancelled && !head_hand_out(call)) call->stopped = true;
    return call->stopped || call->cancelled ? 0 : size * count;
}

/* At the end of the head, unless it is that of an interim answer (1xx). */
static bool head_hand_out(struct http_call *call) {
    long status = 0;
    const char *content_type = NULL;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200) return true;
    call->headed = true;
    if (!call->on_head) return true;
    curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &content_type);
    return call->on_head(call->context, (int)status, content_type ? content_type : "");
}

static size_t body_came(char *data, size_t size, size_t count, void *context) {
    struct http_call *call = context;
    const size_t bytes = size * count;
    if (call->cancelled) return 0;
    if (bytes > call->body_bytes_max - call->body_bytes) {
        call->too_large = true;
        return 0;
    }
    call->body_bytes += bytes;
    if (!call->headed && !head_hand_out(call)) call->stopped = true;
    if (!call->stopped && call->on_body && bytes && !call->on_body(call->context, slice_of(data, bytes)))
        call->stopped = true;
    return call->stopped || call->cancelled ? CURL_WRITEFUNC_ERROR : bytes;
}

void http_call_cancel(struct http_call *call) {
    if (!call) return;
    if (call->client->inside) {
        call->cancelled = true;
        call->client->changes_wait = true;
        return;
    }
    call_drop(call);
}

static void call_drop(struct http_call *call) {
    struct http_client *client = call->client;
    client->inside++; /* removing may call socket_changed */
    if (call->added) curl_multi_remove_handle(client->multi, call->easy);
    client->inside--;
    call_give_back(call);
}

/* ---- the loop and curl ---- */

static void client_act(struct http_client *client, curl_socket_t fd, int events);
static void socket_ready(void *context, int fd, unsigned events);
static void done_hand_out(struct http_client *client);
static void changes_make(struct http_client *client);
static void call_end(struct http_call *call, CURLcode code);
static fault_code fault_from_curl(struct http_call *call, CURLcode code, struct fault *ret_fault);

static int socket_changed(CURL *easy, curl_socket_t fd, int what, void *context, void *watch_context) {
    struct http_client *client = context;
    struct loop_watch *watch = watch_context;
    const unsigned events = what == CURL_POLL_IN    ? LOOP_READ
                            : what == CURL_POLL_OUT ? LOOP_WRITE
                                                    : LOOP_READ | LOOP_WRITE;
    if (what == CURL_POLL_REMOVE) {
        (void)loop_watch_free(watch);
        curl_multi_assign(client->multi, fd, NULL);
        return 0;
    }
    if (watch) return loop_watch_change(watch, events, NULL) == FAULT_NONE ? 0 : -1;
    if (loop_watch_new(client->loop, fd, events, socket_ready, client, &watch, NULL) != FAULT_NONE) return -1;
    curl_multi_assign(client->multi, fd, watch);
    return 0;
}

static int timer_changed(CURLM *multi, long timeout_ms, void *context) {
    struct http_client *client = context;
    if (timeout_ms < 0)
        loop_timer_clear(client->timer);
    else
        loop_timer_set(client->timer, timeout_ms); /* 0 as well: never call curl back from inside */
    return 0;
}

static void socket_ready(void *context, int fd, unsigned events) {
    client_act(context, fd,
               (events & LOOP_READ ? CURL_CSELECT_IN : 0) | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0) |
                   (events & LOOP_ERROR ? CURL_CSELECT_ERR : 0));
}

static void timer_fired(void *context) {
    client_act(context, CURL_SOCKET_TIMEOUT, 0);
}

static void client_act(struct http_client *client, curl_socket_t fd, int events) {
    int running = 0;
    client->inside++;
    (void)curl_multi_socket_action(client->multi, fd, events, &running);
    client->inside--;
    changes_make(client);
    done_hand_out(client);
}

/* Starts and cancels that were asked for inside on_body. */
static void changes_make(struct http_client *client) {
    if (!client->changes_wait) return;
    client->changes_wait = false;
    for (struct http_call *call = client->running; call;) {
        const bool start = !call->cancelled && !call->added;
        const bool started = start && call_add(call, NULL) == FAULT_NONE;
        if (!call->cancelled && (!start || started)) {
            call = call->next;
            continue;
        }
        if (call->cancelled)
            call_drop(call);
        else
            call_end(call, CURLE_OUT_OF_MEMORY);
        call = client->running; /* the one that was next may have gone with it */
    }
}

static void done_hand_out(struct http_client *client) {
    int left = 0;
    const CURLMsg *message;
    while ((message = curl_multi_info_read(client->multi, &left))) {
        if (message->msg != CURLMSG_DONE) continue;
        struct http_call *call = NULL;
        const CURLcode code = message->data.result; /* the message is gone once its handle is removed */
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        call_end(call, code);
    }
}

static int64_t date_of(CURL *easy) {
    struct curl_header *header;
    if (curl_easy_header(easy, "Date", 0, CURLH_HEADER, -1, &header) != CURLHE_OK) return 0;
    return http_date_ms(slice_from_text(header->value));
}

static void call_end(struct http_call *call, CURLcode code) {
    struct http_result result = {.content_type = "", .body_bytes = call->body_bytes};
    long status = 0;
    curl_off_t retry_after_s = 0;
    const char *content_type = NULL;
    result.duration_ms = clock_monotonic_ms() - call->start_ms;
    if (code == CURLE_OK && !call->headed) (void)head_hand_out(call);
    if (code == CURLE_OK) {
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &content_type);
        curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
        result.status = (int)status;
        result.date_ms = date_of(call->easy);
        if (content_type) result.content_type = content_type;
        if (retry_after_s > 0 && retry_after_s <= INT64_MAX / 1000) result.retry_after_ms = retry_after_s * 1000;
    } else {
        (void)fault_from_curl(call, code, &result.fault);
    }
    if (call->added) {
        call->client->inside++;
        curl_multi_remove_handle(call->client->multi, call->easy);
        call->client->inside--;
        call->added = false;
    }
    call->on_done(call->context, &result); /* content_type lives in the easy handle, so give back after it */
    call_give_back(call);
}

/* ---- faults ---- */

static fault_code fault_from_timeout(const struct http_call *call, struct fault *ret_fault);
static const char *certificate_reason(const char *text);

static fault_code fault_from_curl(struct http_call *call, CURLcode code, struct fault *ret_fault) {
    const char *label = call->label;
    call->curl_text[strcspn(call->curl_text, "\n")] = '\0'; /* mbedTLS ends its sentences with a line feed */
    const char *text = call->curl_text[0] ? call->curl_text : curl_easy_strerror(code);
    long error_number = 0;
    if (call->too_large)
        return fault_set(ret_fault, FAULT_LIMIT,
                         "%s: the answer is larger than the %" PRIu64 " bytes allowed (after decompression)", label,
                         call->body_bytes_max);
    if (call->stopped)
        return fault_set(ret_fault, FAULT_INPUT, "%s: stopped by its reader after %" PRIu64 " bytes", label,
                         call->body_bytes);
    switch ((int)code) { /* int: the list is curl's and grows */
    case CURLE_OPERATION_TIMEDOUT: return fault_from_timeout(call, ret_fault);
    case CURLE_COULDNT_RESOLVE_HOST:
        return fault_set(ret_fault, FAULT_SYSTEM, "%s: the host's name is not resolved (%s)", label, text);
    case CURLE_COULDNT_CONNECT:
        curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &error_number);
        return fault_set(ret_fault, FAULT_SYSTEM, "%s: no connection: %s", label,
                         error_number ? strerror((int)error_number) : text);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_ISSUER_ERROR:
        return fault_set(ret_fault, FAULT_SYSTEM, "%s: TLS: %s (%s)", label, certificate_reason(text), text);
    case CURLE_SSL_CERTPROBLEM:
        return fault_set(ret_fault, FAULT_INPUT, "%s: our client certificate or key is not usable (%s)", label, text);
    case CURLE_SSL_CACERT_BADFILE:
        return fault_set(ret_fault, FAULT_INPUT, "%s: the file of trusted certificates is not usable (%s)", label,
                         text);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return fault_set(ret_fault, FAULT_INPUT, "%s: not an http or https URL (%s)", label, text);
    case CURLE_BAD_CONTENT_ENCODING:
        return fault_set(ret_fault, FAULT_INPUT, "%s: the answer's compression is broken (%s)", label, text);
    case CURLE_GOT_NOTHING:
        return fault_set(ret_fault, FAULT_SYSTEM, "%s: the server closed the connection without an answer", label);
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
        return fault_set(ret_fault, FAULT_SYSTEM, "%s: the connection was lost %s after %" PRIu64 " body bytes (%s)",
                         label, call->answered ? "inside the answer" : "before the answer", call->body_bytes, text);
    case CURLE_WEIRD_SERVER_REPLY:
        return fault_set(ret_fault, FAULT_INPUT, "%s: the answer is not HTTP (%s)", label, text);
    default: return fault_set(ret_fault, FAULT_SYSTEM, "%s: %s", label, text);
    }
}

/* Which phase took the time, from the moments curl noted: a moment that never came is 0. */
static fault_code fault_from_timeout(const struct http_call *call, struct fault *ret_fault) {
    curl_off_t resolved = 0, connected = 0;
    curl_easy_getinfo(call->easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved);
    curl_easy_getinfo(call->easy, CURLINFO_CONNECT_TIME_T, &connected);
    char reading[64];
    snprintf(reading, sizeof reading, "reading the body, %" PRIu64 " bytes came", call->body_bytes);
    const char *phase = call->answered ? reading
                        : call->sent   ? "waiting for the answer"
                        : connected    ? "in the TLS handshake"
                        : resolved     ? "connecting"
                                       : "resolving the host's name or waiting for a free connection";
    return fault_set(ret_fault, FAULT_TIMEOUT, "%s: not done in %" PRId64 " ms: %s", call->label, call->timeout_ms,
                     phase);
}

/* curl passes on its TLS library's words; the usual reasons are said in ours, the same for OpenSSL and mbedTLS
 * (whose sentences are those of mbedtls_x509_crt_verify_info). */
static const char *certificate_reason(const char *text) {
    static const struct {
        const char *word, *reason;
    } reasons[] = {
        {"has expired", "the server's certificate has expired"},
        {"not yet valid", "the server's certificate is not valid yet (is this machine's clock right?)"},
        {"in the future", "the server's certificate is not valid yet (is this machine's clock right?)"},
        {"subject name", "the server's certificate is for another name"},
        {"does not match", "the server's certificate is for another name"},
        {"revoked", "the server's certificate is revoked"},
        {"signed by the trusted CA", "the server's certificate is not from a trusted authority"},
        {"issuer", "the server's certificate is not from a trusted authority"},
        {"self-signed", "the server's certificate is not from a trusted authority"},
        {"self signed", "the server's certificate is not from a trusted authority"},
        {"alert", "the server refused the handshake"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strstr(text, reasons[i].word)) return reasons[i].reason;
    return "the handshake failed";
}
