/* SPDX-License-Identifier: Apache-2.0
 * The memory of a store is its file, mapped: pages that were looked at once stay resident until the kernel wants them
 * back, although nobody looks at them again. Who counts every page gives them back by itself, now and then. */
#ifndef PICKET_STORE_KV_PAGES_H
#define PICKET_STORE_KV_PAGES_H

/* Lets go of the resident pages of the store in that folder, in this process: the next look at one finds it in the page
 * cache, or on the disk (madvise(2), MADV_DONTNEED on a shared mapping of a file: nothing is lost, and data lent by
 * kv_get stays valid). Does nothing where the store is not open, or /proc is not there. Any thread. */
void kv_pages_release(const char *folder);

#endif
