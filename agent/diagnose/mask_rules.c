/* SPDX-License-Identifier: Apache-2.0
 * Every rule looks at each place of the text, also within what it has marked: what is masked as the value of one name may
 * be the name of another. So that a line of nothing but "password=" costs no more than any other, a rule remembers how far
 * it has looked for an end. No rule asks for a border before a secret, because logs have it glued to anything; and each
 * takes all that may still belong to it, because half a secret is a leak.
 */
#include "agent/diagnose/mask_rules.h"

#include <ctype.h>

enum {
    KEY_BLOCK_LOOKBACK = 16 * 1024, /* a private key whose begin was cut off; RSA with 16,384 bits takes 12.5 KiB */
    NAME_BYTES_MAX = 128,
    SCHEME_BYTES_MIN = 8, /* of what stands behind "Bearer " */
    RANDOM_CHANGES_MIN = 6,
    RANDOM_BYTES_MIN = 40, /* an AWS secret key; a SHA-1 or SHA-256 in hexadecimal digits is left as it is */
};

static void mark(uint8_t *marks, size_t begin, size_t end) {
    if (end > begin) memset(marks + begin, 1, end - begin);
}

static bool is_alnum(uint8_t c) {
    return isalnum(c) && c < 128;
}

static bool is_space(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_quote(uint8_t c) {
    return c == '"' || c == '\'' || c == '`';
}

/* Prefix without regard to case; `prefix` is in small letters. */
static bool has_prefix(slice text, slice prefix) {
    if (text.size < prefix.size) return false;
    for (size_t i = 0; i < prefix.size; i++)
        if (tolower(text.data[i]) != prefix.data[i]) return false;
    return true;
}

/* ---- PEM ---- */

static size_t find_text(slice text, size_t from, const char *what) {
    const uint8_t *const found =
        from < text.size ? memmem(text.data + from, text.size - from, what, strlen(what)) : NULL;
    return found ? (size_t)(found - text.data) : SIZE_MAX;
}

/* The begin or end of a block at `at`: where what it names ends, 0 when that is no private key. */
static size_t key_label_end(slice text, size_t at, size_t head_bytes) {
    const slice label = slice_first(slice_from(text, at + head_bytes), 64);
    const size_t size = find_text(label, 0, "-----");
    if (size == SIZE_MAX) return 0;
    const size_t private = find_text(slice_first(label, size), 0, "PRIVATE KEY");
    return private == SIZE_MAX ? 0 : at + head_bytes + size + 5;
}

void mask_rule_key_blocks(slice text, uint8_t *marks) {
    static const char begin[] = "-----BEGIN ", end[] = "-----END ";
    size_t at = 0, from = 0; /* from: marks do not reach behind the block before */
    while (at < text.size) {
        const size_t next_begin = find_text(text, at, begin), next_end = find_text(text, at, end);
        if (next_begin == SIZE_MAX && next_end == SIZE_MAX) return;
        if (next_begin < next_end) {
            const size_t head = key_label_end(text, next_begin, sizeof begin - 1);
            at = head ? head : next_begin + sizeof begin - 1;
            if (!head) continue;
            size_t tail = next_end, tail_end = 0;
            while (tail != SIZE_MAX && !(tail_end = key_label_end(text, tail, sizeof end - 1)))
                tail = find_text(text, tail + sizeof end - 1, end);
            if (!tail_end) tail_end = text.size; /* it goes on behind what we have */
            mark(marks, next_begin, tail_end);
            at = from = tail_end;
        } else { /* an end without a begin: the key was cut off at the front */
            const size_t tail_end = key_label_end(text, next_end, sizeof end - 1);
            at = tail_end ? tail_end : next_end + sizeof end - 1;
            if (!tail_end) continue;
            const size_t back = next_end > KEY_BLOCK_LOOKBACK ? next_end - KEY_BLOCK_LOOKBACK : 0;
            mark(marks, back > from ? back : from, tail_end);
            from = tail_end;
        }
    }
}

/* ---- tokens by their prefix ---- */

struct token_row {
    slice prefix;
    size_t rest_min;    /* bytes behind the prefix, at least */
    const char *others; /* what a token holds besides letters and digits */
};

#define TOKEN(prefix, rest_min, others)                                                                                \
    { {(const uint8_t *)(prefix), sizeof(prefix) - 1}, rest_min, others }
static const struct token_row token_rows[] = {
    TOKEN("eyJ", 14, "-_."), /* a JSON Web Token, whole or not */
    TOKEN("AKIA", 12, ""),
    TOKEN("ASIA", 12, ""),
    TOKEN("ABIA", 12, ""),
    TOKEN("ACCA", 12, ""),
    TOKEN("ghp_", 16, "_"),
    TOKEN("gho_", 16, "_"),
    TOKEN("ghu_", 16, "_"),
    TOKEN("ghs_", 16, "_"),
    TOKEN("ghr_", 16, "_"),
    TOKEN("github_pat_", 16, "_"),
    TOKEN("glpat-", 12, "-_."),
    TOKEN("xoxb-", 8, "-"),
    TOKEN("xoxp-", 8, "-"),
    TOKEN("xoxa-", 8, "-"),
    TOKEN("xoxr-", 8, "-"),
    TOKEN("xoxs-", 8, "-"),
    TOKEN("xoxe", 8, "-."),
    TOKEN("xapp-", 8, "-"),
    TOKEN("sk_live_", 12, "_"),
    TOKEN("rk_live_", 12, "_"),
    TOKEN("sk_test_", 12, "_"),
    TOKEN("sk-", 20, "-_"),
    TOKEN("AIza", 24, "-_"),
    TOKEN("ya29.", 12, "-_."),
    TOKEN("npm_", 20, ""),
    TOKEN("pypi-", 20, "-_"),
    TOKEN("SG.", 20, "-_."),
    TOKEN("hvs.", 16, "-_."),
    TOKEN("dop_v1_", 16, ""),
    TOKEN("AGE-SECRET-KEY-1", 16, ""),
    TOKEN("hooks.slack.com/services/", 8, "/"),
};

static bool is_token_byte(const struct token_row *row, uint8_t c) {
    return is_alnum(c) || (c && strchr(row->others, c));
}

enum { TOKEN_ROWS = sizeof token_rows / sizeof *token_rows };

void mask_rule_tokens(slice line, uint8_t *marks) {
    size_t ends[TOKEN_ROWS] = {0}; /* of the run of that row's bytes that was looked at last */
    for (size_t at = 0; at < line.size; at++)
        for (size_t i = 0; i < TOKEN_ROWS; i++) {
            const struct token_row *const row = &token_rows[i];
            if (line.data[at] != row->prefix.data[0] || !slice_starts_with(slice_from(line, at), row->prefix)) continue;
            const size_t rest = at + row->prefix.size;
            if (ends[i] >= rest) continue; /* within a run that was looked at from its beginning */
            ends[i] = rest;
            while (ends[i] < line.size && is_token_byte(row, line.data[ends[i]])) ends[i]++;
            if (ends[i] - rest >= row->rest_min) mark(marks, at, ends[i]);
        }
}

/* ---- "Bearer x", "Basic x" ---- */

/* A word of prose is not masked: what is encoded has a digit, or letters of both sizes. */
static bool looks_encoded(slice word) {
    bool digit = false, upper = false, lower = false;
    for (size_t i = 0; i < word.size; i++) {
        digit |= isdigit(word.data[i]) || word.data[i] == '=' || word.data[i] >= 128;
        upper |= i > 0 && isupper(word.data[i]);
        lower |= islower(word.data[i]) != 0;
    }
    return digit || (upper && lower);
}

void mask_rule_schemes(slice line, uint8_t *marks) {
    static const slice schemes[] = {{(const uint8_t *)"bearer", 6}, {(const uint8_t *)"basic", 5}};
    for (size_t at = 0; at < line.size; at++)
        for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
            if (!has_prefix(slice_from(line, at), schemes[i])) continue;
            size_t begin = at + schemes[i].size;
            while (begin < line.size && is_space(line.data[begin])) begin++;
            size_t end = begin;
            while (end < line.size && line.data[end] > ' ' && !is_quote(line.data[end]) && line.data[end] != '\\')
                end++;
            if (begin == at + schemes[i].size || end - begin < SCHEME_BYTES_MIN) continue;
            if (!looks_encoded(slice_of(line.data + begin, end - begin))) continue;
            mark(marks, begin, end);
        }
}

