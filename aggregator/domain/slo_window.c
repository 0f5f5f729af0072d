/* SPDX-License-Identifier: Apache-2.0
 * What a measured window changes: a higher revision supersedes, and the counts move by the difference.
 *
 * A window has the length that the definition says, or one that it said in the last SLO_LENGTH_KEPT_DAYS days: an agent
 * that was cut off measured on as it was told. No moment is counted twice for it: a window that overlaps a stored one
 * of another length, of the same agent and cluster, is refused. Agents change their length where both lengths end, so
 * this meets only those that do not keep to it. Agents that the list does not name may still bring what began before the
 * list was changed (by clocks that may be SLO_AHEAD_MS ahead). */
#include "aggregator/domain/slo_window.h"

#include "aggregator/domain/slo_state.h"

static const int64_t DAY_MS = INT64_C(24) * SLO_HOUR_MS;

static bool agent_named(const SLO *slo, slice agent) {
    for (size_t i = 0; i < slo->agents.count; i++)
        if (slice_equal(slo->agents.items[i], agent)) return true;
    return slo->agents.count == 0;
}

/* Right in itself. */
static fault_code window_check(const RecordSLIWindowRequested *w, int64_t now_ms, struct fault *reterr) {
    if (w->window_start.seconds < 0) return fault_set(reterr, FAULT_INPUT, "window_start is before 1970");
    if (w->window_start.nanos)
        return fault_set(reterr, FAULT_INPUT, "window_start %lld.%09d is not a whole second",
                         (long long)w->window_start.seconds, (int)w->window_start.nanos);
    if (w->window_start.seconds % w->window_seconds)
        return fault_set(reterr, FAULT_INPUT, "window_start %lld is not a multiple of window_seconds (%d)",
                         (long long)w->window_start.seconds, w->window_seconds);
    if (w->good > w->total)
        return fault_set(reterr, FAULT_INPUT, "good (%lld) is more than total (%lld)", (long long)w->good,
                         (long long)w->total);
    if (w->scrapes_seen > w->scrapes_expected) /* in a sum it would hide what another window did not see */
        return fault_set(reterr, FAULT_INPUT, "scrapes_seen (%lld) is more than scrapes_expected (%lld)",
                         (long long)w->scrapes_seen, (long long)w->scrapes_expected);
    if (w->total > SLO_WINDOW_EVENTS_MAX || w->scrapes_expected > SLO_WINDOW_EVENTS_MAX ||
        w->scrapes_seen > SLO_WINDOW_EVENTS_MAX)
        return fault_set(reterr, FAULT_INPUT, "a count is over %lld, the most that one window may hold",
                         (long long)SLO_WINDOW_EVENTS_MAX);
    const int64_t start_ms = domain_ms(w->window_start);
    if (start_ms > now_ms + SLO_AHEAD_MS)
        return fault_set(reterr, FAULT_INPUT,
                         "the window starts %lld s in the future: check the clock of the machine that measured it",
                         (long long)(start_ms - now_ms) / 1000);
    if (start_ms / SLO_HOUR_MS <= now_ms / SLO_HOUR_MS - SLO_DAYS_MAX * 24)
        return fault_set(reterr, FAULT_INPUT, "the window started %lld days ago; no window is taken after %d days",
                         (long long)(now_ms - start_ms) / DAY_MS, SLO_DAYS_MAX);
    return FAULT_NONE;
}

/* A revision that is stored says the same again; or it saw less, or nothing, which takes back nothing (an agent that goes
 * on from an older copy of its queue says so of the time in between). Other counts need a revision of their own: their
 * sender would take it that they are committed. */
