/* SPDX-License-Identifier: Apache-2.0
 * Budgets: counts by hour, what rolls off after 7, 28 and 30 days, revisions, and exhaustion said once. */
#include "aggregator/domain/slo_state.h"
#include "aggregator/domain/slo_window.h"

#include <math.h>

#include "tests/unit/aggregator/domain/domain_fixture.h"

enum { HOUR_S = 3600, DAY_S = 24 * HOUR_S };
#define NOW_S (DOMAIN_NOW_MS / 1000)

static struct world *slo(double target, SLOWindow window) {
    struct world *w = world_new(AGGREGATE_SLO, SLICE_LIT("checkout"));
    CreateSLORequested *create = &world_intent(w, SreDomainIntent_create_slo_tag)->intent.create_slo;
    create->slo_id = w->aggregate.id;
    create->name = SLICE_LIT("Checkout answers");
    create->target = target;
    create->window = window;
    create->has_sli_spec = true;
    create->sli_spec.which_kind = SLISpec_counter_ratio_tag;
    create->sli_spec.kind.counter_ratio.total_selector = SLICE_LIT("total");
    create->sli_spec.kind.counter_ratio.good_selector = SLICE_LIT("good");
    assert_int_equal(world_give(w), FAULT_NONE);
    return w;
}

/* A window of a minute; what is stored of it is the caller's to set in w->window. */
static fault_code record(struct world *w, int64_t start_s, int64_t good, int64_t total, int64_t revision) {
    RecordSLIWindowRequested *r = &world_intent(w, SreDomainIntent_record_sli_window_tag)->intent.record_sli_window;
    *r = (RecordSLIWindowRequested){.slo_id = w->aggregate.id,
                                    .cluster_id = SLICE_LIT("north"),
                                    .has_window_start = true,
                                    .window_start = {.seconds = start_s},
                                    .window_seconds = 60,
                                    .good = good,
                                    .total = total,
                                    .scrapes_expected = 4,
                                    .scrapes_seen = 4,
                                    .revision = revision};
    return world_give(w);
}

static SLOBudget report(struct world *w, SLOBudgetWindow windows[SLO_ROLLING]) {
    SLOBudget budget;
    slo_budget_report(&w->slo, w->call.now_ms, windows, &budget);
    return budget;
}

/* ---- unknown ---- */

TEST(a_budget_without_data_is_unknown_and_not_full) {
    struct world *w = slo(99.9, SLO_WINDOW_30D);
    SLOBudgetWindow windows[SLO_ROLLING];
    const SLOBudget budget = report(w, windows);
    assert_true(budget.unknown);
    assert_true(budget.current_budget_remaining == 0);
    assert_false(budget.has_last_window_at);
    for (int i = 0; i < SLO_ROLLING; i++) {
        assert_true(windows[i].unknown);
        assert_true(windows[i].budget_remaining == 0);
        assert_false(windows[i].exhausted);
    }
    world_free(w);
}

TEST(a_window_that_nothing_was_measured_in_is_unknown_by_itself) {
    struct world *w = slo(99, SLO_WINDOW_30D);
    assert_int_equal(record(w, NOW_S - 10 * DAY_S, 100, 100, 1), FAULT_NONE);
    SLOBudgetWindow windows[SLO_ROLLING];
    const SLOBudget budget = report(w, windows);
    assert_false(budget.unknown);
    assert_true(budget.current_budget_remaining == 100);
    assert_true(windows[0].unknown); /* 7 days */
    assert_true(windows[0].budget_remaining == 0);
    assert_false(windows[1].unknown);
    assert_true(windows[1].budget_remaining == 100);
    assert_false(windows[2].unknown);
    world_free(w);
}

TEST(a_window_in_which_nothing_happened_is_unknown_although_it_was_seen) {
    struct world *w = slo(99, SLO_WINDOW_7D);
    assert_int_equal(record(w, NOW_S - 60, 0, 0, 1), FAULT_NONE);
    SLOBudgetWindow windows[SLO_ROLLING];
    assert_true(report(w, windows).unknown); /* a selector that matches nothing must not look green */
    assert_true(windows[0].budget_remaining == 0);
    world_free(w);
}

