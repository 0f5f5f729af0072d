/* SPDX-License-Identifier: Apache-2.0
 * What may happen and what it changes. decide(state, intent, call) gives facts or refuses with a sentence; it changes
 * nothing. apply(state, fact) changes the state and cannot refuse. Both are pure: time, ids and who asks are
 * arguments, memory comes from the caller's arena, so the same intents in the same order give the same bytes.
 * Any thread; one caller per state. */
#ifndef PICKET_DOMAIN_DOMAIN_H
#define PICKET_DOMAIN_DOMAIN_H

#include "common/base/arena.h"
#include "common/base/fault.h"
#include "common/base/limits.h"
#include "common/base/uuid.h"
#include "sre.pb.h"

/* Stored in keys: numbers are never changed. */
enum aggregate_kind {
    AGGREGATE_NONE = 0,
    AGGREGATE_INCIDENT = 1,
    AGGREGATE_ALERT = 2,
    AGGREGATE_RUNBOOK = 3,
    AGGREGATE_SLO = 4,
    AGGREGATE_HEALTH_CHECK = 5,
    AGGREGATE_FLEET_STATE = 6,
    AGGREGATE_SERVICE = 7,
    AGGREGATE_POSTMORTEM = 8,
    AGGREGATE_RUNBOOK_EXECUTION = 9,
    AGGREGATE_AGENT = 10,
    AGGREGATE_DIAGNOSTICS = 11,
    AGGREGATE_KINDS_
};

struct slo_state;

/* One aggregate as it stands. Texts are slices into memory of whoever loaded it, or into the facts applied since. */
struct aggregate {
    enum aggregate_kind kind;
    slice id;
    uint64_t version; /* 0: it never existed */
    bool deleted;     /* it did; what is made again under its id goes on with the next version */
    union {
        Incident incident;
        Alert alert;
        Runbook runbook;
        RunbookExecution runbook_execution;
        HealthCheck health_check;
        FleetState fleet_state;
        Service service;
        Postmortem postmortem;
        DiagnosticsRun diagnostics_run;
        AgentIdentity agent;
        struct slo_state *slo; /* large, the caller's: see slo.h */
    } state;
};
static inline bool aggregate_exists(const struct aggregate *aggregate) {
    return aggregate->version && !aggregate->deleted;
}

/* Message ids and other ids, repeatable from a seed (xoshiro256**). */
struct domain_ids {
    uint64_t state[4];
};
void domain_ids_seed(struct domain_ids *ids, uint64_t seed);
struct uuid domain_ids_next(struct domain_ids *ids, int64_t now_ms);

/* A window as it is stored before this intent; revision 0: there is none. */
struct sli_window_stored {
    int64_t good, total, scrapes_expected, scrapes_seen, revision;
    int32_t window_seconds;
};

/* A stored window that another one shares moments with. */
struct sli_window_overlap {
    int64_t start_s;
    int32_t window_seconds; /* 0: there is none */
};

/* Who may send an intent; bits. A person is a responder, an approver or an admin. */
enum domain_senders {
    AGENTS = 1,
    RESPONDERS = 2,
    INTEGRATIONS = 4,
    SELF = 8,
    APPROVERS = 16,
    ADMINS = 32,
    PERSONS = RESPONDERS | APPROVERS | ADMINS
};

/* What a decider may ask about other aggregates of its tenant. Answers are lent until the intent is done with; on
 * another fault than a refusal (a damaged record) the decider passes the code on. */
struct domain_neighbours {
    /* Never NULL with FAULT_NONE; version 0 when it does not exist. Not for SLOs. Facts about it: fact_list_add_about. */
    fault_code (*find)(void *context, enum aggregate_kind kind, slice id, const struct aggregate **ret_aggregate,
                       struct fault *reterr);
    /* Ids of at most ids_max aggregates of the same kind that point to it (see aggregate_index). */
    fault_code (*dependents)(void *context, enum aggregate_kind kind, slice id, size_t ids_max, slice *ret_ids,
                             size_t *ret_count, struct fault *reterr);
    void *context;
};

struct domain_call {
    int64_t now_ms;
    slice tenant, actor; /* actor: agent, person or integration */
    unsigned sender;     /* enum domain_senders: what the actor is; domain_decide writes it here for the deciders */
    struct domain_ids *ids;
    struct arena *arena;
    int64_t alert_expiry_ms;                /* for a firing alert that brings no expiry */
    int64_t health_expiry_ms;               /* for a health check or fleet state that brings none */
    const struct sli_window_stored *window; /* for record_sli_window: what is stored for this window */
    struct sli_window_overlap overlap;      /* the same: one of another length, of the same agent and cluster */
    const struct domain_neighbours *neighbours;
};
fault_code domain_find(const struct domain_call *call, enum aggregate_kind kind, slice id,
                       const struct aggregate **ret_aggregate, struct fault *reterr) MUST_CHECK;

/* The facts of one decision, in the order in which they are written and applied. */
enum { FACT_LIST_ROOM = 4 }; /* without fact_list_reserve */
struct fact_list {
    size_t count, capacity;
    SreDomainFact *items;           /* their meta, subject and sequence are filled in by whoever writes them */
    const struct aggregate **about; /* by item: NULL is the intent's own aggregate, else one that domain_find gave */
    SreDomainFact room[FACT_LIST_ROOM];
    const struct aggregate *about_room[FACT_LIST_ROOM];
};
void fact_list_begin(struct fact_list *list);
/* Room for so many facts in all; before more than FACT_LIST_ROOM are added. FAULT_LIMIT: the arena is full. */
fault_code fact_list_reserve(struct fact_list *list, size_t facts, struct arena *arena,
                             struct fault *reterr) MUST_CHECK;
