/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/window/fold.h"
#include "agent/window/slot.h"
#include "tests/support/check.h"

enum { WINDOWS_MAX = 4000 };

/* One target "t" (15 s, offset 0) and one SLI, windows of 60 s, beginning at 1,000 minutes. */
#define START_MS (1000 * INT64_C(60000))
#define HOUR_MS (60 * INT64_C(60000))

struct bench {
    struct sli *sli;
    struct fold *fold;
    struct selector_index *index;
    struct exposition *exposition;
    struct sli_window windows[WINDOWS_MAX];
    size_t count;
};

static const struct fold_settings settings = {.series_max = 8, .series_forget_ms = 3600000, .gap_windows_max = 10};

static void bench_fold(struct bench *bench, int64_t now_ms) {
    struct fault fault;
    const bool probe = sli_definition(bench->sli)->kind == SLI_PROBE;
    const struct fold_target target = {SLICE_LIT("t"), probe, 15000, 0, 10000};
    fold_free(bench->fold);
    selector_index_free(bench->index);
    const struct sli *const slis[] = {bench->sli};
    CHECK_OK(fold_new(&settings, &target, 1, slis, 1, now_ms, &bench->fold, &fault));
    bench->index = selector_index_new();
    CHECK_OK(fold_attach(bench->fold, 0, bench->index, &fault));
    CHECK_OK(selector_index_ready(bench->index, &fault));
}

static void bench_init(struct bench *bench, struct sli_definition definition) {
    struct fault fault;
    memset(bench, 0, sizeof *bench);
    definition.slo_id = SLICE_LIT("slo-1");
    definition.window_seconds = 60;
    CHECK_OK(sli_new(&definition, &bench->sli, &fault));
    bench->exposition = exposition_new();
    bench_fold(bench, START_MS);
}

static void bench_done(struct bench *bench) {
    fold_free(bench->fold);
    selector_index_free(bench->index);
    sli_free(bench->sli);
    exposition_free(bench->exposition);
}

static void stage(struct bench *bench, int64_t slot_ms, const char *text) {
    struct fault fault;
    CHECK_OK(fold_begin(bench->fold, 0, slot_ms, &fault));
    const struct exposition_sink sink = {selector_index_find_name, selector_index_on_sample, bench->index};
    exposition_begin(bench->exposition, EXPOSITION_TEXT, &sink);
    CHECK_OK(exposition_feed(bench->exposition, slice_from_text(text), &fault));
    CHECK_OK(exposition_end(bench->exposition, &fault));
}

static void scrape(struct bench *bench, int64_t slot_ms, const char *text) {
    struct fault fault;
    stage(bench, slot_ms, text);
    CHECK_OK(fold_commit(bench->fold, 0, slot_ms, &fault));
}

static void seal(struct bench *bench, int64_t now_ms) {
    fold_seal_begin(bench->fold, now_ms, bench->windows, WINDOWS_MAX, &bench->count);
    fold_seal_commit(bench->fold);
}

static void check_window(const struct sli_window *window, int64_t start_ms, int64_t good, int64_t total,
                         unsigned expected, unsigned seen) {
    CHECK_SLICE(window->slo_id, "slo-1");
    assert_int_equal(window->window_start_ms, start_ms);
    assert_int_equal(window->window_seconds, 60);
    assert_int_equal(window->revision, 1);
    assert_int_equal(window->good, good);
    assert_int_equal(window->total, total);
    assert_int_equal(window->scrapes_expected, expected);
    assert_int_equal(window->scrapes_seen, seen);
}

static struct sli_definition ratio(void) {
    return (struct sli_definition){
        .kind = SLI_RATIO_GOOD, .good = SLICE_LIT("r{code=~\"2..\"}"), .total = SLICE_LIT("r")};
}

TEST(a_ratio_counts_increases_and_not_the_first_sample) {
    struct bench b;
    bench_init(&b, ratio());
    scrape(&b, START_MS, "r{code=\"200\"} 100\nr{code=\"500\"} 7\n");
    scrape(&b, START_MS + 15000, "r{code=\"200\"} 110\nr{code=\"500\"} 8\n");
    scrape(&b, START_MS + 45000, "r{code=\"200\"} 130\nr{code=\"500\"} 8\nr{code=\"404\"} 50\n");
    seal(&b, START_MS + 59999);
    assert_int_equal(b.count, 0);
    seal(&b, START_MS + 60000);
    assert_int_equal(b.count, 1);
    check_window(&b.windows[0], START_MS, 30, 31, 4, 3);
    bench_done(&b);
}

TEST(a_fall_is_a_reset_and_the_new_value_counts) {
    struct bench b;
    bench_init(&b, ratio());
    scrape(&b, START_MS, "r{code=\"200\"} 100\n");
    scrape(&b, START_MS + 15000, "r{code=\"200\"} 4\n");
    scrape(&b, START_MS + 30000, "r{code=\"200\"} 5\n");
    seal(&b, START_MS + 60000);
    check_window(&b.windows[0], START_MS, 5, 5, 4, 3);
    bench_done(&b);
}

