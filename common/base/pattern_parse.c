/* SPDX-License-Identifier: Apache-2.0
 * RE2's grammar by recursive descent: alternatives of sequences of repeated atoms. Depth, nodes and ranges are
 * bounded by the source's length and PATTERN_DEPTH_MAX. */
#include "common/base/pattern_tree.h"

#include <stdlib.h>

struct parse {
    slice source;
    size_t at;
    unsigned depth;
    bool fold;           /* (?i) */
    bool no_dot_newline; /* (?-s) */
    bool quoted;         /* inside \Q..\E */
    struct pattern_tree *tree;
    struct fault *reterr;
    fault_code code;
};

/* Functions return a node; after a fault any number, and p->code is set. */
static unsigned parse_or(struct parse *p);

static unsigned parse_fault(struct parse *p, fault_code code, const char *what) {
    if (p->code == FAULT_NONE)
        p->code = fault_set(p->reterr, code, "expression '%.*s', position %zu: %s",
                            SLICE_ARG(slice_first(p->source, 100)), p->at + 1, what);
    return 0;
}

static unsigned parse_node(struct parse *p, enum pattern_node_kind kind, unsigned a, unsigned b) {
    if (p->code) return 0;
    if (p->tree->nodes_count == PATTERN_NODES_MAX)
        return parse_fault(p, FAULT_LIMIT, "too many parts (PATTERN_NODES_MAX)");
    p->tree->nodes[p->tree->nodes_count] = (struct pattern_node){.kind = kind, .a = a, .b = b};
    return p->tree->nodes_count++;
}

static int parse_peek(const struct parse *p) {
    return p->at < p->source.size ? p->source.data[p->at] : -1;
}

static bool parse_take(struct parse *p, const char *text) {
    if (!slice_starts_with(slice_from(p->source, p->at), slice_from_text(text))) return false;
    p->at += strlen(text);
    return true;
}

static void parse_add_range(struct parse *p, uint32_t first, uint32_t last) {
    if (p->tree->ranges_count == PATTERN_RANGES_MAX) {
        parse_fault(p, FAULT_LIMIT, "too many ranges (PATTERN_RANGES_MAX)");
        return;
    }
    p->tree->ranges[p->tree->ranges_count++] = (struct pattern_range){first, last};
}

/* Adds the other case's letters of a range: ASCII only. */
static void parse_add_folded(struct parse *p, uint32_t first, uint32_t last) {
    parse_add_range(p, first, last);
    if (!p->fold) return;
    for (uint32_t letter = 'A'; letter <= 'Z'; letter++) {
        const uint32_t lower = letter | 0x20;
        if (letter >= first && letter <= last && (lower < first || lower > last)) parse_add_range(p, lower, lower);
        if (lower >= first && lower <= last && (letter < first || letter > last)) parse_add_range(p, letter, letter);
    }
}

