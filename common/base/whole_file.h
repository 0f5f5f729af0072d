/* SPDX-License-Identifier: Apache-2.0
 * A small file, read whole into memory of the caller's: tokens, keys, configurations that may change on disk. */
#ifndef PICKET_BASE_WHOLE_FILE_H
#define PICKET_BASE_WHOLE_FILE_H

#include "common/base/fault.h"

/* Reads all of path into the buffer; the file must be smaller than buffer_bytes. what stands before the path in a fault:
 * "kubeconfig". FAULT_SYSTEM: it cannot be opened or read; FAULT_LIMIT: it is too large. Then the buffer may hold its
 * beginning all the same. Blocks for as long as the disk does. Any thread. */
fault_code whole_file_read(const char *what, const char *path, void *buffer, size_t buffer_bytes, size_t *ret_size,
                           struct fault *reterr) MUST_CHECK;

#endif