TEST(a_window_never_saw_more_than_it_expected) {
    struct bench bench;
    bench_init(&bench, ratio());
    /* The interval was a second until it became 15 inside this window. */
    for (int second = 0; second < 6; second++) scrape(&bench, START_MS + second * 1000, "r{code=\"200\"} 5\n");
    seal(&bench, START_MS + 120000);
    assert_true(bench.count >= 1);
    check_window(&bench.windows[0], START_MS, 0, 0, 6, 6);
    bench_done(&bench);
}

TEST(a_bad_ratio_counts_what_is_left) {
    struct bench b;
    bench_init(&b, (struct sli_definition){
                       .kind = SLI_RATIO_BAD, .bad = SLICE_LIT("r{code=\"500\"}"), .total = SLICE_LIT("r")});
    scrape(&b, START_MS, "r{code=\"200\"} 0\nr{code=\"500\"} 0\n");
    scrape(&b, START_MS + 15000, "r{code=\"200\"} 10\nr{code=\"500\"} 3\n");
    seal(&b, START_MS + 60000);
    check_window(&b.windows[0], START_MS, 10, 13, 4, 2);
    bench_done(&b);
}

TEST(a_histogram_counts_the_bucket_at_the_threshold_as_a_number) {
    struct bench b;
    bench_init(&b,
               (struct sli_definition){.kind = SLI_HISTOGRAM, .total = SLICE_LIT("lat{h=\"x\"}"), .threshold = 0.5});
    static const char format[] =
        "lat_bucket{h=\"x\",le=\"0.25\"} %d\nlat_bucket{le=\"5e-1\",h=\"x\"} %d\nlat_bucket{h=\"x\",le=\"+Inf\"} %d\n"
        "lat_bucket{h=\"y\",le=\"0.5\"} 9\nlat_bucket{h=\"y\",le=\"+Inf\"} %d\n";
    char text[400];
    snprintf(text, sizeof text, format, 1, 2, 3, 9);
    scrape(&b, START_MS, text);
    snprintf(text, sizeof text, format, 1, 12, 23, 99);
    scrape(&b, START_MS + 15000, text);
    snprintf(text, sizeof text, format, 0, 5, 24, 99); /* a reset of one bucket is one of the histogram */
    scrape(&b, START_MS + 30000, text);
    seal(&b, START_MS + 60000);
    check_window(&b.windows[0], START_MS, 15, 44, 4, 3);
    bench_done(&b);
}

TEST(a_histogram_without_the_bucket_leaves_the_scrape_unseen_and_says_so) {
    struct bench b;
    struct fault fault = {0};
    bench_init(&b, (struct sli_definition){.kind = SLI_HISTOGRAM, .total = SLICE_LIT("lat"), .threshold = 0.5});
    for (int i = 0; i < 3; i++) {
        stage(&b, START_MS + i * 15000, "lat_bucket{le=\"0.25\"} 1\nlat_bucket{le=\"+Inf\"} 3\n");
        CHECK_FAULT(fold_commit(b.fold, 0, 0, &fault), FAULT_INPUT);
        assert_non_null(strstr(fault.text, "le=\"0.5\""));
    }
    seal(&b, START_MS + 60000);
    check_window(&b.windows[0], START_MS, 0, 0, 4, 0);
    bench_done(&b);
}

TEST(a_gauge_is_one_event_a_scrape) {
    struct bench b;
    bench_init(&b, (struct sli_definition){.kind = SLI_GAUGE, .total = SLICE_LIT("free"), .threshold = 10, .operator = SLI_GREATER_EQUAL});
    scrape(&b, START_MS, "free{d=\"a\"} 10\nfree{d=\"b\"} 9.5\n");
    scrape(&b, START_MS + 15000, "free{d=\"a\"} +Inf\nfree{d=\"b\"} 11\n");
    seal(&b, START_MS + 60000);
    check_window(&b.windows[0], START_MS, 1, 2, 4, 2);
    bench_done(&b);
}

TEST(a_gauge_that_is_gone_or_NaN_is_unknown) {
    struct bench b;
    struct fault fault;
    bench_init(&b, (struct sli_definition){.kind = SLI_GAUGE, .total = SLICE_LIT("free"), .threshold = 10, .operator = SLI_GREATER_EQUAL});
    scrape(&b, START_MS, "other 1\n"); /* a target that never had it has no events, and that is seen */
    scrape(&b, START_MS + 15000, "free 11\n");
    static const char *const unknown[] = {"other 1\n", "free NaN\n"};
    for (int i = 0; i < 2; i++) {
        stage(&b, START_MS + 30000 + i * 15000, unknown[i]);
        CHECK_FAULT(fold_commit(b.fold, 0, 0, &fault), FAULT_INPUT);
    }
    seal(&b, START_MS + 60000);
    check_window(&b.windows[0], START_MS, 1, 1, 4, 2);
    bench_done(&b);
}

