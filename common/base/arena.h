/* SPDX-License-Identifier: Apache-2.0
 * Memory for one unit of work (a scrape, a batch, a request): allocate freely, reset once at its end. What lives
 * in an arena leaves it only by an explicit copy. Not thread-safe: one owner. */
#ifndef PICKET_BASE_ARENA_H
#define PICKET_BASE_ARENA_H

#include "common/base/slice.h"

struct arena;

/* bytes_max bounds all that the arena may hold at one time; the first block (block_bytes) is kept over resets, so
 * a steady load allocates nothing. NULL when memory is out. */
struct arena *arena_new(size_t block_bytes, size_t bytes_max) MUST_CHECK;
struct arena *arena_free(struct arena *arena); /* NULL is fine; returns NULL */

/* Zeroed, aligned to 16. NULL when bytes_max would be passed or memory is out. Valid until reset or free. */
void *arena_alloc(struct arena *arena, size_t bytes) MUST_CHECK;

/* As arena_alloc for count items; checks the multiplication. */
void *arena_alloc_array(struct arena *arena, size_t count, size_t item_bytes) MUST_CHECK;

/* Makes the last allocation larger in place where it can, else copies. old may be NULL with old_bytes 0. */
void *arena_grow(struct arena *arena, void *old, size_t old_bytes, size_t new_bytes) MUST_CHECK;

/* A copy with a NUL behind it (not counted in size). data is NULL when it failed (and source was not). */
slice arena_copy(struct arena *arena, slice source) MUST_CHECK;

/* printf into the arena; data is NULL when it failed. NUL-terminated behind size. */
slice arena_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3))) MUST_CHECK;

/* Whether an allocation was refused since the last reset, so that what stands on it may be incomplete: at all, and
 * because the system had no memory (and not for bytes_max). */
bool arena_refused(const struct arena *arena);
bool arena_starved(const struct arena *arena);

/* Gives back all but the first block. Everything allocated before is invalid. */
void arena_reset(struct arena *arena);

/* Bytes handed out since the last reset. */
size_t arena_used(const struct arena *arena);

#endif
