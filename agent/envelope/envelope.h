/* SPDX-License-Identifier: Apache-2.0
 * What was measured, as an encoded SreDomainIntent: the envelope around it says who measured it, where and when.
 * Pure but for the message's id. Any thread. */
#ifndef PICKET_AGENT_ENVELOPE_H
#define PICKET_AGENT_ENVELOPE_H

#include "agent/window/fold.h"
#include "agent/health/health.h"
#include "common/base/arena.h"
#include "sre.pb.h"

enum { TRACEPARENT_TEXT_SIZE = 55 };

struct envelope {
    slice tenant, producer, cluster_id, environment_id;
};

/* A new W3C trace context; what one scrape brought about has one, so that the centre can show it together. */
void envelope_traceparent(char ret_text[TRACEPARENT_TEXT_SIZE + 1]);

/* Gives an intent its head, checks it against the contract and encodes it: what the functions below end with, and those of
 * the other sources of intents. */
fault_code envelope_seal(const struct envelope *envelope, SreDomainIntent *intent, int64_t occurred_ms,
                         const char *traceparent, slice aggregate_type, slice aggregate_id, struct arena *arena,
                         slice *ret_intent, struct fault *reterr) MUST_CHECK;

/* occurred_at is the window's end. In the arena. */
fault_code envelope_window(const struct envelope *envelope, const struct sli_window *window, const char *traceparent,
                           struct arena *arena, slice *ret_intent, struct fault *reterr) MUST_CHECK;

struct envelope_resource {
    slice type, id;
    bool probe;           /* observed by asking, not by a rule over its metrics */
    int64_t heartbeat_ms; /* the observation expires when two of them were missed */
};
/* occurred_at is when it was observed; it expires counted from now_ms. In the arena. */
fault_code envelope_health(const struct envelope *envelope, const struct health_observation *observation,
                           const struct envelope_resource *resource, const char *traceparent, int64_t now_ms,
                           struct arena *arena, slice *ret_intent, struct fault *reterr) MUST_CHECK;

struct envelope_label {
    slice name, value;
};
enum { ENVELOPE_LABELS_MAX = 16 };
struct envelope_alert {
    slice fingerprint; /* with our source (picket) it is the alert's identity; starts_ms tells its firings apart */
    slice name;
    int severity; /* as in the contract's Severity */
    bool firing;
    int64_t starts_ms, observed_ms;
    int64_t ends_ms;    /* of one that does not fire */
    int64_t expires_ms; /* of one that fires */
    struct envelope_label labels[ENVELOPE_LABELS_MAX], annotations[ENVELOPE_LABELS_MAX];
    size_t labels_count, annotations_count;
};
/* occurred_at is observed_ms. In the arena. */
fault_code envelope_alert(const struct envelope *envelope, const struct envelope_alert *alert, const char *traceparent,
                          struct arena *arena, slice *ret_intent, struct fault *reterr) MUST_CHECK;

#endif