TEST(a_gauge_may_be_compared_as_a_share_of_another) {
    struct bench b;
    struct fault fault;
    bench_init(&b, (struct sli_definition){.kind = SLI_GAUGE, .total = SLICE_LIT("free"), .divisor = SLICE_LIT("size"), .threshold = 0.1,
                                           .operator = SLI_GREATER_EQUAL});
    scrape(&b, START_MS, "free{d=\"a\"} 5\nfree{d=\"b\"} 15\nsize{d=\"a\"} 100\nsize{d=\"b\"} 100\n");
    scrape(&b, START_MS + 15000, "free 9\nsize 100\n");
    stage(&b, START_MS + 30000, "free 9\nsize 0\n");
    CHECK_FAULT(fold_commit(b.fold, 0, 0, &fault), FAULT_INPUT);
    seal(&b, START_MS + 60000);
    check_window(&b.windows[0], START_MS, 1, 2, 4, 2);
    bench_done(&b);
}

TEST(good_and_bad_counters_make_the_total_together) {
    struct bench b;
    bench_init(&b, (struct sli_definition){.kind = SLI_RATIO_PARTS, .good = SLICE_LIT("ok"), .bad = SLICE_LIT("err")});
    scrape(&b, START_MS, "ok 100\nerr 10\n");
    scrape(&b, START_MS + 15000, "ok 107\nerr 12\n");
    seal(&b, START_MS + 60000);
    check_window(&b.windows[0], START_MS, 7, 9, 4, 2);
    bench_done(&b);
}

TEST(a_probe_is_good_when_it_answers_in_time) {
    struct bench b;
    struct fault fault;
    bench_init(&b, (struct sli_definition){.kind = SLI_PROBE, .latency_ms_max = 200});
    static const struct {
        bool ok;
        int64_t latency_ms;
    } answers[] = {{true, 200}, {true, 201}, {false, 5}};
    for (int i = 0; i < 3; i++) {
        CHECK_OK(fold_begin(b.fold, 0, START_MS + i * 15000, &fault));
        CHECK_OK(fold_commit_probe(b.fold, 0, answers[i].ok, answers[i].latency_ms, 0, &fault));
    }
    seal(&b, START_MS + 60000);
    check_window(&b.windows[0], START_MS, 1, 3, 4, 3);
    bench_done(&b);
}

TEST(an_aborted_scrape_counts_nothing_and_the_next_bridges_it) {
    struct bench b;
    bench_init(&b, ratio());
    scrape(&b, START_MS, "r{code=\"200\"} 100\n");
    stage(&b, START_MS + 15000, "r{code=\"200\"} 150\nr{code=\"201\"} 5\n");
    fold_abort(b.fold, 0);
    scrape(&b, START_MS + 30000, "r{code=\"200\"} 160\nr{code=\"201\"} 6\n");
    seal(&b, START_MS + 60000);
    check_window(&b.windows[0], START_MS, 60, 60, 4, 2);
    bench_done(&b);
}

TEST(a_window_waits_for_the_scrape_in_flight) {
    struct bench b;
    struct fault fault;
    bench_init(&b, ratio());
    scrape(&b, START_MS, "r{code=\"200\"} 100\n");
    stage(&b, START_MS + 45000, "r{code=\"200\"} 101\n");
    seal(&b, START_MS + 61000);
    assert_int_equal(b.count, 0);
    CHECK_OK(fold_commit(b.fold, 0, START_MS + 61000, &fault));
    seal(&b, START_MS + 61000);
    assert_int_equal(b.count, 1);
    check_window(&b.windows[0], START_MS, 1, 1, 4, 2);
    bench_done(&b);
}

TEST(good_that_runs_ahead_of_total_waits_for_it) {
    struct bench b;
    bench_init(&b, (struct sli_definition){.kind = SLI_RATIO_GOOD, .good = SLICE_LIT("g"), .total = SLICE_LIT("t")});
    scrape(&b, START_MS, "g 0\nt 0\n");
    scrape(&b, START_MS + 45000, "t 10\ng 12\n");
    scrape(&b, START_MS + 60000, "t 20\ng 18\n");
    seal(&b, START_MS + 120000);
    assert_int_equal(b.count, 2);
    check_window(&b.windows[0], START_MS, 10, 10, 4, 2);
    check_window(&b.windows[1], START_MS + 60000, 8, 10, 4, 1);
    scrape(&b, START_MS + 120000, "t 20\ng 20\n");
    seal(&b, START_MS + 180000);
    check_window(&b.windows[0], START_MS + 120000, 0, 0, 4, 1);
    scrape(&b, START_MS + 180000, "t 25\ng 20\n");
    seal(&b, START_MS + 240000);
    check_window(&b.windows[0], START_MS + 180000, 2, 5, 4, 1);
    bench_done(&b);
}

TEST(fractions_of_events_are_not_lost) {
    struct bench b;
    bench_init(&b, (struct sli_definition){.kind = SLI_RATIO_GOOD, .good = SLICE_LIT("g"), .total = SLICE_LIT("t")});
    scrape(&b, START_MS, "g 0\nt 0\n");
    for (int i = 1; i <= 40; i++) {
        char text[80];
        snprintf(text, sizeof text, "g %g\nt %g\n", i * 0.25, i * 0.5);
        scrape(&b, START_MS + i * 1000, text);
    }
    seal(&b, START_MS + 60000);
    assert_int_equal(b.windows[0].good, 10);
    assert_int_equal(b.windows[0].total, 20);
    bench_done(&b);
}

