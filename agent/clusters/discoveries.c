/* SPDX-License-Identifier: Apache-2.0
 * Wiring, and what an operator should hear: which endpoints and addresses were left out. Whether all are known is the
 * measure's to say, in the log and in the agent's status. */
#include "agent/clusters/discoveries.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/collect/prometheus/discovery.h"
#include "common/base/clock.h"
#include "common/logging/log.h"

enum { REPEAT_MS = 60 * 1000 };

struct one {
    struct discovery *discovery; /* NULL: without a cluster */
    char fault[200];
    uint64_t skipped;
    struct log_limit limit;
};

struct discoveries {
    const struct agent_settings *settings;
    struct measure *measure;
    size_t count;
    struct one all[];
};

static void on_state(void *context, size_t group, bool known, const char *why) {
    const struct discoveries *const discoveries = context;
    if (known && *why)
        LOG_WARN("agent", "found_otherwise", LOG_SLICE("group", discoveries->settings->discovery.items[group].name),
                 LOG_TEXT("reason", why));
    if (discoveries->measure) measure_discovery_state(discoveries->measure, group, known, why);
}

static fault_code open_one(struct discoveries *discoveries, struct loop *loop, const struct clusters *clusters,
                           size_t number, struct fault *reterr) {
    const struct agent_settings *const settings = discoveries->settings;
    const struct discovery_settings *const item = &settings->discovery.items[number];
    const struct kube_cluster_settings *cluster = NULL;
    for (size_t i = 0; i < settings->kubernetes.count; i++)
        if (item->cluster_id.size == 0 || slice_equal(item->cluster_id, settings->kubernetes.items[i].cluster_id))
            cluster = &settings->kubernetes.items[i];
    struct kube_cluster *const opened = cluster ? clusters_find(clusters, cluster->cluster_id) : NULL;
    if (!opened)
        return fault_set(reterr, FAULT_ABSENT, "its cluster could not be opened: see cluster_refused in the log");
    const struct discovery_config config = {
        .settings = item,
        .interval_ms = item->interval_ms ? item->interval_ms : settings->scrape.interval_ms,
        .timeout_ms = item->timeout_ms ? item->timeout_ms : settings->scrape.timeout_ms,
        .bytes_max = item->bytes_max ? item->bytes_max : settings->scrape.bytes_max,
        .node = item->node.size ? item->node : cluster->node,
        .group = number,
        .state = on_state,
        .context = discoveries};
    return discovery_new(loop, opened, &config, &discoveries->all[number].discovery, reterr);
}

fault_code discoveries_open(struct loop *loop, const struct clusters *clusters, const struct agent_settings *settings,
                            struct discoveries **ret_discoveries, struct fault *reterr) {
    const size_t count = settings->discovery.count;
    struct discoveries *const discoveries = calloc(1, sizeof *discoveries + count * sizeof discoveries->all[0]);
    if (!discoveries) return fault_set(reterr, FAULT_LIMIT, "discovery: out of memory");
    discoveries->settings = settings;
    discoveries->count = count;
    for (size_t i = 0; i < count; i++) {
        struct fault fault;
        if (open_one(discoveries, loop, clusters, i, &fault) == FAULT_NONE) continue;
        snprintf(discoveries->all[i].fault, sizeof discoveries->all[i].fault, "%s", fault.text);
    }
    *ret_discoveries = discoveries;
    return FAULT_NONE;
}

struct discoveries *discoveries_close(struct discoveries *discoveries) {
    if (!discoveries) return NULL;
    for (size_t i = 0; i < discoveries->count; i++) discovery_free(discoveries->all[i].discovery);
    free(discoveries);
    return NULL;
}

void discoveries_use(struct discoveries *discoveries, struct measure *measure) {
    if (!discoveries) return;
    const struct target_sink sink = measure_sink(measure);
    discoveries->measure = measure;
    for (size_t i = 0; i < discoveries->count; i++) {
        if (discoveries->all[i].discovery)
            discovery_use(discoveries->all[i].discovery, &sink);
        else
            measure_discovery_state(measure, i, false, discoveries->all[i].fault);
    }
}

void discoveries_tick(struct discoveries *discoveries) {
    for (size_t i = 0; discoveries && i < discoveries->count; i++) {
        struct one *const one = &discoveries->all[i];
        struct discovery_stats stats;
        uint64_t suppressed = 0;
        if (!one->discovery) continue;
        discovery_stats(one->discovery, &stats);
        if (stats.skipped == one->skipped || !log_limit_pass(&one->limit, clock_monotonic_ms(), REPEAT_MS, &suppressed))
            continue;
        LOG_WARN("agent", "target_skipped", LOG_SLICE("group", discoveries->settings->discovery.items[i].name),
                 LOG_UINT("count", stats.skipped - one->skipped), LOG_FAULT(&stats.last_skip),
                 LOG_TEXT("instead", "it is no target"));
        one->skipped = stats.skipped;
    }
}
