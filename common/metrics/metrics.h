/* SPDX-License-Identifier: Apache-2.0
 * Counters, gauges and histograms of the program itself, and their text for Prometheus (0.0.4) and
 * OpenMetrics 1.0. A series is a row; rows of one name stand together and make one family. A module declares
 * its rows as a table:
 *
 *   // intake_metrics.def: METRIC(id, kind, name, labels, help)
 *   METRIC(INTAKE_ACCEPTED, COUNTER, "picket_intake_intents_total", "result=\"accepted\"", "Intents.")
 *   METRIC(INTAKE_REFUSED,  COUNTER, "picket_intake_intents_total", "result=\"refused\"",  "Intents.")
 *
 *   enum {
 *   #define METRIC(id, kind, name, labels, help) id,
 *   #include "aggregator/intake/intake_metrics.def"
 *   #undef METRIC
 *   INTAKE_METRICS_MAX_ };
 *   static const struct metric_row rows[] = {
 *   #define METRIC(id, kind, name, labels, help) METRIC_ROW(kind, name, labels, help),
 *   #include "aggregator/intake/intake_metrics.def"
 *   #undef METRIC
 *   };
 *   ... metrics_add(metrics, rows, INTAKE_METRICS_MAX_, &intake->metrics, reterr)
 *   ... metric_count(intake->metrics, INTAKE_REFUSED, 1);
 *
 * Names: picket_<area>_<what>_<unit>, base units (seconds, bytes), counters end in _total.
 * Updates: any thread, wait-free but for a histogram's sum. A NULL table is fine everywhere (nothing is
 * counted), so that a unit test needs no registry. */
#ifndef PICKET_METRICS_METRICS_H
#define PICKET_METRICS_METRICS_H

#include "common/base/arena.h"
#include "common/base/fault.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_row {
    enum metric_kind kind;
    const char *name;     /* [a-zA-Z_:][a-zA-Z0-9_:]* */
    const char *labels;   /* `code="200",method="GET"`, values escaped (metrics_label); "" for none */
    const char *help;     /* one sentence */
    double scale;         /* the text shows value * scale; 0 is 1. Count nanoseconds with 1e-9 to show seconds. */
    const double *bounds; /* histogram: upper bounds, ascending, without +Inf; NULL: metrics_seconds_bounds */
    size_t bounds_count;
};
#define METRIC_ROW(kind_word, name_text, labels_text, help_text)                                                       \
    { .kind = METRIC_##kind_word, .name = (name_text), .labels = (labels_text), .help = (help_text) }

struct metrics;
struct metric_table;

/* program: "picket-agent"; named in picket_build_info{program,version}. NULL when memory is out. */
struct metrics *metrics_new(const char *program) MUST_CHECK;
struct metrics *metrics_free(struct metrics *metrics); /* frees the tables too; NULL is fine; returns NULL */

/* rows and their strings must outlive the table (they may be built at start, one per target). FAULT_INPUT
 * names the row whose name or labels are malformed, FAULT_CONFLICT one whose family another table has or
 * whose series repeats. */
fault_code metrics_add(struct metrics *metrics, const struct metric_row *rows, size_t rows_count,
                       struct metric_table **ret_table, struct fault *reterr) MUST_CHECK;
/* For tables built from settings that change. Nobody may use the table any more. NULL is fine; returns NULL.
 */
struct metric_table *metrics_remove(struct metrics *metrics, struct metric_table *table);
/* Called, under a lock, before each text is made: sets gauges that are cheap to read and dull to keep (queue
 * depth). */
fault_code metrics_on_read(struct metrics *metrics, void (*call)(void *context), void *context,
                           struct fault *reterr) MUST_CHECK;

void metric_count(struct metric_table *table, size_t row, uint64_t add);    /* counter */
void metric_count_to(struct metric_table *table, size_t row, uint64_t now); /* counter kept elsewhere: its total */
void metric_set(struct metric_table *table, size_t row, double value);      /* gauge */
void metric_move(struct metric_table *table, size_t row, double by);        /* gauge, up or down */
void metric_observe(struct metric_table *table, size_t row, double value);  /* histogram, in base units */
uint64_t metric_total(const struct metric_table *table, size_t row);        /* a counter's value, a histogram's count */

/* The whole text, with process_* (resident and virtual bytes, CPU seconds, open and maximum descriptors,
 * start time) and picket_build_info. In the arena; FAULT_LIMIT when it does not fit. Any thread. */
fault_code metrics_text(struct metrics *metrics, bool openmetrics, struct arena *arena, slice *ret_text,
                        struct fault *reterr) MUST_CHECK;
/* Whether an Accept header asks for OpenMetrics, and the content type to answer with. */
bool metrics_wants_openmetrics(slice accept);
const char *metrics_content_type(bool openmetrics);

/* `name="value"` with the value escaped, for rows built at start. */
slice metrics_label(struct arena *arena, const char *name, slice value);
/* 0.5 ms to 60 s in 16 steps. */
extern const double metrics_seconds_bounds[];
extern const size_t metrics_seconds_bounds_count;

#endif
