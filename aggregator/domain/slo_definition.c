/* SPDX-License-Identifier: Apache-2.0
 * What an SLO may say. An agent refuses a definition that it cannot measure too, but tells only the log of its machine;
 * here it is said to whoever asks, before anything is stored. Field by field the contract's constraints were checked;
 * here is what concerns more than one field, or the inside of a text. */
#include "aggregator/domain/slo_definition.h"

#include "aggregator/domain/content.h"
#include "common/base/selector_syntax.h"
#include "common/base/text.h"

#include <math.h>

enum { PROBE_LATENCY_S_MAX = 300 };

static fault_code selector_fits(slice text, const char *field, struct fault *reterr) {
    struct selector *selector;
    if (text.size == 0) return FAULT_NONE;
    const fault_code code = selector_parse(text, "", &selector, reterr);
    if (code) {
        fault_wrap(reterr, "sli_spec.%s '%.*s'", field, SLICE_ARG(slice_first(text, 100)));
        return code == FAULT_SYSTEM ? FAULT_AGAIN : FAULT_INPUT; /* no memory: it could not be decided */
    }
    selector_free(selector);
    return FAULT_NONE;
}

static fault_code threshold_fits(double threshold, const char *field, struct fault *reterr) {
    if (isfinite(threshold)) return FAULT_NONE;
    return fault_set(reterr, FAULT_INPUT, "sli_spec.%s.threshold: must be a finite number, is %g", field, threshold);
}

static fault_code ratio_check(const SLISpec *spec, struct arena *arena, struct fault *reterr) {
    const CounterRatioSLI *ratio = &spec->kind.counter_ratio;
    const bool good = ratio->good_selector.size, bad = ratio->bad_selector.size, total = ratio->total_selector.size;
    if (total ? good == bad : !(good && bad))
        return fault_set(reterr, FAULT_INPUT,
                         "sli_spec.counter_ratio: give total_selector and one of good_selector and bad_selector, or "
                         "good_selector and bad_selector");
    fault_code code = selector_fits(ratio->good_selector, "counter_ratio.good_selector", reterr);
    if (!code) code = selector_fits(ratio->bad_selector, "counter_ratio.bad_selector", reterr);
    if (!code) code = selector_fits(ratio->total_selector, "counter_ratio.total_selector", reterr);
    return code;
}

static fault_code histogram_check(const SLISpec *spec, struct arena *arena, struct fault *reterr) {
    const HistogramThresholdSLI *histogram = &spec->kind.histogram_threshold;
    if (threshold_fits(histogram->threshold, "histogram_threshold", reterr)) return FAULT_INPUT;
    if (histogram->matchers.size == 0) return selector_fits(histogram->metric, "histogram_threshold.metric", reterr);
    const slice whole = arena_format(arena, "%.*s{%.*s}", SLICE_ARG(histogram->metric), SLICE_ARG(histogram->matchers));
    if (!whole.data) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
    return selector_fits(whole, "histogram_threshold.metric with matchers", reterr);
}

static fault_code gauge_check(const SLISpec *spec, struct arena *arena, struct fault *reterr) {
    const GaugeThresholdSLI *gauge = &spec->kind.gauge_threshold;
    fault_code code = threshold_fits(gauge->threshold, "gauge_threshold", reterr);
    if (!code) code = selector_fits(gauge->selector, "gauge_threshold.selector", reterr);
    if (!code) code = selector_fits(gauge->divisor_selector, "gauge_threshold.divisor_selector", reterr);
    return code;
}

