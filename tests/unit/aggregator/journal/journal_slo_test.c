/* SPDX-License-Identifier: Apache-2.0
 * Budgets in a real journal: random windows, corrections, lengths and restarts against the plain list of what was
 * measured, and against a journal that is never restarted. */
#include "aggregator/journal/hour_table.h"
#include "aggregator/journal/names.h"
#include "aggregator/journal/record.h"
#include "aggregator/journal/slo_rest.h"
#include "tests/unit/aggregator/journal/journal_fixture.h"
#include "tests/unit/aggregator/journal/older_budgets.h"

#define DAY_MS (INT64_C(24) * SLO_HOUR_MS)

static slice window_bytes(struct place *place, const char *slo, int64_t start_s, int32_t seconds, int64_t good,
                          int64_t total, int64_t revision) {
    SreDomainIntent intent = place_window_intent(slo, 0, revision);
    RecordSLIWindowRequested *w = &intent.intent.record_sli_window;
    w->window_start.seconds = start_s;
    w->window_seconds = seconds;
    w->good = good;
    w->total = total;
    return place_intent(place, &intent);
}

static const struct journal_outcome *give_as(struct place *place, const char *agent, slice intent) {
    return place_command(
        place, (struct journal_command){
                   .caller = {.tenant = SLICE_LIT("acme"), .actor = slice_from_text(agent), .role = ROLE_AGENT},
                   .intent = intent});
}

/* ---- random ---- */

enum { WINDOWS_MAX = 4096, STEPS = 1500, SLOS = 4 };

static const struct kind {
    const char *id;
    SLOWindow window;
    double slice_target; /* 0: occurrences */
} kinds[SLOS] = {
    {"rolling", SLO_WINDOW_28D, 0},
    {"month", SLO_WINDOW_CALENDAR_MONTH, 0},
    {"week-slices", SLO_WINDOW_CALENDAR_WEEK, 90},
    {"year", SLO_WINDOW_CALENDAR_YEAR, 0},
};

struct measured {
    int64_t start_s, good, total, revision;
};

struct model {
    struct measured windows[WINDOWS_MAX];
    size_t count;
};

static void counts_by_hand(const struct model *model, const struct kind *kind, int64_t now_ms, int64_t *ret_good,
                           int64_t *ret_total) {
    const int64_t now_hour = now_ms / SLO_HOUR_MS;
    const int period = slo_period_index(kind->window);
    struct slo_span span = {now_hour - 28 * 24 + 1, now_hour + 1};
    if (period >= 0) span = slo_period_span(period, now_hour);
    *ret_good = *ret_total = 0;
    for (size_t i = 0; i < model->count; i++) {
        const struct measured *w = &model->windows[i];
        if (w->start_s / 3600 < span.starts_hour || w->start_s / 3600 >= span.ends_hour) continue;
        const bool slices = kind->slice_target > 0;
        *ret_total += slices ? w->total > 0 : w->total;
        *ret_good += slices ? w->total > 0 && (double)w->good >= (double)w->total * 0.9 : w->good;
    }
}

static void slos_create(struct place *place) {
    for (int i = 0; i < SLOS; i++) {
        SreDomainIntent intent = place_slo_intent(kinds[i].id);
        CreateSLORequested *create = &intent.intent.create_slo;
        create->target = 70;
        create->window = kinds[i].window;
        if (kinds[i].slice_target > 0) create->budgeting_method = BUDGETING_METHOD_TIMESLICES;
        create->time_slice_target = kinds[i].slice_target;
        assert_int_equal(place_give(place, place_intent(place, &intent))->result, JOURNAL_COMMITTED);
    }
}

