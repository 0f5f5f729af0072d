/* SPDX-License-Identifier: Apache-2.0
 * A journal made by the real writer, damaged on purpose in each way that there is: verify says what, and never names a
 * fact behind the damage. */
#include "tests/unit/aggregator/journal/journal_fixture.h"
#include "tests/unit/aggregator/journal/older_budgets.h"

#include "aggregator/archive/verify.h"
#include "aggregator/journal/aggregate_table.h"
#include "aggregator/journal/fact_range.h"
#include "aggregator/journal/record.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { INCIDENTS = 5, SLO_WINDOWS = 40 };

/* 5 incidents, an SLO and its 40 windows: 46 facts or more. The journal is closed. */
static struct place *made_place(uint64_t *ret_facts) {
    struct place *place = place_opened();
    SreDomainIntent intent = place_slo_intent("checkout");
    assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_COMMITTED);
    slice windows[SLO_WINDOWS];
    for (int i = 0; i < SLO_WINDOWS; i++) {
        intent = place_window_intent("checkout", 100 + 20 * i, 1); /* of more hours than a budget holds itself */
        windows[i] = place_intent(place, &intent);
    }
    assert_int_equal(place_batch(place, 0, 1, windows, SLO_WINDOWS)->applied, SLO_WINDOWS);
    for (int i = 0; i < INCIDENTS; i++) {
        char id[16];
        snprintf(id, sizeof id, "inc-%d", i);
        intent = place_incident_intent(id);
        assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_COMMITTED);
    }
    *ret_facts = journal_last_sequence(place->journal);
    place->journal = journal_close(place->journal);
    assert_true(*ret_facts >= 46);
    return place;
}

static struct verify_result verified(const struct place *place) {
    struct fault fault;
    struct verify_result result;
    const struct verify_settings settings = {.path = place->folder, .threads = 2, .messages = true, .quiet = true};
    CHECK_OK(verify_journal(&settings, NULL, &result, &fault));
    if (result.finding.kind) {
        char text[1024];
        finding_print(&result.finding, text, sizeof text);
        print_message("found: %s\n", text);
    }
    return result;
}

/* ---- damaging ---- */

enum { SEALED = 1, UNSEALED = 0 };

/* Changes a byte of fact `sequence`, `at` from the record's end (negative) or beginning. */
static void fact_change(const struct place *place, uint64_t sequence, long at, int sealed) {
    struct fault fault;
    struct opened_store d = store_begin(place);
    uint8_t key[8], copy[4096];
    slice record;
    kv_store_u64(key, sequence);
    CHECK_OK(kv_get(d.txn, d.tables.facts, slice_of(key, 8), &record, &fault));
    assert_true(record.size < sizeof copy);
    memcpy(copy, record.data, record.size);
    const size_t size = record.size;
    copy[at < 0 ? size - (size_t)-at : (size_t)at] ^= 0x01;
    if (sealed) record_seal(copy, size, copy[4]);
    CHECK_OK(kv_put(d.txn, d.tables.facts, slice_of(key, 8), slice_of(copy, size), &fault));
    store_end(&d);
}

static void record_change(const struct place *place, size_t table_offset, slice prefix, int sealed) {
    struct fault fault;
    struct opened_store d = store_begin(place);
    const kv_table table = *(const kv_table *)(const void *)((const uint8_t *)&d.tables + table_offset);
    uint8_t copy[4096], key_copy[600];
    struct kv_cursor *cursor;
    slice key, record;
    CHECK_OK(kv_cursor_open(d.txn, table, &cursor, &fault));
    CHECK_OK(kv_cursor_seek(cursor, prefix, &key, &record, &fault));
    memcpy(copy, record.data, record.size);
    memcpy(key_copy, key.data, key.size);
    const size_t size = record.size, key_size = key.size;
    kv_cursor_close(cursor);
    copy[RECORD_HEAD_BYTES + 7] ^= 0x01; /* an aggregate's version */
    if (sealed) record_seal(copy, size, copy[4]);
    CHECK_OK(kv_put(d.txn, table, slice_of(key_copy, key_size), slice_of(copy, size), &fault));
    store_end(&d);
}

