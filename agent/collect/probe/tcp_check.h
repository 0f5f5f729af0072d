/* SPDX-License-Identifier: Apache-2.0
 * Does a TCP connection come about? Resolves the name anew each time, tries its addresses one after another, closes at
 * once. Owner: the loop's thread; a name (not an address) is resolved on a thread of its own that lives as long as the
 * system's resolver takes. */
#ifndef PICKET_COLLECT_TCP_CHECK_H
#define PICKET_COLLECT_TCP_CHECK_H

#include "common/loop/loop.h"

struct tcp_check;

struct tcp_check_result {
    bool asked;         /* false: it was our fault (no descriptor, no thread) */
    int64_t latency_ms; /* resolving included */
    struct fault fault; /* FAULT_NONE: connected */
};

fault_code tcp_check_new(struct loop *loop, const char *host, uint16_t port,
                         void (*done)(void *context, const struct tcp_check_result *result), void *context,
                         struct tcp_check **ret_check, struct fault *reterr) MUST_CHECK;
struct tcp_check *tcp_check_free(struct tcp_check *check); /* NULL is fine; breaks off without calling done */
/* None may be under way. done is called once, possibly before this returns. */
void tcp_check_start(struct tcp_check *check, int64_t timeout_ms);

#endif
