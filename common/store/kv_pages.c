/* SPDX-License-Identifier: Apache-2.0
 * LMDB does not say where its map is, the kernel does: a line of proc(5)'s maps with the file's path. */
#include "common/store/kv_pages.h"

#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LINE_BYTES = PATH_MAX + 128 };

struct kv_pages kv_pages_find(const char *folder) {
    char name[PATH_MAX], path[PATH_MAX], line[LINE_BYTES];
    struct kv_pages found = {0};
    if ((size_t)snprintf(name, sizeof name, "%s/data.mdb", folder) >= sizeof name || !realpath(name, path))
        return found;
    FILE *const maps = fopen("/proc/self/maps", "re");
    if (!maps) return found;
    while (!found.to && fgets(line, sizeof line, maps)) {
        struct kv_pages one;
        char *const file = strchr(line, '/');
        if (!file || sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &one.from, &one.to) != 2) continue;
        file[strcspn(file, "\n")] = '\0';
        if (strcmp(file, path) == 0) found = one;
    }
    fclose(maps);
    return found;
}

void kv_pages_release(struct kv_pages pages) {
    if (pages.to) /* an advice: not taken, nothing is worse */
        (void)madvise((void *)pages.from, pages.to - pages.from, MADV_DONTNEED);
}