TEST(a_full_table_is_said_and_leaves_the_scrape_unseen) {
    struct bench b;
    struct fault fault = {0};
    bench_init(&b, ratio());
    const char *text =
        "r{code=\"200\"} 1\nr{code=\"201\"} 1\nr{code=\"202\"} 1\nr{code=\"203\"} 1\nr{code=\"204\"} 1\n";
    stage(&b, START_MS, text);
    CHECK_FAULT(fold_commit(b.fold, 0, START_MS, &fault), FAULT_LIMIT);
    assert_non_null(strstr(fault.text, "series_max"));
    seal(&b, START_MS + 60000);
    check_window(&b.windows[0], START_MS, 0, 0, 4, 0);
    /* Those that are gone for an hour make room. */
    seal(&b, START_MS + 2 * 3600000);
    scrape(&b, START_MS + 2 * 3600000, "r{code=\"300\"} 1\nr{code=\"301\"} 1\n");
    bench_done(&b);
}

TEST(a_down_time_is_stated_as_windows_that_nobody_saw) {
    struct bench b;
    bench_init(&b, ratio());
    scrape(&b, START_MS, "r{code=\"200\"} 100\n");
    scrape(&b, START_MS + 15000, "r{code=\"200\"} 101\n");
    uint8_t kept[4096];
    slice whole = fold_snapshot(b.fold);
    memcpy(kept, whole.data, whole.size);
    whole.data = kept;
    bench_fold(&b, START_MS + 5 * 60000 + 1000);
    struct fault fault;
    CHECK_OK(fold_restore(b.fold, whole, NULL, 0, START_MS + 5 * 60000 + 1000, &fault));
    seal(&b, START_MS + 5 * 60000 + 1000);
    assert_int_equal(b.count, 5);
    check_window(&b.windows[0], START_MS, 1, 1, 4, 2);
    for (int i = 1; i < 5; i++) check_window(&b.windows[i], START_MS + i * 60000, 0, 0, 4, 0);
    scrape(&b, START_MS + 5 * 60000 + 15000, "r{code=\"200\"} 201\n");
    seal(&b, START_MS + 6 * 60000);
    check_window(&b.windows[0], START_MS + 5 * 60000, 100, 100, 4, 1);
    /* A long one is bounded; the rest is counted. */
    seal(&b, START_MS + 106 * 60000);
    assert_int_equal(b.count, 10);
    assert_int_equal(b.windows[0].window_start_ms, START_MS + 96 * 60000);
    struct fold_stats stats;
    fold_stats(b.fold, &stats);
    assert_int_equal(stats.gap_windows_dropped, 90);
    bench_done(&b);
}

/* An older copy of the queue was put back: what was counted since is at the centre already. */
TEST(what_an_older_copy_did_not_know_of_is_not_counted_again) {
    for (int scraped = 0; scraped <= 1; scraped++) {
        struct bench b;
        struct fault fault;
        uint8_t kept[4096];
        const int64_t again_ms = START_MS + 3 * 60000;
        bench_init(&b, ratio());
        scrape(&b, START_MS, "r{code=\"200\"} 100\n");
        scrape(&b, START_MS + 15000, "r{code=\"200\"} 101\n");
        slice whole = fold_snapshot(b.fold);
        memcpy(kept, whole.data, whole.size);
        bench_fold(&b, again_ms + 1000);
        CHECK_OK(fold_restore(b.fold, slice_of(kept, whole.size), NULL, 0, again_ms + 1000, &fault));
        seal(&b, again_ms + 1000);
        if (scraped) scrape(&b, again_ms + 15000, "r{code=\"200\"} 900\n"); /* before the centre has said what it has */
        fold_forget_past(b.fold);
        scrape(&b, again_ms + 30000, "r{code=\"200\"} 910\n");
        scrape(&b, again_ms + 45000, "r{code=\"200\"} 930\n");
        /* Killed: the checkpoint that is stored is of after it, too. */
        whole = fold_snapshot(b.fold);
        memcpy(kept, whole.data, whole.size);
        bench_fold(&b, again_ms + 50000);
        CHECK_OK(fold_restore(b.fold, slice_of(kept, whole.size), NULL, 0, again_ms + 50000, &fault));
        seal(&b, again_ms + 60000);
        assert_int_equal(b.count, 1);
        const int64_t counted = scraped ? 30 : 20; /* from 900 on, or from 910 on */
        check_window(&b.windows[0], again_ms, counted, counted, 4, 2);
        bench_done(&b);
    }
}

