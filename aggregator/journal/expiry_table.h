/* SPDX-License-Identifier: Apache-2.0
 * When aggregates are due (alerts to expire, executions to time out), in the order of time. A row is a reminder, not the
 * truth: the domain looks again when its time has come.
 * Owner: the writer thread; reading is for any thread. */
#ifndef PICKET_JOURNAL_EXPIRY_TABLE_H
#define PICKET_JOURNAL_EXPIRY_TABLE_H

#include "aggregator/domain/domain.h"
#include "aggregator/journal/journal_tables.h"

fault_code expiry_put(kv_table table, struct kv_txn *txn, int64_t expires_ms, uint32_t tenant, enum aggregate_kind kind,
                      slice id, slice tenant_name, struct fault *reterr) MUST_CHECK;
/* One that is not there is fine. */
fault_code expiry_delete(kv_table table, struct kv_txn *txn, int64_t expires_ms, uint32_t tenant,
                         enum aggregate_kind kind, slice id, struct fault *reterr) MUST_CHECK;

/* FAULT_ABSENT, silently: it is not due then, or the row is of a tenant of another name. */
fault_code expiry_find(kv_table table, struct kv_txn *txn, int64_t expires_ms, uint32_t tenant,
                       enum aggregate_kind kind, slice id, slice tenant_name, struct fault *reterr) MUST_CHECK;

enum { EXPIRY_KEY_BYTES_MAX = 13 + LIMIT_AGGREGATE_ID_BYTES };

/* A row; lent by the transaction. FAULT_CORRUPT when it is none. */
struct expiry_row {
    int64_t expires_ms;
    uint32_t tenant;
    enum aggregate_kind kind;
    slice id, tenant_name;
};
fault_code expiry_open(slice key, slice value, struct expiry_row *ret_row, struct fault *reterr) MUST_CHECK;

#endif
