/* SPDX-License-Identifier: Apache-2.0
 * Until the file's end and not by its size: what /proc and projected volumes say of a size need not be true. */
#include "common/base/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

fault_code whole_file_read(const char *what, const char *path, void *buffer, size_t buffer_bytes, size_t *ret_size,
                           struct fault *reterr) {
    *ret_size = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "%s '%s'", what, path);
    size_t size = 0;
    ssize_t got = 1;
    while (got != 0 && size < buffer_bytes) {
        got = read(fd, (char *)buffer + size, buffer_bytes - size);
        if (got > 0) size += (size_t)got;
        if (got < 0 && errno != EINTR) break;
    }
    const int reason = errno;
    close(fd);
    if (got < 0) return fault_set_errno(reterr, FAULT_SYSTEM, reason, "%s '%s'", what, path);
    if (size == buffer_bytes)
        return fault_set(reterr, FAULT_LIMIT, "%s '%s' is over %zu bytes", what, path, buffer_bytes - 1);
    *ret_size = size;
    return FAULT_NONE;
}
