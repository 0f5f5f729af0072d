/* SPDX-License-Identifier: Apache-2.0
 * One aggregate, an intent, a clock and ids that repeat: what each test of the domain decides on. */
#ifndef PICKET_TESTS_DOMAIN_FIXTURE_H
#define PICKET_TESTS_DOMAIN_FIXTURE_H

#include "aggregator/domain/slo_state.h"
#include "tests/support/check.h"

#define DOMAIN_NOW_MS (INT64_C(500000) * 3600 * 1000) /* the beginning of an hour, in the year 2027 */

struct world {
    struct aggregate aggregate;
    struct slo_state slo;
    struct arena *arena;
    struct domain_ids ids;
    struct sli_window_stored window;
    struct domain_call call;
    struct fact_list facts;
    struct fault fault;
    SreDomainIntent intent;
    struct domain_neighbours neighbours;
    struct aggregate others[1100]; /* what domain_find finds besides what is not there; world_other makes them */
    size_t others_count;
    slice dependents[4]; /* what is said to point to any aggregate */
    size_t dependents_count;
};

static inline struct aggregate *world_other(struct world *w, enum aggregate_kind kind, slice id) {
    for (size_t i = 0; i < w->others_count; i++)
        if (w->others[i].kind == kind && slice_equal(w->others[i].id, id)) return &w->others[i];
    assert_true(w->others_count < sizeof w->others / sizeof *w->others);
    struct aggregate *other = &w->others[w->others_count++];
    *other = (struct aggregate){.kind = kind, .id = id};
    return other;
}

static inline fault_code world_find(void *context, enum aggregate_kind kind, slice id,
                                    const struct aggregate **ret_aggregate, struct fault *reterr) {
    struct world *w = context;
    *ret_aggregate =
        w->aggregate.kind == kind && slice_equal(w->aggregate.id, id) ? &w->aggregate : world_other(w, kind, id);
    return FAULT_NONE;
}

static inline fault_code world_dependents(void *context, enum aggregate_kind kind, slice id, size_t ids_max,
                                          slice *ret_ids, size_t *ret_count, struct fault *reterr) {
    struct world *w = context;
    *ret_count = w->dependents_count < ids_max ? w->dependents_count : ids_max;
    for (size_t i = 0; i < *ret_count; i++) ret_ids[i] = w->dependents[i];
    return FAULT_NONE;
}

static inline struct world *world_new(enum aggregate_kind kind, slice id) {
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->arena = arena_new(1 << 16, 64 << 20);
    assert_non_null(w->arena);
    domain_ids_seed(&w->ids, 7);
    w->aggregate.kind = kind;
    w->aggregate.id = id;
    if (kind == AGGREGATE_SLO) w->aggregate.state.slo = &w->slo;
    w->call = (struct domain_call){.now_ms = DOMAIN_NOW_MS,
                                   .tenant = SLICE_LIT("acme"),
                                   .actor = SLICE_LIT("anna"),
                                   .ids = &w->ids,
                                   .arena = w->arena,
                                   .alert_expiry_ms = 300000,
                                   .health_expiry_ms = 3600000,
                                   .window = &w->window,
                                   .neighbours = &w->neighbours};
    w->neighbours = (struct domain_neighbours){.find = world_find, .dependents = world_dependents, .context = w};
    return w;
}

static inline void world_free(struct world *w) {
    arena_free(w->arena);
    free(w);
}

/* Decides w->intent at an expected version, and applies what it gave. */
static inline fault_code world_give_at(struct world *w, uint64_t expected_version, unsigned sender) {
    w->fault = (struct fault){0};
    const fault_code code =
        domain_decide(&w->aggregate, &w->intent, expected_version, sender, &w->call, &w->facts, &w->fault);
    if (code) {
        assert_int_equal(w->facts.count, 0);
        assert_int_equal(w->fault.code, code);
        assert_true(w->fault.text[0]); /* each refusal has its sentence */
        return code;
    }
    for (size_t i = 0; i < w->facts.count; i++) {
        struct aggregate *about = w->facts.about[i] ? (struct aggregate *)w->facts.about[i] : &w->aggregate;
        const uint64_t before = about->version;
        char *id = arena_alloc(w->arena, UUID_TEXT_SIZE + 1);
        uuid_format(domain_ids_next(&w->ids, w->call.now_ms), id);
        w->facts.items[i].meta.message_id = slice_of(id, UUID_TEXT_SIZE);
        w->facts.items[i].meta.producer = w->call.actor;
        domain_apply(about, &w->facts.items[i], w->call.now_ms, w->arena);
        assert_int_equal(about->version, before + 1);
    }
    return code;
}

static inline fault_code world_give(struct world *w) {
    return world_give_at(w, 0, SELF);
}

/* A new intent of that oneof field. */
static inline SreDomainIntent *world_intent(struct world *w, unsigned which) {
    w->intent = (SreDomainIntent){.which_intent = which, .has_meta = true};
    w->intent.meta.has_occurred_at = true;
    w->intent.meta.occurred_at = domain_time(w->call.now_ms);
    return &w->intent;
}

#endif
