/* SPDX-License-Identifier: Apache-2.0
 * watch: follows /events. Without a resource each fact is a line; with one, its table is drawn again when
 * facts that change it came, at most every half second. The connection is made again after each loss, from
 * the last event seen (Last-Event-ID), so that nothing is missed.
 *
 * Drawing asks the aggregator by ctl_call, which runs the loop: events that come meanwhile only set `dirty`,
 * and the loop is stopped for drawing only from outside of it. What lives in the arena is gone after each
 * drawing. */
#include "aggregator/ctl/ctl_call.h"
#include "aggregator/ctl/ctl_events.h"
#include "aggregator/ctl/ctl_table.h"
#include "common/base/clock.h"
#include "common/base/limits.h"

#include <stdio.h>
#include <unistd.h>

enum { REDRAW_MS = 500, AGE_REDRAW_MS = 10000, RETRY_MIN_MS = 500, RETRY_MAX_MS = 15000 };

struct watch {
    struct ctl *ctl;
    const struct ctl_resource *resource; /* NULL: facts, line by line */
    const char *id;
    struct ctl_events *events;
    struct loop_timer *redraw, *retry;
    bool screen; /* standard output is a terminal: draw over what was drawn */
    bool dirty, drawing, redraw_set;
    bool ever_connected;
    int64_t retry_ms;
    int status;
    struct ctl_answer failed; /* of a connection that was refused */
    bool give_up;
    char body[4096]; /* of a refusal */
    size_t body_size;
};

static void connect_stream(struct watch *watch);

static bool has_type(const char *types, slice type) {
    if (!types || !type.size) return false;
    const char *at = memmem(types, strlen(types), type.data, type.size);
    return at && (at == types || at[-1] == ' ') && (at[type.size] == ' ' || at[type.size] == '\0');
}

static void set_dirty(struct watch *watch) {
    watch->dirty = true;
    if (!watch->redraw_set && !watch->drawing) {
        watch->redraw_set = true;
        loop_timer_set(watch->redraw, REDRAW_MS);
    }
}

static void print_fact(struct watch *watch, const struct yaml_node *fact, slice data) {
    if (watch->ctl->options.output == CTL_OUTPUT_JSON) {
        printf("%.*s\n", SLICE_ARG(data));
    } else {
        const struct ctl_resource *facts = ctl_resource_find("facts");
        for (const struct ctl_column *column = facts->columns; column->title; column++) {
            const slice cell = ctl_cell(column, fact, NULL, clock_wall_ms(), watch->ctl->arena);
            printf("%s%.*s", column == facts->columns ? "" : "  ", SLICE_ARG(cell));
        }
        printf("\n");
    }
    fflush(stdout);
}

static void on_event(void *context, const struct ctl_event *event) {
    struct watch *watch = context;
    struct yaml_node *root = NULL;
    if (ctl_tree_read(event->data, "event", watch->ctl->arena, &root, NULL) || !root) return;
    const struct yaml_node *fact = yaml_find(root, "fact") ? yaml_find(root, "fact") : root;
    if (!yaml_find(fact, "subject")) return;
    if (!watch->resource)
        print_fact(watch, fact, event->data);
    else if (has_type(watch->resource->fact_types, ctl_tree_text(fact, "subject.aggregateType")))
        set_dirty(watch);
    if (!watch->drawing) arena_reset(watch->ctl->arena);
}

static bool on_head(void *context, int status, const char *content_type) {
    struct watch *watch = context;
    watch->status = status;
    if (status != 200) return true;
    if (watch->ever_connected) fprintf(stderr, "picketctl: connected again\n");
    watch->ever_connected = true;
    watch->retry_ms = RETRY_MIN_MS;
    return true;
}

static bool on_piece(void *context, slice piece) {
    struct watch *watch = context;
    if (watch->status == 200) {
        ctl_events_feed(watch->events, piece);
        return true;
    }
    const slice part = slice_first(piece, sizeof watch->body - watch->body_size);
    if (part.size) memcpy(watch->body + watch->body_size, part.data, part.size);
    watch->body_size += part.size;
    return true;
}

/* A refusal is said and ends the command; a loss is said and tried again, and so is a stream that reached its
 * time. */
static void on_end(void *context, const struct http_result *result) {
    struct watch *watch = context;
    const bool refused = result->fault.code == FAULT_NONE && result->status != 200 && result->status != 503;
    if (refused || (!watch->ever_connected && result->fault.code != FAULT_NONE)) {
        watch->failed = (struct ctl_answer){.status = refused ? result->status : 0,
                                            .fault = result->fault,
                                            .body = slice_of(watch->body, watch->body_size)};
        watch->give_up = true;
        if (!watch->drawing) loop_stop(watch->ctl->loop);
        return;
    }
    if (result->fault.code != FAULT_TIMEOUT && watch->retry_ms > RETRY_MIN_MS)
        fprintf(stderr, "picketctl: the connection was lost: %s; trying again\n",
                result->fault.code ? result->fault.text : "the aggregator ended it");
    loop_timer_set(watch->retry, result->fault.code == FAULT_TIMEOUT ? 0 : watch->retry_ms);
    watch->retry_ms = watch->retry_ms * 2 < RETRY_MAX_MS ? watch->retry_ms * 2 : RETRY_MAX_MS;
}

