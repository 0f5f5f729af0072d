/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/applications/applications.h"
#include "tests/support/check.h"

#include <stdlib.h>

enum { HEARTBEAT_MS = 60000, DEBOUNCE_MS = 1000, STALE_MS = 10000, MOST = 8 };

struct world {
    struct applications *applications;
    struct applications_time now;
    struct application_report reports[MOST];
    size_t count;
    struct arena *arena;
    slice notes[APPLICATIONS_SHARDS]; /* as stored, in the arena */
};

static void open_world(struct world *world, size_t most) {
    struct fault fault;
    const struct applications_settings settings = {HEARTBEAT_MS, DEBOUNCE_MS,          STALE_MS,
                                                   most,         SLICE_LIT("default"), SLICE_LIT("c1")};
    if (!world->arena) {
        world->arena = arena_new(4096, 16 * 1024 * 1024);
        world->now = (struct applications_time){1000000, 5000};
    }
    CHECK_OK(applications_new(&settings, world->now, &world->applications, &fault));
    for (unsigned i = 0; i < APPLICATIONS_SHARDS; i++)
        if (world->notes[i].size)
            CHECK_OK(applications_restore(world->applications, world->notes[i], world->now, &fault));
}

static void close_world(struct world *world) {
    world->applications = applications_free(world->applications);
    world->arena = arena_free(world->arena);
}

/* What kill -9 leaves: the notes. */
static void kill_world(struct world *world) {
    world->applications = applications_free(world->applications);
    open_world(world, 100);
}

static void wait_ms(struct world *world, int64_t ms) {
    world->now.wall_ms += ms;
    world->now.monotonic_ms += ms;
}

static struct application_view view_of(const char *name, enum application_health health) {
    return (struct application_view){.namespace = SLICE_LIT("argocd"),
                                     .name = slice_from_text(name),
                                     .environment = SLICE_LIT("prod"),
                                     .cluster = SLICE_LIT("c1"),
                                     .health = health,
                                     .sync = APPLICATION_SYNCED,
                                     .phase = APPLICATION_SUCCEEDED,
                                     .message = SLICE_LIT("why")};
}

static void see(struct world *world, const char *name, enum application_health health, bool listed) {
    struct fault fault;
    const struct application_view view = view_of(name, health);
    CHECK_OK(applications_see(world->applications, &view, listed, world->now, &fault));
}

/* Takes one batch, storing its note first as the agent does; false when nothing is due. */
static bool take(struct world *world) {
    world->count = applications_due(world->applications, world->now, world->reports, MOST);
    if (world->count == 0) return false;
    bool changed = false;
    for (size_t i = 0; i < world->count; i++)
        changed |= world->reports[i].changed && world->reports[i].kind == APPLICATION_REPORT;
    if (changed) {
        unsigned shard;
        slice note;
        struct fault fault;
        CHECK_OK(
            applications_note(world->applications, world->reports, world->count, world->arena, &shard, &note, &fault));
        world->notes[shard] = note;
    }
    applications_taken(world->applications, world->reports, world->count, world->now);
    return true;
}

struct seen {
    size_t changes, heartbeats, fleets, deletions, stale;
    struct application_report last_application, last_fleet;
};

static struct seen take_all(struct world *world) {
    struct seen seen = {0};
    while (take(world))
        for (size_t i = 0; i < world->count; i++) {
            const struct application_report *const report = &world->reports[i];
            if (report->kind == FLEET_REPORT) {
                seen.fleets++;
                seen.last_fleet = *report;
                uint32_t sum = 0;
                for (int h = 0; h < APPLICATION_HEALTHS_; h++) sum += report->counts.by_health[h];
                assert_int_equal(sum, report->counts.total);
                assert_true(report->counts.out_of_sync <= report->counts.total);
                continue;
            }
            seen.last_application = *report; /* its texts are not looked at: they may be gone */
            seen.changes += report->changed;
            seen.heartbeats += !report->changed;
            seen.deletions += report->deleted;
            seen.stale += report->stale;
        }
    return seen;
}

