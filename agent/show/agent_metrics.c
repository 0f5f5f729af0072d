/* SPDX-License-Identifier: Apache-2.0
 * The modules count for themselves and know nothing of metrics; once a second their counts are set here, by the
 * thread that owns them, so that the page's thread never looks into a module. */
#include "agent/show/agent_metrics.h"

enum {
#define METRIC(id, kind, name, labels, help) id,
#include "agent/show/agent_metrics.def"
#undef METRIC
    AGENT_METRICS_MAX_
};
static const struct metric_row rows[] = {
#define METRIC(id, kind, name, labels, help) METRIC_ROW(kind, name, labels, help),
#include "agent/show/agent_metrics.def"
#undef METRIC
};

fault_code agent_metrics_add(struct metrics *metrics, struct metric_table **ret_table, struct fault *reterr) {
    return metrics_add(metrics, rows, AGENT_METRICS_MAX_, ret_table, reterr);
}

void agent_metrics_measure(struct metric_table *table, const struct measure_stats *stats,
                           const struct target_report *targets, size_t targets_count) {
    size_t up = 0, uncounted = 0;
    for (size_t i = 0; i < targets_count; i++) {
        up += targets[i].up;
        uncounted += targets[i].uncounted;
    }
    metric_count_to(table, AGENT_SCRAPES, stats->scrape.scrapes);
    metric_count_to(table, AGENT_SCRAPES_FAILED, stats->scrape.failed);
    metric_count_to(table, AGENT_SCRAPES_LATE, stats->scrape.late);
    metric_count_to(table, AGENT_SCRAPE_BYTES, stats->scrape.bytes);
    metric_count_to(table, AGENT_SAMPLES, stats->scrape.samples);
    metric_count_to(table, AGENT_SAMPLES_SELECTED, stats->scrape.selected);
    metric_count_to(table, AGENT_PROBES, stats->probes);
    metric_count_to(table, AGENT_PROBES_FAILED, stats->probes_failed);
    metric_set(table, AGENT_TARGETS_UP, (double)up);
    metric_set(table, AGENT_TARGETS, (double)targets_count);
    metric_set(table, AGENT_TARGETS_UNCOUNTED, (double)uncounted);
    metric_set(table, AGENT_MEMBERS, (double)stats->fold.members);
    metric_count_to(table, AGENT_MEMBERS_REFUSED, stats->fold.members_refused);
    metric_set(table, AGENT_GROUPS_UNKNOWN, (double)stats->groups_unknown);
    metric_set(table, AGENT_SLIS, (double)stats->slis);
    metric_set(table, AGENT_SERIES, (double)stats->fold.series);
    metric_set(table, AGENT_SERIES_MAX, (double)stats->fold.series_max);
    metric_count_to(table, AGENT_SERIES_REFUSED, stats->fold.series_refused);
    metric_count_to(table, AGENT_SERIES_TAKEN, stats->fold.series_taken);
    metric_count_to(table, AGENT_RESETS, stats->fold.resets);
    metric_count_to(table, AGENT_COUNT_FAILURES, stats->count_failures);
    metric_count_to(table, AGENT_GAPS_DROPPED, stats->fold.gap_windows_dropped);
    metric_count_to(table, AGENT_WINDOWS, stats->windows_stored);
    metric_count_to(table, AGENT_OBSERVATIONS, stats->observations_stored);
    metric_count_to(table, AGENT_STORE_FAILURES, stats->store_failures);
    metric_count_to(table, AGENT_CHECKPOINT_FAILURES, stats->checkpoint_failures);
}

void agent_metrics_queue(struct metric_table *table, const struct queue_stats *stats, int64_t now_ms) {
    uint64_t bytes = 0;
    for (int class = 0; class < QUEUE_CLASSES_MAX_; class ++) {
        metric_set(table, (size_t)(AGENT_RECORDS_HEALTH + class), (double)stats->records[class]);
        metric_count_to(table, (size_t)(AGENT_SHED_HEALTH + class), stats->shed[class]);
        metric_count_to(table, (size_t)(AGENT_ARRIVED_HEALTH + class), stats->arrived[class]);
        bytes += stats->bytes[class];
    }
    metric_count_to(table, AGENT_QUARANTINED, stats->quarantined);
    metric_count_to(table, AGENT_COMMITS, stats->commits);
    metric_set(table, AGENT_QUEUE_BYTES, (double)bytes);
    metric_set(table, AGENT_QUEUE_BYTES_MAX, (double)stats->bytes_max);
    metric_set(table, AGENT_OLDEST_SECONDS, stats->oldest_ms ? (double)(now_ms - stats->oldest_ms) / 1000 : 0);
}

void agent_metrics_ship(struct metric_table *table, const struct shipper_stats *ship, const struct mqtt_stats *mqtt) {
    metric_set(table, AGENT_CONNECTED, mqtt->connected);
    metric_count_to(table, AGENT_CONNECTS, mqtt->connects);
    metric_count_to(table, AGENT_DISCONNECTS, mqtt->disconnects);
    metric_set(table, AGENT_INFLIGHT, ship->inflight);
}

void agent_metrics_config(struct metric_table *table, uint64_t revision, uint64_t reloads, uint64_t reloads_refused,
                          bool ready) {
    metric_set(table, AGENT_CONFIG_REVISION, (double)revision);
    metric_count_to(table, AGENT_RELOADS, reloads);
    metric_count_to(table, AGENT_RELOADS_REFUSED, reloads_refused);
    metric_set(table, AGENT_READY, ready);
}

void agent_metrics_argocd(struct metric_table *table, const struct argocd_feed *feed) {
    struct argocd_feed_stats stats;
    argocd_feed_stats(feed, &stats);
    metric_set(table, AGENT_ARGOCD_SOURCES, (double)stats.sources);
    metric_set(table, AGENT_ARGOCD_CURRENT, (double)stats.sources_current);
    metric_set(table, AGENT_ARGOCD_APPLICATIONS, (double)stats.applications);
    metric_count_to(table, AGENT_ARGOCD_CHANGES, stats.changes);
    metric_count_to(table, AGENT_ARGOCD_HEARTBEATS, stats.heartbeats);
    metric_count_to(table, AGENT_ARGOCD_FLEETS, stats.fleet_reports);
    metric_count_to(table, AGENT_ARGOCD_SKIPPED, stats.skipped);
}
