/* SPDX-License-Identifier: Apache-2.0
 * What an earlier life of the agent kept of its alerts, first byte even, or of their burn rates, odd. Whatever of it was
 * taken is kept again, and comes back to the same. */
#include "agent/alert/alert_book.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds) {
    if (!holds) abort();
}

static const struct burn_rule rules[] = {{SLICE_LIT("fast"), 14.4, 3600000, 300000, 1},
                                         {SLICE_LIT("slow"), 1, 7200000, 3600000, 4}};
static const struct alert_watch watched[] = {{SLICE_LIT("shop"), 99.9}, {SLICE_LIT("cart"), 99}};

static slice encoded(const struct alert_book *book, bool history, struct arena *arena) {
    slice bytes;
    struct fault fault;
    must(!(history ? alert_book_encode_history : alert_book_encode_alerts)(book, arena, &bytes, &fault));
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *const arena = arena_new(64 * 1024, 16 * 1024 * 1024);
    struct alert_book book, other;
    struct fault fault;
    const bool history = size && data[0] & 1;
    must(!alert_book_new(rules, 2, watched, 2, 1, &book, &fault));
    must(!alert_book_new(rules, 2, watched, 2, 1, &other, &fault));
    const slice bytes = size ? slice_of(data + 1, size - 1) : (slice){0};
    (void)!(history ? alert_book_decode_history : alert_book_decode_alerts)(&book, bytes, &fault);
    const slice kept = encoded(&book, history, arena);
    must(!(history ? alert_book_decode_history : alert_book_decode_alerts)(&other, kept, &fault));
    must(slice_equal(kept, encoded(&other, history, arena)));
    alert_book_free(&book);
    alert_book_free(&other);
    arena_free(arena);
    return 0;
}
