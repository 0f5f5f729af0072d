/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/window/fold.h"
#include "tests/support/check.h"

#include <stdio.h>

/* Targets of 15 s, one SLI for each by its name, windows of 60 s, beginning at 1,000 minutes. */
#define START_MS (1000 * INT64_C(60000))
enum { TARGETS = 3, INTERVAL_MS = 15000, TEXT_BYTES = 64 * 1024 };

struct table {
    struct sli *slis[TARGETS];
    struct fold *fold;
    struct selector_index *indexes[TARGETS];
    struct exposition *exposition;
    struct sli_window windows[TARGETS * 64];
    size_t count;
    char text[TEXT_BYTES];
};

static const slice names[TARGETS] = {SLICE_LIT("evil"), SLICE_LIT("good"), SLICE_LIT("late")};

static void table_init(struct table *table, size_t series_max) {
    struct fault fault;
    struct fold_target targets[TARGETS];
    memset(table, 0, sizeof *table);
    for (size_t i = 0; i < TARGETS; i++) {
        const struct sli_definition definition = {.slo_id = names[i],
                                                  .kind = SLI_RATIO_GOOD,
                                                  .good = SLICE_LIT("r{ok=\"1\"}"),
                                                  .total = SLICE_LIT("r"),
                                                  .targets = &names[i],
                                                  .targets_count = 1,
                                                  .window_seconds = 60};
        CHECK_OK(sli_new(&definition, &table->slis[i], &fault));
        targets[i] = (struct fold_target){names[i], false, INTERVAL_MS, 0, 10000};
    }
    const struct fold_settings settings = {
        .series_max = series_max, .series_forget_ms = 3600000, .gap_windows_max = 10};
    CHECK_OK(fold_new(&settings, targets, TARGETS, (const struct sli *const *)table->slis, TARGETS, START_MS,
                      &table->fold, &fault));
    for (size_t i = 0; i < TARGETS; i++) {
        table->indexes[i] = selector_index_new();
        CHECK_OK(fold_attach(table->fold, i, table->indexes[i], &fault));
        CHECK_OK(selector_index_ready(table->indexes[i], &fault));
    }
    table->exposition = exposition_new();
}

static void table_done(struct table *table) {
    fold_free(table->fold);
    exposition_free(table->exposition);
    for (size_t i = 0; i < TARGETS; i++) {
        selector_index_free(table->indexes[i]);
        sli_free(table->slis[i]);
    }
}

/* Shows so many series of each part, all at one value. */
static void stage(struct table *table, size_t target, int64_t slot_ms, unsigned series, unsigned value) {
    struct fault fault;
    size_t used = 0;
    for (unsigned i = 0; i < series; i++)
        used += (size_t)snprintf(table->text + used, TEXT_BYTES - used, "r{ok=\"1\",user=\"%u\"} %u\n", i, value);
    CHECK_OK(fold_begin(table->fold, target, slot_ms, &fault));
    const struct exposition_sink sink = {selector_index_find_name, selector_index_on_sample, table->indexes[target]};
    exposition_begin(table->exposition, EXPOSITION_TEXT, &sink);
    CHECK_OK(exposition_feed(table->exposition, slice_of(table->text, used), &fault));
    CHECK_OK(exposition_end(table->exposition, &fault));
}

static fault_code scrape(struct table *table, size_t target, int64_t slot_ms, unsigned series, unsigned value,
                         struct fault *reterr) {
    stage(table, target, slot_ms, series, value);
    return fold_commit(table->fold, target, slot_ms, reterr);
}

static const struct sli_window *sealed(struct table *table, size_t target, int64_t start_ms) {
    for (size_t i = 0; i < table->count; i++)
        if (slice_equal(table->windows[i].slo_id, names[target]) && table->windows[i].window_start_ms == start_ms)
            return &table->windows[i];
    fail();
    return NULL;
}

static void seal(struct table *table, int64_t now_ms) {
    fold_seal_begin(table->fold, now_ms, table->windows, TARGETS * 64, &table->count);
    if (table->count) fold_seal_commit(table->fold);
}

