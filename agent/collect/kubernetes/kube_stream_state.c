/* SPDX-License-Identifier: Apache-2.0
 * What a stream says of itself, and how a list begins anew. */
#include <stdlib.h>

#include "agent/collect/kubernetes/kube_stream_parts.h"
#include "common/base/clock.h"

void stream_state_set(struct kube_stream *stream, enum kube_watch_state state, const struct fault *why) {
    const struct fault none = {0};
    const bool same = stream->state == state && stream->why.code == (why ? why->code : FAULT_NONE) &&
                      (!why || strcmp(stream->why.text, why->text) == 0);
    stream->state = state;
    stream->why = why ? *why : none;
    if (same || !stream->calls.state) return;
    const int64_t since_ms = state == KUBE_WATCH_FRESH ? clock_monotonic_ms() : stream->heard_ms;
    stream->calls.state(stream->calls.context, &stream->scope, state, since_ms, &stream->why);
}

void stream_fresh(struct kube_stream *stream) {
    stream->watched_ms = clock_monotonic_ms();
    stream->doubted = false;
    stream_state_set(stream, KUBE_WATCH_FRESH, NULL);
}

void stream_list_begin(struct kube_stream *stream) {
    stream->version_size = 0;
    stream->pages = 0;
    free(stream->continue_token);
    stream->continue_token = NULL;
    stream->round = stream->round == UINT8_MAX ? 1 : (uint8_t)(stream->round + 1);
    if (stream->calls.list_begins) stream->calls.list_begins(stream->calls.context, &stream->scope, stream->round);
}

void stream_page_lost(struct kube_stream *stream) {
    if (stream->next == NEXT_PAGE && stream->body_ok) stream->next = NEXT_LIST;
}
