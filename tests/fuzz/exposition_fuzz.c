/* SPDX-License-Identifier: Apache-2.0
 * First byte: format; second: where the rest is cut. Beyond not crashing: the samples and the verdict must not depend
 * on how the text was cut. */
#include "agent/collect/prometheus/selector.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct trace {
    uint64_t samples, a, b;
};

/* Names of even length are selected, so that both ways are taken. */
static const void *find_name(void *context, slice name) {
    return name.size % 2 ? NULL : context;
}

static void on_sample(void *context, const void *selected, const struct exposition_sample *sample) {
    struct trace *const trace = context;
    const struct series_id id = series_identity(sample, SLICE_LIT("le"));
    uint64_t bits;
    memcpy(&bits, &sample->value, sizeof bits);
    trace->samples++;
    trace->a = trace->a * 31 + id.a + bits;
    trace->b = trace->b * 31 + id.b + sample->line;
}

static fault_code run(struct exposition *exposition, slice text, enum exposition_format format, size_t piece_bytes,
                      struct trace *trace) {
    const struct exposition_sink sink = {find_name, on_sample, trace};
    struct fault fault;
    exposition_begin(exposition, format, &sink);
    for (size_t at = 0; at < text.size; at += piece_bytes) {
        const slice piece = slice_first(slice_from(text, at), piece_bytes);
        uint8_t *const copy = malloc(piece.size); /* its own block: a read past the piece is seen */
        if (copy == NULL) abort();
        memcpy(copy, piece.data, piece.size);
        const fault_code code = exposition_feed(exposition, slice_of(copy, piece.size), &fault);
        free(copy);
        if (code) return code;
    }
    return exposition_end(exposition, &fault);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    enum exposition_format named;
    struct fault fault;
    (void)!exposition_format_of(slice_of(data, size), data[0] % 3, &named, &fault);
    const slice text = slice_of(data + 2, size - 2);
    const enum exposition_format format = data[0] & 1 ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT;
    struct exposition *exposition = exposition_new();
    if (exposition == NULL) return 0;
    struct trace whole = {0}, cut = {0};
    const fault_code whole_code = run(exposition, text, format, text.size ? text.size : 1, &whole);
    const fault_code cut_code = run(exposition, text, format, 1u + data[1] % 64, &cut);
    if (whole_code != cut_code || memcmp(&whole, &cut, sizeof whole) != 0) abort();
    exposition_free(exposition);
    return 0;
}
