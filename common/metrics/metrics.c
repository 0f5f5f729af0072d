/* SPDX-License-Identifier: Apache-2.0
 * A table is its rows and one array of 64-bit cells: one cell for a counter or gauge, buckets plus a sum for
 * a histogram. Updates are relaxed atomics on the cells; the text reads the cells the same way, so a scrape
 * may see one update and not yet the next, as any scrape does. A histogram's count is the sum of the buckets
 * that were read, so that its text is always consistent in itself.
 *
 * Only adding, removing and reading tables takes the lock. What the text may contain is checked when a table
 * is added, so that writing it cannot fail but for memory. */
#include "common/metrics/metrics.h"

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/metrics/process_metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { READ_CALLS_MAX = 32 };

const double metrics_seconds_bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                         0.25,   0.5,   1,      2.5,   5,    10,    30,   60};
const size_t metrics_seconds_bounds_count = sizeof metrics_seconds_bounds / sizeof *metrics_seconds_bounds;

struct metric_table {
    struct metric_table *next;
    const struct metric_row *rows;
    size_t rows_count;
    uint32_t *first_cell; /* by row */
    _Atomic uint64_t *cells;
};

struct metrics {
    const char *program;
    pthread_mutex_t lock;
    struct metric_table *first, **last_next;
    struct {
        void (*call)(void *context);
        void *context;
    } read_calls[READ_CALLS_MAX];
    size_t read_calls_count;
};

struct metrics *metrics_new(const char *program) {
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics) return NULL;
    metrics->program = program;
    metrics->last_next = &metrics->first;
    pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

static struct metric_table *table_free(struct metric_table *table) {
    if (!table) return NULL;
    free((void *)table->cells);
    free(table->first_cell);
    free(table);
    return NULL;
}

struct metrics *metrics_free(struct metrics *metrics) {
    if (!metrics) return NULL;
    for (struct metric_table *table = metrics->first, *next; table; table = next) {
        next = table->next;
        table_free(table);
    }
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
    return NULL;
}

static const double *row_bounds(const struct metric_row *row) {
    return row->bounds ? row->bounds : metrics_seconds_bounds;
}

static size_t row_bounds_count(const struct metric_row *row) {
    return row->bounds ? row->bounds_count : metrics_seconds_bounds_count;
}

/* Buckets with +Inf, then the sum. */
static size_t row_cells(const struct metric_row *row) {
    return row->kind == METRIC_HISTOGRAM ? row_bounds_count(row) + 2 : 1;
}

