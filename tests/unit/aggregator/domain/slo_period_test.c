/* SPDX-License-Identifier: Apache-2.0
 * Calendar windows, time slices, and what a definition may change into. DOMAIN_NOW_MS is 2027-01-15 08:00 UTC. */
#include "aggregator/domain/slo_state.h"

#include <math.h>

#include "tests/unit/aggregator/domain/domain_fixture.h"

enum { HOUR_S = 3600, DAY_S = 24 * HOUR_S };
#define NOW_S (DOMAIN_NOW_MS / 1000)
#define JANUARY_S INT64_C(1798761600) /* 2027-01-01 */
#define FEBRUARY_S (JANUARY_S + INT64_C(31) * DAY_S)
#define MARCH_S (FEBRUARY_S + INT64_C(28) * DAY_S)

static CreateSLORequested *create_intent(struct world *w, double target, SLOWindow window) {
    CreateSLORequested *create = &world_intent(w, SreDomainIntent_create_slo_tag)->intent.create_slo;
    create->slo_id = w->aggregate.id;
    create->name = SLICE_LIT("Checkout answers");
    create->target = target;
    create->window = window;
    create->has_sli_spec = true;
    create->sli_spec.which_kind = SLISpec_counter_ratio_tag;
    create->sli_spec.kind.counter_ratio.total_selector = SLICE_LIT("total");
    create->sli_spec.kind.counter_ratio.good_selector = SLICE_LIT("good");
    return create;
}

static struct world *slo(double target, SLOWindow window, double time_slice_target) {
    struct world *w = world_new(AGGREGATE_SLO, SLICE_LIT("checkout"));
    CreateSLORequested *create = create_intent(w, target, window);
    if (time_slice_target > 0) create->budgeting_method = BUDGETING_METHOD_TIMESLICES;
    create->time_slice_target = time_slice_target;
    assert_int_equal(world_give(w), FAULT_NONE);
    return w;
}

static UpdateSLORequested *update_intent(struct world *w) {
    const SLO *now = &w->slo.definition;
    UpdateSLORequested *update = &world_intent(w, SreDomainIntent_update_slo_tag)->intent.update_slo;
    *update = (UpdateSLORequested){.slo_id = w->aggregate.id,
                                   .name = now->name,
                                   .target = now->target,
                                   .window = now->window,
                                   .has_sli_spec = true,
                                   .sli_spec = now->sli_spec,
                                   .budgeting_method = now->budgeting_method,
                                   .time_slice_target = now->time_slice_target};
    update->agents.items = now->agents.items;
    update->agents.count = now->agents.count;
    return update;
}

static fault_code record_of(struct world *w, int64_t start_s, int32_t seconds, int64_t good, int64_t total,
                            int64_t revision) {
    world_intent(w, SreDomainIntent_record_sli_window_tag)->intent.record_sli_window =
        (RecordSLIWindowRequested){.slo_id = w->aggregate.id,
                                   .cluster_id = SLICE_LIT("north"),
                                   .has_window_start = true,
                                   .window_start = {.seconds = start_s},
                                   .window_seconds = seconds,
                                   .good = good,
                                   .total = total,
                                   .scrapes_expected = 4,
                                   .scrapes_seen = 4,
                                   .revision = revision};
    return world_give(w);
}

static fault_code record(struct world *w, int64_t start_s, int64_t good, int64_t total) {
    return record_of(w, start_s, 60, good, total, 1);
}

/* What the window said before; w->window goes on saying it. */
static void stored(struct world *w, int64_t good, int64_t total, int64_t revision) {
    w->window = (struct sli_window_stored){.good = good,
                                           .total = total,
                                           .scrapes_expected = 4,
                                           .scrapes_seen = 4,
                                           .revision = revision,
                                           .window_seconds = 60};
}

static SLOBudget report(struct world *w) {
    static SLOBudgetWindow windows[SLO_ROLLING];
    SLOBudget budget;
    slo_budget_report(&w->slo, w->call.now_ms, windows, &budget);
    return budget;
}

static void now_is(struct world *w, int64_t second) {
    w->call.now_ms = second * 1000;
}

