/* SPDX-License-Identifier: Apache-2.0
 * Most lines of most targets are selected by nobody, so the way of such a line is all that counts: a line mostly has
 * the name of the line before, which a few words compared tell, and then its end is looked for with the processor's
 * vectors (common/base/bytes.h: with musl too). Only a new name costs a look-up, and only a line whose name is selected
 * is parsed (exposition_line.c). Measured: tests/bench/exposition_bench.c.
 *
 * A line that ends in a later piece is carried in one buffer and taken from there. Lines are bounded, so a target
 * that sends no newline at all is told so after LIMIT_EXPOSITION_LINE_BYTES.
 *
 * Comments are passed over unread: nothing depends on HELP, TYPE or UNIT. */
#include "agent/collect/prometheus/exposition_line.h"
#include "common/base/bytes.h"

#include <stdlib.h>

enum { PREVIOUS_NAME_BYTES = 256 };

struct exposition {
    struct exposition_sink sink;
    struct exposition_stats stats;
    struct exposition_line line;
    uint8_t *carry;
    size_t carry_size;
    const void *selected; /* what find_name said of the previous name */
    size_t previous_size; /* 0: no previous name, or one that is too long to be kept */
    bool ended;           /* # EOF was seen */
    uint8_t previous[PREVIOUS_NAME_BYTES];
};

struct exposition *exposition_new(void) {
    struct exposition *exposition = calloc(1, sizeof *exposition);
    if (exposition == NULL) return NULL;
    exposition->carry = malloc(LIMIT_EXPOSITION_LINE_BYTES);
    exposition->line.scratch = malloc(LIMIT_EXPOSITION_LINE_BYTES);
    if (exposition->carry == NULL || exposition->line.scratch == NULL) return exposition_free(exposition);
    return exposition;
}

struct exposition *exposition_free(struct exposition *exposition) {
    if (exposition) {
        free(exposition->carry);
        free(exposition->line.scratch);
        free(exposition);
    }
    return NULL;
}

static bool media_type_is(slice content_type, const char *name) {
    size_t size = 0;
    while (size < content_type.size && content_type.data[size] != ';' && content_type.data[size] != ' ' &&
           content_type.data[size] != '\t')
        size++;
    if (size != strlen(name)) return false;
    for (size_t i = 0; i < size; i++) {
        const uint8_t byte = content_type.data[i];
        if ((byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte) != (uint8_t)name[i]) return false;
    }
    return true;
}

fault_code exposition_format_of(slice content_type, enum exposition_format fallback, enum exposition_format *ret_format,
                                struct fault *reterr) {
    const bool binary = media_type_is(content_type, "application/vnd.google.protobuf");
    if (media_type_is(content_type, "text/plain")) {
        *ret_format = EXPOSITION_TEXT;
    } else if (media_type_is(content_type, "application/openmetrics-text")) {
        *ret_format = EXPOSITION_OPENMETRICS;
    } else if (fallback != EXPOSITION_NONE && !binary) {
        *ret_format = fallback;
    } else if (content_type.size == 0) {
        return fault_set(reterr, FAULT_INPUT,
                         "the answer has no Content-Type; expected text/plain or application/openmetrics-text (or set "
                         "fallback_format for this target)");
    } else {
        return fault_set(reterr, FAULT_INPUT,
                         "Content-Type '%.*s' is no exposition that is read here; expected text/plain or "
                         "application/openmetrics-text%s",
                         SLICE_ARG(slice_first(content_type, 100)),
                         binary ? "" : " (or set fallback_format for this target)");
    }
    return FAULT_NONE;
}

void exposition_begin(struct exposition *exposition, enum exposition_format format,
                      const struct exposition_sink *sink) {
    exposition->sink = *sink;
    exposition->stats = (struct exposition_stats){0};
    exposition->line.format = format;
    exposition->carry_size = 0;
    exposition->selected = NULL;
    exposition->previous_size = 0;
    exposition->ended = false;
}

static fault_code exposition_line_too_long(const struct exposition *exposition, struct fault *reterr) {
    return fault_set(reterr, FAULT_LIMIT, "line %llu is longer than %d bytes (LIMIT_EXPOSITION_LINE_BYTES)",
                     (unsigned long long)exposition->stats.lines + 1, LIMIT_EXPOSITION_LINE_BYTES);
}

static inline bool begins_with_previous(const struct exposition *exposition, slice text) {
    const size_t size = exposition->previous_size;
    if (size == 0 || text.size <= size || !bytes_equal(text.data, exposition->previous, size)) return false;
    const uint8_t next = text.data[size];
    return next == '{' || next == ' ' || next == '\t';
}

static fault_code exposition_take_sample(struct exposition *exposition, slice text, size_t name_size,
                                         struct fault *reterr) {
    struct exposition_sample sample;
    exposition->line.number = exposition->stats.lines;
    const fault_code code = exposition_line_parse(&exposition->line, text, name_size, &sample, reterr);
    if (code) return code;
    if (sample.composite) { /* nothing of it is a number that could be counted */
        exposition->stats.samples--;
        return FAULT_NONE;
    }
    const void *selected = exposition->selected;
    if (name_size == 0) selected = exposition->sink.find_name(exposition->sink.context, sample.name);
    if (selected == NULL) return FAULT_NONE;
    exposition->stats.selected++;
    exposition->sink.on_sample(exposition->sink.context, selected, &sample);
    return FAULT_NONE;
}

