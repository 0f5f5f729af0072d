/* SPDX-License-Identifier: Apache-2.0
 * The door to libmicrohttpd: an HTTP server with its own threads. A handler gets the whole request (body bounded)
 * and answers at once, or keeps the exchange and answers later from any thread, or streams. */
#ifndef PICKET_NET_HTTP_SERVER_H
#define PICKET_NET_HTTP_SERVER_H

#include "common/base/arena.h"
#include "common/base/fault.h"

struct http_server;
struct http_exchange; /* one request and its answer; belongs to the handler until it is answered */

struct http_server_settings {
    const char *address; /* "127.0.0.1", "::" ... */
    uint16_t port;       /* 0: any free one, see http_server_port */
    unsigned threads;
    unsigned connections_max;
    size_t body_bytes_max;                   /* more is answered 413 */
    int64_t idle_timeout_ms;                 /* of a kept-alive connection */
    const char *certificate_path, *key_path; /* TLS; NULL: plain text */
};

/* Called on one of the server's threads when the whole request is there. It must answer, or keep the exchange and
 * answer later; every exchange is answered exactly once. */
typedef void http_handler_fn(void *context, struct http_exchange *exchange);

fault_code http_server_open(const struct http_server_settings *settings, http_handler_fn *handler, void *context,
                            struct http_server **ret_server, struct fault *reterr) MUST_CHECK;
/* Stops accepting, ends streams, waits for handlers, and up to two seconds for kept exchanges; then these are answered
 * 503. A keeper that answers even later does no harm. */
struct http_server *http_server_close(struct http_server *server);
uint16_t http_server_port(const struct http_server *server);

/* The request; slices are valid until it is answered. */
slice http_exchange_method(const struct http_exchange *exchange);
slice http_exchange_path(const struct http_exchange *exchange);                     /* decoded, without the query */
slice http_exchange_header(const struct http_exchange *exchange, const char *name); /* empty when absent */
slice http_exchange_query(const struct http_exchange *exchange, const char *name);  /* decoded; empty when absent */
slice http_exchange_body(const struct http_exchange *exchange);
slice http_exchange_peer(const struct http_exchange *exchange); /* "127.0.0.1" */
/* For this exchange alone; one per server thread or pooled, so that a steady load allocates nothing. */
struct arena *http_exchange_arena(struct http_exchange *exchange);

struct http_answer {
    int status;
    const char *content_type;
    slice body;                 /* copied, unless body_static */
    bool body_static;           /* lives as long as the server, or lies in the exchange's arena */
    const char *const *headers; /* "Name: value", NULL-terminated; NULL for none */
};
/* Ends the exchange. From the handler, or later from any thread after http_exchange_keep. */
void http_exchange_answer(struct http_exchange *exchange, const struct http_answer *answer);
/* Says, inside the handler, that the answer comes later: the connection is suspended until then. False: the server is
 * stopping and has answered so itself; begin nothing that would need an answer. */
bool http_exchange_keep(struct http_exchange *exchange) MUST_CHECK;

/* A stream (server-sent events): the exchange is answered 200 with no length, and pieces are sent until it is ended
 * or the peer leaves. Pieces are bounded in bytes: FAULT_AGAIN when the peer does not read, FAULT_ABSENT when it
 * has gone; the caller then ends it. Any thread. */
struct http_stream;
fault_code http_stream_begin(struct http_exchange *exchange, const char *content_type, size_t buffer_bytes_max,
                             struct http_stream **ret_stream, struct fault *reterr) MUST_CHECK;
fault_code http_stream_send(struct http_stream *stream, slice piece, struct fault *reterr) MUST_CHECK;
struct http_stream *http_stream_end(struct http_stream *stream);

#endif
