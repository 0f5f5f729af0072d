/* SPDX-License-Identifier: Apache-2.0
 * Where sources of targets that come and go report to: a discovery in a cluster, a Prometheus that is asked. They know
 * nothing of windows, and whoever measures knows nothing of where a target comes from. Owner: the loop's thread. */
#ifndef PICKET_COLLECT_TARGET_SINK_H
#define PICKET_COLLECT_TARGET_SINK_H

#include "agent/collect/prometheus/exposition.h"
#include "common/net/http_client.h"

struct sink_target {
    slice name;           /* unique in its group, 1 to TARGET_NAME_BYTES: in messages, in the agent's status */
    uint64_t incarnation; /* another one under the same name is another target; not UINT64_MAX */
    const char *url;      /* what is scraped; NULL: the source itself brings its samples */
    int64_t interval_ms;
    int64_t timeout_ms; /* cut to the interval and to the group's longest */
    uint64_t body_bytes_max;
    const struct http_tls *tls;   /* borrowed as long as it is there; may be NULL */
    const struct http_auth *auth; /* the same */
    enum exposition_format fallback;
};
enum { TARGET_NAME_BYTES = 240 };

struct target_sink {
    /* Texts are copied. FAULT_LIMIT: there is no room now; it may be tried again when others are gone. */
    fault_code (*join)(void *context, size_t group, const struct sink_target *target, size_t *ret_number,
                       struct fault *reterr);
    void (*ending)(void *context, size_t number); /* is being deleted: scraped on, and no longer expected */
    void (*leave)(void *context, size_t number);  /* gone; the number means nothing any more */
    /* All that are there have joined, or been refused. And: it is not known who is there. */
    void (*fresh)(void *context, size_t group);
    void (*stale)(void *context, size_t group);
    void *context;
};

#endif
