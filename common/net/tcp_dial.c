/* SPDX-License-Identifier: Apache-2.0
 * A loopback connection has two ends with mirrored addresses. If the peer's address is the local address of one of
 * our own descriptors, and that descriptor's peer is the socket we accepted, both ends are ours: the kernel gives a
 * pair of addresses to one connection only. */
#include "common/net/tcp_dial.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"

fault_code tcp_listen_loopback(int *ret_fd, uint16_t *ret_port, struct fault *reterr) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "open a socket");
    if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 8) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        const int error_number = errno;
        close(fd);
        return fault_set_errno(reterr, FAULT_SYSTEM, error_number, "listen on 127.0.0.1");
    }
    *ret_fd = fd;
    *ret_port = ntohs(address.sin_port);
    return FAULT_NONE;
}

static bool same_address(const struct sockaddr_in *a, const struct sockaddr_in *b) {
    return a->sin_family == AF_INET && b->sin_family == AF_INET && a->sin_port == b->sin_port &&
           a->sin_addr.s_addr == b->sin_addr.s_addr;
}

bool tcp_peer_is_this_process(int fd) {
    struct sockaddr_in ours = {0}, theirs = {0};
    socklen_t size = sizeof ours;
    if (getsockname(fd, (struct sockaddr *)&ours, &size) != 0) return false;
    size = sizeof theirs;
    if (getpeername(fd, (struct sockaddr *)&theirs, &size) != 0) return false;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder) return false;
    bool found = false;
    for (const struct dirent *entry; !found && (entry = readdir(folder));) {
        char *end;
        const int other = (int)strtol(entry->d_name, &end, 10);
        struct sockaddr_in local = {0}, remote = {0};
        if (other == fd || end == entry->d_name) continue; /* "." and ".." are no numbers */
        size = sizeof local;
        if (getsockname(other, (struct sockaddr *)&local, &size) != 0 || !same_address(&local, &theirs)) continue;
        size = sizeof remote;
        found = getpeername(other, (struct sockaddr *)&remote, &size) == 0 && same_address(&remote, &ours);
    }
    closedir(folder);
    return found;
}

fault_code tcp_wait(int fd, short events, int cancel_fd, int64_t deadline_ms) {
    struct pollfd waits[2] = {{.fd = cancel_fd, .events = POLLIN}, {.fd = fd, .events = events}};
    for (;;) {
        const int64_t left_ms = deadline_ms - clock_monotonic_ms();
        const int count = left_ms > 0 ? poll(waits, 2, left_ms > 60000 ? 60000 : (int)left_ms) : 0;
        if (count > 0 && waits[0].revents) return FAULT_AGAIN;
        if (count > 0) return FAULT_NONE;
        if (count == 0 && left_ms <= 60000) return FAULT_TIMEOUT;
    }
}

int tcp_resolve(const char *host, const char *port, struct addrinfo **ret_addresses) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
    *ret_addresses = NULL;
    int error = getaddrinfo(host, port, &hints, ret_addresses);
    if (error == EAI_NONAME || error == EAI_ADDRFAMILY) {
        hints.ai_flags = AI_NUMERICSERV; /* AI_ADDRCONFIG hides loopback on a machine without a network */
        error = getaddrinfo(host, port, &hints, ret_addresses);
    }
    if (error && strcasecmp(host, "localhost") == 0) error = getaddrinfo("127.0.0.1", port, &hints, ret_addresses);
    return error;
}

static fault_code dial_one(const struct addrinfo *address, int cancel_fd, int64_t deadline_ms, int *ret_fd,
                           struct fault *reterr);

fault_code tcp_dial(const char *host, uint16_t port, int cancel_fd, int64_t deadline_ms, int *ret_fd,
                    struct fault *reterr) {
    struct addrinfo *addresses;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    const int error = tcp_resolve(host, service, &addresses);
    if (error)
        return fault_set(reterr, FAULT_SYSTEM, "the name '%s' is not resolved: %s", host,
                         error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
    int left = 0;
    for (const struct addrinfo *address = addresses; address; address = address->ai_next) left++;
    fault_code code = FAULT_SYSTEM;
    for (const struct addrinfo *address = addresses; address; address = address->ai_next, left--) {
        const int64_t now_ms = clock_monotonic_ms();
        code = dial_one(address, cancel_fd, now_ms + (deadline_ms - now_ms) / left, ret_fd, reterr);
        if (code == FAULT_NONE || code == FAULT_AGAIN) break;
    }
    freeaddrinfo(addresses);
    return code;
}

static fault_code dial_one(const struct addrinfo *address, int cancel_fd, int64_t deadline_ms, int *ret_fd,
                           struct fault *reterr) {
    char text[NI_MAXHOST] = "?";
    (void)getnameinfo(address->ai_addr, address->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "open a socket for %s", text);
    int error_number = connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    fault_code code = FAULT_NONE;
    if (error_number == EINPROGRESS) {
        socklen_t size = sizeof error_number;
        code = tcp_wait(fd, POLLOUT, cancel_fd, deadline_ms);
        if (code == FAULT_NONE) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error_number, &size);
    }
    if (code == FAULT_TIMEOUT) fault_set(reterr, code, "connecting to %s took too long", text);
    if (code == FAULT_NONE && error_number)
        code = fault_set_errno(reterr, FAULT_SYSTEM, error_number, "connect to %s", text);
    if (code != FAULT_NONE) {
        close(fd);
        return code;
    }
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *ret_fd = fd;
    return FAULT_NONE;
}
