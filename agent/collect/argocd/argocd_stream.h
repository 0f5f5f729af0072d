/* SPDX-License-Identifier: Apache-2.0
 * Reads what /api/v1/stream/applications says, as it comes: a line a change, bare or as server-sent events ("data: ...",
 * with ":" lines between that only say that the stream lives). One line is in memory at a time, up to a bound; one over it
 * is passed over and told of. Owner: the loop's thread. */
#ifndef PICKET_COLLECT_ARGOCD_STREAM_H
#define PICKET_COLLECT_ARGOCD_STREAM_H

#include "kube_objects.h"

struct argocd_stream;

struct argocd_stream_calls {
    /* type: "ADDED", "MODIFIED", "DELETED"; with all that the application points to, valid during the call. */
    void (*event)(void *context, slice type, const KubeApplication *application);
    /* A line over the bound was passed over: which application it was about is not known. */
    void (*skipped)(void *context, size_t bytes);
    void *context;
};

/* line_bytes_max: 1 KiB to 16 MiB. FAULT_LIMIT: no memory. */
fault_code argocd_stream_new(size_t line_bytes_max, const struct argocd_stream_calls *calls,
                             struct argocd_stream **ret_stream, struct fault *reterr) MUST_CHECK;
struct argocd_stream *argocd_stream_free(struct argocd_stream *stream); /* NULL is fine; returns NULL */
/* A new body. */
void argocd_stream_begin(struct argocd_stream *stream);
/* The next bytes, cut anywhere. FAULT_INPUT: a line that is no change of an application; FAULT_AGAIN: Argo CD said within
 * the stream why it ends; FAULT_LIMIT: no memory, or a line sixteen times over the bound. Nothing more can be fed then. */
fault_code argocd_stream_feed(struct argocd_stream *stream, slice piece, struct fault *reterr) MUST_CHECK;
/* Whether this body is server-sent events, which are never silent for long. */
bool argocd_stream_speaks(const struct argocd_stream *stream);
size_t argocd_stream_buffer_bytes(const struct argocd_stream *stream);

#endif