/* A new window of some minutes of the last 29 days, or a correction of one that may still come. */
static struct measured *window_next(struct model *model, uint64_t *seed, int64_t now_ms) {
    const int64_t oldest_s = (now_ms - 29 * DAY_MS) / 1000;
    if (check_random(seed) % 3 == 0)
        for (int tries = 0; tries < 20 && model->count; tries++) {
            struct measured *w = &model->windows[check_random(seed) % model->count];
            if (w->start_s < oldest_s) continue;
            w->revision++;
            return w;
        }
    int64_t start_s = now_ms / 60000 * 60 - 60 * (int64_t)(check_random(seed) % 60);
    if (check_random(seed) % 4 == 0) start_s -= 60 * (int64_t)(check_random(seed) % (28 * 24 * 60));
    for (size_t i = 0; i < model->count; i++)
        if (model->windows[i].start_s == start_s) {
            model->windows[i].revision++;
            return &model->windows[i];
        }
    assert_true(model->count < WINDOWS_MAX);
    struct measured *w = &model->windows[model->count++];
    *w = (struct measured){.start_s = start_s, .revision = 1};
    return w;
}

static void budget_check(struct place *place, const struct kind *kind, const struct model *model) {
    int64_t good, total;
    counts_by_hand(model, kind, place->now_ms, &good, &total);
    const SLO slo = place_slo(place, kind->id);
    assert_int_equal(slo.budget.total, total);
    assert_int_equal(slo.budget.good, good);
    assert_int_equal(slo.budget.unknown, total == 0);
}

TEST(budgets_are_what_was_measured_whatever_is_corrected_and_restarted) {
    uint64_t seed = check_seed();
    struct place *place = place_opened(), *steady = place_opened();
    struct model *models = calloc(SLOS, sizeof *models);
    slos_create(place);
    slos_create(steady);
    for (int step = 0; step < STEPS; step++) {
        const int64_t pass_ms = check_random(&seed) % 100 == 0 ? (int64_t)(check_random(&seed) % 20) * DAY_MS
                                : check_random(&seed) % 2 == 0 ? (int64_t)(check_random(&seed) % 7200) * 1000
                                                               : 0;
        steady->now_ms = place->now_ms += pass_ms;
        const int s = (int)(check_random(&seed) % SLOS);
        struct measured *w = window_next(&models[s], &seed, place->now_ms);
        w->total = check_random(&seed) % 5 ? (int64_t)(check_random(&seed) % 20) : 0;
        w->good = w->total - (int64_t)(check_random(&seed) % 3 ? 0 : check_random(&seed) % (uint64_t)(w->total + 1));
        const slice bytes = window_bytes(place, kinds[s].id, w->start_s, 60, w->good, w->total, w->revision);
        assert_int_equal(give_as(place, "edge-1", bytes)->result, JOURNAL_COMMITTED);
        assert_int_equal(give_as(steady, "edge-1", bytes)->result, JOURNAL_COMMITTED);
        budget_check(place, &kinds[s], &models[s]);
        if (check_random(&seed) % 20 == 0) place_reopen(place);
    }
    size_t count, steady_count;
    const struct fact_view *facts = place_facts(place, &count), *steady_facts = place_facts(steady, &steady_count);
    assert_int_equal(count, steady_count);
    assert_true(count > STEPS + SLOS); /* some exhausted a budget */
    for (size_t i = 0; i < count; i++) assert_int_equal(facts[i].fact_number, steady_facts[i].fact_number);
    for (int i = 0; i < SLOS; i++) {
        const SLO slo = place_slo(place, kinds[i].id), same = place_slo(steady, kinds[i].id);
        assert_int_equal(slo.budget.exhausted, same.budget.exhausted);
        assert_int_equal(slo.budget.exhausted_at.seconds, same.budget.exhausted_at.seconds);
        for (size_t k = 0; k < SLO_ROLLING; k++)
            assert_int_equal(slo.budget.windows.items[k].total, same.budget.windows.items[k].total);
    }
    place_verify_versions(place);
    free(models);
    place_free(place);
    place_free(steady);
}

/* ---- lengths ---- */

static fault_code length_change(struct place *place, int32_t seconds) {
    const SLO slo = place_slo(place, "checkout");
    SreDomainIntent intent = {.which_intent = SreDomainIntent_update_slo_tag};
    intent.intent.update_slo = (UpdateSLORequested){.slo_id = slo.slo_id,
                                                    .name = slo.name,
                                                    .target = slo.target,
                                                    .window = slo.window,
                                                    .has_sli_spec = true,
                                                    .sli_spec = slo.sli_spec};
    intent.intent.update_slo.sli_spec.window_seconds = seconds;
    return place_give(place, place_intent(place, &intent))->fault.code;
}