static fault_code revision_fits(const struct sli_window_stored *before, const RecordSLIWindowRequested *w,
                                struct fault *reterr) {
    const bool same = w->good == before->good && w->total == before->total &&
                      w->scrapes_expected == before->scrapes_expected && w->scrapes_seen == before->scrapes_seen;
    const bool less = w->scrapes_seen < before->scrapes_seen || (w->total == 0 && w->scrapes_seen == 0);
    if (w->revision != before->revision || same || less) return FAULT_NONE;
    return fault_set(
        reterr, FAULT_CONFLICT,
        "revision %lld of this window is stored with %lld good of %lld (%lld of %lld scrapes seen), this says "
        "%lld of %lld (%lld of %lld): to replace it send revision %lld",
        (long long)w->revision, (long long)before->good, (long long)before->total, (long long)before->scrapes_seen,
        (long long)before->scrapes_expected, (long long)w->good, (long long)w->total, (long long)w->scrapes_seen,
        (long long)w->scrapes_expected, (long long)w->revision + 1);
}

/* Right for this SLO, beside what is stored. */
static fault_code window_fits(const struct slo_state *slo, const RecordSLIWindowRequested *w,
                              const struct domain_call *call, struct fault *reterr) {
    const struct sli_window_stored *before = call->window;
    if (before->revision && before->window_seconds != w->window_seconds)
        return fault_set(reterr, FAULT_CONFLICT, "the window is stored with %d seconds, this revision says %d",
                         before->window_seconds, w->window_seconds);
    if (before->revision) return revision_fits(before, w, reterr); /* the rest fitted when it came first */
    if (!slo_length_known(slo, w->window_seconds, call->now_ms))
        return fault_set(
            reterr, FAULT_INPUT,
            "window_seconds is %d; SLO '%.*s' is measured in windows of %d s, and was not in others in the "
            "last %d days",
            w->window_seconds, SLICE_ARG(w->slo_id), slo->definition.sli_spec.window_seconds, SLO_LENGTH_KEPT_DAYS);
    if (call->overlap.window_seconds)
        return fault_set(
            reterr, FAULT_CONFLICT,
            "the window of %d s overlaps one of %d s from %lld on, which is stored: its events would count "
            "twice",
            w->window_seconds, call->overlap.window_seconds, (long long)call->overlap.start_s);
    const int64_t enforced_ms = slo->agents_changed_ms ? slo->agents_changed_ms + SLO_AHEAD_MS : 0;
    if (domain_ms(w->window_start) >= enforced_ms && !agent_named(&slo->definition, call->actor))
        return fault_set(reterr, FAULT_CONFLICT, "'%.*s' is not among the agents that measure SLO '%.*s'",
                         SLICE_ARG(call->actor), SLICE_ARG(w->slo_id));
    return FAULT_NONE;
}

static bool counts_fit(const struct slo_state *slo, SLOWindow window, int64_t now_hour, int64_t hour,
                       const struct slo_counts *difference) {
    const struct slo_counts sum = slo_budget_counts(&slo->budget, window, now_hour, hour, difference, NULL);
    return sum.total <= INT64_MAX / 4 && sum.scrapes_expected <= INT64_MAX / 4 && sum.scrapes_seen <= INT64_MAX / 4;
}

static void window_fact(const RecordSLIWindowRequested *w, const struct domain_call *call,
                        struct fact_list *ret_facts) {
    const struct sli_window_stored *before = call->window;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_sli_window_recorded_tag);
    SLIWindowRecorded *recorded = &fact->fact.sli_window_recorded;
    recorded->has_window = true;
    recorded->window = (SLIWindow){
        .slo_id = w->slo_id,
        .cluster_id = w->cluster_id,
        .agent = call->actor,
        .has_window_start = true,
        .window_start = w->window_start,
        .window_seconds = w->window_seconds,
        .good = w->good,
        .total = w->total,
        .scrapes_expected = w->scrapes_expected,
        .scrapes_seen = w->scrapes_seen,
        .revision = w->revision,
    };
    if (!before->revision) return;
    recorded->has_replaced = true;
    recorded->replaced = recorded->window;
    recorded->replaced.good = before->good;
    recorded->replaced.total = before->total;
    recorded->replaced.scrapes_expected = before->scrapes_expected;
    recorded->replaced.scrapes_seen = before->scrapes_seen;
    recorded->replaced.revision = before->revision;
}

