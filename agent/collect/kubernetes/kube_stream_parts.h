/* SPDX-License-Identifier: Apache-2.0
 * Between the files of a stream: kube_stream.c (its life, and what is due), kube_stream_read.c (what comes),
 * kube_stream_end.c (how a request ends, and what is next), kube_stream_state.c (what all of them change). */
#ifndef PICKET_COLLECT_KUBE_STREAM_PARTS_H
#define PICKET_COLLECT_KUBE_STREAM_PARTS_H

#include "agent/collect/kubernetes/kube_split.h"
#include "agent/collect/kubernetes/kube_stream.h"

enum { VERSION_BYTES_MAX = 256, CONTINUE_BYTES_MAX = 16 * 1024, STATUS_BYTES_MAX = 2048 };

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
    int64_t made_ms, due_ms, begun_ms, byte_ms; /* monotonic; of the stream, what is next, the call, its last byte */
    int64_t head_ms, head_wall_ms;              /* of the call: monotonic, and by the wall clock */
    int64_t heard_ms;                           /* what is known was current then; 0: never */
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

void stream_state_set(struct kube_stream *stream, enum kube_watch_state state, const struct fault *why);
/* A new round: whoever keeps objects marks them with it. */
void stream_list_begin(struct kube_stream *stream);
/* Tried again, after a pause that grows; not before after_ms. */
void stream_failed(struct kube_stream *stream, const struct fault *fault, int64_t after_ms);
/* Its metadata, and with it the token of the page behind it, may have come already: what of it is missing can only be had
 * by a list from the start. */
void stream_page_lost(struct kube_stream *stream);

/* Of the HTTP client, and of the splitter. */
bool stream_head_came(void *context, int status, const char *content_type);
bool stream_body_came(void *context, slice piece);
void stream_call_done(void *context, const struct http_result *result);
void stream_object_came(void *context, slice type, slice bytes, size_t wire_bytes);
void stream_metadata_came(void *context, slice bytes);
void stream_object_skipped(void *context, size_t wire_bytes);

#endif