/* Each moment of each agent is counted at most once: windows that were taken never share one. */
TEST(windows_that_were_taken_never_overlap_whatever_lengths_they_have) {
    static const int32_t lengths[] = {60, 300, 20, 900, 3600};
    uint64_t seed = check_seed();
    enum { SPAN_S = 4 * 3600, MOMENTS = SPAN_S / 20, EDGES = 2 };
    static const char *const agents[EDGES] = {"edge-1", "edge-2"};
    static uint8_t taken[EDGES][MOMENTS];
    memset(taken, 0, sizeof taken);
    struct place *place = place_opened();
    SreDomainIntent create = place_slo_intent("checkout");
    assert_int_equal(place_give(place, place_intent(place, &create))->result, JOURNAL_COMMITTED);
    const int64_t base_s = JOURNAL_NOW_MS / 1000 - SPAN_S;
    int64_t total = 0;
    int taken_count = 0, refused_count = 0;
    for (int step = 0; step < 1500; step++) {
        const int newest = step / 300; /* lengths[newest] is asked for now */
        if (step % 300 == 0 && newest) assert_int_equal(length_change(place, lengths[newest]), FAULT_NONE);
        const int32_t seconds = lengths[check_random(&seed) % (uint64_t)(newest + 1)];
        const int agent = (int)(check_random(&seed) % EDGES);
        const int64_t at_s = (int64_t)(check_random(&seed) % SPAN_S) / seconds * seconds;
        bool is_free = true;
        for (int64_t m = at_s / 20; m < (at_s + seconds) / 20; m++) is_free &= !taken[agent][m];
        const struct journal_outcome *outcome =
            give_as(place, agents[agent], window_bytes(place, "checkout", base_s + at_s, seconds, 1, 1, 1));
        if (outcome->result == JOURNAL_REPEATED) continue; /* the same window */
        assert_int_equal(outcome->result, is_free ? JOURNAL_COMMITTED : JOURNAL_REFUSED);
        taken_count += is_free;
        refused_count += !is_free;
        if (!is_free) continue;
        memset(&taken[agent][at_s / 20], 1, (size_t)seconds / 20);
        total++;
        if (check_random(&seed) % 50 == 0) place_reopen(place);
    }
    assert_int_equal(place_slo(place, "checkout").budget.total, total);
    assert_true(taken_count > 100 && refused_count > 100);
    place_free(place);
}

static struct opened_store store_open(struct place *place) {
    place->journal = journal_close(place->journal);
    return store_begin(place);
}

static void store_close(struct place *place, struct opened_store *store) {
    store_end(store);
    place_open(place);
}

/* A journal from before there were calendar windows has no record of periods: they begin with what its hours hold. */
TEST(periods_that_are_not_stored_begin_with_the_hours_that_are) {
    struct fault fault;
    struct place *place = place_opened();
    SreDomainIntent create = place_slo_intent("checkout");
    create.intent.create_slo.window = SLO_WINDOW_CALENDAR_MONTH;
    assert_int_equal(place_give(place, place_intent(place, &create))->result, JOURNAL_COMMITTED);
    const int64_t now_s = JOURNAL_NOW_MS / 1000;
    for (int day = 0; day < 20; day++) /* of which 15 are in January */
        assert_int_equal(
            give_as(place, "edge-1", window_bytes(place, "checkout", now_s - day * 86400, 60, 10, 10, 1))->result,
            JOURNAL_COMMITTED);
    assert_int_equal(place_slo(place, "checkout").budget.total, 150);

    struct opened_store store = store_open(place);
    struct kv_txn *txn = store.txn;
    const struct journal_tables tables = store.tables;
    struct kv_cursor *cursor;
    slice key, value;
    CHECK_OK(kv_cursor_open(txn, tables.budgets, &cursor, &fault));
    CHECK_OK(kv_cursor_seek(cursor, (slice){0}, &key, &value, &fault));
    assert_int_equal(key.size, 8);
    CHECK_OK(kv_cursor_delete(cursor, &fault));
    kv_cursor_close(cursor);
    store_close(place, &store);

    assert_int_equal(give_as(place, "edge-1", window_bytes(place, "checkout", now_s - 60, 60, 7, 7, 1))->result,
                     JOURNAL_COMMITTED);
    assert_int_equal(place_slo(place, "checkout").budget.total, 157);
    place_free(place);
}

