/* SPDX-License-Identifier: Apache-2.0
 * The grammar of a sample line, after the lexers of Prometheus (model/textparse), which is what targets are tested
 * against:
 *   text 0.0.4   [blanks] name [blanks] [{labels}] blanks value [blanks timestamp] [blanks]
 *                inside the braces blanks may stand anywhere and commas between labels may even be missing
 *   OpenMetrics  name[{labels}] value[ timestamp][ # {labels} value[ timestamp]]   single spaces, no others
 * A name may stand in the braces, quoted ({"a.b",c="d"}). Label values know the escapes \\ \" \n; before any other
 * character the backslash stays. A raw newline inside a label value, which the text lexer of Prometheus lets pass
 * though the format forbids it, is refused here, and so is a carriage return at the end of a line. */
#include "agent/collect/prometheus/exposition_line.h"

enum { NAME_FIRST = 1, NAME_REST = 2, LABEL_FIRST = 4, LABEL_REST = 8 };

#define LETTER (NAME_FIRST | NAME_REST | LABEL_FIRST | LABEL_REST)
static const uint8_t byte_class[256] = {
    ['a' ... 'z'] = LETTER,
    ['A' ... 'Z'] = LETTER,
    ['_'] = LETTER,
    [':'] = NAME_FIRST | NAME_REST,
    ['0' ... '9'] = NAME_REST | LABEL_REST,
};

size_t exposition_name_size(slice text) {
    if (text.size == 0 || !(byte_class[text.data[0]] & NAME_FIRST)) return 0;
    size_t size = 1;
    while (size < text.size && (byte_class[text.data[size]] & NAME_REST)) size++;
    return size;
}

fault_code exposition_line_fault(const struct exposition_line *line, const uint8_t *at, const char *expected,
                                 struct fault *reterr) {
    const size_t column = (size_t)(at - line->start) + 1;
    if (at >= line->end)
        return fault_set(reterr, FAULT_INPUT, "line %llu, column %zu: expected %s, found the end of the line",
                         (unsigned long long)line->number, column, expected);
    if (*at == '\r')
        return fault_set(reterr, FAULT_INPUT,
                         "line %llu, column %zu: expected %s, found a carriage return: lines end in a newline alone",
                         (unsigned long long)line->number, column, expected);
    if (*at >= 0x20 && *at < 0x7f)
        return fault_set(reterr, FAULT_INPUT, "line %llu, column %zu: expected %s, found '%c'",
                         (unsigned long long)line->number, column, expected, *at);
    return fault_set(reterr, FAULT_INPUT, "line %llu, column %zu: expected %s, found byte 0x%02x",
                     (unsigned long long)line->number, column, expected, *at);
}

static fault_code line_expected(const struct exposition_line *line, const char *expected, struct fault *reterr) {
    return exposition_line_fault(line, line->at, expected, reterr);
}

/* RFC 3629, as Go's utf8.Valid: no overlong forms, no surrogates, nothing over U+10FFFF. */
static bool line_utf8_valid(slice text) {
    const uint8_t *at = text.data, *const end = text.data + text.size;
    while (at < end) {
        const uint8_t first = *at++;
        if (first < 0x80) continue;
        const int more = first >= 0xc2 && first <= 0xdf   ? 1
                         : first >= 0xe0 && first <= 0xef ? 2
                         : first >= 0xf0 && first <= 0xf4 ? 3
                                                          : 0;
        if (more == 0 || end - at < more) return false;
        const uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        const uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        if (at[0] < low || at[0] > high) return false;
        for (int i = 1; i < more; i++)
            if ((at[i] & 0xc0) != 0x80) return false;
        at += more;
    }
    return true;
}

/* The first byte that is a quote, a backslash or not ASCII. Eight at a time where a word's lowest byte is the first
 * in memory. */
static const uint8_t *line_scan_string(const uint8_t *at, const uint8_t *end) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    for (; end - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        const uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
        const uint64_t hit = (((quote - ones) & ~quote) | ((slash - ones) & ~slash) | word) & highs;
        if (hit) return at + (__builtin_ctzll(hit) >> 3);
    }
#endif
    while (at < end && *at != '"' && *at != '\\' && *at < 0x80) at++;
    return at;
}

