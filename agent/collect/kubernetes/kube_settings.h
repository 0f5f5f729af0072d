/* SPDX-License-Identifier: Apache-2.0
 * The rows of the settings' list `kubernetes:`, one item a cluster. */
#ifndef PICKET_COLLECT_KUBE_SETTINGS_H
#define PICKET_COLLECT_KUBE_SETTINGS_H

#include "common/settings/settings.h"

struct kube_cluster_settings {
    slice cluster_id;                /* the name of the cluster in everything that is reported */
    slice kubeconfig;                /* empty: the service account of the pod that we run in */
    slice context;                   /* of the kubeconfig; empty: its current-context */
    slice service_account;           /* folder with token and ca.crt */
    struct setting_texts namespaces; /* none: all, with rights for the whole cluster */
    slice node;                      /* only pods of this node; empty: of all */
    int64_t object_bytes_max;        /* an object over this is skipped and counted */
    int64_t page_size;               /* objects in one answer to a list */
    int64_t stall_ms;                /* nothing comes on a watch for so long: it is taken for dead */
    int64_t relist_ms;               /* a whole list, whatever was heard, at the latest behind so long; 0: never */
    int64_t stale_ms;                /* without a working watch for so long: what is known is stale */
};

/* For SETTING_LIST(struct agent_settings, "kubernetes", clusters, &kube_cluster_table, 64, "...") */
extern const struct setting_table kube_cluster_table;

/* What rows cannot say (the same cluster_id twice, names that are none): adds mistakes at the items. */
void kube_settings_check(struct settings *read, const struct kube_cluster_settings *clusters, size_t count);

#endif
