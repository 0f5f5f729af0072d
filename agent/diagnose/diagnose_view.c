/* SPDX-License-Identifier: Apache-2.0
 * Everything is read by path, so a field that is missing is empty or 0, as the API means it. Times of events stand in
 * several fields, by the age of whoever wrote the event; they are all RFC 3339 in UTC, whose first 19 characters sort. */
#include "agent/diagnose/diagnose_view.h"

#include "agent/diagnose/json_walk.h"

#include <stdio.h>
#include <stdlib.h>

static slice text_at(slice value, const char *path, struct arena *arena) {
    slice text;
    return json_walk_text(json_walk_find(value, path), arena, &text) ? text : (slice){0};
}

static int64_t number_at(slice value, const char *path, int64_t otherwise) {
    return json_walk_number(json_walk_find(value, path), otherwise);
}

/* ---- events ---- */

struct event_line {
    slice at, type, reason, kind, name, message;
    int64_t count;
};

static void event_read(slice item, struct arena *arena, struct event_line *line) {
    static const char *const times[] = {"lastTimestamp", "series.lastObservedTime", "eventTime", "firstTimestamp",
                                        "metadata.creationTimestamp"};
    *line = (struct event_line){.type = text_at(item, "type", arena),
                                .reason = text_at(item, "reason", arena),
                                .kind = text_at(item, "involvedObject.kind", arena),
                                .name = text_at(item, "involvedObject.name", arena),
                                .message = text_at(item, "message", arena),
                                .count = number_at(item, "count", 0)};
    for (size_t i = 0; i < sizeof times / sizeof *times && !line->at.size; i++)
        line->at = text_at(item, times[i], arena);
    line->at = slice_first(line->at, 19);
    if (!line->count) line->count = number_at(item, "series.count", 1);
}

static int by_time(const void *a, const void *b) {
    return slice_compare(((const struct event_line *)a)->at, ((const struct event_line *)b)->at);
}

/* A message of several lines is one line here. */
static void add_line(struct object_view *view, slice message, struct text *out) {
    struct text flat = text_begin(view->arena), shown;
    slice whole, masked;
    mask_add(view->mask, message, &flat, &view->masked_count);
    if (text_end(&flat, "a message", &whole, NULL)) {
        out->full = true;
        return;
    }
    shown = text_begin(view->arena);
    for (size_t i = 0; i < whole.size; i++)
        text_add(&shown, whole.data[i] < ' ' ? SLICE_LIT(" ") : slice_of(whole.data + i, 1));
    if (text_end(&shown, "a message", &masked, NULL)) masked = (slice){0};
    text_add(out, masked);
}

static void add_event(struct object_view *view, const struct event_line *line, bool json, struct text *out) {
    if (!json) {
        text_format(out, "%.*sZ  %-7.*s  %.*s  %.*s/%.*s  ", SLICE_ARG(line->at), SLICE_ARG(line->type),
                    SLICE_ARG(line->reason), SLICE_ARG(line->kind), SLICE_ARG(line->name));
        if (line->count > 1) text_format(out, "(x%lld)  ", (long long)line->count);
        add_line(view, line->message, out);
        text_add_text(out, "\n");
        return;
    }
    text_format(out, "{\"at\":\"%.*sZ\",\"count\":%lld,\"type\":", SLICE_ARG(line->at), (long long)line->count);
    text_add_json_string(out, line->type);
    text_add_text(out, ",\"reason\":");
    text_add_json_string(out, line->reason);
    text_add_text(out, ",\"message\":");
    object_view_add_text(view, line->message, out);
    text_add_text(out, "}");
}

fault_code diagnose_view_events(struct object_view *view, slice body, size_t limit, bool json, struct text *out,
                                bool *ret_more, struct fault *reterr) {
    struct json_walk walk = json_walk_into(json_walk_find(body, "items"));
    struct event_line *lines = arena_alloc_array(view->arena, DIAGNOSE_EVENTS_MAX, sizeof *lines);
    slice name, item;
    size_t count = 0;
    bool more = json_walk_find(body, "metadata.continue").size > 2;
    if (!lines) return fault_set(reterr, FAULT_LIMIT, "the events do not fit into memory");
    while (json_walk_next(&walk, &name, &item)) {
        if (count == DIAGNOSE_EVENTS_MAX)
            more = true;
        else
            event_read(item, view->arena, &lines[count++]);
    }
    if (!json_walk_ended(&walk)) return fault_set(reterr, FAULT_INPUT, "the API server's answer is no list of events");
    qsort(lines, count, sizeof *lines, by_time);
    const size_t first = limit && count > limit ? count - limit : 0;
    if (json) text_add_text(out, "[");
    for (size_t i = first; i < count; i++) {
        if (json && i > first) text_add_text(out, ",");
        add_event(view, &lines[i], json, out);
    }
    if (json) text_add_text(out, "]");
    if (!json && !count) text_add_text(out, "no events\n");
    *ret_more = more || first > 0;
    return FAULT_NONE;
}

