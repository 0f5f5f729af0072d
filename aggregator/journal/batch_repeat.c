/* SPDX-License-Identifier: Apache-2.0
 * The first line of the table in decision_batch.c, read only: with L the last committed sequence of the stream, a batch
 * whose last sequence is at most L has nothing new, and its ack says L. That a stream ends is new when its mark does not
 * say so: the ack then says L and not that the stream has ended, so the agent says it again. */
#include "aggregator/journal/batch_repeat.h"

#include "common/codec/codec.h"

fault_code batch_repeat(struct decisions *d, struct kv_txn *txn, slice tenant, slice agent, slice payload,
                        bool *ret_repeat, struct journal_batch_outcome *ret_outcome, struct fault *reterr) {
    EncodedIntentBatch batch;
    struct stream_key key = {0};
    struct stream_mark mark;
    *ret_repeat = false;
    if (codec_decode_protobuf(&EncodedIntentBatch_desc, payload, d->arena, &batch, reterr) ||
        codec_validate(&EncodedIntentBatch_desc, &batch, reterr))
        return FAULT_NONE; /* to be refused when it can be kept */
    const uint64_t count = batch.intents.count, first = batch.first_sequence;
    if (count == 0 || batch.after_sequence >= first || first > UINT64_MAX - count ||
        !uuid_parse(batch.epoch, &key.epoch))
        return FAULT_NONE;
    fault_code code = names_find(d->tables.names, txn, NAMES_TENANT, 0, tenant, &key.tenant, reterr);
    if (!code) code = names_find(d->tables.names, txn, NAMES_SOURCE, key.tenant, agent, &key.agent, reterr);
    key.stream = batch.stream;
    if (!code) code = mark_stream_get(&d->marks, txn, &key, &mark, reterr);
    if (code) return code == FAULT_ABSENT ? FAULT_NONE : code;
    if (first + count - 1 > mark.last_sequence) return FAULT_NONE;
    *ret_outcome = (struct journal_batch_outcome){.result = JOURNAL_COMMITTED,
                                                  .tenant = tenant,
                                                  .agent = agent,
                                                  .epoch = batch.epoch,
                                                  .stream = batch.stream,
                                                  .committed_sequence = mark.last_sequence,
                                                  .stream_ended = mark.ended,
                                                  .repeated = count};
    d->counts.repeated += count;
    *ret_repeat = true;
    return FAULT_NONE;
}