static bool said_exhausted(const struct world *w) {
    for (size_t i = 0; i < w->facts.count; i++)
        if (w->facts.items[i].which_fact == SreDomainFact_slo_budget_exhausted_tag) return true;
    return false;
}

/* ---- calendar windows ---- */

TEST(a_calendar_budget_says_its_period) {
    static const struct {
        SLOWindow window;
        int64_t starts_s, ends_s;
    } rows[] = {
        {SLO_WINDOW_CALENDAR_WEEK, JANUARY_S + INT64_C(10) * DAY_S, JANUARY_S + INT64_C(17) * DAY_S},
        {SLO_WINDOW_CALENDAR_MONTH, JANUARY_S, FEBRUARY_S},
        {SLO_WINDOW_CALENDAR_QUARTER, JANUARY_S, MARCH_S + INT64_C(31) * DAY_S},
        {SLO_WINDOW_CALENDAR_YEAR, JANUARY_S, JANUARY_S + INT64_C(365) * DAY_S},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world *w = slo(90, rows[i].window, 0);
        const SLOBudget budget = report(w);
        assert_true(budget.unknown);
        assert_int_equal(budget.period_starts_at.seconds, rows[i].starts_s);
        assert_int_equal(budget.period_ends_at.seconds, rows[i].ends_s);
        assert_int_equal(budget.windows.count, SLO_ROLLING);
        world_free(w);
    }
    struct world *w = slo(90, SLO_WINDOW_30D, 0);
    assert_false(report(w).has_period_starts_at);
    assert_false(report(w).has_period_ends_at);
    world_free(w);
}

TEST(a_period_ends_and_the_next_begins_without_anything) {
    struct world *w = slo(90, SLO_WINDOW_CALENDAR_MONTH, 0);
    now_is(w, FEBRUARY_S - 60);
    assert_int_equal(record(w, FEBRUARY_S - 120, 95, 100), FAULT_NONE);
    assert_int_equal(record(w, JANUARY_S + INT64_C(20) * DAY_S, 5, 100), FAULT_NONE);
    SLOBudget budget = report(w);
    assert_int_equal(budget.good, 100);
    assert_int_equal(budget.total, 200);
    now_is(w, FEBRUARY_S);
    budget = report(w);
    assert_true(budget.unknown);
    assert_int_equal(budget.total, 0);
    assert_int_equal(budget.period_starts_at.seconds, FEBRUARY_S);
    assert_int_equal(budget.windows.items[2].total, 200); /* 30 days roll on */
    assert_int_equal(record(w, FEBRUARY_S, 10, 10), FAULT_NONE);
    budget = report(w);
    assert_int_equal(budget.total, 10);
    assert_true(budget.current_budget_remaining == 100);
    world_free(w);
}

TEST(a_late_window_of_an_earlier_period_does_not_touch_the_present_one) {
    struct world *w = slo(90, SLO_WINDOW_CALENDAR_MONTH, 0);
    now_is(w, FEBRUARY_S + 60);
    assert_int_equal(record(w, FEBRUARY_S, 10, 10), FAULT_NONE);
    assert_int_equal(record(w, FEBRUARY_S - 60, 0, 1000), FAULT_NONE);
    assert_false(said_exhausted(w));
    assert_int_equal(report(w).total, 10);
    stored(w, 0, 1000, 1);
    assert_int_equal(record_of(w, FEBRUARY_S - 60, 60, 500, 1000, 2), FAULT_NONE); /* nor does its correction */
    assert_int_equal(report(w).total, 10);
    assert_int_equal(report(w).good, 10);
    world_free(w);
}

