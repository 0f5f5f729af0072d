/* SPDX-License-Identifier: Apache-2.0
 * A journal in a folder of its own, with a clock that stands still and calls that wait for their outcome. Outcomes are
 * copied into the place's arena. Also for the tests of those who stand on the journal. */
#ifndef PICKET_TESTS_JOURNAL_FIXTURE_H
#define PICKET_TESTS_JOURNAL_FIXTURE_H

#include <pthread.h>
#include <unistd.h>

#include "aggregator/domain/slo_state.h"
#include "aggregator/journal/fact_log.h"
#include "aggregator/journal/journal.h"
#include "aggregator/journal/journal_tables.h"
#include "common/codec/codec.h"
#include "tests/support/check.h"

#define JOURNAL_NOW_MS (INT64_C(500000) * 3600 * 1000)
#define JOURNAL_EPOCH "0190a5c0-7e1f-7000-8000-000000000001"

struct place {
    char folder[64];
    struct journal_settings settings;
    struct journal *journal;
    struct arena *arena;
    _Atomic int64_t now_ms; /* the writer reads it whenever it likes */
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool has_answer;
    struct journal_outcome outcome;
    struct journal_batch_outcome batch;
};

static int64_t place_now(void *context) {
    return ((const struct place *)context)->now_ms;
}

static inline void place_open(struct place *place) {
    struct fault fault;
    CHECK_OK(journal_open(&place->settings, &place->journal, &fault));
}

static inline struct place *place_new(void) {
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    snprintf(place->folder, sizeof place->folder, "/tmp/journal_test.XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    place->arena = arena_new(1 << 20, SIZE_MAX / 2);
    place->now_ms = JOURNAL_NOW_MS;
    pthread_mutex_init(&place->lock, NULL);
    pthread_cond_init(&place->answered, NULL);
    place->settings = (struct journal_settings){.path = place->folder,
                                                .map_bytes = 256 << 20,
                                                .sync = KV_SYNC_NONE,
                                                .now_ms = place_now,
                                                .clock_context = place};
    return place;
}

static inline struct place *place_opened(void) {
    struct place *place = place_new();
    place_open(place);
    return place;
}

static inline void place_reopen(struct place *place) {
    place->journal = journal_close(place->journal);
    place_open(place);
}

static inline void place_free(struct place *place) {
    char path[96];
    journal_close(place->journal);
    snprintf(path, sizeof path, "%s/data.mdb", place->folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/lock.mdb", place->folder);
    unlink(path);
    rmdir(place->folder);
    arena_free(place->arena);
    pthread_mutex_destroy(&place->lock);
    pthread_cond_destroy(&place->answered);
    free(place);
}

/* ---- calls that wait ---- */

static inline void place_answer(struct place *place) {
    place->has_answer = true;
    pthread_cond_signal(&place->answered);
    pthread_mutex_unlock(&place->lock);
}

static void place_on_command(void *context, const struct journal_outcome *outcome) {
    struct place *place = context;
    pthread_mutex_lock(&place->lock);
    place->outcome = *outcome;
    place->outcome.aggregate_type = arena_copy(place->arena, outcome->aggregate_type);
    place->outcome.aggregate_id = arena_copy(place->arena, outcome->aggregate_id);
    place->outcome.aggregate = arena_copy(place->arena, outcome->aggregate);
    place_answer(place);
}

static void place_on_batch(void *context, const struct journal_batch_outcome *outcome) {
    struct place *place = context;
    pthread_mutex_lock(&place->lock);
    place->batch = *outcome;
    place->batch.tenant = arena_copy(place->arena, outcome->tenant);
    place->batch.agent = arena_copy(place->arena, outcome->agent);
    place->batch.epoch = arena_copy(place->arena, outcome->epoch);
    place_answer(place);
}

static inline void place_wait(struct place *place) {
    pthread_mutex_lock(&place->lock);
    while (!place->has_answer) pthread_cond_wait(&place->answered, &place->lock);
    place->has_answer = false;
    pthread_mutex_unlock(&place->lock);
}

static inline const struct journal_outcome *place_command(struct place *place, struct journal_command command) {
    struct fault fault;
    command.done = place_on_command;
    command.context = place;
    CHECK_OK(journal_submit(place->journal, &command, &fault));
    place_wait(place);
    if (place->outcome.fault.code) print_message("said: %s\n", place->outcome.fault.text);
    return &place->outcome;
}

/* As a person of the tenant "acme". */
static inline const struct journal_outcome *place_give(struct place *place, slice intent) {
    return place_command(
        place, (struct journal_command){
                   .caller = {.tenant = SLICE_LIT("acme"), .actor = SLICE_LIT("anna"), .role = ROLE_RESPONDER},
                   .intent = intent});
}

static inline const struct journal_batch_outcome *place_payload(struct place *place, slice payload) {
    struct fault fault;
    CHECK_OK(journal_submit_batch(place->journal, SLICE_LIT("acme"), SLICE_LIT("edge-1"), payload, place_on_batch,
                                  place, &fault));
    place_wait(place);
    return &place->batch;
}

/* ---- messages ---- */

static inline slice place_encode(struct place *place, const struct message_desc *desc, const void *message) {
    struct fault fault;
    slice bytes;
    CHECK_OK(codec_encode_protobuf(desc, message, place->arena, &bytes, &fault));
    return bytes;
}

static inline slice place_intent(struct place *place, const SreDomainIntent *intent) {
    return place_encode(place, &SreDomainIntent_desc, intent);
}

static inline SreDomainIntent place_slo_intent(const char *id) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_create_slo_tag};
    CreateSLORequested *create = &intent.intent.create_slo;
    create->slo_id = slice_from_text(id);
    create->name = SLICE_LIT("Checkout answers");
    create->target = 99;
    create->window = SLO_WINDOW_30D;
    create->has_sli_spec = true;
    create->sli_spec.which_kind = SLISpec_counter_ratio_tag;
    create->sli_spec.window_seconds = 60;
    create->sli_spec.kind.counter_ratio.total_selector = SLICE_LIT("http_requests_total");
    create->sli_spec.kind.counter_ratio.bad_selector = SLICE_LIT("http_requests_total{code=~\"5..\"}");
    return intent;
}

