/* SPDX-License-Identifier: Apache-2.0
 * A Prometheus server as a source, where its targets cannot be scraped from here. At each slot it is asked, by instant
 * queries at the slot's time, for the raw series that SLIs select, and then which instances it could scrape (`up`):
 *
 *     last_over_time(http_requests_total{job="shop"}[1m])
 *
 * Never for increase() or a ratio: those guess at the edges of their range, hide resets and gaps, and are no integers.
 * The samples go to whoever put the selector into the index, as those of a scrape do. A sample older than `fresh` is not
 * there at all.
 *
 * Each pair of job and instance among the series is a target of its own, so that windows say what was seen of each:
 *   up is 1             seen
 *   up is 0             not seen: the server could not scrape it
 *   no up, others have  gone: nothing more is expected of it (its server or its discovery took it away)
 *   no up, ever         (pushed, or written by rules) seen while it has samples; forgotten after API_FORGET_MS without
 * A round that fails, or in which there is no up of anybody, saw nothing. Owner: the loop's thread. */
#ifndef PICKET_COLLECT_PROMETHEUS_API_H
#define PICKET_COLLECT_PROMETHEUS_API_H

#include "agent/collect/prometheus/scrape.h"
#include "agent/collect/prometheus/target_sink.h"

struct prometheus_api;

enum { API_FORGET_MS = 5 * 60 * 1000, API_QUERIES_MAX = 2000 };

struct prometheus_api_parts {
    struct loop *loop;
    struct http_client *client;
    size_t group;
    const struct target_sink *sink;         /* copied */
    const struct scrape_callbacks *scraped; /* copied; begin and done with the numbers that the sink gave */
    const struct selector_index *index;     /* of the group: each of its selectors is asked for */
    /* Where the tags of a target begin. */
    uint32_t (*tag_base)(void *context, size_t number);
    /* Did the group have a target of this name before the agent's restart, that has not joined yet? */
    bool (*remembers)(void *context, size_t group, slice name);
    void *context;
};

struct prometheus_api_config {
    slice name, url; /* url: the server's root, with a NUL behind; both borrowed */
    int64_t interval_ms, timeout_ms, fresh_ms;
    int64_t settle_ms; /* it is asked so long after the slot, for the slot: what it scraped until then is stored */
    uint64_t body_bytes_max;
    size_t instances_max;
    const struct selector *up; /* borrowed, as are these */
    const struct http_tls *tls;
    const struct http_auth *auth;
};

/* FAULT_LIMIT: more than API_QUERIES_MAX selectors. */
fault_code prometheus_api_new(const struct prometheus_api_parts *parts, const struct prometheus_api_config *config,
                              struct prometheus_api **ret_api, struct fault *reterr) MUST_CHECK;
/* What is in flight is given back by `done` with FAULT_AGAIN. NULL is fine; returns NULL. */
struct prometheus_api *prometheus_api_free(struct prometheus_api *api);
void prometheus_api_start(struct prometheus_api *api);

struct prometheus_api_stats {
    uint64_t rounds, failed, late; /* late: slots that passed while a round was under way */
    uint64_t bytes, samples, histograms;
    size_t instances;
    int64_t last_ms, duration_ms; /* wall time of the end of the last round; 0: none yet */
    struct fault fault;           /* of the last round */
    char warning[160];            /* the last that the server gave */
};
void prometheus_api_stats(const struct prometheus_api *api, struct prometheus_api_stats *ret_stats);

/* The text of a query: `selector` as PromQL, in "last_over_time(...[fresh])". False: it does not fit. */
bool prometheus_api_query(const struct selector *selector, int64_t fresh_ms, char *ret_text,
                          size_t text_bytes) MUST_CHECK;

#endif
