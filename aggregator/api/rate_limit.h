/* SPDX-License-Identifier: Apache-2.0
 * How often each of many may do something: a token bucket for each key, in a table of fixed size without locks. A step
 * costs a few atomic operations on one cache line, whatever the number of keys. Any thread. */
#ifndef PICKET_API_RATE_LIMIT_H
#define PICKET_API_RATE_LIMIT_H

#include "common/base/slice.h"

struct rate_limit;

/* One each interval_ns over time, and `burst` at once after a rest. interval_ns 0: no limit. */
struct rate {
    int64_t interval_ns, burst;
};
/* So many per `period_ms`; count 0: no limit. */
struct rate rate_of(int64_t count, int64_t period_ms, int64_t burst);

struct rate_limit *rate_limit_new(void) MUST_CHECK; /* NULL: no memory */
struct rate_limit *rate_limit_free(struct rate_limit *limit);

/* Names a key by two words (tenant and name); differs from run to run, so that nobody can choose whose bucket to share. */
uint64_t rate_limit_key(const struct rate_limit *limit, slice first, slice second);

/* Takes one: 0, or, taking none, the nanoseconds until there will be one. A key is always asked with the same rate.
 * Beyond 16,384 keys that are not at rest, the one nearest to rest is forgotten and has its whole burst again. */
int64_t rate_limit_take(struct rate_limit *limit, uint64_t key, struct rate rate, int64_t now_ns);
/* What rate_limit_take would return; takes none. */
int64_t rate_limit_wait(const struct rate_limit *limit, uint64_t key, struct rate rate, int64_t now_ns);

#endif
