/* SPDX-License-Identifier: Apache-2.0
 * What a source says about an alert comes in any order and any number of times; what the alert is in the end follows
 * from what was said alone. The model below takes the whole set at once; the domain gets it one by one.
 *
 * One thing is not part of it: a firing that begins anew with the starts_at of the one before, within half of the
 * expiry after that was seen last. There the repeat that has no effect is not known when an older end comes. */
#include "aggregator/domain/alert.h"
#include "tests/unit/aggregator/domain/domain_fixture.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 3000, SAID_MAX = 40, EXPIRY_MS = 300000, HALF_MS = EXPIRY_MS / 2 };

struct said {
    bool over;
    int64_t starts_ms, ends_ms, observed_ms;
};
struct story {
    struct said items[SAID_MAX];
    size_t count;
};

static int64_t draw(uint64_t *seed, int64_t below) {
    return (int64_t)(check_random(seed) % (uint64_t)below);
}

static void say(struct story *story, bool over, int64_t starts_ms, int64_t ends_ms, int64_t observed_ms) {
    assert_true(story->count < SAID_MAX);
    story->items[story->count++] = (struct said){over, starts_ms, ends_ms, observed_ms};
}

/* Some firings, one after the other, as a source goes through them; returns when the last was said. */
static int64_t make_story(uint64_t *seed, struct story *story) {
    int64_t now_ms = DOMAIN_NOW_MS;
    story->count = 0;
    for (int64_t firing = draw(seed, 4); firing >= 0; firing--) {
        const int64_t starts_ms = now_ms;
        int64_t part = 1 + (draw(seed, 4) == 0); /* cut off, and back with the same firing */
        for (; part > 0; part--) {
            for (int64_t repeat = draw(seed, 4); repeat > 0; repeat--) {
                say(story, false, starts_ms, 0, now_ms);
                now_ms += draw(seed, EXPIRY_MS);
            }
            const bool last = firing == 0 && part == 1;
            if (!last || draw(seed, 2)) {
                const int64_t seen_ms = now_ms + draw(seed, 3);
                say(story, true, starts_ms, now_ms, seen_ms);
                if (draw(seed, 3) == 0) say(story, false, starts_ms, 0, seen_ms); /* at the same time */
                if (draw(seed, 3) == 0) say(story, true, starts_ms, now_ms + 500, seen_ms + 1000 * draw(seed, 2));
            }
            now_ms += HALF_MS + draw(seed, EXPIRY_MS);
        }
    }
    if (!story->count) say(story, false, now_ms, 0, now_ms);
    return now_ms;
}

/* What holds in the end: the newest firing, and of that what was seen last. */
static const struct said *model(const struct story *story) {
    const struct said *last = &story->items[0];
    for (size_t i = 1; i < story->count; i++) {
        const struct said *said = &story->items[i];
        const int64_t now[] = {said->starts_ms, said->observed_ms, said->over, said->ends_ms};
        const int64_t before[] = {last->starts_ms, last->observed_ms, last->over, last->ends_ms};
        for (int k = 0; k < 4; k++) {
            if (now[k] > before[k]) last = said;
            if (now[k] != before[k]) break;
        }
    }
    return last;
}

static void give(struct world *w, const struct said *said) {
    IngestAlertRequested *r = &world_intent(w, SreDomainIntent_ingest_alert_tag)->intent.ingest_alert;
    r->fingerprint = SLICE_LIT("f1");
    r->name = arena_format(w->arena, "firing since %lld", (long long)said->starts_ms);
    r->source = ALERT_SOURCE_PROMETHEUS;
    r->status = said->over ? ALERT_STATUS_RESOLVED : ALERT_STATUS_FIRING;
    r->has_starts_at = r->has_observed_at = true;
    r->starts_at = domain_time(said->starts_ms);
    r->observed_at = domain_time(said->observed_ms);
    r->has_ends_at = said->over;
    r->ends_at = domain_time(said->ends_ms);
    assert_int_equal(world_give(w), FAULT_NONE);
}

static void check_end(const struct world *w, const struct said *wanted) {
    const Alert *now = &w->aggregate.state.alert;
    char name[40];
    snprintf(name, sizeof name, "firing since %lld", (long long)wanted->starts_ms);
    CHECK_SLICE(now->name, name);
    assert_int_equal(domain_ms(now->starts_at), wanted->starts_ms);
    assert_int_equal(now->status, wanted->over ? ALERT_STATUS_RESOLVED : ALERT_STATUS_FIRING);
    assert_int_equal(now->has_ends_at, wanted->over);
    assert_int_equal(now->has_expires_at, !wanted->over);
    if (wanted->over) {
        assert_int_equal(domain_ms(now->ends_at), wanted->ends_ms);
    } else { /* what gains less than half of it does not move it */
        const int64_t gained_ms = wanted->observed_ms + EXPIRY_MS - domain_ms(now->expires_at);
        assert_true(gained_ms >= 0 && gained_ms < HALF_MS);
    }
}

TEST(any_order_and_any_number_of_times_end_in_the_same_state) {
    uint64_t seed = check_seed();
    for (int round = 0; round < ROUNDS; round++) {
        struct story story;
        const struct said *order[3 * SAID_MAX];
        size_t count = 0;
        struct world *w = world_new(AGGREGATE_ALERT, SLICE_LIT("prometheus.f1"));
        w->call.now_ms = make_story(&seed, &story);
        for (size_t i = 0; i < story.count; i++)
            for (int64_t times = 1 + draw(&seed, 3); times > 0; times--) order[count++] = &story.items[i];
        for (size_t i = count; i > 1; i--) {
            const size_t other = (size_t)draw(&seed, (int64_t)i);
            const struct said *swap = order[i - 1];
            order[i - 1] = order[other];
            order[other] = swap;
        }
        for (size_t i = 0; i < count; i++) give(w, order[i]);
        check_end(w, model(&story));
        for (size_t i = 0; i < story.count; i++) give(w, &story.items[i]); /* once more, in its own order */
        check_end(w, model(&story));
        world_free(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_and_any_number_of_times_end_in_the_same_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
