/* SPDX-License-Identifier: Apache-2.0
 * A store's file, read without LMDB: LMDB maps it and trusts it, so that a damaged page is a crash, an endless walk or a
 * wrong answer. Here every number is checked before it is followed, and the file is read, not mapped: what the disk cannot
 * give is an error and no signal. For those who find out whether a file may be opened, and what is left of one that may
 * not. The format is LMDB 0.9's, of a machine with this one's word size and byte order. Nobody has the store open for
 * writing meanwhile, unless it is said. Any thread. */
#ifndef PICKET_STORE_KV_FILE_H
#define PICKET_STORE_KV_FILE_H

#include "common/base/fault.h"

/* Walks everything that can be reached from the newest commit: pages in their places and used once, keys in their order,
 * counts as recorded, free pages free. Values are not looked into. FAULT_NONE also when there is no file, or an empty one.
 * FAULT_CORRUPT: not whole (or not readable: the disk); FAULT_LIMIT: no memory. Reads what is kept, not what is free. */
fault_code kv_file_check(const char *folder, struct fault *reterr) MUST_CHECK;

/* The list of tables and the first page of each, with nothing below: a few pages, whatever the size. A store whose list is
 * damaged seems to be a new one. Results as above. */
fault_code kv_file_check_tables(const char *folder, struct fault *reterr) MUST_CHECK;

/* The whole check beside a process that writes: of one commit, of which the caller holds a read transaction from before
 * kv_file_open until after kv_file_walk (kv_snapshot gives its number). FAULT_AGAIN, silently: it is not the newest one any
 * more; let it go, and begin another. FAULT_ABSENT: there is no file. Any thread, one at a time. */
struct kv_file;
fault_code kv_file_open(const char *folder, uint64_t commit, struct kv_file **ret_file,
                        struct fault *reterr) MUST_CHECK;
fault_code kv_file_walk(struct kv_file *file, struct fault *reterr) MUST_CHECK; /* once */
struct kv_file *kv_file_close(struct kv_file *file);                            /* NULL is fine; returns NULL */

/* Gives every record found on any leaf page, in no order, old versions and deleted ones among them: who asks must know by
 * checksums of their own what is what. Values of more than value_bytes_max are passed over. ret_unreadable: pages that the
 * disk did not give. FAULT_ABSENT: there is no file. */
typedef void kv_file_visit_fn(void *context, slice key, slice value);
fault_code kv_file_scan(const char *folder, size_t value_bytes_max, kv_file_visit_fn *visit, void *context,
                        uint64_t *ret_unreadable, struct fault *reterr) MUST_CHECK;

#endif
