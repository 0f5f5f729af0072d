/* SPDX-License-Identifier: Apache-2.0
 * What the tests of this folder share: recorded objects, where a checkout has them beside it. */
#ifndef PICKET_TESTS_KUBE_SUPPORT_H
#define PICKET_TESTS_KUBE_SUPPORT_H

#include "common/base/arena.h"
#include "tests/support/check.h"

#include <unistd.h>

/* Beside the checkout, or beside the folder of worktrees. */
static inline const char *kube_fixtures(void) {
    static const char *const places[] = {"../shared/contracts/fixtures/kubernetes",
                                         "../../shared/contracts/fixtures/kubernetes"};
    return access(places[0], R_OK) == 0 ? places[0] : places[1];
}

/* In the arena; data NULL when it is not there. */
static inline slice kube_fixture(const char *name, struct arena *arena) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", kube_fixtures(), name);
    FILE *file = fopen(path, "rb");
    if (!file) return (slice){0};
    enum { FILE_BYTES_MAX = 256 * 1024 };
    uint8_t *bytes = arena_alloc(arena, FILE_BYTES_MAX);
    assert_non_null(bytes);
    const size_t size = fread(bytes, 1, FILE_BYTES_MAX, file);
    assert_true(size < FILE_BYTES_MAX);
    fclose(file);
    return slice_of(bytes, size);
}

/* For a test that has nothing to read. */
#define SKIP_WITHOUT(bytes, arena)                                                                                     \
    if (!(bytes).data) {                                                                                               \
        arena_free(arena);                                                                                             \
        print_message("skipped: no recorded objects beside this checkout (../shared/contracts/fixtures)\n");           \
        skip();                                                                                                        \
    }

#endif
