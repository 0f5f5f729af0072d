/* SPDX-License-Identifier: Apache-2.0
 * The server wrote the date somewhere between our request and its answer's head, most likely half-way, and cut it to the
 * second below: so it was half a second later than it says, give or take as much. */
#include "agent/collect/kubernetes/kube_skew.h"

#include <stdlib.h>

enum { SECOND_MS = 1000, WAY_MS_MAX = 10 * 1000, FAR_MS = 30 * 1000, NEAR_MS = 20 * 1000 };

bool kube_skew_take(struct kube_skew *skew, int64_t date_ms, int64_t head_wall_ms, int64_t way_ms) {
    if (date_ms <= 0 || way_ms < 0 || way_ms > WAY_MS_MAX) return false;
    const int64_t seen_ms = date_ms + SECOND_MS / 2 - (head_wall_ms - way_ms / 2);
    const int64_t doubt_ms = SECOND_MS / 2 + way_ms / 2 + SECOND_MS / 2;
    if (llabs(seen_ms - skew->ms) > doubt_ms) skew->ms = llabs(seen_ms) > doubt_ms ? seen_ms : 0;
    skew->known = true;
    const bool was_far = skew->far;
    if (llabs(skew->ms) > FAR_MS) skew->far = true;
    if (llabs(skew->ms) < NEAR_MS) skew->far = false;
    return skew->far && !was_far;
}
