/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregator/journal/index_table.h"

#include "tests/unit/aggregator/journal/journal_fixture.h"

struct index_place {
    char path[64];
    struct kv *kv;
    kv_table table;
    struct kv_txn *txn;
    struct arena *arena;
};

static struct index_place place_begin(void) {
    struct fault fault;
    struct index_place place = {.path = "/tmp/picket-index-XXXXXX"};
    assert_non_null(mkdtemp(place.path));
    const struct kv_settings settings = {
        .path = place.path, .map_bytes = 1 << 20, .tables_max = 1, .readers_max = 4, .sync = KV_SYNC_NONE};
    CHECK_OK(kv_open(&settings, &place.kv, &fault));
    CHECK_OK(kv_table_open(place.kv, "t", &place.table, &fault));
    CHECK_OK(kv_begin_write(place.kv, &place.txn, &fault));
    place.arena = arena_new(4096, 1 << 20);
    return place;
}

static void place_end(struct index_place *place) {
    char command[128];
    kv_abort(place->txn);
    kv_close(place->kv);
    arena_free(place->arena);
    snprintf(command, sizeof command, "rm -rf '%s'", place->path);
    assert_int_equal(system(command), 0);
}

TEST(open_ones_are_listed_newest_first_page_by_page) {
    struct fault fault;
    struct index_place p = place_begin();
    static const struct {
        int64_t since_ms;
        const char *id;
    } rows[] = {{-5, "before-1970"}, {20, "b"}, {20, "a"}, {10, "old"}, {INT64_MAX, "far"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_OK(
            open_put(p.table, p.txn, 7, AGGREGATE_INCIDENT, rows[i].since_ms, slice_from_text(rows[i].id), &fault));
    CHECK_OK(open_put(p.table, p.txn, 7, AGGREGATE_ALERT, 15, SLICE_LIT("another kind"), &fault));
    CHECK_OK(open_put(p.table, p.txn, 8, AGGREGATE_INCIDENT, 15, SLICE_LIT("another tenant"), &fault));
    static const char *const expected[] = {"far", "a", "b", "old", "before-1970"};
    struct open_place last, found[2];
    size_t count, at = 0;
    do {
        CHECK_OK(
            open_list(p.table, p.txn, 7, AGGREGATE_INCIDENT, at ? &last : NULL, 2, p.arena, found, &count, &fault));
        for (size_t i = 0; i < count; i++) assert_true(slice_equal_text(found[i].id, expected[at++]));
        if (count) last = found[count - 1];
    } while (count);
    assert_int_equal(at, 5);
    assert_int_equal(last.since_ms, -5);
    place_end(&p);
}

TEST(one_that_is_closed_is_not_listed) {
    struct fault fault;
    struct index_place p = place_begin();
    struct open_place found[4];
    size_t count;
    CHECK_OK(open_put(p.table, p.txn, 7, AGGREGATE_INCIDENT, 1, SLICE_LIT("x"), &fault));
    CHECK_OK(open_delete(p.table, p.txn, 7, AGGREGATE_INCIDENT, 1, SLICE_LIT("x"), &fault));
    CHECK_OK(open_delete(p.table, p.txn, 7, AGGREGATE_INCIDENT, 1, SLICE_LIT("x"), &fault));
    CHECK_OK(open_list(p.table, p.txn, 7, AGGREGATE_INCIDENT, NULL, 4, p.arena, found, &count, &fault));
    assert_int_equal(count, 0);
    place_end(&p);
}

TEST(who_points_to_an_aggregate_is_named_and_nobody_else) {
    struct fault fault;
    struct index_place p = place_begin();
    slice ids[4];
    size_t count;
    CHECK_OK(link_put(p.table, p.txn, 7, AGGREGATE_SERVICE, SLICE_LIT("db"), SLICE_LIT("shop"), &fault));
    CHECK_OK(link_put(p.table, p.txn, 7, AGGREGATE_SERVICE, SLICE_LIT("db"), SLICE_LIT("cart"), &fault));
    CHECK_OK(link_put(p.table, p.txn, 7, AGGREGATE_SERVICE, SLICE_LIT("db2"), SLICE_LIT("other"), &fault));
    CHECK_OK(link_put(p.table, p.txn, 8, AGGREGATE_SERVICE, SLICE_LIT("db"), SLICE_LIT("foreign"), &fault));
    CHECK_OK(link_sources(p.table, p.txn, 7, AGGREGATE_SERVICE, SLICE_LIT("db"), 4, p.arena, ids, &count, &fault));
    assert_int_equal(count, 2);
    assert_true(slice_equal_text(ids[0], "cart") && slice_equal_text(ids[1], "shop"));
    CHECK_OK(link_sources(p.table, p.txn, 7, AGGREGATE_SERVICE, SLICE_LIT("db"), 1, p.arena, ids, &count, &fault));
    assert_int_equal(count, 1);
    CHECK_OK(link_delete(p.table, p.txn, 7, AGGREGATE_SERVICE, SLICE_LIT("db"), SLICE_LIT("cart"), &fault));
    CHECK_OK(link_sources(p.table, p.txn, 7, AGGREGATE_SERVICE, SLICE_LIT("db"), 4, p.arena, ids, &count, &fault));
    assert_int_equal(count, 1);
    place_end(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_ones_are_listed_newest_first_page_by_page),
        cmocka_unit_test(one_that_is_closed_is_not_listed),
        cmocka_unit_test(who_points_to_an_aggregate_is_named_and_nobody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
