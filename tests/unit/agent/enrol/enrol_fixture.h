/* SPDX-License-Identifier: Apache-2.0
 * A real authority, real keys, and a folder for an identity that is empty when a test begins. */
#ifndef PICKET_TESTS_ENROL_FIXTURE_H
#define PICKET_TESTS_ENROL_FIXTURE_H

#include "tests/support/check.h"

#include "agent/enrol/identity.h"
#include "common/base/clock.h"
#include "common/net/certificate_authority.h"
#include "net_support.h"

#include <sys/stat.h>
#include <unistd.h>

#define NAME "demo/edge-1"
#define HOUR_MS (INT64_C(3600) * 1000)

struct enrol_place {
    struct net_folder folder;
    char identity[96]; /* the folder of keys and certificates */
    struct arena *arena;
    struct certificate_authority *authority, *foreign;
};

static inline int enrol_place_make(void **state) {
    static struct enrol_place place;
    struct fault fault;
    if (!net_program_exists("/usr/bin/openssl")) {
        puts("skipped: openssl is not installed");
        exit(77);
    }
    net_folder_make(&place.folder);
    net_certificates_make(&place.folder);
    sleep(4); /* certificates that began some seconds ago are wanted of an authority that is valid by then */
    snprintf(place.identity, sizeof place.identity, "%s/identity", place.folder.path);
    place.arena = arena_new(64 * 1024, 16 * 1024 * 1024);
    CHECK_OK(certificate_authority_open(net_path(&place.folder, "ca.pem"), net_path(&place.folder, "ca.key"),
                                        &place.authority, &fault));
    CHECK_OK(certificate_authority_open(net_path(&place.folder, "foreign-ca.pem"),
                                        net_path(&place.folder, "foreign-ca.key"), &place.foreign, &fault));
    *state = &place;
    return 0;
}

/* What a test has left there goes. */
static inline int enrol_place_empty(void **state) {
    const struct enrol_place *place = *state;
    char command[160];
    snprintf(command, sizeof command, "rm -rf %s", place->identity);
    return system(command); /* NOLINT: a test's own words */
}

static inline int enrol_place_free(void **state) {
    struct enrol_place *place = *state;
    (void)enrol_place_empty(state);
    certificate_authority_close(place->authority);
    certificate_authority_close(place->foreign);
    arena_free(place->arena);
    net_folder_free(&place->folder);
    return 0;
}

/* A certificate for a key, that begins five minutes before begun_ms and ends life_ms after it. */
static inline slice enrol_signed(struct enrol_place *place, const char *key_pem, const char *name, int64_t begun_ms,
                                 int64_t life_ms) {
    struct fault fault;
    struct certificate_view view;
    slice request, pem;
    CHECK_OK(certificate_request(slice_from_text(key_pem), name, place->arena, &request, &fault));
    CHECK_OK(certificate_authority_issue(place->authority, request, name, begun_ms, life_ms, place->arena, &pem, &view,
                                         &fault));
    return pem;
}

static inline const char *enrol_file_path(const struct enrol_place *place, const char *name) {
    static char paths[8][160];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", place->identity, name);
    return path;
}

static inline void enrol_write(const struct enrol_place *place, const char *name, slice first, slice second) {
    mkdir(place->identity, 0700);
    FILE *file = fopen(enrol_file_path(place, name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(first.data, 1, first.size, file), first.size);
    if (second.size) assert_int_equal(fwrite(second.data, 1, second.size, file), second.size);
    assert_int_equal(fclose(file), 0);
}

/* agent.pem with a key and certificate of ours, as after an enrolment. */
static inline void enrol_give(struct enrol_place *place, const char *file, const char *name, int64_t begun_ms,
                              int64_t life_ms) {
    char key[CERTIFICATE_KEY_PEM_BYTES];
    struct fault fault;
    CHECK_OK(certificate_key_new(key, &fault));
    enrol_write(place, file, slice_from_text(key), enrol_signed(place, key, name, begun_ms, life_ms));
}

#endif
