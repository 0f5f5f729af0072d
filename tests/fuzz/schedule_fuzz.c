/* SPDX-License-Identifier: Apache-2.0
 * A cron schedule up to the first line's end, then the bytes of a time zone: times that come are later than the one
 * before, and no zone is further from UTC than RFC 8536 lets its rule be. */
#include "agent/health/cron.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OFFSET_MS_MAX = 26 * 3600 * 1000 };

static void must(bool holds) {
    if (!holds) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int64_t moments_ms[] = {INT64_MIN / 4,  -1, 0, 951782400000, 1711846800000, 4102444800000,
                                         253402300799999};
    const uint8_t *const end = size ? memchr(data, '\n', size) : NULL;
    const slice text = slice_of(data, end ? (size_t)(end - data) : size);
    const slice file = end ? slice_of(end + 1, size - text.size - 1) : (slice){0};
    struct zone *zone = NULL;
    struct cron cron;
    struct fault fault;
    slice named;
    if (zone_parse(file, &zone, &fault)) zone = NULL;
    for (size_t i = 0; i < sizeof moments_ms / sizeof *moments_ms; i++) {
        const int64_t offset_ms = zone_offset_ms(zone, moments_ms[i]);
        must(offset_ms > -OFFSET_MS_MAX && offset_ms < OFFSET_MS_MAX);
    }
    must(cron_zone(text, (slice){0}).size <= text.size);
    if (!cron_parse(cron_schedule(text, &named), &cron, &fault))
        for (size_t i = 1; i < sizeof moments_ms / sizeof *moments_ms; i++) {
            const int64_t next_ms = cron_next(&cron, moments_ms[i], zone);
            must(next_ms > moments_ms[i]);
        }
    zone_free(zone);
    return 0;
}
