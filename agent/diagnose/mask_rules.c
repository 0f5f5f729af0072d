/* SPDX-License-Identifier: Apache-2.0
 * Secrets that are known by their own shape: private keys, tokens by how they begin, what stands behind "Bearer", long runs
 * that look random. No rule asks for a border before a secret, because logs have it glued to anything; and each takes all
 * that may still belong to it, because half a secret is a leak.
 */
#include "agent/diagnose/mask_rules.h"

#include "agent/diagnose/mask_text.h"

enum {
    KEY_BLOCK_LOOKBACK = 16 * 1024, /* a private key whose begin was cut off; RSA with 16,384 bits takes 12.5 KiB */
    SCHEME_BYTES_MIN = 8,           /* of what stands behind "Bearer " */
    RANDOM_CHANGES_MIN = 6,
    RANDOM_BYTES_MIN = 40, /* an AWS secret key; a SHA-1 or SHA-256 in hexadecimal digits is left as it is */
};

/* ---- PEM ---- */

/* The begin or end of a block at `at`: where what it names ends, 0 when that is no private key. */
static size_t key_label_end(slice text, size_t at, size_t head_bytes) {
    const slice label = slice_first(slice_from(text, at + head_bytes), 64);
    const size_t size = mask_find(label, 0, SLICE_LIT("-----"));
    if (size == SIZE_MAX) return 0;
    const size_t private = mask_find(slice_first(label, size), 0, SLICE_LIT("PRIVATE KEY"));
    return private == SIZE_MAX ? 0 : at + head_bytes + size + 5;
}

void mask_rule_key_blocks(slice text, uint8_t *marks) {
    const slice begin = SLICE_LIT("-----BEGIN "), end = SLICE_LIT("-----END ");
    size_t at = 0, from = 0; /* from: marks do not reach behind the block before */
    size_t next_begin = mask_find(text, 0, begin), next_end = mask_find(text, 0, end);
    while (at < text.size) {
        if (next_begin < at) next_begin = mask_find(text, at, begin);
        if (next_end < at) next_end = mask_find(text, at, end);
        if (next_begin == SIZE_MAX && next_end == SIZE_MAX) return;
        if (next_begin < next_end) {
            const size_t head = key_label_end(text, next_begin, begin.size);
            at = head ? head : next_begin + begin.size;
            if (!head) continue;
            size_t tail = next_end, tail_end = 0;
            while (tail != SIZE_MAX && !(tail_end = key_label_end(text, tail, end.size)))
                tail = mask_find(text, tail + end.size, end);
            if (!tail_end) tail_end = text.size; /* it goes on behind what we have */
            mask_mark(marks, next_begin, tail_end);
            at = from = tail_end;
        } else { /* an end without a begin: the key was cut off at the front */
            const size_t tail_end = key_label_end(text, next_end, end.size);
            at = tail_end ? tail_end : next_end + end.size;
            if (!tail_end) continue;
            const size_t back = next_end > KEY_BLOCK_LOOKBACK ? next_end - KEY_BLOCK_LOOKBACK : 0;
            mask_mark(marks, back > from ? back : from, tail_end);
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
    TOKEN("/api/webhooks/", 24, "/-_"),
    TOKEN("api.telegram.org/bot", 24, ":-_"),
};

static bool is_token_byte(const struct token_row *row, uint8_t c) {
    return mask_is_alnum(c) || (c && strchr(row->others, c));
}

enum { TOKEN_ROWS = sizeof token_rows / sizeof *token_rows };

void mask_rule_tokens(slice text, uint8_t *marks) {
    size_t ends[TOKEN_ROWS] = {0}; /* of the run of that row's bytes that was looked at last */
    for (size_t at = 0; at < text.size; at++)
        for (size_t i = 0; i < TOKEN_ROWS; i++) {
            const struct token_row *const row = &token_rows[i];
            if (text.data[at] != row->prefix.data[0] || !slice_starts_with(slice_from(text, at), row->prefix)) continue;
            const size_t rest = at + row->prefix.size;
            if (ends[i] >= rest) continue; /* within a run that was looked at from its beginning */
            ends[i] = rest;
            while (ends[i] < text.size && is_token_byte(row, text.data[ends[i]])) ends[i]++;
            if (ends[i] - rest >= row->rest_min) mask_mark(marks, at, ends[i]);
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

void mask_rule_schemes(slice text, uint8_t *marks) {
    static const slice schemes[] = {{(const uint8_t *)"bearer", 6}, {(const uint8_t *)"basic", 5}};
    for (size_t at = 0; at < text.size; at++)
        for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
            if (!mask_goes_on_with(text, at, schemes[i])) continue;
            size_t begin = at + schemes[i].size;
            while (begin < text.size && mask_is_blank(text.data[begin])) begin++;
            size_t end = begin;
            while (end < text.size && text.data[end] > ' ' && !mask_is_quote(text.data[end]) && text.data[end] != '\\')
                end++;
            if (begin == at + schemes[i].size || end - begin < SCHEME_BYTES_MIN) continue;
            if (!looks_encoded(slice_of(text.data + begin, end - begin))) continue;
            mask_mark(marks, begin, end);
        }
}

/* ---- what looks random ---- */

static bool is_random_byte(uint8_t c) {
    return mask_is_alnum(c) || c == '+' || c == '/' || c == '_' || c == '-';
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

void mask_rule_random_runs(slice text, uint8_t *marks) {
    for (size_t at = 0; at < text.size;) {
        size_t end = at;
        while (end < text.size && is_random_byte(text.data[end])) end++;
        if (end - at >= RANDOM_BYTES_MIN && looks_random(slice_of(text.data + at, end - at))) {
            while (end < text.size && text.data[end] == '=') end++;
            mask_mark(marks, at, end);
        }
        at = end > at ? end : at + 1;
    }
}
