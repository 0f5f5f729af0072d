/* SPDX-License-Identifier: Apache-2.0
 * Which of two resourceVersions of one resource is the older. Kubernetes says since 1.35 that they are decimal numbers and
 * may be compared as such (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions, KEP-5504); the
 * servers before it send the revision of their store, which is one too. Whatever else a server sends is not looked into.
 * Pure; any thread. */
#ifndef PICKET_COLLECT_KUBE_VERSION_H
#define PICKET_COLLECT_KUBE_VERSION_H

#include "common/base/slice.h"

bool kube_version_is_number(slice version);
/* Whether `version` is older than `than`; false when either is no number. Of any length. */
bool kube_version_is_before(slice version, slice than);

#endif
