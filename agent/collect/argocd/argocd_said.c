/* SPDX-License-Identifier: Apache-2.0
 * Argo CD says in JSON what it refuses, a proxy before it in HTML: what is none of Argo CD's is left out, and the status
 * with a hint is what remains. */
#include "agent/collect/argocd/argocd_said.h"

#include <stdio.h>
#include <string.h>

#include "common/codec/codec.h"
#include "kube_objects.h"

void argocd_said_keep(struct argocd_said *said, slice piece) {
    const slice part = slice_first(piece, sizeof said->text - said->size);
    if (part.size) memcpy(said->text + said->size, part.data, part.size);
    said->size += part.size;
}

void argocd_said_explain(const struct argocd_said *said, const char *what, const struct http_result *result,
                         struct arena *arena, char *ret_text, size_t text_bytes) {
    if (!result->status) {
        snprintf(ret_text, text_bytes, "%s: %s", what, result->fault.text);
        return;
    }
    ArgoRefusal refusal;
    struct fault fault;
    slice message = {0};
    arena_reset(arena);
    if (!codec_decode_json_foreign(&ArgoRefusal_desc, slice_of(said->text, said->size), arena, &refusal, &fault))
        message = slice_first(refusal.message.size ? refusal.message : refusal.error, 200);
    const char *hint = "";
    if (result->status >= 300 && result->status < 400) hint = " (redirects are not followed: give the URL behind it)";
    if (result->status == 401) hint = " (the token or the password is not taken)";
    if (result->status == 403) hint = " (give `applications, get` to this account)";
    snprintf(ret_text, text_bytes, "%s: Argo CD answered %d%s%.*s%s", what, result->status, message.size ? ": " : "",
             SLICE_ARG(message), hint);
}
