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

void kv_pages_release(const char *folder) {
    char name[PATH_MAX], path[PATH_MAX], line[LINE_BYTES];
    if ((size_t)snprintf(name, sizeof name, "%s/data.mdb", folder) >= sizeof name || !realpath(name, path)) return;
    FILE *const maps = fopen("/proc/self/maps", "re");
    if (!maps) return;
    while (fgets(line, sizeof line, maps)) {
        uintptr_t from, to;
        char *const file = strchr(line, '/');
        if (!file || sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &from, &to) != 2) continue;
        file[strcspn(file, "\n")] = '\0';
        if (strcmp(file, path) == 0)
            (void)madvise((void *)from, to - from, MADV_DONTNEED); /* an advice: not taken, nothing is worse */
    }
    fclose(maps);
}
