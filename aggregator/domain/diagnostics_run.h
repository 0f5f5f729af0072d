/* SPDX-License-Identifier: Apache-2.0
 * The record of questions to agents: one is put down before the agent is asked, and once more when it has ended. What was
 * seen is not in it. One whose end nobody reported (the aggregator was stopped meanwhile) ends as unknown by itself. */
#ifndef PICKET_DOMAIN_DIAGNOSTICS_RUN_H
#define PICKET_DOMAIN_DIAGNOSTICS_RUN_H

#include "aggregator/domain/domain.h"

enum {
    DIAGNOSTICS_RUN_MS_MAX = 5 * 60 * 1000,
    DIAGNOSTICS_RUN_GRACE_MS = 60 * 1000, /* behind the deadline: then nobody will report its end any more */
};

index_fn diagnostics_run_index; /* open: it has not ended; due: its deadline and the grace */
due_fn diagnostics_run_due,
    diagnostics_run_abandoned; /* abandoned: whoever waited for it is gone, see domain_abandoned */

decide_fn diagnostics_run_decide_start, diagnostics_run_decide_complete;
apply_fn diagnostics_run_apply_started, diagnostics_run_apply_completed;

#endif
