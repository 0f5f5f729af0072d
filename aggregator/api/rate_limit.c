/* SPDX-License-Identifier: Apache-2.0
 * A token bucket in the form of the generic cell rate algorithm (ITU-T I.371, annex A.2, virtual scheduling): a bucket is
 * one number, the moment at which it will be full again. It may lie up to burst - 1 intervals ahead; each take moves it one
 * interval on. One number can be swapped atomically, and a bucket whose moment is past is at rest and needs no memory.
 *
 * The table has sets of four places, one set a cache line. A key lives in its set: in its own place, or else in one at
 * rest, or else in the one nearest to rest, which is forgotten. Between taking a place and writing its moment another
 * thread may see the old moment under the new key: it errs by one request, and nothing else depends on it. */
#include "aggregator/api/rate_limit.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/uuid.h"

enum { SETS = 4096, WAYS = 4, LINE_BYTES = 64 };

struct place {
    _Atomic uint64_t key;    /* 0: empty */
    _Atomic int64_t full_ns; /* of the monotonic clock */
};

struct rate_limit {
    uint64_t secret;
    void *memory; /* not touched where no key is: most of it is never resident */
    struct place (*sets)[WAYS];
};
static_assert(sizeof(struct place[WAYS]) == LINE_BYTES, "a set is a cache line");

struct rate rate_of(int64_t count, int64_t period_ms, int64_t burst) {
    return count ? (struct rate){period_ms * 1000000 / count, burst} : (struct rate){0};
}

struct rate_limit *rate_limit_new(void) {
    struct rate_limit *limit = calloc(1, sizeof *limit);
    if (!limit) return NULL;
    limit->memory = calloc(1, SETS * sizeof *limit->sets + LINE_BYTES);
    if (!limit->memory) return rate_limit_free(limit);
    limit->sets = (void *)(((uintptr_t)limit->memory + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES);
    random_bytes(&limit->secret, sizeof limit->secret);
    return limit;
}

struct rate_limit *rate_limit_free(struct rate_limit *limit) {
    if (!limit) return NULL;
    free(limit->memory);
    free(limit);
    return NULL;
}

/* The finisher of splitmix64: every bit of the input changes half of the output's. */
static uint64_t mix(uint64_t value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static uint64_t feed(uint64_t state, slice word) {
    state = mix(state ^ word.size);
    while (word.size) {
        uint64_t piece = 0;
        const size_t size = word.size < sizeof piece ? word.size : sizeof piece;
        memcpy(&piece, word.data, size);
        state = mix(state ^ piece) + 0x9e3779b97f4a7c15u;
        word = slice_from(word, size);
    }
    return state;
}

uint64_t rate_limit_key(const struct rate_limit *limit, slice first, slice second) {
    const uint64_t key = mix(feed(feed(limit->secret, first), second) ^ limit->secret);
    return key ? key : 1;
}

static struct place *place_find(const struct rate_limit *limit, uint64_t key) {
    struct place *set = limit->sets[key % SETS];
    for (size_t i = 0; i < WAYS; i++)
        if (atomic_load_explicit(&set[i].key, memory_order_relaxed) == key) return &set[i];
    return NULL;
}

/* A place at rest has the smallest moment of all that matter, an empty one 0. */
static struct place *place_claim(struct rate_limit *limit, uint64_t key) {
    struct place *set = limit->sets[key % SETS], *best = &set[0];
    for (size_t i = 1; i < WAYS; i++)
        if (atomic_load_explicit(&set[i].full_ns, memory_order_relaxed) <
            atomic_load_explicit(&best->full_ns, memory_order_relaxed))
            best = &set[i];
    atomic_store_explicit(&best->key, key, memory_order_relaxed);
    atomic_store_explicit(&best->full_ns, 0, memory_order_relaxed);
    return best;
}

static int64_t wait_of(struct rate rate, int64_t full_ns, int64_t now_ns) {
    const int64_t wait_ns = full_ns - rate.interval_ns * (rate.burst - 1) - now_ns;
    return wait_ns > 0 ? wait_ns : 0;
}

int64_t rate_limit_take(struct rate_limit *limit, uint64_t key, struct rate rate, int64_t now_ns) {
    if (!rate.interval_ns) return 0;
    struct place *place = place_find(limit, key);
    if (!place) place = place_claim(limit, key);
    int64_t full_ns = atomic_load_explicit(&place->full_ns, memory_order_relaxed), next_ns;
    do {
        const int64_t wait_ns = wait_of(rate, full_ns, now_ns);
        if (wait_ns) return wait_ns;
        next_ns = (full_ns > now_ns ? full_ns : now_ns) + rate.interval_ns;
    } while (!atomic_compare_exchange_weak_explicit(&place->full_ns, &full_ns, next_ns, memory_order_relaxed,
                                                    memory_order_relaxed));
    return 0;
}

int64_t rate_limit_wait(const struct rate_limit *limit, uint64_t key, struct rate rate, int64_t now_ns) {
    if (!rate.interval_ns) return 0;
    struct place *place = place_find(limit, key);
    return place ? wait_of(rate, atomic_load_explicit(&place->full_ns, memory_order_relaxed), now_ns) : 0;
}
