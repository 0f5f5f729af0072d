/* SPDX-License-Identifier: Apache-2.0
 * What is on disk at any moment is enough to go on, and what does not belong there is passed over with the reason. */
#include "enrol_fixture.h"

#define BEGIN                                                                                                          \
    "-----BEGIN EC PRIVATE "                                                                                           \
    "KEY-----\n" /* in two, as no key is in the tree */

static struct identity opened(const struct enrol_place *place, const char *why) {
    struct identity identity;
    struct fault passed, fault;
    CHECK_OK(identity_open(place->identity, NAME, &identity, &passed, &fault));
    if (why ? !passed.code || !strstr(passed.text, why) : passed.code)
        fail_msg("expected '%s', got '%s'", why ? why : "nothing", passed.code ? passed.text : "nothing");
    return identity;
}

static bool is_there(const char *path) {
    return access(path, F_OK) == 0;
}

static void the_key_is_on_disk_before_it_is_used_and_stays_until_its_certificate_is(void **state) {
    struct enrol_place *place = *state;
    struct fault fault;
    char key[CERTIFICATE_KEY_PEM_BYTES], again[CERTIFICATE_KEY_PEM_BYTES];
    struct stat status;
    struct identity identity = opened(place, NULL);
    assert_false(identity.has_current || identity.has_next);
    CHECK_OK(identity_next_key(&identity, key, &fault));
    assert_int_equal(stat(enrol_file_path(place, "next.key"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(stat(place->identity, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    identity = opened(place, NULL); /* as after a kill while the centre signs */
    CHECK_OK(identity_next_key(&identity, again, &fault));
    assert_string_equal(again, key);
    const slice pem = enrol_signed(place, key, NAME, clock_wall_ms(), HOUR_MS);
    CHECK_OK(identity_keep_next(&identity, NULL, pem, SLICE_LIT("authority\n"), &fault));
    assert_true(identity.has_next && !is_there(enrol_file_path(place, "next.key")));
    identity = opened(place, NULL); /* and as after one while it is tried */
    assert_true(identity.has_next && !identity.has_current);
    CHECK_OK(identity_promote(&identity, &fault));
    assert_true(identity.has_current && !identity.has_next);
    identity = opened(place, NULL);
    assert_true(identity.has_current && !identity.has_next); /* the file of the next one is the same certificate */
    CHECK_OK(identity_next_key(&identity, again, &fault));
    assert_string_not_equal(again, key);
}

static void a_certificate_of_another_key_or_name_is_not_kept(void **state) {
    struct enrol_place *place = *state;
    struct fault fault;
    char key[CERTIFICATE_KEY_PEM_BYTES], other[CERTIFICATE_KEY_PEM_BYTES];
    struct identity identity = opened(place, NULL);
    CHECK_OK(identity_next_key(&identity, key, &fault));
    CHECK_OK(certificate_key_new(other, &fault));
    const slice foreign = enrol_signed(place, other, NAME, clock_wall_ms(), HOUR_MS);
    const slice named = enrol_signed(place, key, "demo/edge-2", clock_wall_ms(), HOUR_MS);
    CHECK_FAULT(identity_keep_next(&identity, NULL, foreign, (slice){0}, &fault), FAULT_INPUT);
    CHECK_FAULT(identity_keep_next(&identity, NULL, named, (slice){0}, &fault), FAULT_INPUT);
    assert_non_null(strstr(fault.text, "demo/edge-2"));
    CHECK_FAULT(identity_keep_next(&identity, NULL, SLICE_LIT("<html>"), (slice){0}, &fault), FAULT_INPUT);
    CHECK_FAULT(identity_keep_next(&identity, NULL, (slice){0}, (slice){0}, &fault), FAULT_INPUT);
    assert_true(is_there(enrol_file_path(place, "next.key")) && !is_there(enrol_file_path(place, "next.pem")));
}

static void what_cannot_be_used_is_passed_over_with_the_reason(void **state) {
    struct enrol_place *place = *state;
    enrol_give(place, "agent.pem", "demo/edge-2", clock_wall_ms(), HOUR_MS);
    assert_false(opened(place, "the certificate is of 'demo/edge-2', and this is 'demo/edge-1'").has_current);
    enrol_write(place, "agent.pem", SLICE_LIT("\0\xff"), (slice){0});
    assert_false(opened(place, "agent.pem").has_current);
    enrol_write(place, "agent.pem", SLICE_LIT(""), (slice){0});
    assert_false(opened(place, "agent.pem").has_current);
    static char large[80 * 1024];
    memset(large, 'x', sizeof large);
    enrol_write(place, "agent.pem", slice_of(large, sizeof large), (slice){0});
    assert_false(opened(place, "over 65536 bytes").has_current);
    char key[CERTIFICATE_KEY_PEM_BYTES], other[CERTIFICATE_KEY_PEM_BYTES];
    struct fault fault;
    CHECK_OK(certificate_key_new(key, &fault));
    CHECK_OK(certificate_key_new(other, &fault));
    enrol_write(place, "agent.pem", slice_from_text(other), enrol_signed(place, key, NAME, clock_wall_ms(), HOUR_MS));
    assert_false(opened(place, "agent.pem").has_current);
    enrol_give(place, "agent.pem", NAME, clock_wall_ms(), HOUR_MS);
    assert_true(opened(place, NULL).has_current);
}

/* A power cut leaves the old file or the new one; a card that rots leaves anything. */
static void a_waiting_key_that_is_none_is_made_anew(void **state) {
    struct enrol_place *place = *state;
    static const char *const rotten[] = {"", BEGIN "AAAA\n", "\xff\xfe", "-----BEGIN CERTIFICATE-----\n"};
    for (size_t i = 0; i < sizeof rotten / sizeof *rotten; i++) {
        struct fault fault;
        char key[CERTIFICATE_KEY_PEM_BYTES];
        slice request;
        struct identity identity = opened(place, NULL);
        enrol_write(place, "next.key", slice_from_text(rotten[i]), (slice){0});
        CHECK_OK(identity_next_key(&identity, key, &fault));
        if (certificate_request(slice_from_text(key), NAME, place->arena, &request, &fault))
            fail_msg("%zu: %s", i, fault.text);
    }
}

static void a_folder_that_cannot_be_made_is_said(void **state) {
    struct enrol_place *place = *state;
    struct identity identity;
    struct fault passed, fault;
    const char *const nowhere = net_path(&place->folder, "absent/identity");
    CHECK_FAULT(identity_open(nowhere, NAME, &identity, &passed, &fault), FAULT_SYSTEM);
    assert_non_null(strstr(fault.text, "absent/identity"));
    char name[256];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    CHECK_FAULT(identity_open(place->identity, name, &identity, &passed, &fault), FAULT_INPUT);
}

#define IN_EMPTY(test) cmocka_unit_test_setup_teardown(test, NULL, enrol_place_empty)
int main(void) {
    const struct CMUnitTest tests[] = {
        IN_EMPTY(the_key_is_on_disk_before_it_is_used_and_stays_until_its_certificate_is),
        IN_EMPTY(a_certificate_of_another_key_or_name_is_not_kept),
        IN_EMPTY(what_cannot_be_used_is_passed_over_with_the_reason),
        IN_EMPTY(a_waiting_key_that_is_none_is_made_anew),
        IN_EMPTY(a_folder_that_cannot_be_made_is_said),
    };
    return cmocka_run_group_tests(tests, enrol_place_make, enrol_place_free);
}
