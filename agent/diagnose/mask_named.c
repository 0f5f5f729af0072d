/* SPDX-License-Identifier: Apache-2.0
 * The rules about names: what stands behind "password=", in <password> or after "name: DB_PASSWORD". They look at each
 * place, also within what they have marked: what is masked as the value of one name may be the name of another.
 */
#include "agent/diagnose/mask_name.h"
#include "agent/diagnose/mask_rules.h"
#include "agent/diagnose/mask_text.h"
#include "agent/diagnose/mask_value.h"

enum {
    PAIR_DEPTH_MAX = 16,
    TYPES_MAX = 4,             /* in front of one value */
    TYPE_BYTES_MAX = 64,       /* "(*main.Password)" */
    PAIR_BYTES_MAX = 2048,     /* from a name to its value */
    TAG_BYTES_MAX = 256,       /* an element's attributes */
    ELEMENT_BYTES_MAX = 4096,  /* an element's content */
    IDENTIFIED_BYTES_MAX = 96, /* "IDENTIFIED WITH plugin BY" */
};

/* The name that ends before `at`, quotes and blanks between, and the bracket of "config[password]" where it may be;
 * empty when there is none. */
static slice name_before(slice text, size_t at, bool bracket) {
    size_t end = at;
    while (end > 0 && (mask_is_blank(text.data[end - 1]) || mask_is_quote(text.data[end - 1]) ||
                       text.data[end - 1] == '\\' || (bracket && text.data[end - 1] == ']')))
        end--;
    size_t begin = end;
    while (begin > 0 && end - begin < MASK_NAME_BYTES_MAX && mask_is_name_byte(text.data[begin - 1])) begin--;
    return slice_of(text.data + begin, end - begin);
}

/* The word of name bytes behind `at`, of which backslashes and a quote may stand. */
static slice word_behind(slice text, size_t at) {
    while (at < text.size && text.data[at] == '\\') at++;
    if (at < text.size && mask_is_quote(text.data[at])) at++;
    size_t end = at;
    while (end < text.size && end - at < MASK_NAME_BYTES_MAX && mask_is_name_byte(text.data[end])) end++;
    return slice_of(text.data + at, end - at);
}

/* ---- name=value ---- */

/* A name and a value that stand beside one another in an object, whichever comes first: at most one of them is waiting. */
struct pair {
    enum { PAIR_NONE, PAIR_NAME, PAIR_SECRET_NAME, PAIR_VALUE } waiting;
    size_t at, value, value_name; /* at: of the separator; value: where it begins */
};

struct named_values {
    struct mask_values values;
    struct pair pairs[PAIR_DEPTH_MAX];
    size_t depth;
};

static struct pair *pair_of(struct named_values *pass) {
    return &pass->pairs[pass->depth < PAIR_DEPTH_MAX ? pass->depth : PAIR_DEPTH_MAX - 1];
}

static void on_pair(struct named_values *pass, enum mask_name is, size_t name, size_t at, size_t value) {
    struct pair *const pair = pair_of(pass), before = *pair;
    const bool near = before.waiting && at - before.at <= PAIR_BYTES_MAX;
    *pair = (struct pair){0};
    if (is == MASK_NAME_VALUE) {
        if (near && before.waiting == PAIR_SECRET_NAME)
            mask_value_mark_named(&pass->values, name, value, false);
        else if (!near || before.waiting == PAIR_VALUE)
            *pair = (struct pair){PAIR_VALUE, at, value, name};
        return;
    }
    const bool secret = mask_name_is_secret(word_behind(pass->values.text, value));
    if (near && before.waiting == PAIR_VALUE) {
        if (secret) mask_value_mark_named(&pass->values, before.value_name, before.value, false);
    } else {
        *pair = (struct pair){secret ? PAIR_SECRET_NAME : PAIR_NAME, at, value, name};
    }
}

/* Of "api key", "secret key" and the like it is the first word that tells. */
static slice name_of_words(slice text, slice name) {
    const size_t at = (size_t)(name.data - text.data);
    if (at < 2 || text.data[at - 1] != ' ' || !mask_is_alnum(text.data[at - 2])) return name;
    size_t begin = at - 1;
    while (begin > 0 && at - begin < MASK_NAME_BYTES_MAX && mask_is_name_byte(text.data[begin - 1])) begin--;
    const slice words = slice_of(text.data + begin, at - begin + name.size);
    return mask_name_is_secret(words) ? words : name;
}

