/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include "agent/buffer/state.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct bench {
    char root[64], path[80];
    struct arena *arena;
};

static void begin(struct bench *bench) {
    *bench = (struct bench){.root = "/tmp/picket-state-XXXXXX", .arena = arena_new(4096, 1 << 20)};
    assert_non_null(mkdtemp(bench->root));
    snprintf(bench->path, sizeof bench->path, "%s/state", bench->root);
}

static void end(struct bench *bench) {
    char command[128];
    arena_free(bench->arena);
    snprintf(command, sizeof command, "rm -rf %s", bench->root);
    assert_int_equal(system(command), 0);
}

TEST(checkpoint_comes_back_under_the_same_boot_and_generation_only) {
    struct fault fault;
    struct bench bench;
    struct state *store;
    bool emptied;
    slice value;
    begin(&bench);
    struct state_settings settings = {.path = bench.path, .boot_id = "boot-1"};
    CHECK_OK(state_open(&settings, &store, &emptied, &fault));
    assert_false(emptied);
    CHECK_OK(state_put(store, SLICE_LIT("target a"), 7, SLICE_LIT("counts"), &fault));
    CHECK_OK(state_put(store, SLICE_LIT("target b"), 6, SLICE_LIT("older"), &fault));
    store = state_close(store);
    CHECK_OK(state_open(&settings, &store, &emptied, &fault));
    assert_false(emptied);
    CHECK_OK(state_get(store, SLICE_LIT("target a"), 7, bench.arena, &value, &fault));
    CHECK_SLICE(value, "counts");
    assert_int_equal(state_get(store, SLICE_LIT("target a"), 8, bench.arena, &value, &fault), FAULT_ABSENT);
    assert_int_equal(state_get(store, SLICE_LIT("target c"), 7, bench.arena, &value, &fault), FAULT_ABSENT);
    CHECK_OK(state_prune(store, 7, &fault));
    assert_int_equal(state_get(store, SLICE_LIT("target b"), 6, bench.arena, &value, &fault), FAULT_ABSENT);
    CHECK_OK(state_get(store, SLICE_LIT("target a"), 7, bench.arena, &value, &fault));
    CHECK_FAULT(state_put(store, (slice){0}, 7, SLICE_LIT("x"), &fault), FAULT_LIMIT);
    store = state_close(store);
    settings.boot_id = "boot-2";
    CHECK_OK(state_open(&settings, &store, &emptied, &fault));
    assert_true(emptied);
    assert_int_equal(state_get(store, SLICE_LIT("target a"), 7, bench.arena, &value, &fault), FAULT_ABSENT);
    store = state_close(store);
    settings.boot_id = NULL; /* the kernel's own */
    CHECK_OK(state_open(&settings, &store, &emptied, &fault));
    assert_true(emptied);
    store = state_close(store);
    CHECK_OK(state_open(&settings, &store, &emptied, &fault));
    assert_false(emptied);
    state_close(store);
    end(&bench);
}

TEST(what_is_not_kept_is_told_until_it_is) {
    struct fault fault;
    struct bench bench;
    struct state *store;
    static uint8_t large[200000];
    begin(&bench);
    const struct state_settings settings = {.path = bench.path, .map_bytes = 128 * 1024};
    CHECK_OK(state_open(&settings, &store, NULL, &fault));
    assert_int_equal(state_fault(store, &fault), FAULT_NONE);
    assert_string_equal(fault.text, "");
    CHECK_FAULT(state_put(store, SLICE_LIT("large"), 1, slice_of(large, sizeof large), &fault), FAULT_LIMIT);
    CHECK_OK(state_put(store, SLICE_LIT("small"), 1, SLICE_LIT("x"), &fault));
    assert_int_equal(state_fault(store, &fault), FAULT_LIMIT);
    assert_non_null(strstr(fault.text, "store checkpoint"));
    CHECK_OK(state_put(store, SLICE_LIT("large"), 1, SLICE_LIT("less"), &fault));
    assert_int_equal(state_fault(store, &fault), FAULT_NONE);
    state_close(store);
    end(&bench);
}

TEST(checkpoints_that_begin_alike_are_listed) {
    struct fault fault;
    struct bench bench;
    struct state *store;
    slice values[3];
    size_t count;
    begin(&bench);
    const struct state_settings settings = {.path = bench.path};
    CHECK_OK(state_open(&settings, &store, NULL, &fault));
    static const char *const keys[] = {"pods", "pods/a", "pods/b", "pods/c", "podt"};
    for (uint64_t i = 0; i < 5; i++)
        CHECK_OK(state_put(store, slice_from_text(keys[i]), i == 2 ? 8 : 7, slice_from_text(keys[i]), &fault));
    CHECK_OK(state_list(store, SLICE_LIT("pods/"), 7, bench.arena, values, 3, &count, &fault));
    assert_int_equal(count, 2);
    CHECK_SLICE(values[0], "pods/a");
    CHECK_SLICE(values[1], "pods/c");
    assert_int_equal(state_list(store, SLICE_LIT("pods"), 7, bench.arena, values, 2, &count, &fault), FAULT_LIMIT);
    assert_int_equal(count, 2);
    CHECK_OK(state_list(store, SLICE_LIT("nobody"), 7, bench.arena, values, 3, &count, &fault));
    assert_int_equal(count, 0);
    state_close(store);
    end(&bench);
}

TEST(checkpoint_survives_kill_at_any_moment) {
    struct fault fault;
    struct bench bench;
    slice value;
    begin(&bench);
    uint64_t seed = check_seed();
    volatile uint64_t *const done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(done != MAP_FAILED);
    const struct state_settings settings = {.path = bench.path};
    for (int round = 0; round < 15; round++) {
        const pid_t child = fork();
        if (child == 0) {
            struct state *store;
            if (state_open(&settings, &store, NULL, &fault)) _exit(1);
            for (uint64_t i = *done + 1;; i++) {
                if (state_put(store, SLICE_LIT("count"), 1, slice_of(&i, sizeof i), &fault)) _exit(1);
                *done = i;
            }
        }
        usleep((useconds_t)(check_random(&seed) % 30000));
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        struct state *store;
        bool emptied;
        CHECK_OK(state_open(&settings, &store, &emptied, &fault));
        assert_false(emptied);
        uint64_t count = 0;
        if (!state_get(store, SLICE_LIT("count"), 1, bench.arena, &value, &fault))
            memcpy(&count, value.data, sizeof count);
        assert_true(count == *done || count == *done + 1);
        *done = count;
        state_close(store);
    }
    assert_true(*done > 0);
    munmap((void *)(uintptr_t)done, 4096);
    end(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checkpoint_comes_back_under_the_same_boot_and_generation_only),
        cmocka_unit_test(what_is_not_kept_is_told_until_it_is),
        cmocka_unit_test(checkpoints_that_begin_alike_are_listed),
        cmocka_unit_test(checkpoint_survives_kill_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
