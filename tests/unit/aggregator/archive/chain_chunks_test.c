/* SPDX-License-Identifier: Apache-2.0
 * A log of several chunks, followed by several threads: whatever they do, the answer is that of the log's order, at the
 * borders of chunks too. */
#include "tests/unit/aggregator/journal/journal_fixture.h"

#include "aggregator/archive/verify.h"
#include "aggregator/journal/fact_range.h"
#include "aggregator/journal/record.h"

enum { BATCH = 4000, BATCHES = 7, SLOS = 7, CHUNK = 8192 }; /* CHUNK: as in chain_check.c */

static struct place *place;
static uint64_t facts;

static int make_journal(void **state) {
    place = place_opened();
    for (int i = 0; i < SLOS; i++) {
        char id[16];
        snprintf(id, sizeof id, "slo-%d", i);
        const SreDomainIntent intent = place_slo_intent(id);
        if (place_give(place, place_intent(place, &intent))->result != JOURNAL_COMMITTED) return -1;
    }
    slice *windows = calloc(BATCH, sizeof *windows);
    for (unsigned batch = 0; batch < BATCHES; batch++) {
        for (unsigned i = 0; i < BATCH; i++) {
            char id[16];
            const unsigned number = batch * BATCH + i;
            snprintf(id, sizeof id, "slo-%u", number % SLOS);
            const SreDomainIntent intent = place_window_intent(id, 10 + number / SLOS, 1);
            windows[i] = place_intent(place, &intent);
        }
        if (place_batch(place, batch * BATCH, batch * BATCH + 1, windows, BATCH)->applied != BATCH) return -1;
    }
    free(windows);
    facts = journal_last_sequence(place->journal);
    place->journal = journal_close(place->journal);
    return facts > 3 * CHUNK ? 0 : -1;
}

static int drop_journal(void **state) {
    place_free(place);
    return 0;
}

static struct finding found_with(unsigned threads, struct chain_end *ret_end) {
    struct fault fault;
    struct verify_result result;
    const struct verify_settings settings = {.path = place->folder, .threads = threads, .quiet = true};
    CHECK_OK(verify_journal(&settings, NULL, &result, &fault));
    if (ret_end) *ret_end = result.end;
    return result.finding;
}

/* The same with any number of threads. */
static struct finding found(void) {
    const struct finding first = found_with(1, NULL);
    for (unsigned threads = 2; threads <= 4; threads++) {
        const struct finding other = found_with(threads, NULL);
        assert_int_equal(other.kind, first.kind);
        assert_int_equal(other.sequence, first.sequence);
        assert_string_equal(other.text, first.text);
    }
    return first;
}

/* ---- changing the log, and putting it back ---- */

static slice record_of(const struct opened_store *c, uint64_t sequence) {
    struct fault fault;
    uint8_t key[8];
    slice record;
    kv_store_u64(key, sequence);
    CHECK_OK(kv_get(c->txn, c->tables.facts, slice_of(key, 8), &record, &fault));
    return arena_copy(place->arena, record);
}

static void put(struct opened_store *c, uint64_t sequence, slice record) {
    struct fault fault;
    uint8_t key[8];
    kv_store_u64(key, sequence);
    if (record.size)
        CHECK_OK(kv_put(c->txn, c->tables.facts, slice_of(key, 8), record, &fault));
    else
        CHECK_OK(kv_delete(c->txn, c->tables.facts, slice_of(key, 8), &fault));
}

/* With the record of `sequence` replaced (empty: without it), what is found; then it is put back. */
static struct finding found_with_record(uint64_t sequence, slice replaced) {
    struct opened_store c = store_begin(place);
    const slice before = record_of(&c, sequence);
    put(&c, sequence, replaced);
    store_end(&c);
    const struct finding finding = found();
    c = store_begin(place);
    put(&c, sequence, before);
    store_end(&c);
    return finding;
}

static slice record_changed(uint64_t sequence, bool sealed) {
    struct opened_store c = store_begin(place);
    const slice record = record_of(&c, sequence);
    store_end(&c);
    uint8_t *bytes = (uint8_t *)(uintptr_t)record.data;
    bytes[record.size - 2] ^= 1;
    if (sealed) record_seal(bytes, record.size, bytes[4]);
    return record;
}

/* ---- tests ---- */