/* ---- tests ---- */

TEST(whole_journal_is_found_whole) {
    uint64_t facts;
    struct place *place = made_place(&facts);
    const struct verify_result result = verified(place);
    assert_int_equal(result.finding.kind, FINDING_NONE);
    assert_int_equal(result.end.facts, facts);
    assert_int_equal(result.end.last_sequence, facts);
    assert_int_equal(result.aggregates, INCIDENTS + 1);
    assert_true(result.bytes > 100 * facts && result.records > SLO_WINDOWS);
    place_free(place);
}

TEST(journal_without_a_fact_is_whole) {
    struct place *place = place_opened();
    place->journal = journal_close(place->journal);
    const struct verify_result result = verified(place);
    assert_int_equal(result.finding.kind, FINDING_NONE);
    assert_int_equal(result.end.facts, 0);
    place_free(place);
}

TEST(folder_without_a_journal_is_a_fault) {
    struct fault fault;
    struct verify_result result;
    const struct verify_settings settings = {.path = "/tmp/picket-there-is-nothing-here", .quiet = true};
    CHECK_FAULT(verify_journal_apart(&settings, &result, &fault), FAULT_ABSENT);
}

TEST(journal_that_is_open_for_writing_is_verified_beside_it) {
    uint64_t facts;
    struct place *place = made_place(&facts);
    place->settings.without_thread = true; /* a thread could hold the allocator's lock while the child is forked */
    place_open(place);
    struct fault fault;
    struct verify_result result;
    const struct verify_settings settings = {.path = place->folder, .quiet = true};
    /* The child opens the environment a second time, but in a process that never uses the first. */
    CHECK_OK(verify_journal_apart(&settings, &result, &fault));
    assert_int_equal(result.finding.kind, FINDING_NONE);
    assert_int_equal(result.end.facts, facts);
    place_free(place);
}

TEST(changed_byte_is_a_bad_checksum_of_that_fact) {
    uint64_t facts;
    struct place *place = made_place(&facts);
    fact_change(place, 17, -3, UNSEALED);
    const struct finding finding = verified(place).finding;
    assert_int_equal(finding.kind, FINDING_CHECKSUM);
    assert_int_equal(finding.sequence, 17);
    assert_string_equal(finding.tenant, "acme");
    assert_string_equal(finding.aggregate_type, "slo");
    assert_string_equal(finding.aggregate_id, "checkout");
    place_free(place);
}

TEST(changed_fact_with_its_checksum_made_good_breaks_the_chain) {
    uint64_t facts;
    struct place *place = made_place(&facts);
    fact_change(place, 17, -3, SEALED);
    struct fault fault;
    struct verify_result result;
    const struct verify_settings settings = {.path = place->folder, .quiet = true};
    CHECK_OK(verify_journal(&settings, NULL, &result, &fault));
    assert_int_equal(result.finding.kind, FINDING_HASH);
    assert_int_equal(result.finding.sequence, 17);
    assert_string_equal(result.finding.aggregate_id, "checkout");
    place_free(place);
}

TEST(fact_whose_version_is_none_is_found_by_itself) {
    uint64_t facts;
    struct place *place = made_place(&facts);
    fact_change(place, facts, 54, SEALED); /* version 1 of the last incident becomes 0 */
    struct fault fault;
    struct verify_result result;
    const struct verify_settings settings = {.path = place->folder, .quiet = true};
    CHECK_OK(verify_journal(&settings, NULL, &result, &fault));
    assert_int_equal(result.finding.kind, FINDING_READ); /* the last fact's message is always looked at */
    assert_int_equal(result.finding.sequence, facts);
    fact_change(place, facts, 54, SEALED);
    fact_change(place, facts - 1, 54, SEALED);
    CHECK_OK(verify_journal(&settings, NULL, &result, &fault));
    assert_int_equal(result.finding.kind, FINDING_VERSION);
    assert_int_equal(result.finding.sequence, facts - 1);
    place_free(place);
}

