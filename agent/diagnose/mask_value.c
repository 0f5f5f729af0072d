/* SPDX-License-Identifier: Apache-2.0
 * Each kind of value has its end. What makes it linear: values without quotes lie within one another or apart, so one that
 * begins within what is done is done; and a quoted text that is not closed is looked for only so far.
 *
 * A value goes over several lines only when these are indented deeper than the line of its name. That is how YAML and
 * printed JSON are written, and the next line of a log is not.
 */
#include "agent/diagnose/mask_value.h"

#include "agent/diagnose/mask_text.h"

enum {
    QUOTED_BYTES_MAX = 16 * 1024, /* of one text over several lines */
    INDENTATION_MAX = 256,        /* what is deeper is not told apart */
    GLUED_MAX = 8,                /* quoted texts in a row */
    GLUED_LOOKBACK = 1024,
};

/* How deep the line is; the mark of a list's item ("- ") belongs to that, as its members stand behind it. */
static size_t indentation(slice text, size_t line) {
    size_t at = line;
    while (at < text.size && at < line + INDENTATION_MAX &&
           (mask_is_blank(text.data[at]) ||
            (text.data[at] == '-' && at + 1 < text.size && mask_is_blank(text.data[at + 1]))))
        at++;
    return at - line;
}

/* The end of the last line that belongs to the block; at: the end of the line before it, which is returned if there is
 * none. Empty lines belong to it when others follow. */
static size_t block_end(slice text, size_t at, size_t base) {
    size_t end = at;
    while (at < text.size) {
        const size_t line = at + 1, depth = indentation(text, line);
        at = mask_line_end(text, line);
        if (line + depth >= at) continue; /* it is empty */
        if (depth <= base) break;
        end = at;
    }
    return end;
}

/* ---- quoted ---- */

/* The quote that closes what is quoted from `begin` on, which was opened behind so many backslashes; SIZE_MAX: none before
 * `limit`. Doubled it is one of the text (YAML, SQL). *ret_before: how many backslashes are right before it. */
static size_t closing_quote(slice text, size_t begin, size_t limit, uint8_t quote, size_t escapes, bool one_line,
                            size_t *ret_before) {
    size_t before = 0;
    for (size_t at = begin; at < limit; at++) {
        const uint8_t c = text.data[at];
        if (c == '\n' && one_line) break;
        if (c == quote && (before <= escapes || (!escapes && before % 2 == 0))) {
            const bool doubled = !escapes && at > begin && at + 1 < limit && text.data[at + 1] == quote;
            *ret_before = before;
            if (!doubled) return at;
            at++;
        }
        before = c == '\\' ? before + 1 : 0;
    }
    return SIZE_MAX;
}

/* at: the opening quote; escapes: backslashes before it. *ret_begin: behind the opening. */
static size_t quoted_end(const struct mask_values *values, size_t at, size_t escapes, size_t *ret_begin) {
    const slice text = values->text;
    const uint8_t quote = text.data[at];
    const uint8_t three[] = {quote, quote, quote};
    const size_t rest = text.size - at, limit = rest > QUOTED_BYTES_MAX ? at + QUOTED_BYTES_MAX : text.size;
    size_t end, before = 0;
    if (!escapes && rest >= 3 && memcmp(text.data + at, three, 3) == 0) { /* Python, TOML */
        *ret_begin = at + 3;
        end = mask_find(slice_first(text, limit), at + 3, slice_of(three, 3));
    } else {
        *ret_begin = at + 1;
        end = closing_quote(text, at + 1, limit, quote, escapes, escapes > 0, &before); /* escaped: within one line */
    }
    if (end != SIZE_MAX) return before == escapes ? end - escapes : end;
    return block_end(text, mask_line_end(text, at), indentation(text, values->line));
}

/* ---- in brackets ---- */

static bool opens(uint8_t c) {
    return c == '{' || c == '[' || c == '(';
}

static bool closes(uint8_t c) {
    return c == '}' || c == ']' || c == ')';
}

/* Behind the string that begins with the quote at `at`, if it is one: it ends in its line, and an apostrophe in a word
 * begins none. */
static size_t string_end(slice text, size_t at) {
    size_t escapes = 0, before;
    while (escapes < at && text.data[at - escapes - 1] == '\\') escapes++;
    const uint8_t left = escapes < at ? text.data[at - escapes - 1] : ' ';
    if (text.data[at] != '"' && left > ' ' && !strchr("[{(,:=", left)) return at + 1;
    const size_t end = closing_quote(text, at + 1, text.size, text.data[at], escapes, true, &before);
    return end == SIZE_MAX ? at + 1 : end + 1;
}

static bool line_goes_on(slice text, size_t line, size_t base) {
    const size_t depth = indentation(text, line), at = line + depth;
    if (at >= text.size || text.data[at] == '\n') return true;
    return depth > base || mask_is_quote(text.data[at]) || closes(text.data[at]);
}

static size_t bracket_end(const struct mask_values *values, size_t at) {
    const slice text = values->text;
    const uint8_t open = text.data[at], close = open == '{' ? '}' : open == '[' ? ']' : ')';
    const size_t base = indentation(text, values->line);
    for (size_t depth = 0; at < text.size; at++) {
        const uint8_t c = text.data[at];
        if (c == '\n' && !line_goes_on(text, at + 1, base)) return at;
        if (mask_is_quote(c)) at = string_end(text, at) - 1;
        depth += c == open;
        if (c == close && --depth == 0) return at + 1;
    }
    return at;
}

