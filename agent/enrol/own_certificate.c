/* SPDX-License-Identifier: Apache-2.0
 * A renewal is due after two thirds of a life, and three quarters at the latest (enrol.c); what has not come by five sixths
 * will not come by itself, and there is time yet to do something. A file that cannot be read is no finding of ours: the
 * connection names it, or it is there when it is needed. */
#include "agent/enrol/own_certificate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/enrol/identity.h"

enum { ARENA_BYTES = 64 * 1024 };

fault_code own_certificate_check(const char *path, const char *name, struct certificate_view *ret_view,
                                 struct fault *reterr) {
    struct arena *arena = arena_new(ARENA_BYTES, 2 * ARENA_BYTES);
    struct certificate_view view;
    slice pem;
    if (!arena) return fault_set(reterr, FAULT_LIMIT, "read '%s': out of memory", path);
    fault_code code = identity_file(path, arena, &pem, reterr);
    if (!code && certificate_read(pem, &view, reterr))
        code = fault_set(reterr, FAULT_CORRUPT, "'%s' holds no certificate that can be read", path);
    arena_free(arena);
    if (code) return code;
    *ret_view = view;
    if (strcmp(view.common_name, name) == 0) return FAULT_NONE;
    return fault_set(reterr, FAULT_INPUT,
                     "'%s' is the certificate of '%s', and this agent is '%s': the broker lets nothing of it through",
                     path, view.common_name, name);
}

void own_certificate_trouble(const struct certificate_view *view, int64_t now_ms, const char *error, char *ret_text,
                             size_t text_bytes) {
    const int64_t life_ms = view->not_after_ms - view->not_before_ms, left_ms = view->not_after_ms - now_ms;
    ret_text[0] = '\0';
    if (left_ms <= 0)
        snprintf(ret_text, text_bytes, "the certificate is over since %" PRId64 " s%s%s", -left_ms / 1000,
                 error[0] ? ": " : "", error);
    else if (error[0] && left_ms < life_ms / 6)
        snprintf(ret_text, text_bytes, "the certificate ends in %" PRId64 " s: %s", left_ms / 1000, error);
}