static fault_code probe_check(const SLISpec *spec, struct arena *arena, struct fault *reterr) {
    const ProbeSLI *probe = &spec->kind.probe;
    slice host;
    uint16_t port;
    if (probe->kind == PROBE_KIND_TCP && !text_host_port(probe->endpoint, &host, &port))
        return fault_set(reterr, FAULT_INPUT, "sli_spec.probe.endpoint: '%.*s' is not host:port",
                         SLICE_ARG(slice_first(probe->endpoint, 100)));
    if (probe->kind == PROBE_KIND_HTTP && !text_is_http_url(probe->endpoint))
        return fault_set(reterr, FAULT_INPUT, "sli_spec.probe.endpoint: '%.*s' does not begin with http:// or https://",
                         SLICE_ARG(slice_first(probe->endpoint, 100)));
    if (probe->status_min > probe->status_max)
        return fault_set(reterr, FAULT_INPUT, "sli_spec.probe: status_min (%d) is over status_max (%d)",
                         (int)probe->status_min, (int)probe->status_max);
    if (probe->has_latency_max && (probe->latency_max.seconds < 0 || probe->latency_max.nanos < 0 ||
                                   probe->latency_max.seconds > PROBE_LATENCY_S_MAX))
        return fault_set(reterr, FAULT_INPUT, "sli_spec.probe.latency_max: must be from 0 s to %d s",
                         PROBE_LATENCY_S_MAX);
    return FAULT_NONE;
}

static const struct {
    unsigned which;
    fault_code (*check)(const SLISpec *spec, struct arena *arena, struct fault *reterr);
} kinds[] = {
    {SLISpec_counter_ratio_tag, ratio_check},
    {SLISpec_histogram_threshold_tag, histogram_check},
    {SLISpec_gauge_threshold_tag, gauge_check},
    {SLISpec_probe_tag, probe_check},
};

fault_code slo_definition_check(const SLO *slo, struct arena *arena, struct fault *reterr) {
    const bool slices = slo->budgeting_method == BUDGETING_METHOD_TIMESLICES;
    if (slices && !(slo->time_slice_target > 0))
        return fault_set(
            reterr, FAULT_INPUT,
            "time_slice_target: TIMESLICES needs it, the percentage of good events that makes a slice good");
    if (!slices && slo->time_slice_target != 0)
        return fault_set(reterr, FAULT_INPUT, "time_slice_target: only budgeting_method TIMESLICES takes one");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (slo->sli_spec.which_kind == kinds[i].which) return kinds[i].check(&slo->sli_spec, arena, reterr);
    return FAULT_NONE; /* validation lets none pass without a kind */
}

/* One that ends where the other does, so that agents can change over without counting a moment twice or not at all. */
static fault_code length_follows(const struct slo_state *slo, int32_t seconds, int64_t now_ms, struct fault *reterr) {
    const int32_t before = slo->definition.sli_spec.window_seconds;
    if (before == seconds) return FAULT_NONE;
    if (before % seconds && seconds % before)
        return fault_set(
            reterr, FAULT_INPUT,
            "sli_spec.window_seconds: can change from %d to its multiples and divisors only, so that windows "
            "of both lengths end together; make a new SLO for %d",
            before, seconds);
    int32_t others[SLO_LENGTHS_MAX + 1];
    if (slo_other_lengths(slo, before, now_ms, others) < SLO_LENGTHS_MAX) return FAULT_NONE;
    return fault_set(
        reterr, FAULT_CONFLICT,
        "sli_spec.window_seconds: windows of %d other lengths may still come; it can change again %d days after "
        "the first of those changes",
        SLO_LENGTHS_MAX, SLO_LENGTH_KEPT_DAYS);
}

fault_code slo_definition_follows(const struct slo_state *slo, const SLO *updated, int64_t now_ms,
                                  struct fault *reterr) {
    const SLO *before = &slo->definition;
    const bool slices = before->budgeting_method == BUDGETING_METHOD_TIMESLICES;
    if (slices != (updated->budgeting_method == BUDGETING_METHOD_TIMESLICES))
        return fault_set(
            reterr, FAULT_INPUT,
            "budgeting_method: this SLO counts %s, and what it has counted cannot be turned into %s; make a "
            "new SLO",
            slices ? "time slices" : "occurrences", slices ? "occurrences" : "time slices");
    if (before->time_slice_target != updated->time_slice_target)
        return fault_set(
            reterr, FAULT_INPUT,
            "time_slice_target: slices were counted against %.9g percent and cannot be counted again against "
            "%.9g; make a new SLO",
            before->time_slice_target, updated->time_slice_target);
    return length_follows(slo, updated->sli_spec.window_seconds, now_ms, reterr);
}