/* Go's spew puts types between: "Password:(string) (len=8) "x"". at: behind the separator. */
static size_t skip_types(slice text, size_t at) {
    size_t value = at;
    for (unsigned types = 0; types < TYPES_MAX && value < text.size && text.data[value] == '('; types++) {
        const slice type = slice_first(slice_from(text, value), TYPE_BYTES_MAX);
        const uint8_t *const end = memchr(type.data, ')', type.size);
        if (!end || memchr(type.data, '\n', (size_t)(end - type.data))) return at;
        value = mask_skip_blanks(text, (size_t)(end - text.data) + 1);
    }
    return value < text.size && mask_is_quote(text.data[value]) ? value : at;
}

/* "tokens: 5": how many there are, or a part of them. */
static bool is_count(slice text, size_t at) {
    if (at >= text.size || !isdigit(text.data[at])) return false;
    while (at < text.size && (isdigit(text.data[at]) || (text.data[at] && strchr(".,_/%", text.data[at])))) at++;
    return at == text.size || text.data[at] <= ' ' || strchr(")]};\"'\\", text.data[at]);
}

static void on_separator(struct named_values *pass, size_t at) {
    const slice text = pass->values.text;
    slice name = name_before(text, at, text.data[at] == '=');
    enum mask_name is = name.size ? mask_name_of(name) : MASK_NAME_OTHER;
    if (is == MASK_NAME_OF_PAIR) {
        name = name_of_words(text, name);
        is = mask_name_of(name);
    }
    if (is == MASK_NAME_OTHER) return;
    const size_t name_at = (size_t)(name.data - text.data);
    size_t value = at + 1;
    if (value < text.size && text.data[value] == '>') value++; /* "=>" */
    while (value < text.size && (mask_is_blank(text.data[value]) || text.data[value] == '=')) value++;
    value = skip_types(text, value);
    if (is == MASK_NAME_VALUE || is == MASK_NAME_OF_PAIR)
        on_pair(pass, is, name_at, at, value);
    else if (is != MASK_NAME_SECRETS || !is_count(text, value))
        mask_value_mark_named(&pass->values, name_at, value, is == MASK_NAME_LINE);
}

/* "password<tab>x", as in a table. */
static void on_tab(struct named_values *pass, size_t at) {
    const slice text = pass->values.text;
    if (!at || !mask_is_alnum(text.data[at - 1])) return;
    const slice name = name_before(text, at, false);
    const enum mask_name is = mask_name_of(name);
    if (is != MASK_NAME_PHRASE && is != MASK_NAME_SECRET) return;
    const size_t value = mask_skip_blanks(text, at);
    if (value < text.size && text.data[value] != '\n') mask_value_mark(&pass->values, value, false);
}

static void on_line(struct named_values *pass, size_t line) {
    const slice text = pass->values.text;
    pass->values.line = line;
    const size_t at = mask_skip_blanks(text, line);
    if (at + 1 < text.size && text.data[at] == '-' && mask_is_blank(text.data[at + 1]))
        *pair_of(pass) = (struct pair){0};
}

void mask_rule_named_values(slice text, uint8_t *marks) {
    struct named_values pass = {.values = {.text = text, .marks = marks}};
    for (size_t at = 0; at < text.size; at++) switch (text.data[at]) {
        case '=':
        case ':': on_separator(&pass, at); break;
        case '\t': on_tab(&pass, at); break;
        case '\n': on_line(&pass, at + 1); break;
        case '{':
            pass.depth++;
            *pair_of(&pass) = (struct pair){0};
            break;
        case '}':
            *pair_of(&pass) = (struct pair){0};
            pass.depth -= pass.depth > 0;
            break;
        default: break;
        }
}

/* ---- "--password x" ---- */

