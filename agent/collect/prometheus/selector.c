/* SPDX-License-Identifier: Apache-2.0
 * What a selector selects. A series' identity adds up one 128-bit hash per label, so that the order in which a target
 * writes labels does not matter. */
#include "agent/collect/prometheus/selector.h"

#include "common/base/wide_product.h"

static slice label_value(const struct exposition_sample *sample, slice label) {
    for (size_t i = 0; i < sample->labels_count; i++)
        if (slice_equal(sample->labels[i].name, label)) return sample->labels[i].value;
    return (slice){0};
}

bool selector_match(const struct selector *selector, const struct exposition_sample *sample) {
    if (!slice_equal(sample->name, selector->name)) return false;
    for (size_t i = 0; i < selector->matchers_count; i++) {
        const struct matcher *const matcher = &selector->matchers[i];
        const slice value = label_value(sample, matcher->label);
        const bool holds =
            matcher->pattern ? pattern_match(matcher->pattern, value) : slice_equal(value, matcher->value);
        if (holds != (matcher->kind == MATCH_EQUAL || matcher->kind == MATCH_PATTERN)) return false;
    }
    return true;
}

static struct series_id identity_mix(struct series_id state, slice text) {
    const uint8_t *at = text.data;
    size_t left = text.size;
    uint64_t word = 0;
    for (; left >= 8; at += 8, left -= 8) {
        memcpy(&word, at, 8);
        state.a = wide_product_fold(state.a ^ word, 0x9e3779b97f4a7c15u);
        state.b = wide_product_fold(state.b + word, 0xc2b2ae3d27d4eb4fu);
    }
    word = 0;
    if (left) memcpy(&word, at, left);
    state.a = wide_product_fold(state.a ^ word, 0xd1b54a32d192ed03u);
    state.b = wide_product_fold(state.b + word, 0x165667b19e3779f9u);
    /* The size ends the text: "ab"+"c" is not "a"+"bc". */
    state.a = wide_product_fold(state.a ^ (uint64_t)text.size, 0x8cb92ba72f3d8dd7u);
    state.b = wide_product_fold(state.b + (uint64_t)text.size, 0xaef17502108ef2d9u);
    return state;
}

struct series_id series_identity(const struct exposition_sample *sample, slice without) {
    const struct series_id start = {0x243f6a8885a308d3u, 0x13198a2e03707344u}; /* digits of pi: no meaning */
    struct series_id sum = identity_mix(start, sample->name);
    for (size_t i = 0; i < sample->labels_count; i++) {
        const struct exposition_label *const label = &sample->labels[i];
        if (label->value.size == 0 || (without.size && slice_equal(label->name, without))) continue;
        const struct series_id one = identity_mix(identity_mix(start, label->name), label->value);
        sum.a += one.a;
        sum.b += one.b;
    }
    return sum;
}
