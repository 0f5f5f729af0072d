/* SPDX-License-Identifier: Apache-2.0
 * What a command tells on stderr when it takes long: nothing in the first two seconds, then a line a second. One
 * owner. */
#ifndef PICKET_ARCHIVE_PROGRESS_H
#define PICKET_ARCHIVE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /* "export", ...; NULL: quiet */
    int64_t started_ms, next_ms;
    unsigned steps;
};
struct progress progress_begin(const char *what);
/* Cheap: looks at the clock at every 1,024th call. all: 0 when it is not known. */
void progress_step(struct progress *progress, uint64_t done, uint64_t all, const char *unit);

#endif
