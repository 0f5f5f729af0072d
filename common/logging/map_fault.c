/* SPDX-License-Identifier: Apache-2.0
 * All of it runs in a signal handler, so it calls what signal-safety(7) allows and nothing else. Which file it was is not
 * kept anywhere: proc(5)'s maps says what lies at the address. That the disk does not give the byte is asked again by
 * pread(2), which says why. The handler is gone when it runs (SA_RESETHAND): going back repeats the read, and ends us. */
#include "common/logging/map_fault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/logging/log.h"

enum { LINE_BYTES = PATH_MAX + 128, TEXT_BYTES = LINE_BYTES + 512 };

/* The handler has no other way to know. */
static const char *instead_text;

struct text {
    char bytes[TEXT_BYTES];
    size_t size;
};

static void add(struct text *text, const char *piece) {
    for (; *piece && text->size < sizeof text->bytes; piece++) text->bytes[text->size++] = *piece;
}

/* What a line's format would take for its own. */
static void add_path(struct text *text, const char *path) {
    for (; *path && text->size < sizeof text->bytes; path++)
        text->bytes[text->size++] = *path == '"' || *path == '\\' || (unsigned char)*path < 0x20 ? '?' : *path;
}

static void add_number(struct text *text, uint64_t number) {
    char digits[24];
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    add(text, digits + at);
}

static const char *read_hex(const char *from, uint64_t *ret_number) {
    uint64_t number = 0;
    for (;; from++) {
        const char c = *from;
        if (c >= '0' && c <= '9')
            number = number << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            number = number << 4 | (uint64_t)(c - 'a' + 10);
        else
            break;
    }
    *ret_number = number;
    return from;
}

/* A line of maps: "from-to rights offset device inode   path". true: the address is in it, and it is of a file. */
static bool line_holds(const char *line, uint64_t address, const char **ret_path, uint64_t *ret_offset) {
    uint64_t from, to, offset;
    const char *at = read_hex(line, &from);
    if (*at != '-') return false;
    at = read_hex(at + 1, &to);
    if (*at != ' ' || address < from || address >= to) return false;
    for (at++; *at && *at != ' '; at++) {
    }
    (void)read_hex(at + (*at == ' '), &offset);
    const char *const path = strchr(at, '/');
    if (!path) return false;
    *ret_path = path;
    *ret_offset = offset + (address - from);
    return true;
}

/* Puts the line with the address into `line`. */
static bool find_line(uint64_t address, char line[LINE_BYTES], const char **ret_path, uint64_t *ret_offset) {
    char piece[1024];
    size_t size = 0;
    const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool found = false;
    for (ssize_t got; !found && (got = read(fd, piece, sizeof piece)) > 0;)
        for (ssize_t i = 0; i < got && !found; i++) {
            if (piece[i] != '\n') {
                if (size < LINE_BYTES - 1) line[size++] = piece[i];
                continue;
            }
            line[size] = '\0';
            size = 0;
            found = line_holds(line, address, ret_path, ret_offset);
        }
    close(fd);
    return found;
}

static void add_reason(struct text *text, const char *path, uint64_t offset) {
    struct stat file;
    char byte;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &file)) {
        add(text, "it cannot be read at byte ");
        add_number(text, offset);
    } else if ((uint64_t)file.st_size <= offset) {
        add(text, "it was cut short: it has ");
        add_number(text, (uint64_t)file.st_size);
        add(text, " bytes, and byte ");
        add_number(text, offset);
        add(text, " was needed");
    } else {
        const ssize_t got = pread(fd, &byte, 1, (off_t)offset);
        add(text, got < 0 && errno == EIO ? "the disk fails at byte " : "the disk did not give byte ");
        add_number(text, offset);
    }
    if (fd >= 0) close(fd);
}

static void on_bus_error(int signal_number, siginfo_t *info, void *context) {
    static struct text text; /* large for a stack; the process dies of the first one */
    static char line[LINE_BYTES];
    const char *path = NULL;
    uint64_t offset = 0;
    const bool json = log_format_now() == LOG_FORMAT_JSON;
    const bool found = find_line((uint64_t)(uintptr_t)info->si_addr, line, &path, &offset);
    add(&text, json ? "{\"level\":\"error\",\"area\":\"store\",\"event\":\"file_unreadable\",\"file\":\""
                    : "level=error area=store event=file_unreadable file=\"");
    add_path(&text, found ? path : "unknown");
    add(&text, json ? "\",\"fault\":\"" : "\" fault=\"");
    if (found)
        add_reason(&text, path, offset);
    else
        add(&text, "memory could not be read");
    add(&text, json ? "\",\"instead\":\"" : "\" instead=\"");
    add(&text, instead_text);
    add(&text, json ? "\"}\n" : "\"\n");
    (void)!write(STDERR_FILENO, text.bytes, text.size);
}

void map_fault_catch(const char *instead) {
    struct sigaction action = {.sa_flags = (int)(SA_SIGINFO | SA_RESETHAND)};
    action.sa_sigaction = on_bus_error;
    instead_text = instead;
    sigaction(SIGBUS, &action, NULL);
}
