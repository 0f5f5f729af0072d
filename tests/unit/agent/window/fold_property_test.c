/* SPDX-License-Identifier: Apache-2.0
 * Random targets are scraped, fail, are reset; the agent is killed at random points between its steps (commit, the
 * target's checkpoint, the sealed windows' transaction) and restored, also with other definitions. A plain model that
 * knows nothing of folding adds up what was observed. Integer for integer, the windows must add up to it. */
#include "agent/window/fold.h"
#include "agent/window/slot.h"
#include "tests/support/check.h"

enum { TARGETS = 3, SERIES = 4, SLIS = 3, KEPT_BYTES = 1 << 16, WINDOW_MS = 60000, WINDOWS_MAX = 64 };

struct model_series {
    int64_t good, bad;             /* what the process really counted */
    int64_t seen_good, seen_total; /* as last observed; -1: never */
    bool exists;
};

struct kept {
    uint8_t bytes[KEPT_BYTES];
    size_t size;
    uint64_t generation;
};

struct world {
    struct sli *slis[SLIS];
    struct fold *fold;
    struct selector_index *indexes[TARGETS];
    struct exposition *exposition;
    struct model_series series[TARGETS][SERIES];
    int64_t good[SLIS], total[SLIS]; /* what should be counted */
    int64_t got_good[SLIS], got_total[SLIS], next_ms[SLIS];
    uint64_t got_seen[SLIS], seen[SLIS];
    struct kept whole, targets[TARGETS]; /* the two stores */
    bool must_not_reset[TARGETS];        /* a scrape was lost with the process: until the next, a reset would hide it */
    int64_t now_ms, start_ms;
};

static uint64_t random_state;
static uint64_t draw(uint64_t below) {
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return random_state % below;
}

static const int64_t intervals[TARGETS] = {15000, 7000, 40000};

static void world_open(struct world *w) {
    const struct fold_settings settings = {
        .series_max = 100, .series_forget_ms = INT64_C(1) << 40, .gap_windows_max = 50};
    static const char *const names[TARGETS] = {"alpha", "beta", "gamma"};
    struct fold_target targets[TARGETS];
    struct fault fault;
    for (int t = 0; t < TARGETS; t++)
        targets[t] = (struct fold_target){slice_from_text(names[t]), false, intervals[t],
                                          slot_offset_ms(slice_from_text(names[t]), intervals[t]), intervals[t]};
    const struct sli *slis[SLIS] = {w->slis[0], w->slis[1], w->slis[2]};
    fold_free(w->fold);
    CHECK_OK(fold_new(&settings, targets, TARGETS, slis, SLIS, w->now_ms, &w->fold, &fault));
    for (size_t t = 0; t < TARGETS; t++) {
        selector_index_free(w->indexes[t]);
        w->indexes[t] = selector_index_new();
        CHECK_OK(fold_attach(w->fold, t, w->indexes[t], &fault));
        CHECK_OK(selector_index_ready(w->indexes[t], &fault));
    }
}

static void keep(struct kept *kept, slice bytes, uint64_t generation) {
    assert_true(bytes.size <= KEPT_BYTES);
    memcpy(kept->bytes, bytes.data, bytes.size);
    kept->size = bytes.size;
    kept->generation = generation;
}

static void world_restart(struct world *w, bool reload) {
    struct kept current;
    if (reload) keep(&current, fold_snapshot(w->fold), 0);
    world_open(w);
    struct fault fault;
    slice targets[TARGETS];
    size_t count = 0;
    uint64_t generation = 0;
    if (w->whole.size) assert_true(fold_snapshot_generation(slice_of(w->whole.bytes, w->whole.size), &generation));
    for (int t = 0; t < TARGETS; t++)
        if (w->targets[t].size &&
            (w->targets[t].generation == generation || draw(2))) /* the store filters; the fold must as well */
            targets[count++] = slice_of(w->targets[t].bytes, w->targets[t].size);
    if (reload)
        CHECK_OK(fold_restore(w->fold, slice_of(current.bytes, current.size), NULL, 0, w->now_ms, &fault));
    else
        CHECK_OK(fold_restore(w->fold, slice_of(w->whole.bytes, w->whole.size), targets, count, w->now_ms, &fault));
}

static void world_live(struct world *w) {
    for (int t = 0; t < TARGETS; t++)
        for (int s = 0; s < SERIES; s++) {
            struct model_series *one = &w->series[t][s];
            if (!one->exists && draw(8) == 0) one->exists = true;
            if (!one->exists) continue;
            if (!w->must_not_reset[t] && draw(60) == 0) one->good = one->bad = 0;
            one->good += (int64_t)draw(100);
            one->bad += (int64_t)draw(5);
        }
}