fault_code slo_decide_window(const struct aggregate *aggregate, const SreDomainIntent *intent, struct domain_call *call,
                             struct fact_list *ret_facts, struct fault *reterr) {
    const RecordSLIWindowRequested *w = &intent->intent.record_sli_window;
    const struct sli_window_stored *before = call->window;
    if (!aggregate->version)
        return fault_set(reterr, FAULT_ABSENT, "SLO '%.*s' does not exist", SLICE_ARG(aggregate->id));
    const struct slo_state *slo = aggregate->state.slo;
    fault_code code = window_check(w, call->now_ms, reterr);
    if (!code) code = window_fits(slo, w, call, reterr);
    if (code) return code;
    if (w->revision <= before->revision) return FAULT_NONE; /* a repeat, or overtaken by a newer one */

    const int64_t hour = domain_ms(w->window_start) / SLO_HOUR_MS, now_hour = call->now_ms / SLO_HOUR_MS;
    struct slo_counts difference =
        slo_counts_of(&slo->definition, &(struct slo_counts){w->good, w->total, w->scrapes_expected, w->scrapes_seen});
    if (before->revision) {
        const struct slo_counts stored =
            slo_counts_of(&slo->definition, &(struct slo_counts){before->good, before->total, before->scrapes_expected,
                                                                 before->scrapes_seen});
        difference = slo_counts_less(&difference, &stored);
    }
    if (!counts_fit(slo, SLO_WINDOW_30D, now_hour, hour, &difference) ||
        !counts_fit(slo, SLO_WINDOW_CALENDAR_YEAR, now_hour, hour, &difference))
        return fault_set(reterr, FAULT_CONFLICT, "the SLO's counts over its window would not fit in 62 bits");
    window_fact(w, call, ret_facts);
    const struct slo_counts own =
        slo_budget_counts(&slo->budget, slo->definition.window, now_hour, hour, &difference, NULL);
    if (!slo_budget_exhausted(&own, slo->definition.target) || slo_exhaustion_said(slo, call->now_ms))
        return FAULT_NONE;
    struct slo_state *after = arena_alloc(call->arena, sizeof *after);
    if (!after) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
    *after = *slo;
    slo_budget_advance(&after->budget, now_hour);
    slo_budget_add(&after->budget, hour, &difference);
    slo_periods_advance(&after->budget, now_hour);
    slo_periods_add(&after->budget, hour, &difference);
    slo_exhausted_add(ret_facts, after, call->now_ms, call->arena);
    return FAULT_NONE;
}

static struct slo_counts measured(const SLIWindow *w) {
    return (struct slo_counts){w->good, w->total, w->scrapes_expected, w->scrapes_seen};
}

void slo_apply_window(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena) {
    struct slo_state *slo = aggregate->state.slo;
    const SLIWindowRecorded *recorded = &fact->fact.sli_window_recorded;
    struct slo_counts counts = measured(&recorded->window);
    struct slo_counts difference = slo_counts_of(&slo->definition, &counts);
    if (recorded->has_replaced) {
        counts = measured(&recorded->replaced);
        const struct slo_counts replaced = slo_counts_of(&slo->definition, &counts);
        difference = slo_counts_less(&difference, &replaced);
    }
    const int64_t start_ms = domain_ms(recorded->window.window_start);
    slo_budget_advance(&slo->budget, now_ms / SLO_HOUR_MS);
    slo_budget_add(&slo->budget, start_ms / SLO_HOUR_MS, &difference);
    slo_periods_advance(&slo->budget, now_ms / SLO_HOUR_MS);
    slo_periods_add(&slo->budget, start_ms / SLO_HOUR_MS, &difference);
    if (start_ms > slo->budget.last_window_ms) slo->budget.last_window_ms = start_ms;
    if (slo->budget.exhausted && !slo_exhaustion_said(slo, now_ms)) slo->budget.exhausted = false;
}
