/* SPDX-License-Identifier: Apache-2.0
 * libmicrohttpd with its own epoll threads. One exchange object per request, pooled with its arena, so that a
 * steady load allocates nothing of ours. An exchange is held by the connection (until libmicrohttpd says that the
 * request is completed) and, once kept, by whoever keeps it (until the answer): it returns to the pool when both
 * have let go, and the pool outlives the server for the sake of late answers.
 *
 * libmicrohttpd's rules that shape this file: a response can be queued in the first call of the access handler
 * (before the body) or in the last one, never between; a connection may be suspended only on its own thread, and
 * must be suspended before anyone can resume it, so http_exchange_keep suspends at once; stopping the daemon with
 * suspended connections aborts the process, so http_server_close first answers and ends all of them. */
#include "common/net/http_server.h"

#include "common/net/http_framing.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    ARENA_BLOCK_BYTES = 16 * 1024,         /* kept per pooled exchange */
    ARENA_ANSWER_BYTES = 16 * 1024 * 1024, /* beside four times the body's maximum (it grows by doubling) */
    POOL_IDLE_MAX = 256,                   /* exchanges that wait in the pool for use */
    CONNECTION_BYTES = 12 * 1024, /* request line and headers (431 beyond); cleared after each request, so kept small */
    BODY_ROOM_MIN = 64,
    BODY_SAID_MAX = 64 * 1024,
    DISCARD_FACTOR = 4, /* a body this many times too large is no longer read to its end */
    STREAM_BLOCK_BYTES = 16 * 1024,
    LISTEN_BACKLOG = 1024,
    PEM_BYTES_MAX = 1024 * 1024,
    DRAIN_MS = 2000,
};

/* CLAIMED: one thread makes the answer, every other answer comes too late. Only ANSWERED may be queued. */
enum exchange_state { EXCHANGE_READING, EXCHANGE_HANDLING, EXCHANGE_KEPT, EXCHANGE_CLAIMED, EXCHANGE_ANSWERED };

struct exchange_pool {
    pthread_mutex_t lock;
    struct http_exchange *idle; /* through ->next */
    size_t idle_count;
    size_t owners; /* the server and each exchange that is out */
    bool closed;
    size_t arena_bytes_max;
};

struct http_exchange {
    struct http_exchange *next; /* in the pool's idle list, or the server's list of kept ones */
    struct http_exchange *previous;
    struct exchange_pool *pool;
    struct http_server *server;
    struct MHD_Connection *connection;
    struct arena *arena;
    atomic_int state;
    atomic_int owners;
    slice method, path;
    uint8_t *body;
    size_t body_size, body_room, body_size_said, body_discarded;
    struct MHD_Response *response; /* set before state becomes ANSWERED */
    int status;
    bool too_large, in_doubt;
    bool suspended; /* by http_exchange_keep; the connection's thread only */
    char peer[INET6_ADDRSTRLEN];
};

struct http_stream {
    struct http_stream *next, *previous; /* in the server's list, under the server's lock */
    struct http_server *server;          /* touched under that lock only while not gone */
    struct MHD_Connection *connection;
    pthread_mutex_t lock;
    atomic_int owners; /* the response and the caller */
    bool suspended, ended, gone;
    uint8_t *buffer; /* a ring */
    size_t room, start, used;
};

