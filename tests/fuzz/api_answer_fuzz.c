/* SPDX-License-Identifier: Apache-2.0
 * First byte: where the rest is cut; then the answer. The samples and the verdict must not depend on how it was cut. */
#include "agent/collect/prometheus/api_answer.h"

#include <stdlib.h>

#include "agent/collect/prometheus/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct trace {
    uint64_t samples, a, b;
};

static void on_sample(void *context, const struct exposition_sample *sample) {
    struct trace *const trace = context;
    const struct series_id id = series_identity(sample, (slice){0});
    trace->samples++;
    trace->a = trace->a * 31 + id.a;
    trace->b = trace->b * 31 + id.b + sample->line;
}

static fault_code run(struct api_answer *answer, slice text, size_t piece_bytes, struct trace *trace) {
    struct fault fault;
    api_answer_begin(answer, on_sample, trace);
    for (size_t at = 0; at < text.size; at += piece_bytes) {
        const fault_code code = api_answer_feed(answer, slice_first(slice_from(text, at), piece_bytes), &fault);
        if (code) return code;
    }
    return api_answer_end(answer, 200, &fault);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    const slice text = slice_of(data + 1, size - 1);
    struct api_answer *answer = api_answer_new();
    if (answer == NULL) return 0;
    struct trace whole = {0}, cut = {0};
    const fault_code whole_code = run(answer, text, text.size, &whole);
    const fault_code cut_code = run(answer, text, 1u + data[0] % 64, &cut);
    if (whole_code != cut_code || memcmp(&whole, &cut, sizeof whole) != 0) abort();
    api_answer_free(answer);
    return 0;
}