static int range_compare(const void *a, const void *b) {
    const struct pattern_range *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

/* Replaces the ranges from `from` on by all that they leave out. */
static void parse_negate(struct parse *p, unsigned from) {
    struct pattern_tree *const tree = p->tree;
    if (p->code) return;
    struct pattern_range held[PATTERN_BYTES_MAX];
    const unsigned count = tree->ranges_count - from;
    if (count > PATTERN_BYTES_MAX) {
        parse_fault(p, FAULT_LIMIT, "too many ranges in one class");
        return;
    }
    memcpy(held, tree->ranges + from, count * sizeof *held);
    qsort(held, count, sizeof *held, range_compare);
    tree->ranges_count = from;
    uint64_t next = 0;
    for (unsigned i = 0; i < count; i++) {
        if (held[i].first > next) parse_add_range(p, (uint32_t)next, held[i].first - 1);
        if ((uint64_t)held[i].last + 1 > next) next = (uint64_t)held[i].last + 1;
    }
    if (next <= UINT32_MAX) parse_add_range(p, (uint32_t)next, UINT32_MAX);
}

static unsigned parse_class_node(struct parse *p, unsigned from) {
    return parse_node(p, NODE_CLASS, from, p->tree->ranges_count - from);
}

static unsigned parse_character_node(struct parse *p, uint32_t character) {
    const unsigned from = p->tree->ranges_count;
    parse_add_folded(p, character, character);
    return parse_class_node(p, from);
}

/* \d \w \s and their opposites; false when the letter is another one. */
static bool parse_perl_class(struct parse *p, int letter) {
    const unsigned from = p->tree->ranges_count;
    switch (letter | 0x20) {
    case 'd': parse_add_range(p, '0', '9'); break;
    case 'w':
        parse_add_range(p, '0', '9');
        parse_add_range(p, 'A', 'Z');
        parse_add_range(p, '_', '_');
        parse_add_range(p, 'a', 'z');
        break;
    case 's':
        parse_add_range(p, '\t', '\n');
        parse_add_range(p, '\f', '\r');
        parse_add_range(p, ' ', ' ');
        break;
    default: return false;
    }
    if (!(letter & 0x20)) parse_negate(p, from);
    return true;
}

static int hex_digit(int byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f') return (byte | 0x20) - 'a' + 10;
    return -1;
}

static uint32_t parse_hex(struct parse *p) {
    const bool braces = parse_take(p, "{");
    uint32_t value = 0;
    int digits = 0;
    while (digits < (braces ? 8 : 2) && hex_digit(parse_peek(p)) >= 0) {
        value = value * 16 + (uint32_t)hex_digit(parse_peek(p));
        p->at++;
        digits++;
    }
    if (digits == 0 || (!braces && digits != 2) || (braces && !parse_take(p, "}")) || value > PATTERN_CHARACTER_MAX)
        return parse_fault(p, FAULT_INPUT, "expected \\xHH or \\x{H..} of a character");
    return value;
}

/* Behind a backslash, what is one character; classes were tried before. */
static uint32_t parse_escape(struct parse *p) {
    const int byte = parse_peek(p);
    if (byte < 0) return parse_fault(p, FAULT_INPUT, "a backslash at the end");
    static const char names[] = "tnrfva", values[] = "\t\n\r\f\v\a";
    const char *const name = strchr(names, byte);
    if (byte && name) {
        p->at++;
        return (uint32_t)values[name - names];
    }
    if (parse_take(p, "x")) return parse_hex(p);
    const bool letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
    if (letter || (byte >= '0' && byte <= '9'))
        return parse_fault(p, FAULT_INPUT, "this escape is not supported (neither \\b, \\p{..} nor back references)");
    uint32_t character;
    p->at += pattern_decode(slice_from(p->source, p->at), &character);
    return character;
}

static bool parse_posix_class(struct parse *p) {
    static const struct {
        const char *name;
        struct pattern_range ranges[4];
    } classes[] = {
        {"alnum:]", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}},
        {"alpha:]", {{'A', 'Z'}, {'a', 'z'}}},
        {"ascii:]", {{0, 0x7f}}},
        {"blank:]", {{'\t', '\t'}, {' ', ' '}}},
        {"cntrl:]", {{0, 0x1f}, {0x7f, 0x7f}}},
        {"digit:]", {{'0', '9'}}},
        {"graph:]", {{'!', '~'}}},
        {"lower:]", {{'a', 'z'}}},
        {"print:]", {{' ', '~'}}},
        {"punct:]", {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}},
        {"space:]", {{'\t', '\r'}, {' ', ' '}}},
        {"upper:]", {{'A', 'Z'}}},
        {"word:]", {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}},
        {"xdigit:]", {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}},
    };
    if (!parse_take(p, "[:")) return false;
    const bool negated = parse_take(p, "^");
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (!parse_take(p, classes[i].name)) continue;
        const unsigned from = p->tree->ranges_count;
        for (size_t j = 0; j < 4 && classes[i].ranges[j].last; j++)
            parse_add_folded(p, classes[i].ranges[j].first, classes[i].ranges[j].last);
        if (negated) parse_negate(p, from);
        return true;
    }
    parse_fault(p, FAULT_INPUT, "expected a known [:class:]");
    return true;
}

/* One end of a range inside brackets. */
static uint32_t parse_class_character(struct parse *p) {
    if (parse_take(p, "\\")) return parse_escape(p);
    uint32_t character;
    p->at += pattern_decode(slice_from(p->source, p->at), &character);
    return character;
}

/* Behind '['. */
static unsigned parse_brackets(struct parse *p) {
    const unsigned from = p->tree->ranges_count;
    const bool negated = parse_take(p, "^");
    for (bool first = true;; first = false) {
        if (p->code) return 0;
        if (parse_peek(p) < 0) return parse_fault(p, FAULT_INPUT, "expected a closing ']'");
        if (!first && parse_take(p, "]")) break;
        if (parse_posix_class(p)) continue;
        if (parse_peek(p) == '\\' && p->at + 1 < p->source.size && parse_perl_class(p, p->source.data[p->at + 1])) {
            p->at += 2;
            continue;
        }
        const uint32_t low = parse_class_character(p);
        uint32_t high = low;
        if (parse_peek(p) == '-' && p->at + 1 < p->source.size && p->source.data[p->at + 1] != ']') {
            p->at++;
            high = parse_class_character(p);
        }
        if (p->code) return 0;
        if (high < low) return parse_fault(p, FAULT_INPUT, "a range that runs backwards");
        parse_add_folded(p, low, high);
    }
    if (negated) parse_negate(p, from);
    return parse_class_node(p, from);
}