struct http_server {
    struct MHD_Daemon *daemon;
    http_handler_fn *handler;
    void *context;
    size_t body_bytes_max;
    uint16_t port;
    struct exchange_pool *pool;
    pthread_mutex_t lock;
    struct http_exchange *kept;
    struct http_stream *streams;
    bool closing;
    char *certificate, *key;
    char last_error[256]; /* of libmicrohttpd, while it starts */
};

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_size, void **request);
static void on_completed(void *context, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode code);
static void on_library_error(void *context, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
static void exchange_release(struct http_exchange *exchange);
static void pool_leave(struct exchange_pool *pool);

static fault_code open_listener(const struct http_server_settings *settings, int *ret_fd, uint16_t *ret_port,
                                struct fault *reterr) {
    const bool six = strchr(settings->address, ':') != NULL;
    struct sockaddr_storage storage = {0};
    socklen_t size;
    if (six) {
        struct sockaddr_in6 *a = (struct sockaddr_in6 *)&storage;
        *a = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(settings->port)};
        size = sizeof *a;
        if (inet_pton(AF_INET6, settings->address, &a->sin6_addr) != 1) size = 0;
    } else {
        struct sockaddr_in *a = (struct sockaddr_in *)&storage;
        *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(settings->port)};
        size = sizeof *a;
        if (inet_pton(AF_INET, settings->address, &a->sin_addr) != 1) size = 0;
    }
    if (!size)
        return fault_set(reterr, FAULT_INPUT, "listen: '%s' is not an IPv4 or IPv6 address (a name is not accepted)",
                         settings->address);
    const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "listen on %s: socket", settings->address);
    const int on = 1, off = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (six) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, (struct sockaddr *)&storage, size) || listen(fd, LISTEN_BACKLOG)) {
        const int error = errno;
        close(fd);
        return fault_set_errno(reterr, FAULT_SYSTEM, error, "listen on %s port %u%s", settings->address, settings->port,
                               error == EADDRINUSE ? " (another program has it: choose another port or stop it)" : "");
    }
    socklen_t bound_size = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &bound_size)) {
        const int error = errno;
        close(fd);
        return fault_set_errno(reterr, FAULT_SYSTEM, error, "listen on %s: getsockname", settings->address);
    }
    *ret_port = ntohs(six ? ((struct sockaddr_in6 *)&storage)->sin6_port : ((struct sockaddr_in *)&storage)->sin_port);
    *ret_fd = fd;
    return FAULT_NONE;
}

static fault_code read_pem(const char *path, const char *what, char **ret_text, struct fault *reterr) {
    FILE *file = fopen(path, "re");
    if (!file) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "read the TLS %s '%s'", what, path);
    char *text = malloc(PEM_BYTES_MAX + 1);
    const size_t size = text ? fread(text, 1, PEM_BYTES_MAX + 1, file) : 0;
    const bool failed = !text || ferror(file);
    fclose(file);
    if (failed || size == 0 || size > PEM_BYTES_MAX) {
        free(text);
        return fault_set(reterr, FAULT_INPUT, "read the TLS %s '%s': empty, larger than 1 MiB or not readable", what,
                         path);
    }
    text[size] = '\0';
    *ret_text = text;
    return FAULT_NONE;
}

static void server_free(struct http_server *server) {
    free(server->certificate);
    free(server->key);
    if (server->pool) {
        struct exchange_pool *pool = server->pool;
        pthread_mutex_lock(&pool->lock);
        pool->closed = true;
        struct http_exchange *idle = pool->idle;
        pool->idle = NULL;
        pthread_mutex_unlock(&pool->lock);
        for (struct http_exchange *next; idle; idle = next) {
            next = idle->next;
            arena_free(idle->arena);
            free(idle);
        }
        pool_leave(pool);
    }
    pthread_mutex_destroy(&server->lock);
    free(server);
}

fault_code http_server_open(const struct http_server_settings *settings, http_handler_fn *handler, void *context,
                            struct http_server **ret_server, struct fault *reterr) {
    struct http_server *server = calloc(1, sizeof *server);
    if (!server) return fault_set(reterr, FAULT_SYSTEM, "start the HTTP server: no memory");
    server->handler = handler;
    server->context = context;
    server->body_bytes_max = settings->body_bytes_max;
    pthread_mutex_init(&server->lock, NULL);
    int fd = -1;
    server->pool = calloc(1, sizeof *server->pool);
    if (!server->pool) {
        (void)fault_set(reterr, FAULT_SYSTEM, "start the HTTP server: no memory");
        goto failed;
    }
    pthread_mutex_init(&server->pool->lock, NULL);
    server->pool->owners = 1;
    server->pool->arena_bytes_max = 4 * settings->body_bytes_max + ARENA_ANSWER_BYTES;
    const bool tls = settings->certificate_path != NULL;
    if (tls && !settings->key_path) {
        (void)fault_set(reterr, FAULT_INPUT, "start the HTTP server: a TLS certificate without its key");
        goto failed;
    }
    if (tls && (read_pem(settings->certificate_path, "certificate", &server->certificate, reterr) ||
                read_pem(settings->key_path, "key", &server->key, reterr)))
        goto failed;
    if (open_listener(settings, &fd, &server->port, reterr)) goto failed;

    const unsigned threads = settings->threads ? settings->threads : 1;
    const unsigned connections = settings->connections_max > threads ? settings->connections_max : threads;
    struct MHD_OptionItem options[8];
    size_t count = 0;
    /* libmicrohttpd takes a pool of one for a mistake. */
    if (threads > 1) options[count++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)threads, NULL};
    if (tls) {
        options[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, server->certificate};
        options[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, server->key};
    }
