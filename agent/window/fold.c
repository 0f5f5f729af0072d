/* SPDX-License-Identifier: Apache-2.0
 * A scrape writes into `staged` of its series and bindings only; fold_commit turns that into counts, fold_abort forgets
 * it, so a scrape that broke off leaves no trace.
 *
 * Counters are floating point in the exposition. Whole events are counted as integers; the fraction of an event that
 * an increase leaves over is kept per binding and added to the next, so no sum of fractions is lost. Integers up to
 * 2^53 are exact.
 *
 * The bucket at an SLI's threshold and the one at +Inf are paired by the identity of their series without `le`: a
 * histogram of which only one of the two was seen cannot be judged and leaves the scrape unseen for that SLI.
 *
 * A target reads its own counters one after another, so good may run ahead of total by what happened meanwhile;
 * sealing (fold_seal.c) carries the surplus into the next window. */
#include "agent/window/fold_parts.h"

#include "agent/window/slot.h"
#include "common/base/limits.h"

#include <math.h>

static void fold_on_sample(void *context, uint32_t tag, const struct exposition_sample *sample);

fault_code fold_attach(struct fold *fold, size_t target, struct selector_index *index, struct fault *reterr) {
    const struct fold_slot *const slot = &fold->targets[target];
    for (uint32_t b = slot->bindings_first; b < slot->bindings_first + slot->bindings_count; b++)
        for (uint32_t part = 0; part < SLI_PART_COUNT_; part++) {
            const struct selector *const selector =
                sli_selector(fold->slis[fold->bindings[b].sli].sli, (enum sli_part)part);
            if (selector == NULL) continue;
            const fault_code code =
                selector_index_add(index, selector, fold_on_sample, fold, b * SLI_PART_COUNT_ + part, reterr);
            if (code) return code;
        }
    return FAULT_NONE;
}

fault_code fold_attach_group(struct fold *fold, size_t group, struct selector_index *index, struct fault *reterr) {
    const struct fold_crowd *const crowd = &fold->crowds[group];
    for (uint32_t k = 0; k < crowd->slis_count; k++)
        for (uint32_t part = 0; part < SLI_PART_COUNT_; part++) {
            const struct selector *const selector = sli_selector(fold->slis[crowd->slis[k]].sli, (enum sli_part)part);
            if (selector == NULL) continue;
            const fault_code code =
                selector_index_add(index, selector, fold_on_sample, fold, k * SLI_PART_COUNT_ + part, reterr);
            if (code) return code;
        }
    return FAULT_NONE;
}

fault_code fold_begin(struct fold *fold, size_t target, int64_t slot_ms, struct fault *reterr) {
    struct fold_slot *const slot = &fold->targets[target];
    if (slot->in_flight)
        return fault_set(reterr, FAULT_CONFLICT, "target '%.*s' is being scraped already",
                         SLICE_ARG(slice_first(slot->name, 100)));
    slot->in_flight = true;
    slot->swept = false;
    slot->slot_ms = slot_ms;
    return FAULT_NONE;
}

static bool label_number(const struct exposition_sample *sample, const char *name, double *ret_value) {
    for (size_t i = 0; i < sample->labels_count; i++)
        if (slice_equal_text(sample->labels[i].name, name))
            return exposition_number(sample->labels[i].value, ret_value);
    return false;
}

static void stage_counter(struct fold *fold, uint32_t number, uint8_t part, uint8_t flag, slice without,
                          const struct exposition_sample *sample) {
    struct fold_binding *const binding = &fold->bindings[number];
    if (!(sample->value >= 0 && sample->value < 0x1p62)) {
        binding->wrong = true;
        return;
    }
    const struct series_id id = series_identity(sample, without);
    struct series *const series = fold_series(fold, number, part, id);
    if (series == NULL) {
        fold->stats.series_refused++;
        binding->refused++;
        return;
    }
    if (series->flags & flag) return; /* exposed twice in one scrape: the first stands, as in Prometheus */
    series->flags |= flag;
    series->staged[flag == SERIES_STAGED_TOTAL] = sample->value;
}

