/* SPDX-License-Identifier: Apache-2.0
 * PromQL vector selectors as text: name{a="b",c!="d",e=~"re",f!~"re"}. Regular expressions are anchored at both ends;
 * their syntax is in pattern.h. Who asks for one checks it by the same words as who measures by it. Any thread. */
#ifndef PICKET_BASE_SELECTOR_SYNTAX_H
#define PICKET_BASE_SELECTOR_SYNTAX_H

#include "common/base/pattern.h"

enum { SELECTOR_BYTES_MAX = 4096, SELECTOR_MATCHERS_MAX = 32 };

enum matcher_kind { MATCH_EQUAL, MATCH_NOT_EQUAL, MATCH_PATTERN, MATCH_NOT_PATTERN };

struct matcher {
    enum matcher_kind kind;
    slice label, value; /* into the selector's store */
    struct pattern *pattern;
};

/* Read-only for all but selector_syntax.c. */
struct selector {
    slice name;
    size_t matchers_count;
    struct matcher matchers[SELECTOR_MATCHERS_MAX];
    size_t store_used;
    uint8_t *store;
};

/* name_suffix ("" for none) is put behind the metric's name unless it is there already: "_bucket" for a histogram.
 * FAULT_INPUT names the column, what was expected and what was found. The metric's name must be given (before the
 * braces, or as __name__="x"): a selector over all names would make every line of every target be parsed. */
fault_code selector_parse(slice text, const char *name_suffix, struct selector **ret_selector,
                          struct fault *reterr) MUST_CHECK;
struct selector *selector_free(struct selector *selector); /* NULL is fine; returns NULL */
slice selector_name(const struct selector *selector); /* the metric's name, with the suffix; lives as long as it does */

#endif