TEST(changed_last_fact_is_found_by_its_known_hash) {
    uint64_t facts;
    struct place *place = made_place(&facts);
    const struct verify_result before = verified(place);
    struct fault fault;
    struct verify_result result;
    struct verify_settings settings = {.path = place->folder, .quiet = true, .known_sequence = facts};
    memcpy(settings.known_hash, before.end.last_hash, DIGEST_BYTES);
    CHECK_OK(verify_journal(&settings, NULL, &result, &fault));
    assert_int_equal(result.finding.kind, FINDING_NONE);
    fact_change(place, facts, 40, SEALED);                        /* the time of its commit */
    assert_int_equal(verified(place).finding.kind, FINDING_NONE); /* nobody followed it: this is what --known is for */
    CHECK_OK(verify_journal(&settings, NULL, &result, &fault));
    assert_int_equal(result.finding.kind, FINDING_HASH);
    assert_int_equal(result.finding.sequence, facts);
    place_free(place);
}

TEST(missing_facts_are_named) {
    const uint64_t gone[] = {1, 20};
    for (int i = 0; i < 3; i++) {
        uint64_t facts;
        struct place *place = made_place(&facts);
        const uint64_t sequence = i < 2 ? gone[i] : facts;
        struct opened_store d = store_begin(place);
        uint8_t key[8];
        struct fault fault;
        kv_store_u64(key, sequence);
        CHECK_OK(kv_delete(d.txn, d.tables.facts, slice_of(key, 8), &fault));
        store_end(&d);
        const struct finding finding = verified(place).finding;
        /* The last one leaves its aggregate behind: that stands at a version without a fact. */
        assert_int_equal(finding.kind, i < 2 ? FINDING_GAP : FINDING_AGGREGATE);
        if (i < 2) assert_int_equal(finding.sequence, sequence);
        place_free(place);
    }
}

TEST(facts_that_are_known_and_gone_from_the_end_are_missing) {
    uint64_t facts;
    struct place *place = made_place(&facts);
    struct fault fault;
    struct verify_result result;
    const struct verify_settings settings = {.path = place->folder, .quiet = true, .known_sequence = facts + 2};
    CHECK_OK(verify_journal(&settings, NULL, &result, &fault));
    assert_int_equal(result.finding.kind, FINDING_GAP);
    assert_int_equal(result.finding.sequence, facts + 1);
    place_free(place);
}

/* Facts first..last (SLI windows of "acme") give way to a range; `wrong` changes it before it is stored. */
static void facts_compact(const struct place *place, uint64_t first, uint64_t last,
                          void (*wrong)(struct fact_range *)) {
    struct fault fault;
    struct opened_store d = store_begin(place);
    struct fact_range range = {.first_sequence = first, .last_sequence = last, .counts_count = 1};
    range.counts[0] =
        (struct fact_range_count){SLICE_LIT("acme"), SreDomainFact_sli_window_recorded_tag, last - first + 1};
    static uint8_t buffer[FACT_RANGE_BYTES_MAX];
    uint8_t key[8];
    slice record;
    for (uint64_t sequence = first; sequence <= last; sequence++) {
        kv_store_u64(key, sequence);
        CHECK_OK(kv_get(d.txn, d.tables.facts, slice_of(key, 8), &record, &fault));
        if (sequence == first) memcpy(range.hash_before, fact_log_carried_hash(record), DIGEST_BYTES);
        if (sequence == last) fact_log_hash(record, range.hash_of_last);
        CHECK_OK(kv_delete(d.txn, d.tables.facts, slice_of(key, 8), &fault));
    }
    if (wrong) wrong(&range);
    kv_store_u64(key, range.last_sequence);
    CHECK_OK(
        kv_put(d.txn, d.tables.facts, slice_of(key, 8), slice_of(buffer, fact_range_write(&range, buffer)), &fault));
    store_end(&d);
}

