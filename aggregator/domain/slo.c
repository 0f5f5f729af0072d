/* SPDX-License-Identifier: Apache-2.0
 * An SLO decides two things: what a measured window changes (a higher revision supersedes, the counts move by the
 * difference), and whether that used up the budget. Exhaustion is said once: the flag is set by its fact and cleared
 * only when the counts, as windows come in or old hours roll off, are within the target again. The rolling windows
 * move by whole hours: the present hour and the 7 * 24 - 1 (28, 30) before it. All counts are integers; floating
 * point appears only in what people read. */
#include "aggregator/domain/slo.h"

#include "aggregator/domain/domain_list.h"
#include "common/base/text.h"

#include <assert.h>
#include <math.h>

enum { HOUR_MS = 3600 * 1000, SLO_PROBE_LATENCY_S_MAX = 300 };

static const int rolling_days[SLO_ROLLING] = {7, 28, 30};
static const SLOWindow rolling_windows[SLO_ROLLING] = {SLO_WINDOW_7D, SLO_WINDOW_28D, SLO_WINDOW_30D};
static_assert(30 * 24 < SLO_HOURS, "the ring holds the longest window");

size_t slo_rolling_index(SLOWindow window) {
    for (size_t i = 0; i < SLO_ROLLING; i++)
        if (rolling_windows[i] == window) return i;
    return SLO_ROLLING - 1; /* validation lets no other pass */
}

/* ---- counts ---- */

static void counts_add(struct slo_counts *to, const struct slo_counts *more) {
    to->good += more->good;
    to->total += more->total;
    to->scrapes_expected += more->scrapes_expected;
    to->scrapes_seen += more->scrapes_seen;
}

static struct slo_counts counts_less(const struct slo_counts *from, const struct slo_counts *less) {
    return (struct slo_counts){from->good - less->good, from->total - less->total,
                               from->scrapes_expected - less->scrapes_expected,
                               from->scrapes_seen - less->scrapes_seen};
}

/* Hours before 1970 are asked for too: a board without a battery for its clock starts there. */
static size_t slot_of(int64_t hour) {
    return (size_t)((hour % SLO_HOURS + SLO_HOURS) % SLO_HOURS);
}

void slo_budget_advance(struct slo_budget *budget, int64_t hour) {
    if (hour <= budget->hour) return;
    if (hour - budget->hour >= SLO_HOURS) {
        memset(budget->sums, 0, sizeof budget->sums);
        memset(budget->hours, 0, sizeof budget->hours);
        budget->hour = hour;
        return;
    }
    while (budget->hour < hour) {
        budget->hour++;
        for (size_t i = 0; i < SLO_ROLLING; i++) {
            const int64_t leaving = budget->hour - rolling_days[i] * 24;
            budget->sums[i] = counts_less(&budget->sums[i], &budget->hours[slot_of(leaving)]);
        }
        budget->hours[slot_of(budget->hour)] = (struct slo_counts){0};
    }
}

void slo_budget_add(struct slo_budget *budget, int64_t hour, const struct slo_counts *difference) {
    slo_budget_advance(budget, hour);
    if (hour <= budget->hour - SLO_HOURS) return;
    const size_t slot = slot_of(hour);
    counts_add(&budget->hours[slot], difference);
    budget->touched[slot / 64] |= UINT64_C(1) << slot % 64;
    for (size_t i = 0; i < SLO_ROLLING; i++)
        if (hour > budget->hour - rolling_days[i] * 24) counts_add(&budget->sums[i], difference);
}

/* What sums[index] will be when the budget has advanced to now_hour (or to hour) and difference is added to hour. */
static struct slo_counts sum_after(const struct slo_budget *budget, size_t index, int64_t now_hour, int64_t hour,
                                   const struct slo_counts *difference) {
    const int64_t kept = rolling_days[index] * 24;
    int64_t newest = budget->hour > now_hour ? budget->hour : now_hour;
    if (hour > newest) newest = hour;
    struct slo_counts sum = {0};
    if (newest - budget->hour < kept) {
        sum = budget->sums[index];
        for (int64_t leaving = budget->hour - kept + 1; leaving <= newest - kept; leaving++)
            sum = counts_less(&sum, &budget->hours[slot_of(leaving)]);
    }
    if (difference && hour > newest - kept) counts_add(&sum, difference);
    return sum;
}

