/* SPDX-License-Identifier: Apache-2.0
 * The rows cluster_health.*: how the health of the clusters in `kubernetes:` is watched and told. */
#ifndef PICKET_HEALTH_CLUSTER_HEALTH_SETTINGS_H
#define PICKET_HEALTH_CLUSTER_HEALTH_SETTINGS_H

#include "common/settings/settings.h"

struct cluster_health_settings {
    bool disabled;
    struct setting_texts report, resources;
    int64_t recover_ms, flap_count, flap_window_ms, heartbeat_ms, reports_max, objects_max;
    slice zoneinfo;
};

/* For the table of an owner that has a member `struct cluster_health_settings member`. */
#define CLUSTER_HEALTH_ROWS(owner, member)                                                                             \
    SETTING_ROW(owner, "cluster_health.disabled", BOOL, member.disabled, "false", NULL, NULL,                          \
                "make no health checks of the clusters in kubernetes"),                                                \
        SETTING_TEXTS(owner, "cluster_health.report", member.report, 6,                                                \
                      "of cluster, namespaces, nodes, workloads, claims, pods (and jobs with workloads): these only; " \
                      "pods and jobs once they were not healthy"),                                                     \
        SETTING_TEXTS(owner, "cluster_health.resources", member.resources, 16,                                         \
                      "what is watched, by its plural; without it pods, nodes, namespaces, events, deployments, "      \
                      "statefulsets, daemonsets, jobs, cronjobs, persistentvolumeclaims (where kubernetes has "        \
                      "namespaces: without nodes and namespaces)"),                                                    \
        SETTING_ROW(owner, "cluster_health.recover", DURATION, member.recover_ms, "1m", "0s", "1h",                    \
                    "better is believed when it held for so long"),                                                    \
        SETTING_ROW(owner, "cluster_health.flap_count", INT, member.flap_count, "4", "2", "5",                         \
                    "so many times worse within flap_window is flapping, which is degraded"),                          \
        SETTING_ROW(owner, "cluster_health.flap_window", DURATION, member.flap_window_ms, "30m", "1s", "1d",           \
                    "see flap_count; flapping ends when it was calm for so long"),                                     \
        SETTING_ROW(owner, "cluster_health.heartbeat", DURATION, member.heartbeat_ms, "5m", "5s", "1d",                \
                    "each status is told at least so often, and expires at the centre after three times that"),        \
        SETTING_ROW(owner, "cluster_health.reports_max", INT, member.reports_max, "100", "1", "10000",                 \
                    "told in one second at most, of one cluster; what waits is told as it is when its turn comes"),    \
        SETTING_ROW(owner, "cluster_health.objects_max", INT, member.objects_max, "20000", "100", "60000",             \
                    "of one cluster, about 200 bytes each; more are left out and counted"),                            \
        SETTING_ROW(owner, "cluster_health.zoneinfo", PATH, member.zoneinfo, "/usr/share/zoneinfo", NULL, NULL,        \
                    "folder of time zones, for CronJobs with a timeZone")

/* What rows cannot say: words of the lists that mean nothing. */
void cluster_health_settings_check(struct settings *read, const struct cluster_health_settings *settings);

/* Of enum cluster_report_bits. */
unsigned cluster_health_report_bits(const struct cluster_health_settings *settings);
/* Whether objects of this resource ("pods") are to be watched, in the whole cluster or in some namespaces only. */
bool cluster_health_watches(const struct cluster_health_settings *settings, const char *plural, bool whole_cluster);

#endif