/* Behind "(?": flags up to ')' or ':'. True when a group follows. */
static bool parse_flags(struct parse *p) {
    for (bool on = true;;) {
        const int byte = parse_peek(p);
        if (byte >= 0) p->at++;
        switch (byte) {
        case '-': on = false; break;
        case 'i': p->fold = on; break;
        case 's': p->no_dot_newline = !on; break;
        case 'U': break; /* which of several matches is taken does not matter here */
        case ')': return false;
        case ':': return true;
        default: parse_fault(p, FAULT_INPUT, "this kind of group is not supported"); return false;
        }
    }
}

/* Behind '('. A group's flags end with it. */
static unsigned parse_group(struct parse *p) {
    const bool fold = p->fold, no_dot_newline = p->no_dot_newline;
    if (parse_take(p, "?P<") || parse_take(p, "?<")) {
        while (parse_peek(p) == '_' || (parse_peek(p) >= '0' && parse_peek(p) <= '9') ||
               ((parse_peek(p) | 0x20) >= 'a' && (parse_peek(p) | 0x20) <= 'z'))
            p->at++;
        if (!parse_take(p, ">")) return parse_fault(p, FAULT_INPUT, "expected the name of a group and '>'");
    } else if (parse_take(p, "?")) {
        if (!parse_flags(p)) return parse_node(p, NODE_EMPTY, 0, 0); /* (?i): on to the end of this group */
    }
    if (p->depth == PATTERN_DEPTH_MAX) return parse_fault(p, FAULT_LIMIT, "groups nested too deep (PATTERN_DEPTH_MAX)");
    p->depth++;
    const unsigned node = parse_or(p);
    p->depth--;
    if (!parse_take(p, ")")) return parse_fault(p, FAULT_INPUT, "expected a closing ')'");
    p->fold = fold;
    p->no_dot_newline = no_dot_newline;
    return node;
}

static unsigned parse_dot(struct parse *p) {
    const unsigned from = p->tree->ranges_count;
    if (p->no_dot_newline) {
        parse_add_range(p, '\n', '\n');
        parse_negate(p, from);
    } else {
        parse_add_range(p, 0, UINT32_MAX);
    }
    return parse_class_node(p, from);
}

static unsigned parse_atom(struct parse *p) {
    if (parse_take(p, "\\Q")) p->quoted = true;
    if (p->quoted && parse_take(p, "\\E")) {
        p->quoted = false;
        return parse_node(p, NODE_EMPTY, 0, 0);
    }
    if (parse_peek(p) < 0) return parse_node(p, NODE_EMPTY, 0, 0); /* behind a \Q at the end */
    if (!p->quoted) {
        if (parse_take(p, "(")) return parse_group(p);
        if (parse_take(p, "[")) return parse_brackets(p);
        if (parse_take(p, ".")) return parse_dot(p);
        if (parse_take(p, "^") || parse_take(p, "\\A")) return parse_node(p, NODE_BEGIN, 0, 0);
        if (parse_take(p, "$") || parse_take(p, "\\z")) return parse_node(p, NODE_END, 0, 0);
        const int byte = parse_peek(p);
        if (byte == '*' || byte == '+' || byte == '?')
            return parse_fault(p, FAULT_INPUT, "nothing before it to repeat");
        if (parse_take(p, "\\")) {
            const unsigned from = p->tree->ranges_count;
            if (parse_perl_class(p, parse_peek(p))) {
                p->at++;
                return parse_class_node(p, from);
            }
            const uint32_t character = parse_escape(p);
            return parse_character_node(p, character);
        }
    }
    uint32_t character;
    p->at += pattern_decode(slice_from(p->source, p->at), &character);
    return parse_character_node(p, character);
}

