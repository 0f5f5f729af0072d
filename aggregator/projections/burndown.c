/* SPDX-License-Identifier: Apache-2.0
 * A fact brings the window and, where it supersedes another, what that one said: their difference goes to the hour in
 * which the window began. A batch gathers its differences in memory first, so that thousands of windows cost some
 * rows. A window of the same SLO and hour always falls into the same row. What a superseded window said is taken away
 * only when it was counted: in tables that are built anew its fact may have been compacted.
 *
 * The budget at a moment T is over the hours (h - days * 24, h], where h is the hour that T ends or lies in and counts
 * up to T; of a calendar window, over the period that h lies in, so that it begins anew there: the SLO aggregate reckons the same way, so the last point and GetSLO agree. In steps below an hour the
 * running hour comes from the windows themselves. */
#include "aggregator/projections/burndown.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "aggregator/domain/slo_calendar.h"
#include "aggregator/projections/compacted_windows.h"
#include "aggregator/projections/sli_series.h"
#include "common/base/checksum.h"

enum {
    HOUR_S = 3600,
    SLOTS = 32768,
    FULL_AT = SLOTS / 2,
    NAMES_BLOCK_BYTES = 64 * 1024,
    NAMES_BYTES_MAX = 64 * 1024 * 1024, /* of as many tenants' and SLOs' names as there are places, however long */
    HOURS_MAX = 400 * 24,
    POINTS_WANTED = 300,
};

const char burndown_schema[] =
    "CREATE TABLE IF NOT EXISTS slo_hours (tenant TEXT NOT NULL, slo_id TEXT NOT NULL, hour BIGINT NOT NULL,"
    " good BIGINT NOT NULL, total BIGINT NOT NULL, expected BIGINT NOT NULL, seen BIGINT NOT NULL, seconds BIGINT NOT "
    "NULL,"
    " PRIMARY KEY (tenant, slo_id, hour)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS slo_hours_pruned (hour BIGINT NOT NULL);";

struct counts {
    int64_t good, total, expected, seen, seconds;
};

struct burndown_slot {
    bool used;
    slice tenant, slo_id; /* in the arena */
    int64_t hour;
    struct counts counts;
};

struct burndown {
    struct burndown_slot slots[SLOTS];
    uint32_t used[FULL_AT]; /* their places */
    size_t used_count;
    struct arena *names;
};

struct burndown *burndown_new(void) {
    struct burndown *burndown = calloc(1, sizeof *burndown);
    if (burndown) burndown->names = arena_new(NAMES_BLOCK_BYTES, NAMES_BYTES_MAX);
    return burndown && burndown->names ? burndown : burndown_free(burndown);
}

struct burndown *burndown_free(struct burndown *burndown) {
    if (burndown) arena_free(burndown->names);
    free(burndown);
    return NULL;
}

void burndown_forget(struct burndown *burndown) {
    for (size_t i = 0; i < burndown->used_count; i++) burndown->slots[burndown->used[i]].used = false;
    burndown->used_count = 0;
    arena_reset(burndown->names);
}

static void counts_add(struct counts *sum, const SLIWindow *w, int sign) {
    sum->good += sign * w->good;
    sum->total += sign * w->total;
    sum->expected += sign * w->scrapes_expected;
    sum->seen += sign * w->scrapes_seen;
    sum->seconds += sign * w->window_seconds;
}

static fault_code was_counted(struct fold *fold, slice tenant, const SLIWindow *window, bool *ret_counted,
                              struct fault *reterr) {
    struct sql_statement *find;
    if (sli_series_settle(fold->series, fold->sql, reterr)) return fault_wrap(reterr, "find a superseded window");
    if (sql_prepare(fold->sql,
                    "SELECT 1 FROM sli_windows JOIN sli_series USING (series_id) WHERE tenant = $1 AND slo_id = $2"
                    " AND cluster_id = $3 AND agent = $4 AND start_s = $5",
                    &find, reterr))
        return fault_wrap(reterr, "find a superseded window");
    sql_bind_text(find, 1, tenant);
    sql_bind_text(find, 2, window->slo_id);
    sql_bind_text(find, 3, window->cluster_id);
    sql_bind_text(find, 4, window->agent);
    sql_bind_integer(find, 5, window->window_start.seconds);
    const fault_code code = sql_step(find, reterr);
    if (code && code != FAULT_ABSENT) return code;
    *ret_counted = code == FAULT_NONE;
    if (!code) sql_reset(find);
    return FAULT_NONE;
}

