/* SPDX-License-Identifier: Apache-2.0
 * The parser against a slow one that is written straight from the grammar, a character at a time over the whole text,
 * on random expositions of which many are damaged, cut at random places. Both must take and refuse the same texts and
 * find the same samples. */
#include "agent/collect/prometheus/exposition.h"
#include "tests/support/check.h"

#include <math.h>

enum { TEXT_BYTES = 4096, RESULT_BYTES = 1 << 16 };

static uint64_t random_state;
static unsigned draw(unsigned below) {
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return (unsigned)(random_state % below);
}

struct result {
    bool taken;
    size_t size;
    char text[RESULT_BYTES];
};

static void result_add(struct result *r, const char *text, size_t size) {
    assert_true(r->size + size < RESULT_BYTES);
    memcpy(r->text + r->size, text, size);
    r->size += size;
}

/* ---- the slow one ---- */

struct slow {
    const char *at, *end;
    bool open;
    struct result *result;
    char line[TEXT_BYTES * 2];
    size_t line_size;
    char names[80][200];
    size_t names_count;
};

static int peek(struct slow *s) {
    return s->at < s->end ? (unsigned char)*s->at : -1;
}
static bool take(struct slow *s, int c) {
    if (peek(s) != c) return false;
    s->at++;
    return true;
}
static void blanks(struct slow *s) {
    while (!s->open && (peek(s) == ' ' || peek(s) == '\t')) s->at++;
}
static void emit(struct slow *s, int c) {
    s->line[s->line_size++] = (char)c;
}
static bool letter(int c, bool first, bool colon) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colon && c == ':') ||
           (!first && c >= '0' && c <= '9');
}

static bool utf8(const char *at, const char *end) {
    while (at < end) {
        unsigned c = (unsigned char)*at++, more = c < 0x80                ? 0
                                                  : c >= 0xc2 && c < 0xe0 ? 1
                                                  : (c & 0xf0) == 0xe0    ? 2
                                                  : c >= 0xf0 && c < 0xf5 ? 3
                                                                          : 9;
        if (more == 9) return false;
        unsigned value = more ? c & (0x3fu >> more) : c;
        for (unsigned i = 0; i < more; i++) {
            if (at == end || ((unsigned char)*at & 0xc0) != 0x80) return false;
            value = value << 6 | ((unsigned char)*at++ & 0x3f);
        }
        if ((more == 2 && (value < 0x800 || (value >= 0xd800 && value < 0xe000))) ||
            (more == 3 && (value < 0x10000 || value > 0x10ffff)))
            return false;
    }
    return true;
}

static bool quoted(struct slow *s) {
    if (!take(s, '"')) return false;
    const char *const start = s->at;
    for (;;) {
        int c = peek(s);
        if (c < 0 || c == '\n') return false;
        s->at++;
        if (c == '"') return utf8(start, s->at - 1);
        if (c == '\\') {
            c = peek(s);
            if (c < 0 || c == '\n') return false;
            s->at++;
            if (c == 'n')
                c = '\n';
            else if (c != '"' && c != '\\')
                emit(s, '\\');
        }
        emit(s, c);
    }
}

static bool seen_before(struct slow *s, size_t from) {
    char name[200];
    const size_t size = s->line_size - from;
    if (size >= sizeof name) return false;
    memcpy(name, s->line + from, size);
    name[size] = '\0';
    for (size_t i = 0; i < s->names_count; i++)
        if (strcmp(s->names[i], name) == 0) return true;
    memcpy(s->names[s->names_count++], name, sizeof name);
    return false;
}

static bool labels(struct slow *s, bool exemplar, char *name, size_t *name_size) {
    s->names_count = 0;
    for (;;) {
        blanks(s);
        if (take(s, '}')) return true;
        const size_t from = ++s->line_size; /* '[' goes in front */
        s->line[from - 1] = '[';
        const bool quote = peek(s) == '"';
        if (quote) {
            if (!quoted(s) || s->line_size == from || memchr(s->line + from, 0, s->line_size - from)) return false;
        } else {
            if (!letter(peek(s), true, false)) return false;
            while (letter(peek(s), false, false)) emit(s, *s->at++);
        }
        blanks(s);
        if (quote && !exemplar && (peek(s) == ',' || peek(s) == '}')) {
            if (*name_size) return false;
            *name_size = s->line_size - from;
            memcpy(name, s->line + from, *name_size);
            s->line_size = from - 1;
            take(s, ',');
            continue;
        }
        if (!exemplar && seen_before(s, from)) return false;
        if (!take(s, '=')) return false;
        emit(s, '=');
        blanks(s);
        if (!quoted(s)) return false;
        emit(s, ']');
        blanks(s);
        if (!take(s, ',') && s->open && peek(s) != '}') return false;
    }
}