static slice line_unescape(struct exposition_line *line, slice raw) {
    uint8_t *const into = line->scratch + line->scratch_used;
    size_t size = 0;
    for (size_t i = 0; i < raw.size; i++) {
        uint8_t byte = raw.data[i];
        if (byte == '\\' && i + 1 < raw.size) {
            const uint8_t next = raw.data[i + 1];
            if (next == 'n' || next == '"' || next == '\\') {
                byte = next == 'n' ? '\n' : next;
                i++;
            }
        }
        into[size++] = byte;
    }
    line->scratch_used += size;
    return slice_of(into, size);
}

/* At an opening quote; leaves `at` behind the closing one. */
static fault_code line_string(struct exposition_line *line, slice *ret_text, struct fault *reterr) {
    const uint8_t *const opening = line->at, *scan = opening + 1;
    bool escapes = false, wide = false;
    for (;;) {
        scan = line_scan_string(scan, line->end);
        if (scan == line->end) return exposition_line_fault(line, scan, "a closing '\"'", reterr);
        if (*scan == '"') break;
        if (*scan == '\\') {
            escapes = true;
            scan++;
            if (scan == line->end) return exposition_line_fault(line, scan, "a character after the backslash", reterr);
            if (*scan >= 0x80) wide = true;
        } else {
            wide = true;
        }
        scan++;
    }
    const slice raw = slice_of(opening + 1, (size_t)(scan - opening) - 1);
    if (wide && !line_utf8_valid(raw)) return exposition_line_fault(line, opening, "valid UTF-8 in the quotes", reterr);
    *ret_text = escapes ? line_unescape(line, raw) : raw;
    line->at = scan + 1;
    return FAULT_NONE;
}

static void line_skip_blanks(struct exposition_line *line) {
    while (line->at < line->end && (*line->at == ' ' || *line->at == '\t')) line->at++;
}

/* Where the text format allows blanks; OpenMetrics does not, and then finds one where something else should be. */
static void line_skip_optional(struct exposition_line *line) {
    if (line->format == EXPOSITION_TEXT) line_skip_blanks(line);
}

static bool line_at(const struct exposition_line *line, uint8_t byte) {
    return line->at < line->end && *line->at == byte;
}

static fault_code line_label_name(struct exposition_line *line, slice *ret_name, bool *ret_quoted,
                                  struct fault *reterr) {
    *ret_quoted = line_at(line, '"');
    if (*ret_quoted) {
        const uint8_t *const opening = line->at;
        if (line_string(line, ret_name, reterr)) return FAULT_INPUT;
        if (ret_name->size == 0 || memchr(ret_name->data, 0, ret_name->size))
            return exposition_line_fault(line, opening, "a name in the quotes, without NUL", reterr);
        return FAULT_NONE;
    }
    if (line->at == line->end || !(byte_class[*line->at] & LABEL_FIRST))
        return line_expected(line, "a label name or '}'", reterr);
    const uint8_t *const start = line->at++;
    while (line->at < line->end && (byte_class[*line->at] & LABEL_REST)) line->at++;
    *ret_name = slice_of(start, (size_t)(line->at - start));
    return FAULT_NONE;
}

static fault_code line_add_label(struct exposition_line *line, struct exposition_sample *sample,
                                 struct exposition_label label, struct fault *reterr) {
    if (sample->labels_count == LIMIT_LABELS_PER_SERIES)
        return fault_set(reterr, FAULT_LIMIT, "line %llu: more than %d labels (LIMIT_LABELS_PER_SERIES)",
                         (unsigned long long)line->number, LIMIT_LABELS_PER_SERIES);
    for (size_t i = 0; i < sample->labels_count; i++)
        if (line->labels[i].name.size == label.name.size && line->labels[i].name.data[0] == label.name.data[0] &&
            slice_equal(line->labels[i].name, label.name))
            return fault_set(reterr, FAULT_INPUT, "line %llu, column %zu: label '%.*s' is given twice",
                             (unsigned long long)line->number, (size_t)(line->at - line->start),
                             SLICE_ARG(slice_first(label.name, 100)));
    line->labels[sample->labels_count++] = label;
    return FAULT_NONE;
}

