/* SPDX-License-Identifier: Apache-2.0
 * A window's row carries a small number instead of four names: the number of its series, found in a bounded table in
 * memory and, when it is not there, in sli_series. That keeps a fold at one upsert of integers, which is what lets a
 * burst of tens of thousands of windows a second through. Windows arrive minute by minute and are stored series by
 * series, so a batch is sorted before it is written: each page of the table is then touched once, however many minutes
 * there are in it, and a batch may be larger than SQLite's cache.
 *
 * What a reader is told about gaps: a source owes a window for each moment from its first window on. A step in which
 * one is missing, or in which fewer scrapes were seen than expected, is unknown, whatever the counts of the others say.
 * A source that has been silent for a week counts as taken out of service and owes nothing after its last window. */
#include "aggregator/projections/sli_series.h"

#include <inttypes.h>
#include <stdlib.h>

#include "aggregator/projections/compacted_windows.h"
#include "common/base/checksum.h"

enum {
    CACHE_SLOTS = 16384,
    CACHE_WAYS = 4,
    KEY_BYTES_MAX = 1024,
    ROWS_FIRST = 4096,
    ROWS_KEPT = 32768,
    ROWS_MAX = 196608
};

const char sli_series_schema[] =
    "CREATE TABLE IF NOT EXISTS sli_series (series_id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, slo_id TEXT NOT NULL,"
    " cluster_id TEXT NOT NULL, agent TEXT NOT NULL, first_s BIGINT NOT NULL, end_s BIGINT NOT NULL,"
    " UNIQUE (tenant, slo_id, cluster_id, agent));"
    "CREATE TABLE IF NOT EXISTS sli_windows (series_id INTEGER NOT NULL, start_s BIGINT NOT NULL, seconds INTEGER NOT "
    "NULL,"
    " good BIGINT NOT NULL, total BIGINT NOT NULL, expected BIGINT NOT NULL, seen BIGINT NOT NULL,"
    " revision BIGINT NOT NULL, PRIMARY KEY (series_id, start_s)) WITHOUT ROWID;";

struct series_slot {
    int64_t series_id; /* 0: empty */
    int64_t first_s, end_s;
    bool dirty;
    size_t key_size;
    uint8_t *key; /* tenant NUL slo NUL cluster NUL agent */
};

struct row {
    int64_t series_id, start_s, good, total, expected, seen, revision;
    int32_t seconds;
    uint32_t order; /* of arrival */
};

struct sli_series {
    struct series_slot slots[CACHE_SLOTS]; /* by hash, in one of CACHE_WAYS neighbours */
    size_t dirty_count;
    struct row *rows; /* not in the table yet */
    size_t rows_count, rows_room;
};

struct sli_series *sli_series_new(void) {
    return calloc(1, sizeof(struct sli_series));
}

struct sli_series *sli_series_free(struct sli_series *series) {
    if (!series) return NULL;
    for (size_t i = 0; i < CACHE_SLOTS; i++) free(series->slots[i].key);
    free(series->rows);
    free(series);
    return NULL;
}

static fault_code slot_write(struct series_slot *slot, struct sql *sql, struct fault *reterr) {
    struct sql_statement *update;
    if (sql_prepare(sql, "UPDATE sli_series SET first_s = $2, end_s = $3 WHERE series_id = $1", &update, reterr))
        return fault_wrap(reterr, "keep a series' span");
    sql_bind_integer(update, 1, slot->series_id);
    sql_bind_integer(update, 2, slot->first_s);
    sql_bind_integer(update, 3, slot->end_s);
    return sql_run(update, reterr);
}

