/* SPDX-License-Identifier: Apache-2.0
 * One resource in one scope: the list, the watch behind it, and what is done when either fails. It calls back as
 * kube_watch.h says, through whoever owns it. Owner: the loop's thread. */
#ifndef PICKET_COLLECT_KUBE_STREAM_H
#define PICKET_COLLECT_KUBE_STREAM_H

#include "agent/collect/kubernetes/kube_cluster_parts.h"

struct kube_stream;

/* calls are copied; scope's texts must outlive the stream. Starts with a list when it is next looked at. NULL: no memory. */
struct kube_stream *kube_stream_new(struct kube_cluster *cluster, const struct kube_scope *scope,
                                    const struct kube_listener_calls *calls) MUST_CHECK;
struct kube_stream *kube_stream_free(struct kube_stream *stream); /* calls nobody back; NULL is fine */

/* Does what is due; when it is due next, INT64_MAX: never. */
int64_t kube_stream_act(struct kube_stream *stream, int64_t now_ms);
/* The list is taken anew. */
void kube_stream_relist(struct kube_stream *stream);

enum kube_watch_state kube_stream_state(const struct kube_stream *stream, int64_t *ret_since_ms, struct fault *ret_why);
const struct kube_scope *kube_stream_scope(const struct kube_stream *stream);
size_t kube_stream_buffer_bytes(const struct kube_stream *stream);

#endif