/* The common shape, name="value" without escapes and blanks, and the comma behind it: taken with everything in registers.
 * False, and nothing taken, for any other shape. */
static bool line_plain_label(struct exposition_line *line, struct exposition_label *ret_label) {
    const uint8_t *const start = line->at, *const end = line->end, *at = start;
    if (at == end || !(byte_class[*at] & LABEL_FIRST)) return false;
    do at++;
    while (at < end && (byte_class[*at] & LABEL_REST));
    if (end - at < 4 || at[0] != '=' || at[1] != '"') return false; /* 4: ="" and what follows */
    const uint8_t *const value = at + 2, *const close = line_scan_string(value, end);
    if (end - close < 2 || *close != '"' || (close[1] != ',' && close[1] != '}')) return false;
    *ret_label =
        (struct exposition_label){slice_of(start, (size_t)(at - start)), slice_of(value, (size_t)(close - value))};
    line->at = close + 1 + (close[1] == ',');
    return true;
}

/* Behind '{'; leaves `at` behind '}'. A quoted text without '=' is the metric's name, but not in an exemplar. */
static fault_code line_labels(struct exposition_line *line, struct exposition_sample *sample, bool exemplar,
                              struct fault *reterr) {
    for (;;) {
        line_skip_optional(line);
        if (line_at(line, '}')) {
            line->at++;
            return FAULT_NONE;
        }
        struct exposition_label label;
        if (line_plain_label(line, &label)) {
            const fault_code code = exemplar ? FAULT_NONE : line_add_label(line, sample, label, reterr);
            if (code) return code;
            continue;
        }
        bool quoted;
        const uint8_t *const start = line->at;
        if (line_label_name(line, &label.name, &quoted, reterr)) return FAULT_INPUT;
        line_skip_optional(line);
        if (quoted && !exemplar && (line_at(line, ',') || line_at(line, '}'))) {
            if (sample->name.size) return exposition_line_fault(line, start, "one metric name, not a second", reterr);
            sample->name = label.name;
            if (line_at(line, ',')) line->at++;
            continue;
        }
        if (!line_at(line, '=')) return line_expected(line, "'=' after the label name", reterr);
        line->at++;
        line_skip_optional(line);
        if (!line_at(line, '"')) return line_expected(line, "a label value in double quotes", reterr);
        if (line_string(line, &label.value, reterr)) return FAULT_INPUT;
        if (!exemplar) {
            const fault_code code = line_add_label(line, sample, label, reterr);
            if (code) return code;
        }
        line_skip_optional(line);
        if (line_at(line, ','))
            line->at++;
        else if (line->format == EXPOSITION_OPENMETRICS && !line_at(line, '}'))
            return line_expected(line, "',' or '}' after the label value", reterr);
    }
}

/* Up to the next blank. */
static slice line_token(struct exposition_line *line) {
    const uint8_t *const start = line->at;
    while (line->at < line->end && *line->at != ' ' && *line->at != '\t') line->at++;
    return slice_of(start, (size_t)(line->at - start));
}

static fault_code line_number(struct exposition_line *line, const char *expected, double *ret_value,
                              struct fault *reterr) {
    const uint8_t *const start = line->at;
    const slice token = line_token(line);
    if (token.size && exposition_number(token, ret_value)) return FAULT_NONE;
    if (token.size && token.data[token.size - 1] == '\r')
        return exposition_line_fault(line, token.data + token.size - 1, expected, reterr);
    return exposition_line_fault(line, start, expected, reterr);
}

static fault_code line_text_tail(struct exposition_line *line, struct exposition_sample *sample, struct fault *reterr) {
    line_skip_blanks(line);
    if (line_number(line, "a value (a decimal number, NaN, +Inf or -Inf)", &sample->value, reterr)) return FAULT_INPUT;
    line_skip_blanks(line);
    if (line->at == line->end) return FAULT_NONE;
    if (line_at(line, '-')) line->at++;
    const uint8_t *const digits = line->at;
    while (line->at < line->end && (unsigned)*line->at - '0' <= 9) line->at++;
    if (line->at == digits || line->at - digits > 19)
        return line_expected(line, "a timestamp in milliseconds, or the end of the line", reterr);
    line_skip_blanks(line);
    if (line->at < line->end) return line_expected(line, "the end of the line after the timestamp", reterr);
    return FAULT_NONE;
}

