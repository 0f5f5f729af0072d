/* SPDX-License-Identifier: Apache-2.0
 * Compaction on a bare log: what goes, what stays, that the chain holds over it, whatever is aborted in between. */
#include "aggregator/journal/compaction.h"

#include <unistd.h>

#include "aggregator/journal/aggregate_table.h"
#include "aggregator/journal/fact_log.h"
#include "aggregator/journal/names.h"
#include "aggregator/journal/record.h"
#include "tests/support/check.h"

enum {
    WINDOW = SreDomainFact_sli_window_recorded_tag,
    HEALTH = SreDomainFact_health_check_recorded_tag,
    INCIDENT = SreDomainFact_incident_created_tag,
    SECOND = 1000,
    FACTS_MAX = 3000,
    TENANTS = 4,
};
#define FIRST_MS INT64_C(1700000000000)
#define ALL UINT64_MAX

static const char *const tenants[TENANTS] = {"acme", "beta", "gamma", "delta"};

struct written {
    uint32_t number;
    int tenant;
    int64_t committed_ms;
};

struct log {
    char folder[64];
    struct kv *kv;
    struct kv_txn *txn;
    struct journal_tables tables;
    struct fact_log facts;
    struct compaction *compaction;
    int64_t keep_ms[COMPACTABLES_];
    struct written written[FACTS_MAX + 1]; /* by sequence */
    struct arena *arena;
};

static void begin(struct log *log) {
    struct fault fault;
    CHECK_OK(kv_begin_write(log->kv, &log->txn, &fault));
}

static void commit(struct log *log) {
    struct fault fault;
    CHECK_OK(kv_commit(log->txn, &fault));
}

static void compaction_anew(struct log *log) {
    struct fault fault;
    compaction_free(log->compaction);
    begin(log);
    CHECK_OK(compaction_new(&log->tables, log->keep_ms, log->txn, &log->compaction, &fault));
    kv_abort(log->txn);
}

static struct log *log_new(int64_t windows_ms, int64_t checks_ms) {
    struct log *log = calloc(1, sizeof *log);
    struct fault fault;
    snprintf(log->folder, sizeof log->folder, "/tmp/compaction_test.XXXXXX");
    assert_non_null(mkdtemp(log->folder));
    const struct kv_settings settings = {.path = log->folder,
                                         .map_bytes = 64 << 20,
                                         .tables_max = JOURNAL_TABLES_COUNT,
                                         .readers_max = 4,
                                         .sync = KV_SYNC_NONE};
    CHECK_OK(kv_open(&settings, &log->kv, &fault));
    CHECK_OK(journal_tables_open(log->kv, &log->tables, &fault));
    log->arena = arena_new(1 << 16, 64 << 20);
    begin(log);
    CHECK_OK(fact_log_init(&log->facts, log->tables.facts, log->txn, &fault));
    commit(log);
    log->keep_ms[COMPACTABLE_SLI_WINDOWS] = windows_ms;
    log->keep_ms[COMPACTABLE_HEALTH_CHECKS] = checks_ms;
    compaction_anew(log);
    return log;
}

