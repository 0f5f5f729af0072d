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
    AGGREGATE_KINDS_
};

struct slo_state;

/* One aggregate as it stands. Texts are slices into memory of whoever loaded it, or into the facts applied since. */
struct aggregate {
    enum aggregate_kind kind;
    slice id;
    uint64_t version; /* 0: it does not exist */
    union {
        Incident incident;
        Alert alert;
        HealthCheck health_check;
        struct slo_state *slo; /* large, the caller's: see slo.h */
    } state;
};

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

/* Who may send an intent; bits. */
enum domain_senders { AGENTS = 1, PERSONS = 2, INTEGRATIONS = 4, SELF = 8 };

struct domain_call {
    int64_t now_ms;
    slice tenant, actor; /* actor: agent, person or integration */
    struct domain_ids *ids;
    struct arena *arena;
    int64_t alert_expiry_ms;                /* for a firing alert that brings no expiry */
    const struct sli_window_stored *window; /* for record_sli_window: what is stored for this window */
};

enum { DOMAIN_FACTS_MAX = 4 }; /* facts that one intent can give */
struct fact_list {
    size_t count;
    SreDomainFact items[DOMAIN_FACTS_MAX];
};
/* A zeroed fact of that oneof field (SreDomainFact_slo_created_tag, ...) at the list's end. */
SreDomainFact *fact_list_add(struct fact_list *list, unsigned which);

/* No facts and FAULT_NONE: a repeat, without effect. Otherwise the code says why it is refused: FAULT_INPUT (wrong
 * in itself), FAULT_ABSENT (no such aggregate), FAULT_CONFLICT (the state does not allow it), FAULT_LIMIT. */
typedef fault_code decide_fn(const struct aggregate *aggregate, const SreDomainIntent *intent, struct domain_call *call,
                             struct fact_list *ret_facts, struct fault *reterr);
/* now_ms: when the fact was decided. The arena holds what grows (lists). */
typedef void apply_fn(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena);

struct intent_row {
    const char *name; /* the oneof's field: "create_slo" */
    enum aggregate_kind kind;
    decide_fn *decide; /* NULL: not decided by this version */
    unsigned senders;  /* enum domain_senders */
    bool creates;      /* a missing id is made */
};
/* By SreDomainIntent.which_intent; NULL when the contract has no such intent. */
const struct intent_row *intent_row_find(unsigned which);
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
