/* SPDX-License-Identifier: Apache-2.0
 * Health checks with hysteresis, from probes and from threshold rules over scraped series. Pure: time is an argument.
 * A check begins as unknown, and becomes unknown again when it was not observed in time: it is never green by default.
 * Owner: one thread. */
#ifndef PICKET_HEALTH_HEALTH_H
#define PICKET_HEALTH_HEALTH_H

#include "agent/window/sli.h"
#include "common/base/arena.h"

struct health;

/* Numbers as in the contract's HealthStatus. */
enum health_status { HEALTH_HEALTHY = 1, HEALTH_DEGRADED = 2, HEALTH_UNHEALTHY = 3, HEALTH_UNKNOWN = 4 };

struct health_check {
    slice id;     /* [A-Za-z0-9._-]{1,128}, unique */
    slice target; /* the probe or the scraped target that it observes */
    bool probe;
    int64_t latency_ms_max; /* probe: slower is degraded; 0: none */
    slice selector;         /* rule: every selected series must hold `operator threshold`; no series: unknown */
    enum sli_operator operator;
    double threshold;
    bool degrades;        /* rule: breaking it is degraded rather than unhealthy */
    unsigned rise, fall;  /* observations in a row to become healthy, and to leave it; 1 to 1000 */
    int64_t stale_ms;     /* unknown when nothing was observed for so long */
    int64_t heartbeat_ms; /* an observation at least so often, also without a change */
};

struct health_observation {
    slice id;
    enum health_status status, previous;
    bool changed;        /* false: heartbeat */
    int64_t observed_ms; /* slot of the observation that decided it; for unknown: when it became so */
    int64_t latency_ms;  /* probes; -1 otherwise */
    char message[200];   /* what was seen, for a person */
};

/* Everything is copied. FAULT_INPUT names the check and what is wrong with it. targets: names by the numbers that the
 * calls below use; probes: the same for probes. */
fault_code health_new(const struct health_check *checks, size_t checks_count, const slice *targets,
                      size_t targets_count, const slice *probes, size_t probes_count, int64_t now_ms,
                      struct health **ret_health, struct fault *reterr) MUST_CHECK;
struct health *health_free(struct health *health); /* NULL is fine; returns NULL */
fault_code health_attach(struct health *health, size_t target, struct selector_index *index,
                         struct fault *reterr) MUST_CHECK;

/* A scrape: begin, samples through the index, then end. A failed scrape observes nothing. */
void health_begin(struct health *health, size_t target);
void health_end(struct health *health, size_t target, int64_t slot_ms, bool ok);
/* A probe; asked false observes nothing. why: one sentence when not ok. */
void health_probe(struct health *health, size_t probe, int64_t slot_ms, bool asked, bool ok, int64_t latency_ms,
                  const char *why);

/* Hands out, one call one observation, what changed or is due as a heartbeat; false when there is none. The caller
 * stores it, then calls health_taken with the same; until then it is handed out again. */
bool health_due(struct health *health, int64_t now_ms, struct health_observation *ret_observation, size_t *ret_check);
void health_taken(struct health *health, size_t check, int64_t now_ms);
/* What was reported of all checks, and of this one what is handed out now, as bytes in the arena: to be stored with it. */
fault_code health_note(const struct health *health, size_t check, int64_t now_ms, struct arena *arena, slice *ret_note,
                       struct fault *reterr) MUST_CHECK;
/* Takes what a process before this one reported, of checks that are still there: it is in force, and is not said again, until
 * the check is observed or has not been for stale_ms. FAULT_CORRUPT: nothing was taken. */
fault_code health_restore(struct health *health, slice note, int64_t now_ms, struct fault *reterr) MUST_CHECK;
/* When health_due may have something next if nothing is observed before. */
int64_t health_due_ms(const struct health *health);
enum health_status health_status(const struct health *health, size_t check);

#endif