TEST(a_window_from_a_clock_that_is_ahead_counts_in_the_period_that_it_begins_in) {
    struct world *w = slo(90, SLO_WINDOW_CALENDAR_MONTH, 0);
    now_is(w, FEBRUARY_S - 120);
    assert_int_equal(record(w, FEBRUARY_S + 60, 7, 7), FAULT_NONE);
    assert_int_equal(record(w, FEBRUARY_S - 180, 20, 20), FAULT_NONE);
    assert_int_equal(report(w).total, 20);
    stored(w, 7, 7, 1);
    assert_int_equal(record_of(w, FEBRUARY_S + 60, 60, 8, 9, 2), FAULT_NONE);
    assert_int_equal(report(w).total, 20);
    now_is(w, FEBRUARY_S);
    assert_int_equal(report(w).good, 8);
    assert_int_equal(report(w).total, 9);
    /* Two months later it is history, whether or not anything came in between. */
    now_is(w, MARCH_S);
    assert_true(report(w).unknown);
    world_free(w);
}

TEST(exhaustion_is_said_once_a_period_and_a_new_period_rearms) {
    struct world *w = slo(90, SLO_WINDOW_CALENDAR_MONTH, 0);
    assert_int_equal(record(w, NOW_S - 60, 80, 100), FAULT_NONE);
    assert_true(said_exhausted(w));
    const SLOBudget *said = &w->facts.items[1].fact.slo_budget_exhausted.budget;
    assert_int_equal(said->total, 100);
    assert_int_equal(said->period_starts_at.seconds, JANUARY_S);
    assert_int_equal(said->period_ends_at.seconds, FEBRUARY_S);
    assert_true(report(w).exhausted);
    assert_int_equal(record(w, NOW_S - 120, 10000, 10000), FAULT_NONE);
    assert_false(report(w).exhausted); /* within the target again */
    assert_int_equal(record(w, NOW_S - 180, 0, 10000), FAULT_NONE);
    assert_false(said_exhausted(w)); /* it was, in January */
    assert_true(report(w).exhausted);
    assert_int_equal(domain_ms(report(w).exhausted_at), DOMAIN_NOW_MS);
    now_is(w, FEBRUARY_S);
    assert_false(report(w).exhausted);
    assert_int_equal(record(w, FEBRUARY_S, 0, 1), FAULT_NONE);
    assert_true(said_exhausted(w));
    assert_int_equal(domain_ms(report(w).exhausted_at), FEBRUARY_S * 1000);
    world_free(w);
}

TEST(what_was_said_of_january_does_not_silence_a_february_that_began_badly) {
    struct world *w = slo(90, SLO_WINDOW_CALENDAR_MONTH, 0);
    assert_int_equal(record(w, NOW_S - 60, 0, 100), FAULT_NONE);
    assert_true(said_exhausted(w));
    now_is(w, FEBRUARY_S - 60);
    assert_int_equal(record(w, FEBRUARY_S + 60, 0, 100), FAULT_NONE); /* counted ahead */
    assert_false(said_exhausted(w));
    now_is(w, FEBRUARY_S + 120);
    assert_int_equal(record(w, FEBRUARY_S, 10, 10), FAULT_NONE);
    assert_true(said_exhausted(w));
    world_free(w);
}

TEST(a_definition_that_the_counts_fulfil_rearms_within_the_period) {
    struct world *w = slo(90, SLO_WINDOW_CALENDAR_MONTH, 0);
    assert_int_equal(record(w, NOW_S - 60, 85, 100), FAULT_NONE);
    assert_true(said_exhausted(w));
    update_intent(w)->target = 80;
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_false(said_exhausted(w));
    assert_false(report(w).exhausted);
    assert_int_equal(record(w, NOW_S - 120, 0, 100), FAULT_NONE);
    assert_true(said_exhausted(w));
    world_free(w);
}

TEST(an_slo_that_changes_its_window_finds_the_counts_of_the_new_one) {
    struct world *w = slo(90, SLO_WINDOW_7D, 0);
    assert_int_equal(record(w, NOW_S - INT64_C(10) * DAY_S, 10, 10), FAULT_NONE); /* this month */
    assert_int_equal(record(w, NOW_S - INT64_C(20) * DAY_S, 20, 20), FAULT_NONE); /* December */
    assert_int_equal(record(w, NOW_S - INT64_C(2) * DAY_S, 40, 40), FAULT_NONE);  /* this week */
    static const struct {
        SLOWindow window;
        int total;
    } rows[] = {{SLO_WINDOW_CALENDAR_WEEK, 40},
                {SLO_WINDOW_CALENDAR_MONTH, 50},
                {SLO_WINDOW_CALENDAR_QUARTER, 50},
                {SLO_WINDOW_CALENDAR_YEAR, 50},
                {SLO_WINDOW_28D, 70}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        update_intent(w)->window = rows[i].window;
        assert_int_equal(world_give(w), FAULT_NONE);
        assert_int_equal(report(w).total, rows[i].total);
    }
    world_free(w);
}

