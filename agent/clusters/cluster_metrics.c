/* SPDX-License-Identifier: Apache-2.0
 * Rows are made from cluster_metrics.def for the clusters that there are: by row first and then by cluster, because the
 * series of one name must stand together. */
#include "agent/clusters/cluster_metrics.h"

#include <stdio.h>
#include <stdlib.h>

enum { LABEL_BYTES = 200, REASONS_MAX = 64 };

enum {
#define METRIC(id, kind, name, labels, help) id,
#include "agent/clusters/cluster_metrics.def"
#undef METRIC
    CLUSTER_METRICS_
};

static const struct metric_row templates[CLUSTER_METRICS_] = {
#define METRIC(id, kind, name, labels, help) [id] = METRIC_ROW(kind, name, labels, help),
#include "agent/clusters/cluster_metrics.def"
#undef METRIC
};

struct cluster_metrics {
    struct metrics *metrics;
    struct metric_table *table;
    struct metric_row *rows;
    char *labels;
    size_t count;
    uint64_t (*events)[REASONS_MAX]; /* by cluster: what each has counted */
};

static size_t row_at(const struct cluster_metrics *metrics, size_t row, size_t cluster) {
    return row * metrics->count + cluster;
}

static void fill_rows(struct cluster_metrics *metrics, const slice *names) {
    for (size_t row = 0; row < CLUSTER_METRICS_; row++) {
        for (size_t i = 0; i < metrics->count; i++) {
            const size_t at = row_at(metrics, row, i);
            const char *const more = templates[row].labels;
            char *const label = metrics->labels + at * LABEL_BYTES;
            snprintf(label, LABEL_BYTES, "cluster=\"%.*s\"%s%s", SLICE_ARG(slice_first(names[i], 128)),
                     more[0] ? "," : "", more);
            metrics->rows[at] = templates[row];
            metrics->rows[at].labels = label;
        }
    }
    for (size_t r = 0; r < event_reasons_count(); r++) {
        const size_t at = CLUSTER_METRICS_ * metrics->count + r;
        char *const label = metrics->labels + at * LABEL_BYTES;
        snprintf(label, LABEL_BYTES, "reason=\"%s\"", event_reason(r));
        metrics->rows[at] = (struct metric_row){.kind = METRIC_COUNTER,
                                                .name = "picket_health_events_total",
                                                .labels = label,
                                                .help = "Warning events, each occurrence once; kept over a restart."};
    }
}

fault_code cluster_metrics_new(struct metrics *metrics, const slice *names, size_t count,
                               struct cluster_metrics **ret_metrics, struct fault *reterr) {
    struct cluster_metrics *const made = calloc(1, sizeof *made);
    if (!made) return fault_set(reterr, FAULT_LIMIT, "metrics of clusters: out of memory");
    const size_t rows = CLUSTER_METRICS_ * count + event_reasons_count();
    made->metrics = metrics;
    made->count = count;
    made->rows = calloc(rows, sizeof *made->rows);
    made->labels = calloc(rows, LABEL_BYTES);
    made->events = calloc(count + 1, sizeof *made->events);
    fault_code code = FAULT_NONE;
    if (!made->rows || !made->labels || !made->events || event_reasons_count() > REASONS_MAX)
        code = fault_set(reterr, FAULT_LIMIT, "metrics of clusters: out of memory");
    if (!code) {
        fill_rows(made, names);
        code = metrics_add(metrics, made->rows, rows, &made->table, reterr);
    }
    if (code) {
        cluster_metrics_free(made);
        return code;
    }
    *ret_metrics = made;
    return FAULT_NONE;
}

struct cluster_metrics *cluster_metrics_free(struct cluster_metrics *metrics) {
    if (!metrics) return NULL;
    if (metrics->table) metrics_remove(metrics->metrics, metrics->table);
    free(metrics->rows);
    free(metrics->labels);
    free(metrics->events);
    free(metrics);
    return NULL;
}

void cluster_metrics_set(struct cluster_metrics *metrics, size_t index, const struct cluster_state_stats *stats,
                         const struct kube_cluster_stats *kube, const struct event_memory *events) {
    size_t objects = 0;
    for (size_t k = 0; k < CLUSTER_KINDS_; k++) objects += stats->objects[k];
    const uint64_t values[CLUSTER_METRICS_] = {
        [CLUSTER_OBJECTS] = objects,
        [CLUSTER_HEALTHY] = stats->statuses[HEALTH_HEALTHY],
        [CLUSTER_DEGRADED] = stats->statuses[HEALTH_DEGRADED],
        [CLUSTER_UNHEALTHY] = stats->statuses[HEALTH_UNHEALTHY],
        [CLUSTER_UNKNOWN] = stats->statuses[HEALTH_UNKNOWN],
        [CLUSTER_WATCHES] = stats->watches,
        [CLUSTER_WATCHES_FRESH] = stats->watches_fresh,
        [CLUSTER_DUE] = stats->due,
        [CLUSTER_REPORTS] = stats->reports,
        [CLUSTER_CHANGES] = stats->changes,
        [CLUSTER_REFUSED] = stats->objects_refused,
        [CLUSTER_FLAPS] = stats->flaps,
        [CLUSTER_EVENTS_LOST] = event_memory_lost(events),
        [CLUSTER_MEMORY] = stats->memory_bytes,
        [CLUSTER_REQUESTS] = kube->requests,
        [CLUSTER_REQUESTS_FAILED] = kube->requests_failed,
    };
    for (size_t row = 0; row < CLUSTER_METRICS_; row++) {
        if (templates[row].kind == METRIC_COUNTER)
            metric_count_to(metrics->table, row_at(metrics, row, index), values[row]);
        else
            metric_set(metrics->table, row_at(metrics, row, index), (double)values[row]);
    }
    for (size_t r = 0; r < event_reasons_count(); r++) {
        uint64_t all = 0;
        metrics->events[index][r] = event_memory_total(events, r);
        for (size_t i = 0; i < metrics->count; i++) all += metrics->events[i][r];
        metric_count_to(metrics->table, CLUSTER_METRICS_ * metrics->count + r, all);
    }
}
