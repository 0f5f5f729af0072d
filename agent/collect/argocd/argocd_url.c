/* SPDX-License-Identifier: Apache-2.0
 * The URL that was given may have a path of its own and may end in a slash. Projects are escaped byte by byte: their
 * names are the user's, the rest is ours. */
#include "agent/collect/argocd/argocd_url.h"

#include <stdio.h>
#include <string.h>

struct url_text {
    char *text;
    size_t size, room;
    bool full;
};

static void put(struct url_text *url, slice text, bool escape) {
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t c = text.data[i];
        const bool plain = !escape || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           memchr("-._~", c, 4) != NULL;
        if (url->size + 4 > url->room) {
            url->full = true;
            return;
        }
        url->size += (size_t)snprintf(url->text + url->size, url->room - url->size, plain ? "%c" : "%%%02X", c);
    }
}

fault_code argocd_url_make(const struct argocd_settings *settings, const char *path, const char *fields, char *ret_url,
                           size_t url_bytes, struct fault *reterr) {
    struct url_text url = {.text = ret_url, .room = url_bytes};
    slice base = settings->url;
    while (base.size && base.data[base.size - 1] == '/') base.size--;
    put(&url, base, false);
    put(&url, slice_from_text(path), false);
    if (fields) {
        put(&url, SLICE_LIT("?fields="), false);
        put(&url, slice_from_text(fields), false);
        for (size_t i = 0; i < settings->projects.count; i++) {
            put(&url, SLICE_LIT("&projects="), false);
            put(&url, settings->projects.items[i], true);
        }
    }
    return url.full ? fault_set(reterr, FAULT_LIMIT, "projects: their names have over %zu bytes together", url_bytes)
                    : FAULT_NONE;
}