TEST(a_changed_window_says_what_was_not_said_of_it) {
    struct world *w = slo(90, SLO_WINDOW_30D, 0);
    now_is(w, FEBRUARY_S - 60);
    assert_int_equal(record(w, FEBRUARY_S - 120, 0, 100), FAULT_NONE);
    assert_true(said_exhausted(w));
    now_is(w, FEBRUARY_S + 60);
    assert_int_equal(record(w, FEBRUARY_S, 0, 1), FAULT_NONE);
    assert_false(said_exhausted(w));
    update_intent(w)->window = SLO_WINDOW_CALENDAR_MONTH; /* said in January, of 30 days */
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_true(said_exhausted(w));
    world_free(w);
}

TEST(a_stored_budget_is_not_shown_for_the_period_after_it) {
    struct world *w = slo(90, SLO_WINDOW_CALENDAR_MONTH, 0);
    assert_int_equal(record(w, NOW_S - 60, 80, 100), FAULT_NONE);
    SLOBudgetWindow windows[SLO_ROLLING];
    SLO whole;
    slo_whole(&w->slo, w->aggregate.version, w->call.now_ms, windows, &whole);
    slo_budget_read(&whole, FEBRUARY_S * 1000 - 1);
    assert_int_equal(whole.budget.total, 100);
    slo_budget_read(&whole, FEBRUARY_S * 1000);
    assert_int_equal(whole.budget.total, 0);
    assert_true(whole.budget.unknown);
    assert_false(whole.budget.exhausted);
    assert_int_equal(whole.budget.period_starts_at.seconds, FEBRUARY_S);
    assert_int_equal(whole.budget.period_ends_at.seconds, MARCH_S);
    world_free(w);
}

/* Windows and corrections in any order over half a year: each period is the sum of the windows that begin in it. */
TEST(running_counts_of_periods_are_the_sums_of_their_windows) {
    uint64_t seed = check_seed();
    enum { DAYS = 200, SLOTS = DAYS * 24 };
    struct slo_budget *budget = calloc(1, sizeof *budget);
    int64_t *truth = calloc(SLOTS, sizeof *truth);
    const int64_t base = DOMAIN_NOW_MS / SLO_HOUR_MS - 90 * 24;
    int64_t now = 0;
    for (int step = 0; step < 20000; step++) {
        if (check_random(&seed) % 4 == 0) now += (int64_t)(check_random(&seed) % (check_random(&seed) % 50 ? 2 : 60));
        if (now + 1 >= SLOTS) break;
        int64_t hour = now + (int64_t)(check_random(&seed) % 2) - (int64_t)(check_random(&seed) % 720);
        if (hour < 0) hour = 0;
        const int64_t n = (int64_t)(check_random(&seed) % 100) - 20;
        truth[hour] += n;
        slo_periods_advance(budget, base + now);
        slo_periods_add(budget, base + hour, &(struct slo_counts){n, 2 * n, 3 * n, 4 * n});
        const int64_t later = now + (int64_t)(check_random(&seed) % 30);
        for (int i = 0; i < SLO_PERIODS; i++) {
            static const SLOWindow calendar[] = {SLO_WINDOW_CALENDAR_WEEK, SLO_WINDOW_CALENDAR_MONTH,
                                                 SLO_WINDOW_CALENDAR_QUARTER, SLO_WINDOW_CALENDAR_YEAR};
            struct slo_span span;
            const struct slo_counts counts = slo_budget_counts(budget, calendar[i], base + later, 0, NULL, &span);
            int64_t sum = 0;
            for (int64_t h = span.starts_hour - base; h < span.ends_hour - base; h++)
                sum += h >= 0 && h < SLOTS ? truth[h] : 0;
            assert_int_equal(counts.good, sum);
            assert_int_equal(counts.scrapes_seen, 4 * sum);
            assert_true(span.starts_hour <= base + later && base + later < span.ends_hour);
        }
    }
    free(truth);
    free(budget);
}

