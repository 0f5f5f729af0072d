/* SPDX-License-Identifier: Apache-2.0
 * TCP sockets for the relay: a listener on loopback, whose socket it is that came in there, and dialling out with a
 * deadline. Every socket is non-blocking and closed on exec. Any thread. */
#ifndef PICKET_NET_TCP_DIAL_H
#define PICKET_NET_TCP_DIAL_H

#include "common/base/fault.h"

struct addrinfo;

/* getaddrinfo(3) for a stream socket, with its result, plus two cases that a bare machine needs: one whose only network
 * is loopback, and one that does not know localhost (RFC 6761, 6.3: it is 127.0.0.1 whatever a resolver says). Blocks
 * for as long as the system's resolver does. The caller gives *ret_addresses to freeaddrinfo; NULL on failure. */
int tcp_resolve(const char *host, const char *port, struct addrinfo **ret_addresses) MUST_CHECK;

/* Listens on 127.0.0.1 at any free port. The caller closes the descriptor. */
fault_code tcp_listen_loopback(int *ret_fd, uint16_t *ret_port, struct fault *reterr) MUST_CHECK;

/* True when the other end of a loopback connection is a socket of this very process: no other process, whatever its
 * user, can then speak through it. Looks through /proc/self/fd: for the start of a connection, not for each packet. */
bool tcp_peer_is_this_process(int fd);

/* Waits until fd has one of the poll(2) events, deadline_ms (monotonic) passes, or cancel_fd is readable.
 * FAULT_TIMEOUT and FAULT_AGAIN (cancelled) are returned without a text. */
fault_code tcp_wait(int fd, short events, int cancel_fd, int64_t deadline_ms) MUST_CHECK;

/* Resolves the name and tries its addresses (IPv6 and IPv4, in the system's order), each with its share of the time
 * left. Resolving itself blocks for as long as the system's resolver does. FAULT_AGAIN: cancel_fd became readable. */
fault_code tcp_dial(const char *host, uint16_t port, int cancel_fd, int64_t deadline_ms, int *ret_fd,
                    struct fault *reterr) MUST_CHECK;

#endif
