/* SPDX-License-Identifier: Apache-2.0
 * The inside of a selector, for selector.c and selector_index.c alone. */
#ifndef PICKET_COLLECT_SELECTOR_PARTS_H
#define PICKET_COLLECT_SELECTOR_PARTS_H

#include "agent/collect/prometheus/pattern.h"
#include "agent/collect/prometheus/selector.h"

enum matcher_kind { MATCH_EQUAL, MATCH_NOT_EQUAL, MATCH_PATTERN, MATCH_NOT_PATTERN };

struct matcher {
    enum matcher_kind kind;
    slice label, value; /* into selector.store */
    struct pattern *pattern;
};

struct selector {
    slice name;
    size_t matchers_count;
    struct matcher matchers[SELECTOR_MATCHERS_MAX];
    size_t store_used;
    uint8_t *store;
};

#endif