/* ---- https://user:password@host ---- */

void mask_rule_urls(slice line, uint8_t *marks) {
    size_t at = 0;
    while ((at = find_text(line, at, "://")) != SIZE_MAX) {
        size_t end = at += 3, last = 0;
        for (;
             end < line.size && line.data[end] > ' ' && !is_quote(line.data[end]) && !strchr("/?#<>\\", line.data[end]);
             end++)
            if (line.data[end] == '@') last = end;
        if (last) mark(marks, at, last);
        at = end > at ? end - 1 : end; /* what ended it may be the slashes of another */
    }
}

/* ---- values beside names ---- */

/* Small letters, without marks between. A name is one of a secret when it ends so. */
static const char *const secret_ends[] = {
    "password",   "passwd",          "passphrase",    "pwd",        "secret",           "token",
    "apikey",     "accesskey",       "secretkey",     "privatekey", "encryptionkey",    "signingkey",
    "credential", "credentials",     "authorization", "cookie",     "sessionid",        "connectionstring",
    "dsn",        "secretaccesskey", "accountkey",    "sharedkey",  "dockerconfigjson",
};
/* A name's last word, as "DB_PASS": alone or behind a mark. */
static const char *const secret_words[] = {"pass", "auth", "pw", "pin", "jwt", "otp", "dsn"};