/* ---- time slices ---- */

TEST(a_slice_is_good_when_its_share_reaches_the_target_exactly) {
    static const struct {
        double target;
        int64_t good, total;
        int expected_good, expected_total;
    } rows[] = {
        {99, 99, 100, 1, 1},
        {99, 98, 100, 0, 1},
        {99.9, INT64_C(99900000000), INT64_C(100000000000), 1, 1},
        {99.9, INT64_C(99899999999), INT64_C(100000000000), 0, 1},
        {100, 10, 10, 1, 1},
        {100, 9, 10, 0, 1},
        {0.000001, 0, 10, 0, 1},
        {50, 0, 0, 0, 0}, /* nothing happened: neither good nor bad */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const SLO definition = {.budgeting_method = BUDGETING_METHOD_TIMESLICES, .time_slice_target = rows[i].target};
        const struct slo_counts counts =
            slo_counts_of(&definition, &(struct slo_counts){rows[i].good, rows[i].total, 4, 3});
        assert_int_equal(counts.good, rows[i].expected_good);
        assert_int_equal(counts.total, rows[i].expected_total);
        assert_int_equal(counts.scrapes_expected, 4);
        assert_int_equal(counts.scrapes_seen, 3);
    }
}

TEST(a_budget_of_slices_counts_slices_and_moves_by_corrections) {
    struct world *w = slo(50, SLO_WINDOW_7D, 95);
    assert_int_equal(record(w, NOW_S - 60, 95, 100), FAULT_NONE);
    assert_int_equal(record(w, NOW_S - 120, 94000, 100000), FAULT_NONE);
    assert_int_equal(record(w, NOW_S - 180, 0, 0), FAULT_NONE);
    assert_int_equal(report(w).good, 1);
    assert_int_equal(report(w).total, 2);
    assert_int_equal(report(w).scrapes_seen, 12);
    assert_true(report(w).exhausted);
    stored(w, 94000, 100000, 1);
    assert_int_equal(record_of(w, NOW_S - 120, 60, 99000, 100000, 2), FAULT_NONE);
    assert_int_equal(report(w).good, 2);
    assert_int_equal(report(w).total, 2);
    stored(w, 99000, 100000, 2);
    assert_int_equal(record_of(w, NOW_S - 120, 60, 0, 0, 3), FAULT_NONE); /* it turns out that nothing happened */
    assert_int_equal(report(w).total, 1);
    stored(w, 0, 0, 1);
    assert_int_equal(record_of(w, NOW_S - 180, 60, 1, 2, 2), FAULT_NONE); /* and that something did */
    assert_int_equal(report(w).good, 1);
    assert_int_equal(report(w).total, 2);
    world_free(w);
}

TEST(slices_without_events_leave_the_budget_unknown) {
    struct world *w = slo(50, SLO_WINDOW_CALENDAR_WEEK, 95);
    assert_int_equal(record(w, NOW_S - 60, 0, 0), FAULT_NONE);
    assert_true(report(w).unknown);
    assert_int_equal(report(w).scrapes_expected, 4);
    world_free(w);
}

TEST(the_target_of_slices_is_needed_by_them_and_by_nothing_else) {
    struct world *w = world_new(AGGREGATE_SLO, SLICE_LIT("x"));
    create_intent(w, 99, SLO_WINDOW_7D)->budgeting_method = BUDGETING_METHOD_TIMESLICES;
    CHECK_FAULT(world_give(w), FAULT_INPUT);
    assert_non_null(strstr(w->fault.text, "TIMESLICES needs it"));
    create_intent(w, 99, SLO_WINDOW_7D)->time_slice_target = 90;
    CHECK_FAULT(world_give(w), FAULT_INPUT);
    assert_non_null(strstr(w->fault.text, "only budgeting_method TIMESLICES takes one"));
    CreateSLORequested *create = create_intent(w, 99, SLO_WINDOW_7D);
    create->budgeting_method = BUDGETING_METHOD_OCCURRENCES;
    create->time_slice_target = 90;
    CHECK_FAULT(world_give(w), FAULT_INPUT);
    world_free(w);
}

