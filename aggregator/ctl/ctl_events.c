/* SPDX-License-Identifier: Apache-2.0
 * A line is collected until its end (LF, CR or CRLF), then read; an empty line gives out the event. Line and
 * data are buffers of a fixed size: an event that does not fit is passed over as a whole and counted. */
#include "aggregator/ctl/ctl_events.h"

#include <stdlib.h>

struct ctl_events {
    ctl_event_fn *call;
    void *context;
    uint8_t line[CTL_EVENT_BYTES_MAX], data[CTL_EVENT_BYTES_MAX];
    size_t line_size, data_size;
    bool has_data, overflow, after_cr;
    char type[64], id[CTL_EVENT_ID_BYTES + 1];
    uint64_t too_large;
};

struct ctl_events *ctl_events_new(ctl_event_fn *call, void *context) {
    struct ctl_events *events = calloc(1, sizeof *events);
    if (!events) return NULL;
    events->call = call;
    events->context = context;
    return events;
}

struct ctl_events *ctl_events_free(struct ctl_events *events) {
    free(events);
    return NULL;
}

static void event_reset(struct ctl_events *events) {
    events->data_size = 0;
    events->has_data = events->overflow = false;
    events->type[0] = '\0';
}

void ctl_events_restart(struct ctl_events *events) {
    event_reset(events);
    events->line_size = 0;
    events->after_cr = false;
}

const char *ctl_events_last_id(const struct ctl_events *events) {
    return events->id;
}

uint64_t ctl_events_too_large(const struct ctl_events *events) {
    return events->too_large;
}

static void give_out(struct ctl_events *events) {
    if (events->overflow)
        events->too_large++;
    else if (events->has_data) {
        const struct ctl_event event = {
            .type = slice_from_text(events->type[0] ? events->type : "message"),
            .data = slice_of(events->data, events->data_size),
            .id = slice_from_text(events->id),
        };
        events->call(events->context, &event);
    }
    event_reset(events);
}

static void take_field(struct ctl_events *events, slice name, slice value) {
    if (slice_equal_text(name, "event"))
        (void)slice_to_text(value, events->type, sizeof events->type);
    else if (slice_equal_text(name, "id") && value.size <= CTL_EVENT_ID_BYTES)
        (void)slice_to_text(value, events->id, sizeof events->id);
    else if (slice_equal_text(name, "data")) {
        const size_t size = value.size + (events->has_data ? 1 : 0);
        if (size > sizeof events->data - events->data_size) {
            events->overflow = true;
            return;
        }
        if (events->has_data) events->data[events->data_size++] = '\n';
        if (value.size) memcpy(events->data + events->data_size, value.data, value.size);
        events->data_size += value.size;
        events->has_data = true;
    }
}

static void take_line(struct ctl_events *events) {
    const slice line = slice_of(events->line, events->line_size);
    events->line_size = 0;
    if (line.size == 0) return give_out(events);
    if (line.data[0] == ':') return;
    const uint8_t *colon = memchr(line.data, ':', line.size);
    const size_t name_size = colon ? (size_t)(colon - line.data) : line.size;
    slice value = colon ? slice_from(line, name_size + 1) : (slice){0};
    if (value.size && value.data[0] == ' ') value = slice_from(value, 1);
    take_field(events, slice_first(line, name_size), value);
}

void ctl_events_feed(struct ctl_events *events, slice piece) {
    for (size_t i = 0; i < piece.size; i++) {
        const uint8_t byte = piece.data[i];
        const bool second_of_crlf = byte == '\n' && events->after_cr;
        events->after_cr = byte == '\r';
        if (second_of_crlf) continue;
        if (byte == '\r' || byte == '\n')
            take_line(events);
        else if (events->line_size < sizeof events->line)
            events->line[events->line_size++] = byte;
        else
            events->overflow = true;
    }
}