static void stage_bucket(struct fold *fold, uint32_t number, const struct sli_definition *definition,
                         const struct exposition_sample *sample) {
    double bound;
    if (!label_number(sample, "le", &bound)) return;
    if (bound == definition->threshold)
        stage_counter(fold, number, SLI_PART_TOTAL, SERIES_STAGED, SLICE_LIT("le"), sample);
    else if (isinf(bound) && bound > 0)
        stage_counter(fold, number, SLI_PART_TOTAL, SERIES_STAGED_TOTAL, SLICE_LIT("le"), sample);
}

static void fold_on_sample(void *context, uint32_t tag, const struct exposition_sample *sample) {
    struct fold *const fold = context;
    const uint32_t number = tag / SLI_PART_COUNT_;
    struct fold_binding *const binding = &fold->bindings[number];
    if (!fold->targets[binding->target].in_flight) return;
    const struct sli_definition *const definition = fold->slis[binding->sli].definition;
    fold->stats.samples++;
    if (definition->kind == SLI_HISTOGRAM) {
        stage_bucket(fold, number, definition, sample);
    } else if (definition->kind != SLI_GAUGE) {
        stage_counter(fold, number, (uint8_t)(tag % SLI_PART_COUNT_), SERIES_STAGED, (slice){0}, sample);
    } else {
        const enum sli_part part = tag % SLI_PART_COUNT_;
        if (binding->gauge_counts[SLI_PART_TOTAL] == 0 && part == SLI_PART_TOTAL) binding->gauge_holds = true;
        binding->gauge_counts[part]++;
        binding->gauge_sums[part] += sample->value;
        if (isnan(sample->value)) binding->gauge_wrong = true; /* the target does not know it itself */
        if (part == SLI_PART_TOTAL)
            binding->gauge_holds &= sli_holds(definition->operator, sample->value, definition->threshold);
    }
}

/* The one event of a gauge in this scrape. False when it cannot be told, which is neither good nor bad. */
static bool commit_gauge(struct fold_binding *binding, const struct sli_definition *definition,
                         struct fold_count *count) {
    if (binding->gauge_counts[SLI_PART_TOTAL] == 0) return !binding->gauge_known;
    binding->gauge_known = true;
    bool holds = binding->gauge_holds;
    if (definition->divisor.size) {
        const double value = binding->gauge_sums[SLI_PART_TOTAL] / binding->gauge_sums[SLI_PART_GOOD];
        if (binding->gauge_counts[SLI_PART_GOOD] == 0 || !isfinite(value)) return false;
        holds = sli_holds(definition->operator, value, definition->threshold);
    }
    if (binding->gauge_wrong) return false;
    count->total += count->total < INT64_MAX;
    count->good += holds && count->good < INT64_MAX;
    return true;
}