TEST(how_a_budget_counts_cannot_be_changed) {
    struct world *w = slo(90, SLO_WINDOW_7D, 95);
    UpdateSLORequested *update = update_intent(w);
    update->budgeting_method = BUDGETING_METHOD_OCCURRENCES;
    update->time_slice_target = 0;
    CHECK_FAULT(world_give(w), FAULT_INPUT);
    assert_non_null(strstr(w->fault.text, "this SLO counts time slices"));
    update_intent(w)->time_slice_target = 96;
    CHECK_FAULT(world_give(w), FAULT_INPUT);
    assert_non_null(strstr(w->fault.text, "make a new SLO"));
    update_intent(w)->target = 91;
    assert_int_equal(world_give(w), FAULT_NONE);
    world_free(w);
    w = slo(90, SLO_WINDOW_7D, 0);
    update = update_intent(w);
    update->budgeting_method = BUDGETING_METHOD_TIMESLICES;
    update->time_slice_target = 95;
    CHECK_FAULT(world_give(w), FAULT_INPUT);
    assert_non_null(strstr(w->fault.text, "this SLO counts occurrences"));
    update_intent(w)->budgeting_method = BUDGETING_METHOD_OCCURRENCES; /* the default by its name */
    assert_int_equal(world_give(w), FAULT_NONE);
    world_free(w);
}

/* ---- lengths of windows, agents ---- */

TEST(windows_have_the_length_that_the_definition_says) {
    struct world *w = slo(90, SLO_WINDOW_7D, 0);
    CHECK_FAULT(record_of(w, NOW_S - 300, 300, 1, 1, 1), FAULT_INPUT);
    assert_non_null(strstr(w->fault.text, "measured in windows of 60 s"));
    world_free(w);
}

TEST(a_former_length_is_taken_for_a_month_after_it_was_changed) {
    struct world *w = slo(90, SLO_WINDOW_7D, 0);
    update_intent(w)->sli_spec.window_seconds = 300;
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(record_of(w, NOW_S - 60, 60, 1, 1, 1), FAULT_NONE);
    assert_int_equal(record_of(w, NOW_S - 600, 300, 1, 1, 1), FAULT_NONE);
    int32_t others[SLO_LENGTHS_MAX + 1];
    assert_int_equal(slo_other_lengths(&w->slo, 300, w->call.now_ms, others), 1);
    assert_int_equal(others[0], 60);
    assert_int_equal(slo_other_lengths(&w->slo, 60, w->call.now_ms, others), 1);
    assert_int_equal(others[0], 300);
    now_is(w, NOW_S + INT64_C(31) * DAY_S);
    assert_int_equal(record_of(w, NOW_S + INT64_C(31) * DAY_S - 60, 60, 1, 1, 1), FAULT_NONE);
    now_is(w, NOW_S + INT64_C(31) * DAY_S + 60);
    CHECK_FAULT(record_of(w, NOW_S + INT64_C(31) * DAY_S, 60, 1, 1, 1), FAULT_INPUT);
    assert_int_equal(slo_other_lengths(&w->slo, 300, w->call.now_ms, others), 0);
    world_free(w);
}

TEST(a_window_that_overlaps_one_of_another_length_is_refused) {
    struct world *w = slo(90, SLO_WINDOW_7D, 0);
    update_intent(w)->sli_spec.window_seconds = 300;
    assert_int_equal(world_give(w), FAULT_NONE);
    w->call.overlap = (struct sli_window_overlap){NOW_S - 120, 60};
    CHECK_FAULT(record_of(w, NOW_S - 300, 300, 1, 1, 1), FAULT_CONFLICT);
    assert_non_null(strstr(w->fault.text, "would count twice"));
    world_free(w);
}

