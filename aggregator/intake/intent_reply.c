/* SPDX-License-Identifier: Apache-2.0
 * Three ends: committed (now or before), refused (sending it again as it is would be refused again, unless the state has
 * changed), and not decided. Only the last is to be tried again by a machine. */
#include "aggregator/intake/intent_reply.h"

static void fill_refusal(const struct fault *fault, bool retry, IntentReply *reply) {
    reply->code = slice_from_text(fault_code_name(fault->code));
    reply->message = slice_from_text(fault->text);
    reply->retry = retry;
}

void intent_reply_fill(const struct journal_outcome *outcome, slice message_id, IntentReply *ret_reply) {
    *ret_reply = (IntentReply){.message_id = message_id};
    if (outcome->result == JOURNAL_REFUSED || outcome->result == JOURNAL_FAILED) {
        fill_refusal(&outcome->fault, outcome->result == JOURNAL_FAILED, ret_reply);
        return;
    }
    ret_reply->has_outcome = true;
    ret_reply->outcome = (CommandOutcome){.message_id = message_id,
                                          .aggregate_type = outcome->aggregate_type,
                                          .aggregate_id = outcome->aggregate_id,
                                          .aggregate_version = (int64_t)outcome->aggregate_version,
                                          .sequence = outcome->last_sequence,
                                          .repeated = outcome->result == JOURNAL_REPEATED};
}

void intent_reply_fill_fault(const struct fault *fault, slice message_id, IntentReply *ret_reply) {
    *ret_reply = (IntentReply){.message_id = message_id};
    fill_refusal(fault, true, ret_reply);
}