/* ---- the budget's arithmetic ---- */

double slo_budget_consumed(const struct slo_counts *counts, double target) {
    const double bad = (double)(counts->total - counts->good);
    const double allowed = (double)counts->total * (100.0 - target) / 100.0;
    if (bad <= 0) return 0;
    return allowed > 0 ? bad / allowed * 100.0 : INFINITY;
}

bool slo_budget_exhausted(const struct slo_counts *counts, double target) {
    const int64_t bad = counts->total - counts->good;
    const int64_t allowed_per_hundred_million = 100000000 - llround(target * 1e6);
    return bad > 0 && (__int128)bad * 100000000 >= (__int128)counts->total * allowed_per_hundred_million;
}

/* Exhausted, said and still so: hours may have rolled off since the last window came in. */
static bool exhausted_at(const struct slo_state *slo, int64_t now_ms) {
    if (!slo->budget.exhausted) return false;
    const size_t own = slo_rolling_index(slo->definition.window);
    const struct slo_counts sum = sum_after(&slo->budget, own, now_ms / HOUR_MS, 0, NULL);
    return slo_budget_exhausted(&sum, slo->definition.target);
}

void slo_budget_report(const struct slo_state *slo, int64_t now_ms, SLOBudgetWindow windows[SLO_ROLLING],
                       SLOBudget *ret_budget) {
    const struct slo_budget *budget = &slo->budget;
    const double target = slo->definition.target;
    for (size_t i = 0; i < SLO_ROLLING; i++) {
        const struct slo_counts sum = sum_after(budget, i, now_ms / HOUR_MS, 0, NULL);
        const double consumed = slo_budget_consumed(&sum, target);
        const bool unknown = sum.total == 0; /* no events are no full budget: a selector may match nothing */
        windows[i] = (SLOBudgetWindow){
            .window = rolling_windows[i],
            .good = sum.good,
            .total = sum.total,
            .scrapes_expected = sum.scrapes_expected,
            .scrapes_seen = sum.scrapes_seen,
            .budget_consumed = consumed,
            .budget_remaining = unknown ? 0 : 100.0 - consumed,
            .exhausted = slo_budget_exhausted(&sum, target),
            .unknown = unknown,
        };
    }
    const SLOBudgetWindow *own = &windows[slo_rolling_index(slo->definition.window)];
    const bool exhausted = exhausted_at(slo, now_ms);
    *ret_budget = (SLOBudget){
        .current_budget_remaining = own->budget_remaining,
        .budget_consumed = own->budget_consumed,
        .good = own->good,
        .total = own->total,
        .scrapes_expected = own->scrapes_expected,
        .scrapes_seen = own->scrapes_seen,
        .exhausted = exhausted,
        .has_exhausted_at = exhausted,
        .exhausted_at = domain_time(exhausted ? budget->exhausted_at_ms : 0),
        .windows = {.items = windows, .count = SLO_ROLLING},
        .has_last_window_at = budget->last_window_ms != 0,
        .last_window_at = domain_time(budget->last_window_ms),
        .has_computed_at = true,
        .computed_at = domain_time(now_ms),
        .unknown = own->unknown,
    };
}

void slo_whole(const struct slo_state *slo, uint64_t version, int64_t now_ms, SLOBudgetWindow windows[SLO_ROLLING],
               SLO *ret_slo) {
    *ret_slo = slo->definition;
    ret_slo->version = (int64_t)version;
    ret_slo->has_budget = true;
    slo_budget_report(slo, now_ms, windows, &ret_slo->budget);
}