static inline SreDomainIntent place_incident_intent(const char *id) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_create_incident_tag};
    intent.intent.create_incident.incident_id = slice_from_text(id);
    intent.intent.create_incident.title = SLICE_LIT("Checkout is down");
    intent.intent.create_incident.severity = SEVERITY_HIGH;
    return intent;
}

/* The window of so many minutes ago: 9 of 10 good. */
static inline SreDomainIntent place_window_intent(const char *slo_id, int64_t minutes_ago, int64_t revision) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_record_sli_window_tag};
    intent.intent.record_sli_window =
        (RecordSLIWindowRequested){.slo_id = slice_from_text(slo_id),
                                   .has_window_start = true,
                                   .window_start = {.seconds = JOURNAL_NOW_MS / 1000 - minutes_ago * 60},
                                   .window_seconds = 60,
                                   .good = 9,
                                   .total = 10,
                                   .scrapes_expected = 4,
                                   .scrapes_seen = 4,
                                   .revision = revision};
    return intent;
}

/* A batch of stream 1 that follows `after` and begins at `first`. */
static inline const struct journal_batch_outcome *place_batch(struct place *place, uint64_t after, uint64_t first,
                                                              const slice *intents, size_t count) {
    const EncodedIntentBatch batch = {.epoch = SLICE_LIT(JOURNAL_EPOCH),
                                      .stream = 1,
                                      .after_sequence = after,
                                      .first_sequence = first,
                                      .intents = {.items = (slice *)(uintptr_t)intents, .count = count}};
    return place_payload(place, place_encode(place, &EncodedIntentBatch_desc, &batch));
}

/* ---- what is there ---- */

