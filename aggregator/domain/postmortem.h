/* SPDX-License-Identifier: Apache-2.0
 * Postmortems: draft, in review, published. Published is the end of one: its whole text stays as it is, the action items
 * too (their progress is in the tickets that they link to). A correction is a new postmortem that revises it; publishing
 * that one marks the old one as superseded, in the same transaction.
 *
 * What a published one must have is what the SRE workbook ("Postmortem Culture") and PagerDuty's postmortem guide ask
 * for: a summary, the impact, the root cause, the incident (or, for a near miss that was none, the timeline), and an
 * owner for each action item. service_id is a note, as on an incident. */
#ifndef PICKET_DOMAIN_POSTMORTEM_H
#define PICKET_DOMAIN_POSTMORTEM_H

#include "aggregator/domain/domain.h"

/* Whether a postmortem may go from one status to the other, by whichever intent. */
bool postmortem_may_move(PostmortemStatus from, PostmortemStatus to);

decide_fn postmortem_decide_create, postmortem_decide_update, postmortem_decide_transition, postmortem_decide_publish;
apply_fn postmortem_apply_created, postmortem_apply_updated, postmortem_apply_status, postmortem_apply_published,
    postmortem_apply_superseded;

#endif
