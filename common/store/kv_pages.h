/* SPDX-License-Identifier: Apache-2.0
 * The memory of a store is its file, mapped: pages that were looked at once stay resident until the kernel wants them
 * back, although nobody looks at them again. Who counts every page gives them back by itself, now and then: by
 * kv_release_pages, which knows how long the map lives. */
#ifndef PICKET_STORE_KV_PAGES_H
#define PICKET_STORE_KV_PAGES_H

#include <stdint.h>

struct kv_pages {
    uintptr_t from, to; /* addresses; both 0: not known */
};

/* Where the store in that folder is mapped in this process. Not known where it is not open, or /proc is not there. Reads
 * all of the process's maps: to be asked for once. Any thread. */
struct kv_pages kv_pages_find(const char *folder);

/* Lets go of the resident ones: the next look at one finds it in the page cache, or on the disk (madvise(2),
 * MADV_DONTNEED on a shared mapping of a file: nothing is lost, and data lent by kv_get stays valid). Only while the
 * store is open: the addresses are somebody else's afterwards. Any thread. */
void kv_pages_release(struct kv_pages pages);

#endif
