/* SPDX-License-Identifier: Apache-2.0
 * When a target is due: at every wall time t with t mod interval = offset. Pure arithmetic, so that the scheduler
 * and the folding agree, before, during and after any down time. Times are milliseconds since 1970. Any thread. */
#ifndef PICKET_WINDOW_SLOT_H
#define PICKET_WINDOW_SLOT_H

#include "common/base/checksum.h"

/* Spreads targets over the interval; depends on the name alone, so a restart keeps it. 0 .. interval_ms - 1. */
static inline int64_t slot_offset_ms(slice name, int64_t interval_ms) {
    return (int64_t)((uint64_t)checksum_crc32c(0, name) * (uint64_t)interval_ms >> 32);
}

/* The number of multiples below: floor division that is right for negative times as well. */
static inline int64_t slot_floor(int64_t time_ms, int64_t step_ms) {
    const int64_t quotient = time_ms / step_ms;
    return quotient - (time_ms % step_ms < 0);
}

/* The first slot at or after time_ms. */
static inline int64_t slot_at_or_after(int64_t time_ms, int64_t interval_ms, int64_t offset_ms) {
    return slot_floor(time_ms - offset_ms + interval_ms - 1, interval_ms) * interval_ms + offset_ms;
}

/* How many slots are due in [from_ms, to_ms). */
static inline int64_t slot_count(int64_t from_ms, int64_t to_ms, int64_t interval_ms, int64_t offset_ms) {
    return (slot_at_or_after(to_ms, interval_ms, offset_ms) - slot_at_or_after(from_ms, interval_ms, offset_ms)) /
           interval_ms;
}

#endif
