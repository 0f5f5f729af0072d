/* SPDX-License-Identifier: Apache-2.0
 * Files and folders as backups and restores need them: on the disk when a call returns, with their digests. Any
 * thread. */
#ifndef PICKET_ARCHIVE_FOLDER_FILES_H
#define PICKET_ARCHIVE_FOLDER_FILES_H

#include "common/base/arena.h"
#include "common/base/digest.h"
#include "common/base/fault.h"

enum { FOLDER_PATH_BYTES = 1024 };

/* "<folder>/<name>", FAULT_LIMIT when that is too long. */
fault_code folder_join(const char *folder, const char *name, char ret_path[FOLDER_PATH_BYTES],
                       struct fault *reterr) MUST_CHECK;

/* Nothing there, or a folder without entries but those named in `passed` (ends with NULL). FAULT_CONFLICT names what is
 * in the way. */
fault_code folder_is_free(const char *folder, const char *const passed[], const char *what,
                          struct fault *reterr) MUST_CHECK;
fault_code folder_make(const char *folder, struct fault *reterr) MUST_CHECK; /* 0700; one that is there is fine */
fault_code folder_sync(const char *folder, struct fault *reterr) MUST_CHECK; /* its entries, onto the disk */
/* Takes a file or an empty folder away; one that is not there is fine. */
fault_code folder_drop(const char *folder, const char *name, struct fault *reterr) MUST_CHECK;

/* Digest and size of a file; to: copied there on the way, which must not exist (NULL: only read). FAULT_ABSENT: there is
 * no such file. */
fault_code file_digest(const char *from, const char *to, uint8_t ret_hash[DIGEST_BYTES], uint64_t *ret_bytes,
                       struct fault *reterr) MUST_CHECK;
fault_code file_write(const char *path, slice bytes, struct fault *reterr) MUST_CHECK; /* must not exist */
/* A small file as a whole, in the arena. FAULT_ABSENT: there is none; FAULT_LIMIT: over bytes_max. */
fault_code file_read(const char *path, size_t bytes_max, struct arena *arena, slice *ret_bytes,
                     struct fault *reterr) MUST_CHECK;

#endif
