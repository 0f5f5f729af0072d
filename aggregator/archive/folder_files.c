/* SPDX-License-Identifier: Apache-2.0
 * Everything is synced: file first, then the folder that names it. Only then is a rename of that folder one step. */
#include "aggregator/archive/folder_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 20 };

fault_code folder_join(const char *folder, const char *name, char ret_path[FOLDER_PATH_BYTES], struct fault *reterr) {
    const int size = snprintf(ret_path, FOLDER_PATH_BYTES, "%s/%s", folder, name);
    if (size > 0 && size < FOLDER_PATH_BYTES) return FAULT_NONE;
    return fault_set(reterr, FAULT_LIMIT, "the path '%.80s...' is longer than %d bytes", folder, FOLDER_PATH_BYTES - 1);
}

static bool among(const char *name, const char *const names[]) {
    for (; *names; names++)
        if (strcmp(name, *names) == 0) return true;
    return false;
}

fault_code folder_is_free(const char *folder, const char *const passed[], const char *what, struct fault *reterr) {
    DIR *entries = opendir(folder);
    if (!entries && errno == ENOENT) return FAULT_NONE;
    if (!entries) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "look into %s '%s'", what, folder);
    fault_code code = FAULT_NONE;
    for (const struct dirent *entry; !code && (entry = readdir(entries));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || among(entry->d_name, passed))
            continue;
        code = fault_set(reterr, FAULT_CONFLICT, "%s '%s' is not empty: '%s' is there; nothing was changed", what,
                         folder, entry->d_name);
    }
    closedir(entries);
    return code;
}

fault_code folder_make(const char *folder, struct fault *reterr) {
    if (mkdir(folder, 0700) && errno != EEXIST)
        return fault_set_errno(reterr, FAULT_SYSTEM, errno, "make the folder '%s'", folder);
    return FAULT_NONE;
}

fault_code folder_sync(const char *folder, struct fault *reterr) {
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "open the folder '%s'", folder);
    const int failed = fsync(fd), reason = errno;
    close(fd);
    return failed ? fault_set_errno(reterr, FAULT_SYSTEM, reason, "write the folder '%s' to the disk", folder)
                  : FAULT_NONE;
}

fault_code folder_drop(const char *folder, const char *name, struct fault *reterr) {
    char path[FOLDER_PATH_BYTES];
    if (folder_join(folder, name, path, reterr)) return FAULT_LIMIT;
    if (unlink(path) && errno == EISDIR) (void)rmdir(path);
    struct stat left;
    if (lstat(path, &left)) return FAULT_NONE;
    return fault_set(reterr, FAULT_SYSTEM, "'%s' cannot be taken away", path);
}

static bool write_all(int fd, slice bytes) {
    while (bytes.size) {
        const ssize_t size = write(fd, bytes.data, bytes.size);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return false;
        bytes = slice_from(bytes, (size_t)size);
    }
    return true;
}

static fault_code close_synced(int fd, fault_code code, const char *path, struct fault *reterr) {
    if (fd < 0) return code;
    if (!code && fsync(fd)) code = fault_set_errno(reterr, FAULT_SYSTEM, errno, "write '%s' to the disk", path);
    if (close(fd) && !code) code = fault_set_errno(reterr, FAULT_SYSTEM, errno, "write '%s'", path);
    return code;
}

static int file_make(const char *path, struct fault *reterr) {
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) fault_set_errno(reterr, FAULT_SYSTEM, errno, "make '%s'", path);
    return fd;
}

fault_code file_digest(const char *from, const char *to, uint8_t ret_hash[DIGEST_BYTES], uint64_t *ret_bytes,
                       struct fault *reterr) {
    const int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0) return fault_set_errno(reterr, errno == ENOENT ? FAULT_ABSENT : FAULT_SYSTEM, errno, "open '%s'", from);
    const int out = to ? file_make(to, reterr) : -1;
    uint8_t *piece = malloc(PIECE_BYTES);
    fault_code code = to && out < 0 ? FAULT_SYSTEM : FAULT_NONE;
    if (!code && !piece) code = fault_set(reterr, FAULT_LIMIT, "read '%s': out of memory", from);
    struct digest digest;
    digest_init(&digest);
    while (!code) {
        const ssize_t size = read(in, piece, PIECE_BYTES);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) code = fault_set_errno(reterr, FAULT_SYSTEM, errno, "read '%s'", from);
        if (size <= 0) break;
        digest_feed(&digest, slice_of(piece, (size_t)size));
        if (to && !write_all(out, slice_of(piece, (size_t)size)))
            code = fault_set_errno(reterr, FAULT_SYSTEM, errno, "write '%s'", to);
    }
    code = close_synced(out, code, to, reterr);
    close(in);
    free(piece);
    if (code) return code;
    *ret_bytes = digest.bytes;
    digest_done(&digest, ret_hash);
    return FAULT_NONE;
}

fault_code file_write(const char *path, slice bytes, struct fault *reterr) {
    const int fd = file_make(path, reterr);
    if (fd < 0) return FAULT_SYSTEM;
    const fault_code code =
        write_all(fd, bytes) ? FAULT_NONE : fault_set_errno(reterr, FAULT_SYSTEM, errno, "write '%s'", path);
    return close_synced(fd, code, path, reterr);
}

fault_code file_read(const char *path, size_t bytes_max, struct arena *arena, slice *ret_bytes, struct fault *reterr) {
    FILE *file = fopen(path, "rbe");
    if (!file) return fault_set_errno(reterr, errno == ENOENT ? FAULT_ABSENT : FAULT_SYSTEM, errno, "open '%s'", path);
    uint8_t *bytes = arena_alloc(arena, bytes_max + 1);
    const size_t size = bytes ? fread(bytes, 1, bytes_max + 1, file) : 0;
    const bool failed = ferror(file);
    fclose(file);
    if (!bytes || size > bytes_max)
        return fault_set(reterr, FAULT_LIMIT, "read '%s': it is larger than %zu bytes", path, bytes_max);
    if (failed) return fault_set(reterr, FAULT_SYSTEM, "read '%s': the disk said no", path);
    *ret_bytes = slice_of(bytes, size);
    return FAULT_NONE;
}
