/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/check.h"

#include <unistd.h>

#include "agent/stores.h"

struct place {
    char folder[64];
    struct agent_settings settings;
};

static int setup(void **state) {
    struct place *place = calloc(1, sizeof *place);
    snprintf(place->folder, sizeof place->folder, "/tmp/stores_XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    place->settings.buffer.path = slice_of(place->folder, strlen(place->folder));
    place->settings.buffer.bytes_max = 1 << 20;
    *state = place;
    return 0;
}

static int teardown(void **state) {
    struct place *place = *state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", place->folder);
    assert_int_equal(system(command), 0);
    free(place);
    return 0;
}

TEST(a_folder_belongs_to_one_agent_and_is_free_again_after_it) {
    struct place *place = *state;
    struct stores *first = NULL, *second = NULL;
    struct fault fault;
    CHECK_OK(stores_open(&place->settings, &first, &fault));
    assert_int_equal(stores_open(&place->settings, &second, &fault), FAULT_CONFLICT);
    assert_non_null(strstr(fault.text, place->folder));
    assert_null(second);
    stores_release_pages(first);
    const struct uuid epoch = queue_epoch(stores_queue(first));
    stores_close(first);
    CHECK_OK(stores_open(&place->settings, &second, &fault));
    const struct uuid again = queue_epoch(stores_queue(second));
    assert_memory_equal(&epoch, &again, sizeof epoch);
    assert_non_null(stores_state(second));
    stores_close(second);
}

TEST(a_queue_that_is_gone_is_said) {
    struct place *place = *state;
    struct stores *stores = NULL;
    struct fault fault;
    char command[96];
    CHECK_OK(stores_open(&place->settings, &stores, &fault));
    assert_string_equal(stores_note(stores), "");
    assert_false(stores_damaged(stores));
    stores_close(stores);
    CHECK_OK(stores_open(&place->settings, &stores, &fault));
    assert_string_equal(stores_note(stores), "");
    stores_close(stores);
    snprintf(command, sizeof command, "truncate -s 0 %s/queue/data.mdb", place->folder);
    assert_int_equal(system(command), 0);
    CHECK_OK(stores_open(&place->settings, &stores, &fault));
    assert_non_null(strstr(stores_note(stores), "what waited in it is lost"));
    stores_close(stores);
}

TEST(a_folder_that_cannot_be_made_is_named) {
    struct place *place = *state;
    struct stores *stores = NULL;
    struct fault fault;
    char path[96];
    snprintf(path, sizeof path, "%s/absent/deeper", place->folder);
    place->settings.buffer.path = slice_of(path, strlen(path));
    assert_int_equal(stores_open(&place->settings, &stores, &fault), FAULT_SYSTEM);
    assert_non_null(strstr(fault.text, path));

    char long_path[600];
    memset(long_path, 'x', sizeof long_path);
    place->settings.buffer.path = slice_of(long_path, sizeof long_path);
    assert_int_equal(stores_open(&place->settings, &stores, &fault), FAULT_INPUT);
    assert_null(stores);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_folder_belongs_to_one_agent_and_is_free_again_after_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_queue_that_is_gone_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_made_is_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