/* The same SLI in windows of another length, with the state of before. */
static void lengthen(struct bench *bench, struct sli_definition definition, uint32_t seconds, int64_t now_ms) {
    struct fault fault;
    uint8_t kept[4096];
    const slice whole = fold_snapshot(bench->fold);
    memcpy(kept, whole.data, whole.size);
    struct sli *const before = bench->sli;
    definition.slo_id = SLICE_LIT("slo-1");
    definition.window_seconds = seconds;
    CHECK_OK(sli_new(&definition, &bench->sli, &fault));
    bench_fold(bench, now_ms);
    sli_free(before);
    CHECK_OK(fold_restore(bench->fold, slice_of(kept, whole.size), NULL, 0, now_ms, &fault));
}

TEST(windows_of_a_new_length_begin_where_those_of_the_old_one_end_and_nothing_is_lost) {
    static const uint32_t lengths[] = {60, 300, 20, 900, 60};
    uint64_t seed = check_seed();
    struct bench b;
    bench_init(&b, ratio());
    int64_t value = 100, sealed = 0, end_ms = 0;
    unsigned length = 0;
    scrape(&b, START_MS, "r{code=\"200\"} 100\n");
    for (int i = 1; i < 2000; i++) {
        const int64_t now_ms = START_MS + i * INT64_C(15000);
        char text[64];
        value += (int64_t)(check_random(&seed) % 50);
        snprintf(text, sizeof text, "r{code=\"200\"} %lld\n", (long long)value);
        stage(&b, now_ms, text);
        struct fault fault; /* sealing waited too long: the next scrape counts it */
        const fault_code code = fold_commit(b.fold, 0, now_ms, &fault);
        if (code && code != FAULT_AGAIN) fail_msg("%s", fault.text);
        if (check_random(&seed) % 10 == 0) {
            length = (unsigned)(check_random(&seed) % 5);
            lengthen(&b, ratio(), lengths[length], now_ms + 1);
        }
        if (check_random(&seed) % 3 && i < 1999) continue;
        do {
            seal(&b, now_ms + 1);
            for (size_t w = 0; w < b.count; w++) {
                assert_true(b.windows[w].window_start_ms >= end_ms); /* no moment is in two windows */
                assert_int_equal(b.windows[w].window_start_ms % (b.windows[w].window_seconds * INT64_C(1000)), 0);
                end_ms = b.windows[w].window_start_ms + b.windows[w].window_seconds * INT64_C(1000);
                sealed += b.windows[w].total;
            }
        } while (b.count == WINDOWS_MAX);
    }
    char text[64];
    snprintf(text, sizeof text, "r{code=\"200\"} %lld\n", (long long)value);
    scrape(&b, START_MS + INT64_C(2000) * 15000, text);
    do {
        seal(&b, START_MS + INT64_C(2000) * 15000 + 3600000);
        for (size_t w = 0; w < b.count; w++) sealed += b.windows[w].total;
    } while (b.count == WINDOWS_MAX);
    assert_int_equal(sealed, value - 100);
    bench_done(&b);
}

TEST(windows_of_another_definition_begin_where_those_of_the_old_one_end) {
    struct bench b;
    bench_init(&b, ratio());
    scrape(&b, START_MS, "r{code=\"200\"} 100\n");
    for (int i = 1; i < 16; i++) scrape(&b, START_MS + i * INT64_C(15000), "r{code=\"200\"} 100\n");
    seal(&b, START_MS + 4 * 60000);
    assert_int_equal(b.count, 4);
    /* Other selectors and another length at once: the windows up to 4 minutes are stored, and 5 minutes begin at 5. */
    lengthen(&b, (struct sli_definition){.kind = SLI_RATIO_BAD, .bad = SLICE_LIT("e"), .total = SLICE_LIT("r")}, 300,
             START_MS + 4 * 60000 + 10000);
    scrape(&b, START_MS + 4 * 60000 + 15000, "r{code=\"200\"} 100\ne 0\n");
    scrape(&b, START_MS + 4 * 60000 + 30000, "r{code=\"200\"} 107\ne 0\n");
    seal(&b, START_MS + 15 * 60000);
    assert_int_equal(b.count, 2);
    assert_int_equal(b.windows[0].window_start_ms, START_MS + 5 * 60000);
    assert_int_equal(b.windows[0].total, 7);
    /* Of the same length: what was down meanwhile is stated. */
    lengthen(&b, ratio(), 300, START_MS + 31 * 60000);
    seal(&b, START_MS + 31 * 60000);
    assert_int_equal(b.count, 3);
    assert_int_equal(b.windows[0].window_start_ms, START_MS + 15 * 60000);
    assert_int_equal(b.windows[0].scrapes_seen, 0);
    assert_int_equal(b.windows[0].scrapes_expected, 20);
    bench_done(&b);
}

