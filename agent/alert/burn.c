/* SPDX-License-Identifier: Apache-2.0
 * Each span of time (5 minutes, an hour, three days) has a ring of thirteen twelfths of its own, so that three days cost
 * no more memory than five minutes; what is summed up are the twelve before the present one and the present one: the
 * span, and at most a twelfth more. A twelfth is known by its number, so a clock that was set, or a time without windows,
 * leaves nothing behind that is taken for new: a twelfth of another number counts as empty.
 *
 * An SLO that has only begun to be measured is judged by what there is, as Prometheus' rate() would. */
#include "agent/alert/burn.h"

#include <assert.h>

#include "agent/window/slot.h"

static uint8_t span_index(struct burn_rules *rules, int64_t span_ms) {
    size_t i = 0;
    while (i < rules->spans_count && rules->spans_ms[i] != span_ms) i++;
    if (i == rules->spans_count) rules->spans_ms[rules->spans_count++] = span_ms;
    return (uint8_t)i;
}

void burn_rules_init(struct burn_rules *rules, const struct burn_rule *items, size_t count) {
    assert(count <= BURN_RULES_MAX);
    *rules = (struct burn_rules){.rules = items, .count = count};
    for (size_t i = 0; i < count; i++) {
        rules->long_spans[i] = span_index(rules, items[i].long_ms);
        rules->short_spans[i] = span_index(rules, items[i].short_ms);
    }
}

/* The twelfth that the last millisecond before end_ms lies in. */
static uint32_t bucket_number(int64_t span_ms, int64_t end_ms) {
    const int64_t bucket_ms = span_ms / (BURN_BUCKETS - 1);
    return (uint32_t)(uint64_t)slot_floor(end_ms - 1, bucket_ms > 0 ? bucket_ms : 1);
}

void burn_count(const struct burn_rules *rules, struct burn_history *history, const struct sli_window *window) {
    const int64_t end_ms = window->window_start_ms + (int64_t)window->window_seconds * 1000;
    for (size_t span = 0; span < rules->spans_count; span++) {
        const uint32_t number = bucket_number(rules->spans_ms[span], end_ms);
        struct burn_bucket *const bucket = &history->buckets[span * BURN_BUCKETS + number % BURN_BUCKETS];
        if (bucket->number != number) *bucket = (struct burn_bucket){.number = number};
        bucket->bad += (float)(window->total - window->good);
        bucket->total += (float)window->total;
        bucket->expected += window->scrapes_expected;
        bucket->seen += window->scrapes_seen;
    }
    history->last_end_ms = end_ms;
    if (window->scrapes_seen) history->last_seen_ms = end_ms;
}

/* false: not enough was seen. */
static bool rate_over(const struct burn_rules *rules, uint8_t span, const struct burn_history *history,
                      double allowed_share, double *ret_rate) {
    const uint32_t newest = bucket_number(rules->spans_ms[span], history->last_end_ms);
    double bad = 0, total = 0;
    uint64_t expected = 0, seen = 0;
    for (size_t i = 0; i < BURN_BUCKETS; i++) {
        const struct burn_bucket *const bucket = &history->buckets[span * BURN_BUCKETS + i];
        if (newest - bucket->number >= BURN_BUCKETS) continue; /* of another time */
        bad += (double)bucket->bad;
        total += (double)bucket->total;
        expected += bucket->expected;
        seen += bucket->seen;
    }
    if (total <= 0 || seen * 2 < expected) return false;
    *ret_rate = bad / total / allowed_share;
    return true;
}

enum burn_verdict burn_judge(const struct burn_rules *rules, size_t rule, const struct burn_history *history,
                             double objective_percent, struct burn_rates *ret_rates) {
    const double allowed_share = 1 - objective_percent / 100;
    struct burn_rates rates = {0};
    if (history->last_end_ms == 0 || allowed_share <= 0) return BURN_UNKNOWN;
    if (!rate_over(rules, rules->long_spans[rule], history, allowed_share, &rates.over_long) ||
        !rate_over(rules, rules->short_spans[rule], history, allowed_share, &rates.over_short))
        return BURN_UNKNOWN;
    *ret_rates = rates;
    const double factor = rules->rules[rule].factor;
    return rates.over_long >= factor && rates.over_short >= factor ? BURN_HOLDS : BURN_CALM;
}