/* ---- rollouts ---- */

/* Of the condition Progressing: its reason, "ProgressDeadlineExceeded". */
static bool deadline_exceeded(slice body, struct arena *arena) {
    struct json_walk walk = json_walk_into(json_walk_find(body, "status.conditions"));
    slice name, item;
    while (json_walk_next(&walk, &name, &item))
        if (slice_equal_text(text_at(item, "type", arena), "Progressing") &&
            slice_equal_text(text_at(item, "reason", arena), "ProgressDeadlineExceeded"))
            return true;
    return false;
}

static void add_deployment(slice body, slice name, struct arena *arena, struct text *out) {
    const long long wanted = number_at(body, "spec.replicas", 1),
                    updated = number_at(body, "status.updatedReplicas", 0), all = number_at(body, "status.replicas", 0),
                    available = number_at(body, "status.availableReplicas", 0);
    if (deadline_exceeded(body, arena))
        text_format(out,
                    "deployment \"%.*s\" exceeded its progress deadline: %lld of %lld updated replicas are available\n",
                    SLICE_ARG(name), available, wanted);
    else if (updated < wanted)
        text_format(out, "Waiting for deployment \"%.*s\": %lld of %lld replicas are updated\n", SLICE_ARG(name),
                    updated, wanted);
    else if (all > updated)
        text_format(out, "Waiting for deployment \"%.*s\": %lld old replicas are still to end\n", SLICE_ARG(name),
                    all - updated);
    else if (available < updated)
        text_format(out, "Waiting for deployment \"%.*s\": %lld of %lld updated replicas are available\n",
                    SLICE_ARG(name), available, updated);
    else
        text_format(out, "deployment \"%.*s\" successfully rolled out\n", SLICE_ARG(name));
}

static void add_stateful_set(slice body, slice name, struct arena *arena, struct text *out) {
    const long long wanted = number_at(body, "spec.replicas", 1),
                    updated = number_at(body, "status.updatedReplicas", 0),
                    ready = number_at(body, "status.readyReplicas", 0),
                    partition = number_at(body, "spec.updateStrategy.rollingUpdate.partition", 0);
    const long long to_update = wanted > partition ? wanted - partition : 0;
    const slice current = text_at(body, "status.currentRevision", arena),
                next = text_at(body, "status.updateRevision", arena);
    if (ready < wanted)
        text_format(out, "Waiting for statefulset \"%.*s\": %lld of %lld pods are ready\n", SLICE_ARG(name), ready,
                    wanted);
    else if (slice_equal_text(text_at(body, "spec.updateStrategy.type", arena), "OnDelete"))
        text_format(out, "statefulset \"%.*s\" is updated pod by pod, as each is deleted: %lld of %lld are\n",
                    SLICE_ARG(name), updated, wanted);
    else if (!slice_equal(current, next) && updated < to_update)
        text_format(out, "Waiting for statefulset \"%.*s\": %lld of %lld pods are at revision %.*s\n", SLICE_ARG(name),
                    updated, to_update, SLICE_ARG(next));
    else
        text_format(out, "statefulset \"%.*s\" successfully rolled out%s\n", SLICE_ARG(name),
                    partition ? ", as far as its partition allows" : "");
}

static void add_daemon_set(slice body, slice name, struct arena *arena, struct text *out) {
    const long long wanted = number_at(body, "status.desiredNumberScheduled", 0),
                    updated = number_at(body, "status.updatedNumberScheduled", 0),
                    available = number_at(body, "status.numberAvailable", 0);
    if (updated < wanted)
        text_format(out, "Waiting for daemonset \"%.*s\": %lld of %lld pods are updated\n", SLICE_ARG(name), updated,
                    wanted);
    else if (available < wanted)
        text_format(out, "Waiting for daemonset \"%.*s\": %lld of %lld updated pods are available\n", SLICE_ARG(name),
                    available, wanted);
    else
        text_format(out, "daemonset \"%.*s\" successfully rolled out\n", SLICE_ARG(name));
}