#if MHD_VERSION >= 0x00097701
    options[count++] = (struct MHD_OptionItem){MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, NULL}; /* beside http_framing */
#endif
    options[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    const int64_t idle_s = (settings->idle_timeout_ms + 999) / 1000;
    server->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO |
                                          MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0),
                                      0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_library_error,
                                      server, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
                                      server, MHD_OPTION_CONNECTION_LIMIT, connections, MHD_OPTION_CONNECTION_TIMEOUT,
                                      (unsigned)idle_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
                                      MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (!server->daemon) {
        (void)fault_set(reterr, tls ? FAULT_INPUT : FAULT_SYSTEM, "start the HTTP server on %s port %u: %s",
                        settings->address, server->port,
                        server->last_error[0] ? server->last_error : "libmicrohttpd refused");
        goto failed;
    }
    *ret_server = server;
    return FAULT_NONE;
failed:
    if (fd >= 0) close(fd);
    server_free(server);
    return reterr ? reterr->code : FAULT_SYSTEM;
}

/* Until all that was begun has been answered and sent, or for DRAIN_MS. */
static void wait_for_exchanges(struct http_server *server) {
    for (int ms = 0; ms < DRAIN_MS; ms++) {
        pthread_mutex_lock(&server->pool->lock);
        const bool done = server->pool->owners == 1; /* the server alone */
        pthread_mutex_unlock(&server->pool->lock);
        if (done) return;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

struct http_server *http_server_close(struct http_server *server) {
    if (!server) return NULL;
    const MHD_socket listener = MHD_quiesce_daemon(server->daemon);
    const struct http_answer unavailable = {.status = 503,
                                            .content_type = "text/plain",
                                            .body = SLICE_LIT("the server is stopping\n"),
                                            .body_static = true};
    pthread_mutex_lock(&server->lock);
    server->closing = true;
    for (struct http_stream *stream = server->streams; stream; stream = stream->next) {
        pthread_mutex_lock(&stream->lock);
        stream->ended = true;
        if (stream->suspended) {
            stream->suspended = false;
            MHD_resume_connection(stream->connection);
        }
        pthread_mutex_unlock(&stream->lock);
    }
    pthread_mutex_unlock(&server->lock);
    wait_for_exchanges(server);
    pthread_mutex_lock(&server->lock);
    while (server->kept) {
        struct http_exchange *exchange = server->kept;
        atomic_fetch_add(&exchange->owners, 1); /* the keeper's own share stays for its late answer */
        pthread_mutex_unlock(&server->lock);
        http_exchange_answer(exchange, &unavailable);
        pthread_mutex_lock(&server->lock);
        while (server->kept == exchange) { /* the keeper answers at this moment and is not done */
            pthread_mutex_unlock(&server->lock);
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
            pthread_mutex_lock(&server->lock);
        }
    }
    pthread_mutex_unlock(&server->lock);
    MHD_stop_daemon(server->daemon);
    if (listener != MHD_INVALID_SOCKET) close(listener);
    server_free(server);
    return NULL;
}

uint16_t http_server_port(const struct http_server *server) {
    return server->port;
}

/* Errors of single connections (resets, bad requests) are the peers' affair: kept only for the failing start. */
static void on_library_error(void *context, const char *format, va_list arguments) {
    struct http_server *server = context;
    if (server->daemon) return;
    vsnprintf(server->last_error, sizeof server->last_error, format, arguments);
    server->last_error[strcspn(server->last_error, "\n")] = '\0';
}

static struct http_exchange *pool_take(struct exchange_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    struct http_exchange *exchange = pool->idle;
    if (exchange) {
        pool->idle = exchange->next;
        pool->idle_count--;
    }
    pool->owners++;
    pthread_mutex_unlock(&pool->lock);
    struct arena *arena = exchange ? exchange->arena : NULL;
    if (!exchange) {
        exchange = malloc(sizeof *exchange);
        arena = exchange ? arena_new(ARENA_BLOCK_BYTES, pool->arena_bytes_max) : NULL;
        if (!arena) {
            free(exchange);
            pool_leave(pool);
            return NULL;
        }
    }
    memset(exchange, 0, sizeof *exchange);
    exchange->arena = arena;
    exchange->pool = pool;
    atomic_store(&exchange->owners, 1);
    return exchange;
}

static void pool_leave(struct exchange_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    const bool last = --pool->owners == 0;
    pthread_mutex_unlock(&pool->lock);
    if (!last) return;
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static void exchange_release(struct http_exchange *exchange) {
    if (atomic_fetch_sub(&exchange->owners, 1) != 1) return;
    struct exchange_pool *pool = exchange->pool;
    if (exchange->response) MHD_destroy_response(exchange->response);
    exchange->response = NULL;
    arena_reset(exchange->arena);
    pthread_mutex_lock(&pool->lock);
    const bool pooled = !pool->closed && pool->idle_count < POOL_IDLE_MAX;
    if (pooled) {
        exchange->next = pool->idle;
        pool->idle = exchange;
        pool->idle_count++;
    }
    pthread_mutex_unlock(&pool->lock);
    if (!pooled) {
        arena_free(exchange->arena);
        free(exchange);
    }
    pool_leave(pool);
}

static enum MHD_Result queue_response(struct http_exchange *exchange) {
    struct MHD_Response *response = exchange->response;
    if (!response) return MHD_NO; /* no memory for an answer: the connection is closed */
    exchange->response = NULL;
    const enum MHD_Result result = MHD_queue_response(exchange->connection, (unsigned)exchange->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_too_large(struct http_exchange *exchange) {
    char text[192]; /* as Connect says errors, which any reader can read */
    const int size = snprintf(text, sizeof text,
                              "{\"code\":\"resource_exhausted\",\"message\":\"the body is larger than %zu bytes, the "
                              "most this server takes\",\"details\":[]}",
                              exchange->server->body_bytes_max);
    http_exchange_answer(
        exchange,
        &(struct http_answer){.status = 413, .content_type = "application/json", .body = slice_of(text, (size_t)size)});
    return queue_response(exchange);
}

/* The two lie beside each other as they came. libmicrohttpd 0.9 appends a folded line to the field's name, which then lies
 * elsewhere: "Content-Length: 5" and " x" in the next line would be a field ContentLengthx, and no body. */
static enum MHD_Result add_to_framing(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                      const char *value, size_t value_size) {
    const uintptr_t apart = (uintptr_t)value - (uintptr_t)(name + name_size); /* a value before its name is far away */
    if (value && apart > CONNECTION_BYTES) http_framing_fold(context);
    http_framing_add(context, slice_of(name, name_size), slice_of(value, value_size));
    return MHD_YES;
}

/* An answer before the body also ends the connection: what else came on it is not read. It is not queued where
 * libmicrohttpd has answered 400 by itself, and calls us nevertheless (0.9, for a bad Content-Length). */
static enum MHD_Result answer_in_doubt(struct http_exchange *exchange, const char *wrong) {
    char text[256];
    const int size = snprintf(
        text, sizeof text, "{\"code\":\"invalid_argument\",\"message\":\"the request has %s\",\"details\":[]}", wrong);
    const char *const headers[] = {"Connection: close", NULL};
    exchange->in_doubt = true;
    atomic_store(&exchange->state, EXCHANGE_HANDLING);
    http_exchange_answer(exchange, &(struct http_answer){.status = 400,
                                                         .content_type = "application/json",
                                                         .body = slice_of(text, (size_t)size),
                                                         .headers = headers});
    (void)queue_response(exchange);
    return MHD_YES;
}

static bool add_to_body(struct http_exchange *exchange, const char *bytes, size_t size) {
    const size_t needed = exchange->body_size + size;
    if (needed > exchange->server->body_bytes_max) return false;
    if (needed > exchange->body_room) {
        size_t room = exchange->body_room ? exchange->body_room : exchange->body_size_said;
        if (room < BODY_ROOM_MIN) room = BODY_ROOM_MIN;
        while (room < needed) room *= 2;
        uint8_t *grown = arena_grow(exchange->arena, exchange->body, exchange->body_room, room);
        if (!grown) return false;
        exchange->body = grown;
        exchange->body_room = room;
    }
    memcpy(exchange->body + exchange->body_size, bytes, size);
    exchange->body_size = needed;
    return true;
}

static enum MHD_Result begin_request(struct http_server *server, struct MHD_Connection *connection, const char *url,
                                     const char *method, const char *version, void **request) {
    struct http_exchange *exchange = pool_take(server->pool);
    if (!exchange) return MHD_NO;
    exchange->server = server;
    exchange->connection = connection;
    exchange->method = slice_from_text(method);
    exchange->path = slice_from_text(url);
    *request = exchange;
    struct http_framing framing = {0};
    (void)MHD_get_connection_values_n(connection, MHD_HEADER_KIND, add_to_framing, &framing);
    const char *wrong = http_framing_wrong(&framing, strcmp(version, "HTTP/1.0") == 0);
    if (wrong) return answer_in_doubt(exchange, wrong);
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    const unsigned long long said = length ? strtoull(length, NULL, 10) : 0;
    exchange->body_size_said = said < BODY_SAID_MAX ? (size_t)said : BODY_SAID_MAX; /* room for what is not sent yet */
    if (said > server->body_bytes_max) {
        atomic_store(&exchange->state, EXCHANGE_HANDLING);
        return answer_too_large(exchange);
    }
    return MHD_YES;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_size, void **request) {
    struct http_server *server = context;
    struct http_exchange *exchange = *request;
    if (!exchange) return begin_request(server, connection, url, method, version, request);
    if (exchange->in_doubt) {
        *upload_size = 0;
        return MHD_YES;
    }
    if (*upload_size) {
        if (exchange->too_large || !add_to_body(exchange, upload, *upload_size)) {
            exchange->too_large = true;
            exchange->body_discarded += *upload_size;
            if (exchange->body_discarded > DISCARD_FACTOR * server->body_bytes_max) return MHD_NO;
        }
        *upload_size = 0;
        return MHD_YES;
    }
    if (atomic_load(&exchange->state) == EXCHANGE_READING) {
        atomic_store(&exchange->state, EXCHANGE_HANDLING);
        if (exchange->too_large) return answer_too_large(exchange);
        server->handler(server->context, exchange);
        /* Suspended: this function is called again when the answer has resumed the connection. */
        if (exchange->suspended) return MHD_YES;
        if (atomic_load(&exchange->state) == EXCHANGE_HANDLING)
            http_exchange_answer(exchange, &(struct http_answer){.status = 500,
                                                                 .content_type = "text/plain",
                                                                 .body = SLICE_LIT("the handler gave no answer\n"),
                                                                 .body_static = true});
    }
    return queue_response(exchange);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode code) {
    struct http_exchange *exchange = *request;
    *request = NULL;
    if (exchange) exchange_release(exchange);
}

slice http_exchange_method(const struct http_exchange *exchange) {
    return exchange->method;
}

slice http_exchange_path(const struct http_exchange *exchange) {
    return exchange->path;
}

static slice connection_value(const struct http_exchange *exchange, enum MHD_ValueKind kind, const char *name) {
    const char *value = NULL;
    size_t size = 0;
    if (MHD_lookup_connection_value_n(exchange->connection, kind, name, strlen(name), &value, &size) != MHD_YES ||
        !value)
        return (slice){0};
    return slice_of(value, size);
}

slice http_exchange_header(const struct http_exchange *exchange, const char *name) {
    return connection_value(exchange, MHD_HEADER_KIND, name);
}

slice http_exchange_query(const struct http_exchange *exchange, const char *name) {
    return connection_value(exchange, MHD_GET_ARGUMENT_KIND, name);
}

slice http_exchange_body(const struct http_exchange *exchange) {
    return slice_of(exchange->body, exchange->body_size);
}

slice http_exchange_peer(const struct http_exchange *exchange) {
    struct http_exchange *mutable = (struct http_exchange *)exchange; /* a cache of our own */
    if (!exchange->peer[0]) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        const struct sockaddr *a = info ? info->client_addr : NULL;
        if (a && a->sa_family == AF_INET)
            inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, mutable->peer, sizeof mutable->peer);
        else if (a && a->sa_family == AF_INET6)
            inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, mutable->peer, sizeof mutable->peer);
    }
    return slice_from_text(exchange->peer);
}

struct arena *http_exchange_arena(struct http_exchange *exchange) {
    return exchange->arena;
}

static bool claim(struct http_exchange *exchange, bool *ret_kept) {
    int state = EXCHANGE_HANDLING;
    *ret_kept = false;
    if (atomic_compare_exchange_strong(&exchange->state, &state, EXCHANGE_CLAIMED)) return true;
    state = EXCHANGE_KEPT;
    *ret_kept = true;
    if (atomic_compare_exchange_strong(&exchange->state, &state, EXCHANGE_CLAIMED)) return true;
    exchange_release(exchange); /* answered 503 by http_server_close: only the keeper's share is left */
    return false;
}

static void deliver(struct http_exchange *exchange, struct MHD_Response *response, int status, bool kept) {
    exchange->response = response;
    exchange->status = status;
    atomic_store(&exchange->state, EXCHANGE_ANSWERED);
    if (!kept) return;
    struct http_server *server = exchange->server;
    pthread_mutex_lock(&server->lock);
    if (exchange->previous)
        exchange->previous->next = exchange->next;
    else
        server->kept = exchange->next;
    if (exchange->next) exchange->next->previous = exchange->previous;
    MHD_resume_connection(exchange->connection); /* under the lock: http_server_close goes on only after it */
    pthread_mutex_unlock(&server->lock);
    exchange_release(exchange);
}

static void add_headers(struct MHD_Response *response, const struct http_answer *answer) {
    if (answer->content_type) (void)MHD_add_response_header(response, "Content-Type", answer->content_type);
    for (const char *const *header = answer->headers; header && *header; header++) {
        const char *colon = strchr(*header, ':');
        char name[128];
        if (!colon || !slice_to_text(slice_of(*header, (size_t)(colon - *header)), name, sizeof name)) continue;
        (void)MHD_add_response_header(response, name, colon + 1 + strspn(colon + 1, " "));
    }
}

void http_exchange_answer(struct http_exchange *exchange, const struct http_answer *answer) {
    bool kept;
    if (!claim(exchange, &kept)) return;
    slice body = answer->body;
    enum MHD_ResponseMemoryMode mode = MHD_RESPMEM_PERSISTENT; /* the arena lives until the request is completed */
    if (!answer->body_static && body.size) {
        body = arena_copy(exchange->arena, body);
        if (!body.data) {
            body = answer->body;
            mode = MHD_RESPMEM_MUST_COPY;
        }
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.size, body.size ? (void *)body.data : (void *)"", mode);
    if (response) add_headers(response, answer);
    deliver(exchange, response, answer->status, kept);
}

bool http_exchange_keep(struct http_exchange *exchange) {
    struct http_server *server = exchange->server;
    pthread_mutex_lock(&server->lock);
    const bool closing = server->closing;
    if (!closing) {
        atomic_fetch_add(&exchange->owners, 1); /* the keeper's, let go by its answer */
        exchange->suspended = true;
        MHD_suspend_connection(exchange->connection);
        exchange->previous = NULL;
        exchange->next = server->kept;
        if (exchange->next) exchange->next->previous = exchange;
        server->kept = exchange;
        atomic_store(&exchange->state, EXCHANGE_KEPT);
    }
    pthread_mutex_unlock(&server->lock);
    if (closing)
        http_exchange_answer(exchange, &(struct http_answer){.status = 503,
                                                             .content_type = "text/plain",
                                                             .body = SLICE_LIT("the server is stopping\n"),
                                                             .body_static = true});
    return !closing;
}

static void stream_release(struct http_stream *stream) {
    if (atomic_fetch_sub(&stream->owners, 1) != 1) return;
    pthread_mutex_destroy(&stream->lock);
    free(stream->buffer);
    free(stream);
}

static ssize_t on_stream_read(void *context, uint64_t position, char *buffer, size_t room) {
    struct http_stream *stream = context;
    pthread_mutex_lock(&stream->lock);
    ssize_t result = 0;
    if (stream->used) {
        const size_t size = stream->used < room ? stream->used : room;
        const size_t to_edge = stream->room - stream->start, head = size < to_edge ? size : to_edge;
        memcpy(buffer, stream->buffer + stream->start, head);
        memcpy(buffer + head, stream->buffer, size - head);
        stream->start = (stream->start + size) % stream->room;
        stream->used -= size;
        result = (ssize_t)size;
    } else if (stream->ended) {
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        stream->suspended = true;
        MHD_suspend_connection(stream->connection);
    }
    pthread_mutex_unlock(&stream->lock);
    return result;
}

static void on_stream_done(void *context) {
    struct http_stream *stream = context;
    pthread_mutex_lock(&stream->server->lock);
    if (stream->previous)
        stream->previous->next = stream->next;
    else
        stream->server->streams = stream->next;
    if (stream->next) stream->next->previous = stream->previous;
    pthread_mutex_unlock(&stream->server->lock);
    pthread_mutex_lock(&stream->lock);
    stream->gone = true;
    pthread_mutex_unlock(&stream->lock);
    stream_release(stream);
}

/* Under the stream's lock. */
static void stream_resume(struct http_stream *stream) {
    if (!stream->suspended) return;
    stream->suspended = false;
    MHD_resume_connection(stream->connection);
}

fault_code http_stream_begin(struct http_exchange *exchange, const char *content_type, size_t buffer_bytes_max,
                             struct http_stream **ret_stream, struct fault *reterr) {
    bool kept;
    if (!claim(exchange, &kept)) return fault_set(reterr, FAULT_ABSENT, "begin a stream: the server is stopping");
    struct http_server *server = exchange->server;
    struct http_stream *stream = calloc(1, sizeof *stream);
    uint8_t *buffer = malloc(buffer_bytes_max ? buffer_bytes_max : 1);
    struct MHD_Response *response = stream && buffer
                                        ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES,
                                                                            on_stream_read, stream, on_stream_done)
                                        : NULL;
    if (!response) {
        free(stream);
        free(buffer);
        deliver(exchange, NULL, 500, kept);
        return fault_set(reterr, FAULT_LIMIT, "begin a stream of %zu bytes: no memory", buffer_bytes_max);
    }
    *stream = (struct http_stream){.server = server,
                                   .connection = exchange->connection,
                                   .buffer = buffer,
                                   .room = buffer_bytes_max ? buffer_bytes_max : 1};
    pthread_mutex_init(&stream->lock, NULL);
    atomic_store(&stream->owners, 2);
    const char *const headers[] = {"Cache-Control: no-store", NULL};
    add_headers(response, &(struct http_answer){.content_type = content_type, .headers = headers});
    pthread_mutex_lock(&server->lock);
    stream->ended = server->closing;
    stream->next = server->streams;
    if (stream->next) stream->next->previous = stream;
    server->streams = stream;
    pthread_mutex_unlock(&server->lock);
    deliver(exchange, response, 200, kept);
    *ret_stream = stream;
    return FAULT_NONE;
}

fault_code http_stream_send(struct http_stream *stream, slice piece, struct fault *reterr) {
    pthread_mutex_lock(&stream->lock);
    fault_code code = FAULT_NONE;
    if (stream->gone || stream->ended)
        code = FAULT_ABSENT;
    else if (piece.size > stream->room - stream->used)
        code = FAULT_AGAIN;
    for (size_t done = 0; !code && done < piece.size;) {
        const size_t end = (stream->start + stream->used) % stream->room;
        const size_t size = piece.size - done < stream->room - end ? piece.size - done : stream->room - end;
        memcpy(stream->buffer + end, piece.data + done, size);
        stream->used += size;
        done += size;
    }
    if (!code && piece.size) stream_resume(stream);
    pthread_mutex_unlock(&stream->lock);
    if (code == FAULT_ABSENT) return fault_set(reterr, code, "send to a stream: the peer has left");
    if (code == FAULT_AGAIN)
        return fault_set(reterr, code,
                         "send to a stream: the peer does not read, %zu bytes wait (all the room there is)",
                         stream->room);
    return FAULT_NONE;
}

struct http_stream *http_stream_end(struct http_stream *stream) {
    if (!stream) return NULL;
    pthread_mutex_lock(&stream->lock);
    stream->ended = true;
    if (!stream->gone) stream_resume(stream);
    pthread_mutex_unlock(&stream->lock);
    stream_release(stream);
    return NULL;
}