static int row_order(const void *left, const void *right) {
    const struct row *const a = left, *const b = right;
    if (a->series_id != b->series_id) return a->series_id < b->series_id ? -1 : 1;
    if (a->start_s != b->start_s) return a->start_s < b->start_s ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static fault_code row_write(const struct row *row, struct sql *sql, struct fault *reterr) {
    struct sql_statement *put;
    if (sql_prepare(sql,
                    "INSERT INTO sli_windows (series_id, start_s, seconds, good, total, expected, seen, revision)"
                    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (series_id, start_s) DO UPDATE SET"
                    " seconds = excluded.seconds, good = excluded.good, total = excluded.total,"
                    " expected = excluded.expected, seen = excluded.seen, revision = excluded.revision"
                    " WHERE excluded.revision > sli_windows.revision",
                    &put, reterr))
        return fault_wrap(reterr, "write a window");
    sql_bind_integer(put, 1, row->series_id);
    sql_bind_integer(put, 2, row->start_s);
    sql_bind_integer(put, 3, row->seconds);
    sql_bind_integer(put, 4, row->good);
    sql_bind_integer(put, 5, row->total);
    sql_bind_integer(put, 6, row->expected);
    sql_bind_integer(put, 7, row->seen);
    sql_bind_integer(put, 8, row->revision);
    return sql_run(put, reterr);
}

/* What a flood needed is given back. */
static void rows_drop(struct sli_series *series) {
    series->rows_count = 0;
    if (series->rows_room <= ROWS_KEPT) return;
    free(series->rows);
    series->rows = NULL;
    series->rows_room = 0;
}

static fault_code rows_make_room(struct sli_series *series, struct sql *sql, struct fault *reterr) {
    if (series->rows_count < series->rows_room) return FAULT_NONE;
    if (series->rows_count == ROWS_MAX) return sli_series_settle(series, sql, reterr);
    const size_t room = !series->rows_room                 ? ROWS_FIRST
                        : series->rows_room < ROWS_MAX / 2 ? 2 * series->rows_room
                                                           : ROWS_MAX;
    struct row *rows = realloc(series->rows, room * sizeof *rows);
    if (!rows) return fault_set(reterr, FAULT_SYSTEM, "keep %zu windows: no memory", room);
    series->rows = rows;
    series->rows_room = room;
    return FAULT_NONE;
}

fault_code sli_series_settle(struct sli_series *series, struct sql *sql, struct fault *reterr) {
    if (series->rows_count) qsort(series->rows, series->rows_count, sizeof *series->rows, row_order);
    for (size_t i = 0; i < series->rows_count; i++)
        if (row_write(&series->rows[i], sql, reterr)) return fault_wrap(reterr, "fold windows");
    rows_drop(series);
    return FAULT_NONE;
}

fault_code sli_series_flush(struct sli_series *series, struct sql *sql, struct fault *reterr) {
    if (sli_series_settle(series, sql, reterr)) return reterr ? reterr->code : FAULT_SYSTEM;
    for (size_t i = 0; i < CACHE_SLOTS && series->dirty_count; i++) {
        struct series_slot *slot = &series->slots[i];
        if (!slot->dirty) continue;
        if (slot_write(slot, sql, reterr)) return fault_wrap(reterr, "fold windows");
        slot->dirty = false;
        series->dirty_count--;
    }
    return FAULT_NONE;
}

void sli_series_forget(struct sli_series *series) {
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        series->slots[i].series_id = 0;
        series->slots[i].dirty = false;
    }
    series->dirty_count = 0;
    rows_drop(series);
}

static size_t series_key(const struct fact_view *view, const SLIWindow *window, uint8_t key[KEY_BYTES_MAX]) {
    const slice parts[] = {view->tenant, window->slo_id, window->cluster_id, window->agent};
    size_t size = 0;
    for (size_t i = 0; i < 4; i++) {
        if (size + parts[i].size + 1 > KEY_BYTES_MAX) return 0;
        if (parts[i].size) memcpy(key + size, parts[i].data, parts[i].size);
        size += parts[i].size;
        key[size++] = 0;
    }
    return size;
}

