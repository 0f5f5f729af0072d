/* SPDX-License-Identifier: Apache-2.0
 * The door to libyaml: YAML 1.1 bytes to a tree in which every value knows its line. JSON reads as YAML too.
 * Refused, with the line: anchors, aliases, tags, keys that are not plain text, the same key twice in a
 * mapping, text with a NUL, bytes that are not UTF-8, too deep, too many. Any thread; one arena per caller.
 */
#ifndef PICKET_SETTINGS_YAML_READER_H
#define PICKET_SETTINGS_YAML_READER_H

#include "common/base/arena.h"
#include "common/base/fault.h"

enum yaml_kind { YAML_KIND_SCALAR, YAML_KIND_LIST, YAML_KIND_MAPPING };

struct yaml_node {
    enum yaml_kind kind;
    bool quoted;             /* a scalar in quotes or as a block: text whatever it looks like */
    int line;                /* 1 is the first; of a mapping's entry: its key's line */
    slice key;               /* of a mapping's entry; empty elsewhere */
    slice text;              /* of a scalar, NUL behind */
    struct yaml_node *first; /* of a list or mapping, in file order; NULL when it is empty */
    struct yaml_node *next;  /* sibling; of a root: the next document */
    size_t count;            /* of a list or mapping */
};

struct yaml_limits {
    size_t depth_max, nodes_max, documents_max;
};

/* What a mistake in the YAML itself is told to; reading stops after a mistake of syntax, and goes on after
 * the others (a duplicate or a refused anchor), so that all of them are heard. */
typedef void yaml_mistake_fn(void *context, int line, const char *message);

/* The first document's root, linked to the next one's by `next`; NULL when there is none. Everything lives in
 * the arena. FAULT_INPUT: at least one mistake was told. FAULT_LIMIT: the arena is full. */
fault_code yaml_read(slice yaml, const struct yaml_limits *limits, struct arena *arena, yaml_mistake_fn *mistake,
                     void *context, struct yaml_node **ret_first, struct fault *reterr) MUST_CHECK;

/* The value `key` of a mapping; NULL when node is no mapping or has none. */
const struct yaml_node *yaml_find(const struct yaml_node *node, const char *key);

#endif
