/* SPDX-License-Identifier: Apache-2.0
 * The text is a selector, and the expression behind its first newline (if any) a pattern. Whatever parses must match
 * alike by itself and through the index. */
#include "common/base/pattern.h"
#include "agent/collect/prometheus/selector.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count_hit(void *context, uint32_t tag, const struct exposition_sample *sample) {
    ++*(unsigned *)context;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fault fault;
    struct pattern *pattern;
    const uint8_t *const newline = size ? memchr(data, '\n', size) : NULL;
    const slice text = slice_of(data, newline ? (size_t)(newline - data) : size);
    const slice expression = newline ? slice_from(slice_of(data, size), text.size + 1) : (slice){0};
    if (newline && pattern_compile(expression, &pattern, &fault) == FAULT_NONE) {
        (void)pattern_match(pattern, slice_first(expression, 200));
        (void)pattern_match(pattern, slice_first(text, 200));
        pattern_free(pattern);
    }
    struct selector *selector;
    if (selector_parse(text, size % 2 ? "_bucket" : "", &selector, &fault)) return 0;
    const struct exposition_label labels[] = {{SLICE_LIT("a"), SLICE_LIT("b")},
                                              {SLICE_LIT("code"), SLICE_LIT("200")},
                                              {SLICE_LIT("le"), slice_first(expression, 50)}};
    const struct exposition_sample sample = {
        .name = selector_name(selector), .labels = labels, .labels_count = 3, .value = 1};
    struct selector_index *index = selector_index_new();
    unsigned hits = 0;
    if (index == NULL || selector_index_add(index, selector, count_hit, &hits, 0, &fault) ||
        selector_index_ready(index, &fault))
        abort();
    const void *family = selector_index_find_name(index, sample.name);
    if (family == NULL) abort();
    selector_index_on_sample(index, family, &sample);
    if (hits != selector_match(selector, &sample)) abort();
    selector_index_free(index);
    selector_free(selector);
    return 0;
}