static fault_code series_load(struct sql *sql, const struct fact_view *view, const SLIWindow *window, int64_t start_s,
                              struct series_slot *slot, struct fault *reterr) {
    for (int attempt = 0; attempt < 2; attempt++) {
        struct sql_statement *find;
        if (sql_prepare(sql,
                        "SELECT series_id, first_s, end_s FROM sli_series"
                        " WHERE tenant = $1 AND slo_id = $2 AND cluster_id = $3 AND agent = $4",
                        &find, reterr))
            return fault_wrap(reterr, "find a series");
        sql_bind_text(find, 1, view->tenant);
        sql_bind_text(find, 2, window->slo_id);
        sql_bind_text(find, 3, window->cluster_id);
        sql_bind_text(find, 4, window->agent);
        const fault_code found = sql_step(find, reterr);
        if (!found) {
            slot->series_id = sql_integer(find, 0);
            slot->first_s = sql_integer(find, 1);
            slot->end_s = sql_integer(find, 2);
            sql_reset(find);
            return FAULT_NONE;
        }
        if (found != FAULT_ABSENT) return found;
        struct sql_statement *insert;
        if (sql_prepare(sql,
                        "INSERT INTO sli_series (tenant, slo_id, cluster_id, agent, first_s, end_s)"
                        " VALUES ($1, $2, $3, $4, $5, $5)",
                        &insert, reterr))
            return fault_wrap(reterr, "add a series");
        sql_bind_text(insert, 1, view->tenant);
        sql_bind_text(insert, 2, window->slo_id);
        sql_bind_text(insert, 3, window->cluster_id);
        sql_bind_text(insert, 4, window->agent);
        sql_bind_integer(insert, 5, start_s);
        const fault_code added = sql_run(insert, reterr);
        if (added) return added;
    }
    return fault_set(reterr, FAULT_SYSTEM, "find a series: it was added and is not there");
}

static fault_code series_slot_for(struct fold *fold, const struct fact_view *view, const SLIWindow *window,
                                  int64_t start_s, struct series_slot **ret_slot, struct fault *reterr) {
    uint8_t key[KEY_BYTES_MAX];
    const size_t size = series_key(view, window, key);
    if (!size) return fault_set(reterr, FAULT_CORRUPT, "a window's names are longer than %d bytes", KEY_BYTES_MAX);
    const uint64_t hash = hash_bytes(slice_of(key, size), 0);
    struct series_slot *const set = &fold->series->slots[hash % (CACHE_SLOTS / CACHE_WAYS) * CACHE_WAYS];
    struct series_slot *slot = &set[hash / CACHE_SLOTS % CACHE_WAYS]; /* the one to give up, when all are taken */
    for (size_t way = 0; way < CACHE_WAYS; way++) {
        if (!set[way].series_id) {
            slot = &set[way];
        } else if (set[way].key_size == size && memcmp(set[way].key, key, size) == 0) {
            *ret_slot = &set[way];
            return FAULT_NONE;
        }
    }
    if (slot->dirty) {
        if (slot_write(slot, fold->sql, reterr)) return fault_wrap(reterr, "fold a window");
        slot->dirty = false;
        fold->series->dirty_count--;
    }
    slot->series_id = 0;
    uint8_t *copy = realloc(slot->key, size);
    if (!copy) return fault_set(reterr, FAULT_SYSTEM, "fold a window: no memory");
    memcpy(copy, key, size);
    slot->key = copy;
    slot->key_size = size;
    const fault_code code = series_load(fold->sql, view, window, start_s, slot, reterr);
    if (!code) *ret_slot = slot;
    return code;
}

fault_code sli_series_fold(struct fold *fold, const struct fact_view *view, const SreDomainFact *fact,
                           struct fault *reterr) {
    const SLIWindow *window = &fact->fact.sli_window_recorded.window;
    const int64_t start_s = window->window_start.seconds;
    struct series_slot *slot;
    const fault_code code = series_slot_for(fold, view, window, start_s, &slot, reterr);
    if (code) return code;
    const int64_t end_s = start_s + window->window_seconds;
    if (start_s < slot->first_s || end_s > slot->end_s) {
        if (start_s < slot->first_s) slot->first_s = start_s;
        if (end_s > slot->end_s) slot->end_s = end_s;
        if (!slot->dirty) fold->series->dirty_count++;
        slot->dirty = true;
    }
    if (rows_make_room(fold->series, fold->sql, reterr)) return fault_wrap(reterr, "fold a window");
    const size_t at = fold->series->rows_count++;
    fold->series->rows[at] = (struct row){.series_id = slot->series_id,
                                          .start_s = start_s,
                                          .good = window->good,
                                          .total = window->total,
                                          .expected = window->scrapes_expected,
                                          .seen = window->scrapes_seen,
                                          .revision = window->revision,
                                          .seconds = window->window_seconds,
                                          .order = (uint32_t)at};
    return FAULT_NONE;
}

