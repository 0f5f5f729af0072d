/* SPDX-License-Identifier: Apache-2.0
 * Facts as server-sent events (WHATWG HTML, section 9.2): /events, for one tenant, resumable by Last-Event-ID, which is
 * the fact's sequence. One thread of its own feeds all subscribers, each at its own pace, from the journal. */
#ifndef PICKET_API_EVENTS_H
#define PICKET_API_EVENTS_H

#include "aggregator/api/callers.h"
#include "aggregator/journal/journal.h"
#include "common/net/http_server.h"

struct events;

struct events_settings {
    struct journal *journal;
    struct callers *callers; /* a stream ends when its caller may no longer stay */
    size_t subscribers_max;
    int64_t heartbeat_ms; /* a comment is sent after so long without an event, so that both sides notice a dead peer */
};

/* Before the journal's first command. */
fault_code events_open(const struct events_settings *settings, struct events **ret_events,
                       struct fault *reterr) MUST_CHECK;
/* After the HTTP server has been closed. NULL is fine; returns NULL. */
struct events *events_close(struct events *events);
/* Begins the stream. From Last-Event-ID, else ?after=, else from now on; ?types=a,b: those facts only. FAULT_LIMIT when
 * there are subscribers_max already, FAULT_INPUT for a bad id: not answered then. */
fault_code events_subscribe(struct events *events, struct http_exchange *exchange, const struct token_owner *owner,
                            struct fault *reterr) MUST_CHECK;
size_t events_subscribers(struct events *events);

#endif
