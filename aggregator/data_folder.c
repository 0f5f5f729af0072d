/* SPDX-License-Identifier: Apache-2.0
 * The lock is the kernel's (flock), so that it goes with the process however that ends.
 *
 * A copy is found by a file that holds the time of its own making (statx), which no program sets: where the two differ
 * somebody has copied the folder. Its place says nothing (a volume moves between machines and is the same), nor does an
 * inode's number (the first file of a new disk has the same one each time). */
#include "aggregator/data_folder.h"

#include <errno.h>
#include <inttypes.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 512 };

fault_code data_folder_lock(const char *path, int *ret_fd, struct fault *reterr) {
    char file[PATH_BYTES];
    if (mkdir(path, 0700) && errno != EEXIST)
        return fault_set_errno(reterr, FAULT_SYSTEM, errno, "make data.path '%s'", path);
    snprintf(file, sizeof file, "%s/" DATA_LOCK, path);
    const int fd = open(file, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "open '%s'", file);
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        close(fd);
        return fault_set(reterr, FAULT_CONFLICT,
                         "data.path '%s' is in use by another picket-aggregator: a journal has one writer", path);
    }
    *ret_fd = fd;
    return FAULT_NONE;
}

fault_code data_folder_finished(const char *path, struct fault *reterr) {
    char file[PATH_BYTES];
    struct stat found;
    snprintf(file, sizeof file, "%s/" DATA_UNFINISHED, path);
    if (stat(file, &found)) return FAULT_NONE;
    return fault_set(reterr, FAULT_CONFLICT,
                     "a restore into data.path '%s' was not finished: run it again, or remove '%s' to begin without it",
                     path, file);
}

/* ---- standing by ---- */

static fault_code folder_to_disk(const char *path, struct fault *reterr) {
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool failed = fd < 0 || fsync(fd);
    const int error = errno;
    if (fd >= 0) close(fd);
    return failed ? fault_set_errno(reterr, FAULT_SYSTEM, error, "write '%s' to the disk", path) : FAULT_NONE;
}

fault_code data_folder_standby_set(const char *path, struct fault *reterr) {
    static const char text[] =
        "This journal was restored or copied. It stands by, off the broker, until 'picket-aggregator "
        "take-over' removes this file.\n";
    char file[PATH_BYTES];
    snprintf(file, sizeof file, "%s/" DATA_STANDBY, path);
    const int fd = open(file, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    const bool failed = fd < 0 || write(fd, text, strlen(text)) < 0 || fsync(fd);
    const int error = errno;
    if (fd >= 0) close(fd);
    if (failed) return fault_set_errno(reterr, FAULT_SYSTEM, error, "write '%s'", file);
    return folder_to_disk(path, reterr);
}

bool data_folder_stands_by(const char *path) {
    char file[PATH_BYTES];
    snprintf(file, sizeof file, "%s/" DATA_STANDBY, path);
    return access(file, F_OK) == 0;
}

/* ---- copies ---- */

enum { BORN_BYTES = 64 };

/* When the file was made. false: the file system does not say. */
static bool born_when(int fd, char text[BORN_BYTES]) {
    struct statx found;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &found) || !(found.stx_mask & STATX_BTIME)) return false;
    snprintf(text, BORN_BYTES, "%" PRId64 ".%09" PRIu32 "\n", (int64_t)found.stx_btime.tv_sec,
             (uint32_t)found.stx_btime.tv_nsec);
    return true;
}

static fault_code born_write(const char *path, const char *file, int fd, const char *text, struct fault *reterr) {
    if (pwrite(fd, text, strlen(text), 0) != (ssize_t)strlen(text) || fsync(fd))
        return fault_set_errno(reterr, FAULT_SYSTEM, errno, "write '%s'", file);
    return folder_to_disk(path, reterr);
}

/* What stands by does so before it forgets that it is a copy. */
static fault_code born_again(const char *path, const char *file, struct fault *reterr) {
    char text[BORN_BYTES];
    fault_code code = data_folder_standby_set(path, reterr);
    if (code) return code;
    if (unlink(file)) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "remove '%s'", file);
    const int fd = open(file, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "make '%s'", file);
    if (born_when(fd, text)) code = born_write(path, file, fd, text, reterr);
    close(fd);
    return code;
}

fault_code data_folder_look_for_copy(const char *path, bool *ret_copied, struct fault *reterr) {
    char file[PATH_BYTES], now[BORN_BYTES], said[BORN_BYTES] = "";
    *ret_copied = false;
    snprintf(file, sizeof file, "%s/" DATA_BORN, path);
    const int fd = open(file, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "open '%s'", file);
    fault_code code = FAULT_NONE;
    if (born_when(fd, now)) {
        const ssize_t bytes = pread(fd, said, sizeof said - 1, 0);
        if (bytes < 0)
            code = fault_set_errno(reterr, FAULT_SYSTEM, errno, "read '%s'", file);
        else if (!strchr(said, '\n')) /* new, or not written whole */
            code = born_write(path, file, fd, now, reterr);
        else
            *ret_copied = strcmp(said, now) != 0;
    }
    close(fd);
    return *ret_copied ? born_again(path, file, reterr) : code;
}

fault_code data_folder_take_over(const char *path, struct fault *reterr) {
    char file[PATH_BYTES];
    snprintf(file, sizeof file, "%s/" DATA_STANDBY, path);
    if (!unlink(file)) return folder_to_disk(path, reterr);
    if (errno == ENOENT) return fault_set(reterr, FAULT_ABSENT, "'%s' does not stand by", path);
    return fault_set_errno(reterr, FAULT_SYSTEM, errno, "remove '%s'", file);
}