TEST(an_explosion_of_labels_darkens_itself_and_nobody_that_comes_later) {
    struct table t;
    struct fault fault;
    table_init(&t, 40);
    CHECK_FAULT(scrape(&t, 0, START_MS, 500, 1, &fault), FAULT_LIMIT);
    assert_non_null(strstr(fault.text, "1000 series"));
    assert_non_null(strstr(fault.text, "fold.series_max"));
    /* Its first scrape says what it asks for, from the second on it counts. */
    CHECK_FAULT(scrape(&t, 1, START_MS, 1, 1, &fault), FAULT_LIMIT);
    for (int slot = 1; slot < 8; slot++) {
        const int64_t slot_ms = START_MS + slot * INTERVAL_MS;
        CHECK_FAULT(scrape(&t, 0, slot_ms, 500, 1, &fault), FAULT_LIMIT);
        CHECK_OK(scrape(&t, 1, slot_ms, 1, (unsigned)slot * 10, &fault));
    }
    struct fold_stats stats;
    fold_stats(t.fold, &stats);
    assert_int_equal(stats.series_taken, 2);
    assert_int_equal(stats.series, 40);
    seal(&t, START_MS + 120000);
    assert_int_equal(sealed(&t, 1, START_MS)->scrapes_seen, 3);
    assert_int_equal(sealed(&t, 1, START_MS)->total, 20);
    assert_int_equal(sealed(&t, 1, START_MS + 60000)->scrapes_seen, 4);
    assert_int_equal(sealed(&t, 1, START_MS + 60000)->total, 40);
    assert_int_equal(sealed(&t, 0, START_MS + 60000)->scrapes_seen, 0);
    table_done(&t);
}

TEST(who_gave_way_is_not_seen_once_and_then_counts_again_where_there_is_room) {
    struct table t;
    struct fault fault;
    table_init(&t, 40);
    CHECK_OK(scrape(&t, 0, START_MS, 20, 1, &fault)); /* all of it */
    CHECK_FAULT(scrape(&t, 1, START_MS, 1, 1, &fault), FAULT_LIMIT);
    CHECK_OK(scrape(&t, 1, START_MS + INTERVAL_MS, 1, 1, &fault));
    /* Smaller now: what it shows would fit, but what went has lost its increases. */
    CHECK_FAULT(scrape(&t, 0, START_MS + INTERVAL_MS, 19, 5, &fault), FAULT_LIMIT);
    assert_non_null(strstr(fault.text, "gave way"));
    CHECK_OK(scrape(&t, 0, START_MS + 2 * INTERVAL_MS, 19, 6, &fault));
    seal(&t, START_MS + 60000);
    assert_int_equal(sealed(&t, 0, START_MS)->scrapes_seen, 2);
    table_done(&t);
}

TEST(nobody_is_darkened_for_one_who_asks_for_more_than_a_share) {
    struct table t;
    struct fault fault;
    table_init(&t, 40);
    CHECK_OK(scrape(&t, 0, START_MS, 10, 1, &fault));
    CHECK_OK(scrape(&t, 1, START_MS, 7, 1, &fault));
    for (int slot = 0; slot < 4; slot++) {
        const int64_t slot_ms = START_MS + slot * INTERVAL_MS;
        CHECK_FAULT(scrape(&t, 2, slot_ms, 10, 1, &fault), FAULT_LIMIT);
        if (slot == 0) continue;
        CHECK_OK(scrape(&t, 0, slot_ms, 10, 2, &fault));
        CHECK_OK(scrape(&t, 1, slot_ms, 7, 2, &fault));
    }
    table_done(&t);
}

TEST(who_is_dark_anyway_gives_way_first_also_while_it_is_being_scraped) {
    struct table t;
    struct fault fault;
    table_init(&t, 60);
    CHECK_OK(scrape(&t, 1, START_MS, 12, 1, &fault)); /* 24: more than a share of 20 */
    CHECK_FAULT(scrape(&t, 0, START_MS, 500, 1, &fault), FAULT_LIMIT);
    CHECK_FAULT(scrape(&t, 2, START_MS, 5, 1, &fault), FAULT_LIMIT);
    stage(&t, 0, START_MS + INTERVAL_MS, 500, 2);
    CHECK_OK(scrape(&t, 2, START_MS + INTERVAL_MS, 5, 1, &fault));
    CHECK_FAULT(fold_commit(t.fold, 0, START_MS + INTERVAL_MS, &fault), FAULT_LIMIT);
    CHECK_OK(scrape(&t, 1, START_MS + INTERVAL_MS, 12, 2, &fault));
    CHECK_OK(scrape(&t, 2, START_MS + 2 * INTERVAL_MS, 5, 2, &fault));
    table_done(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_explosion_of_labels_darkens_itself_and_nobody_that_comes_later),
        cmocka_unit_test(who_gave_way_is_not_seen_once_and_then_counts_again_where_there_is_room),
        cmocka_unit_test(nobody_is_darkened_for_one_who_asks_for_more_than_a_share),
        cmocka_unit_test(who_is_dark_anyway_gives_way_first_also_while_it_is_being_scraped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
