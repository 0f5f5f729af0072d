/* SPDX-License-Identifier: Apache-2.0
 * Two steps: rules mark bytes, one byte of marks for each of the text, and then what is not marked is copied, with one
 * mask for each stretch of marks. So rules need not agree on where a secret ends, and it costs nothing when they overlap:
 * what any of them marks is gone. */
#include "agent/diagnose/mask.h"

#include "agent/diagnose/mask_rules.h"
#include "common/base/pattern.h"

#include <stdlib.h>

struct mask {
    struct pattern *patterns[MASK_PATTERNS_MAX];
    size_t patterns_count;
};

static mask_rule_fn *const line_rules[] = {
    mask_rule_tokens,       mask_rule_schemes, mask_rule_urls,
    mask_rule_named_values, mask_rule_options, mask_rule_random_runs,
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

static void mark_line(const struct mask *mask, slice line, uint8_t *marks) {
    for (size_t i = 0; i < sizeof line_rules / sizeof *line_rules; i++) line_rules[i](line, marks);
    for (size_t i = 0; mask && i < mask->patterns_count; i++) {
        struct found found = {.marks = marks};
        pattern_find(mask->patterns[i], line, on_found, &found);
    }
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
    if (!marks) {
        out->full = true; /* better nothing than a secret */
        return;
    }
    mask_rule_key_blocks(text, marks);
    for (size_t at = 0; at < text.size;) {
        const uint8_t *const end = memchr(text.data + at, '\n', text.size - at);
        const size_t size = end ? (size_t)(end - text.data) - at : text.size - at;
        mark_line(mask, slice_of(text.data + at, size), marks + at);
        at += size + 1;
    }
    add_unmarked(text, marks, out, count);
    free(marks);
}

slice mask_whole(slice cut) {
    const uint8_t *const end = cut.size ? memrchr(cut.data, '\n', cut.size) : NULL;
    if (end) return slice_first(cut, (size_t)(end - cut.data) + 1);
    while (cut.size && cut.data[cut.size - 1] > ' ') cut.size--;
    return cut;
}

bool mask_is_secret_name(slice name) {
    return mask_rule_secret_name(name);
}
