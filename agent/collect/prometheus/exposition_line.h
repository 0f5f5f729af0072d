/* SPDX-License-Identifier: Apache-2.0
 * Strict parsing of one sample line, for exposition.c alone. */
#ifndef PICKET_COLLECT_EXPOSITION_LINE_H
#define PICKET_COLLECT_EXPOSITION_LINE_H

#include "agent/collect/prometheus/exposition.h"
#include "common/base/limits.h"

struct exposition_line {
    enum exposition_format format;
    uint64_t number;
    const uint8_t *start, *at, *end;
    uint8_t *scratch; /* LIMIT_EXPOSITION_LINE_BYTES: unescaped text is never longer than the line */
    size_t scratch_used;
    struct exposition_label labels[LIMIT_LABELS_PER_SERIES];
};

/* text: one line without its newline, beginning with a name of name_size bytes, or with '{' (name_size 0). The
 * sample's slices point into text and scratch. */
fault_code exposition_line_parse(struct exposition_line *line, slice text, size_t name_size,
                                 struct exposition_sample *ret_sample, struct fault *reterr) MUST_CHECK;

/* How many bytes of a metric's name text begins with: [a-zA-Z_:][a-zA-Z0-9_:]*. */
size_t exposition_name_size(slice text);

/* "line 7, column 3: expected <expected>, found <what is at `at`>". */
fault_code exposition_line_fault(const struct exposition_line *line, const uint8_t *at, const char *expected,
                                 struct fault *reterr);

#endif