/* Reads alike for all three SLIs: good/total, bad/total over separate counters, and a histogram. */
static slice world_expose(struct world *w, int t, char *text, size_t room) {
    size_t size = 0;
    for (int s = 0; s < SERIES; s++) {
        const struct model_series *one = &w->series[t][s];
        if (!one->exists) continue;
        const long long good = one->good, all = one->good + one->bad;
        size +=
            (size_t)snprintf(text + size, room - size,
                             "good_total{s=\"%d\"} %lld\nbad_total{s=\"%d\",x=\"\"} %lld\nall_total{s=\"%d\"} %lld\n"
                             "lat_bucket{s=\"%d\",le=\"0.1\"} 0\nlat_bucket{le=\"0.50\",s=\"%d\"} "
                             "%lld\nlat_bucket{s=\"%d\",le=\"+Inf\"} %lld\n",
                             s, good, s, all - good, s, all, s, s, good, s, all);
    }
    return slice_of(text, size);
}

static int64_t increase(int64_t last, int64_t now) {
    return now < last ? now : now - last;
}

/* What the scrape adds, by the rule that the headers state and nothing else. */
static void model_observe(struct world *w, int t, bool fresh) {
    for (int s = 0; s < SERIES; s++) {
        struct model_series *one = &w->series[t][s];
        if (!one->exists) continue;
        const int64_t all = one->good + one->bad, seen_bad = one->seen_total - one->seen_good;
        if (one->seen_total >= 0) {
            w->good[0] += increase(one->seen_good, one->good);
            w->total[0] += increase(one->seen_total, all);
            w->good[1] += increase(one->seen_total, all) - increase(seen_bad, one->bad);
            w->total[1] += increase(one->seen_total, all);
            const bool reset = one->good < one->seen_good || all < one->seen_total;
            w->good[2] += reset ? one->good : one->good - one->seen_good;
            w->total[2] += reset ? all : all - one->seen_total;
        }
        one->seen_good = one->good;
        one->seen_total = all;
    }
    for (int i = 0; i < SLIS; i++) w->seen[i] += fresh;
}

static void world_seal(struct world *w) {
    for (;;) {
        struct sli_window windows[WINDOWS_MAX];
        size_t count;
        fold_seal_begin(w->fold, w->now_ms, windows, 1 + draw(WINDOWS_MAX), &count);
        if (count == 0) return;
        const slice whole = fold_snapshot(w->fold);
        if (draw(10) == 0) { /* the transaction fails */
            fold_seal_abort(w->fold);
            continue;
        }
        if (draw(10) == 0) { /* killed before it */
            world_restart(w, false);
            continue;
        }
        uint64_t generation;
        assert_true(fold_snapshot_generation(whole, &generation));
        keep(&w->whole, whole, generation);
        for (size_t i = 0; i < count; i++) {
            int number = windows[i].slo_id.data[0] - '0';
            assert_true(windows[i].good >= 0 && windows[i].good <= windows[i].total);
            assert_int_equal(windows[i].window_start_ms, w->next_ms[number]); /* gapless, and none twice */
            w->next_ms[number] += WINDOW_MS;
            int64_t expected = 0;
            for (int t = 0; t < TARGETS; t++) {
                static const char *const names[TARGETS] = {"alpha", "beta", "gamma"};
                const int64_t offset = slot_offset_ms(slice_from_text(names[t]), intervals[t]);
                /* All intervals are whole seconds, so a second at a time misses none. */
                for (int64_t at = windows[i].window_start_ms + offset % 1000;
                     at < windows[i].window_start_ms + WINDOW_MS; at += 1000)
                    expected += at % intervals[t] == offset;
            }
            assert_int_equal(windows[i].scrapes_expected, expected);
            assert_true(windows[i].scrapes_seen <= windows[i].scrapes_expected);
            w->got_good[number] += windows[i].good;
            w->got_total[number] += windows[i].total;
            w->got_seen[number] += windows[i].scrapes_seen;
        }
        if (draw(10) == 0) { /* killed right behind it */
            world_restart(w, false);
            continue;
        }
        fold_seal_commit(w->fold);
        assert_int_equal(fold_generation(w->fold), generation);
    }
}

