/* SPDX-License-Identifier: Apache-2.0
 * Aggregates as stored: key tenant 4, kind 1, id; body version 8, encoded message. Any thread with a transaction. */
#ifndef PICKET_JOURNAL_AGGREGATE_TABLE_H
#define PICKET_JOURNAL_AGGREGATE_TABLE_H

#include "aggregator/domain/domain.h"
#include "common/store/kv.h"

enum { AGGREGATE_KEY_BYTES_MAX = 5 + LIMIT_AGGREGATE_ID_BYTES, AGGREGATE_BYTES_MAX = 4 * 1024 * 1024 };

/* The message that holds an aggregate of that kind; NULL for kinds that this version does not keep. */
const struct message_desc *aggregate_message(enum aggregate_kind kind);

size_t aggregate_key(uint32_t tenant, enum aggregate_kind kind, slice id, uint8_t key[AGGREGATE_KEY_BYTES_MAX]);

/* FAULT_ABSENT, silently, when there is none. ret_bytes is lent by the transaction; empty: it was deleted with that
 * version. */
fault_code aggregate_get(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind, slice id,
                         uint64_t *ret_version, slice *ret_bytes, struct fault *reterr) MUST_CHECK;
fault_code aggregate_open(slice record, uint64_t *ret_version, slice *ret_bytes, struct fault *reterr) MUST_CHECK;
/* message: NULL when it is deleted. buffer: AGGREGATE_BYTES_MAX. ret_bytes (may be NULL): the encoded message, in the buffer. */
fault_code aggregate_put(kv_table table, struct kv_txn *txn, uint32_t tenant, enum aggregate_kind kind, slice id,
                         uint64_t version, const void *message, uint8_t *buffer, slice *ret_bytes,
                         struct fault *reterr) MUST_CHECK;

#endif
