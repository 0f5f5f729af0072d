/* SPDX-License-Identifier: Apache-2.0
 * A definition is checked once and copied with all its texts into one block. Its key is the identity (selector.h) of a
 * made-up series that has the definition's parts as labels: everything that decides what a count means, but not the
 * list of targets, so that a target may join without the others starting anew. */
#include "agent/window/sli.h"

#include "common/base/limits.h"

#include <math.h>
#include <stdlib.h>

struct sli {
    struct sli_definition definition;
    struct selector *selectors[SLI_PART_COUNT_];
    struct series_id key;
    slice *targets;
    uint8_t *store;
};

static const char *const kind_names[SLI_KIND_MAX_] = {"good/total", "bad/total", "histogram",
                                                      "gauge",      "probe",     "good/bad"};

static bool is_id(slice id) {
    if (id.size == 0 || id.size > LIMIT_AGGREGATE_ID_BYTES) return false;
    for (size_t i = 0; i < id.size; i++) {
        const uint8_t c = id.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
              c == '-'))
            return false;
    }
    return true;
}

static fault_code check_numbers(const struct sli_definition *d, struct fault *reterr) {
    if ((unsigned)d->kind >= SLI_KIND_MAX_ || (unsigned)d->operator> SLI_NOT_EQUAL)
        return fault_set(reterr, FAULT_INPUT, "no such kind or operator");
    if (d->window_seconds < 1 || d->window_seconds > 86400)
        return fault_set(reterr, FAULT_INPUT, "window_seconds is %u; expected 1 to 86400", d->window_seconds);
    if ((d->kind == SLI_HISTOGRAM || d->kind == SLI_GAUGE) && !isfinite(d->threshold))
        return fault_set(reterr, FAULT_INPUT, "the threshold must be a finite number");
    if (d->kind == SLI_PROBE && (d->latency_ms_max < 0 || d->latency_ms_max > LIMIT_OUTSIDE_CALL_MS))
        return fault_set(reterr, FAULT_INPUT, "the latency threshold must be 0 (none) to %d ms", LIMIT_OUTSIDE_CALL_MS);
    return FAULT_NONE;
}

/* Which text goes with which kind: what is missing and what is too much are both said. */
static fault_code check_texts(const struct sli_definition *d, struct fault *reterr) {
    static const struct {
        bool good, bad, total;
    } wants[SLI_KIND_MAX_] = {
        [SLI_RATIO_GOOD] = {true, false, true},  [SLI_RATIO_BAD] = {false, true, true},
        [SLI_HISTOGRAM] = {false, false, true},  [SLI_GAUGE] = {false, false, true},
        [SLI_RATIO_PARTS] = {true, true, false},
    };
    const struct {
        const char *name;
        bool wanted, given;
    } parts[] = {{"good", wants[d->kind].good, d->good.size > 0},
                 {"bad", wants[d->kind].bad, d->bad.size > 0},
                 {"total", wants[d->kind].total, d->total.size > 0}};
    for (size_t i = 0; i < 3; i++)
        if (parts[i].wanted != parts[i].given)
            return fault_set(reterr, FAULT_INPUT, "a %s SLI %s a selector '%s'", kind_names[d->kind],
                             parts[i].wanted ? "needs" : "takes no", parts[i].name);
    if (d->divisor.size && d->kind != SLI_GAUGE)
        return fault_set(reterr, FAULT_INPUT, "a %s SLI takes no selector 'divisor'", kind_names[d->kind]);
    return FAULT_NONE;
}

static slice sli_keep(uint8_t **at, slice text) {
    uint8_t *const into = *at;
    if (text.size) memcpy(into, text.data, text.size);
    *at += text.size;
    return slice_of(into, text.size);
}

static fault_code sli_copy(struct sli *sli, const struct sli_definition *d, struct fault *reterr) {
    size_t bytes = d->slo_id.size + d->good.size + d->bad.size + d->total.size + d->divisor.size + 1;
    for (size_t i = 0; i < d->targets_count; i++) bytes += d->targets[i].size;
    sli->store = malloc(bytes);
    sli->targets = calloc(d->targets_count + 1, sizeof *sli->targets);
    if (sli->store == NULL || sli->targets == NULL) return fault_set(reterr, FAULT_SYSTEM, "out of memory");
    uint8_t *at = sli->store;
    sli->definition = *d;
    sli->definition.slo_id = sli_keep(&at, d->slo_id);
    sli->definition.good = sli_keep(&at, d->good);
    sli->definition.bad = sli_keep(&at, d->bad);
    sli->definition.total = sli_keep(&at, d->total);
    sli->definition.divisor = sli_keep(&at, d->divisor);
    for (size_t i = 0; i < d->targets_count; i++) sli->targets[i] = sli_keep(&at, d->targets[i]);
    sli->definition.targets = sli->targets;
    return FAULT_NONE;
}

