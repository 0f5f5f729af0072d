/* SPDX-License-Identifier: Apache-2.0
 * Names and meaning: https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics. The files
 * are read with plain system calls into the stack: the agent answers /metrics without calling malloc, and
 * opendir would. */
#include "common/metrics/process_metrics.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static bool read_whole(const char *path, char *buffer, size_t buffer_size) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    size_t size = 0;
    ssize_t got;
    while (size < buffer_size - 1 && (got = read(fd, buffer + size, buffer_size - 1 - size)) > 0) size += (size_t)got;
    close(fd);
    buffer[size] = '\0';
    return size > 0;
}

/* What getdents64(2) writes; C libraries differ in what they call it. */
struct listed {
    uint64_t inode;
    int64_t next;
    uint16_t size;
    uint8_t type;
    char name[];
};

/* Every name but . and .. is a descriptor; the one that lists them is taken off. */
static bool count_descriptors(uint64_t *ret_count) {
    const int fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return false;
    _Alignas(8) char entries[4096];
    uint64_t count = 0;
    long got;
    while ((got = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0) {
        for (long at = 0; at < got;) {
            const struct listed *entry = (const struct listed *)(const void *)(entries + at);
            count += entry->name[0] != '.';
            at += entry->size;
        }
    }
    close(fd);
    if (got < 0 || count == 0) return false;
    *ret_count = count - 1;
    return true;
}

static void add(struct text *text, const char *name, const char *suffix, const char *type, const char *help,
                const char *unit, double value) {
    text_format(text, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, help, name, suffix, type);
    char number[40];
    snprintf(number, sizeof number, strcmp(unit, "seconds") == 0 ? "%.2f" : "%.0f", value);
    text_format(text, "%s%s %s\n", name, strcmp(type, "counter") == 0 ? "_total" : "", number);
}

static void add_cpu_and_start(struct text *text, bool openmetrics) {
    char stat[1024];
    if (!read_whole("/proc/self/stat", stat, sizeof stat)) return;
    const char *after_name = strrchr(stat, ')');
    unsigned long user_ticks, system_ticks;
    unsigned long long start_ticks;
    /* proc(5): fields 14, 15 and 22; the name may hold spaces and parentheses, so count from its end. */
    if (!after_name ||
        sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %llu",
               &user_ticks, &system_ticks, &start_ticks) != 3)
        return;
    const double per_second = (double)sysconf(_SC_CLK_TCK);
    add(text, "process_cpu_seconds", openmetrics ? "" : "_total", "counter", "CPU time used, user and system.",
        "seconds", (double)(user_ticks + system_ticks) / per_second);
    char buffer[512];
    if (!read_whole("/proc/uptime", buffer, sizeof buffer)) return;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const double boot = (double)now.tv_sec + (double)now.tv_nsec * 1e-9 - strtod(buffer, NULL);
    add(text, "process_start_time_seconds", "", "gauge", "When the process started, seconds since 1970.", "seconds",
        boot + (double)start_ticks / per_second);
}

void process_metrics_add(struct text *text, bool openmetrics) {
    add_cpu_and_start(text, openmetrics);
    char statm[256];
    unsigned long long virtual_pages, resident_pages;
    if (read_whole("/proc/self/statm", statm, sizeof statm) &&
        sscanf(statm, "%llu %llu", &virtual_pages, &resident_pages) == 2) {
        const double page_bytes = (double)sysconf(_SC_PAGESIZE);
        add(text, "process_resident_memory_bytes", "", "gauge", "Resident memory.", "bytes",
            (double)resident_pages * page_bytes);
        add(text, "process_virtual_memory_bytes", "", "gauge", "Address space.", "bytes",
            (double)virtual_pages * page_bytes);
    }
    uint64_t descriptors;
    if (count_descriptors(&descriptors))
        add(text, "process_open_fds", "", "gauge", "Open file descriptors.", "count", (double)descriptors);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        add(text, "process_max_fds", "", "gauge", "Most file descriptors allowed.", "count", (double)limit.rlim_cur);
}