/* A line that begins with something else than the previous name. */
static fault_code exposition_take_other(struct exposition *exposition, slice text, struct fault *reterr) {
    const bool strict = exposition->line.format == EXPOSITION_OPENMETRICS;
    exposition->line.number = exposition->stats.lines;
    exposition->line.start = text.data;
    exposition->line.end = text.data + text.size;
    if (text.size && text.data[0] == '#') {
        if (strict && slice_equal(text, SLICE_LIT("# EOF"))) exposition->ended = true;
        return FAULT_NONE;
    }
    if (!strict) {
        while (text.size && (text.data[0] == ' ' || text.data[0] == '\t')) text = slice_from(text, 1);
        if (text.size == 0 || text.data[0] == '#') return FAULT_NONE;
    } else if (text.size == 0) {
        return exposition_line_fault(&exposition->line, text.data, "a sample, a comment or '# EOF'", reterr);
    }
    exposition->stats.samples++;
    if (text.data[0] == '{') return exposition_take_sample(exposition, text, 0, reterr);
    const size_t name_size = exposition_name_size(text);
    if (name_size == 0) return exposition_line_fault(&exposition->line, text.data, "a metric name", reterr);
    exposition->selected = exposition->sink.find_name(exposition->sink.context, slice_first(text, name_size));
    exposition->previous_size = name_size <= PREVIOUS_NAME_BYTES ? name_size : 0;
    if (exposition->previous_size) memcpy(exposition->previous, text.data, name_size);
    return exposition->selected ? exposition_take_sample(exposition, text, name_size, reterr) : FAULT_NONE;
}

/* One whole line without its newline. */
static fault_code exposition_take_line(struct exposition *exposition, slice text, struct fault *reterr) {
    if (exposition->ended)
        return fault_set(reterr, FAULT_INPUT, "line %llu: expected the end after '# EOF', found more",
                         (unsigned long long)exposition->stats.lines + 1);
    exposition->stats.lines++;
    if (!begins_with_previous(exposition, text)) return exposition_take_other(exposition, text, reterr);
    exposition->stats.samples++;
    if (exposition->selected == NULL) return FAULT_NONE;
    return exposition_take_sample(exposition, text, exposition->previous_size, reterr);
}

/* Takes the carried line when the piece ends it; ret_rest is what follows it. */
static fault_code exposition_take_carried(struct exposition *exposition, slice piece, slice *ret_rest,
                                          struct fault *reterr) {
    const uint8_t *const newline = bytes_find(piece.data, piece.data + piece.size, '\n');
    const size_t size = newline ? (size_t)(newline - piece.data) : piece.size;
    if (exposition->carry_size + size > LIMIT_EXPOSITION_LINE_BYTES)
        return exposition_line_too_long(exposition, reterr);
    memcpy(exposition->carry + exposition->carry_size, piece.data, size);
    exposition->carry_size += size;
    *ret_rest = slice_from(piece, size + 1);
    if (newline == NULL) return FAULT_NONE;
    const slice text = slice_of(exposition->carry, exposition->carry_size);
    exposition->carry_size = 0;
    return exposition_take_line(exposition, text, reterr);
}

/* The shortcut of most lines: whole ones of a name that nobody selected. Where the first other line begins. */
static const uint8_t *exposition_pass_over(struct exposition *exposition, const uint8_t *at, const uint8_t *end) {
    if (exposition->selected || exposition->ended) return at;
    uint64_t lines = 0;
    while (begins_with_previous(exposition, slice_of(at, (size_t)(end - at)))) {
        const uint8_t *const newline = bytes_find(at + exposition->previous_size, end, '\n');
        if (newline == NULL || newline - at > LIMIT_EXPOSITION_LINE_BYTES) break;
        lines++;
        at = newline + 1;
    }
    exposition->stats.lines += lines;
    exposition->stats.samples += lines;
    return at;
}

fault_code exposition_feed(struct exposition *exposition, slice piece, struct fault *reterr) {
    exposition->stats.bytes += piece.size;
    if (exposition->carry_size && piece.size) {
        const fault_code code = exposition_take_carried(exposition, piece, &piece, reterr);
        if (code) return code;
    }
    if (piece.size == 0) return FAULT_NONE;
    const uint8_t *at = piece.data, *const end = piece.data + piece.size;
    while ((at = exposition_pass_over(exposition, at, end)) < end) {
        const uint8_t *const newline = bytes_find(at, end, '\n');
        const size_t size = (size_t)((newline ? newline : end) - at);
        if (size > LIMIT_EXPOSITION_LINE_BYTES) return exposition_line_too_long(exposition, reterr);
        if (newline == NULL) {
            memcpy(exposition->carry, at, size);
            exposition->carry_size = size;
            return FAULT_NONE;
        }
        const fault_code code = exposition_take_line(exposition, slice_of(at, size), reterr);
        if (code) return code;
        at = newline + 1;
    }
    return FAULT_NONE;
}

fault_code exposition_end(struct exposition *exposition, struct fault *reterr) {
    if (exposition->carry_size) {
        const slice text = slice_of(exposition->carry, exposition->carry_size);
        exposition->carry_size = 0;
        const fault_code code = exposition_take_line(exposition, text, reterr);
        if (code) return code;
        if (exposition->line.format == EXPOSITION_TEXT)
            return fault_set(reterr, FAULT_INPUT,
                             "line %llu: expected a newline at its end, found the end: the answer was cut short",
                             (unsigned long long)exposition->stats.lines);
    }
    if (exposition->line.format == EXPOSITION_OPENMETRICS && !exposition->ended)
        return fault_set(reterr, FAULT_INPUT, "line %llu: expected '# EOF', found the end: the answer was cut short",
                         (unsigned long long)exposition->stats.lines + 1);
    return FAULT_NONE;
}

void exposition_stats(const struct exposition *exposition, struct exposition_stats *ret_stats) {
    *ret_stats = exposition->stats;
}