fault_code burndown_fold(struct fold *fold, const struct fact_view *view, const SreDomainFact *fact,
                         struct fault *reterr) {
    const SLIWindowRecorded *recorded = &fact->fact.sli_window_recorded;
    struct burndown *burndown = fold->burndown;
    if (burndown->used_count >= FULL_AT && burndown_flush(burndown, fold->sql, reterr))
        return fault_wrap(reterr, "fold a window");
    const int64_t hour = recorded->window.window_start.seconds / HOUR_S;
    const slice slo_id = recorded->window.slo_id;
    uint64_t at = hash_bytes(view->tenant, hash_bytes(slo_id, (uint64_t)hour)) % SLOTS;
    struct burndown_slot *slot;
    for (;; at = (at + 1) % SLOTS) { /* ends: at most half of the slots are used */
        slot = &burndown->slots[at];
        if (!slot->used) break;
        if (slot->hour == hour && slice_equal(slot->slo_id, slo_id) && slice_equal(slot->tenant, view->tenant)) break;
    }
    if (!slot->used) {
        *slot = (struct burndown_slot){.tenant = arena_copy(burndown->names, view->tenant),
                                       .slo_id = arena_copy(burndown->names, slo_id),
                                       .hour = hour};
        if (!slot->tenant.data || !slot->slo_id.data)
            return fault_set(reterr, FAULT_SYSTEM, "fold a window: no memory");
        slot->used = true;
        burndown->used[burndown->used_count++] = (uint32_t)at;
    }
    bool replaced = false;
    if (recorded->has_replaced && was_counted(fold, view->tenant, &recorded->window, &replaced, reterr))
        return fault_wrap(reterr, "fold a window");
    counts_add(&slot->counts, &recorded->window, 1);
    if (replaced) counts_add(&slot->counts, &recorded->replaced, -1);
    return FAULT_NONE;
}

fault_code burndown_flush(struct burndown *burndown, struct sql *sql, struct fault *reterr) {
    for (size_t i = 0; i < burndown->used_count; i++) {
        struct burndown_slot *slot = &burndown->slots[burndown->used[i]];
        struct sql_statement *add;
        if (sql_prepare(sql,
                        "INSERT INTO slo_hours (tenant, slo_id, hour, good, total, expected, seen, seconds)"
                        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (tenant, slo_id, hour) DO UPDATE SET"
                        " good = slo_hours.good + excluded.good, total = slo_hours.total + excluded.total,"
                        " expected = slo_hours.expected + excluded.expected, seen = slo_hours.seen + excluded.seen,"
                        " seconds = slo_hours.seconds + excluded.seconds",
                        &add, reterr))
            return fault_wrap(reterr, "add to an hour");
        sql_bind_text(add, 1, slot->tenant);
        sql_bind_text(add, 2, slot->slo_id);
        sql_bind_integer(add, 3, slot->hour);
        sql_bind_integer(add, 4, slot->counts.good);
        sql_bind_integer(add, 5, slot->counts.total);
        sql_bind_integer(add, 6, slot->counts.expected);
        sql_bind_integer(add, 7, slot->counts.seen);
        sql_bind_integer(add, 8, slot->counts.seconds);
        if (sql_run(add, reterr)) return fault_wrap(reterr, "add to an hour");
    }
    burndown_forget(burndown);
    return FAULT_NONE;
}

fault_code burndown_prune(struct sql *sql, int64_t hour, struct fault *reterr) {
    static const char *const steps[] = {"DELETE FROM slo_hours WHERE hour < $1",
                                        "DELETE FROM slo_hours_pruned WHERE hour < $1",
                                        "INSERT INTO slo_hours_pruned (hour) VALUES ($1)"};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct sql_statement *prune;
        if (sql_prepare(sql, steps[i], &prune, reterr)) return fault_wrap(reterr, "prune hours");
        sql_bind_integer(prune, 1, hour);
        if (sql_run(prune, reterr)) return fault_wrap(reterr, "prune hours");
    }
    return FAULT_NONE;
}

/* ---- reading ---- */

struct hours {
    int64_t first; /* hour of items[0] */
    size_t count;
    struct counts *items;
};

/* The first hour that a budget counts when `hour` is its last. */
static int64_t window_first_hour(SLOWindow window, int64_t hour) {
    const int period = slo_period_index(window);
    if (period >= 0) return slo_period_span(period, hour).starts_hour;
    return hour + 1 - 24 * (window == SLO_WINDOW_7D ? 7 : window == SLO_WINDOW_28D ? 28 : 30);
}

