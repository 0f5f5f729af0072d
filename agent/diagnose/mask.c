/* SPDX-License-Identifier: Apache-2.0
 * Two steps: rules mark bytes, one byte of marks for each of the text, and then what is not marked is copied, with one
 * mask for each stretch of marks. So rules need not agree on where a secret ends, and it costs nothing when they overlap:
 * what any of them marks is gone. The text is looked at as it stands, in its plain view, and, in both, within what is
 * encoded (mask_view.h). */
#include "agent/diagnose/mask.h"

#include "agent/diagnose/mask_name.h"
#include "agent/diagnose/mask_rules.h"
#include "agent/diagnose/mask_view.h"
#include "common/base/pattern.h"

#include <stdlib.h>

struct mask {
    struct pattern *patterns[MASK_PATTERNS_MAX];
    size_t patterns_count;
};

static mask_rule_fn *const rules[] = {
    mask_rule_key_blocks, mask_rule_tokens,       mask_rule_schemes,     mask_rule_urls,
    mask_rule_userinfo,   mask_rule_named_values, mask_rule_options,     mask_rule_elements,
    mask_rule_phrases,    mask_rule_commands,     mask_rule_random_runs,
};

fault_code mask_new(const slice *patterns, size_t patterns_count, struct mask **ret_mask, struct fault *reterr) {
    if (patterns_count > MASK_PATTERNS_MAX)
        return fault_set(reterr, FAULT_LIMIT, "%zu patterns to mask, at most %d", patterns_count, MASK_PATTERNS_MAX);
    struct mask *mask = calloc(1, sizeof *mask);
    if (!mask) return fault_set(reterr, FAULT_LIMIT, "make the mask: out of memory");
    for (; mask->patterns_count < patterns_count; mask->patterns_count++) {
        const slice source = patterns[mask->patterns_count];
        const fault_code code = pattern_compile(source, &mask->patterns[mask->patterns_count], reterr);
        if (!code) continue;
        mask_free(mask);
        return fault_wrap(reterr, "pattern '%.*s'", SLICE_ARG(slice_first(source, 100)));
    }
    *ret_mask = mask;
    return FAULT_NONE;
}

struct mask *mask_free(struct mask *mask) {
    if (!mask) return NULL;
    for (size_t i = 0; i < mask->patterns_count; i++) pattern_free(mask->patterns[i]);
    free(mask);
    return NULL;
}

/* What a pattern found may hold what it found before, again and again: only what is new is marked. */
struct found {
    uint8_t *marks;
    size_t begin, end; /* the stretch that begins first, as far as it got; end 0: none */
};

static void on_found(void *context, size_t begin, size_t end) {
    struct found *found = context;
    const bool more = found->end && begin >= found->begin && begin <= found->end;
    if (more && end <= found->end) return;
    const size_t from = more ? found->end : begin;
    memset(found->marks + from, 1, end - from);
    if (!found->end || begin < found->begin) found->begin = begin;
    if (more || begin <= found->begin) found->end = end;
}

static void mark_patterns(const struct mask *mask, slice text, uint8_t *marks) {
    for (size_t at = 0; at < text.size && mask->patterns_count;) {
        const uint8_t *const newline = memchr(text.data + at, '\n', text.size - at);
        const size_t size = newline ? (size_t)(newline - text.data) - at : text.size - at;
        for (size_t i = 0; i < mask->patterns_count; i++) {
            struct found found = {.marks = marks + at};
            pattern_find(mask->patterns[i], slice_of(text.data + at, size), on_found, &found);
        }
        at += size + 1;
    }
}

static void mark_text(const struct mask *mask, slice text, uint8_t *marks) {
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) rules[i](text, marks);
    if (mask) mark_patterns(mask, text, marks);
}

/* Whether there is a secret in what the run says. `room` takes twice the run: what it says, and its marks. */
static bool run_has_secret(const struct mask *mask, slice text, struct mask_run run, uint8_t *room) {
    const slice bytes = slice_of(text.data + run.begin, run.end - run.begin);
    const unsigned first = run.base64 ? 0 : MASK_BASE64_READINGS;
    const unsigned end = run.base64 ? MASK_BASE64_READINGS : MASK_RUN_READINGS;
    for (unsigned reading = first; reading < end; reading++) {
        const size_t size = mask_view_decode(bytes, reading, room);
        uint8_t *const marks = room + bytes.size;
        if (!size) continue;
        memset(marks, 0, size);
        mark_text(mask, slice_of(room, size), marks);
        if (memchr(marks, 1, size)) return true;
    }
    return false;
}

static bool mark_encoded(const struct mask *mask, slice text, uint8_t *marks) {
    struct mask_run run;
    for (size_t at = 0; mask_view_next_run(text, at, &run); at = run.end) {
        if (!memchr(marks + run.begin, 0, run.end - run.begin)) continue;
        uint8_t *const room = malloc(2 * (run.end - run.begin));
        if (!room) return false;
        if (run_has_secret(mask, text, run, room)) memset(marks + run.begin, 1, run.end - run.begin);
        free(room);
    }
    return true;
}

/* False: there is no memory to look at it. */
static bool mark_plain(const struct mask *mask, slice text, uint8_t *marks) {
    uint8_t *const plain = malloc(text.size);
    if (!plain) return false;
    const slice view = slice_of(plain, mask_view_plain(text, plain));
    const bool same = view.size == text.size;
    uint8_t *const view_marks = same ? NULL : calloc(1, view.size + 1);
    bool done = same;
    if (view_marks) {
        mark_text(mask, view, view_marks);
        done = mark_encoded(mask, view, view_marks);
        mask_view_return(text, view_marks, marks);
    }
    free(view_marks);
    free(plain);
    return done;
}

static void add_unmarked(slice text, const uint8_t *marks, struct text *out, uint32_t *count) {
    for (size_t at = 0; at < text.size;) {
        size_t end = at;
        while (end < text.size && marks[end] == marks[at]) end++;
        if (marks[at]) {
            text_add_text(out, MASK_TEXT);
            ++*count;
        } else {
            text_add(out, slice_of(text.data + at, end - at));
        }
        at = end;
    }
}

void mask_add(const struct mask *mask, slice text, struct text *out, uint32_t *count) {
    if (!text.size) return;
    uint8_t *const marks = calloc(1, text.size);
    if (marks) mark_text(mask, text, marks);
    if (marks && mark_encoded(mask, text, marks) && mark_plain(mask, text, marks))
        add_unmarked(text, marks, out, count);
    else
        out->full = true; /* better nothing than a secret */
    free(marks);
}

slice mask_whole(slice cut) {
    const uint8_t *const end = cut.size ? memrchr(cut.data, '\n', cut.size) : NULL;
    if (end) return slice_first(cut, (size_t)(end - cut.data) + 1);
    while (cut.size && cut.data[cut.size - 1] > ' ') cut.size--;
    return cut;
}

bool mask_is_secret_name(slice name) {
    return mask_name_is_secret(name);
}