static void list(struct world *world, const char *const *names, const enum application_health *healths, size_t count) {
    applications_list_begins(world->applications, (slice){0});
    for (size_t i = 0; i < count; i++) see(world, names[i], healths[i], true);
    applications_list_ends(world->applications, (slice){0}, world->now);
    applications_current(world->applications, world->now);
}

static const char *const three[] = {"cart", "checkout", "search"};
static const enum application_health three_healths[] = {APPLICATION_HEALTHY, APPLICATION_DEGRADED,
                                                        APPLICATION_PROGRESSING};

TEST(a_list_is_reported_once_and_its_fleet_when_it_is_whole) {
    struct world world = {0};
    open_world(&world, 100);
    applications_list_begins(world.applications, (slice){0});
    see(&world, "cart", APPLICATION_HEALTHY, true);
    wait_ms(&world, 2 * DEBOUNCE_MS);
    struct seen seen = take_all(&world);
    assert_int_equal(seen.changes, 1);
    assert_int_equal(seen.fleets, 0); /* half a list is no count */
    see(&world, "checkout", APPLICATION_DEGRADED, true);
    see(&world, "search", APPLICATION_PROGRESSING, true);
    applications_list_ends(world.applications, (slice){0}, world.now);
    applications_current(world.applications, world.now);
    wait_ms(&world, DEBOUNCE_MS);
    seen = take_all(&world);
    assert_int_equal(seen.changes, 2);
    assert_int_equal(seen.fleets, 1);
    assert_int_equal(seen.last_fleet.counts.total, 3);
    assert_int_equal(seen.last_fleet.counts.by_health[APPLICATION_DEGRADED], 1);
    assert_true(slice_equal_text(seen.last_fleet.application.environment, "prod"));
    list(&world, three, three_healths, 3);
    wait_ms(&world, DEBOUNCE_MS);
    seen = take_all(&world);
    assert_int_equal(seen.changes + seen.heartbeats + seen.fleets, 0);
    close_world(&world);
}

TEST(a_change_is_reported_at_once_and_its_fleet_after_the_debounce) {
    struct world world = {0};
    open_world(&world, 100);
    list(&world, three, three_healths, 3);
    wait_ms(&world, DEBOUNCE_MS);
    (void)take_all(&world);
    see(&world, "cart", APPLICATION_MISSING, false);
    assert_true(applications_waits(world.applications, SLICE_LIT("argocd"), SLICE_LIT("cart")));
    assert_int_equal(applications_due_ms(world.applications), 0);
    struct seen seen = take_all(&world);
    assert_int_equal(seen.changes, 1);
    assert_int_equal(seen.last_application.application.health, APPLICATION_MISSING);
    assert_int_equal(seen.last_application.observed_ms, world.now.wall_ms);
    assert_int_equal(seen.fleets, 0);
    assert_int_equal(applications_due_ms(world.applications), world.now.monotonic_ms + DEBOUNCE_MS);
    wait_ms(&world, DEBOUNCE_MS);
    seen = take_all(&world);
    assert_int_equal(seen.fleets, 1);
    assert_int_equal(seen.last_fleet.counts.by_health[APPLICATION_MISSING], 1);
    /* There and back within the debounce: no news of the fleet. */
    see(&world, "cart", APPLICATION_HEALTHY, false);
    (void)take_all(&world);
    see(&world, "cart", APPLICATION_MISSING, false);
    wait_ms(&world, DEBOUNCE_MS);
    seen = take_all(&world);
    assert_int_equal(seen.changes, 1);
    assert_int_equal(seen.fleets, 0);
    close_world(&world);
}