TEST(a_window_that_was_not_scraped_is_unknown) {
    struct world *w = slo(99, SLO_WINDOW_7D);
    assert_int_equal(record(w, NOW_S - 60, 0, 0, 1), FAULT_NONE);
    w->slo.budget.sums[0].scrapes_seen = w->slo.budget.sums[1].scrapes_seen = w->slo.budget.sums[2].scrapes_seen = 0;
    SLOBudgetWindow windows[SLO_ROLLING];
    assert_true(report(w, windows).unknown);
    assert_int_equal(windows[0].scrapes_expected, 4);
    world_free(w);
}

/* ---- arithmetic ---- */

TEST(budget_is_the_share_of_what_the_target_allows) {
    assert_true(slo_budget_consumed(&(struct slo_counts){1000, 1000, 0, 0}, 99.9) == 0);
    assert_true(fabs(slo_budget_consumed(&(struct slo_counts){9995, 10000, 0, 0}, 99.9) - 50) < 1e-6);
    assert_true(fabs(slo_budget_consumed(&(struct slo_counts){9980, 10000, 0, 0}, 99.9) - 200) < 1e-6);
    assert_true(slo_budget_consumed(&(struct slo_counts){0, 0, 0, 0}, 99.9) == 0);
    assert_true(slo_budget_consumed(&(struct slo_counts){198, 200, 0, 0}, 99.9) == 1000); /* and not 1000.00000000006 */
}

TEST(exhaustion_is_exact_at_the_last_event) {
    assert_false(slo_budget_exhausted(&(struct slo_counts){10000 - 9, 10000, 0, 0}, 99.9));
    assert_true(slo_budget_exhausted(&(struct slo_counts){10000 - 10, 10000, 0, 0}, 99.9));
    assert_false(slo_budget_exhausted(&(struct slo_counts){0, 0, 0, 0}, 99.9));
    /* Far beyond what a double counts exactly. */
    const int64_t total = INT64_C(1000000000000000003);
    assert_true(slo_budget_exhausted(&(struct slo_counts){total - total / 1000 - 1, total, 0, 0}, 99.9));
    assert_false(slo_budget_exhausted(&(struct slo_counts){total - total / 1000, total, 0, 0}, 99.9));
}

/* ---- rolling ---- */

static int64_t total_of(struct world *w, int index) {
    SLOBudgetWindow windows[SLO_ROLLING];
    (void)report(w, windows);
    return windows[index].total;
}

TEST(counts_roll_off_after_7_28_and_30_days_to_the_hour) {
    static const int days[SLO_ROLLING] = {7, 28, 30};
    for (int i = 0; i < SLO_ROLLING; i++) {
        struct world *w = slo(99, SLO_WINDOW_30D);
        assert_int_equal(record(w, NOW_S, 90, 100, 1), FAULT_NONE);
        w->call.now_ms = DOMAIN_NOW_MS + (int64_t)days[i] * DAY_S * 1000 - 1;
        assert_int_equal(total_of(w, i), 100); /* in its last millisecond */
        w->call.now_ms++;
        assert_int_equal(total_of(w, i), 0);
        world_free(w);
    }
}

