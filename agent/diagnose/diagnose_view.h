/* SPDX-License-Identifier: Apache-2.0
 * What an API server answered, as people read it: events in the order of time, a rollout in one sentence, a table of what
 * is used. Any thread. */
#ifndef PICKET_DIAGNOSE_DIAGNOSE_VIEW_H
#define PICKET_DIAGNOSE_DIAGNOSE_VIEW_H

#include "agent/diagnose/diagnose_kind.h"
#include "agent/diagnose/object_view.h"

enum { DIAGNOSE_EVENTS_MAX = 1000 };

/* The body is a list of events; the newest `limit` of them (0: all), newest last: a line each, or with `json` a JSON list of
 * objects. ret_more: there were others. Messages are masked. */
fault_code diagnose_view_events(struct object_view *view, slice body, size_t limit, bool json, struct text *out,
                                bool *ret_more, struct fault *reterr) MUST_CHECK;
/* The body is a Deployment, StatefulSet or DaemonSet; by the rules of kubectl rollout status. */
fault_code diagnose_view_rollout(const struct diagnose_kind *kind, slice body, struct arena *arena, struct text *out,
                                 struct fault *reterr) MUST_CHECK;
/* The body is of metrics.k8s.io: a list or one, of nodes or of pods (their containers summed). */
fault_code diagnose_view_top(slice body, struct arena *arena, struct text *out, struct fault *reterr) MUST_CHECK;

#endif