fault_code sli_series_prune(struct sql *sql, int64_t start_s, struct fault *reterr) {
    static const char *const steps[] = {
        "DELETE FROM sli_windows WHERE series_id IN (SELECT series_id FROM sli_series WHERE first_s < $1) AND start_s "
        "< $1",
        "UPDATE sli_series SET first_s = $1 WHERE first_s < $1 AND end_s > $1",
        "DELETE FROM sli_series WHERE end_s <= $1",
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct sql_statement *prune;
        if (sql_prepare(sql, steps[i], &prune, reterr)) return fault_wrap(reterr, "prune windows");
        sql_bind_integer(prune, 1, start_s);
        if (sql_run(prune, reterr)) return fault_wrap(reterr, "prune windows");
    }
    return FAULT_NONE;
}

/* ---- reading ---- */

static bool source_known(const struct sli_source *sources, size_t count, slice agent) {
    for (size_t i = 0; i < count; i++)
        if (slice_equal(sources[i].agent, agent)) return true;
    return false;
}

fault_code sli_sources(struct sql *sql, slice tenant, const SLO *slo, struct arena *arena,
                       struct sli_source **ret_sources, size_t *ret_count, struct fault *reterr) {
    struct sli_source *sources = arena_alloc_array(arena, SLI_SOURCES_MAX, sizeof *sources);
    if (!sources) return fault_set(reterr, FAULT_LIMIT, "read an SLO's series: the request's memory is full");
    size_t count = 0;
    struct sql_statement *find;
    if (sql_prepare(sql,
                    "SELECT series_id, first_s, end_s, cluster_id, agent FROM sli_series"
                    " WHERE tenant = $1 AND slo_id = $2 ORDER BY cluster_id, agent LIMIT 1001",
                    &find, reterr))
        return fault_wrap(reterr, "read an SLO's series");
    sql_bind_text(find, 1, tenant);
    sql_bind_text(find, 2, slo->slo_id);
    fault_code code;
    while ((code = sql_step(find, reterr)) == FAULT_NONE) {
        if (count == SLI_SOURCES_MAX) {
            sql_reset(find);
            return fault_set(reterr, FAULT_LIMIT, "SLO '%.*s' is measured by more than %d agents; ask for one cluster",
                             SLICE_ARG(slo->slo_id), SLI_SOURCES_MAX);
        }
        struct sli_source *source = &sources[count++];
        source->series_id = sql_integer(find, 0);
        source->first_s = sql_integer(find, 1);
        source->end_s = sql_integer(find, 2);
        source->cluster_id = arena_copy(arena, sql_bytes(find, 3));
        source->agent = arena_copy(arena, sql_bytes(find, 4));
    }
    if (code != FAULT_ABSENT) return code;
    const size_t reported = count;
    for (size_t i = 0; i < slo->agents.count && count < SLI_SOURCES_MAX; i++)
        if (!source_known(sources, reported, slo->agents.items[i]))
            sources[count++] = (struct sli_source){
                .first_s = slo->created_at.seconds, .end_s = INT64_MAX / 2, .agent = slo->agents.items[i]};
    *ret_sources = sources;
    *ret_count = count;
    return FAULT_NONE;
}

int64_t sli_source_expected_s(const struct sli_source *source, int64_t from_s, int64_t to_s) {
    const int64_t begin = source->first_s > from_s ? source->first_s : from_s;
    const int64_t end = source->end_s + SLI_SILENT_S < to_s ? source->end_s + SLI_SILENT_S : to_s;
    return end > begin ? end - begin : 0;
}