/* Advancing hour by hour, in leaps, and beyond the ring must leave the sums that the hours give. */
TEST(running_sums_are_the_sums_of_their_hours) {
    static const int days[SLO_ROLLING] = {7, 28, 30};
    uint64_t seed = check_seed();
    struct slo_budget *budget = calloc(1, sizeof *budget);
    enum { SPAN = 4000 };
    int64_t *truth = calloc(SPAN, sizeof *truth);
    const int64_t base = 500000;
    int64_t newest = 0;
    for (int step = 0; step < 3000; step++) {
        int64_t hour = newest + (int64_t)(check_random(&seed) % 5) - (int64_t)(check_random(&seed) % 700);
        if (check_random(&seed) % 200 == 0) hour = newest + 300;
        if (hour < 0) hour = 0;
        if (hour >= SPAN) break;
        const int64_t n = 1 + (int64_t)(check_random(&seed) % 100);
        if (hour > newest) newest = hour;
        truth[hour] += n;
        slo_budget_add(budget, base + hour, &(struct slo_counts){n, 2 * n, 3 * n, 4 * n});
        for (int i = 0; i < SLO_ROLLING; i++) {
            int64_t sum = 0;
            for (int64_t h = newest - days[i] * 24 + 1; h <= newest; h++) sum += h >= 0 ? truth[h] : 0;
            assert_int_equal(budget->sums[i].good, sum);
            assert_int_equal(budget->sums[i].total, 2 * sum);
            assert_int_equal(budget->sums[i].scrapes_expected, 3 * sum);
            assert_int_equal(budget->sums[i].scrapes_seen, 4 * sum);
        }
    }
    slo_budget_advance(budget, base + newest + SLO_HOURS + 5);
    for (int i = 0; i < SLO_ROLLING; i++) assert_int_equal(budget->sums[i].total, 0);
    free(truth);
    free(budget);
}

/* A board without a battery for its clock starts in 1970. */
TEST(the_first_days_of_1970_are_days_like_others) {
    struct world *w = slo(99, SLO_WINDOW_7D);
    w->call.now_ms = 2 * HOUR_S * 1000;
    assert_int_equal(record(w, 3600, 90, 100, 1), FAULT_NONE);
    assert_int_equal(total_of(w, 2), 100);
    w->call.now_ms = INT64_C(8) * DAY_S * 1000;
    assert_int_equal(total_of(w, 0), 0);
    assert_int_equal(total_of(w, 1), 100);
    world_free(w);
}

/* ---- windows ---- */

TEST(a_higher_revision_moves_the_counts_by_the_difference) {
    struct world *w = slo(50, SLO_WINDOW_7D);
    assert_int_equal(record(w, NOW_S - 60, 90, 100, 1), FAULT_NONE);
    w->window = (struct sli_window_stored){
        .good = 90, .total = 100, .scrapes_expected = 4, .scrapes_seen = 4, .revision = 1, .window_seconds = 60};
    assert_int_equal(record(w, NOW_S - 60, 80, 120, 3), FAULT_NONE);
    const SLIWindowRecorded *fact = &w->facts.items[0].fact.sli_window_recorded;
    assert_true(fact->has_replaced);
    assert_int_equal(fact->replaced.revision, 1);
    assert_int_equal(fact->replaced.total, 100);
    assert_int_equal(w->slo.budget.sums[0].good, 80);
    assert_int_equal(w->slo.budget.sums[0].total, 120);
    assert_int_equal(w->slo.budget.sums[0].scrapes_seen, 4);
    world_free(w);
}