/* {n} {n,} {n,m}: false, and nothing taken, when the brace is no repeat but a character, as in RE2. */
static bool parse_counts(struct parse *p, int *ret_min, int *ret_max) {
    size_t at = p->at + 1;
    int numbers[2] = {-1, -1};
    for (int i = 0; i < 2; i++) {
        for (; at < p->source.size && p->source.data[at] >= '0' && p->source.data[at] <= '9'; at++) {
            if (numbers[i] < 0) numbers[i] = 0;
            if (numbers[i] <= PATTERN_REPEAT_MAX) numbers[i] = numbers[i] * 10 + (p->source.data[at] - '0');
        }
        if (i == 0) {
            if (numbers[0] < 0) return false;
            if (at < p->source.size && p->source.data[at] == ',')
                at++;
            else {
                numbers[1] = numbers[0];
                break;
            }
        }
    }
    if (at >= p->source.size || p->source.data[at] != '}') return false;
    p->at = at + 1;
    *ret_min = numbers[0];
    *ret_max = numbers[1];
    if (numbers[0] > PATTERN_REPEAT_MAX || numbers[1] > PATTERN_REPEAT_MAX ||
        (numbers[1] >= 0 && numbers[1] < numbers[0]))
        parse_fault(p, FAULT_INPUT, "expected {n}, {n,} or {n,m} with n <= m <= 1000 (PATTERN_REPEAT_MAX)");
    return true;
}

static unsigned parse_repeated(struct parse *p) {
    const unsigned atom = parse_atom(p);
    if (p->quoted) return atom;
    int min = 1, max = 1;
    if (parse_take(p, "*"))
        min = 0, max = -1;
    else if (parse_take(p, "+"))
        max = -1;
    else if (parse_take(p, "?"))
        min = 0;
    else if (parse_peek(p) != '{' || !parse_counts(p, &min, &max))
        return atom;
    (void)parse_take(p, "?");
    const unsigned repeat = parse_node(p, NODE_REPEAT, atom, 0);
    if (p->code) return 0;
    p->tree->nodes[repeat].min = min;
    p->tree->nodes[repeat].max = max;
    const int byte = parse_peek(p);
    if (byte == '*' || byte == '+' || byte == '?')
        return parse_fault(p, FAULT_INPUT, "a repeat of a repeat: use a group");
    return repeat;
}

static unsigned parse_then(struct parse *p) {
    unsigned node = parse_node(p, NODE_EMPTY, 0, 0);
    while (p->code == FAULT_NONE && p->at < p->source.size &&
           (p->quoted || (parse_peek(p) != '|' && parse_peek(p) != ')'))) {
        const unsigned next = parse_repeated(p);
        node = parse_node(p, NODE_THEN, node, next);
    }
    return node;
}

static unsigned parse_or(struct parse *p) {
    unsigned node = parse_then(p);
    while (p->code == FAULT_NONE && parse_take(p, "|")) {
        const unsigned next = parse_then(p);
        node = parse_node(p, NODE_OR, node, next);
    }
    return node;
}

fault_code pattern_parse(slice source, struct pattern_tree **ret_tree, struct fault *reterr) {
    struct pattern_tree *const tree = calloc(1, sizeof *tree);
    if (tree == NULL) return fault_set(reterr, FAULT_SYSTEM, "out of memory");
    struct parse p = {.source = source, .tree = tree, .reterr = reterr};
    tree->root = parse_or(&p);
    if (p.code == FAULT_NONE && p.at < source.size) parse_fault(&p, FAULT_INPUT, "a ')' without its '('");
    if (p.code) {
        free(tree);
        return p.code;
    }
    *ret_tree = tree;
    return FAULT_NONE;
}

size_t pattern_decode(slice text, uint32_t *ret_character) {
    const uint8_t *const at = text.data;
    const uint8_t first = at[0];
    size_t size = first < 0x80                     ? 1
                  : first >= 0xc2 && first <= 0xdf ? 2
                  : (first & 0xf0) == 0xe0         ? 3
                  : first >= 0xf0 && first <= 0xf4 ? 4
                                                   : 0;
    uint32_t character = size == 1 ? first : first & (0x7fu >> size);
    bool valid = size > 0 && size <= text.size;
    for (size_t i = 1; valid && i < size; i++) {
        valid = (at[i] & 0xc0) == 0x80;
        character = character << 6 | (at[i] & 0x3fu);
    }
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (valid &&
        (character < lowest[size] || character > PATTERN_CHARACTER_MAX || (character >= 0xd800 && character <= 0xdfff)))
        valid = false;
    *ret_character = valid ? character : PATTERN_CHARACTER_MAX + 1u + first;
    return valid ? size : 1;
}
