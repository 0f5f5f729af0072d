/* SPDX-License-Identifier: Apache-2.0
 * The lock is the first that is opened and the last that is let go of: two agents in one folder would give the same
 * sequence twice. A disk that says no may say yes later, so its faults get a code of their own. */
#include "agent/stores.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/logging/log.h"

enum {
    FOLDER_BYTES = 480,
    PATH_BYTES = 512,
    DISK_FULL_BYTES = 256 * 1024,
    CHECK_AFTER_MS = 5000,
    CHECK_AGAIN_MS = 60 * 1000,
};

struct stores {
    int lock_fd;
    bool lived;       /* there was an agent in the folder before */
    int64_t check_ms; /* monotonic: when the file is to be checked, storing fails; 0: it does not */
    struct fault note;
    struct queue *queue;
    struct state *state;
    char folder[FOLDER_BYTES];
};

static void path_in(const struct stores *stores, const char *name, char path[static PATH_BYTES]) {
    snprintf(path, PATH_BYTES, "%s/%s", stores->folder, name);
}

static fault_code lock_folder(struct stores *stores, struct fault *reterr) {
    char path[PATH_BYTES];
    if (mkdir(stores->folder, 0700) && errno != EEXIST)
        return fault_set_errno(reterr, FAULT_SYSTEM, errno, "make buffer.path '%s'", stores->folder);
    path_in(stores, "lock", path);
    stores->lived = access(path, F_OK) == 0;
    stores->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (stores->lock_fd < 0) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "open '%s'", path);
    if (flock(stores->lock_fd, LOCK_EX | LOCK_NB))
        return fault_set(reterr, FAULT_CONFLICT,
                         "another picket-agent works in '%s': stop it, or give this one a buffer.path of its own",
                         stores->folder);
    return FAULT_NONE;
}

static fault_code open_queue(struct stores *stores, const struct agent_settings *settings, struct fault *reterr) {
    char path[PATH_BYTES];
    struct fault moved = {0};
    path_in(stores, "queue", path);
    const struct queue_settings queue = {
        .path = path,
        .bytes_max = (uint64_t)settings->buffer.bytes_max,
        .reserve_percent = {[QUEUE_HEALTH] = (unsigned)settings->buffer.health_percent,
                            [QUEUE_WINDOWS] = (unsigned)settings->buffer.windows_percent},
        .note_saved = "config", /* cut off from the centre, it measures on by what it was told once */
        .commit_ms = settings->buffer.commit_ms,
        .commit_bytes = (uint64_t)settings->buffer.commit_bytes,
    };
    const fault_code code = queue_open(&queue, &stores->queue, &moved, reterr);
    if (code) return code;
    if (moved.code) LOG_ERROR("agent", "queue_damaged", LOG_FAULT(&moved));
    stores->note = moved;
    if (moved.code || !queue_is_new(stores->queue) || !stores->lived) return FAULT_NONE;
    fault_set(&stores->note, FAULT_CORRUPT,
              "the queue in '%s' was gone or empty when the agent started, and begins anew: what waited in it is lost, "
              "and nobody knows how much",
              stores->folder);
    LOG_ERROR("agent", "queue_gone", LOG_FAULT(&stores->note));
    return FAULT_NONE;
}

static fault_code open_state(struct stores *stores, struct fault *reterr) {
    char path[PATH_BYTES];
    bool emptied = false;
    path_in(stores, "state", path);
    const fault_code code = state_open(&(struct state_settings){.path = path}, &stores->state, &emptied, reterr);
    if (!code && emptied)
        LOG_INFO("agent", "checkpoints_emptied",
                 LOG_TEXT("reason", "the machine was started anew, or they did not check"));
    return code;
}

static bool disk_unwell(const struct stores *stores, const struct fault *fault) {
    struct statvfs disk;
    if (statvfs(stores->folder, &disk)) return false;
    return disk.f_flag & ST_RDONLY || (uint64_t)disk.f_bavail * disk.f_frsize < DISK_FULL_BYTES ||
           strstr(fault->text, strerror(EIO));
}

fault_code stores_open(const struct agent_settings *settings, struct stores **ret_stores, struct fault *reterr) {
    struct fault fault;
    struct stores *stores = calloc(1, sizeof *stores);
    if (!stores) return fault_set(reterr, FAULT_LIMIT, "open buffer.path: out of memory");
    stores->lock_fd = -1;
    if (!slice_to_text(settings->buffer.path, stores->folder, sizeof stores->folder)) {
        free(stores);
        return fault_set(reterr, FAULT_INPUT, "buffer.path is longer than %d bytes", FOLDER_BYTES - 1);
    }
    fault_code code = lock_folder(stores, &fault);
    if (!code) code = open_queue(stores, settings, &fault);
    if (!code) code = open_state(stores, &fault);
    if (!code) {
        *ret_stores = stores;
        return FAULT_NONE;
    }
    if (code != FAULT_CONFLICT && disk_unwell(stores, &fault)) fault.code = FAULT_AGAIN;
    if (reterr) *reterr = fault;
    stores_close(stores);
    return fault.code;
}

struct stores *stores_close(struct stores *stores) {
    if (!stores) return NULL;
    state_close(stores->state);
    queue_close(stores->queue);
    if (stores->lock_fd >= 0) close(stores->lock_fd);
    free(stores);
    return NULL;
}

struct queue *stores_queue(const struct stores *stores) {
    return stores->queue;
}

struct state *stores_state(const struct stores *stores) {
    return stores->state;
}

const char *stores_note(const struct stores *stores) {
    return stores->note.code ? stores->note.text : "";
}

fault_code stores_trouble(const struct stores *stores, bool *ret_fails, struct fault *ret_fault) {
    struct queue_stats stats;
    struct statvfs disk;
    queue_stats(stores->queue, &stats);
    *ret_fault = stats.fault;
    *ret_fails = true;
    if (ret_fault->code) return ret_fault->code;
    if (state_fault(stores->state, ret_fault))
        return fault_wrap(ret_fault, "what is not in a window yet is in memory alone");
    *ret_fails = false;
    if (statvfs(stores->folder, &disk)) return FAULT_NONE;
    const uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (free_bytes >= DISK_FULL_BYTES) return FAULT_NONE;
    return fault_set(ret_fault, FAULT_LIMIT, "the disk of '%s' is full: %llu KiB are free, a commit may need %d",
                     stores->folder, (unsigned long long)free_bytes / 1024, DISK_FULL_BYTES / 1024);
}

bool stores_damaged(struct stores *stores) {
    struct queue_stats stats;
    struct fault fault;
    const int64_t now_ms = clock_monotonic_ms();
    queue_stats(stores->queue, &stats);
    if (stats.fault.code == FAULT_NONE || stats.fault.code == FAULT_LIMIT) {
        stores->check_ms = 0;
        return false;
    }
    if (stores->check_ms == 0) stores->check_ms = now_ms + CHECK_AFTER_MS;
    if (now_ms < stores->check_ms) return false;
    stores->check_ms = now_ms + CHECK_AGAIN_MS;
    if (queue_check(stores->queue, &fault) != FAULT_CORRUPT) return false;
    LOG_ERROR("agent", "queue_damaged", LOG_FAULT(&fault),
              LOG_TEXT("instead", "the agent ends; the next start saves what can be read and says what is lost"));
    return true;
}

void stores_release_pages(const struct stores *stores) {
    queue_release_pages(stores->queue);
    state_release_pages(stores->state);
}