/* Of an SLO by TIMESLICES: good events per hundred million that make a slice good. 0: occurrences. */
static int64_t slice_needed(const SLO *slo) {
    return slo->budgeting_method == BUDGETING_METHOD_TIMESLICES ? llround(slo->time_slice_target * 1e6) : 0;
}

/* Slices are counted from the windows, which are kept as long as hours are: a fold does not know the definition. */
static fault_code hours_find(struct sql *sql, slice tenant, const SLO *slo, int64_t first, int64_t end,
                             struct sql_statement **ret_find, struct fault *reterr) {
    static const char by_hour[] = "SELECT hour, good, total, expected, seen, seconds FROM slo_hours"
                                  " WHERE tenant = $1 AND slo_id = $2 AND hour >= $3 AND hour < $4";
    static const char by_slice[] = "SELECT start_s / 3600, sum(total > 0 AND " SLI_SLICE_GOOD(
        "$5") "), sum(total > 0), sum(expected), sum(seen),"
              " sum(seconds) FROM sli_windows JOIN sli_series USING (series_id) WHERE tenant = $1 AND slo_id = $2"
              " AND start_s >= $3 * 3600 AND start_s < $4 * 3600 GROUP BY 1";
    const int64_t needed = slice_needed(slo);
    if (sql_prepare(sql, needed ? by_slice : by_hour, ret_find, reterr))
        return fault_wrap(reterr, "read an SLO's hours");
    sql_bind_text(*ret_find, 1, tenant);
    sql_bind_text(*ret_find, 2, slo->slo_id);
    sql_bind_integer(*ret_find, 3, first);
    sql_bind_integer(*ret_find, 4, end);
    if (needed) sql_bind_integer(*ret_find, 5, needed);
    return FAULT_NONE;
}

static fault_code hours_load(struct sql *sql, slice tenant, const SLO *slo, int64_t first, size_t count,
                             struct arena *arena, struct hours *ret_hours, struct fault *reterr) {
    struct hours hours = {
        .first = first, .count = count, .items = arena_alloc_array(arena, count, sizeof *hours.items)};
    if (!hours.items)
        return fault_set(reterr, FAULT_LIMIT, "the answer is larger than a request may use: ask for less time");
    struct sql_statement *find;
    fault_code code = hours_find(sql, tenant, slo, first, first + (int64_t)count, &find, reterr);
    if (code) return code;
    while ((code = sql_step(find, reterr)) == FAULT_NONE) {
        struct counts *c = &hours.items[sql_integer(find, 0) - first];
        *c = (struct counts){sql_integer(find, 1), sql_integer(find, 2), sql_integer(find, 3), sql_integer(find, 4),
                             sql_integer(find, 5)};
    }
    if (code != FAULT_ABSENT) return code;
    *ret_hours = hours;
    return FAULT_NONE;
}

/* A step that never crosses an hour, or is hours: windows are counted in the hour in which they begin. */
static int64_t step_fit(int64_t wanted_s, int64_t window_s) {
    if (wanted_s < window_s) wanted_s = window_s;
    for (int64_t step = wanted_s; step < HOUR_S; step++)
        if (HOUR_S % step == 0 && step % window_s == 0) return step;
    return (wanted_s + HOUR_S - 1) / HOUR_S * HOUR_S;
}

static fault_code burndown_range(const SLO *slo, const GetSLOBurndownRequest *request, int64_t now_ms,
                                 struct sli_range *ret_range, struct fault *reterr) {
    const int64_t window_s = slo->sli_spec.window_seconds > 0 ? slo->sli_spec.window_seconds : 60;
    int64_t to_s = request->has_to && request->to.seconds < now_ms / 1000 ? request->to.seconds : now_ms / 1000;
    int64_t from_s = request->has_from                   ? request->from.seconds
                     : slo_period_index(slo->window) < 0 ? to_s + (window_first_hour(slo->window, 0) - 1) * HOUR_S
                                                         : window_first_hour(slo->window, to_s / HOUR_S) * HOUR_S;
    if (from_s < 0) from_s = 0;
    if (from_s > to_s) return fault_set(reterr, FAULT_INPUT, "from: must be before 'to' and not in the future");
    if (request->has_step && request->step.seconds < 1)
        return fault_set(reterr, FAULT_INPUT, "step: must be a second or more");
    const int64_t step_s =
        step_fit(request->has_step ? request->step.seconds : (to_s - from_s) / POINTS_WANTED, window_s);
    from_s -= from_s % step_s;
    to_s -= to_s % step_s;
    if ((to_s - from_s) / step_s > SLI_POINTS_MAX || (to_s - from_s) / HOUR_S > HOURS_MAX)
        return fault_set(reterr, FAULT_LIMIT,
                         "%" PRId64
                         " points asked for, the most is %d (and %d days): choose a longer step or a shorter time",
                         (to_s - from_s) / step_s, SLI_POINTS_MAX, HOURS_MAX / 24);
    *ret_range = (struct sli_range){.from_s = from_s, .to_s = to_s, .step_s = step_s};
    return FAULT_NONE;
}

