/* SPDX-License-Identifier: Apache-2.0
 * What a selector (common/base/selector_syntax.h) selects, and an index that finds those which select a series. An absent
 * label is equal to an empty one, as in Prometheus. Made at configuration; matching allocates nothing. */
#ifndef PICKET_COLLECT_SELECTOR_H
#define PICKET_COLLECT_SELECTOR_H

#include "agent/collect/prometheus/exposition.h"
#include "common/base/selector_syntax.h"

bool selector_match(const struct selector *selector, const struct exposition_sample *sample);

/* What a series is, whatever the order of its labels. Kept in stored state: changing the function means a new
 * snapshot version in window/snapshot.c. */
struct series_id {
    uint64_t a, b;
};
/* Labels named `without` ("" for none) and labels with empty values do not count. */
struct series_id series_identity(const struct exposition_sample *sample, slice without);

/* All selectors that want samples of one target. */
struct selector_index;
typedef void selector_sample_fn(void *context, uint32_t tag, const struct exposition_sample *sample);

struct selector_index *selector_index_new(void) MUST_CHECK; /* NULL: no memory */
struct selector_index *selector_index_free(struct selector_index *index);
/* call(context, tag, sample) for each sample that the selector selects. The selector is borrowed. Before _ready. */
fault_code selector_index_add(struct selector_index *index, const struct selector *selector, selector_sample_fn *call,
                              void *context, uint32_t tag, struct fault *reterr) MUST_CHECK;
/* Builds the tables; once, after the last add. An index without selectors is fine. */
fault_code selector_index_ready(struct selector_index *index, struct fault *reterr) MUST_CHECK;
/* From now on tags are handed on with tag_base added: targets of one kind share an index, and before the samples of one of
 * them it is told where that one's tags begin. 0 at first. */
void selector_index_aim(struct selector_index *index, uint32_t tag_base);
size_t selector_index_count(const struct selector_index *index);
/* One of them, in any order: for who asks for what each selects instead of looking through everything. */
struct selector_taker {
    const struct selector *selector;
    selector_sample_fn *call;
    void *context;
    uint32_t tag;
};
struct selector_taker selector_index_at(const struct selector_index *index, size_t number);
/* The two halves of an exposition_sink with the index as its context. */
const void *selector_index_find_name(void *index, slice name);
void selector_index_on_sample(void *index, const void *selected, const struct exposition_sample *sample);

#endif
