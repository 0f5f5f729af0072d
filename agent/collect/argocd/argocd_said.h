/* SPDX-License-Identifier: Apache-2.0
 * What Argo CD's server said where it did not give what was asked for. */
#ifndef PICKET_ARGOCD_SAID_H
#define PICKET_ARGOCD_SAID_H

#include "common/base/arena.h"
#include "common/net/http_client.h"

enum { ARGOCD_SAID_BYTES = 600 };

/* An answer that is no list: its beginning. */
struct argocd_said {
    int status;
    size_t size;
    char text[ARGOCD_SAID_BYTES];
};

/* What does not fit is left out. Any thread. */
void argocd_said_keep(struct argocd_said *said, slice piece);
/* One sentence about it, and what can be done; what: was asked for ("session"). Uses the arena from its beginning. */
void argocd_said_explain(const struct argocd_said *said, const char *what, const struct http_result *result,
                         struct arena *arena, char *ret_text, size_t text_bytes);

#endif