TEST(a_report_is_never_older_than_the_one_before_it) {
    struct world world = {0};
    open_world(&world, 100);
    list(&world, three, three_healths, 1);
    const int64_t first_ms = take_all(&world).last_application.observed_ms;
    world.now.wall_ms -= 5000; /* the clock was set back */
    see(&world, "cart", APPLICATION_DEGRADED, false);
    assert_int_equal(take_all(&world).last_application.observed_ms, first_ms + 1);
    close_world(&world);
}

TEST(a_source_that_is_lost_makes_all_unknown_and_keeps_the_total) {
    struct world world = {0};
    open_world(&world, 100);
    list(&world, three, three_healths, 3);
    wait_ms(&world, DEBOUNCE_MS);
    (void)take_all(&world);
    applications_lost(world.applications, "connection refused", world.now.monotonic_ms);
    wait_ms(&world, STALE_MS - 1);
    assert_int_equal(take_all(&world).changes, 0);
    assert_int_equal(applications_due_ms(world.applications), world.now.monotonic_ms + 1);
    wait_ms(&world, 1 + DEBOUNCE_MS);
    (void)take_all(&world);
    wait_ms(&world, DEBOUNCE_MS);
    struct applications_stats stats;
    applications_stats(world.applications, &stats);
    assert_true(stats.stale);
    const struct seen again = take_all(&world);
    assert_int_equal(again.changes, 0);
    assert_int_equal(again.fleets, 1);
    assert_int_equal(again.last_fleet.counts.total, 3);
    assert_int_equal(again.last_fleet.counts.by_health[APPLICATION_UNKNOWN], 3);
    assert_int_equal(again.last_fleet.counts.out_of_sync, 0);
    const char *why;
    assert_true(applications_stale(world.applications, &why));
    assert_string_equal(why, "connection refused");
    /* Heartbeats of what is unknown go on. */
    wait_ms(&world, HEARTBEAT_MS);
    const struct seen beats = take_all(&world);
    assert_int_equal(beats.heartbeats, 3);
    assert_int_equal(beats.stale, 3);
    list(&world, three, three_healths, 3);
    wait_ms(&world, DEBOUNCE_MS);
    const struct seen healed = take_all(&world);
    assert_int_equal(healed.changes, 3);
    assert_int_equal(healed.stale, 0);
    assert_int_equal(healed.last_fleet.counts.by_health[APPLICATION_HEALTHY], 1);
    close_world(&world);
}

TEST(what_is_gone_is_said_once_and_leaves_its_fleet) {
    struct world world = {0};
    open_world(&world, 100);
    list(&world, three, three_healths, 3);
    wait_ms(&world, DEBOUNCE_MS);
    (void)take_all(&world);
    applications_delete(world.applications, SLICE_LIT("argocd"), SLICE_LIT("cart"), world.now);
    list(&world, three + 1, three_healths + 1, 1); /* search is gone too, seen by its absence */
    wait_ms(&world, DEBOUNCE_MS);
    struct seen seen = take_all(&world);
    assert_int_equal(seen.deletions, 2);
    assert_int_equal(seen.changes, 2);
    assert_int_equal(seen.last_fleet.counts.total, 1);
    wait_ms(&world, 2 * HEARTBEAT_MS);
    seen = take_all(&world);
    assert_int_equal(seen.heartbeats, 1);
    applications_delete(world.applications, SLICE_LIT("argocd"), SLICE_LIT("checkout"), world.now);
    wait_ms(&world, DEBOUNCE_MS);
    seen = take_all(&world);
    assert_int_equal(seen.last_fleet.counts.total, 0); /* an empty fleet is said, and not forgotten */
    close_world(&world);
}

