/* SPDX-License-Identifier: Apache-2.0
 * Ids that are made, ids that are there twice, and the order of time. */
#include "aggregator/domain/item_list.h"
#include "sre.pb.h"
#include "tests/support/check.h"

static fault_code complete(RunbookStep *steps, size_t count, struct arena *arena, struct fault *fault) {
    return item_list_complete_ids(steps, count, sizeof *steps, "steps", "step_id", "step", arena, fault);
}

TEST(a_made_id_is_the_place_or_the_next_number_that_is_free) {
    struct arena *arena = arena_new(1 << 14, 1 << 20);
    struct fault fault;
    RunbookStep steps[5] = {[0] = {.step_id = SLICE_LIT("step-2")}, [3] = {.step_id = SLICE_LIT("step-4")}};
    CHECK_OK(complete(steps, 5, arena, &fault));
    CHECK_SLICE(steps[1].step_id, "step-3");
    CHECK_SLICE(steps[2].step_id, "step-5");
    CHECK_SLICE(steps[4].step_id, "step-6");
    CHECK_OK(complete(steps, 5, arena, &fault)); /* nothing left to make */
    CHECK_OK(complete(NULL, 0, arena, &fault));
    arena_free(arena);
}

TEST(an_id_that_is_there_twice_is_named_with_its_place) {
    struct arena *arena = arena_new(1 << 14, 1 << 20);
    struct fault fault;
    RunbookStep steps[3] = {[0] = {.step_id = SLICE_LIT("a")}, [2] = {.step_id = SLICE_LIT("a")}};
    CHECK_FAULT(complete(steps, 3, arena, &fault), FAULT_INPUT);
    assert_string_equal(fault.text, "steps[2].step_id: 'a' is there twice, each needs one of its own");
    const slice ids[] = {SLICE_LIT("x"), SLICE_LIT("y"), SLICE_LIT("x")};
    CHECK_FAULT(item_list_each_once(ids, 3, sizeof *ids, "incident_ids", arena, &fault), FAULT_INPUT);
    assert_string_equal(fault.text, "incident_ids[2]: 'x' is there twice");
    CHECK_OK(item_list_each_once(ids, 2, sizeof *ids, "incident_ids", arena, &fault));
    arena_free(arena);
}

/* A sender who leaves out every second id and takes the numbers that we would make. */
TEST(making_ids_is_not_made_slow_by_the_ids_that_are_given) {
    enum { ITEMS = 2000 };
    struct arena *arena = arena_new(1 << 20, 16 << 20);
    struct fault fault;
    TimelineEntry *items = calloc(ITEMS, sizeof *items);
    for (int i = 0; i < ITEMS; i += 2) items[i].entry_id = arena_format(arena, "entry-%d", i + 2);
    CHECK_OK(item_list_complete_ids(items, ITEMS, sizeof *items, "timeline", "entry_id", "entry", arena, &fault));
    CHECK_OK(item_list_each_once(items, ITEMS, sizeof *items, "timeline", arena, &fault));
    assert_true(arena_used(arena) < 2 << 20);
    free(items);
    arena_free(arena);
}

TEST(a_list_that_does_not_fit_the_arena_is_refused) {
    struct arena *arena = arena_new(1 << 10, 1 << 10);
    struct fault fault;
    RunbookStep steps[128] = {{{0}}};
    CHECK_FAULT(complete(steps, 128, arena, &fault), FAULT_LIMIT);
    CHECK_FAULT(item_list_each_once(steps, 128, sizeof *steps, "steps", arena, &fault), FAULT_LIMIT);
    assert_null(item_list_by_time(steps, 128, sizeof *steps, 0, arena));
    arena_free(arena);
}

TEST(items_are_put_in_the_order_of_time_and_else_stay_as_they_were) {
    struct arena *arena = arena_new(1 << 14, 4 << 20);
    uint64_t seed = check_seed();
    for (size_t count = 0; count < 70; count++) {
        TimelineEntry items[70] = {{{0}}};
        for (size_t i = 0; i < count; i++) {
            items[i].at.seconds = (int64_t)(check_random(&seed) % 8);
            items[i].at.nanos = (int32_t)(check_random(&seed) % 2);
            items[i].kind = (TimelineEntryKind)i; /* where it was */
        }
        const TimelineEntry *sorted =
            item_list_by_time(items, count, sizeof *items, offsetof(TimelineEntry, at), arena);
        assert_non_null(sorted);
        for (size_t i = 1; i < count; i++) {
            const Timestamp a = sorted[i - 1].at, b = sorted[i].at;
            const bool before = a.seconds != b.seconds ? a.seconds < b.seconds : a.nanos < b.nanos;
            const bool same = a.seconds == b.seconds && a.nanos == b.nanos;
            assert_true(before || (same && sorted[i - 1].kind < sorted[i].kind));
        }
        arena_reset(arena);
    }
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_made_id_is_the_place_or_the_next_number_that_is_free),
        cmocka_unit_test(an_id_that_is_there_twice_is_named_with_its_place),
        cmocka_unit_test(making_ids_is_not_made_slow_by_the_ids_that_are_given),
        cmocka_unit_test(a_list_that_does_not_fit_the_arena_is_refused),
        cmocka_unit_test(items_are_put_in_the_order_of_time_and_else_stay_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