SLITimeSeriesPoint *sli_points_new(struct sli_range range, struct arena *arena, size_t *ret_count) {
    const size_t count = (size_t)((range.to_s - range.from_s) / range.step_s);
    SLITimeSeriesPoint *points = arena_alloc_array(arena, count ? count : 1, sizeof *points);
    for (size_t i = 0; points && i < count; i++) {
        points[i].has_at = true;
        points[i].at.seconds = range.from_s + (int64_t)i * range.step_s;
    }
    *ret_count = count;
    return points;
}

void sli_points_finish(SLITimeSeriesPoint *points, size_t count) {
    for (size_t i = 0; i < count; i++) {
        SLITimeSeriesPoint *p = &points[i];
        if (p->windows_count == 0 || p->scrapes_seen < p->scrapes_expected) p->unknown = true;
        p->ratio = p->total > 0 ? (double)p->good / (double)p->total : 0;
    }
}

fault_code sli_source_add(struct sql *sql, const struct sli_source *source, struct sli_range range,
                          int64_t slice_needed, SLITimeSeriesPoint *points, struct fault *reterr) {
    const size_t count = (size_t)((range.to_s - range.from_s) / range.step_s);
    struct sql_statement *sums;
    if (sql_prepare(
            sql,
            "SELECT (start_s - $2) / $4, sum(CASE WHEN $5 = 0 THEN good ELSE total > 0 AND " SLI_SLICE_GOOD(
                "$5") " END),"
                      " sum(CASE WHEN $5 = 0 THEN total ELSE total > 0 END), sum(expected), sum(seen), sum(seconds), "
                      "count(*),"
                      " sum(seen < expected) FROM sli_windows WHERE series_id = $1 AND start_s >= $2 AND start_s < $3"
                      " GROUP BY 1 ORDER BY 1",
            &sums, reterr))
        return fault_wrap(reterr, "sum windows");
    sql_bind_integer(sums, 1, source->series_id);
    sql_bind_integer(sums, 2, range.from_s);
    sql_bind_integer(sums, 3, range.to_s);
    sql_bind_integer(sums, 4, range.step_s);
    sql_bind_integer(sums, 5, slice_needed);
    size_t next = 0;
    fault_code code = FAULT_NONE;
    while (next < count) {
        code = sql_step(sums, reterr);
        if (code && code != FAULT_ABSENT) return code;
        const size_t at = code ? count : (size_t)sql_integer(sums, 0);
        for (; next < at && next < count; next++) { /* steps without a window of this source */
            const int64_t begin = range.from_s + (int64_t)next * range.step_s;
            if (sli_source_expected_s(source, begin, begin + range.step_s) > 0) points[next].unknown = true;
        }
        if (code || at >= count) break;
        SLITimeSeriesPoint *p = &points[at];
        const int64_t begin = range.from_s + (int64_t)at * range.step_s;
        p->good += sql_integer(sums, 1);
        p->total += sql_integer(sums, 2);
        p->scrapes_expected += sql_integer(sums, 3);
        p->scrapes_seen += sql_integer(sums, 4);
        p->windows_count += (int32_t)sql_integer(sums, 6);
        if (sql_integer(sums, 7) || sql_integer(sums, 5) < sli_source_expected_s(source, begin, begin + range.step_s))
            p->unknown = true;
        next = at + 1;
    }
    if (!code) sql_reset(sums);
    return FAULT_NONE;
}

static fault_code query_range(const SLO *slo, const GetSLITimeSeriesRequest *request, int64_t now_ms,
                              struct sli_range *ret_range, struct fault *reterr) {
    const int64_t window_s = slo->sli_spec.window_seconds > 0 ? slo->sli_spec.window_seconds : 60;
    const int64_t asked_s = request->has_step ? request->step.seconds : window_s;
    if (asked_s < 1 || asked_s % window_s)
        return fault_set(reterr, FAULT_INPUT, "step: must be a multiple of the SLO's window, %" PRId64 " seconds",
                         window_s);
    const int64_t now_s = now_ms / 1000;
    int64_t to_s = request->has_to && request->to.seconds < now_s ? request->to.seconds : now_s;
    int64_t from_s = request->has_from ? request->from.seconds : to_s - 3600;
    if (from_s < 0) from_s = 0;
    from_s -= from_s % asked_s;
    to_s -= to_s % asked_s;
    if (from_s > to_s) return fault_set(reterr, FAULT_INPUT, "from: must be before 'to' and not in the future");
    if ((to_s - from_s) / asked_s > SLI_POINTS_MAX)
        return fault_set(reterr, FAULT_LIMIT,
                         "%" PRId64 " points asked for, the most is %d: choose a longer step or a shorter time",
                         (to_s - from_s) / asked_s, SLI_POINTS_MAX);
    *ret_range = (struct sli_range){.from_s = from_s, .to_s = to_s, .step_s = asked_s};
    return FAULT_NONE;
}