TEST(a_change_seen_while_a_list_comes_is_newer_than_the_list) {
    struct world world = {0};
    open_world(&world, 100);
    list(&world, three, three_healths, 3);
    (void)take_all(&world);
    applications_list_begins(world.applications, (slice){0});
    see(&world, "cart", APPLICATION_DEGRADED, false);
    see(&world, "cart", APPLICATION_HEALTHY, true);
    see(&world, "checkout", APPLICATION_DEGRADED, true);
    see(&world, "search", APPLICATION_PROGRESSING, true);
    applications_list_ends(world.applications, (slice){0}, world.now);
    const struct seen seen = take_all(&world);
    assert_int_equal(seen.changes, 1);
    assert_int_equal(seen.last_application.application.health, APPLICATION_DEGRADED);
    close_world(&world);
}

TEST(a_namespaces_list_says_nothing_of_the_others) {
    struct world world = {0};
    open_world(&world, 100);
    list(&world, three, three_healths, 3);
    (void)take_all(&world);
    applications_list_begins(world.applications, SLICE_LIT("elsewhere"));
    applications_list_ends(world.applications, SLICE_LIT("elsewhere"), world.now);
    assert_int_equal(take_all(&world).deletions, 0);
    applications_list_begins(world.applications, SLICE_LIT("argocd"));
    applications_list_ends(world.applications, SLICE_LIT("argocd"), world.now);
    assert_int_equal(take_all(&world).deletions, 3);
    close_world(&world);
}

TEST(after_a_kill_no_change_is_repeated_and_none_is_missed) {
    struct world world = {0};
    open_world(&world, 100);
    list(&world, three, three_healths, 3);
    wait_ms(&world, DEBOUNCE_MS);
    (void)take_all(&world);
    kill_world(&world);
    list(&world, three, three_healths, 3);
    struct seen seen = take_all(&world);
    assert_int_equal(seen.changes, 0);
    /* One changed and one was deleted while nobody watched. */
    kill_world(&world);
    list(&world, three, (enum application_health[]){APPLICATION_HEALTHY, APPLICATION_HEALTHY}, 2);
    seen = take_all(&world);
    assert_int_equal(seen.changes, 2);
    assert_int_equal(seen.deletions, 1);
    kill_world(&world);
    list(&world, three, (enum application_health[]){APPLICATION_HEALTHY, APPLICATION_HEALTHY}, 2);
    assert_int_equal(take_all(&world).changes, 0);
    /* Killed while the source is away: what was known before is known to be unknown, with its total. */
    kill_world(&world);
    wait_ms(&world, STALE_MS);
    seen = take_all(&world);
    assert_int_equal(seen.changes, 2);
    assert_int_equal(seen.stale, 2);
    wait_ms(&world, DEBOUNCE_MS);
    assert_int_equal(take_all(&world).last_fleet.counts.total, 2);
    kill_world(&world);
    wait_ms(&world, STALE_MS);
    assert_int_equal(take_all(&world).changes, 0);
    close_world(&world);
}

TEST(those_beyond_the_bound_are_counted_as_unknown) {
    struct world world = {0};
    open_world(&world, 2);
    struct fault fault;
    applications_list_begins(world.applications, (slice){0});
    see(&world, "cart", APPLICATION_HEALTHY, true);
    see(&world, "checkout", APPLICATION_HEALTHY, true);
    const struct application_view third = view_of("search", APPLICATION_HEALTHY);
    assert_int_equal(applications_see(world.applications, &third, true, world.now, &fault), FAULT_LIMIT);
    applications_list_ends(world.applications, (slice){0}, world.now);
    applications_current(world.applications, world.now);
    wait_ms(&world, DEBOUNCE_MS);
    uint32_t unknown = 0, total = 0;
    while (take(&world))
        for (size_t i = 0; i < world.count; i++)
            if (world.reports[i].kind == FLEET_REPORT) {
                unknown += world.reports[i].counts.by_health[APPLICATION_UNKNOWN];
                total += world.reports[i].counts.total;
            }
    assert_int_equal(unknown, 1);
    assert_int_equal(total, 3);
    close_world(&world);
}

