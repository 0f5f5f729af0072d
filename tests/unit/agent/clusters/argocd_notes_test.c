/* SPDX-License-Identifier: Apache-2.0
 * What an Argo CD has left in the queue goes with it, and nothing else does. */
#include "tests/unit/agent/buffer/queue_bench.h"

#include "agent/applications/applications.h"
#include "agent/clusters/argocd_notes.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct arena *arena;

static void put_note(struct bench *bench, const char *name, const char *value) {
    struct fault fault;
    const struct queue_note note = {.name = name, .value = slice_from_text(value)};
    CHECK_OK(queue_append(bench->queue, NULL, 0, &note, 1, &fault));
}

static void put_notes(struct bench *bench, const char *item) {
    for (unsigned shard = 0; shard < APPLICATIONS_SHARDS; shard += 3) {
        char name[ARGOCD_NOTE_NAME_BYTES];
        argocd_note_name(slice_from_text(item), shard, name);
        put_note(bench, name, "state");
    }
}

static size_t notes(struct bench *bench, const char *item) {
    size_t count = 0;
    for (unsigned shard = 0; shard < APPLICATIONS_SHARDS; shard++) {
        char name[ARGOCD_NOTE_NAME_BYTES];
        slice value;
        struct fault fault;
        argocd_note_name(slice_from_text(item), shard, name);
        count += queue_note_get(bench->queue, name, arena, &value, &fault) == FAULT_NONE;
    }
    return count;
}

static size_t tidied(struct bench *bench, const char *const *names, size_t count) {
    slice items[4];
    struct fault fault;
    size_t gone = 99;
    for (size_t i = 0; i < count; i++) items[i] = slice_from_text(names[i]);
    CHECK_OK(argocd_notes_tidy(bench->queue, items, count, 1, arena, &gone, &fault));
    return gone;
}

TEST(notes_go_when_their_item_goes_and_those_of_others_stay) {
    struct bench bench;
    static const char *const three[] = {"a", "a.1", "forty-characters-long-is-what-names-may-be"};
    static const char *const one[] = {"a.1"};
    begin(&bench, 1 << 20);
    put_note(&bench, "config", "another's");
    assert_int_equal(tidied(&bench, three, COUNT(three)), 0);
    for (size_t i = 0; i < COUNT(three); i++) put_notes(&bench, three[i]);
    const size_t each = notes(&bench, "a.1");
    assert_true(each > 0 && notes(&bench, "a") == each);
    assert_int_equal(tidied(&bench, three, COUNT(three)), 0);
    reopen(&bench);
    assert_int_equal(tidied(&bench, one, COUNT(one)), 2);
    reopen(&bench);
    assert_int_equal(notes(&bench, "a"), 0);
    assert_int_equal(notes(&bench, three[2]), 0);
    assert_int_equal(notes(&bench, "a.1"), each);
    assert_int_equal(tidied(&bench, NULL, 0), 1);
    assert_int_equal(notes(&bench, "a.1"), 0);
    assert_int_equal(tidied(&bench, NULL, 0), 0);
    slice value;
    struct fault fault;
    CHECK_OK(queue_note_get(bench.queue, "config", arena, &value, &fault));
    CHECK_SLICE(value, "another's");
    end(&bench);
}

TEST(an_item_that_comes_back_begins_anew) {
    struct bench bench;
    static const char *const one[] = {"main"};
    begin(&bench, 1 << 20);
    assert_int_equal(tidied(&bench, one, 1), 0);
    put_notes(&bench, "main");
    assert_int_equal(tidied(&bench, NULL, 0), 1);
    assert_int_equal(tidied(&bench, one, 1), 0);
    assert_int_equal(notes(&bench, "main"), 0);
    end(&bench);
}

static int setup(void **state) {
    arena = arena_new(16 * 1024, 16 * 1024 * 1024);
    return arena ? 0 : -1;
}

static int teardown(void **state) {
    arena_free(arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notes_go_when_their_item_goes_and_those_of_others_stay),
        cmocka_unit_test(an_item_that_comes_back_begins_anew),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
