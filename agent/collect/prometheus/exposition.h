/* SPDX-License-Identifier: Apache-2.0
 * Prometheus text exposition 0.0.4 and 1.0.0 and OpenMetrics 1.0, read as it streams in. Lines whose metric name nobody
 * selected are skipped without being looked at any further; the others are parsed strictly, as Prometheus does.
 * Memory: one carried line and one unescape buffer (LIMIT_EXPOSITION_LINE_BYTES each, touched only as far as lines
 * are long); nothing is allocated after exposition_new. One owner; a sample is valid during its callback. */
#ifndef PICKET_COLLECT_EXPOSITION_H
#define PICKET_COLLECT_EXPOSITION_H

#include "common/base/fault.h"

enum exposition_format { EXPOSITION_NONE, EXPOSITION_TEXT, EXPOSITION_OPENMETRICS };

struct exposition_label {
    slice name, value; /* unescaped */
};

struct exposition_sample {
    slice name;
    const struct exposition_label *labels; /* as exposed: in any order, empty values not left out */
    size_t labels_count;
    double value;
    uint64_t line;  /* from 1 */
    bool composite; /* a native histogram, `name {count:1,...}`: never handed on */
};

struct exposition_sink {
    /* Called when a metric name differs from the line before: what on_sample shall get as `selected`, NULL to skip
     * every line of that name. */
    const void *(*find_name)(void *context, slice name);
    void (*on_sample)(void *context, const void *selected, const struct exposition_sample *sample);
    void *context;
};

struct exposition_stats {
    uint64_t bytes, lines;
    uint64_t samples;  /* sample lines, selected or not; a native histogram written as text is none */
    uint64_t selected; /* of those, parsed and handed on */
};

struct exposition;

/* NULL when memory is out. */
struct exposition *exposition_new(void) MUST_CHECK;
struct exposition *exposition_free(struct exposition *exposition); /* NULL is fine; returns NULL */

/* Which parser a Content-Type asks for; its parameters do not matter. FAULT_INPUT for none and for a type that is no
 * exposition, as in Prometheus 3, unless there is a fallback. Protobuf is refused whatever the fallback: it would be read
 * as garbage. */
fault_code exposition_format_of(slice content_type, enum exposition_format fallback, enum exposition_format *ret_format,
                                struct fault *reterr) MUST_CHECK;

/* Forgets what was under way and begins one scrape. The sink is copied. */
void exposition_begin(struct exposition *exposition, enum exposition_format format, const struct exposition_sink *sink);

/* The next piece, of any size. FAULT_INPUT names the line, what was expected and what was found; FAULT_LIMIT a line
 * or label set that is too long. After a fault the scrape is broken: only exposition_begin helps. */
fault_code exposition_feed(struct exposition *exposition, slice piece, struct fault *reterr) MUST_CHECK;

/* The input is over. Text demands a newline at the end of the last line, as its format has it: of an answer that was cut
 * inside a number the number would be taken as it came, and count as a reset. OpenMetrics demands `# EOF`. */
fault_code exposition_end(struct exposition *exposition, struct fault *reterr) MUST_CHECK;

void exposition_stats(const struct exposition *exposition, struct exposition_stats *ret_stats);

/* A sample value as both formats write it: decimal, exponent, NaN, [+-]Inf; neither hex nor underscores, as in the
 * reference parser. Correctly rounded. False when it is none, or out of a double's range. */
bool exposition_number(slice text, double *ret_value) MUST_CHECK;

#endif
