/* SPDX-License-Identifier: Apache-2.0
 * What comes behind a request that ended, and when.
 *
 * A watch that goes on from a version says nothing of a server whose own version is older, as one is that was restored
 * from a backup: depending on its release it refuses (504, 'Too large resource version'), sends bookmarks of its own, or is
 * silent until its version has passed ours, and what happened up to there is never told. So whenever the server may have
 * been another one meanwhile (a watch broke off, ended before its time, or said nothing at all) a list of one object shows
 * where it is before the watch goes on; where it is behind, or versions are no numbers and the watch has been silent twice,
 * all is listed anew. A watch that ends at its time and has said something costs no such request.
 * (https://kubernetes.io/docs/reference/using-api/api-concepts/#unavailable-resource-versions)
 *
 * One that was restored ahead of us needs no such look: a server begins its watch cache with its start and refuses (410) to go
 * on from before that, and etcd raises versions in a restore only together with a compaction (seen with kube-apiserver 1.36).
 *
 * A list is no working watch: what ends a back-off, and what is called fresh after a watch that did not hold, is a watch that
 * held. A server whose lists work and whose watches all end at once (410 behind a cache that lags) is asked less and less
 * often, and what it says is stale.
 *
 * Behind all this, a whole list every few hours (`relist`), in place of a watch's next beginning. */
#include <inttypes.h>

#include "agent/collect/kubernetes/kube_stream_parts.h"
#include "agent/collect/kubernetes/kube_version.h"
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/uuid.h"
#include "common/logging/log.h"

enum {
    BACK_OFF_FIRST_MS = 500,
    BACK_OFF_LAST_MS = 15 * 1000, /* a server that is back is watched within this */
    DENIED_FIRST_MS = 1500,
    DENIED_LAST_MS = 60 * 1000,
    GRACE_MS = 10 * 1000, /* for a retry, before what is known is called stale */
    SILENT_MAX = 2,
    BACKS_MAX = 4, /* versions that go back more often than this in BACKS_MS have another order: looked at no more */
    BACKS_MS = 60 * 60 * 1000,
    SAID_MS = 60 * 1000
};

/* ---- pauses ---- */

int64_t stream_back_off_ms(unsigned failures) {
    uint16_t part;
    random_bytes(&part, sizeof part);
    int64_t most_ms = BACK_OFF_FIRST_MS;
    for (unsigned i = 1; i < failures && most_ms < BACK_OFF_LAST_MS; i++) most_ms *= 2;
    if (most_ms > BACK_OFF_LAST_MS) most_ms = BACK_OFF_LAST_MS;
    return most_ms / 2 + most_ms / 2 * part / UINT16_MAX;
}

void stream_pause(struct kube_stream *stream, const struct fault *fault, int64_t after_ms) {
    struct kube_cluster_stats *stats = &stream->cluster->stats;
    const int64_t pause_ms = stream_back_off_ms(++stream->failures);
    if (after_ms > LIMIT_OUTSIDE_CALL_MS) after_ms = LIMIT_OUTSIDE_CALL_MS;
    stats->requests_failed++;
    stats->last_fault = *fault;
    stream->fault = *fault;
    stream->grace_ms = 0;
    stream->due_ms = clock_monotonic_ms() + (after_ms > pause_ms ? after_ms : pause_ms);
}

/* A right may be given and a resource installed, and a server that starts may not know of either yet. */
int64_t stream_denied_ms(unsigned failures) {
    const unsigned doublings = failures > 7 ? 6 : failures - 1;
    const int64_t most_ms = (int64_t)DENIED_FIRST_MS << doublings;
    return (most_ms < DENIED_LAST_MS ? most_ms : DENIED_LAST_MS) - stream_back_off_ms(1);
}

void stream_failed(struct kube_stream *stream, const struct fault *fault, int64_t after_ms) {
    stream_pause(stream, fault, after_ms);
    if (stream->state == KUBE_WATCH_LISTING) stream_state_set(stream, KUBE_WATCH_LISTING, fault);
}

void stream_watch_broke(struct kube_stream *stream, const struct fault *fault) {
    stream_failed(stream, fault, 0);
    const int64_t stale_ms = stream->cluster->settings.stale_ms;
    stream->grace_ms = stream->due_ms + (stale_ms < GRACE_MS ? stale_ms : GRACE_MS);
}

/* ---- lists and checks ---- */

void stream_list_anew(struct kube_stream *stream) {
    stream->cluster->stats.lists_restarted++;
    stream->next = NEXT_LIST;
    if (!stream->anew) stream->due_ms = clock_monotonic_ms();
    stream->anew = true;
}

void stream_check_next(struct kube_stream *stream) {
    const bool number = kube_version_is_number(slice_of(stream->version, stream->version_size));
    stream->next = number ? NEXT_CHECK : NEXT_WATCH;
    if (stream->silent < SILENT_MAX) return;
    stream->silent = 0;
    stream->next = NEXT_LIST;
    stream->cluster->stats.lists_restarted++;
}

void stream_next_settle(struct kube_stream *stream, int64_t now_ms) {
    const bool goes_on = stream->next == NEXT_WATCH || stream->next == NEXT_CHECK;
    if (!goes_on || stream->relist_ms == 0 || now_ms < stream->relist_ms) return;
    stream->next = NEXT_LIST;
    stream->cluster->stats.relists++;
}

bool stream_goes_back(struct kube_stream *stream, slice version, struct fault *reterr) {
    const slice known = slice_of(stream->version, stream->version_size);
    const int64_t now_ms = clock_monotonic_ms();
    if (!kube_version_is_before(version, known)) return false;
    if (now_ms - stream->back_ms >= BACKS_MS) stream->backs = 0;
    if (stream->backs >= BACKS_MAX) return false;
    stream->back_ms = now_ms;
    stream->backs++;
    fault_set(reterr, FAULT_AGAIN,
              "the API server's version of %s went back from %.*s to %.*s, as by a restore from a backup",
              stream->scope.resource->plural, SLICE_ARG(slice_first(known, 40)), SLICE_ARG(slice_first(version, 40)));
    uint64_t held = 0;
    if (log_limit_pass(&stream->cluster->back_limit, now_ms, SAID_MS, &held))
        LOG_WARN("collect", "versions_went_back", LOG_SLICE("cluster", stream->cluster->settings.cluster_id),
                 LOG_FAULT(reterr), LOG_UINT("repeats", held), LOG_TEXT("instead", "all of it is listed anew"));
    return true;
}