static bool ends_with(const char *name, size_t size, const char *end) {
    const size_t end_size = strlen(end);
    return size >= end_size && memcmp(name + size - end_size, end, end_size) == 0;
}

bool mask_rule_secret_name(slice name) {
    char small[NAME_BYTES_MAX + 1];
    size_t size = 0, word = 0;
    if (name.size > NAME_BYTES_MAX) name = slice_from(name, name.size - NAME_BYTES_MAX);
    for (size_t i = 0; i < name.size; i++) {
        if (is_alnum(name.data[i]))
            small[size++] = (char)tolower(name.data[i]);
        else
            word = size;
    }
    for (size_t i = 0; i < sizeof secret_ends / sizeof *secret_ends; i++)
        if (ends_with(small, size, secret_ends[i])) return true;
    for (size_t i = 0; i < sizeof secret_words / sizeof *secret_words; i++)
        if (size - word == strlen(secret_words[i]) && ends_with(small, size, secret_words[i])) return true;
    return false;
}

static bool is_name_byte(uint8_t c) {
    return is_alnum(c) || c == '_' || c == '-' || c == '.';
}

/* The name that ends before `at`, quotes and blanks between; empty when there is none. */
static slice name_before(slice line, size_t at) {
    size_t end = at;
    while (end > 0 && (is_space(line.data[end - 1]) || is_quote(line.data[end - 1]) || line.data[end - 1] == '\\'))
        end--;
    size_t begin = end;
    while (begin > 0 && end - begin < NAME_BYTES_MAX && is_name_byte(line.data[begin - 1])) begin--;
    return slice_of(line.data + begin, end - begin);
}

/* Some values are several words. */
static bool takes_the_line(slice name) {
    static const char *const names[] = {"authorization", "cookie", "connectionstring"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const slice end = slice_from_text(names[i]);
        if (name.size >= end.size && has_prefix(slice_from(name, name.size - end.size), end)) return true;
    }
    return false;
}

/* Where a value ends that begins at `begin`: at the quote that closes the one it opens with, of the same kind and escaped
 * as that is; without one, at white space or a quotation mark. *ret_begin: behind the opening quote. *bare_end: how far the
 * last one without quotes went, 0 at first; a value within that is marked already, and empty here. */
static size_t value_end(slice line, size_t begin, bool whole_line, size_t *bare_end, size_t *ret_begin) {
    size_t at = begin, escapes = 0, before = 0; /* before: backslashes right before `at` */
    while (at < line.size && line.data[at] == '\\') at++, escapes++;
    *ret_begin = begin;
    if (at < line.size && is_quote(line.data[at])) {
        const uint8_t quote = line.data[at];
        *ret_begin = ++at;
        for (; at < line.size && !(line.data[at] == quote && before <= escapes); at++)
            before = line.data[at] == '\\' ? before + 1 : 0;
        return at < line.size && before == escapes ? at - escapes : at;
    }
    if (whole_line ? *bare_end == line.size : *bare_end > begin) return begin;
    *bare_end = whole_line ? line.size : begin;
    while (*bare_end < line.size && line.data[*bare_end] > ' ' && !is_quote(line.data[*bare_end])) ++*bare_end;
    return *bare_end;
}