TEST(ranges_of_compacted_facts_are_whole) {
    uint64_t facts;
    struct place *place = made_place(&facts);
    facts_compact(place, 2, 11, NULL);
    facts_compact(place, 20, 20, NULL);
    facts_compact(place, 12, 14, NULL);
    const struct verify_result result = verified(place);
    assert_int_equal(result.finding.kind, FINDING_NONE);
    assert_int_equal(result.end.last_sequence, facts);
    assert_int_equal(result.end.compacted, 14);
    assert_int_equal(result.end.facts, facts - 14);
    fact_change(place, 30, -3, SEALED); /* the facts around them are held by the chain as before */
    assert_int_equal(verified(place).finding.sequence, 30);
    place_free(place);
}

static void hash_before_changes(struct fact_range *range) {
    range->hash_before[5] ^= 1;
}
static void hash_of_last_changes(struct fact_range *range) {
    range->hash_of_last[5] ^= 1;
}
static void first_is_later(struct fact_range *range) {
    range->first_sequence += 2;
    range->counts[0].facts -= 2;
}
static void tenant_is_another(struct fact_range *range) {
    range->counts[0].tenant = SLICE_LIT("umbrella");
}
static void kind_is_another(struct fact_range *range) {
    range->counts[0].fact_number = SreDomainFact_health_check_recorded_tag;
}

TEST(ranges_that_do_not_fit_are_found) {
    void (*const wrongs[])(struct fact_range *) = {hash_before_changes, hash_of_last_changes, first_is_later,
                                                   tenant_is_another, kind_is_another};
    const struct {
        enum finding_kind kind;
        uint64_t sequence;
    } expected[] = {
        {FINDING_HASH, 9}, {FINDING_HASH, 20}, {FINDING_GAP, 10}, {FINDING_VERSION, 21}, {FINDING_VERSION, 21}};
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        uint64_t facts;
        struct place *place = made_place(&facts);
        facts_compact(place, 10, 20, wrongs[i]);
        const struct finding finding = verified(place).finding;
        assert_int_equal(finding.kind, expected[i].kind);
        assert_int_equal(finding.sequence, expected[i].sequence);
        place_free(place);
    }
}

TEST(aggregate_that_does_not_stand_where_its_facts_end_is_found) {
    for (int sealed = 0; sealed < 2; sealed++) {
        uint64_t facts;
        struct place *place = made_place(&facts);
        record_change(place, offsetof(struct journal_tables, aggregates), (slice){0}, sealed);
        const struct finding finding = verified(place).finding;
        assert_int_equal(finding.kind, FINDING_AGGREGATE);
        assert_string_equal(finding.tenant, "acme");
        assert_string_equal(finding.aggregate_type, "incident");
        assert_string_equal(finding.aggregate_id, "inc-0");
        assert_int_equal(finding.sequence != 0, sealed);
        place_free(place);
    }
}

TEST(aggregate_that_is_gone_is_found) {
    uint64_t facts;
    struct place *place = made_place(&facts);
    struct opened_store d = store_begin(place);
    struct fault fault;
    struct kv_cursor *cursor;
    slice key, record;
    CHECK_OK(kv_cursor_open(d.txn, d.tables.aggregates, &cursor, &fault));
    CHECK_OK(kv_cursor_last(cursor, &key, &record, &fault));
    CHECK_OK(kv_cursor_delete(cursor, &fault));
    kv_cursor_close(cursor);
    store_end(&d);
    const struct finding finding = verified(place).finding;
    assert_int_equal(finding.kind, FINDING_AGGREGATE);
    assert_string_equal(finding.aggregate_id, "checkout");
    assert_int_equal(finding.sequence, facts - INCIDENTS); /* its last fact */
    place_free(place);
}

TEST(damaged_record_of_another_table_is_found) {
    const size_t tables[] = {offsetof(struct journal_tables, windows), offsetof(struct journal_tables, hours),
                             offsetof(struct journal_tables, marks)};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        uint64_t facts;
        struct place *place = made_place(&facts);
        record_change(place, tables[i], (slice){0}, UNSEALED);
        assert_int_equal(verified(place).finding.kind, FINDING_RECORD);
        place_free(place);
    }
}

