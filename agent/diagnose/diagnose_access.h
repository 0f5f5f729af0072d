/* SPDX-License-Identifier: Apache-2.0
 * Whether the settings allow a question. Owner: one thread. */
#ifndef PICKET_DIAGNOSE_DIAGNOSE_ACCESS_H
#define PICKET_DIAGNOSE_DIAGNOSE_ACCESS_H

#include "agent/diagnose/diagnose_kind.h"
#include "agent/diagnose/diagnose_settings.h"

struct diagnose_access;

/* The settings must outlive it. */
fault_code diagnose_access_new(const struct diagnose_settings *settings, struct diagnose_access **ret_access,
                               struct fault *reterr) MUST_CHECK;
struct diagnose_access *diagnose_access_free(struct diagnose_access *access);

/* FAULT_DENIED with what the settings would need. NULL allows nothing. namespace: empty for a kind that has none. */
fault_code diagnose_access_check(const struct diagnose_access *access, const struct diagnose_kind *kind,
                                 enum diagnose_verb verb, slice namespace, struct fault *reterr) MUST_CHECK;

#endif