static void log_free(struct log *log) {
    char path[96];
    compaction_free(log->compaction);
    fact_log_done(&log->facts);
    kv_close(log->kv);
    snprintf(path, sizeof path, "%s/data.mdb", log->folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/lock.mdb", log->folder);
    unlink(path);
    rmdir(log->folder);
    arena_free(log->arena);
    free(log);
}

/* observed_ms: of a health check. */
static void add_health(struct log *log, int tenant, const char *id, int64_t committed_ms, int64_t observed_ms,
                       bool late) {
    struct fault fault;
    SreDomainFact fact = {.sequence = log->facts.last_sequence + 1, .has_meta = true, .has_subject = true};
    fact.meta.message_id = SLICE_LIT("0190a5c0-7e1f-7000-8000-000000000001");
    fact.meta.tenant_id = slice_from_text(tenants[tenant]);
    fact.subject.aggregate_type = SLICE_LIT("health_check");
    fact.subject.aggregate_id = slice_from_text(id);
    fact.which_fact = HEALTH;
    fact.fact.health_check_recorded.late = late;
    fact.fact.health_check_recorded.has_health_check = true;
    fact.fact.health_check_recorded.health_check.has_timestamp = true;
    fact.fact.health_check_recorded.health_check.timestamp = domain_time(observed_ms);
    CHECK_OK(fact_log_append(&log->facts, log->txn, committed_ms, &fact, &fault));
    log->written[fact.sequence] = (struct written){HEALTH, tenant, committed_ms};
}

static void add(struct log *log, uint32_t number, int tenant, int64_t committed_ms) {
    struct fault fault;
    char id[16];
    snprintf(id, sizeof id, "a-%llu", (unsigned long long)log->facts.last_sequence % 7);
    if (number == HEALTH) {
        add_health(log, tenant, id, committed_ms, 0, false);
        return;
    }
    SreDomainFact fact = {.sequence = log->facts.last_sequence + 1,
                          .which_fact = (pb_size_t)number,
                          .has_meta = true,
                          .has_subject = true};
    fact.meta.message_id = SLICE_LIT("0190a5c0-7e1f-7000-8000-000000000001");
    fact.meta.tenant_id = slice_from_text(tenants[tenant]);
    fact.subject.aggregate_type = number == WINDOW ? SLICE_LIT("slo") : SLICE_LIT("incident");
    fact.subject.aggregate_id = slice_from_text(id);
    CHECK_OK(fact_log_append(&log->facts, log->txn, committed_ms, &fact, &fault));
    log->written[fact.sequence] = (struct written){number, tenant, committed_ms};
}

/* The state of a health check, as of that observation. */
static void health_state(struct log *log, int tenant, const char *id, int64_t observed_ms) {
    struct fault fault;
    uint32_t number;
    static uint8_t buffer[AGGREGATE_BYTES_MAX];
    struct names *names = names_new(log->tables.names);
    const HealthCheck state = {.has_timestamp = true, .timestamp = domain_time(observed_ms)};
    CHECK_OK(names_number(names, log->txn, NAMES_TENANT, 0, slice_from_text(tenants[tenant]), &number, &fault));
    CHECK_OK(aggregate_put(log->tables.aggregates, log->txn, number, AGGREGATE_HEALTH_CHECK, slice_from_text(id), 1,
                           &state, buffer, NULL, &fault));
    names_free(names);
}

static struct compaction_slice compact(struct log *log, int64_t now_ms, uint64_t last_allowed, size_t facts_max,
                                       bool crash) {
    struct fault fault;
    struct compaction_slice done;
    begin(log);
    CHECK_OK(compaction_run(log->compaction, log->txn, now_ms, last_allowed, facts_max, &done, &fault));
    if (crash || !done.changed)
        kv_abort(log->txn);
    else
        commit(log);
    compaction_end(log->compaction, !crash);
    assert_true(done.facts <= facts_max);
    return done;
}

struct found {
    uint64_t ranges, compacted, records;
};

/* Every sequence is there once, as what was written, or counted in a range that may count it. */
static struct found check(struct log *log) {
    struct fault fault;
    struct kv_txn *txn;
    struct kv_cursor *cursor;
    struct found found = {0};
    struct fact_chain chain = {0};
    struct fact_range *range = malloc(sizeof *range);
    slice key, record;
    CHECK_OK(kv_begin_read(log->kv, &txn, &fault));
    CHECK_OK(kv_cursor_open(txn, log->tables.facts, &cursor, &fault));
    for (fault_code code = kv_cursor_seek(cursor, (slice){0}, &key, &record, &fault); !code;
         code = kv_cursor_next(cursor, &key, &record, &fault)) {
        struct fact_view fact;
        CHECK_OK(fact_chain_follow(&chain, key, record, &fact, &fault));
        found.records++;
        if (!fact.compacted) {
            assert_int_equal(fact.fact_number, log->written[fact.sequence].number);
            assert_int_equal(fact.committed_ms, log->written[fact.sequence].committed_ms);
            CHECK_SLICE(fact.tenant, tenants[log->written[fact.sequence].tenant]);
            continue;
        }
        CHECK_OK(fact_range_open(fact.sequence, record, range, &fault));
        assert_int_equal(range->first_ms, log->written[range->first_sequence].committed_ms);
        assert_int_equal(range->last_ms, log->written[range->last_sequence].committed_ms);
        uint64_t counted[TENANTS] = {0};
        for (uint64_t at = range->first_sequence; at <= range->last_sequence; at++) {
            assert_true(compactable_is(log->written[at].number));
            counted[log->written[at].tenant]++;
        }
        for (int i = 0; i < TENANTS; i++)
            assert_int_equal(fact_range_facts_of(range, slice_from_text(tenants[i])), counted[i]);
    }
    assert_int_equal(chain.sequence, log->facts.last_sequence);
    assert_memory_equal(chain.hash, log->facts.last_hash, DIGEST_BYTES);
    found.ranges = chain.ranges;
    found.compacted = chain.compacted;
    kv_cursor_close(cursor);
    kv_abort(txn);
    free(range);
    return found;
}

TEST(old_windows_become_one_range_and_the_chain_holds) {
    struct log *log = log_new(60 * SECOND, 0);
    begin(log);
    add(log, INCIDENT, 0, FIRST_MS);
    for (int i = 0; i < 100; i++) add(log, WINDOW, i % 2, FIRST_MS + i * SECOND);
    add(log, INCIDENT, 0, FIRST_MS + 100 * SECOND);
    commit(log);
    assert_int_equal(compact(log, FIRST_MS + 50 * SECOND, ALL, 1000, false).facts, 0); /* none is old enough */
    assert_int_equal(compact(log, FIRST_MS + 100 * SECOND, ALL, 1000, false).facts, 41);
    struct found found = check(log);
    assert_int_equal(found.ranges, 1);
    assert_int_equal(found.compacted, 41);
    assert_int_equal(compact(log, FIRST_MS + 1000 * SECOND, ALL, 1000, false).facts, 59);
    found = check(log);
    assert_int_equal(found.ranges, 1); /* it grew */
    assert_int_equal(found.records, 3);
    log_free(log);
}

TEST(slices_are_bounded_and_neighbours_merge) {
    struct log *log = log_new(SECOND, SECOND);
    begin(log);
    for (int i = 0; i < 200; i++) add(log, i % 10 ? WINDOW : HEALTH, 0, FIRST_MS);
    add(log, INCIDENT, 0, FIRST_MS);
    health_state(log, 0, "other", 1);
    commit(log);
    for (int i = 0; i < 6; i++) {
        const struct compaction_slice done = compact(log, FIRST_MS + 10 * SECOND, ALL, 30, false);
        assert_int_equal(done.facts, 30);
        assert_true(done.more);
        check(log);
    }
    while (compact(log, FIRST_MS + 10 * SECOND, ALL, 30, false).more) check(log);
    const struct found found = check(log);
    assert_int_equal(found.compacted, 180); /* checks whose state is not known stay */
    log_free(log);
}

TEST(ranges_of_both_kinds_grow_together) {
    struct log *log = log_new(SECOND, SECOND);
    begin(log);
    for (int i = 0; i < 200; i++) {
        if (i % 10)
            add(log, WINDOW, i % 3, FIRST_MS);
        else
            add_health(log, i % 3, "pod", FIRST_MS, 5, false);
    }
    for (int i = 0; i < 3; i++) health_state(log, i, "pod", 6); /* observed again since */
    add(log, INCIDENT, 0, FIRST_MS);
    commit(log);
    for (int i = 0; i < 100 && compact(log, FIRST_MS + 10 * SECOND, ALL, 7, false).more; i++) check(log);
    const struct found found = check(log);
    assert_int_equal(found.ranges, 1);
    assert_int_equal(found.records, 2);
    assert_int_equal(found.compacted, 200);
    log_free(log);
}

TEST(nothing_goes_that_a_consumer_has_not_taken) {
    struct log *log = log_new(SECOND, 0);
    begin(log);
    for (int i = 0; i < 100; i++) add(log, WINDOW, 0, FIRST_MS);
    commit(log);
    assert_int_equal(compact(log, FIRST_MS + 10 * SECOND, 0, 1000, false).facts, 0);
    assert_int_equal(compact(log, FIRST_MS + 10 * SECOND, 37, 1000, false).facts, 37);
    assert_int_equal(compact(log, FIRST_MS + 10 * SECOND, 37, 1000, false).facts, 0);
    assert_int_equal(compact(log, FIRST_MS + 10 * SECOND, 20, 1000, false).facts, 0); /* it went back */
    assert_int_equal(compact(log, FIRST_MS + 10 * SECOND, 38, 1000, false).facts, 1);
    assert_int_equal(check(log).compacted, 38);
    /* The last of all is never taken: the log's end must be a fact that is there. */
    assert_int_equal(compact(log, FIRST_MS + 10 * SECOND, ALL, 1000, false).facts, 61);
    assert_int_equal(check(log).compacted, 99);
    log_free(log);
}

/* A view that is built anew must know the red check whose last word is old. */
TEST(the_observation_in_force_stays) {
    struct log *log = log_new(0, SECOND);
    begin(log);
    add_health(log, 0, "db", FIRST_MS, 100, false);
    add_health(log, 0, "db", FIRST_MS, 200, false); /* in force */
    add_health(log, 0, "db", FIRST_MS, 150, true);
    add_health(log, 1, "db", FIRST_MS, 50, false);
    add(log, INCIDENT, 0, FIRST_MS);
    health_state(log, 0, "db", 200);
    health_state(log, 1, "db", 300);
    commit(log);
    assert_int_equal(compact(log, FIRST_MS + 10 * SECOND, ALL, 1000, false).facts, 3);
    const struct found found = check(log);
    assert_int_equal(found.records, 4); /* a range, the one in force, a range, the incident */
    log_free(log);
}

TEST(a_fact_from_the_future_stays_and_holds_nothing_up) {
    struct log *log = log_new(SECOND, 0);
    begin(log);
    for (int i = 0; i < 10; i++) add(log, WINDOW, 0, FIRST_MS);
    add(log, WINDOW, 0, FIRST_MS + INT64_C(1000) * 24 * 3600 * SECOND);
    for (int i = 0; i < 10; i++) add(log, WINDOW, 0, FIRST_MS);
    add(log, INCIDENT, 0, FIRST_MS);
    commit(log);
    assert_int_equal(compact(log, FIRST_MS + 10 * SECOND, ALL, 1000, false).facts, 20);
    assert_int_equal(check(log).ranges, 2);
    log_free(log);
}

/* Compacting must not be a way to hide a change: what does not check is not touched, and the verifier still says so. */
TEST(a_fact_that_was_changed_stays_as_evidence) {
    struct log *log = log_new(SECOND, 0);
    struct fault fault;
    begin(log);
    for (int i = 0; i < 10; i++) add(log, WINDOW, 0, FIRST_MS);
    add(log, INCIDENT, 0, FIRST_MS);
    commit(log);
    begin(log);
    uint8_t key[8], forged[4096];
    slice record;
    kv_store_u64(key, 5);
    CHECK_OK(kv_get(log->txn, log->tables.facts, slice_of(key, 8), &record, &fault));
    const size_t size = record.size;
    memcpy(forged, record.data, size);
    forged[40] ^= 1; /* the time of the commit; sealed anew */
    record_seal(forged, size, 1);
    CHECK_OK(kv_put(log->txn, log->tables.facts, slice_of(key, 8), slice_of(forged, size), &fault));
    commit(log);
    const struct compaction_slice done = compact(log, FIRST_MS + 10 * SECOND, ALL, 1000, false);
    assert_int_equal(done.facts, 9);
    assert_int_equal(done.damaged, 1);
    assert_non_null(strstr(compaction_damage(log->compaction)->text, "fact 5 "));
    begin(log);
    CHECK_OK(kv_get(log->txn, log->tables.facts, slice_of(key, 8), &record, &fault));
    assert_true(slice_equal(record, slice_of(forged, size)));
    uint64_t facts;
    CHECK_FAULT(fact_log_verify(log->tables.facts, log->txn, &facts, &fault), FAULT_CORRUPT);
    kv_abort(log->txn);
    log_free(log);
}

TEST(reading_from_inside_a_range_gives_the_range) {
    struct log *log = log_new(SECOND, 0);
    struct fault fault;
    begin(log);
    add(log, INCIDENT, 0, FIRST_MS);
    for (int i = 0; i < 10; i++) add(log, WINDOW, 0, FIRST_MS);
    add(log, INCIDENT, 0, FIRST_MS);
    commit(log);
    compact(log, FIRST_MS + 10 * SECOND, ALL, 1000, false);
    begin(log);
    for (uint64_t after = 0; after <= 12; after++) {
        struct fact_view *facts;
        size_t count;
        CHECK_OK(fact_log_read(log->tables.facts, log->txn, after, 100, SIZE_MAX, log->arena, &facts, &count, &fault));
        assert_int_equal(count, after < 1 ? 3 : after < 11 ? 2 : after < 12 ? 1 : 0);
        if (after < 1 || after >= 11) continue;
        assert_true(facts[0].compacted);
        assert_int_equal(facts[0].first_sequence, 2);
        assert_int_equal(facts[0].sequence, 11);
        assert_int_equal(facts[0].tenant.size, 0);
        assert_int_equal(facts[0].fact_number, 0);
        assert_int_equal(facts[1].first_sequence, 12);
    }
    kv_abort(log->txn);
    log_free(log);
}

TEST(any_facts_in_any_slices_with_any_crashes) {
    uint64_t seed = check_seed();
    for (int round = 0; round < 20; round++) {
        struct log *log =
            log_new((int64_t)(1 + check_random(&seed) % 500) * SECOND, (int64_t)(check_random(&seed) % 500) * SECOND);
        int64_t now_ms = FIRST_MS;
        const unsigned rare = 2 + check_random(&seed) % 30;
        begin(log);
        for (int i = 0; i < TENANTS; i++)
            for (int id = 0; id < 4; id++) { /* of the seven, three have no state */
                char name[8];
                snprintf(name, sizeof name, "a-%d", id);
                health_state(log, i, name, 1);
            }
        commit(log);
        uint64_t allowed_ever = 0;
        for (int turn = 0; turn < 40; turn++) {
            begin(log);
            for (unsigned i = check_random(&seed) % 70; i && log->facts.last_sequence < FACTS_MAX; i--) {
                const uint64_t what = check_random(&seed) % rare;
                now_ms += (int64_t)(check_random(&seed) % 2000);
                add(log,
                    what == 0             ? INCIDENT
                    : what < 1 + rare / 4 ? HEALTH
                                          : WINDOW,
                    (int)(check_random(&seed) % TENANTS), now_ms);
            }
            commit(log);
            const uint64_t allowed = log->facts.last_sequence ? check_random(&seed) % log->facts.last_sequence : 0;
            if (allowed > allowed_ever) allowed_ever = allowed;
            const uint64_t before = check(log).compacted;
            const bool crash = check_random(&seed) % 3 == 0;
            const struct compaction_slice done = compact(log, now_ms, allowed, 1 + check_random(&seed) % 50, crash);
            const struct found found = check(log);
            assert_int_equal(found.compacted, crash ? before : before + done.facts);
            if (crash && check_random(&seed) % 2) compaction_anew(log); /* as after a start */
        }
        for (int i = 0; i < 1000 && compact(log, now_ms, allowed_ever, 50, false).more; i++) {
        }
        const struct found found = check(log);
        uint64_t old = 0;
        for (uint64_t at = 1; at <= allowed_ever; at++)
            old += log->written[at].number == WINDOW &&
                   log->written[at].committed_ms <= now_ms - log->keep_ms[COMPACTABLE_SLI_WINDOWS];
        assert_true(found.compacted >= old); /* all old windows went */
        log_free(log);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_windows_become_one_range_and_the_chain_holds),
        cmocka_unit_test(slices_are_bounded_and_neighbours_merge),
        cmocka_unit_test(ranges_of_both_kinds_grow_together),
        cmocka_unit_test(nothing_goes_that_a_consumer_has_not_taken),
        cmocka_unit_test(the_observation_in_force_stays),
        cmocka_unit_test(a_fact_from_the_future_stays_and_holds_nothing_up),
        cmocka_unit_test(a_fact_that_was_changed_stays_as_evidence),
        cmocka_unit_test(reading_from_inside_a_range_gives_the_range),
        cmocka_unit_test(any_facts_in_any_slices_with_any_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
