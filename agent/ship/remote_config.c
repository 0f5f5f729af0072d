/* SPDX-License-Identifier: Apache-2.0
 * One wrong SLO at the centre must not keep the right ones from being measured, so each definition stands alone: it is
 * translated, compiled for a try (sli_new says what is wrong with it), and taken or named. Only bytes that are no
 * AgentConfig at all are refused as a whole. */
#include "agent/ship/remote_config.h"

#include <stdio.h>

#include "common/base/text.h"
#include "common/codec/codec.h"
#include "sre.pb.h"

enum { WINDOW_SECONDS_DEFAULT = 60, LATENCY_SECONDS_MAX = 300 };

static bool to_operator(Comparison comparison, enum sli_operator *ret_operator) {
    switch (comparison) {
    case COMPARISON_LESS: *ret_operator = SLI_LESS; return true;
    case COMPARISON_LESS_OR_EQUAL: *ret_operator = SLI_LESS_EQUAL; return true;
    case COMPARISON_GREATER: *ret_operator = SLI_GREATER; return true;
    case COMPARISON_GREATER_OR_EQUAL: *ret_operator = SLI_GREATER_EQUAL; return true;
    case COMPARISON_EQUAL: *ret_operator = SLI_EQUAL; return true;
    case COMPARISON_NOT_EQUAL: *ret_operator = SLI_NOT_EQUAL; return true;
    case COMPARISON_UNSPECIFIED: break;
    }
    return false;
}

/* good / total, total less bad, or good and bad. */
static fault_code from_counter_ratio(const CounterRatioSLI *ratio, struct sli_definition *definition,
                                     struct fault *reterr) {
    definition->good = ratio->good_selector;
    definition->bad = ratio->bad_selector;
    definition->total = ratio->total_selector;
    definition->kind = ratio->good_selector.size ? SLI_RATIO_GOOD : SLI_RATIO_BAD;
    if (!ratio->total_selector.size) definition->kind = SLI_RATIO_PARTS;  /* sli_new says what is missing */
    if (definition->kind == SLI_RATIO_GOOD) definition->bad = (slice){0}; /* total and good say it all */
    return FAULT_NONE;
}

static fault_code from_histogram(const HistogramThresholdSLI *histogram, struct arena *arena,
                                 struct sli_definition *definition, struct fault *reterr) {
    definition->kind = SLI_HISTOGRAM;
    definition->threshold = histogram->threshold;
    definition->total = histogram->matchers.size ? arena_format(arena, "%.*s{%.*s}", SLICE_ARG(histogram->metric),
                                                                SLICE_ARG(histogram->matchers))
                                                 : histogram->metric;
    return definition->total.data ? FAULT_NONE : fault_set(reterr, FAULT_LIMIT, "out of memory");
}

static fault_code from_gauge(const GaugeThresholdSLI *gauge, struct sli_definition *definition, struct fault *reterr) {
    definition->kind = SLI_GAUGE;
    definition->total = gauge->selector;
    definition->threshold = gauge->threshold;
    if (!to_operator(gauge->comparison, &definition->operator))
        return fault_set(reterr, FAULT_INPUT, "the comparison %d is unknown", (int)gauge->comparison);
    definition->divisor = gauge->divisor_selector;
    return FAULT_NONE;
}

static fault_code from_probe(const ProbeSLI *asked, struct arena *arena, struct sli_definition *definition,
                             struct remote_probe *ret_probe, struct fault *reterr) {
    slice *const own_name = arena_alloc(arena, sizeof *own_name);
    if (own_name) *own_name = arena_format(arena, "slo:%.*s", SLICE_ARG(definition->slo_id));
    if (!own_name || !own_name->data) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    definition->kind = SLI_PROBE;
    if (asked->has_latency_max && (asked->latency_max.seconds < 0 || asked->latency_max.seconds > LATENCY_SECONDS_MAX ||
                                   asked->latency_max.nanos < 0))
        return fault_set(reterr, FAULT_INPUT, "latency_max: must be from 0 s to %d s", LATENCY_SECONDS_MAX);
    if (asked->has_latency_max)
        definition->latency_ms_max = asked->latency_max.seconds * 1000 + asked->latency_max.nanos / 1000000;
    definition->targets = own_name;
    definition->targets_count = 1;
    if (asked->kind != PROBE_KIND_HTTP && asked->kind != PROBE_KIND_TCP)
        return fault_set(reterr, FAULT_INPUT, "the probe kind %d is unknown", (int)asked->kind);
    slice host;
    uint16_t port;
    if (asked->kind == PROBE_KIND_TCP && !text_host_port(asked->endpoint, &host, &port))
        return fault_set(reterr, FAULT_INPUT, "endpoint: '%.*s' is not host:port", SLICE_ARG(asked->endpoint));
    if (asked->kind == PROBE_KIND_HTTP && !text_is_http_url(asked->endpoint))
        return fault_set(reterr, FAULT_INPUT, "endpoint: '%.*s' does not begin with http:// or https://",
                         SLICE_ARG(asked->endpoint));
    if (asked->status_min > asked->status_max)
        return fault_set(reterr, FAULT_INPUT, "status_min (%d) is over status_max (%d)", (int)asked->status_min,
                         (int)asked->status_max);
    *ret_probe = (struct remote_probe){
        .name = *own_name,
        .tcp = asked->kind == PROBE_KIND_TCP,
        .endpoint = asked->endpoint,
        .status_min = asked->status_min || asked->status_max ? asked->status_min : 200,
        .status_max = asked->status_min || asked->status_max ? asked->status_max : 399,
    };
    return FAULT_NONE;
}

