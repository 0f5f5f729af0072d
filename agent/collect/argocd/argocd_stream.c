/* SPDX-License-Identifier: Apache-2.0
 * A line that is whole within a piece is read where it is; only one that is cut is copied together. The buffer grows as
 * lines need it and is given back after a long one, so a quiet stream costs next to nothing.
 *
 * A failure within the stream comes as a line {"error": {...}} under HTTP 200. */
#include "agent/collect/argocd/argocd_stream.h"

#include <stdlib.h>

enum {
    KEEP_BYTES = 16 * 1024,
    ARENA_BLOCK_BYTES = 8 * 1024,
    ARENA_FACTOR = 16,
    EVENT_SAID_BYTES = 200,
    SKIPPED_LINES_MAX = 16
};

struct argocd_stream {
    struct argocd_stream_calls calls;
    struct arena *arena;
    uint8_t *line;
    size_t size, room, line_bytes_max;
    size_t skipping; /* bytes of a line that is passed over; 0: none is */
    bool speaks;
};

fault_code argocd_stream_new(size_t line_bytes_max, const struct argocd_stream_calls *calls,
                             struct argocd_stream **ret_stream, struct fault *reterr) {
    struct argocd_stream *stream = calloc(1, sizeof *stream);
    if (stream) stream->arena = arena_new(ARENA_BLOCK_BYTES, ARENA_FACTOR * line_bytes_max);
    if (!stream || !stream->arena) {
        argocd_stream_free(stream);
        return fault_set(reterr, FAULT_LIMIT, "Argo CD stream: out of memory");
    }
    stream->calls = *calls;
    stream->line_bytes_max = line_bytes_max;
    *ret_stream = stream;
    return FAULT_NONE;
}

struct argocd_stream *argocd_stream_free(struct argocd_stream *stream) {
    if (!stream) return NULL;
    arena_free(stream->arena);
    free(stream->line);
    free(stream);
    return NULL;
}

void argocd_stream_begin(struct argocd_stream *stream) {
    stream->size = stream->skipping = 0;
    stream->speaks = false;
}

static fault_code read_event(struct argocd_stream *stream, slice json, struct fault *reterr) {
    ArgoEvent event;
    arena_reset(stream->arena);
    if (codec_decode_json_foreign(&ArgoEvent_desc, json, stream->arena, &event, reterr))
        return fault_wrap(reterr, "Argo CD's stream");
    if (event.has_error)
        return fault_set(reterr, FAULT_AGAIN, "Argo CD ended the stream: %.*s",
                         SLICE_ARG(slice_first(event.error.message, EVENT_SAID_BYTES)));
    if (!event.has_result || !event.result.has_application || !event.result.application.metadata.name.size)
        return fault_set(reterr, FAULT_INPUT, "Argo CD's stream: a line is no change of an application: %.*s",
                         SLICE_ARG(slice_first(json, 80)));
    stream->calls.event(stream->calls.context, event.result.type, &event.result.application);
    return FAULT_NONE;
}

static fault_code read_line(struct argocd_stream *stream, slice line, struct fault *reterr) {
    if (line.size && line.data[line.size - 1] == '\r') line.size--;
    if (!line.size) return FAULT_NONE;
    if (line.data[0] == ':') {
        stream->speaks = true;
        return FAULT_NONE;
    }
    static const slice data = {(const uint8_t *)"data:", 5};
    if (slice_starts_with(line, data)) {
        stream->speaks = true;
        line = slice_from(line, data.size);
    } else if (line.data[0] != '{' && stream->speaks) {
        return FAULT_NONE; /* another member of a server-sent event: id, event, retry */
    }
    while (line.size && line.data[0] == ' ') line = slice_from(line, 1);
    return line.size ? read_event(stream, line, reterr) : FAULT_NONE;
}

/* A part of a line goes behind what is there; too much of it, and the line is passed over. */
static fault_code keep(struct argocd_stream *stream, slice part, struct fault *reterr) {
    if (stream->skipping || stream->size + part.size > stream->line_bytes_max) {
        stream->skipping += stream->size + part.size;
        stream->size = 0;
        if (stream->skipping / SKIPPED_LINES_MAX <= stream->line_bytes_max) return FAULT_NONE;
        return fault_set(reterr, FAULT_LIMIT, "Argo CD's stream: a line has no end after %zu bytes", stream->skipping);
    }
    if (stream->size + part.size > stream->room) {
        size_t room = stream->room ? stream->room : 1024;
        while (room < stream->size + part.size) room *= 2;
        uint8_t *const line = realloc(stream->line, room);
        if (!line) return fault_set(reterr, FAULT_LIMIT, "Argo CD's stream: out of memory for a line");
        stream->line = line;
        stream->room = room;
    }
    if (part.size) memcpy(stream->line + stream->size, part.data, part.size);
    stream->size += part.size;
    return FAULT_NONE;
}

static void give_back(struct argocd_stream *stream) {
    stream->size = 0;
    if (stream->room <= KEEP_BYTES) return;
    free(stream->line);
    stream->line = NULL;
    stream->room = 0;
    arena_reset(stream->arena);
}

static fault_code line_ends(struct argocd_stream *stream, slice rest, struct fault *reterr) {
    fault_code code = FAULT_NONE;
    if (stream->skipping) {
        stream->calls.skipped(stream->calls.context, stream->skipping + rest.size);
        stream->skipping = 0;
        return FAULT_NONE;
    }
    if (stream->size == 0 && rest.size <= stream->line_bytes_max) return read_line(stream, rest, reterr);
    code = keep(stream, rest, reterr);
    if (!code && stream->skipping) return line_ends(stream, (slice){0}, reterr);
    if (!code) code = read_line(stream, slice_of(stream->line, stream->size), reterr);
    give_back(stream);
    return code;
}

fault_code argocd_stream_feed(struct argocd_stream *stream, slice piece, struct fault *reterr) {
    while (piece.size) {
        const uint8_t *const end = memchr(piece.data, '\n', piece.size);
        if (!end) return keep(stream, piece, reterr);
        const size_t size = (size_t)(end - piece.data);
        const fault_code code = line_ends(stream, slice_first(piece, size), reterr);
        if (code) return code;
        piece = slice_from(piece, size + 1);
    }
    return FAULT_NONE;
}

bool argocd_stream_speaks(const struct argocd_stream *stream) {
    return stream->speaks;
}

size_t argocd_stream_buffer_bytes(const struct argocd_stream *stream) {
    return stream->room;
}