TEST(state_of_the_version_before_is_read) {
    enum { SLO_AT = 4 + 8 + 1 + 16, SLO_BYTES = 8 };
    struct bench b;
    struct fault fault;
    uint8_t kept[4096];
    bench_init(&b, ratio());
    scrape(&b, START_MS, "r{code=\"200\"} 100\n");
    scrape(&b, START_MS + 15000, "r{code=\"200\"} 130\n");
    const slice whole = fold_snapshot(b.fold);
    memcpy(kept, whole.data, SLO_AT);
    memcpy(kept + SLO_AT, whole.data + SLO_AT + SLO_BYTES, whole.size - SLO_AT - SLO_BYTES);
    memcpy(kept, "PKF2", 4);
    const size_t size = whole.size - SLO_BYTES;
    const uint32_t sum = checksum_crc32c(0, slice_of(kept, size - 4));
    for (int i = 0; i < 4; i++) kept[size - 4 + (size_t)i] = (uint8_t)(sum >> 8 * i);
    bench_fold(&b, START_MS + 20000);
    CHECK_OK(fold_restore(b.fold, slice_of(kept, size), NULL, 0, START_MS + 20000, &fault));
    scrape(&b, START_MS + 30000, "r{code=\"200\"} 137\n");
    seal(&b, START_MS + 60000);
    check_window(&b.windows[0], START_MS, 37, 37, 4, 3);
    bench_done(&b);
}

TEST(a_clock_that_was_ahead_and_is_set_right_loses_nothing_and_counts_nothing_twice) {
    struct bench b;
    const int64_t ahead_ms = 3600000;
    bench_init(&b, ratio());
    scrape(&b, START_MS, "r{code=\"200\"} 100\n");
    seal(&b, START_MS + ahead_ms); /* an hour forwards: what nobody saw */
    scrape(&b, START_MS + ahead_ms, "r{code=\"200\"} 110\n");
    seal(&b, START_MS + ahead_ms + 60000);
    assert_int_equal(b.windows[b.count - 1].window_start_ms, START_MS + ahead_ms);
    assert_int_equal(b.windows[b.count - 1].total, 10);
    scrape(&b, START_MS + ahead_ms + 60000, "r{code=\"200\"} 115\n");
    assert_int_equal(fold_follow_clock(b.fold, START_MS + ahead_ms + 60000, 60000), FOLD_CLOCK_STEADY);
    /* right again */
    assert_int_equal(fold_follow_clock(b.fold, START_MS + 30000, 90000), FOLD_CLOCK_SET_BACK);
    assert_int_equal(fold_follow_clock(b.fold, START_MS + 30000, 90000), FOLD_CLOCK_STEADY);
    scrape(&b, START_MS + 30000, "r{code=\"200\"} 117\n");
    scrape(&b, START_MS + 45000, "r{code=\"200\"} 118\n");
    seal(&b, START_MS + 60000);
    assert_int_equal(b.count, 1);
    assert_int_equal(b.windows[0].window_start_ms, START_MS);
    assert_int_equal(b.windows[0].total, 8); /* five that were open, two and one */
    assert_int_equal(b.windows[0].revision, 2);
    assert_int_equal(b.windows[0].scrapes_seen, 3);
    for (int64_t at_ms = START_MS + 60000; at_ms < START_MS + 2 * ahead_ms; at_ms += 60000) {
        scrape(&b, at_ms, "r{code=\"200\"} 118\n");
        seal(&b, at_ms + 60000);
        assert_int_equal(b.count, 1);
        assert_int_equal(b.windows[0].revision, at_ms < START_MS + ahead_ms + 60000 ? 2 : 1);
        assert_int_equal(b.windows[0].scrapes_seen, 1);
    }
    bench_done(&b);
}

/* An hour of windows, each with one slot seen; then the clock is half an hour behind for twelve seconds. */
static void live_an_hour_and_set_back(struct bench *b) {
    bench_init(b, ratio());
    int64_t count = 100;
    char text[64];
    for (int64_t at_ms = START_MS; at_ms < START_MS + HOUR_MS; at_ms += 60000) {
        snprintf(text, sizeof text, "r{code=\"200\"} %lld\n", (long long)count++);
        scrape(b, at_ms, text);
        assert_int_equal(fold_follow_clock(b->fold, at_ms, at_ms - START_MS), FOLD_CLOCK_STEADY);
        seal(b, at_ms + 60000);
        assert_int_equal(b->count, 1);
    }
    const int64_t behind_ms = START_MS + HOUR_MS / 2;
    assert_int_equal(fold_follow_clock(b->fold, behind_ms, HOUR_MS), FOLD_CLOCK_SET_BACK);
    scrape(b, behind_ms, "r{code=\"200\"} 163\n");
    assert_int_equal(fold_follow_clock(b->fold, behind_ms + 12000, HOUR_MS + 12000), FOLD_CLOCK_STEADY);
}

TEST(a_clock_that_was_behind_and_is_set_right_takes_nothing_back) {
    struct bench b;
    live_an_hour_and_set_back(&b);
    const int64_t right_ms = START_MS + HOUR_MS + 13000;
    assert_int_equal(fold_follow_clock(b.fold, right_ms, HOUR_MS + 13000), FOLD_CLOCK_SET_RIGHT);
    assert_int_equal(fold_follow_clock(b.fold, right_ms, HOUR_MS + 13000), FOLD_CLOCK_STEADY);
    seal(&b, right_ms);
    assert_int_equal(b.count, 0);
    scrape(&b, right_ms + 2000, "r{code=\"200\"} 164\n");
    seal(&b, START_MS + HOUR_MS + 60000);
    assert_int_equal(b.count, 1);
    check_window(&b.windows[0], START_MS + HOUR_MS, 5, 5, 4, 2); /* what was counted while it was behind came along */
    assert_int_equal(b.windows[0].revision, 1);
    bench_done(&b);
}

