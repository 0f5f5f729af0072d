/* SPDX-License-Identifier: Apache-2.0
 * Whether a request's header fields leave no doubt about where it ends and who sends it (RFC 9112, 3.2, 5.1, 6.1 and 6.3;
 * RFC 9110, 5.3 and 5.5): what two programs on its way could read differently is refused by the server whole. Pure. */
#ifndef PICKET_NET_HTTP_FRAMING_H
#define PICKET_NET_HTTP_FRAMING_H

#include "common/base/slice.h"

/* Zeroed at the start of a request. */
struct http_framing {
    unsigned seen;     /* a bit for each of the fields that may come once */
    const char *wrong; /* what was wrong first */
};

/* One header field after the other, in any order, as it came. */
void http_framing_add(struct http_framing *framing, slice name, slice value);
/* A field was folded over several lines (RFC 9112, 5.2: a server may refuse it). */
void http_framing_fold(struct http_framing *framing);
/* After the last of them: what is wrong, to be read behind "the request has "; NULL when it is sound. `old`: the request
 * is of HTTP/1.0. Lives for ever. */
const char *http_framing_wrong(const struct http_framing *framing, bool old);

#endif
