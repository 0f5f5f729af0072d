/* SPDX-License-Identifier: Apache-2.0
 * The inside of a measure, for measure.c (at work) and measure_build.c (made from settings) alone. */
#ifndef PICKET_AGENT_MEASURE_BUILD_H
#define PICKET_AGENT_MEASURE_BUILD_H

#include "agent/envelope.h"
#include "agent/measure.h"
#include "common/logging/log.h"

enum { MEASURE_WINDOWS_PER_SEAL = 256, MEASURE_ERROR_BYTES = 200 };

struct measure_source { /* a target or a probe */
    slice name, url;
    struct selector_index *index; /* targets only */
    struct http_tls tls;
    struct http_auth auth;
    int64_t slot_ms;
    char error[MEASURE_ERROR_BYTES];
};

struct measure {
    struct measure_parts parts;
    const struct agent_settings *settings;
    struct arena *config;                        /* lives as long as the measure */
    struct arena *intents;                       /* of one storing */
    char traceparent[TRACEPARENT_TEXT_SIZE + 1]; /* of the answer or the timer that is being handled */
    struct measure_source *sources;
    struct target_report *reports;
    size_t targets_count, probes_count;
    struct sli **slis;
    size_t slis_count;
    struct fold *fold;
    struct health *health;
    struct envelope_resource *resources; /* by health check */
    size_t checks_count;
    struct scrape *scrape;
    struct probe *probe;
    struct loop_timer *seal_timer, *health_timer;
    struct sli_window windows[MEASURE_WINDOWS_PER_SEAL];
    struct queue_item items[MEASURE_WINDOWS_PER_SEAL];
    struct measure_stats stats;
    struct log_limit store_limit, count_limit, checkpoint_limit;
    bool running;
};

/* Makes all that settings and the centre's definitions ask for: sources, SLIs, fold, health, scrapes, probes. The measure
 * has its parts, settings and arenas; after a fault measure_free frees what there is. ret_notes as in measure_new. */
fault_code measure_build(struct measure *measure, const struct remote_definitions *remote,
                         const struct scrape_callbacks *scraped, const struct probe_callbacks *probed, char *ret_notes,
                         size_t notes_bytes, struct fault *reterr) MUST_CHECK;

#endif
