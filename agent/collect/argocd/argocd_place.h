/* SPDX-License-Identifier: Apache-2.0
 * Which environment and which cluster an Application belongs to: by its labels and its destination. Any thread. */
#ifndef PICKET_COLLECT_ARGOCD_PLACE_H
#define PICKET_COLLECT_ARGOCD_PLACE_H

#include "agent/collect/argocd/argocd_settings.h"
#include "kube_objects.h"

enum { ARGOCD_PLACE_BYTES = 128 };

struct argocd_place {
    char environment[ARGOCD_PLACE_BYTES + 1], cluster[ARGOCD_PLACE_BYTES + 1]; /* ids: [A-Za-z0-9._-], not empty */
};

/* own_cluster, environment: where Argo CD runs, and what an Application without the label belongs to. Names that are no ids
 * are mended ('-' for what an id cannot hold). */
void argocd_place(const struct argocd_settings *settings, slice own_cluster, slice environment,
                  const KubeApplication *application, struct argocd_place *ret_place);

#endif
