/* SPDX-License-Identifier: Apache-2.0
 * The door to libcurl: HTTP(S) requests that run on an event loop (curl's multi interface), with bodies streamed
 * to the caller as they arrive. Redirects are off, protocols are http and https. Owner: the loop's thread. */
#ifndef PICKET_NET_HTTP_CLIENT_H
#define PICKET_NET_HTTP_CLIENT_H

#include "common/loop/loop.h"

struct http_client;
struct http_call;

/* Where TLS trust comes from and who we are; paths, NULL for none. */
struct http_tls {
    const char *ca_path;          /* NULL: the system's bundle */
    const char *certificate_path; /* client certificate, PEM */
    const char *key_path;
    slice ca, certificate, key; /* PEM in memory, each in place of its path; NUL behind; ca: until done */
    bool insecure;              /* accept any certificate: said aloud in the log by whoever sets it */
};

struct http_auth {
    const char *bearer_token;      /* NULL: none */
    const char *bearer_token_path; /* file, read again at each call (tokens rotate) */
    const char *username, *password;
};

struct http_result {
    int status;               /* HTTP status, 0 when there was none */
    const char *content_type; /* "" when absent; valid during the callback */
    int64_t retry_after_ms;   /* 0: the server did not say */
    uint64_t body_bytes;      /* after decompression */
    int64_t duration_ms;
    int64_t date_ms;    /* the server's clock: its Date header, ms since 1970, whole seconds; 0: none */
    struct fault fault; /* code FAULT_NONE when a whole answer came, whatever its status */
};

struct http_request {
    const char *url;
    const char *method;           /* NULL: GET, or POST when there is a body */
    const char *const *headers;   /* "Name: value", NULL-terminated; may be NULL */
    slice body;                   /* must live until done */
    const struct http_tls *tls;   /* may be NULL; must live until done */
    const struct http_auth *auth; /* may be NULL */
    const char *connect_to;  /* "::10.0.0.1:6443" (curl's form): the URL's host is then only who it must prove to be */
    const char *proxy_url;   /* NULL: none, whatever the environment says */
    int64_t timeout_ms;      /* whole call; 1 to LIMIT_OUTSIDE_CALL_MS */
    uint64_t body_bytes_max; /* of the answer, after decompression; 0: LIMIT_MESSAGE_BYTES */
    bool accept_gzip;
    /* Once, as soon as the head has come and before the first piece of the body: what kind of body comes. false stops
     * the call (done is still called). NULL: not asked. */
    bool (*on_head)(void *context, int status, const char *content_type);
    /* A piece of the answer's body, on the loop's thread; false stops the call (done is still called). NULL: discarded. */
    bool (*on_body)(void *context, slice piece);
    /* Exactly once, unless the call is cancelled. status 0 and a fault when there was no whole answer: FAULT_TIMEOUT,
     * FAULT_LIMIT (body too large), FAULT_INPUT (stopped by on_body, broken compression, not HTTP), FAULT_SYSTEM with
     * what failed (name, connect, TLS with the certificate's reason). */
    void (*on_done)(void *context, const struct http_result *result);
    void *context;
};

fault_code http_client_new(struct loop *loop, unsigned connections_max, struct http_client **ret_client,
                           struct fault *reterr) MUST_CHECK;
struct http_client *http_client_free(struct http_client *client); /* cancels what runs; not inside a callback */
/* The request is copied except where said; connections are kept alive and used again. Calls over connections_max wait
 * for a connection (their timeout runs); FAULT_AGAIN when eight times as many run or wait. ret_call may be NULL.
 * A bearer token file that cannot be read is a fault here. Callbacks may start and cancel calls. */
fault_code http_client_start(struct http_client *client, const struct http_request *request,
                             struct http_call **ret_call, struct fault *reterr) MUST_CHECK;
/* on_done is not called after this. The handle is invalid from on_done on as well. NULL is fine. */
void http_call_cancel(struct http_call *call);

#endif
