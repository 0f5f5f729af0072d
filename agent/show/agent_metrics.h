/* SPDX-License-Identifier: Apache-2.0
 * The modules' own counts as metrics (rows: agent_metrics.def). Owner: the loop's thread. */
#ifndef PICKET_AGENT_AGENT_METRICS_H
#define PICKET_AGENT_AGENT_METRICS_H

#include "agent/clusters/argocd_feed.h"
#include "agent/measure/measure.h"
#include "agent/ship/shipper.h"

fault_code agent_metrics_add(struct metrics *metrics, struct metric_table **ret_table, struct fault *reterr) MUST_CHECK;

void agent_metrics_measure(struct metric_table *table, const struct measure_stats *stats,
                           const struct target_report *targets, size_t targets_count);
void agent_metrics_queue(struct metric_table *table, const struct queue_stats *stats, int64_t now_ms); /* wall */
void agent_metrics_ship(struct metric_table *table, const struct shipper_stats *ship, const struct mqtt_stats *mqtt);
void agent_metrics_argocd(struct metric_table *table, const struct argocd_feed *feed);
void agent_metrics_config(struct metric_table *table, uint64_t revision, uint64_t reloads, uint64_t reloads_refused,
                          bool ready);

#endif
