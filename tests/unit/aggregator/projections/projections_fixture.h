/* SPDX-License-Identifier: Apache-2.0
 * Read tables in a folder of their own, facts that are put in, and a burn-down that is asked of them. */
#ifndef PICKET_TESTS_PROJECTIONS_FIXTURE_H
#define PICKET_TESTS_PROJECTIONS_FIXTURE_H

#include "aggregator/projections/projections.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "aggregator/projections/burndown.h"
#include "common/codec/codec.h"

enum { T0 = 1800000000 / 3600 * 3600, FACTS_MAX = 4096 };

struct place {
    char folder[64], path[96];
    struct projections *projections;
    struct outbox_consumer consumer;
    struct arena *arena;
    struct fact_view facts[FACTS_MAX];
    size_t facts_count, consumed_count;
    uint64_t newest;
};

static inline uint64_t newest(void *context) {
    return ((struct place *)context)->newest;
}

static inline void open_tables(struct place *place) {
    const struct projections_settings settings = {
        .path = place->path, .readers = 2, .newest_sequence = newest, .newest_context = place};
    struct fault fault;
    if (projections_open(&settings, &place->projections, &fault)) fail_msg("%s", fault.text);
    place->consumer = projections_consumer(place->projections);
}

static inline int set_up(void **state) {
    struct place *place = calloc(1, sizeof *place);
    snprintf(place->folder, sizeof place->folder, "/tmp/projections_test.XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof place->path, "%s/read.db", place->folder);
    place->arena = arena_new(1 << 20, 256 << 20);
    open_tables(place);
    *state = place;
    return 0;
}

static inline void remove_tables(struct place *place) {
    for (const char *const *suffix = (const char *const[]){"", "-wal", "-shm", NULL}; *suffix; suffix++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", place->path, *suffix);
        (void)unlink(path);
    }
}

static inline int tear_down(void **state) {
    struct place *place = *state;
    projections_close(place->projections);
    remove_tables(place);
    rmdir(place->folder);
    arena_free(place->arena);
    free(place);
    return 0;
}

static inline void add_fact(struct place *place, const char *tenant, const char *type, slice id, SreDomainFact *fact) {
    const uint64_t sequence = place->facts_count + 1;
    fact->sequence = sequence;
    slice bytes;
    assert_int_equal(codec_encode_protobuf(&SreDomainFact_desc, fact, place->arena, &bytes, NULL), FAULT_NONE);
    place->facts[place->facts_count++] = (struct fact_view){.sequence = sequence,
                                                            .committed_ms = (int64_t)T0 * 1000,
                                                            .fact_number = (uint32_t)fact->which_fact,
                                                            .tenant = slice_from_text(tenant),
                                                            .aggregate_type = slice_from_text(type),
                                                            .aggregate_id = id,
                                                            .bytes = bytes};
    place->newest = sequence;
}

static inline SLIWindow window_of(const char *slo, const char *agent, int64_t start_s, int64_t good, int64_t total,
                                  int64_t seen, int64_t revision) {
    return (SLIWindow){.slo_id = slice_from_text(slo),
                       .agent = slice_from_text(agent),
                       .has_window_start = true,
                       .window_start = {.seconds = start_s},
                       .window_seconds = 60,
                       .good = good,
                       .total = total,
                       .scrapes_expected = 4,
                       .scrapes_seen = seen,
                       .revision = revision};
}

static inline void add_window(struct place *place, const char *tenant, SLIWindow window, const SLIWindow *replaced) {
    SreDomainFact fact = {.which_fact = SreDomainFact_sli_window_recorded_tag};
    fact.fact.sli_window_recorded.has_window = true;
    fact.fact.sli_window_recorded.window = window;
    if (replaced) {
        fact.fact.sli_window_recorded.has_replaced = true;
        fact.fact.sli_window_recorded.replaced = *replaced;
    }
    add_fact(place, tenant, "slo", window.slo_id, &fact);
}

static inline void settle(struct place *place) {
    struct fault fault;
    if (place->consumer.settle(place->consumer.context, &fault)) fail_msg("%s", fault.text);
}

/* Folded, and not committed. */
static inline void hold_new(struct place *place) {
    struct fault fault;
    if (place->consumer.consume(place->consumer.context, place->facts + place->consumed_count,
                                place->facts_count - place->consumed_count, &fault))
        fail_msg("%s", fault.text);
    place->consumed_count = place->facts_count;
}

static inline void consume_new(struct place *place) {
    hold_new(place);
    settle(place);
}

static const SLO slo = {.slo_id = {(const uint8_t *)"s", 1},
                        .target = 90,
                        .window = SLO_WINDOW_7D,
                        .has_sli_spec = true,
                        .sli_spec = {.window_seconds = 60}};

static inline GetSLOBurndownResponse burndown(struct place *place, const char *tenant, const SLO *of, int64_t from_s,
                                              int64_t to_s, int64_t step_s) {
    const GetSLOBurndownRequest request = {.has_from = true,
                                           .from = {.seconds = from_s},
                                           .has_to = true,
                                           .to = {.seconds = to_s},
                                           .has_step = true,
                                           .step = {.seconds = step_s}};
    GetSLOBurndownResponse response;
    struct fault fault;
    struct sql *reader = projections_take_reader(place->projections);
    if (burndown_query(reader, slice_from_text(tenant), of, &request, (int64_t)(T0 + 90 * 86400) * 1000, place->arena,
                       &response, &fault))
        fail_msg("%s", fault.text);
    projections_give_reader(place->projections, reader);
    return response;
}

#endif
