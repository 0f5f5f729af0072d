/* SPDX-License-Identifier: Apache-2.0
 * A list of blocks, bump-allocated. The first block survives reset; later blocks double in size and are freed on
 * reset, so that one large request does not hold memory for ever. Under AddressSanitizer the free part of a block
 * is poisoned, so that use after reset is found. */
#include "common/base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

enum { ALIGNMENT = 16 };

struct block {
    struct block *older;
    size_t size; /* of bytes[] */
    size_t used;
    _Alignas(ALIGNMENT) uint8_t bytes[];
};

struct arena {
    struct block *newest;
    size_t held_bytes; /* sum of block sizes */
    size_t bytes_max;
    size_t used_bytes;
    bool refused, starved;
};

static struct block *block_new(size_t size, struct block *older) {
    struct block *block = malloc(sizeof *block + size);
    if (!block) return NULL;
    *block = (struct block){.older = older, .size = size};
    ASAN_POISON_MEMORY_REGION(block->bytes, size);
    return block;
}

static void block_free(struct block *block) {
    ASAN_UNPOISON_MEMORY_REGION(block->bytes, block->size);
    free(block);
}

struct arena *arena_new(size_t block_bytes, size_t bytes_max) {
    struct arena *arena = malloc(sizeof *arena);
    if (!arena) return NULL;
    struct block *first = block_new(block_bytes, NULL);
    if (!first) {
        free(arena);
        return NULL;
    }
    *arena = (struct arena){.newest = first, .held_bytes = block_bytes, .bytes_max = bytes_max};
    return arena;
}

struct arena *arena_free(struct arena *arena) {
    if (!arena) return NULL;
    for (struct block *block = arena->newest, *older; block; block = older) {
        older = block->older;
        block_free(block);
    }
    free(arena);
    return NULL;
}

static void *refuse(struct arena *arena) {
    arena->refused = true;
    return NULL;
}

void *arena_alloc(struct arena *arena, size_t bytes) {
    if (bytes > arena->bytes_max) return refuse(arena);
    const size_t rounded = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    struct block *block = arena->newest;
    if (block->size - block->used < rounded) {
        size_t size = block->size * 2;
        if (size < rounded) size = rounded;
        if (size > arena->bytes_max - arena->held_bytes) size = rounded;
        if (arena->held_bytes > arena->bytes_max || size > arena->bytes_max - arena->held_bytes) return refuse(arena);
        block = block_new(size, arena->newest);
        if (!block) {
            arena->starved = true;
            return refuse(arena);
        }
        arena->newest = block;
        arena->held_bytes += size;
    }
    void *result = block->bytes + block->used;
    ASAN_UNPOISON_MEMORY_REGION(result, rounded);
    block->used += rounded;
    arena->used_bytes += rounded;
    memset(result, 0, rounded);
    return result;
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t item_bytes) {
    size_t bytes;
    if (__builtin_mul_overflow(count, item_bytes, &bytes)) return refuse(arena);
    return arena_alloc(arena, bytes);
}

void *arena_grow(struct arena *arena, void *old, size_t old_bytes, size_t new_bytes) {
    if (new_bytes <= old_bytes) return old;
    struct block *block = arena->newest;
    const size_t old_rounded = (old_bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    const size_t new_rounded = (new_bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (old && (uint8_t *)old + old_rounded == block->bytes + block->used &&
        block->size - block->used >= new_rounded - old_rounded) {
        uint8_t *tail = block->bytes + block->used;
        ASAN_UNPOISON_MEMORY_REGION(tail, new_rounded - old_rounded);
        memset(tail, 0, new_rounded - old_rounded);
        block->used += new_rounded - old_rounded;
        arena->used_bytes += new_rounded - old_rounded;
        return old;
    }
    void *grown = arena_alloc(arena, new_bytes);
    if (grown && old_bytes) memcpy(grown, old, old_bytes);
    return grown;
}

slice arena_copy(struct arena *arena, slice source) {
    uint8_t *copy = arena_alloc(arena, source.size + 1);
    if (!copy) return (slice){0};
    if (source.size) memcpy(copy, source.data, source.size);
    return slice_of(copy, source.size);
}

slice arena_format(struct arena *arena, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = size < 0 ? NULL : arena_alloc(arena, (size_t)size + 1);
    if (text) vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    return text ? slice_of(text, (size_t)size) : (slice){0};
}

void arena_reset(struct arena *arena) {
    struct block *block = arena->newest;
    while (block->older) {
        struct block *older = block->older;
        arena->held_bytes -= block->size;
        block_free(block);
        block = older;
    }
    ASAN_POISON_MEMORY_REGION(block->bytes, block->size);
    block->used = 0;
    arena->newest = block;
    arena->used_bytes = 0;
    arena->refused = arena->starved = false;
}

bool arena_refused(const struct arena *arena) {
    return arena->refused;
}

bool arena_starved(const struct arena *arena) {
    return arena->starved;
}

size_t arena_used(const struct arena *arena) {
    return arena->used_bytes;
}