static struct series_id definition_key(const struct sli_definition *d) {
    const uint32_t numbers[] = {(uint32_t)d->kind, d->kind == SLI_GAUGE ? (uint32_t)d->operator: 0 };
    const double threshold =
        d->kind == SLI_HISTOGRAM || d->kind == SLI_GAUGE ? d->threshold + 0.0 : 0; /* + 0.0: -0 is 0 */
    const int64_t latency = d->kind == SLI_PROBE ? d->latency_ms_max : 0;
    const struct exposition_label labels[] = {
        {SLICE_LIT("numbers"), slice_of(numbers, sizeof numbers)},
        {SLICE_LIT("threshold"), slice_of(&threshold, sizeof threshold)},
        {SLICE_LIT("latency"), slice_of(&latency, sizeof latency)},
        {SLICE_LIT("good"), d->good},
        {SLICE_LIT("bad"), d->bad},
        {SLICE_LIT("total"), d->total},
        {SLICE_LIT("divisor"), d->divisor},
    };
    const struct exposition_sample made_up = {.name = d->slo_id, .labels = labels, .labels_count = 7};
    return series_identity(&made_up, (slice){0});
}

static fault_code sli_parse(struct sli *sli, enum sli_part part, const char *name, slice text, const char *suffix,
                            struct fault *reterr) {
    if (text.size == 0) return FAULT_NONE;
    if (selector_parse(text, suffix, &sli->selectors[part], reterr)) return fault_wrap(reterr, "%s", name);
    return FAULT_NONE;
}

static fault_code sli_fill(struct sli *sli, const struct sli_definition *d, struct fault *reterr) {
    fault_code code = sli_copy(sli, d, reterr);
    if (code) return code;
    sli->key = definition_key(d);
    /* What each kind reads as its two parts. */
    const struct {
        const char *first_name, *second_name;
        slice first, second;
    } parts[SLI_KIND_MAX_] = {
        [SLI_RATIO_GOOD] = {"good", "total", d->good, d->total},
        [SLI_RATIO_BAD] = {"bad", "total", d->bad, d->total},
        [SLI_HISTOGRAM] = {"", "total", {0}, d->total},
        [SLI_GAUGE] = {"divisor", "total", d->divisor, d->total},
        [SLI_RATIO_PARTS] = {"good", "bad", d->good, d->bad},
    };
    code = sli_parse(sli, SLI_PART_GOOD, parts[d->kind].first_name, parts[d->kind].first, "", reterr);
    if (code) return code;
    return sli_parse(sli, SLI_PART_TOTAL, parts[d->kind].second_name, parts[d->kind].second,
                     d->kind == SLI_HISTOGRAM ? "_bucket" : "", reterr);
}

fault_code sli_new(const struct sli_definition *definition, struct sli **ret_sli, struct fault *reterr) {
    if (!is_id(definition->slo_id))
        return fault_set(reterr, FAULT_INPUT, "slo '%.*s': expected an id of 1 to %d of A-Z a-z 0-9 . _ -",
                         SLICE_ARG(slice_first(definition->slo_id, 100)), LIMIT_AGGREGATE_ID_BYTES);
    struct sli *sli = calloc(1, sizeof *sli);
    fault_code code = sli ? FAULT_NONE : fault_set(reterr, FAULT_SYSTEM, "out of memory");
    if (code == FAULT_NONE) code = check_numbers(definition, reterr);
    if (code == FAULT_NONE) code = check_texts(definition, reterr);
    if (code == FAULT_NONE) code = sli_fill(sli, definition, reterr);
    if (code) {
        sli_free(sli);
        (void)fault_wrap(reterr, "slo '%.*s'", SLICE_ARG(definition->slo_id));
        return code;
    }
    *ret_sli = sli;
    return FAULT_NONE;
}

struct sli *sli_free(struct sli *sli) {
    if (sli) {
        for (int i = 0; i < SLI_PART_COUNT_; i++) selector_free(sli->selectors[i]);
        free(sli->targets);
        free(sli->store);
        free(sli);
    }
    return NULL;
}

const struct sli_definition *sli_definition(const struct sli *sli) {
    return &sli->definition;
}

struct series_id sli_key(const struct sli *sli) {
    return sli->key;
}

bool sli_wants_target(const struct sli *sli, slice target_name) {
    for (size_t i = 0; i < sli->definition.targets_count; i++)
        if (slice_equal(sli->definition.targets[i], target_name)) return true;
    return sli->definition.targets_count == 0;
}

const struct selector *sli_selector(const struct sli *sli, enum sli_part part) {
    return sli->selectors[part];
}

bool sli_holds(enum sli_operator operator, double value, double threshold) {
    if (isnan(value)) return false;
    switch (operator) {
    case SLI_LESS: return value < threshold;
    case SLI_LESS_EQUAL: return value <= threshold;
    case SLI_GREATER: return value > threshold;
    case SLI_GREATER_EQUAL: return value >= threshold;
    case SLI_EQUAL: return value == threshold;
    case SLI_NOT_EQUAL: return value != threshold;
    }
    return false;
}