/* ---- the same again ---- */

#define CONTENT_OF_COUNTERS(ONE, TEXTS, LIST, MESSAGE, MAP)                                                            \
    ONE(good_selector)                                                                                                 \
    ONE(bad_selector)                                                                                                  \
    ONE(total_selector)
static bool counters_equal(const CounterRatioSLI *a, const CounterRatioSLI *b) {
    CONTENT_EQUAL(CONTENT_OF_COUNTERS)
    return true;
}

#define CONTENT_OF_HISTOGRAM(ONE, TEXTS, LIST, MESSAGE, MAP)                                                           \
    ONE(metric)                                                                                                        \
    ONE(matchers)                                                                                                      \
    ONE(threshold)
static bool histograms_equal(const HistogramThresholdSLI *a, const HistogramThresholdSLI *b) {
    CONTENT_EQUAL(CONTENT_OF_HISTOGRAM)
    return true;
}

#define CONTENT_OF_GAUGE(ONE, TEXTS, LIST, MESSAGE, MAP)                                                               \
    ONE(selector)                                                                                                      \
    ONE(comparison)                                                                                                    \
    ONE(threshold)                                                                                                     \
    ONE(divisor_selector)
static bool gauges_equal(const GaugeThresholdSLI *a, const GaugeThresholdSLI *b) {
    CONTENT_EQUAL(CONTENT_OF_GAUGE)
    return true;
}

#define CONTENT_OF_PROBE(ONE, TEXTS, LIST, MESSAGE, MAP)                                                               \
    ONE(kind)                                                                                                          \
    ONE(endpoint)                                                                                                      \
    ONE(has_latency_max)                                                                                               \
    ONE(latency_max.seconds)                                                                                           \
    ONE(latency_max.nanos)                                                                                             \
    ONE(status_min)                                                                                                    \
    ONE(status_max)
static bool probes_equal(const ProbeSLI *a, const ProbeSLI *b) {
    CONTENT_EQUAL(CONTENT_OF_PROBE)
    return true;
}

#define CONTENT_OF_SPEC(ONE, TEXTS, LIST, MESSAGE, MAP)                                                                \
    ONE(which_kind)                                                                                                    \
    TEXTS(targets)                                                                                                     \
    ONE(window_seconds)
static bool specs_equal(const SLISpec *a, const SLISpec *b) {
    CONTENT_EQUAL(CONTENT_OF_SPEC)
    switch (a->which_kind) {
    case SLISpec_counter_ratio_tag: return counters_equal(&a->kind.counter_ratio, &b->kind.counter_ratio);
    case SLISpec_histogram_threshold_tag:
        return histograms_equal(&a->kind.histogram_threshold, &b->kind.histogram_threshold);
    case SLISpec_gauge_threshold_tag: return gauges_equal(&a->kind.gauge_threshold, &b->kind.gauge_threshold);
    case SLISpec_probe_tag: return probes_equal(&a->kind.probe, &b->kind.probe);
    default: return false;
    }
}

#define CONTENT_OF_DEFINITION(ONE, TEXTS, LIST, MESSAGE, MAP)                                                          \
    ONE(name)                                                                                                          \
    ONE(description)                                                                                                   \
    ONE(target)                                                                                                        \
    ONE(window)                                                                                                        \
    MESSAGE(sli_spec, specs_equal)                                                                                     \
    TEXTS(agents)                                                                                                      \
    ONE(owner)                                                                                                         \
    ONE(scope)                                                                                                         \
    ONE(service_id)                                                                                                    \
    MAP(labels)                                                                                                        \
    ONE(budgeting_method)                                                                                              \
    ONE(time_slice_target)
bool slo_definition_same(const SLO *a, const SLO *b) {
    CONTENT_EQUAL(CONTENT_OF_DEFINITION)
    return true;
}