/* A zeroed fact of that oneof field (SreDomainFact_slo_created_tag, ...) at the list's end. */
SreDomainFact *fact_list_add(struct fact_list *list, unsigned which);
/* The same, in the history of another aggregate: one that domain_find gave for this intent. */
SreDomainFact *fact_list_add_about(struct fact_list *list, unsigned which, const struct aggregate *about);

/* No facts and FAULT_NONE: a repeat, without effect. Otherwise the code says why it is refused: FAULT_INPUT (wrong
 * in itself), FAULT_ABSENT (no such aggregate), FAULT_EXISTS (there is one already), FAULT_CONFLICT (the state does not allow
 * it), FAULT_LIMIT. */
typedef fault_code decide_fn(const struct aggregate *aggregate, const SreDomainIntent *intent, struct domain_call *call,
                             struct fact_list *ret_facts, struct fault *reterr);
/* now_ms: when the fact was decided. The arena holds what grows (lists). */
typedef void apply_fn(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena);

/* For rows with ID_DERIVED: the id that follows from what the intent says. */
typedef fault_code derive_fn(const SreDomainIntent *intent, struct arena *arena, slice *ret_id, struct fault *reterr);

struct intent_row {
    const char *name; /* the oneof's field: "create_slo" */
    enum aggregate_kind kind;
    decide_fn *decide;
    unsigned senders;  /* enum domain_senders */
    bool creates;      /* a missing id is made */
    derive_fn *derive; /* NULL: the id is given or made */
};

/* What an aggregate is found by, besides its id; follows from its state alone. */
struct aggregate_index {
    bool open;             /* listed among the open ones of its kind: open incidents, active alerts, ... */
    int64_t open_since_ms; /* newest first in that list */
    int64_t due_ms;        /* when the clock has something to say about it (domain_due); 0: never */
    const slice *links;    /* ids of aggregates of its kind that it points to: those cannot be deleted */
    size_t links_count;    /* in the arena or in the state */
};
void aggregate_index(const struct aggregate *aggregate, struct arena *arena, struct aggregate_index *ret_index);
/* For kinds.def: an existing aggregate; ret_index is zeroed. And the intent for one that is due; zeroed too. */
typedef void index_fn(const struct aggregate *aggregate, struct arena *arena, struct aggregate_index *ret_index);
typedef void due_fn(slice id, int64_t due_ms, SreDomainIntent *ret_intent);
typedef bool unheard_fn(const struct aggregate *aggregate, int64_t due_ms, int64_t now_ms, int64_t *ret_due_ms);
/* The intent, of the aggregator's own, for an aggregate whose due_ms has come. False: that kind is never due. */
bool domain_due(enum aggregate_kind kind, slice id, int64_t due_ms, SreDomainIntent *ret_intent);
/* The same for one that was open when the process that had it in hand ended, and that nobody can end any more. False: that
 * kind outlives a process. */
bool domain_abandoned(enum aggregate_kind kind, slice id, int64_t due_ms, SreDomainIntent *ret_intent);
/* Whether sources say an aggregate of that kind again, for as long as it lasts: domain_unheard may be true of it. */
bool domain_is_repeated(enum aggregate_kind kind);
/* Whether what is due is only that nobody said it again: an alert's expiry that its source did not give. Who could not be
 * reached meanwhile waits with it. *ret_due_ms, when true: what is due nevertheless (the end of its silence), or 0. */
bool domain_unheard(const struct aggregate *aggregate, int64_t due_ms, int64_t now_ms, int64_t *ret_due_ms);
/* Writes aggregate->version into the message in its state; not for SLOs. */
void aggregate_stamp(struct aggregate *aggregate);
/* By SreDomainIntent.which_intent; NULL when the contract has no such intent. */
const struct intent_row *intent_row_find(unsigned which);
/* The id in the intent, as given; empty when it brings none. */
slice intent_id_given(const SreDomainIntent *intent);
/* The id of the aggregate that the intent is about; made or derived where the row says so. Lent by the intent or
 * the arena. FAULT_INPUT when there is none. */
fault_code intent_aggregate_id(const SreDomainIntent *intent, struct domain_call *call, slice *ret_id,
                               struct fault *reterr) MUST_CHECK;

/* "slo_created"; NULL for a fact that this version does not give. */
const char *fact_name(unsigned which);

/* Checks sender and version, decides. expected_version 0: any. */
fault_code domain_decide(const struct aggregate *aggregate, const SreDomainIntent *intent, uint64_t expected_version,
                         unsigned sender, struct domain_call *call, struct fact_list *ret_facts,
                         struct fault *reterr) MUST_CHECK;
/* Applies one fact that domain_decide gave; the aggregate's version goes up by one. */
void domain_apply(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena);

const char *aggregate_kind_name(enum aggregate_kind kind); /* "slo": as in topics and subjects */
enum aggregate_kind aggregate_kind_find(slice name);       /* AGGREGATE_NONE when it is not one */

/* Times of the contract and milliseconds. */
static inline int64_t domain_ms(Timestamp at) {
    return at.seconds * 1000 + at.nanos / 1000000;
}
static inline Timestamp domain_time(int64_t ms) {
    const int64_t rest = (ms % 1000 + 1000) % 1000;
    return (Timestamp){.seconds = (ms - rest) / 1000, .nanos = (int32_t)rest * 1000000};
}

#endif