void slo_state_init(struct slo_state *slo, const SLO *stored) {
    memset(slo, 0, sizeof *slo);
    slo->definition = *stored;
    slo->definition.has_budget = false;
    slo->definition.budget = (SLOBudget){0};
    slo->definition.version = 0;
    if (!stored->has_budget) return;
    slo->budget.exhausted = stored->budget.exhausted;
    slo->budget.exhausted_at_ms = domain_ms(stored->budget.exhausted_at);
    slo->budget.last_window_ms = domain_ms(stored->budget.last_window_at);
}

/* ---- definition ---- */

/* Agents refuse the same; here it is said to whoever asks. */
static fault_code probe_check(const ProbeSLI *probe, struct fault *reterr) {
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
                                   probe->latency_max.seconds > SLO_PROBE_LATENCY_S_MAX))
        return fault_set(reterr, FAULT_INPUT, "sli_spec.probe.latency_max: must be from 0 s to %d s",
                         SLO_PROBE_LATENCY_S_MAX);
    return FAULT_NONE;
}

static fault_code spec_check(const SLISpec *spec, struct fault *reterr) {
    if (spec->which_kind == SLISpec_probe_tag) return probe_check(&spec->kind.probe, reterr);
    if (spec->which_kind != SLISpec_counter_ratio_tag) return FAULT_NONE; /* the others are checked field by field */
    const CounterRatioSLI *ratio = &spec->kind.counter_ratio;
    const bool good = ratio->good_selector.size, bad = ratio->bad_selector.size, total = ratio->total_selector.size;
    if (total ? good != bad : good && bad) return FAULT_NONE;
    return fault_set(reterr, FAULT_INPUT,
                     "sli_spec.counter_ratio: give total_selector and one of good_selector and bad_selector, or "
                     "good_selector and bad_selector");
}

/* Create and update carry the same definition in two messages. */
#define DEFINITION_FROM(slo, request, arena)                                                                           \
    do {                                                                                                               \
        (slo)->name = (request)->name;                                                                                 \
        (slo)->description = (request)->description;                                                                   \
        (slo)->target = (request)->target;                                                                             \
        (slo)->window = (request)->window;                                                                             \
        (slo)->has_sli_spec = (request)->has_sli_spec;                                                                 \
        (slo)->sli_spec = (request)->sli_spec;                                                                         \
        LIST_SHARE((slo)->agents, (request)->agents);                                                                  \
        (slo)->owner = (request)->owner;                                                                               \
        (slo)->scope = (request)->scope;                                                                               \
        (slo)->service_id = (request)->service_id;                                                                     \
        MAP_COPY((slo)->labels, (request)->labels, arena);                                                             \
        if ((slo)->sli_spec.window_seconds == 0) (slo)->sli_spec.window_seconds = 60;                                  \
    } while (0)

fault_code slo_decide_create(const struct aggregate *aggregate, const SreDomainIntent *intent, struct domain_call *call,
                             struct fact_list *ret_facts, struct fault *reterr) {
    const CreateSLORequested *request = &intent->intent.create_slo;
    if (aggregate->version)
        return fault_set(reterr, FAULT_EXISTS, "SLO '%.*s' exists already, at version %llu; change it with UpdateSLO",
                         SLICE_ARG(aggregate->id), (unsigned long long)aggregate->version);
    if (spec_check(&request->sli_spec, reterr)) return FAULT_INPUT;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_slo_created_tag);
    fact->fact.slo_created.has_slo = true;
    SLO *slo = &fact->fact.slo_created.slo;
    slo->slo_id = aggregate->id;
    DEFINITION_FROM(slo, request, call->arena);
    slo->has_created_at = slo->has_updated_at = true;
    slo->created_at = slo->updated_at = domain_time(call->now_ms);
    slo->version = 1;
    return FAULT_NONE;
}