TEST(a_damaged_note_is_refused_at_any_byte) {
    struct world world = {0};
    open_world(&world, 100);
    list(&world, three, three_healths, 3);
    (void)take_all(&world);
    struct fault fault;
    for (unsigned s = 0; s < APPLICATIONS_SHARDS; s++)
        for (size_t size = 0; size < world.notes[s].size; size++) {
            struct applications *other;
            const struct applications_settings settings = {1, 1, 1, 10, SLICE_LIT("e"), SLICE_LIT("c")};
            CHECK_OK(applications_new(&settings, world.now, &other, &fault));
            uint8_t *const part = malloc(size + 1); /* the sanitizer sees what is read behind it */
            memcpy(part, world.notes[s].data, size);
            if (size != 1)
                assert_int_equal(applications_restore(other, slice_of(part, size), world.now, &fault), FAULT_CORRUPT);
            free(part);
            applications_free(other);
        }
    for (unsigned s = 0; s < APPLICATIONS_SHARDS; s++) { /* a moment that no clock shows */
        struct applications *other;
        const struct applications_settings settings = {1, 1, 1, 10, SLICE_LIT("e"), SLICE_LIT("c")};
        if (!world.notes[s].size) continue;
        memset((uint8_t *)world.notes[s].data + world.notes[s].size - 8, 0xff, 8);
        CHECK_OK(applications_new(&settings, world.now, &other, &fault));
        CHECK_FAULT(applications_restore(other, world.notes[s], world.now, &fault), FAULT_CORRUPT);
        applications_free(other);
    }
    close_world(&world);
}

TEST(five_hundred_fit_into_a_hundred_kilobytes) {
    struct world world = {0};
    open_world(&world, 1000);
    applications_list_begins(world.applications, (slice){0});
    for (int i = 0; i < 500; i++) {
        char name[40];
        snprintf(name, sizeof name, "application-with-a-name-%04d", i);
        see(&world, name, APPLICATION_HEALTHY, true);
    }
    applications_list_ends(world.applications, (slice){0}, world.now);
    assert_int_equal(take_all(&world).changes, 500);
    struct applications_stats stats;
    applications_stats(world.applications, &stats);
    assert_true(stats.memory_bytes < 100 * 1024);
    close_world(&world);
}

TEST(names_of_states_are_argo_cds_own) {
    for (int i = 0; i < APPLICATION_HEALTHS_; i++)
        assert_int_equal(application_health_of(slice_from_text(application_health_name((enum application_health)i))),
                         i);
    assert_int_equal(application_health_of(SLICE_LIT("")), APPLICATION_UNKNOWN);
    assert_int_equal(application_health_of(SLICE_LIT("Splendid")), APPLICATION_UNKNOWN);
    assert_int_equal(application_sync_of(SLICE_LIT("OutOfSync")), APPLICATION_OUT_OF_SYNC);
    assert_int_equal(application_phase_of(SLICE_LIT("Error")), APPLICATION_ERROR);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_is_reported_once_and_its_fleet_when_it_is_whole),
        cmocka_unit_test(a_change_is_reported_at_once_and_its_fleet_after_the_debounce),
        cmocka_unit_test(a_report_is_never_older_than_the_one_before_it),
        cmocka_unit_test(a_source_that_is_lost_makes_all_unknown_and_keeps_the_total),
        cmocka_unit_test(what_is_gone_is_said_once_and_leaves_its_fleet),
        cmocka_unit_test(a_change_seen_while_a_list_comes_is_newer_than_the_list),
        cmocka_unit_test(a_namespaces_list_says_nothing_of_the_others),
        cmocka_unit_test(after_a_kill_no_change_is_repeated_and_none_is_missed),
        cmocka_unit_test(those_beyond_the_bound_are_counted_as_unknown),
        cmocka_unit_test(a_damaged_note_is_refused_at_any_byte),
        cmocka_unit_test(five_hundred_fit_into_a_hundred_kilobytes),
        cmocka_unit_test(names_of_states_are_argo_cds_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