static bool number(struct slow *s, double *value) {
    char text[TEXT_BYTES];
    size_t size = 0;
    while (peek(s) >= 0 && peek(s) != ' ' && peek(s) != '\t' && peek(s) != '\n') text[size++] = *s->at++;
    text[size] = '\0';
    if (size == 0 || strlen(text) != size || strpbrk(text, "xXpP_()") || strcasecmp(text, "+nan") == 0 ||
        strcasecmp(text, "-nan") == 0 || text[0] < '+')
        return false;
    char *end;
    *value = strtod(text, &end);
    return *end == '\0' && !(isinf(*value) && !strpbrk(text, "iI"));
}

static bool sample(struct slow *s) {
    char name[TEXT_BYTES];
    size_t name_size = 0;
    s->line_size = 0;
    if (letter(peek(s), true, true))
        while (letter(peek(s), false, true)) name[name_size++] = *s->at++;
    else if (peek(s) != '{')
        return false;
    const char *const after = s->at;
    blanks(s);
    if (take(s, '{')) {
        if (!labels(s, false, name, &name_size)) return false;
    } else if (s->at == after && peek(s) != ' ' && peek(s) != '\n' && peek(s) >= 0) {
        return false;
    }
    if (name_size == 0) return false;
    double value, other;
    if (s->open ? !take(s, ' ') : false) return false;
    blanks(s);
    if (!number(s, &value)) return false;
    if (s->open) {
        const size_t keep = s->line_size;
        bool exemplar = false;
        if (take(s, ' ')) {
            if (peek(s) != '#') {
                if (!number(s, &other) || !(fabs(other) < 1e12)) return false;
                if (take(s, ' ')) exemplar = true;
            } else {
                exemplar = true;
            }
        }
        if (exemplar) {
            if (!take(s, '#') || !take(s, ' ') || !take(s, '{') || !labels(s, true, name, &name_size)) return false;
            if (!take(s, ' ') || !number(s, &other)) return false;
            if (take(s, ' ') && (!number(s, &other) || !(fabs(other) < 1e12))) return false;
        }
        s->line_size = keep;
    } else {
        blanks(s);
        take(s, '-');
        int digits = 0;
        while (peek(s) >= '0' && peek(s) <= '9') s->at++, digits++;
        if (digits > 19 || (digits == 0 && s->at[-1] == '-')) return false;
        if (digits == 0 && peek(s) >= 0 && peek(s) != '\n') return false;
        blanks(s);
    }
    if (peek(s) >= 0 && peek(s) != '\n') return false;
    char tail[64];
    result_add(s->result, name, name_size);
    result_add(s->result, s->line, s->line_size);
    result_add(s->result, tail, (size_t)snprintf(tail, sizeof tail, " %.17g\n", value));
    return true;
}

static void slow_parse(slice text, bool open, struct result *ret) {
    static struct slow s;
    s.at = (const char *)text.data, s.end = s.at + text.size, s.open = open, s.result = ret;
    ret->size = 0;
    ret->taken = false;
    bool ended = false;
    while (s.at < s.end) {
        if (ended) return;
        blanks(&s);
        if (peek(&s) == '#') {
            const char *const start = s.at;
            while (peek(&s) >= 0 && peek(&s) != '\n') s.at++;
            ended = open && s.at - start == 5 && memcmp(start, "# EOF", 5) == 0;
        } else if (peek(&s) != '\n' && peek(&s) >= 0) {
            if (!sample(&s)) return;
        } else if (open) {
            return;
        }
        if (!take(&s, '\n') && !open) return; /* text ends in a newline */
    }
    ret->taken = !open || ended;
}

/* ---- the real one ---- */

static const void *find_name(void *context, slice name) {
    return context;
}

static void on_sample(void *context, const void *selected, const struct exposition_sample *one) {
    struct result *r = context;
    result_add(r, (const char *)one->name.data, one->name.size);
    for (size_t i = 0; i < one->labels_count; i++) {
        result_add(r, "[", 1);
        result_add(r, (const char *)one->labels[i].name.data, one->labels[i].name.size);
        result_add(r, "=", 1);
        if (one->labels[i].value.size)
            result_add(r, (const char *)one->labels[i].value.data, one->labels[i].value.size);
        result_add(r, "]", 1);
    }
    char tail[64];
    result_add(r, tail, (size_t)snprintf(tail, sizeof tail, " %.17g\n", one->value));
}

static void real_parse(struct exposition *exposition, slice text, bool open, struct result *ret, struct fault *fault) {
    const struct exposition_sink sink = {find_name, on_sample, ret};
    ret->size = 0;
    ret->taken = false;
    exposition_begin(exposition, open ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT, &sink);
    for (size_t at = 0; at < text.size;) {
        const slice piece = slice_first(slice_from(text, at), 1 + draw(draw(4) ? 40 : 2000));
        if (exposition_feed(exposition, piece, fault)) return;
        at += piece.size;
    }
    ret->taken = exposition_end(exposition, fault) == FAULT_NONE;
}

/* ---- random texts ---- */

struct writer {
    char text[TEXT_BYTES + 512];
    size_t size;
    bool open;
};