static void exhausted_add(struct fact_list *facts, const struct slo_state *after, int64_t now_ms, struct arena *arena) {
    SLOBudgetWindow *windows = arena_alloc_array(arena, SLO_ROLLING, sizeof *windows);
    SreDomainFact *fact = fact_list_add(facts, SreDomainFact_slo_budget_exhausted_tag);
    SLOBudgetExhausted *said = &fact->fact.slo_budget_exhausted;
    said->slo_id = after->definition.slo_id;
    said->window = after->definition.window;
    said->has_exhausted_at = said->has_budget = true;
    said->exhausted_at = domain_time(now_ms);
    SLOBudgetWindow spare[SLO_ROLLING]; /* no memory: the fact goes without the three windows, never not at all */
    slo_budget_report(after, now_ms, windows ? windows : spare, &said->budget);
    if (!windows) said->budget.windows.items = NULL, said->budget.windows.count = 0;
    said->budget.exhausted = said->budget.has_exhausted_at = true;
    said->budget.exhausted_at = said->exhausted_at;
}

fault_code slo_decide_update(const struct aggregate *aggregate, const SreDomainIntent *intent, struct domain_call *call,
                             struct fact_list *ret_facts, struct fault *reterr) {
    const UpdateSLORequested *request = &intent->intent.update_slo;
    if (!aggregate->version)
        return fault_set(reterr, FAULT_ABSENT, "SLO '%.*s' does not exist", SLICE_ARG(aggregate->id));
    if (spec_check(&request->sli_spec, reterr)) return FAULT_INPUT;
    const struct slo_state *slo = aggregate->state.slo;
    SreDomainFact *fact = fact_list_add(ret_facts, SreDomainFact_slo_updated_tag);
    fact->fact.slo_updated.has_slo = true;
    SLO *updated = &fact->fact.slo_updated.slo;
    updated->slo_id = aggregate->id;
    DEFINITION_FROM(updated, request, call->arena);
    updated->has_created_at = slo->definition.has_created_at;
    updated->created_at = slo->definition.created_at;
    updated->has_updated_at = true;
    const int64_t before_ms = domain_ms(slo->definition.updated_at); /* later than it, whatever the clock says */
    updated->updated_at = domain_time(call->now_ms > before_ms ? call->now_ms : before_ms + 1);
    updated->version = (int64_t)aggregate->version + 1;
    const struct slo_counts sum =
        sum_after(&slo->budget, slo_rolling_index(updated->window), call->now_ms / HOUR_MS, 0, NULL);
    if (!exhausted_at(slo, call->now_ms) && slo_budget_exhausted(&sum, updated->target)) {
        struct slo_state *after = arena_alloc(call->arena, sizeof *after);
        if (!after) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
        *after = *slo;
        after->definition = *updated;
        exhausted_add(ret_facts, after, call->now_ms, call->arena);
    }
    return FAULT_NONE;
}

/* Says that the budget is no longer exhausted, when the counts are within the target again. */
static void rearm(struct slo_state *slo) {
    const struct slo_counts *own = &slo->budget.sums[slo_rolling_index(slo->definition.window)];
    if (slo->budget.exhausted && !slo_budget_exhausted(own, slo->definition.target)) slo->budget.exhausted = false;
}

void slo_apply_created(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena) {
    slo_state_init(aggregate->state.slo, &fact->fact.slo_created.slo);
}

void slo_apply_updated(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena) {
    struct slo_state *slo = aggregate->state.slo;
    slo->definition = fact->fact.slo_updated.slo;
    slo->definition.version = 0;
    slo_budget_advance(&slo->budget, now_ms / HOUR_MS);
    rearm(slo);
}

void slo_apply_exhausted(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena) {
    aggregate->state.slo->budget.exhausted = true;
    aggregate->state.slo->budget.exhausted_at_ms = domain_ms(fact->fact.slo_budget_exhausted.exhausted_at);
}

/* ---- windows ---- */