fault_code diagnose_view_rollout(const struct diagnose_kind *kind, slice body, struct arena *arena, struct text *out,
                                 struct fault *reterr) {
    static const struct {
        const char *kind;
        void (*add)(slice body, slice name, struct arena *arena, struct text *out);
    } rows[] = {{"deployment", add_deployment}, {"statefulset", add_stateful_set}, {"daemonset", add_daemon_set}};
    const slice name = text_at(body, "metadata.name", arena);
    if (!name.size) return fault_set(reterr, FAULT_INPUT, "the API server's answer is no object");
    if (number_at(body, "metadata.generation", 0) > number_at(body, "status.observedGeneration", 0)) {
        text_format(out, "Waiting for %s \"%.*s\": its last change has not been looked at yet\n", kind->name,
                    SLICE_ARG(name));
        return FAULT_NONE;
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].kind, kind->name) == 0) rows[i].add(body, name, arena, out);
    return FAULT_NONE;
}

/* ---- top ---- */

/* "250m", "1234567n", "128Mi", "2": as a number of ones; 0 when it is no quantity. */
static double quantity(slice text) {
    static const struct {
        const char *suffix;
        double factor;
    } suffixes[] = {{"", 1},    {"n", 1e-9},  {"u", 1e-6},       {"m", 1e-3},          {"k", 1e3},    {"M", 1e6},
                    {"G", 1e9}, {"Ki", 1024}, {"Mi", 1048576.0}, {"Gi", 1073741824.0}, {"Ti", 0x1p40}};
    char number[64], *end;
    if (!slice_to_text(text, number, sizeof number)) return 0;
    const double value = strtod(number, &end);
    for (size_t i = 0; end != number && i < sizeof suffixes / sizeof *suffixes; i++)
        if (strcmp(end, suffixes[i].suffix) == 0) return value * suffixes[i].factor;
    return 0;
}

struct usage {
    double cores, bytes;
};

static void usage_add(slice of, struct arena *arena, struct usage *usage) {
    usage->cores += quantity(text_at(of, "usage.cpu", arena));
    usage->bytes += quantity(text_at(of, "usage.memory", arena));
}

static void add_usage(slice item, int width, struct arena *arena, struct text *out) {
    struct usage usage = {0};
    usage_add(item, arena, &usage);
    struct json_walk walk = json_walk_into(json_walk_find(item, "containers"));
    slice name, container;
    while (json_walk_next(&walk, &name, &container)) usage_add(container, arena, &usage);
    text_format(out, "%-*.*s  %8.0fm  %10.0fMi\n", width, SLICE_ARG(text_at(item, "metadata.name", arena)),
                usage.cores * 1000, usage.bytes / 1048576);
}

fault_code diagnose_view_top(slice body, struct arena *arena, struct text *out, struct fault *reterr) {
    const slice items = json_walk_find(body, "items");
    slice name, item;
    int width = 4;
    if (!json_walk_is(items, '[')) { /* one */
        if (!text_at(body, "metadata.name", arena).size)
            return fault_set(reterr, FAULT_INPUT, "the API server's answer holds no metrics");
        width = (int)text_at(body, "metadata.name", arena).size;
        text_format(out, "%-*s  %9s  %12s\n", width, "NAME", "CPU", "MEMORY");
        add_usage(body, width, arena, out);
        return FAULT_NONE;
    }
    struct json_walk walk = json_walk_into(items);
    while (json_walk_next(&walk, &name, &item)) {
        const size_t size = text_at(item, "metadata.name", arena).size;
        if (size > (size_t)width && size < 256) width = (int)size;
    }
    if (!json_walk_ended(&walk)) return fault_set(reterr, FAULT_INPUT, "the API server's answer is not JSON");
    text_format(out, "%-*s  %9s  %12s\n", width, "NAME", "CPU", "MEMORY");
    walk = json_walk_into(items);
    while (json_walk_next(&walk, &name, &item)) add_usage(item, width, arena, out);
    return FAULT_NONE;
}
