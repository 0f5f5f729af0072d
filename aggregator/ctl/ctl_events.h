/* SPDX-License-Identifier: Apache-2.0
 * Server-sent events out of a stream of bytes
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html, section "Interpreting an event stream"):
 * pieces in, whole events out. No allocation after the start. */
#ifndef PICKET_CTL_CTL_EVENTS_H
#define PICKET_CTL_CTL_EVENTS_H

#include "common/base/slice.h"

enum { CTL_EVENT_BYTES_MAX = 2 * 1024 * 1024, CTL_EVENT_ID_BYTES = 64 };

struct ctl_event {
    slice type; /* "message" when it said none */
    slice data; /* lines joined by \n */
    slice id;   /* last id seen; kept over reconnects */
};
/* The slices are valid during the call. */
typedef void ctl_event_fn(void *context, const struct ctl_event *event);

struct ctl_events;
struct ctl_events *ctl_events_new(ctl_event_fn *call, void *context) MUST_CHECK; /* NULL: no memory */
struct ctl_events *ctl_events_free(struct ctl_events *events);
void ctl_events_feed(struct ctl_events *events, slice piece);
/* A new connection: what was half received is forgotten, the last id is not. */
void ctl_events_restart(struct ctl_events *events);
/* For Last-Event-ID; "" before the first. */
const char *ctl_events_last_id(const struct ctl_events *events);
/* Events that were larger than CTL_EVENT_BYTES_MAX and therefore left out. */
uint64_t ctl_events_too_large(const struct ctl_events *events);

#endif