static fault_code query_add_series(struct sql *sql, const struct sli_source *sources, size_t count,
                                   struct sli_range range, struct arena *arena, SLITimeSeries *ret_series,
                                   struct fault *reterr) {
    size_t points_count;
    SLITimeSeriesPoint *points = sli_points_new(range, arena, &points_count);
    if (!points)
        return fault_set(reterr, FAULT_LIMIT, "the answer is larger than a request may use: choose a longer step");
    for (size_t i = 0; i < count; i++)
        if (sli_source_add(sql, &sources[i], range, 0, points, reterr)) return fault_wrap(reterr, "read the series");
    sli_points_finish(points, points_count);
    ret_series->points.items = points;
    ret_series->points.count = points_count;
    return FAULT_NONE;
}

fault_code sli_series_query(struct sql *sql, slice tenant, const SLO *slo, const GetSLITimeSeriesRequest *request,
                            int64_t now_ms, struct arena *arena, GetSLITimeSeriesResponse *ret_response,
                            struct fault *reterr) {
    struct sli_range range;
    fault_code code = query_range(slo, request, now_ms, &range, reterr);
    if (code) return code;
    struct sli_source *sources;
    size_t all, count = 0;
    code = sli_sources(sql, tenant, slo, arena, &sources, &all, reterr);
    if (code) return code;
    for (size_t i = 0; i < all; i++) {
        if (request->cluster_id.size && sources[i].series_id &&
            !slice_equal(request->cluster_id, sources[i].cluster_id))
            continue;
        if (request->agent.size && !slice_equal(request->agent, sources[i].agent)) continue;
        sources[count++] = sources[i];
    }
    const size_t series_count = request->split ? count : 1;
    SLITimeSeries *series = arena_alloc_array(arena, series_count ? series_count : 1, sizeof *series);
    if (!series) return fault_set(reterr, FAULT_LIMIT, "the answer is larger than a request may use");
    for (size_t i = 0; i < series_count; i++) {
        code = request->split ? query_add_series(sql, &sources[i], 1, range, arena, &series[i], reterr)
                              : query_add_series(sql, sources, count, range, arena, &series[i], reterr);
        if (code) return code;
        series[i].cluster_id = request->split ? sources[i].cluster_id : request->cluster_id;
        series[i].agent = request->split ? sources[i].agent : request->agent;
    }
    int64_t until_s;
    if (compacted_windows_until(sql, tenant, slo, &until_s, reterr)) return fault_wrap(reterr, "read the series");
    for (size_t i = 0; i < series_count; i++)
        for (size_t k = 0; k < series[i].points.count && range.from_s + (int64_t)k * range.step_s < until_s; k++)
            series[i].points.items[k].unknown = true;
    *ret_response = (GetSLITimeSeriesResponse){.slo_id = slo->slo_id,
                                               .window_seconds = slo->sli_spec.window_seconds,
                                               .has_step = true,
                                               .step = {.seconds = range.step_s},
                                               .has_total = true};
    ret_response->series.items = series;
    ret_response->series.count = series_count;
    for (size_t i = 0; i < series_count; i++)
        for (size_t k = 0; k < series[i].points.count; k++) {
            ret_response->total.good += series[i].points.items[k].good;
            ret_response->total.total += series[i].points.items[k].total;
            ret_response->total.scrapes_expected += series[i].points.items[k].scrapes_expected;
            ret_response->total.scrapes_seen += series[i].points.items[k].scrapes_seen;
        }
    return FAULT_NONE;
}
