/* SPDX-License-Identifier: Apache-2.0
 * The kinds of objects that can be asked about, as rows, by the names that people use for them. Secrets are none. Any
 * thread. */
#ifndef PICKET_DIAGNOSE_DIAGNOSE_KIND_H
#define PICKET_DIAGNOSE_DIAGNOSE_KIND_H

#include "agent/collect/kubernetes/kube_resource.h"

enum diagnose_verb {
    DIAGNOSE_DESCRIBE,
    DIAGNOSE_EVENTS,
    DIAGNOSE_LOGS,
    DIAGNOSE_ROLLOUT,
    DIAGNOSE_TOP,
    DIAGNOSE_VERBS_,
};
/* "describe", "events", "logs", "rollout", "top" */
const char *diagnose_verb_name(enum diagnose_verb verb);
bool diagnose_verb_find(slice name, enum diagnose_verb *ret_verb) MUST_CHECK;

struct diagnose_kind {
    const char *name;              /* "deployment": in settings and questions */
    const char *aliases;           /* "deploy deployments" */
    struct kube_resource resource; /* for kube_resource_path: kind, group, version, plural, namespaced */
    bool rolls_out;
};

/* By name or alias, in any case. FAULT_DENIED for secrets, FAULT_INPUT with the names that there are for all else. */
fault_code diagnose_kind_find(slice name, const struct diagnose_kind **ret_kind, struct fault *reterr) MUST_CHECK;

#endif