TEST(a_length_changes_to_its_multiples_and_divisors_only) {
    static const struct {
        int32_t seconds;
        bool right;
    } rows[] = {{90, false}, {20, true}, {60, true}, {300, true}, {3600, true}, {77, false}, {1, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world *w = slo(90, SLO_WINDOW_7D, 0);
        update_intent(w)->sli_spec.window_seconds = rows[i].seconds;
        CHECK_FAULT(world_give(w), rows[i].right ? FAULT_NONE : FAULT_INPUT);
        if (!rows[i].right) assert_non_null(strstr(w->fault.text, "multiples and divisors"));
        world_free(w);
    }
}

TEST(a_length_that_changes_too_often_is_refused_until_the_first_is_forgotten) {
    static const int32_t lengths[] = {30, 10, 5, 1};
    struct world *w = slo(90, SLO_WINDOW_7D, 0);
    for (size_t i = 0; i < 4; i++) {
        update_intent(w)->sli_spec.window_seconds = lengths[i];
        assert_int_equal(world_give(w), FAULT_NONE);
        now_is(w, NOW_S + (int64_t)(i + 1) * HOUR_S);
    }
    update_intent(w)->sli_spec.window_seconds = 2;
    CHECK_FAULT(world_give(w), FAULT_CONFLICT);
    assert_non_null(strstr(w->fault.text, "may still come"));
    now_is(w, NOW_S + INT64_C(31) * DAY_S + HOUR_S);
    update_intent(w)->sli_spec.window_seconds = 2;
    assert_int_equal(world_give(w), FAULT_NONE);
    world_free(w);
}

TEST(only_agents_that_are_named_bring_windows_when_any_are_named) {
    struct world *w = world_new(AGGREGATE_SLO, SLICE_LIT("checkout"));
    slice names[] = {SLICE_LIT("edge-1"), SLICE_LIT("edge-2")};
    CreateSLORequested *create = create_intent(w, 90, SLO_WINDOW_7D);
    create->agents.items = names;
    create->agents.count = 2;
    assert_int_equal(world_give(w), FAULT_NONE);
    w->call.actor = SLICE_LIT("edge-3");
    CHECK_FAULT(record(w, NOW_S - 60, 1, 1), FAULT_CONFLICT);
    assert_non_null(strstr(w->fault.text, "'edge-3' is not among the agents"));
    w->call.actor = SLICE_LIT("edge-2");
    assert_int_equal(record(w, NOW_S - 60, 1, 1), FAULT_NONE);
    update_intent(w)->agents.count = 1;
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(record(w, NOW_S - 120, 1, 1), FAULT_NONE); /* measured before it was taken off the list */
    now_is(w, NOW_S + 600);
    assert_int_equal(record(w, NOW_S - 60, 1, 1), FAULT_NONE);
    CHECK_FAULT(record(w, NOW_S + 300, 1, 1), FAULT_CONFLICT);
    update_intent(w)->agents.count = 0; /* every agent */
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(record(w, NOW_S + 300, 1, 1), FAULT_NONE);
    world_free(w);
}

/* ---- definitions that no agent could measure ---- */

TEST(selectors_and_thresholds_are_checked_when_they_are_asked_for) {
    static const struct {
        SLISpec spec;
        const char *words; /* NULL: right */
    } rows[] = {
        {{.which_kind = SLISpec_counter_ratio_tag,
          .kind.counter_ratio = {.good_selector = SLICE_LIT("up{"), .total_selector = SLICE_LIT("all")}},
         "sli_spec.counter_ratio.good_selector 'up{': column 4: expected a label name or '}', found the end"},
        {{.which_kind = SLISpec_counter_ratio_tag,
          .kind.counter_ratio = {.good_selector = SLICE_LIT("up"), .total_selector = SLICE_LIT("all{a=~\"(\"}")}},
         "total_selector"},
        {{.which_kind = SLISpec_counter_ratio_tag,
          .kind.counter_ratio = {.bad_selector = SLICE_LIT("{a=\"b\"}"), .total_selector = SLICE_LIT("all")}},
         "expected a metric name"},
        {{.which_kind = SLISpec_histogram_threshold_tag,
          .kind.histogram_threshold = {.metric = SLICE_LIT("lat"), .matchers = SLICE_LIT("a=b"), .threshold = 1}},
         "sli_spec.histogram_threshold.metric with matchers 'lat{a=b}': column 7"},
        {{.which_kind = SLISpec_histogram_threshold_tag,
          .kind.histogram_threshold = {.metric = SLICE_LIT("lat"), .threshold = INFINITY}},
         "finite"},
        {{.which_kind = SLISpec_histogram_threshold_tag,
          .kind.histogram_threshold = {.metric = SLICE_LIT("lat"), .matchers = SLICE_LIT("a=\"b\""), .threshold = 1}},
         NULL},
        {{.which_kind = SLISpec_gauge_threshold_tag,
          .kind.gauge_threshold = {.selector = SLICE_LIT("up"), .threshold = NAN}},
         "sli_spec.gauge_threshold.threshold: must be a finite number"},
        {{.which_kind = SLISpec_gauge_threshold_tag,
          .kind.gauge_threshold = {.selector = SLICE_LIT("free"), .divisor_selector = SLICE_LIT("size}")}},
         "divisor_selector 'size}': column 5"},
        {{.which_kind = SLISpec_gauge_threshold_tag,
          .kind.gauge_threshold = {.selector = SLICE_LIT("free"),
                                   .divisor_selector = SLICE_LIT("size"),
                                   .threshold = -1}},
         NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world *w = world_new(AGGREGATE_SLO, SLICE_LIT("x"));
        create_intent(w, 90, SLO_WINDOW_7D)->sli_spec = rows[i].spec;
        CHECK_FAULT(world_give(w), rows[i].words ? FAULT_INPUT : FAULT_NONE);
        if (rows[i].words && !strstr(w->fault.text, rows[i].words)) fail_msg("it says: %s", w->fault.text);
        world_free(w);
        w = slo(90, SLO_WINDOW_7D, 0);
        update_intent(w)->sli_spec = rows[i].spec;
        CHECK_FAULT(world_give(w), rows[i].words ? FAULT_INPUT : FAULT_NONE);
        world_free(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_calendar_budget_says_its_period),
        cmocka_unit_test(a_period_ends_and_the_next_begins_without_anything),
        cmocka_unit_test(a_late_window_of_an_earlier_period_does_not_touch_the_present_one),
        cmocka_unit_test(a_window_from_a_clock_that_is_ahead_counts_in_the_period_that_it_begins_in),
        cmocka_unit_test(exhaustion_is_said_once_a_period_and_a_new_period_rearms),
        cmocka_unit_test(what_was_said_of_january_does_not_silence_a_february_that_began_badly),
        cmocka_unit_test(a_definition_that_the_counts_fulfil_rearms_within_the_period),
        cmocka_unit_test(an_slo_that_changes_its_window_finds_the_counts_of_the_new_one),
        cmocka_unit_test(a_changed_window_says_what_was_not_said_of_it),
        cmocka_unit_test(a_stored_budget_is_not_shown_for_the_period_after_it),
        cmocka_unit_test(running_counts_of_periods_are_the_sums_of_their_windows),
        cmocka_unit_test(a_slice_is_good_when_its_share_reaches_the_target_exactly),
        cmocka_unit_test(a_budget_of_slices_counts_slices_and_moves_by_corrections),
        cmocka_unit_test(slices_without_events_leave_the_budget_unknown),
        cmocka_unit_test(the_target_of_slices_is_needed_by_them_and_by_nothing_else),
        cmocka_unit_test(how_a_budget_counts_cannot_be_changed),
        cmocka_unit_test(windows_have_the_length_that_the_definition_says),
        cmocka_unit_test(a_former_length_is_taken_for_a_month_after_it_was_changed),
        cmocka_unit_test(a_window_that_overlaps_one_of_another_length_is_refused),
        cmocka_unit_test(a_length_changes_to_its_multiples_and_divisors_only),
        cmocka_unit_test(a_length_that_changes_too_often_is_refused_until_the_first_is_forgotten),
        cmocka_unit_test(only_agents_that_are_named_bring_windows_when_any_are_named),
        cmocka_unit_test(selectors_and_thresholds_are_checked_when_they_are_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
