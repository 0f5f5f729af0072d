/* SPDX-License-Identifier: Apache-2.0
 * Each reason is a sentence that an operator can act on. The first minutes are not held against the agent longer than
 * `stall`: a target that is down at start is found out as late as one that goes down. */
#include "agent/show/readiness.h"

#include <stdarg.h>
#include <stdio.h>

enum { REASON_BYTES = 400 };

struct page {
    char *text;
    size_t bytes, used, reasons;
};

static void put(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct page *page, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const int more = vsnprintf(page->text + page->used, page->bytes - page->used, format, args);
    va_end(args);
    page->used = page->used + (size_t)more < page->bytes ? page->used + (size_t)more : page->bytes - 1;
}

/* As a JSON string: quotes and backslashes escaped, control characters and what is not ASCII replaced. */
static void put_string(struct page *page, const char *text) {
    put(page, "\"");
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            put(page, "\\%c", *text);
        else
            put(page, "%c", (unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f ? '?' : *text);
    }
    put(page, "\"");
}

static void reason(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void reason(struct page *page, const char *format, ...) {
    char text[REASON_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (page->reasons++) put(page, ",");
    put_string(page, text);
}

static void find_reasons(const struct readiness *now, struct page *page) {
    const bool new = now->up_ms < now->stall_ms;
    if (!now->connected && (!now->ever_connected || now->disconnected_ms > now->stall_ms))
        reason(page, "not connected to the broker for %lld s: %s",
               (long long)(now->ever_connected ? now->disconnected_ms : now->up_ms) / 1000,
               now->broker_fault[0] ? now->broker_fault : "no attempt has ended yet");
    if (now->refusal[0]) reason(page, "the centre takes in nothing: %s", now->refusal);
    if (now->certificate_fault[0]) reason(page, "%s", now->certificate_fault);
    const int64_t silent_ms = now->last_commit_ms < 0 ? now->up_ms : now->last_commit_ms;
    if (now->waiting && now->oldest_ms > now->stall_ms && silent_ms > now->stall_ms)
        reason(page, "the centre has committed nothing for %lld s, while %llu intents wait, the oldest for %lld s",
               (long long)silent_ms / 1000, (unsigned long long)now->waiting, (long long)now->oldest_ms / 1000);
    if (now->targets && now->last_success_ms < 0 && !new)
        reason(page, "no scrape or probe has succeeded since the start %lld s ago", (long long)now->up_ms / 1000);
    if (now->targets && now->last_success_ms > now->stall_ms)
        reason(page, "no scrape or probe has succeeded for %lld s", (long long)now->last_success_ms / 1000);
    if (now->clusters_ms > now->stall_ms)
        reason(page, "for %lld s: %s", (long long)now->clusters_ms / 1000, now->clusters_fault);
    if (now->store_failing) reason(page, "what is measured cannot be stored: %s", now->store_fault);
}

static void put_warnings(const struct readiness *now, struct page *page) {
    char uncounted[REASON_BYTES] = "";
    if (now->uncounted_targets)
        snprintf(uncounted, sizeof uncounted, "%zu target%s not counted whole: %s", now->uncounted_targets,
                 now->uncounted_targets == 1 ? " is" : "s are", now->uncounted);
    const char *const warnings[] = {now->clusters_ms < 0 ? now->clusters_fault : NULL, now->store_fault, uncounted};
    const char *before = "],\"warnings\":[";
    for (size_t i = 0; i < sizeof warnings / sizeof *warnings; i++) {
        if (!warnings[i] || !warnings[i][0]) continue;
        put(page, "%s", before);
        put_string(page, warnings[i]);
        before = ",";
    }
}

bool readiness_judge(const struct readiness *readiness, char *ret_text, size_t text_bytes) {
    struct page page = {.text = ret_text, .bytes = text_bytes};
    put(&page, "{\"reasons\":[");
    find_reasons(readiness, &page);
    if (page.reasons == 0) put_warnings(readiness, &page);
    put(&page, "],\"ready\":%s,\"connected\":%s,\"waiting\":%llu,\"oldest_seconds\":%.1f",
        page.reasons ? "false" : "true", readiness->connected ? "true" : "false",
        (unsigned long long)readiness->waiting, (double)readiness->oldest_ms / 1000);
    if (readiness->last_commit_ms >= 0)
        put(&page, ",\"last_commit_seconds\":%.1f", (double)readiness->last_commit_ms / 1000);
    if (readiness->last_success_ms >= 0)
        put(&page, ",\"last_success_seconds\":%.1f", (double)readiness->last_success_ms / 1000);
    put(&page, "}\n");
    return page.reasons == 0;
}