static fault_code line_space(struct exposition_line *line, const char *expected, struct fault *reterr) {
    if (!line_at(line, ' ')) return line_expected(line, expected, reterr);
    line->at++;
    return FAULT_NONE;
}

static fault_code line_timestamp(struct exposition_line *line, struct fault *reterr) {
    double seconds;
    const uint8_t *const start = line->at;
    if (line_number(line, "a timestamp in seconds", &seconds, reterr)) return FAULT_INPUT;
    if (!(seconds > -1e12 && seconds < 1e12))
        return exposition_line_fault(line, start, "a timestamp in seconds that is a time", reterr);
    return FAULT_NONE;
}

static fault_code line_openmetrics_tail(struct exposition_line *line, struct exposition_sample *sample,
                                        struct fault *reterr) {
    if (line_space(line, "a space and the value", reterr)) return FAULT_INPUT;
    if (line_number(line, "a value (a decimal number, NaN, +Inf or -Inf)", &sample->value, reterr)) return FAULT_INPUT;
    if (line->at == line->end) return FAULT_NONE;
    if (line_space(line, "a space and a timestamp, or the end of the line", reterr)) return FAULT_INPUT;
    if (!line_at(line, '#')) {
        if (line_timestamp(line, reterr)) return FAULT_INPUT;
        if (line->at == line->end) return FAULT_NONE;
        if (line_space(line, "a space and an exemplar, or the end of the line", reterr)) return FAULT_INPUT;
        if (!line_at(line, '#')) return line_expected(line, "an exemplar ('# {...} value')", reterr);
    }
    line->at++;
    if (line_space(line, "a space after the '#' of an exemplar", reterr)) return FAULT_INPUT;
    if (!line_at(line, '{')) return line_expected(line, "'{' of the exemplar's labels", reterr);
    line->at++;
    if (line_labels(line, sample, true, reterr)) return FAULT_INPUT;
    if (line_space(line, "a space and the exemplar's value", reterr)) return FAULT_INPUT;
    double value;
    if (line_number(line, "the exemplar's value", &value, reterr)) return FAULT_INPUT;
    if (line->at == line->end) return FAULT_NONE;
    if (line_space(line, "a space and the exemplar's timestamp", reterr)) return FAULT_INPUT;
    if (line_timestamp(line, reterr)) return FAULT_INPUT;
    if (line->at < line->end) return line_expected(line, "the end of the line", reterr);
    return FAULT_NONE;
}

/* OpenMetrics 2.0 writes a native histogram as ` {count:...}` where other metrics have their value. */
static bool line_is_composite(const struct exposition_line *line) {
    return line->format == EXPOSITION_OPENMETRICS &&
           slice_starts_with(slice_of(line->at, (size_t)(line->end - line->at)), SLICE_LIT(" {count:"));
}

fault_code exposition_line_parse(struct exposition_line *line, slice text, size_t name_size,
                                 struct exposition_sample *ret_sample, struct fault *reterr) {
    struct exposition_sample sample = {.name = slice_first(text, name_size), .line = line->number};
    line->start = text.data;
    line->at = text.data + name_size;
    line->end = text.data + text.size;
    line->scratch_used = 0;
    if (name_size) line_skip_optional(line);
    if (line_at(line, '{')) {
        line->at++;
        const fault_code code = line_labels(line, &sample, false, reterr);
        if (code) return code;
        if (sample.name.size == 0) return line_expected(line, "a metric name inside the braces", reterr);
    } else if (line->at < line->end && line->at == text.data + name_size && *line->at != ' ') {
        return line_expected(line, "'{' or a blank after the metric name", reterr);
    }
    sample.composite = line_is_composite(line);
    const fault_code code = sample.composite                  ? FAULT_NONE
                            : line->format == EXPOSITION_TEXT ? line_text_tail(line, &sample, reterr)
                                                              : line_openmetrics_tail(line, &sample, reterr);
    if (code) return code;
    sample.labels = line->labels;
    *ret_sample = sample;
    return FAULT_NONE;
}
