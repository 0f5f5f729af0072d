/* SPDX-License-Identifier: Apache-2.0
 * The wrapped functions have no context, so what is ordered lies in this file's own variables: one thread, one journal. */
#include "tests/simulation/injection.h"

#include "common/base/clock.h"
#include "common/store/kv.h"

#include <stddef.h>

static struct {
    enum injection what;
    unsigned calls, n; /* so far; the one that fails */
    bool struck, seen, paused;
    int64_t monotonic_ms;
} order;

void injection_begin(enum injection what, unsigned n) {
    order.what = what;
    order.n = n;
    order.calls = 0;
    order.struck = order.seen = false;
}

bool injection_struck(void) {
    const bool struck = order.struck && !order.seen;
    order.seen = order.struck;
    return struck;
}

bool injection_struck_ever(void) {
    return order.struck;
}

unsigned injection_calls(void) {
    return order.calls;
}

void injection_pause(bool paused) {
    order.paused = paused;
}

bool injection_dead(void) {
    return order.struck && (order.what == INJECT_DEATH_BEFORE_COMMIT || order.what == INJECT_DEATH_BEHIND_COMMIT);
}

void injection_clock(int64_t monotonic_ms) {
    order.monotonic_ms = monotonic_ms;
}

static bool strikes(void) {
    if (order.paused || ++order.calls != order.n) return false;
    order.struck = true;
    return true;
}

static fault_code store_fails(struct fault *reterr) {
    if ((order.what != INJECT_STORE_SYSTEM && order.what != INJECT_STORE_FULL) || !strikes()) return FAULT_NONE;
    if (order.what == INJECT_STORE_FULL) return fault_set(reterr, FAULT_LIMIT, "injected: the store is full");
    return fault_set(reterr, FAULT_SYSTEM, "injected: the disk said no");
}

/* Each function of the store that can fail, under the same name with its failure in front. */
#define WRAPPED(name, parameters, arguments)                                                                           \
    fault_code __real_##name parameters;                                                                               \
    fault_code __wrap_##name parameters;                                                                               \
    fault_code __wrap_##name parameters {                                                                              \
        const fault_code code = store_fails(reterr);                                                                   \
        return code ? code : __real_##name arguments;                                                                  \
    }
WRAPPED(kv_begin_write, (struct kv * kv, struct kv_txn **ret_txn, struct fault *reterr), (kv, ret_txn, reterr))
WRAPPED(kv_begin_read, (struct kv * kv, struct kv_txn **ret_txn, struct fault *reterr), (kv, ret_txn, reterr))
WRAPPED(kv_get, (struct kv_txn * txn, kv_table table, slice key, slice *ret_value, struct fault *reterr),
        (txn, table, key, ret_value, reterr))
WRAPPED(kv_put, (struct kv_txn * txn, kv_table table, slice key, slice value, struct fault *reterr),
        (txn, table, key, value, reterr))
WRAPPED(kv_append, (struct kv_txn * txn, kv_table table, slice key, slice value, struct fault *reterr),
        (txn, table, key, value, reterr))
WRAPPED(kv_delete, (struct kv_txn * txn, kv_table table, slice key, struct fault *reterr), (txn, table, key, reterr))
WRAPPED(kv_cursor_open, (struct kv_txn * txn, kv_table table, struct kv_cursor **ret_cursor, struct fault *reterr),
        (txn, table, ret_cursor, reterr))
WRAPPED(kv_cursor_seek,
        (struct kv_cursor * cursor, slice key_at_least, slice *ret_key, slice *ret_value, struct fault *reterr),
        (cursor, key_at_least, ret_key, ret_value, reterr))
WRAPPED(kv_cursor_next, (struct kv_cursor * cursor, slice *ret_key, slice *ret_value, struct fault *reterr),
        (cursor, ret_key, ret_value, reterr))
WRAPPED(kv_cursor_previous, (struct kv_cursor * cursor, slice *ret_key, slice *ret_value, struct fault *reterr),
        (cursor, ret_key, ret_value, reterr))
WRAPPED(kv_cursor_last, (struct kv_cursor * cursor, slice *ret_key, slice *ret_value, struct fault *reterr),
        (cursor, ret_key, ret_value, reterr))
WRAPPED(kv_cursor_delete, (struct kv_cursor * cursor, struct fault *reterr), (cursor, reterr))
WRAPPED(kv_stats, (struct kv * kv, struct kv_stats *ret_stats, struct fault *reterr), (kv, ret_stats, reterr))

fault_code __real_kv_commit(struct kv_txn *txn, struct fault *reterr);
fault_code __wrap_kv_commit(struct kv_txn *txn, struct fault *reterr);
fault_code __wrap_kv_commit(struct kv_txn *txn, struct fault *reterr) {
    fault_code code = store_fails(reterr);
    if (code || order.what == INJECT_DEATH_BEFORE_COMMIT || injection_dead()) {
        order.struck |= order.what == INJECT_DEATH_BEFORE_COMMIT;
        kv_abort(txn);
        return code ? code : fault_set(reterr, FAULT_SYSTEM, "injected: dead before the commit");
    }
    code = __real_kv_commit(txn, reterr);
    if (order.what == INJECT_DEATH_BEHIND_COMMIT) order.struck = true;
    return code;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static bool no_memory(void) {
    return order.what == INJECT_NO_MEMORY && strikes();
}
void *__wrap_malloc(size_t size) {
    return no_memory() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size) {
    return no_memory() ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *memory, size_t size) {
    return no_memory() ? NULL : __real_realloc(memory, size);
}

int64_t __wrap_clock_monotonic_ms(void);
int64_t __wrap_clock_monotonic_ns(void);
int64_t __wrap_clock_monotonic_ms(void) {
    return order.monotonic_ms;
}
int64_t __wrap_clock_monotonic_ns(void) {
    return order.monotonic_ms * 1000000;
}
