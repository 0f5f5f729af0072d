/* SPDX-License-Identifier: Apache-2.0
 * Targets that come and go: what is expected of them, what of them counts, and that no kill loses or doubles it. */
#include "agent/window/fold.h"
#include "agent/window/slot.h"
#include "tests/support/check.h"

enum { WINDOW_MS = 60000, INTERVAL_MS = 15000, WINDOWS_MAX = 64, KEPT_BYTES = 1 << 15 };
#define START_MS (1000 * INT64_C(60000))

struct bench {
    struct sli *sli;
    struct fold *fold;
    struct selector_index *index;
    struct exposition *exposition;
    struct sli_window windows[WINDOWS_MAX];
    size_t count;
};

static void bench_fold(struct bench *b, size_t targets_max, int64_t now_ms) {
    struct fault fault;
    const struct fold_group group = {
        .name = SLICE_LIT("pods"), .targets_max = targets_max, .interval_ms = INTERVAL_MS, .timeout_ms = 10000};
    const struct fold_settings settings = {
        .series_max = 64, .series_forget_ms = 3600000, .gap_windows_max = 10, .groups = &group, .groups_count = 1};
    const struct sli *const slis[] = {b->sli};
    fold_free(b->fold);
    selector_index_free(b->index);
    CHECK_OK(fold_new(&settings, NULL, 0, slis, 1, now_ms, &b->fold, &fault));
    b->index = selector_index_new();
    CHECK_OK(fold_attach_group(b->fold, 0, b->index, &fault));
    CHECK_OK(selector_index_ready(b->index, &fault));
}

static void bench_init(struct bench *b, size_t targets_max) {
    struct fault fault;
    const slice targets[] = {SLICE_LIT("pods")};
    const struct sli_definition definition = {.slo_id = SLICE_LIT("slo-1"),
                                              .kind = SLI_RATIO_BAD,
                                              .bad = SLICE_LIT("e"),
                                              .total = SLICE_LIT("r"),
                                              .window_seconds = 60,
                                              .targets = targets,
                                              .targets_count = 1};
    memset(b, 0, sizeof *b);
    CHECK_OK(sli_new(&definition, &b->sli, &fault));
    b->exposition = exposition_new();
    bench_fold(b, targets_max, START_MS);
}

static void bench_done(struct bench *b) {
    fold_free(b->fold);
    selector_index_free(b->index);
    sli_free(b->sli);
    exposition_free(b->exposition);
}

static struct fold_member member(const char *name, uint64_t incarnation) {
    return (struct fold_member){slice_from_text(name), incarnation, INTERVAL_MS, 0, 10000};
}

static size_t join(struct bench *b, const char *name, uint64_t incarnation, int64_t now_ms) {
    struct fault fault;
    size_t target = 0;
    const struct fold_member one = member(name, incarnation);
    CHECK_OK(fold_join(b->fold, 0, &one, now_ms, &target, &fault));
    return target;
}

static void stage(struct bench *b, size_t target, int64_t slot_ms, long long total) {
    struct fault fault;
    char text[64];
    snprintf(text, sizeof text, "r %lld\ne 0\n", total);
    CHECK_OK(fold_begin(b->fold, target, slot_ms, &fault));
    const struct exposition_sink sink = {selector_index_find_name, selector_index_on_sample, b->index};
    selector_index_aim(b->index, fold_tag_base(b->fold, target));
    exposition_begin(b->exposition, EXPOSITION_TEXT, &sink);
    CHECK_OK(exposition_feed(b->exposition, slice_from_text(text), &fault));
    CHECK_OK(exposition_end(b->exposition, &fault));
}

static void scrape(struct bench *b, size_t target, int64_t slot_ms, long long total) {
    struct fault fault;
    stage(b, target, slot_ms, total);
    CHECK_OK(fold_commit(b->fold, target, slot_ms, &fault));
}

static void seal(struct bench *b, int64_t now_ms) {
    fold_seal_begin(b->fold, now_ms, b->windows, WINDOWS_MAX, &b->count);
    fold_seal_commit(b->fold);
}