static inline SLO place_slo(struct place *place, const char *id) {
    struct fault fault;
    slice bytes;
    SLO slo;
    CHECK_OK(journal_get(place->journal, SLICE_LIT("acme"), SLICE_LIT("slo"), slice_from_text(id), place->arena, &bytes,
                         &fault));
    CHECK_OK(codec_decode_protobuf(&SLO_desc, bytes, place->arena, &slo, &fault));
    return slo;
}

static inline struct fact_view *place_facts(struct place *place, size_t *ret_count) {
    struct fault fault;
    struct fact_view *facts;
    CHECK_OK(journal_facts(place->journal, 0, SIZE_MAX, SIZE_MAX, place->arena, &facts, ret_count, &fault));
    return facts;
}

/* The store of a journal that is closed meanwhile, in a write transaction. */
struct opened_store {
    struct kv *kv;
    struct kv_txn *txn;
    struct journal_tables tables;
};

static inline struct opened_store store_begin(const struct place *place) {
    struct fault fault;
    struct opened_store store;
    const struct kv_settings settings = {.path = place->folder,
                                         .map_bytes = place->settings.map_bytes,
                                         .tables_max = JOURNAL_TABLES_COUNT,
                                         .readers_max = 8};
    CHECK_OK(kv_open(&settings, &store.kv, &fault));
    CHECK_OK(journal_tables_open(store.kv, &store.tables, &fault));
    CHECK_OK(kv_begin_write(store.kv, &store.txn, &fault));
    return store;
}

static inline void store_end(struct opened_store *store) {
    struct fault fault;
    CHECK_OK(kv_commit(store->txn, &fault));
    kv_close(store->kv);
}

/* Closes the journal and follows the chain of hashes on the disk; opens it again. Returns the number of facts. */
static inline uint64_t place_verify_chain(struct place *place) {
    struct fault fault;
    uint64_t facts;
    place->journal = journal_close(place->journal);
    struct opened_store store = store_begin(place);
    CHECK_OK(fact_log_verify(store.tables.facts, store.txn, &facts, &fault));
    store_end(&store);
    place_open(place);
    return facts;
}

/* Each aggregate's versions are 1, 2, 3 ...; the sequence has no gap. What was compacted is a gap in versions that is
 * stated, and no other. */
static inline void place_verify_versions(struct place *place) {
    size_t count;
    const struct fact_view *facts = place_facts(place, &count);
    enum { SLOTS = 1 << 16 };
    struct seen {
        const struct fact_view *last;
    } *seen = calloc(SLOTS, sizeof *seen);
    uint64_t compacted = 0, missed = 0;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(facts[i].first_sequence, i ? facts[i - 1].sequence + 1 : 1);
        if (facts[i].compacted) {
            compacted += facts[i].sequence + 1 - facts[i].first_sequence;
            continue;
        }
        size_t slot = 0;
        for (size_t b = 0; b < facts[i].aggregate_id.size; b++) slot = slot * 31 + facts[i].aggregate_id.data[b];
        for (slot %= SLOTS; seen[slot].last; slot = (slot + 1) % SLOTS)
            if (slice_equal(seen[slot].last->aggregate_id, facts[i].aggregate_id) &&
                slice_equal(seen[slot].last->aggregate_type, facts[i].aggregate_type) &&
                slice_equal(seen[slot].last->tenant, facts[i].tenant))
                break;
        const uint64_t next = seen[slot].last ? seen[slot].last->version + 1 : 1;
        assert_true(facts[i].version >= next);
        missed += facts[i].version - next;
        assert_true(missed <= compacted);
        seen[slot].last = &facts[i];
    }
    free(seen);
}

static inline struct journal_stats place_stats(struct place *place) {
    struct journal_stats stats;
    journal_stats(place->journal, &stats);
    return stats;
}

static inline size_t place_rejections(struct place *place, const char *tenant, struct journal_rejection **ret_items) {
    struct fault fault;
    size_t count;
    CHECK_OK(
        journal_rejections(place->journal, slice_from_text(tenant), 0, 100, place->arena, ret_items, &count, &fault));
    return count;
}

#endif