/* ---- all others ---- */

static size_t bare_end(const struct mask_values *values, size_t at) {
    const slice text = values->text;
    while (at < text.size && text.data[at] > ' ' && !mask_is_quote(text.data[at]))
        at = opens(text.data[at]) ? bracket_end(values, at) : at + 1;
    return at;
}

/* YAML's "|", ">-", "|2", also behind a tag: the value is the block below. */
static bool is_block_head(slice text, size_t at) {
    if (at < text.size && (text.data[at] == '!' || text.data[at] == '&')) {
        while (at < text.size && text.data[at] > ' ') at++;
        at = mask_skip_blanks(text, at);
    }
    if (at >= text.size || (text.data[at] != '|' && text.data[at] != '>')) return false;
    at++;
    while (at < text.size && (text.data[at] == '-' || text.data[at] == '+' || isdigit(text.data[at]))) at++;
    at = mask_skip_blanks(text, at);
    return at == text.size || text.data[at] == '\n' || text.data[at] == '#';
}

static void mark_block(struct mask_values *values, size_t line_end) {
    const size_t end = block_end(values->text, line_end, indentation(values->text, values->line));
    size_t begin = line_end;
    while (begin < end && (mask_is_blank(values->text.data[begin]) || values->text.data[begin] == '\n')) begin++;
    mask_mark(values->marks, begin, end);
    if (end > values->done) values->done = end;
}

/* Whether the quote at `at` opens something, as far as can be told from what is before it in its line. */
static bool opens_quoted(const struct mask_values *values, size_t at) {
    const size_t from = at - values->line > GLUED_LOOKBACK ? at - GLUED_LOOKBACK : values->line;
    bool open = false;
    for (size_t i = from; i < at; i++)
        if (values->text.data[i] == values->text.data[at]) open = !open;
    return !open;
}

/* A shell's 'a'"b" is one value. at: the quote that closes the first part. */
static void mark_glued(struct mask_values *values, size_t at) {
    const slice text = values->text;
    for (unsigned parts = 0; parts < GLUED_MAX && at + 1 < text.size; parts++) {
        const uint8_t quote = text.data[at + 1];
        size_t before, end;
        if (!mask_is_quote(quote) || quote == text.data[at] || !opens_quoted(values, at + 1)) return;
        end = closing_quote(text, at + 2, text.size, quote, 0, true, &before);
        if (end == SIZE_MAX) return;
        mask_mark(values->marks, at + 2, end);
        at = end;
    }
}

void mask_value_mark(struct mask_values *values, size_t at, bool whole_line) {
    const slice text = values->text;
    size_t quote = at;
    while (quote < text.size && text.data[quote] == '\\') quote++;
    if (quote < text.size && mask_is_quote(text.data[quote])) {
        const size_t escapes = quote - at, end = quoted_end(values, quote, escapes, &at);
        mask_mark(values->marks, at, end);
        if (!escapes) mark_glued(values, end);
        return;
    }
    if (at < values->done || at >= text.size) return;
    if (is_block_head(text, at)) {
        mark_block(values, mask_line_end(text, at));
        return;
    }
    values->done = opens(text.data[at]) ? bracket_end(values, at) : bare_end(values, at);
    const size_t line_end = whole_line ? mask_line_end(text, at) : 0;
    if (values->done < line_end) values->done = line_end;
    mask_mark(values->marks, at, values->done);
}

/* Whether nothing but what opens something is before it in its line. */
static bool begins_its_line(const struct mask_values *values, size_t name) {
    for (size_t at = values->line + indentation(values->text, values->line); at < name; at++)
        if (!strchr("\"'`\\{[(, ", values->text.data[at]) || !values->text.data[at]) return false;
    return true;
}

/* Whether the lines below are the items of a list, deeper than this line. */
static bool has_items_below(const struct mask_values *values, size_t line_end) {
    const slice text = values->text;
    const size_t base = indentation(text, values->line), line = line_end + 1;
    if (line >= text.size || indentation(text, line) <= base) return false;
    const size_t at = mask_skip_blanks(text, line);
    return at + 1 < text.size && text.data[at] == '-' && mask_is_blank(text.data[at + 1]);
}

/* "passphrase: correct horse battery", "db.password=a b": a line of a file of settings (YAML, properties), which is value to
 * its end; "password=a b" is no such line, and of "a.password=b user=c" the second is another's. */
static bool is_setting(const struct mask_values *values, size_t name, size_t at) {
    const slice text = values->text;
    if (name != values->line + indentation(text, values->line)) return false;
    size_t before = at;
    while (before > name && mask_is_blank(text.data[before - 1])) before--;
    if (text.data[before - 1] == ':') return true;
    return memchr(text.data + name, '.', before - name) && !memchr(text.data + at, '=', mask_line_end(text, at) - at);
}

void mask_value_mark_named(struct mask_values *values, size_t name, size_t at, bool whole_line) {
    const slice text = values->text;
    if (at < text.size && text.data[at] != '\n') {
        mask_value_mark(values, at, whole_line || is_setting(values, name, at));
        return;
    }
    if (at >= text.size || at < values->done) return;
    if (!begins_its_line(values, name)) { /* a log's line */
        if (has_items_below(values, at)) mark_block(values, at);
        return;
    }
    const size_t below = mask_skip_blanks(text, at + 1);
    if (below < text.size && (mask_is_quote(text.data[below]) || opens(text.data[below])))
        mask_value_mark(values, below, false);
    else
        mark_block(values, at);
}