static void check_window(const struct bench *b, size_t at, int64_t start_ms, int64_t total, unsigned expected,
                         unsigned seen) {
    assert_true(at < b->count);
    const struct sli_window *const window = &b->windows[at];
    assert_int_equal(window->window_start_ms, start_ms);
    assert_int_equal(window->total, total);
    assert_int_equal(window->scrapes_expected, expected);
    assert_int_equal(window->scrapes_seen, seen);
}

TEST(a_target_is_expected_from_when_it_comes_to_when_it_goes) {
    struct bench b;
    bench_init(&b, 4);
    fold_group_fresh(b.fold, 0, START_MS);
    const size_t one = join(&b, "a", 1, START_MS + 20000); /* slots at 30, 45, 60, 75 ... */
    scrape(&b, one, START_MS + 30000, 100);
    scrape(&b, one, START_MS + 45000, 107);
    seal(&b, START_MS + 60000);
    assert_int_equal(b.count, 1);
    check_window(&b, 0, START_MS, 7, 2, 2);
    scrape(&b, one, START_MS + 60000, 110);
    fold_leave(b.fold, one, START_MS + 80000); /* the slot at 75 was not seen */
    seal(&b, START_MS + 120000);
    assert_int_equal(b.count, 1);
    check_window(&b, 0, START_MS + 60000, 3, 2, 1);
    seal(&b, START_MS + 240000); /* nobody is there: nothing to say */
    assert_int_equal(b.count, 0);
    bench_done(&b);
}

TEST(a_name_that_is_born_by_another_begins_with_a_baseline) {
    struct bench b;
    bench_init(&b, 2);
    fold_group_fresh(b.fold, 0, START_MS);
    const size_t old = join(&b, "a", 1, START_MS);
    scrape(&b, old, START_MS + 15000, 100);
    scrape(&b, old, START_MS + 30000, 104);
    const size_t new = join(&b, "a", 2, START_MS + 31000);
    assert_true(old != new);
    scrape(&b, new, START_MS + 45000, 1000000); /* not an increase of the other's */
    seal(&b, START_MS + 60000);
    check_window(&b, 0, START_MS, 4, 3, 3);
    bench_done(&b);
}

TEST(a_place_is_given_back_when_its_windows_are_sealed) {
    struct bench b;
    struct fault fault;
    struct fold_stats stats;
    bench_init(&b, 2);
    fold_group_fresh(b.fold, 0, START_MS);
    size_t ones[4], target;
    for (int i = 0; i < 2; i++) ones[i] = join(&b, i ? "b" : "a", 1, START_MS);
    struct fold_member more = member("c", 1);
    assert_int_equal(fold_join(b.fold, 0, &more, START_MS, &target, &fault), FAULT_LIMIT);
    assert_non_null(strstr(fault.text, "targets_max"));
    for (int i = 0; i < 2; i++) {
        scrape(&b, ones[i], START_MS + 15000, 5);
        scrape(&b, ones[i], START_MS + 30000, 8);
        fold_leave(b.fold, ones[i], START_MS + 31000);
    }
    for (int i = 0; i < 2; i++) ones[2 + i] = join(&b, i ? "d" : "c", 1, START_MS + 32000);
    fold_leave(b.fold, ones[2], START_MS + 33000);
    more = member("e", 1); /* one may be there, but all places hold counts of the open window */
    assert_int_equal(fold_join(b.fold, 0, &more, START_MS + 34000, &target, &fault), FAULT_LIMIT);
    seal(&b, START_MS + 60000);
    check_window(&b, 0, START_MS, 6, 2 * 2 + 1, 4);
    assert_int_equal(fold_join(b.fold, 0, &more, START_MS + 60000, &target, &fault), FAULT_NONE);
    scrape(&b, target, START_MS + 75000, 50); /* nothing is left of who was there before */
    scrape(&b, target, START_MS + 90000, 51);
    fold_stats(b.fold, &stats);
    assert_int_equal(stats.members, 2);
    assert_int_equal(stats.members_refused, 2);
    assert_int_equal(stats.series, 2);
    seal(&b, START_MS + 120000);
    check_window(&b, 0, START_MS + 60000, 1, 3 + 4, 2);
    bench_done(&b);
}

