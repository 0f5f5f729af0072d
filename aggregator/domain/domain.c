/* SPDX-License-Identifier: Apache-2.0
 * The two tables, intents.def and facts.def, turned into arrays by the oneof's field numbers. Everything that must
 * hold for any intent (it has a row, the sender may send it, the version is the expected one) is checked here once,
 * before a decider sees it. */
#include "aggregator/domain/domain.h"

#include "aggregator/domain/agent_identity.h"
#include "aggregator/domain/alert.h"
#include "aggregator/domain/correlation.h"
#include "aggregator/domain/diagnostics_run.h"
#include "aggregator/domain/fleet_state.h"
#include "aggregator/domain/health_check.h"
#include "aggregator/domain/incident.h"
#include "aggregator/domain/postmortem.h"
#include "aggregator/domain/runbook.h"
#include "aggregator/domain/runbook_execution.h"
#include "aggregator/domain/service.h"
#include "aggregator/domain/slo.h"
#include "aggregator/domain/slo_state.h"
#include "aggregator/domain/slo_window.h"

#include <assert.h>

enum { ROWS = 128 };

/* The id of an intent that brings none. */
#define ID_GIVEN .creates = false
#define ID_MADE .creates = true
#define ID_DERIVED(function) .derive = function

static const struct intent_row intent_rows[ROWS] = {
#define INTENT(field, aggregate, id_field, id_rule, decider, who)                                                      \
    [SreDomainIntent_##field##                                                                                         \
        _tag] = {.name = #field, .kind = AGGREGATE_##aggregate, .decide = decider, .senders = who, id_rule},
#include "aggregator/domain/intents.def"
#undef INTENT
};

/* One fact may belong to the histories of two kinds: an apply for each. */
static const struct fact_row {
    const char *name;
    apply_fn *apply[AGGREGATE_KINDS_];
} fact_rows[ROWS] = {
#define FACT(field, aggregate, applier)                                                                                \
    [SreDomainFact_##field##_tag] = {.name = #field, .apply = {[AGGREGATE_##aggregate] = applier}},
#define FACT_OF_TWO(field, aggregate, applier, other, other_applier)                                                   \
    [SreDomainFact_##field##                                                                                           \
        _tag] = {.name = #field, .apply = {[AGGREGATE_##aggregate] = applier, [AGGREGATE_##other] = other_applier}},
#include "aggregator/domain/facts.def"
#undef FACT
#undef FACT_OF_TWO
};

static const struct kind_row {
    const char *name;
    index_fn *index;     /* NULL: found by its id alone */
    due_fn *due;         /* NULL: the clock has nothing to say about it */
    due_fn *abandoned;   /* NULL: it outlives a process */
    unheard_fn *unheard; /* NULL: no source says it again */
    size_t version_at;   /* of the message's version in struct aggregate; 0: it is not kept there */
} kind_rows[AGGREGATE_KINDS_] = {
    [AGGREGATE_NONE] = {.name = "none"},
#define KIND(kind, name, index, due, abandoned, unheard, version_at)                                                   \
    [AGGREGATE_##kind] = {name, index, due, abandoned, unheard, version_at},
#define VERSION_IN(field) offsetof(struct aggregate, state.field.version)
#include "aggregator/domain/kinds.def"
#undef KIND
#undef VERSION_IN
};

const char *aggregate_kind_name(enum aggregate_kind kind) {
    return (unsigned)kind < AGGREGATE_KINDS_ ? kind_rows[kind].name : "none";
}

enum aggregate_kind aggregate_kind_find(slice name) {
    for (int kind = AGGREGATE_NONE + 1; kind < AGGREGATE_KINDS_; kind++)
        if (slice_equal_text(name, kind_rows[kind].name)) return (enum aggregate_kind)kind;
    return AGGREGATE_NONE;
}

const struct intent_row *intent_row_find(unsigned which) {
    return which < ROWS && intent_rows[which].name ? &intent_rows[which] : NULL;
}

const char *fact_name(unsigned which) {
    return which < ROWS ? fact_rows[which].name : NULL;
}

void aggregate_index(const struct aggregate *aggregate, struct arena *arena, struct aggregate_index *ret_index) {
    *ret_index = (struct aggregate_index){0};
    if (aggregate_exists(aggregate) && kind_rows[aggregate->kind].index)
        kind_rows[aggregate->kind].index(aggregate, arena, ret_index);
}

bool domain_due(enum aggregate_kind kind, slice id, int64_t due_ms, SreDomainIntent *ret_intent) {
    if ((unsigned)kind >= AGGREGATE_KINDS_ || !kind_rows[kind].due) return false;
    *ret_intent = (SreDomainIntent){0};
    kind_rows[kind].due(id, due_ms, ret_intent);
    return true;
}

bool domain_abandoned(enum aggregate_kind kind, slice id, int64_t due_ms, SreDomainIntent *ret_intent) {
    if ((unsigned)kind >= AGGREGATE_KINDS_ || !kind_rows[kind].abandoned) return false;
    *ret_intent = (SreDomainIntent){0};
    kind_rows[kind].abandoned(id, due_ms, ret_intent);
    return true;
}

bool domain_is_repeated(enum aggregate_kind kind) {
    return (unsigned)kind < AGGREGATE_KINDS_ && kind_rows[kind].unheard;
}

bool domain_unheard(const struct aggregate *aggregate, int64_t due_ms, int64_t now_ms, int64_t *ret_due_ms) {
    return domain_is_repeated(aggregate->kind) && aggregate_exists(aggregate) &&
           kind_rows[aggregate->kind].unheard(aggregate, due_ms, now_ms, ret_due_ms);
}

void aggregate_stamp(struct aggregate *aggregate) {
    const size_t at = kind_rows[aggregate->kind].version_at;
    const int64_t version = (int64_t)aggregate->version;
    if (at) memcpy((uint8_t *)aggregate + at, &version, sizeof version);
}

fault_code domain_find(const struct domain_call *call, enum aggregate_kind kind, slice id,
                       const struct aggregate **ret_aggregate, struct fault *reterr) {
    return call->neighbours->find(call->neighbours->context, kind, id, ret_aggregate, reterr);
}

/* ---- lists of facts ---- */

void fact_list_begin(struct fact_list *list) {
    list->count = 0;
    list->capacity = FACT_LIST_ROOM;
    list->items = list->room;
    list->about = list->about_room;
}

fault_code fact_list_reserve(struct fact_list *list, size_t facts, struct arena *arena, struct fault *reterr) {
    if (facts <= list->capacity) return FAULT_NONE;
    SreDomainFact *items = arena_alloc_array(arena, facts, sizeof *items);
    const struct aggregate **about = arena_alloc_array(arena, facts, sizeof *about);
    if (!items || !about) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide %zu facts in", facts);
    memcpy(items, list->items, list->count * sizeof *items);
    memcpy(about, list->about, list->count * sizeof *about);
    list->items = items;
    list->about = about;
    list->capacity = facts;
    return FAULT_NONE;
}

SreDomainFact *fact_list_add_about(struct fact_list *list, unsigned which, const struct aggregate *about) {
    assert(list->count < list->capacity); /* a decider's own promise */
    SreDomainFact *fact = &list->items[list->count];
    list->about[list->count++] = about;
    memset(fact, 0, sizeof *fact);
    fact->which_fact = which;
    return fact;
}

SreDomainFact *fact_list_add(struct fact_list *list, unsigned which) {
    return fact_list_add_about(list, which, NULL);
}

/* ---- intents ---- */

slice intent_id_given(const SreDomainIntent *intent) {
    switch (intent->which_intent) {
#define INTENT(field, aggregate, id_field, id_rule, decider, who)                                                      \
    case SreDomainIntent_##field##_tag:                                                                                \
        return intent->intent.field.id_field;
#include "aggregator/domain/intents.def"
#undef INTENT
    default: return (slice){0};
    }
}

fault_code intent_aggregate_id(const SreDomainIntent *intent, struct domain_call *call, slice *ret_id,
                               struct fault *reterr) {
    const struct intent_row *row = intent_row_find(intent->which_intent);
    slice id = intent_id_given(intent);
    if (row && row->derive) {
        const fault_code code = row->derive(intent, call->arena, &id, reterr);
        if (code) return code;
    }
    if (id.size == 0 && row && row->creates) {
        char text[UUID_TEXT_SIZE + 1];
        uuid_format(domain_ids_next(call->ids, call->now_ms), text);
        id = arena_copy(call->arena, slice_of(text, UUID_TEXT_SIZE));
        if (!id.data) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
    }
    if (id.size == 0 || id.size > LIMIT_AGGREGATE_ID_BYTES)
        return fault_set(reterr, FAULT_INPUT, "the intent does not say which %s it is about",
                         row ? aggregate_kind_name(row->kind) : "aggregate");
    *ret_id = id;
    return FAULT_NONE;
}

fault_code domain_decide(const struct aggregate *aggregate, const SreDomainIntent *intent, uint64_t expected_version,
                         unsigned sender, struct domain_call *call, struct fact_list *ret_facts, struct fault *reterr) {
    const struct intent_row *row = intent_row_find(intent->which_intent);
    fact_list_begin(ret_facts);
    call->sender = sender;
    if (!row) return fault_set(reterr, FAULT_INPUT, "the message holds no intent that the contract has");
    if (!(row->senders & sender))
        return fault_set(reterr, FAULT_DENIED, "%s: '%.*s' may not send it", row->name, SLICE_ARG(call->actor));
    if (expected_version && aggregate->deleted)
        return fault_set(reterr, FAULT_CONFLICT, "%s: %s '%.*s' was deleted with version %llu, the sender saw %llu",
                         row->name, aggregate_kind_name(row->kind), SLICE_ARG(aggregate->id),
                         (unsigned long long)aggregate->version, (unsigned long long)expected_version);
    if (expected_version && expected_version != aggregate->version)
        return fault_set(reterr, FAULT_CONFLICT, "%s: %s '%.*s' is at version %llu, the sender saw %llu", row->name,
                         aggregate_kind_name(row->kind), SLICE_ARG(aggregate->id),
                         (unsigned long long)aggregate->version, (unsigned long long)expected_version);
    const fault_code code = row->decide(aggregate, intent, call, ret_facts, reterr);
    if (code) ret_facts->count = 0;
    return code;
}

void domain_apply(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena) {
    assert(fact->which_fact < ROWS && fact_rows[fact->which_fact].apply[aggregate->kind]);
    fact_rows[fact->which_fact].apply[aggregate->kind](aggregate, fact, now_ms, arena);
    aggregate->version++;
}

/* ---- ids: xoshiro256** by Blackman and Vigna (2018, public domain), seeded by splitmix64 ---- */

static uint64_t rotate_left(uint64_t word, int bits) {
    return word << bits | word >> (64 - bits);
}

void domain_ids_seed(struct domain_ids *ids, uint64_t seed) {
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15u;
        uint64_t z = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        ids->state[i] = z ^ z >> 31;
    }
}

static uint64_t ids_random(struct domain_ids *ids) {
    uint64_t *s = ids->state;
    const uint64_t result = rotate_left(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

struct uuid domain_ids_next(struct domain_ids *ids, int64_t now_ms) {
    const uint64_t words[2] = {ids_random(ids), ids_random(ids)};
    uint8_t bytes[10];
    memcpy(bytes, words, sizeof bytes);
    return uuid_v7_from(now_ms, bytes);
}