static double budget_remaining(int64_t good, int64_t total, double target) {
    const double allowed = (double)total * (1 - target / 100);
    return 100 - 100 * (double)(total - good) / allowed;
}

static void point_set(SLOBurndownPoint *point, int64_t at_s, const struct counts *step, bool unknown,
                      const struct counts *sum, double target) {
    const double allowed = (double)step->total * (1 - target / 100);
    *point =
        (SLOBurndownPoint){.has_at = true,
                           .at = {.seconds = at_s},
                           .good = step->good,
                           .total = step->total,
                           .scrapes_expected = step->expected,
                           .scrapes_seen = step->seen,
                           .has_budget_remaining = sum->total > 0,
                           .budget_remaining = sum->total > 0 ? budget_remaining(sum->good, sum->total, target) : 0,
                           .has_burn_rate = step->total > 0,
                           .burn_rate = step->total > 0 ? (double)(step->total - step->good) / allowed : 0,
                           .unknown = unknown || sum->total == 0};
}

static void sum_add(struct counts *sum, const struct counts *part, int sign) {
    sum->good += sign * part->good;
    sum->total += sign * part->total;
    sum->expected += sign * part->expected;
    sum->seen += sign * part->seen;
    sum->seconds += sign * part->seconds;
}

/* Counts of hours [oldest, next) of those that were loaded. */
struct running {
    const struct hours *hours;
    SLOWindow window;
    int64_t oldest, next;
    struct counts sum;
};

/* Lets go of the hours that a budget over `hour` does not count: one by one, or all of a period that has ended. */
static void running_drop(struct running *r, int64_t hour) {
    const int64_t first = window_first_hour(r->window, hour);
    for (; r->oldest < first && r->oldest < r->next; r->oldest++)
        sum_add(&r->sum, &r->hours->items[r->oldest - r->hours->first], -1);
}

static void running_take(struct running *r, int64_t until_hour) {
    for (; r->next < until_hour; r->next++) {
        sum_add(&r->sum, &r->hours->items[r->next - r->hours->first], 1);
        running_drop(r, r->next);
    }
}

/* Steps of whole hours. */
static void points_by_hours(const struct hours *hours, struct sli_range range, const SLO *slo,
                            const struct sli_source *sources, size_t sources_count, SLOBurndownPoint *points) {
    struct running running = {.hours = hours, .window = slo->window, .oldest = hours->first, .next = hours->first};
    running_take(&running, range.from_s / HOUR_S);
    for (int64_t begin = range.from_s; begin < range.to_s; begin += range.step_s) {
        struct counts step = {0};
        for (int64_t h = begin / HOUR_S; h < (begin + range.step_s) / HOUR_S; h++)
            sum_add(&step, &hours->items[h - hours->first], 1);
        running_take(&running, (begin + range.step_s) / HOUR_S);
        int64_t expected_s = 0;
        for (size_t i = 0; i < sources_count; i++)
            expected_s += sli_source_expected_s(&sources[i], begin, begin + range.step_s);
        const bool unknown = step.seconds == 0 || step.seconds < expected_s || step.seen < step.expected;
        point_set(points++, begin + range.step_s, &step, unknown, &running.sum, slo->target);
    }
}

/* Steps within hours: fine[] begins at the hour of range.from_s. */
static void points_by_windows(const struct hours *hours, const SLITimeSeriesPoint *fine, int64_t fine_from_s,
                              struct sli_range range, const SLO *slo, SLOBurndownPoint *points) {
    struct running whole = {.hours = hours, .window = slo->window, .oldest = hours->first, .next = hours->first};
    struct counts part = {0}; /* of the present hour so far; before it there are whole ones */
    for (int64_t begin = fine_from_s; begin < range.to_s; begin += range.step_s, fine++) {
        if (begin % HOUR_S == 0) {
            running_take(&whole, begin / HOUR_S);
            running_drop(&whole, begin / HOUR_S);
            part = (struct counts){0};
        }
        const struct counts step = {fine->good, fine->total, fine->scrapes_expected, fine->scrapes_seen, 0};
        sum_add(&part, &step, 1);
        struct counts sum = whole.sum;
        sum_add(&sum, &part, 1);
        if (begin >= range.from_s) point_set(points++, begin + range.step_s, &step, fine->unknown, &sum, slo->target);
    }
}