void mask_rule_options(slice text, uint8_t *marks) {
    struct mask_values values = {.text = text, .marks = marks};
    for (size_t at = 0; at + 2 < text.size; at++) {
        if (text.data[at] == '\n') values.line = at + 1;
        if (text.data[at] != '-') continue;
        const bool two = text.data[at + 1] == '-';
        if (!two && at > 0 && text.data[at - 1] > ' ' && !mask_is_quote(text.data[at - 1])) continue;
        const size_t begin = at + 1 + two;
        size_t end = begin;
        while (end < text.size && mask_is_name_byte(text.data[end])) end++;
        size_t value = mask_skip_blanks(text, end);
        if (end - begin > 2 && value > end && mask_name_is_secret(slice_of(text.data + begin, end - begin)))
            mask_value_mark(&values, value, false);
        at = end - 1;
    }
}

/* ---- <password>x</password> ---- */

/* Where the element of that name is closed; SIZE_MAX: not before `limit`. */
static size_t element_end(slice text, size_t at, size_t limit, slice name) {
    const slice within = slice_first(text, limit);
    while ((at = mask_find(within, at, SLICE_LIT("</"))) != SIZE_MAX) {
        if (slice_starts_with(slice_from(within, at + 2), name)) return at;
        at += 2;
    }
    return SIZE_MAX;
}

void mask_rule_elements(slice text, uint8_t *marks) {
    size_t open = 0; /* up to here an element was looked for that is not closed */
    for (size_t at = 0; at + 1 < text.size; at++) {
        if (text.data[at] != '<') continue;
        const size_t begin = at + 1;
        size_t end = begin;
        while (end < text.size && end - begin < MASK_NAME_BYTES_MAX &&
               (mask_is_name_byte(text.data[end]) || text.data[end] == ':'))
            end++;
        const slice name = slice_of(text.data + begin, end - begin);
        if (!name.size || !mask_name_is_secret(name)) continue;
        while (end < text.size && end - begin < TAG_BYTES_MAX && !strchr("<>\n", text.data[end])) end++;
        if (end >= text.size || text.data[end] != '>' || text.data[end - 1] == '/') continue;
        const size_t content = end + 1, rest = text.size - content,
                     limit = rest > ELEMENT_BYTES_MAX ? content + ELEMENT_BYTES_MAX : text.size;
        const size_t closed = content >= open ? element_end(text, content, limit, name) : SIZE_MAX;
        end = closed;
        if (closed == SIZE_MAX) { /* perhaps no element at all: "usage: login <user> <password> [options]" */
            if (content >= open) open = limit;
            end = content;
            if (end < text.size && mask_is_alnum(text.data[end]))
                while (end < text.size && text.data[end] > ' ' && text.data[end] != '<') end++;
        }
        mask_mark(marks, content, end);
        if (end > at) at = end - 1;
    }
}

/* ---- password 'x', IDENTIFIED BY x ---- */

/* Whether the words before the quote at `at` say that a password follows. */
static bool announces_password(slice text, size_t at) {
    if (!at || !mask_is_blank(text.data[at - 1])) return false;
    const slice word = name_before(text, at, false);
    if (!word.size) return false;
    if (mask_name_of(word) == MASK_NAME_PHRASE) return true;
    if (word.size != 2 || !mask_goes_on_with(word, 0, SLICE_LIT("by"))) return false;
    const size_t from = at > IDENTIFIED_BYTES_MAX ? at - IDENTIFIED_BYTES_MAX : 0;
    for (size_t i = from; i < at; i++)
        if (mask_goes_on_with(text, i, SLICE_LIT("identified"))) return true;
    return false;
}

void mask_rule_phrases(slice text, uint8_t *marks) {
    static const slice phrases[] = {{(const uint8_t *)"identified by ", 14},
                                    {(const uint8_t *)"requirepass ", 12},
                                    {(const uint8_t *)"masterauth ", 11}};
    struct mask_values values = {.text = text, .marks = marks};
    for (size_t at = 0; at < text.size; at++) {
        if (text.data[at] == '\n') values.line = at + 1;
        if (mask_is_quote(text.data[at]) && announces_password(text, at)) mask_value_mark(&values, at, false);
        for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
            if (tolower(text.data[at]) == phrases[i].data[0] && mask_goes_on_with(text, at, phrases[i]))
                mask_value_mark(&values, mask_skip_blanks(text, at + phrases[i].size), false);
    }
}
