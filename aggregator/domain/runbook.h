/* SPDX-License-Identifier: Apache-2.0
 * Runbooks: a procedure of ordered steps. Steps are stored complete: each has an id ("step-1" where the sender gave
 * none), a kind, and a time of at most five minutes. A command stands on a step of kind COMMAND only and a link on one of
 * kind LINK only, so that nothing is written down that is never done. service_id is a note: the service may come later. */
#ifndef PICKET_DOMAIN_RUNBOOK_H
#define PICKET_DOMAIN_RUNBOOK_H

#include "aggregator/domain/domain.h"

enum { RUNBOOK_STEP_SECONDS_MAX = LIMIT_OUTSIDE_CALL_MS / 1000 };

decide_fn runbook_decide_create, runbook_decide_update;
apply_fn runbook_apply_created, runbook_apply_updated;

#endif