TEST(a_group_that_nobody_knows_is_unseen) {
    struct bench b;
    bench_init(&b, 2);
    const int64_t slots = slot_count(START_MS, START_MS + 40000, INTERVAL_MS, slot_offset_ms(SLICE_LIT("pods"), 15000));
    fold_group_fresh(b.fold, 0, START_MS + 40000);
    seal(&b, START_MS + 60000);
    check_window(&b, 0, START_MS, 0, (unsigned)slots, 0);
    seal(&b, START_MS + 120000);
    assert_int_equal(b.count, 0);
    fold_group_stale(b.fold, 0, START_MS + 120000);
    seal(&b, START_MS + 240000);
    assert_int_equal(b.count, 2);
    check_window(&b, 1, START_MS + 180000, 0, 4, 0);
    bench_done(&b);
}

TEST(who_is_about_to_end_still_counts_and_is_not_expected) {
    struct bench b;
    bench_init(&b, 2);
    fold_group_fresh(b.fold, 0, START_MS);
    const size_t one = join(&b, "a", 1, START_MS), other = join(&b, "b", 1, START_MS);
    for (int i = 1; i < 3; i++) {
        scrape(&b, one, START_MS + i * 15000, 10 * i);
        if (i == 1) scrape(&b, other, START_MS + i * 15000, 10 * i);
    }
    fold_expect_no_more(b.fold, one, START_MS + 31000);
    scrape(&b, one, START_MS + 45000, 35); /* must not stand in for what `other` did not show */
    fold_leave(b.fold, one, START_MS + 50000);
    seal(&b, START_MS + 60000);
    check_window(&b, 0, START_MS, 25, 2 + 3, 2 + 1);
    bench_done(&b);
}

TEST(who_was_restored_and_does_not_join_is_gone) {
    struct bench b;
    struct fault fault;
    static uint8_t kept[KEPT_BYTES];
    bench_init(&b, 3);
    fold_group_fresh(b.fold, 0, START_MS);
    const size_t one = join(&b, "a", 1, START_MS), other = join(&b, "b", 1, START_MS);
    scrape(&b, one, START_MS + 15000, 10);
    scrape(&b, other, START_MS + 15000, 10);
    scrape(&b, one, START_MS + 30000, 12);
    const slice whole = fold_snapshot(b.fold);
    memcpy(kept, whole.data, whole.size);
    bench_fold(&b, 3, START_MS + 70000);
    CHECK_OK(fold_restore(b.fold, slice_of(kept, whole.size), NULL, 0, START_MS + 70000, &fault));
    fold_group_stale(b.fold, 0, INT64_MIN);
    size_t cursor = 0, found = 0;
    for (slice name; fold_restored_member(b.fold, 0, &cursor, &name);) found++;
    assert_int_equal(found, 2);
    const size_t again = join(&b, "a", 1, START_MS + 71000);
    fold_group_fresh(b.fold, 0, START_MS + 72000);
    scrape(&b, again, START_MS + 75000, 20); /* bridges the down time */
    seal(&b, START_MS + 60000);
    check_window(&b, 0, START_MS, 2, 3 + 3 + 4, 3); /* the down time: both were expected, and the group itself */
    seal(&b, START_MS + 120000);
    const int64_t own =
        slot_count(START_MS + 60000, START_MS + 72000, INTERVAL_MS, slot_offset_ms(SLICE_LIT("pods"), INTERVAL_MS));
    check_window(&b, 0, START_MS + 60000, 8, 4 + 1 + (unsigned)own, 1);
    bench_done(&b);
}

TEST(who_left_by_a_clock_that_was_ahead_is_expected_no_longer) {
    struct bench b;
    bench_init(&b, 2);
    const int64_t ahead_ms = START_MS + INT64_C(3600) * 1000 * 5;
    bench_fold(&b, 2, ahead_ms);
    fold_group_fresh(b.fold, 0, ahead_ms);
    const size_t one = join(&b, "a", 1, ahead_ms);
    scrape(&b, one, ahead_ms + 15000, 5);
    fold_leave(b.fold, one, ahead_ms + 20000);
    assert_int_equal(fold_follow_clock(b.fold, START_MS, 0), FOLD_CLOCK_SET_BACK);
    seal(&b, START_MS + 60000);
    seal(&b, START_MS + 180000);
    assert_int_equal(b.count, 0);
    bench_done(&b);
}

