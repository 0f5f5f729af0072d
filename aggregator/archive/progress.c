/* SPDX-License-Identifier: Apache-2.0
 * A line each time and no cursor tricks: it is read in a log as well. */
#include "aggregator/archive/progress.h"

#include "common/base/clock.h"

#include <inttypes.h>
#include <stdio.h>

enum { AFTER_MS = 2000, EVERY_MS = 1000, STEPS = 1024 };

struct progress progress_begin(const char *what) {
    const int64_t now_ms = clock_monotonic_ms();
    return (struct progress){.what = what, .started_ms = now_ms, .next_ms = now_ms + AFTER_MS};
}

void progress_step(struct progress *progress, uint64_t done, uint64_t all, const char *unit) {
    if (!progress->what || ++progress->steps % STEPS) return;
    const int64_t now_ms = clock_monotonic_ms();
    if (now_ms < progress->next_ms) return;
    progress->next_ms = now_ms + EVERY_MS;
    const double seconds = (double)(now_ms - progress->started_ms) / 1e3, rate = (double)done / seconds;
    if (all && done)
        fprintf(stderr, "%s: %.0f %% of %" PRIu64 " %s, %.0f a second, %.0f s to go\n", progress->what,
                100.0 * (double)done / (double)all, all, unit, rate, (double)(all - done) / rate);
    else
        fprintf(stderr, "%s: %" PRIu64 " %s, %.0f a second\n", progress->what, done, unit, rate);
}
