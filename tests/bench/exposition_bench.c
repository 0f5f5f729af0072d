/* SPDX-License-Identifier: Apache-2.0
 * How fast exposition text is read: prints GB/s, ns and cycles per line. Arguments: series (default 1000000) and
 * rounds (default 3). The text looks like a large service's: 1,000 names, six labels, some 130 bytes a line. */
#include "agent/collect/prometheus/selector.h"
#include "common/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

static uint64_t cycles(void) {
#if defined(__x86_64__)
    return __rdtsc();
#else
    return 0;
#endif
}

static uint64_t matched;
static void on_match(void *context, uint32_t tag, const struct exposition_sample *sample) {
    matched++;
}

/* one_name: all series are of one metric, as on a gateway; else 1,000 of each of many. distinct: a name per series. */
static slice make_text(size_t series, size_t per_name) {
    const size_t room = series * 200 + 1;
    char *const text = malloc(room);
    size_t size = 0;
    for (size_t i = 0; i < series; i++)
        size += (size_t)snprintf(text + size, room - size,
                                 "service_requests_%zu_total{instance=\"10.0.%zu.%zu\",handler=\"/api/v1/items/%zu\","
                                 "method=\"GET\",code=\"200\",zone=\"eu-central-1a\",series=\"%zu\"} %zu\n",
                                 i / per_name, i / 256 % 256, i % 256, i % 997, i, i * 7);
    return slice_of(text, size);
}

static void run(const char *name, slice text, struct selector_index *index, size_t series, int rounds) {
    struct exposition *const exposition = exposition_new();
    const struct exposition_sink sink = {selector_index_find_name, selector_index_on_sample, index};
    int64_t best_ns = INT64_MAX;
    uint64_t best_cycles = 0;
    matched = 0;
    for (int i = 0; i < rounds; i++) {
        struct fault fault;
        const int64_t start_ns = clock_monotonic_ns();
        const uint64_t start_cycles = cycles();
        exposition_begin(exposition, EXPOSITION_TEXT, &sink);
        for (size_t at = 0; at < text.size; at += 16384)
            if (exposition_feed(exposition, slice_first(slice_from(text, at), 16384), &fault)) {
                fprintf(stderr, "%s\n", fault.text);
                exit(1);
            }
        if (exposition_end(exposition, &fault)) exit(1);
        const uint64_t spent = cycles() - start_cycles;
        const int64_t ns = clock_monotonic_ns() - start_ns;
        if (ns < best_ns) {
            best_ns = ns;
            best_cycles = spent;
        }
    }
    struct exposition_stats stats;
    exposition_stats(exposition, &stats);
    if (stats.samples != series) exit(1);
    printf("%-44s %6.2f GB/s %7.1f ns/line %7.1f cycles/line  %llu parsed, %llu matched\n", name,
           (double)text.size / (double)best_ns, (double)best_ns / (double)series, (double)best_cycles / (double)series,
           (unsigned long long)stats.selected, (unsigned long long)matched / (unsigned long long)rounds);
    exposition_free(exposition);
}

/* count selectors: before, a number from 0 to count - 1 times stride, after. */
static struct selector_index *select_series(const char *before, const char *after, size_t count, size_t stride) {
    struct selector_index *const index = selector_index_new();
    struct fault fault;
    for (size_t i = 0; i < count; i++) {
        char text[300];
        snprintf(text, sizeof text, "%s%zu%s", before, i * stride, after);
        struct selector *selector;
        if (selector_parse(slice_from_text(text), "", &selector, &fault) ||
            selector_index_add(index, selector, on_match, NULL, (uint32_t)i, &fault)) {
            fprintf(stderr, "%s\n", fault.text);
            exit(1);
        }
    }
    if (selector_index_ready(index, &fault)) exit(1);
    return index;
}

int main(int argc, char **argv) {
    const size_t series = argc > 1 ? (size_t)atol(argv[1]) : 1000000;
    const int rounds = argc > 2 ? atoi(argv[2]) : 3;
    const slice many = make_text(series, 1000), one = make_text(series, series), distinct = make_text(series, 1);
    printf("%zu series, %.0f bytes a line, pieces of 16 KiB, best of %d\n", series, (double)many.size / (double)series,
           rounds);
    run("nothing selected", many, select_series("other_", "_total", 1, 1), series, rounds);
    run("nothing selected, a name per series", distinct, select_series("other_", "_total", 1, 1), series, rounds);
    run("1,000 selectors, a series of one family each", many,
        select_series("service_requests_0_total{series=\"", "\"}", 1000, 1), series, rounds);
    run("1,000 selectors in one family of all series", one,
        select_series("service_requests_0_total{series=\"", "\",code=~\"2..\"}", 1000, series / 1000 + 1), series,
        rounds);
    run("1,000 selectors, a family each, all selected", many,
        select_series("service_requests_", "_total{code!~\"5..\"}", 1000, 1), series, rounds);
    return 0;
}
