/* SPDX-License-Identifier: Apache-2.0
 * How far the clock of an API server is from ours, by the Date of its answers (RFC 9110, 6.6.1: whole seconds, when the
 * answer was made). All times that objects carry are by that clock. Pure; owner: the cluster. */
#ifndef PICKET_COLLECT_KUBE_SKEW_H
#define PICKET_COLLECT_KUBE_SKEW_H

#include <stdbool.h>
#include <stdint.h>

struct kube_skew { /* all zero at first */
    bool known, far;
    int64_t ms; /* theirs minus ours; 0: as far as a Date can tell, the same */
};

/* An answer: its Date (ms since 1970; 0: it has none), our wall clock when its head came, and how long that took from the
 * request on. An answer that took over ten seconds tells nothing. What is known stays as it is while answers agree with it
 * to within their own doubt (half a second, half the way, half a second more), so that it does not tremble. True when it
 * has come to be over 30 s and is to be said; it is said anew only after it was under 20 s. */
bool kube_skew_take(struct kube_skew *skew, int64_t date_ms, int64_t head_wall_ms, int64_t way_ms);

#endif
