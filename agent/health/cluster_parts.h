/* SPDX-License-Identifier: Apache-2.0
 * The inside of a cluster_state, for cluster_state.c (what comes in), cluster_tree.c (who belongs to whom),
 * cluster_settle.c (what follows), cluster_report.c (what goes out) and cluster_note.c (what is stored) alone. */
#ifndef PICKET_HEALTH_CLUSTER_PARTS_H
#define PICKET_HEALTH_CLUSTER_PARTS_H

#include "agent/health/cluster_state.h"
#include "agent/health/event_memory.h"
#include "agent/health/object_table.h"

enum { NO_WATCH = UINT16_MAX, CLUSTER_NOTE_NAME_BYTES = 64 };

struct cluster_watch {
    enum kube_kind kind;
    char namespace[64]; /* "" for all */
    enum kube_watch_state state;
    bool ever_fresh;
    char why[200];
};

struct cluster_state {
    struct cluster_state_settings settings;
    char cluster_id[CLUSTER_ID_BYTES + 1];
    struct object_table *objects;
    uint32_t root; /* the cluster itself */
    struct cluster_watch *watches;
    size_t watches_count;
    struct event_memory *events;
    int64_t started_ms, skew_ms;
    bool settled, watch_changed;
    uint32_t next_s;        /* the earliest next_s of all objects */
    uint32_t cursor;        /* where the next gather begins among pods */
    uint32_t note_sequence; /* of the note that was stored last */
    bool noted;             /* by this process */
    char note_name[CLUSTER_NOTE_NAME_BYTES + 1];
    struct cluster_state_stats stats;
};

static inline uint32_t cluster_seconds(int64_t ms) {
    return ms <= 0 ? 0 : ms / 1000 >= UINT32_MAX ? UINT32_MAX - 1 : (uint32_t)(ms / 1000);
}

/* The watch that an object of this kind and namespace hears of; NO_WATCH. */
uint16_t cluster_watch_find(const struct cluster_state *state, enum kube_kind kind, slice namespace);
/* One of the two that say that nobody looks. */
static inline bool cluster_blind_rule(enum cluster_rule rule) {
    return rule == RULE_WATCH_STALE || rule == RULE_WATCH_DENIED;
}
/* Of a watch that is not fresh. */
enum cluster_rule cluster_watch_rule(const struct cluster_watch *watch);
/* "not listed yet", "stale", ... */
const char *cluster_watch_word(const struct cluster_watch *watch);
bool cluster_watch_fresh(const struct cluster_watch *watch);
bool cluster_watched(const struct cluster_state *state, enum kube_kind kind);

/* Judges anew what an object is by itself and by what is below, and carries that up. */
void cluster_settle(struct cluster_state *state, uint32_t number, int64_t now_ms);
void cluster_settle_all(struct cluster_state *state, int64_t now_ms);
/* What it is by those below alone; HEALTH_HEALTHY when there is none. */
enum health_status cluster_below(const struct object *object);
/* Takes it out of its parent's tally. */
void cluster_uncount(struct cluster_state *state, uint32_t number, int64_t now_ms);

/* The object, made as a placeholder when it is not there; 0: no room. */
uint32_t cluster_reach(struct cluster_state *state, enum cluster_kind kind, uint32_t namespace, slice name);
/* Where an object counts: in its controller, made as a placeholder when it is not there, or by its kind. */
uint32_t cluster_parent(struct cluster_state *state, const struct object *object, const KubeMeta *meta);
/* Counts it in this parent from now on, and in its former one no more. */
void cluster_attach(struct cluster_state *state, uint32_t number, uint32_t parent, int64_t now_ms);
/* Lets go of an object that the server does not have: removed when nothing refers to it and nothing is to be told. */
void cluster_release(struct cluster_state *state, uint32_t number, int64_t now_ms);

/* Whether the centre is to hear of objects of this kind, and whether always or only once they were not healthy. */
enum cluster_habit { CLUSTER_NEVER, CLUSTER_WHEN_BAD, CLUSTER_ALWAYS };
enum cluster_habit cluster_habit(const struct cluster_state *state, const struct object *object);

#endif