static void put(struct writer *w, const char *text) {
    const size_t size = strlen(text);
    if (w->size + size > TEXT_BYTES) return;
    memcpy(w->text + w->size, text, size);
    w->size += size;
}
#define ONE_OF(...)                                                                                                    \
    ((const char *const[]){__VA_ARGS__}[draw(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))])

static void put_blank(struct writer *w) {
    if (!w->open) put(w, ONE_OF("", "", "", " ", "\t", "  "));
}
static void put_value(struct writer *w) {
    put(w, ONE_OF("1", "0", "42.5", "-3", "1e-5", "+Inf", "-inf", "NaN", "123456789012345678901", "0.1",
                  "1.7976931348623157e308", "4.9e-324", ".5", "5.", "Infinity"));
}
static void put_labels(struct writer *w) {
    put(w, "{");
    for (unsigned i = 0, n = draw(4); i < n; i++) {
        put_blank(w);
        put(w, ONE_OF("a", "b", "le", "_x9", "code", "\"q.x\"", "\"\xc3\xa9\"", "instance"));
        put_blank(w), put(w, "="), put_blank(w);
        put(w, ONE_OF("\"\"", "\"x\"", "\"a longer value that is scanned in words\"", "\"\\\"\\\\\\n\\d\"",
                      "\"\xc3\xa9\xe2\x82\xac\"", "\"{}#= \t,\"", "\"1234567\\\\\""));
        put_blank(w);
        if (i + 1 < n || draw(4) == 0) put(w, ",");
    }
    put_blank(w);
    put(w, "}");
}
static void put_line(struct writer *w) {
    switch (draw(12)) {
    case 0: put(w, ONE_OF("# HELP a b", "# TYPE a counter", "#", "# x \xff", "#EOF")); break;
    case 1:
        if (!w->open)
            put(w, ONE_OF("", " ", "\t"));
        else
            put(w, "# x");
        break;
    case 2: put(w, ONE_OF("{\"a.b\"} 1", "{\"a\",b=\"c\"} 2", "{b=\"c\",\"a b\"} 3")); break;
    default:
        put_blank(w);
        put(w, ONE_OF("a", "a_total", "ns:metric_seconds_bucket", "_z", "a"));
        put_blank(w);
        if (draw(3)) put_labels(w);
        put(w, " "), put_blank(w);
        put_value(w);
        if (draw(5) == 0) put(w, w->open ? ONE_OF(" 1.5", " -2e3") : ONE_OF(" 1700000000000", " -5", "\t7 "));
        if (w->open && draw(5) == 0)
            put(w, ONE_OF(" # {} 1", " # {id=\"x\"} 0.5 3.5", " # {a=\"b\",c=\"d\",} 1"));
        else
            put_blank(w);
    }
    put(w, "\n");
}

static void damage(struct writer *w) {
    static const char bytes[] = "{}\",=\\ \n#\t\r\xff"
                                "1aé:+-.e_\0";
    for (unsigned i = 0, n = 1 + draw(2); i < n && w->size; i++) {
        const size_t at = draw((unsigned)w->size);
        switch (draw(4)) {
        case 0: w->text[at] = bytes[draw(sizeof bytes)]; break;
        case 1: memmove(w->text + at, w->text + at + 1, --w->size - at); break;
        case 2:
            memmove(w->text + at + 1, w->text + at, w->size - at), w->text[at] = bytes[draw(sizeof bytes)], w->size++;
            break;
        default: w->size = at;
        }
    }
}

TEST(it_takes_and_finds_what_a_slow_parser_does) {
    const uint64_t seed = check_seed();
    random_state = seed * 2 + 1;
    struct exposition *exposition = exposition_new();
    static struct result fast, slow;
    static struct writer w;
    unsigned taken = 0;
    for (int round = 0; round < 40000; round++) {
        w.size = 0;
        w.open = draw(2);
        for (unsigned i = 0, n = draw(8); i < n; i++) put_line(&w);
        if (w.open && draw(10)) put(&w, "# EOF\n");
        if (draw(2)) damage(&w);
        const slice text = slice_of(w.text, w.size);
        struct fault fault = {0};
        slow_parse(text, w.open, &slow);
        real_parse(exposition, text, w.open, &fast, &fault);
        if (fast.taken != slow.taken || fast.size != slow.size || memcmp(fast.text, slow.text, fast.size) != 0)
            fail_msg("round %d, %s, slow %s, fast %s (%s):\n%.*s\nslow:\n%.*s\nfast:\n%.*s", round,
                     w.open ? "OpenMetrics" : "text", slow.taken ? "takes" : "refuses",
                     fast.taken ? "takes" : "refuses", fault.text, SLICE_ARG(text), (int)slow.size, slow.text,
                     (int)fast.size, fast.text);
        taken += fast.taken;
    }
    assert_true(taken > 10000 && taken < 39000); /* else the texts test nothing */
    exposition_free(exposition);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_takes_and_finds_what_a_slow_parser_does)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
