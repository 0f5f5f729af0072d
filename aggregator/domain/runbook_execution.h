/* SPDX-License-Identifier: Apache-2.0
 * Executions of runbooks: awaiting approval (where the runbook or one of its steps asks for it), running, and one of five
 * ends. The plan is a copy of the runbook's steps, so that what was approved is what runs, whoever rewrites the runbook.
 *
 * Each has a deadline, in both states: a day to be approved, and then the sum of its steps' times. When it has passed,
 * the aggregator itself ends it as timed out. One that belongs to an incident writes into the incident's timeline, in
 * the same transaction, when it starts and when it ends. */
#ifndef PICKET_DOMAIN_RUNBOOK_EXECUTION_H
#define PICKET_DOMAIN_RUNBOOK_EXECUTION_H

#include "aggregator/domain/domain.h"

enum {
    RUNBOOK_CLOCKS_MS_MAX =
        60 * 60 * 1000, /* so far may a step's times lie before its execution's start, or ahead of now */
    RUNBOOK_APPROVAL_MS = 24 * 3600 * 1000,
    RUNBOOK_OUTPUT_BYTES_MAX = 256 * 1024, /* of all steps of one execution: it is in one fact when it ends */
};

/* Whether an execution may go from one status to the other, by whichever intent. */
bool runbook_execution_may_move(RunbookExecutionStatus from, RunbookExecutionStatus to);

index_fn runbook_execution_index; /* open: it has not ended; due: its deadline */
due_fn runbook_execution_due;

decide_fn runbook_execution_decide_execute, runbook_execution_decide_approve, runbook_execution_decide_reject,
    runbook_execution_decide_step, runbook_execution_decide_complete;
apply_fn runbook_execution_apply_created, runbook_execution_apply_approved, runbook_execution_apply_step,
    runbook_execution_apply_completed;

#endif
