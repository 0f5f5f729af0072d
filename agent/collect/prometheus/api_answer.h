/* SPDX-License-Identifier: Apache-2.0
 * The answer of Prometheus to an instant query (GET or POST /api/v1/query, a vector), read as it streams in: one element
 * of the result is in memory at a time, and what surrounds the result. Owner: the loop's thread. */
#ifndef PICKET_COLLECT_API_ANSWER_H
#define PICKET_COLLECT_API_ANSWER_H

#include "agent/collect/prometheus/exposition.h"

struct api_answer;

enum { API_ELEMENT_BYTES_MAX = 64 * 1024, API_FRAME_BYTES_MAX = 16 * 1024 };

/* NULL: no memory. Grows to the largest element that came, and keeps that. */
struct api_answer *api_answer_new(void) MUST_CHECK;
struct api_answer *api_answer_free(struct api_answer *answer); /* NULL is fine; returns NULL */

/* on_sample: each float sample, with its metric name and all other labels as they are; elements that are native histograms
 * are passed over. The sample is valid during the call. */
void api_answer_begin(struct api_answer *answer,
                      void (*on_sample)(void *context, const struct exposition_sample *sample), void *context);
/* The next piece, of any size. FAULT_INPUT: it is no such answer; FAULT_LIMIT: an element is too large. */
fault_code api_answer_feed(struct api_answer *answer, slice piece, struct fault *reterr) MUST_CHECK;
/* The body is over. status: of HTTP. FAULT_NONE: a whole vector came. FAULT_AGAIN: one with warnings,
 * which may be partial. Else what Prometheus says is wrong (errorType and
 * error), or that something else answered. */
fault_code api_answer_end(struct api_answer *answer, int status, struct fault *reterr) MUST_CHECK;

struct api_answer_stats {
    uint64_t bytes, samples, histograms;
    char warning[160]; /* the first of warnings and infos; "" for none */
};
void api_answer_stats(const struct api_answer *answer, struct api_answer_stats *ret_stats);

#endif
