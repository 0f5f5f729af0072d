/* SPDX-License-Identifier: Apache-2.0
 * What became of a single intent, as its sender is told: over the bus and by POST /v1/intents alike. Any thread. */
#ifndef PICKET_INTAKE_INTENT_REPLY_H
#define PICKET_INTAKE_INTENT_REPLY_H

#include "aggregator/journal/journal.h"
#include "sre.pb.h"

/* message_id: the intent's, empty when it is not known. Slices of the reply are those of the outcome and message_id. */
void intent_reply_fill(const struct journal_outcome *outcome, slice message_id, IntentReply *ret_reply);
/* Not decided, or not even submitted: to be sent again as it is. */
void intent_reply_fill_fault(const struct fault *fault, slice message_id, IntentReply *ret_reply);

#endif
