/* SPDX-License-Identifier: Apache-2.0
 * The configuration is read for the address of the pages alone; whatever goes wrong here, the waiting is what counts. */
#include "agent/waiting_room.h"

#include <stdio.h>

#include "agent/settings/agent_settings.h"
#include "agent/show/pages.h"

enum { WAIT_MS = 3000, ARENA_BYTES = 128 * 1024 * 1024, TEXT_BYTES = 1024 };

static void on_timer(void *context) {
    loop_stop(context);
}

static struct pages *open_pages(const char *config_path, char *const *environment, struct metrics *metrics,
                                const struct fault *why) {
    struct agent_settings settings;
    struct setting_texts mistakes;
    struct pages *pages = NULL;
    struct fault fault;
    char text[TEXT_BYTES], reason[sizeof why->text];
    size_t used = 0;
    struct arena *const arena = arena_new(32 * 1024, ARENA_BYTES);
    if (arena && !agent_settings_read(config_path, environment, arena, &settings, &mistakes, &fault) &&
        settings.http.address.size &&
        pages_open(setting_text(settings.http.address), (uint16_t)settings.http.port, metrics, &pages, &fault))
        pages = NULL;
    arena_free(arena);
    for (const char *at = why->text; *at && used + 1 < sizeof reason; at++)
        reason[used++] = *at == '"' || *at == '\\' || (unsigned char)*at < 0x20 ? '\'' : *at;
    reason[used] = '\0';
    snprintf(text, sizeof text,
             "{\"reasons\":[\"nothing is measured, because nothing could be kept: %s\"],\"ready\":false}\n", reason);
    if (pages) pages_update(pages, false, text);
    return pages;
}

void waiting_room(struct loop *loop, const char *config_path, char *const *environment, const struct fault *why) {
    struct metrics *const metrics = metrics_new("picket-agent");
    struct pages *const pages = metrics ? open_pages(config_path, environment, metrics, why) : NULL;
    struct loop_timer *const timer = loop_timer_new(loop, on_timer, loop);
    if (timer) {
        loop_timer_set(timer, WAIT_MS);
        loop_run(loop);
        loop_timer_free(timer);
    }
    pages_close(pages);
    metrics_free(metrics);
}
