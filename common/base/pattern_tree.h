/* SPDX-License-Identifier: Apache-2.0
 * The tree between pattern_parse.c and pattern.c, for these two alone. */
#ifndef PICKET_BASE_PATTERN_TREE_H
#define PICKET_BASE_PATTERN_TREE_H

#include "common/base/pattern.h"

enum pattern_node_kind { NODE_EMPTY, NODE_CLASS, NODE_THEN, NODE_OR, NODE_REPEAT, NODE_BEGIN, NODE_END };

struct pattern_node {
    enum pattern_node_kind kind;
    unsigned a, b; /* children; of a class: first range and count */
    int min, max;  /* of a repeat; max -1: no end */
};

struct pattern_range {
    uint32_t first, last;
};

enum {
    PATTERN_NODES_MAX = 3 * PATTERN_BYTES_MAX,
    PATTERN_RANGES_MAX = 8 * PATTERN_BYTES_MAX,
    PATTERN_CHARACTER_MAX = 0x10ffff
};

struct pattern_tree {
    unsigned root, nodes_count, ranges_count;
    struct pattern_node nodes[PATTERN_NODES_MAX];
    struct pattern_range ranges[PATTERN_RANGES_MAX];
};

/* The tree is one block: free it with free(). */
fault_code pattern_parse(slice source, struct pattern_tree **ret_tree, struct fault *reterr) MUST_CHECK;
/* The first character of a text that is not empty, and its size; a byte that begins no UTF-8 stands for itself, above
 * all characters (so that it is in negated classes and `.`, and equal to none). */
size_t pattern_decode(slice text, uint32_t *ret_character);

#endif