/* Random comings and goings, with kills between every two steps. */
enum { MEMBERS = 5, STORED_MAX = 64 };

struct model_member {
    char name[8];
    bool there;
    uint64_t incarnation;
    size_t target;
    int64_t count, seen; /* seen -1: never */
};

struct stored {
    uint8_t bytes[2048];
    size_t size;
    char key[32];
};

struct world {
    struct bench bench;
    struct model_member members[MEMBERS];
    struct stored checkpoints[STORED_MAX]; /* of the whole's generation */
    size_t checkpoints_count;
    uint8_t whole[KEPT_BYTES];
    size_t whole_size;
    int64_t now_ms, next_ms, total, got_total;
    uint64_t seen, got_seen;
    bool known; /* who is there, by the fold */
};

static uint64_t random_state;
static uint64_t draw(uint64_t below) {
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return random_state % below;
}

/* All places may hold counts of who has left: then it is as if it were not there. */
static void world_join(struct world *w, struct model_member *m) {
    struct fault fault;
    const struct fold_member one = member(m->name, m->incarnation);
    if (fold_join(w->bench.fold, 0, &one, w->now_ms, &m->target, &fault)) m->there = false;
}

static void world_sync(struct world *w) {
    for (int i = 0; i < MEMBERS; i++)
        if (w->members[i].there) world_join(w, &w->members[i]);
    fold_group_fresh(w->bench.fold, 0, w->now_ms);
    w->known = true;
}

static void world_kill(struct world *w) {
    struct fault fault;
    slice targets[STORED_MAX];
    for (size_t i = 0; i < w->checkpoints_count; i++)
        targets[i] = slice_of(w->checkpoints[i].bytes, w->checkpoints[i].size);
    w->now_ms += (int64_t)draw(3) * 40000;
    bench_fold(&w->bench, MEMBERS, w->now_ms);
    CHECK_OK(fold_restore(w->bench.fold, slice_of(w->whole, w->whole_size), targets, w->checkpoints_count, w->now_ms,
                          &fault));
    fold_group_stale(w->bench.fold, 0, INT64_MIN);
    w->known = false;
}

static void world_checkpoint(struct world *w, const struct model_member *m) {
    const slice bytes = fold_snapshot_target(w->bench.fold, m->target);
    char key[32];
    snprintf(key, sizeof key, "%s/%llu", m->name, (unsigned long long)m->incarnation);
    size_t at = 0;
    while (at < w->checkpoints_count && strcmp(w->checkpoints[at].key, key) != 0) at++;
    assert_true(at < STORED_MAX && bytes.size <= sizeof w->checkpoints[at].bytes);
    w->checkpoints_count += at == w->checkpoints_count;
    memcpy(w->checkpoints[at].bytes, bytes.data, bytes.size);
    w->checkpoints[at].size = bytes.size;
    memcpy(w->checkpoints[at].key, key, sizeof key);
}

static void world_seal(struct world *w) {
    struct bench *const b = &w->bench;
    for (;;) {
        fold_seal_begin(b->fold, w->now_ms, b->windows, WINDOWS_MAX, &b->count);
        if (b->count == 0) return;
        const slice whole = fold_snapshot(b->fold);
        if (draw(8) == 0) {
            world_kill(w);
            continue;
        }
        memcpy(w->whole, whole.data, whole.size);
        w->whole_size = whole.size;
        w->checkpoints_count = 0;
        for (size_t i = 0; i < b->count; i++) {
            assert_true(b->windows[i].window_start_ms >= w->next_ms);
            assert_true(b->windows[i].scrapes_seen <= b->windows[i].scrapes_expected);
            w->next_ms = b->windows[i].window_start_ms + WINDOW_MS;
            w->got_total += b->windows[i].total;
            w->got_seen += b->windows[i].scrapes_seen;
        }
        if (draw(8) == 0)
            world_kill(w);
        else
            fold_seal_commit(b->fold);
    }
}