/* ---- what records are found by ---- */

/* Beside made_place: services that need one another, an alert, a refused intent that was given again. Closed. */
static struct place *indexed_place(void) {
    uint64_t facts;
    struct place *place = made_place(&facts);
    place_open(place);
    ServiceDependency needs = {.service_id = SLICE_LIT("cards")};
    SreDomainIntent intent = {.which_intent = SreDomainIntent_create_service_tag};
    intent.intent.create_service =
        (CreateServiceRequested){.service_id = SLICE_LIT("cards"), .name = SLICE_LIT("Cards")};
    assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_COMMITTED);
    intent.intent.create_service = (CreateServiceRequested){.service_id = SLICE_LIT("shop"), .name = SLICE_LIT("Shop")};
    intent.intent.create_service.dependencies.items = &needs;
    intent.intent.create_service.dependencies.count = 1;
    assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_COMMITTED);
    intent = (SreDomainIntent){.which_intent = SreDomainIntent_ingest_alert_tag};
    intent.intent.ingest_alert = (IngestAlertRequested){.fingerprint = SLICE_LIT("3f2a"),
                                                        .name = SLICE_LIT("HighLatency"),
                                                        .severity = SEVERITY_HIGH,
                                                        .status = ALERT_STATUS_FIRING,
                                                        .source = ALERT_SOURCE_CUSTOM,
                                                        .has_starts_at = true,
                                                        .starts_at = domain_time(JOURNAL_NOW_MS)};
    const slice alert = place_intent(place, &intent);
    assert_int_equal(place_command(place, (struct journal_command){.caller = {.tenant = SLICE_LIT("acme"),
                                                                              .actor = SLICE_LIT("prometheus"),
                                                                              .role = ROLE_INTEGRATION},
                                                                   .intent = alert})
                         ->result,
                     JOURNAL_COMMITTED);
    intent = place_window_intent("nobody", 1, 1);
    const slice window = place_intent(place, &intent);
    (void)place_batch(place, SLO_WINDOWS, SLO_WINDOWS + 1, &window, 1); /* refused, and in the list */
    place->journal = journal_close(place->journal);
    return place;
}

/* A bit flips in the key of a table's first or last record, so that it lies where it lay. */
static void key_change(const struct place *place, size_t table_offset, bool last, size_t from_end, uint8_t bit) {
    struct fault fault;
    struct opened_store d = store_begin(place);
    const kv_table table = *(const kv_table *)(const void *)((const uint8_t *)&d.tables + table_offset);
    uint8_t copy[4096], key_copy[600];
    struct kv_cursor *cursor;
    slice key, record;
    CHECK_OK(kv_cursor_open(d.txn, table, &cursor, &fault));
    CHECK_OK(last ? kv_cursor_last(cursor, &key, &record, &fault)
                  : kv_cursor_seek(cursor, (slice){0}, &key, &record, &fault));
    const size_t size = record.size, key_size = key.size;
    if (size) memcpy(copy, record.data, size);
    memcpy(key_copy, key.data, key_size);
    CHECK_OK(kv_cursor_delete(cursor, &fault));
    kv_cursor_close(cursor);
    key_copy[key_size - 1 - (from_end < key_size ? from_end : 0)] ^= bit;
    CHECK_OK(kv_put(d.txn, table, slice_of(key_copy, key_size), slice_of(copy, size), &fault));
    store_end(&d);
}