TEST(an_equal_or_lower_revision_is_a_repeat) {
    struct world *w = slo(50, SLO_WINDOW_7D);
    assert_int_equal(record(w, NOW_S - 60, 90, 100, 2), FAULT_NONE);
    w->window = (struct sli_window_stored){
        .good = 90, .total = 100, .scrapes_expected = 4, .scrapes_seen = 4, .revision = 2, .window_seconds = 60};
    assert_int_equal(record(w, NOW_S - 60, 1, 7, 1), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    assert_int_equal(record(w, NOW_S - 60, 90, 100, 2), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    CHECK_FAULT(record(w, NOW_S - 60, 1, 7, 2), FAULT_CONFLICT); /* its sender would take it as committed */
    assert_non_null(strstr(w->fault.text, "90 good of 100"));
    assert_non_null(strstr(w->fault.text, "1 of 7"));
    assert_non_null(strstr(w->fault.text, "send revision 3"));
    w->window.scrapes_seen = 5; /* what comes saw less: an older copy of a queue, which takes back nothing */
    assert_int_equal(record(w, NOW_S - 60, 1, 7, 2), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    assert_int_equal(w->slo.budget.sums[0].total, 100);
    world_free(w);
}

TEST(windows_that_cannot_be_are_refused) {
    struct world *w = slo(99, SLO_WINDOW_30D);
    CHECK_FAULT(record(w, NOW_S - 59, 1, 1, 1), FAULT_INPUT); /* not on a minute */
    assert_non_null(strstr(w->fault.text, "is not a multiple of window_seconds (60)"));
    CHECK_FAULT(record(w, -60, 1, 1, 1), FAULT_INPUT);
    assert_non_null(strstr(w->fault.text, "before 1970"));
    CHECK_FAULT(record(w, NOW_S - 60, 2, 1, 1), FAULT_INPUT); /* more good than there were */
    CHECK_FAULT(record(w, NOW_S - 60, 1, SLO_WINDOW_EVENTS_MAX + 1, 1), FAULT_INPUT);
    CHECK_FAULT(record(w, NOW_S + 360, 1, 1, 1), FAULT_INPUT); /* six minutes ahead */
    assert_non_null(strstr(w->fault.text, "clock"));
    assert_int_equal(record(w, NOW_S + 300, 1, 1, 1), FAULT_NONE); /* five are let pass */
    CHECK_FAULT(record(w, NOW_S - 30 * DAY_S, 1, 1, 1), FAULT_INPUT);
    assert_int_equal(record(w, NOW_S - 30 * DAY_S + HOUR_S, 1, 1, 1), FAULT_NONE); /* the oldest hour of a budget */
    w->window = (struct sli_window_stored){.revision = 1, .window_seconds = 300};
    CHECK_FAULT(record(w, NOW_S - 60, 1, 1, 2), FAULT_CONFLICT);
    world_free(w);
    w = world_new(AGGREGATE_SLO, SLICE_LIT("none"));
    CHECK_FAULT(record(w, NOW_S - 60, 1, 1, 1), FAULT_ABSENT);
    world_free(w);
}

TEST(a_window_that_saw_more_than_it_expected_is_refused) {
    struct world *w = slo(99, SLO_WINDOW_30D);
    world_intent(w, SreDomainIntent_record_sli_window_tag)->intent.record_sli_window =
        (RecordSLIWindowRequested){.slo_id = w->aggregate.id,
                                   .has_window_start = true,
                                   .window_start = {.seconds = NOW_S - 60},
                                   .window_seconds = 60,
                                   .total = 1,
                                   .scrapes_expected = 1,
                                   .scrapes_seen = 9,
                                   .revision = 1};
    CHECK_FAULT(world_give(w), FAULT_INPUT);
    assert_non_null(strstr(w->fault.text, "scrapes_seen (9)"));
    world_free(w);
}

TEST(windows_may_come_in_any_order) {
    struct world *forward = slo(99, SLO_WINDOW_30D), *backward = slo(99, SLO_WINDOW_30D);
    enum { N = 2000 };
    for (int i = 0; i < N; i++) {
        const int other = N - 1 - i;
        assert_int_equal(record(forward, NOW_S - 1200 * (i + 1), 100, 100 + i, 1), FAULT_NONE);
        assert_int_equal(record(backward, NOW_S - 1200 * (other + 1), 100, 100 + other, 1), FAULT_NONE);
    }
    assert_memory_equal(forward->slo.budget.sums, backward->slo.budget.sums, sizeof forward->slo.budget.sums);
    assert_int_equal(forward->slo.budget.last_window_ms, backward->slo.budget.last_window_ms);
    world_free(forward);
    world_free(backward);
}

/* ---- exhaustion ---- */

static bool said_exhausted(const struct world *w) {
    for (size_t i = 0; i < w->facts.count; i++)
        if (w->facts.items[i].which_fact == SreDomainFact_slo_budget_exhausted_tag) return true;
    return false;
}

TEST(exhaustion_is_said_once_and_again_after_it_was_over) {
    struct world *w = slo(90, SLO_WINDOW_7D);
    assert_int_equal(record(w, NOW_S - 60, 95, 100, 1), FAULT_NONE);
    assert_false(said_exhausted(w));
    assert_int_equal(record(w, NOW_S - 120, 80, 100, 1), FAULT_NONE); /* 25 bad of 200 */
    assert_true(said_exhausted(w));
    const SLOBudgetExhausted *fact = &w->facts.items[1].fact.slo_budget_exhausted;
    assert_true(fact->budget.exhausted);
    assert_int_equal(fact->budget.total, 200);
    assert_int_equal(fact->budget.windows.count, SLO_ROLLING);
    assert_int_equal(domain_ms(fact->exhausted_at), DOMAIN_NOW_MS);
    SLOBudgetWindow windows[SLO_ROLLING];
    assert_true(report(w, windows).exhausted);
    assert_int_equal(record(w, NOW_S - 180, 0, 100, 1), FAULT_NONE);
    assert_false(said_exhausted(w)); /* it is already */
    assert_int_equal(record(w, NOW_S - 240, 10000, 10000, 1), FAULT_NONE);
    assert_false(w->slo.budget.exhausted); /* within the target again */
    assert_false(report(w, windows).exhausted);
    assert_int_equal(record(w, NOW_S - 300, 0, 10000, 1), FAULT_NONE);
    assert_true(said_exhausted(w));
    world_free(w);
}

TEST(exhaustion_rolls_off_with_its_hours_and_is_said_again) {
    struct world *w = slo(90, SLO_WINDOW_7D);
    assert_int_equal(record(w, NOW_S, 0, 100, 1), FAULT_NONE);
    assert_true(said_exhausted(w));
    w->call.now_ms += INT64_C(7) * DAY_S * 1000;
    SLOBudgetWindow windows[SLO_ROLLING];
    SLOBudget budget = report(w, windows);
    assert_false(budget.exhausted); /* nothing came in since, and there is nothing bad left in the window */
    assert_true(budget.unknown);
    /* The first window behind it uses the new budget up at once: that is news. */
    assert_int_equal(record(w, w->call.now_ms / 1000, 0, 100, 1), FAULT_NONE);
    assert_true(said_exhausted(w));
    assert_int_equal(domain_ms(report(w, windows).exhausted_at), w->call.now_ms);
    world_free(w);
}

TEST(a_correction_can_take_exhaustion_back) {
    struct world *w = slo(90, SLO_WINDOW_28D);
    assert_int_equal(record(w, NOW_S - 60, 0, 100, 1), FAULT_NONE);
    assert_true(w->slo.budget.exhausted);
    w->window = (struct sli_window_stored){
        .good = 0, .total = 100, .scrapes_expected = 4, .scrapes_seen = 4, .revision = 1, .window_seconds = 60};
    assert_int_equal(record(w, NOW_S - 60, 100, 100, 2), FAULT_NONE);
    assert_false(w->slo.budget.exhausted);
    world_free(w);
}

/* ---- definition ---- */

static fault_code update(struct world *w, double target) {
    UpdateSLORequested *r = &world_intent(w, SreDomainIntent_update_slo_tag)->intent.update_slo;
    r->slo_id = w->aggregate.id;
    r->name = SLICE_LIT("Checkout answers");
    r->target = target;
    r->window = SLO_WINDOW_7D;
    r->has_sli_spec = true;
    r->sli_spec.which_kind = SLISpec_probe_tag;
    return world_give(w);
}

TEST(a_stricter_target_exhausts_and_a_looser_one_takes_it_back) {
    struct world *w = slo(90, SLO_WINDOW_7D);
    assert_int_equal(record(w, NOW_S - 60, 95, 100, 1), FAULT_NONE);
    assert_int_equal(update(w, 99), FAULT_NONE);
    assert_true(said_exhausted(w));
    assert_int_equal(update(w, 98), FAULT_NONE);
    assert_false(said_exhausted(w));
    assert_int_equal(update(w, 90), FAULT_NONE);
    assert_false(w->slo.budget.exhausted);
    assert_int_equal(w->slo.budget.sums[0].total, 100); /* the budget stays */
    world_free(w);
}

TEST(an_slo_is_created_once_and_updated_when_it_is_there) {
    struct world *w = slo(90, SLO_WINDOW_7D);
    assert_int_equal(w->slo.definition.sli_spec.window_seconds, 60);
    world_intent(w, SreDomainIntent_create_slo_tag);
    CHECK_FAULT(world_give(w), FAULT_EXISTS);
    world_free(w);
    w = world_new(AGGREGATE_SLO, SLICE_LIT("none"));
    CHECK_FAULT(update(w, 99), FAULT_ABSENT);
    world_free(w);
}

TEST(a_counter_ratio_needs_two_of_its_three_selectors) {
    static const struct {
        bool good, bad, total, right;
    } rows[] = {{1, 0, 1, 1}, {0, 1, 1, 1}, {1, 1, 0, 1}, {1, 1, 1, 0}, {0, 0, 1, 0}, {1, 0, 0, 0}, {0, 1, 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world *w = world_new(AGGREGATE_SLO, SLICE_LIT("x"));
        CreateSLORequested *create = &world_intent(w, SreDomainIntent_create_slo_tag)->intent.create_slo;
        create->sli_spec.which_kind = SLISpec_counter_ratio_tag;
        CounterRatioSLI *ratio = &create->sli_spec.kind.counter_ratio;
        if (rows[i].good) ratio->good_selector = SLICE_LIT("g");
        if (rows[i].bad) ratio->bad_selector = SLICE_LIT("b");
        if (rows[i].total) ratio->total_selector = SLICE_LIT("t");
        CHECK_FAULT(world_give(w), rows[i].right ? FAULT_NONE : FAULT_INPUT);
        world_free(w);
    }
}

TEST(a_probe_that_no_agent_could_make_is_refused) {
    static const struct {
        ProbeSLI probe;
        const char *words;
    } rows[] = {
        {{.kind = PROBE_KIND_TCP, .endpoint = SLICE_LIT("zzz")}, "'zzz' is not host:port"},
        {{.kind = PROBE_KIND_HTTP, .endpoint = SLICE_LIT("file:///etc/passwd")}, "http://"},
        {{.kind = PROBE_KIND_HTTP, .endpoint = SLICE_LIT("http://x/"), .status_min = 500, .status_max = 200},
         "status_min (500)"},
        {{.kind = PROBE_KIND_HTTP, .endpoint = SLICE_LIT("http://x/"), .has_latency_max = true, .latency_max = {-5, 0}},
         "latency_max"},
        {{.kind = PROBE_KIND_TCP, .endpoint = SLICE_LIT("[::1]:443")}, NULL},
        {{.kind = PROBE_KIND_HTTP, .endpoint = SLICE_LIT("https://x/")}, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world *w = world_new(AGGREGATE_SLO, SLICE_LIT("x"));
        CreateSLORequested *create = &world_intent(w, SreDomainIntent_create_slo_tag)->intent.create_slo;
        create->sli_spec.which_kind = SLISpec_probe_tag;
        create->sli_spec.kind.probe = rows[i].probe;
        CHECK_FAULT(world_give(w), rows[i].words ? FAULT_INPUT : FAULT_NONE);
        if (rows[i].words) assert_non_null(strstr(w->fault.text, rows[i].words));
        world_free(w);
    }
}

TEST(what_is_stored_is_what_is_loaded) {
    struct world *w = slo(90, SLO_WINDOW_7D);
    assert_int_equal(record(w, NOW_S - 60, 0, 100, 1), FAULT_NONE);
    SLOBudgetWindow windows[SLO_ROLLING];
    SLO whole;
    slo_whole(&w->slo, w->aggregate.version, w->call.now_ms, windows, &whole);
    assert_int_equal(whole.version, 3);
    struct slo_state *loaded = calloc(1, sizeof *loaded);
    slo_state_init(loaded, &whole);
    assert_true(loaded->budget.exhausted);
    assert_int_equal(loaded->budget.exhausted_at_ms, w->slo.budget.exhausted_at_ms);
    assert_int_equal(loaded->budget.last_window_ms, w->slo.budget.last_window_ms);
    free(loaded);
    world_free(w);
}

TEST(the_same_definition_again_is_a_repeat_and_no_change_of_its_indicator_is) {
    struct world *w = slo(99, SLO_WINDOW_30D);
    UpdateSLORequested *r = &world_intent(w, SreDomainIntent_update_slo_tag)->intent.update_slo;
    const SLO *is = &w->slo.definition;
    r->name = is->name;
    r->target = is->target;
    r->window = is->window;
    r->has_sli_spec = true;
    r->sli_spec = is->sli_spec;
    assert_int_equal(world_give(w), FAULT_NONE);
    assert_int_equal(w->facts.count, 0);
    SLISpec specs[8] = {is->sli_spec, is->sli_spec, is->sli_spec};
    specs[0].kind.counter_ratio.good_selector = SLICE_LIT("another_total");
    specs[0].kind.counter_ratio.bad_selector = (slice){0};
    specs[1].kind.counter_ratio.total_selector = SLICE_LIT("another_total");
    slice target = SLICE_LIT("node");
    specs[2].targets.items = &target;
    specs[2].targets.count = 1;
    specs[3] = (SLISpec){.which_kind = SLISpec_histogram_threshold_tag, .window_seconds = 60};
    specs[3].kind.histogram_threshold = (HistogramThresholdSLI){.metric = SLICE_LIT("m"), .threshold = 0.5};
    specs[4] = specs[3];
    specs[4].kind.histogram_threshold.threshold = 0.25; /* no whole number apart */
    specs[5] = (SLISpec){.which_kind = SLISpec_gauge_threshold_tag, .window_seconds = 60};
    specs[5].kind.gauge_threshold =
        (GaugeThresholdSLI){.selector = SLICE_LIT("g"), .comparison = COMPARISON_LESS, .threshold = 1};
    specs[6] = specs[5];
    specs[6].kind.gauge_threshold.comparison = COMPARISON_GREATER;
    specs[7] = (SLISpec){.which_kind = SLISpec_probe_tag, .window_seconds = 60};
    specs[7].kind.probe = (ProbeSLI){.kind = PROBE_KIND_TCP, .endpoint = SLICE_LIT("a:1")};
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        r->sli_spec = specs[i];
        assert_int_equal(world_give(w), FAULT_NONE);
        assert_int_equal(w->facts.count, 1);
        assert_int_equal(world_give(w), FAULT_NONE);
        assert_int_equal(w->facts.count, 0);
    }
    world_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_definition_again_is_a_repeat_and_no_change_of_its_indicator_is),
        cmocka_unit_test(a_budget_without_data_is_unknown_and_not_full),
        cmocka_unit_test(a_window_that_nothing_was_measured_in_is_unknown_by_itself),
        cmocka_unit_test(a_window_in_which_nothing_happened_is_unknown_although_it_was_seen),
        cmocka_unit_test(a_window_that_was_not_scraped_is_unknown),
        cmocka_unit_test(budget_is_the_share_of_what_the_target_allows),
        cmocka_unit_test(exhaustion_is_exact_at_the_last_event),
        cmocka_unit_test(counts_roll_off_after_7_28_and_30_days_to_the_hour),
        cmocka_unit_test(running_sums_are_the_sums_of_their_hours),
        cmocka_unit_test(the_first_days_of_1970_are_days_like_others),
        cmocka_unit_test(a_higher_revision_moves_the_counts_by_the_difference),
        cmocka_unit_test(an_equal_or_lower_revision_is_a_repeat),
        cmocka_unit_test(windows_that_cannot_be_are_refused),
        cmocka_unit_test(a_window_that_saw_more_than_it_expected_is_refused),
        cmocka_unit_test(windows_may_come_in_any_order),
        cmocka_unit_test(exhaustion_is_said_once_and_again_after_it_was_over),
        cmocka_unit_test(exhaustion_rolls_off_with_its_hours_and_is_said_again),
        cmocka_unit_test(a_correction_can_take_exhaustion_back),
        cmocka_unit_test(a_stricter_target_exhausts_and_a_looser_one_takes_it_back),
        cmocka_unit_test(an_slo_is_created_once_and_updated_when_it_is_there),
        cmocka_unit_test(a_counter_ratio_needs_two_of_its_three_selectors),
        cmocka_unit_test(a_probe_that_no_agent_could_make_is_refused),
        cmocka_unit_test(what_is_stored_is_what_is_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