static bool name_ok(const char *name) {
    if (!name || !*name || (*name >= '0' && *name <= '9')) return false;
    for (const char *at = name; *at; at++)
        if (!((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') || *at == '_' ||
              *at == ':'))
            return false;
    return true;
}

static bool labels_ok(const char *at) {
    if (!at) return false;
    while (*at) {
        const char *const name = at;
        while ((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || *at == '_' ||
               (at > name && *at >= '0' && *at <= '9'))
            at++;
        if (at == name || *at++ != '=' || *at++ != '"') return false;
        while (*at && *at != '"') {
            if (*at == '\n') return false;
            if (*at == '\\' && !strchr("\\\"n", *++at)) return false;
            if (!*at) return false;
            at++;
        }
        if (*at++ != '"') return false;
        if (*at == '\0') return true;
        if (*at++ != ',' || *at == '\0') return false;
    }
    return true;
}

static bool ends_in_total(const char *name) {
    const size_t size = strlen(name);
    return size > 6 && strcmp(name + size - 6, "_total") == 0;
}

static fault_code row_check(const struct metric_row *rows, size_t i, struct fault *reterr) {
    const struct metric_row *row = &rows[i];
    if (!name_ok(row->name))
        return fault_set(reterr, FAULT_INPUT, "metric row %zu: '%s' is not a metric's name", i,
                         row->name ? row->name : "");
    if (!labels_ok(row->labels))
        return fault_set(reterr, FAULT_INPUT, "metric %s: labels {%s} are not name=\"value\",...", row->name,
                         row->labels ? row->labels : "");
    if ((row->kind == METRIC_COUNTER) != ends_in_total(row->name))
        return fault_set(reterr, FAULT_INPUT, "metric %s: counters, and only they, end in _total", row->name);
    if (!row->help || !*row->help || strchr(row->help, '\n') || strchr(row->help, '\\'))
        return fault_set(reterr, FAULT_INPUT, "metric %s: help must be one line", row->name);
    for (size_t b = 1; row->kind == METRIC_HISTOGRAM && b < row_bounds_count(row); b++)
        if (!(row_bounds(row)[b - 1] < row_bounds(row)[b]))
            return fault_set(reterr, FAULT_INPUT, "metric %s: bucket bounds must ascend", row->name);
    const bool follows = i > 0 && strcmp(rows[i - 1].name, row->name) == 0;
    if (follows && rows[i - 1].kind != row->kind)
        return fault_set(reterr, FAULT_CONFLICT, "metric %s: rows of one name must be of one kind", row->name);
    for (size_t j = 0; j < i; j++) {
        if (strcmp(rows[j].name, row->name) != 0) continue;
        if (!follows) return fault_set(reterr, FAULT_CONFLICT, "metric %s: its rows must stand together", row->name);
        if (strcmp(rows[j].labels, row->labels) == 0)
            return fault_set(reterr, FAULT_CONFLICT, "metric %s{%s} is there twice", row->name, row->labels);
    }
    return FAULT_NONE;
}

static fault_code families_check_locked(const struct metrics *metrics, const struct metric_row *rows, size_t rows_count,
                                        struct fault *reterr) {
    for (const struct metric_table *table = metrics->first; table; table = table->next)
        for (size_t i = 0; i < rows_count; i++)
            for (size_t j = 0; j < table->rows_count; j++)
                if (strcmp(rows[i].name, table->rows[j].name) == 0)
                    return fault_set(reterr, FAULT_CONFLICT, "metric %s belongs to another table", rows[i].name);
    return FAULT_NONE;
}

fault_code metrics_add(struct metrics *metrics, const struct metric_row *rows, size_t rows_count,
                       struct metric_table **ret_table, struct fault *reterr) {
    for (size_t i = 0; i < rows_count; i++) {
        const fault_code code = row_check(rows, i, reterr);
        if (code) return code;
    }
    struct metric_table *table = calloc(1, sizeof *table);
    uint32_t *first_cell = table ? calloc(rows_count + 1, sizeof *first_cell) : NULL;
    size_t cells_count = 0;
    for (size_t i = 0; first_cell && i < rows_count; i++) {
        first_cell[i] = (uint32_t)cells_count;
        cells_count += row_cells(&rows[i]);
    }
    _Atomic uint64_t *cells = first_cell ? calloc(cells_count + 1, sizeof *cells) : NULL;
    if (!cells) {
        free(first_cell);
        free(table);
        return fault_set(reterr, FAULT_SYSTEM, "metrics of %zu rows: out of memory", rows_count);
    }
    *table = (struct metric_table){.rows = rows, .rows_count = rows_count, .first_cell = first_cell, .cells = cells};

    pthread_mutex_lock(&metrics->lock);
    const fault_code code = families_check_locked(metrics, rows, rows_count, reterr);
    if (code == FAULT_NONE) {
        *metrics->last_next = table;
        metrics->last_next = &table->next;
    }
    pthread_mutex_unlock(&metrics->lock);
    if (code) {
        table_free(table);
        return code;
    }
    *ret_table = table;
    return FAULT_NONE;
}

struct metric_table *metrics_remove(struct metrics *metrics, struct metric_table *table) {
    if (!table) return NULL;
    pthread_mutex_lock(&metrics->lock);
    struct metric_table **link = &metrics->first;
    while (*link != table) link = &(*link)->next;
    *link = table->next;
    if (metrics->last_next == &table->next) metrics->last_next = link;
    pthread_mutex_unlock(&metrics->lock);
    return table_free(table);
}

fault_code metrics_on_read(struct metrics *metrics, void (*call)(void *context), void *context, struct fault *reterr) {
    pthread_mutex_lock(&metrics->lock);
    const bool room = metrics->read_calls_count < READ_CALLS_MAX;
    if (room) {
        metrics->read_calls[metrics->read_calls_count].call = call;
        metrics->read_calls[metrics->read_calls_count++].context = context;
    }
    pthread_mutex_unlock(&metrics->lock);
    return room ? FAULT_NONE : fault_set(reterr, FAULT_LIMIT, "more than %d metrics_on_read calls", READ_CALLS_MAX);
}

static uint64_t double_bits(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double bits_double(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static _Atomic uint64_t *cell_of(const struct metric_table *table, size_t row, enum metric_kind kind) {
    assert(row < table->rows_count && table->rows[row].kind == kind);
    return &table->cells[table->first_cell[row]];
}

static void cell_add_double(_Atomic uint64_t *cell, double by) {
    uint64_t old = atomic_load_explicit(cell, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(cell, &old, double_bits(bits_double(old) + by), memory_order_relaxed,
                                                  memory_order_relaxed)) {
    }
}

void metric_count(struct metric_table *table, size_t row, uint64_t add) {
    if (table) atomic_fetch_add_explicit(cell_of(table, row, METRIC_COUNTER), add, memory_order_relaxed);
}

void metric_count_to(struct metric_table *table, size_t row, uint64_t now) {
    if (table) atomic_store_explicit(cell_of(table, row, METRIC_COUNTER), now, memory_order_relaxed);
}

void metric_set(struct metric_table *table, size_t row, double value) {
    if (table) atomic_store_explicit(cell_of(table, row, METRIC_GAUGE), double_bits(value), memory_order_relaxed);
}

void metric_move(struct metric_table *table, size_t row, double by) {
    if (table) cell_add_double(cell_of(table, row, METRIC_GAUGE), by);
}

void metric_observe(struct metric_table *table, size_t row, double value) {
    if (!table || isnan(value)) return;
    _Atomic uint64_t *cells = cell_of(table, row, METRIC_HISTOGRAM);
    const double *bounds = row_bounds(&table->rows[row]);
    const size_t bounds_count = row_bounds_count(&table->rows[row]);
    size_t bucket = 0;
    while (bucket < bounds_count && value > bounds[bucket]) bucket++;
    atomic_fetch_add_explicit(&cells[bucket], 1, memory_order_relaxed);
    cell_add_double(&cells[bounds_count + 1], value);
}

uint64_t metric_total(const struct metric_table *table, size_t row) {
    if (!table) return 0;
    assert(row < table->rows_count && table->rows[row].kind != METRIC_GAUGE);
    const _Atomic uint64_t *cells = &table->cells[table->first_cell[row]];
    const size_t count = table->rows[row].kind == METRIC_HISTOGRAM ? row_bounds_count(&table->rows[row]) + 1 : 1;
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) total += atomic_load_explicit(&cells[i], memory_order_relaxed);
    return total;
}

/* The shortest text that reads back as the same number. */
static void add_number(struct text *text, double value) {
    char digits[40];
    if (isnan(value))
        snprintf(digits, sizeof digits, "NaN");
    else if (isinf(value))
        snprintf(digits, sizeof digits, value > 0 ? "+Inf" : "-Inf");
    else {
        snprintf(digits, sizeof digits, "%.15g", value);
        if (strtod(digits, NULL) != value) snprintf(digits, sizeof digits, "%.17g", value);
    }
    text_add_text(text, digits);
}

static void add_series(struct text *text, const struct metric_row *row, const char *suffix) {
    text_add_text(text, row->name);
    text_add_text(text, suffix);
    if (*row->labels) text_format(text, "{%s}", row->labels);
    text_add_text(text, " ");
}

static void add_histogram(struct text *text, const struct metric_row *row, const _Atomic uint64_t *cells,
                          bool openmetrics) {
    const size_t bounds_count = row_bounds_count(row);
    uint64_t count = 0;
    for (size_t i = 0; i <= bounds_count; i++) {
        count += atomic_load_explicit(&cells[i], memory_order_relaxed);
        text_format(text, "%s_bucket{%s%sle=\"", row->name, row->labels, *row->labels ? "," : "");
        if (i == bounds_count)
            text_add_text(text, "+Inf");
        else {
            const double bound = row_bounds(row)[i];
            add_number(text, bound);
            /* OpenMetrics 1.0, "Canonical numbers": integers with a fraction. */
            if (openmetrics && bound == floor(bound) && fabs(bound) < 1e15) text_add_text(text, ".0");
        }
        text_format(text, "\"} %" PRIu64 "\n", count);
    }
    add_series(text, row, "_sum");
    add_number(text, bits_double(atomic_load_explicit(&cells[bounds_count + 1], memory_order_relaxed)));
    text_add_text(text, "\n");
    add_series(text, row, "_count");
    text_format(text, "%" PRIu64 "\n", count);
}

static void add_family_head(struct text *text, const struct metric_row *row, bool openmetrics) {
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    /* OpenMetrics names a counter's family without _total; 0.0.4 with it. */
    const int size = (int)strlen(row->name) - (openmetrics && row->kind == METRIC_COUNTER ? 6 : 0);
    text_format(text, "# HELP %.*s ", size, row->name);
    for (const char *at = row->help; *at; at++)
        text_add_text(text, openmetrics && *at == '"' ? "\\\"" : (char[]){*at, '\0'});
    text_format(text, "\n# TYPE %.*s %s\n", size, row->name, kinds[row->kind]);
}

static void add_table(struct text *text, const struct metric_table *table, bool openmetrics) {
    for (size_t i = 0; i < table->rows_count; i++) {
        const struct metric_row *row = &table->rows[i];
        const _Atomic uint64_t *cells = &table->cells[table->first_cell[i]];
        if (i == 0 || strcmp(table->rows[i - 1].name, row->name) != 0) add_family_head(text, row, openmetrics);
        if (row->kind == METRIC_HISTOGRAM) {
            add_histogram(text, row, cells, openmetrics);
            continue;
        }
        add_series(text, row, "");
        const uint64_t bits = atomic_load_explicit(cells, memory_order_relaxed);
        const double scale = row->scale != 0 ? row->scale : 1;
        if (row->kind == METRIC_COUNTER && scale == 1)
            text_format(text, "%" PRIu64, bits);
        else
            add_number(text, scale * (row->kind == METRIC_COUNTER ? (double)bits : bits_double(bits)));
        text_add_text(text, "\n");
    }
}

fault_code metrics_text(struct metrics *metrics, bool openmetrics, struct arena *arena, slice *ret_text,
                        struct fault *reterr) {
    struct text text = text_begin(arena);
    pthread_mutex_lock(&metrics->lock);
    for (size_t i = 0; i < metrics->read_calls_count; i++) metrics->read_calls[i].call(metrics->read_calls[i].context);
    for (const struct metric_table *table = metrics->first; table; table = table->next)
        add_table(&text, table, openmetrics);
    pthread_mutex_unlock(&metrics->lock);
    text_format(&text,
                "# HELP picket_build_info What is running.\n# TYPE picket_build_info gauge\n"
                "picket_build_info{program=\"%s\",version=\"%s\"} 1\n",
                metrics->program, PICKET_VERSION);
    process_metrics_add(&text, openmetrics);
    if (openmetrics) text_add_text(&text, "# EOF\n");
    return text_end(&text, "metrics text", ret_text, reterr);
}

bool metrics_wants_openmetrics(slice accept) {
    static const char type[] = "application/openmetrics-text";
    return accept.size && memmem(accept.data, accept.size, type, sizeof type - 1) != NULL;
}

const char *metrics_content_type(bool openmetrics) {
    return openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                       : "text/plain; version=0.0.4; charset=utf-8";
}

slice metrics_label(struct arena *arena, const char *name, slice value) {
    struct text text = text_begin(arena);
    text_format(&text, "%s=\"", name);
    for (size_t at = 0; at < value.size;) {
        const size_t size = text_utf8_character(slice_from(value, at));
        const uint8_t byte = value.data[at];
        if (size == 0)
            text_add_text(&text, "\xEF\xBF\xBD");
        else if (byte == '\\')
            text_add_text(&text, "\\\\");
        else if (byte == '"')
            text_add_text(&text, "\\\"");
        else if (byte == '\n')
            text_add_text(&text, "\\n");
        else if (byte == '\0')
            text_add_text(&text, "\xEF\xBF\xBD");
        else
            text_add(&text, slice_of(value.data + at, size));
        at += size ? size : 1;
    }
    text_add_text(&text, "\"");
    slice label;
    return text_end(&text, name, &label, NULL) ? (slice){0} : label;
}