#define TABLE(name) #name, offsetof(struct journal_tables, name)
TEST(a_bit_that_flips_in_a_key_is_found) {
    static const struct {
        const char *name;
        size_t offset;
        enum finding_kind kind;
    } tables[] = {
        {TABLE(names), FINDING_RECORD},     {TABLE(windows), FINDING_RECORD},
        {TABLE(hours), FINDING_RECORD},     {TABLE(budgets), FINDING_RECORD},
        {TABLE(marks), FINDING_RECORD},     {TABLE(marks_by_time), FINDING_INDEX},
        {TABLE(rejections), FINDING_INDEX}, {TABLE(rejections_by_tenant), FINDING_INDEX},
        {TABLE(open), FINDING_INDEX},       {TABLE(links), FINDING_INDEX},
        {TABLE(expiries), FINDING_INDEX},
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (int round = 0; round < 4; round++) {
            struct place *place = indexed_place();
            key_change(place, tables[i].offset, round & 1, round & 2 ? 3 : 0, 0x20);
            const struct finding finding = verified(place).finding;
            if (finding.kind != tables[i].kind && !(tables[i].kind == FINDING_RECORD && finding.kind))
                fail_msg("table '%s', round %d: %s", tables[i].name, round, finding_kind_name(finding.kind));
            place_free(place);
        }
}

TEST(a_row_of_an_index_that_is_gone_or_leads_elsewhere_is_found) {
    static const size_t tables[] = {offsetof(struct journal_tables, rejections_by_tenant),
                                    offsetof(struct journal_tables, open), offsetof(struct journal_tables, links),
                                    offsetof(struct journal_tables, expiries)};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (int more = 0; more < 2; more++) {
            struct place *place = indexed_place();
            struct fault fault;
            struct opened_store d = store_begin(place);
            const kv_table table = *(const kv_table *)(const void *)((const uint8_t *)&d.tables + tables[i]);
            uint8_t copy[600];
            struct kv_cursor *cursor;
            slice key, record;
            CHECK_OK(kv_cursor_open(d.txn, table, &cursor, &fault));
            CHECK_OK(kv_cursor_last(cursor, &key, &record, &fault));
            memcpy(copy, key.data, key.size);
            const size_t key_size = key.size;
            if (!more && tables[i] != offsetof(struct journal_tables, expiries))
                CHECK_OK(kv_cursor_delete(cursor, &fault));
            kv_cursor_close(cursor);
            copy[key_size - 1] ^= 0x01;
            if (more || tables[i] == offsetof(struct journal_tables, expiries))
                CHECK_OK(kv_put(d.txn, table, slice_of(copy, key_size), SLICE_LIT("acme"), &fault));
            store_end(&d);
            assert_int_equal(verified(place).finding.kind, FINDING_INDEX);
            place_free(place);
        }
}

TEST(a_bit_that_flips_in_a_reminder_is_found) {
    for (size_t at = 0; at < 41; at++) {
        struct place *place = indexed_place();
        struct fault fault;
        struct opened_store d = store_begin(place);
        uint8_t copy[64], key_copy[16];
        struct kv_cursor *cursor;
        slice key, record;
        CHECK_OK(kv_cursor_open(d.txn, d.tables.marks_by_time, &cursor, &fault));
        CHECK_OK(kv_cursor_seek(cursor, (slice){0}, &key, &record, &fault));
        memcpy(copy, record.data, record.size);
        memcpy(key_copy, key.data, 16);
        const size_t size = record.size;
        kv_cursor_close(cursor);
        copy[at % size] ^= 0x04;
        CHECK_OK(kv_put(d.txn, d.tables.marks_by_time, slice_of(key_copy, 16), slice_of(copy, size), &fault));
        store_end(&d);
        assert_int_equal(verified(place).finding.kind, FINDING_INDEX);
        place_free(place);
    }
}

/* Makes every record of a table what a version before keyed records wrote. */
static void unkey(struct opened_store *d, kv_table table, uint8_t schema) {
    struct fault fault;
    struct kv_cursor *cursor;
    slice key, record;
    CHECK_OK(kv_cursor_open(d->txn, table, &cursor, &fault));
    fault_code code = kv_cursor_seek(cursor, (slice){0}, &key, &record, &fault);
    while (!code) {
        uint8_t copy[4096], key_copy[600];
        const size_t size = record.size, key_size = key.size;
        memcpy(copy, record.data, size);
        memcpy(key_copy, key.data, key_size);
        if (schema) record_seal(copy, size, schema);
        CHECK_OK(kv_put(d->txn, table, slice_of(key_copy, key_size), slice_of(copy, schema ? size : size - 4), &fault));
        code = kv_cursor_seek(cursor, slice_of(key_copy, key_size), &key, &record, &fault);
        if (!code) code = kv_cursor_next(cursor, &key, &record, &fault);
    }
    kv_cursor_close(cursor);
    assert_int_equal(code, FAULT_ABSENT);
}

static void budgets_age(struct opened_store *d, struct arena *arena) {
    struct fault fault;
    struct kv_cursor *cursor;
    slice key, record;
    CHECK_OK(kv_cursor_open(d->txn, d->tables.budgets, &cursor, &fault));
    fault_code code = kv_cursor_seek(cursor, (slice){0}, &key, &record, &fault);
    while (!code) {
        uint8_t next[8];
        const uint32_t tenant = kv_load_u32(key.data), slo = kv_load_u32(key.data + 4);
        older_budget_put(&d->tables, d->txn, tenant, slo, 2, arena);
        kv_store_u32(next, tenant);
        kv_store_u32(next + 4, slo + 1);
        code = kv_cursor_seek(cursor, slice_of(next, sizeof next), &key, &record, &fault);
    }
    kv_cursor_close(cursor);
    assert_int_equal(code, FAULT_ABSENT);
}

TEST(a_journal_of_before_is_whole_and_goes_on) {
    struct place *place = indexed_place();
    struct opened_store d = store_begin(place);
    unkey(&d, d.tables.names, 1);
    unkey(&d, d.tables.windows, 1);
    unkey(&d, d.tables.hours, 1);
    budgets_age(&d, place->arena);
    unkey(&d, d.tables.marks, 2);
    unkey(&d, d.tables.marks_by_time, 0);
    store_end(&d);
    assert_int_equal(verified(place).finding.kind, FINDING_NONE);
    place_open(place);
    SreDomainIntent intent = place_incident_intent("inc-0");
    assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_REFUSED);
    intent = place_window_intent("checkout", 50, 1);
    const slice window = place_intent(place, &intent);
    assert_int_equal(place_batch(place, SLO_WINDOWS, SLO_WINDOWS + 1, &window, 1)->repeated, 1);
    assert_int_equal(place_batch(place, SLO_WINDOWS + 1, SLO_WINDOWS + 2, &window, 1)->applied, 1);
    place->journal = journal_close(place->journal);
    assert_int_equal(verified(place).finding.kind, FINDING_NONE);
    place_free(place);
}