static void on_retry(void *context) {
    connect_stream(context);
}

static void on_redraw(void *context) {
    struct watch *watch = context;
    watch->redraw_set = false;
    watch->dirty = true;
    if (!watch->drawing) loop_stop(watch->ctl->loop);
}

static void connect_stream(struct watch *watch) {
    char url[2048], last_id[CTL_EVENT_ID_BYTES + 32];
    size_t base_size = strlen(watch->ctl->options.url);
    while (base_size && watch->ctl->options.url[base_size - 1] == '/') base_size--;
    snprintf(url, sizeof url, "%.*s/events", (int)base_size, watch->ctl->options.url);
    snprintf(last_id, sizeof last_id, "Last-Event-ID: %s", ctl_events_last_id(watch->events));
    const char *const headers[] = {"Accept: text/event-stream", *ctl_events_last_id(watch->events) ? last_id : NULL,
                                   NULL};
    watch->status = 0;
    watch->body_size = 0;
    ctl_events_restart(watch->events);
    const struct http_request request = {
        .url = url,
        .headers = headers,
        .tls = &watch->ctl->tls,
        .auth = &watch->ctl->auth,
        .timeout_ms = LIMIT_OUTSIDE_CALL_MS,
        .body_bytes_max = UINT64_MAX / 2,
        .on_head = on_head,
        .on_body = on_piece,
        .on_done = on_end,
        .context = watch,
    };
    struct fault fault;
    if (http_client_start(watch->ctl->client, &request, NULL, &fault)) {
        watch->failed = (struct ctl_answer){.fault = fault};
        watch->give_up = true;
        if (!watch->drawing) loop_stop(watch->ctl->loop);
    }
}

static enum ctl_exit draw(struct watch *watch) {
    struct ctl *ctl = watch->ctl;
    watch->dirty = false;
    watch->drawing = true;
    struct yaml_node *root = NULL;
    const enum ctl_exit code = ctl_list(ctl, watch->resource, watch->id, &root);
    watch->drawing = false;
    if (code == CTL_EXIT_OK) {
        struct text text = text_begin(ctl->arena);
        text_add_text(&text, watch->screen ? "\033[H\033[J" : "");
        if (ctl_table_add(&text, watch->resource, root, ctl_newest(ctl, watch->resource), clock_wall_ms(),
                          ctl->arena) == 0)
            text_format(&text, "no %s yet\n", watch->resource->name);
        if (!watch->screen) text_add_text(&text, "\n");
        slice page;
        if (text_end(&text, "table", &page, NULL) == FAULT_NONE) fwrite(page.data, 1, page.size, stdout);
        fflush(stdout);
    }
    if (!watch->redraw_set) { /* ages move on even when nothing happens */
        watch->redraw_set = true;
        loop_timer_set(watch->redraw, watch->dirty ? REDRAW_MS : AGE_REDRAW_MS);
    }
    arena_reset(ctl->arena);
    return code;
}

static enum ctl_exit run_watch(struct watch *watch) {
    struct ctl *ctl = watch->ctl;
    connect_stream(watch);
    while (!watch->give_up) {
        if (watch->resource) {
            const enum ctl_exit code = draw(watch);
            /* While the aggregator restarts the table stays as it was. */
            if (code && !(code == CTL_EXIT_UNREACHABLE && watch->ever_connected)) return code;
        }
        if (!watch->give_up) loop_run(ctl->loop);
    }
    return ctl_explain(ctl, "/events", &watch->failed);
}

enum ctl_exit ctl_watch(struct ctl *ctl) {
    struct watch watch = {.ctl = ctl, .retry_ms = RETRY_MIN_MS, .screen = isatty(STDOUT_FILENO) == 1};
    const struct ctl_options *options = &ctl->options;
    if (options->words_count > 1 && strcmp(options->words[1], "facts") != 0) {
        watch.resource = ctl_resource_find(options->words[1]);
        if (!watch.resource)
            return ctl_fail(CTL_EXIT_USAGE, "unknown resource '%s'; see picketctl get", options->words[1]);
        watch.id = options->words_count > 2 ? options->words[2] : NULL;
        if (options->output != CTL_OUTPUT_TABLE)
            return ctl_fail(CTL_EXIT_USAGE,
                            "watch of a resource draws tables; 'picketctl watch -o json' gives the facts");
    }
    watch.events = ctl_events_new(on_event, &watch);
    watch.redraw = loop_timer_new(ctl->loop, on_redraw, &watch);
    watch.retry = loop_timer_new(ctl->loop, on_retry, &watch);
    enum ctl_exit code = CTL_EXIT_USAGE;
    if (!watch.events || !watch.redraw || !watch.retry)
        ctl_fail(code, "out of memory");
    else
        code = run_watch(&watch);
    loop_timer_free(watch.retry);
    loop_timer_free(watch.redraw);
    ctl_events_free(watch.events);
    return code;
}
