/* SPDX-License-Identifier: Apache-2.0
 * Between the files of a stream: kube_stream.c (its life, and what is due), kube_stream_read.c (what comes),
 * kube_stream_end.c (how a request ends), kube_stream_next.c (what is done next, and when), kube_stream_state.c (what all of
 * them change). */
#ifndef PICKET_COLLECT_KUBE_STREAM_PARTS_H
#define PICKET_COLLECT_KUBE_STREAM_PARTS_H

#include "agent/collect/kubernetes/kube_split.h"
#include "agent/collect/kubernetes/kube_stream.h"

enum {
    VERSION_BYTES_MAX = 256,
    CONTINUE_BYTES_MAX = 16 * 1024,
    STATUS_BYTES_MAX = 2048,
    SKIPS_SAID_MAX = 16,
    STREAM_SETTLED_MS = 5 * 1000 /* a watch that was held so long works */
};

/* A check is a list of one object, for the version that the server is at: whether it is behind the one that we know, as it
 * is once it was restored from a backup. */
enum next { NEXT_LIST, NEXT_PAGE, NEXT_CHECK, NEXT_WATCH };

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
    int64_t grace_ms;                           /* until then a retry may show that it still is */
    int64_t watched_ms;                         /* a watch worked then; 0: never */
    int64_t relist_ms;                          /* when a list is due whatever happens */
    int64_t asked_s;                            /* of the watch: how long the server shall hold it */
    int64_t back_ms;                            /* when the server's version was last found to have gone back */
    unsigned silent, backs;                     /* watches in a row that said nothing; how often it went back of late */
    unsigned failures, pages;                   /* failures: since a watch held */
    uint8_t round;
    bool metadata_seen;    /* of the page */
    bool told;             /* of the watch: an event or a bookmark came */
    bool bookmarks;        /* the server sends them */
    bool gone_back;        /* of the call: its version is older than ours */
    bool unpaged;          /* tokens expire faster than pages come */
    bool json_only;        /* the server does not want to speak protobuf */
    bool token_tried;      /* 401 came, and credentials were fetched anew */
    bool anew;             /* a list was taken anew since a watch held */
    bool doubted;          /* the last watch did not hold: the next one is fresh once it has */
    bool body_ok, open;    /* of the call: 200 came; and it is a watch */
    bool protobuf, broken; /* of the body; nothing more is read of it */
    struct fault fault;    /* why it is broken */
    int error_code, error_after_s;
    size_t version_size, status_size;
    unsigned skips_said; /* objects passed over that were logged, by the hash of their names */
    uint32_t skipped[SKIPS_SAID_MAX];
    char *continue_token; /* NULL: the last page */
    char version[VERSION_BYTES_MAX + 1];
    uint8_t status[STATUS_BYTES_MAX];
};

void stream_state_set(struct kube_stream *stream, enum kube_watch_state state, const struct fault *why);
/* A watch works now. */
void stream_fresh(struct kube_stream *stream);
/* A new round: whoever keeps objects marks them with it. */
void stream_list_begin(struct kube_stream *stream);
/* Is this the request of a list or page, which takes one of the cluster's few places? */
static inline bool stream_is_listing(const struct kube_stream *stream) {
    return stream->next == NEXT_LIST || stream->next == NEXT_PAGE;
}
/* The server says a version older than the one that we know, more than a server that numbers otherwise is believed. */
bool stream_goes_back(struct kube_stream *stream, slice version, struct fault *reterr);

/* code, or 410 where the status says in whatever way that the version asked for is gone, or newer than any. */
int stream_status_code(const KubeStatus *status, int code);

/* ---- what is next ---- */

/* Tried again, after a pause that grows; not before after_ms. */
void stream_failed(struct kube_stream *stream, const struct fault *fault, int64_t after_ms);
/* As above, without a word on the state. */
void stream_pause(struct kube_stream *stream, const struct fault *fault, int64_t after_ms);
int64_t stream_back_off_ms(unsigned failures);
/* What was denied or absent so often in a row (1 and up) is asked for again after this: a second, up to a minute. */
int64_t stream_denied_ms(unsigned failures);
/* Behind a pause (one of the above): a list is taken anew since the watch cannot go on, at once where a watch has held
 * since the last such list. */
void stream_list_anew(struct kube_stream *stream);
/* The watch goes on where it was, once the server has shown that it is not behind that. */
void stream_check_next(struct kube_stream *stream);
/* The watch broke off, after having been heard last at heard_ms: it is tried again before anything is called stale. */
void stream_watch_broke(struct kube_stream *stream, const struct fault *fault);
/* What was due may have to wait for something that is more so. */
void stream_next_settle(struct kube_stream *stream, int64_t now_ms);
/* Its metadata, and with it the token of the page behind it, may have come already: what of it is missing can only be had
 * by a list from the start. */
void stream_page_lost(struct kube_stream *stream);

/* Of the HTTP client, and of the splitter. */
bool stream_head_came(void *context, int status, const char *content_type);
bool stream_body_came(void *context, slice piece);
void stream_call_done(void *context, const struct http_result *result);
void stream_object_came(void *context, slice type, slice bytes, size_t wire_bytes);
void stream_metadata_came(void *context, slice bytes);
void stream_object_skipped(void *context, slice type, slice head, size_t wire_bytes);

#endif