static uint64_t hour_records(struct place *place) {
    struct fault fault;
    uint64_t count;
    struct opened_store store = store_open(place);
    CHECK_OK(kv_table_count(store.txn, store.tables.hours, &count, &fault));
    store_close(place, &store);
    return count;
}

/* What many windows change lies beside the budget; an hour goes into its own table when four others were changed since. */
TEST(an_hour_is_stored_by_itself_when_others_are_counted) {
    struct place *place = place_opened();
    slos_create(place);
    const int64_t now_s = JOURNAL_NOW_MS / 1000;
    for (int window = 0; window < 4 * 60; window++) /* four hours at most, when the first begins with its hour */
        give_as(place, "edge-1", window_bytes(place, "rolling", now_s / 3600 * 3600 - window * 60 - 60, 60, 1, 1, 1));
    assert_int_equal(hour_records(place), 0);
    for (int hour = 5; hour < 15; hour++)
        give_as(place, "edge-1", window_bytes(place, "rolling", now_s / 3600 * 3600 - hour * 3600, 60, 1, 1, 1));
    assert_int_equal(hour_records(place), 10);
    assert_int_equal(place_slo(place, "rolling").budget.total, 250);
    give_as(place, "edge-1", window_bytes(place, "rolling", now_s / 3600 * 3600 - 60, 60, 1, 2, 2)); /* a correction */
    assert_int_equal(place_slo(place, "rolling").budget.total, 251);
    place_reopen(place);
    give_as(place, "edge-1", window_bytes(place, "rolling", now_s / 3600 * 3600 - 120, 60, 1, 2, 2));
    assert_int_equal(place_slo(place, "rolling").budget.total, 252);
    place_free(place);
}

static void a_budget_of_an_older_schema_is_read_and_counted_on(uint8_t schema) {
    struct fault fault;
    struct place *place = place_opened();
    slos_create(place);
    const int64_t now_s = JOURNAL_NOW_MS / 1000;
    for (int hour = 0; hour < 6; hour++)
        give_as(place, "edge-1", window_bytes(place, "rolling", now_s - hour * 3600, 60, 10, 10, 1));

    struct opened_store store = store_open(place);
    struct names *names = names_new(store.tables.names);
    uint32_t tenant, slo;
    assert_non_null(names);
    CHECK_OK(names_number(names, store.txn, NAMES_TENANT, 0, SLICE_LIT("acme"), &tenant, &fault));
    CHECK_OK(names_number(names, store.txn, NAMES_SLO, tenant, SLICE_LIT("rolling"), &slo, &fault));
    names_free(names);
    older_budget_put(&store.tables, store.txn, tenant, slo, schema, place->arena);
    store_close(place, &store);

    for (int again = 0; again < 2; again++) {
        give_as(place, "edge-1", window_bytes(place, "rolling", now_s - 120 - again * 60, 60, 7, 7, 1));
        assert_int_equal(place_slo(place, "rolling").budget.total, 67 + 7 * again);
        place_reopen(place);
    }
    assert_int_equal(hour_records(place), schema == 1 ? 6 : 3);
    place_free(place);
}

TEST(a_budget_of_schema_1_is_read_and_counted_on) {
    a_budget_of_an_older_schema_is_read_and_counted_on(1);
}

TEST(a_budget_of_schema_3_is_read_and_counted_on) {
    a_budget_of_an_older_schema_is_read_and_counted_on(3);
}