static fault_code window_check(const RecordSLIWindowRequested *w, int64_t now_ms, struct fault *reterr) {
    if (w->window_start.nanos || w->window_start.seconds < 0 || w->window_start.seconds % w->window_seconds)
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
    if (start_ms / HOUR_MS <= now_ms / HOUR_MS - rolling_days[SLO_ROLLING - 1] * 24)
        return fault_set(reterr, FAULT_INPUT, "the window started %lld days ago; no budget goes back that far",
                         (long long)(now_ms - start_ms) / (24 * HOUR_MS));
    return FAULT_NONE;
}

fault_code slo_decide_window(const struct aggregate *aggregate, const SreDomainIntent *intent, struct domain_call *call,
                             struct fact_list *ret_facts, struct fault *reterr) {
    const RecordSLIWindowRequested *w = &intent->intent.record_sli_window;
    const struct sli_window_stored *before = call->window;
    if (!aggregate->version)
        return fault_set(reterr, FAULT_ABSENT, "SLO '%.*s' does not exist", SLICE_ARG(aggregate->id));
    if (window_check(w, call->now_ms, reterr)) return FAULT_INPUT;
    if (before->revision && before->window_seconds != w->window_seconds)
        return fault_set(reterr, FAULT_CONFLICT, "the window is stored with %d seconds, this revision says %d",
                         before->window_seconds, w->window_seconds);
    if (w->revision <= before->revision) return FAULT_NONE; /* a repeat, or overtaken by a newer one */

    const struct slo_state *slo = aggregate->state.slo;
    const int64_t hour = domain_ms(w->window_start) / HOUR_MS;
    const struct slo_counts difference = {w->good - before->good, w->total - before->total,
                                          w->scrapes_expected - before->scrapes_expected,
                                          w->scrapes_seen - before->scrapes_seen};
    const size_t own = slo_rolling_index(slo->definition.window);
    const struct slo_counts sum = sum_after(&slo->budget, own, call->now_ms / HOUR_MS, hour, &difference);
    if (sum.total > INT64_MAX / 4 || sum.scrapes_expected > INT64_MAX / 4 || sum.scrapes_seen > INT64_MAX / 4)
        return fault_set(reterr, FAULT_LIMIT, "the SLO's counts over its window would not fit in 62 bits");

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
    if (before->revision) {
        recorded->has_replaced = true;
        recorded->replaced = recorded->window;
        recorded->replaced.good = before->good;
        recorded->replaced.total = before->total;
        recorded->replaced.scrapes_expected = before->scrapes_expected;
        recorded->replaced.scrapes_seen = before->scrapes_seen;
        recorded->replaced.revision = before->revision;
    }
    if (!exhausted_at(slo, call->now_ms) && slo_budget_exhausted(&sum, slo->definition.target)) {
        struct slo_state *after = arena_alloc(call->arena, sizeof *after);
        if (!after) return fault_set(reterr, FAULT_LIMIT, "no memory left to decide in");
        *after = *slo;
        slo_budget_advance(&after->budget, call->now_ms / HOUR_MS);
        slo_budget_add(&after->budget, hour, &difference);
        exhausted_add(ret_facts, after, call->now_ms, call->arena);
    }
    return FAULT_NONE;
}

void slo_apply_window(struct aggregate *aggregate, const SreDomainFact *fact, int64_t now_ms, struct arena *arena) {
    struct slo_state *slo = aggregate->state.slo;
    const SLIWindow *w = &fact->fact.sli_window_recorded.window;
    struct slo_counts difference = {w->good, w->total, w->scrapes_expected, w->scrapes_seen};
    if (fact->fact.sli_window_recorded.has_replaced) {
        const SLIWindow *r = &fact->fact.sli_window_recorded.replaced;
        const struct slo_counts replaced = {r->good, r->total, r->scrapes_expected, r->scrapes_seen};
        difference = counts_less(&difference, &replaced);
    }
    const int64_t start_ms = domain_ms(w->window_start);
    slo_budget_advance(&slo->budget, now_ms / HOUR_MS);
    slo_budget_add(&slo->budget, start_ms / HOUR_MS, &difference);
    if (start_ms > slo->budget.last_window_ms) slo->budget.last_window_ms = start_ms;
    rearm(slo);
}