TEST(any_changed_byte_of_any_fact_is_found_at_or_before_it) {
    uint64_t seed = check_seed(), facts;
    struct place *place = made_place(&facts);
    for (int round = 0; round < 150; round++) {
        const uint64_t sequence = 1 + check_random(&seed) % facts;
        const int sealed = sequence < facts && check_random(&seed) % 2;
        const long at =
            sealed ? RECORD_HEAD_BYTES + (long)(check_random(&seed) % 200) : (long)(check_random(&seed) % 200);
        fact_change(place, sequence, at, sealed);
        struct fault fault;
        struct verify_result result;
        const struct verify_settings settings = {.path = place->folder, .quiet = true, .threads = 1 + round % 3};
        CHECK_OK(verify_journal(&settings, NULL, &result, &fault));
        if (!result.finding.kind || result.finding.sequence > sequence || !result.finding.sequence)
            fail_msg("byte %ld of fact %llu%s: %s, fact %llu: %s", at, (unsigned long long)sequence,
                     sealed ? ", sealed" : "", finding_kind_name(result.finding.kind),
                     (unsigned long long)result.finding.sequence, result.finding.text);
        fact_change(place, sequence, at, sealed);
    }
    assert_int_equal(verified(place).finding.kind, FINDING_NONE);
    place_free(place);
}

