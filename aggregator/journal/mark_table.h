/* SPDX-License-Identifier: Apache-2.0
 * Marks of what has had its effect, written in the transaction of that effect: how far each stream of each agent is
 * committed, and which single intents (by message id, by Idempotency-Key) are done. Owner: the writer thread. */
#ifndef PICKET_JOURNAL_MARK_TABLE_H
#define PICKET_JOURNAL_MARK_TABLE_H

#include "aggregator/journal/journal_tables.h"
#include "common/base/digest.h"
#include "common/base/uuid.h"

struct mark_table {
    kv_table marks, by_time;
    uint64_t added; /* makes keys of one time different */
};

struct stream_key {
    uint32_t tenant, agent; /* numbers of names.h */
    struct uuid epoch;
    uint64_t stream;
};
struct stream_mark {
    uint64_t last_sequence; /* 0: nothing yet */
    uint64_t missing;       /* intents in holes that the agent stated */
    bool ended;
};
/* A zero mark when there is none. */
fault_code mark_stream_get(const struct mark_table *table, struct kv_txn *txn, const struct stream_key *key,
                           struct stream_mark *ret_mark, struct fault *reterr) MUST_CHECK;
/* An ended stream's mark is dropped 35 days later, one that is open 90 days after it was last used. */
fault_code mark_stream_put(struct mark_table *table, struct kv_txn *txn, const struct stream_key *key,
                           const struct stream_mark *mark, int64_t now_ms, struct fault *reterr) MUST_CHECK;
/* Notes that this epoch was seen; whether it is the first time. It is dropped when none of its streams has a mark left,
 * which is looked at every 90 days. */
fault_code mark_epoch(struct mark_table *table, struct kv_txn *txn, const struct stream_key *key, int64_t now_ms,
                      bool *ret_new, struct fault *reterr) MUST_CHECK;

/* What a single intent did. */
struct intent_mark {
    uint8_t kind; /* enum aggregate_kind */
    uint64_t version, last_sequence;
    uint8_t request_hash[DIGEST_BYTES]; /* of the intent without its envelope */
    slice id;                           /* lent by the transaction */
};
enum mark_scope { MARK_MESSAGE = 3, MARK_IDEMPOTENCY_KEY = 4 };
/* name_hash: SHA-256 of the message id, or of actor and key. FAULT_ABSENT, silently, when there is none. */
fault_code mark_intent_get(const struct mark_table *table, struct kv_txn *txn, enum mark_scope scope, uint32_t tenant,
                           const uint8_t name_hash[DIGEST_BYTES], struct intent_mark *ret_mark,
                           struct fault *reterr) MUST_CHECK;
fault_code mark_intent_put(struct mark_table *table, struct kv_txn *txn, enum mark_scope scope, uint32_t tenant,
                           const uint8_t name_hash[DIGEST_BYTES], const struct intent_mark *mark, int64_t expires_ms,
                           struct fault *reterr) MUST_CHECK;

/* A mark as it is stored, for those who read all of them; lent by the transaction. */
struct mark_row {
    enum mark_kind { MARK_ROW_STREAM = 1, MARK_ROW_EPOCH = 2, MARK_ROW_MESSAGE = 3, MARK_ROW_KEY = 4 } kind;
    struct stream_key stream; /* a stream, or an epoch (stream 0) */
    struct stream_mark mark;
    int64_t at_ms; /* of a stream: its last use (0: not known); of an epoch: when it was seen first */
    const uint8_t *name_hash;
    struct intent_mark intent;
};
fault_code mark_row_open(slice key, slice record, struct mark_row *ret_row, struct fault *reterr) MUST_CHECK;
/* All marks of a kind and tenant begin with it. */
enum { MARK_PREFIX_BYTES = 5 };
slice mark_prefix(enum mark_kind kind, uint32_t tenant, uint8_t bytes[MARK_PREFIX_BYTES]);

/* A row of marks_by_time: the mark that it is about. Its own checksum covers its key, too; rows of before have none. The mark
 * of a stream may be gone, as it has several; that of an epoch or an intent is there. FAULT_CORRUPT when it is none. */
fault_code mark_reminder_open(slice key, slice value, slice *ret_name, struct fault *reterr) MUST_CHECK;

/* Takes up to marks_max marks whose time has come: drops them, or looks again later at those that were used meanwhile.
 * ret_taken: how many those are. */
fault_code mark_table_prune(struct mark_table *table, struct kv_txn *txn, int64_t now_ms, size_t marks_max,
                            uint64_t *ret_taken, struct fault *reterr) MUST_CHECK;

#endif