static void world_scrape(struct world *w, int t, int64_t slot_ms, bool calm) {
    struct fault fault;
    char text[8192];
    CHECK_OK(fold_begin(w->fold, (size_t)t, slot_ms, &fault));
    const slice body = world_expose(w, t, text, sizeof text);
    const struct exposition_sink sink = {selector_index_find_name, selector_index_on_sample, w->indexes[t]};
    exposition_begin(w->exposition, EXPOSITION_TEXT, &sink);
    const bool broken = !calm && draw(12) == 0;
    const slice came = broken && body.size ? slice_first(body, draw(body.size)) : body;
    CHECK_OK(exposition_feed(w->exposition, came, &fault));
    if (broken) {
        fold_abort(w->fold, (size_t)t);
        return;
    }
    if (!calm && draw(20) == 0) { /* killed with the scrape in flight */
        world_restart(w, false);
        return;
    }
    CHECK_OK(fold_commit(w->fold, (size_t)t, slot_ms, &fault));
    if (!calm && draw(20) == 0) { /* killed before the checkpoint */
        w->must_not_reset[t] = true;
        world_restart(w, false);
        return;
    }
    const slice kept = fold_snapshot_target(w->fold, (size_t)t);
    keep(&w->targets[t], kept, fold_generation(w->fold));
    w->must_not_reset[t] = false;
    model_observe(w, t, true);
    if (!calm && draw(20) == 0) world_restart(w, false);
    if (!calm && draw(20) == 0) {
        world_restart(w, true);
        /* The pipeline stores the new fold's state at once. */
        keep(&w->targets[t], fold_snapshot_target(w->fold, (size_t)t), fold_generation(w->fold));
    }
}

static void world_run(uint64_t seed) {
    random_state = seed * 2 + 1;
    static struct world world;
    struct world *const w = &world;
    memset(w, 0, sizeof *w);
    struct fault fault;
    const struct sli_definition definitions[SLIS] = {{.slo_id = SLICE_LIT("0"),
                                                      .kind = SLI_RATIO_GOOD,
                                                      .good = SLICE_LIT("good_total"),
                                                      .total = SLICE_LIT("all_total"),
                                                      .window_seconds = 60},
                                                     {.slo_id = SLICE_LIT("1"),
                                                      .kind = SLI_RATIO_BAD,
                                                      .bad = SLICE_LIT("bad_total"),
                                                      .total = SLICE_LIT("all_total"),
                                                      .window_seconds = 60},
                                                     {.slo_id = SLICE_LIT("2"),
                                                      .kind = SLI_HISTOGRAM,
                                                      .total = SLICE_LIT("lat"),
                                                      .threshold = 0.5,
                                                      .window_seconds = 60}};
    for (int i = 0; i < SLIS; i++) CHECK_OK(sli_new(&definitions[i], &w->slis[i], &fault));
    w->exposition = exposition_new();
    for (int t = 0; t < TARGETS; t++)
        for (int s = 0; s < SERIES; s++) w->series[t][s].seen_total = w->series[t][s].seen_good = -1;
    w->now_ms = w->start_ms = WINDOW_MS * INT64_C(29000000) + (int64_t)draw(WINDOW_MS);
    for (int i = 0; i < SLIS; i++) w->next_ms[i] = w->start_ms / WINDOW_MS * WINDOW_MS;
    world_open(w);
    keep(&w->whole, fold_snapshot(w->fold), 0); /* as the pipeline does at its first start */
    int64_t due_ms[TARGETS];
    static const char *const names[TARGETS] = {"alpha", "beta", "gamma"};
    for (int step = 0; step < 600; step++) {
        const bool last = step == 599;
        if (!last && draw(80) == 0) { /* down for a while */
            w->now_ms += (int64_t)draw(20 * WINDOW_MS);
            world_restart(w, false);
        }
        int t = 0;
        for (int i = 0; i < TARGETS; i++) {
            due_ms[i] =
                slot_at_or_after(w->now_ms + 1, intervals[i], slot_offset_ms(slice_from_text(names[i]), intervals[i]));
            if (due_ms[i] < due_ms[t]) t = i;
        }
        w->now_ms = due_ms[t];
        world_live(w);
        world_seal(w);
        world_scrape(w, t, due_ms[t], false);
    }
    for (int t = 0; t < TARGETS; t++) { /* all that was lost with a process is seen once more */
        world_seal(w);
        w->now_ms =
            slot_at_or_after(w->now_ms + 1, intervals[t], slot_offset_ms(slice_from_text(names[t]), intervals[t]));
        world_seal(w);
        world_scrape(w, t, w->now_ms, true);
    }
    w->now_ms += 2 * WINDOW_MS;
    world_seal(w);
    struct fold_stats stats;
    fold_stats(w->fold, &stats);
    int64_t missing = 0;
    for (int i = 0; i < SLIS; i++) {
        assert_int_equal(w->got_total[i], w->total[i]);
        if (i != 1) missing += w->good[i] - w->got_good[i];
        assert_int_equal(w->got_seen[i], w->seen[i]);
    }
    missing += w->got_good[1] - w->good[1]; /* bad that waits */
    assert_int_equal(missing, stats.good_carried);
    fold_free(w->fold);
    for (int i = 0; i < SLIS; i++) sli_free(w->slis[i]);
    for (int t = 0; t < TARGETS; t++) selector_index_free(w->indexes[t]);
    exposition_free(w->exposition);
}

TEST(windows_add_up_to_what_was_observed_whatever_happens) {
    const uint64_t seed = check_seed();
    for (uint64_t i = 0; i < 60; i++) world_run(seed + i);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(windows_add_up_to_what_was_observed_whatever_happens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