/* Pages too: LMDB may be led astray, the verifying process may end, the answer comes all the same. */
TEST(any_changed_byte_of_the_file_ends_in_an_answer) {
    uint64_t seed = check_seed(), facts;
    struct place *place = made_place(&facts);
    char path[96];
    snprintf(path, sizeof path, "%s/data.mdb", place->folder);
    struct stat file;
    assert_int_equal(stat(path, &file), 0);
    unsigned found = 0, lost = 0;
    for (int round = 0; round < 120; round++) {
        const off_t at = (off_t)(check_random(&seed) % (uint64_t)file.st_size);
        const uint8_t flip = (uint8_t)(1u << check_random(&seed) % 8);
        uint8_t byte;
        const int fd = open(path, O_RDWR);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        const uint8_t changed = byte ^ flip;
        assert_int_equal(pwrite(fd, &changed, 1, at), 1);
        struct fault fault = {0};
        struct verify_result result;
        const struct verify_settings settings = {.path = place->folder, .quiet = true};
        const fault_code code = verify_journal_apart(&settings, &result, &fault);
        if (code == FAULT_NONE && result.finding.kind) found++;
        if (code == FAULT_NONE && result.finding.kind == FINDING_PAGES) lost++;
        if (code == FAULT_NONE && result.finding.kind)
            assert_true(result.finding.text[0] && result.finding.sequence <= facts + 1);
        if (code) assert_true(fault.text[0]);
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
    }
    print_message("%u of 120 changes found, %u of them in pages\n", found, lost);
    assert_true(found > 3); /* some 18, as a rule: most pages hold nothing that is used */
    assert_int_equal(verified(place).finding.kind, FINDING_NONE);
    place_free(place);
}

TEST(file_that_was_cut_ends_in_an_answer) {
    uint64_t facts;
    struct place *place = made_place(&facts);
    char path[96];
    snprintf(path, sizeof path, "%s/data.mdb", place->folder);
    struct stat file;
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(truncate(path, file.st_size / 2 / 4096 * 4096), 0);
    struct fault fault = {0};
    struct verify_result result;
    const struct verify_settings settings = {.path = place->folder, .quiet = true};
    if (verify_journal_apart(&settings, &result, &fault) == FAULT_NONE) {
        print_message("%s\n", result.finding.text);
        assert_true(result.finding.kind != FINDING_NONE);
    }
    place_free(place);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_journal_is_found_whole),
        cmocka_unit_test(journal_without_a_fact_is_whole),
        cmocka_unit_test(folder_without_a_journal_is_a_fault),
        cmocka_unit_test(journal_that_is_open_for_writing_is_verified_beside_it),
        cmocka_unit_test(changed_byte_is_a_bad_checksum_of_that_fact),
        cmocka_unit_test(changed_fact_with_its_checksum_made_good_breaks_the_chain),
        cmocka_unit_test(fact_whose_version_is_none_is_found_by_itself),
        cmocka_unit_test(changed_last_fact_is_found_by_its_known_hash),
        cmocka_unit_test(missing_facts_are_named),
        cmocka_unit_test(facts_that_are_known_and_gone_from_the_end_are_missing),
        cmocka_unit_test(ranges_of_compacted_facts_are_whole),
        cmocka_unit_test(ranges_that_do_not_fit_are_found),
        cmocka_unit_test(aggregate_that_does_not_stand_where_its_facts_end_is_found),
        cmocka_unit_test(aggregate_that_is_gone_is_found),
        cmocka_unit_test(damaged_record_of_another_table_is_found),
        cmocka_unit_test(a_bit_that_flips_in_a_key_is_found),
        cmocka_unit_test(a_row_of_an_index_that_is_gone_or_leads_elsewhere_is_found),
        cmocka_unit_test(a_bit_that_flips_in_a_reminder_is_found),
        cmocka_unit_test(a_journal_of_before_is_whole_and_goes_on),
        cmocka_unit_test(any_changed_byte_of_any_fact_is_found_at_or_before_it),
        cmocka_unit_test(any_changed_byte_of_the_file_ends_in_an_answer),
        cmocka_unit_test(file_that_was_cut_ends_in_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