static int64_t add_bounded(int64_t a, int64_t b) {
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* Adds the increase's whole events, and a further one when the fractions have made it up. */
static void count_increase(int64_t *count, double *part, double increase) {
    const double whole = floor(increase);
    *part += increase - whole;
    int64_t events = (int64_t)whole;
    if (*part >= 1) {
        *part -= 1;
        events++;
    }
    *count = add_bounded(*count, events);
}

static void commit_series(struct fold *fold, struct fold_binding *binding, bool histogram, struct series *series,
                          struct fold_count *count) {
    const bool reset = series->staged[0] < series->last[0] || (histogram && series->staged[1] < series->last[1]);
    if (series->flags & SERIES_KNOWN) {
        fold->stats.resets += reset;
        for (int i = 0; i <= histogram; i++) {
            const double increase = reset ? series->staged[i] : series->staged[i] - series->last[i];
            const bool good = histogram ? i == 0 : series->part == SLI_PART_GOOD;
            count_increase(good ? &count->good : &count->total, good ? &binding->good_part : &binding->total_part,
                           increase);
        }
    }
    series->last[0] = series->staged[0];
    series->last[1] = histogram ? series->staged[1] : 0;
    series->flags |= SERIES_KNOWN;
}

/* Returns how many histograms could not be judged, because one of their two buckets was not there. */
static uint32_t commit_binding(struct fold *fold, struct fold_binding *binding, int64_t slot_ms,
                               struct fold_count *count) {
    const bool histogram = fold->slis[binding->sli].definition->kind == SLI_HISTOGRAM;
    const uint8_t whole = histogram ? SERIES_STAGED | SERIES_STAGED_TOTAL : SERIES_STAGED;
    uint32_t halves = 0, asked = 0;
    for (struct series *series = series_at(&fold->series, binding->series_first); series;
         series = series_at(&fold->series, series->next_in_binding)) {
        const uint8_t staged = series->flags & (SERIES_STAGED | SERIES_STAGED_TOTAL);
        if (staged == 0) continue;
        asked++;
        series->seen_s = (uint32_t)(slot_ms / 1000);
        if (staged == whole)
            commit_series(fold, binding, histogram, series, count);
        else
            halves++;
        series->flags &= SERIES_KNOWN;
    }
    /* A histogram has two samples of each series. */
    binding->wants = binding->refused ? asked + (binding->refused + histogram) / (1 + histogram) : 0;
    return halves;
}

static int64_t window_for(const struct fold_sli *sli, int64_t slot_ms) {
    const int64_t window_ms = slot_floor(slot_ms, sli->window_ms) * sli->window_ms;
    return window_ms < sli->next_ms ? sli->next_ms : window_ms;
}

static bool fold_has_room(const struct fold *fold, const struct fold_slot *target) {
    for (uint32_t b = target->bindings_first; b < target->bindings_first + target->bindings_count; b++) {
        const struct fold_sli *const sli = &fold->slis[fold->bindings[b].sli];
        if (window_for(sli, target->slot_ms) - sli->next_ms >= sli->ring_count * sli->window_ms) return false;
    }
    return true;
}

static bool series_is_new(const struct series *series, uint32_t before_s) {
    return !(series->flags & SERIES_KNOWN);
}

void fold_unstage(struct fold *fold, struct fold_slot *target, bool forget) {
    for (uint32_t b = target->bindings_first; b < target->bindings_first + target->bindings_count; b++) {
        struct fold_binding *const binding = &fold->bindings[b];
        if (forget) {
            for (struct series *series = series_at(&fold->series, binding->series_first); series;
                 series = series_at(&fold->series, series->next_in_binding))
                series->flags &= SERIES_KNOWN;
            fold_drop_series(fold, binding, series_is_new, 0, NULL);
        }
        memset(binding->gauge_sums, 0, sizeof binding->gauge_sums);
        memset(binding->gauge_counts, 0, sizeof binding->gauge_counts);
        binding->gauge_holds = binding->gauge_wrong = false;
        binding->wrong = false;
        binding->refused = 0;
    }
    target->in_flight = false;
}

static fault_code commit_faults(const struct fold *fold, const struct fold_binding *binding, uint32_t halves, bool told,
                                struct fault *reterr) {
    const struct sli_definition *const d = fold->slis[binding->sli].definition;
    const slice target = slice_first(fold->targets[binding->target].name, 100);
    if (binding->refused)
        return fault_set(reterr, FAULT_LIMIT,
                         "slo '%.*s' on target '%.*s': its %u series do not fit into the table of %zu "
                         "(fold.series_max), of which %u are its share; not counted as seen",
                         SLICE_ARG(d->slo_id), SLICE_ARG(target), binding->wants, fold->settings.series_max,
                         fold->series_share);
    if (binding->cut)
        return fault_set(reterr, FAULT_LIMIT,
                         "slo '%.*s' on target '%.*s': it gave way to others in the table of %zu series "
                         "(fold.series_max), of which %u are its share; not counted as seen",
                         SLICE_ARG(d->slo_id), SLICE_ARG(target), fold->settings.series_max, fold->series_share);
    if (binding->wrong)
        return fault_set(
            reterr, FAULT_INPUT,
            "slo '%.*s' on target '%.*s': a selected counter is negative, NaN or over 2^62; not counted as seen",
            SLICE_ARG(d->slo_id), SLICE_ARG(target));
    if (halves)
        return fault_set(
            reterr, FAULT_INPUT,
            "slo '%.*s' on target '%.*s': %u histograms lack the bucket le=\"%g\" or le=\"+Inf\"; not counted as seen",
            SLICE_ARG(d->slo_id), SLICE_ARG(target), halves, d->threshold);
    if (!told)
        return fault_set(
            reterr, FAULT_INPUT,
            "slo '%.*s' on target '%.*s': the gauge is gone, NaN, or its divisor is absent or 0; not counted as seen",
            SLICE_ARG(d->slo_id), SLICE_ARG(target));
    return FAULT_NONE;
}

/* probed: the outcome of a probe; NULL for a scrape. */
static fault_code fold_commit_any(struct fold *fold, size_t number, const bool *probed, int64_t latency_ms,
                                  struct fault *reterr) {
    struct fold_slot *const target = &fold->targets[number];
    if (!target->in_flight)
        return fault_set(reterr, FAULT_CONFLICT, "target '%.*s' is not being scraped",
                         SLICE_ARG(slice_first(target->name, 100)));
    if (!fold_has_room(fold, target)) {
        fold_abort(fold, number);
        return fault_set(reterr, FAULT_AGAIN,
                         "target '%.*s': sealed windows wait to be stored; the next scrape will count it",
                         SLICE_ARG(slice_first(target->name, 100)));
    }
    /* A slot that comes twice (the clock was set back) is counted, but seen once; one that was not expected, neither. */
    const bool fresh = target->slot_ms > target->last_slot_ms && target->slot_ms >= target->from_ms &&
                       target->slot_ms < target->until_ms;
    fault_code code = FAULT_NONE;
    for (uint32_t b = target->bindings_first; b < target->bindings_first + target->bindings_count; b++) {
        struct fold_binding *const binding = &fold->bindings[b];
        const struct fold_sli *const sli = &fold->slis[binding->sli];
        struct fold_count *const count = fold_count_at(fold, binding, window_for(sli, target->slot_ms));
        uint32_t halves = 0;
        bool told = true;
        if (probed) {
            const int64_t most_ms = sli->definition->latency_ms_max;
            count->total = add_bounded(count->total, 1);
            count->good += *probed && (most_ms == 0 || latency_ms <= most_ms);
        } else if (sli->definition->kind == SLI_GAUGE) {
            told = commit_gauge(binding, sli->definition, count);
        } else {
            halves = commit_binding(fold, binding, target->slot_ms, count);
        }
        struct fault *const first = code ? NULL : reterr;
        const fault_code one = commit_faults(fold, binding, halves, told, first);
        if (code == FAULT_NONE) code = one;
        count->seen += fresh && one == FAULT_NONE;
        if (!probed) binding->cut = false;
    }
    if (fresh) target->last_slot_ms = target->slot_ms;
    target->commits++;
    target->restored = false;
    fold->stats.scrapes_committed++;
    fold_unstage(fold, target, false);
    return code;
}

fault_code fold_commit(struct fold *fold, size_t target, int64_t now_ms, struct fault *reterr) {
    return fold_commit_any(fold, target, NULL, 0, reterr);
}

fault_code fold_commit_probe(struct fold *fold, size_t target, bool ok, int64_t latency_ms, int64_t now_ms,
                             struct fault *reterr) {
    return fold_commit_any(fold, target, &ok, latency_ms, reterr);
}

void fold_abort(struct fold *fold, size_t target) {
    if (!fold->targets[target].in_flight) return;
    fold_unstage(fold, &fold->targets[target], true);
    fold->stats.scrapes_aborted++;
}

uint64_t fold_generation(const struct fold *fold) {
    return fold->generation;
}

void fold_stats(const struct fold *fold, struct fold_stats *ret_stats) {
    *ret_stats = fold->stats;
    ret_stats->series = fold->series.count;
    ret_stats->series_max = fold->series.max;
    ret_stats->seal_generation = fold->generation;
    for (uint32_t c = 0; c < fold->crowds_count; c++) ret_stats->members += fold->crowds[c].members_count;
    for (uint32_t s = 0; s < fold->slis_count; s++)
        ret_stats->good_carried = add_bounded(ret_stats->good_carried, fold->slis[s].carry);
}
