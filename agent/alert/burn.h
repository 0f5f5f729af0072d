/* SPDX-License-Identifier: Apache-2.0
 * How fast an SLO uses up its error budget, from its sealed windows: multi-window, multi-burn-rate rules (The Site
 * Reliability Workbook, chapter 5, "Alerting on SLOs"). A rule holds when the burn rate over its long window and over its
 * short one reach its factor: the long one says that it matters, the short one that it goes on. A burn rate is the share
 * of bad events over the share that the objective allows. Pure: no clock, no I/O. Any thread, one at a time. */
#ifndef PICKET_ALERT_BURN_H
#define PICKET_ALERT_BURN_H

#include "agent/window/fold.h"

enum { BURN_RULES_MAX = 8, BURN_SPANS_MAX = 2 * BURN_RULES_MAX, BURN_BUCKETS = 13 };

struct burn_rule {
    slice name; /* part of the alert's identity */
    double factor;
    int64_t long_ms, short_ms;
    int severity; /* as in the contract's Severity */
};

/* The rules, and the spans of time that they look at, each once. Rules and their names are borrowed. */
struct burn_rules {
    const struct burn_rule *rules;
    size_t count;
    int64_t spans_ms[BURN_SPANS_MAX];
    size_t spans_count;
    uint8_t long_spans[BURN_RULES_MAX], short_spans[BURN_RULES_MAX];
};
/* At most BURN_RULES_MAX rules. */
void burn_rules_init(struct burn_rules *rules, const struct burn_rule *items, size_t count);

/* A twelfth of a span. Single precision is enough for a ratio. */
struct burn_bucket {
    uint32_t number; /* of the twelfth since 1970, its lower half */
    float bad, total;
    uint32_t expected, seen;
};

/* What is known of one SLO. Zeroed at first. */
struct burn_history {
    int64_t last_end_ms;         /* of the window counted last; 0: none */
    int64_t last_seen_ms;        /* end of the last window of which something was seen; 0: none */
    struct burn_bucket *buckets; /* spans_count times BURN_BUCKETS, the caller's */
};

void burn_count(const struct burn_rules *rules, struct burn_history *history, const struct sli_window *window);

enum burn_verdict {
    BURN_UNKNOWN, /* of either span, less than half of the scrapes that were due was seen, or no event was */
    BURN_CALM,
    BURN_HOLDS
};
struct burn_rates {
    double over_long, over_short;
};
/* As of the window counted last. What was not seen counts as neither good nor bad. */
enum burn_verdict burn_judge(const struct burn_rules *rules, size_t rule, const struct burn_history *history,
                             double objective_percent, struct burn_rates *ret_rates);

#endif