TEST(many_chunks_are_whole_with_any_number_of_threads) {
    struct chain_end ends[4];
    for (unsigned threads = 1; threads <= 4; threads++) {
        assert_int_equal(found_with(threads, &ends[threads - 1]).kind, FINDING_NONE);
        assert_int_equal(ends[threads - 1].facts, facts);
        assert_memory_equal(ends[threads - 1].last_hash, ends[0].last_hash, DIGEST_BYTES);
    }
}

TEST(damage_at_the_borders_of_chunks_is_named_by_its_fact) {
    const uint64_t sequences[] = {1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1, 3 * CHUNK, facts};
    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++) {
        const uint64_t sequence = sequences[i];
        struct finding finding = found_with_record(sequence, record_changed(sequence, false));
        assert_int_equal(finding.kind, FINDING_CHECKSUM);
        assert_int_equal(finding.sequence, sequence);
        if (sequence == facts) continue; /* the last one: nobody follows it, see verify_test.c */
        finding = found_with_record(sequence, record_changed(sequence, true));
        assert_int_equal(finding.kind, FINDING_HASH);
        assert_int_equal(finding.sequence, sequence);
        finding = found_with_record(sequence, (slice){0});
        assert_int_equal(finding.kind, FINDING_GAP);
        assert_int_equal(finding.sequence, sequence);
    }
}

TEST(first_damage_in_the_log_wins_over_later_ones) {
    uint64_t seed = check_seed();
    for (int round = 0; round < 8; round++) {
        const uint64_t sealed = (uint64_t)round % 2;
        /* What was changed and sealed anew is known by the fact behind it alone, so that one stays sound. */
        const uint64_t first = 1 + check_random(&seed) % (facts - 2),
                       second = first + 1 + sealed + check_random(&seed) % (facts - first - sealed);
        const slice later = record_changed(second, false);
        struct opened_store c = store_begin(place);
        const slice before = record_of(&c, second);
        put(&c, second, later);
        store_end(&c);
        const struct finding finding = found_with_record(first, record_changed(first, sealed));
        assert_int_equal(finding.sequence, first);
        c = store_begin(place);
        put(&c, second, before);
        store_end(&c);
    }
}

/* A range that is longer than a chunk, and others beside it; the facts are not put back. */
TEST(ranges_over_the_borders_of_chunks_are_whole) {
    const uint64_t ranges[][2] = {{100, 2 * CHUNK + 5}, {2 * CHUNK + 6, 2 * CHUNK + 6}, {3 * CHUNK, 3 * CHUNK + 1}};
    uint64_t compacted = 0;
    static uint8_t buffer[FACT_RANGE_BYTES_MAX];
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        struct fact_range range = {.first_sequence = ranges[i][0], .last_sequence = ranges[i][1], .counts_count = 1};
        const uint64_t count = range.last_sequence - range.first_sequence + 1;
        range.counts[0] = (struct fact_range_count){SLICE_LIT("acme"), SreDomainFact_sli_window_recorded_tag, count};
        struct opened_store c = store_begin(place);
        memcpy(range.hash_before, fact_log_carried_hash(record_of(&c, range.first_sequence)), DIGEST_BYTES);
        fact_log_hash(record_of(&c, range.last_sequence), range.hash_of_last);
        for (uint64_t sequence = range.first_sequence; sequence < range.last_sequence; sequence++)
            put(&c, sequence, (slice){0});
        put(&c, range.last_sequence, slice_of(buffer, fact_range_write(&range, buffer)));
        store_end(&c);
        compacted += count;
        assert_int_equal(found().kind, FINDING_NONE);
        struct chain_end end;
        (void)found_with(3, &end);
        assert_int_equal(end.compacted, compacted);
        assert_int_equal(end.facts, facts - compacted);
    }
    assert_int_equal(found_with_record(2 * CHUNK + 5, (slice){0}).sequence, 100); /* the range is gone */
    assert_int_equal(found_with_record(2 * CHUNK + 7, record_changed(2 * CHUNK + 7, true)).sequence, 2 * CHUNK + 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_chunks_are_whole_with_any_number_of_threads),
        cmocka_unit_test(damage_at_the_borders_of_chunks_is_named_by_its_fact),
        cmocka_unit_test(first_damage_in_the_log_wins_over_later_ones),
        cmocka_unit_test(ranges_over_the_borders_of_chunks_are_whole),
    };
    return cmocka_run_group_tests(tests, make_journal, drop_journal);
}