TEST(a_budget_keeps_whatever_numbers_it_has) {
    static const int64_t numbers[] = {0, 1, 127, 128, 1 << 20, INT64_C(1) << 40, INT64_MAX, -1, INT64_MIN};
    enum { COUNT = sizeof numbers / sizeof *numbers };
    struct fault fault;
    struct place *place = place_opened();
    struct opened_store store = store_open(place);
    for (int turn = 0; turn < COUNT; turn++) {
        struct slo_state kept = {.definition.window = SLO_WINDOW_CALENDAR_MONTH}, found = kept;
        struct slo_recent recent[SLO_RECENT_HOURS] = {{0}}, recent_found[SLO_RECENT_HOURS];
        for (int i = 0; i < SLO_PERIODS; i++) {
            kept.budget.periods[i].span = slo_period_span(i, 490000 + turn);
            kept.budget.periods[i].present =
                (struct slo_counts){numbers[(turn + i) % COUNT], numbers[(turn + i + 1) % COUNT], 0, numbers[turn]};
        }
        kept.lengths[1] = (struct slo_length){.seconds = 60 * turn, .until_ms = numbers[turn]};
        recent[2] = (struct slo_recent){.used = true, .hour = turn, .counts = {.total = numbers[turn]}};
        CHECK_OK(slo_rest_put(store.tables.budgets, store.txn, 1, 1, &kept, recent, &fault));
        CHECK_OK(slo_rest_get(store.tables.budgets, store.txn, 1, 1, &found, recent_found, &fault));
        assert_memory_equal(&found.budget.periods, &kept.budget.periods, sizeof kept.budget.periods);
        assert_memory_equal(&found.lengths, &kept.lengths, sizeof kept.lengths);
        for (int i = 0; i < SLO_RECENT_HOURS; i++) {
            assert_int_equal(recent_found[i].used, recent[i].used);
            if (!recent[i].used) continue;
            assert_int_equal(recent_found[i].hour, recent[i].hour);
            assert_memory_equal(&recent_found[i].counts, &recent[i].counts, sizeof recent[i].counts);
        }
    }
    store_close(place, &store);
    place_free(place);
}

TEST(a_budget_that_does_not_hold_its_numbers_is_called_damaged) {
    struct fault fault;
    struct place *place = place_opened();
    struct opened_store store = store_open(place);
    uint8_t key[8], record[64] = {0};
    kv_store_u32(key, 1);
    kv_store_u32(key + 4, 1);
    /* Too short for its bits; a bit without a number; numbers without a bit; a number of more than 64 bits. */
    static const struct {
        size_t size;
        uint8_t first_bits, rest;
    } bodies[] = {{3, 0, 0}, {9, 1, 0}, {12, 1, 1}, {9 + 12, 1, 0x80}};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct slo_state found = {0};
        struct slo_recent recent[SLO_RECENT_HOURS];
        memset(record + 5, 0, 9);
        record[5] = bodies[i].first_bits;
        memset(record + 14, bodies[i].rest, sizeof record - 14);
        record_seal_keyed(record, 5 + bodies[i].size, 4, slice_of(key, sizeof key));
        CHECK_OK(kv_put(store.txn, store.tables.budgets, slice_of(key, sizeof key),
                        slice_of(record, 5 + bodies[i].size), &fault));
        CHECK_FAULT(slo_rest_get(store.tables.budgets, store.txn, 1, 1, &found, recent, &fault), FAULT_CORRUPT);
    }
    store_close(place, &store);
    place_free(place);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(budgets_are_what_was_measured_whatever_is_corrected_and_restarted),
        cmocka_unit_test(windows_that_were_taken_never_overlap_whatever_lengths_they_have),
        cmocka_unit_test(periods_that_are_not_stored_begin_with_the_hours_that_are),
        cmocka_unit_test(an_hour_is_stored_by_itself_when_others_are_counted),
        cmocka_unit_test(a_budget_of_schema_1_is_read_and_counted_on),
        cmocka_unit_test(a_budget_of_schema_3_is_read_and_counted_on),
        cmocka_unit_test(a_budget_keeps_whatever_numbers_it_has),
        cmocka_unit_test(a_budget_that_does_not_hold_its_numbers_is_called_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