TEST(a_clock_that_is_set_right_by_halves_takes_nothing_back) {
    struct bench b;
    live_an_hour_and_set_back(&b);
    const int64_t half_ms = START_MS + HOUR_MS * 3 / 4;
    assert_int_equal(fold_follow_clock(b.fold, half_ms, HOUR_MS + 13000), FOLD_CLOCK_SET_RIGHT);
    seal(&b, half_ms + 1000);
    assert_int_equal(b.count, 0);
    assert_int_equal(fold_follow_clock(b.fold, START_MS + HOUR_MS + 15000, HOUR_MS + 15000), FOLD_CLOCK_SET_RIGHT);
    seal(&b, START_MS + HOUR_MS + 60000);
    assert_int_equal(b.count, 1);
    assert_int_equal(b.windows[0].window_start_ms, START_MS + HOUR_MS);
    assert_int_equal(b.windows[0].total, 4);
    bench_done(&b);
}

/* The time that a wrong clock was ahead by comes, and the machine sleeps through it: nobody knows. */
TEST(time_that_passes_unseen_is_unknown_where_a_clock_was_ahead_before) {
    struct bench b;
    live_an_hour_and_set_back(&b);
    const int64_t woken_ms = START_MS + HOUR_MS + 60000;
    assert_int_equal(fold_follow_clock(b.fold, woken_ms, HOUR_MS * 3 / 2 + 60000), FOLD_CLOCK_STEADY);
    seal(&b, woken_ms);
    assert_int_equal(b.count, 11); /* the one that was open, and gap_windows_max */
    assert_int_equal(b.windows[1].revision, 2);
    assert_int_equal(b.windows[1].scrapes_seen, 0);
    assert_int_equal(b.windows[1].scrapes_expected, 4);
    bench_done(&b);
}

TEST(a_small_step_back_is_waited_out) {
    struct bench b;
    bench_init(&b, ratio());
    scrape(&b, START_MS, "r{code=\"200\"} 100\n");
    scrape(&b, START_MS + 15000, "r{code=\"200\"} 110\n");
    seal(&b, START_MS + 60000);
    assert_int_equal(fold_follow_clock(b.fold, START_MS + 20000, 0), FOLD_CLOCK_STEADY);
    scrape(&b, START_MS + 30000, "r{code=\"200\"} 111\n"); /* in a window that is sealed: counts in the next */
    scrape(&b, START_MS + 60000, "r{code=\"200\"} 112\n");
    seal(&b, START_MS + 120000);
    assert_int_equal(b.count, 1);
    check_window(&b.windows[0], START_MS + 60000, 2, 2, 4, 2);
    bench_done(&b);
}

TEST(a_seal_that_was_not_stored_is_handed_out_again) {
    struct bench b;
    bench_init(&b, ratio());
    scrape(&b, START_MS, "r{code=\"200\"} 1\n");
    scrape(&b, START_MS + 15000, "r{code=\"200\"} 3\n");
    for (int i = 0; i < 3; i++) {
        fold_seal_begin(b.fold, START_MS + 60000, b.windows, WINDOWS_MAX, &b.count);
        assert_int_equal(b.count, 1);
        check_window(&b.windows[0], START_MS, 2, 2, 4, 2);
        uint64_t generation;
        assert_true(fold_snapshot_generation(fold_snapshot(b.fold), &generation));
        assert_int_equal(generation, 1);
        fold_seal_abort(b.fold);
        assert_int_equal(fold_generation(b.fold), 0);
    }
    seal(&b, START_MS + 60000);
    assert_int_equal(b.count, 1);
    seal(&b, START_MS + 60000);
    assert_int_equal(b.count, 0);
    assert_int_equal(fold_generation(b.fold), 1);
    bench_done(&b);
}

TEST(damaged_state_is_refused_and_never_counted) {
    struct bench b;
    struct fault fault;
    bench_init(&b, ratio());
    scrape(&b, START_MS, "r{code=\"200\"} 1\n");
    scrape(&b, START_MS + 1, "r{code=\"200\"} 2\n");
    uint8_t kept[4096];
    const slice whole = fold_snapshot(b.fold);
    memcpy(kept, whole.data, whole.size);
    for (size_t i = 0; i < whole.size; i++) {
        kept[i] ^= 1;
        bench_fold(&b, START_MS);
        CHECK_FAULT(fold_restore(b.fold, slice_of(kept, whole.size), NULL, 0, START_MS, &fault), FAULT_CORRUPT);
        CHECK_FAULT(fold_restore(b.fold, slice_of(kept, i), NULL, 0, START_MS, &fault), i ? FAULT_CORRUPT : FAULT_NONE);
        kept[i] ^= 1;
        seal(&b, START_MS + 60000);
        assert_int_equal(b.windows[0].total, 0);
    }
    bench_done(&b);
}

