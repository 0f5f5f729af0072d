/* SPDX-License-Identifier: Apache-2.0
 * A batch from an agent's queue, by contract.md, "Delivery", rules 4 to 6. With L the last committed sequence of the
 * stream, the batch holding first .. first + n - 1 and naming `after` as what comes before it:
 *
 *   first + n - 1 <= L        a repeat: no effect, the ack says L again
 *   first <= L + 1            the part up to L is a repeat, the rest is decided
 *   after <= L < first - 1    the agent shed what lies between: L + 1 .. first - 1 count as missing, the batch is decided
 *   after > L                 something is missing that nobody stated: nothing is decided, the ack wants L + 1
 *
 * Each intent is decoded by itself, so that one which cannot be read is one rejection and not the end of the line. */
#include "aggregator/journal/decision.h"

#include "common/codec/codec.h"

#include <inttypes.h>

static fault_code unreadable(struct decisions *d, slice tenant, slice agent, slice payload,
                             struct journal_batch_outcome *outcome, struct fault *reterr) {
    outcome->result = JOURNAL_REFUSED;
    fault_wrap(&outcome->fault, "the batch cannot be read");
    d->counts.unreadable_batches++;
    return decide_rejection(d, tenant, agent, outcome->fault.code, slice_from_text(outcome->fault.text), payload,
                            reterr);
}

static fault_code batch_intent(struct decisions *d, struct decision_sender *sender, slice bytes,
                               struct journal_batch_outcome *outcome, struct fault *reterr) {
    struct decision_effect effect;
    if (codec_decode_protobuf(&SreDomainIntent_desc, bytes, d->arena, &d->intent, &effect.why)) {
        d->counts.intents++;
        outcome->refused++;
        fault_wrap(&effect.why, "the intent cannot be read");
        return decide_rejection(d, sender->tenant, sender->actor, effect.why.code, slice_from_text(effect.why.text),
                                bytes, reterr);
    }
    const fault_code code = decide_intent(d, sender, bytes, 0, false, &effect, reterr);
    if (code) return code;
    if (effect.refused)
        outcome->refused++;
    else if (effect.repeated)
        outcome->repeated++;
    else
        outcome->applied++;
    return FAULT_NONE;
}

fault_code decide_batch(struct decisions *d, slice tenant, slice agent, slice payload,
                        struct journal_batch_outcome *ret_outcome, struct fault *reterr) {
    struct journal_batch_outcome *outcome = ret_outcome;
    outcome->tenant = tenant;
    outcome->agent = agent;
    EncodedIntentBatch batch;
    struct stream_key key = {0};
    if (codec_decode_protobuf(&EncodedIntentBatch_desc, payload, d->arena, &batch, &outcome->fault) ||
        codec_validate(&EncodedIntentBatch_desc, &batch, &outcome->fault))
        return unreadable(d, tenant, agent, payload, outcome, reterr);
    const uint64_t count = batch.intents.count, first = batch.first_sequence, after = batch.after_sequence;
    if (after >= first || first > UINT64_MAX - count || !uuid_parse(batch.epoch, &key.epoch)) {
        fault_set(&outcome->fault, FAULT_INPUT,
                  "first_sequence %" PRIu64 " does not come after after_sequence %" PRIu64, first, after);
        return unreadable(d, tenant, agent, payload, outcome, reterr);
    }
    struct decision_sender sender = {.tenant = tenant, .actor = agent, .senders = AGENTS};
    fault_code code = names_number(d->names, d->txn, NAMES_TENANT, 0, tenant, &sender.tenant_number, reterr);
    if (!code) code = names_number(d->names, d->txn, NAMES_SOURCE, sender.tenant_number, agent, &key.agent, reterr);
    key.tenant = sender.tenant_number;
    key.stream = batch.stream;
    struct stream_mark mark;
    if (!code) code = mark_epoch(&d->marks, d->txn, &key, d->now_ms, &outcome->new_epoch, reterr);
    if (!code) code = mark_stream_get(&d->marks, d->txn, &key, &mark, reterr);
    if (code) return code;
    outcome->result = JOURNAL_COMMITTED;
    outcome->epoch = batch.epoch;
    outcome->stream = batch.stream;
    outcome->committed_sequence = mark.last_sequence;
    outcome->stream_ended = mark.ended;
    outcome->missing_all = mark.missing;
    if (after > mark.last_sequence) {
        outcome->wanted_sequence = mark.last_sequence + 1;
        return FAULT_NONE;
    }
    const uint64_t skip = mark.last_sequence >= first ? mark.last_sequence - first + 1 : 0;
    if (skip == 0) outcome->missing = first - 1 - mark.last_sequence;
    outcome->repeated = skip < count ? skip : count;
    d->counts.repeated += outcome->repeated;
    d->counts.missing += outcome->missing;
    for (uint64_t i = skip; i < count; i++) {
        code = batch_intent(d, &sender, batch.intents.items[i], outcome, reterr);
        if (code) return code;
    }
    const struct stream_mark next = {
        .last_sequence = skip < count || skip == 0 ? first + count - 1 : mark.last_sequence,
        .missing = mark.missing + outcome->missing,
        .ended = mark.ended || batch.stream_ends,
    };
    outcome->committed_sequence = next.last_sequence;
    outcome->stream_ended = next.ended;
    outcome->missing_all = next.missing;
    if (next.last_sequence == mark.last_sequence && next.ended == mark.ended && next.missing == mark.missing)
        return FAULT_NONE;
    return mark_stream_put(&d->marks, d->txn, &key, &next, d->now_ms, reterr);
}