static fault_code translate(SLIDefinition *from, struct arena *arena, struct sli_definition *ret_definition,
                            struct remote_probe *ret_probe, struct fault *reterr) {
    SLISpec *const spec = &from->spec;
    if (spec->window_seconds == 0) spec->window_seconds = WINDOW_SECONDS_DEFAULT;
    if (codec_validate(&SLIDefinition_desc, from, reterr)) return FAULT_INPUT;
    struct sli_definition definition = {
        .slo_id = from->slo_id,
        .window_seconds = (uint32_t)spec->window_seconds,
        .targets = spec->targets.items,
        .targets_count = spec->targets.count,
        .objective_percent = from->target,
    };
    fault_code code = FAULT_NONE;
    *ret_probe = (struct remote_probe){0};
    switch (spec->which_kind) {
    case SLISpec_counter_ratio_tag: code = from_counter_ratio(&spec->kind.counter_ratio, &definition, reterr); break;
    case SLISpec_histogram_threshold_tag:
        code = from_histogram(&spec->kind.histogram_threshold, arena, &definition, reterr);
        break;
    case SLISpec_gauge_threshold_tag: code = from_gauge(&spec->kind.gauge_threshold, &definition, reterr); break;
    case SLISpec_probe_tag: code = from_probe(&spec->kind.probe, arena, &definition, ret_probe, reterr); break;
    default: code = fault_set(reterr, FAULT_INPUT, "the kind of SLI is unknown to this agent");
    }
    struct sli *compiled = NULL;
    if (!code) code = sli_new(&definition, &compiled, reterr);
    sli_free(compiled);
    if (!code) *ret_definition = definition;
    return code;
}

fault_code remote_config_read(slice payload, size_t slis_max, struct arena *arena,
                              struct remote_definitions *ret_definitions, struct fault *reterr) {
    const slice bytes = arena_copy(arena, payload); /* decoded slices point into it */
    AgentConfig *const config = arena_alloc(arena, sizeof *config);
    if ((payload.size && !bytes.data) || !config)
        return fault_set(reterr, FAULT_LIMIT, "configuration from the centre: %zu bytes do not fit into memory",
                         payload.size);
    fault_code code = codec_decode_protobuf_bounded(&AgentConfig_desc, bytes, arena, config, reterr);
    if (!code && config->revision == 0) code = fault_set(reterr, FAULT_INPUT, "it has no revision");
    if (!code && config->slis.count > slis_max)
        code = fault_set(reterr, FAULT_LIMIT, "%zu SLIs, at most %zu are possible", config->slis.count, slis_max);
    if (code) return fault_wrap(reterr, "configuration from the centre");

    struct remote_definitions read = {.revision = config->revision};
    read.slis = arena_alloc_array(arena, config->slis.count + 1, sizeof *read.slis);
    read.probes = arena_alloc_array(arena, config->slis.count + 1, sizeof *read.probes);
    if (!read.slis || !read.probes)
        return fault_set(reterr, FAULT_LIMIT, "configuration from the centre: out of memory");
    size_t used = 0;
    for (size_t i = 0; i < config->slis.count; i++) {
        struct fault why;
        struct remote_probe probe;
        if (!translate(&config->slis.items[i], arena, &read.slis[read.slis_count], &probe, &why)) {
            read.slis_count++;
            if (probe.name.size) read.probes[read.probes_count++] = probe;
            continue;
        }
        read.refused++;
        if (used + 1 < sizeof read.refusals) {
            const int more = snprintf(read.refusals + used, sizeof read.refusals - used, "%sSLO '%.*s': %s",
                                      used ? "; " : "", SLICE_ARG(config->slis.items[i].slo_id), why.text);
            used = used + (size_t)more < sizeof read.refusals ? used + (size_t)more : sizeof read.refusals - 1;
        }
    }
    *ret_definitions = read;
    return FAULT_NONE;
}

uint64_t remote_config_revision(slice payload) {
    enum { BLOCK_BYTES = 16 * 1024, BYTES_MAX = 64 * 1024 * 1024 };
    AgentConfig config;
    struct arena *const arena = arena_new(BLOCK_BYTES, BYTES_MAX);
    const bool read = arena && !codec_decode_protobuf_bounded(&AgentConfig_desc, payload, arena, &config, NULL);
    arena_free(arena);
    return read ? config.revision : 0;
}