static void world_scrape(struct world *w, struct model_member *m, bool calm) {
    struct fault fault;
    stage(&w->bench, m->target, w->now_ms, m->count);
    if (!calm && draw(8) == 0) {
        fold_abort(w->bench.fold, m->target);
        return;
    }
    if (!calm && draw(15) == 0) {
        world_kill(w);
        return;
    }
    CHECK_OK(fold_commit(w->bench.fold, m->target, w->now_ms, &fault));
    if (!calm && draw(15) == 0) { /* before the checkpoint: the next that is seen bridges it */
        world_kill(w);
        return;
    }
    world_checkpoint(w, m);
    if (m->seen >= 0) w->total += m->count - m->seen;
    m->seen = m->count;
    w->seen++;
}

static void world_come_and_go(struct world *w) {
    struct model_member *const m = &w->members[draw(MEMBERS)];
    if (m->there && draw(3) == 0) {
        m->there = false;
        if (!w->known) return; /* found out by the next sync */
        fold_leave(w->bench.fold, m->target, w->now_ms);
        if (draw(2)) world_checkpoint(w, m);
    } else if (!m->there) {
        *m = (struct model_member){.there = true, .incarnation = m->incarnation + 1, .seen = -1};
        snprintf(m->name, sizeof m->name, "m%d", (int)(m - w->members));
        m->count = (int64_t)draw(1000);
        if (w->known) world_join(w, m);
    }
}

static void world_run(uint64_t seed) {
    random_state = seed * 2 + 1;
    static struct world world;
    struct world *const w = &world;
    memset(w, 0, sizeof *w);
    bench_init(&w->bench, MEMBERS);
    w->now_ms = START_MS;
    const slice whole = fold_snapshot(w->bench.fold);
    memcpy(w->whole, whole.data, whole.size);
    w->whole_size = whole.size;
    for (int step = 0; step < 400; step++) {
        w->now_ms = w->now_ms / INTERVAL_MS * INTERVAL_MS + 1000; /* between slots */
        world_seal(w);
        if (!w->known && draw(2)) world_sync(w);
        for (uint64_t i = draw(3); i > 0; i--) world_come_and_go(w);
        w->now_ms = w->now_ms / INTERVAL_MS * INTERVAL_MS + INTERVAL_MS;
        for (int i = 0; i < MEMBERS; i++) {
            w->members[i].count += (int64_t)draw(50);
            if (w->known && w->members[i].there) world_scrape(w, &w->members[i], false);
            if (!w->known) break;
        }
    }
    w->now_ms += 1000;
    world_seal(w);
    if (!w->known) world_sync(w);
    w->now_ms += 4 * WINDOW_MS;
    while (fold_seal_due_ms(w->bench.fold) <= w->now_ms) world_seal(w);
    assert_int_equal(w->got_total, w->total);
    assert_int_equal(w->got_seen, w->seen);
    bench_done(&w->bench);
}

TEST(whoever_comes_and_goes_and_whatever_is_killed_all_that_was_seen_counts_once) {
    const uint64_t seed = check_seed();
    for (uint64_t i = 0; i < 100; i++) world_run(seed + i);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_is_expected_from_when_it_comes_to_when_it_goes),
        cmocka_unit_test(a_name_that_is_born_by_another_begins_with_a_baseline),
        cmocka_unit_test(a_place_is_given_back_when_its_windows_are_sealed),
        cmocka_unit_test(a_group_that_nobody_knows_is_unseen),
        cmocka_unit_test(who_is_about_to_end_still_counts_and_is_not_expected),
        cmocka_unit_test(who_was_restored_and_does_not_join_is_gone),
        cmocka_unit_test(who_left_by_a_clock_that_was_ahead_is_expected_no_longer),
        cmocka_unit_test(whoever_comes_and_goes_and_whatever_is_killed_all_that_was_seen_counts_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
