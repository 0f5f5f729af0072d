/* SPDX-License-Identifier: Apache-2.0
 * A journal of a version before there were lists of what is open and links, and with rows of what is due under other
 * keys: what it holds is found as if this version had written it. */
#include "aggregator/journal/index_build.h"
#include "aggregator/journal/index_table.h"

#include "tests/unit/aggregator/journal/journal_fixture.h"

#define ACME SLICE_LIT("acme")

static void alert_fires(struct place *place, const char *fingerprint, int64_t expires_ms) {
    SreDomainIntent intent = {.which_intent = SreDomainIntent_ingest_alert_tag};
    intent.intent.ingest_alert = (IngestAlertRequested){.fingerprint = slice_from_text(fingerprint),
                                                        .name = SLICE_LIT("HighErrors"),
                                                        .severity = SEVERITY_HIGH,
                                                        .status = ALERT_STATUS_FIRING,
                                                        .source = ALERT_SOURCE_CUSTOM,
                                                        .has_starts_at = true,
                                                        .starts_at = domain_time(JOURNAL_NOW_MS - 60000),
                                                        .has_expires_at = true,
                                                        .expires_at = domain_time(expires_ms)};
    const struct journal_command command = {
        .caller = {.tenant = ACME, .actor = SLICE_LIT("am"), .role = ROLE_INTEGRATION},
        .intent = place_intent(place, &intent)};
    assert_int_equal(place_command(place, command)->result, JOURNAL_COMMITTED);
}

static void incident(struct place *place, const char *id) {
    const SreDomainIntent intent = place_incident_intent(id);
    assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_COMMITTED);
}

static void table_drop(struct kv_txn *txn, kv_table table) {
    struct fault fault;
    struct kv_cursor *cursor;
    slice key, value;
    CHECK_OK(kv_cursor_open(txn, table, &cursor, &fault));
    fault_code code = kv_cursor_seek(cursor, (slice){0}, &key, &value, &fault);
    while (!code) {
        CHECK_OK(kv_cursor_delete(cursor, &fault));
        code = kv_cursor_next(cursor, &key, &value, &fault);
    }
    kv_cursor_close(cursor);
}

/* As the version of before leaves it: a row of `expiries` is time 8, tenant 4, id. */
static void make_old(struct place *place, const char *due_id, int64_t due_ms) {
    struct fault fault;
    uint8_t key[64];
    place->journal = journal_close(place->journal);
    struct opened_store store = store_begin(place);
    table_drop(store.txn, store.tables.open);
    table_drop(store.txn, store.tables.links);
    table_drop(store.txn, store.tables.expiries);
    table_drop(store.txn, store.tables.upkeep);
    kv_store_u64(key, (uint64_t)due_ms);
    kv_store_u32(key + 8, 1);
    memcpy(key + 12, due_id, strlen(due_id));
    CHECK_OK(kv_put(store.txn, store.tables.expiries, slice_of(key, 12 + strlen(due_id)), ACME, &fault));
    store_end(&store);
}

static size_t open_count(struct place *place, slice type) {
    struct fault fault;
    struct journal_item *items;
    size_t count;
    bool more;
    struct journal_place last;
    CHECK_OK(
        journal_list_open(place->journal, ACME, type, NULL, 100, place->arena, &items, &count, &last, &more, &fault));
    return count;
}

TEST(what_an_old_journal_holds_is_listed_and_expires) {
    struct fault fault;
    struct place *place = place_opened();
    assert_int_equal(place_stats(place).reindexed, 0);
    const SreDomainIntent slo = place_slo_intent("checkout");
    place_give(place, place_intent(place, &slo));
    incident(place, "inc-1");
    incident(place, "inc-2");
    alert_fires(place, "soon", JOURNAL_NOW_MS + 1000);
    alert_fires(place, "late", JOURNAL_NOW_MS + 90000);
    make_old(place, "custom.soon", JOURNAL_NOW_MS + 1000);
    place_open(place);
    assert_int_equal(place_stats(place).reindexed, 4);
    assert_int_equal(open_count(place, SLICE_LIT("incident")), 2);
    assert_int_equal(open_count(place, SLICE_LIT("alert")), 2);
    place->now_ms += 1000;
    size_t submitted;
    CHECK_OK(journal_submit_due(place->journal, 100, &submitted, &fault));
    assert_int_equal(submitted, 1);
    incident(place, "inc-3"); /* behind it in the queue */
    assert_int_equal(open_count(place, SLICE_LIT("alert")), 1);
    place_reopen(place);
    assert_int_equal(place_stats(place).reindexed, 0);
    assert_int_equal(open_count(place, SLICE_LIT("incident")), 3);
    place_free(place);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_an_old_journal_holds_is_listed_and_expires)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