static void mark_value(slice line, size_t separator, slice name, size_t *bare_end, uint8_t *marks) {
    size_t begin = separator + 1;
    if (begin < line.size && line.data[begin] == '>') begin++; /* "=>" */
    while (begin < line.size && (is_space(line.data[begin]) || line.data[begin] == '=')) begin++;
    const size_t end = value_end(line, begin, takes_the_line(name), bare_end, &begin);
    mark(marks, begin, end);
}

void mask_rule_named_values(slice line, uint8_t *marks) {
    size_t bare_end = 0;
    for (size_t at = 0; at < line.size; at++) {
        const bool separates = line.data[at] == '=' || line.data[at] == ':';
        const slice name = separates ? name_before(line, at) : (slice){0};
        if (name.size && mask_rule_secret_name(name)) mark_value(line, at, name, &bare_end, marks);
    }
}

/* "--password x" */
void mask_rule_options(slice line, uint8_t *marks) {
    size_t bare_end = 0;
    for (size_t at = 0; at + 2 < line.size; at++) {
        if (line.data[at] != '-' || line.data[at + 1] != '-') continue;
        size_t end = at + 2;
        while (end < line.size && is_name_byte(line.data[end])) end++;
        size_t begin = end;
        while (begin < line.size && is_space(line.data[begin])) begin++;
        if (begin > end && mask_rule_secret_name(slice_of(line.data + at + 2, end - at - 2))) {
            const size_t value = value_end(line, begin, false, &bare_end, &begin);
            mark(marks, begin, value);
        }
        at = end - 1;
    }
}

/* ---- what looks random ---- */

static bool is_random_byte(uint8_t c) {
    return is_alnum(c) || c == '+' || c == '/' || c == '_' || c == '-';
}

enum kind { OTHER, DIGIT, LARGE, SMALL, KINDS };
static enum kind kind_of(uint8_t c) {
    return isdigit(c) ? DIGIT : isupper(c) ? LARGE : islower(c) ? SMALL : OTHER;
}

/* Whether the kind of character changes between i - 1 and i, but for one large letter between small ones: that is how names
 * of types are written. */
static bool changes_at(slice run, size_t i) {
    const enum kind before = kind_of(run.data[i - 1]), kind = kind_of(run.data[i]);
    if (!kind || !before || kind == before) return false;
    if (kind == LARGE) return before != SMALL || i + 1 >= run.size || kind_of(run.data[i + 1]) != SMALL;
    if (before == LARGE && kind == SMALL) return i < 2 || kind_of(run.data[i - 2]) != SMALL;
    return true;
}

/* Letters of both sizes and digits somewhere within RANDOM_BYTES_MIN, and they change as they do by chance: some twenty
 * times, seldom less than ten; in paths and names it is two or three. A window, so that nothing glued to a secret hides
 * it. */
static bool looks_random(slice run) {
    size_t kinds[KINDS] = {0}, changes = 0;
    for (size_t i = 0; i < run.size; i++) {
        kinds[kind_of(run.data[i])]++;
        changes += i > 0 && changes_at(run, i);
        if (i >= RANDOM_BYTES_MIN) {
            kinds[kind_of(run.data[i - RANDOM_BYTES_MIN])]--;
            changes -= changes_at(run, i - RANDOM_BYTES_MIN + 1);
        }
        if (i + 1 >= RANDOM_BYTES_MIN && kinds[DIGIT] && kinds[LARGE] && kinds[SMALL] && changes >= RANDOM_CHANGES_MIN)
            return true;
    }
    return false;
}

void mask_rule_random_runs(slice line, uint8_t *marks) {
    for (size_t at = 0; at < line.size;) {
        size_t end = at;
        while (end < line.size && is_random_byte(line.data[end])) end++;
        if (end - at >= RANDOM_BYTES_MIN && looks_random(slice_of(line.data + at, end - at))) {
            while (end < line.size && line.data[end] == '=') end++;
            mark(marks, at, end);
        }
        at = end > at ? end : at + 1;
    }
}