TEST(slots_are_the_same_before_during_and_after) {
    assert_int_equal(slot_count(0, 60000, 15000, 0), 4);
    assert_int_equal(slot_count(0, 60000, 15000, 14999), 4);
    assert_int_equal(slot_count(0, 60000, 50000, 20000), 1);
    assert_int_equal(slot_count(60000, 120000, 50000, 20000), 1);
    assert_int_equal(slot_count(0, 60000, 300000, 120000), 0);
    assert_int_equal(slot_at_or_after(-1, 10, 3), 3);
    assert_int_equal(slot_at_or_after(-8, 10, 3), -7);
    for (int64_t at = 0; at < 500; at++) {
        int64_t count = 0;
        for (int64_t t = at; t < at + 97; t++) count += t % 13 == 5;
        assert_int_equal(slot_count(at, at + 97, 13, 5), count);
    }
    const int64_t offset = slot_offset_ms(SLICE_LIT("node"), 15000);
    assert_true(offset >= 0 && offset < 15000);
}

TEST(definitions_that_are_wrong_are_refused_by_name) {
    struct sli *sli;
    struct fault fault = {0};
    const struct sli_definition good = {.slo_id = SLICE_LIT("a"),
                                        .kind = SLI_RATIO_GOOD,
                                        .good = SLICE_LIT("g"),
                                        .total = SLICE_LIT("t"),
                                        .window_seconds = 60};
    struct sli_definition d = good;
    d.total = SLICE_LIT("t{");
    CHECK_FAULT(sli_new(&d, &sli, &fault), FAULT_INPUT);
    assert_non_null(strstr(fault.text, "slo 'a': total: column 3"));
    d = good, d.good = (slice){0};
    CHECK_FAULT(sli_new(&d, &sli, &fault), FAULT_INPUT);
    assert_non_null(strstr(fault.text, "needs a selector 'good'"));
    d = good, d.bad = SLICE_LIT("x");
    CHECK_FAULT(sli_new(&d, &sli, &fault), FAULT_INPUT);
    d = good, d.slo_id = SLICE_LIT("a b");
    CHECK_FAULT(sli_new(&d, &sli, &fault), FAULT_INPUT);
    d = good, d.window_seconds = 0;
    CHECK_FAULT(sli_new(&d, &sli, &fault), FAULT_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ratio_counts_increases_and_not_the_first_sample),
        cmocka_unit_test(a_fall_is_a_reset_and_the_new_value_counts),
        cmocka_unit_test(a_window_never_saw_more_than_it_expected),
        cmocka_unit_test(a_bad_ratio_counts_what_is_left),
        cmocka_unit_test(a_histogram_counts_the_bucket_at_the_threshold_as_a_number),
        cmocka_unit_test(a_histogram_without_the_bucket_leaves_the_scrape_unseen_and_says_so),
        cmocka_unit_test(a_gauge_is_one_event_a_scrape),
        cmocka_unit_test(a_gauge_that_is_gone_or_NaN_is_unknown),
        cmocka_unit_test(a_gauge_may_be_compared_as_a_share_of_another),
        cmocka_unit_test(good_and_bad_counters_make_the_total_together),
        cmocka_unit_test(a_probe_is_good_when_it_answers_in_time),
        cmocka_unit_test(an_aborted_scrape_counts_nothing_and_the_next_bridges_it),
        cmocka_unit_test(a_window_waits_for_the_scrape_in_flight),
        cmocka_unit_test(good_that_runs_ahead_of_total_waits_for_it),
        cmocka_unit_test(fractions_of_events_are_not_lost),
        cmocka_unit_test(a_full_table_is_said_and_leaves_the_scrape_unseen),
        cmocka_unit_test(what_an_older_copy_did_not_know_of_is_not_counted_again),
        cmocka_unit_test(a_down_time_is_stated_as_windows_that_nobody_saw),
        cmocka_unit_test(windows_of_a_new_length_begin_where_those_of_the_old_one_end_and_nothing_is_lost),
        cmocka_unit_test(windows_of_another_definition_begin_where_those_of_the_old_one_end),
        cmocka_unit_test(state_of_the_version_before_is_read),
        cmocka_unit_test(a_clock_that_was_ahead_and_is_set_right_loses_nothing_and_counts_nothing_twice),
        cmocka_unit_test(a_clock_that_was_behind_and_is_set_right_takes_nothing_back),
        cmocka_unit_test(a_clock_that_is_set_right_by_halves_takes_nothing_back),
        cmocka_unit_test(time_that_passes_unseen_is_unknown_where_a_clock_was_ahead_before),
        cmocka_unit_test(a_small_step_back_is_waited_out),
        cmocka_unit_test(a_seal_that_was_not_stored_is_handed_out_again),
        cmocka_unit_test(damaged_state_is_refused_and_never_counted),
        cmocka_unit_test(slots_are_the_same_before_during_and_after),
        cmocka_unit_test(definitions_that_are_wrong_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
