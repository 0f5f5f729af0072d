/* SPDX-License-Identifier: Apache-2.0
 * Asks Prometheus targets on schedule: one slot each interval at the target's own offset (see window/slot.h), at most
 * one scrape in flight per target, samples streamed to the target's selector index while the answer arrives. Whoever
 * takes the samples stages them at `begin` and counts or forgets them at `done`: a scrape that broke off counts
 * nothing. Targets may be added and removed at any time. Owner: the loop's thread. Allocates at scrape_add, and one parser
 * for each answer that is read at the same time as others, kept for the next. */
#ifndef PICKET_COLLECT_SCRAPE_H
#define PICKET_COLLECT_SCRAPE_H

#include "agent/collect/prometheus/selector.h"
#include "common/net/http_client.h"

struct scrape;

struct scrape_target {
    const char *name; /* of the target in the configuration: messages and the offset come from it */
    const char *url;
    int64_t interval_ms;
    int64_t offset_ms;               /* slot_offset_ms(name, interval); the same value goes to the fold */
    int64_t timeout_ms;              /* at most the interval */
    uint64_t body_bytes_max;         /* after decompression */
    const struct http_tls *tls;      /* may be NULL; must live as long as the scrape, as do index and auth */
    const struct http_auth *auth;    /* may be NULL */
    enum exposition_format fallback; /* for an answer of no type or of one that is no exposition; NONE refuses it */
    struct selector_index *index;    /* ready */
    uint32_t tag_base;               /* for selector_index_aim: where its tags begin in an index that it shares */
    size_t number;                   /* of its own: what the callbacks get */
};

struct scrape_result {
    int64_t slot_ms; /* the wall time that it was scheduled for: decides the window */
    int64_t duration_ms;
    uint64_t bytes, samples, selected;
    struct fault fault; /* FAULT_NONE: whole, and well formed where it matters */
};

struct scrape_callbacks {
    /* Before the first sample. False: do not ask at all (the reason is the callee's to say). */
    bool (*begin)(void *context, size_t target, int64_t slot_ms);
    /* Exactly once after each begin that was true, also when scrape_free breaks it off (FAULT_AGAIN then). */
    void (*done)(void *context, size_t target, const struct scrape_result *result);
    void *context;
};

struct scrape_stats {
    uint64_t scrapes, failed, late; /* late: slots that passed while the one before was still in flight */
    uint64_t bytes, samples, selected;
    unsigned in_flight;
};

fault_code scrape_new(struct loop *loop, struct http_client *client, const struct scrape_callbacks *callbacks,
                      struct scrape **ret_scrape, struct fault *reterr) MUST_CHECK;
struct scrape *scrape_free(struct scrape *scrape); /* NULL is fine; returns NULL */
/* Strings are copied. It waits for scrape_start, or has its first slot soon when that was called already. FAULT_INPUT: a
 * setting is out of range; FAULT_CONFLICT: one has this number. */
fault_code scrape_add(struct scrape *scrape, const struct scrape_target *target, struct fault *reterr) MUST_CHECK;
/* What is in flight is given back by `done` with FAULT_AGAIN. Not inside a callback of this target. */
void scrape_remove(struct scrape *scrape, size_t number);
/* Arms every target's next slot. */
void scrape_start(struct scrape *scrape);
void scrape_stats(const struct scrape *scrape, struct scrape_stats *ret_stats);

#endif
