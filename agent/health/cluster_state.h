/* SPDX-License-Identifier: Apache-2.0
 * The health of one cluster: objects, deletions, events and the state of watches come in, due reports go out. What is kept
 * of an object is a record of object_table.h. Pure but for the zones it asks for: time is an argument (milliseconds since
 * 1970). Owner: one thread.
 *
 * Reports are due when a status or its reason changed, and as heartbeats. They are taken in batches: gather, make the
 * report of each, store them together with the note, then commit or abort. Between gather and commit nothing else is
 * called. */
#ifndef PICKET_HEALTH_CLUSTER_STATE_H
#define PICKET_HEALTH_CLUSTER_STATE_H

#include "agent/collect/kubernetes/kube_watch.h"
#include "agent/health/cluster_judge.h"
#include "common/base/arena.h"

struct cluster_state;

enum cluster_report_bits { /* what is reported */
                           CLUSTER_REPORT_CLUSTER = 1,
                           CLUSTER_REPORT_NAMESPACES = 2,
                           CLUSTER_REPORT_NODES = 4,
                           CLUSTER_REPORT_WORKLOADS = 8, /* jobs only once they were not healthy */
                           CLUSTER_REPORT_CLAIMS = 16,
                           CLUSTER_REPORT_PODS = 32, /* once they were not healthy */
                           CLUSTER_REPORT_ALL = 63,
};

struct cluster_state_settings {
    slice cluster_id; /* [A-Za-z0-9._-]{1,128} */
    unsigned report;  /* of the bits above */
    size_t objects_max;
    int64_t recover_ms;     /* better is believed when it held for so long */
    unsigned flap_count;    /* 2 to OBJECT_FLIPS_MAX: so many times worse ... */
    int64_t flap_window_ms; /* ... within this is flapping, until it is calm for as long */
    int64_t heartbeat_ms;
    int64_t settle_ms; /* after the start: nothing is reported before every watch is fresh, or this has passed */
    /* The zone of this name, NULL when there is none; stays valid. */
    const struct zone *(*zone)(void *context, slice name);
    void *context;
};

/* Settings are copied. FAULT_LIMIT: out of memory. */
fault_code cluster_state_new(const struct cluster_state_settings *settings, uint64_t seed, int64_t now_ms,
                             struct cluster_state **ret_state, struct fault *reterr) MUST_CHECK;
struct cluster_state *cluster_state_free(struct cluster_state *state); /* NULL is fine; returns NULL */

/* Before anything else: a kind will be watched in a namespace (empty: in all). FAULT_LIMIT: too many. */
fault_code cluster_state_expect(struct cluster_state *state, enum kube_kind kind, slice namespace,
                                struct fault *reterr) MUST_CHECK;

/* The API server's clock minus ours, by which times of objects are reckoned; also of those that came before it was known. */
void cluster_state_skew(struct cluster_state *state, int64_t skew_ms);

/* As kube_watch calls. Kinds that were not expected, and objects beyond objects_max, are counted and left out. */
void cluster_state_object(struct cluster_state *state, const struct kube_object *object, int64_t now_ms);
void cluster_state_deleted(struct cluster_state *state, const struct kube_object *object, int64_t now_ms);
void cluster_state_list_ends(struct cluster_state *state, enum kube_kind kind, slice namespace, uint8_t round,
                             int64_t now_ms);
void cluster_state_watch(struct cluster_state *state, enum kube_kind kind, slice namespace, enum kube_watch_state watch,
                         const char *why, int64_t now_ms);
/* Every list was there once or was refused, or settle_ms have passed: from now on reports are due. */
bool cluster_state_settled(const struct cluster_state *state);
/* Time has passed: at least once a second. */
void cluster_state_tick(struct cluster_state *state, int64_t now_ms);

struct cluster_condition {
    const char *type;   /* "own", "below", "event", "watch" */
    const char *reason; /* one word */
    enum health_status status;
    int64_t since_ms;
    char message[400];
};
enum { CLUSTER_CONDITIONS_MAX = 4, CLUSTER_ID_BYTES = 128 };
struct cluster_report {
    char id[CLUSTER_ID_BYTES + 1];
    const char *type;                    /* "cluster", "namespace", "node", "deployment" ... */
    slice name, namespace, cluster_id;   /* the state's, until something else is called */
    enum health_status status, previous; /* previous 0: none was reported */
    const char *reason;
    bool changed;         /* false: heartbeat */
    int64_t heartbeat_ms; /* when it comes again without a change; 0: it is the last one (the object is gone) */
    char message[400];
    struct cluster_condition conditions[CLUSTER_CONDITIONS_MAX];
    size_t conditions_count;
};

enum { CLUSTER_BATCH_MAX = 64 };
struct cluster_batch {
    size_t count;
    uint32_t numbers[CLUSTER_BATCH_MAX];
    struct {
        uint32_t sent_s;
        uint8_t status, own;
        bool changed, kept;
    } before[CLUSTER_BATCH_MAX];
    bool changed; /* the note must be stored with it */
};

/* Takes at most `max` due ones: clusters, nodes, namespaces and workloads before pods. */
void cluster_state_gather(struct cluster_state *state, size_t max, int64_t now_ms, struct cluster_batch *ret_batch);
void cluster_state_report(const struct cluster_state *state, const struct cluster_batch *batch, size_t index,
                          int64_t now_ms, struct cluster_report *ret_report);
/* What is to be stored with the batch; name: at most 64 bytes, the state's. */
fault_code cluster_state_note(struct cluster_state *state, const struct cluster_batch *batch, struct arena *arena,
                              const char **ret_name, slice *ret_note, struct fault *reterr) MUST_CHECK;
void cluster_state_commit(struct cluster_state *state, const struct cluster_batch *batch, int64_t now_ms);
void cluster_state_abort(struct cluster_state *state, const struct cluster_batch *batch);

/* What a process before this one reported. Notes by number, their names by cluster_state_note_name, each one or empty: it is
 * not there. FAULT_CORRUPT: some could not be read, the others were. */
enum { CLUSTER_NOTES = 64 };
const char *cluster_state_note_name(struct cluster_state *state, unsigned number);
fault_code cluster_state_load(struct cluster_state *state, const slice notes[CLUSTER_NOTES], int64_t now_ms,
                              struct fault *reterr) MUST_CHECK;

struct event_memory *cluster_state_events(struct cluster_state *state);

struct cluster_state_stats {
    size_t objects[CLUSTER_KINDS_];
    size_t statuses[HEALTH_UNKNOWN + 1]; /* of what is reported, by the status it has */
    size_t watches, watches_fresh;       /* but for those of events: they decide nothing */
    bool settled;
    uint64_t changes, reports, objects_refused, flaps;
    size_t due; /* were due at the last gather and did not fit */
    size_t memory_bytes;
    char watch_fault[240]; /* of a watch that is not fresh: which, and why */
};
void cluster_state_stats(const struct cluster_state *state, struct cluster_state_stats *ret_stats);

/* The status in force, for tests and pages; 0: no such object. */
enum health_status cluster_state_status(const struct cluster_state *state, enum cluster_kind kind, slice namespace,
                                        slice name, const char **ret_reason);

#endif
