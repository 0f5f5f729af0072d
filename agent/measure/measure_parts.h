/* SPDX-License-Identifier: Apache-2.0
 * The inside of a measure, for measure.c (at work), measure_build.c (made from settings), measure_group.c (targets that come
 * and go) and measure_store.c (what of it is kept) and
 * measure_restore.c (and read back) alone. */
#ifndef PICKET_AGENT_MEASURE_PARTS_H
#define PICKET_AGENT_MEASURE_PARTS_H

#include "agent/envelope/envelope.h"
#include "agent/collect/prometheus/prometheus_api.h"
#include "agent/measure/measure.h"
#include "common/logging/log.h"

enum { MEASURE_WINDOWS_PER_SEAL = 256, MEASURE_ERROR_BYTES = 200 };

struct measure_source { /* a target or a probe */
    slice name, url;
    struct selector_index *index; /* targets only */
    struct http_tls tls;
    struct http_auth auth;
    int64_t slot_ms;
    struct target_report report;
    char error[MEASURE_ERROR_BYTES];
};

/* A discovery or a Prometheus server: targets that come and go. The item in the settings is one of the two. */
struct measure_group {
    slice name;
    const struct discovery_settings *discovery;
    const struct prometheus_api_settings *server;
    int64_t interval_ms, timeout_ms;
    struct selector_index *index; /* shared by its members */
    struct selector *up;          /* of a server, as the rest */
    struct prometheus_api *api;
    struct http_tls tls;
    struct http_auth auth;
    struct target_report report;
    char error[MEASURE_ERROR_BYTES];
    size_t refused; /* since it was fresh the last time */
};

/* One of the numbers behind those of the sources (fold_targets_max). */
struct measure_member {
    struct measure_source source;
    size_t group;
    uint64_t incarnation;
    bool there;
    char name[TARGET_NAME_BYTES];
};

struct measure {
    struct measure_parts parts;
    const struct agent_settings *settings;
    struct arena *config;  /* lives as long as the measure */
    struct arena *intents; /* of one storing */
    /* Of the answer or the timer that is being handled; empty until something of it is to be stored: few answers have that. */
    char traceparent[TRACEPARENT_TEXT_SIZE + 1];
    struct measure_source *sources;
    size_t targets_count, probes_count;
    struct measure_group *groups;
    size_t groups_count;
    struct measure_member *members; /* of all groups; touched only when one comes */
    size_t members_max;
    struct target_report *listing; /* made anew by each measure_targets */
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
    struct log_limit store_limit, count_limit, checkpoint_limit, refused_limit;
    bool running;
};

/* Makes all that settings and the centre's definitions ask for: sources, SLIs, fold, health, scrapes, probes. The measure
 * has its parts, settings and arenas; after a fault measure_free frees what there is. ret_notes as in measure_new. */
fault_code measure_build(struct measure *measure, const struct remote_definitions *remote,
                         const struct scrape_callbacks *scraped, const struct probe_callbacks *probed, char *ret_notes,
                         size_t notes_bytes, struct fault *reterr) MUST_CHECK;

/* In measure_group.c. Those of the settings, before the SLIs: which names they may use. */
fault_code measure_groups_list(struct measure *measure, struct fault *reterr) MUST_CHECK;
/* Behind the fold: indexes, room for members, servers to ask. */
fault_code measure_groups_build(struct measure *measure, const struct scrape_callbacks *scraped,
                                struct fault *reterr) MUST_CHECK;
void measure_groups_start(struct measure *measure);
void measure_groups_stop(struct measure *measure);
void measure_groups_free(struct measure *measure);
/* After a restart, in which anybody may have come or gone. */
void measure_groups_forget(struct measure *measure);
/* All checkpoints of members, into ret_values (members_max); how many. */
size_t measure_groups_checkpoints(struct measure *measure, uint64_t generation, struct arena *arena, slice *ret_values);

const struct target_report *measure_group_report(struct measure_group *group);

/* In measure_source.c. By the fold's number; a member's only while it is there. */
struct measure_source *measure_source_at(struct measure *measure, size_t number);
/* NULL: it is a target or probe of the configuration. */
struct measure_member *measure_member_at(struct measure *measure, size_t number);
enum { MEASURE_KEY_BYTES = 400, MEASURE_KEY_MARK = 1 }; /* the mark is before and between the parts of a member's key */
/* What its checkpoint is stored under; the text is the caller's. */
slice measure_key(struct measure *measure, size_t number, char text[MEASURE_KEY_BYTES]);

/* In measure_store.c. Each says in the log and in the stats what could not be stored, and leaves it to be tried again. */
/* After every count: what the fold knows of this source now survives kill -9. */
void measure_checkpoint(struct measure *measure, size_t number);
/* The whole fold, as it is, without windows. */
void measure_store_fold(struct measure *measure);
/* Looks at the clock; see fold_follow_clock. */
void measure_follow_clock(struct measure *measure);
/* All windows that are over, to the queue. */
void measure_seal(struct measure *measure);
/* What the health checks have to say. */
void measure_flush_health(struct measure *measure);
/* The fold has room for no further window: the oldest records in the queue give way to the newest windows. */
void measure_make_room(struct measure *measure);
/* In measure_restore.c: what the health checks said last. */
void measure_restore_health(struct measure *measure);

#endif