/* Until when the hours of this SLO were let go; 0 when it is younger, and none of its were. */
static fault_code pruned_until(struct sql *sql, const SLO *slo, int64_t *ret_until_s, struct fault *reterr) {
    struct sql_statement *find;
    if (sql_prepare(sql, "SELECT COALESCE(MAX(hour), 0) FROM slo_hours_pruned", &find, reterr))
        return fault_wrap(reterr, "find what was pruned");
    const fault_code code = sql_step(find, reterr);
    if (code) return code;
    const int64_t until_s = sql_integer(find, 0) * HOUR_S;
    sql_reset(find);
    *ret_until_s = slo->created_at.seconds < until_s ? until_s : 0;
    return FAULT_NONE;
}

/* Of what began before until_s some was compacted, or let go for its age: steps in it are unknown, and so is a budget over it. */
static void points_forget(SLOBurndownPoint *points, size_t count, int64_t step_s, int64_t until_s, SLOWindow window) {
    for (size_t i = 0; i < count && until_s; i++) {
        SLOBurndownPoint *p = &points[i];
        if (p->at.seconds - step_s < until_s) p->unknown = true;
        if (window_first_hour(window, (p->at.seconds - 1) / HOUR_S) * HOUR_S >= until_s) continue;
        p->has_budget_remaining = false;
        p->budget_remaining = 0;
    }
}

fault_code burndown_query(struct sql *sql, slice tenant, const SLO *slo, const GetSLOBurndownRequest *request,
                          int64_t now_ms, struct arena *arena, GetSLOBurndownResponse *ret_response,
                          struct fault *reterr) {
    struct sli_range range;
    fault_code code = burndown_range(slo, request, now_ms, &range, reterr);
    if (code) return code;
    int64_t first = window_first_hour(slo->window, range.from_s / HOUR_S - 1);
    if (first < 0) first = 0;
    struct hours hours = {0};
    code = hours_load(sql, tenant, slo, first, (size_t)(range.to_s / HOUR_S + 1 - first), arena, &hours, reterr);
    if (code) return code;
    struct sli_source *sources;
    size_t sources_count;
    code = sli_sources(sql, tenant, slo, arena, &sources, &sources_count, reterr);
    if (code) return code;
    const size_t count = (size_t)((range.to_s - range.from_s) / range.step_s);
    SLOBurndownPoint *points = arena_alloc_array(arena, count ? count : 1, sizeof *points);
    if (!points)
        return fault_set(reterr, FAULT_LIMIT, "the answer is larger than a request may use: choose a longer step");
    if (range.step_s >= HOUR_S) {
        points_by_hours(&hours, range, slo, sources, sources_count, points);
    } else {
        const struct sli_range fine_range = {range.from_s - range.from_s % HOUR_S, range.to_s, range.step_s};
        size_t fine_count;
        SLITimeSeriesPoint *fine = sli_points_new(fine_range, arena, &fine_count);
        if (!fine)
            return fault_set(reterr, FAULT_LIMIT, "the answer is larger than a request may use: choose a longer step");
        for (size_t i = 0; i < sources_count; i++)
            if (sli_source_add(sql, &sources[i], fine_range, slice_needed(slo), fine, reterr))
                return fault_wrap(reterr, "read the windows");
        sli_points_finish(fine, fine_count);
        points_by_windows(&hours, fine, fine_range.from_s, range, slo, points);
    }
    int64_t until_s;
    if (compacted_windows_until(sql, tenant, slo, &until_s, reterr)) return fault_wrap(reterr, "read the burndown");
    points_forget(points, count, range.step_s, until_s, slo->window);
    if (pruned_until(sql, slo, &until_s, reterr)) return fault_wrap(reterr, "read the burndown");
    points_forget(points, count, range.step_s, until_s, slo->window);
    *ret_response = (GetSLOBurndownResponse){.slo_id = slo->slo_id,
                                             .target = slo->target,
                                             .has_step = true,
                                             .step = {.seconds = range.step_s},
                                             .has_budget = slo->has_budget,
                                             .budget = slo->budget};
    ret_response->points.items = points;
    ret_response->points.count = count;
    return FAULT_NONE;
}
